/* The sentences for what the kernel's VFIO refuses, and the container without a kernel. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "vfio/container.h"
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
	for (int step = VFIO_STEP_OPEN_CONTAINER; step <= VFIO_STEP_READ_DEVICE; step++) {
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

static void test_container_destroy_unused(void **state)
{
	struct vfio_container *container = vfio_container_create();

	(void)state;
	assert_non_null(container);
	vfio_container_put_group(container, 3); /* of which it never heard */
	vfio_container_destroy(container);
	vfio_container_destroy(NULL);
}

/* No host has a group of this number: whatever is missing here, it fails with a sentence. */
static void test_container_get_group_missing(void **state)
{
	struct vfio_container *container = vfio_container_create();
	char why[256] = "";
	int fd = -77;

	(void)state;
	assert_non_null(container);
	assert_true(vfio_container_get_group(container, 0x7fffffff, &fd, why, sizeof(why)) < 0);
	assert_int_equal(fd, -77);
	assert_non_null(strstr(why, "/dev/vfio/"));
	vfio_container_destroy(container);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_container_explain),
		cmocka_unit_test(test_container_explain_any_error),
		cmocka_unit_test(test_container_explain_map),
		cmocka_unit_test(test_container_destroy_unused),
		cmocka_unit_test(test_container_get_group_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
