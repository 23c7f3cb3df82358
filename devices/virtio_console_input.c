/*
 * The console's input: it waits in a buffer for those of the driver.
 */
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

#include "devices/virtio_console_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"

/* Whoever was refused may come again. */
static void tell_room_locked(struct virtio_console *console)
{
	if (!console->refused || console->input_len > CONSOLE_INPUT_SIZE / 2)
		return;
	console->refused = false;
	eventfd_write(console->room_fd, 1);
}

/* Into a buffer of the driver, as much as it holds. How many bytes. */
static uint32_t deliver(struct virtio_console *console, const struct virtqueue_chain *chain)
{
	size_t len;

	pthread_mutex_lock(&console->lock);
	len = console->input_len < chain->writable_len ? console->input_len
						       : (size_t)chain->writable_len;
	virtqueue_chain_write(chain, 0, console->input, len);
	console->input_len -= len;
	memmove(console->input, console->input + len, console->input_len);
	tell_room_locked(console);
	pthread_mutex_unlock(&console->lock);
	return (uint32_t)len;
}

static bool has_input(struct virtio_console *console)
{
	bool has;

	pthread_mutex_lock(&console->lock);
	has = console->input_len;
	pthread_mutex_unlock(&console->lock);
	return has;
}

/* False: there is no buffer for it, or the device is broken. */
static bool receive_one(struct virtio_console *console)
{
	struct virtqueue *ring = &console->dev.queue[RECEIVEQ].ring;
	struct iovec iov[CONSOLE_QUEUE_SIZE];
	struct virtqueue_chain chain = {.iov = iov, .capacity = CONSOLE_QUEUE_SIZE};
	int got = virtqueue_pop_or_ask(ring, &chain);

	if (got < 0)
		virtio_dev_break(&console->dev, virtqueue_complaint(got));
	else if (got && chain.readable)
		virtio_dev_break(&console->dev, "a buffer for input that is to be read");
	if (got <= 0 || virtio_dev_is_broken(&console->dev))
		return false;
	virtqueue_push(ring, chain.head, deliver(console, &chain));
	return true;
}

/* True: there is more to do at once. */
static bool receive(struct virtio_console *console)
{
	struct virtio_queue *queue = &console->dev.queue[RECEIVEQ];
	unsigned int budget = CONSOLE_BUDGET;

	if (virtio_dev_is_broken(&console->dev))
		return false;
	virtqueue_spare_kicks(&queue->ring);
	while (budget && has_input(console) && receive_one(console))
		budget--;
	virtio_queue_notify(queue);
	return !budget;
}

void *virtio_console_run_input(void *opaque)
{
	struct virtio_console *console = opaque;
	struct console_server *server = &console->server[RECEIVEQ];
	struct pollfd fds[] = {
		{.fd = server->stop_fd, .events = POLLIN},
		{.fd = console->dev.queue[RECEIVEQ].kick_fd, .events = POLLIN},
		{.fd = console->input_fd, .events = POLLIN},
	};
	bool more = false;

	while (poll(fds, ARRAY_SIZE(fds), more ? 0 : -1) < 0 || !eventfd_drain(server->stop_fd)) {
		eventfd_drain(fds[1].fd);
		eventfd_drain(fds[2].fd);
		more = receive(console);
	}
	eventfd_write(server->ended_fd, 1);
	return NULL;
}

size_t virtio_console_input(struct virtio_console *console, const uint8_t *bytes, size_t len)
{
	size_t taken;

	pthread_mutex_lock(&console->lock);
	taken = CONSOLE_INPUT_SIZE - console->input_len;
	if (taken > len)
		taken = len;
	memcpy(console->input + console->input_len, bytes, taken);
	console->input_len += taken;
	console->refused |= taken < len;
	pthread_mutex_unlock(&console->lock);
	eventfd_write(console->input_fd, 1);
	return taken;
}

int virtio_console_room_fd(const struct virtio_console *console)
{
	return console->room_fd;
}

void virtio_console_drop_input(struct virtio_console *console)
{
	pthread_mutex_lock(&console->lock);
	console->input_len = 0;
	tell_room_locked(console);
	pthread_mutex_unlock(&console->lock);
}
