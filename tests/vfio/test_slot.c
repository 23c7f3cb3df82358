/*
 * A slot with its power thread (tests/fake_slot.h): sleeps, wakes, resets, ends.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/acpi_pm.h"
#include "devices/pci.h"
#include "devices/root_port.h"
#include "devices/slot_power.h"
#include "tests/fake_backend.h"
#include "tests/fake_mem.h"
#include "tests/fake_slot.h"
#include "vfio/function.h"
#include "vfio/slot.h"
#include "vfio/vfio.h"
#include "vmm/base/bits.h"
#include "vmm/bus.h"

#define PORT_BDF 0x0008
#define REQUESTER_ID 0xffffU /* in Root Status */
#define WAKE_ROUNDS 100U

static unsigned int called(struct fake_backend *fake, enum fake_op op)
{
	return fake_backend_find(fake, op, 0, NULL);
}

static void test_slot_off_wake_pme_on(void **state)
{
	struct fake_slot fake;

	(void)state;
	fake_slot_start(&fake);
	fake_slot_set_pmcsr(&fake, 0, PCI_PM_CTRL_PME_ENABLE);
	assert_true(fake_mem_windows(fake.mem) > 0);
	for (unsigned int round = 1; round <= 20; round++) {
		fake_slot_switch(&fake, false);
		assert_int_equal(called(fake.device[0], FAKE_ENTRY_WITH_WAKEUP), round);
		assert_int_equal(called(fake.device[1], FAKE_ENTRY), round);
		assert_int_equal(fake_mem_windows(fake.mem), 0);
		assert_int_equal(fake_slot_vendor(&fake, 0), 0xffff);
		assert_int_equal(fake_slot_root_status(&fake) & PCI_EXP_RTSTA_PME, 0);

		assert_true(fake_backend_wake(fake.device[0]));
		fake_slot_await_pme(&fake);
		assert_int_equal(fake_slot_root_status(&fake) & REQUESTER_ID, FN_BDF(0));
		assert_int_equal(fake_slot_pmcsr(&fake, 0) & ~PCI_PM_CTRL_STATE_MASK,
				 PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS |
					 PCI_PM_CTRL_NO_SOFT_RESET);
		/* Linux: clears Root Status and PME_Status, resumes, and arms PME again. */
		pci_host_cfg_write(fake.pci, PORT_BDF,
				   root_port_pci(fake.slot->port)->exp_cap + PCI_EXP_RTSTA, 4,
				   PCI_EXP_RTSTA_PME);
		fake_slot_set_pmcsr(&fake, 0, PCI_PM_CTRL_PME_STATUS);
		fake_slot_switch(&fake, true);
		assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
		assert_true(fake_mem_windows(fake.mem) > 0);
		fake_slot_set_pmcsr(&fake, 0, PCI_PM_CTRL_PME_ENABLE);
		assert_int_equal(fake_slot_root_status(&fake) & PCI_EXP_RTSTA_PME, 0);
	}
	assert_int_equal(fake_slot_logged(&fake,
				"\"from\":\"on\",\"to\":\"engaged\",\"cause\":\"guest\""),
			 40);
	assert_int_equal(fake_slot_logged(&fake,
				"\"from\":\"engaged\",\"to\":\"woken\",\"cause\":\"unknown\""),
			 20);
	assert_int_equal(fake_slot_logged(&fake,
					  "\"event\":\"pme\",\"device\":\"0000:01:00.0\""), 20);
	assert_int_equal(fake_slot_logged(&fake, "\"event\":\"pme\""), 20);
	assert_int_equal(fake_slot_logged(&fake,
					  "\"from\":\"woken\",\"to\":\"on\","
					  "\"cause\":\"guest\""), 20);
	fake_slot_finish(&fake);
}

/* Someone on the host who wakes the device whenever it sleeps, at any moment. */
struct waker {
	struct fake_backend *fake;
	atomic_bool stop;
};

static void *waker_thread(void *opaque)
{
	struct waker *waker = opaque;

	while (!atomic_load(&waker->stop)) {
		fake_backend_wake(waker->fake);
		sched_yield();
	}
	return NULL;
}

static void test_slot_loses_no_wake_and_invents_none(void **state)
{
	struct waker waker = {.stop = false};
	pthread_t thread;
	struct fake_slot fake;

	(void)state;
	fake_slot_start(&fake);
	waker.fake = fake.device[0];
	assert_int_equal(pthread_create(&thread, NULL, waker_thread, &waker), 0);
	for (unsigned int round = 0; round < WAKE_ROUNDS; round++) {
		fake_slot_set_pmcsr(&fake, 0, PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS);
		fake_slot_switch(&fake, false);
		fake_slot_await_pme(&fake);
		pci_host_cfg_write(fake.pci, PORT_BDF,
				   root_port_pci(fake.slot->port)->exp_cap + PCI_EXP_RTSTA, 4,
				   PCI_EXP_RTSTA_PME);
		fake_slot_switch(&fake, true);
		assert_int_equal(fake_slot_root_status(&fake) & PCI_EXP_RTSTA_PME, 0);
	}
	atomic_store(&waker.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(fake_slot_logged(&fake, "\"event\":\"pme\""), WAKE_ROUNDS);
	assert_int_equal(fake_slot_logged(&fake, "\"to\":\"woken\""), WAKE_ROUNDS);
	fake_slot_finish(&fake);
}

static void test_slot_on_at_boot_touches_nothing(void **state)
{
	struct fake_slot fake;
	unsigned int before;

	(void)state;
	fake_slot_start(&fake);
	before = fake.device[0]->calls;
	fake_slot_switch(&fake, true);
	assert_int_equal(fake.device[0]->calls, before);
	fake_slot_finish(&fake);
}

static void test_slot_tells_nvidia_by_notify(void **state)
{
	struct bus_access gpe = {.len = 1};
	struct fake_slot fake;

	(void)state;
	fake_slot_start_with(&fake, "01:00.0", true);
	fake_slot_switch(&fake, false);
	assert_int_equal(called(fake.device[0], FAKE_ENTRY_WITH_WAKEUP), 1);
	assert_true(fake_backend_wake(fake.device[0]));
	fake_slot_await_logged(&fake, "\"event\":\"notify\",\"device\":\"0000:01:00.0\"");
	assert_int_equal(fake_slot_controller(&fake, SLOT_POWER_WAKE), 1);
	bus_access(fake.port, PORT_GPE0 + GPE_SLOT_FIRST / 8, &gpe);
	assert_int_equal(gpe.value & 0xff, 1U << GPE_SLOT_FIRST % 8);
	assert_int_equal(fake_slot_root_status(&fake) & PCI_EXP_RTSTA_PME, 0);
	fake_slot_switch(&fake, true);
	fake_slot_finish(&fake);
}

static void test_slot_refuses_and_says_why(void **state)
{
	static const struct {
		const char *option, *error, *detail;
		bool fails_entry;
	} cases[] = {
		{"01:00.0,power=off", "\"EPERM\"", "not allowed", false},
		{"01:00.0,power=d3hot", "\"EPERM\"", "not allowed", false},
		{"01:00.0,x-entry-error=ENOTTY", "\"ENOTTY\"", "Linux 6.1", false},
		{"01:00.0,x-entry-error=EIO", "\"EIO\"", "refused to enter", false},
		{"01:00.0", "\"EINVAL\"", "refused to enter", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_slot fake;

		fake_slot_start_with(&fake, cases[i].option, false);
		if (cases[i].fails_entry)
			fake_backend_fail(fake.device[0], FAKE_ENTRY, -EINVAL, 0, UINT32_MAX);
		fake_slot_switch(&fake, false);
		assert_int_equal(fake_slot_vendor(&fake, 0), 0xffff);
		assert_true(fake_slot_logged(&fake, "\"to\":\"refused\"") >= 1);
		assert_true(fake_slot_logged(&fake, cases[i].error) >= 1);
		assert_true(fake_slot_logged(&fake, cases[i].detail) >= 1);
		assert_int_equal(called(fake.device[0], FAKE_ENTRY), cases[i].fails_entry);
		fake_slot_switch(&fake, true);
		assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
		assert_true(fake_slot_logged(&fake, "\"from\":\"refused\",\"to\":\"on\"") >= 1);
		fake_slot_finish(&fake);
	}
}

/* The guest does not wait for the first answer: the last request counts. */
static void test_slot_serves_the_last_request(void **state)
{
	struct fake_slot fake;

	(void)state;
	fake_slot_start(&fake);
	fake_backend_block(fake.device[0], FAKE_ENTRY, true);
	fake_slot_ring(&fake, false);
	assert_true(fake_backend_wait(fake.device[0], FAKE_ENTRY, 1));
	fake_slot_ring(&fake, true);
	assert_true(fake_slot_controller(&fake, SLOT_POWER_STATUS) & SLOT_POWER_STATUS_BUSY);
	fake_backend_block(fake.device[0], FAKE_ENTRY, false);
	fake_slot_await_status(&fake, SLOT_POWER_STATUS_ON);
	assert_int_equal(called(fake.device[0], FAKE_EXIT), 1);
	assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
	fake_slot_finish(&fake);
}

/* The host takes its time over the device. Who asked does not wait, and who wants to know how
 * things are is told. */
static void test_slot_reset_is_waited_for_by_nobody(void **state)
{
	struct vfio_slot_status status;
	struct fake_slot fake;
	eventfd_t count;
	int done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd done = {.fd = done_fd, .events = POLLIN};
	unsigned int resets;

	(void)state;
	fake_slot_start(&fake);
	resets = called(fake.device[0], FAKE_RESET);
	fake_backend_block(fake.device[0], FAKE_RESET, true);
	vfio_slot_reset(fake.slot, done_fd);
	assert_true(fake_backend_wait(fake.device[0], FAKE_RESET, resets + 1));
	vfio_slot_status(fake.slot, &status);
	assert_string_equal(status.fn[0].name, "0000:01:00.0");
	assert_false(vfio_slot_is_empty(fake.slot));
	vfio_slot_request_unplug(fake.slot);
	assert_int_equal(poll(&done, 1, 0), 0);
	fake_backend_block(fake.device[0], FAKE_RESET, false);
	assert_int_equal(poll(&done, 1, 10000), 1);
	assert_int_equal(eventfd_read(done_fd, &count), 0);
	assert_int_equal(count, 1);
	fake_slot_await_logged(&fake, "unplug-request");
	close(done_fd);
	fake_slot_finish(&fake);
}

/* One function was woken and its PME is shown, the other sleeps. */
static void test_slot_reset_while_off(void **state)
{
	struct fake_slot fake;
	unsigned int resets;

	(void)state;
	fake_slot_start(&fake);
	fake_slot_set_pmcsr(&fake, 0, PCI_PM_CTRL_PME_ENABLE);
	fake_slot_switch(&fake, false);
	assert_true(fake_backend_wake(fake.device[0]));
	fake_slot_await_pme(&fake);
	resets = called(fake.device[0], FAKE_RESET);
	fake_slot_reset(&fake);
	assert_int_equal(called(fake.device[0], FAKE_EXIT), 1);
	assert_int_equal(called(fake.device[1], FAKE_EXIT), 1);
	assert_int_equal(called(fake.device[0], FAKE_RESET), resets + 1);
	assert_int_equal(fake_slot_controller(&fake, SLOT_POWER_STATUS), SLOT_POWER_STATUS_ON);
	assert_int_equal(pci_host_assign(fake.pci), 0);
	assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
	assert_int_equal(fake_slot_pmcsr(&fake, 0), PCI_PM_CTRL_NO_SOFT_RESET);
	assert_int_equal(fake_slot_root_status(&fake), 0);
	assert_int_equal(fake_slot_logged(&fake,
					  "\"from\":\"woken\",\"to\":\"on\","
					  "\"cause\":\"reset\""), 1);
	assert_int_equal(fake_slot_logged(&fake,
					  "\"from\":\"engaged\",\"to\":\"on\","
					  "\"cause\":\"reset\""), 1);
	fake_slot_switch(&fake, false);
	fake_slot_switch(&fake, true);
	fake_slot_finish(&fake);
}

static unsigned int number_of_last(struct fake_backend *fake, enum fake_op op)
{
	unsigned int last = 0;

	for (unsigned int i = 0; i < fake->calls; i++)
		if (fake->call[i].op == op)
			last = i + 1;
	assert_true(last);
	return last;
}

static void test_slot_end_leaves_resets_unmaps_closes(void **state)
{
	struct fake_slot fake;

	(void)state;
	fake_slot_start(&fake);
	fake_slot_switch(&fake, false);
	vfio_slot_destroy(fake.slot);
	fake.slot = NULL;
	for (unsigned int i = 0; i < 2; i++) {
		unsigned int exit = number_of_last(fake.device[i], FAKE_EXIT);
		unsigned int reset = number_of_last(fake.device[i], FAKE_RESET);
		unsigned int unmap = number_of_last(fake.device[i], FAKE_REGION_UNMAP);
		unsigned int close = number_of_last(fake.device[i], FAKE_CLOSE);

		assert_true(exit < reset && reset < unmap && unmap < close);
		assert_int_equal(close, fake.device[i]->calls);
		assert_int_equal(fake.device[i]->maps, 0);
	}
	assert_int_equal(
		fake_slot_logged(&fake,
				 "\"from\":\"engaged\",\"to\":\"on\",\"cause\":\"shutdown\""), 2);
	fake_slot_finish(&fake);
}

static void set_dead(struct fake_backend *fake, bool dead)
{
	pthread_mutex_lock(&fake->lock);
	fake->dead = dead;
	pthread_mutex_unlock(&fake->lock);
}

static void test_slot_lost_devices_read_ones_until_a_reset(void **state)
{
	struct fake_slot fake;

	(void)state;
	fake_slot_start(&fake);
	fake_slot_switch(&fake, false);
	set_dead(fake.device[0], true);
	fake_slot_switch(&fake, true); /* the other one is there */
	assert_int_equal(fake_slot_vendor(&fake, 0), 0xffff);
	assert_int_equal(fake_slot_vendor(&fake, 1), 0x1002);
	assert_int_equal(fake_slot_logged(&fake,
				"\"to\":\"lost\",\"cause\":\"guest\",\"errno\":\"ENODEV\""),
			 1);
	set_dead(fake.device[0], false);
	fake_slot_reset(&fake);
	assert_int_equal(pci_host_assign(fake.pci), 0);
	assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
	assert_int_equal(fake_slot_logged(&fake,
					  "\"from\":\"lost\",\"to\":\"on\","
					  "\"cause\":\"reset\""), 1);
	fake_slot_finish(&fake);
}

static void test_slot_all_lost_answers_off(void **state)
{
	struct fake_slot fake;

	(void)state;
	fake_slot_start(&fake);
	fake_slot_switch(&fake, false);
	fake_backend_fail(fake.device[0], FAKE_EXIT, -EIO, 0, UINT32_MAX);
	fake_backend_fail(fake.device[1], FAKE_EXIT, -EIO, 0, UINT32_MAX);
	fake_slot_ring(&fake, true);
	fake_slot_await_status(&fake, 0);
	assert_int_equal(fake_slot_logged(&fake,
					  "\"to\":\"lost\",\"cause\":\"guest\","
					  "\"errno\":\"EIO\""), 2);
	fake_backend_fail(fake.device[0], FAKE_EXIT, 0, 0, 0);
	fake_backend_fail(fake.device[1], FAKE_EXIT, 0, 0, 0);
	fake_slot_finish(&fake);
}

static void test_slot_host_error_makes_lost(void **state)
{
	struct fake_slot fake;

	(void)state;
	fake_slot_start(&fake);
	set_dead(fake.device[0], true);
	assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002); /* a copy: does not ask the device */
	pci_host_cfg_read(fake.pci, FN_BDF(0), 0xb4, 4);
	fake_slot_await_logged(&fake,
		     "\"from\":\"on\",\"to\":\"lost\",\"cause\":\"error\",\"errno\":\"ENODEV\"");
	assert_int_equal(fake_slot_vendor(&fake, 0), 0xffff);
	fake_slot_finish(&fake);
}

static void test_slot_info_tells_port_and_functions(void **state)
{
	struct vfio_slot_info info;
	struct fake_slot fake;

	(void)state;
	fake_slot_prepare(&fake, false);
	fake_slot_build(&fake, "01:00.0");
	vfio_slot_info(fake.slot, &info);
	assert_int_equal(info.port_dev, 1);
	assert_int_equal(info.functions, 0x3);
	assert_true(info.d3cold);
	fake_slot_finish(&fake); /* never plugged */
}

static void test_slot_without_pm_capability_has_no_d3cold(void **state)
{
	struct vfio_slot_info info;
	struct fake_slot fake;

	(void)state;
	fake_slot_prepare(&fake, false);
	/* the PM capability is the first of the list: begin with the next */
	fake.device[1]->cfg[PCI_CAPABILITY_LIST] =
		fake.device[1]->cfg[fake.device[1]->cfg[PCI_CAPABILITY_LIST] + 1];
	fake_slot_build(&fake, "01:00.0");
	vfio_slot_info(fake.slot, &info);
	assert_int_equal(info.functions, 0x3);
	assert_false(info.d3cold);
	fake_slot_finish(&fake);
}

static void test_slot_build_failure_closes_everything(void **state)
{
	const struct vfio_slot_config config = {.bdf = "0000:01:00.0"};
	struct vfio_backend *backend[HOST_FUNCTIONS] = {NULL};
	struct fake_backend *fake[3];
	struct vfio_slot *slot = NULL;
	char why[256] = "";

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		fake[i] = fake_backend_create_gpu("0000:01:00.0", false);
		backend[i] = &fake[i]->backend;
	}
	fake_backend_fail(fake[1], FAKE_RESET, -EIO, 0, UINT32_MAX);
	assert_int_equal(vfio_slot_build("0000:01:00", NULL, &config, NULL, 0, backend, &slot, why,
					 sizeof(why)), -EIO);
	assert_null(slot);
	assert_non_null(strstr(why, "reset"));
	for (unsigned int i = 0; i < 3; i++) {
		assert_true(fake[i]->closed);
		fake_backend_destroy(fake[i]);
	}
}

/* One image, for device 1002:1235; the card is 1234. */
static void write_rom(char path[], size_t len)
{
	uint8_t rom[8192] = {0x55, 0xaa, [0x18] = 0x1c, [0x1c] = 'P', 'C', 'I', 'R', 0x02, 0x10,
			     0x35, 0x12, [0x2c] = 16, [0x31] = 0x80, [8191] = 0x99};
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, rom, len), (ssize_t)len);
	close(fd);
}

/* Of another device, which is said and no more; it goes to sleep with the card. */
static void test_slot_shows_a_rom_from_a_file(void **state)
{
	char path[] = "/tmp/test_slot_rom.XXXXXX", option[64];
	struct fake_window window;
	struct fake_slot fake;
	uint32_t at;

	(void)state;
	write_rom(path, 8192);
	snprintf(option, sizeof(option), "01:00.0,rom=%s", path);
	fake_slot_start_with(&fake, option, false);
	unlink(path);
	at = pci_host_cfg_read(fake.pci, FN_BDF(0), PCI_ROM_ADDRESS, 4);
	pci_host_cfg_write(fake.pci, FN_BDF(0), PCI_ROM_ADDRESS, 4, at | PCI_ROM_ADDRESS_ENABLE);
	pci_host_cfg_write(fake.pci, FN_BDF(0), PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_true(fake_mem_window_at(fake.mem, at, &window));
	assert_int_equal(window.size, 8192);
	assert_int_equal(((const uint8_t *)window.hva)[8191], 0x99);
	fake_slot_switch(&fake, false);
	assert_false(fake_mem_window_at(fake.mem, at, &window));
	fake_slot_switch(&fake, true);
	assert_true(fake_mem_window_at(fake.mem, at, &window));
	fake_slot_finish(&fake);
}

/* Before the device is reset, or anything else is done to it. */
static void test_slot_refuses_a_wrong_rom(void **state)
{
	struct vfio_slot_config config = {.bdf = "0000:01:00.0"};
	struct vfio_backend *backend[HOST_FUNCTIONS] = {NULL};
	struct fake_backend *fake = fake_backend_create_gpu("0000:01:00.0", false);
	char path[] = "/tmp/test_slot_rom.XXXXXX", why[256] = "";
	struct vfio_slot *slot = NULL;

	(void)state;
	write_rom(path, 8191);
	snprintf(config.rom, sizeof(config.rom), "%s", path);
	backend[0] = &fake->backend;
	assert_int_equal(vfio_slot_build("0000:01:00", NULL, &config, NULL, 0, backend, &slot, why,
					 sizeof(why)), -EINVAL);
	unlink(path);
	assert_non_null(strstr(why, "--gpu 0000:01:00: rom=/tmp/test_slot_rom."));
	assert_non_null(strstr(why, "the image at 0x0 has 8192 bytes, more than are in the file"));
	assert_true(fake->closed);
	assert_int_equal(fake_backend_find(fake, FAKE_RESET, 0, NULL), 0);
	assert_int_equal(fake_backend_find(fake, FAKE_REGION_READ, 0, NULL), 0);
	fake_backend_destroy(fake);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slot_off_wake_pme_on),
		cmocka_unit_test(test_slot_loses_no_wake_and_invents_none),
		cmocka_unit_test(test_slot_on_at_boot_touches_nothing),
		cmocka_unit_test(test_slot_tells_nvidia_by_notify),
		cmocka_unit_test(test_slot_refuses_and_says_why),
		cmocka_unit_test(test_slot_serves_the_last_request),
		cmocka_unit_test(test_slot_reset_is_waited_for_by_nobody),
		cmocka_unit_test(test_slot_reset_while_off),
		cmocka_unit_test(test_slot_end_leaves_resets_unmaps_closes),
		cmocka_unit_test(test_slot_lost_devices_read_ones_until_a_reset),
		cmocka_unit_test(test_slot_all_lost_answers_off),
		cmocka_unit_test(test_slot_host_error_makes_lost),
		cmocka_unit_test(test_slot_info_tells_port_and_functions),
		cmocka_unit_test(test_slot_shows_a_rom_from_a_file),
		cmocka_unit_test(test_slot_refuses_a_wrong_rom),
		cmocka_unit_test(test_slot_without_pm_capability_has_no_d3cold),
		cmocka_unit_test(test_slot_build_failure_closes_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
