/* What all devices of the kernel's VFIO share, on a kernel of the tests' own; and the sentences for
 * what the real one refuses. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "tests/fake_mem.h"
#include "tests/fake_vfio.h"
#include "vfio/container.h"
#include "vfio/explain.h"
#include "vfio/host.h"
#include "vfio/vfio.h"
#include "vmm/base/bits.h"

static void check_says(const char *why, const char *const *says, unsigned int count)
{
	for (unsigned int i = 0; i < count && says[i]; i++)
		if (!strstr(why, says[i]))
			fail_msg("no \"%s\" in \"%s\"", says[i], why);
	assert_null(strchr(why, '\n'));
}

static void test_container_explain(void **state)
{
	static const struct {
		enum vfio_step step;
		const char *what;
		int error;
		const char *says[3];
	} cases[] = {
		{VFIO_STEP_OPEN_CONTAINER, "/dev/vfio/vfio", -ENOENT,
		 {"/dev/vfio/vfio is missing", "modprobe -a vfio-pci vfio_iommu_type1"}},
		{VFIO_STEP_OPEN_CONTAINER, "/dev/vfio/vfio", -ENODEV, {"modprobe"}},
		{VFIO_STEP_OPEN_CONTAINER, "/dev/vfio/vfio", -EMFILE,
		 {"cannot open /dev/vfio/vfio: Too many open files"}},
		{VFIO_STEP_OPEN_GROUP, "/dev/vfio/14", -EACCES,
		 {"no permission on /dev/vfio/14", "chown"}},
		{VFIO_STEP_OPEN_GROUP, "/dev/vfio/14", -EBUSY,
		 {"/dev/vfio/14 is in use by another program", "fuser"}},
		{VFIO_STEP_OPEN_GROUP, "/dev/vfio/14", -ENOENT, {"/dev/vfio/14 is missing"}},
		{VFIO_STEP_CHECK_VIABLE, "/dev/vfio/14", -EPERM, {"/dev/vfio/14 is not viable"}},
		{VFIO_STEP_SET_IOMMU, "/dev/vfio/14", -EPERM,
		 {"interrupt remapping", "allow_unsafe_interrupts"}},
		{VFIO_STEP_SET_IOMMU, "/dev/vfio/14", -ENODEV, {"modprobe vfio_iommu_type1"}},
		{VFIO_STEP_OPEN_DEVICE, "0000:01:00.0", -EIO, {"0000:01:00.0", "power cycle"}},
		{VFIO_STEP_OPEN_IOMMUFD, "/dev/iommu", -ENOENT,
		 {"/dev/iommu is missing", "6.6", "modprobe iommufd"}},
		{VFIO_STEP_OPEN_IOMMUFD, "/dev/iommu", -EACCES, {"permission on /dev/iommu"}},
		{VFIO_STEP_OPEN_NODE, "/dev/vfio/devices/vfio0", -ENOENT,
		 {"/dev/vfio/devices/vfio0 is missing", "CONFIG_VFIO_DEVICE_CDEV", "6.6"}},
		{VFIO_STEP_BIND, "0000:01:00.0", -EBUSY, {"0000:01:00.0 is in use", "fuser"}},
		{VFIO_STEP_BIND, "0000:01:00.0", -EINVAL,
		 {"0000:01:00.0", "another program", "fuser"}},
		{VFIO_STEP_BIND, "0000:01:00.0", -EPERM,
		 {"interrupt remapping", "iommufd/parameters/allow_unsafe_interrupts"}},
		{VFIO_STEP_ATTACH, "0000:01:00.0", -EADDRINUSE, {"0000:01:00.0", "--memory"}},
		{VFIO_STEP_READ_DEVICE, "0000:01:00.0", -EINVAL,
		 {"0000:01:00.0: Invalid argument"}},
	};
	char why[256];

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		vfio_explain(cases[i].step, cases[i].what, cases[i].error, why, sizeof(why));
		check_says(why, cases[i].says, ARRAY_SIZE(cases[i].says));
	}
}

/* Every step has something to say of every error, and it fits a reasonable line. */
static void test_container_explain_any_error(void **state)
{
	(void)state;
	for (int step = 0; step < VFIO_STEPS; step++) {
		for (int error = 1; error < 134; error++) {
			char why[256] = "";

			vfio_explain(step, "/dev/vfio/1234", -error, why, sizeof(why));
			assert_non_null(strstr(why, "/dev/vfio/1234"));
			assert_in_range(strlen(why), 1, 220);
		}
	}
}

static void test_container_explain_map(void **state)
{
	static const struct {
		int error;
		uint64_t need, limit;
		const char *says[3];
	} cases[] = {
		{-ENOMEM, 4 * GIB, 8 * MIB, {"limit", "8192 KiB", "4194304 KiB"}},
		{-EPERM, 4 * GIB, 8 * MIB, {"limit", "8192 KiB", "4194304 KiB"}},
		{-ENOMEM, 4 * GIB, UINT64_MAX, {"too little free memory", "4194304 KiB"}},
		{-ENOMEM, 4 * GIB, 4 * GIB, {"too little free memory"}},
		{-EINVAL, 4 * GIB, UINT64_MAX,
		 {"0x100000000 to 0x13fffffff", "Invalid argument", "--memory"}},
		{-EEXIST, 4 * GIB, 8 * MIB, {"0x100000000 to 0x13fffffff: File exists"}},
	};
	char why[256];

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		vfio_explain_map(cases[i].error, 4 * GIB, GIB, cases[i].need, cases[i].limit, why,
				 sizeof(why));
		check_says(why, cases[i].says, ARRAY_SIZE(cases[i].says));
	}
}

/* --- the container --- */

static const struct host_function gpu = {
	.exists = true, .name = "0000:01:00.0", .group = 7, .node = 0,
};
static const struct host_function audio = {
	.exists = true, .name = "0000:01:00.1", .group = 7, .node = 1,
};
static const struct host_function other = {
	.exists = true, .name = "0000:02:00.0", .group = 9, .node = -1,
};

static int begin(void **state)
{
	(void)state;
	fake_vfio_begin();
	fake_vfio.device[0] = (struct fake_vfio_device){.name = gpu.name, .group = 7, .node = 0};
	fake_vfio.device[1] = (struct fake_vfio_device){.name = audio.name, .group = 7, .node = 1};
	fake_vfio.device[2] = (struct fake_vfio_device){.name = other.name, .group = 9, .node = -1};
	return 0;
}

static int end(void **state)
{
	(void)state;
	fake_vfio_end();
	return 0;
}

static struct vfio_container *create(enum vfio_backend_kind kind)
{
	struct vfio_container *container = vfio_container_create_on(kind, &fake_vfio_syscalls);

	assert_non_null(container);
	return container;
}

static void test_container_destroy_unused(void **state)
{
	struct vfio_container *container = vfio_container_create(VFIO_BACKEND_AUTO);

	(void)state;
	assert_non_null(container);
	vfio_container_put_group(container, 3); /* of which it never heard */
	vfio_container_close_node(container, 3);
	assert_int_equal(vfio_container_group_fd(container, 3), -1);
	vfio_container_destroy(container);
	vfio_container_destroy(NULL);
}

/* The real kernel; no host has a group of this number, most that test have no VFIO at all. */
static void test_container_real_kernel_missing(void **state)
{
	static const struct host_function nothing = {
		.name = "0000:ff:1f.7", .group = 0x7fffffff, .node = 0x7fffffff,
	};
	struct vfio_container *container = vfio_container_create(VFIO_BACKEND_AUTO);
	char why[256] = "";
	int fd = -77;

	(void)state;
	assert_non_null(container);
	assert_int_equal(vfio_container_choose(container, &nothing, why, sizeof(why)),
			 VFIO_BACKEND_GROUP);
	assert_true(vfio_container_get_group(container, nothing.group, &fd, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "/dev/vfio/"));
	assert_true(vfio_container_open_node(container, &nothing, &fd, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "/dev/"));
	assert_int_equal(fd, -77);
	vfio_container_destroy(container);
}

/* Two users of one group, one of another: in what order the kernel is called. */
static void test_container_groups(void **state)
{
	struct vfio_container *container = create(VFIO_BACKEND_GROUP);
	char why[256];
	int fd, again, second;

	(void)state;
	assert_int_equal(vfio_container_get_group(container, 7, &fd, why, sizeof(why)), 0);
	assert_int_equal(vfio_container_get_group(container, 7, &again, why, sizeof(why)), 0);
	assert_int_equal(vfio_container_get_group(container, 9, &second, why, sizeof(why)), 0);
	assert_int_equal(fd, again);
	assert_int_equal(vfio_container_group_fd(container, 9), second);
	assert_string_equal(fake_vfio.log,
		"open /dev/vfio/vfio; VERSION; open /dev/vfio/7; STATUS; SET_CONTAINER; "
		"SET_IOMMU 3; open /dev/vfio/9; STATUS; SET_CONTAINER; ");
	fake_vfio_forget();
	vfio_container_put_group(container, 7);
	vfio_container_put_group(container, 9);
	assert_string_equal(fake_vfio.log, "close group 9; ");
	vfio_container_put_group(container, 7);
	assert_string_equal(fake_vfio.log, "close group 9; close group 7; close container; ");
	vfio_container_destroy(container);
}

static void test_container_nodes(void **state)
{
	struct vfio_container *container = create(VFIO_BACKEND_IOMMUFD);
	char why[256];
	int fd, second;

	(void)state;
	assert_int_equal(vfio_container_open_node(container, &gpu, &fd, why, sizeof(why)), 0);
	assert_int_equal(vfio_container_open_node(container, &audio, &second, why, sizeof(why)), 0);
	assert_string_equal(fake_vfio.log,
		"open /dev/iommu; ALLOC; open /dev/vfio/devices/vfio0; BIND; ATTACH; "
		"open /dev/vfio/devices/vfio1; BIND; ATTACH; ");
	fake_vfio_forget();
	vfio_container_close_node(container, fd);
	vfio_container_close_node(container, second);
	assert_string_equal(fake_vfio.log,
		"close 0000:01:00.0; close 0000:01:00.1; close iommufd; ");
	vfio_container_destroy(container);
}

/* Whichever call fails: a sentence that names the thing, and nothing stays open. */
static void test_container_failures(void **state)
{
	static const struct {
		enum vfio_backend_kind kind;
		const char *fail;
		int error, result;
		const char *says;
	} cases[] = {
		{VFIO_BACKEND_GROUP, "open /dev/vfio/vfio", -EMFILE, -EMFILE, "/dev/vfio/vfio"},
		{VFIO_BACKEND_GROUP, "VERSION", -EINVAL, -EPROTO, "version"},
		{VFIO_BACKEND_GROUP, "open /dev/vfio/7", -EBUSY, -EBUSY, "/dev/vfio/7 is in use"},
		{VFIO_BACKEND_GROUP, "STATUS", -EINVAL, -EPERM, "not viable"},
		{VFIO_BACKEND_GROUP, "SET_CONTAINER", -EBUSY, -EBUSY, "attached elsewhere"},
		{VFIO_BACKEND_GROUP, "SET_IOMMU", -EPERM, -EPERM, "interrupt remapping"},
		{VFIO_BACKEND_IOMMUFD, "open /dev/iommu", -ENOENT, -ENOENT,
		 "/dev/iommu is missing"},
		{VFIO_BACKEND_IOMMUFD, "ALLOC", -ENOMEM, -ENOMEM, "/dev/iommu"},
		{VFIO_BACKEND_IOMMUFD, "open /dev/vfio/devices", -EACCES, -EACCES,
		 "no permission on /dev/vfio/devices/vfio0"},
		{VFIO_BACKEND_IOMMUFD, "BIND", -EBUSY, -EBUSY, "0000:01:00.0 is in use"},
		{VFIO_BACKEND_IOMMUFD, "ATTACH", -EADDRINUSE, -EADDRINUSE, "0000:01:00.0 reserves"},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vfio_container *container = create(cases[i].kind);
		char why[256] = "";
		int fd = -77, r;

		begin(state);
		fake_vfio.fail = cases[i].fail;
		fake_vfio.error = cases[i].error;
		r = cases[i].kind == VFIO_BACKEND_GROUP ?
			vfio_container_get_group(container, 7, &fd, why, sizeof(why)) :
			vfio_container_open_node(container, &gpu, &fd, why, sizeof(why));
		if (r != cases[i].result || !strstr(why, cases[i].says))
			fail_msg("%s: %d, \"%s\"", cases[i].fail, r, why);
		assert_int_equal(fd, -77);
		fake_vfio_end();
		/* And the next try begins from nothing. */
		fake_vfio.fail = NULL;
		r = cases[i].kind == VFIO_BACKEND_GROUP ?
			vfio_container_get_group(container, 7, &fd, why, sizeof(why)) :
			vfio_container_open_node(container, &gpu, &fd, why, sizeof(why));
		assert_int_equal(r, 0);
		vfio_container_destroy(container);
		fake_vfio_end();
	}
}

static void test_container_choose(void **state)
{
	static const struct {
		const char *what;
		enum vfio_backend_kind kind;
		bool no_groups, no_iommu, no_nodes, forbid;
		int node, choice;
	} cases[] = {
		{"all there", VFIO_BACKEND_AUTO, .choice = VFIO_BACKEND_IOMMUFD},
		{"no iommufd", VFIO_BACKEND_AUTO, .no_iommu = true, .choice = VFIO_BACKEND_GROUP},
		{"no nodes", VFIO_BACKEND_AUTO, .no_nodes = true, .choice = VFIO_BACKEND_GROUP},
		{"no node of this device", VFIO_BACKEND_AUTO, .node = -1,
		 .choice = VFIO_BACKEND_GROUP},
		{"iommufd for root only", VFIO_BACKEND_AUTO, .forbid = true,
		 .choice = VFIO_BACKEND_GROUP},
		{"for root only, but no groups", VFIO_BACKEND_AUTO, .forbid = true,
		 .no_groups = true, .choice = VFIO_BACKEND_IOMMUFD},
		{"nothing at all", VFIO_BACKEND_AUTO, .no_groups = true, .no_iommu = true,
		 .choice = VFIO_BACKEND_GROUP},
		{"groups wanted", VFIO_BACKEND_GROUP, .choice = VFIO_BACKEND_GROUP},
		{"iommufd wanted", VFIO_BACKEND_IOMMUFD, .no_iommu = true, .node = -1,
		 .choice = VFIO_BACKEND_IOMMUFD},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vfio_container *container = create(cases[i].kind);
		struct host_function fn = gpu;
		char why[256] = "";
		int choice;

		begin(state);
		fake_vfio.no_groups = cases[i].no_groups;
		fake_vfio.no_iommu = cases[i].no_iommu;
		fake_vfio.no_nodes = cases[i].no_nodes;
		fake_vfio.forbid_iommufd = cases[i].forbid;
		fn.node = cases[i].node;
		choice = vfio_container_choose(container, &fn, why, sizeof(why));
		if (choice != cases[i].choice)
			fail_msg("%s: %d (%s)", cases[i].what, choice, why);
		assert_string_equal(fake_vfio.log, ""); /* nothing was opened for it */
		vfio_container_destroy(container);
	}
}

/* The first device decides for all. */
static void test_container_choose_once(void **state)
{
	struct vfio_container *container = create(VFIO_BACKEND_AUTO);
	char why[256] = "";

	(void)state;
	assert_int_equal(vfio_container_choose(container, &gpu, why, sizeof(why)),
			 VFIO_BACKEND_IOMMUFD);
	assert_int_equal(vfio_container_choose(container, &audio, why, sizeof(why)),
			 VFIO_BACKEND_IOMMUFD);
	assert_string_equal(why, "");
	assert_int_equal(vfio_container_choose(container, &other, why, sizeof(why)), -EINVAL);
	check_says(why, (const char *const[]){"0000:02:00.0", "--vfio-backend group"}, 2);
	vfio_container_destroy(container);

	container = create(VFIO_BACKEND_AUTO);
	assert_int_equal(vfio_container_choose(container, &other, why, sizeof(why)),
			 VFIO_BACKEND_GROUP);
	assert_int_equal(vfio_container_choose(container, &gpu, why, sizeof(why)),
			 VFIO_BACKEND_GROUP);
	vfio_container_destroy(container);
}

/* A device without a node is told what it lacks, when iommufd was asked for. */
static void test_container_node_missing(void **state)
{
	struct vfio_container *container = create(VFIO_BACKEND_IOMMUFD);
	char why[256] = "";
	int fd;

	(void)state;
	assert_int_equal(vfio_container_open_node(container, &other, &fd, why, sizeof(why)),
			 -ENOENT);
	check_says(why, (const char *const[]){"0000:02:00.0", "CONFIG_VFIO_DEVICE_CDEV"}, 2);
	assert_string_equal(fake_vfio.log, "open /dev/iommu; ALLOC; close iommufd; ");
	vfio_container_destroy(container);
}

static void open_one(struct vfio_container *container, enum vfio_backend_kind kind)
{
	char why[256];
	int fd;

	assert_int_equal(vfio_container_choose(container, &gpu, why, sizeof(why)), kind);
	if (kind == VFIO_BACKEND_GROUP)
		assert_int_equal(vfio_container_get_group(container, 7, &fd, why, sizeof(why)), 0);
	else
		assert_int_equal(vfio_container_open_node(container, &gpu, &fd, why, sizeof(why)),
				 0);
	fake_vfio_forget();
}

static const struct {
	enum vfio_backend_kind kind;
	const char *maps, *rollback;
} map_cases[] = {
	{VFIO_BACKEND_GROUP, "MAP 0 c0000000; MAP 100000000 40000000; ",
	 "MAP 0 c0000000; MAP 100000000 40000000; UNMAP 0 c0000000; "},
	/* fixed, writable, readable */
	{VFIO_BACKEND_IOMMUFD, "MAP7 0 c0000000; MAP7 100000000 40000000; ",
	 "MAP7 0 c0000000; MAP7 100000000 40000000; UNMAP 0 c0000000; "},
};

/* What KVM is told of. */
struct told {
	unsigned int opened, closing;
	int opened_fd, closing_fd;
};

static void take_opened(void *opaque, int fd)
{
	struct told *told = opaque;

	told->opened++;
	told->opened_fd = fd;
}

static void take_closing(void *opaque, int fd)
{
	struct told *told = opaque;

	if (!told->closing++)
		assert_null(strstr(fake_vfio.log, "close")); /* KVM lets go first */
	told->closing_fd = fd;
}

static void listen_to(struct vfio_container *container, struct told *told)
{
	const struct vfio_container_listener listener = {told, take_opened, take_closing};

	vfio_container_listen(container, &listener);
}

/* Once, and again only when everything was closed in between. */
static void test_container_map_ram(void **state)
{
	struct mem *mem = fake_mem_create(4 * GIB);

	for (unsigned int i = 0; i < ARRAY_SIZE(map_cases); i++) {
		struct vfio_container *container = create(map_cases[i].kind);
		struct told told = {0};
		char why[256];

		begin(state);
		listen_to(container, &told);
		open_one(container, map_cases[i].kind);
		assert_int_equal(vfio_container_map_ram(container, mem, why, sizeof(why)), 0);
		assert_string_equal(fake_vfio.log, map_cases[i].maps);
		assert_int_equal(vfio_container_map_ram(container, mem, why, sizeof(why)), 0);
		assert_string_equal(fake_vfio.log, map_cases[i].maps);
		vfio_container_put_group(container, 7);
		/* of the two that which it is */
		vfio_container_close_node(container, told.opened_fd);
		fake_vfio_end();
		open_one(container, map_cases[i].kind);
		assert_int_equal(vfio_container_map_ram(container, mem, why, sizeof(why)), 0);
		assert_string_equal(fake_vfio.log, map_cases[i].maps);
		vfio_container_destroy(container);
		fake_vfio_end();
	}
	fake_mem_destroy(mem);
}

static void test_container_map_ram_rolls_back(void **state)
{
	struct mem *mem = fake_mem_create(4 * GIB);

	for (unsigned int i = 0; i < ARRAY_SIZE(map_cases); i++) {
		struct vfio_container *container = create(map_cases[i].kind);
		char why[256] = "";

		begin(state);
		open_one(container, map_cases[i].kind);
		fake_vfio.fail = "MAP";
		fake_vfio.error = -EINVAL;
		fake_vfio.skip = 1;
		assert_int_equal(vfio_container_map_ram(container, mem, why, sizeof(why)), -EINVAL);
		assert_non_null(strstr(why, "0x100000000 to 0x13fffffff"));
		assert_string_equal(fake_vfio.log, map_cases[i].rollback);
		vfio_container_destroy(container);
		fake_vfio_end();
	}
	fake_mem_destroy(mem);
}

static void test_container_listen(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(map_cases); i++) {
		struct vfio_container *container = create(map_cases[i].kind);
		struct told told = {0};

		begin(state);
		listen_to(container, &told);
		open_one(container, map_cases[i].kind);
		assert_int_equal(told.opened, 1);
		assert_int_equal(told.closing, 0);
		if (map_cases[i].kind == VFIO_BACKEND_GROUP)
			vfio_container_put_group(container, 7);
		else
			vfio_container_close_node(container, told.opened_fd);
		assert_int_equal(told.closing, 1);
		assert_int_equal(told.closing_fd, told.opened_fd);
		vfio_container_destroy(container);
		assert_int_equal(told.closing, 1);
		fake_vfio_end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_container_explain),
		cmocka_unit_test(test_container_explain_any_error),
		cmocka_unit_test(test_container_explain_map),
		cmocka_unit_test(test_container_destroy_unused),
		cmocka_unit_test(test_container_real_kernel_missing),
		cmocka_unit_test_setup_teardown(test_container_groups, begin, end),
		cmocka_unit_test_setup_teardown(test_container_nodes, begin, end),
		cmocka_unit_test_setup_teardown(test_container_failures, begin, end),
		cmocka_unit_test_setup_teardown(test_container_choose, begin, end),
		cmocka_unit_test_setup_teardown(test_container_choose_once, begin, end),
		cmocka_unit_test_setup_teardown(test_container_node_missing, begin, end),
		cmocka_unit_test_setup_teardown(test_container_map_ram, begin, end),
		cmocka_unit_test_setup_teardown(test_container_map_ram_rolls_back, begin, end),
		cmocka_unit_test_setup_teardown(test_container_listen, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
