/*
 * What the files of the virtio console share among themselves.
 */
#ifndef DEVICES_VIRTIO_CONSOLE_INTERNAL_H
#define DEVICES_VIRTIO_CONSOLE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/virtio.h"
#include "devices/virtio_console.h"

#define CONSOLE_QUEUE_SIZE 64U
#define CONSOLE_BUDGET 64U /* buffers until a thread looks whether it is to end */

/* VIRTIO 1.2, 5.3.2 Virtqueues */
enum { RECEIVEQ, TRANSMITQ, CONSOLE_QUEUES };

/* The thread of a queue, while the driver runs it. */
struct console_server {
	pthread_t thread;
	int stop_fd;  /* eventfd: it is to end */
	int ended_fd; /* eventfd: it does */
	bool started;
};

struct virtio_console {
	struct virtio_dev dev;
	int out_fd;
	atomic_uint size;         /* columns, and 65536 times rows */
	struct console_server server[CONSOLE_QUEUES];

	/* The output thread's, while there is one (virtio_console_output.c). */
	uint64_t sent;            /* bytes of the next buffer that are written already */
	bool blocked;             /* nobody reads what was written */

	/* virtio_console_input.c's */
	int input_fd;             /* eventfd: there is new input */
	int room_fd;
	pthread_mutex_t lock;     /* protects what follows; a leaf */
	uint8_t input[CONSOLE_INPUT_SIZE];
	size_t input_len;
	bool refused;             /* virtio_console_input() took less than was offered */
};

/* The threads of the queues; each takes the device, ends when its server's `stop_fd` says so, and
 * signals `ended_fd`. */
void *virtio_console_run_input(void *console);
void *virtio_console_run_output(void *console);

#endif
