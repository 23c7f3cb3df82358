/*
 * The input is what a driver does to a device of vhost-user, and what its back end answers: the
 * device's type, then eight bytes a step, a verb, a queue, an offset and a value. Any byte of an
 * answer may be another one, or the last. Whatever was done, an honest back end is found after a
 * reset, and answers requests.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "devices/vhost_user.h"
#include "devices/virtio.h"
#include "devices/virtio_vhost_user.h"
#include "tests/fake_back_end.h"
#include "tests/fake_driver.h"
#include "tests/fake_mem.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"

#define RAM (16 * MIB)
#define REQUEST_QUEUES 2U
#define QUEUES_MAX 3U
#define SIZE 8U
#define RINGS(index) (0x100000U + (index) * DRIVER_RING_LEN)
#define BUFFERS 0x200000U
#define FEATURE(bit) (1ULL << (bit))
#define WAIT_MS 10000

struct step {
	uint8_t verb, queue;
	uint16_t off;
	uint32_t value;
};
_Static_assert(sizeof(struct step) == 8, "a step of the seeds");

/* What becomes of one of the next answers. */
struct spoil {
	bool planned;
	unsigned int wait; /* answers that are as they should be before it */
	unsigned int at;   /* the byte */
	uint8_t flip;
	bool cut;          /* the answer ends there, and the connection */
	bool file;
};

struct world {
	struct virtio_vhost_user *device;
	struct virtio_dev *dev;
	struct driver_ring ring[QUEUES_MAX];
};

/* Nobody is late here: one who sends less than he says hangs up. But a driver may have requests
 * that are never answered. */
static const struct vhost_user_patience patience = {20000000, 500, 20000000};

static struct mem *mem;
static struct fake_back_end *back_end;
static struct spoil spoil;

/* --- the back end --- */

static void spoil_answer(void *opaque, const struct fake_back_end_message *request,
			 struct fake_back_end_message *answer)
{
	size_t size = sizeof(answer->header) + answer->header.size;

	(void)opaque;
	(void)request;
	if (!spoil.planned || !answer->header.request || spoil.wait--)
		return;
	spoil.planned = false;
	if (spoil.at % size < sizeof(answer->header))
		((uint8_t *)&answer->header)[spoil.at % size] ^= spoil.flip;
	else
		answer->payload[spoil.at % size - sizeof(answer->header)] ^= spoil.flip;
	if (spoil.file)
		answer->fd[answer->fds++] = 2;
	if (spoil.cut)
		answer->send = spoil.at % size;
	answer->hang_up = spoil.cut;
}

static void plan(struct world *world, const struct step *step)
{
	(void)world;
	pthread_mutex_lock(&back_end->lock);
	spoil = (struct spoil){.planned = true, .wait = step->queue % 16U, .at = step->off,
			       .flip = (uint8_t)step->value, .cut = step->value & 0x100,
			       .file = (step->value & 0xe00) == 0xe00};
	pthread_mutex_unlock(&back_end->lock);
}

static void sleep_or_wake(struct world *world, const struct step *step)
{
	(void)world;
	if (step->value & 1) {
		fake_back_end_wake(back_end);
		return;
	}
	pthread_mutex_lock(&back_end->lock);
	back_end->asleep = true;
	pthread_mutex_unlock(&back_end->lock);
}

static void die(struct world *world, const struct step *step)
{
	(void)world;
	if (step->value % 4 == 0)
		fake_back_end_stop(back_end);
}

static void revive(struct world *world, const struct step *step)
{
	(void)world;
	if (back_end->running)
		return;
	back_end->features = ~(uint64_t)step->value | FEATURE(VHOST_USER_F_PROTOCOL_FEATURES);
	back_end->protocol_features = ~(uint64_t)step->off;
	back_end->queue_num = 4 + step->queue;
	fake_back_end_start(back_end);
}

static void service(struct world *world, const struct step *step)
{
	(void)step;
	virtio_vhost_user_service(world->device);
}

static void ring_error(struct world *world, const struct step *step)
{
	int fd;

	(void)world;
	pthread_mutex_lock(&back_end->lock);
	fd = back_end->queue[step->queue % QUEUES_MAX].error_fd;
	if (fd >= 0)
		eventfd_write(fd, 1);
	pthread_mutex_unlock(&back_end->lock);
}

/* On the channel: a change, or nonsense, or a part of it. */
static void say(struct world *world, const struct step *step)
{
	const struct vhost_user_header message = {
		.request = step->value & 1 ? step->value : VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
		.flags = VHOST_USER_VERSION | (step->value & 2 ? VHOST_USER_NEED_REPLY : 0),
		.size = step->value & 4 ? step->off : 0};
	size_t len = step->queue & 0x80 ? step->queue % sizeof(message) : sizeof(message);

	(void)world;
	pthread_mutex_lock(&back_end->lock);
	if (back_end->channel_fd >= 0)
		send(back_end->channel_fd, &message, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	pthread_mutex_unlock(&back_end->lock);
}

/* --- the driver --- */

static void bring_up(struct world *world, uint64_t features)
{
	struct virtio_dev *dev = world->dev;

	features |= FEATURE(VIRTIO_F_VERSION_1);
	virtio_dev_set_status(dev, 0);
	virtio_dev_set_status(dev, 3);
	virtio_dev_accept(dev, 0, (uint32_t)features);
	virtio_dev_accept(dev, 1, (uint32_t)(features >> 32));
	virtio_dev_set_status(dev, 11);
	for (unsigned int i = 0; i < dev->queues; i++) {
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

static void restart(struct world *world, const struct step *step)
{
	bring_up(world, world->dev->features & ~(uint64_t)step->value);
}

static void offer(struct world *world, const struct step *step)
{
	unsigned int queue = step->queue % world->dev->queues;

	driver_ring_set(&world->ring[queue], step->off % SIZE, BUFFERS, 64, 0, 0);
	driver_ring_offer(&world->ring[queue], step->off % SIZE);
	eventfd_signal(world->dev->queue[queue].kick_fd);
}

static void indices(struct world *world, const struct step *step)
{
	struct driver_ring *ring = &world->ring[step->queue % world->dev->queues];

	if (step->value & 1)
		ring->avail->idx = step->off;
	if (step->value & 2)
		ring->used->idx = step->off;
}

static void bus_master(struct world *world, const struct step *step)
{
	virtio_dev_set_bus_master(world->dev, step->value & 1);
}

static void read_config(struct world *world, const struct step *step)
{
	uint8_t bytes[8];

	virtio_dev_read_config(world->dev, step->off % 80U, step->queue % 9U, bytes);
}

static void write_config(struct world *world, const struct step *step)
{
	uint32_t off = step->value & 0x100 ? step->off % 80U
					   : offsetof(struct virtio_blk_config, wce);
	uint8_t bytes[8] = {(uint8_t)step->value};

	virtio_dev_write_config(world->dev, off, step->value & 0x200 ? step->queue % 9U : 1, bytes);
}

static void reset(struct world *world, const struct step *step)
{
	(void)step;
	virtio_dev_reset(world->dev);
	fuzz_must(!world->dev->running && !virtio_dev_status(world->dev),
		  "a reset that forgets not all");
}

static void (*const verbs[])(struct world *world, const struct step *step) = {
	restart, offer, indices, bus_master, read_config, write_config, reset,
	plan, sleep_or_wake, die, revive, service, ring_error, say,
};

/* --- inputs --- */

static void make_honest(void)
{
	if (back_end->running)
		fake_back_end_wake(back_end);
	pthread_mutex_lock(&back_end->lock);
	spoil.planned = false;
	back_end->asleep = false;
	back_end->features = back_end->protocol_features = ~0ULL;
	back_end->queue_num = 4;
	pthread_mutex_unlock(&back_end->lock);
	if (!back_end->running)
		fake_back_end_start(back_end);
}

static void await_used(struct world *world, unsigned int queue)
{
	struct pollfd call = {.fd = world->dev->queue[queue].call_fd, .events = POLLIN};

	while (!__atomic_load_n(&world->ring[queue].used->idx, __ATOMIC_ACQUIRE)) {
		int ready = poll(&call, 1, WAIT_MS);

		/* libFuzzer's alarm clock interrupts it. */
		fuzz_must(ready == 1 || (ready < 0 && errno == EINTR), "a request unanswered");
		eventfd_drain(call.fd);
	}
}

/* A connection that was agreed on with a liar stays as it is; its end brings an honest one. */
static void check_alive(struct world *world)
{
	const struct step first = {.off = 1};

	virtio_dev_reset(world->dev);
	fake_back_end_stop(back_end);
	make_honest();
	virtio_dev_reset(world->dev);
	bring_up(world, 0);
	fuzz_must(world->dev->running, "it does not start any more");
	offer(world, &first);
	await_used(world, 0);
	reset(world, &first);
}

static void write_seeds(int argc, char **argv)
{
	static const struct {
		uint8_t type;
		struct step steps[12];
	} __attribute__((packed)) block = {
		.steps = {{0, 0, 0, 0}, {1, 0, 1, 0}, {1, 1, 2, 0}, {4, 8, 0, 0}, {5, 0, 0, 0},
			  {3, 0, 0, 0}, {3, 0, 0, 1}, {1, 0, 3, 0}, {7, 3, 12, 1}, {0, 0, 0, 0},
			  {13, 0, 0, 0}, {11, 0, 0, 0}}},
		fs = {.type = 1,
		      .steps = {{0, 0, 0, 0}, {1, 2, 1, 0}, {8, 0, 0, 0}, {1, 1, 1, 0},
				{2, 1, 9, 2}, {3, 0, 0, 0}, {9, 0, 0, 0}, {11, 0, 0, 0},
				{10, 0, 0, 0}, {0, 0, 0, 0}, {12, 0, 0, 0}, {11, 0, 0, 0}}};

	fuzz_write_seed(argc, argv, "block", &block, sizeof(block));
	fuzz_write_seed(argc, argv, "fs", &fs, sizeof(fs));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	mem = fake_mem_create(RAM);
	write_seeds(*argc, *argv);
	return 0;
}

static void create(struct world *world, uint8_t type)
{
	struct vhost_user_config config = {.type = type & 1 ? VHOST_USER_FS : VHOST_USER_BLOCK,
					   .queues = REQUEST_QUEUES, .tag = "shared"};
	char why[256];

	spoil.planned = false;
	back_end = fake_back_end_create();
	back_end->hook = spoil_answer;
	fake_back_end_start(back_end);
	snprintf(config.socket, sizeof(config.socket), "%s", back_end->path);
	fuzz_must(!virtio_vhost_user_create(&config, &patience, "dev0", &world->device, why,
					    sizeof(why)), "set-up");
	world->dev = virtio_vhost_user_dev(world->device);
	world->dev->mem = mem;
	for (unsigned int i = 0; i < QUEUES_MAX; i++)
		driver_ring_init(&world->ring[i], mem, RINGS(i), SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world world;
	struct step step;

	if (!size)
		return 0;
	create(&world, *data++);
	for (size--; size >= sizeof(step); data += sizeof(step), size -= sizeof(step)) {
		memcpy(&step, data, sizeof(step));
		verbs[step.verb % ARRAY_SIZE(verbs)](&world, &step);
	}
	check_alive(&world);
	virtio_vhost_user_destroy(world.device);
	fake_back_end_destroy(back_end);
	return 0;
}
