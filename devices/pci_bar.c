/*
 * Base address registers: declaration, which of them decode where, and accesses that trap.
 */
#include <assert.h>
#include <linux/pci_regs.h>

#include "devices/pci_internal.h"
#include "vmm/base/bits.h"
#include "vmm/bus.h"

#define IO_BAR_MIN 4U
#define MEM_BAR_MIN 16U
#define ROM_BAR_MIN 2048U
#define ROM_ADDRESS_MASK 0xfffff800U
#define BRIDGE_BAR_COUNT 2U

static bool is_io(const struct pci_bar *bar)
{
	return bar->flags & PCI_BASE_ADDRESS_SPACE_IO;
}

static bool is_64bit(const struct pci_bar *bar)
{
	return !is_io(bar) && bar->flags & PCI_BASE_ADDRESS_MEM_TYPE_64;
}

uint16_t pci_bar_register(const struct pci_dev *dev, unsigned int bar)
{
	if (bar != PCI_BAR_ROM)
		return (uint16_t)(PCI_BASE_ADDRESS_0 + 4 * bar);
	return pci_dev_is_bridge(dev) ? PCI_ROM_ADDRESS1 : PCI_ROM_ADDRESS;
}

/* The address bits below the size are constant zero: a write of ones reads back the size, so no
 * other code knows about sizing. PCIe 5.0, 7.5.1.2.1 Base Address Registers. */
void pci_dev_set_bar(struct pci_dev *dev, unsigned int bar, uint64_t size, uint32_t flags)
{
	uint16_t reg = pci_bar_register(dev, bar);
	uint64_t mask = ~(size - 1);

	assert(bar <= PCI_BAR_ROM && is_power_of_two(size));
	assert(bar == PCI_BAR_ROM || !pci_dev_is_bridge(dev) || bar < BRIDGE_BAR_COUNT);
	dev->bar[bar] = (struct pci_bar){.size = size, .flags = flags};
	if (bar == PCI_BAR_ROM) {
		assert(size >= ROM_BAR_MIN);
		pci_cfg_set(&dev->cfg, reg, 4, 0);
		pci_cfg_set_rw(&dev->cfg, reg, 4, (uint32_t)mask | PCI_ROM_ADDRESS_ENABLE);
		return;
	}
	assert(size >= (is_io(&dev->bar[bar]) ? IO_BAR_MIN : MEM_BAR_MIN));
	pci_cfg_set(&dev->cfg, reg, 4, flags);
	pci_cfg_set_rw(&dev->cfg, reg, 4, (uint32_t)mask);
	if (is_64bit(&dev->bar[bar])) {
		assert(bar + 1 < PCI_BAR_COUNT);
		dev->bar[bar + 1] = (struct pci_bar){0};
		pci_cfg_set(&dev->cfg, reg + 4, 4, 0);
		pci_cfg_set_rw(&dev->cfg, reg + 4, 4, (uint32_t)(mask >> 32));
	}
}

static uint64_t written_address(const struct pci_dev *dev, unsigned int bar)
{
	uint16_t reg = pci_bar_register(dev, bar);
	uint32_t low = pci_cfg_read(&dev->cfg, reg, 4);

	if (bar == PCI_BAR_ROM)
		return low & ROM_ADDRESS_MASK;
	if (is_io(&dev->bar[bar]))
		return low & (uint32_t)PCI_BASE_ADDRESS_IO_MASK;
	low &= (uint32_t)PCI_BASE_ADDRESS_MEM_MASK;
	if (!is_64bit(&dev->bar[bar]))
		return low;
	return low | (uint64_t)pci_cfg_read(&dev->cfg, reg + 4, 4) << 32;
}

/* Should `bar` decode now? Then `*ret_address` is where. */
static bool wants_decode(const struct pci_dev *dev, unsigned int bar, uint64_t *ret_address)
{
	uint32_t command = pci_cfg_read(&dev->cfg, PCI_COMMAND, 2);
	bool io = is_io(&dev->bar[bar]);
	struct range range = {.size = dev->bar[bar].size};

	if (!range.size || !dev->host || dev->presence != PCI_PRESENT || pci_dev_power_state(dev))
		return false;
	if (!(command & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return false;
	if (bar == PCI_BAR_ROM &&
	    !(pci_cfg_read(&dev->cfg, pci_bar_register(dev, bar), 1) & PCI_ROM_ADDRESS_ENABLE))
		return false;
	range.start = written_address(dev, bar);
	if (!pci_host_reaches(dev, io, range))
		return false;
	*ret_address = range.start;
	return true;
}

static void set_mapping(struct pci_dev *dev, unsigned int index, uint64_t address, bool on)
{
	struct pci_bar *bar = &dev->bar[index];

	pci_host_decode_lock(dev->host);
	bar->address = address;
	bar->mapped = on;
	pci_host_decode_unlock(dev->host);
	if (dev->ops->bar_mapped)
		dev->ops->bar_mapped(dev, index, address, on);
}

void pci_bar_unmap_stale_locked(struct pci_dev *dev)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(dev->bar); i++) {
		uint64_t address;

		if (!dev->bar[i].mapped)
			continue;
		if (!wants_decode(dev, i, &address) || address != dev->bar[i].address)
			set_mapping(dev, i, dev->bar[i].address, false);
	}
}

void pci_bar_map_wanted_locked(struct pci_dev *dev)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(dev->bar); i++) {
		uint64_t address;

		if (!dev->bar[i].mapped && wants_decode(dev, i, &address))
			set_mapping(dev, i, address, true);
	}
}

void pci_bar_unmap_all_locked(struct pci_dev *dev)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(dev->bar); i++) {
		if (dev->bar[i].mapped)
			set_mapping(dev, i, dev->bar[i].address, false);
	}
}

/* All that must go goes before anything comes: two BARs may have swapped places. */
void pci_dev_update_mappings_locked(struct pci_dev *dev)
{
	pci_bar_unmap_stale_locked(dev);
	pci_bar_map_wanted_locked(dev);
}

static void access_device(struct pci_dev *dev, unsigned int bar, struct bus_access *access)
{
	if (pci_msix_access(dev, bar, access))
		return;
	if (access->is_write && bar != PCI_BAR_ROM && dev->ops->bar_write)
		dev->ops->bar_write(dev, bar, access->off, access->len, access->value);
	else if (!access->is_write && dev->ops->bar_read)
		dev->ops->bar_read(dev, bar, access->off, access->len, &access->value);
}

void pci_bar_access(struct pci_dev *dev, unsigned int bar, uint64_t addr,
		    struct bus_access *access)
{
	pthread_mutex_lock(&dev->lock);
	if (dev->bar[bar].mapped) {
		struct range range = {dev->bar[bar].address, dev->bar[bar].size};

		/* The guest may have moved the BAR since it was looked up. */
		if (range_contains(range, addr, access->len)) {
			access->off = addr - range.start;
			access_device(dev, bar, access);
		}
	}
	pthread_mutex_unlock(&dev->lock);
}
