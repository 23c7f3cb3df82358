#include "vfio/container.h"

#include <errno.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "vfio/explain.h"
#include "vfio/host.h"
#include "vfio/iommufd.h"
#include "vfio/syscalls.h"
#include "vmm/base/bits.h"
#include "vmm/base/log.h"
#include "vmm/layout.h"
#include "vmm/mem.h"

#define CONTAINER_PATH "/dev/vfio/vfio"
#define FILES_MAX (SLOT_MAX * HOST_FUNCTIONS)

/* What keeps the container open: a group, or the node of a device. */
struct file {
	int number; /* of the group; -1: a node */
	int fd;
	unsigned int users;
};

struct vfio_container {
	const struct vfio_syscalls *sys;
	enum vfio_backend_kind kind; /* what the user said */
	struct vfio_container_listener listener;

	pthread_mutex_t lock; /* protects the rest */
	enum vfio_backend_kind chosen; /* AUTO: nothing yet */
	int fd; /* of /dev/vfio/vfio; -1: closed, no groups */
	struct iommufd iommufd;
	bool ram_mapped;
	unsigned int files;
	struct file file[FILES_MAX];
};

struct vfio_container *vfio_container_create_on(enum vfio_backend_kind kind,
						const struct vfio_syscalls *sys)
{
	struct vfio_container *container = calloc(1, sizeof(*container));

	if (!container)
		return NULL;
	container->sys = sys;
	container->kind = container->chosen = kind;
	container->fd = -1;
	iommufd_init(&container->iommufd, sys);
	pthread_mutex_init(&container->lock, NULL);
	return container;
}

struct vfio_container *vfio_container_create(enum vfio_backend_kind kind)
{
	return vfio_container_create_on(kind, &vfio_kernel_syscalls);
}

const struct vfio_syscalls *vfio_container_syscalls(const struct vfio_container *container)
{
	return container->sys;
}

void vfio_container_listen(struct vfio_container *container,
			   const struct vfio_container_listener *listener)
{
	container->listener = *listener;
}

/* Once no file is left the kernel has dropped IOMMU and mappings: start from nothing. */
static void close_when_empty(struct vfio_container *container)
{
	if (container->files)
		return;
	iommufd_close(&container->iommufd);
	if (container->fd >= 0)
		container->sys->close(container->fd);
	container->fd = -1;
	container->ram_mapped = false;
}

static void close_file(struct vfio_container *container, struct file *file)
{
	if (container->listener.closing)
		container->listener.closing(container->listener.opaque, file->fd);
	container->sys->close(file->fd);
	*file = container->file[--container->files];
	close_when_empty(container);
}

void vfio_container_destroy(struct vfio_container *container)
{
	if (!container)
		return;
	while (container->files)
		close_file(container, &container->file[container->files - 1]);
	pthread_mutex_destroy(&container->lock);
	free(container);
}

static struct file *add_file(struct vfio_container *container, int number, int fd)
{
	struct file *file = &container->file[container->files++];

	*file = (struct file){.number = number, .fd = fd, .users = 1};
	if (container->listener.opened)
		container->listener.opened(container->listener.opaque, fd);
	return file;
}

static void node_path(const struct host_function *fn, char *ret_path, size_t size)
{
	snprintf(ret_path, size, "/dev/vfio/devices/vfio%d", fn->node);
}

/* May both files be opened; or, where groups are not to be had, are they there? */
static bool prefers_iommufd(const struct vfio_container *container, const struct host_function *fn)
{
	const struct vfio_syscalls *sys = container->sys;
	char path[48];

	if (fn->node < 0)
		return false;
	node_path(fn, path, sizeof(path));
	if (sys->may_open(IOMMUFD_PATH) && sys->may_open(path))
		return true;
	return sys->exists(IOMMUFD_PATH) && sys->exists(path) && !sys->exists(CONTAINER_PATH);
}

int vfio_container_choose(struct vfio_container *container, const struct host_function *fn,
			  char *ret_why, size_t why_size)
{
	enum vfio_backend_kind chosen;

	pthread_mutex_lock(&container->lock);
	if (container->chosen == VFIO_BACKEND_AUTO)
		container->chosen = prefers_iommufd(container, fn) ? VFIO_BACKEND_IOMMUFD :
			VFIO_BACKEND_GROUP;
	chosen = container->chosen;
	pthread_mutex_unlock(&container->lock);
	if (chosen == VFIO_BACKEND_IOMMUFD && container->kind == VFIO_BACKEND_AUTO &&
	    !prefers_iommufd(container, fn)) {
		snprintf(ret_why, why_size, "%s has no node below /dev/vfio/devices that may be "
			 "opened, but what was opened before it is used by iommufd, and all must "
			 "be: --vfio-backend group takes all by their groups", fn->name);
		return -EINVAL;
	}
	return (int)chosen;
}

static int open_container(struct vfio_container *container, char *ret_why, size_t why_size)
{
	int fd, version;

	if (container->fd >= 0)
		return 0;
	fd = container->sys->open(CONTAINER_PATH);
	if (fd < 0)
		return vfio_fail(VFIO_STEP_OPEN_CONTAINER, CONTAINER_PATH, fd, ret_why, why_size);
	version = container->sys->ioctl(fd, VFIO_GET_API_VERSION, NULL);
	if (version != VFIO_API_VERSION) {
		container->sys->close(fd);
		return vfio_fail(VFIO_STEP_CHECK_VERSION, CONTAINER_PATH, -EPROTO, ret_why,
				 why_size);
	}
	container->fd = fd;
	return 0;
}

/* The group's file is open: makes it the container's. The first one brings the IOMMU (a container
 * without a group has none to set). */
static int attach_group(struct vfio_container *container, const char *path, int fd,
			char *ret_why, size_t why_size)
{
	const struct vfio_syscalls *sys = container->sys;
	struct vfio_group_status status = {.argsz = sizeof(status)};
	int r = sys->ioctl(fd, VFIO_GROUP_GET_STATUS, &status);

	if (r == 0 && !(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		r = -EPERM;
	if (r < 0)
		return vfio_fail(VFIO_STEP_CHECK_VIABLE, path, r, ret_why, why_size);
	r = sys->ioctl(fd, VFIO_GROUP_SET_CONTAINER, &container->fd);
	if (r < 0)
		return vfio_fail(VFIO_STEP_ADD_GROUP, path, r, ret_why, why_size);
	if (!container->files) /* VFIO_SET_IOMMU takes its argument as the value itself */
		r = sys->ioctl(container->fd, VFIO_SET_IOMMU,
			       (void *)(uintptr_t)VFIO_TYPE1v2_IOMMU);
	if (r < 0)
		return vfio_fail(VFIO_STEP_SET_IOMMU, path, r, ret_why, why_size);
	return 0;
}

static struct file *find_group(struct vfio_container *container, int number)
{
	for (unsigned int i = 0; i < container->files; i++)
		if (container->file[i].number == number)
			return &container->file[i];
	return NULL;
}

/* The group's file, or negative errno. */
static int open_group(struct vfio_container *container, int number, char *ret_why, size_t why_size)
{
	char path[32];
	int fd, r;

	if (container->files == FILES_MAX)
		return vfio_fail(VFIO_STEP_ADD_GROUP, "too many groups", -ENOSPC, ret_why,
				 why_size);
	r = open_container(container, ret_why, why_size);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/dev/vfio/%d", number);
	fd = container->sys->open(path);
	if (fd < 0) {
		r = vfio_fail(VFIO_STEP_OPEN_GROUP, path, fd, ret_why, why_size);
	} else {
		r = attach_group(container, path, fd, ret_why, why_size);
		if (r < 0)
			container->sys->close(fd); /* leaves the container by itself */
	}
	if (r < 0)
		close_when_empty(container);
	return r < 0 ? r : fd;
}

int vfio_container_get_group(struct vfio_container *container, int number, int *ret_fd,
			     char *ret_why, size_t why_size)
{
	struct file *file;
	int r = 0;

	pthread_mutex_lock(&container->lock);
	file = find_group(container, number);
	if (file) {
		file->users++;
	} else {
		r = open_group(container, number, ret_why, why_size);
		if (r >= 0)
			file = add_file(container, number, r);
	}
	if (file)
		*ret_fd = file->fd;
	pthread_mutex_unlock(&container->lock);
	return r < 0 ? r : 0;
}

void vfio_container_put_group(struct vfio_container *container, int number)
{
	struct file *file;

	pthread_mutex_lock(&container->lock);
	file = find_group(container, number);
	if (file && --file->users == 0)
		close_file(container, file);
	pthread_mutex_unlock(&container->lock);
}

int vfio_container_group_fd(struct vfio_container *container, int number)
{
	struct file *file;
	int fd = -1;

	pthread_mutex_lock(&container->lock);
	file = find_group(container, number);
	if (file)
		fd = file->fd;
	pthread_mutex_unlock(&container->lock);
	return fd;
}

static int open_node(struct vfio_container *container, const struct host_function *fn,
		     char *ret_why, size_t why_size)
{
	char path[48];
	int fd, r;

	if (container->files == FILES_MAX)
		return vfio_fail(VFIO_STEP_ATTACH, fn->name, -ENOSPC, ret_why, why_size);
	r = iommufd_open(&container->iommufd, ret_why, why_size);
	if (r < 0)
		return r;
	if (fn->node < 0) /* the name that it would have */
		snprintf(path, sizeof(path), "/dev/vfio/devices/vfioN of %s", fn->name);
	else
		node_path(fn, path, sizeof(path));
	fd = fn->node < 0 ? -ENOENT : container->sys->open(path);
	if (fd < 0) {
		r = vfio_fail(VFIO_STEP_OPEN_NODE, path, fd, ret_why, why_size);
	} else {
		r = iommufd_attach(&container->iommufd, fd, fn->name, ret_why, why_size);
		if (r < 0)
			container->sys->close(fd);
	}
	if (r < 0)
		close_when_empty(container);
	return r < 0 ? r : fd;
}

int vfio_container_open_node(struct vfio_container *container, const struct host_function *fn,
			     int *ret_fd, char *ret_why, size_t why_size)
{
	int r;

	pthread_mutex_lock(&container->lock);
	r = open_node(container, fn, ret_why, why_size);
	if (r >= 0)
		*ret_fd = add_file(container, -1, r)->fd;
	pthread_mutex_unlock(&container->lock);
	return r < 0 ? r : 0;
}

void vfio_container_close_node(struct vfio_container *container, int fd)
{
	pthread_mutex_lock(&container->lock);
	for (unsigned int i = 0; i < container->files; i++) {
		if (container->file[i].fd == fd) {
			close_file(container, &container->file[i]);
			break;
		}
	}
	pthread_mutex_unlock(&container->lock);
}

static uint64_t memlock_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

static int map_block(struct vfio_container *container, const struct mem_block *block)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)block->hva,
		.iova = block->gpa,
		.size = block->size,
	};

	if (container->chosen == VFIO_BACKEND_IOMMUFD)
		return iommufd_map(&container->iommufd, block->gpa, block->size, block->hva);
	return container->sys->ioctl(container->fd, VFIO_IOMMU_MAP_DMA, &map);
}

static int unmap_block(struct vfio_container *container, const struct mem_block *block)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = block->gpa, .size = block->size,
	};

	if (container->chosen == VFIO_BACKEND_IOMMUFD)
		return iommufd_unmap(&container->iommufd, block->gpa, block->size);
	return container->sys->ioctl(container->fd, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

static int map_blocks(struct vfio_container *container, const struct mem *mem, char *ret_why,
		      size_t why_size)
{
	struct mem_block block;
	unsigned int i;
	int r = 0;

	for (i = 0; mem_block_get(mem, i, &block); i++) {
		r = map_block(container, &block);
		if (r < 0)
			break;
	}
	if (r == 0)
		return 0;
	vfio_explain_map(r, block.gpa, block.size, mem_size(mem), memlock_limit(), ret_why,
			 why_size);
	while (i-- && mem_block_get(mem, i, &block)) {
		int error = unmap_block(container, &block);

		if (error < 0)
			log_warn("vfio: cannot unmap RAM at 0x%llx from the IOMMU: %s, ignoring",
				 (unsigned long long)block.gpa, strerror(-error));
	}
	return r;
}

int vfio_container_map_ram(struct vfio_container *container, const struct mem *mem,
			   char *ret_why, size_t why_size)
{
	int r = 0;

	pthread_mutex_lock(&container->lock);
	if (!container->ram_mapped)
		r = map_blocks(container, mem, ret_why, why_size);
	container->ram_mapped = r == 0;
	pthread_mutex_unlock(&container->lock);
	return r;
}
