/*
 * What the two ways to a device of the kernel's VFIO share: an op is one ioctl, read, write or mmap
 * of its file.
 */
#include "vfio/device_kernel.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vfio/abi.h"
#include "vfio/backend.h"
#include "vfio/container.h"
#include "vfio/explain.h"
#include "vfio/host.h"
#include "vfio/syscalls.h"
#include "vmm/base/bits.h"

#define REGIONS VFIO_PCI_VGA_REGION_INDEX /* BARs, ROM, config; the VGA region is not used */
#define REGION_INFO_MAX (64 * KIB)
#define VECTORS_MAX (PCI_MSIX_FLAGS_QSIZE + 1)
#define RESET_TRIES 100 /* a second in all */

struct kernel_device {
	struct vfio_backend base;
	struct vfio_container *container;
	const struct vfio_syscalls *sys;
	int group; /* by which it was opened; -1: by its own node */
	int fd;
	unsigned int irq_indexes;
	uint32_t routed; /* bit per interrupt index that has triggers */
	/* read once, when opened */
	bool can_reset;
	struct vfio_hot_reset hot_reset;
	struct vfio_region region[REGIONS];
};

static struct kernel_device *kernel_device(struct vfio_backend *backend)
{
	return container_of(backend, struct kernel_device, base);
}

static int kernel_region_info(struct vfio_backend *backend, unsigned int index,
			     struct vfio_region *ret_region)
{
	if (index >= REGIONS)
		return -EINVAL;
	*ret_region = kernel_device(backend)->region[index];
	return 0;
}

/* The region's place in the file, when [off, off + len) is inside. */
static int find_bytes(struct kernel_device *device, unsigned int index, uint64_t off, size_t len,
		      off_t *ret_off)
{
	if (index >= REGIONS || !range_fits(device->region[index].size, off, len))
		return -EINVAL;
	*ret_off = (off_t)(device->region[index].fd_offset + off);
	return 0;
}

static ssize_t kernel_region_read(struct vfio_backend *backend, unsigned int index, uint64_t off,
				 void *buffer, size_t len)
{
	struct kernel_device *device = kernel_device(backend);
	off_t at;
	ssize_t r = find_bytes(device, index, off, len, &at);

	if (r < 0)
		return r;
	r = pread(device->fd, buffer, len, at);
	return r < 0 ? -errno : r;
}

static ssize_t kernel_region_write(struct vfio_backend *backend, unsigned int index, uint64_t off,
				  const void *buffer, size_t len)
{
	struct kernel_device *device = kernel_device(backend);
	off_t at;
	ssize_t r = find_bytes(device, index, off, len, &at);

	if (r < 0)
		return r;
	r = pwrite(device->fd, buffer, len, at);
	return r < 0 ? -errno : r;
}

static bool is_mappable(const struct vfio_region *region, uint64_t off, size_t len)
{
	for (unsigned int i = 0; i < region->areas; i++)
		if (range_contains(region->area[i], off, len))
			return true;
	return false;
}

static int kernel_region_map(struct vfio_backend *backend, unsigned int index, uint64_t off,
			    size_t len, void **ret_hva)
{
	struct kernel_device *device = kernel_device(backend);
	const struct vfio_region *region;
	off_t at;
	int prot;
	void *hva;
	int r = find_bytes(device, index, off, len, &at);

	if (r < 0)
		return r;
	region = &device->region[index];
	if (!len || !is_mappable(region, off, len))
		return -EINVAL;
	prot = (region->readable ? PROT_READ : 0) | (region->writable ? PROT_WRITE : 0);
	hva = mmap(NULL, len, prot, MAP_SHARED, device->fd, at);
	if (hva == MAP_FAILED)
		return -errno;
	*ret_hva = hva;
	return 0;
}

static void kernel_region_unmap(struct vfio_backend *backend, void *hva, size_t len)
{
	(void)backend;
	munmap(hva, len);
}

static int kernel_irq_count(struct vfio_backend *backend, unsigned int index)
{
	struct kernel_device *device = kernel_device(backend);
	struct vfio_irq_info info = {.argsz = sizeof(info), .index = index};
	int r;

	if (index >= device->irq_indexes)
		return 0;
	r = device->sys->ioctl(device->fd, VFIO_DEVICE_GET_IRQ_INFO, &info);
	if (r < 0)
		return r == -EINVAL ? 0 : r; /* EINVAL: ERR of a device without PCIe */
	if (!(info.flags & VFIO_IRQ_INFO_EVENTFD))
		return 0;
	return (int)(info.count < VECTORS_MAX ? info.count : VECTORS_MAX);
}

/* Positive: nothing was enabled, the kernel could do so many messages (Linux 6.1,
 * pci/vfio_pci_intrs.c, vfio_msi_enable()). */
static int set_irqs(struct kernel_device *device, unsigned int index, uint32_t action,
		    unsigned int start, unsigned int count, const int *fds)
{
	struct vfio_irq_set *set;
	int r;

	if (index >= device->irq_indexes || count > VECTORS_MAX)
		return -EINVAL;
	set = vfio_irq_set_create(index, action, start, count, fds);
	if (!set)
		return -ENOMEM;
	r = device->sys->ioctl(device->fd, VFIO_DEVICE_SET_IRQS, set);
	free(set);
	return r;
}

static int kernel_irq_set_triggers(struct vfio_backend *backend, unsigned int index,
				  unsigned int start, unsigned int count, const int *fds)
{
	struct kernel_device *device = kernel_device(backend);
	int r = -EINVAL;

	/* Without eventfds, or without any number, the same call would mean something else. */
	if (fds && count)
		r = set_irqs(device, index, VFIO_IRQ_SET_ACTION_TRIGGER, start, count, fds);
	if (r == 0)
		device->routed |= 1U << index;
	return r;
}

/* The kernel answers EINVAL when nothing of the kind is enabled; to us that is what was wanted. */
static int kernel_irq_disable(struct vfio_backend *backend, unsigned int index)
{
	struct kernel_device *device = kernel_device(backend);
	int r;

	if (index >= device->irq_indexes || !(device->routed & 1U << index))
		return 0;
	r = set_irqs(device, index, VFIO_IRQ_SET_ACTION_TRIGGER, 0, 0, NULL);
	if (r == 0)
		device->routed &= ~(1U << index);
	return r;
}

static int kernel_intx_set_unmask(struct vfio_backend *backend, int fd)
{
	return set_irqs(kernel_device(backend), VFIO_PCI_INTX_IRQ_INDEX,
			VFIO_IRQ_SET_ACTION_UNMASK, 0, 1, &fd);
}

static int kernel_intx_unmask(struct vfio_backend *backend)
{
	return set_irqs(kernel_device(backend), VFIO_PCI_INTX_IRQ_INDEX,
			VFIO_IRQ_SET_ACTION_UNMASK, 0, 1, NULL);
}

static int low_power_ioctl(struct vfio_backend *backend, enum vfio_low_power feature, bool probe,
			   int wakeup_fd)
{
	struct kernel_device *device = kernel_device(backend);
	union vfio_feature_request request;

	vfio_low_power_request(feature, probe, wakeup_fd, &request);
	return device->sys->ioctl(device->fd, VFIO_DEVICE_FEATURE, &request);
}

static int kernel_low_power_probe(struct vfio_backend *backend, enum vfio_low_power feature)
{
	return low_power_ioctl(backend, feature, true, -1);
}

static int kernel_low_power(struct vfio_backend *backend, enum vfio_low_power feature,
			    int wakeup_fd)
{
	return low_power_ioctl(backend, feature, false, wakeup_fd);
}

/*
 * A reset of either kind. EAGAIN: somebody on the host holds a device's lock for a moment (Linux
 * 6.1, pci/pci.c, pci_try_reset_function(), pci_reset_bus()); EBUSY: another thread is just using
 * the device (pci/vfio_pci_core.c, vfio_pci_dev_set_hot_reset()). The kernel offers nothing to wait
 * for, so ask again for a while. ENOTTY: that there is such a reset was seen when the device was
 * opened, so it was done and the device did not come back (pci/pci.c, pci_dev_wait(),
 * pci_bridge_wait_for_secondary_bus()).
 */
static int reset_ioctl(struct kernel_device *device, unsigned long request, void *argument)
{
	int r = -EAGAIN;

	for (unsigned int tries = 0; tries < RESET_TRIES; tries++) {
		r = device->sys->ioctl(device->fd, request, argument);
		if (r != -EAGAIN && r != -EBUSY)
			break;
		device->sys->pause();
	}
	return r == -ENOTTY ? -EIO : r;
}

static int kernel_reset(struct vfio_backend *backend)
{
	struct kernel_device *device = kernel_device(backend);

	if (!device->can_reset)
		return -ENOTTY;
	return reset_ioctl(device, VFIO_DEVICE_RESET, NULL);
}

static bool kernel_can_reset(struct vfio_backend *backend)
{
	return kernel_device(backend)->can_reset;
}

/* Whoever came by groups proves with them that all that is reset is his; who came by iommufd shows
 * none, the kernel looks at what is bound to it. */
static int kernel_slot_reset(struct vfio_backend *backend)
{
	struct kernel_device *device = kernel_device(backend);
	union vfio_hot_reset_request request;
	int fds[VFIO_HOT_RESET_DEVICES];
	unsigned int count = device->group < 0 ? 0 : device->hot_reset.groups;

	if (!device->hot_reset.devices)
		return -ENOTTY;
	for (unsigned int i = 0; i < count; i++) {
		fds[i] = vfio_container_group_fd(device->container, device->hot_reset.group[i]);
		if (fds[i] < 0)
			return -ENODEV; /* of a function that was given back */
	}
	vfio_hot_reset_request(fds, count, &request);
	return reset_ioctl(device, VFIO_DEVICE_PCI_HOT_RESET, &request);
}

static bool kernel_can_slot_reset(struct vfio_backend *backend)
{
	return kernel_device(backend)->hot_reset.devices != 0;
}

static int kernel_map_ram(struct vfio_backend *backend, const struct mem *mem, char *ret_why,
			  size_t why_size)
{
	return vfio_container_map_ram(kernel_device(backend)->container, mem, ret_why, why_size);
}

static int kernel_observe(struct vfio_backend *backend, struct vfio_observation *ret_observation)
{
	return host_observe("/sys", backend->name, ret_observation);
}

static void kernel_close(struct vfio_backend *backend)
{
	struct kernel_device *device = kernel_device(backend);

	if (device->group < 0) {
		vfio_container_close_node(device->container, device->fd);
	} else {
		device->sys->close(device->fd);
		vfio_container_put_group(device->container, device->group);
	}
	free(device);
}

static const struct vfio_backend_ops kernel_ops = {
	.region_info = kernel_region_info,
	.region_read = kernel_region_read,
	.region_write = kernel_region_write,
	.region_map = kernel_region_map,
	.region_unmap = kernel_region_unmap,
	.irq_count = kernel_irq_count,
	.irq_set_triggers = kernel_irq_set_triggers,
	.irq_disable = kernel_irq_disable,
	.intx_set_unmask = kernel_intx_set_unmask,
	.intx_unmask = kernel_intx_unmask,
	.low_power_probe = kernel_low_power_probe,
	.low_power = kernel_low_power,
	.reset = kernel_reset,
	.can_reset = kernel_can_reset,
	.slot_reset = kernel_slot_reset,
	.can_slot_reset = kernel_can_slot_reset,
	.map_ram = kernel_map_ram,
	.observe = kernel_observe,
	.close = kernel_close,
};

/* A host that cannot reset the slot says ENODEV; one that would take more devices along than a slot
 * has functions has no room in the answer (ENOSPC). Either is no slot reset. */
static void read_hot_reset(struct kernel_device *device)
{
	union vfio_hot_reset_answer answer = {.info.argsz = sizeof(answer)};

	if (device->sys->ioctl(device->fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &answer) == 0)
		vfio_hot_reset_parse(&answer, device->base.name, &device->hot_reset);
}

static int read_region(const struct kernel_device *device, unsigned int index,
		       struct vfio_region *ret_region)
{
	size_t size = sizeof(struct vfio_region_info);

	/* The first answer says how long the second is; one that grows again is no answer. */
	for (unsigned int tries = 0; tries < 2 && size <= REGION_INFO_MAX; tries++) {
		struct vfio_region_info *info = calloc(1, size);
		size_t needed;
		int r;

		if (!info)
			return -ENOMEM;
		info->argsz = (uint32_t)size;
		info->index = index;
		r = device->sys->ioctl(device->fd, VFIO_DEVICE_GET_REGION_INFO, info);
		needed = info->argsz;
		if (r == 0 && needed <= size)
			r = vfio_region_parse(info, size, ret_region);
		free(info);
		if (r < 0 || needed <= size)
			return r;
		size = needed;
	}
	return -EINVAL;
}

/* Reads all that VFIO tells of the device, so that nothing has to be asked while it sleeps. */
static int read_device(struct kernel_device *device)
{
	struct vfio_device_info info = {.argsz = sizeof(info)};
	int r = device->sys->ioctl(device->fd, VFIO_DEVICE_GET_INFO, &info);

	if (r < 0)
		return r;
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI) || info.num_regions < REGIONS)
		return -ENOTTY;
	device->can_reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
	device->irq_indexes = info.num_irqs < VFIO_PCI_NUM_IRQS ? info.num_irqs : VFIO_PCI_NUM_IRQS;
	for (unsigned int i = 0; i < REGIONS; i++) {
		r = read_region(device, i, &device->region[i]);
		if (r < 0)
			return r;
	}
	read_hot_reset(device);
	return 0;
}

int vfio_kernel_device_create(struct vfio_container *container, const char *name, int fd, int group,
			      struct vfio_backend **ret_backend, char *ret_why, size_t why_size)
{
	struct kernel_device *device = calloc(1, sizeof(*device));
	int r;

	if (!device) {
		snprintf(ret_why, why_size, "out of memory for %s", name);
		return -ENOMEM;
	}
	device->base.ops = &kernel_ops;
	snprintf(device->base.name, sizeof(device->base.name), "%s", name);
	device->container = container;
	device->sys = vfio_container_syscalls(container);
	device->group = group;
	device->fd = fd;
	r = read_device(device);
	if (r < 0) {
		free(device);
		return vfio_fail(VFIO_STEP_READ_DEVICE, name, r, ret_why, why_size);
	}
	*ret_backend = &device->base;
	return 0;
}
