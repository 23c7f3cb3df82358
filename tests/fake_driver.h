/*
 * The driver's side of a split virtqueue, for tests: rings in fake memory that a test fills with
 * sense or nonsense.
 */
#ifndef TESTS_FAKE_DRIVER_H
#define TESTS_FAKE_DRIVER_H

#include <linux/virtio_ring.h>
#include <stdint.h>

#include "vmm/mem.h"

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

#endif
