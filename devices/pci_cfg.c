#include "devices/pci.h"

#include <assert.h>
#include <linux/pci_regs.h>

#include "vmm/base/bits.h"
#include "vmm/base/le.h"

#define CAP_FIRST 0x40
#define CAP_LEN 0x100
#define CAP_COUNT_MAX ((CAP_LEN - CAP_FIRST) / 4)
#define EXT_CAP_FIRST 0x100
#define EXT_CAP_COUNT_MAX ((PCI_CFG_LEN - EXT_CAP_FIRST) / 4)
#define EXT_CAP_VERSION_SHIFT 16
#define EXT_CAP_NEXT_SHIFT 20

void pci_cfg_write(struct pci_cfg *cfg, uint16_t off, unsigned int len, uint32_t value)
{
	assert(range_fits(PCI_CFG_LEN, off, len));
	for (unsigned int i = 0; i < len; i++) {
		uint8_t written = (uint8_t)(value >> (8 * i));
		uint8_t *byte = &cfg->value[off + i];

		*byte = (uint8_t)((*byte & ~cfg->rw[off + i]) | (written & cfg->rw[off + i]));
		*byte &= (uint8_t)~(written & cfg->w1c[off + i]);
	}
}

uint32_t pci_cfg_read(const struct pci_cfg *cfg, uint16_t off, unsigned int len)
{
	assert(range_fits(PCI_CFG_LEN, off, len));
	return (uint32_t)le_get(&cfg->value[off], len);
}

void pci_cfg_set(struct pci_cfg *cfg, uint16_t off, unsigned int len, uint32_t value)
{
	assert(range_fits(PCI_CFG_LEN, off, len));
	le_set(&cfg->value[off], len, value);
}

void pci_cfg_set_rw(struct pci_cfg *cfg, uint16_t off, unsigned int len, uint32_t mask)
{
	assert(range_fits(PCI_CFG_LEN, off, len));
	le_set(&cfg->rw[off], len, mask);
}

void pci_cfg_set_w1c(struct pci_cfg *cfg, uint16_t off, unsigned int len, uint32_t mask)
{
	assert(range_fits(PCI_CFG_LEN, off, len));
	le_set(&cfg->w1c[off], len, mask);
}

/* The lists may come from a real device, so the walks are bounded. */
void pci_cfg_add_cap(struct pci_cfg *cfg, uint8_t id, uint8_t off)
{
	uint8_t *link = &cfg->value[PCI_CAPABILITY_LIST];
	uint16_t status = le16_get(&cfg->value[PCI_STATUS]);

	assert(off >= CAP_FIRST && off % 4 == 0);
	if (!(status & PCI_STATUS_CAP_LIST))
		*link = 0;
	for (unsigned int i = 0; i < CAP_COUNT_MAX && *link >= CAP_FIRST; i++)
		link = &cfg->value[(*link & ~3U) + PCI_CAP_LIST_NEXT];
	*link = off;
	cfg->value[off + PCI_CAP_LIST_ID] = id;
	cfg->value[off + PCI_CAP_LIST_NEXT] = 0;
	le16_set(&cfg->value[PCI_STATUS], status | PCI_STATUS_CAP_LIST);
}

void pci_cfg_add_ext_cap(struct pci_cfg *cfg, uint16_t id, uint8_t version, uint16_t off)
{
	uint32_t header = id | (uint32_t)version << EXT_CAP_VERSION_SHIFT;
	uint16_t tail = EXT_CAP_FIRST;

	assert(off >= EXT_CAP_FIRST && off < PCI_CFG_LEN && off % 4 == 0);
	le32_set(&cfg->value[off], header);
	if (off == EXT_CAP_FIRST)
		return;
	for (unsigned int i = 0; i < EXT_CAP_COUNT_MAX; i++) {
		uint16_t next = PCI_EXT_CAP_NEXT(le32_get(&cfg->value[tail]));

		if (next < EXT_CAP_FIRST)
			break;
		tail = next;
	}
	header = le32_get(&cfg->value[tail]) & ((1U << EXT_CAP_NEXT_SHIFT) - 1);
	le32_set(&cfg->value[tail], header | (uint32_t)off << EXT_CAP_NEXT_SHIFT);
}
