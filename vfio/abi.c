#include "vfio/abi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/bits.h"

/* Adds the whole pages of [start, start + size) that lie in the region. */
static void add_area(struct vfio_region *region, uint64_t start, uint64_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), end;
	struct range area;

	if (start >= region->size || region->areas == VFIO_SPARSE_MAX)
		return;
	if (size > region->size - start)
		size = region->size - start;
	end = align_down(start + size, page);
	start = align_up(start, page);
	if (start >= end)
		return;
	area = (struct range){.start = start, .size = end - start};
	for (unsigned int i = 0; i < region->areas; i++)
		if (range_meets(area, region->area[i]))
			return;
	region->area[region->areas++] = area;
}

/* Offset of the capability, 0 when the chain has none, -EINVAL when there is no following it. */
static int64_t find_cap(const uint8_t *info, size_t size, uint32_t off, uint16_t id)
{
	struct vfio_info_cap_header header;

	for (size_t steps = size / sizeof(header); off; steps--) {
		if (!steps || off < sizeof(struct vfio_region_info) ||
		    !range_fits(size, off, sizeof(header)))
			return -EINVAL;
		memcpy(&header, info + off, sizeof(header));
		if (header.id == id)
			return off;
		off = header.next;
	}
	return 0;
}

static int parse_sparse(const uint8_t *info, size_t size, size_t off, struct vfio_region *region)
{
	struct vfio_region_info_cap_sparse_mmap sparse;
	struct vfio_region_sparse_mmap_area area;

	if (!range_fits(size, off, sizeof(sparse)))
		return -EINVAL;
	memcpy(&sparse, info + off, sizeof(sparse));
	off += sizeof(sparse);
	if (sparse.nr_areas > (size - off) / sizeof(area))
		return -EINVAL;
	if (sparse.header.version != 1)
		return 0; /* says in a way unknown to us what may be mapped: map nothing */
	for (uint32_t i = 0; i < sparse.nr_areas; i++, off += sizeof(area)) {
		memcpy(&area, info + off, sizeof(area));
		add_area(region, area.offset, area.size);
	}
	return 0;
}

int vfio_region_parse(const void *info, size_t size, struct vfio_region *ret_region)
{
	struct vfio_region_info header;
	struct vfio_region region = {0};
	int64_t off = 0;
	int r = 0;

	if (size < sizeof(header))
		return -EINVAL;
	memcpy(&header, info, sizeof(header));
	if (!range_fits(INT64_MAX, header.offset, header.size))
		return -EINVAL; /* pread() and mmap() could not name its bytes */
	region.size = header.size;
	region.fd_offset = header.offset;
	region.readable = header.flags & VFIO_REGION_INFO_FLAG_READ;
	region.writable = header.flags & VFIO_REGION_INFO_FLAG_WRITE;
	if (header.flags & VFIO_REGION_INFO_FLAG_CAPS)
		off = find_cap(info, size, header.cap_offset, VFIO_REGION_INFO_CAP_SPARSE_MMAP);
	if (off < 0)
		return (int)off;
	/*
	 * VFIO_REGION_INFO_CAP_MSIX_MAPPABLE changes nothing: the kernel allows the MSI-X table to
	 * be mapped with its neighbours, and the function's config view traps that page anyway.
	 */
	if (header.flags & VFIO_REGION_INFO_FLAG_MMAP) {
		if (off)
			r = parse_sparse(info, size, (size_t)off, &region);
		else
			add_area(&region, 0, region.size);
	}
	if (r == 0)
		*ret_region = region;
	return r;
}

struct vfio_irq_set *vfio_irq_set_create(unsigned int index, uint32_t action, unsigned int start,
					 unsigned int count, const int *fds)
{
	size_t size = sizeof(struct vfio_irq_set) + (fds ? count * sizeof(int32_t) : 0);
	struct vfio_irq_set *set = calloc(1, size);

	if (!set)
		return NULL;
	set->argsz = (uint32_t)size;
	set->flags = action | (fds ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE);
	set->index = index;
	set->start = start;
	set->count = count;
	if (fds)
		memcpy(set->data, fds, count * sizeof(int32_t));
	return set;
}

void vfio_low_power_request(enum vfio_low_power feature, bool probe, int wakeup_fd,
			    union vfio_feature_request *ret_request)
{
	static const uint32_t numbers[] = {
		[VFIO_LOW_POWER_ENTRY] = VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
		[VFIO_LOW_POWER_ENTRY_WITH_WAKEUP] =
			VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
		[VFIO_LOW_POWER_EXIT] = VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
	};
	struct vfio_device_low_power_entry_with_wakeup wakeup = {.wakeup_eventfd = wakeup_fd};
	bool payload = !probe && feature == VFIO_LOW_POWER_ENTRY_WITH_WAKEUP;
	size_t head = sizeof(struct vfio_device_feature);

	memset(ret_request, 0, sizeof(*ret_request));
	ret_request->feature.argsz = (uint32_t)(payload ? sizeof(*ret_request) : head);
	ret_request->feature.flags = numbers[feature] | VFIO_DEVICE_FEATURE_SET |
				     (probe ? VFIO_DEVICE_FEATURE_PROBE : 0);
	if (payload)
		memcpy(ret_request->bytes + head, &wakeup, sizeof(wakeup));
}

/* Is it a function of the slot of "0000:01:00.0"? */
static bool is_in_slot(const struct vfio_pci_dependent_device *device, const char *bdf)
{
	char slot[sizeof("0000:01:00.")];

	snprintf(slot, sizeof(slot), "%04x:%02x:%02x.", device->segment, device->bus,
		 device->devfn >> 3);
	return !strncmp(slot, bdf, sizeof(slot) - 1);
}

static void add_group(struct vfio_hot_reset *reset, int group)
{
	for (unsigned int i = 0; i < reset->groups; i++)
		if (reset->group[i] == group)
			return;
	reset->group[reset->groups++] = group;
}

void vfio_hot_reset_parse(const union vfio_hot_reset_answer *answer, const char *bdf,
			  struct vfio_hot_reset *ret_reset)
{
	struct vfio_hot_reset reset = {.devices = answer->info.count};

	*ret_reset = (struct vfio_hot_reset){0};
	if (reset.devices > VFIO_HOT_RESET_DEVICES)
		return;
	for (unsigned int i = 0; i < reset.devices; i++) {
		struct vfio_pci_dependent_device device;

		memcpy(&device, answer->bytes + sizeof(answer->info) + i * sizeof(device),
		       sizeof(device));
		if (!is_in_slot(&device, bdf))
			return;
		add_group(&reset, (int)device.group_id);
	}
	*ret_reset = reset;
}

void vfio_hot_reset_request(const int *fds, unsigned int count,
			    union vfio_hot_reset_request *ret_request)
{
	size_t head = sizeof(struct vfio_pci_hot_reset);

	memset(ret_request, 0, sizeof(*ret_request));
	ret_request->reset.argsz = (uint32_t)(head + count * sizeof(int32_t));
	ret_request->reset.count = count;
	if (count)
		memcpy(ret_request->bytes + head, fds, count * sizeof(int32_t));
}
