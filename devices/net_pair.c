#include "devices/net_pair.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/le.h"
#include "vmm/base/thread.h"

#define BUDGET 256U /* frames of one direction until the other has its turn */
#define NUM_BUFFERS_OFF offsetof(struct virtio_net_hdr_v1, num_buffers)

static struct virtio_queue *enabled(struct virtio_queue *queue)
{
	return queue->enabled ? queue : NULL;
}

int net_pair_init(struct net_pair *pair)
{
	pair->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return pair->stop_fd < 0 ? -errno : 0;
}

void net_pair_finish(struct net_pair *pair)
{
	if (pair->stop_fd >= 0)
		close(pair->stop_fd);
	pair->stop_fd = -1;
}

void net_pair_only_watch(struct net_pair *pair, struct virtio_dev *dev,
			 const struct net_listener *listener)
{
	pair->dev = dev;
	pair->rx = pair->tx = NULL;
	pair->link = NULL;
	pair->listener = listener;
	pair->watched[0] = pair->watched[1] = -1;
	pair->mergeable = virtio_dev_has(dev, VIRTIO_NET_F_MRG_RXBUF);
	pair->readable = true;
	pair->starved = pair->blocked = false;
	pair->frame_len = 0;
}

void net_pair_connect(struct net_pair *pair, struct virtio_dev *dev, unsigned int index,
		      struct net_link *link, const struct net_listener *listener)
{
	net_pair_only_watch(pair, dev, listener);
	pair->rx = enabled(&dev->queue[2 * index]);
	pair->tx = enabled(&dev->queue[2 * index + 1]);
	pair->link = link;
}

static void lose(struct net_pair *pair, int error)
{
	pair->link = NULL;
	pair->frame_len = 0;
	pair->blocked = false;
	pair->listener->lost(pair->listener->opaque, error);
}

/* --- from the driver --- */

/* Takes one frame. False: there is none, the link is full, or the device is broken. */
static bool send_one(struct net_pair *pair)
{
	struct virtqueue *ring = &pair->tx->ring;
	struct virtqueue_chain chain = {.iov = pair->iov[0], .capacity = NET_QUEUE_SIZE};
	int error = 0, got = virtqueue_pop(ring, &chain);

	if (got < 0)
		virtio_dev_break(pair->dev, virtqueue_complaint(got));
	else if (got && chain.readable_len < NET_HEADER_LEN)
		virtio_dev_break(pair->dev, "a frame without its header");
	if (got <= 0 || virtio_dev_is_broken(pair->dev))
		return false;
	if (pair->link)
		error = net_link_send(pair->link, &chain);
	if (error == -EAGAIN) {
		virtqueue_unpop(ring, 1);
		pair->blocked = true;
		return false;
	}
	virtqueue_push(ring, chain.head, 0);
	if (error)
		lose(pair, error);
	return true;
}

static bool may_send(const struct net_pair *pair)
{
	return !pair->blocked && !virtio_dev_is_broken(pair->dev);
}

/* With a lost link, too: a driver that gets its buffers back goes on. */
static bool transmit(struct net_pair *pair)
{
	unsigned int budget = BUDGET;

	if (!pair->tx || !may_send(pair))
		return false;
	virtqueue_spare_kicks(&pair->tx->ring);
	do {
		while (budget && send_one(pair))
			budget--;
	} while (budget && may_send(pair) && virtqueue_want_kick(&pair->tx->ring));
	virtio_queue_notify(pair->tx);
	return !budget;
}

/* --- to the driver --- */

/* One more chain for the frame, of which `done` bytes have their place. How many it took; 0: there
 * is no chain, or the device is broken. */
static size_t place(struct net_pair *pair, struct virtqueue_chain *chain, unsigned int taken,
		    size_t done)
{
	size_t len = pair->frame_len - done;
	int got = virtqueue_pop_or_ask(&pair->rx->ring, chain);

	if (got < 0)
		virtio_dev_break(pair->dev, virtqueue_complaint(got));
	else if (got && chain->writable_len < (taken ? 1 : NET_HEADER_LEN))
		virtio_dev_break(pair->dev, "a receive buffer that is too small for a header");
	if (got <= 0 || virtio_dev_is_broken(pair->dev))
		return 0;
	if (len > chain->writable_len)
		len = (size_t)chain->writable_len;
	virtqueue_chain_write(chain, 0, pair->frame + done, len);
	virtqueue_fill(&pair->rx->ring, taken, chain->head, (uint32_t)len);
	return len;
}

/* VIRTIO 1.2, 5.1.6.4.1 Device Requirements: Processing of Incoming Packets: the header says how
 * many buffers there are, and the driver sees all of them at once. */
static void show(struct net_pair *pair, const struct virtqueue_chain *first, unsigned int taken)
{
	uint8_t number[2];

	le16_set(number, (uint16_t)taken);
	virtqueue_chain_write(first, NUM_BUFFERS_OFF, number, sizeof(number));
	virtqueue_publish(&pair->rx->ring, taken);
}

/*
 * Gives the frame to the driver. False: it must wait for buffers, or the device is broken. A frame
 * for which the whole ring would not do, or one buffer where there may be no more, is dropped.
 */
static bool deliver(struct net_pair *pair)
{
	struct virtqueue_chain first = {.iov = pair->iov[0], .capacity = NET_QUEUE_SIZE};
	struct virtqueue_chain more = {.iov = pair->iov[1], .capacity = NET_QUEUE_SIZE};
	unsigned int most = pair->mergeable ? pair->rx->ring.size : 1, taken = 0;
	size_t done = 0;

	while (done < pair->frame_len && taken < most) {
		size_t len = place(pair, taken ? &more : &first, taken, done);

		if (!len) {
			virtqueue_unpop(&pair->rx->ring, taken);
			return false;
		}
		done += len;
		taken++;
	}
	if (done == pair->frame_len)
		show(pair, &first, taken);
	else
		virtqueue_unpop(&pair->rx->ring, taken);
	pair->frame_len = 0;
	return true;
}

/* Moves one frame, or learns that none can move: then false. */
static bool receive_one(struct net_pair *pair)
{
	int got;

	if (pair->frame_len) {
		pair->starved = !deliver(pair);
		return !pair->starved;
	}
	if (!pair->link || !pair->readable)
		return false;
	got = net_link_receive(pair->link, pair->dev->accepted, &pair->frame, &pair->frame_len);
	if (got < 0)
		lose(pair, got);
	pair->readable = got > 0;
	return got > 0;
}

static bool receive(struct net_pair *pair)
{
	unsigned int budget = 2 * BUDGET; /* a frame is two moves */

	if (!pair->rx)
		return false;
	virtqueue_spare_kicks(&pair->rx->ring);
	while (budget && !virtio_dev_is_broken(pair->dev) && receive_one(pair))
		budget--;
	virtio_queue_notify(pair->rx);
	return !budget;
}

/* --- both --- */

short net_pair_wants(const struct net_pair *pair)
{
	short events = 0;

	if (!pair->link || virtio_dev_is_broken(pair->dev))
		return 0;
	if (pair->rx && !pair->starved)
		events |= POLLIN;
	if (pair->blocked || net_link_is_sending(pair->link))
		events |= POLLOUT;
	return events;
}

bool net_pair_serve(struct net_pair *pair, short events)
{
	int error = pair->link ? net_link_flush(pair->link) : 0;
	bool more;

	if (error && error != -EAGAIN)
		lose(pair, error);
	if (events & ~POLLOUT)
		pair->readable = true;
	if (events & ~POLLIN)
		pair->blocked = false;
	more = transmit(pair);
	return receive(pair) || more;
}

/* --- the thread --- */

static void *run(void *opaque)
{
	struct net_pair *pair = opaque;
	struct pollfd fds[] = {
		{.fd = pair->stop_fd, .events = POLLIN},
		{.fd = pair->rx ? pair->rx->kick_fd : -1, .events = POLLIN},
		{.fd = pair->tx ? pair->tx->kick_fd : -1, .events = POLLIN},
		{.fd = pair->watched[0], .events = POLLIN},
		{.fd = pair->watched[1], .events = POLLIN},
		{.fd = -1},
	};
	struct pollfd *link = &fds[ARRAY_SIZE(fds) - 1];
	bool more = false;

	for (;;) {
		/* Not watched at all, or a link that is closed would never let us sleep. */
		link->events = net_pair_wants(pair);
		link->fd = link->events ? pair->link->fd : -1;
		link->revents = 0;
		if (poll(fds, ARRAY_SIZE(fds), more ? 0 : -1) < 0)
			continue;
		if (eventfd_drain(pair->stop_fd))
			return NULL;
		for (unsigned int i = 1; i <= 2; i++)
			eventfd_drain(fds[i].fd);
		if (fds[3].revents || fds[4].revents)
			pair->listener->watched(pair->listener->opaque);
		more = net_pair_serve(pair, link->revents);
	}
}

int net_pair_start(struct net_pair *pair)
{
	return thread_create(&pair->thread, pair->dev->name, run, pair);
}

void net_pair_stop(struct net_pair *pair)
{
	eventfd_write(pair->stop_fd, 1);
	pthread_join(pair->thread, NULL);
}
