#include "devices/virtio.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/log.h"

#define FEATURE(bit) (1ULL << (bit))
#define RING_FEATURES                                                                         \
	(FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC) |                 \
	 FEATURE(VIRTIO_RING_F_EVENT_IDX))
#define STATUS_BITS                                                                           \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK |   \
	 VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_FAILED)

static int new_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int virtio_dev_init(struct virtio_dev *dev, const struct virtio_ops *ops, uint64_t features,
		    unsigned int queues, uint16_t queue_size)
{
	int error = 0;

	dev->ops = ops;
	dev->features = features | RING_FEATURES;
	dev->config_fd = new_eventfd();
	if (dev->config_fd < 0)
		return dev->config_fd;
	dev->queue = calloc(queues, sizeof(*dev->queue));
	if (!dev->queue)
		error = -ENOMEM;
	for (; !error && dev->queues < queues; dev->queues++) {
		struct virtio_queue *queue = &dev->queue[dev->queues];

		queue->max_size = queue->size = queue_size;
		queue->kick_fd = new_eventfd();
		queue->call_fd = new_eventfd();
		error = queue->kick_fd < 0 ? queue->kick_fd : queue->call_fd;
		if (error > 0)
			error = 0;
	}
	if (error)
		virtio_dev_finish(dev);
	return error;
}

void virtio_dev_finish(struct virtio_dev *dev)
{
	if (!dev->ops)
		return;
	for (unsigned int i = 0; i < dev->queues; i++) {
		if (dev->queue[i].kick_fd >= 0)
			close(dev->queue[i].kick_fd);
		if (dev->queue[i].call_fd >= 0)
			close(dev->queue[i].call_fd);
	}
	free(dev->queue);
	close(dev->config_fd);
	dev->ops = NULL;
	dev->queue = NULL;
	dev->queues = 0;
}

/* --- what the driver is told --- */

void virtio_queue_notify(struct virtio_queue *queue)
{
	if (virtqueue_must_notify(&queue->ring))
		eventfd_write(queue->call_fd, 1);
}

void virtio_dev_config_changed(struct virtio_dev *dev)
{
	dev->config_changed = true;
	eventfd_write(dev->config_fd, 1);
}

/* VIRTIO 1.2, 2.1.2 Device Requirements: Device Status Field: "If DRIVER_OK is set, after it sets
 * DEVICE_NEEDS_RESET, the device MUST send a device configuration change notification". */
void virtio_dev_break(struct virtio_dev *dev, const char *what)
{
	if (atomic_exchange(&dev->broken, true))
		return;
	log_guest("%s %s: %s; it needs a reset", dev->ops->type, dev->name, what);
	eventfd_write(dev->config_fd, 1);
}

/* --- running --- */

static int take_rings(struct virtio_dev *dev)
{
	int error = 0;

	for (unsigned int i = 0; i < dev->queues && !error; i++) {
		struct virtio_queue *queue = &dev->queue[i];
		const struct virtqueue_config config = {
			.size = queue->size, .desc = queue->desc, .avail = queue->avail,
			.used = queue->used,
			.event_idx = virtio_dev_has(dev, VIRTIO_RING_F_EVENT_IDX),
			.indirect = virtio_dev_has(dev, VIRTIO_RING_F_INDIRECT_DESC)};

		if (queue->enabled)
			error = virtqueue_start(&queue->ring, dev->mem, &config);
	}
	return error;
}

/* VIRTIO 1.2, 3.1.1 Driver Requirements: Device Initialization: FEATURES_OK before DRIVER_OK. */
static void make_ready(struct virtio_dev *dev)
{
	int error;

	if (!(dev->status & VIRTIO_CONFIG_S_FEATURES_OK)) {
		virtio_dev_break(dev, "DRIVER_OK without FEATURES_OK");
		return;
	}
	error = take_rings(dev);
	if (error)
		virtio_dev_break(dev, virtqueue_complaint(error));
	dev->ready = !error;
}

static void stop(struct virtio_dev *dev)
{
	if (dev->running)
		dev->ops->stop(dev);
	dev->running = false;
}

/* Starts or stops, as everything is now. Buffers that came while nobody looked may have had their
 * kick already: each queue is kicked once more. */
static void update_running(struct virtio_dev *dev)
{
	bool wanted = dev->ready && dev->bus_master && !dev->broken;

	if (!wanted && !dev->bus_master)
		stop(dev);
	if (!wanted || dev->running)
		return;
	if (dev->ops->start(dev)) {
		virtio_dev_break(dev, "the host has no resources for it");
		return;
	}
	dev->running = true;
	for (unsigned int i = 0; i < dev->queues; i++)
		if (dev->queue[i].enabled)
			eventfd_signal(dev->queue[i].kick_fd);
}

void virtio_dev_set_bus_master(struct virtio_dev *dev, bool on)
{
	dev->bus_master = on;
	update_running(dev);
}

void virtio_dev_reset(struct virtio_dev *dev)
{
	dev->status = 0;
	stop(dev);
	if (dev->ops->reset)
		dev->ops->reset(dev);
	dev->accepted = 0;
	dev->ready = false;
	dev->broken = false;
	eventfd_drain(dev->config_fd);
	for (unsigned int i = 0; i < dev->queues; i++) {
		struct virtio_queue *queue = &dev->queue[i];

		queue->size = queue->max_size;
		queue->enabled = false;
		queue->desc = queue->avail = queue->used = 0;
		queue->ring = (struct virtqueue){.mem = NULL};
		eventfd_drain(queue->kick_fd);
		eventfd_drain(queue->call_fd);
	}
}

/* --- registers --- */

uint8_t virtio_dev_status(const struct virtio_dev *dev)
{
	return dev->status | (dev->broken ? VIRTIO_CONFIG_S_NEEDS_RESET : 0);
}

/* VIRTIO 1.2, 2.2.2 Device Requirements: Feature Bits: a set that is not accepted shows in
 * FEATURES_OK that stays clear. Without VIRTIO_F_VERSION_1 we are no device at all. */
static bool features_good(const struct virtio_dev *dev)
{
	return !(dev->accepted & ~dev->features) && virtio_dev_has(dev, VIRTIO_F_VERSION_1) &&
	       (!dev->ops->accepts || dev->ops->accepts(dev->accepted));
}

/* Bits are set, and cleared by a reset alone. */
void virtio_dev_set_status(struct virtio_dev *dev, uint8_t status)
{
	uint8_t fresh = (uint8_t)(status & STATUS_BITS & ~dev->status);

	if (!status) {
		virtio_dev_reset(dev);
		return;
	}
	if (fresh & VIRTIO_CONFIG_S_FEATURES_OK && !features_good(dev))
		fresh &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	dev->status |= fresh;
	if (fresh & VIRTIO_CONFIG_S_DRIVER_OK) {
		make_ready(dev);
		update_running(dev);
		/* Nobody has looked at it since, and the driver of before, if any, is gone. */
		if (dev->config_changed)
			eventfd_write(dev->config_fd, 1);
	}
}

void virtio_dev_accept(struct virtio_dev *dev, unsigned int word, uint32_t features)
{
	unsigned int shift = 32 * word;

	if (word > 1 || dev->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return;
	dev->accepted = (dev->accepted & ~(0xffffffffULL << shift)) | (uint64_t)features << shift;
}

bool virtio_queue_frozen(const struct virtio_dev *dev, const struct virtio_queue *queue)
{
	return queue->enabled || dev->status & VIRTIO_CONFIG_S_DRIVER_OK;
}

/* VIRTIO 1.2, 4.1.4.3.1 Device Requirements: Common configuration structure layout: the generation
 * changes when something is read that has changed, not before, so that it cannot wrap unseen. */
void virtio_dev_read_config(struct virtio_dev *dev, uint32_t off, uint32_t len,
			    uint8_t *ret_bytes)
{
	if (atomic_exchange(&dev->config_changed, false))
		dev->generation++;
	memset(ret_bytes, 0, len);
	if (off >= dev->config_size)
		return;
	if (len > dev->config_size - off)
		len = dev->config_size - off;
	dev->ops->config_read(dev, off, len, ret_bytes);
}

void virtio_dev_write_config(struct virtio_dev *dev, uint32_t off, uint32_t len,
			     const uint8_t *bytes)
{
	if (dev->ops->config_write && off < dev->config_size && len <= dev->config_size - off)
		dev->ops->config_write(dev, off, len, bytes);
}
