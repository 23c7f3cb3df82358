#include "devices/net_link.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/base/le.h"

#define STREAM_LEN 4U                      /* the length before each frame of a stream */
#define HEADROOM (NET_HEADER_LEN - STREAM_LEN) /* a header fits before the first frame, too */
#define PACKET_MAX (NET_HEADER_LEN + NET_FRAME_MAX)
#define STREAM_IN_SIZE (2U * NET_FRAME_MAX)
#define STREAM_OUT_SIZE (STREAM_LEN + NET_FRAME_MAX)

_Static_assert(sizeof(struct virtio_net_hdr_v1) == NET_HEADER_LEN, "the header of VIRTIO 1.x");
_Static_assert(STREAM_IN_SIZE - HEADROOM >= STREAM_LEN + NET_FRAME_MAX, "any frame fits");

int net_link_init(struct net_link *link, enum net_kind kind, int fd)
{
	bool stream = kind == NET_PASST;

	*link = (struct net_link){.kind = kind, .fd = fd, .in_start = HEADROOM,
				  .in_end = HEADROOM};
	/* One byte more: what fills all of it was cut off. */
	link->in = malloc(stream ? STREAM_IN_SIZE : PACKET_MAX + 1);
	link->out = stream ? malloc(STREAM_OUT_SIZE) : NULL;
	if (link->in && (link->out || !stream))
		return 0;
	net_link_finish(link);
	return -ENOMEM;
}

void net_link_finish(struct net_link *link)
{
	free(link->in);
	free(link->out);
	link->in = link->out = NULL;
}

/* After a call that failed: is it over, or merely nothing now? */
static int lost_or_none(int error)
{
	switch (error) {
	case EAGAIN:
	case EINTR:
	case ENOBUFS:
	case ENOMEM:
		return 0;
	default:
		return -error;
	}
}

/* --- packets --- */

static bool has(uint64_t features, unsigned int feature)
{
	return features & 1ULL << feature;
}

/*
 * VIRTIO 1.2, 5.1.6.4.1 Device Requirements: Processing of Incoming Packets: no checksum that is
 * left to do, no segments to be cut, unless the driver knows of it. A frame that was queued when an
 * earlier driver did may have them.
 */
static bool make_allowed(struct virtio_net_hdr_v1 *header, uint64_t accepted)
{
	bool checksum = has(accepted, VIRTIO_NET_F_GUEST_CSUM);

	if (!checksum)
		header->flags &= (uint8_t)~VIRTIO_NET_HDR_F_DATA_VALID;
	if (header->flags && !checksum)
		return false;
	if (header->gso_type & VIRTIO_NET_HDR_GSO_ECN && !has(accepted, VIRTIO_NET_F_GUEST_ECN))
		return false;
	switch (header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return true;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return has(accepted, VIRTIO_NET_F_GUEST_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return has(accepted, VIRTIO_NET_F_GUEST_TSO6);
	default:
		return false;
	}
}

static int receive_packet(struct net_link *link, uint64_t accepted, uint8_t **ret_frame,
			  size_t *ret_len)
{
	struct virtio_net_hdr_v1 header;
	ssize_t len = read(link->fd, link->in, PACKET_MAX + 1);

	if (len < 0)
		return lost_or_none(errno);
	if (!len)
		return -EPIPE;
	*ret_len = 0;
	if ((size_t)len < NET_HEADER_LEN + ETH_HLEN || (size_t)len > PACKET_MAX)
		return 1;
	memcpy(&header, link->in, sizeof(header));
	if (!make_allowed(&header, accepted))
		return 1;
	memcpy(link->in, &header, sizeof(header));
	*ret_frame = link->in;
	*ret_len = (size_t)len;
	return 1;
}

static int send_packet(struct net_link *link, const struct virtqueue_chain *chain)
{
	if (writev(link->fd, chain->iov, (int)chain->readable) >= 0)
		return 0;
	switch (errno) {
	case EAGAIN:
		return -EAGAIN;
	case EBADFD:
	case EBADF:
	case EPIPE:
	case ECONNRESET:
	case ENOTCONN:
		return -errno;
	default:
		return 0; /* the interface is down, or the header is nonsense */
	}
}

/* --- a stream --- */

/* Bytes that are here of the next frame and its length. */
static size_t stream_here(const struct net_link *link)
{
	return link->in_end - link->in_start;
}

static uint32_t be32_get(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void be32_set(uint8_t *p, uint32_t value)
{
	for (unsigned int i = 0; i < STREAM_LEN; i++)
		p[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* 1: a whole frame is here; 0: not yet; -EPROTO. */
static int stream_frame(const struct net_link *link, size_t *ret_len)
{
	uint32_t len;

	if (stream_here(link) < STREAM_LEN)
		return 0;
	len = be32_get(link->in + link->in_start);
	if (len < ETH_HLEN || len > NET_FRAME_MAX)
		return -EPROTO;
	*ret_len = len;
	return stream_here(link) >= STREAM_LEN + len;
}

static int stream_fill(struct net_link *link)
{
	ssize_t len;

	memmove(link->in + HEADROOM, link->in + link->in_start, stream_here(link));
	link->in_end -= link->in_start - HEADROOM;
	link->in_start = HEADROOM;
	len = recv(link->fd, link->in + link->in_end, STREAM_IN_SIZE - link->in_end, MSG_DONTWAIT);
	if (len < 0)
		return lost_or_none(errno);
	if (!len)
		return -EPIPE;
	link->in_end += (size_t)len;
	return 1;
}

static int receive_stream(struct net_link *link, uint8_t **ret_frame, size_t *ret_len)
{
	size_t len = 0;
	int got = stream_frame(link, &len);

	if (!got) {
		got = stream_fill(link);
		if (got > 0)
			got = stream_frame(link, &len);
	}
	if (got <= 0)
		return got;
	/* The header's place: the length and what was before it, which is done with. */
	*ret_frame = link->in + link->in_start - HEADROOM;
	*ret_len = NET_HEADER_LEN + len;
	memset(*ret_frame, 0, NET_HEADER_LEN);
	link->in_start += STREAM_LEN + len;
	return 1;
}

int net_link_flush(struct net_link *link)
{
	while (net_link_is_sending(link)) {
		ssize_t len = send(link->fd, link->out + link->out_start,
				   link->out_end - link->out_start, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (len < 0 && !lost_or_none(errno))
			return -EAGAIN;
		if (len < 0)
			return -errno;
		link->out_start += (size_t)len;
	}
	return 0;
}

bool net_link_is_sending(const struct net_link *link)
{
	return link->out_start < link->out_end;
}

static int send_stream(struct net_link *link, const struct virtqueue_chain *chain)
{
	uint32_t len = (uint32_t)chain->readable_len - NET_HEADER_LEN;
	int error = net_link_flush(link);

	if (error)
		return error;
	virtqueue_chain_read(chain, NET_HEADER_LEN, link->out + STREAM_LEN, len);
	be32_set(link->out, len);
	link->out_start = 0;
	link->out_end = STREAM_LEN + len;
	error = net_link_flush(link);
	return error == -EAGAIN ? 0 : error;
}

/* --- either --- */

int net_link_receive(struct net_link *link, uint64_t accepted, uint8_t **ret_frame,
		     size_t *ret_len)
{
	if (link->kind == NET_TAP)
		return receive_packet(link, accepted, ret_frame, ret_len);
	return receive_stream(link, ret_frame, ret_len);
}

int net_link_send(struct net_link *link, const struct virtqueue_chain *chain)
{
	if (chain->readable_len < NET_HEADER_LEN + ETH_HLEN || chain->readable_len > PACKET_MAX)
		return 0;
	return link->kind == NET_TAP ? send_packet(link, chain) : send_stream(link, chain);
}
