/*
 * For the tests of vhost-user: a device, its driver, and the back end that serves it. Included
 * after <cmocka.h>.
 */
#ifndef TESTS_DEVICES_VHOST_USER_BENCH_H
#define TESTS_DEVICES_VHOST_USER_BENCH_H

#include <linux/virtio_config.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "devices/vhost_user.h"
#include "devices/virtio.h"
#include "devices/virtio_vhost_user.h"
#include "tests/fake_back_end.h"
#include "tests/fake_driver.h"
#include "tests/fake_mem.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"

#define FEATURE(bit) (1ULL << (bit))
#define V1 FEATURE(VIRTIO_F_VERSION_1)
#define RAM (3 * GIB + 16 * MIB) /* of which a part is above 4 GiB */
#define QUEUES 3U
#define SIZE 16U
#define RINGS(index) (RAM_HIGH_START + 0x100000U + (index) * DRIVER_RING_LEN)
#define WAIT_MS 20000 /* a limit for what never comes */

/* For what comes. */
static const struct vhost_user_patience long_patience = {20000000, 20000000, 20000000};

struct fixture {
	struct mem *mem;
	struct fake_back_end *back_end;
	struct virtio_vhost_user *device;
	struct virtio_dev *dev;
	struct driver_ring ring[QUEUES];
	struct vhost_user_patience patience;
	char why[512];
};

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->mem = fake_mem_create(RAM);
	f->back_end = fake_back_end_create();
	f->patience = long_patience;
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->device)
		virtio_dev_set_bus_master(f->dev, false);
	virtio_vhost_user_destroy(f->device);
	fake_back_end_destroy(f->back_end);
	fake_mem_destroy(f->mem);
	free(f);
	return 0;
}

static inline int create(struct fixture *f, enum vhost_user_type type, unsigned int queues)
{
	struct vhost_user_config config = {.type = type, .queues = queues, .tag = "shared"};
	int error;

	snprintf(config.socket, sizeof(config.socket), "%s", f->back_end->path);
	error = virtio_vhost_user_create(&config, &f->patience, "dev0", &f->device, f->why,
					 sizeof(f->why));
	if (error)
		return error;
	f->dev = virtio_vhost_user_dev(f->device);
	f->dev->mem = f->mem;
	return 0;
}

static inline void create_block(struct fixture *f, unsigned int queues)
{
	fake_back_end_start(f->back_end);
	assert_int_equal(create(f, VHOST_USER_BLOCK, queues), 0);
}

/* As a driver begins; the device may break. */
static inline void bring_up(struct fixture *f, uint64_t features)
{
	virtio_dev_set_status(f->dev, 0);
	virtio_dev_set_status(f->dev, 3);
	virtio_dev_accept(f->dev, 0, (uint32_t)features);
	virtio_dev_accept(f->dev, 1, (uint32_t)(features >> 32));
	virtio_dev_set_status(f->dev, 11);
	assert_true(virtio_dev_status(f->dev) & VIRTIO_CONFIG_S_FEATURES_OK);
	for (unsigned int i = 0; i < f->dev->queues && i < QUEUES; i++) {
		struct virtio_queue *queue = &f->dev->queue[i];

		driver_ring_init(&f->ring[i], f->mem, RINGS(i), SIZE);
		queue->size = SIZE;
		queue->desc = RINGS(i);
		queue->avail = RINGS(i) + DRIVER_AVAIL;
		queue->used = RINGS(i) + DRIVER_USED;
		queue->enabled = true;
	}
	virtio_dev_set_bus_master(f->dev, true);
	virtio_dev_set_status(f->dev, 15);
}

static inline void await(int fd)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&readable, 1, WAIT_MS), 1);
}

static inline uint16_t used_index(struct fixture *f, unsigned int queue)
{
	return __atomic_load_n(&f->ring[queue].used->idx, __ATOMIC_ACQUIRE);
}

/* Offers one request more, and has it answered. */
static inline void do_request(struct fixture *f, unsigned int queue)
{
	struct driver_ring *ring = &f->ring[queue];
	uint16_t before = used_index(f, queue);

	driver_ring_set(ring, 3, RINGS(queue), 16, 0, 0);
	driver_ring_offer(ring, 3);
	eventfd_write(f->dev->queue[queue].kick_fd, 1);
	while (used_index(f, queue) == before) {
		await(f->dev->queue[queue].call_fd);
		eventfd_drain(f->dev->queue[queue].call_fd);
	}
	assert_int_equal(used_index(f, queue), (uint16_t)(before + 1));
	assert_int_equal(ring->used->ring[before % SIZE].id, 3);
}

static inline bool needs_reset(struct fixture *f)
{
	return virtio_dev_status(f->dev) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

#endif
