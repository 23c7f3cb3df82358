#include "devices/virtio_net.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "devices/net_link.h"
#include "devices/net_pair.h"
#include "devices/net_vhost.h"
#include "devices/virtio.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/le.h"
#include "vmm/base/log.h"
#include "vmm/events.h"

#define CLASS_NETWORK_ETHERNET 0x020000 /* PCI Code and ID Assignment 1.11, 1.3 Base Class 02h */
#define FEATURE(bit) (1ULL << (bit))
#define CONTROL_CHAIN_MAX 8U
#define MAC_GROUP 0x01U  /* bits of the first byte */
#define MAC_LOCAL 0x02U

struct virtio_net {
	struct virtio_dev dev;
	struct net_host host;
	struct virtio_net_config config; /* all but `status` */
	atomic_bool down;                /* the link is lost */
	struct net_listener listener;
	struct net_link *link;           /* host.pairs of them; a stream's state outlives a reset */
	struct net_pair *pair;           /* the same; the first `pairs` run while the device does */
	/* How many the driver uses. The first pair's thread's, while there is one. */
	unsigned int pairs;
	int vhost_error_fd;              /* eventfd: vhost met a driver that breaks the rules */
};

static struct virtio_net *net_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_net, dev);
}

bool virtio_net_has_vhost(const struct virtio_net *net)
{
	return net->host.vhost_fd[0] >= 0;
}

/* --- features and configuration --- */

/* VIRTIO 1.2, 5.1.3.1 Feature bit requirements: the first of each wants one of the others. */
static bool accepts(uint64_t features)
{
	static const struct {
		unsigned int feature;
		uint64_t needs;
	} rules[] = {
		{VIRTIO_NET_F_GUEST_TSO4, FEATURE(VIRTIO_NET_F_GUEST_CSUM)},
		{VIRTIO_NET_F_GUEST_TSO6, FEATURE(VIRTIO_NET_F_GUEST_CSUM)},
		{VIRTIO_NET_F_GUEST_ECN,
		 FEATURE(VIRTIO_NET_F_GUEST_TSO4) | FEATURE(VIRTIO_NET_F_GUEST_TSO6)},
		{VIRTIO_NET_F_HOST_TSO4, FEATURE(VIRTIO_NET_F_CSUM)},
		{VIRTIO_NET_F_HOST_TSO6, FEATURE(VIRTIO_NET_F_CSUM)},
		{VIRTIO_NET_F_HOST_ECN,
		 FEATURE(VIRTIO_NET_F_HOST_TSO4) | FEATURE(VIRTIO_NET_F_HOST_TSO6)},
		{VIRTIO_NET_F_MQ, FEATURE(VIRTIO_NET_F_CTRL_VQ)},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rules); i++)
		if (features & FEATURE(rules[i].feature) && !(features & rules[i].needs))
			return false;
	return true;
}

static uint64_t features_of(const struct net_host *host)
{
	uint64_t features = host->features | FEATURE(VIRTIO_NET_F_MRG_RXBUF) |
			    FEATURE(VIRTIO_NET_F_MAC) | FEATURE(VIRTIO_NET_F_STATUS);

	if (host->pairs > 1)
		features |= FEATURE(VIRTIO_NET_F_CTRL_VQ) | FEATURE(VIRTIO_NET_F_MQ);
	return features;
}

/* VIRTIO 1.2, 5.1.4 Device configuration layout */
static void fill_config(struct virtio_net *net, const uint8_t mac[NET_MAC_LEN])
{
	memcpy(net->config.mac, mac, NET_MAC_LEN);
	net->config.max_virtqueue_pairs = (uint16_t)net->host.pairs;
	net->config.mtu = net->host.mtu;
	net->dev.config_size = offsetof(struct virtio_net_config, speed);
}

static void config_read(struct virtio_dev *dev, uint32_t off, uint32_t len, uint8_t *ret_bytes)
{
	struct virtio_net_config config = net_of(dev)->config;

	config.status = net_of(dev)->down ? 0 : VIRTIO_NET_S_LINK_UP;
	memcpy(ret_bytes, (const uint8_t *)&config + off, len);
}

/* --- the link; on any pair's thread --- */

static void lose_link(void *opaque, int error)
{
	struct virtio_net *net = opaque;
	const char *why = error == -EPIPE || error == -ECONNRESET ? "the other side has closed it"
			: error == -EPROTO ? "the other side sends frames of impossible lengths"
			: error == -EBADFD ? "the interface is gone"
					   : strerror(-error);

	if (atomic_exchange(&net->down, true))
		return;
	log_warn("%s %s: link down: %s", net->dev.ops->type, net->dev.name, why);
	events_emit(&(struct event){.event = "link", .device = net->dev.name, .from = "up",
				    .to = "down", .error = error, .detail = why});
	virtio_dev_config_changed(&net->dev);
}

/* --- pairs: in start and stop, between them on the first pair's thread --- */

/* With vhost, both queues must be there. */
static bool can_vhost(struct virtio_net *net, unsigned int index)
{
	const struct virtio_queue *queue = &net->dev.queue[2 * index];

	return virtio_net_has_vhost(net) && queue[0].enabled && queue[1].enabled;
}

/* Queues of the tap device that the driver does not use would swallow frames. */
static int attach(struct virtio_net *net, unsigned int index, bool on)
{
	return index && net->host.detachable ? net_tap_attach(net->host.fd[index], on) : 0;
}

static int start_vhost(struct virtio_net *net, unsigned int index)
{
	if (!can_vhost(net, index))
		return 0;
	return net_vhost_start(net->host.vhost_fd[index], &net->dev, 2 * index,
			       net->host.fd[index], net->vhost_error_fd);
}

static void stop_vhost(struct virtio_net *net, unsigned int index)
{
	if (can_vhost(net, index))
		net_vhost_stop(net->host.vhost_fd[index], &net->dev, 2 * index);
}

/* VIRTIO 1.2, 5.1.2 Virtqueues: the control queue comes after those of all pairs, or of the one
 * without VIRTIO_NET_F_MQ. NULL: the driver has it not. */
static struct virtio_queue *control_queue(struct virtio_net *net)
{
	unsigned int index = virtio_dev_has(&net->dev, VIRTIO_NET_F_MQ) ? 2 * net->host.pairs : 2;

	if (!virtio_dev_has(&net->dev, VIRTIO_NET_F_CTRL_VQ) || !net->dev.queue[index].enabled)
		return NULL;
	return &net->dev.queue[index];
}

static void watch(struct virtio_net *net, struct net_pair *pair)
{
	struct virtio_queue *control = control_queue(net);

	if (control)
		pair->watched[0] = control->kick_fd;
	if (virtio_net_has_vhost(net))
		pair->watched[1] = net->vhost_error_fd;
}

/* A pair whose queues vhost has needs no thread, but the first one. */
static bool needs_thread(const struct virtio_net *net, unsigned int index)
{
	return !index || !virtio_net_has_vhost(net);
}

static int start_pair(struct virtio_net *net, unsigned int index)
{
	struct net_pair *pair = &net->pair[index];
	struct net_link *link = net->down ? NULL : &net->link[index];
	int error = attach(net, index, true);

	if (error)
		return error;
	if (virtio_net_has_vhost(net))
		net_pair_only_watch(pair, &net->dev, &net->listener);
	else
		net_pair_connect(pair, &net->dev, index, link, &net->listener);
	if (!index)
		watch(net, pair);
	error = start_vhost(net, index);
	if (!error && needs_thread(net, index)) {
		error = net_pair_start(pair);
		if (error)
			stop_vhost(net, index);
	}
	if (error)
		attach(net, index, false);
	return error;
}

static void stop_pair(struct virtio_net *net, unsigned int index)
{
	if (needs_thread(net, index))
		net_pair_stop(&net->pair[index]);
	stop_vhost(net, index);
	attach(net, index, false);
}

/* --- the control queue: VIRTIO 1.2, 5.1.6.5 Control Virtqueue --- */

/* VIRTIO 1.2, 5.1.6.5.6 Automatic receive steering in multiqueue mode. */
static uint8_t set_pairs(struct virtio_net *net, unsigned int pairs)
{
	if (!virtio_dev_has(&net->dev, VIRTIO_NET_F_MQ) || !pairs || pairs > net->host.pairs)
		return VIRTIO_NET_ERR;
	while (net->pairs > pairs)
		stop_pair(net, --net->pairs);
	while (net->pairs < pairs) {
		if (start_pair(net, net->pairs))
			return VIRTIO_NET_ERR;
		net->pairs++;
	}
	return VIRTIO_NET_OK;
}

static uint8_t obey(struct virtio_net *net, const struct virtqueue_chain *chain)
{
	struct virtio_net_ctrl_hdr header;
	uint8_t pairs[2];

	if (!virtqueue_chain_read(chain, 0, &header, sizeof(header)) ||
	    header.class != VIRTIO_NET_CTRL_MQ || header.cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET ||
	    !virtqueue_chain_read(chain, sizeof(header), pairs, sizeof(pairs)))
		return VIRTIO_NET_ERR;
	return set_pairs(net, le16_get(pairs));
}

/* Takes one command. False: there is none, or the device is broken. */
static bool control_one(struct virtio_net *net, struct virtio_queue *queue)
{
	struct iovec iov[CONTROL_CHAIN_MAX];
	struct virtqueue_chain chain = {.iov = iov, .capacity = CONTROL_CHAIN_MAX};
	int got = virtqueue_pop(&queue->ring, &chain);
	uint8_t answer;

	if (got < 0)
		virtio_dev_break(&net->dev, virtqueue_complaint(got));
	else if (got && !chain.writable_len)
		virtio_dev_break(&net->dev, "a command without room for its answer");
	if (got <= 0 || virtio_dev_is_broken(&net->dev))
		return false;
	answer = obey(net, &chain);
	virtqueue_chain_write(&chain, 0, &answer, 1);
	virtqueue_push(&queue->ring, chain.head, 1);
	return true;
}

static void on_watched(void *opaque)
{
	struct virtio_net *net = opaque;
	struct virtio_queue *queue = control_queue(net);

	if (eventfd_drain(net->vhost_error_fd))
		virtio_dev_break(&net->dev, "the kernel's vhost refuses what is in its rings");
	if (!queue || !eventfd_drain(queue->kick_fd))
		return;
	do {
		while (!virtio_dev_is_broken(&net->dev) && control_one(net, queue))
			;
	} while (!virtio_dev_is_broken(&net->dev) && virtqueue_want_kick(&queue->ring));
	virtio_queue_notify(queue);
}

/* --- running --- */

static void stop(struct virtio_dev *dev)
{
	struct virtio_net *net = net_of(dev);

	/* In this order: the first one's thread starts and stops the others. */
	for (unsigned int i = 0; i < net->pairs; i++)
		stop_pair(net, i);
}

static int start(struct virtio_dev *dev)
{
	struct virtio_net *net = net_of(dev);
	unsigned int pairs = net->pairs;
	int error = 0;

	if (net->host.features & FEATURE(VIRTIO_NET_F_GUEST_CSUM) && !net->down)
		error = net_tap_set_offload(net->host.fd[0], dev->accepted);
	/* The first one last, for the same reason. */
	for (unsigned int i = pairs; i-- > 0 && !error;) {
		error = start_pair(net, i);
		for (unsigned int j = i + 1; error && j < pairs; j++)
			stop_pair(net, j);
	}
	if (error)
		log_err("%s %s: its queues cannot be served: %s", dev->ops->type, dev->name,
			strerror(-error));
	return error;
}

static void reset(struct virtio_dev *dev)
{
	struct virtio_net *net = net_of(dev);

	net->pairs = 1;
	eventfd_drain(net->vhost_error_fd);
}

static const struct virtio_ops net_ops = {
	.type = "virtio-net",
	.id = VIRTIO_ID_NET,
	.pci_class = CLASS_NETWORK_ETHERNET,
	.config_read = config_read,
	.accepts = accepts,
	.start = start,
	.stop = stop,
	.reset = reset,
};

/* --- set-up --- */

static int create_pairs(struct virtio_net *net)
{
	unsigned int pairs = net->host.pairs;
	int error = 0;

	net->link = calloc(pairs, sizeof(*net->link));
	net->pair = calloc(pairs, sizeof(*net->pair));
	if (!net->link || !net->pair)
		return -ENOMEM;
	for (unsigned int i = 0; i < pairs; i++)
		net->pair[i].stop_fd = -1;
	for (unsigned int i = 0; i < pairs && !error; i++) {
		error = net_pair_init(&net->pair[i]);
		if (!error && !virtio_net_has_vhost(net))
			error = net_link_init(&net->link[i], net->host.kind, net->host.fd[i]);
		if (!error)
			error = attach(net, i, false);
	}
	return error;
}

int virtio_net_create(const struct net_host *host, const uint8_t mac[NET_MAC_LEN],
		      const char *name, struct virtio_net **ret_net)
{
	struct virtio_net *net = calloc(1, sizeof(*net));
	/* The control queue is there with several pairs alone. */
	unsigned int queues = 2 * host->pairs + (host->pairs > 1);
	int error = -ENOMEM;

	if (!net) {
		struct net_host closed = *host;

		net_host_close(&closed);
		return error;
	}
	net->host = *host;
	net->pairs = 1;
	net->listener = (struct net_listener){net, lose_link, on_watched};
	snprintf(net->dev.name, sizeof(net->dev.name), "%s", name);
	net->vhost_error_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = net->vhost_error_fd < 0 ? -errno
					: virtio_dev_init(&net->dev, &net_ops, features_of(host),
							  queues, NET_QUEUE_SIZE);
	if (!error)
		error = create_pairs(net);
	if (error) {
		virtio_net_destroy(net);
		return error;
	}
	fill_config(net, mac);
	events_emit(&(struct event){.event = "link", .device = net->dev.name, .to = "up",
				    .cause = virtio_net_has_vhost(net) ? "vhost"
					     : host->kind == NET_TAP  ? "tap"
								      : "passt"});
	*ret_net = net;
	return 0;
}

void virtio_net_destroy(struct virtio_net *net)
{
	if (!net)
		return;
	virtio_dev_finish(&net->dev);
	for (unsigned int i = 0; net->link && i < net->host.pairs; i++)
		net_link_finish(&net->link[i]);
	for (unsigned int i = 0; net->link && net->pair && i < net->host.pairs; i++)
		net_pair_finish(&net->pair[i]);
	if (net->vhost_error_fd >= 0)
		close(net->vhost_error_fd);
	net_host_close(&net->host);
	free(net->link);
	free(net->pair);
	free(net);
}

struct virtio_dev *virtio_net_dev(struct virtio_net *net)
{
	return &net->dev;
}

int virtio_net_random_mac(uint8_t ret_mac[NET_MAC_LEN])
{
	uint8_t mac[NET_MAC_LEN];

	if (getrandom(mac, sizeof(mac), 0) != sizeof(mac))
		return -errno;
	mac[0] = (uint8_t)((mac[0] & ~MAC_GROUP) | MAC_LOCAL);
	memcpy(ret_mac, mac, sizeof(mac));
	return 0;
}
