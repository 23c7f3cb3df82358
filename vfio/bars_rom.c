/*
 * The expansion ROM. The device's own is read once, when the guest first looks at it, and traps.
 * One from a file is this program's memory and a window of the guest's, as long as it decodes:
 * nothing of the device is behind it, so faults of the device's windows leave it alone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vfio/function_internal.h"
#include "vfio/rom_file.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/base/log.h"
#include "vmm/mem.h"

#define PAGE_LEN 4096U
#define ROM_MIN 2048U
#define ROM_MAX (16 * MIB) /* PCIe 5.0, 7.5.1.2.4 Expansion ROM Base Address Register */
#define ROM_CHUNK (64 * KIB)

void vfio_rom_init(struct vfio_function *function)
{
	struct vfio_backend *backend = function->backend;
	struct vfio_region region;
	uint64_t size = ROM_MIN;

	if (backend->ops->region_info(backend, VFIO_PCI_ROM_REGION_INDEX, &region) ||
	    !region.size || !region.readable)
		return;
	if (region.size > ROM_MAX) {
		log_warn("vfio %s: expansion ROM of %llu bytes, %llu are possible, hiding it",
			 backend->name, (unsigned long long)region.size,
			 (unsigned long long)ROM_MAX);
		return;
	}
	while (size < region.size)
		size *= 2;
	function->rom.size = region.size;
	pci_dev_set_bar(&function->dev, PCI_BAR_ROM, size, 0);
}

void vfio_function_set_rom(struct vfio_function *function, uint8_t *bytes, size_t size)
{
	function->rom = (struct vfio_rom){
		.size = size, .bytes = bytes, .is_file = true, .window = -1};
	pci_dev_set_bar(&function->dev, PCI_BAR_ROM, size, 0);
}

static void unmap(struct vfio_function *function)
{
	if (function->rom.window < 0)
		return;
	mem_window_unmap(function->mem, function->rom.window);
	function->rom.window = -1;
}

void vfio_rom_mapped(struct vfio_function *function, uint64_t address, bool on)
{
	struct vfio_rom *rom = &function->rom;

	if (!on)
		unmap(function);
	else if (rom->is_file && rom->size >= PAGE_LEN)
		rom->window = mem_window_map(function->mem, address, rom->size, rom->bytes, true);
}

void vfio_rom_finish(struct vfio_function *function)
{
	unmap(function);
	free(function->rom.bytes);
	function->rom.bytes = NULL;
}

/* Once, while the guest has memory decoding on: without, the host does not read ROMs. */
static void load(struct vfio_function *function)
{
	struct vfio_backend *backend = function->backend;
	struct vfio_rom *rom = &function->rom;
	uint64_t done = 0;

	rom->bytes = rom_alloc(rom->size);
	if (!rom->bytes)
		return;
	while (done < rom->size) {
		size_t len = rom->size - done < ROM_CHUNK ? rom->size - done : ROM_CHUNK;
		ssize_t n = backend->ops->region_read(backend, VFIO_PCI_ROM_REGION_INDEX, done,
						      rom->bytes + done, len);

		if (n <= 0) {
			log_warn("vfio %s: expansion ROM cannot be read at 0x%llx, showing ones",
				 backend->name, (unsigned long long)done);
			return;
		}
		done += (uint64_t)n < len ? (uint64_t)n : len;
	}
}

void vfio_rom_read(struct vfio_function *function, uint64_t off, unsigned int len,
		   uint64_t *value)
{
	struct vfio_rom *rom = &function->rom;

	if (!rom->bytes && !rom->is_file && function->awake)
		load(function);
	if (rom->bytes && range_fits(rom->size, off, len))
		*value = le_get(rom->bytes + off, len);
}
