/* The root port without its slot: what it is, and PMEs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/devices/root_port_bench.h"

/* Write the complement of every dword, read back: what changed is what is writable. */
static void test_root_port_writable_mask(void **state)
{
	static const struct {
		uint16_t off;
		uint32_t mask;
	} writable[] = {
		{PCI_COMMAND, 0x0547},
		{PCI_CACHE_LINE_SIZE, 0x000000ff},
		{PCI_PRIMARY_BUS, 0x00ffffff},
		{PCI_IO_BASE, 0x0000f0f0},
		{PCI_MEMORY_BASE, 0xfff0fff0},
		{PCI_PREF_MEMORY_BASE, 0xfff0fff0},
		{PCI_PREF_BASE_UPPER32, 0xffffffff},
		{PCI_PREF_LIMIT_UPPER32, 0xffffffff},
		{PCI_INTERRUPT_LINE, 0x004300ff},
		{PM + PCI_PM_CTRL, 0x00000103},
		{EXP + PCI_EXP_DEVCTL, 0x0000000f},
		{EXP + PCI_EXP_LNKCTL, 0x000000c3},
		{SLTCTL, 0x000017e9},
		{EXP + PCI_EXP_RTCTL, 0x0000000f},
		{EXP + PCI_EXP_LNKCTL2, 0x000003bf},
		{MSI, 0x00710000},
		{MSI + PCI_MSI_ADDRESS_LO, 0xfffffffc},
		{MSI + PCI_MSI_ADDRESS_HI, 0xffffffff},
		{MSI + PCI_MSI_DATA_64, 0x0000ffff},
		{AER + PCI_ERR_UNCOR_MASK, 0x0017f010},
		{AER + PCI_ERR_UNCOR_SEVER, 0x0017f010},
		{AER + PCI_ERR_COR_MASK, 0x000031c1},
		{ROOT_COMMAND, 0x00000007},
	};
	struct fixture *f = *state;

	for (uint16_t off = 0; off < PCI_CFG_LEN; off += 4) {
		uint32_t before = read_cfg(f, off, 4), expected = 0;

		for (unsigned int i = 0; i < ARRAY_SIZE(writable); i++)
			if (writable[i].off == off)
				expected = writable[i].mask;
		write_cfg(f, off, 4, ~before);
		assert_int_equal(read_cfg(f, off, 4) ^ before, expected);
		write_cfg(f, off, 4, before);
		assert_int_equal(read_cfg(f, off, 4), before);
	}
}

static void test_root_port_identity(void **state)
{
	static const struct {
		uint16_t off;
		unsigned int len;
		uint32_t value;
	} cases[] = {
		{PCI_VENDOR_ID, 4, 0x000c1b36},
		{PCI_CLASS_REVISION, 4, 0x06040000},
		{PCI_HEADER_TYPE, 1, 1},
		{PCI_INTERRUPT_PIN, 1, 1},
		{PM + PCI_PM_PMC, 2, 0xc803},
		{PM + PCI_PM_CTRL, 4, 0x0008},
		{EXP + PCI_EXP_FLAGS, 2, 0x0142},
		{EXP + PCI_EXP_LNKCAP, 4, 0x01500103},
		{EXP + PCI_EXP_LNKSTA, 2, 0x3103},
		{EXP + PCI_EXP_SLTCAP, 4, 0x000c007b},
		{SLTCTL, 4, 0x004001c0},
		{EXP + PCI_EXP_RTCAP, 2, 0},
		{EXP + PCI_EXP_LNKCAP2, 4, 0x0e},
		{AER, 4, 0x00020001},
		{AER + PCI_ERR_UNCOR_STATUS, 4, 0},
		{AER + PCI_ERR_UNCOR_MASK, 4, 0},
		{AER + PCI_ERR_UNCOR_SEVER, 4, 0x00062010},
		{AER + PCI_ERR_COR_STATUS, 4, 0},
		{AER + PCI_ERR_COR_MASK, 4, 0x00002000},
		{AER + PCI_ERR_CAP, 4, 0},
		{ROOT_STATUS, 4, 0},
		{AER + 0x38, 4, 0},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(read_cfg(f, cases[i].off, cases[i].len), cases[i].value);
}

static void test_root_port_without_link_config(void **state)
{
	const struct root_port_config config = {.slot_number = 2};
	struct root_port *port = root_port_create(&config);
	const struct pci_cfg *cfg = &root_port_pci(port)->cfg;

	(void)state;
	assert_int_equal(pci_cfg_read(cfg, EXP + PCI_EXP_LNKCAP, 4), 0x02500011);
	assert_int_equal(pci_cfg_read(cfg, EXP + PCI_EXP_LNKSTA, 2), 0x3011);
	assert_int_equal(pci_cfg_read(cfg, EXP + PCI_EXP_LNKCAP2, 4), 0x02);
	root_port_destroy(port);
	root_port_destroy(NULL);
}

/* The order of Linux' service routine: clear PMEIE, clear status, handle, set PMEIE. */
static void test_root_port_pme_by_msi(void **state)
{
	struct fixture *f = *state;

	use_msi(f);
	write_cfg(f, RTCTL, 2, PCI_EXP_RTCTL_PMEIE);
	root_port_pme(f->port, 0x01);
	assert_int_equal(take_msis(f), 1);
	assert_int_equal(read_cfg(f, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, 0);
	assert_int_equal(read_cfg(f, RTSTA, 4), PCI_EXP_RTSTA_PME | 0x0501);
	root_port_pme(f->port, 0x02);
	root_port_pme(f->port, 0x01);
	assert_int_equal(take_msis(f), 0);
	assert_int_equal(read_cfg(f, RTSTA, 4),
			 PCI_EXP_RTSTA_PENDING | PCI_EXP_RTSTA_PME | 0x0501);
	assert_true(root_port_pme_outstanding(f->port, 2));

	write_cfg(f, RTCTL, 2, 0);
	write_cfg(f, RTSTA, 4, PCI_EXP_RTSTA_PME);
	assert_int_equal(read_cfg(f, RTSTA, 4), PCI_EXP_RTSTA_PME | 0x0502);
	assert_int_equal(take_msis(f), 0);
	write_cfg(f, RTCTL, 2, PCI_EXP_RTCTL_PMEIE);
	assert_int_equal(take_msis(f), 1);
	write_cfg(f, RTSTA, 4, PCI_EXP_RTSTA_PME);
	assert_int_equal(read_cfg(f, RTSTA, 4), 0);
	assert_false(root_port_pme_outstanding(f->port, 2));
	assert_int_equal(take_msis(f), 0);
	assert_int_equal(fake_irq_line(f->pci.irq, GSI).rises, 0);
}

/* Status stays set across the write that clears it when another one waits: a new message. */
static void test_root_port_next_requester_is_a_new_edge(void **state)
{
	struct fixture *f = *state;

	use_msi(f);
	write_cfg(f, RTCTL, 2, PCI_EXP_RTCTL_PMEIE);
	for (uint8_t devfn = 0; devfn < 8; devfn++)
		root_port_pme(f->port, devfn);
	assert_int_equal(take_msis(f), 1);
	for (unsigned int i = 0; i < 8; i++) {
		assert_int_equal(read_cfg(f, RTSTA, 2), 0x0500 + i);
		write_cfg(f, RTSTA, 4, PCI_EXP_RTSTA_PME);
		assert_int_equal(take_msis(f), i < 7);
	}
	assert_int_equal(read_cfg(f, RTSTA, 4), 0);
}

/* Each register write that completes the condition sends the message that was held back. */
static void test_root_port_msi_when_the_last_gate_opens(void **state)
{
	static const struct {
		uint16_t off;
		uint32_t closed, open;
	} gates[] = {
		{RTCTL, 0, PCI_EXP_RTCTL_PMEIE},
		{PCI_COMMAND, 0, PCI_COMMAND_MASTER},
		{MSI + PCI_MSI_FLAGS, 0, PCI_MSI_FLAGS_ENABLE},
	};
	struct fixture *f = *state;

	use_msi(f);
	write_cfg(f, RTCTL, 2, PCI_EXP_RTCTL_PMEIE);
	for (unsigned int i = 0; i < ARRAY_SIZE(gates); i++) {
		write_cfg(f, gates[i].off, 2, gates[i].closed);
		root_port_pme(f->port, 0);
		assert_int_equal(take_msis(f), 0);
		write_cfg(f, PCI_INTERRUPT_LINE, 1, i);
		assert_int_equal(take_msis(f), 0);
		write_cfg(f, gates[i].off, 2, gates[i].open);
		assert_int_equal(take_msis(f), 1);
		write_cfg(f, gates[i].off, 2, gates[i].open);
		assert_int_equal(take_msis(f), 0);
		write_cfg(f, RTSTA, 4, PCI_EXP_RTSTA_PME);
	}
}

static void test_root_port_pme_by_intx(void **state)
{
	static const struct {
		uint16_t off;
		uint32_t value;
		bool level;
	} steps[] = {
		{RTCTL, PCI_EXP_RTCTL_PMEIE, true},
		{PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, false},
		{PCI_COMMAND, 0, true},
		{MSI + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE, false},
		{MSI + PCI_MSI_FLAGS, 0, true},
		{RTCTL, 0, false},
		{RTCTL, PCI_EXP_RTCTL_PMEIE, true},
		{RTSTA + 2, 1, true}, /* the second requester is shown */
		{RTSTA + 2, 1, false},
	};
	struct fixture *f = *state;

	root_port_pme(f->port, 1);
	root_port_pme(f->port, 2);
	assert_false(fake_irq_level(f->pci.irq, GSI));
	for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
		write_cfg(f, steps[i].off, 2, steps[i].value);
		assert_int_equal(fake_irq_level(f->pci.irq, GSI), steps[i].level);
	}
	assert_int_equal(take_msis(f), 0);
}

/* The writes that reach PMEIE and PME Status, in every width, and those that must not. */
static void test_root_port_any_access_width(void **state)
{
	static const struct {
		uint16_t off;
		unsigned int len;
		uint32_t value;
		bool enables;
	} controls[] = {
		{RTCTL, 1, 0x08, true}, {RTCTL, 2, 0x08, true}, {RTCTL, 4, 0x08, true},
		{RTCTL, 4, 0xffff0008, true}, {RTCTL + 1, 1, 0x08, false},
		{RTCTL + 2, 2, 0x08, false},
	};
	static const struct {
		uint16_t off;
		unsigned int len;
		uint32_t value;
		bool clears;
	} statuses[] = {
		{RTSTA, 4, 0x00010000, true},  {RTSTA, 4, 0xffffffff, true},
		{RTSTA + 2, 1, 0x01, true},    {RTSTA + 2, 2, 0x0001, true},
		{RTSTA, 4, 0x0002ffff, false}, {RTSTA, 2, 0xffff, false},
		{RTSTA, 1, 0xff, false},       {RTSTA + 3, 1, 0xff, false},
		{RTSTA + 2, 1, 0xfe, false},
	};
	struct fixture *f = *state;

	use_msi(f);
	for (unsigned int i = 0; i < ARRAY_SIZE(controls); i++) {
		write_cfg(f, RTCTL, 2, 0);
		root_port_pme(f->port, 0);
		take_msis(f);
		write_cfg(f, controls[i].off, controls[i].len, controls[i].value);
		assert_int_equal(take_msis(f), controls[i].enables);
		assert_int_equal(read_cfg(f, RTCTL, 4), controls[i].enables ? 8 : 0);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(statuses); i++) {
		root_port_pme(f->port, 0);
		write_cfg(f, statuses[i].off, statuses[i].len, statuses[i].value);
		assert_int_equal(read_cfg(f, RTSTA, 4),
				 statuses[i].clears ? 0 : PCI_EXP_RTSTA_PME | 0x0500);
		assert_int_equal(root_port_pme_outstanding(f->port, 0), !statuses[i].clears);
		for (unsigned int b = 0; b < 4; b++)
			assert_int_equal(read_cfg(f, RTSTA + b, 1),
					 read_cfg(f, RTSTA, 4) >> (8 * b) & 0xff);
	}
}

static void test_root_port_requester_has_the_current_bus(void **state)
{
	struct fixture *f = *state;

	root_port_pme(f->port, 0x03);
	root_port_pme(f->port, 0x04);
	write_cfg(f, PCI_SECONDARY_BUS, 1, 0x77);
	assert_int_equal(read_cfg(f, RTSTA, 2), 0x7703);
	write_cfg(f, RTSTA, 4, PCI_EXP_RTSTA_PME);
	write_cfg(f, PCI_PRIMARY_BUS, 4, 0x00202000);
	assert_int_equal(read_cfg(f, RTSTA, 2), 0x2004);
}

static void test_root_port_forget(void **state)
{
	struct fixture *f = *state;

	for (uint8_t devfn = 0; devfn < 4; devfn++)
		root_port_pme(f->port, devfn);
	root_port_pme_forget(f->port, 1);
	assert_false(root_port_pme_outstanding(f->port, 1));
	assert_int_equal(read_cfg(f, RTSTA, 4),
			 PCI_EXP_RTSTA_PENDING | PCI_EXP_RTSTA_PME | 0x0500);
	root_port_pme_forget(f->port, -1);
	assert_int_equal(read_cfg(f, RTSTA, 4), PCI_EXP_RTSTA_PME | 0x0500);
	assert_false(root_port_pme_outstanding(f->port, 3));
	/* What the guest can already see stays until it clears it. */
	assert_true(root_port_pme_outstanding(f->port, 0));
}

/* Asleep, not bus master, in whatever state: a PME still reaches the guest. */
static void test_root_port_pme_in_d3hot(void **state)
{
	struct fixture *f = *state;

	use_msi(f);
	write_cfg(f, RTCTL, 2, PCI_EXP_RTCTL_PMEIE);
	write_cfg(f, PM + PCI_PM_CTRL, 2, 3);
	assert_int_equal(read_cfg(f, PM + PCI_PM_CTRL, 2), 0x000b);
	root_port_pme(f->port, 0);
	assert_int_equal(take_msis(f), 1);
	assert_int_equal(read_cfg(f, RTSTA, 4), PCI_EXP_RTSTA_PME | 0x0500);
	write_cfg(f, RTSTA, 4, PCI_EXP_RTSTA_PME);
	assert_int_equal(read_cfg(f, RTSTA, 4), 0);
}

static void test_root_port_reset(void **state)
{
	struct fixture *f = *state;

	write_cfg(f, RTCTL, 2, PCI_EXP_RTCTL_PMEIE);
	root_port_pme(f->port, 0);
	root_port_pme(f->port, 1);
	assert_true(fake_irq_level(f->pci.irq, GSI));
	pci_dev_reset(root_port_pci(f->port));
	assert_false(fake_irq_level(f->pci.irq, GSI));
	assert_int_equal(read_cfg(f, RTCTL, 4), 0);
	assert_int_equal(read_cfg(f, RTSTA, 4), 0);
	assert_int_equal(read_cfg(f, PCI_PRIMARY_BUS, 4), 0);
	assert_false(root_port_pme_outstanding(f->port, 0) ||
		     root_port_pme_outstanding(f->port, 1));
	use_msi(f);
	write_cfg(f, RTCTL, 2, PCI_EXP_RTCTL_PMEIE);
	assert_int_equal(take_msis(f), 0);
	root_port_pme(f->port, 1);
	assert_int_equal(take_msis(f), 1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(test_root_port_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(writable_mask),
		CASE(identity),
		CASE(without_link_config),
		CASE(pme_by_msi),
		CASE(next_requester_is_a_new_edge),
		CASE(msi_when_the_last_gate_opens),
		CASE(pme_by_intx),
		CASE(any_access_width),
		CASE(requester_has_the_current_bus),
		CASE(forget),
		CASE(pme_in_d3hot),
		CASE(reset),
	};

	return cmocka_run_group_tests_name("root_port", tests, NULL, NULL);
}
