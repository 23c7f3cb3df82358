/*
 * BARs: whole pages of device memory that the host lets us map become windows of the guest; all
 * else traps and goes through the back end: I/O, BARs smaller than a page, the pages with the MSI-X
 * table and pending bits, the ROM (vfio/bars_rom.c).
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "vfio/function_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/base/log.h"
#include "vmm/mem.h"

#define PAGE_LEN 4096U /* of the guest's and the host's page tables alike */
#define MEM_BAR_MIN 16U
#define IO_BAR_MIN 4U
#define BAR_FLAGS_MEM (PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH)

/* --- set-up --- */

static bool is_io(uint32_t flags)
{
	return flags & PCI_BASE_ADDRESS_SPACE_IO;
}

static bool is_64bit(uint32_t flags)
{
	return !is_io(flags) && flags & PCI_BASE_ADDRESS_MEM_TYPE_64;
}

/* The bits of the register that are no address. Below 1 MiB (type 1) is of the past. */
static uint32_t bar_flags(const uint8_t *raw, unsigned int index)
{
	uint32_t reg = le32_get(raw + PCI_BASE_ADDRESS_0 + 4 * index);

	return is_io(reg) ? PCI_BASE_ADDRESS_SPACE_IO : reg & BAR_FLAGS_MEM;
}

static int check_bar(const struct vfio_function *function, unsigned int index, uint64_t size,
		     uint32_t flags, char *ret_why, size_t why_size)
{
	if (!is_power_of_two(size) || size < (is_io(flags) ? IO_BAR_MIN : MEM_BAR_MIN))
		return vfio_function_say(function, -EINVAL, ret_why, why_size,
					 "BAR %u has %llu bytes, which is no size of a BAR", index,
					 (unsigned long long)size);
	if (is_64bit(flags) && index + 1 == PCI_BAR_COUNT)
		return vfio_function_say(function, -EINVAL, ret_why, why_size,
					 "BAR %u is 64 bits wide and has no other half", index);
	if (!is_64bit(flags) && size > 2 * GIB)
		return vfio_function_say(function, -EINVAL, ret_why, why_size,
					 "BAR %u of 32 bits has %llu bytes", index,
					 (unsigned long long)size);
	return 0;
}

int vfio_bars_init(struct vfio_function *function, const uint8_t *raw, char *ret_why,
		   size_t why_size)
{
	struct vfio_backend *backend = function->backend;

	for (unsigned int i = 0; i < PCI_BAR_COUNT; i++) {
		struct vfio_region *region = &function->bar[i].region;
		uint32_t flags = bar_flags(raw, i);
		int error = backend->ops->region_info(backend, VFIO_PCI_BAR0_REGION_INDEX + i,
						      region);

		if (error)
			return vfio_function_say(function, error, ret_why, why_size,
						 "BAR %u cannot be read: %s", i, strerror(-error));
		if (!region->size)
			continue;
		error = check_bar(function, i, region->size, flags, ret_why, why_size);
		if (error)
			return error;
		pci_dev_set_bar(&function->dev, i, region->size, flags);
		if (is_64bit(flags))
			i++; /* the upper half */
	}
	vfio_rom_init(function);
	return 0;
}

/* --- areas --- */

static void add_area(struct vfio_bar *bar, uint64_t start, uint64_t end)
{
	if (start >= end || bar->areas == VFIO_AREAS_MAX)
		return;
	bar->area[bar->areas++] = (struct vfio_area){
		.range = {start, end - start},
		.window = -1,
	};
}

/* The pages of [start, end) that have no byte of `holes`, which are in ascending order. */
static void add_around(struct vfio_bar *bar, uint64_t start, uint64_t end,
		       const struct range *holes, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		uint64_t hole = align_down(holes[i].start, PAGE_LEN);
		uint64_t after = align_up(holes[i].start + holes[i].size, PAGE_LEN);

		if (hole >= end || after <= start)
			continue;
		add_area(bar, start, hole);
		start = after;
	}
	add_area(bar, start, end);
}

/* What of BAR `index` the core answers: MSI-X table and pending bits, ascending. */
static unsigned int msix_holes(const struct vfio_function *function, unsigned int index,
			       struct range holes[2])
{
	const struct pci_msix *msix = &function->dev.msix;
	struct range table = {msix->table_off, (uint64_t)msix->table_size * PCI_MSIX_ENTRY_SIZE};
	struct range pba = {msix->pba_off, align_up(msix->table_size, 64) / 8};
	unsigned int count = 0;

	if (!msix->cap)
		return 0;
	if (msix->table_bir == index)
		holes[count++] = table;
	if (msix->pba_bir == index)
		holes[count++] = pba;
	if (count == 2 && pba.start < table.start) {
		holes[0] = pba;
		holes[1] = table;
	}
	return count;
}

static void find_areas(struct vfio_function *function, unsigned int index)
{
	struct vfio_bar *bar = &function->bar[index];
	const struct vfio_region *region = &bar->region;
	struct range holes[2];
	unsigned int count = msix_holes(function, index, holes);

	for (unsigned int i = 0; i < region->areas && i < VFIO_SPARSE_MAX; i++) {
		struct range area = region->area[i];

		if (!range_fits(region->size, area.start, area.size))
			continue;
		add_around(bar, align_up(area.start, PAGE_LEN),
			   align_down(area.start + area.size, PAGE_LEN), holes, count);
	}
}

void vfio_bars_map(struct vfio_function *function)
{
	struct vfio_backend *backend = function->backend;

	for (unsigned int i = 0; i < PCI_BAR_COUNT; i++) {
		struct vfio_bar *bar = &function->bar[i];

		if (!function->dev.bar[i].size || is_io(function->dev.bar[i].flags))
			continue;
		find_areas(function, i);
		for (unsigned int j = 0; j < bar->areas; j++) {
			struct vfio_area *area = &bar->area[j];
			int error = backend->ops->region_map(
				backend, VFIO_PCI_BAR0_REGION_INDEX + i, area->range.start,
				area->range.size, &area->hva);

			if (!error)
				continue;
			area->hva = NULL;
			log_warn("vfio %s: BAR %u cannot be mapped at 0x%llx (%s), trapping",
				 backend->name, i, (unsigned long long)area->range.start,
				 strerror(-error));
		}
	}
}

void vfio_bars_finish(struct vfio_function *function)
{
	struct vfio_backend *backend = function->backend;

	vfio_bars_unmap_windows(function);
	for (unsigned int i = 0; i < PCI_BAR_COUNT; i++) {
		struct vfio_bar *bar = &function->bar[i];

		for (unsigned int j = 0; j < bar->areas; j++)
			if (bar->area[j].hva)
				backend->ops->region_unmap(backend, bar->area[j].hva,
							   bar->area[j].range.size);
		bar->areas = 0;
	}
	vfio_rom_finish(function);
}

/* --- windows --- */

static bool unmap_bar(struct vfio_function *function, struct vfio_bar *bar)
{
	bool any = false;

	for (unsigned int i = 0; i < bar->areas; i++) {
		struct vfio_area *area = &bar->area[i];

		if (area->window < 0)
			continue;
		mem_window_unmap(function->mem, area->window);
		area->window = -1;
		any = true;
	}
	if (any)
		function->late_faults = VCPU_MAX;
	return any;
}

bool vfio_bars_unmap_windows(struct vfio_function *function)
{
	bool any = false;

	for (unsigned int i = 0; i < PCI_BAR_COUNT; i++)
		any |= unmap_bar(function, &function->bar[i]);
	return any;
}

/* A window that meets something else (BARs that a guest has put on its RAM, or on each other)
 * stays a trap. */
static void map_bar(struct vfio_function *function, unsigned int index, uint64_t address)
{
	struct vfio_bar *bar = &function->bar[index];

	for (unsigned int i = 0; i < bar->areas; i++) {
		struct vfio_area *area = &bar->area[i];

		if (!area->hva || area->window >= 0)
			continue;
		area->window = mem_window_map(function->mem, address + area->range.start,
					      area->range.size, area->hva, !bar->region.writable);
		if (area->window < 0)
			log_guest("vfio %s: BAR %u at 0x%llx cannot be a window (%s), trapping",
				  function->backend->name, index, (unsigned long long)address,
				  strerror(-area->window));
	}
}

void vfio_bars_mapped(struct pci_dev *dev, unsigned int bar, uint64_t address, bool on)
{
	struct vfio_function *function = vfio_function_of(dev);

	if (bar == PCI_BAR_ROM) {
		vfio_rom_mapped(function, address, on);
		return;
	}
	if (!on) {
		unmap_bar(function, &function->bar[bar]);
		return;
	}
	if (!function->awake)
		return;
	/* Before the windows: the host answers accesses to them with SIGBUS without it. */
	vfio_config_sync_command(function);
	if (!function->windows_dropped)
		map_bar(function, bar, address);
}

/* --- traps --- */

void vfio_bars_read(struct pci_dev *dev, unsigned int bar, uint64_t off, unsigned int len,
		    uint64_t *value)
{
	struct vfio_function *function = vfio_function_of(dev);
	uint8_t bytes[8];

	if (bar == PCI_BAR_ROM)
		vfio_rom_read(function, off, len, value);
	else if (!vfio_function_read(function, VFIO_PCI_BAR0_REGION_INDEX + bar, off, bytes, len))
		*value = le_get(bytes, len);
}

void vfio_bars_write(struct pci_dev *dev, unsigned int bar, uint64_t off, unsigned int len,
		     uint64_t value)
{
	uint8_t bytes[8];

	le_set(bytes, len, value);
	vfio_function_write(vfio_function_of(dev), VFIO_PCI_BAR0_REGION_INDEX + bar, off, bytes,
			    len);
}
