#include <linux/pci.h>
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/pci_internal.h"
#include "devices/root_port.h"
#include "tests/fake_pci.h"
#include "vmm/base/bits.h"
#include "vmm/bus.h"

#define PORT_BDF 0x0008
#define DEV_BDF 0x0500
#define MEM 0xc1000000ULL
#define MEM_SIZE 0x2000U
#define PREF (FAKE_PCI_MMIO64_START + 8 * GIB)
#define PREF_SIZE (8 * GIB)
#define IO 0x2000U
#define IO_SIZE 0x20U
#define ROM 0xc1100000ULL
#define ROM_SIZE 0x800U
#define DECODE (PCI_COMMAND_IO | PCI_COMMAND_MEMORY)
#define PM_CTRL (0x40 + PCI_PM_CTRL)
#define PORT_PM_CTRL (0x40 + PCI_PM_CTRL)

/* A root port with bus 5 below it, and a function there with one BAR of each sort, all of them
 * decoding: 0 memory, 1 I/O, 2 and 3 prefetchable memory, and the ROM. */
struct fixture {
	struct fake_pci pci;
	struct root_port *port;
	struct fake_pci_dev fake;
};

static struct fixture fixture;

static void write_cfg(struct fixture *f, uint16_t bdf, uint16_t off, unsigned int len,
		      uint32_t value)
{
	pci_host_cfg_write(f->pci.host, bdf, off, len, value);
}

static uint32_t read_cfg(struct fixture *f, uint16_t bdf, uint16_t off, unsigned int len)
{
	return pci_host_cfg_read(f->pci.host, bdf, off, len);
}

static void open_port(struct fixture *f)
{
	write_cfg(f, PORT_BDF, PCI_PRIMARY_BUS, 4, 0x070500);
	write_cfg(f, PORT_BDF, PCI_IO_BASE, 2, 0x2020);
	write_cfg(f, PORT_BDF, PCI_MEMORY_BASE, 4, 0xc110c100);
	write_cfg(f, PORT_BDF, PCI_PREF_MEMORY_BASE, 4, 0xfff00000);
	write_cfg(f, PORT_BDF, PCI_PREF_BASE_UPPER32, 4, PREF >> 32);
	write_cfg(f, PORT_BDF, PCI_PREF_LIMIT_UPPER32, 4, (PREF + PREF_SIZE - 1) >> 32);
	write_cfg(f, PORT_BDF, PCI_COMMAND, 2, DECODE);
}

static void place_bars(struct fixture *f)
{
	write_cfg(f, DEV_BDF, PCI_BASE_ADDRESS_0, 4, MEM);
	write_cfg(f, DEV_BDF, PCI_BASE_ADDRESS_1, 4, IO);
	write_cfg(f, DEV_BDF, PCI_BASE_ADDRESS_2, 4, (uint32_t)PREF);
	write_cfg(f, DEV_BDF, PCI_BASE_ADDRESS_3, 4, PREF >> 32);
	write_cfg(f, DEV_BDF, PCI_ROM_ADDRESS, 4, ROM | PCI_ROM_ADDRESS_ENABLE);
	write_cfg(f, DEV_BDF, PCI_COMMAND, 2, DECODE);
}

static int setup(void **state)
{
	struct pci_dev *dev = &fixture.fake.dev;

	fake_pci_start(&fixture.pci);
	fixture.port = fake_pci_add_port(&fixture.pci, PORT_BDF);
	fake_pci_dev_init(&fixture.fake);
	pci_dev_set_bar(dev, 0, MEM_SIZE, 0);
	pci_dev_set_bar(dev, 1, IO_SIZE, PCI_BASE_ADDRESS_SPACE_IO);
	pci_dev_set_bar(dev, 2, PREF_SIZE,
			PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
	pci_dev_set_bar(dev, PCI_BAR_ROM, ROM_SIZE, 0);
	if (pci_host_add(fixture.pci.host, dev, root_port_pci(fixture.port), 0))
		return -1;
	open_port(&fixture);
	place_bars(&fixture);
	fake_pci_dev_forget(&fixture.fake);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pci_dev_finish(&f->fake.dev);
	root_port_destroy(f->port);
	fake_pci_stop(&f->pci);
	return 0;
}

/* Which BARs decode, one bit each. */
static unsigned int mapped(struct fixture *f)
{
	unsigned int bars = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(f->fake.dev.bar); i++)
		bars |= (unsigned int)f->fake.dev.bar[i].mapped << i;
	return bars;
}

#define BAR_MEM 0x01
#define BAR_IO 0x02
#define BAR_PREF 0x04
#define BAR_ROM 0x40
#define BAR_ALL (BAR_MEM | BAR_IO | BAR_PREF | BAR_ROM)

/* Does an access at the place of each BAR arrive? Must agree with what was announced. */
static void check_answers(struct fixture *f, unsigned int expected)
{
	assert_int_equal(mapped(f), expected);
	assert_int_equal(fake_pci_read(&f->pci, MEM + MEM_SIZE - 4, 4),
			 expected & BAR_MEM ? 0x55667788 : 0xffffffff);
	assert_int_equal(fake_pci_in(&f->pci, IO, 2), expected & BAR_IO ? 0x7788 : 0xffff);
	assert_int_equal(fake_pci_read(&f->pci, PREF + PREF_SIZE - 8, 8),
			 expected & BAR_PREF ? 0x1122334455667788 : ~0ULL);
	assert_int_equal(fake_pci_read(&f->pci, ROM, 1), expected & BAR_ROM ? 0x88 : 0xff);
	fake_pci_dev_forget(&f->fake);
}

static void test_pci_bar_sizing(void **state)
{
	static const struct {
		uint16_t reg;
		uint32_t sized;
	} cases[] = {
		{PCI_BASE_ADDRESS_0, 0xffffe000}, {PCI_BASE_ADDRESS_1, 0xffffffe1},
		{PCI_BASE_ADDRESS_2, 0x0000000c}, {PCI_BASE_ADDRESS_3, 0xfffffffe},
		{PCI_BASE_ADDRESS_4, 0},          {PCI_BASE_ADDRESS_5, 0},
		{PCI_ROM_ADDRESS, 0xfffff801},
	};
	struct fixture *f = *state;

	write_cfg(f, DEV_BDF, PCI_COMMAND, 2, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t before = read_cfg(f, DEV_BDF, cases[i].reg, 4);

		write_cfg(f, DEV_BDF, cases[i].reg, 4, 0xffffffff);
		assert_int_equal(read_cfg(f, DEV_BDF, cases[i].reg, 4), cases[i].sized);
		write_cfg(f, DEV_BDF, cases[i].reg, 4, before);
		assert_int_equal(read_cfg(f, DEV_BDF, cases[i].reg, 4), before);
	}
	write_cfg(f, DEV_BDF, PCI_COMMAND, 2, DECODE);
	check_answers(f, BAR_ALL);
}

static void test_pci_bar_accesses_reach_the_device(void **state)
{
	struct fixture *f = *state;
	const struct fake_pci_call *call = f->fake.call;

	fake_pci_write(&f->pci, MEM + 0x1ffe, 2, 0xabcd);
	fake_pci_out(&f->pci, IO + 0x1f, 1, 0x5a);
	fake_pci_read(&f->pci, PREF + 5 * GIB, 8);
	assert_int_equal(f->fake.calls, 3);
	assert_true(call[0].type == FAKE_BAR_WRITE && call[0].bar == 0 && call[0].at == 0x1ffe &&
		    call[0].len == 2 && call[0].value == 0xabcd);
	assert_true(call[1].type == FAKE_BAR_WRITE && call[1].bar == 1 && call[1].at == 0x1f);
	assert_true(call[2].type == FAKE_BAR_READ && call[2].bar == 2 && call[2].at == 5 * GIB);
	fake_pci_write(&f->pci, ROM, 4, 1);
	fake_pci_write(&f->pci, MEM + MEM_SIZE - 2, 4, 1);
	assert_int_equal(fake_pci_read(&f->pci, MEM - 2, 4), 0xffffffff);
	assert_int_equal(f->fake.calls, 3);
}

/* One register write, and which BARs decode after it. Then back, and all do. */
static void test_pci_bar_decode_follows_registers(void **state)
{
	static const struct {
		uint16_t bdf, off;
		unsigned int len;
		uint32_t value, back;
		unsigned int expected;
	} cases[] = {
		{DEV_BDF, PCI_COMMAND, 2, 0, DECODE, 0},
		{DEV_BDF, PCI_COMMAND, 1, PCI_COMMAND_MEMORY, DECODE, BAR_ALL & ~BAR_IO},
		{DEV_BDF, PCI_COMMAND, 2, PCI_COMMAND_IO, DECODE, BAR_IO},
		{DEV_BDF, PM_CTRL, 2, 3, 0, 0},
		{DEV_BDF, PM_CTRL, 1, 1, 0, BAR_ALL}, /* D1 does not exist */
		{DEV_BDF, PM_CTRL, 4, 2, 0, BAR_ALL}, /* nor D2 */
		{DEV_BDF, PCI_ROM_ADDRESS, 1, 0, 1, BAR_ALL & ~BAR_ROM},
		{DEV_BDF, PCI_BASE_ADDRESS_0, 4, 0xc0ffe000, MEM, BAR_ALL & ~BAR_MEM},
		{DEV_BDF, PCI_BASE_ADDRESS_0, 4, 0xc1200000, MEM, BAR_ALL & ~BAR_MEM},
		{DEV_BDF, PCI_BASE_ADDRESS_0, 4, 0, MEM, BAR_ALL & ~BAR_MEM},
		{DEV_BDF, PCI_BASE_ADDRESS_1, 4, 0x12000, IO, BAR_ALL & ~BAR_IO},
		{DEV_BDF, PCI_BASE_ADDRESS_3, 4, 0xffffffff, PREF >> 32, BAR_ALL & ~BAR_PREF},
		{PORT_BDF, PCI_COMMAND, 2, 0, DECODE, 0},
		{PORT_BDF, PCI_COMMAND, 2, PCI_COMMAND_IO, DECODE, BAR_IO},
		{PORT_BDF, PORT_PM_CTRL, 2, 3, 0, 0},
		{PORT_BDF, PCI_IO_BASE, 1, 0x30, 0x20, BAR_ALL & ~BAR_IO},
		{PORT_BDF, PCI_MEMORY_BASE, 2, 0xc110, 0xc100, BAR_ALL & ~BAR_MEM},
		{PORT_BDF, PCI_MEMORY_LIMIT, 2, 0xc100, 0xc110, BAR_ALL & ~BAR_ROM},
		{PORT_BDF, PCI_MEMORY_LIMIT, 2, 0xc000, 0xc110, BAR_ALL & ~(BAR_ROM | BAR_MEM)},
		{PORT_BDF, PCI_PREF_LIMIT_UPPER32, 4, PREF >> 32, (PREF + PREF_SIZE - 1) >> 32,
		 BAR_ALL & ~BAR_PREF},
		{PORT_BDF, PCI_PREF_MEMORY_BASE, 2, 0x10, 0, BAR_ALL & ~BAR_PREF},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		check_answers(f, BAR_ALL);
		write_cfg(f, cases[i].bdf, cases[i].off, cases[i].len, cases[i].value);
		check_answers(f, cases[i].expected);
		write_cfg(f, cases[i].bdf, cases[i].off, cases[i].len, cases[i].back);
	}
	check_answers(f, BAR_ALL);
}

/* A real device is never mapped while its own decode is off: unmap, tell, map, in this order. */
static void test_pci_bar_order_of_calls(void **state)
{
	static const struct {
		uint32_t command;
		enum fake_pci_call_type first, second;
	} cases[] = {
		{PCI_COMMAND_MEMORY, FAKE_UNMAPPED, FAKE_CFG_CHANGED},
		{DECODE, FAKE_CFG_CHANGED, FAKE_MAPPED},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_pci_dev_forget(&f->fake);
		write_cfg(f, DEV_BDF, PCI_COMMAND, 2, cases[i].command);
		assert_int_equal(f->fake.calls, 2);
		assert_int_equal(f->fake.call[0].type, cases[i].first);
		assert_int_equal(f->fake.call[1].type, cases[i].second);
	}
	fake_pci_dev_forget(&f->fake);
	write_cfg(f, DEV_BDF, PCI_BASE_ADDRESS_0, 4, MEM + MEM_SIZE);
	assert_int_equal(f->fake.calls, 3);
	assert_true(f->fake.call[0].type == FAKE_UNMAPPED && f->fake.call[0].at == MEM);
	assert_int_equal(f->fake.call[1].type, FAKE_CFG_CHANGED);
	assert_true(f->fake.call[2].type == FAKE_MAPPED && f->fake.call[2].at == MEM + MEM_SIZE);
	assert_int_equal(fake_pci_read(&f->pci, MEM, 4), 0xffffffff);
	assert_int_equal(fake_pci_read(&f->pci, MEM + MEM_SIZE, 4), 0x55667788);
}

/* A CPU that looked a BAR up before another one moved it. */
static void test_pci_bar_late_access_is_dropped(void **state)
{
	static const uint64_t late[] = {MEM - 4, MEM + MEM_SIZE, MEM + MEM_SIZE - 2, 0};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(late); i++) {
		struct bus_access access = {.len = 4, .value = 0xffffffff};

		pci_bar_access(&f->fake.dev, 0, late[i], &access);
		assert_int_equal(access.value, 0xffffffff);
	}
	assert_int_equal(f->fake.calls, 0);
}

static void set_presence(struct fixture *f, enum pci_presence presence)
{
	pthread_mutex_lock(&f->fake.dev.lock);
	pci_dev_set_presence_locked(&f->fake.dev, presence);
	pthread_mutex_unlock(&f->fake.dev.lock);
}

static void test_pci_bar_decode_follows_presence(void **state)
{
	static const enum pci_presence away[] = {PCI_COLD, PCI_GONE};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(away); i++) {
		set_presence(f, away[i]);
		assert_int_equal(fake_pci_dev_count(&f->fake, FAKE_UNMAPPED), 4);
		check_answers(f, 0);
		write_cfg(f, PORT_BDF, PCI_COMMAND, 2, 0);
		write_cfg(f, PORT_BDF, PCI_COMMAND, 2, DECODE);
		check_answers(f, 0);
		set_presence(f, PCI_PRESENT);
		check_answers(f, BAR_ALL);
	}
}

/* D3cold: PMCSR alone is live, with its masks; PowerState reads D3 and cannot be written. */
static void test_pci_bar_cold_config_space(void **state)
{
	struct fixture *f = *state;

	write_cfg(f, DEV_BDF, PM_CTRL, 2, PCI_PM_CTRL_PME_ENABLE | 3);
	pci_cfg_set(&f->fake.dev.cfg, PM_CTRL, 2, 0x8108 | 3);
	set_presence(f, PCI_COLD);
	fake_pci_dev_forget(&f->fake);
	f->fake.watch_reads = true;
	assert_int_equal(read_cfg(f, DEV_BDF, PCI_VENDOR_ID, 4), 0xffffffff);
	assert_int_equal(read_cfg(f, DEV_BDF, PM_CTRL - 2, 2), 0xffff);
	assert_int_equal(read_cfg(f, DEV_BDF, PM_CTRL + 4, 4), 0xffffffff);
	assert_int_equal(read_cfg(f, DEV_BDF, PM_CTRL, 4), 0x810b);
	write_cfg(f, DEV_BDF, PCI_COMMAND, 2, 0);
	assert_int_equal(f->fake.calls, 0);
	write_cfg(f, DEV_BDF, PM_CTRL + 1, 1, 0x80);
	assert_int_equal(read_cfg(f, DEV_BDF, PM_CTRL, 2), 0x000b);
	write_cfg(f, DEV_BDF, PM_CTRL, 2, 0x0100);
	assert_int_equal(read_cfg(f, DEV_BDF, PM_CTRL, 2), 0x010b);
	assert_int_equal(read_cfg(f, DEV_BDF, PM_CTRL, 1), 0x0b);
	assert_int_equal(f->fake.calls, 2);
	assert_int_equal(fake_pci_dev_count(&f->fake, FAKE_CFG_CHANGED), 2);
	f->fake.watch_reads = false;
	set_presence(f, PCI_PRESENT);
	assert_int_equal(read_cfg(f, DEV_BDF, PM_CTRL, 2), 0x0108);
	check_answers(f, BAR_ALL);
}

static void test_pci_bar_gone_config_space(void **state)
{
	struct fixture *f = *state;

	set_presence(f, PCI_GONE);
	fake_pci_dev_forget(&f->fake);
	assert_int_equal(read_cfg(f, DEV_BDF, PM_CTRL, 2), 0xffff);
	write_cfg(f, DEV_BDF, PM_CTRL, 2, 3);
	write_cfg(f, DEV_BDF, PCI_COMMAND, 2, 0);
	assert_int_equal(f->fake.calls, 0);
	set_presence(f, PCI_PRESENT);
	check_answers(f, BAR_ALL);
}

static void test_pci_bar_guest_moves_everything(void **state)
{
	const uint64_t mem = 0xd0000000, pref = FAKE_PCI_MMIO64_START;
	struct fixture *f = *state;

	write_cfg(f, PORT_BDF, PCI_SECONDARY_BUS, 2, 0x4242);
	assert_int_equal(read_cfg(f, DEV_BDF, PCI_VENDOR_ID, 4), 0xffffffff);
	assert_int_equal(read_cfg(f, 0x4200, PCI_VENDOR_ID, 4), 0x56781234);
	check_answers(f, BAR_ALL);
	write_cfg(f, PORT_BDF, PCI_MEMORY_BASE, 4, 0xd000d000);
	write_cfg(f, PORT_BDF, PCI_PREF_BASE_UPPER32, 4, pref >> 32);
	write_cfg(f, PORT_BDF, PCI_PREF_LIMIT_UPPER32, 4, (pref + PREF_SIZE - 1) >> 32);
	check_answers(f, BAR_IO);
	write_cfg(f, 0x4200, PCI_BASE_ADDRESS_0, 4, (uint32_t)mem);
	write_cfg(f, 0x4200, PCI_BASE_ADDRESS_3, 4, pref >> 32);
	assert_int_equal(mapped(f), BAR_MEM | BAR_IO | BAR_PREF);
	assert_int_equal(fake_pci_read(&f->pci, mem, 4), 0x55667788);
	assert_int_equal(fake_pci_read(&f->pci, pref + 4 * GIB, 4), 0x55667788);
	assert_int_equal(fake_pci_read(&f->pci, MEM, 4), 0xffffffff);
}

/* A non-prefetchable BAR inside the prefetchable window decodes: bridges route by address. */
static void test_pci_bar_any_memory_window_will_do(void **state)
{
	struct fixture *f = *state;

	write_cfg(f, PORT_BDF, PCI_MEMORY_BASE, 4, 0x0000fff0);
	check_answers(f, BAR_IO | BAR_PREF);
	write_cfg(f, PORT_BDF, PCI_PREF_MEMORY_BASE, 4, 0xc110c100);
	write_cfg(f, PORT_BDF, PCI_PREF_BASE_UPPER32, 4, 0);
	write_cfg(f, PORT_BDF, PCI_PREF_LIMIT_UPPER32, 4, 0);
	check_answers(f, BAR_ALL & ~BAR_PREF);
}

/* BARs over one another, within a function and between functions: the first one answers, and
 * nothing is lost when they part again. */
static void test_pci_bar_overlaps_survive(void **state)
{
	struct fixture *f = *state;
	struct fake_pci_dev other;

	fake_pci_dev_init(&other);
	other.bar_value = 0x0f0f0f0f;
	pci_dev_set_bar(&other.dev, 0, MEM_SIZE, 0);
	pci_dev_set_bar(&other.dev, 1, 0x10, 0);
	assert_int_equal(
		pci_host_add(f->pci.host, &other.dev, root_port_pci(f->port), PCI_DEVFN(0, 1)), 0);
	write_cfg(f, DEV_BDF + 1, PCI_BASE_ADDRESS_0, 4, MEM);
	write_cfg(f, DEV_BDF + 1, PCI_BASE_ADDRESS_1, 4, MEM);
	write_cfg(f, DEV_BDF + 1, PCI_COMMAND, 2, DECODE);
	assert_int_equal(fake_pci_read(&f->pci, MEM, 4), 0x55667788);
	assert_int_equal(fake_pci_dev_count(&other, FAKE_BAR_READ), 0);
	write_cfg(f, DEV_BDF, PCI_BASE_ADDRESS_0, 4, MEM + MEM_SIZE);
	assert_int_equal(fake_pci_read(&f->pci, MEM, 4), 0x0f0f0f0f);
	assert_int_equal(fake_pci_read(&f->pci, MEM + MEM_SIZE, 4), 0x55667788);
	pci_dev_finish(&other.dev);
}

/* A bridge that lets everything through does not open RAM or ECAM to a BAR. */
static void test_pci_bar_host_windows_are_the_limit(void **state)
{
	static const uint32_t outside[] = {0, 0x1000000, 0xbfffe000, 0xe0000000, 0xfee00000,
					   0xffffe000};
	struct fixture *f = *state;

	write_cfg(f, PORT_BDF, PCI_MEMORY_BASE, 4, 0xfff00000);
	write_cfg(f, PORT_BDF, PCI_PREF_MEMORY_BASE, 4, 0xfff00000);
	write_cfg(f, PORT_BDF, PCI_PREF_BASE_UPPER32, 4, 0);
	write_cfg(f, PORT_BDF, PCI_PREF_LIMIT_UPPER32, 4, 0xffffffff);
	for (unsigned int i = 0; i < ARRAY_SIZE(outside); i++) {
		fake_pci_dev_forget(&f->fake);
		write_cfg(f, DEV_BDF, PCI_BASE_ADDRESS_0, 4, outside[i]);
		assert_int_equal(mapped(f), BAR_ALL & ~BAR_MEM);
	}
	write_cfg(f, DEV_BDF, PCI_BASE_ADDRESS_0, 4, MEM);
	check_answers(f, BAR_ALL);
}

static void test_pci_bar_reset_unmaps(void **state)
{
	struct fixture *f = *state;

	pci_dev_reset(&f->fake.dev);
	assert_int_equal(f->fake.call[f->fake.calls - 1].type, FAKE_DEV_RESET);
	assert_int_equal(fake_pci_dev_count(&f->fake, FAKE_UNMAPPED), 4);
	check_answers(f, 0);
	assert_int_equal(read_cfg(f, DEV_BDF, PCI_COMMAND, 2), 0);
	assert_int_equal(read_cfg(f, DEV_BDF, PCI_BASE_ADDRESS_0, 4), 0);
	place_bars(f);
	fake_pci_dev_forget(&f->fake);
	check_answers(f, BAR_ALL);
	pci_dev_reset(root_port_pci(f->port));
	assert_int_equal(mapped(f), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(test_pci_bar_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(sizing),
		CASE(accesses_reach_the_device),
		CASE(decode_follows_registers),
		CASE(order_of_calls),
		CASE(late_access_is_dropped),
		CASE(decode_follows_presence),
		CASE(cold_config_space),
		CASE(gone_config_space),
		CASE(guest_moves_everything),
		CASE(any_memory_window_will_do),
		CASE(overlaps_survive),
		CASE(host_windows_are_the_limit),
		CASE(reset_unmaps),
	};

	return cmocka_run_group_tests_name("pci_bar", tests, NULL, NULL);
}
