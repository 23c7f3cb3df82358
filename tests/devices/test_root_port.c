#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "devices/pci.h"
#include "devices/root_port.h"
#include "tests/fake_irq.h"
#include "tests/fake_pci.h"
#include "vmm/base/bits.h"

#define BDF 0x0008
#define PM 0x40
#define EXP 0x50
#define MSI 0x90
#define RTCTL (EXP + PCI_EXP_RTCTL)
#define RTSTA (EXP + PCI_EXP_RTSTA)
#define SLTCTL (EXP + PCI_EXP_SLTCTL)
#define SLTSTA (EXP + PCI_EXP_SLTSTA)
#define LNKSTA (EXP + PCI_EXP_LNKSTA)
#define PMCSR (PM + PCI_PM_CTRL)
#define AER 0x100
#define ROOT_COMMAND (AER + PCI_ERR_ROOT_COMMAND)
#define ROOT_STATUS (AER + PCI_ERR_ROOT_STATUS)
#define ERROR_SOURCE (AER + PCI_ERR_ROOT_ERR_SRC)
#define GSI 17 /* INTA of device 1 */
#define MSI_ADDRESS 0xfee02000U
#define MSI_DATA 0x4051U

struct fixture {
	struct fake_pci pci;
	struct root_port *port;
	unsigned int ejected;
};

/* Slot Control: what Linux' pciehp enables, and an occupied slot in working order. */
#define HOTPLUG (PCI_EXP_SLTCTL_HPIE | PCI_EXP_SLTCTL_ABPE | PCI_EXP_SLTCTL_DLLSCE)
#define POWERED (PCI_EXP_SLTCTL_ATTN_IND_OFF | PCI_EXP_SLTCTL_PWR_IND_ON)

static struct fixture fixture;

static void ejected(void *opaque)
{
	struct fixture *f = opaque;

	f->ejected++;
}

static int setup(void **state)
{
	const struct root_port_config config = {
		.slot_number = 1, .link_speed = 3, .link_width = 16,
		.ejected = ejected, .opaque = &fixture,
	};

	fixture = (struct fixture){0};
	fake_pci_start(&fixture.pci);
	fixture.port = root_port_create(&config);
	assert_int_equal(pci_host_add(fixture.pci.host, root_port_pci(fixture.port), NULL, BDF), 0);
	pci_host_cfg_write(fixture.pci.host, BDF, PCI_SECONDARY_BUS, 2, 0x0505);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	root_port_destroy(f->port);
	fake_pci_stop(&f->pci);
	return 0;
}

static void write_cfg(struct fixture *f, uint16_t off, unsigned int len, uint32_t value)
{
	pci_host_cfg_write(f->pci.host, BDF, off, len, value);
}

static uint32_t read_cfg(struct fixture *f, uint16_t off, unsigned int len)
{
	return pci_host_cfg_read(f->pci.host, BDF, off, len);
}

static void use_msi(struct fixture *f)
{
	write_cfg(f, MSI + PCI_MSI_ADDRESS_LO, 4, MSI_ADDRESS);
	write_cfg(f, MSI + PCI_MSI_DATA_64, 2, MSI_DATA);
	write_cfg(f, MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	write_cfg(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
}

/* Messages since the last call; each must be the one that the guest programmed. */
static unsigned int take_msis(struct fixture *f)
{
	unsigned int count = fake_irq_msi_count(f->pci.irq);

	for (unsigned int i = 0; i < count; i++) {
		assert_int_equal(fake_irq_msi(f->pci.irq, i).address, MSI_ADDRESS);
		assert_int_equal(fake_irq_msi(f->pci.irq, i).data, MSI_DATA);
	}
	fake_irq_forget_msis(f->pci.irq);
	return count;
}

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

/* --- slot --- */

static void use_hotplug(struct fixture *f)
{
	use_msi(f);
	write_cfg(f, SLTCTL, 2, POWERED | HOTPLUG);
}

/* Presence, link and their events are one; the guest gets one message and clears them all, as
 * Linux' service routine does. */
static void test_root_port_presence(void **state)
{
	const uint32_t changed = PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC;
	struct fixture *f = *state;

	use_hotplug(f);
	for (unsigned int i = 0; i < 4; i++) {
		bool present = i % 2;

		root_port_set_present(f->port, !present);
		assert_int_equal(take_msis(f), 0);
		root_port_set_present(f->port, present);
		assert_int_equal(read_cfg(f, SLTSTA, 2),
				 changed | (present ? PCI_EXP_SLTSTA_PDS : 0));
		assert_int_equal(read_cfg(f, LNKSTA, 2), present ? 0x3103 : 0x1103);
		assert_int_equal(take_msis(f), 1);
		write_cfg(f, SLTSTA, 2, PCI_EXP_SLTSTA_PDC);
		assert_int_equal(read_cfg(f, SLTSTA, 2) & changed, PCI_EXP_SLTSTA_DLLSC);
		write_cfg(f, SLTSTA, 2, 0xffff);
		assert_int_equal(read_cfg(f, SLTSTA, 2), present ? PCI_EXP_SLTSTA_PDS : 0);
		assert_int_equal(take_msis(f), 0);
	}
	assert_int_equal(f->ejected, 0);
	assert_int_equal(read_cfg(f, EXP + PCI_EXP_LNKCAP, 4) & PCI_EXP_LNKCAP_DLLLARC,
			 PCI_EXP_LNKCAP_DLLLARC);
}

/* A message for each time that the condition becomes true; none while it stays so. */
static void test_root_port_hotplug_messages(void **state)
{
	struct fixture *f = *state;

	use_msi(f);
	root_port_press_attention(f->port);
	assert_int_equal(take_msis(f), 0);
	write_cfg(f, SLTCTL, 2, POWERED | PCI_EXP_SLTCTL_HPIE);
	assert_int_equal(take_msis(f), 0);
	write_cfg(f, SLTCTL, 2, POWERED | HOTPLUG);
	assert_int_equal(take_msis(f), 1);
	root_port_press_attention(f->port);
	root_port_set_present(f->port, false);
	assert_int_equal(take_msis(f), 0);
	write_cfg(f, SLTSTA, 2, PCI_EXP_SLTSTA_ABP);
	assert_int_equal(take_msis(f), 0);
	write_cfg(f, SLTCTL, 2, POWERED | (HOTPLUG & ~PCI_EXP_SLTCTL_HPIE));
	write_cfg(f, SLTCTL, 2, POWERED | HOTPLUG);
	assert_int_equal(take_msis(f), 1);
	write_cfg(f, SLTSTA, 2, 0xffff);
	root_port_press_attention(f->port);
	assert_int_equal(take_msis(f), 1);
	assert_int_equal(fake_irq_line(f->pci.irq, GSI).rises, 0);
}

/* On the transition only, whatever the width of the write; a reset is none. */
static void test_root_port_ejected(void **state)
{
	static const struct {
		uint16_t off;
		unsigned int len;
		uint32_t value;
		unsigned int ejected;
	} steps[] = {
		{SLTCTL, 2, POWERED, 0},
		{SLTCTL, 2, POWERED | PCI_EXP_SLTCTL_PWR_OFF, 1},
		{SLTCTL, 2, POWERED | PCI_EXP_SLTCTL_PWR_OFF, 1},
		{SLTCTL, 1, PCI_EXP_SLTCTL_HPIE, 1},
		{SLTCTL, 2, POWERED, 1},
		{SLTCTL + 1, 1, PCI_EXP_SLTCTL_PWR_OFF >> 8, 2},
		{SLTCTL, 4, 0xffff0000 | POWERED, 2},
		{SLTCTL, 4, POWERED | PCI_EXP_SLTCTL_PWR_OFF, 3},
		{SLTSTA, 2, PCI_EXP_SLTCTL_PWR_OFF, 3},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
		write_cfg(f, steps[i].off, steps[i].len, steps[i].value);
		assert_int_equal(f->ejected, steps[i].ejected);
		assert_int_equal(read_cfg(f, SLTSTA, 2), PCI_EXP_SLTSTA_PDS);
	}
	root_port_set_present(f->port, false);
	pci_dev_reset(root_port_pci(f->port));
	assert_int_equal(f->ejected, 3);
	assert_int_equal(read_cfg(f, SLTCTL, 4), 0x000007c0);
	/* Power alone brings nothing back. */
	write_cfg(f, SLTCTL, 2, POWERED);
	assert_int_equal(read_cfg(f, SLTSTA, 2), 0);
	assert_int_equal(read_cfg(f, LNKSTA, 2), 0x1103);
}

/* Linux disables the interrupt of a sleeping port and leaves the button enabled: a press is then a
 * PME of the port itself. */
static void test_root_port_button_wakes_the_port(void **state)
{
	struct fixture *f = *state;

	use_msi(f);
	write_cfg(f, RTCTL, 2, PCI_EXP_RTCTL_PMEIE);
	write_cfg(f, SLTCTL, 2, POWERED | PCI_EXP_SLTCTL_ABPE);
	write_cfg(f, PMCSR, 2, PCI_PM_CTRL_PME_ENABLE | 3);
	root_port_pme(f->port, 1);
	assert_int_equal(take_msis(f), 1);
	root_port_press_attention(f->port);
	root_port_press_attention(f->port);
	assert_int_equal(read_cfg(f, PMCSR, 2), 0x810b);
	assert_int_equal(read_cfg(f, RTSTA, 4),
			 PCI_EXP_RTSTA_PENDING | PCI_EXP_RTSTA_PME | 0x0501);
	write_cfg(f, RTSTA, 4, PCI_EXP_RTSTA_PME);
	assert_int_equal(read_cfg(f, RTSTA, 4), PCI_EXP_RTSTA_PME | BDF);
	assert_int_equal(take_msis(f), 1);
	assert_false(root_port_pme_outstanding(f->port, BDF));
	write_cfg(f, RTSTA, 4, PCI_EXP_RTSTA_PME);
	assert_int_equal(read_cfg(f, RTSTA, 4), 0);
	/* Awake, it is an interrupt again, of what has been pending. */
	write_cfg(f, PMCSR, 2, PCI_PM_CTRL_PME_STATUS);
	assert_int_equal(take_msis(f), 0);
	write_cfg(f, SLTCTL, 2, POWERED | HOTPLUG);
	assert_int_equal(take_msis(f), 1);
}

/* No PME of the port when it is awake, when PMCSR does not enable it, or for a button that is not
 * enabled; a change of presence needs no enable. */
static void test_root_port_events_that_do_not_wake(void **state)
{
	static const struct {
		bool press;
		uint32_t pmcsr, control;
		bool wakes;
	} cases[] = {
		{true, PCI_PM_CTRL_PME_ENABLE, PCI_EXP_SLTCTL_ABPE, false},
		{true, 3, PCI_EXP_SLTCTL_ABPE, false},
		{true, PCI_PM_CTRL_PME_ENABLE | 3, PCI_EXP_SLTCTL_DLLSCE, false},
		{true, PCI_PM_CTRL_PME_ENABLE | 3, PCI_EXP_SLTCTL_ABPE, true},
		{false, PCI_PM_CTRL_PME_ENABLE, PCI_EXP_SLTCTL_DLLSCE, false},
		{false, 3, PCI_EXP_SLTCTL_DLLSCE, false},
		{false, PCI_PM_CTRL_PME_ENABLE | 3, PCI_EXP_SLTCTL_ABPE, true},
	};
	struct fixture *f = *state;
	bool present = true;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		write_cfg(f, PMCSR, 2, cases[i].pmcsr);
		write_cfg(f, SLTCTL, 2, POWERED | cases[i].control);
		if (cases[i].press)
			root_port_press_attention(f->port);
		else
			root_port_set_present(f->port, present = !present);
		assert_int_equal(read_cfg(f, RTSTA, 4),
				 cases[i].wakes ? PCI_EXP_RTSTA_PME | BDF : 0);
		assert_int_equal(!!(read_cfg(f, PMCSR, 2) & PCI_PM_CTRL_PME_STATUS),
				 cases[i].wakes);
		write_cfg(f, PMCSR, 2, PCI_PM_CTRL_PME_STATUS);
		write_cfg(f, RTSTA, 4, PCI_EXP_RTSTA_PME);
		write_cfg(f, SLTSTA, 2, 0xffff);
	}
	/* One that waits is dropped when the guest wakes the port by itself. */
	root_port_pme(f->port, 1);
	write_cfg(f, SLTCTL, 2, POWERED | PCI_EXP_SLTCTL_ABPE);
	write_cfg(f, PMCSR, 2, PCI_PM_CTRL_PME_ENABLE | 3);
	root_port_press_attention(f->port);
	write_cfg(f, PMCSR, 2, PCI_PM_CTRL_PME_STATUS);
	assert_int_equal(read_cfg(f, RTSTA, 4), PCI_EXP_RTSTA_PME | 0x0501);
}

/* --- errors --- */

/* As Linux leaves a port whose errors are its own. */
static void use_aer(struct fixture *f)
{
	write_cfg(f, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_SERR);
	write_cfg(f, EXP + PCI_EXP_DEVCTL, 2, 0x000f);
	write_cfg(f, ROOT_COMMAND, 4, 7);
}

static void test_root_port_errors_by_msi(void **state)
{
	struct fixture *f = *state;

	use_msi(f);
	use_aer(f);
	root_port_report_error(f->port, 0x01, ROOT_PORT_FATAL);
	assert_int_equal(take_msis(f), 1);
	assert_int_equal(read_cfg(f, ROOT_STATUS, 4), 0x54);
	assert_int_equal(read_cfg(f, ERROR_SOURCE, 4), 0x05010000);
	/* The ID is that of the time of the message. */
	write_cfg(f, PCI_SECONDARY_BUS, 1, 7);
	root_port_report_error(f->port, 0x02, ROOT_PORT_CORRECTABLE);
	root_port_report_error(f->port, 0x03, ROOT_PORT_NONFATAL);
	assert_int_equal(take_msis(f), 0);
	assert_int_equal(read_cfg(f, ROOT_STATUS, 4), 0x7d);
	assert_int_equal(read_cfg(f, ERROR_SOURCE, 4), 0x05010702);
	write_cfg(f, ROOT_STATUS, 4, 0x7d);
	assert_int_equal(read_cfg(f, ROOT_STATUS, 4), 0);
	root_port_report_error(f->port, 0x03, ROOT_PORT_NONFATAL);
	assert_int_equal(take_msis(f), 1);
	assert_int_equal(read_cfg(f, ROOT_STATUS, 4), 0x24);
	/* Secondary side: Received System Error. */
	assert_int_equal(read_cfg(f, PCI_SEC_STATUS, 2), PCI_STATUS_SIG_SYSTEM_ERROR);
	write_cfg(f, ROOT_COMMAND, 4, 0);
	write_cfg(f, ROOT_COMMAND, 4, 2);
	assert_int_equal(take_msis(f), 1);
}

/* What lets an error through, and what shows of it in the status of the two sides. */
static void test_root_port_error_forwarding(void **state)
{
	static const struct {
		uint32_t bridge, command, control;
		uint32_t recorded; /* bit: enum root_port_error */
	} cases[] = {
		{0, PCI_COMMAND_SERR, 0x0007, 0},
		{PCI_BRIDGE_CTL_SERR, 0, 0x0000, 0},
		{PCI_BRIDGE_CTL_SERR, 0, 0x0001, 1U << ROOT_PORT_CORRECTABLE},
		{PCI_BRIDGE_CTL_SERR, 0, 0x0002, 1U << ROOT_PORT_NONFATAL},
		{PCI_BRIDGE_CTL_SERR, 0, 0x0004, 1U << ROOT_PORT_FATAL},
		{PCI_BRIDGE_CTL_SERR, PCI_COMMAND_SERR, 0x0000,
		 1U << ROOT_PORT_NONFATAL | 1U << ROOT_PORT_FATAL},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases) * 3; i++) {
		enum root_port_error error = i % 3;
		bool recorded = cases[i / 3].recorded & 1U << error;
		bool uncorrectable = error != ROOT_PORT_CORRECTABLE;
		bool signaled = uncorrectable && recorded && cases[i / 3].command;

		write_cfg(f, PCI_BRIDGE_CONTROL, 2, cases[i / 3].bridge);
		write_cfg(f, PCI_COMMAND, 2, cases[i / 3].command);
		write_cfg(f, EXP + PCI_EXP_DEVCTL, 2, cases[i / 3].control);
		root_port_report_error(f->port, 0, error);
		assert_int_equal(read_cfg(f, ROOT_STATUS, 4) != 0, recorded);
		assert_int_equal(read_cfg(f, PCI_STATUS, 2),
				 PCI_STATUS_CAP_LIST |
					 (signaled ? PCI_STATUS_SIG_SYSTEM_ERROR : 0));
		assert_int_equal(read_cfg(f, PCI_SEC_STATUS, 2),
				 uncorrectable ? PCI_STATUS_SIG_SYSTEM_ERROR : 0);
		write_cfg(f, PCI_STATUS, 2, 0xffff);
		write_cfg(f, PCI_SEC_STATUS, 2, 0xffff);
		write_cfg(f, ROOT_STATUS, 4, 0xffffffff);
		assert_int_equal(read_cfg(f, ROOT_STATUS, 4), 0);
	}
}

/* --- all sources --- */

/* INTx is high as long as one of the three wants it. */
static void test_root_port_sources_share_intx(void **state)
{
	struct fixture *f = *state;

	use_aer(f);
	write_cfg(f, RTCTL, 2, PCI_EXP_RTCTL_PMEIE);
	write_cfg(f, SLTCTL, 2, POWERED | HOTPLUG);
	assert_false(fake_irq_level(f->pci.irq, GSI));
	root_port_press_attention(f->port);
	assert_true(fake_irq_level(f->pci.irq, GSI));
	root_port_report_error(f->port, 0, ROOT_PORT_CORRECTABLE);
	root_port_pme(f->port, 0);
	write_cfg(f, SLTSTA, 2, PCI_EXP_SLTSTA_ABP);
	write_cfg(f, RTSTA, 4, PCI_EXP_RTSTA_PME);
	assert_true(fake_irq_level(f->pci.irq, GSI));
	write_cfg(f, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	assert_false(fake_irq_level(f->pci.irq, GSI));
	write_cfg(f, PCI_COMMAND, 2, 0);
	assert_true(fake_irq_level(f->pci.irq, GSI));
	write_cfg(f, ROOT_STATUS, 4, PCI_ERR_ROOT_COR_RCV);
	assert_false(fake_irq_level(f->pci.irq, GSI));
	assert_int_equal(take_msis(f), 0);
}

/* Each has its own edge: none hides behind another that is pending. */
static void test_root_port_sources_have_their_own_messages(void **state)
{
	struct fixture *f = *state;

	use_hotplug(f);
	use_aer(f);
	write_cfg(f, RTCTL, 2, PCI_EXP_RTCTL_PMEIE);
	root_port_pme(f->port, 0);
	assert_int_equal(take_msis(f), 1);
	root_port_press_attention(f->port);
	assert_int_equal(take_msis(f), 1);
	root_port_report_error(f->port, 0, ROOT_PORT_FATAL);
	assert_int_equal(take_msis(f), 1);
	write_cfg(f, RTSTA, 4, PCI_EXP_RTSTA_PME);
	root_port_pme(f->port, 0);
	assert_int_equal(take_msis(f), 1);
	/* All at once are one message of the one vector. */
	write_cfg(f, PCI_COMMAND, 2, 0);
	write_cfg(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_int_equal(take_msis(f), 1);
}

/* The slot stays as it is, all else is as at the beginning. */
static void test_root_port_reset_keeps_presence(void **state)
{
	struct fixture *f = *state;

	for (unsigned int present = 0; present < 2; present++) {
		use_aer(f);
		write_cfg(f, SLTCTL, 2, POWERED | HOTPLUG);
		root_port_set_present(f->port, present);
		root_port_press_attention(f->port);
		root_port_report_error(f->port, 0, ROOT_PORT_FATAL);
		assert_true(fake_irq_level(f->pci.irq, GSI));
		pci_dev_reset(root_port_pci(f->port));
		assert_false(fake_irq_level(f->pci.irq, GSI));
		assert_int_equal(read_cfg(f, SLTCTL, 4), present ? 0x004001c0 : 0x000007c0);
		assert_int_equal(read_cfg(f, LNKSTA, 2), present ? 0x3103 : 0x1103);
		assert_int_equal(read_cfg(f, ROOT_STATUS, 4), 0);
		assert_int_equal(read_cfg(f, ERROR_SOURCE, 4), 0);
		assert_int_equal(read_cfg(f, ROOT_COMMAND, 4), 0);
	}
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
		CASE(presence),
		CASE(hotplug_messages),
		CASE(ejected),
		CASE(button_wakes_the_port),
		CASE(events_that_do_not_wake),
		CASE(errors_by_msi),
		CASE(error_forwarding),
		CASE(sources_share_intx),
		CASE(sources_have_their_own_messages),
		CASE(reset_keeps_presence),
	};

	return cmocka_run_group_tests_name("root_port", tests, NULL, NULL);
}
