/* What a pair's thread does, step by step, between rings of any sense and a socket. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <poll.h>
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

#include "devices/net_pair.h"
#include "tests/fake_driver.h"
#include "tests/fake_mem.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"

#define RAM (16 * MIB)
#define SIZE 8U
#define RX_RINGS 0x10000U
#define TX_RINGS 0x20000U
#define BUFFERS 0x100000U
#define BUFFER_STRIDE 0x10000U
#define FRAME_LEN 100U
#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE

struct fixture {
	struct mem *mem;
	struct virtio_dev dev;
	struct driver_ring rx, tx;
	struct net_link link;
	struct net_pair pair;
	struct net_listener listener;
	int fd, peer;
	unsigned int lost;
	uint8_t bytes[70000];
};

static int start(struct virtio_dev *dev)
{
	(void)dev;
	return 0;
}

static void stop(struct virtio_dev *dev)
{
	(void)dev;
}

static const struct virtio_ops ops = {.type = "virtio-net", .id = VIRTIO_ID_NET, .start = start,
				      .stop = stop};

static void lost(void *opaque, int error)
{
	struct fixture *f = opaque;

	assert_true(error < 0);
	f->lost++;
}

static void enable(struct fixture *f, unsigned int index, struct driver_ring *ring, gpa_t gpa)
{
	struct virtio_queue *queue = &f->dev.queue[index];
	const struct virtqueue_config config = {.size = SIZE, .desc = gpa,
						.avail = gpa + DRIVER_AVAIL,
						.used = gpa + DRIVER_USED, .indirect = true};

	driver_ring_init(ring, f->mem, gpa, SIZE);
	queue->enabled = true;
	assert_int_equal(virtqueue_start(&queue->ring, f->mem, &config), 0);
}

static void make(void **state, enum net_kind kind, uint64_t accepted)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fds[2];

	*state = f;
	f->mem = fake_mem_create(RAM);
	f->listener = (struct net_listener){.opaque = f, .lost = lost};
	f->pair.stop_fd = -1;
	assert_int_equal(virtio_dev_init(&f->dev, &ops, 0, 2, SIZE), 0);
	f->dev.accepted = accepted;
	assert_int_equal(socketpair(AF_UNIX, (kind == NET_TAP ? SOCK_SEQPACKET : SOCK_STREAM) |
						     SOCK_NONBLOCK, 0, fds), 0);
	f->fd = fds[0];
	f->peer = fds[1];
	assert_int_equal(net_link_init(&f->link, kind, f->fd), 0);
	enable(f, 0, &f->rx, RX_RINGS);
	enable(f, 1, &f->tx, TX_RINGS);
	net_pair_connect(&f->pair, &f->dev, 0, &f->link, &f->listener);
}

static int setup(void **state)
{
	make(state, NET_TAP, 1ULL << VIRTIO_NET_F_MRG_RXBUF);
	return 0;
}

static int setup_plain(void **state)
{
	make(state, NET_TAP, 0);
	return 0;
}

static int setup_stream(void **state)
{
	make(state, NET_PASST, 1ULL << VIRTIO_NET_F_MRG_RXBUF);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	net_link_finish(&f->link);
	virtio_dev_finish(&f->dev);
	fake_mem_destroy(f->mem);
	close(f->fd);
	if (f->peer >= 0)
		close(f->peer);
	free(f);
	return 0;
}

static gpa_t buffer(unsigned int index)
{
	return BUFFERS + (gpa_t)index * BUFFER_STRIDE;
}

/* Gives a receive buffer; its bytes are 0xee until the device writes them. */
static void give(struct fixture *f, uint16_t index, uint32_t len)
{
	memset(mem_hva(f->mem, buffer(index), len ? len : 1), 0xee, len);
	driver_ring_set(&f->rx, index, buffer(index), len, WRITE, 0);
	driver_ring_offer(&f->rx, index);
}

/* A packet to the guest. */
static void arrive(struct fixture *f, size_t len, uint8_t value)
{
	memset(f->bytes, 0, NET_HEADER_LEN);
	memset(f->bytes + NET_HEADER_LEN, value, len);
	assert_int_equal(send(f->peer, f->bytes, NET_HEADER_LEN + len, 0), NET_HEADER_LEN + len);
}

static void serve(struct fixture *f, short events)
{
	while (net_pair_serve(&f->pair, events))
		events = 0;
}

static const uint8_t *bytes_of(struct fixture *f, unsigned int index)
{
	return mem_hva(f->mem, buffer(index), BUFFER_STRIDE);
}

/* --- to the driver --- */

static void test_net_pair_gives_frames(void **state)
{
	struct fixture *f = *state;

	for (unsigned int round = 0; round < 5 * SIZE; round++) {
		uint16_t index = round % SIZE;

		give(f, index, 2048);
		arrive(f, FRAME_LEN, (uint8_t)round);
		serve(f, POLLIN);
		assert_int_equal(f->rx.used->idx, round + 1);
		assert_int_equal(f->rx.used->ring[index].id, index);
		assert_int_equal(f->rx.used->ring[index].len, NET_HEADER_LEN + FRAME_LEN);
		assert_int_equal(le16_get(bytes_of(f, index) + 10), 1);
		for (unsigned int i = 0; i < FRAME_LEN; i++)
			assert_int_equal(bytes_of(f, index)[NET_HEADER_LEN + i], (uint8_t)round);
		assert_int_equal(bytes_of(f, index)[NET_HEADER_LEN + FRAME_LEN], 0xee);
	}
}

static void test_net_pair_spreads_a_frame(void **state)
{
	struct fixture *f = *state;

	for (uint16_t i = 0; i < 4; i++)
		give(f, i, 40);
	arrive(f, FRAME_LEN, 7);
	serve(f, POLLIN);
	assert_int_equal(f->rx.used->idx, 3);
	assert_int_equal(le16_get(bytes_of(f, 0) + 10), 3);
	assert_int_equal(f->rx.used->ring[0].len, 40);
	assert_int_equal(f->rx.used->ring[1].len, 40);
	assert_int_equal(f->rx.used->ring[2].len, NET_HEADER_LEN + FRAME_LEN - 80);
	assert_int_equal(bytes_of(f, 1)[0], 7);
	assert_int_equal(bytes_of(f, 2)[f->rx.used->ring[2].len - 1], 7);
	assert_int_equal(bytes_of(f, 2)[f->rx.used->ring[2].len], 0xee);
}

/* With too few buffers nothing is used, nothing is lost, and the thread has nothing to wait for but
 * a kick. */
static void test_net_pair_waits_for_buffers(void **state)
{
	struct fixture *f = *state;

	arrive(f, FRAME_LEN, 1);
	arrive(f, FRAME_LEN, 2);
	assert_int_equal(net_pair_wants(&f->pair), POLLIN);
	assert_false(net_pair_serve(&f->pair, POLLIN));
	assert_int_equal(net_pair_wants(&f->pair), 0);
	assert_int_equal(f->rx.used->flags, 0);
	give(f, 0, 60);
	assert_false(net_pair_serve(&f->pair, 0));
	assert_int_equal(f->rx.used->idx, 0);
	assert_int_equal(net_pair_wants(&f->pair), 0);
	give(f, 1, 60);
	assert_false(net_pair_serve(&f->pair, 0));
	assert_int_equal(f->rx.used->idx, 2);
	assert_int_equal(bytes_of(f, 1)[0], 1);
	give(f, 2, 200);
	assert_false(net_pair_serve(&f->pair, 0));
	assert_int_equal(f->rx.used->idx, 3);
	assert_int_equal(bytes_of(f, 2)[NET_HEADER_LEN], 2);
	assert_int_equal(net_pair_wants(&f->pair), POLLIN);
}

/* Waiting for what cannot come would be forever. */
static void test_net_pair_drops_what_the_ring_cannot_hold(void **state)
{
	struct fixture *f = *state;

	for (uint16_t i = 0; i < SIZE; i++)
		give(f, i, 13);
	arrive(f, 13 * SIZE - NET_HEADER_LEN + 1, 1);
	serve(f, POLLIN);
	assert_int_equal(f->rx.used->idx, 0);
	arrive(f, 13 * SIZE - NET_HEADER_LEN, 2);
	serve(f, POLLIN);
	assert_int_equal(f->rx.used->idx, SIZE);
	assert_int_equal(bytes_of(f, SIZE - 1)[12], 2);
}

static void test_net_pair_drops_what_one_buffer_cannot_hold(void **state)
{
	struct fixture *f = *state;

	give(f, 0, 100);
	give(f, 1, 100);
	arrive(f, 101 - NET_HEADER_LEN, 1);
	arrive(f, 100 - NET_HEADER_LEN, 2);
	serve(f, POLLIN);
	assert_int_equal(f->rx.used->idx, 1);
	assert_int_equal(f->rx.used->ring[0].len, 100);
	assert_int_equal(le16_get(bytes_of(f, 0) + 10), 1);
	assert_int_equal(bytes_of(f, 0)[99], 2);
}

/* --- from the driver --- */

static void offer(struct fixture *f, uint16_t index, uint32_t len)
{
	memset(mem_hva(f->mem, buffer(index), BUFFER_STRIDE), (int)index + 1, BUFFER_STRIDE);
	driver_ring_set(&f->tx, index, buffer(index), len, 0, 0);
	driver_ring_offer(&f->tx, index);
}

static void test_net_pair_takes_frames(void **state)
{
	struct fixture *f = *state;

	for (unsigned int round = 0; round < 5; round++) {
		for (uint16_t i = 0; i < SIZE; i++)
			offer(f, i, NET_HEADER_LEN + FRAME_LEN + i);
		serve(f, 0);
		assert_int_equal(f->tx.used->idx, (round + 1) * SIZE);
		for (unsigned int i = 0; i < SIZE; i++) {
			assert_int_equal(f->tx.used->ring[i].id, i);
			assert_int_equal(recv(f->peer, f->bytes, sizeof(f->bytes), 0),
					 NET_HEADER_LEN + FRAME_LEN + i);
			assert_int_equal(f->bytes[NET_HEADER_LEN], i + 1);
		}
	}
}

static void test_net_pair_waits_for_the_link(void **state)
{
	struct fixture *f = *state;
	size_t frame = 5000 + (f->link.kind == NET_TAP ? NET_HEADER_LEN : 4), sent = 0, arrived = 0;
	uint16_t head = 0;

	/* Until the link is full with frames still in the ring. */
	while (!(net_pair_wants(&f->pair) & POLLOUT)) {
		for (uint16_t i = (uint16_t)(f->tx.avail->idx - f->tx.used->idx); i < SIZE; i++) {
			offer(f, head++ % SIZE, NET_HEADER_LEN + 5000);
			sent += frame;
		}
		assert_false(net_pair_serve(&f->pair, 0));
	}
	assert_true(f->tx.used->idx != f->tx.avail->idx);
	assert_false(net_pair_serve(&f->pair, 0));
	assert_true(net_pair_wants(&f->pair) & POLLOUT);
	while (arrived < sent) {
		ssize_t len = recv(f->peer, f->bytes, sizeof(f->bytes), 0);

		arrived += len > 0 ? (size_t)len : 0;
		serve(f, POLLOUT);
	}
	serve(f, POLLOUT);
	assert_int_equal(f->tx.used->idx, f->tx.avail->idx);
	assert_false(net_pair_wants(&f->pair) & POLLOUT);
	assert_int_equal(recv(f->peer, f->bytes, sizeof(f->bytes), 0), -1);
}

/* --- hostile drivers --- */

static void test_net_pair_breaks_on_nonsense(void **state)
{
	static const struct {
		bool rx;
		struct vring_desc desc;
	} cases[] = {
		{false, {BUFFERS, NET_HEADER_LEN - 1, 0, 0}},
		{false, {BUFFERS, 100, WRITE, 0}},
		{false, {BUFFERS, 0, 0, 0}},
		{false, {RAM, 100, 0, 0}},
		{false, {~0ULL, 0xffffffff, 0, 0}},
		{false, {BUFFERS, 100, NEXT, 3}},
		{false, {BUFFERS, 100, NEXT, SIZE}},
		{false, {BUFFERS, 8, VRING_DESC_F_INDIRECT, 0}},
		{true, {BUFFERS, 100, 0, 0}},
		{true, {BUFFERS, NET_HEADER_LEN - 1, WRITE, 0}},
		{true, {RAM - 1, 100, WRITE, 0}},
		{true, {BUFFERS, 100, NEXT | WRITE, 3}},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fixture *f;
		struct driver_ring *ring;

		setup(state);
		f = *state;
		ring = cases[i].rx ? &f->rx : &f->tx;
		ring->desc[3] = cases[i].desc;
		driver_ring_offer(ring, 3);
		arrive(f, FRAME_LEN, 1);
		assert_false(net_pair_serve(&f->pair, POLLIN));
		assert_true(virtio_dev_is_broken(&f->dev));
		assert_int_equal(ring->used->idx, 0);
		assert_int_equal(net_pair_wants(&f->pair), 0);
		assert_false(net_pair_serve(&f->pair, POLLIN | POLLOUT));
		if (i + 1 < ARRAY_SIZE(cases))
			teardown(state);
	}
}

static void test_net_pair_breaks_on_an_index_that_runs_ahead(void **state)
{
	struct fixture *f = *state;

	f->tx.avail->idx = SIZE + 1;
	assert_false(net_pair_serve(&f->pair, 0));
	assert_true(virtio_dev_is_broken(&f->dev));
}

static void test_net_pair_takes_frames_that_no_link_carries(void **state)
{
	static const uint32_t lengths[] = {NET_HEADER_LEN, NET_HEADER_LEN + ETH_HLEN - 1,
					   NET_HEADER_LEN + NET_FRAME_MAX + 1, 8 * MIB};
	struct fixture *f = *state;

	for (uint16_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		driver_ring_set(&f->tx, i, BUFFERS, lengths[i], 0, 0);
		driver_ring_offer(&f->tx, i);
	}
	serve(f, 0);
	assert_int_equal(f->tx.used->idx, ARRAY_SIZE(lengths));
	assert_false(virtio_dev_is_broken(&f->dev));
	assert_int_equal(recv(f->peer, f->bytes, sizeof(f->bytes), 0), -1);
}

/* --- a link that is lost --- */

static void test_net_pair_loses_its_link_once(void **state)
{
	struct fixture *f = *state;

	close(f->peer);
	f->peer = -1;
	serve(f, POLLIN | POLLHUP);
	assert_int_equal(f->lost, 1);
	assert_int_equal(net_pair_wants(&f->pair), 0);
	for (uint16_t i = 0; i < SIZE; i++)
		offer(f, i, NET_HEADER_LEN + FRAME_LEN);
	serve(f, POLLHUP);
	assert_int_equal(f->tx.used->idx, SIZE);
	assert_int_equal(f->lost, 1);
	assert_false(virtio_dev_is_broken(&f->dev));
}

static void test_net_pair_loses_a_peer_of_absurd_lengths(void **state)
{
	static const uint8_t absurd[] = {0xff, 0xff, 0xff, 0xff};
	struct fixture *f = *state;

	give(f, 0, 2048);
	assert_int_equal(send(f->peer, absurd, sizeof(absurd), 0), sizeof(absurd));
	serve(f, POLLIN);
	assert_int_equal(f->lost, 1);
	assert_int_equal(f->rx.used->idx, 0);
}

static void test_net_pair_speaks_to_a_stream(void **state)
{
	struct fixture *f = *state;
	uint8_t out[4 + FRAME_LEN];

	offer(f, 4, NET_HEADER_LEN + FRAME_LEN);
	serve(f, 0);
	assert_int_equal(recv(f->peer, out, sizeof(out), 0), sizeof(out));
	assert_int_equal(out[3], FRAME_LEN);
	assert_int_equal(out[4], 5);
	give(f, 0, 2048);
	assert_int_equal(send(f->peer, out, sizeof(out), 0), sizeof(out));
	serve(f, POLLIN);
	assert_int_equal(f->rx.used->ring[0].len, NET_HEADER_LEN + FRAME_LEN);
	assert_int_equal(le16_get(bytes_of(f, 0) + 10), 1);
	assert_int_equal(bytes_of(f, 0)[NET_HEADER_LEN], 5);
}

int main(void)
{
#define TEST(test, setup_) cmocka_unit_test_setup_teardown(test, setup_, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_net_pair_gives_frames, setup),
		TEST(test_net_pair_spreads_a_frame, setup),
		TEST(test_net_pair_waits_for_buffers, setup),
		TEST(test_net_pair_drops_what_the_ring_cannot_hold, setup),
		TEST(test_net_pair_drops_what_one_buffer_cannot_hold, setup_plain),
		TEST(test_net_pair_takes_frames, setup),
		TEST(test_net_pair_waits_for_the_link, setup),
		TEST(test_net_pair_waits_for_the_link, setup_stream),
		TEST(test_net_pair_breaks_on_nonsense, NULL),
		TEST(test_net_pair_breaks_on_an_index_that_runs_ahead, setup),
		TEST(test_net_pair_takes_frames_that_no_link_carries, setup),
		TEST(test_net_pair_loses_its_link_once, setup),
		TEST(test_net_pair_loses_a_peer_of_absurd_lengths, setup_stream),
		TEST(test_net_pair_speaks_to_a_stream, setup_stream),
	};

	/* As the program has it. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
