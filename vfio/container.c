#include "vfio/container.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vfio/host.h"
#include "vfio/vfio.h"
#include "vmm/base/bits.h"
#include "vmm/base/log.h"
#include "vmm/layout.h"
#include "vmm/mem.h"

#define CONTAINER_PATH "/dev/vfio/vfio"
#define GROUPS_MAX (SLOT_MAX * HOST_FUNCTIONS)

struct group {
	int number;
	int fd;
	unsigned int users;
};

struct vfio_container {
	int fd; /* -1: closed, no groups */
	bool ram_mapped;
	unsigned int groups;
	struct group group[GROUPS_MAX];
};

/*
 * What each step's errors mean and what helps, as Linux 6.1 returns them (drivers/vfio/vfio_main.c,
 * container.c, vfio_iommu_type1.c, pci/vfio_pci_core.c). Error 0: any other, told by its name.
 */
static const struct {
	enum vfio_step step;
	int error;
	const char *before, *after;
} sentences[] = {
	{VFIO_STEP_OPEN_CONTAINER, ENOENT, "",
	 " is missing: load VFIO as root, modprobe -a vfio-pci vfio_iommu_type1"},
	{VFIO_STEP_OPEN_CONTAINER, ENODEV, "",
	 " has no driver: load VFIO as root, modprobe -a vfio-pci vfio_iommu_type1"},
	{VFIO_STEP_OPEN_CONTAINER, EACCES, "no permission on ",
	 ": everybody may have it, as root chmod 0666 /dev/vfio/vfio"},
	{VFIO_STEP_OPEN_CONTAINER, 0, "cannot open ", ""},

	{VFIO_STEP_CHECK_VERSION, 0, "", " speaks another version of VFIO than Linux's first"},

	{VFIO_STEP_OPEN_GROUP, ENOENT, "",
	 " is missing although its devices are bound to vfio-pci: is devtmpfs mounted on /dev?"},
	{VFIO_STEP_OPEN_GROUP, EACCES, "no permission on ",
	 ": chown it to your user as root, or run minivmm as root"},
	{VFIO_STEP_OPEN_GROUP, EBUSY, "",
	 " is in use by another program: as root, fuser -v /dev/vfio/* names it"},
	{VFIO_STEP_OPEN_GROUP, 0, "cannot open ", ""},

	{VFIO_STEP_CHECK_VIABLE, EPERM, "the kernel says that the IOMMU group of ",
	 " is not viable: a driver of the host or another program holds one of its devices"},
	{VFIO_STEP_CHECK_VIABLE, 0, "cannot ask the status of ", ""},

	{VFIO_STEP_ADD_GROUP, EPERM, "the kernel does not give us the IOMMU group of ",
	 ": a driver of the host holds one of its devices, or it lacks interrupt remapping (see "
	 "dmesg)"},
	{VFIO_STEP_ADD_GROUP, EBUSY, "the IOMMU group of ",
	 " is attached elsewhere: another program uses one of its devices"},
	{VFIO_STEP_ADD_GROUP, 0, "cannot add to the container: ", ""},

	{VFIO_STEP_SET_IOMMU, ENODEV, "no IOMMU driver of VFIO for ",
	 ": load it as root, modprobe vfio_iommu_type1"},
	{VFIO_STEP_SET_IOMMU, EPERM, "no interrupt remapping for ",
	 ": switch it on in the firmware set-up or, where every guest is trusted, "
	 "echo Y >/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"},
	{VFIO_STEP_SET_IOMMU, 0, "cannot attach the IOMMU to ", ""},

	{VFIO_STEP_OPEN_DEVICE, ENODEV, "VFIO does not have ",
	 ": it was unbound from vfio-pci a moment ago"},
	{VFIO_STEP_OPEN_DEVICE, EACCES, "VFIO does not give out ",
	 ": it is a virtual function whose token is needed, which minivmm cannot give"},
	{VFIO_STEP_OPEN_DEVICE, EAGAIN, "",
	 " cannot be reset now, something else on the host holds it: try again"},
	{VFIO_STEP_OPEN_DEVICE, EIO, "",
	 " does not wake up: it may be lost until the host's next power cycle (see dmesg)"},
	{VFIO_STEP_OPEN_DEVICE, 0, "VFIO does not give out ", ""},

	{VFIO_STEP_READ_DEVICE, ENOTTY, "", " is not a PCI device in the eyes of VFIO"},
	{VFIO_STEP_READ_DEVICE, EIO, "",
	 " does not wake up: it may be lost until the host's next power cycle (see dmesg)"},
	{VFIO_STEP_READ_DEVICE, 0, "VFIO does not describe ", ""},
};

void vfio_explain(enum vfio_step step, const char *what, int error, char *ret_why, size_t why_size)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(sentences); i++) {
		if (sentences[i].step != step)
			continue;
		if (sentences[i].error && sentences[i].error != -error)
			continue;
		snprintf(ret_why, why_size, "%s%s%s%s%s", sentences[i].before, what,
			 sentences[i].after, sentences[i].error ? "" : ": ",
			 sentences[i].error ? "" : strerror(-error));
		return;
	}
}

void vfio_explain_map(int error, uint64_t gpa, uint64_t size, uint64_t need, uint64_t limit,
		      char *ret_why, size_t why_size)
{
	unsigned long long need_kib = align_up(need, KIB) / KIB;

	if ((error == -ENOMEM || error == -EPERM) && need > limit)
		snprintf(ret_why, why_size,
			 "the limit on locked memory is %llu KiB, but DMA locks all guest RAM, "
			 "%llu KiB: run sudo prlimit --pid $$ --memlock=unlimited in this shell or "
			 "give less --memory", (unsigned long long)(limit / KIB), need_kib);
	else if (error == -ENOMEM)
		snprintf(ret_why, why_size,
			 "the host has too little free memory to lock all guest RAM for DMA, "
			 "%llu KiB: stop something else or give less --memory", need_kib);
	else
		snprintf(ret_why, why_size,
			 "the host's IOMMU does not map guest RAM at 0x%llx to 0x%llx: %s%s",
			 (unsigned long long)gpa, (unsigned long long)(gpa + size - 1),
			 strerror(-error), error == -EINVAL ?
			 " (it lacks or reserves some of these addresses: try less --memory)" : "");
}

struct vfio_container *vfio_container_create(void)
{
	struct vfio_container *container = calloc(1, sizeof(*container));

	if (container)
		container->fd = -1;
	return container;
}

/* Once no group is left the kernel has dropped IOMMU and mappings: start from nothing. */
static void close_when_empty(struct vfio_container *container)
{
	if (container->groups || container->fd < 0)
		return;
	close(container->fd);
	container->fd = -1;
	container->ram_mapped = false;
}

void vfio_container_destroy(struct vfio_container *container)
{
	if (!container)
		return;
	while (container->groups)
		close(container->group[--container->groups].fd);
	close_when_empty(container);
	free(container);
}

static int fail(enum vfio_step step, const char *what, int error, char *ret_why, size_t why_size)
{
	vfio_explain(step, what, error, ret_why, why_size);
	return error;
}

static int open_container(struct vfio_container *container, char *ret_why, size_t why_size)
{
	int fd;

	if (container->fd >= 0)
		return 0;
	fd = open(CONTAINER_PATH, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fail(VFIO_STEP_OPEN_CONTAINER, CONTAINER_PATH, -errno, ret_why, why_size);
	if (ioctl(fd, VFIO_GET_API_VERSION) != VFIO_API_VERSION) {
		close(fd);
		return fail(VFIO_STEP_CHECK_VERSION, CONTAINER_PATH, -EPROTO, ret_why, why_size);
	}
	container->fd = fd;
	return 0;
}

/* The group's file is open: makes it the container's. The first one brings the IOMMU (a container
 * without a group has none to set). */
static int attach_group(struct vfio_container *container, const char *path, int fd,
			char *ret_why, size_t why_size)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};

	if (ioctl(fd, VFIO_GROUP_GET_STATUS, &status) < 0)
		return fail(VFIO_STEP_CHECK_VIABLE, path, -errno, ret_why, why_size);
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		return fail(VFIO_STEP_CHECK_VIABLE, path, -EPERM, ret_why, why_size);
	if (ioctl(fd, VFIO_GROUP_SET_CONTAINER, &container->fd) < 0)
		return fail(VFIO_STEP_ADD_GROUP, path, -errno, ret_why, why_size);
	if (!container->groups && ioctl(container->fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0)
		return fail(VFIO_STEP_SET_IOMMU, path, -errno, ret_why, why_size);
	return 0;
}

static struct group *find_group(struct vfio_container *container, int number)
{
	for (unsigned int i = 0; i < container->groups; i++)
		if (container->group[i].number == number)
			return &container->group[i];
	return NULL;
}

/* The group's file, or negative errno. */
static int open_group(struct vfio_container *container, int number, char *ret_why, size_t why_size)
{
	char path[32];
	int fd, r;

	snprintf(path, sizeof(path), "/dev/vfio/%d", number);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fail(VFIO_STEP_OPEN_GROUP, path, -errno, ret_why, why_size);
	r = attach_group(container, path, fd, ret_why, why_size);
	if (r < 0) {
		close(fd); /* leaves the container by itself */
		return r;
	}
	return fd;
}

int vfio_container_get_group(struct vfio_container *container, int number, int *ret_fd,
			     char *ret_why, size_t why_size)
{
	struct group *group = find_group(container, number);
	int r;

	if (!group) {
		if (container->groups == GROUPS_MAX)
			return fail(VFIO_STEP_ADD_GROUP, "too many groups", -ENOSPC, ret_why,
				    why_size);
		r = open_container(container, ret_why, why_size);
		if (r < 0)
			return r;
		r = open_group(container, number, ret_why, why_size);
		if (r < 0) {
			close_when_empty(container);
			return r;
		}
		group = &container->group[container->groups++];
		*group = (struct group){.number = number, .fd = r};
	}
	group->users++;
	*ret_fd = group->fd;
	return 0;
}

void vfio_container_put_group(struct vfio_container *container, int number)
{
	struct group *group = find_group(container, number);

	if (!group || --group->users)
		return;
	close(group->fd);
	*group = container->group[--container->groups];
	close_when_empty(container);
}

bool vfio_container_group(const struct vfio_container *container, unsigned int index, int *ret_fd)
{
	if (index >= container->groups)
		return false;
	*ret_fd = container->group[index].fd;
	return true;
}

static uint64_t memlock_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

static void unmap_blocks(struct vfio_container *container, const struct mem *mem,
			 unsigned int count)
{
	struct mem_block block;

	while (count && mem_block_get(mem, --count, &block)) {
		struct vfio_iommu_type1_dma_unmap unmap = {
			.argsz = sizeof(unmap), .iova = block.gpa, .size = block.size,
		};

		if (ioctl(container->fd, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0)
			log_warn("vfio: cannot unmap RAM at 0x%llx from the IOMMU: %s, ignoring",
				 (unsigned long long)block.gpa, strerror(errno));
	}
}

int vfio_container_map_ram(struct vfio_container *container, const struct mem *mem,
			   char *ret_why, size_t why_size)
{
	struct mem_block block;

	if (container->ram_mapped)
		return 0;
	for (unsigned int i = 0; mem_block_get(mem, i, &block); i++) {
		struct vfio_iommu_type1_dma_map map = {
			.argsz = sizeof(map),
			.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
			.vaddr = (uintptr_t)block.hva,
			.iova = block.gpa,
			.size = block.size,
		};
		int error;

		if (ioctl(container->fd, VFIO_IOMMU_MAP_DMA, &map) == 0)
			continue;
		error = -errno;
		vfio_explain_map(error, block.gpa, block.size, mem_size(mem), memlock_limit(),
				 ret_why, why_size);
		unmap_blocks(container, mem, i);
		return error;
	}
	container->ram_mapped = true;
	return 0;
}
