/* unbind on a host of fakes: the way back to the driver that a card had (tests/fake_host.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/tools/bind_bench.h"

static void test_unbind_nothing_remembered(void **state)
{
	static const struct fake_device bound = {GPU, BIND_DRIVER, 7, 0x030000, "nouveau",
						 BIND_DRIVER};
	struct fake_host *fake = *state;

	fake_host_add(fake, &bound);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0"), TOOL_OK);
	expect_says("will go to the driver that the kernel finds (nothing is "
		    "remembered of this card)");
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_driver(fake, GPU, "nouveau", "");
}

static void test_unbind_finds_no_driver(void **state)
{
	static const struct fake_device bound = {GPU, BIND_DRIVER, 7, 0x030000, "nouveau",
						 BIND_DRIVER};
	struct fake_host *fake = *state;

	fake_host_add(fake, &bound);
	strcpy(fake->lost_driver, GPU);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("no driver of the host took it; as root, modprobe");
	expect_driver(fake, GPU, "", "");
}

static void test_unbind_bound_by_ids(void **state)
{
	static const struct fake_device bound = {GPU, BIND_DRIVER, 7, 0x030000, "nouveau", NULL};
	struct fake_host *fake = *state;

	fake_host_add(fake, &bound);
	fake->by_ids = true;
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("vfio-pci took it again, because its parameter ids");
}

/* Its own driver is asked, no other one, though vfio-pci would take it by its ids, too; and one
 * that had bound it by an override that was gone by then. */
static void test_unbind_asks_its_own_driver(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
	fake->by_ids = true;
	fake_host_file(fake, "own/" SOUND, "");
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_as_before(fake);
}

/* Ended when its driver had it back and the override was still ours. */
static void test_unbind_was_ended_half_way(void **state)
{
	static const struct fake_device left = {GPU, "nouveau", 7, 0x030000, NULL, "nouveau"};

	for (unsigned int i = 0; i < 2; i++) {
		struct fake_host *fake = start_half_way(state, &left);

		if (i)
			assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
		assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
		expect_as_before(fake);
	}
}

static void test_unbind_in_use(void **state)
{
	static const struct fake_device bound = {GPU, BIND_DRIVER, 7, 0x030000, "nouveau",
						 BIND_DRIVER};
	struct fake_host *fake = *state;
	char link[128];

	fake_host_add(fake, &bound);
	fake->busy_group = 7;
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("0000:01:00.0 is in use by another program");
	fake_host_file(fake, "proc/99/comm", "minivmm\n");
	fake_host_dir(fake, "proc/99/fd");
	snprintf(link, sizeof(link), "%s/99/fd/5", fake->proc);
	assert_int_equal(symlink("/dev/vfio/7", link), 0);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("0000:01:00.0 is in use by minivmm (pid 99): end it first; or --force");
	assert_int_equal(fake->writes, 0);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes --force"), TOOL_OK);
	expect_said(fake, "in use by minivmm (pid 99), which is asked to let it go");
	expect_driver(fake, GPU, "nouveau", "");
}

/* Without groups nothing answers that it is in use. */
static void test_unbind_in_use_by_node(void **state)
{
	static const struct fake_device bound = {GPU, BIND_DRIVER, 7, 0x030000, "nouveau",
						 BIND_DRIVER};
	struct fake_host *fake = *state;

	fake_host_add(fake, &bound);
	fake_host_dir(fake, "sys/devices/pci0000:00/" GPU "/vfio-dev/vfio3");
	fake->no_groups = true;
	add_holder(fake, "/dev/vfio/devices/vfio3");
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("0000:01:00.0 is in use by Xorg (pid 812): end it first");
	assert_int_equal(fake->writes, 0);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes --force"), TOOL_OK);
	expect_driver(fake, GPU, "nouveau", "");
}

/* What is in the file of a record is not believed. */
static void test_unbind_hostile_record(void **state)
{
	static const char *const records[] = {
		"", "[]", "{}", "{\"driver\":\"nvidia\"" OF_CARD,
		"{\"driver\":\"../../x\",\"override\":\"\"" OF_CARD,
		"{\"driver\":\"..\",\"override\":\"\"" OF_CARD,
		"{\"driver\":\"nvidia\",\"override\":\"a\\nb\"" OF_CARD,
		"{\"driver\":\"a name that is longer than any that a driver may have\","
		"\"override\":\"\"" OF_CARD,
		"{\"driver\":7,\"override\":\"\"" OF_CARD,
		"{\"driver\":\"nvidia\",\"override\":\"\"}",
		"{\"driver\":\"nvidia\",\"override\":\"\",\"vendor\":\"4318\",\"device\":9860}",
		"{\"driver\":\"nvidia\",\"override\":\"\",\"vendor\":69854,\"device\":9860}",
	};
	static const struct fake_device bound = {GPU, BIND_DRIVER, 7, 0x030000, "nouveau",
						 BIND_DRIVER};

	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		struct fake_host *fake;

		assert_int_equal(fake_host_teardown(state) | fake_host_setup(state), 0);
		fake = *state;
		fake_host_add(fake, &bound);
		fake_host_file(fake, "run/bind/" GPU, records[i]);
		assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
		expect_driver(fake, GPU, "nouveau", "");
	}
}

/* Another card is in the slot: what the last one was bound to is nothing to it. */
static void test_unbind_exchanged_card(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
	fake_host_file(fake, "sys/devices/pci0000:00/" GPU "/device", "0x2204\n");
	fake_host_file(fake, "own/" GPU, "nvidia");
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0"), TOOL_OK);
	expect_says("10de:2204, driver vfio-pci: will go to the driver that the kernel finds "
		    "(nothing is remembered of this card)");
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_driver(fake, GPU, "nvidia", "");
	expect_driver(fake, SOUND, "snd_hda_intel", "");
	assert_false(fake_host_exists(fake, "run/bind/" GPU));

	/* without a driver, but not because of an unfinished bind of this card */
	fake_host_file(fake, "run/bind/" GPU, REMEMBERED);
	fake_host_take_driver(fake, GPU);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_says("nothing of slot 0000:01:00 is bound to vfio-pci");
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_driver(fake, GPU, "", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BIND_TEST(test_unbind_nothing_remembered),
		BIND_TEST(test_unbind_finds_no_driver),
		BIND_TEST(test_unbind_bound_by_ids),
		BIND_TEST(test_unbind_asks_its_own_driver),
		BIND_TEST(test_unbind_was_ended_half_way),
		BIND_TEST(test_unbind_in_use),
		BIND_TEST(test_unbind_in_use_by_node),
		BIND_TEST(test_unbind_hostile_record),
		BIND_TEST(test_unbind_exchanged_card),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
