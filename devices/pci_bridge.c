/*
 * The type 1 header: writable bits, and what the bridge forwards because of them.
 * PCIe 5.0, 7.5.1.3 Type 1 Configuration Space Header.
 */
#include <linux/pci_regs.h>

#include "devices/pci_internal.h"
#include "vmm/base/bits.h"

#define IO_GRANULARITY 0x1000U
#define MEM_GRANULARITY 0x100000U

static const struct {
	uint16_t off;
	uint8_t len;
	uint32_t value, rw, w1c;
} type1_header[] = {
	{PCI_PRIMARY_BUS, 1, 0, 0xff, 0},
	{PCI_SECONDARY_BUS, 1, 0, 0xff, 0},
	{PCI_SUBORDINATE_BUS, 1, 0, 0xff, 0},
	{PCI_IO_BASE, 1, PCI_IO_RANGE_TYPE_16, 0xf0, 0},
	{PCI_IO_LIMIT, 1, PCI_IO_RANGE_TYPE_16, 0xf0, 0},
	{PCI_SEC_STATUS, 2, 0, 0, 0xf900},
	{PCI_MEMORY_BASE, 2, 0, 0xfff0, 0},
	{PCI_MEMORY_LIMIT, 2, 0, 0xfff0, 0},
	{PCI_PREF_MEMORY_BASE, 2, PCI_PREF_RANGE_TYPE_64, 0xfff0, 0},
	{PCI_PREF_MEMORY_LIMIT, 2, PCI_PREF_RANGE_TYPE_64, 0xfff0, 0},
	{PCI_PREF_BASE_UPPER32, 4, 0, 0xffffffff, 0},
	{PCI_PREF_LIMIT_UPPER32, 4, 0, 0xffffffff, 0},
	/* Deviation: VGA Enable and ISA Enable stay 0, no legacy VGA or ISA cycle is forwarded. */
	{PCI_BRIDGE_CONTROL, 2, 0,
	 PCI_BRIDGE_CTL_PARITY | PCI_BRIDGE_CTL_SERR | PCI_BRIDGE_CTL_BUS_RESET, 0},
};

void pci_bridge_init(struct pci_dev *dev)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(type1_header); i++) {
		uint16_t off = type1_header[i].off;
		unsigned int len = type1_header[i].len;

		pci_cfg_set(&dev->cfg, off, len, type1_header[i].value);
		pci_cfg_set_rw(&dev->cfg, off, len, type1_header[i].rw);
		pci_cfg_set_w1c(&dev->cfg, off, len, type1_header[i].w1c);
	}
}

/* From the first address of the first unit to the last address of the last one; a base above the
 * limit closes the window. */
static struct range window(uint64_t base, uint64_t limit, uint64_t granularity)
{
	uint64_t last = limit + granularity - 1;

	if (base > limit)
		return (struct range){0};
	/* The size of the whole address space does not fit; its last byte is nobody's anyway. */
	return (struct range){base, last - base == UINT64_MAX ? UINT64_MAX : last - base + 1};
}

static struct range io_window(const struct pci_cfg *cfg)
{
	return window((uint64_t)(pci_cfg_read(cfg, PCI_IO_BASE, 1) & 0xf0) << 8,
		      (uint64_t)(pci_cfg_read(cfg, PCI_IO_LIMIT, 1) & 0xf0) << 8, IO_GRANULARITY);
}

static uint64_t mem_bound(const struct pci_cfg *cfg, uint16_t off)
{
	return (uint64_t)(pci_cfg_read(cfg, off, 2) & 0xfff0) << 16;
}

static struct range mem_window(const struct pci_cfg *cfg)
{
	return window(mem_bound(cfg, PCI_MEMORY_BASE), mem_bound(cfg, PCI_MEMORY_LIMIT),
		      MEM_GRANULARITY);
}

static struct range prefetch_window(const struct pci_cfg *cfg)
{
	uint64_t base = (uint64_t)pci_cfg_read(cfg, PCI_PREF_BASE_UPPER32, 4) << 32;
	uint64_t limit = (uint64_t)pci_cfg_read(cfg, PCI_PREF_LIMIT_UPPER32, 4) << 32;

	return window(base | mem_bound(cfg, PCI_PREF_MEMORY_BASE),
		      limit | mem_bound(cfg, PCI_PREF_MEMORY_LIMIT), MEM_GRANULARITY);
}

struct range pci_bridge_window(struct pci_dev *bridge, enum pci_window kind)
{
	struct range range;

	pthread_mutex_lock(&bridge->lock);
	if (kind == PCI_WINDOW_IO)
		range = io_window(&bridge->cfg);
	else if (kind == PCI_WINDOW_MEM)
		range = mem_window(&bridge->cfg);
	else
		range = prefetch_window(&bridge->cfg);
	pthread_mutex_unlock(&bridge->lock);
	return range;
}

static bool same_range(struct range a, struct range b)
{
	return a.start == b.start && a.size == b.size;
}

static bool same_forward(const struct pci_forward *a, const struct pci_forward *b)
{
	return a->secondary == b->secondary && a->subordinate == b->subordinate &&
	       a->held_in_reset == b->held_in_reset && same_range(a->mem, b->mem) &&
	       same_range(a->prefetch, b->prefetch) && same_range(a->io, b->io);
}

/* In D3hot a bridge forwards configuration requests, but neither memory nor I/O. */
bool pci_bridge_publish_locked(struct pci_dev *dev)
{
	const struct pci_cfg *cfg = &dev->cfg;
	uint32_t command = pci_cfg_read(cfg, PCI_COMMAND, 2);
	uint32_t control = pci_cfg_read(cfg, PCI_BRIDGE_CONTROL, 2);
	bool awake = pci_dev_power_state(dev) == 0;
	struct pci_forward forward = {
		.secondary = (uint8_t)pci_cfg_read(cfg, PCI_SECONDARY_BUS, 1),
		.subordinate = (uint8_t)pci_cfg_read(cfg, PCI_SUBORDINATE_BUS, 1),
		.held_in_reset = control & PCI_BRIDGE_CTL_BUS_RESET,
	};

	if (awake && command & PCI_COMMAND_MEMORY) {
		forward.mem = mem_window(cfg);
		forward.prefetch = prefetch_window(cfg);
	}
	if (awake && command & PCI_COMMAND_IO)
		forward.io = io_window(cfg);
	if (same_forward(&forward, &dev->forward))
		return false;
	pci_host_decode_lock(dev->host);
	dev->forward = forward;
	pci_host_decode_unlock(dev->host);
	return true;
}
