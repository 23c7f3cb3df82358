/*
 * A slot (tests/fake_slot.h) when things go wrong: refusals, devices that are lost, errors and
 * unplug requests of the host, cards that are woken again and again.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "devices/pci.h"
#include "devices/root_port.h"
#include "devices/slot_power.h"
#include "tests/fake_mem.h"
#include "tests/fake_slot.h"
#include "vfio/function.h"
#include "vfio/slot.h"
#include "vmm/base/bits.h"

#define D3HOT 3U /* PowerState */
#define PORT_BDF 0x0008
#define REQUESTER_ID 0xffffU /* in Root Status */

static unsigned int called(struct fake_backend *device, enum fake_op op)
{
	return fake_backend_find(device, op, 0, NULL);
}

static void set_dead(struct fake_backend *device, bool dead)
{
	pthread_mutex_lock(&device->lock);
	device->dead = dead;
	pthread_mutex_unlock(&device->lock);
}

static bool is_present(struct fake_slot *fake)
{
	bool present = fake_slot_port_read(fake, PCI_EXP_SLTSTA, 2) & PCI_EXP_SLTSTA_PDS;
	bool link = fake_slot_port_read(fake, PCI_EXP_LNKSTA, 2) & PCI_EXP_LNKSTA_DLLLA;

	assert_int_equal(present, link);
	return present;
}

/* --- all or nothing --- */

static void test_slot_rolls_back_when_one_refuses(void **state)
{
	struct fake_slot fake;

	(void)state;
	fake_slot_start(&fake);
	fake_backend_fail(fake.device[1], FAKE_ENTRY, -EBUSY, 0, 1);
	fake_slot_switch(&fake, false);
	assert_int_equal(called(fake.device[0], FAKE_ENTRY), 1);
	assert_int_equal(called(fake.device[0], FAKE_EXIT), 1);
	assert_false(fake.device[0]->engaged);
	assert_int_equal(fake_slot_logged(&fake, "\"to\":\"refused\",\"cause\":\"guest\","
						 "\"errno\":\"ECANCELED\""), 1);
	assert_int_equal(fake_slot_logged(&fake, "\"errno\":\"EBUSY\""), 1);
	assert_int_equal(fake_slot_logged(&fake, "\"to\":\"engaged\""), 0);
	fake_slot_switch(&fake, true);
	assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
	fake_slot_switch(&fake, false);
	assert_true(fake.device[0]->engaged && fake.device[1]->engaged);
	fake_slot_switch(&fake, true);
	fake_slot_finish(&fake);
}

/* --- lost --- */

static void test_slot_reset_brings_back_what_does_not_answer(void **state)
{
	static const struct {
		const char *option;
		bool function_reset, slot_reset;
		const char *detail;
	} cases[] = {
		{"01:00.0", true, false, "a function reset brought it back"},
		{"01:00.0,reset=bus", false, true, "a hot reset of the slot brought it back"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_slot fake;

		fake_slot_prepare(&fake, false);
		for (unsigned int fn = 0; fn < 2; fn++) {
			fake.device[fn]->can_slot_reset = cases[i].slot_reset;
			fake.device[fn]->reset_revives = true;
		}
		fake_slot_build(&fake, cases[i].option);
		fake_slot_plug(&fake);
		fake_slot_switch(&fake, false);
		fake_backend_forget(fake.device[0]);
		set_dead(fake.device[0], true);
		fake_slot_switch(&fake, true);
		assert_int_equal(called(fake.device[0], FAKE_RESET), cases[i].function_reset);
		assert_int_equal(called(fake.device[0], FAKE_SLOT_RESET), cases[i].slot_reset);
		assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
		assert_true(is_present(&fake));
		assert_int_equal(fake_slot_logged(&fake, cases[i].detail), 1);
		assert_int_equal(fake_slot_logged(&fake, "\"to\":\"lost\""), 0);
		fake_slot_finish(&fake);
	}
}

static void test_slot_lost_is_a_surprise_removal(void **state)
{
	struct fake_slot fake;

	(void)state;
	fake_slot_prepare(&fake, false);
	for (unsigned int fn = 0; fn < 2; fn++)
		fake.device[fn]->can_slot_reset = true;
	fake_slot_build(&fake, "01:00.0");
	fake_slot_plug(&fake);
	fake_slot_switch(&fake, false);
	assert_true(is_present(&fake)); /* asleep is not away */
	set_dead(fake.device[0], true);
	fake_slot_switch(&fake, true);
	assert_false(is_present(&fake));
	assert_int_equal(fake_slot_port_read(&fake, PCI_EXP_SLTSTA, 2) &
				 (PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC),
			 PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
	assert_int_equal(fake_slot_vendor(&fake, 0), 0xffff);
	assert_int_equal(fake_slot_logged(&fake, "tried: function reset, hot reset of the "
						 "slot"), 1);
	assert_int_equal(fake_slot_logged(&fake, "devices/0000:01:00.0/remove"), 1);
	/* A reset finds it again. */
	set_dead(fake.device[0], false);
	fake_slot_reset(&fake);
	assert_int_equal(pci_host_assign(fake.pci), 0);
	assert_true(is_present(&fake));
	assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
	fake_slot_finish(&fake);
}

/* What the guest knew of it is gone, even if it answers again. */
static void test_slot_lost_in_use_stays_away_until_a_reset(void **state)
{
	struct fake_slot fake;

	(void)state;
	fake_slot_prepare(&fake, false);
	fake.device[0]->reset_revives = true;
	fake_slot_build(&fake, "01:00.0");
	fake_slot_plug(&fake);
	set_dead(fake.device[0], true);
	pci_host_cfg_read(fake.pci, FN_BDF(0), 0xb4, 4);
	fake_slot_await_logged(&fake, "the guest gets it back with its next reset");
	assert_int_equal(fake_slot_vendor(&fake, 0), 0xffff);
	fake_slot_reset(&fake);
	assert_int_equal(pci_host_assign(fake.pci), 0);
	assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
	assert_true(is_present(&fake));
	fake_slot_finish(&fake);
}

/* --- the host's errors and wishes --- */

static void start_listening(struct fake_slot *fake)
{
	fake_slot_prepare(fake, false);
	for (unsigned int fn = 0; fn < 2; fn++) {
		fake->device[fn]->irq[VFIO_PCI_ERR_IRQ_INDEX].count = 1;
		fake->device[fn]->irq[VFIO_PCI_REQ_IRQ_INDEX].count = 1;
	}
	fake_slot_build(fake, "01:00.0");
	fake_slot_plug(fake);
}

static void test_slot_error_reaches_the_port(void **state)
{
	struct fake_slot fake;
	unsigned int reads;

	(void)state;
	start_listening(&fake);
	reads = called(fake.device[1], FAKE_REGION_READ);
	assert_true(fake_backend_fire(fake.device[1], VFIO_PCI_ERR_IRQ_INDEX, 0));
	fake_slot_await_logged(&fake, "\"event\":\"error\",\"device\":\"0000:01:00.1\"");
	assert_true(fake_backend_wait(fake.device[1], FAKE_REGION_READ, reads + 1));
	fake_slot_reset(&fake); /* answered: the error was seen to before */
	assert_int_equal(fake_slot_logged(&fake, "\"to\":\"lost\""), 0);
	fake_slot_switch(&fake, false);
	assert_true(fake_backend_fire(fake.device[0], VFIO_PCI_ERR_IRQ_INDEX, 0));
	fake_slot_await_logged(&fake, "error of the sleeping device");
	fake_slot_switch(&fake, true);
	fake_slot_finish(&fake);
}

static void test_slot_request_ends_in_release(void **state)
{
	struct fake_slot fake;

	(void)state;
	start_listening(&fake);
	assert_true(fake_backend_fire(fake.device[1], VFIO_PCI_REQ_IRQ_INDEX, 0));
	fake_slot_await_logged(&fake, "\"event\":\"unplug-request\"");
	/* The thread presses after it logs. */
	while (!(fake_slot_port_read(&fake, PCI_EXP_SLTSTA, 2) & PCI_EXP_SLTSTA_ABP))
		sched_yield();
	assert_false(fake.device[0]->closed);
	fake_slot_port_write(&fake, PCI_EXP_SLTCTL, 2, PCI_EXP_SLTCTL_PCC);
	fake_slot_await_logged(&fake, "\"device\":\"0000:01:00.1\",\"from\":\"on\","
				      "\"to\":\"released\",\"cause\":\"unplug\"");
	assert_true(fake.device[0]->closed && fake.device[1]->closed);
	while (is_present(&fake))
		sched_yield();
	assert_int_equal(fake_slot_vendor(&fake, 0), 0xffff);
	/* Nothing is left for power, reset or the end to touch. */
	fake_slot_ring(&fake, false);
	fake_slot_await_status(&fake, 0);
	fake_slot_ring(&fake, true);
	fake_slot_await_status(&fake, 0);
	fake_slot_reset(&fake);
	fake_slot_finish(&fake);
}

/* A guest that sleeps is told by a PME of the port itself; the device is left alone. */
static void test_slot_request_wakes_a_sleeping_guest(void **state)
{
	struct fake_slot fake;
	unsigned int pm;

	(void)state;
	start_listening(&fake);
	pm = root_port_pci(fake.slot->port)->pm_cap;
	fake_slot_port_write(&fake, PCI_EXP_SLTCTL, 2, PCI_EXP_SLTCTL_ABPE);
	fake_slot_switch(&fake, false);
	pci_host_cfg_write(fake.pci, PORT_BDF, (uint16_t)(pm + PCI_PM_CTRL), 2,
			   PCI_PM_CTRL_PME_ENABLE | D3HOT);
	assert_true(fake_backend_fire(fake.device[0], VFIO_PCI_REQ_IRQ_INDEX, 0));
	fake_slot_await_pme(&fake);
	assert_int_equal(fake_slot_root_status(&fake) & REQUESTER_ID, PORT_BDF);
	assert_true(fake.device[0]->engaged);
	pci_host_cfg_write(fake.pci, PORT_BDF, (uint16_t)(pm + PCI_PM_CTRL), 2, 0);
	fake_slot_switch(&fake, true);
	fake_slot_port_write(&fake, PCI_EXP_SLTCTL, 2, PCI_EXP_SLTCTL_PCC);
	fake_slot_await_logged(&fake, "\"to\":\"released\"");
	fake_slot_finish(&fake);
}

static void test_slot_eject_without_request_starts_anew(void **state)
{
	struct fake_slot fake;
	unsigned int resets;

	(void)state;
	start_listening(&fake);
	resets = called(fake.device[0], FAKE_RESET);
	fake_slot_port_write(&fake, PCI_EXP_SLTCTL, 2, PCI_EXP_SLTCTL_PCC);
	assert_true(fake_backend_wait(fake.device[1], FAKE_RESET, resets + 1));
	fake_slot_reset(&fake);
	assert_true(is_present(&fake));
	assert_int_equal(fake_slot_logged(&fake, "\"to\":\"released\""), 0);
	assert_false(fake.device[0]->closed);
	fake_slot_finish(&fake);
}

/* The button would ask the guest to switch on what it sees as empty, or has switched off itself. */
static void test_slot_request_of_a_slot_not_in_use(void **state)
{
	(void)state;
	for (unsigned int lost = 0; lost < 2; lost++) {
		struct fake_slot fake;

		start_listening(&fake);
		if (lost) {
			fake_slot_switch(&fake, false);
			set_dead(fake.device[0], true);
			fake_slot_switch(&fake, true);
			assert_false(is_present(&fake));
		} else {
			fake_slot_port_write(&fake, PCI_EXP_SLTCTL, 2, PCI_EXP_SLTCTL_PCC);
		}
		assert_true(fake_backend_fire(fake.device[1], VFIO_PCI_REQ_IRQ_INDEX, 0));
		fake_slot_await_logged(&fake, "\"device\":\"0000:01:00.1\",\"from\":\"on\","
					      "\"to\":\"released\",\"cause\":\"unplug\"");
		assert_true(fake.device[0]->closed && fake.device[1]->closed);
		assert_int_equal(fake_slot_port_read(&fake, PCI_EXP_SLTSTA, 2) &
					 PCI_EXP_SLTSTA_ABP, 0);
		assert_int_equal(fake_slot_logged(&fake, "\"event\":\"unplug-request\""), 1);
		fake_slot_finish(&fake);
	}
}

/* --- a process that shares our eventfds --- */

/* File status flags belong to the description, which the server of a device has too. */
static void make_blocking(struct fake_backend *device, const struct fake_call *call)
{
	(void)device;
	if (call->op == FAKE_ENTRY_WITH_WAKEUP)
		assert_int_equal(fcntl(call->fd, F_SETFL, 0), 0);
}

static void test_slot_waits_for_no_eventfd(void **state)
{
	struct fake_slot fake;

	(void)state;
	fake_slot_prepare(&fake, false);
	fake.device[0]->hook = make_blocking;
	fake_slot_build(&fake, "01:00.0");
	fake_slot_plug(&fake);
	fake_slot_set_pmcsr(&fake, 0, PCI_PM_CTRL_PME_ENABLE);
	for (unsigned int round = 0; round < 3; round++) {
		fake_slot_switch(&fake, false);
		assert_true(fake_backend_wake(fake.device[0]));
		fake_slot_await_pme(&fake);
		fake_slot_switch(&fake, true);
	}
	fake_slot_finish(&fake);
}

/* --- wakes --- */

static void test_slot_tells_who_woke_it(void **state)
{
	static const struct {
		bool tells, counts;
		uint64_t wakeups; /* more than before */
		const char *cause;
	} cases[] = {
		{false, false, 0, "\"to\":\"woken\",\"cause\":\"unknown\""},
		{true, false, 1, "\"to\":\"woken\",\"cause\":\"unknown\""},
		{true, true, 0, "\"to\":\"woken\",\"cause\":\"host\""},
		{true, true, 1, "\"to\":\"woken\",\"cause\":\"pme\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_slot fake;
		struct fake_backend *device;

		fake_slot_start(&fake);
		device = fake.device[0];
		device->tells = cases[i].tells;
		device->observation.counts_wakeups = cases[i].counts;
		fake_slot_set_pmcsr(&fake, 0, PCI_PM_CTRL_PME_ENABLE);
		fake_slot_switch(&fake, false);
		pthread_mutex_lock(&device->lock);
		device->observation.wakeups += cases[i].wakeups;
		device->observation.suspended_us += 1234567;
		pthread_mutex_unlock(&device->lock);
		assert_true(fake_backend_wake(device));
		fake_slot_await_logged(&fake, cases[i].cause);
		assert_int_equal(fake_slot_logged(&fake, "\"suspended_us\":1234567"),
				 cases[i].tells);
		fake_slot_switch(&fake, true);
		fake_slot_finish(&fake);
	}
}

static void test_slot_governor_backs_off_and_says_so_once(void **state)
{
	struct fake_slot fake;

	(void)state;
	fake_slot_start_with(&fake, "01:00.0,min-sleep=3600", false);
	for (unsigned int round = 0; round < 3; round++) {
		fake_slot_set_pmcsr(&fake, 0, PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS);
		fake_slot_switch(&fake, false);
		assert_true(fake_backend_wake(fake.device[0]));
		fake_slot_await_pme(&fake);
		fake_slot_port_write(&fake, PCI_EXP_RTSTA, 4, PCI_EXP_RTSTA_PME);
		fake_slot_switch(&fake, true);
	}
	assert_int_equal(fake_slot_logged(&fake, "\"event\":\"governor\""), 0);
	for (unsigned int round = 0; round < 2; round++) {
		fake_slot_switch(&fake, false);
		assert_false(fake.device[0]->engaged || fake.device[1]->engaged);
		fake_slot_switch(&fake, true);
	}
	assert_int_equal(fake_slot_logged(&fake, "\"event\":\"governor\""), 1);
	assert_int_equal(fake_slot_logged(&fake, "\"errno\":\"EAGAIN\""), 4);
	/* The hold is over, and the guest's last wish is kept. Its thread waits for us here. */
	fake_slot_switch(&fake, false);
	governor_init(&fake.slot->card.governor, &fake.slot->card.config.governor);
	slot_set_timer(fake.slot->hold_fd, 1);
	fake_slot_await_logged(&fake, "\"from\":\"refused\",\"to\":\"engaged\","
				      "\"cause\":\"governor\"");
	assert_true(fake_backend_wait(fake.device[1], FAKE_ENTRY, 1));
	fake_slot_switch(&fake, true);
	assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
	fake_slot_finish(&fake);
}

/* --- policy --- */

static void test_slot_d3hot_is_the_devices_too(void **state)
{
	struct vfio_slot_info info;
	struct fake_slot fake;
	unsigned int windows;

	(void)state;
	fake_slot_start_with(&fake, "01:00.0,power=d3hot", false);
	vfio_slot_info(fake.slot, &info);
	assert_false(info.d3cold);
	windows = fake_mem_windows(fake.mem);
	fake_slot_set_pmcsr(&fake, 0, D3HOT);
	assert_int_equal(fake.device[0]->cfg[0x44] & PCI_PM_CTRL_STATE_MASK, D3HOT);
	assert_true(fake_mem_windows(fake.mem) < windows);
	fake_slot_set_pmcsr(&fake, 0, 0);
	assert_int_equal(fake.device[0]->cfg[0x44] & PCI_PM_CTRL_STATE_MASK, 0);
	assert_int_equal(fake_mem_windows(fake.mem), windows);
	fake_slot_finish(&fake);

	fake_slot_start_with(&fake, "01:00.0,power=off", false);
	fake_slot_set_pmcsr(&fake, 0, D3HOT);
	assert_int_equal(fake.device[0]->cfg[0x44] & PCI_PM_CTRL_STATE_MASK, 0);
	fake_slot_finish(&fake);
}

/* A guest that is offered no D3cold may ring all the same. */
static void test_slot_d3hot_ends_with_the_doorbell(void **state)
{
	(void)state;
	for (unsigned int reset = 0; reset < 2; reset++) {
		struct fake_slot fake;
		unsigned int windows;

		fake_slot_start_with(&fake, "01:00.0,power=d3hot,reset=none", false);
		windows = fake_mem_windows(fake.mem);
		if (!reset)
			fake_slot_set_pmcsr(&fake, 0, D3HOT);
		fake_slot_switch(&fake, false);
		if (reset) {
			fake_slot_reset(&fake);
			assert_int_equal(pci_host_assign(fake.pci), 0);
		} else {
			fake_slot_switch(&fake, true);
			assert_int_equal(fake_mem_windows(fake.mem), windows);
		}
		assert_int_equal(fake_slot_pmcsr(&fake, 0) & PCI_PM_CTRL_STATE_MASK, 0);
		assert_int_equal(fake.device[0]->cfg[0x44] & PCI_PM_CTRL_STATE_MASK, 0);
		fake_slot_finish(&fake);
	}
}

/* The host's kernel enables no messages of a device in D3hot. */
static void test_slot_d3hot_ends_with_the_guests_messages(void **state)
{
	struct fake_slot fake;

	(void)state;
	fake_slot_start_with(&fake, "01:00.0,power=d3hot", false);
	fake_slot_set_pmcsr(&fake, 0, D3HOT);
	fake_backend_fail(fake.device[0], FAKE_IRQ_SET_TRIGGERS, -EINVAL, 0, 1);
	pci_host_cfg_write(fake.pci, FN_BDF(0), 0x48 + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	assert_int_equal(fake.device[0]->irq[VFIO_PCI_MSI_IRQ_INDEX].enabled, 0);
	fake_slot_set_pmcsr(&fake, 0, 0);
	assert_int_equal(fake.device[0]->irq[VFIO_PCI_MSI_IRQ_INDEX].enabled, 1);
	fake_slot_finish(&fake);
}

/* There are cards that a function reset, or a bus reset, would break. */
static void test_slot_guests_reset_keeps_to_the_policy(void **state)
{
	static const struct {
		const char *option;
		unsigned int resets;
	} cases[] = {
		{"01:00.0", 2}, {"01:00.0,reset=flr", 2},
		{"01:00.0,reset=bus", 0}, {"01:00.0,reset=none", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_slot fake;

		fake_slot_prepare(&fake, false);
		for (unsigned int fn = 0; fn < 2; fn++)
			fake.device[fn]->can_slot_reset = true;
		fake_slot_build(&fake, cases[i].option);
		fake_slot_plug(&fake);
		fake_backend_forget(fake.device[0]);
		pci_host_cfg_write(fake.pci, FN_BDF(0), 0x60 + PCI_EXP_DEVCTL, 2,
				   PCI_EXP_DEVCTL_BCR_FLR);
		pci_host_cfg_write(fake.pci, PORT_BDF, PCI_BRIDGE_CONTROL, 2,
				   PCI_BRIDGE_CTL_BUS_RESET);
		pci_host_cfg_write(fake.pci, PORT_BDF, PCI_BRIDGE_CONTROL, 2, 0);
		assert_int_equal(called(fake.device[0], FAKE_RESET), cases[i].resets);
		assert_int_equal(pci_host_cfg_read(fake.pci, FN_BDF(0), PCI_COMMAND, 2), 0);
		fake_slot_finish(&fake);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slot_rolls_back_when_one_refuses),
		cmocka_unit_test(test_slot_reset_brings_back_what_does_not_answer),
		cmocka_unit_test(test_slot_lost_is_a_surprise_removal),
		cmocka_unit_test(test_slot_lost_in_use_stays_away_until_a_reset),
		cmocka_unit_test(test_slot_error_reaches_the_port),
		cmocka_unit_test(test_slot_request_ends_in_release),
		cmocka_unit_test(test_slot_request_wakes_a_sleeping_guest),
		cmocka_unit_test(test_slot_eject_without_request_starts_anew),
		cmocka_unit_test(test_slot_request_of_a_slot_not_in_use),
		cmocka_unit_test(test_slot_waits_for_no_eventfd),
		cmocka_unit_test(test_slot_tells_who_woke_it),
		cmocka_unit_test(test_slot_governor_backs_off_and_says_so_once),
		cmocka_unit_test(test_slot_d3hot_is_the_devices_too),
		cmocka_unit_test(test_slot_d3hot_ends_with_the_doorbell),
		cmocka_unit_test(test_slot_d3hot_ends_with_the_guests_messages),
		cmocka_unit_test(test_slot_guests_reset_keeps_to_the_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
