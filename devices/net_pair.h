/*
 * A pair of queues of a network device, and the thread that carries frames between them and a link.
 * It sleeps whenever neither side can go on: with no buffer of the driver it does not look at the
 * link, with a full link it does not look at the ring, and what it has taken from either side it
 * keeps until the other one takes it.
 */
#ifndef DEVICES_NET_PAIR_H
#define DEVICES_NET_PAIR_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/net_link.h"
#include "devices/virtio.h"

#define NET_QUEUE_SIZE 256U     /* entries of each ring */

/* What else the thread does; on that thread. */
struct net_listener {
	void *opaque;
	/* The link is lost: once. */
	void (*lost)(void *opaque, int error);
	/* A descriptor of `watched` is readable. */
	void (*watched)(void *opaque);
};

/* Set up by net_pair_init(); the thread's, while there is one. */
struct net_pair {
	struct virtio_dev *dev;
	struct virtio_queue *rx, *tx;  /* NULL: not served */
	struct net_link *link;         /* NULL: there is none, or it is lost */
	const struct net_listener *listener;
	int watched[2];                /* -1: none */
	bool mergeable;                /* VIRTIO_NET_F_MRG_RXBUF */
	bool readable;                 /* the link has, or may have, a frame */
	bool starved;                  /* the driver has no buffers for the frame */
	bool blocked;                  /* the link takes no more now */
	uint8_t *frame;                /* of the link, on its way to the driver: header and frame */
	size_t frame_len;              /* 0: none */
	struct iovec iov[2][NET_QUEUE_SIZE];
	pthread_t thread;
	int stop_fd;                   /* eventfd */
};

/* Of a zeroed pair: 0 or -errno. */
int net_pair_init(struct net_pair *pair);
void net_pair_finish(struct net_pair *pair);

/* Prepares to serve queues 2 * `index` and the next one of `dev`, which accepted its features, with
 * `link`; NULL: that is lost. */
void net_pair_connect(struct net_pair *pair, struct virtio_dev *dev, unsigned int index,
		      struct net_link *link, const struct net_listener *listener);

/* Prepares a thread that is only there for what is watched. */
void net_pair_only_watch(struct net_pair *pair, struct virtio_dev *dev,
			 const struct net_listener *listener);

/* Begins the thread: 0 or negative errno. */
int net_pair_start(struct net_pair *pair);
/* Ends it. A frame that the driver had no room for is dropped. */
void net_pair_stop(struct net_pair *pair);

/*
 * What the thread does once: moves frames both ways, until nothing moves or others should have
 * their turn. `events` are poll()'s of the link. True: there is more to do at once.
 */
bool net_pair_serve(struct net_pair *pair, short events);

/* Which events of the link it waits for; 0: none, not even that it is closed. */
short net_pair_wants(const struct net_pair *pair);

#endif
