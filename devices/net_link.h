/*
 * A way to the host's network for one thread: Ethernet frames in and out, never waiting.
 *
 * NET_TAP	each read and write is one frame with its struct virtio_net_hdr_v1 before it: a tap
 *		device, or whatever keeps messages apart
 * NET_PASST	a stream: 4 bytes of length, big-endian, then the frame; no header. passt(1) and
 *		QEMU's "-netdev stream" speak it
 *
 * What comes from the network is checked here before the guest sees it; what the driver sends goes
 * to the kernel as it is, where the tap device checks its header. A link is lost for good when
 * the other side closes it or breaks its rules.
 */
#ifndef DEVICES_NET_LINK_H
#define DEVICES_NET_LINK_H

#include <linux/if_ether.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/net_config.h"
#include "devices/virtqueue.h"

#define NET_HEADER_LEN 12U   /* struct virtio_net_hdr_v1: VIRTIO 1.2, 5.1.6 Device Operation */
#define NET_VLAN_LEN 4U
/* A segment of 64 KiB that the receiver cuts or takes whole. */
#define NET_FRAME_MAX (65535U + ETH_HLEN + NET_VLAN_LEN)

struct net_link {
	enum net_kind kind;
	int fd;              /* non-blocking, the owner's */
	uint8_t *in, *out;   /* frames that arrive, and what of a stream is not yet sent */
	size_t in_start, in_end, out_start, out_end; /* of a stream */
};

/* 0 or -ENOMEM. */
int net_link_init(struct net_link *link, enum net_kind kind, int fd);
/* Accepts a zeroed one. */
void net_link_finish(struct net_link *link);

/*
 * Takes the next frame: its header, in which nothing is that `accepted` (features) does not allow,
 * and itself, in memory of the link until the next call. 1: here it is, or `*ret_len` is 0, one was
 * dropped. 0: there is none. Negative: the link is lost; -EPROTO: by what the other side sent,
 * -EPIPE: the other side has closed it, -EBADFD: the interface is gone.
 */
int net_link_receive(struct net_link *link, uint64_t accepted, uint8_t **ret_frame,
		     size_t *ret_len);

/*
 * Sends header and frame, the readable buffers of `chain`, which has at least NET_HEADER_LEN bytes.
 * 0: sent, or dropped as a cable drops what it cannot carry. -EAGAIN: not now, wait for POLLOUT.
 * Another negative errno: the link is lost.
 */
int net_link_send(struct net_link *link, const struct virtqueue_chain *chain);

/* Has it more to send, so that POLLOUT is worth waiting for? net_link_flush() goes on with that; 0,
 * -EAGAIN, or the link is lost. */
bool net_link_is_sending(const struct net_link *link);
int net_link_flush(struct net_link *link);

#endif
