#include "devices/net_vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/mem.h"

#define QUEUES 2U
#define FEATURE(bit) (1ULL << (bit))
/* What the kernel must know of when the driver has accepted it; the rest is the tap device's. */
#define VHOST_FEATURES                                                                         \
	(FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC) |                  \
	 FEATURE(VIRTIO_RING_F_EVENT_IDX) | FEATURE(VIRTIO_NET_F_MRG_RXBUF))

static int call(int fd, unsigned long request, const void *argument)
{
	return ioctl(fd, request, argument) < 0 ? -errno : 0;
}

int net_vhost_open(void)
{
	int fd = open(NET_VHOST_PATH, O_RDWR | O_CLOEXEC), error;
	uint64_t features = 0;

	if (fd < 0)
		return -errno;
	error = call(fd, VHOST_SET_OWNER, NULL);
	if (!error)
		error = call(fd, VHOST_GET_FEATURES, &features);
	if (!error && VHOST_FEATURES & ~features)
		error = -EOPNOTSUPP;
	if (!error)
		return fd;
	close(fd);
	return error;
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
	error = call(fd, VHOST_SET_MEM_TABLE, table);
	free(table);
	return error;
}

static int set_queue(int fd, unsigned int index, const struct virtio_queue *queue, int error_fd)
{
	const struct virtqueue *ring = &queue->ring;
	struct vhost_vring_state size = {index, ring->size}, base = {index, ring->next_avail};
	struct vhost_vring_addr addr = {
		.index = index, .desc_user_addr = (uintptr_t)ring->desc,
		.avail_user_addr = (uintptr_t)ring->avail, .used_user_addr = (uintptr_t)ring->used};
	struct vhost_vring_file kick = {index, queue->kick_fd}, used = {index, queue->call_fd};
	struct vhost_vring_file broken = {index, error_fd};
	int error = call(fd, VHOST_SET_VRING_NUM, &size);

	if (!error)
		error = call(fd, VHOST_SET_VRING_BASE, &base);
	if (!error)
		error = call(fd, VHOST_SET_VRING_ADDR, &addr);
	if (!error)
		error = call(fd, VHOST_SET_VRING_KICK, &kick);
	if (!error)
		error = call(fd, VHOST_SET_VRING_CALL, &used);
	if (!error)
		error = call(fd, VHOST_SET_VRING_ERR, &broken);
	return error;
}

/* The kernel wants none or both of the queues to be those that it has. */
static int set_backend(int fd, int tap_fd)
{
	int error = 0;

	for (unsigned int i = 0; i < QUEUES && !error; i++) {
		struct vhost_vring_file backend = {i, tap_fd};

		error = call(fd, VHOST_NET_SET_BACKEND, &backend);
	}
	return error;
}

int net_vhost_start(int fd, struct virtio_dev *dev, unsigned int first, int tap_fd, int error_fd)
{
	uint64_t features = dev->accepted & VHOST_FEATURES;
	int error = call(fd, VHOST_SET_FEATURES, &features);

	if (!error)
		error = set_memory(fd, dev->mem);
	for (unsigned int i = 0; i < QUEUES && !error; i++)
		error = set_queue(fd, i, &dev->queue[first + i], error_fd);
	if (!error)
		error = set_backend(fd, tap_fd);
	if (error)
		set_backend(fd, -1);
	return error;
}

/* VHOST_NET_SET_BACKEND returns when the kernel is done with the queue; what it has taken it has
 * given back. */
void net_vhost_stop(int fd, struct virtio_dev *dev, unsigned int first)
{
	set_backend(fd, -1);
	for (unsigned int i = 0; i < QUEUES; i++) {
		struct virtqueue *ring = &dev->queue[first + i].ring;
		struct vhost_vring_state base = {i, 0};

		if (call(fd, VHOST_GET_VRING_BASE, &base)) {
			virtio_dev_break(dev, "vhost does not tell how far it came");
			continue;
		}
		ring->next_avail = ring->next_used = ring->notified_used = (uint16_t)base.num;
	}
}
