#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/pci_internal.h"
#include "tests/fake_pci.h"
#include "vmm/base/bits.h"

#define CAP 0x60
#define BAR_SIZE 0x4000U
#define BAR_ADDRESS 0xc8000000ULL
#define TABLE_OFF 0x1000U
#define PBA_OFF 0x2008U
#define VECTORS 67U
#define DEVFN 0x18

static unsigned int changes[VECTORS];

static void count_change(struct pci_dev *dev, unsigned int vector)
{
	(void)dev;
	assert_in_range(vector, 0, VECTORS - 1);
	changes[vector]++;
}

static bool is_pending(struct pci_dev *dev, unsigned int vector)
{
	(void)dev;
	assert_in_range(vector, 0, VECTORS - 1);
	return vector % 3 == 0;
}

struct fixture {
	struct fake_pci pci;
	struct fake_pci_dev fake;
};

static struct fixture fixture;

static int setup(void **state)
{
	struct fake_pci_dev *fake = &fixture.fake;

	for (unsigned int i = 0; i < VECTORS; i++)
		changes[i] = 0;
	fake_pci_start(&fixture.pci);
	fake_pci_dev_init(fake);
	pci_dev_set_bar(&fake->dev, 2, BAR_SIZE, 0);
	fake->dev.msix = (struct pci_msix){
		.cap = CAP, .table_size = VECTORS, .table_bir = 2, .pba_bir = 2,
		.table_off = TABLE_OFF, .pba_off = PBA_OFF,
		.pending = is_pending, .changed = count_change};
	if (pci_dev_add_msix(&fake->dev, true) ||
	    pci_host_add(fixture.pci.host, &fake->dev, NULL, DEVFN))
		return -1;
	pci_host_cfg_write(fixture.pci.host, DEVFN, PCI_BASE_ADDRESS_2, 4, BAR_ADDRESS);
	pci_host_cfg_write(fixture.pci.host, DEVFN, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	fake_pci_dev_forget(fake);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pci_dev_finish(&f->fake.dev);
	fake_pci_stop(&f->pci);
	return 0;
}

static uint64_t bar_read(struct fixture *f, uint64_t off, unsigned int len)
{
	return fake_pci_read(&f->pci, BAR_ADDRESS + off, len);
}

static void bar_write(struct fixture *f, uint64_t off, unsigned int len, uint64_t value)
{
	fake_pci_write(&f->pci, BAR_ADDRESS + off, len, value);
}

static void set_flags(struct fixture *f, uint32_t flags)
{
	pci_host_cfg_write(f->pci.host, DEVFN, CAP + PCI_MSIX_FLAGS, 2, flags);
}

static void test_pci_msix_capability(void **state)
{
	struct fixture *f = *state;
	struct pci_host *host = f->pci.host;

	assert_int_equal(pci_host_cfg_read(host, DEVFN, CAP, 1), PCI_CAP_ID_MSIX);
	assert_int_equal(pci_host_cfg_read(host, DEVFN, CAP + PCI_MSIX_FLAGS, 2), VECTORS - 1);
	set_flags(f, 0xffff);
	assert_int_equal(pci_host_cfg_read(host, DEVFN, CAP + PCI_MSIX_FLAGS, 2),
			 0xc000 | (VECTORS - 1));
	for (uint16_t off = PCI_MSIX_TABLE; off < PCI_CAP_MSIX_SIZEOF; off += 4)
		pci_host_cfg_write(host, DEVFN, CAP + off, 4, 0xffffffff);
	assert_int_equal(pci_host_cfg_read(host, DEVFN, CAP + PCI_MSIX_TABLE, 4), TABLE_OFF | 2);
	assert_int_equal(pci_host_cfg_read(host, DEVFN, CAP + PCI_MSIX_PBA, 4), PBA_OFF | 2);
}

static void test_pci_msix_table_takes_dwords_and_quadwords(void **state)
{
	struct fixture *f = *state;
	const uint64_t off = TABLE_OFF + 16 * 66;
	struct msi_message message;

	assert_int_equal(bar_read(f, off + 12, 4), PCI_MSIX_ENTRY_CTRL_MASKBIT);
	bar_write(f, off, 8, 0x55555555fee0100fULL);
	bar_write(f, off + 8, 4, 0x4321);
	bar_write(f, off + 12, 4, 0xfffffffe);
	assert_int_equal(changes[66], 3);
	message = pci_msix_message(&f->fake.dev, 66);
	assert_int_equal(message.address, 0x55555555fee0100cULL);
	assert_int_equal(message.data, 0x4321);
	assert_int_equal(bar_read(f, off + 8, 8), 0x4321);
	bar_write(f, off + 8, 8, 0x0000000100004322ULL);
	assert_int_equal(changes[66], 4);
	assert_int_equal(bar_read(f, off + 8, 8), 0x100004322ULL);
	assert_int_equal(f->fake.calls, 0);
}

static void test_pci_msix_active_needs_every_mask_open(void **state)
{
	static const struct {
		uint32_t flags, control;
		bool active;
	} cases[] = {
		{0, 0, false},
		{PCI_MSIX_FLAGS_ENABLE, 1, false},
		{PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 0, false},
		{PCI_MSIX_FLAGS_MASKALL, 0, false},
		{PCI_MSIX_FLAGS_ENABLE, 0, true},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		set_flags(f, cases[i].flags);
		bar_write(f, TABLE_OFF + 12, 4, cases[i].control);
		assert_int_equal(pci_msix_active(&f->fake.dev, 0), cases[i].active);
	}
	assert_false(pci_msix_active(&f->fake.dev, 1));
	assert_false(pci_msix_active(&f->fake.dev, VECTORS));
	assert_false(pci_msix_active(&f->fake.dev, ~0U));
	assert_int_equal(pci_msix_message(&f->fake.dev, VECTORS).address, 0);
}

static void test_pci_msix_undefined_accesses_do_nothing(void **state)
{
	static const struct {
		uint64_t off;
		unsigned int len;
	} cases[] = {
		{TABLE_OFF, 1}, {TABLE_OFF, 2}, {TABLE_OFF + 1, 4}, {TABLE_OFF + 4, 8},
		{TABLE_OFF - 4, 8}, {TABLE_OFF - 2, 4}, {TABLE_OFF + 16 * VECTORS - 4, 8},
		{PBA_OFF + 15, 2}, {PBA_OFF + 15, 1},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		bar_write(f, cases[i].off, cases[i].len, 0);
		assert_int_equal(bar_read(f, cases[i].off, cases[i].len), ones(cases[i].len));
	}
	assert_int_equal(f->fake.calls, 0);
	for (unsigned int i = 0; i < VECTORS; i++)
		assert_int_equal(changes[i], 0);
}

static void test_pci_msix_rest_of_the_bar_is_the_devices(void **state)
{
	static const uint64_t offs[] = {0, TABLE_OFF - 8, TABLE_OFF + 16 * VECTORS, PBA_OFF - 8,
					PBA_OFF + 16, BAR_SIZE - 8};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(offs); i++) {
		assert_int_equal(bar_read(f, offs[i], 8), f->fake.bar_value);
		assert_int_equal(f->fake.call[i].at, offs[i]);
	}
	assert_int_equal(f->fake.calls, ARRAY_SIZE(offs));
}

static void test_pci_msix_pba_shows_pending(void **state)
{
	struct fixture *f = *state;
	uint64_t expected = 0;

	for (unsigned int i = 0; i < 64; i += 3)
		expected |= 1ULL << i;
	bar_write(f, PBA_OFF, 8, ~expected);
	assert_int_equal(bar_read(f, PBA_OFF, 8), expected);
	assert_int_equal(bar_read(f, PBA_OFF + 4, 4), expected >> 32);
	assert_int_equal(bar_read(f, PBA_OFF + 8, 8), 1ULL << 2);
}

static void test_pci_msix_reset_masks_and_clears(void **state)
{
	struct fixture *f = *state;

	bar_write(f, TABLE_OFF, 8, ~0ULL);
	bar_write(f, TABLE_OFF + 8, 8, 0x1234);
	set_flags(f, PCI_MSIX_FLAGS_ENABLE);
	assert_true(pci_msix_active(&f->fake.dev, 0));
	pci_dev_reset(&f->fake.dev);
	set_flags(f, PCI_MSIX_FLAGS_ENABLE);
	assert_false(pci_msix_active(&f->fake.dev, 0));
	assert_int_equal(pci_msix_message(&f->fake.dev, 0).address, 0);
	assert_int_equal(pci_msix_message(&f->fake.dev, 0).data, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pci_msix_capability, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pci_msix_table_takes_dwords_and_quadwords,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_pci_msix_active_needs_every_mask_open, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_pci_msix_undefined_accesses_do_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_pci_msix_rest_of_the_bar_is_the_devices,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_pci_msix_pba_shows_pending, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pci_msix_reset_masks_and_clears, setup,
						teardown),
	};

	return cmocka_run_group_tests_name("pci_msix", tests, NULL, NULL);
}
