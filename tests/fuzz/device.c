#include "tests/fuzz/device.h"

#include <linux/virtio_config.h>
#include <string.h>

#include "devices/virtio.h"
#include "tests/fuzz/fuzz.h"

_Static_assert(sizeof(struct fuzz_device_step) == 8, "a step of the seeds");

void fuzz_device_start(struct fuzz_device *device, struct mem *mem, struct virtio_dev *dev,
		       unsigned int writes)
{
	*device = (struct fuzz_device){.writes = writes};
	driver_init(&device->driver, dev, mem, FUZZ_RINGS, FUZZ_RING_SIZE);
}

void fuzz_device_reset(struct fuzz_device *device)
{
	struct virtio_dev *dev = device->driver.dev;

	virtio_dev_reset(dev);
	fuzz_must(!dev->running && !virtio_dev_status(dev), "a reset that forgets not all");
}

/* --- a driver that knows how --- */

void fuzz_device_bring_up(struct fuzz_device *device, uint64_t features, unsigned int queues)
{
	driver_bring_up(&device->driver, features | 1ULL << VIRTIO_F_VERSION_1, queues);
	fuzz_must(device->driver.dev->running, "it does not start any more");
}

static uint16_t flags_of(const struct fuzz_device *device, unsigned int queue)
{
	return device->writes & 1U << queue ? VRING_DESC_F_WRITE : 0;
}

void fuzz_device_offer(struct fuzz_device *device, unsigned int queue, uint32_t len)
{
	driver_offer(&device->driver, queue, FUZZ_BUFFERS, len, flags_of(device, queue));
}

void fuzz_device_await(struct fuzz_device *device, unsigned int queue, const char *what)
{
	fuzz_must(driver_await_used(&device->driver, queue, 1), what);
}

/* --- verbs --- */

static void restart(struct fuzz_device *device, const struct fuzz_device_step *step)
{
	uint64_t features = device->driver.dev->features & ~(uint64_t)step->value;

	driver_bring_up(&device->driver, features | 1ULL << VIRTIO_F_VERSION_1,
			~(unsigned int)step->queue);
}

static void offer(struct fuzz_device *device, const struct fuzz_device_step *step)
{
	unsigned int queue = step->queue % device->driver.dev->queues;
	struct driver_ring *ring = &device->driver.ring[queue];
	uint16_t head = step->off % FUZZ_RING_SIZE;

	driver_ring_set(ring, head, FUZZ_BUFFERS + step->off, step->value % 3000,
			flags_of(device, queue), 0);
	driver_ring_offer(ring, head);
	driver_kick(&device->driver, queue);
}

static void set_index(struct fuzz_device *device, const struct fuzz_device_step *step)
{
	unsigned int queue = step->queue % device->driver.dev->queues;
	struct driver_ring *ring = &device->driver.ring[queue];

	if (step->value & 1)
		ring->avail->idx = step->off;
	if (step->value & 2)
		ring->used->idx = step->off;
	if (step->value & 4)
		driver_ring_offer(ring, step->off);
	driver_kick(&device->driver, queue);
}

static void set_bus_master(struct fuzz_device *device, const struct fuzz_device_step *step)
{
	virtio_dev_set_bus_master(device->driver.dev, step->value & 1);
}

static void read_config(struct fuzz_device *device, const struct fuzz_device_step *step)
{
	uint8_t bytes[8];

	virtio_dev_read_config(device->driver.dev, step->off % 80U, step->queue % 9U, bytes);
}

static void reset(struct fuzz_device *device, const struct fuzz_device_step *step)
{
	(void)step;
	fuzz_device_reset(device);
}

void fuzz_device_run(struct fuzz_device *device, const uint8_t *data, size_t size,
		     void (*const *own)(const struct fuzz_device_step *step), size_t owns)
{
	static void (*const verbs[FUZZ_DEVICE_VERBS])(struct fuzz_device *device,
						      const struct fuzz_device_step *step) = {
		[FUZZ_DEVICE_RESTART] = restart,
		[FUZZ_DEVICE_OFFER] = offer,
		[FUZZ_DEVICE_INDEX] = set_index,
		[FUZZ_DEVICE_BUS_MASTER] = set_bus_master,
		[FUZZ_DEVICE_READ_CONFIG] = read_config,
		[FUZZ_DEVICE_RESET] = reset,
	};
	struct fuzz_device_step step;

	for (; size >= sizeof(step); data += sizeof(step), size -= sizeof(step)) {
		size_t verb;

		memcpy(&step, data, sizeof(step));
		verb = step.verb % (FUZZ_DEVICE_VERBS + owns);
		if (verb < FUZZ_DEVICE_VERBS)
			verbs[verb](device, &step);
		else
			own[verb - FUZZ_DEVICE_VERBS](&step);
	}
}
