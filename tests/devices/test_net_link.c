/* Links on sockets: those that keep messages apart are like a tap device, streams like passt's. */
#include <errno.h>
#include <linux/virtio_net.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/net_link.h"
#include "vmm/base/bits.h"

#define FEATURE(bit) (1ULL << (bit))
#define ALL (~0ULL)
#define LEN_MAX (NET_HEADER_LEN + NET_FRAME_MAX)

struct fixture {
	int peer;
	int fd;
	struct net_link link;
	struct iovec iov[3];
	struct virtqueue_chain chain;
	uint8_t bytes[NET_HEADER_LEN + NET_FRAME_MAX + 100];
	uint8_t got[NET_HEADER_LEN + NET_FRAME_MAX + 100];
};

static void open_link(struct fixture *f, enum net_kind kind)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, (kind == NET_TAP ? SOCK_SEQPACKET : SOCK_STREAM) |
						     SOCK_NONBLOCK, 0, pair), 0);
	f->fd = pair[0];
	f->peer = pair[1];
	assert_int_equal(net_link_init(&f->link, kind, f->fd), 0);
	for (size_t i = 0; i < sizeof(f->bytes); i++)
		f->bytes[i] = (uint8_t)(i / 3);
}

static int setup_tap(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	open_link(*state, NET_TAP);
	return 0;
}

static int setup_stream(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	open_link(*state, NET_PASST);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	net_link_finish(&f->link);
	close(f->fd);
	if (f->peer >= 0)
		close(f->peer);
	free(f);
	return 0;
}

static void hang_up(struct fixture *f)
{
	close(f->peer);
	f->peer = -1;
}

/* `len` bytes of header and frame, in three pieces. */
static const struct virtqueue_chain *chain(struct fixture *f, size_t len)
{
	size_t first = len < 7 ? len : 7, second = (len - first) / 2;

	f->iov[0] = (struct iovec){f->bytes, first};
	f->iov[1] = (struct iovec){f->bytes + first, second};
	f->iov[2] = (struct iovec){f->bytes + first + second, len - first - second};
	f->chain = (struct virtqueue_chain){.iov = f->iov, .readable = 3, .readable_len = len};
	return &f->chain;
}

static int receive(struct fixture *f, uint64_t accepted, uint8_t **ret_frame, size_t *ret_len)
{
	*ret_frame = NULL;
	*ret_len = 0;
	return net_link_receive(&f->link, accepted, ret_frame, ret_len);
}

/* --- packets --- */

static void test_net_link_packets_go_through(void **state)
{
	static const size_t lengths[] = {NET_HEADER_LEN + ETH_HLEN, 100, 1526, LEN_MAX};
	struct fixture *f = *state;
	int room = 1 << 20;

	setsockopt(f->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	setsockopt(f->peer, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	memset(f->bytes, 0, NET_HEADER_LEN);
	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		uint8_t *frame;
		size_t len;

		assert_int_equal(net_link_send(&f->link, chain(f, lengths[i])), 0);
		assert_int_equal(recv(f->peer, f->got, sizeof(f->got), 0), lengths[i]);
		assert_memory_equal(f->got, f->bytes, lengths[i]);
		assert_int_equal(send(f->peer, f->bytes, lengths[i], 0), lengths[i]);
		assert_int_equal(receive(f, 0, &frame, &len), 1);
		assert_int_equal(len, lengths[i]);
		assert_memory_equal(frame, f->bytes, len);
		assert_int_equal(receive(f, 0, &frame, &len), 0);
	}
}

static void test_net_link_drops_packets_of_impossible_lengths(void **state)
{
	static const size_t lengths[] = {1, NET_HEADER_LEN, NET_HEADER_LEN + ETH_HLEN - 1,
					 LEN_MAX + 1, LEN_MAX + 100};
	struct fixture *f = *state;
	int room = 1 << 20;

	setsockopt(f->peer, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	memset(f->bytes, 0, NET_HEADER_LEN);
	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		uint8_t *frame;
		size_t len;

		assert_int_equal(send(f->peer, f->bytes, lengths[i], 0), lengths[i]);
		assert_int_equal(receive(f, ALL, &frame, &len), 1);
		assert_int_equal(len, 0);
		if (lengths[i] < NET_HEADER_LEN)
			continue;
		assert_int_equal(net_link_send(&f->link, chain(f, lengths[i])), 0);
		assert_int_equal(recv(f->peer, f->got, sizeof(f->got), 0), -1);
	}
}

/* What the driver has not accepted it does not get. */
static void test_net_link_checks_headers(void **state)
{
	static const struct {
		uint8_t flags, gso;
		uint64_t accepted;
		bool good;
	} cases[] = {
		{0, 0, 0, true},
		{VIRTIO_NET_HDR_F_DATA_VALID, 0, 0, true},
		{VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 0, false},
		{VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, FEATURE(VIRTIO_NET_F_GUEST_CSUM), true},
		{0, VIRTIO_NET_HDR_GSO_TCPV4, FEATURE(VIRTIO_NET_F_GUEST_TSO6), false},
		{0, VIRTIO_NET_HDR_GSO_TCPV4, FEATURE(VIRTIO_NET_F_GUEST_TSO4), true},
		{0, VIRTIO_NET_HDR_GSO_TCPV6, FEATURE(VIRTIO_NET_F_GUEST_TSO4), false},
		{0, VIRTIO_NET_HDR_GSO_TCPV6, FEATURE(VIRTIO_NET_F_GUEST_TSO6), true},
		{0, VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN,
		 FEATURE(VIRTIO_NET_F_GUEST_TSO6), false},
		{0, VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN,
		 FEATURE(VIRTIO_NET_F_GUEST_TSO6) | FEATURE(VIRTIO_NET_F_GUEST_ECN), true},
		{0, VIRTIO_NET_HDR_GSO_UDP, ALL, false},
		{0, 0x7f, ALL, false},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t *frame;
		size_t len;

		memset(f->bytes, 0, NET_HEADER_LEN);
		f->bytes[0] = cases[i].flags;
		f->bytes[1] = cases[i].gso;
		assert_int_equal(send(f->peer, f->bytes, 100, 0), 100);
		assert_int_equal(receive(f, cases[i].accepted, &frame, &len), 1);
		assert_int_equal(len, cases[i].good ? 100 : 0);
		if (cases[i].good && !cases[i].accepted)
			assert_int_equal(frame[0], 0);
	}
}

static void test_net_link_is_full_and_then_not(void **state)
{
	struct fixture *f = *state;
	unsigned int sent = 0;
	int error;

	while (!(error = net_link_send(&f->link, chain(f, 1000))))
		sent++;
	assert_int_equal(error, -EAGAIN);
	for (unsigned int i = 0; i < sent; i++)
		assert_int_equal(recv(f->peer, f->got, sizeof(f->got), 0), 1000);
	assert_int_equal(net_link_send(&f->link, chain(f, 1000)), 0);
}

static void test_net_link_is_lost(void **state)
{
	struct fixture *f = *state;
	uint8_t *frame;
	size_t len;

	hang_up(f);
	assert_true(receive(f, 0, &frame, &len) < 0);
	assert_int_equal(net_link_send(&f->link, chain(f, 100)), -EPIPE);
}

/* --- a stream --- */

static void write_length(uint8_t *p, uint32_t len)
{
	for (unsigned int i = 0; i < 4; i++)
		p[i] = (uint8_t)(len >> (24 - 8 * i));
}

/* However the stream is cut, the same frames come out of it. */
static void test_net_link_stream_in_pieces(void **state)
{
	static const uint32_t lengths[] = {14, 60, 1514, 14, 300};
	static const size_t pieces[] = {1, 2, 3, 5, 17, 59, 1000, 10000};
	struct fixture *f = *state;
	uint8_t stream[4096];
	size_t size = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		write_length(stream + size, lengths[i]);
		memset(stream + size + 4, (int)i + 1, lengths[i]);
		size += 4 + lengths[i];
	}
	for (unsigned int p = 0; p < ARRAY_SIZE(pieces); p++) {
		unsigned int count = 0;

		for (size_t off = 0; off < size; off += pieces[p]) {
			size_t piece = size - off < pieces[p] ? size - off : pieces[p], len;
			uint8_t *frame;

			assert_int_equal(send(f->peer, stream + off, piece, 0), piece);
			while (receive(f, 0, &frame, &len) == 1) {
				assert_int_equal(len, NET_HEADER_LEN + lengths[count]);
				for (size_t i = 0; i < len; i++)
					assert_int_equal(frame[i], i < NET_HEADER_LEN ? 0
										      : count + 1);
				count++;
			}
		}
		assert_int_equal(count, ARRAY_SIZE(lengths));
	}
}

static void test_net_link_stream_largest(void **state)
{
	struct fixture *f = *state;
	size_t len = 0, off = 0, size = 4 + NET_FRAME_MAX;
	uint8_t *frame;
	int got = 0;

	write_length(f->bytes, NET_FRAME_MAX);
	while (!got) {
		ssize_t sent = send(f->peer, f->bytes + off, size - off, 0);

		off += sent > 0 ? (size_t)sent : 0;
		got = receive(f, 0, &frame, &len);
	}
	assert_int_equal(got, 1);
	assert_int_equal(off, size);
	assert_int_equal(len, NET_HEADER_LEN + NET_FRAME_MAX);
	assert_memory_equal(frame + NET_HEADER_LEN, f->bytes + 4, NET_FRAME_MAX);
}

static void test_net_link_stream_of_absurd_lengths(void **state)
{
	static const uint32_t lengths[] = {0, 1, 13, NET_FRAME_MAX + 1, 0x7fffffff, 0x80000000,
					   0xffffffff};

	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct fixture *f;
		uint8_t *frame;
		size_t len;

		setup_stream(state);
		f = *state;
		write_length(f->bytes, lengths[i]);
		assert_int_equal(send(f->peer, f->bytes, 4, 0), 4);
		assert_int_equal(receive(f, 0, &frame, &len), -EPROTO);
		if (i + 1 < ARRAY_SIZE(lengths))
			teardown(state);
	}
}

/* What is in the way is kept: not a byte is lost or doubled. */
static void test_net_link_stream_is_full_and_then_not(void **state)
{
	struct fixture *f = *state;
	unsigned int sent = 0, frames = 0;
	size_t have = 0;

	while (net_link_send(&f->link, chain(f, NET_HEADER_LEN + 1500)) != -EAGAIN)
		sent++;
	assert_true(net_link_is_sending(&f->link));
	assert_int_equal(net_link_flush(&f->link), -EAGAIN);
	while (frames < sent) {
		ssize_t len = recv(f->peer, f->got + have, 1504 - have, 0);
		int error = net_link_flush(&f->link);

		assert_true(!error || error == -EAGAIN);
		have += len > 0 ? (size_t)len : 0;
		if (have < 1504)
			continue;
		assert_int_equal(f->got[2] << 8 | f->got[3], 1500);
		assert_memory_equal(f->got + 4, f->bytes + NET_HEADER_LEN, 1500);
		have = 0;
		frames++;
	}
	assert_int_equal(net_link_flush(&f->link), 0);
	assert_false(net_link_is_sending(&f->link));
}

static void test_net_link_stream_is_lost(void **state)
{
	struct fixture *f = *state;
	uint8_t *frame;
	size_t len;

	write_length(f->bytes, 60);
	assert_int_equal(send(f->peer, f->bytes, 50, 0), 50);
	hang_up(f);
	assert_int_equal(receive(f, 0, &frame, &len), 0);
	assert_int_equal(receive(f, 0, &frame, &len), -EPIPE);
	assert_int_equal(net_link_send(&f->link, chain(f, 100)), -EPIPE);
}

int main(void)
{
#define TAP(test) cmocka_unit_test_setup_teardown(test, setup_tap, teardown)
#define STREAM(test) cmocka_unit_test_setup_teardown(test, setup_stream, teardown)
	const struct CMUnitTest tests[] = {
		TAP(test_net_link_packets_go_through),
		TAP(test_net_link_drops_packets_of_impossible_lengths),
		TAP(test_net_link_checks_headers),
		TAP(test_net_link_is_full_and_then_not),
		TAP(test_net_link_is_lost),
		STREAM(test_net_link_stream_in_pieces),
		STREAM(test_net_link_stream_largest),
		cmocka_unit_test_teardown(test_net_link_stream_of_absurd_lengths, teardown),
		STREAM(test_net_link_stream_is_full_and_then_not),
		STREAM(test_net_link_stream_is_lost),
	};

	/* As the program has it. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
