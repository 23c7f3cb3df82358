/*
 * The back end of the kernel's group/container VFIO: an op is one ioctl, read, write or mmap.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "vfio/abi.h"
#include "vfio/backend.h"
#include "vfio/container.h"
#include "vfio/host.h"
#include "vmm/base/bits.h"

#define REGIONS VFIO_PCI_VGA_REGION_INDEX /* BARs, ROM, config; the VGA region is not used */
#define REGION_INFO_MAX (64 * KIB)
#define VECTORS_MAX (PCI_MSIX_FLAGS_QSIZE + 1)

struct group_backend {
	struct vfio_backend base;
	struct vfio_container *container;
	int group;
	int fd;
	bool can_reset;
	unsigned int irq_indexes;
	uint32_t routed; /* bit per interrupt index that has triggers */
	struct vfio_region region[REGIONS]; /* read once, when opened */
};

static struct group_backend *group_backend(struct vfio_backend *backend)
{
	return container_of(backend, struct group_backend, base);
}

static int result(int r)
{
	return r < 0 ? -errno : 0;
}

static int group_region_info(struct vfio_backend *backend, unsigned int index,
			     struct vfio_region *ret_region)
{
	if (index >= REGIONS)
		return -EINVAL;
	*ret_region = group_backend(backend)->region[index];
	return 0;
}

/* The region's place in the file, when [off, off + len) is inside. */
static int find_bytes(struct group_backend *group, unsigned int index, uint64_t off, size_t len,
		      off_t *ret_off)
{
	if (index >= REGIONS || !range_fits(group->region[index].size, off, len))
		return -EINVAL;
	*ret_off = (off_t)(group->region[index].fd_offset + off);
	return 0;
}

static ssize_t group_region_read(struct vfio_backend *backend, unsigned int index, uint64_t off,
				 void *buffer, size_t len)
{
	struct group_backend *group = group_backend(backend);
	off_t at;
	ssize_t r = find_bytes(group, index, off, len, &at);

	if (r < 0)
		return r;
	r = pread(group->fd, buffer, len, at);
	return r < 0 ? -errno : r;
}

static ssize_t group_region_write(struct vfio_backend *backend, unsigned int index, uint64_t off,
				  const void *buffer, size_t len)
{
	struct group_backend *group = group_backend(backend);
	off_t at;
	ssize_t r = find_bytes(group, index, off, len, &at);

	if (r < 0)
		return r;
	r = pwrite(group->fd, buffer, len, at);
	return r < 0 ? -errno : r;
}

static bool is_mappable(const struct vfio_region *region, uint64_t off, size_t len)
{
	for (unsigned int i = 0; i < region->areas; i++)
		if (range_contains(region->area[i], off, len))
			return true;
	return false;
}

static int group_region_map(struct vfio_backend *backend, unsigned int index, uint64_t off,
			    size_t len, void **ret_hva)
{
	struct group_backend *group = group_backend(backend);
	const struct vfio_region *region;
	off_t at;
	int prot;
	void *hva;
	int r = find_bytes(group, index, off, len, &at);

	if (r < 0)
		return r;
	region = &group->region[index];
	if (!len || !is_mappable(region, off, len))
		return -EINVAL;
	prot = (region->readable ? PROT_READ : 0) | (region->writable ? PROT_WRITE : 0);
	hva = mmap(NULL, len, prot, MAP_SHARED, group->fd, at);
	if (hva == MAP_FAILED)
		return -errno;
	*ret_hva = hva;
	return 0;
}

static void group_region_unmap(struct vfio_backend *backend, void *hva, size_t len)
{
	(void)backend;
	munmap(hva, len);
}

static int group_irq_count(struct vfio_backend *backend, unsigned int index)
{
	struct group_backend *group = group_backend(backend);
	struct vfio_irq_info info = {.argsz = sizeof(info), .index = index};

	if (index >= group->irq_indexes)
		return 0;
	if (ioctl(group->fd, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0)
		return errno == EINVAL ? 0 : -errno; /* EINVAL: ERR of a device without PCIe */
	if (!(info.flags & VFIO_IRQ_INFO_EVENTFD))
		return 0;
	return (int)(info.count < VECTORS_MAX ? info.count : VECTORS_MAX);
}

/* Positive: nothing was enabled, the kernel could do so many messages (Linux 6.1,
 * pci/vfio_pci_intrs.c, vfio_msi_enable()). */
static int set_irqs(struct group_backend *group, unsigned int index, uint32_t action,
		    unsigned int start, unsigned int count, const int *fds)
{
	struct vfio_irq_set *set;
	int r;

	if (index >= group->irq_indexes || count > VECTORS_MAX)
		return -EINVAL;
	set = vfio_irq_set_create(index, action, start, count, fds);
	if (!set)
		return -ENOMEM;
	r = ioctl(group->fd, VFIO_DEVICE_SET_IRQS, set);
	if (r < 0)
		r = -errno;
	free(set);
	return r;
}

static int group_irq_set_triggers(struct vfio_backend *backend, unsigned int index,
				  unsigned int start, unsigned int count, const int *fds)
{
	struct group_backend *group = group_backend(backend);
	int r = -EINVAL;

	/* Without eventfds, or without any number, the same call would mean something else. */
	if (fds && count)
		r = set_irqs(group, index, VFIO_IRQ_SET_ACTION_TRIGGER, start, count, fds);
	if (r == 0)
		group->routed |= 1U << index;
	return r;
}

/* The kernel answers EINVAL when nothing of the kind is enabled; to us that is what was wanted. */
static int group_irq_disable(struct vfio_backend *backend, unsigned int index)
{
	struct group_backend *group = group_backend(backend);
	int r;

	if (index >= group->irq_indexes || !(group->routed & 1U << index))
		return 0;
	r = set_irqs(group, index, VFIO_IRQ_SET_ACTION_TRIGGER, 0, 0, NULL);
	if (r == 0)
		group->routed &= ~(1U << index);
	return r;
}

static int group_intx_set_unmask(struct vfio_backend *backend, int fd)
{
	return set_irqs(group_backend(backend), VFIO_PCI_INTX_IRQ_INDEX,
			VFIO_IRQ_SET_ACTION_UNMASK, 0, 1, &fd);
}

static int group_intx_unmask(struct vfio_backend *backend)
{
	return set_irqs(group_backend(backend), VFIO_PCI_INTX_IRQ_INDEX,
			VFIO_IRQ_SET_ACTION_UNMASK, 0, 1, NULL);
}

static int low_power_ioctl(struct vfio_backend *backend, enum vfio_low_power feature, bool probe,
			   int wakeup_fd)
{
	union vfio_feature_request request;

	vfio_low_power_request(feature, probe, wakeup_fd, &request);
	return result(ioctl(group_backend(backend)->fd, VFIO_DEVICE_FEATURE, &request));
}

static int group_low_power_probe(struct vfio_backend *backend, enum vfio_low_power feature)
{
	return low_power_ioctl(backend, feature, true, -1);
}

static int group_low_power(struct vfio_backend *backend, enum vfio_low_power feature, int wakeup_fd)
{
	return low_power_ioctl(backend, feature, false, wakeup_fd);
}

/* EAGAIN: somebody on the host holds the device's lock for a moment (Linux, pci/pci.c,
 * pci_try_reset_function()); the kernel offers nothing to wait for, so ask again for a while. */
static int group_reset(struct vfio_backend *backend)
{
	static const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
	struct group_backend *group = group_backend(backend);
	int r = -ENOTTY;

	if (!group->can_reset)
		return r;
	for (unsigned int tries = 0; tries < 100; tries++) {
		r = result(ioctl(group->fd, VFIO_DEVICE_RESET));
		if (r != -EAGAIN)
			break;
		nanosleep(&pause, NULL);
	}
	return r;
}

static bool group_can_reset(struct vfio_backend *backend)
{
	return group_backend(backend)->can_reset;
}

static void group_close(struct vfio_backend *backend)
{
	struct group_backend *group = group_backend(backend);

	close(group->fd);
	vfio_container_put_group(group->container, group->group);
	free(group);
}

static const struct vfio_backend_ops group_ops = {
	.region_info = group_region_info,
	.region_read = group_region_read,
	.region_write = group_region_write,
	.region_map = group_region_map,
	.region_unmap = group_region_unmap,
	.irq_count = group_irq_count,
	.irq_set_triggers = group_irq_set_triggers,
	.irq_disable = group_irq_disable,
	.intx_set_unmask = group_intx_set_unmask,
	.intx_unmask = group_intx_unmask,
	.low_power_probe = group_low_power_probe,
	.low_power = group_low_power,
	.reset = group_reset,
	.can_reset = group_can_reset,
	.close = group_close,
};

static int read_region(int fd, unsigned int index, struct vfio_region *ret_region)
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
		r = result(ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, info));
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
static int read_device(struct group_backend *group)
{
	struct vfio_device_info info = {.argsz = sizeof(info)};

	if (ioctl(group->fd, VFIO_DEVICE_GET_INFO, &info) < 0)
		return -errno;
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI) || info.num_regions < REGIONS)
		return -ENOTTY;
	group->can_reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
	group->irq_indexes = info.num_irqs < VFIO_PCI_NUM_IRQS ? info.num_irqs : VFIO_PCI_NUM_IRQS;
	for (unsigned int i = 0; i < REGIONS; i++) {
		int r = read_region(group->fd, i, &group->region[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

static int open_device(int group_fd, struct group_backend *group, char *ret_why, size_t why_size)
{
	int r;

	group->fd = ioctl(group_fd, VFIO_GROUP_GET_DEVICE_FD, group->base.name);
	if (group->fd < 0) {
		r = -errno;
		vfio_explain(VFIO_STEP_OPEN_DEVICE, group->base.name, r, ret_why, why_size);
		return r;
	}
	r = read_device(group);
	if (r < 0) {
		vfio_explain(VFIO_STEP_READ_DEVICE, group->base.name, r, ret_why, why_size);
		close(group->fd);
	}
	return r;
}

int vfio_group_backend_open(struct vfio_container *container, const struct host_function *fn,
			    struct vfio_backend **ret_backend, char *ret_why, size_t why_size)
{
	struct group_backend *group = calloc(1, sizeof(*group));
	int group_fd, r;

	if (!group) {
		snprintf(ret_why, why_size, "out of memory for %s", fn->name);
		return -ENOMEM;
	}
	group->base.ops = &group_ops;
	group->container = container;
	group->group = fn->group;
	snprintf(group->base.name, sizeof(group->base.name), "%s", fn->name);
	r = vfio_container_get_group(container, fn->group, &group_fd, ret_why, why_size);
	if (r < 0)
		goto free_backend;
	r = open_device(group_fd, group, ret_why, why_size);
	if (r < 0)
		goto put_group;
	*ret_backend = &group->base;
	return 0;

put_group:
	vfio_container_put_group(container, fn->group);
free_backend:
	free(group);
	return r;
}
