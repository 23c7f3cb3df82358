/* Cards that come into a slot while the guest runs, and what its resets do with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/vfio/open_files.h"
#include "tests/vfio/slot_plug_bench.h"

static void test_slot_empty_is_a_port_without_a_card(void **state)
{
	struct vfio_slot_info info;
	struct fake_slot fake;

	(void)state;
	fake_slot_start_empty(&fake);
	assert_true(vfio_slot_is_empty(fake.slot));
	assert_int_equal(slot_status(&fake), 0);
	assert_false(link_active(&fake));
	assert_true(fake_slot_port_read(&fake, PCI_EXP_SLTCTL, 2) & PCI_EXP_SLTCTL_PCC);
	assert_int_equal(fake_slot_vendor(&fake, 0), ONES);
	/* The tables are for any card. */
	vfio_slot_info(fake.slot, &info);
	assert_int_equal(info.functions, 0xff);
	assert_true(info.d3cold);
	/* There are addresses for one. */
	for (enum pci_window kind = 0; kind < PCI_WINDOWS; kind++)
		assert_true(root_port_pci(fake.slot->port)->given[kind].size > 0);
	/* What the guest asks of it is answered. */
	fake_slot_switch(&fake, false);
	fake_slot_ring(&fake, true);
	fake_slot_await_status(&fake, 0);
	vfio_slot_request_unplug(fake.slot);
	fake_slot_reset(&fake);
	assert_int_equal(slot_status(&fake), 0);
	assert_int_equal(fake_slot_logged(&fake, "unplug"), 0);
	fake_slot_finish(&fake);
}

static void test_slot_insert_tells_the_guest(void **state)
{
	struct fake_slot fake;

	(void)state;
	fake_slot_start_empty(&fake);
	change_control(&fake, 0, PCI_EXP_SLTCTL_PDCE | PCI_EXP_SLTCTL_HPIE);
	assert_false(fake_irq_level(fake.irq, layout_pci_gsi(1, 1)));
	fake_slot_insert(&fake);
	assert_false(vfio_slot_is_empty(fake.slot));
	assert_int_equal(slot_status(&fake),
			 PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
	assert_true(link_active(&fake));
	assert_true(fake_irq_level(fake.irq, layout_pci_gsi(1, 1)));
	assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
	assert_int_equal(fake_slot_vendor(&fake, 1), 0x1002);
	assert_int_equal(pci_host_cfg_read(fake.pci, FN_BDF(0), PCI_COMMAND, 2), 0);
	assert_int_equal(fake_slot_logged(&fake, "\"event\":\"plug\",\"device\":\"0000:01:00\","
						 "\"id\":\"gpu0\",\"bdf\":\"0000:01:00.0\"}"),
			 1);
	/* The power is on, says the controller, as it was asked to be. */
	assert_int_equal(fake_slot_controller(&fake, SLOT_POWER_STATUS), SLOT_POWER_STATUS_ON);
	fake_slot_finish(&fake);
}

/* The link that the card has, as far as the port goes; also after a reset. */
static void test_slot_insert_shows_the_cards_link(void **state)
{
	uint32_t link, status;
	struct fake_slot fake;

	(void)state;
	fake_slot_start_empty(&fake);
	fake_slot_insert(&fake);
	link = vfio_function_identity(fake.slot->card.fn[0].function).link_speed |
	       (uint32_t)vfio_function_identity(fake.slot->card.fn[0].function).link_width << 4;
	assert_int_not_equal(link, 0);
	for (unsigned int i = 0; i < 2; i++) {
		status = fake_slot_port_read(&fake, PCI_EXP_LNKSTA, 2);
		assert_int_equal(status & (PCI_EXP_LNKSTA_CLS | PCI_EXP_LNKSTA_NLW), link);
		fake_slot_reset(&fake);
	}
	root_port_set_link(fake.slot->port, 6, 32);
	assert_int_equal(fake_slot_port_read(&fake, PCI_EXP_LNKSTA, 2) &
				 (PCI_EXP_LNKSTA_CLS | PCI_EXP_LNKSTA_NLW), 5 | 16 << 4);
	fake_slot_finish(&fake);
}

/* In, at work, asleep, woken, out; again and again, and nothing is left behind. */
static void test_slot_is_used_again_and_again(void **state)
{
	unsigned int files = 0, routes = 0;
	struct fake_slot fake;

	(void)state;
	fake_slot_start_empty(&fake);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		fake_slot_insert(&fake);
		enable_card(&fake);
		assert_true(fake_mem_windows(fake.mem) > 0);
		fake_slot_set_pmcsr(&fake, 0, PCI_PM_CTRL_PME_ENABLE);
		fake_slot_switch(&fake, false);
		assert_true(fake.device[0]->engaged && fake.device[1]->engaged);
		assert_true(fake_backend_wake(fake.device[0]));
		fake_slot_await_pme(&fake);
		fake_slot_port_write(&fake, PCI_EXP_RTSTA, 4, PCI_EXP_RTSTA_PME);
		fake_slot_set_pmcsr(&fake, 0, PCI_PM_CTRL_PME_STATUS);
		fake_slot_switch(&fake, true);
		remove_card(&fake);
		assert_true(fake.device[0]->closed && fake.device[1]->closed);
		assert_int_equal(fake_mem_windows(fake.mem), 0);
		assert_int_equal(fake_slot_vendor(&fake, 0), ONES);
		assert_false(link_active(&fake));
		if (!round) {
			files = open_files();
			routes = fake_irq_route_count(fake.irq);
		}
	}
	assert_int_equal(open_files(), files);
	assert_int_equal(fake_irq_route_count(fake.irq), routes);
	assert_int_equal(fake_slot_logged(&fake, "\"event\":\"plug\""), ROUNDS);
	assert_int_equal(fake_slot_logged(&fake, "\"event\":\"unplug\",\"device\":\"0000:01:00\","
						 "\"id\":\"gpu0\",\"cause\":\"user\""), ROUNDS);
	assert_int_equal(fake_slot_logged(&fake, "\"to\":\"woken\""), ROUNDS);
	assert_int_equal(fake_slot_logged(&fake, "\"event\":\"counters\""), 2 * ROUNDS);
	fake_slot_finish(&fake);
}

/* Where the slot had its card from the start it may get another one as well. */
static void test_slot_of_the_start_is_used_again(void **state)
{
	struct vfio_slot_info info;
	const struct pci_dev *port;
	struct fake_slot fake;

	(void)state;
	fake_slot_prepare(&fake, false);
	fake_slot_build(&fake, "01:00.0,power=off");
	fake_slot_plug(&fake);
	port = root_port_pci(fake.slot->port);
	vfio_slot_info(fake.slot, &info);
	assert_int_equal(info.functions, 0x3);
	assert_false(info.d3cold);
	remove_card(&fake);
	fake_slot_insert(&fake);
	assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
	/* It may sleep deeper than what the guest was told of the first one. */
	assert_int_equal(fake_slot_logged(&fake, "offered no D3cold"), 1);
	vfio_slot_info(fake.slot, &info);
	assert_int_equal(info.functions, 0xff);
	assert_true(info.d3cold);
	/* From the guest's next reset on there is room for any card, too. */
	assert_in_range(port->given[PCI_WINDOW_PREFETCH].size, 1, GIB);
	vfio_slot_request_unplug(fake.slot);
	await_empty(&fake);
	fake_slot_reset(&fake);
	fake_slot_boot(&fake);
	assert_true(port->given[PCI_WINDOW_PREFETCH].size >= 64 * GIB);
	fake_slot_finish(&fake);
}

static void refuse(struct fake_slot *fake, int error, const char *sentence)
{
	struct vfio_card *card = fake_slot_card(fake, "01:00.0");
	char why[512] = "";

	assert_int_equal(vfio_slot_insert(fake->slot, card, why, sizeof(why)), error);
	if (!strstr(why, sentence))
		fail_msg("%s", why);
	vfio_card_close(card);
	assert_true(vfio_slot_is_empty(fake->slot));
	assert_int_equal(fake_slot_vendor(fake, 0), ONES);
	assert_int_equal(fake_slot_vendor(fake, 1), ONES);
	assert_int_equal(slot_status(fake), 0);
}

static void test_slot_insert_refuses_what_does_not_fit(void **state)
{
	struct fake_slot fake;
	struct pci_dev *port;

	(void)state;
	fake_slot_start_empty(&fake);
	port = root_port_pci(fake.slot->port);
	port->reserve[PCI_WINDOW_PREFETCH] = 16 * MIB;
	assert_int_equal(pci_host_assign(fake.pci), 0);
	refuse(&fake, -ENOSPC, "needs 32 MiB of prefetchable 64-bit memory (its largest BAR: 16 "
			       "MiB), and port 0 of the guest has 16 MiB");
	port->reserve[PCI_WINDOW_PREFETCH] = 32 * MIB;
	assert_int_equal(pci_host_assign(fake.pci), 0);
	fake_slot_insert(&fake);
	fake_slot_finish(&fake);
}

static void test_slot_insert_undoes_what_it_began(void **state)
{
	struct fake_pci_dev other;
	struct fake_slot fake;

	(void)state;
	fake_slot_start_empty(&fake);
	fake_pci_dev_init(&other);
	pci_cfg_set(&other.dev.cfg, PCI_VENDOR_ID, 2, ONES);
	assert_int_equal(pci_host_add(fake.pci, &other.dev, root_port_pci(fake.slot->port), 0), 0);
	refuse(&fake, -EEXIST, "cannot be added");
	pci_host_remove(&other.dev);
	pci_dev_finish(&other.dev);
	fake_slot_insert(&fake);
	fake_slot_finish(&fake);
}

static void test_slot_insert_needs_an_empty_slot(void **state)
{
	struct vfio_backend *backend[HOST_FUNCTIONS] = {NULL};
	struct fake_backend *device = fake_backend_create_gpu("0000:02:00.0", false);
	const struct vfio_slot_config config = {.bdf = "0000:02:00.0"};
	struct vfio_card *card;
	struct fake_slot fake;
	char why[512] = "";

	(void)state;
	fake_slot_start(&fake);
	backend[0] = &device->backend;
	assert_int_equal(vfio_card_build("0000:02:00", NULL, &config, NULL, fake.slot, backend,
					 &card, why, sizeof(why)), 0);
	assert_int_equal(vfio_slot_insert(fake.slot, card, why, sizeof(why)), -EBUSY);
	vfio_card_close(card);
	assert_true(device->closed);
	fake_backend_destroy(device);
	assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
	fake_slot_finish(&fake);
}

/* --- resets --- */

static void test_slot_reset_keeps_a_card(void **state)
{
	struct fake_slot fake;

	(void)state;
	start_with_new_card(&fake);
	fake_slot_switch(&fake, false);
	fake_slot_reset(&fake);
	fake_slot_boot(&fake);
	/* As one that was always there. */
	assert_int_equal(slot_status(&fake), PCI_EXP_SLTSTA_PDS);
	assert_false(fake_slot_port_read(&fake, PCI_EXP_SLTCTL, 2) & PCI_EXP_SLTCTL_PCC);
	assert_int_equal(fake_slot_vendor(&fake, 1), 0x1002);
	assert_int_not_equal(pci_host_cfg_read(fake.pci, FN_BDF(0), PCI_BASE_ADDRESS_0, 4) & ~15U,
			     0);
	fake_slot_finish(&fake);
}

/* A guest that did not eject has no say any more. */
static void test_slot_reset_takes_what_was_asked_for(void **state)
{
	struct fake_slot fake;

	(void)state;
	start_with_new_card(&fake);
	fake_slot_switch(&fake, false);
	vfio_slot_request_unplug(fake.slot);
	await_button(&fake);
	fake_slot_reset(&fake);
	assert_true(vfio_slot_is_empty(fake.slot));
	assert_int_equal(slot_status(&fake) & PCI_EXP_SLTSTA_PDS, 0);
	assert_int_equal(fake_slot_logged(&fake, "\"event\":\"unplug\""), 1);
	fake_slot_boot(&fake);
	fake_slot_insert(&fake);
	assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
	/* That was another card, which nobody asked for. */
	fake_slot_reset(&fake);
	assert_false(vfio_slot_is_empty(fake.slot));
	fake_slot_finish(&fake);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slot_empty_is_a_port_without_a_card),
		cmocka_unit_test(test_slot_insert_tells_the_guest),
		cmocka_unit_test(test_slot_insert_shows_the_cards_link),
		cmocka_unit_test(test_slot_is_used_again_and_again),
		cmocka_unit_test(test_slot_of_the_start_is_used_again),
		cmocka_unit_test(test_slot_insert_refuses_what_does_not_fit),
		cmocka_unit_test(test_slot_insert_undoes_what_it_began),
		cmocka_unit_test(test_slot_insert_needs_an_empty_slot),
		cmocka_unit_test(test_slot_reset_keeps_a_card),
		cmocka_unit_test(test_slot_reset_takes_what_was_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
