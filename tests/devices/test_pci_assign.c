#include <errno.h>
#include <linux/pci.h>
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "devices/root_port.h"
#include "tests/fake_pci.h"
#include "vmm/base/bits.h"

#define PORTS 3
#define IO PCI_BASE_ADDRESS_SPACE_IO
#define PREF (PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH)
#define DECODE (PCI_COMMAND_IO | PCI_COMMAND_MEMORY)

struct bar_spec {
	uint8_t bar;
	uint64_t size;
	uint32_t flags;
};

/* A function below port `port` (0: on bus 0). */
struct function_spec {
	uint8_t port, devfn, pin;
	struct bar_spec bar[5];
};

#define FUNCTIONS 6
struct fixture {
	struct fake_pci pci;
	struct root_port *port[PORTS];
	struct fake_pci_dev fake[FUNCTIONS];
	unsigned int functions;
};

static struct fixture fixture;

static int setup(void **state)
{
	fixture.functions = 0;
	fake_pci_start(&fixture.pci);
	for (unsigned int i = 0; i < PORTS; i++)
		fixture.port[i] = fake_pci_add_port(&fixture.pci, (uint8_t)((i + 1) << 3));
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (unsigned int i = 0; i < f->functions; i++)
		pci_dev_finish(&f->fake[i].dev);
	for (unsigned int i = 0; i < PORTS; i++)
		root_port_destroy(f->port[i]);
	fake_pci_stop(&f->pci);
	return 0;
}

static void add(struct fixture *f, const struct function_spec *spec)
{
	struct fake_pci_dev *fake = &f->fake[f->functions++];
	struct pci_dev *parent = spec->port ? root_port_pci(f->port[spec->port - 1]) : NULL;

	fake_pci_dev_init(fake);
	pci_cfg_set(&fake->dev.cfg, PCI_INTERRUPT_PIN, 1, spec->pin);
	for (unsigned int i = 0; i < ARRAY_SIZE(spec->bar) && spec->bar[i].size; i++)
		pci_dev_set_bar(&fake->dev, spec->bar[i].bar, spec->bar[i].size,
				spec->bar[i].flags);
	assert_int_equal(pci_host_add(f->pci.host, &fake->dev, parent, spec->devfn), 0);
}

static uint16_t bdf_of(const struct fixture *f, const struct pci_dev *dev)
{
	uint16_t bus = 0;

	if (dev->parent)
		bus = (uint16_t)pci_host_cfg_read(f->pci.host, dev->parent->devfn,
						  PCI_SECONDARY_BUS, 1);
	return (uint16_t)(bus << 8 | dev->devfn);
}

/* What a guest does next: decode on, ROM too. Then everything must decode, aligned, inside the
 * host's windows, and no two BARs meet. */
static void check_all_decode(struct fixture *f)
{
	struct range seen[FUNCTIONS * 7];
	bool seen_io[FUNCTIONS * 7];
	unsigned int count = 0;

	for (unsigned int i = 0; i < f->functions; i++) {
		struct pci_dev *dev = &f->fake[i].dev;
		uint16_t bdf = bdf_of(f, dev);
		uint32_t rom = pci_host_cfg_read(f->pci.host, bdf, PCI_ROM_ADDRESS, 4);

		assert_int_equal(rom & PCI_ROM_ADDRESS_ENABLE, 0);
		pci_host_cfg_write(f->pci.host, bdf, PCI_ROM_ADDRESS, 4,
				   rom | PCI_ROM_ADDRESS_ENABLE);
		assert_int_equal(pci_host_cfg_read(f->pci.host, bdf, PCI_COMMAND, 2), 0);
		pci_host_cfg_write(f->pci.host, bdf, PCI_COMMAND, 2, DECODE);
		for (unsigned int b = 0; b < ARRAY_SIZE(dev->bar); b++) {
			struct range range = {dev->bar[b].address, dev->bar[b].size};

			if (!range.size)
				continue;
			assert_true(dev->bar[b].mapped);
			assert_int_equal(range.start % range.size, 0);
			seen_io[count] = dev->bar[b].flags & IO;
			for (unsigned int k = 0; k < count; k++)
				assert_false(seen_io[k] == seen_io[count] &&
					     range_meets(seen[k], range));
			seen[count++] = range;
		}
	}
}

static const struct function_spec gpu_box[] = {
	{1, 0, 1, {{0, 16 * MIB, 0}, {1, 256 * MIB, PREF}, {3, 32 * MIB, PREF}, {5, 128, IO},
		   {PCI_BAR_ROM, 512 * KIB, 0}}},
	{1, 1, 2, {{0, 16 * KIB, 0}}},
	{2, 0, 1, {{0, 32 * GIB, PREF}, {2, 16 * MIB, PREF}, {4, 64 * KIB, PREF}}},
	{3, 0, 0, {{0, 256, IO}, {1, 4 * KIB, PCI_BASE_ADDRESS_MEM_TYPE_64}, {3, 16, 0}}},
	{0, 0xa0, 1, {{0, 4 * KIB, 0}, {1, 32, IO}, {2, 1 * MIB, PREF}}},
};

static void add_gpu_box(struct fixture *f)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(gpu_box); i++)
		add(f, &gpu_box[i]);
}

static void test_pci_assign_gives_every_bar_a_place(void **state)
{
	struct fixture *f = *state;

	add_gpu_box(f);
	assert_int_equal(pci_host_assign(f->pci.host), 0);
	check_all_decode(f);
	/* Prefetchable 64-bit above 4 GiB, the rest below. */
	assert_in_range(f->fake[2].dev.bar[0].address, FAKE_PCI_MMIO64_START,
			FAKE_PCI_MMIO64_START + FAKE_PCI_MMIO64_SIZE - 32 * GIB);
	assert_in_range(f->fake[0].dev.bar[0].address, MMIO32_START, MMIO32_START + MMIO32_SIZE);
	assert_in_range(f->fake[3].dev.bar[1].address, MMIO32_START, MMIO32_START + MMIO32_SIZE);
}

static void test_pci_assign_bridges(void **state)
{
	static const struct {
		uint16_t off;
		uint32_t value;
	} closed[] = {
		{PCI_IO_BASE, 0x00f0}, {PCI_PREF_MEMORY_BASE, 0x0001fff1},
		{PCI_PREF_BASE_UPPER32, 0xffffffff}, {PCI_PREF_LIMIT_UPPER32, 0},
	};
	struct fixture *f = *state;
	struct pci_host *host = f->pci.host;

	add(f, &gpu_box[1]);
	assert_int_equal(pci_host_assign(host), 0);
	for (unsigned int i = 0; i < PORTS; i++) {
		uint16_t bdf = (uint16_t)((i + 1) << 3);

		assert_int_equal(pci_host_cfg_read(host, bdf, PCI_PRIMARY_BUS, 4),
				 (i + 1) << 8 | (i + 1) << 16);
		assert_int_equal(pci_host_cfg_read(host, bdf, PCI_COMMAND, 2), DECODE);
		assert_int_equal(pci_host_cfg_read(host, bdf, PCI_INTERRUPT_LINE, 1),
				 layout_pci_gsi(i + 1, 1));
		for (unsigned int c = 0; c < ARRAY_SIZE(closed); c++)
			assert_int_equal(pci_host_cfg_read(host, bdf, closed[c].off,
							   c == 0 ? 2 : 4),
					 closed[c].value);
	}
	/* 16 KiB below the first port: one unit of a window. The others forward nothing. */
	assert_int_equal(pci_host_cfg_read(host, 0x08, PCI_MEMORY_BASE, 4), 0xc000c000);
	assert_int_equal(pci_host_cfg_read(host, 0x10, PCI_MEMORY_BASE, 4), 0x0000fff0);
	assert_int_equal(pci_host_cfg_read(host, 0x0101, PCI_INTERRUPT_LINE, 1),
			 layout_pci_gsi(1, 2));
}

/* After a guest has left numbers, addresses and decode of its own behind. */
static void test_pci_assign_again_gives_the_same(void **state)
{
	struct fixture *f = *state;
	uint64_t first[FUNCTIONS];

	add_gpu_box(f);
	assert_int_equal(pci_host_assign(f->pci.host), 0);
	check_all_decode(f);
	for (unsigned int i = 0; i < f->functions; i++) {
		first[i] = f->fake[i].dev.bar[0].address;
		fake_pci_dev_forget(&f->fake[i]);
	}
	pci_host_cfg_write(f->pci.host, 0x08, PCI_SECONDARY_BUS, 2, 0x0303);
	pci_host_cfg_write(f->pci.host, 0x18, PCI_SECONDARY_BUS, 2, 0x0101);
	pci_host_cfg_write(f->pci.host, 0x10, PCI_BASE_ADDRESS_0, 4, 0);
	for (unsigned int i = 0; i < f->functions; i++)
		pci_host_cfg_write(f->pci.host, bdf_of(f, &f->fake[i].dev), PCI_ROM_ADDRESS, 4, 0);
	assert_int_equal(pci_host_assign(f->pci.host), 0);
	/* Nothing decodes at a place where it does not stay. */
	for (unsigned int i = 0; i < f->functions; i++)
		assert_int_equal(fake_pci_dev_count(&f->fake[i], FAKE_MAPPED), 0);
	check_all_decode(f);
	for (unsigned int i = 0; i < f->functions; i++)
		assert_int_equal(f->fake[i].dev.bar[0].address, first[i]);
}

/* More than the high window holds: below 4 GiB if it fits there. */
static void test_pci_assign_falls_back_below_4g(void **state)
{
	static const struct function_spec specs[] = {
		{1, 0, 0, {{0, 256 * GIB, PREF}}},
		{2, 0, 0, {{0, 256 * MIB, PREF}, {2, 1 * MIB, 0}}},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(specs); i++)
		add(f, &specs[i]);
	assert_int_equal(pci_host_assign(f->pci.host), 0);
	check_all_decode(f);
	assert_int_equal(f->fake[0].dev.bar[0].address, FAKE_PCI_MMIO64_START);
	assert_in_range(f->fake[1].dev.bar[0].address, MMIO32_START, 0xffffffff);
}

static void test_pci_assign_reports_what_does_not_fit(void **state)
{
	static const struct function_spec specs[] = {
		{1, 0, 0, {{0, 512 * GIB, PREF}}},
		{1, 0, 0, {{0, 1 * GIB, 0}}},
		{0, 0xa0, 0, {{0, 512 * MIB, 0}, {1, 4 * KIB, 0}}},
		{1, 0, 0, {{0, 32 * KIB, IO}, {1, 32 * KIB, IO}}},
		{1, 0, 0, {{0, 1ULL << 63, PREF}, {2, 1ULL << 63, PREF}}},
		{1, 0, 0, {{0, 1ULL << 63, PREF}, {2, 1ULL << 63, PREF}, {4, 1 * MIB, PREF}}},
	};

	teardown(state);
	for (unsigned int i = 0; i < ARRAY_SIZE(specs); i++) {
		setup(state);
		add(*state, &specs[i]);
		assert_int_equal(pci_host_assign(fixture.pci.host), -ENOSPC);
		teardown(state);
	}
	setup(state);
}

/* Sizes that would leave holes in any other order fill the window to the last byte. */
static void test_pci_assign_wastes_nothing(void **state)
{
	static const struct function_spec specs[] = {
		{1, 0, 0, {{0, 16 * MIB, 0}, {1, 128 * MIB, 0}, {2, 16 * MIB, 0}, {3, 32 * MIB, 0},
			   {4, 64 * MIB, 0}}},
		{0, 0xa0, 0, {{0, 256 * MIB, 0}}},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(specs); i++)
		add(f, &specs[i]);
	assert_int_equal(pci_host_assign(f->pci.host), 0);
	check_all_decode(f);
}

/* --- what is kept for devices that come later --- */

static void reserve(struct fixture *f, uint64_t io, uint64_t mem, uint64_t prefetch)
{
	for (unsigned int i = 0; i < PORTS; i++) {
		uint64_t *kept = root_port_pci(f->port[i])->reserve;

		kept[PCI_WINDOW_IO] = io;
		kept[PCI_WINDOW_MEM] = mem;
		kept[PCI_WINDOW_PREFETCH] = prefetch;
	}
}

static struct range given(const struct fixture *f, unsigned int port, enum pci_window kind)
{
	return root_port_pci(f->port[port])->given[kind];
}

static void test_pci_assign_keeps_what_is_reserved(void **state)
{
	struct fixture *f = *state;

	add(f, &gpu_box[1]);
	reserve(f, 4 * KIB, 32 * MIB, 64 * GIB);
	assert_int_equal(pci_host_assign(f->pci.host), 0);
	check_all_decode(f);
	for (unsigned int i = 0; i < PORTS; i++) {
		uint16_t bdf = (uint16_t)((i + 1) << 3);
		struct range mem = given(f, i, PCI_WINDOW_MEM);
		struct range high = given(f, i, PCI_WINDOW_PREFETCH);

		assert_int_equal(given(f, i, PCI_WINDOW_IO).size, 4 * KIB);
		assert_int_equal(mem.size, 32 * MIB);
		assert_int_equal(mem.start % mem.size, 0);
		assert_int_equal(high.size, 64 * GIB);
		assert_int_equal(high.start % high.size, 0);
		/* and it is what the registers say */
		assert_int_equal(pci_host_cfg_read(f->pci.host, bdf, PCI_MEMORY_BASE, 2) << 16,
				 mem.start);
		assert_int_equal(pci_host_cfg_read(f->pci.host, bdf, PCI_MEMORY_LIMIT, 2) << 16,
				 mem.start + mem.size - MIB);
		assert_int_equal(pci_host_cfg_read(f->pci.host, bdf, PCI_PREF_BASE_UPPER32, 4),
				 high.start >> 32);
		assert_int_equal(root_port_pci(f->port[i])->forward.prefetch.size, 64 * GIB);
		for (unsigned int k = 0; k < i; k++) {
			assert_false(range_meets(mem, given(f, k, PCI_WINDOW_MEM)));
			assert_false(range_meets(high, given(f, k, PCI_WINDOW_PREFETCH)));
		}
	}
}

/* The devices that there are come first; the ports share the rest evenly. */
static void test_pci_assign_shares_out_what_there_is(void **state)
{
	static const struct function_spec there = {
		1, 0, 0, {{0, 128 * GIB, PREF}, {2, 256 * MIB, 0}, {4, 4 * KIB, IO}}};
	struct fixture *f = *state;

	add(f, &there);
	reserve(f, 32 * KIB, 256 * MIB, 128 * GIB);
	assert_int_equal(pci_host_assign(f->pci.host), 0);
	check_all_decode(f);
	assert_int_equal(given(f, 0, PCI_WINDOW_PREFETCH).size, 128 * GIB);
	assert_int_equal(given(f, 0, PCI_WINDOW_MEM).size, 256 * MIB);
	for (unsigned int i = 1; i < PORTS; i++) {
		assert_int_equal(given(f, i, PCI_WINDOW_PREFETCH).size, 64 * GIB);
		assert_int_equal(given(f, i, PCI_WINDOW_MEM).size, 128 * MIB);
	}
	for (unsigned int i = 0; i < PORTS; i++)
		assert_int_equal(given(f, i, PCI_WINDOW_IO).size, 16 * KIB);
}

/* Where there is not even a unit for each, the first ones have it. */
static void test_pci_assign_reserves_for_the_first(void **state)
{
	static const struct function_spec there[] = {
		{0, 0xa0, 0, {{0, 16 * KIB, IO}, {1, 16 * KIB, IO}, {2, 8 * KIB, IO}}},
		{1, 0, 0, {{0, 512 * GIB, PREF}}},
	};
	struct fixture *f = *state;

	add(f, &there[0]);
	reserve(f, 4 * KIB, 0, 0);
	assert_int_equal(pci_host_assign(f->pci.host), 0);
	check_all_decode(f);
	assert_int_equal(given(f, 0, PCI_WINDOW_IO).size, 4 * KIB);
	assert_int_equal(given(f, 1, PCI_WINDOW_IO).size, 4 * KIB);
	assert_int_equal(given(f, 2, PCI_WINDOW_IO).size, 0);
	assert_int_equal(pci_host_cfg_read(f->pci.host, 0x18, PCI_IO_BASE, 2), 0x00f0);
	/* A reserve is no reason to refuse, nor does it help what is too large anyway. */
	add(f, &there[1]);
	reserve(f, 4 * KIB, 32 * MIB, 64 * GIB);
	assert_int_equal(pci_host_assign(f->pci.host), -ENOSPC);
}

static void test_pci_bridge_fits_what_it_was_given(void **state)
{
	static const struct {
		struct pci_need need;
		bool fits;
	} cases[] = {
		{{0, 0}, true}, {{16 * MIB, 16 * MIB}, true}, {{32 * MIB, 16 * MIB}, true},
		{{32 * MIB, 32 * MIB}, true}, {{32 * MIB + 16, 32 * MIB}, false},
		{{64 * MIB, 64 * MIB}, false}, {{UINT64_MAX, 1ULL << 63}, false},
	};
	struct fixture *f = *state;
	struct pci_need needs[PCI_WINDOWS] = {{0, 0}};
	uint64_t room;

	reserve(f, 0, 32 * MIB, 0);
	assert_int_equal(pci_host_assign(f->pci.host), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(pci_bridge_fits(root_port_pci(f->port[1]), PCI_WINDOW_MEM,
						 &cases[i].need, &room), cases[i].fits);
		assert_int_equal(room, 32 * MIB);
	}
	add(f, &gpu_box[0]);
	add(f, &gpu_box[1]);
	pci_dev_add_needs(&f->fake[0].dev, needs);
	pci_dev_add_needs(&f->fake[1].dev, needs);
	assert_int_equal(needs[PCI_WINDOW_IO].size, 128);
	assert_int_equal(needs[PCI_WINDOW_MEM].size, 16 * MIB + 512 * KIB + 16 * KIB);
	assert_int_equal(needs[PCI_WINDOW_MEM].largest, 16 * MIB);
	assert_int_equal(needs[PCI_WINDOW_PREFETCH].size, 288 * MIB);
	assert_int_equal(needs[PCI_WINDOW_PREFETCH].largest, 256 * MIB);
}

/* Three BARs of 16 MiB leave a window that is large enough for one of 32, but not aligned. */
static void test_pci_bridge_fits_minds_alignment(void **state)
{
	static const struct function_spec there[] = {
		{0, 0xa0, 0, {{0, 16 * MIB, 0}}},
		{1, 0, 0, {{0, 16 * MIB, 0}, {1, 16 * MIB, 0}, {2, 16 * MIB, 0}}},
	};
	const struct pci_need small = {48 * MIB, 16 * MIB}, large = {32 * MIB, 32 * MIB};
	struct fixture *f = *state;
	struct pci_dev *port = root_port_pci(f->port[0]);
	uint64_t room;

	add(f, &there[0]);
	add(f, &there[1]);
	assert_int_equal(pci_host_assign(f->pci.host), 0);
	assert_true(pci_bridge_fits(port, PCI_WINDOW_MEM, &small, &room));
	assert_int_equal(pci_bridge_fits(port, PCI_WINDOW_MEM, &large, &room),
			 given(f, 0, PCI_WINDOW_MEM).start % (32 * MIB) == 0);
	assert_int_not_equal(given(f, 0, PCI_WINDOW_MEM).start % (32 * MIB), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(test_pci_assign_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(gives_every_bar_a_place),
		CASE(bridges),
		CASE(again_gives_the_same),
		CASE(falls_back_below_4g),
		CASE(reports_what_does_not_fit),
		CASE(wastes_nothing),
		CASE(keeps_what_is_reserved),
		CASE(shares_out_what_there_is),
		CASE(reserves_for_the_first),
		cmocka_unit_test_setup_teardown(test_pci_bridge_fits_what_it_was_given, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_pci_bridge_fits_minds_alignment, setup,
						teardown),
	};

	return cmocka_run_group_tests_name("pci_assign", tests, NULL, NULL);
}
