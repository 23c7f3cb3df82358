/*
 * The input is what a driver does to a device of vhost-user, and what its back end answers: the
 * device's type, then eight bytes a step, a verb, a queue, an offset and a value. Any byte of an
 * answer may be another one, or the last. Whatever was done, an honest back end is found after a
 * reset, and answers requests.
 */
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "devices/vhost_user.h"
#include "devices/virtio.h"
#include "devices/virtio_vhost_user.h"
#include "tests/fake_back_end.h"
#include "tests/fake_mem.h"
#include "tests/fuzz/device.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/bits.h"

#define REQUEST_QUEUES 2U
#define QUEUES_MAX 3U
#define FEATURE(bit) (1ULL << (bit))

/* What becomes of one of the next answers. */
struct spoil {
	bool planned;
	unsigned int wait; /* answers that are as they should be before it */
	unsigned int at;   /* the byte */
	uint8_t flip;
	bool cut;          /* the answer ends there, and the connection */
	bool file;
};

/* Nobody is late here: one who sends less than he says hangs up. But a driver may have requests
 * that are never answered. */
static const struct vhost_user_patience patience = {20000000, 500, 20000000};

static struct mem *mem;
static struct fuzz_device device;
static struct virtio_vhost_user *vhost_user;
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

static void plan(const struct fuzz_device_step *step)
{
	pthread_mutex_lock(&back_end->lock);
	spoil = (struct spoil){.planned = true, .wait = step->queue % 16U, .at = step->off,
			       .flip = (uint8_t)step->value, .cut = step->value & 0x100,
			       .file = (step->value & 0xe00) == 0xe00};
	pthread_mutex_unlock(&back_end->lock);
}

static void sleep_or_wake(const struct fuzz_device_step *step)
{
	if (step->value & 1) {
		fake_back_end_wake(back_end);
		return;
	}
	pthread_mutex_lock(&back_end->lock);
	back_end->asleep = true;
	pthread_mutex_unlock(&back_end->lock);
}

static void die(const struct fuzz_device_step *step)
{
	if (step->value % 4 == 0)
		fake_back_end_stop(back_end);
}

static void revive(const struct fuzz_device_step *step)
{
	if (back_end->running)
		return;
	back_end->features = ~(uint64_t)step->value | FEATURE(VHOST_USER_F_PROTOCOL_FEATURES);
	back_end->protocol_features = ~(uint64_t)step->off;
	back_end->queue_num = 4 + step->queue;
	fake_back_end_start(back_end);
}

static void service(const struct fuzz_device_step *step)
{
	(void)step;
	virtio_vhost_user_service(vhost_user);
}

static void ring_error(const struct fuzz_device_step *step)
{
	int fd;

	pthread_mutex_lock(&back_end->lock);
	fd = back_end->queue[step->queue % QUEUES_MAX].error_fd;
	if (fd >= 0)
		eventfd_write(fd, 1);
	pthread_mutex_unlock(&back_end->lock);
}

/* On the channel: a change, or nonsense, or a part of it. */
static void say(const struct fuzz_device_step *step)
{
	const struct vhost_user_header message = {
		.request = step->value & 1 ? step->value : VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
		.flags = VHOST_USER_VERSION | (step->value & 2 ? VHOST_USER_NEED_REPLY : 0),
		.size = step->value & 4 ? step->off : 0};
	size_t len = step->queue & 0x80 ? step->queue % sizeof(message) : sizeof(message);

	pthread_mutex_lock(&back_end->lock);
	if (back_end->channel_fd >= 0)
		send(back_end->channel_fd, &message, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	pthread_mutex_unlock(&back_end->lock);
}

/* --- the driver --- */

static void write_config(const struct fuzz_device_step *step)
{
	uint32_t off = step->value & 0x100 ? step->off % 80U
					   : offsetof(struct virtio_blk_config, wce);
	uint8_t bytes[8] = {(uint8_t)step->value};

	virtio_dev_write_config(device.driver.dev, off, step->value & 0x200 ? step->queue % 9U : 1,
				bytes);
}

enum {
	WRITE_CONFIG = FUZZ_DEVICE_VERBS, PLAN, SLEEP_OR_WAKE, DIE, REVIVE, SERVICE, RING_ERROR, SAY
};
static void (*const verbs[])(const struct fuzz_device_step *step) = {
	write_config, plan, sleep_or_wake, die, revive, service, ring_error, say,
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

/* A connection that was agreed on with a liar stays as it is; its end brings an honest one. */
static void check_alive(void)
{
	virtio_dev_reset(device.driver.dev);
	fake_back_end_stop(back_end);
	make_honest();
	virtio_dev_reset(device.driver.dev);
	fuzz_device_bring_up(&device, 0, DRIVER_ALL);
	fuzz_device_offer(&device, 0, 64);
	fuzz_device_await(&device, 0, "a request unanswered");
	fuzz_device_reset(&device);
}

static void write_seeds(int argc, char **argv)
{
	static const struct {
		uint8_t type;
		struct fuzz_device_step steps[12];
	} __attribute__((packed)) block = {
		.steps = {{FUZZ_DEVICE_RESTART, 0, 0, 0}, {FUZZ_DEVICE_OFFER, 0, 1, 64},
			  {FUZZ_DEVICE_OFFER, 1, 2, 64}, {FUZZ_DEVICE_READ_CONFIG, 8, 0, 0},
			  {WRITE_CONFIG, 0, 0, 0}, {FUZZ_DEVICE_BUS_MASTER, 0, 0, 0},
			  {FUZZ_DEVICE_BUS_MASTER, 0, 0, 1}, {FUZZ_DEVICE_OFFER, 0, 3, 64},
			  {PLAN, 3, 12, 1}, {FUZZ_DEVICE_RESTART, 0, 0, 0}, {SAY, 0, 0, 0},
			  {SERVICE, 0, 0, 0}}},
		fs = {.type = 1,
		      .steps = {{FUZZ_DEVICE_RESTART, 0, 0, 0}, {FUZZ_DEVICE_OFFER, 2, 1, 64},
				{SLEEP_OR_WAKE, 0, 0, 0}, {FUZZ_DEVICE_OFFER, 1, 1, 64},
				{FUZZ_DEVICE_INDEX, 1, 9, 2}, {FUZZ_DEVICE_BUS_MASTER, 0, 0, 0},
				{DIE, 0, 0, 0}, {SERVICE, 0, 0, 0}, {REVIVE, 0, 0, 0},
				{FUZZ_DEVICE_RESTART, 0, 0, 0}, {RING_ERROR, 0, 0, 0},
				{SERVICE, 0, 0, 0}}};

	fuzz_write_seed(argc, argv, "block", &block, sizeof(block));
	fuzz_write_seed(argc, argv, "fs", &fs, sizeof(fs));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	mem = fake_mem_create(FUZZ_RAM);
	write_seeds(*argc, *argv);
	return 0;
}

static void create(uint8_t type)
{
	struct vhost_user_config config = {.type = type & 1 ? VHOST_USER_FS : VHOST_USER_BLOCK,
					   .queues = REQUEST_QUEUES, .tag = "shared"};
	char why[256];

	spoil.planned = false;
	back_end = fake_back_end_create();
	back_end->hook = spoil_answer;
	fake_back_end_start(back_end);
	snprintf(config.socket, sizeof(config.socket), "%s", back_end->path);
	fuzz_must(!virtio_vhost_user_create(&config, &patience, "dev0", &vhost_user, why,
					    sizeof(why)), "set-up");
	fuzz_device_start(&device, mem, virtio_vhost_user_dev(vhost_user), 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	create(*data);
	fuzz_device_run(&device, data + 1, size - 1, verbs, ARRAY_SIZE(verbs));
	check_alive();
	virtio_vhost_user_destroy(vhost_user);
	fake_back_end_destroy(back_end);
	return 0;
}
