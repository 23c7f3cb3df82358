/* The two ways to a device of the kernel's VFIO, on a kernel of the tests' own: what is called in
 * which order, and what hot reset makes of groups and nodes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "tests/fake_vfio.h"
#include "vfio/backend.h"
#include "vfio/container.h"
#include "vfio/host.h"
#include "vmm/base/bits.h"

/* A slot with a group for each function, and another slot. */
static const struct host_function functions[] = {
	{.exists = true, .name = "fffe:01:00.0", .group = 7, .node = 0},
	{.exists = true, .name = "fffe:01:00.1", .group = 9, .node = 1},
	{.exists = true, .name = "fffe:01:00.2", .group = 9, .node = 2},
	{.exists = true, .name = "fffe:02:00.0", .group = 12, .node = 3},
};

struct bench {
	struct vfio_container *container;
	struct vfio_backend *backend[ARRAY_SIZE(functions)];
};

static void begin(struct bench *bench, enum vfio_backend_kind kind, int reset_devices,
		  unsigned int count)
{
	char why[256];

	fake_vfio_begin();
	for (unsigned int i = 0; i < ARRAY_SIZE(functions); i++)
		fake_vfio.device[i] = (struct fake_vfio_device){
			.name = functions[i].name, .group = functions[i].group,
			.node = functions[i].node,
		};
	fake_vfio.reset_devices = reset_devices;
	memset(bench, 0, sizeof(*bench));
	bench->container = vfio_container_create_on(kind, &fake_vfio_syscalls);
	assert_non_null(bench->container);
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(vfio_kernel_backend_open(bench->container, &functions[i],
							  &bench->backend[i], why, sizeof(why)), 0);
}

static void end(struct bench *bench)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(functions); i++)
		if (bench->backend[i])
			bench->backend[i]->ops->close(bench->backend[i]);
	fake_vfio_end();
	vfio_container_destroy(bench->container);
}

static void test_device_kernel_opens_and_closes(void **state)
{
	static const struct {
		enum vfio_backend_kind kind;
		const char *opens, *closes;
	} cases[] = {
		{VFIO_BACKEND_GROUP,
		 "open /dev/vfio/vfio; VERSION; open /dev/vfio/7; STATUS; SET_CONTAINER; "
		 "SET_IOMMU 3; DEVICE fffe:01:00.0; INFO; "
		 "open /dev/vfio/9; STATUS; SET_CONTAINER; DEVICE fffe:01:00.1; INFO; "
		 "DEVICE fffe:01:00.2; INFO; ",
		 "close fffe:01:00.0; close group 7; close fffe:01:00.1; close fffe:01:00.2; "
		 "close group 9; close container; "},
		{VFIO_BACKEND_AUTO,
		 "open /dev/iommu; ALLOC; open /dev/vfio/devices/vfio0; BIND; ATTACH; INFO; "
		 "open /dev/vfio/devices/vfio1; BIND; ATTACH; INFO; "
		 "open /dev/vfio/devices/vfio2; BIND; ATTACH; INFO; ",
		 "close fffe:01:00.0; close fffe:01:00.1; close fffe:01:00.2; close iommufd; "},
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bench bench;

		begin(&bench, cases[i].kind, 3, 3);
		assert_string_equal(fake_vfio.log, cases[i].opens);
		assert_string_equal(bench.backend[1]->name, "fffe:01:00.1");
		fake_vfio_forget();
		end(&bench);
		assert_string_equal(fake_vfio.log, cases[i].closes);
	}
}

/* A device that VFIO gives out but does not describe: nothing of it stays open. */
static void test_device_kernel_open_fails(void **state)
{
	static const struct {
		enum vfio_backend_kind kind;
		const char *fail, *says;
	} cases[] = {
		{VFIO_BACKEND_GROUP, "DEVICE", "fffe:01:00.0 does not wake up"},
		{VFIO_BACKEND_GROUP, "INFO", "fffe:01:00.0 does not wake up"},
		{VFIO_BACKEND_IOMMUFD, "BIND", "fffe:01:00.0 does not wake up"},
		{VFIO_BACKEND_IOMMUFD, "INFO", "fffe:01:00.0 does not wake up"},
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vfio_backend *backend = NULL;
		struct bench bench;
		char why[256] = "";

		begin(&bench, cases[i].kind, 3, 0);
		fake_vfio.fail = cases[i].fail;
		fake_vfio.error = -EIO;
		assert_int_equal(vfio_kernel_backend_open(bench.container, &functions[0], &backend,
							  why, sizeof(why)), -EIO);
		assert_null(backend);
		assert_non_null(strstr(why, cases[i].says));
		end(&bench);
	}
}

struct reset_case {
	const char *what;
	enum vfio_backend_kind kind;
	int affected;              /* functions that a hot reset takes along, from the first */
	unsigned int open;         /* functions that we have open */
	bool can;
	int error;                 /* of the host, `times` times */
	unsigned int times;
	int result;
	const char *log;           /* of the first try */
	unsigned int pauses;
};

static const struct reset_case reset_cases[] = {
	{"one function, its group", VFIO_BACKEND_GROUP, 1, 1, .can = true, .log = "HOT_RESET 7; "},
	{"three functions, two groups", VFIO_BACKEND_GROUP, 3, 3, .can = true,
	 .log = "HOT_RESET 7 9; "},
	{"three functions, by their nodes", VFIO_BACKEND_IOMMUFD, 3, 3, .can = true,
	 .log = "HOT_RESET; "},
	{"groups of other slots are not shown", VFIO_BACKEND_GROUP, 3, 4, .can = true,
	 .log = "HOT_RESET 7 9; "},
	{"another slot is taken along", VFIO_BACKEND_GROUP, 4, 4, .can = false, .result = -ENOTTY,
	 .log = ""},
	{"another slot is taken along, nodes", VFIO_BACKEND_IOMMUFD, 4, 4, .can = false,
	 .result = -ENOTTY, .log = ""},
	{"a whole bus is taken along", VFIO_BACKEND_GROUP, 20, 1, .can = false, .result = -ENOTTY,
	 .log = ""},
	{"the host cannot", VFIO_BACKEND_GROUP, -1, 1, .can = false, .result = -ENOTTY, .log = ""},
	{"a function's group is not open", VFIO_BACKEND_GROUP, 3, 1, .can = true,
	 .result = -ENODEV, .log = ""},
	{"a function's node is not open", VFIO_BACKEND_IOMMUFD, 3, 1, .can = true,
	 .result = -EINVAL, .log = "HOT_RESET; "},
	{"somebody uses the device", VFIO_BACKEND_GROUP, 1, 1, .can = true, .error = -EBUSY,
	 .times = 3, .log = "HOT_RESET 7; HOT_RESET 7; HOT_RESET 7; HOT_RESET 7; ", .pauses = 3},
	{"somebody holds its lock", VFIO_BACKEND_IOMMUFD, 3, 3, .can = true, .error = -EAGAIN,
	 .times = 1, .log = "HOT_RESET; HOT_RESET; ", .pauses = 1},
	{"the device does not come back", VFIO_BACKEND_GROUP, 1, 1, .can = true, .error = -ENOTTY,
	 .times = 1, .result = -EIO, .log = "HOT_RESET 7; "},
	{"the device fails", VFIO_BACKEND_GROUP, 1, 1, .can = true, .error = -EIO, .times = 1,
	 .result = -EIO, .log = "HOT_RESET 7; "},
};

static void test_device_kernel_slot_reset(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(reset_cases); i++) {
		const struct reset_case *c = &reset_cases[i];
		struct vfio_backend *backend;
		struct bench bench;
		int r;

		begin(&bench, c->kind, c->affected, c->open);
		backend = bench.backend[0];
		if (backend->ops->can_slot_reset(backend) != c->can)
			fail_msg("%s: can_slot_reset", c->what);
		fake_vfio_forget();
		fake_vfio.fail = c->error ? "HOT_RESET" : NULL;
		fake_vfio.error = c->error;
		fake_vfio.times = c->times;
		r = backend->ops->slot_reset(backend);
		if (r != c->result || strcmp(fake_vfio.log, c->log))
			fail_msg("%s: %d, log \"%s\"", c->what, r, fake_vfio.log);
		assert_int_equal(fake_vfio.pauses, c->pauses);
		end(&bench);
	}
}

/* A host that stays busy is asked a bounded number of times. */
static void test_device_kernel_reset_gives_up(void **state)
{
	struct vfio_backend *backend;
	struct bench bench;

	(void)state;
	begin(&bench, VFIO_BACKEND_GROUP, 1, 1);
	backend = bench.backend[0];
	fake_vfio.fail = "RESET";
	fake_vfio.error = -EAGAIN;
	assert_true(backend->ops->can_reset(backend));
	assert_int_equal(backend->ops->reset(backend), -EAGAIN);
	assert_int_equal(fake_vfio.pauses, 100);
	fake_vfio_forget();
	fake_vfio.fail = NULL;
	assert_int_equal(backend->ops->reset(backend), 0);
	assert_string_equal(fake_vfio.log, "RESET; ");
	end(&bench);
}

/* Both ways read and write the device's own file, and say what the kernel says of low power. */
static void test_device_kernel_uses_file(void **state)
{
	static const enum vfio_backend_kind kinds[] = {VFIO_BACKEND_GROUP, VFIO_BACKEND_IOMMUFD};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct vfio_observation observation;
		struct vfio_backend *backend;
		struct vfio_region region;
		struct bench bench;
		uint32_t value = 0x12345678, back = 0;

		begin(&bench, kinds[i], 1, 1);
		backend = bench.backend[0];
		assert_int_equal(backend->ops->region_info(backend, VFIO_PCI_CONFIG_REGION_INDEX,
							   &region), 0);
		assert_int_equal(region.size, 4096);
		assert_int_equal(backend->ops->region_write(backend, VFIO_PCI_CONFIG_REGION_INDEX,
							    0x40, &value, 4), 4);
		assert_int_equal(backend->ops->region_read(backend, VFIO_PCI_CONFIG_REGION_INDEX,
							   0x40, &back, 4), 4);
		assert_int_equal(back, value);
		assert_int_equal(backend->ops->region_read(backend, VFIO_PCI_CONFIG_REGION_INDEX,
							   4094, &back, 4), -EINVAL);
		fake_vfio_forget();
		assert_int_equal(backend->ops->low_power_probe(backend, VFIO_LOW_POWER_ENTRY), 0);
		fake_vfio.fail = "FEATURE";
		fake_vfio.error = -EIO;
		assert_int_equal(backend->ops->low_power(backend, VFIO_LOW_POWER_EXIT, -1), -EIO);
		/* probe, set, number 3; set, number 5 */
		assert_string_equal(fake_vfio.log, "FEATURE 60003; FEATURE 20005; ");
		/* Tests run on hosts without this device. */
		assert_int_equal(backend->ops->observe(backend, &observation), -ENOTSUP);
		end(&bench);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_device_kernel_opens_and_closes),
		cmocka_unit_test(test_device_kernel_open_fails),
		cmocka_unit_test(test_device_kernel_slot_reset),
		cmocka_unit_test(test_device_kernel_reset_gives_up),
		cmocka_unit_test(test_device_kernel_uses_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
