#include "tests/fake_driver.h"

#include <stdlib.h>
#include <string.h>

void driver_ring_init(struct driver_ring *ring, struct mem *mem, gpa_t gpa, uint16_t size)
{
	uint8_t *hva = mem_hva(mem, gpa, DRIVER_RING_LEN);

	if (!hva)
		abort();
	memset(hva, 0, DRIVER_RING_LEN);
	*ring = (struct driver_ring){.mem = mem, .gpa = gpa, .size = size, .desc = (void *)hva,
				     .avail = (void *)(hva + DRIVER_AVAIL),
				     .used = (void *)(hva + DRIVER_USED)};
}

void driver_ring_set(struct driver_ring *ring, unsigned int index, gpa_t addr, uint32_t len,
		     uint16_t flags, uint16_t next)
{
	ring->desc[index] = (struct vring_desc){addr, len, flags, next};
}

void driver_ring_offer(struct driver_ring *ring, uint16_t head)
{
	uint16_t idx = ring->avail->idx;

	ring->avail->ring[idx % ring->size] = head;
	__atomic_store_n(&ring->avail->idx, (uint16_t)(idx + 1), __ATOMIC_RELEASE);
}

uint16_t *driver_ring_used_event(struct driver_ring *ring)
{
	return &ring->avail->ring[ring->size];
}

uint16_t *driver_ring_avail_event(struct driver_ring *ring)
{
	return (uint16_t *)(void *)&ring->used->ring[ring->size];
}
