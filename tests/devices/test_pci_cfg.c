#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "devices/pci.h"
#include "vmm/base/bits.h"

static const unsigned int sizes[] = {1, 2, 4};

/* A small generator of our own, so that a failure can be repeated anywhere. */
static uint32_t next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static void fill_random(struct pci_cfg *cfg, uint32_t *seed)
{
	for (unsigned int i = 0; i < PCI_CFG_LEN; i++) {
		cfg->value[i] = (uint8_t)next_random(seed);
		cfg->rw[i] = (uint8_t)next_random(seed);
		cfg->w1c[i] = (uint8_t)(next_random(seed) & ~cfg->rw[i]);
	}
}

/* What one byte must be after `written` arrived. */
static uint8_t expected_byte(const struct pci_cfg *cfg, unsigned int i, uint8_t written)
{
	uint8_t kept = cfg->value[i] & (uint8_t)~(cfg->rw[i] | cfg->w1c[i]);

	return kept | (written & cfg->rw[i]) | (cfg->value[i] & cfg->w1c[i] & (uint8_t)~written);
}

static void check_write(struct pci_cfg *cfg, uint16_t off, unsigned int len, uint32_t value)
{
	static struct pci_cfg before;

	before = *cfg;
	pci_cfg_write(cfg, off, len, value);
	assert_memory_equal(cfg->rw, before.rw, PCI_CFG_LEN);
	assert_memory_equal(cfg->w1c, before.w1c, PCI_CFG_LEN);
	assert_memory_equal(cfg->value, before.value, off);
	assert_memory_equal(cfg->value + off + len, before.value + off + len,
			    PCI_CFG_LEN - off - len);
	for (unsigned int i = 0; i < len; i++) {
		uint8_t written = (uint8_t)(value >> (8 * i));

		assert_int_equal(cfg->value[off + i], expected_byte(&before, off + i, written));
	}
}

static void test_pci_cfg_writes_change_only_what_the_masks_allow(void **state)
{
	struct pci_cfg *cfg = calloc(1, sizeof(*cfg));
	uint32_t seed = 1;

	(void)state;
	fill_random(cfg, &seed);
	for (unsigned int s = 0; s < ARRAY_SIZE(sizes); s++) {
		for (unsigned int off = 0; off + sizes[s] <= PCI_CFG_LEN; off++) {
			check_write(cfg, (uint16_t)off, sizes[s], next_random(&seed));
			check_write(cfg, (uint16_t)off, sizes[s], 0xffffffff);
			check_write(cfg, (uint16_t)off, sizes[s], 0);
		}
	}
	free(cfg);
}

static void test_pci_cfg_read_is_little_endian(void **state)
{
	struct pci_cfg *cfg = calloc(1, sizeof(*cfg));

	(void)state;
	pci_cfg_set(cfg, 0x100, 4, 0x44332211);
	assert_int_equal(pci_cfg_read(cfg, 0x100, 1), 0x11);
	assert_int_equal(pci_cfg_read(cfg, 0x102, 2), 0x4433);
	assert_int_equal(pci_cfg_read(cfg, 0x100, 4), 0x44332211);
	assert_int_equal(pci_cfg_read(cfg, PCI_CFG_LEN - 4, 4), 0);
	free(cfg);
}

static void test_pci_cfg_w1c_clears_only_written_bits(void **state)
{
	struct pci_cfg *cfg = calloc(1, sizeof(*cfg));

	(void)state;
	pci_cfg_set_w1c(cfg, PCI_STATUS, 2, 0xf900);
	pci_cfg_set(cfg, PCI_STATUS, 2, 0xf910);
	pci_cfg_write(cfg, PCI_STATUS, 2, 0x8010);
	assert_int_equal(pci_cfg_read(cfg, PCI_STATUS, 2), 0x7910);
	pci_cfg_write(cfg, PCI_STATUS + 1, 1, 0xff);
	assert_int_equal(pci_cfg_read(cfg, PCI_STATUS, 2), 0x0010);
	free(cfg);
}

static void test_pci_cfg_capabilities_are_chained_in_order(void **state)
{
	static const uint8_t offs[] = {0x80, 0x40, 0xfc};
	struct pci_cfg *cfg = calloc(1, sizeof(*cfg));
	uint8_t at;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(offs); i++)
		pci_cfg_add_cap(cfg, (uint8_t)(i + 1), offs[i]);
	assert_int_equal(pci_cfg_read(cfg, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	at = cfg->value[PCI_CAPABILITY_LIST];
	for (unsigned int i = 0; i < ARRAY_SIZE(offs); i++) {
		assert_int_equal(at, offs[i]);
		assert_int_equal(cfg->value[at + PCI_CAP_LIST_ID], i + 1);
		at = cfg->value[at + PCI_CAP_LIST_NEXT];
	}
	assert_int_equal(at, 0);
	free(cfg);
}

static void test_pci_cfg_ext_capabilities_are_chained_in_order(void **state)
{
	static const uint16_t offs[] = {0x100, 0xffc, 0x200};
	struct pci_cfg *cfg = calloc(1, sizeof(*cfg));
	uint16_t at = 0x100;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(offs); i++)
		pci_cfg_add_ext_cap(cfg, (uint16_t)(0x10 + i), 2, offs[i]);
	for (unsigned int i = 0; i < ARRAY_SIZE(offs); i++) {
		uint32_t header = pci_cfg_read(cfg, at, 4);

		assert_int_equal(at, offs[i]);
		assert_int_equal(PCI_EXT_CAP_ID(header), 0x10 + i);
		assert_int_equal(PCI_EXT_CAP_VER(header), 2);
		at = PCI_EXT_CAP_NEXT(header);
	}
	assert_int_equal(at, 0);
	free(cfg);
}

/* A list that a broken device made circular: no endless walk. */
static void test_pci_cfg_circular_list_ends(void **state)
{
	struct pci_cfg *cfg = calloc(1, sizeof(*cfg));

	(void)state;
	pci_cfg_set(cfg, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
	pci_cfg_set(cfg, PCI_CAPABILITY_LIST, 1, 0x40);
	pci_cfg_set(cfg, 0x40, 2, 0x4001);
	pci_cfg_add_cap(cfg, 5, 0x80);
	assert_int_equal(cfg->value[0x80], 5);
	pci_cfg_set(cfg, 0x100, 4, 0x10010001);
	pci_cfg_add_ext_cap(cfg, 7, 1, 0x300);
	assert_int_equal(PCI_EXT_CAP_ID(pci_cfg_read(cfg, 0x300, 4)), 7);
	free(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pci_cfg_writes_change_only_what_the_masks_allow),
		cmocka_unit_test(test_pci_cfg_read_is_little_endian),
		cmocka_unit_test(test_pci_cfg_w1c_clears_only_written_bits),
		cmocka_unit_test(test_pci_cfg_capabilities_are_chained_in_order),
		cmocka_unit_test(test_pci_cfg_ext_capabilities_are_chained_in_order),
		cmocka_unit_test(test_pci_cfg_circular_list_ends),
	};

	return cmocka_run_group_tests_name("pci_cfg", tests, NULL, NULL);
}
