/* bind on a host of fakes: what is done, and the way back when it fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/resource.h>

#include "tests/tools/bind_bench.h"

static void test_bind_usage(void **state)
{
	static const char *const cases[] = {
		"bind", "bind --yes", "bind 01:00.0 02:00.0", "bind 01:00.0 --no",
		"bind -y 01:00.0",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(run(*state, bind_run_on, cases[i]), TOOL_USAGE);
		expect_says("try minivmm bind --help");
	}
	assert_int_equal(run(*state, bind_run_on, "bind --help"), TOOL_OK);
	expect_says("Usage: minivmm bind BDF");
	assert_int_equal(run(*state, unbind_run_on, "unbind --help"), TOOL_OK);
	expect_says("Usage: minivmm unbind BDF");
}

static void test_bind_no_such_device(void **state)
{
	assert_int_equal(run(*state, bind_run_on, "bind gpu"), TOOL_FAILED);
	expect_says("'gpu' is not a PCI address");
	assert_int_equal(run(*state, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("there is no PCI device 0000:01:00.0");
	assert_int_equal(run(*state, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("there is no PCI device 0000:01:00.0");
}

/* Without --yes all is shown and nothing done. */
static void test_bind_dry_run(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0"), TOOL_OK);
	expect_says("slot 0000:01:00, IOMMU group 7\n");
	expect_says("  0000:01:00.0  VGA controller [0300] 10de:2684, driver nouveau: will be "
		    "taken from it and bound to vfio-pci\n");
	expect_says("  0000:01:00.1  audio or video device [0403] 10de:2684, driver snd_hda_intel: "
		    "will be taken");
	expect_says("in the same IOMMU group:\n  0000:00:01.0  PCI bridge [0604] 10de:2684, driver "
		    "pcieport: stays, and is no obstacle\n");
	expect_says("Nothing was changed. To do it: sudo minivmm bind 01:00.0 --yes\n");
	assert_int_equal(fake->writes, 0);
	assert_int_equal(fake->loads, 0);
	expect_as_before(fake);
}

static void test_bind_and_back(void **state)
{
	static const struct fake_device with_override = {
		"0000:01:00.2", NULL, 7, 0x0c8000, "ucsi", "pci-stub",
	};
	struct fake_host *fake = *state;

	add_card(fake);
	fake_host_add(fake, &with_override);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.1 --yes"), TOOL_OK);
	expect_driver(fake, GPU, BIND_DRIVER, BIND_DRIVER);
	expect_driver(fake, SOUND, BIND_DRIVER, BIND_DRIVER);
	expect_driver(fake, "0000:01:00.2", BIND_DRIVER, BIND_DRIVER);
	expect_driver(fake, "0000:00:01.0", "pcieport", "");
	expect_said(fake, "0000:01:00.0: unbinding it from nouveau");
	expect_said(fake, "0000:01:00.0: bound to vfio-pci");
	assert_int_equal(fake->loads, 0);
	assert_true(fake_host_exists(fake, "run/bind/" GPU));

	/* again: nothing to do, and what is remembered stays */
	fake->writes = 0;
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
	expect_says("all of slot 0000:01:00 is bound to vfio-pci already");
	assert_int_equal(fake->writes, 0);

	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0"), TOOL_OK);
	expect_says("driver vfio-pci: will go back to nouveau");
	expect_says("driver vfio-pci: will be without a driver, as before");
	expect_says("To do it: sudo minivmm unbind 01:00.0 --yes");
	assert_int_equal(fake->writes, 0);

	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_as_before(fake);
	expect_driver(fake, "0000:01:00.2", "", "pci-stub");
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_says("nothing of slot 0000:01:00 is bound to vfio-pci");
}

static void test_bind_loads_the_driver(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	fake_host_dir(fake, "sys/bus/pci/drivers");
	assert_int_equal(rmdir(strcat(strcpy((char[128]){0}, fake->sysfs),
				      "/bus/pci/drivers/" BIND_DRIVER)), 0);
	fake->load_error = -ENOENT;
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("the module vfio-pci cannot be loaded");
	expect_as_before(fake);
	fake->load_error = 0;
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
	assert_int_equal(fake->loads, 2);
	expect_driver(fake, GPU, BIND_DRIVER, BIND_DRIVER);
}

/* The second function fails: the first goes back, too. */
static void test_bind_rolls_back(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	strcpy(fake->refused, SOUND);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("0000:01:00.1: vfio-pci did not take it; dmesg says why");
	expect_said(fake, "0000:01:00.0: going back to how it was");
	expect_said(fake, "0000:01:00.0: bound to nouveau");
	expect_as_before(fake);

	fake->refused[0] = '\0';
	strcpy(fake->stuck, SOUND);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("0000:01:00.1: unbinding its driver: Device or resource busy");
	expect_as_before(fake);
}

/* What cannot be put back is said, beside what failed. */
static void test_bind_rollback_fails(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	strcpy(fake->refused, SOUND);
	strcpy(fake->lost_driver, GPU);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("0000:01:00.1: vfio-pci did not take it");
	expect_said(fake, "0000:01:00.0: its driver nouveau did not take it; is it loaded? As "
		    "root: modprobe nouveau");
	expect_driver(fake, GPU, "", "");
	expect_driver(fake, SOUND, "snd_hda_intel", "");
	/* bind forgets no driver by it, and unbind can try again */
	fake->lost_driver[0] = '\0';
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.1 --yes"), TOOL_FAILED);
	expect_as_before(fake);

	strcpy(fake->lost_driver, GPU);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_FAILED);
	assert_true(fake_host_exists(fake, "run/bind/" GPU));
	fake->lost_driver[0] = '\0';
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0"), TOOL_OK);
	expect_says("0000:01:00.0  VGA controller [0300] 10de:2684, no driver: will go back to "
		    "nouveau");
	expect_says("driver snd_hda_intel: is not bound to vfio-pci");
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_as_before(fake);
}

/* Ended by a signal before, or after, the driver had gone: what is remembered is from before that.
 * `driver` is what it had left the function with. */
static struct fake_host *leave_half_bound(void **state, const char *driver)
{
	return start_half_way(state, &(struct fake_device){GPU, driver, 7, 0x030000, "nouveau",
							   BIND_DRIVER});
}

static void test_bind_was_ended_half_way(void **state)
{
	static const char *const drivers[] = {"nouveau", NULL};

	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		struct fake_host *fake = leave_half_bound(state, drivers[i]);

		assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
		expect_as_before(fake);

		fake = leave_half_bound(state, drivers[i]);
		assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
		expect_driver(fake, GPU, BIND_DRIVER, BIND_DRIVER);
		assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
		expect_as_before(fake);

		fake = leave_half_bound(state, drivers[i]);
		strcpy(fake->refused, SOUND);
		assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
		expect_as_before(fake);
	}
}

/* A driver that somebody else has given it since is no remainder of ours. */
static void test_bind_old_record(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	fake_host_file(fake, "run/bind/" GPU, "{\"driver\":\"nvidia\",\"override\":\"\"" OF_CARD);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_says("nothing of slot 0000:01:00 is bound to vfio-pci");
	assert_int_equal(fake->writes, 0);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_as_before(fake);
}

static void test_bind_device_vanishes(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	strcpy(fake->vanishes, SOUND);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("0000:01:00.1 has vanished from the host meanwhile");
	expect_driver(fake, GPU, "nouveau", "");
}

static void test_bind_may_not_write(void **state)
{
	static const struct {
		int error;
		const char *says;
	} cases[] = {
		{-EACCES, "needs root: run it with sudo"},
		{-EROFS, "sysfs is mounted read-only"},
	};
	struct fake_host *fake = *state;

	add_card(fake);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fake->write_error = cases[i].error;
		assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
		expect_says(cases[i].says);
		assert_int_equal(fake->writes, 0);
		assert_int_equal(run(fake, bind_run_on, "bind 01:00.0"), TOOL_OK);
	}
	expect_as_before(fake);
}

static void test_bind_state_cannot_be_written(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	fake_host_file(fake, "run", "not a directory");
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("what was bound cannot be remembered in");
	expect_driver(fake, GPU, "nouveau", "");
	expect_driver(fake, SOUND, "snd_hda_intel", "");
}

/* Two commands that change something exclude each other, on whatever slot; looking is free. */
static void test_bind_one_at_a_time(void **state)
{
	struct fake_host *fake = *state;
	int other;

	add_card(fake);
	other = bind_record_lock(&fake->host);
	assert_true(other >= 0);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("another minivmm bind or unbind is at work, nothing was changed");
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("another minivmm bind or unbind is at work, nothing was changed");
	assert_int_equal(fake->writes, 0);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0"), TOOL_OK);
	close(other);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_as_before(fake);
}

/* The kernel takes a part of it first, and says why not the rest when it is asked again. */
static void test_bind_record_says_why_it_is_cut_off(void **state)
{
	const struct bind_record record = {.driver = "nouveau"};
	const struct rlimit little = {16, RLIM_INFINITY};
	struct fake_host *fake = *state;
	struct rlimit before;
	int error;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	errno = ENOENT; /* of something else */
	error = bind_record_keep(&fake->host, GPU, &record);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(error, -EFBIG);
}

static void test_pci_class_names(void **state)
{
	(void)state;
	assert_string_equal(pci_class_name(0x030000), "VGA controller");
	assert_string_equal(pci_class_name(0x030200), "3D controller");
	assert_string_equal(pci_class_name(0x038000), "display controller");
	assert_string_equal(pci_class_name(0x0c0330), "USB controller");
	assert_string_equal(pci_class_name(0x010802), "NVMe controller");
	assert_string_equal(pci_class_name(0xff0000), "device");
	assert_true(pci_class_is_bridge(0x060000));
	assert_false(pci_class_is_bridge(0x030000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BIND_TEST(test_bind_usage),
		BIND_TEST(test_bind_no_such_device),
		BIND_TEST(test_bind_dry_run),
		BIND_TEST(test_bind_and_back),
		BIND_TEST(test_bind_loads_the_driver),
		BIND_TEST(test_bind_rolls_back),
		BIND_TEST(test_bind_rollback_fails),
		BIND_TEST(test_bind_was_ended_half_way),
		BIND_TEST(test_bind_old_record),
		BIND_TEST(test_bind_device_vanishes),
		BIND_TEST(test_bind_may_not_write),
		BIND_TEST(test_bind_state_cannot_be_written),
		BIND_TEST(test_bind_one_at_a_time),
		BIND_TEST(test_bind_record_says_why_it_is_cut_off),
		cmocka_unit_test(test_pci_class_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
