#include "devices/virtio_console.h"

#include <errno.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/virtio.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/thread.h"

#define CLASS_COMMUNICATION_OTHER 0x078000 /* PCI Code and ID Assignment 1.11, 1.8 Base Class 07h */
#define FEATURE(bit) (1ULL << (bit))
#define QUEUE_SIZE 64U
#define BUDGET 64U /* buffers until the thread looks whether it is to end */
#define OUTPUT_MAX 4096U /* bytes a write: what a pipe with any room takes whole (PIPE_BUF) */
#define KICK_SIGNAL (SIGRTMIN + 1)
#define KICK_PERIOD_MS 1

/* VIRTIO 1.2, 5.3.2 Virtqueues */
enum { RECEIVEQ, TRANSMITQ, QUEUES };

/* The thread of a queue, while the driver runs it. */
struct server {
	pthread_t thread;
	int stop_fd;  /* eventfd: it is to end */
	int ended_fd; /* eventfd: it does */
	bool started;
};

struct virtio_console {
	struct virtio_dev dev;
	int out_fd;
	atomic_uint size;         /* columns, and 65536 times rows */
	struct server server[QUEUES];

	/* The output thread's, while there is one. */
	uint64_t sent;            /* bytes of the next buffer that are written already */
	bool blocked;             /* nobody reads what was written */

	int input_fd;             /* eventfd: there is new input */
	int room_fd;
	pthread_mutex_t lock;     /* protects what follows; a leaf */
	uint8_t input[CONSOLE_INPUT_SIZE];
	size_t input_len;
	bool refused;             /* virtio_console_input() took less than was offered */
};

static struct virtio_console *console_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_console, dev);
}

/* --- output --- */

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
	struct iovec iov[QUEUE_SIZE];
	struct virtqueue_chain chain = {.iov = iov, .capacity = QUEUE_SIZE};
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
	unsigned int budget = BUDGET;

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

static void *run_output(void *opaque)
{
	struct virtio_console *console = opaque;
	struct server *server = &console->server[TRANSMITQ];
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

/* --- input --- */

/* Takes one more buffer; when there is none the driver is asked for a kick. */
static int take_buffer(struct virtqueue *ring, struct virtqueue_chain *chain)
{
	int got;

	do {
		got = virtqueue_pop(ring, chain);
	} while (!got && virtqueue_want_kick(ring));
	return got;
}

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
	struct iovec iov[QUEUE_SIZE];
	struct virtqueue_chain chain = {.iov = iov, .capacity = QUEUE_SIZE};
	int got = take_buffer(ring, &chain);

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
	unsigned int budget = BUDGET;

	if (virtio_dev_is_broken(&console->dev))
		return false;
	virtqueue_spare_kicks(&queue->ring);
	while (budget && has_input(console) && receive_one(console))
		budget--;
	virtio_queue_notify(queue);
	return !budget;
}

static void *run_input(void *opaque)
{
	struct virtio_console *console = opaque;
	struct server *server = &console->server[RECEIVEQ];
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

/* --- configuration --- */

static unsigned int size_of(uint16_t cols, uint16_t rows)
{
	return cols | (unsigned int)rows << 16;
}

/* VIRTIO 1.2, 5.3.4 Device configuration layout */
static void config_read(struct virtio_dev *dev, uint32_t off, uint32_t len, uint8_t *ret_bytes)
{
	unsigned int size = console_of(dev)->size;
	const struct virtio_console_config config = {.cols = (uint16_t)size,
						     .rows = (uint16_t)(size >> 16)};

	memcpy(ret_bytes, (const uint8_t *)&config + off, len);
}

void virtio_console_set_size(struct virtio_console *console, uint16_t cols, uint16_t rows)
{
	unsigned int size = size_of(cols, rows);

	if (atomic_exchange(&console->size, size) != size &&
	    console->dev.features & FEATURE(VIRTIO_CONSOLE_F_SIZE))
		virtio_dev_config_changed(&console->dev);
}

/* --- running --- */

static void on_kick(int signal)
{
	(void)signal; /* its arrival ends a write that waits */
}

/* The signal may come just before the thread begins to wait: it is sent until the thread ends. */
static void stop_server(struct server *server)
{
	struct pollfd ended = {.fd = server->ended_fd, .events = POLLIN};

	if (!server->started)
		return;
	eventfd_write(server->stop_fd, 1);
	while (poll(&ended, 1, KICK_PERIOD_MS) != 1)
		pthread_kill(server->thread, KICK_SIGNAL);
	pthread_join(server->thread, NULL);
	eventfd_drain(server->ended_fd);
	server->started = false;
}

static void stop(struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < QUEUES; i++)
		stop_server(&console_of(dev)->server[i]);
}

static int start(struct virtio_dev *dev)
{
	static void *(*const runs[QUEUES])(void *opaque) = {
		[RECEIVEQ] = run_input, [TRANSMITQ] = run_output};
	struct virtio_console *console = console_of(dev);
	int error = 0;

	console->blocked = false;
	for (unsigned int i = 0; i < QUEUES && !error; i++) {
		if (!dev->queue[i].enabled)
			continue;
		error = thread_create_taking(&console->server[i].thread, runs[i], console,
					     KICK_SIGNAL);
		console->server[i].started = !error;
	}
	if (error)
		stop(dev);
	return error;
}

static void reset(struct virtio_dev *dev)
{
	console_of(dev)->sent = 0;
}

static const struct virtio_ops console_ops = {
	.type = "virtio-console",
	.id = VIRTIO_ID_CONSOLE,
	.pci_class = CLASS_COMMUNICATION_OTHER,
	.config_read = config_read,
	.start = start,
	.stop = stop,
	.reset = reset,
};

/* --- set-up --- */

static int open_eventfds(struct virtio_console *console)
{
	int *const fds[] = {&console->input_fd, &console->room_fd,
			    &console->server[RECEIVEQ].stop_fd, &console->server[RECEIVEQ].ended_fd,
			    &console->server[TRANSMITQ].stop_fd,
			    &console->server[TRANSMITQ].ended_fd};
	int error = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++) {
		*fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (*fds[i] < 0)
			error = -errno;
	}
	return error;
}

int virtio_console_create(const struct console_config *config, struct virtio_console **ret_console)
{
	const struct sigaction action = {.sa_handler = on_kick}; /* no SA_RESTART */
	struct virtio_console *console = calloc(1, sizeof(*console));
	bool sized = config->cols || config->rows;
	int error;

	if (!console)
		return -ENOMEM;
	sigaction(KICK_SIGNAL, &action, NULL);
	snprintf(console->dev.name, sizeof(console->dev.name), "console");
	console->out_fd = config->out_fd;
	console->size = size_of(config->cols, config->rows);
	console->dev.config_size = sizeof(struct virtio_console_config);
	pthread_mutex_init(&console->lock, NULL);
	error = open_eventfds(console);
	if (!error)
		error = virtio_dev_init(&console->dev, &console_ops,
					sized ? FEATURE(VIRTIO_CONSOLE_F_SIZE) : 0, QUEUES,
					QUEUE_SIZE);
	if (error) {
		virtio_console_destroy(console);
		return error;
	}
	*ret_console = console;
	return 0;
}

void virtio_console_destroy(struct virtio_console *console)
{
	if (!console)
		return;
	virtio_dev_finish(&console->dev);
	for (unsigned int i = 0; i < QUEUES; i++) {
		if (console->server[i].stop_fd >= 0)
			close(console->server[i].stop_fd);
		if (console->server[i].ended_fd >= 0)
			close(console->server[i].ended_fd);
	}
	if (console->input_fd >= 0)
		close(console->input_fd);
	if (console->room_fd >= 0)
		close(console->room_fd);
	pthread_mutex_destroy(&console->lock);
	free(console);
}

struct virtio_dev *virtio_console_dev(struct virtio_console *console)
{
	return &console->dev;
}
