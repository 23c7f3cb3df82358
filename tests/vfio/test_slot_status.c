/* What others are told of a slot while its thread works, sleeps, or waits for the host. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fake_backend.h"
#include "tests/fake_slot.h"
#include "vfio/slot.h"
#include "vfio/vfio.h"
#include "vmm/base/bits.h"
#include "vmm/base/clock.h"

static char sysfs[] = "/tmp/test_status.XXXXXX";

static const char *const folders[] = {
	"bus", "bus/pci", "bus/pci/devices", "bus/pci/devices/0000:01:00.0",
	"bus/pci/devices/0000:01:00.0/power"};
static const struct {
	const char *name, *text;
} files[] = {
	{"bus/pci/devices/0000:01:00.0/power_state", "D3cold\n"},
	{"bus/pci/devices/0000:01:00.0/power/runtime_status", "suspended\n"},
	{"bus/pci/devices/0000:01:00.0/power/runtime_suspended_time", "5\n"}, /* ms */
};

static int make_sysfs(void **state)
{
	char path[128];

	(void)state;
	if (!mkdtemp(sysfs))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", sysfs, folders[i]);
		mkdir(path, 0700);
	}
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		FILE *file;

		snprintf(path, sizeof(path), "%s/%s", sysfs, files[i].name);
		file = fopen(path, "w");
		fputs(files[i].text, file);
		fclose(file);
	}
	return 0;
}

static int remove_sysfs(void **state)
{
	char path[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", sysfs, files[i].name);
		unlink(path);
	}
	for (size_t i = ARRAY_SIZE(folders); i-- > 0;) {
		snprintf(path, sizeof(path), "%s/%s", sysfs, folders[i]);
		rmdir(path);
	}
	return rmdir(sysfs);
}

static void test_status_of_a_slot_in_use(void **state)
{
	struct vfio_slot_status status;
	struct fake_slot fake;

	(void)state;
	fake_slot_start_with(&fake, "01:00.0,reset=flr", false);
	vfio_slot_status(fake.slot, &status);
	assert_string_equal(status.id, "gpu0");
	assert_string_equal(status.name, "0000:01:00");
	assert_string_equal(status.path, "/sys/bus/pci/devices/0000:01:00.0");
	assert_int_equal(status.policy.power, POLICY_POWER_D3COLD);
	assert_int_equal(status.policy.reset, POLICY_RESET_FLR);
	assert_true(status.guest_on);
	assert_int_equal(status.hold_ms, 0);
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		assert_int_equal(status.fn[i].exists, i < 2);
	assert_string_equal(status.fn[1].name, "0000:01:00.1");
	assert_int_equal(status.fn[0].state, POWER_ON);
	assert_true(status.fn[0].since > 0 && status.fn[0].since <= clock_us());
	assert_false(status.fn[0].has_host);
	fake_slot_finish(&fake);
}

/* The device is not touched, and what it does now is counted. */
static void test_status_of_a_slot_asleep(void **state)
{
	struct vfio_slot_status status;
	struct fake_slot fake;
	uint64_t since;

	(void)state;
	fake_slot_start(&fake);
	fake.slot->card.sysfs = sysfs; /* published with the next step */
	fake.device[0]->tells = true;
	fake.device[0]->observation.suspended_us = 1000;
	fake_slot_switch(&fake, false);
	vfio_slot_status(fake.slot, &status);
	assert_false(status.guest_on);
	assert_int_equal(status.fn[0].state, POWER_ENGAGED);
	assert_true(status.fn[0].has_host);
	assert_true(status.fn[0].host.suspended);
	assert_string_equal(status.fn[0].host.power_state, "D3cold");
	assert_int_equal(status.fn[0].host.suspended_us, 5000);
	assert_int_equal(status.fn[0].stats.entries, 1);
	assert_int_equal(status.fn[0].stats.suspended_us, 4000);
	assert_int_equal(status.fn[1].state, POWER_ENGAGED);
	assert_false(status.fn[1].has_host); /* this tree does not have it */
	assert_int_equal(status.fn[1].stats.suspended_us, 0);
	since = status.fn[0].since;
	while (clock_us() < since + 2)
		sched_yield();
	vfio_slot_status(fake.slot, &status);
	assert_int_equal(status.fn[0].since, since);
	assert_true(status.fn[0].stats.engaged_us > 0);
	fake_slot_switch(&fake, true);
	fake_slot_finish(&fake);
}

/* The slot's thread is in the host's hands: who asks is answered all the same. */
static void test_status_waits_for_nobody(void **state)
{
	struct vfio_slot_status status;
	struct fake_slot fake;

	(void)state;
	fake_slot_start(&fake);
	fake_slot_switch(&fake, false);
	fake_backend_block(fake.device[0], FAKE_EXIT, true);
	fake_slot_ring(&fake, true);
	fake_backend_wait(fake.device[0], FAKE_EXIT, 1);
	vfio_slot_status(fake.slot, &status);
	assert_int_equal(status.fn[0].state, POWER_ENGAGED);
	assert_false(status.guest_on);
	fake_backend_block(fake.device[0], FAKE_EXIT, false);
	fake_slot_switch(&fake, true);
	vfio_slot_status(fake.slot, &status);
	assert_int_equal(status.fn[0].state, POWER_ON);
	assert_true(status.guest_on);
	fake_slot_finish(&fake);
}

static void test_status_of_a_refusal(void **state)
{
	struct vfio_slot_status status;
	struct fake_slot fake;

	(void)state;
	fake_slot_start(&fake);
	fake_backend_fail(fake.device[0], FAKE_ENTRY, -EIO, 0, 1);
	fake_slot_switch(&fake, false);
	vfio_slot_status(fake.slot, &status);
	assert_int_equal(status.fn[0].state, POWER_REFUSED);
	assert_int_equal(status.fn[0].error, -EIO);
	assert_int_equal(status.fn[1].state, POWER_REFUSED);
	assert_int_equal(status.fn[0].stats.refusals, 1);
	assert_int_equal(status.fn[0].stats.engaged_us, 0);
	fake_slot_switch(&fake, true);
	fake_slot_finish(&fake);
}

static void test_status_of_a_hold(void **state)
{
	struct vfio_slot_status status;
	struct fake_slot fake;

	(void)state;
	fake_slot_start_with(&fake, "01:00.0,max-wakes-per-hour=1,reentry=guest", false);
	for (unsigned int i = 0; i < 2; i++) {
		fake_slot_switch(&fake, false);
		assert_true(fake_backend_wake(fake.device[0]));
		while (fake_slot_logged(&fake, "\"to\":\"woken\"") == i)
			sched_yield();
		fake_slot_switch(&fake, true);
	}
	fake_slot_switch(&fake, false);
	vfio_slot_status(fake.slot, &status);
	assert_int_equal(status.fn[0].state, POWER_REFUSED);
	assert_int_equal(status.fn[0].error, -EAGAIN);
	assert_true(status.hold_ms > 0 && status.hold_ms <= 3600000);
	fake_slot_finish(&fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_of_a_slot_in_use),
		cmocka_unit_test(test_status_of_a_slot_asleep),
		cmocka_unit_test(test_status_waits_for_nobody),
		cmocka_unit_test(test_status_of_a_refusal),
		cmocka_unit_test(test_status_of_a_hold),
	};

	return cmocka_run_group_tests(tests, make_sysfs, remove_sysfs);
}
