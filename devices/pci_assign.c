/*
 * What firmware does after reset: bus numbers, bridge windows, BARs. Two levels are all there is:
 * the BARs behind a root port are packed into its windows, and these and the BARs on bus 0 are
 * packed into the host bridge's. Packing largest first leaves no gap between powers of two.
 */
#include <errno.h>
#include <linux/pci.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "devices/pci_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/log.h"

#define IO_WINDOW_UNIT 0x1000U
#define MEM_WINDOW_UNIT 0x100000U
#define SIZE_NOWHERE (1ULL << 63) /* the largest size of a BAR */
#define CLAIMS_PER_DEVICE (PCI_BAR_COUNT + 1)

/* What a bridge has a window for each. */
enum kind { KIND_IO, KIND_MEM, KIND_PREFETCH, KIND_COUNT };

#define ROOTS_PER_DEVICE (CLAIMS_PER_DEVICE + KIND_COUNT)

/* Something that needs addresses: a BAR, or all BARs of a kind behind `bridge` (its window). */
struct claim {
	struct pci_dev *dev;    /* of the BAR, or of the largest BAR in the window */
	unsigned int bar;
	struct pci_dev *bridge; /* window of this bridge; NULL: a BAR */
	enum kind kind;
	uint64_t size, align;
	uint64_t address;
	bool placed;
	unsigned int order;
};

struct assign {
	struct pci_host *host;
	struct claim *bars;    /* largest first */
	struct claim *roots;   /* what is placed in the host's windows, largest alignment first */
	unsigned int bar_count, root_count;
	struct range free[KIND_COUNT]; /* what is left of the host's windows */
};

static void cfg_write(struct pci_dev *dev, uint16_t off, unsigned int len, uint32_t value)
{
	pci_host_cfg_write(dev->host, pci_host_bdf(dev), off, len, value);
}

static uint32_t cfg_read(struct pci_dev *dev, uint16_t off, unsigned int len)
{
	return pci_host_cfg_read(dev->host, pci_host_bdf(dev), off, len);
}

/* --- bus numbers, Command, Interrupt Line --- */

static void number_buses(struct pci_host *host)
{
	struct pci_dev *dev;
	uint32_t bus = 0;

	for (unsigned int i = 0; (dev = pci_host_get(host, i)); i++) {
		if (!pci_dev_is_bridge(dev))
			continue;
		bus++;
		cfg_write(dev, PCI_PRIMARY_BUS, 4, bus << 8 | bus << 16);
	}
}

static void set_decode(struct pci_host *host)
{
	const uint32_t decode = PCI_COMMAND_IO | PCI_COMMAND_MEMORY;
	struct pci_dev *dev;

	for (unsigned int i = 0; (dev = pci_host_get(host, i)); i++) {
		uint32_t command = cfg_read(dev, PCI_COMMAND, 2) & ~decode;

		cfg_write(dev, PCI_COMMAND, 2, command | (pci_dev_is_bridge(dev) ? decode : 0));
		if (dev->intx.gsi)
			cfg_write(dev, PCI_INTERRUPT_LINE, 1, dev->intx.gsi);
	}
}

static void stop_decode(struct pci_host *host)
{
	const uint32_t decode = PCI_COMMAND_IO | PCI_COMMAND_MEMORY;
	struct pci_dev *dev;

	for (unsigned int i = 0; (dev = pci_host_get(host, i)); i++)
		cfg_write(dev, PCI_COMMAND, 2, cfg_read(dev, PCI_COMMAND, 2) & ~decode);
}

/* --- what is needed --- */

static enum kind bar_kind(const struct pci_bar *bar)
{
	const uint32_t prefetch64 = PCI_BASE_ADDRESS_MEM_PREFETCH | PCI_BASE_ADDRESS_MEM_TYPE_64;

	if (bar->flags & PCI_BASE_ADDRESS_SPACE_IO)
		return KIND_IO;
	return (bar->flags & prefetch64) == prefetch64 ? KIND_PREFETCH : KIND_MEM;
}

/* Larger alignment first; otherwise in the order of the devices, so that runs are alike. */
static int compare(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	if (x->align != y->align)
		return x->align > y->align ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static void collect_bars(struct assign *assign)
{
	struct pci_dev *dev;

	for (unsigned int i = 0; (dev = pci_host_get(assign->host, i)); i++) {
		for (unsigned int bar = 0; bar < CLAIMS_PER_DEVICE; bar++) {
			if (!dev->bar[bar].size)
				continue;
			assign->bars[assign->bar_count] = (struct claim){
				.dev = dev,
				.bar = bar,
				.kind = bar_kind(&dev->bar[bar]),
				.size = dev->bar[bar].size,
				.align = dev->bar[bar].size,
				.order = assign->bar_count,
			};
			assign->bar_count++;
		}
	}
	qsort(assign->bars, assign->bar_count, sizeof(*assign->bars), compare);
}

/* Saturates where no window of the host reaches: a device may ask for more than there is. */
static uint64_t add_sizes(uint64_t a, uint64_t b)
{
	return b > SIZE_NOWHERE - a ? SIZE_NOWHERE : a + b;
}

/* The claims are sorted, so the first one found is the largest. */
static struct claim window_claim(const struct assign *assign, struct pci_dev *bridge,
				 enum kind kind)
{
	uint64_t unit = kind == KIND_IO ? IO_WINDOW_UNIT : MEM_WINDOW_UNIT;
	struct claim window = {.bridge = bridge, .kind = kind};

	for (unsigned int i = 0; i < assign->bar_count; i++) {
		const struct claim *claim = &assign->bars[i];

		if (claim->dev->parent != bridge || claim->kind != kind)
			continue;
		if (!window.size) {
			window.dev = claim->dev;
			window.bar = claim->bar;
			window.align = claim->align > unit ? claim->align : unit;
		}
		window.size = add_sizes(window.size, claim->size);
	}
	window.size = align_up(window.size, unit);
	return window;
}

static void add_root(struct assign *assign, struct claim claim)
{
	claim.order = assign->root_count;
	assign->roots[assign->root_count++] = claim;
}

static void collect_roots(struct assign *assign)
{
	struct pci_dev *dev;

	for (unsigned int i = 0; i < assign->bar_count; i++) {
		if (!assign->bars[i].dev->parent)
			add_root(assign, assign->bars[i]);
	}
	for (unsigned int i = 0; (dev = pci_host_get(assign->host, i)); i++) {
		for (enum kind kind = 0; kind < KIND_COUNT && pci_dev_is_bridge(dev); kind++) {
			struct claim window = window_claim(assign, dev, kind);

			if (window.size)
				add_root(assign, window);
		}
	}
	qsort(assign->roots, assign->root_count, sizeof(*assign->roots), compare);
}

/* --- places --- */

static void place(struct claim *claim, struct range *free)
{
	uint64_t start = align_up(free->start, claim->align);
	uint64_t skipped = start - free->start;

	if (start < free->start || claim->placed || !range_fits(free->size, skipped, claim->size))
		return;
	claim->address = start;
	claim->placed = true;
	free->start = start + claim->size;
	free->size -= skipped + claim->size;
}

/* Prefetchable 64-bit claims have the window above RAM; those that do not fit there compete for
 * the one below 4 GiB like all others. */
static int place_roots(struct assign *assign)
{
	for (unsigned int i = 0; i < assign->root_count; i++) {
		if (assign->roots[i].kind == KIND_PREFETCH)
			place(&assign->roots[i], &assign->free[KIND_PREFETCH]);
	}
	for (unsigned int i = 0; i < assign->root_count; i++) {
		struct claim *claim = &assign->roots[i];
		uint16_t bdf = pci_host_bdf(claim->dev);

		place(claim, &assign->free[claim->kind == KIND_IO ? KIND_IO : KIND_MEM]);
		if (claim->placed)
			continue;
		log_err("pci: no room for BAR %u (0x%llx bytes) of %02x:%02x.%x", claim->bar,
			(unsigned long long)claim->dev->bar[claim->bar].size, bdf >> 8,
			PCI_SLOT(bdf), PCI_FUNC(bdf));
		return -ENOSPC;
	}
	return 0;
}

/* --- what is written --- */

static void write_bar(const struct claim *claim, uint64_t address)
{
	uint16_t reg = pci_bar_register(claim->dev, claim->bar);
	uint32_t flags = claim->dev->bar[claim->bar].flags;

	cfg_write(claim->dev, reg, 4, (uint32_t)address);
	if (!(flags & PCI_BASE_ADDRESS_SPACE_IO) && flags & PCI_BASE_ADDRESS_MEM_TYPE_64)
		cfg_write(claim->dev, reg + 4, 4, (uint32_t)(address >> 32));
}

static void write_window(struct pci_dev *bridge, enum kind kind, uint64_t base, uint64_t limit)
{
	uint32_t units = (uint32_t)(base >> 16 & 0xfff0) | (uint32_t)(limit & 0xfff00000);

	switch (kind) {
	case KIND_IO:
		cfg_write(bridge, PCI_IO_BASE, 1, (uint32_t)(base >> 8 & 0xf0));
		cfg_write(bridge, PCI_IO_LIMIT, 1, (uint32_t)(limit >> 8 & 0xf0));
		break;
	case KIND_MEM:
		cfg_write(bridge, PCI_MEMORY_BASE, 4, units);
		break;
	default:
		cfg_write(bridge, PCI_PREF_MEMORY_BASE, 4, units);
		cfg_write(bridge, PCI_PREF_BASE_UPPER32, 4, (uint32_t)(base >> 32));
		cfg_write(bridge, PCI_PREF_LIMIT_UPPER32, 4, (uint32_t)(limit >> 32));
		break;
	}
}

/* Base above limit: nothing is forwarded. */
static void close_windows(struct pci_host *host)
{
	struct pci_dev *dev;

	for (unsigned int i = 0; (dev = pci_host_get(host, i)); i++) {
		for (enum kind kind = 0; kind < KIND_COUNT && pci_dev_is_bridge(dev); kind++)
			write_window(dev, kind, UINT64_MAX, 0);
	}
}

static void write_roots(struct assign *assign)
{
	for (unsigned int i = 0; i < assign->root_count; i++) {
		const struct claim *root = &assign->roots[i];
		uint64_t next = root->address;

		if (!root->bridge) {
			write_bar(root, next);
			continue;
		}
		write_window(root->bridge, root->kind, next, next + root->size - 1);
		for (unsigned int j = 0; j < assign->bar_count; j++) {
			const struct claim *claim = &assign->bars[j];

			if (claim->dev->parent != root->bridge || claim->kind != root->kind)
				continue;
			write_bar(claim, next);
			next += claim->size;
		}
	}
}

int pci_host_assign(struct pci_host *host)
{
	struct assign assign = {
		.host = host,
		.free = {
			[KIND_IO] = {PCI_IO_START, PCI_IO_SIZE},
			[KIND_MEM] = {MMIO32_START, MMIO32_SIZE},
			[KIND_PREFETCH] = pci_host_mmio64(host),
		},
	};
	unsigned int devices = 0;
	int error = -ENOMEM;

	while (pci_host_get(host, devices))
		devices++;
	assign.bars = calloc(devices + 1, CLAIMS_PER_DEVICE * sizeof(*assign.bars));
	assign.roots = calloc(devices + 1, ROOTS_PER_DEVICE * sizeof(*assign.roots));
	if (!assign.bars || !assign.roots)
		goto out;
	number_buses(host);
	stop_decode(host);
	close_windows(host);
	collect_bars(&assign);
	collect_roots(&assign);
	error = place_roots(&assign);
	if (!error)
		write_roots(&assign);
	set_decode(host);
out:
	free(assign.bars);
	free(assign.roots);
	return error;
}
