/*
 * The driver's side of virtio, for tests: of a split virtqueue, rings in fake memory that a test
 * fills with sense or nonsense; and of a device without a transport, all from its reset to the
 * buffers that come back.
 */
#ifndef TESTS_FAKE_DRIVER_H
#define TESTS_FAKE_DRIVER_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/mem.h"

struct virtio_dev;

/* --- a ring --- */

struct driver_ring {
	struct mem *mem;
	gpa_t gpa;                /* of the descriptors; the rings follow on pages of their own */
	uint16_t size;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t seen;
};

#define DRIVER_RING_LEN 0x8000U /* room for 1024 entries in each part */
#define DRIVER_AVAIL 0x4000U
#define DRIVER_USED 0x5000U

/* Zeroed rings at `gpa`, which must be RAM. */
void driver_ring_init(struct driver_ring *ring, struct mem *mem, gpa_t gpa, uint16_t size);

void driver_ring_set(struct driver_ring *ring, unsigned int index, gpa_t addr, uint32_t len,
		     uint16_t flags, uint16_t next);
void driver_ring_offer(struct driver_ring *ring, uint16_t head);
uint16_t *driver_ring_used_event(struct driver_ring *ring);
uint16_t *driver_ring_avail_event(struct driver_ring *ring);

/* --- a device --- */

#define DRIVER_QUEUES_MAX 8U
#define DRIVER_ALL ~0U /* queues there are */

struct driver {
	struct virtio_dev *dev;
	struct driver_ring ring[DRIVER_QUEUES_MAX];
};

/* Takes `dev` over, and gives it `mem`. Each queue has a ring of `size`, the first one's at `gpa`,
 * each DRIVER_RING_LEN after the one before it. */
void driver_init(struct driver *driver, struct virtio_dev *dev, struct mem *mem, gpa_t gpa,
		 uint16_t size);

/* From a reset to FEATURES_OK. False: the device does not take these features. */
bool driver_negotiate(struct driver *driver, uint64_t features);

/*
 * From a reset to DRIVER_OK, which may break the device, with the queues whose bits are in `queues`
 * and rings that are as new. False: it did not take these features; the rest was done to it all the
 * same.
 */
bool driver_bring_up(struct driver *driver, uint64_t features, unsigned int queues);

void driver_kick(struct driver *driver, unsigned int queue);

/* Offers a buffer by the descriptor after the one of the last time, and kicks. */
void driver_offer(struct driver *driver, unsigned int queue, gpa_t at, uint32_t len,
		  uint16_t flags);

/* --- waiting; false: for what never comes --- */

/* Until `fd` can be read. */
bool driver_await(int fd);

uint16_t driver_used(struct driver *driver, unsigned int queue);

/* Until the device has come to `index` in a queue's used ring, or farther. */
bool driver_await_used(struct driver *driver, unsigned int queue, uint16_t index);

#endif
