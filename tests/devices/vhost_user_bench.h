/*
 * For the tests of vhost-user: a device, its driver, and the back end that serves it. Included
 * after <cmocka.h>.
 */
#ifndef TESTS_DEVICES_VHOST_USER_BENCH_H
#define TESTS_DEVICES_VHOST_USER_BENCH_H

#include <linux/virtio_config.h>
#include <stdio.h>
#include <stdlib.h>

#include "devices/vhost_user.h"
#include "devices/virtio.h"
#include "devices/virtio_vhost_user.h"
#include "tests/fake_back_end.h"
#include "tests/fake_driver.h"
#include "tests/fake_mem.h"
#include "vmm/base/bits.h"

#define FEATURE(bit) (1ULL << (bit))
#define V1 FEATURE(VIRTIO_F_VERSION_1)
#define RAM (3 * GIB + 16 * MIB) /* of which a part is above 4 GiB */
#define SIZE 16U
#define RINGS (RAM_HIGH_START + 0x100000U)

/* For what comes. */
static const struct vhost_user_patience long_patience = {20000000, 20000000, 20000000};

struct fixture {
	struct mem *mem;
	struct fake_back_end *back_end;
	struct virtio_vhost_user *device;
	struct virtio_dev *dev;
	struct driver driver;
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
	driver_init(&f->driver, f->dev, f->mem, RINGS, SIZE);
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
	assert_true(driver_bring_up(&f->driver, features, DRIVER_ALL));
}

/* Offers one request more, and has it answered. */
static inline void do_request(struct fixture *f, unsigned int queue)
{
	struct driver_ring *ring = &f->driver.ring[queue];
	uint16_t before = driver_used(&f->driver, queue);

	driver_ring_set(ring, 3, ring->gpa, 16, 0, 0);
	driver_ring_offer(ring, 3);
	driver_kick(&f->driver, queue);
	assert_true(driver_await_used(&f->driver, queue, (uint16_t)(before + 1)));
	assert_int_equal(driver_used(&f->driver, queue), (uint16_t)(before + 1));
	assert_int_equal(ring->used->ring[before % SIZE].id, 3);
}

static inline bool needs_reset(struct fixture *f)
{
	return virtio_dev_status(f->dev) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

#endif
