/*
 * The input is what a driver and a network do to a network device: the kind of its link, then
 * eight bytes a step, a verb, a queue, an offset and a value. Its own threads serve it. Whatever
 * was done, frames go both ways after a reset, unless the other end of a stream spoke nonsense.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/net_link.h"
#include "devices/virtio.h"
#include "devices/virtio_net.h"
#include "tests/fake_driver.h"
#include "tests/fake_mem.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"

#define RAM (16 * MIB)
#define PAIRS 2U
#define QUEUES (2 * PAIRS + 1)
#define SIZE 8U
#define RINGS(index) (0x100000U + (index) * DRIVER_RING_LEN)
#define BUFFERS 0x200000U
#define FEATURE(bit) (1ULL << (bit))
#define LEN 64U
#define WAIT_MS 10000

struct step {
	uint8_t verb, queue;
	uint16_t off;
	uint32_t value;
};
_Static_assert(sizeof(struct step) == 8, "a step of the seeds");

struct world {
	bool stream;
	unsigned int pairs;
	bool spoilt; /* the stream's other end has spoken nonsense, or begun a frame */
	struct virtio_net *net;
	struct virtio_dev *dev;
	struct driver_ring ring[QUEUES];
	int peer[PAIRS];
};

static struct mem *mem;

/* --- a driver that knows how --- */

static void bring_up(struct world *world, uint64_t features, bool all)
{
	struct virtio_dev *dev = world->dev;

	features |= FEATURE(VIRTIO_F_VERSION_1);
	virtio_dev_set_status(dev, 0);
	virtio_dev_set_status(dev, 3);
	virtio_dev_accept(dev, 0, (uint32_t)features);
	virtio_dev_accept(dev, 1, (uint32_t)(features >> 32));
	virtio_dev_set_status(dev, 11);
	for (unsigned int i = 0; i < (all ? dev->queues : 2); i++) {
		struct virtio_queue *queue = &dev->queue[i];

		driver_ring_init(&world->ring[i], mem, RINGS(i), SIZE);
		queue->size = SIZE;
		queue->desc = RINGS(i);
		queue->avail = RINGS(i) + DRIVER_AVAIL;
		queue->used = RINGS(i) + DRIVER_USED;
		queue->enabled = true;
	}
	virtio_dev_set_bus_master(dev, true);
	virtio_dev_set_status(dev, 15);
}

static void kick(struct world *world, unsigned int queue)
{
	eventfd_write(world->dev->queue[queue].kick_fd, 1);
}

static void await_used(struct world *world, unsigned int queue, const char *what)
{
	struct pollfd call = {.fd = world->dev->queue[queue].call_fd, .events = POLLIN};

	while (!__atomic_load_n(&world->ring[queue].used->idx, __ATOMIC_ACQUIRE)) {
		int ready = poll(&call, 1, WAIT_MS);

		/* libFuzzer's alarm clock interrupts it. */
		fuzz_must(ready == 1 || (ready < 0 && errno == EINTR), what);
		eventfd_drain(call.fd);
	}
}

/* Frames of before may be there still, in either direction. */
static void check_alive(struct world *world)
{
	static const uint8_t packet[NET_HEADER_LEN + LEN];
	static const uint8_t frame[4 + LEN] = {[3] = LEN};
	uint8_t bytes[2048];
	const void *in = world->stream ? frame : packet;
	size_t len = world->stream ? sizeof(frame) : sizeof(packet);

	virtio_dev_reset(world->dev);
	while (recv(world->peer[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	bring_up(world, FEATURE(VIRTIO_NET_F_MRG_RXBUF), false);
	fuzz_must(world->dev->running, "it does not start any more");
	driver_ring_set(&world->ring[1], 0, BUFFERS, NET_HEADER_LEN + LEN, 0, 0);
	driver_ring_offer(&world->ring[1], 0);
	kick(world, 1);
	await_used(world, 1, "it sends no more");
	if (world->spoilt)
		return;
	driver_ring_set(&world->ring[0], 0, BUFFERS, 4096, VRING_DESC_F_WRITE, 0);
	driver_ring_offer(&world->ring[0], 0);
	kick(world, 0);
	send(world->peer[0], in, len, MSG_DONTWAIT);
	await_used(world, 0, "it receives no more");
}

/* --- verbs --- */

static void restart(struct world *world, const struct step *step)
{
	bring_up(world, world->dev->features & ~(uint64_t)step->value, step->queue & 1);
}

static void offer(struct world *world, const struct step *step)
{
	unsigned int queue = step->queue % world->dev->queues;
	struct driver_ring *ring = &world->ring[queue];
	bool write = !(queue & 1) && queue < 2 * world->pairs;
	uint16_t head = step->off % SIZE;

	driver_ring_set(ring, head, BUFFERS + step->off, step->value % 3000,
			write ? VRING_DESC_F_WRITE : 0, 0);
	driver_ring_offer(ring, head);
	kick(world, queue);
}

/* Any descriptor: the high byte of the value chooses what is wrong with it. */
static void describe(struct world *world, const struct step *step)
{
	struct driver_ring *ring = &world->ring[step->queue % world->dev->queues];
	uint16_t flags = step->value >> 24;

	driver_ring_set(ring, step->off % SIZE,
			flags & 0x80 ? step->value : BUFFERS + step->off,
			flags & 0x40 ? ~step->value : step->value % 70000, flags & 7,
			(uint16_t)(step->off / SIZE));
}

static void ring_index(struct world *world, const struct step *step)
{
	unsigned int queue = step->queue % world->dev->queues;

	if (step->value & 1)
		world->ring[queue].avail->idx = step->off;
	else
		driver_ring_offer(&world->ring[queue], step->off);
	kick(world, queue);
}

static void command(struct world *world, const struct step *step)
{
	unsigned int queue = world->dev->queues - 1;
	struct driver_ring *ring = &world->ring[queue];
	uint8_t *bytes = mem_hva(mem, BUFFERS, 4);

	bytes[0] = step->value & 0x100 ? (uint8_t)step->value : VIRTIO_NET_CTRL_MQ;
	bytes[1] = step->value & 0x200 ? (uint8_t)step->value : 0;
	bytes[2] = (uint8_t)(step->off % 4);
	bytes[3] = step->value & 0x400 ? (uint8_t)step->value : 0;
	driver_ring_set(ring, 0, BUFFERS, 4, VRING_DESC_F_NEXT, 1);
	driver_ring_set(ring, 1, BUFFERS + 64, 1, VRING_DESC_F_WRITE, 0);
	driver_ring_offer(ring, 0);
	kick(world, queue);
}

/* Frames that are well formed. */
static void arrive(struct world *world, const struct step *step)
{
	static const uint8_t zeroes[4 + NET_HEADER_LEN + 4096];
	uint8_t len[4] = {0};
	uint32_t frame = ETH_HLEN + step->off % 4000U;

	if (world->spoilt)
		return;
	if (!world->stream) {
		send(world->peer[step->queue % world->pairs], zeroes, NET_HEADER_LEN + frame,
		     MSG_DONTWAIT);
		return;
	}
	len[2] = (uint8_t)(frame >> 8);
	len[3] = (uint8_t)frame;
	world->spoilt = send(world->peer[0], len, sizeof(len), MSG_DONTWAIT) != sizeof(len) ||
			send(world->peer[0], zeroes, frame, MSG_DONTWAIT) != (ssize_t)frame;
}

/* Bytes of nonsense: of a tap device's, a header. */
static void arrive_wild(struct world *world, const struct step *step)
{
	uint8_t bytes[80];

	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(step->value >> (8 * (i % 4)));
	send(world->peer[step->queue % world->pairs], bytes, step->off % sizeof(bytes) + 1,
	     MSG_DONTWAIT);
	world->spoilt |= world->stream;
}

static void drain(struct world *world, const struct step *step)
{
	uint8_t bytes[70000];

	recv(world->peer[step->queue % world->pairs], bytes, sizeof(bytes), MSG_DONTWAIT);
}

static void bus_master(struct world *world, const struct step *step)
{
	virtio_dev_set_bus_master(world->dev, step->value & 1);
}

static void read_config(struct world *world, const struct step *step)
{
	uint8_t bytes[8];

	virtio_dev_read_config(world->dev, step->off % 32U, step->queue % 9U, bytes);
}

static void hang_up(struct world *world, const struct step *step)
{
	if (step->value % 8)
		return;
	shutdown(world->peer[0], SHUT_RDWR);
	world->spoilt = true;
}

static void reset(struct world *world, const struct step *step)
{
	(void)step;
	virtio_dev_reset(world->dev);
	fuzz_must(!world->dev->running && !virtio_dev_status(world->dev),
		  "a reset that forgets not all");
}

static void (*const verbs[])(struct world *world, const struct step *step) = {
	restart, offer, describe, ring_index, command, arrive, arrive_wild, drain, bus_master,
	read_config, hang_up, reset,
};

/* --- inputs --- */

static void write_seeds(int argc, char **argv)
{
	static const struct {
		uint8_t kind;
		struct step steps[10];
	} __attribute__((packed)) seed = {
		.steps = {{0, 1, 0, 0}, {1, 0, 0, 2048}, {5, 0, 50, 0}, {1, 1, 1, 100},
			  {4, 0, 2, 0}, {1, 3, 2, 200}, {7, 1, 0, 0}, {4, 0, 1, 0}, {8, 0, 0, 0},
			  {8, 0, 0, 1}}},
		stream = {.kind = 1,
			  .steps = {{0, 0, 0, 0}, {1, 0, 0, 2048}, {5, 0, 50, 0}, {1, 1, 1, 100},
				    {2, 1, 9, 0x01000010}, {3, 1, 1, 0}, {6, 0, 20, 0x01000000},
				    {11, 0, 0, 0}, {0, 0, 0, 0}, {1, 0, 0, 2048}}};

	fuzz_write_seed(argc, argv, "tap", &seed, sizeof(seed));
	fuzz_write_seed(argc, argv, "stream", &stream, sizeof(stream));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	signal(SIGPIPE, SIG_IGN);
	mem = fake_mem_create(RAM);
	write_seeds(*argc, *argv);
	return 0;
}

static void create(struct world *world, uint8_t kind)
{
	static const uint8_t mac[NET_MAC_LEN] = {2, 0, 0, 0, 0, 1};
	struct net_host host = {.kind = kind & 1 ? NET_PASST : NET_TAP, .mtu = 1500};

	*world = (struct world){.stream = kind & 1, .pairs = kind & 1 ? 1 : PAIRS};
	host.pairs = world->pairs;
	for (unsigned int i = 0; i < world->pairs; i++) {
		int fds[2];

		fuzz_must(!socketpair(AF_UNIX, SOCK_NONBLOCK | (world->stream ? SOCK_STREAM
									      : SOCK_SEQPACKET),
				      0, fds), "sockets");
		host.fd[i] = fds[0];
		host.vhost_fd[i] = -1;
		world->peer[i] = fds[1];
	}
	fuzz_must(!virtio_net_create(&host, mac, "net0", &world->net), "set-up");
	world->dev = virtio_net_dev(world->net);
	world->dev->mem = mem;
	for (unsigned int i = 0; i < QUEUES; i++)
		driver_ring_init(&world->ring[i], mem, RINGS(i), SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world world;
	struct step step;

	if (!size)
		return 0;
	create(&world, *data++);
	for (size--; size >= sizeof(step); data += sizeof(step), size -= sizeof(step)) {
		memcpy(&step, data, sizeof(step));
		verbs[step.verb % ARRAY_SIZE(verbs)](&world, &step);
	}
	check_alive(&world);
	reset(&world, &step);
	virtio_net_destroy(world.net);
	for (unsigned int i = 0; i < world.pairs; i++)
		close(world.peer[i]);
	return 0;
}
