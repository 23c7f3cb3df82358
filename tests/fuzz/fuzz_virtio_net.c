/*
 * The input is what a driver and a network do to a network device: the kind of its link, then
 * eight bytes a step, a verb, a queue, an offset and a value. Its own threads serve it. Whatever
 * was done, frames go both ways after a reset, unless the other end of a stream spoke nonsense.
 */
#include <linux/virtio_net.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/net_link.h"
#include "devices/virtio.h"
#include "devices/virtio_net.h"
#include "tests/fake_mem.h"
#include "tests/fuzz/device.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/bits.h"

#define PAIRS 2U
#define RX_QUEUES 5U /* a bit each */
#define LEN 64U

static struct world {
	bool stream;
	unsigned int pairs;
	bool spoilt; /* the stream's other end has spoken nonsense, or begun a frame */
	struct virtio_net *net;
	struct fuzz_device device;
	int peer[PAIRS];
} world;

static struct mem *mem;

/* Frames of before may be there still, in either direction. */
static void check_alive(void)
{
	static const uint8_t packet[NET_HEADER_LEN + LEN];
	static const uint8_t frame[4 + LEN] = {[3] = LEN};
	uint8_t bytes[2048];
	const void *in = world.stream ? frame : packet;
	size_t len = world.stream ? sizeof(frame) : sizeof(packet);

	fuzz_device_reset(&world.device);
	while (recv(world.peer[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	fuzz_device_bring_up(&world.device, 1ULL << VIRTIO_NET_F_MRG_RXBUF, 3);
	fuzz_device_offer(&world.device, 1, NET_HEADER_LEN + LEN);
	fuzz_device_await(&world.device, 1, "it sends no more");
	if (world.spoilt)
		return;
	fuzz_device_offer(&world.device, 0, 4096);
	send(world.peer[0], in, len, MSG_DONTWAIT);
	fuzz_device_await(&world.device, 0, "it receives no more");
}

/* --- verbs --- */

/* Any descriptor: the high byte of the value chooses what is wrong with it. */
static void describe(const struct fuzz_device_step *step)
{
	struct driver *driver = &world.device.driver;
	struct driver_ring *ring = &driver->ring[step->queue % driver->dev->queues];
	uint16_t flags = step->value >> 24;

	driver_ring_set(ring, step->off % FUZZ_RING_SIZE,
			flags & 0x80 ? step->value : FUZZ_BUFFERS + step->off,
			flags & 0x40 ? ~step->value : step->value % 70000, flags & 7,
			(uint16_t)(step->off / FUZZ_RING_SIZE));
}

static void command(const struct fuzz_device_step *step)
{
	struct driver *driver = &world.device.driver;
	unsigned int queue = driver->dev->queues - 1;
	struct driver_ring *ring = &driver->ring[queue];
	uint8_t *bytes = mem_hva(mem, FUZZ_BUFFERS, 4);

	bytes[0] = step->value & 0x100 ? (uint8_t)step->value : VIRTIO_NET_CTRL_MQ;
	bytes[1] = step->value & 0x200 ? (uint8_t)step->value : 0;
	bytes[2] = (uint8_t)(step->off % 4);
	bytes[3] = step->value & 0x400 ? (uint8_t)step->value : 0;
	driver_ring_set(ring, 0, FUZZ_BUFFERS, 4, VRING_DESC_F_NEXT, 1);
	driver_ring_set(ring, 1, FUZZ_BUFFERS + 64, 1, VRING_DESC_F_WRITE, 0);
	driver_ring_offer(ring, 0);
	driver_kick(driver, queue);
}

/* Frames that are well formed. */
static void arrive(const struct fuzz_device_step *step)
{
	static const uint8_t zeroes[4 + NET_HEADER_LEN + 4096];
	uint8_t len[4] = {0};
	uint32_t frame = ETH_HLEN + step->off % 4000U;

	if (world.spoilt)
		return;
	if (!world.stream) {
		send(world.peer[step->queue % world.pairs], zeroes, NET_HEADER_LEN + frame,
		     MSG_DONTWAIT);
		return;
	}
	len[2] = (uint8_t)(frame >> 8);
	len[3] = (uint8_t)frame;
	world.spoilt = send(world.peer[0], len, sizeof(len), MSG_DONTWAIT) != sizeof(len) ||
			send(world.peer[0], zeroes, frame, MSG_DONTWAIT) != (ssize_t)frame;
}

/* Bytes of nonsense: of a tap device's, a header. */
static void arrive_wild(const struct fuzz_device_step *step)
{
	uint8_t bytes[80];

	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(step->value >> (8 * (i % 4)));
	send(world.peer[step->queue % world.pairs], bytes, step->off % sizeof(bytes) + 1,
	     MSG_DONTWAIT);
	world.spoilt |= world.stream;
}

static void drain(const struct fuzz_device_step *step)
{
	uint8_t bytes[70000];

	recv(world.peer[step->queue % world.pairs], bytes, sizeof(bytes), MSG_DONTWAIT);
}

static void hang_up(const struct fuzz_device_step *step)
{
	if (step->value % 8)
		return;
	shutdown(world.peer[0], SHUT_RDWR);
	world.spoilt = true;
}

enum { DESCRIBE = FUZZ_DEVICE_VERBS, COMMAND, ARRIVE, ARRIVE_WILD, DRAIN, HANG_UP };
static void (*const verbs[])(const struct fuzz_device_step *step) = {
	describe, command, arrive, arrive_wild, drain, hang_up,
};

/* --- inputs --- */

static void write_seeds(int argc, char **argv)
{
	static const struct {
		uint8_t kind;
		struct fuzz_device_step steps[10];
	} __attribute__((packed)) seed = {
		.steps = {{FUZZ_DEVICE_RESTART, 0, 0, 0}, {FUZZ_DEVICE_OFFER, 0, 0, 2048},
			  {ARRIVE, 0, 50, 0}, {FUZZ_DEVICE_OFFER, 1, 1, 100}, {COMMAND, 0, 2, 0},
			  {FUZZ_DEVICE_OFFER, 3, 2, 200}, {DRAIN, 1, 0, 0}, {COMMAND, 0, 1, 0},
			  {FUZZ_DEVICE_BUS_MASTER, 0, 0, 0}, {FUZZ_DEVICE_BUS_MASTER, 0, 0, 1}}},
		stream = {.kind = 1,
			  .steps = {{FUZZ_DEVICE_RESTART, 0xfc, 0, 0},
				    {FUZZ_DEVICE_OFFER, 0, 0, 2048}, {ARRIVE, 0, 50, 0},
				    {FUZZ_DEVICE_OFFER, 1, 1, 100},
				    {DESCRIBE, 1, 9, 0x01000010}, {FUZZ_DEVICE_INDEX, 1, 1, 4},
				    {ARRIVE_WILD, 0, 20, 0x01000000}, {FUZZ_DEVICE_RESET, 0, 0, 0},
				    {FUZZ_DEVICE_RESTART, 0xfc, 0, 0},
				    {FUZZ_DEVICE_OFFER, 0, 0, 2048}}};

	fuzz_write_seed(argc, argv, "tap", &seed, sizeof(seed));
	fuzz_write_seed(argc, argv, "stream", &stream, sizeof(stream));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	signal(SIGPIPE, SIG_IGN);
	mem = fake_mem_create(FUZZ_RAM);
	write_seeds(*argc, *argv);
	return 0;
}

static void create(uint8_t kind)
{
	static const uint8_t mac[NET_MAC_LEN] = {2, 0, 0, 0, 0, 1};
	struct net_host host = {.kind = kind & 1 ? NET_PASST : NET_TAP, .mtu = 1500};

	world = (struct world){.stream = kind & 1, .pairs = kind & 1 ? 1 : PAIRS};
	host.pairs = world.pairs;
	for (unsigned int i = 0; i < world.pairs; i++) {
		int fds[2];

		fuzz_must(!socketpair(AF_UNIX, SOCK_NONBLOCK | (world.stream ? SOCK_STREAM
									      : SOCK_SEQPACKET),
				      0, fds), "sockets");
		host.fd[i] = fds[0];
		host.vhost_fd[i] = -1;
		world.peer[i] = fds[1];
	}
	fuzz_must(!virtio_net_create(&host, mac, "net0", &world.net), "set-up");
	fuzz_device_start(&world.device, mem, virtio_net_dev(world.net),
			  world.stream ? 1 : RX_QUEUES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	create(*data);
	fuzz_device_run(&world.device, data + 1, size - 1, verbs, ARRAY_SIZE(verbs));
	check_alive();
	fuzz_device_reset(&world.device);
	virtio_net_destroy(world.net);
	for (unsigned int i = 0; i < world.pairs; i++)
		close(world.peer[i]);
	return 0;
}
