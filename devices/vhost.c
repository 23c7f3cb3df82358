#include "devices/vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/mem.h"

int vhost_call(int fd, unsigned long request, const void *argument)
{
	return ioctl(fd, request, argument) < 0 ? -errno : 0;
}

int vhost_open(const char *path, uint64_t needed, uint64_t *ret_features)
{
	int fd = open(path, O_RDWR | O_CLOEXEC), error;
	uint64_t features = 0;

	if (fd < 0)
		return -errno;
	error = vhost_call(fd, VHOST_SET_OWNER, NULL);
	if (!error)
		error = vhost_call(fd, VHOST_GET_FEATURES, &features);
	if (!error && needed & ~features)
		error = -EOPNOTSUPP;
	if (error) {
		close(fd);
		return error;
	}
	*ret_features = features;
	return fd;
}

static int set_memory(int fd, const struct mem *mem)
{
	struct vhost_memory *table;
	struct mem_block block;
	unsigned int blocks = 0;
	int error;

	while (mem_block_get(mem, blocks, &block))
		blocks++;
	table = calloc(1, sizeof(*table) + blocks * sizeof(table->regions[0]));
	if (!table)
		return -ENOMEM;
	for (; mem_block_get(mem, table->nregions, &block); table->nregions++)
		table->regions[table->nregions] = (struct vhost_memory_region){
			.guest_phys_addr = block.gpa, .memory_size = block.size,
			.userspace_addr = (uintptr_t)block.hva};
	error = vhost_call(fd, VHOST_SET_MEM_TABLE, table);
	free(table);
	return error;
}

static int set_queue(int fd, unsigned int index, const struct virtio_queue *queue, int error_fd)
{
	const struct virtqueue *ring = &queue->ring;
	const struct vhost_vring_state size = {index, ring->size};
	const struct vhost_vring_state base = {index, ring->next_avail};
	const struct vhost_vring_addr addr = {
		.index = index, .desc_user_addr = (uintptr_t)ring->desc,
		.avail_user_addr = (uintptr_t)ring->avail, .used_user_addr = (uintptr_t)ring->used};
	const struct vhost_vring_file kick = {index, queue->kick_fd};
	const struct vhost_vring_file used = {index, queue->call_fd};
	const struct vhost_vring_file broken = {index, error_fd};
	const struct {
		unsigned long request;
		const void *argument;
	} calls[] = {
		{VHOST_SET_VRING_NUM, &size},  {VHOST_SET_VRING_BASE, &base},
		{VHOST_SET_VRING_ADDR, &addr}, {VHOST_SET_VRING_KICK, &kick},
		{VHOST_SET_VRING_CALL, &used}, {VHOST_SET_VRING_ERR, &broken},
	};
	int error = 0;

	for (unsigned int i = 0; i < sizeof(calls) / sizeof(calls[0]) && !error; i++)
		error = vhost_call(fd, calls[i].request, calls[i].argument);
	return error;
}

int vhost_give(const struct vhost_share *share)
{
	uint64_t features = share->dev->accepted & share->features;
	int error = vhost_call(share->fd, VHOST_SET_FEATURES, &features);

	if (!error)
		error = set_memory(share->fd, share->dev->mem);
	for (unsigned int i = 0; i < share->count && !error; i++)
		error = set_queue(share->fd, i, &share->dev->queue[share->first + i],
				  share->error_fd);
	return error;
}

/* What the kernel has taken it has given back. */
void vhost_take_back(const struct vhost_share *share)
{
	for (unsigned int i = 0; i < share->count; i++) {
		struct virtqueue *ring = &share->dev->queue[share->first + i].ring;
		struct vhost_vring_state base = {i, 0};

		if (vhost_call(share->fd, VHOST_GET_VRING_BASE, &base)) {
			virtio_dev_break(share->dev, "vhost does not tell how far it came");
			continue;
		}
		ring->next_avail = ring->next_used = ring->notified_used = (uint16_t)base.num;
	}
}
