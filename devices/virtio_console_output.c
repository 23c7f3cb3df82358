/*
 * The console's output: from the driver's buffers to a descriptor, which may be full for long.
 */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "devices/virtio_console_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"

#define OUTPUT_MAX 4096U /* bytes a write: what a pipe with any room takes whole (PIPE_BUF) */

static bool is_writable(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLOUT};

	return poll(&pollfd, 1, 0) == 1;
}

/* The next bytes of the chain, OUTPUT_MAX at most. How many are done with. */
static size_t put_out(const struct virtio_console *console, const struct virtqueue_chain *chain)
{
	uint8_t bytes[OUTPUT_MAX];
	uint64_t left = chain->readable_len - console->sent;
	size_t len = left < sizeof(bytes) ? (size_t)left : sizeof(bytes);
	ssize_t written;

	virtqueue_chain_read(chain, console->sent, bytes, len);
	written = write(console->out_fd, bytes, len);
	if (written >= 0)
		return (size_t)written;
	/* Bytes that cannot be written are lost, as on a serial line that is cut. */
	return errno == EINTR || errno == EAGAIN ? 0 : len;
}

/* Writes a piece of the next buffer; what it has not come to stays in the ring, so that the device
 * can stop at any time. False: there is none, or nobody reads, or the device is broken. */
static bool send_piece(struct virtio_console *console)
{
	struct virtqueue *ring = &console->dev.queue[TRANSMITQ].ring;
	struct iovec iov[CONSOLE_QUEUE_SIZE];
	struct virtqueue_chain chain = {.iov = iov, .capacity = CONSOLE_QUEUE_SIZE};
	int got = virtqueue_pop(ring, &chain);

	if (got < 0)
		virtio_dev_break(&console->dev, virtqueue_complaint(got));
	else if (got && chain.writable)
		virtio_dev_break(&console->dev, "output in a buffer that is to be written");
	if (got <= 0 || virtio_dev_is_broken(&console->dev))
		return false;
	console->blocked = !is_writable(console->out_fd);
	/* The driver may have made it shorter meanwhile. */
	if (!console->blocked && console->sent < chain.readable_len)
		console->sent += put_out(console, &chain);
	if (console->sent < chain.readable_len) {
		virtqueue_unpop(ring, 1);
		return !console->blocked;
	}
	virtqueue_push(ring, chain.head, 0);
	console->sent = 0;
	return true;
}

static bool may_send(const struct virtio_console *console)
{
	return !console->blocked && !virtio_dev_is_broken(&console->dev);
}

/* True: there is more to do at once. */
static bool transmit(struct virtio_console *console)
{
	struct virtio_queue *queue = &console->dev.queue[TRANSMITQ];
	unsigned int budget = CONSOLE_BUDGET;

	if (!may_send(console))
		return false;
	virtqueue_spare_kicks(&queue->ring);
	do {
		while (budget && send_piece(console))
			budget--;
	} while (budget && may_send(console) && virtqueue_want_kick(&queue->ring));
	virtio_queue_notify(queue);
	return !budget;
}

void *virtio_console_run_output(void *opaque)
{
	struct virtio_console *console = opaque;
	struct console_server *server = &console->server[TRANSMITQ];
	struct pollfd fds[] = {
		{.fd = server->stop_fd, .events = POLLIN},
		{.fd = console->dev.queue[TRANSMITQ].kick_fd, .events = POLLIN},
		{.events = POLLOUT},
	};
	bool more = false;

	for (;;) {
		fds[2].fd = console->blocked ? console->out_fd : -1;
		if (poll(fds, ARRAY_SIZE(fds), more ? 0 : -1) < 0)
			continue;
		if (eventfd_drain(server->stop_fd))
			break;
		eventfd_drain(fds[1].fd);
		if (fds[2].revents)
			console->blocked = false;
		more = transmit(console);
	}
	eventfd_write(server->ended_fd, 1);
	return NULL;
}
