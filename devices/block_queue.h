/*
 * A queue of a block device: the thread that serves it, and its requests.
 */
#ifndef DEVICES_BLOCK_QUEUE_H
#define DEVICES_BLOCK_QUEUE_H

#include <pthread.h>
#include <stdbool.h>

#include "devices/block_request.h"
#include "devices/virtio.h"

struct block_io;

#define BLOCK_QUEUE_SIZE 256U /* entries of the ring, and requests at a time */

/* The thread's, while there is one. */
struct block_queue {
	struct virtio_dev *dev;
	struct virtio_queue *queue;
	struct block_disk disk;
	struct block_io *io;
	struct block_request *request; /* BLOCK_QUEUE_SIZE of them */
	struct block_request *unused[BLOCK_QUEUE_SIZE];
	unsigned int unused_count;
	bool stopping;
	pthread_t thread;
	int stop_fd;                   /* eventfd: end when all is done */
};

/* 0 or negative errno; no thread yet. `io` becomes the queue's. */
int block_queue_init(struct block_queue *queue, struct virtio_dev *dev, unsigned int index,
		     const struct block_disk *disk, struct block_io *io);

/* Begins the thread: 0 or negative errno. */
int block_queue_start(struct block_queue *queue);

/* Ends it: when this returns, all that was in flight is done. */
void block_queue_stop(struct block_queue *queue);

/* Without a thread. */
void block_queue_finish(struct block_queue *queue);

/*
 * What the thread does once: answers what is done, takes what the driver offers, begins it. True:
 * the kernel took not all, and wants to be asked again.
 */
bool block_queue_serve(struct block_queue *queue);

/* Are there requests that are taken and not answered? */
bool block_queue_is_busy(const struct block_queue *queue);

#endif
