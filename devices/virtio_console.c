#include "devices/virtio_console.h"

#include <errno.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/virtio_console_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/thread.h"

#define CLASS_COMMUNICATION_OTHER 0x078000 /* PCI Code and ID Assignment 1.11, 1.8 Base Class 07h */
#define FEATURE(bit) (1ULL << (bit))
#define KICK_SIGNAL (SIGRTMIN + 1)
#define KICK_PERIOD_MS 1

static struct virtio_console *console_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_console, dev);
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
static void stop_server(struct console_server *server)
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
	for (unsigned int i = 0; i < CONSOLE_QUEUES; i++)
		stop_server(&console_of(dev)->server[i]);
}

static int start(struct virtio_dev *dev)
{
	static void *(*const runs[CONSOLE_QUEUES])(void *opaque) = {
		[RECEIVEQ] = virtio_console_run_input,
		[TRANSMITQ] = virtio_console_run_output,
	};
	struct virtio_console *console = console_of(dev);
	int error = 0;

	console->blocked = false;
	for (unsigned int i = 0; i < CONSOLE_QUEUES && !error; i++) {
		if (!dev->queue[i].enabled)
			continue;
		error = thread_create_taking(&console->server[i].thread, dev->name, runs[i],
					     console, KICK_SIGNAL);
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
					sized ? FEATURE(VIRTIO_CONSOLE_F_SIZE) : 0, CONSOLE_QUEUES,
					CONSOLE_QUEUE_SIZE);
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
	for (unsigned int i = 0; i < CONSOLE_QUEUES; i++) {
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
