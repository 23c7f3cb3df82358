#include "tests/fake_driver.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "devices/virtio.h"
#include "tests/fake_must.h"
#include "vmm/base/clock.h"
#include "vmm/base/eventfd.h"

#define STATUS_DRIVER (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define STATUS_FEATURES (STATUS_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define WAIT_NS 15000000000ULL /* a limit for what never comes, shorter than libFuzzer's */

/* --- a ring --- */

void driver_ring_init(struct driver_ring *ring, struct mem *mem, gpa_t gpa, uint16_t size)
{
	uint8_t *hva = mem_hva(mem, gpa, DRIVER_RING_LEN);

	must(hva, "no RAM for a ring");
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

/* --- a device --- */

void driver_init(struct driver *driver, struct virtio_dev *dev, struct mem *mem, gpa_t gpa,
		 uint16_t size)
{
	driver->dev = dev;
	dev->mem = mem;
	for (unsigned int i = 0; i < dev->queues && i < DRIVER_QUEUES_MAX; i++)
		driver_ring_init(&driver->ring[i], mem, gpa + i * DRIVER_RING_LEN, size);
}

bool driver_negotiate(struct driver *driver, uint64_t features)
{
	struct virtio_dev *dev = driver->dev;

	virtio_dev_set_status(dev, 0);
	virtio_dev_set_status(dev, STATUS_DRIVER);
	virtio_dev_accept(dev, 0, (uint32_t)features);
	virtio_dev_accept(dev, 1, (uint32_t)(features >> 32));
	virtio_dev_set_status(dev, STATUS_FEATURES);
	return virtio_dev_status(dev) & VIRTIO_CONFIG_S_FEATURES_OK;
}

static void enable(struct driver *driver, unsigned int queue)
{
	const struct driver_ring *ring = &driver->ring[queue];
	struct virtio_queue *registers = &driver->dev->queue[queue];

	registers->size = ring->size;
	registers->desc = ring->gpa;
	registers->avail = ring->gpa + DRIVER_AVAIL;
	registers->used = ring->gpa + DRIVER_USED;
	registers->enabled = true;
}

bool driver_bring_up(struct driver *driver, uint64_t features, unsigned int queues)
{
	struct virtio_dev *dev = driver->dev;
	bool taken = driver_negotiate(driver, features);

	for (unsigned int i = 0; i < dev->queues && i < DRIVER_QUEUES_MAX; i++) {
		struct driver_ring *ring = &driver->ring[i];

		driver_ring_init(ring, ring->mem, ring->gpa, ring->size);
		if (queues & 1U << i)
			enable(driver, i);
	}
	virtio_dev_set_bus_master(dev, true);
	virtio_dev_set_status(dev, STATUS_FEATURES | VIRTIO_CONFIG_S_DRIVER_OK);
	return taken;
}

void driver_kick(struct driver *driver, unsigned int queue)
{
	eventfd_signal(driver->dev->queue[queue].kick_fd);
}

void driver_offer(struct driver *driver, unsigned int queue, gpa_t at, uint32_t len,
		  uint16_t flags)
{
	struct driver_ring *ring = &driver->ring[queue];
	uint16_t head = ring->avail->idx % ring->size;

	driver_ring_set(ring, head, at, len, flags, 0);
	driver_ring_offer(ring, head);
	driver_kick(driver, queue);
}

/* --- waiting --- */

bool driver_await(int fd)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	uint64_t end = clock_ns() + WAIT_NS, now = clock_ns();
	int ready;

	do {
		ready = poll(&readable, 1, now < end ? (int)((end - now) / 1000000) : 0);
		now = clock_ns();
	} while (ready < 0 && errno == EINTR); /* by libFuzzer's alarm clock */
	return ready == 1;
}

uint16_t driver_used(struct driver *driver, unsigned int queue)
{
	return __atomic_load_n(&driver->ring[queue].used->idx, __ATOMIC_ACQUIRE);
}

bool driver_await_used(struct driver *driver, unsigned int queue, uint16_t index)
{
	int call_fd = driver->dev->queue[queue].call_fd;

	while ((int16_t)(driver_used(driver, queue) - index) < 0) {
		if (!driver_await(call_fd))
			return false;
		eventfd_drain(call_fd);
	}
	return true;
}
