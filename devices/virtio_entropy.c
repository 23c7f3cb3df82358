#include "devices/virtio_entropy.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "devices/virtio.h"
#include "vmm/base/bits.h"
#include "vmm/base/clock.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/thread.h"

#define CLASS_SYSTEM_OTHER 0x088000 /* PCI Code and ID Assignment 1.11, 1.9 Base Class 08h */
#define QUEUE_SIZE 8U
#define BUFFERS_MAX 8U
#define CHUNK 256U /* getrandom(2): up to so many bytes come whole and are not interrupted */
#define PERIOD_MS 100U
#define PERIOD_BYTES (ENTROPY_BYTES_PER_SECOND / (1000U / PERIOD_MS))

struct virtio_entropy {
	struct virtio_dev dev;
	pthread_t thread;
	int stop_fd;
	/* The thread's. */
	uint64_t period_start_us;
	uint32_t period_bytes; /* given since then */
};

static struct virtio_entropy *entropy_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_entropy, dev);
}

/* Fills what the driver offers, CHUNK bytes at most: "The device MUST place one or more random
 * bytes into the buffer, but it MAY use less than the entire buffer length." VIRTIO 1.2, 5.4.6.2
 * Device Requirements: Device Operation. */
static uint32_t fill(const struct virtqueue_chain *chain)
{
	uint8_t bytes[CHUNK];
	size_t len = chain->writable_len < CHUNK ? (size_t)chain->writable_len : CHUNK;

	if (getrandom(bytes, len, 0) != (ssize_t)len)
		return 0;
	virtqueue_chain_write(chain, 0, bytes, len);
	return (uint32_t)len;
}

/* True: there may be more. */
static bool serve_one(struct virtio_entropy *entropy)
{
	struct iovec iov[BUFFERS_MAX];
	struct virtqueue_chain chain = {.iov = iov, .capacity = BUFFERS_MAX};
	struct virtqueue *ring = &entropy->dev.queue[0].ring;
	int got = virtqueue_pop(ring, &chain);
	uint32_t len;

	if (got < 0)
		virtio_dev_break(&entropy->dev, virtqueue_complaint(got));
	else if (got && !chain.writable_len)
		virtio_dev_break(&entropy->dev, "a request without room for random bytes");
	if (got <= 0 || !chain.writable_len)
		return false;
	len = fill(&chain);
	entropy->period_bytes += len ? len : CHUNK;
	virtqueue_push(ring, chain.head, len);
	return true;
}

/* How long until the guest may have more, in ms; 0: now. */
static int wait_ms(struct virtio_entropy *entropy)
{
	uint64_t now = clock_us(), end = entropy->period_start_us + 1000ULL * PERIOD_MS;

	if (now >= end) {
		entropy->period_start_us = now;
		entropy->period_bytes = 0;
	}
	if (entropy->period_bytes < PERIOD_BYTES)
		return 0;
	return (int)((end - now) / 1000) + 1;
}

/* Returns poll()'s timeout: -1 when the driver has nothing more. */
static int serve(struct virtio_entropy *entropy)
{
	struct virtio_queue *queue = &entropy->dev.queue[0];
	bool more = true;
	int wait = 0;

	virtqueue_spare_kicks(&queue->ring);
	while (more && !virtio_dev_is_broken(&entropy->dev)) {
		wait = wait_ms(entropy);
		if (wait)
			break;
		more = serve_one(entropy) || (!virtio_dev_is_broken(&entropy->dev) &&
					      virtqueue_want_kick(&queue->ring));
	}
	virtio_queue_notify(queue);
	return wait ? wait : -1;
}

static void *run(void *opaque)
{
	struct virtio_entropy *entropy = opaque;
	struct pollfd fds[] = {
		{.fd = entropy->stop_fd, .events = POLLIN},
		{.fd = entropy->dev.queue[0].kick_fd, .events = POLLIN},
	};
	int timeout = -1;

	while (poll(fds, ARRAY_SIZE(fds), timeout) < 0 || !eventfd_drain(entropy->stop_fd)) {
		eventfd_drain(entropy->dev.queue[0].kick_fd);
		timeout = serve(entropy);
	}
	return NULL;
}

/* A driver may leave its only queue out; while the device runs that does not change. */
static int start(struct virtio_dev *dev)
{
	if (!dev->queue[0].enabled)
		return 0;
	return thread_create(&entropy_of(dev)->thread, dev->name, run, entropy_of(dev));
}

static void stop(struct virtio_dev *dev)
{
	if (!dev->queue[0].enabled)
		return;
	eventfd_write(entropy_of(dev)->stop_fd, 1);
	pthread_join(entropy_of(dev)->thread, NULL);
}

static const struct virtio_ops entropy_ops = {
	.type = "virtio-entropy",
	.id = VIRTIO_ID_RNG,
	.pci_class = CLASS_SYSTEM_OTHER,
	.start = start,
	.stop = stop,
};

int virtio_entropy_create(struct virtio_entropy **ret_entropy)
{
	struct virtio_entropy *entropy = calloc(1, sizeof(*entropy));
	int error;

	if (!entropy)
		return -ENOMEM;
	snprintf(entropy->dev.name, sizeof(entropy->dev.name), "entropy");
	entropy->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = entropy->stop_fd < 0 ? -errno
				     : virtio_dev_init(&entropy->dev, &entropy_ops, 0, 1,
						       QUEUE_SIZE);
	if (error) {
		virtio_entropy_destroy(entropy);
		return error;
	}
	*ret_entropy = entropy;
	return 0;
}

void virtio_entropy_destroy(struct virtio_entropy *entropy)
{
	if (!entropy)
		return;
	virtio_dev_finish(&entropy->dev);
	if (entropy->stop_fd >= 0)
		close(entropy->stop_fd);
	free(entropy);
}

struct virtio_dev *virtio_entropy_dev(struct virtio_entropy *entropy)
{
	return &entropy->dev;
}
