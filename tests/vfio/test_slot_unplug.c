/* Cards that leave a slot while the guest runs, and come again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/vfio/slot_plug_bench.h"

static void test_slot_unplug_is_asked_for_once_a_minute(void **state)
{
	struct fake_slot fake;

	(void)state;
	start_with_new_card(&fake);
	vfio_slot_request_unplug(fake.slot);
	await_button(&fake);
	vfio_slot_request_unplug(fake.slot);
	fake_slot_switch(&fake, true); /* answered: the request before was seen to */
	assert_int_equal(slot_status(&fake) & PCI_EXP_SLTSTA_ABP, 0);
	assert_int_equal(fake_slot_logged(&fake, "\"event\":\"unplug-request\""), 1);
	/* The minute is over. */
	slot_set_timer(fake.slot->patience_fd, 1);
	fake_slot_await_logged(&fake, "\"event\":\"unplug-ignored\"");
	assert_false(vfio_slot_is_empty(fake.slot));
	/* Late is better than never. */
	power_slot(&fake, false);
	await_empty(&fake);
	fake_slot_finish(&fake);
}

/* Its functions are in low power, its port in D3hot. */
static void test_slot_unplug_while_asleep(void **state)
{
	struct fake_slot fake;
	uint16_t pmcsr;

	(void)state;
	fake_slot_start_empty(&fake);
	pmcsr = (uint16_t)(root_port_pci(fake.slot->port)->pm_cap + PCI_PM_CTRL);
	fake_slot_insert(&fake);
	enable_card(&fake);
	fake_slot_port_write(&fake, PCI_EXP_SLTCTL, 2, PCI_EXP_SLTCTL_ABPE);
	fake_slot_switch(&fake, false);
	pci_host_cfg_write(fake.pci, PORT_BDF, pmcsr, 2, PCI_PM_CTRL_PME_ENABLE | D3HOT);
	vfio_slot_request_unplug(fake.slot);
	fake_slot_await_pme(&fake);
	assert_int_equal(fake_slot_root_status(&fake) & REQUESTER_ID, PORT_BDF);
	assert_true(fake.device[0]->engaged);
	/* The guest ejects without waking the card. */
	pci_host_cfg_write(fake.pci, PORT_BDF, pmcsr, 2, PCI_PM_CTRL_PME_STATUS);
	power_slot(&fake, false);
	await_empty(&fake);
	assert_true(fake.device[0]->closed && !fake.device[0]->engaged);
	fake_slot_finish(&fake);
}

/* A card comes while the port sleeps: its PME wakes the guest, which then finds it. */
static void test_slot_insert_wakes_a_sleeping_port(void **state)
{
	struct fake_slot fake;
	uint16_t pmcsr;

	(void)state;
	fake_slot_start_empty(&fake);
	pmcsr = (uint16_t)(root_port_pci(fake.slot->port)->pm_cap + PCI_PM_CTRL);
	fake_slot_switch(&fake, false);
	pci_host_cfg_write(fake.pci, PORT_BDF, pmcsr, 2, PCI_PM_CTRL_PME_ENABLE | D3HOT);
	fake_slot_insert(&fake);
	assert_true(fake_slot_root_status(&fake) & PCI_EXP_RTSTA_PME);
	assert_int_equal(fake_slot_root_status(&fake) & REQUESTER_ID, PORT_BDF);
	assert_false(fake.device[0]->engaged);
	/* The guest has the power off until it says otherwise. */
	assert_int_equal(fake_slot_controller(&fake, SLOT_POWER_STATUS), 0);
	pci_host_cfg_write(fake.pci, PORT_BDF, pmcsr, 2, PCI_PM_CTRL_PME_STATUS);
	fake_slot_switch(&fake, true);
	enable_card(&fake);
	assert_true(fake_mem_windows(fake.mem) > 0);
	fake_slot_finish(&fake);
}

/* Linux does not hear for a second after it has switched the power off; the indicator says when it
 * hears again. */
static void test_slot_insert_waits_for_the_guest(void **state)
{
	const uint32_t news = PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_PDC;
	struct fake_slot fake;

	(void)state;
	fake_slot_start_empty(&fake);
	for (unsigned int patient = 0; patient < 2; patient++) {
		fake_slot_insert(&fake);
		enable_card(&fake);
		vfio_slot_request_unplug(fake.slot);
		await_button(&fake);
		change_control(&fake, 0, PCI_EXP_SLTCTL_PCC);
		await_empty(&fake);
		fake_slot_port_write(&fake, PCI_EXP_SLTSTA, 2, slot_status(&fake));
		fake_slot_insert(&fake);
		assert_int_equal(slot_status(&fake) & news, 0);
		if (patient)
			change_control(&fake, PCI_EXP_SLTCTL_PIC, PCI_EXP_SLTCTL_PWR_IND_OFF);
		else /* it has no indicator: its time is over */
			slot_set_timer(fake.slot->patience_fd, 1);
		while ((slot_status(&fake) & news) != news)
			sched_yield();
		assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
		vfio_slot_request_unplug(fake.slot);
		await_empty(&fake);
	}
	fake_slot_finish(&fake);
}

static void test_slot_unplug_of_a_lost_card(void **state)
{
	struct fake_slot fake;

	(void)state;
	start_with_new_card(&fake);
	fake_slot_switch(&fake, false);
	for (unsigned int fn = 0; fn < 2; fn++) {
		pthread_mutex_lock(&fake.device[fn]->lock);
		fake.device[fn]->dead = true;
		pthread_mutex_unlock(&fake.device[fn]->lock);
	}
	fake_slot_ring(&fake, true);
	fake_slot_await_logged(&fake, "\"to\":\"lost\"");
	vfio_slot_request_unplug(fake.slot);
	await_empty(&fake);
	assert_int_equal(slot_status(&fake) & PCI_EXP_SLTSTA_ABP, 0);
	/* The port is as good as ever. */
	fake_slot_port_write(&fake, PCI_EXP_SLTSTA, 2, slot_status(&fake));
	fake_slot_insert(&fake);
	assert_true(slot_status(&fake) & PCI_EXP_SLTSTA_PDC);
	assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
	fake_slot_finish(&fake);
}

/* --- all at once --- */

struct guest {
	struct fake_slot *fake;
	atomic_bool stop;
};

/* A CPU that looks, writes, meets windows that fail, and rings. */
static void *run_guest(void *opaque)
{
	struct guest *guest = opaque;
	struct fake_slot *fake = guest->fake;

	for (unsigned int i = 0; !guest->stop; i++) {
		struct bus_access access = {.len = 4};

		pci_host_cfg_read(fake->pci, FN_BDF(i % 2), PCI_VENDOR_ID, 4);
		pci_host_cfg_write(fake->pci, FN_BDF(0), PCI_COMMAND, 2, i % 4 ? DECODE : 0);
		bus_access(fake->mmio, root_port_pci(fake->slot->port)->given[1].start, &access);
		vfio_slot_drop_windows(fake->slot);
		vfio_slot_is_empty(fake->slot);
		if (i % 16 == 0)
			fake_slot_ring(fake, i % 32);
	}
	return NULL;
}

static void test_slot_comes_and_goes_under_a_busy_guest(void **state)
{
	struct fake_slot fake;
	struct guest guest = {.fake = &fake, .stop = false};
	pthread_t thread[2];

	(void)state;
	fake_slot_start_empty(&fake);
	for (unsigned int i = 0; i < ARRAY_SIZE(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, run_guest, &guest), 0);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		fake_slot_insert(&fake);
		enable_card(&fake);
		vfio_slot_request_unplug(fake.slot);
		if (round % 2) {
			await_button(&fake);
			power_slot(&fake, false);
			await_empty(&fake);
		} else {
			fake_slot_reset(&fake);
			assert_true(vfio_slot_is_empty(fake.slot));
			fake_slot_boot(&fake);
		}
	}
	guest.stop = true;
	for (unsigned int i = 0; i < ARRAY_SIZE(thread); i++)
		pthread_join(thread[i], NULL);
	fake_slot_finish(&fake);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slot_unplug_is_asked_for_once_a_minute),
		cmocka_unit_test(test_slot_unplug_while_asleep),
		cmocka_unit_test(test_slot_insert_wakes_a_sleeping_port),
		cmocka_unit_test(test_slot_insert_waits_for_the_guest),
		cmocka_unit_test(test_slot_unplug_of_a_lost_card),
		cmocka_unit_test(test_slot_comes_and_goes_under_a_busy_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
