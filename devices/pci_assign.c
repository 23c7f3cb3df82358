/*
 * What firmware does after reset: bus numbers, bridge windows, BARs. Two levels are all there is:
 * the BARs behind a root port are packed into its windows, and these and the BARs on bus 0 are
 * packed into the host bridge's. Packing largest first leaves no gap between powers of two.
 *
 * A bridge may reserve addresses for what is plugged in later. Linux keeps the windows of a
 * hot-plug bridge that firmware has set, and assigns a new device's BARs inside them
 * (drivers/pci/setup-bus.c, pci_assign_unassigned_bridge_resources()).
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

#define ROOTS_PER_DEVICE (CLAIMS_PER_DEVICE + PCI_WINDOWS)

/* Something that needs addresses: a BAR, or all BARs of a kind behind `bridge` (its window). */
struct claim {
	struct pci_dev *dev;    /* of the BAR, or of the largest BAR in the window */
	unsigned int bar;
	struct pci_dev *bridge; /* window of this bridge; NULL: a BAR */
	enum pci_window kind;
	uint64_t size, align;
	uint64_t bars_size, bars_align; /* of a window, without what the bridge reserves */
	uint64_t address;
	bool placed;
	unsigned int order;
};

struct assign {
	struct pci_dev **devices; /* all there were at the beginning, held */
	unsigned int device_count;
	struct claim *bars;    /* largest first */
	struct claim *roots;   /* what is placed in the host's windows, largest alignment first */
	unsigned int bar_count, root_count;
	struct range free[PCI_WINDOWS]; /* what is left of the host's windows */
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

static void number_buses(const struct assign *assign)
{
	uint32_t bus = 0;

	for (unsigned int i = 0; i < assign->device_count; i++) {
		struct pci_dev *dev = assign->devices[i];

		if (!pci_dev_is_bridge(dev))
			continue;
		bus++;
		cfg_write(dev, PCI_PRIMARY_BUS, 4, bus << 8 | bus << 16);
	}
}

static void set_decode(const struct assign *assign)
{
	const uint32_t decode = PCI_COMMAND_IO | PCI_COMMAND_MEMORY;

	for (unsigned int i = 0; i < assign->device_count; i++) {
		struct pci_dev *dev = assign->devices[i];
		uint32_t command = cfg_read(dev, PCI_COMMAND, 2) & ~decode;

		cfg_write(dev, PCI_COMMAND, 2, command | (pci_dev_is_bridge(dev) ? decode : 0));
		if (dev->intx.gsi)
			cfg_write(dev, PCI_INTERRUPT_LINE, 1, dev->intx.gsi);
	}
}

static void stop_decode(const struct assign *assign)
{
	const uint32_t decode = PCI_COMMAND_IO | PCI_COMMAND_MEMORY;

	for (unsigned int i = 0; i < assign->device_count; i++) {
		struct pci_dev *dev = assign->devices[i];

		cfg_write(dev, PCI_COMMAND, 2, cfg_read(dev, PCI_COMMAND, 2) & ~decode);
	}
}

/* --- what is needed --- */

static enum pci_window bar_kind(const struct pci_bar *bar)
{
	const uint32_t prefetch64 = PCI_BASE_ADDRESS_MEM_PREFETCH | PCI_BASE_ADDRESS_MEM_TYPE_64;

	if (bar->flags & PCI_BASE_ADDRESS_SPACE_IO)
		return PCI_WINDOW_IO;
	return (bar->flags & prefetch64) == prefetch64 ? PCI_WINDOW_PREFETCH : PCI_WINDOW_MEM;
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
	for (unsigned int i = 0; i < assign->device_count; i++) {
		struct pci_dev *dev = assign->devices[i];

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

static uint64_t window_unit(enum pci_window kind)
{
	return kind == PCI_WINDOW_IO ? IO_WINDOW_UNIT : MEM_WINDOW_UNIT;
}

/* The claims are sorted, so the first one found is the largest. */
static struct claim window_claim(const struct assign *assign, struct pci_dev *bridge,
				 enum pci_window kind)
{
	uint64_t unit = window_unit(kind);
	struct claim window = {.bridge = bridge, .kind = kind, .align = unit};

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
	window.bars_size = window.size;
	window.bars_align = window.align;
	return window;
}

static void add_root(struct assign *assign, struct claim claim)
{
	claim.order = assign->root_count;
	assign->roots[assign->root_count++] = claim;
}

static void collect_roots(struct assign *assign)
{
	for (unsigned int i = 0; i < assign->bar_count; i++) {
		if (!assign->bars[i].dev->parent)
			add_root(assign, assign->bars[i]);
	}
	for (unsigned int i = 0; i < assign->device_count; i++) {
		struct pci_dev *dev = assign->devices[i];

		for (enum pci_window kind = 0; kind < PCI_WINDOWS && pci_dev_is_bridge(dev); kind++)
			add_root(assign, window_claim(assign, dev, kind));
	}
	qsort(assign->roots, assign->root_count, sizeof(*assign->roots), compare);
}

/* --- places --- */

static void place(struct claim *claim, struct range *free)
{
	uint64_t start = align_up(free->start, claim->align);
	uint64_t skipped = start - free->start;

	if (!claim->size || claim->placed || start < free->start ||
	    !range_fits(free->size, skipped, claim->size))
		return;
	claim->address = start;
	claim->placed = true;
	free->start = start + claim->size;
	free->size -= skipped + claim->size;
}

/* Is `claim` one for the host's window of `kind`? Prefetchable 64-bit claims have the window above
 * RAM; those that do not fit there compete for the one below 4 GiB like all others. */
static bool competes(const struct claim *claim, enum pci_window kind)
{
	return claim->kind == kind ||
	       (kind == PCI_WINDOW_MEM && claim->kind == PCI_WINDOW_PREFETCH && !claim->placed);
}

static void place_all(struct assign *assign, enum pci_window kind)
{
	for (unsigned int i = 0; i < assign->root_count; i++)
		if (competes(&assign->roots[i], kind))
			place(&assign->roots[i], &assign->free[kind]);
}

/* --- what is reserved --- */

/* At most `share` of what the bridge of this window reserves. */
static void resize(struct claim *window, uint64_t share)
{
	uint64_t reserve = window->bridge->reserve[window->kind];

	if (reserve > share)
		reserve = share;
	window->size = window->bars_size > reserve ? window->bars_size : reserve;
	window->align = window->bars_align > reserve ? window->bars_align : reserve;
}

/* Would all have a place? Leaves it sorted. */
static bool fits(struct assign *assign, enum pci_window kind)
{
	struct range free = assign->free[kind];

	qsort(assign->roots, assign->root_count, sizeof(*assign->roots), compare);
	for (unsigned int i = 0; i < assign->root_count; i++) {
		struct claim claim = assign->roots[i];

		if (!competes(&claim, kind))
			continue;
		place(&claim, &free);
		if (claim.size && !claim.placed)
			return false;
	}
	return true;
}

/* The windows of `kind` with numbers from `first` on. */
static void resize_from(struct assign *assign, enum pci_window kind, unsigned int first,
			uint64_t share)
{
	for (unsigned int i = 0; i < assign->root_count; i++) {
		struct claim *root = &assign->roots[i];

		if (root->bridge && root->kind == kind && root->order >= first)
			resize(root, share);
	}
}

/* All get as much as they reserve, or half of it, or a quarter; or the last ones get nothing. */
static void share_out(struct assign *assign, enum pci_window kind)
{
	uint64_t share = 0;

	for (unsigned int i = 0; i < assign->device_count; i++)
		if (assign->devices[i]->reserve[kind] > share)
			share = assign->devices[i]->reserve[kind];
	for (; share >= window_unit(kind); share /= 2) {
		resize_from(assign, kind, 0, share);
		if (fits(assign, kind))
			return;
	}
	for (unsigned int i = assign->root_count; i-- > 0 && !fits(assign, kind);)
		resize_from(assign, kind, i, 0);
}

static int place_roots(struct assign *assign)
{
	static const enum pci_window order[] = {
		PCI_WINDOW_PREFETCH, PCI_WINDOW_MEM, PCI_WINDOW_IO,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(order); i++) {
		share_out(assign, order[i]);
		place_all(assign, order[i]);
	}
	for (unsigned int i = 0; i < assign->root_count; i++) {
		struct claim *claim = &assign->roots[i];
		uint16_t bdf;

		if (claim->placed || !claim->size)
			continue;
		bdf = pci_host_bdf(claim->dev);
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

static void write_window(struct pci_dev *bridge, enum pci_window kind, uint64_t base,
			 uint64_t limit)
{
	uint32_t units = (uint32_t)(base >> 16 & 0xfff0) | (uint32_t)(limit & 0xfff00000);

	switch (kind) {
	case PCI_WINDOW_IO:
		cfg_write(bridge, PCI_IO_BASE, 1, (uint32_t)(base >> 8 & 0xf0));
		cfg_write(bridge, PCI_IO_LIMIT, 1, (uint32_t)(limit >> 8 & 0xf0));
		break;
	case PCI_WINDOW_MEM:
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
static void close_windows(const struct assign *assign)
{
	for (unsigned int i = 0; i < assign->device_count; i++) {
		struct pci_dev *dev = assign->devices[i];

		for (enum pci_window kind = 0; kind < PCI_WINDOWS && pci_dev_is_bridge(dev); kind++)
			write_window(dev, kind, UINT64_MAX, 0);
	}
}

static void note_given(const struct claim *window)
{
	struct pci_dev *bridge = window->bridge;

	pci_host_decode_lock(bridge->host);
	bridge->given[window->kind] = (struct range){window->address, window->size};
	pci_host_decode_unlock(bridge->host);
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
		note_given(root);
		if (!root->size)
			continue;
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

/* No more of them can be added than there are places. */
static void hold_all(struct pci_host *host, struct assign *assign)
{
	unsigned int place = 0;
	struct pci_dev *dev;

	while (assign->device_count < PCI_PLACES && (dev = pci_host_next(host, &place)))
		assign->devices[assign->device_count++] = dev;
}

static int assign_all(struct assign *assign)
{
	int error;

	number_buses(assign);
	stop_decode(assign);
	close_windows(assign);
	collect_bars(assign);
	collect_roots(assign);
	error = place_roots(assign);
	if (!error)
		write_roots(assign);
	set_decode(assign);
	return error;
}

int pci_host_assign(struct pci_host *host)
{
	struct assign assign = {
		.devices = calloc(PCI_PLACES, sizeof(*assign.devices)),
		.free = {
			[PCI_WINDOW_IO] = {PCI_IO_START, PCI_IO_SIZE},
			[PCI_WINDOW_MEM] = {MMIO32_START, MMIO32_SIZE},
			[PCI_WINDOW_PREFETCH] = pci_host_mmio64(host),
		},
	};
	int error = -ENOMEM;

	if (assign.devices)
		hold_all(host, &assign);
	assign.bars = calloc(assign.device_count + 1, CLAIMS_PER_DEVICE * sizeof(*assign.bars));
	assign.roots = calloc(assign.device_count + 1, ROOTS_PER_DEVICE * sizeof(*assign.roots));
	if (assign.devices && assign.bars && assign.roots)
		error = assign_all(&assign);
	for (unsigned int i = 0; i < assign.device_count; i++)
		pci_host_put(assign.devices[i]);
	free(assign.devices);
	free(assign.bars);
	free(assign.roots);
	return error;
}

/* --- what is left for a device that comes later --- */

void pci_dev_add_needs(const struct pci_dev *dev, struct pci_need needs[PCI_WINDOWS])
{
	for (unsigned int i = 0; i < CLAIMS_PER_DEVICE; i++) {
		uint64_t size = dev->bar[i].size;
		struct pci_need *need = &needs[bar_kind(&dev->bar[i])];

		if (!size)
			continue;
		need->size = add_sizes(need->size, size);
		if (size > need->largest)
			need->largest = size;
	}
}

bool pci_bridge_fits(struct pci_dev *bridge, enum pci_window kind, const struct pci_need *need,
		     uint64_t *ret_room)
{
	struct range given;

	if (pci_host_has_firmware(bridge->host)) {
		given = pci_bridge_window(bridge, kind);
	} else {
		pci_host_decode_lock(bridge->host);
		given = bridge->given[kind];
		pci_host_decode_unlock(bridge->host);
	}
	*ret_room = given.size;
	return need->size <= given.size && (!need->size || given.start % need->largest == 0);
}
