#include "devices/block_queue.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/block_io.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/log.h"
#include "vmm/base/thread.h"
#include "vmm/events.h"

#define SHORTAGE_MS 10 /* until a kernel that is short of memory is asked again */

int block_queue_init(struct block_queue *queue, struct virtio_dev *dev, unsigned int index,
		     const struct block_disk *disk, struct block_io *io)
{
	*queue = (struct block_queue){.dev = dev, .queue = &dev->queue[index], .disk = *disk,
				      .io = io};
	queue->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	queue->request = calloc(BLOCK_QUEUE_SIZE, sizeof(*queue->request));
	if (!queue->request || queue->stop_fd < 0)
		return -ENOMEM;
	for (unsigned int i = BLOCK_QUEUE_SIZE; i-- > 0;)
		queue->unused[queue->unused_count++] = &queue->request[i];
	return 0;
}

void block_queue_finish(struct block_queue *queue)
{
	block_io_destroy(queue->io);
	if (queue->stop_fd >= 0)
		close(queue->stop_fd);
	free(queue->request);
}

bool block_queue_is_busy(const struct block_queue *queue)
{
	return queue->unused_count < BLOCK_QUEUE_SIZE;
}

/* --- requests --- */

static void report(const struct block_queue *queue, const struct block_request *request)
{
	static struct log_ratelimit limit;
	const struct event_number where = {.key = "offset", .value = request->off};

	if (!log_allowed(&limit))
		return;
	log_warn("%s: %s at %llu failed: %s; the guest has an I/O error", queue->dev->name,
		 block_request_name(request), (unsigned long long)request->off,
		 strerror(-request->error));
	events_emit(&(struct event){.event = "disk-error", .device = queue->dev->name,
				    .cause = block_request_name(request),
				    .error = request->error, .number = &where, .numbers = 1});
}

static void answer(struct block_queue *queue, struct block_request *request, uint8_t status)
{
	uint32_t written = block_request_finish(request, status);

	virtqueue_push(&queue->queue->ring, request->chain.head, written);
	queue->unused[queue->unused_count++] = request;
}

static void go_on(struct block_queue *queue, struct block_request *request)
{
	if (block_request_next(request, &queue->disk)) {
		block_io_add(queue->io, &request->op);
		return;
	}
	if (request->error)
		report(queue, request);
	answer(queue, request, block_request_status(request));
}

static void reap(struct block_queue *queue)
{
	struct block_op *op;

	while ((op = block_io_reap(queue->io))) {
		struct block_request *request = container_of(op, struct block_request, op);

		block_request_done(request);
		go_on(queue, request);
	}
}

/* Takes one request. False: there is none, or the device is broken. */
static bool take(struct block_queue *queue)
{
	struct block_request *request = queue->unused[queue->unused_count - 1];
	int got;

	request->chain.iov = request->iov;
	request->chain.capacity = BLOCK_CHAIN_MAX;
	got = virtqueue_pop(&queue->queue->ring, &request->chain);
	if (got < 0)
		virtio_dev_break(queue->dev, virtqueue_complaint(got));
	if (got <= 0)
		return false;
	got = block_request_parse(request, &queue->disk);
	if (got < 0) {
		virtio_dev_break(queue->dev, "a request without header or status");
		return false;
	}
	queue->unused_count--;
	if (got == BLOCK_REQUEST_GOES_ON)
		go_on(queue, request);
	else
		answer(queue, request, (uint8_t)got);
	return true;
}

static bool may_take(const struct block_queue *queue)
{
	return !queue->stopping && queue->unused_count && !virtio_dev_is_broken(queue->dev);
}

/* With all requests in use no kick is wanted: one that is done looks at the ring again. A driver
 * that offers without end, for answers that cost nothing, must not keep the thread from its end. */
static void take_all(struct block_queue *queue)
{
	unsigned int left = BLOCK_QUEUE_SIZE;

	virtqueue_spare_kicks(&queue->queue->ring);
	do {
		while (left && may_take(queue) && take(queue))
			left--;
	} while (left && may_take(queue) && virtqueue_want_kick(&queue->queue->ring));
	if (!left)
		eventfd_write(queue->queue->kick_fd, 1);
}

bool block_queue_serve(struct block_queue *queue)
{
	bool all;

	reap(queue);
	take_all(queue);
	all = block_io_submit(queue->io);
	virtio_queue_notify(queue->queue);
	return !all;
}

/* --- the thread --- */

static void *serve(void *opaque)
{
	struct block_queue *queue = opaque;
	struct pollfd fds[] = {
		{.fd = queue->io->event_fd, .events = POLLIN},
		{.fd = queue->queue->kick_fd, .events = POLLIN},
		{.fd = queue->stop_fd, .events = POLLIN},
	};
	bool again = false;

	while (!queue->stopping || block_queue_is_busy(queue)) {
		poll(fds, ARRAY_SIZE(fds), again ? SHORTAGE_MS : -1);
		eventfd_drain(queue->queue->kick_fd);
		queue->stopping |= eventfd_drain(queue->stop_fd);
		again = block_queue_serve(queue);
	}
	return NULL;
}

int block_queue_start(struct block_queue *queue)
{
	return thread_create(&queue->thread, queue->dev->name, serve, queue);
}

void block_queue_stop(struct block_queue *queue)
{
	eventfd_write(queue->stop_fd, 1);
	pthread_join(queue->thread, NULL);
}
