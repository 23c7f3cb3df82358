/* The device as a whole, its threads included, with sockets for the host's side. */
#include <errno.h>
#include <linux/virtio_config.h>
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
#include "devices/virtio.h"
#include "devices/virtio_net.h"
#include "tests/fake_driver.h"
#include "tests/fake_mem.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/le.h"

#define RAM (16 * MIB)
#define FEATURE(bit) (1ULL << (bit))
#define V1 FEATURE(VIRTIO_F_VERSION_1)
#define MRG FEATURE(VIRTIO_NET_F_MRG_RXBUF)
#define MQ (FEATURE(VIRTIO_NET_F_MQ) | FEATURE(VIRTIO_NET_F_CTRL_VQ))
#define PAIRS 3U
#define QUEUES (2 * PAIRS + 1)
#define RINGS 0x100000U
#define BUFFERS 0x800000U
#define SIZE 16U
#define LEN 100U

struct fixture {
	struct mem *mem;
	struct virtio_net *net;
	struct virtio_dev *dev;
	struct driver driver;
	int peer[PAIRS];
};

static const uint8_t mac[NET_MAC_LEN] = {2, 0, 0, 0xaa, 0xbb, 0xcc};

static void make(void **state, enum net_kind kind, unsigned int pairs)
{
	struct net_host host = {.kind = kind, .pairs = pairs, .mtu = 1400};
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	f->mem = fake_mem_create(RAM);
	for (unsigned int i = 0; i < PAIRS; i++)
		f->peer[i] = -1;
	for (unsigned int i = 0; i < pairs; i++) {
		int fds[2];

		assert_int_equal(socketpair(AF_UNIX,
					    (kind == NET_TAP ? SOCK_SEQPACKET : SOCK_STREAM) |
						    SOCK_NONBLOCK, 0, fds), 0);
		host.fd[i] = fds[0];
		host.vhost_fd[i] = -1;
		f->peer[i] = fds[1];
	}
	assert_int_equal(virtio_net_create(&host, mac, "net0", &f->net), 0);
	f->dev = virtio_net_dev(f->net);
	driver_init(&f->driver, f->dev, f->mem, RINGS, SIZE);
}

static int setup(void **state)
{
	make(state, NET_TAP, 1);
	return 0;
}

static int setup_pairs(void **state)
{
	make(state, NET_TAP, PAIRS);
	return 0;
}

static int setup_stream(void **state)
{
	make(state, NET_PASST, 1);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_dev_reset(f->dev);
	virtio_net_destroy(f->net);
	fake_mem_destroy(f->mem);
	for (unsigned int i = 0; i < PAIRS; i++)
		if (f->peer[i] >= 0)
			close(f->peer[i]);
	free(f);
	return 0;
}

/* With the first `queues` of its queues. */
static void bring_up(struct fixture *f, uint64_t features, unsigned int queues)
{
	assert_true(driver_bring_up(&f->driver, V1 | features, (1U << queues) - 1));
	assert_true(f->dev->running);
}

static void await(int fd)
{
	assert_true(driver_await(fd));
	eventfd_drain(fd);
}

static void await_used(struct fixture *f, unsigned int queue, uint16_t index)
{
	assert_true(driver_await_used(&f->driver, queue, index));
	assert_int_equal(driver_used(&f->driver, queue), index);
}

static void send_frame(struct fixture *f, unsigned int pair)
{
	unsigned int queue = 2 * pair + 1;

	driver_offer(&f->driver, queue, BUFFERS, NET_HEADER_LEN + LEN, 0);
	await_used(f, queue, f->driver.ring[queue].avail->idx);
}

static void give(struct fixture *f, unsigned int pair)
{
	driver_offer(&f->driver, 2 * pair, BUFFERS + 0x10000, 2048, VRING_DESC_F_WRITE);
}

/* Sends in one process what the other end of a pair of `f` gets. */
static void arrive(struct fixture *f, unsigned int pair)
{
	uint8_t bytes[NET_HEADER_LEN + LEN] = {0};

	assert_int_equal(send(f->peer[pair], bytes, sizeof(bytes), 0), sizeof(bytes));
}

static bool is_taken(struct fixture *f, unsigned int pair)
{
	uint8_t bytes[2048];

	return recv(f->peer[pair], bytes, sizeof(bytes), 0) > 0;
}

static uint16_t link_status(struct fixture *f)
{
	uint8_t status[2];

	virtio_dev_read_config(f->dev, offsetof(struct virtio_net_config, status), 2, status);
	return le16_get(status);
}

/* --- features and configuration --- */

static void test_virtio_net_shows_its_configuration(void **state)
{
	struct fixture *f = *state;
	uint8_t config[12];

	virtio_dev_read_config(f->dev, 0, sizeof(config), config);
	assert_memory_equal(config, mac, sizeof(mac));
	assert_int_equal(le16_get(config + 6), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(le16_get(config + 8), PAIRS);
	assert_int_equal(le16_get(config + 10), 1400);
	assert_int_equal(f->dev->config_size, sizeof(config));
	assert_int_equal(f->dev->queues, QUEUES);
}

/* VIRTIO 1.2, 5.1.3.1 Feature bit requirements. */
static void test_virtio_net_checks_features(void **state)
{
	static const struct {
		uint64_t features;
		bool good;
	} cases[] = {
		{0, true},
		{MRG, true},
		{MQ, true},
		{FEATURE(VIRTIO_NET_F_CTRL_VQ), true},
		{FEATURE(VIRTIO_NET_F_MQ), false},
		{FEATURE(VIRTIO_NET_F_CTRL_RX), false},
		{FEATURE(VIRTIO_NET_F_CSUM), false}, /* this host does not do it */
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(driver_negotiate(&f->driver, V1 | cases[i].features),
				 cases[i].good);
}

static void test_virtio_net_knows_what_features_need(void **state)
{
	static const struct {
		unsigned int feature, needs;
	} rules[] = {
		{VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_CSUM},
		{VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_CSUM},
		{VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_GUEST_TSO6},
		{VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_CSUM},
		{VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_CSUM},
		{VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_HOST_TSO4},
	};
	struct fixture *f = *state;
	uint64_t both = FEATURE(VIRTIO_NET_F_GUEST_CSUM) | FEATURE(VIRTIO_NET_F_CSUM);

	f->dev->features |= ~0ULL;
	for (unsigned int i = 0; i < ARRAY_SIZE(rules); i++) {
		uint64_t good = FEATURE(rules[i].feature) | FEATURE(rules[i].needs) | both;

		assert_true(f->dev->ops->accepts(good));
		assert_false(f->dev->ops->accepts(good & ~FEATURE(rules[i].needs)));
	}
}

static void test_virtio_net_makes_addresses(void **state)
{
	uint8_t a[NET_MAC_LEN], b[NET_MAC_LEN];

	(void)state;
	for (unsigned int i = 0; i < 1000; i++) {
		assert_int_equal(virtio_net_random_mac(a), 0);
		assert_int_equal(a[0] & 3, 2);
	}
	assert_int_equal(virtio_net_random_mac(b), 0);
	assert_memory_not_equal(a, b, sizeof(a));
}

/* --- running --- */

static void test_virtio_net_carries_frames(void **state)
{
	struct fixture *f = *state;

	bring_up(f, MRG, 2);
	for (unsigned int i = 1; i < 100; i++) {
		send_frame(f, 0);
		assert_true(is_taken(f, 0));
		give(f, 0);
		arrive(f, 0);
		await_used(f, 0, (uint16_t)i);
	}
}

/* Nothing is lost by a stop that is no reset: the driver's rings go on. */
static void test_virtio_net_stops_and_goes_on(void **state)
{
	struct fixture *f = *state;

	bring_up(f, MRG, 2);
	for (uint16_t i = 1; i < 10; i++) {
		give(f, 0);
		virtio_dev_set_bus_master(f->dev, false);
		assert_false(f->dev->running);
		virtio_dev_set_bus_master(f->dev, true);
		arrive(f, 0);
		await_used(f, 0, i);
	}
	for (unsigned int i = 0; i < 10; i++) {
		bring_up(f, MRG, 2);
		send_frame(f, 0);
	}
}

/* Queues that are not enabled are not looked at. */
static void test_virtio_net_with_queues_missing(void **state)
{
	struct fixture *f = *state;

	bring_up(f, MRG, 0);
	virtio_dev_reset(f->dev);
	bring_up(f, MRG, 1);
	give(f, 0);
	arrive(f, 0);
	await_used(f, 0, 1);
	virtio_dev_reset(f->dev);
	bring_up(f, MQ, 2);
	send_frame(f, 0);
}

static void test_virtio_net_link_goes_down(void **state)
{
	struct fixture *f = *state;

	bring_up(f, MRG, 2);
	assert_int_equal(link_status(f), VIRTIO_NET_S_LINK_UP);
	close(f->peer[0]);
	f->peer[0] = -1;
	await(f->dev->config_fd);
	assert_int_equal(link_status(f), 0);
	send_frame(f, 0);
	bring_up(f, MRG, 2);
	assert_int_equal(link_status(f), 0);
	send_frame(f, 0);
}

/* --- the control queue --- */

static uint8_t command(struct fixture *f, unsigned int queue, uint8_t class, uint8_t cmd,
		       uint16_t value, uint32_t len)
{
	struct driver_ring *ring = &f->driver.ring[queue];
	uint8_t *bytes = mem_hva(f->mem, BUFFERS, 16);

	bytes[0] = class;
	bytes[1] = cmd;
	le16_set(bytes + 2, value);
	bytes[8] = 0xff;
	driver_ring_set(ring, 0, BUFFERS, len, VRING_DESC_F_NEXT, 1);
	driver_ring_set(ring, 1, BUFFERS + 8, 1, VRING_DESC_F_WRITE, 0);
	driver_ring_offer(ring, 0);
	driver_kick(&f->driver, queue);
	await_used(f, queue, ring->avail->idx);
	return bytes[8];
}

static uint8_t set_pairs(struct fixture *f, uint16_t pairs)
{
	return command(f, 2 * PAIRS, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, pairs,
		       4);
}

static void test_virtio_net_sets_pairs(void **state)
{
	struct fixture *f = *state;

	bring_up(f, MQ | MRG, QUEUES);
	give(f, 2);
	arrive(f, 2);
	for (unsigned int round = 0; round < 20; round++) {
		uint16_t before = f->driver.ring[4].used->idx;

		assert_int_equal(set_pairs(f, PAIRS), VIRTIO_NET_OK);
		for (unsigned int i = 0; i < PAIRS; i++) {
			send_frame(f, i);
			assert_true(is_taken(f, i));
		}
		await_used(f, 4, (uint16_t)(before + 1));
		assert_int_equal(set_pairs(f, 1), VIRTIO_NET_OK);
		before = f->driver.ring[4].used->idx;
		give(f, 2);
		arrive(f, 2);
		send_frame(f, 0);
		assert_true(is_taken(f, 0));
		assert_int_equal(f->driver.ring[4].used->idx, before);
	}
}

static void test_virtio_net_refuses_commands(void **state)
{
	static const struct {
		uint8_t class, cmd;
		uint16_t value;
		uint32_t len;
	} cases[] = {
		{VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 0, 4},
		{VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, PAIRS + 1, 4},
		{VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 0xffff, 4},
		{VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 1, 3},
		{VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 1, 1},
		{VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, 1, 4},
		{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1, 4},
		{0xff, 0xff, 0xffff, 4},
	};
	struct fixture *f = *state;

	bring_up(f, MQ, QUEUES);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(command(f, 2 * PAIRS, cases[i].class, cases[i].cmd, cases[i].value,
					 cases[i].len), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(f, 2), VIRTIO_NET_OK);
}

/* VIRTIO 1.2, 5.1.2 Virtqueues: without VIRTIO_NET_F_MQ it is number 2. */
static void test_virtio_net_control_queue_of_one_pair(void **state)
{
	struct fixture *f = *state;

	bring_up(f, FEATURE(VIRTIO_NET_F_CTRL_VQ), 3);
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 1, 4),
			 VIRTIO_NET_ERR);
	send_frame(f, 0);
}

static void test_virtio_net_breaks_on_a_command_without_room(void **state)
{
	struct fixture *f = *state;

	bring_up(f, MQ, QUEUES);
	driver_ring_set(&f->driver.ring[2 * PAIRS], 0, BUFFERS, 4, 0, 0);
	driver_ring_offer(&f->driver.ring[2 * PAIRS], 0);
	driver_kick(&f->driver, 2 * PAIRS);
	await(f->dev->config_fd);
	assert_true(virtio_dev_is_broken(f->dev));
	bring_up(f, MQ, QUEUES);
	assert_int_equal(set_pairs(f, PAIRS), VIRTIO_NET_OK);
}

int main(void)
{
#define TEST(test, setup_) cmocka_unit_test_setup_teardown(test, setup_, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_virtio_net_shows_its_configuration, setup_pairs),
		TEST(test_virtio_net_checks_features, setup_pairs),
		TEST(test_virtio_net_knows_what_features_need, setup),
		cmocka_unit_test(test_virtio_net_makes_addresses),
		TEST(test_virtio_net_carries_frames, setup),
		TEST(test_virtio_net_stops_and_goes_on, setup),
		TEST(test_virtio_net_with_queues_missing, setup_pairs),
		TEST(test_virtio_net_link_goes_down, setup),
		TEST(test_virtio_net_link_goes_down, setup_stream),
		TEST(test_virtio_net_sets_pairs, setup_pairs),
		TEST(test_virtio_net_refuses_commands, setup_pairs),
		TEST(test_virtio_net_control_queue_of_one_pair, setup_pairs),
		TEST(test_virtio_net_breaks_on_a_command_without_room, setup_pairs),
	};

	/* As the program has it. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
