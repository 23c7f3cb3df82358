/*
 * MSI-X: capability, table and pending bit array. PCIe 5.0, 7.7.2 MSI-X Capability and Table
 * Structure.
 */
#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "devices/pci_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/bus.h"

#define VECTORS_MAX 2048U
#define PBA_WORD_BITS 64U
#define PBA_WORD_LEN 8U

/* Bits of each dword of an entry that the guest can set; the address is dword-aligned. */
static const uint32_t entry_rw[PCI_MSIX_ENTRY_SIZE / 4] = {
	[PCI_MSIX_ENTRY_LOWER_ADDR / 4] = 0xfffffffc,
	[PCI_MSIX_ENTRY_UPPER_ADDR / 4] = 0xffffffff,
	[PCI_MSIX_ENTRY_DATA / 4] = 0xffffffff,
	[PCI_MSIX_ENTRY_VECTOR_CTRL / 4] = PCI_MSIX_ENTRY_CTRL_MASKBIT,
};

int pci_dev_add_msix(struct pci_dev *dev, bool append)
{
	struct pci_msix *msix = &dev->msix;
	struct pci_cfg *cfg = &dev->cfg;
	uint8_t cap = msix->cap;

	assert(msix->table_size && msix->table_size <= VECTORS_MAX);
	assert(msix->table_off % 8 == 0 && msix->pba_off % 8 == 0);
	msix->table = calloc(msix->table_size, PCI_MSIX_ENTRY_SIZE);
	if (!msix->table)
		return -ENOMEM;
	pci_msix_reset(dev);
	if (append)
		pci_cfg_add_cap(cfg, PCI_CAP_ID_MSIX, cap);
	for (uint8_t off = 0; off < PCI_CAP_MSIX_SIZEOF; off += 4) {
		pci_cfg_set_rw(cfg, cap + off, 4, 0);
		pci_cfg_set_w1c(cfg, cap + off, 4, 0);
	}
	pci_cfg_set(cfg, cap + PCI_MSIX_FLAGS, 2, msix->table_size - 1U);
	pci_cfg_set_rw(cfg, cap + PCI_MSIX_FLAGS, 2,
		       PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	pci_cfg_set(cfg, cap + PCI_MSIX_TABLE, 4, msix->table_off | msix->table_bir);
	pci_cfg_set(cfg, cap + PCI_MSIX_PBA, 4, msix->pba_off | msix->pba_bir);
	return 0;
}

void pci_msix_finish(struct pci_dev *dev)
{
	free(dev->msix.table);
	dev->msix.table = NULL;
}

static uint8_t *entry(const struct pci_dev *dev, unsigned int vector)
{
	return &dev->msix.table[(size_t)vector * PCI_MSIX_ENTRY_SIZE];
}

/* Every vector is masked after reset. */
void pci_msix_reset(struct pci_dev *dev)
{
	if (!dev->msix.table)
		return;
	memset(dev->msix.table, 0, (size_t)dev->msix.table_size * PCI_MSIX_ENTRY_SIZE);
	for (unsigned int i = 0; i < dev->msix.table_size; i++)
		le32_set(entry(dev, i) + PCI_MSIX_ENTRY_VECTOR_CTRL, PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

static uint32_t flags(const struct pci_dev *dev)
{
	return dev->msix.cap ? pci_cfg_read(&dev->cfg, dev->msix.cap + PCI_MSIX_FLAGS, 2) : 0;
}

bool pci_msix_enabled(const struct pci_dev *dev)
{
	return flags(dev) & PCI_MSIX_FLAGS_ENABLE;
}

bool pci_msix_active(const struct pci_dev *dev, unsigned int vector)
{
	if (!dev->msix.table || vector >= dev->msix.table_size || !pci_msix_enabled(dev) ||
	    flags(dev) & PCI_MSIX_FLAGS_MASKALL)
		return false;
	return !(le32_get(entry(dev, vector) + PCI_MSIX_ENTRY_VECTOR_CTRL) &
		 PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

struct msi_message pci_msix_message(const struct pci_dev *dev, unsigned int vector)
{
	const uint8_t *e;

	if (!dev->msix.table || vector >= dev->msix.table_size)
		return (struct msi_message){0};
	e = entry(dev, vector);
	return (struct msi_message){
		.address = le64_get(e + PCI_MSIX_ENTRY_LOWER_ADDR),
		.data = le32_get(e + PCI_MSIX_ENTRY_DATA),
	};
}

static void table_access(struct pci_dev *dev, uint64_t off, struct bus_access *access)
{
	struct pci_msix *msix = &dev->msix;
	unsigned int vector = (unsigned int)(off / PCI_MSIX_ENTRY_SIZE);

	if (!access->is_write) {
		access->value = le_get(&msix->table[off], access->len);
		return;
	}
	for (unsigned int i = 0; i < access->len; i += 4) {
		uint32_t rw = entry_rw[(off + i) % PCI_MSIX_ENTRY_SIZE / 4];

		le32_set(&msix->table[off + i], (uint32_t)(access->value >> (8 * i)) & rw);
	}
	if (msix->changed)
		msix->changed(dev, vector);
}

/* The 64 pending bits of word `index`. Writes are dropped. */
static uint64_t pending_word(struct pci_dev *dev, uint64_t index)
{
	const struct pci_msix *msix = &dev->msix;
	uint64_t word = 0;

	for (unsigned int i = 0; msix->pending && i < PBA_WORD_BITS; i++) {
		unsigned int vector = (unsigned int)(index * PBA_WORD_BITS) + i;

		if (vector < msix->table_size && msix->pending(dev, vector))
			word |= 1ULL << i;
	}
	return word;
}

static void pba_access(struct pci_dev *dev, uint64_t off, struct bus_access *access)
{
	uint64_t word;

	if (access->is_write)
		return;
	word = pending_word(dev, off / PBA_WORD_LEN);
	access->value = word >> (8 * (off % PBA_WORD_LEN)) & ones(access->len);
}

/* Other than aligned dwords and quadwords are undefined by the specification: reads are ones,
 * writes are dropped. A well-formed access cannot reach over an end of table or PBA. */
static bool is_well_formed(const struct bus_access *access)
{
	return (access->len == 4 || access->len == 8) && access->off % access->len == 0;
}

bool pci_msix_access(struct pci_dev *dev, unsigned int bar, struct bus_access *access)
{
	const struct pci_msix *msix = &dev->msix;
	const struct range at = {access->off, access->len};
	const struct range table = {msix->table_off,
				    (uint64_t)msix->table_size * PCI_MSIX_ENTRY_SIZE};
	const struct range pba = {msix->pba_off,
				  align_up(msix->table_size, PBA_WORD_BITS) / 8};
	bool in_table = msix->table && bar == msix->table_bir && range_meets(table, at);
	bool in_pba = msix->table && bar == msix->pba_bir && range_meets(pba, at);

	if (!in_table && !in_pba)
		return false;
	if (!is_well_formed(access))
		return true;
	if (in_table)
		table_access(dev, access->off - table.start, access);
	else
		pba_access(dev, access->off - pba.start, access);
	return true;
}
