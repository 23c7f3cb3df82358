/* Devices of vhost-user on a back end that serves, changes, cannot, and dies. */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/devices/vhost_user_bench.h"
#include "vmm/base/eventfd.h"

/* --- as it should be --- */

static void test_vhost_user_block(void **state)
{
	struct fixture *f = *state;
	struct virtio_blk_config config;

	create_block(f, 2);
	assert_int_equal(f->dev->queues, 2);
	assert_true(f->dev->features & FEATURE(VIRTIO_BLK_F_MQ));
	assert_false(f->dev->features & FEATURE(VHOST_USER_F_PROTOCOL_FEATURES));
	assert_false(f->dev->features & FEATURE(VIRTIO_F_RING_PACKED));
	assert_false(f->dev->features & FEATURE(VIRTIO_F_ACCESS_PLATFORM));
	assert_false(f->dev->features & FEATURE(VIRTIO_BLK_F_SECURE_ERASE));
	virtio_dev_read_config(f->dev, 0, sizeof(config), (uint8_t *)&config);
	assert_int_equal(config.capacity, 2048);
	assert_int_equal(config.num_queues, 2);
	assert_int_equal(config.wce, 1);
	bring_up(f, V1 | FEATURE(VIRTIO_BLK_F_MQ) | FEATURE(VIRTIO_RING_F_EVENT_IDX));
	assert_true(f->dev->running);
	assert_int_equal(f->back_end->accepted,
			 V1 | FEATURE(VIRTIO_BLK_F_MQ) | FEATURE(VIRTIO_RING_F_EVENT_IDX) |
				 FEATURE(VHOST_USER_F_PROTOCOL_FEATURES));
	assert_int_equal(f->back_end->protocol_accepted, 0x229);
	do_request(f, 0);
	do_request(f, 1);
	do_request(f, 1);
}

static void test_vhost_user_without_several_queues(void **state)
{
	struct fixture *f = *state;

	f->back_end->protocol_features = FEATURE(VHOST_USER_PROTOCOL_F_CONFIG);
	create_block(f, 1);
	assert_false(f->dev->features & FEATURE(VIRTIO_BLK_F_MQ));
	assert_int_equal(fake_back_end_count(f->back_end, VHOST_USER_GET_QUEUE_NUM), 0);
	bring_up(f, V1);
	do_request(f, 0);
	assert_int_equal(f->back_end->protocol_accepted, f->back_end->protocol_features);
}

static void test_vhost_user_fs(void **state)
{
	struct fixture *f = *state;
	struct virtio_fs_config config;
	const char tag[sizeof(config.tag)] = "shared";

	f->back_end->protocol_features &= ~FEATURE(VHOST_USER_PROTOCOL_F_CONFIG);
	fake_back_end_start(f->back_end);
	assert_int_equal(create(f, VHOST_USER_FS, 2), 0);
	assert_int_equal(f->dev->queues, 3);
	assert_int_equal(f->dev->config_size, sizeof(config));
	assert_int_equal(f->dev->features, V1 | FEATURE(VIRTIO_RING_F_EVENT_IDX) |
					   FEATURE(VIRTIO_RING_F_INDIRECT_DESC));
	virtio_dev_read_config(f->dev, 0, sizeof(config), (uint8_t *)&config);
	assert_memory_equal(config.tag, tag, sizeof(tag));
	assert_int_equal(config.num_request_queues, 2);
	bring_up(f, V1);
	for (unsigned int i = 0; i < 3; i++)
		do_request(f, i);
	assert_int_equal(fake_back_end_count(f->back_end, VHOST_USER_GET_CONFIG), 0);
}

/* All of RAM, under addresses that are none of ours. */
static void test_vhost_user_memory(void **state)
{
	struct fixture *f = *state;
	struct vhost_user_memory *memory = &f->back_end->memory;
	struct mem_block block;

	create_block(f, 1);
	bring_up(f, V1);
	assert_int_equal(memory->regions, 2);
	for (unsigned int i = 0; i < 2; i++) {
		assert_true(mem_block_get(f->mem, i, &block));
		assert_int_equal(memory->region[i].gpa, block.gpa);
		assert_int_equal(memory->region[i].size, block.size);
		assert_int_equal(memory->region[i].fd_offset, block.fd_offset);
		assert_true(memory->region[i].address != (uintptr_t)block.hva);
		assert_true(memory->region[i].address);
	}
	assert_int_equal(memory->region[1].address - memory->region[0].address, RAM_HIGH_START);
}

/* The rings begin anew; connection and memory stay. */
static void test_vhost_user_resets(void **state)
{
	struct fixture *f = *state;

	create_block(f, 2);
	for (unsigned int i = 0; i < 5; i++) {
		bring_up(f, V1);
		assert_int_equal(driver_used(&f->driver, 0), 0);
		for (unsigned int k = 0; k < 20; k++)
			do_request(f, k % 2);
		virtio_dev_reset(f->dev);
		assert_false(f->dev->running);
		assert_int_equal(virtio_dev_status(f->dev), 0);
	}
	assert_int_equal(f->back_end->clients, 1);
	assert_int_equal(fake_back_end_count(f->back_end, VHOST_USER_SET_MEM_TABLE), 1);
	assert_int_equal(fake_back_end_count(f->back_end, VHOST_USER_GET_VRING_BASE), 10);
}

static void test_vhost_user_goes_on_after_bus_master(void **state)
{
	struct fixture *f = *state;

	create_block(f, 1);
	bring_up(f, V1);
	for (unsigned int i = 0; i < 20; i++)
		do_request(f, 0);
	virtio_dev_set_bus_master(f->dev, false);
	assert_false(f->dev->running);
	assert_int_equal(f->dev->queue[0].ring.next_avail, 20);
	virtio_dev_set_bus_master(f->dev, true);
	assert_true(f->dev->running);
	do_request(f, 0);
	assert_int_equal(driver_used(&f->driver, 0), 21);
}

/* A queue that the driver does not want is not the back end's either. */
static void test_vhost_user_leaves_queues_out(void **state)
{
	struct fixture *f = *state;

	create_block(f, 3);
	bring_up(f, V1);
	virtio_dev_reset(f->dev);
	assert_int_equal(fake_back_end_count(f->back_end, VHOST_USER_SET_VRING_KICK), 3);
	assert_true(driver_bring_up(&f->driver, V1, 1U << 1));
	assert_true(f->dev->running);
	do_request(f, 1);
	assert_int_equal(fake_back_end_count(f->back_end, VHOST_USER_SET_VRING_KICK), 4);
}

static void test_vhost_user_cache(void **state)
{
	const uint32_t off = offsetof(struct virtio_blk_config, wce);
	struct fixture *f = *state;
	uint8_t wce = 0xfe;

	create_block(f, 1);
	bring_up(f, V1 | FEATURE(VIRTIO_BLK_F_CONFIG_WCE));
	virtio_dev_write_config(f->dev, off, 1, &wce);
	virtio_dev_write_config(f->dev, 0, 1, &wce);
	assert_int_equal(fake_back_end_count(f->back_end, VHOST_USER_SET_CONFIG), 1);
	assert_int_equal(f->back_end->written.off, off);
	assert_int_equal(f->back_end->written.size, 1);
	assert_int_equal(f->back_end->written.bytes[0], 0);
	virtio_dev_read_config(f->dev, off, 1, &wce);
	assert_int_equal(wce, 0);
}

/* --- a configuration that changes --- */

/* Says `len` bytes of a message on its channel. */
static void say(struct fixture *f, const struct vhost_user_header *message, size_t len)
{
	pthread_mutex_lock(&f->back_end->lock);
	assert_int_equal(write(f->back_end->channel_fd, message, len), len);
	pthread_mutex_unlock(&f->back_end->lock);
}

static void service(struct fixture *f)
{
	assert_true(driver_await(virtio_vhost_user_watch_fd(f->device)));
	virtio_vhost_user_service(f->device);
}

static uint64_t read_capacity(struct fixture *f)
{
	uint64_t capacity;

	virtio_dev_read_config(f->dev, 0, sizeof(capacity), (uint8_t *)&capacity);
	return capacity;
}

static void set_capacity(struct fixture *f, uint64_t capacity)
{
	pthread_mutex_lock(&f->back_end->lock);
	memcpy(f->back_end->config, &capacity, sizeof(capacity));
	pthread_mutex_unlock(&f->back_end->lock);
}

static void test_vhost_user_config_changes(void **state)
{
	struct vhost_user_header message = {.request = VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
					    .flags = VHOST_USER_VERSION};
	struct {
		struct vhost_user_header header;
		uint64_t good;
	} __attribute__((packed)) answer;
	struct fixture *f = *state;
	struct virtio_blk_config config;

	create_block(f, 2);
	bring_up(f, V1 | FEATURE(VIRTIO_BLK_F_MQ));
	set_capacity(f, 4096);
	assert_int_equal(read_capacity(f), 2048);
	assert_false(eventfd_drain(f->dev->config_fd));
	/* In pieces. */
	say(f, &message, 5);
	service(f);
	assert_false(eventfd_drain(f->dev->config_fd));
	say(f, (struct vhost_user_header *)(void *)((uint8_t *)&message + 5), sizeof(message) - 5);
	service(f);
	assert_true(eventfd_drain(f->dev->config_fd));
	assert_int_equal(fake_back_end_count(f->back_end, VHOST_USER_GET_CONFIG), 1);
	assert_int_equal(read_capacity(f), 4096);
	assert_int_equal(read_capacity(f), 4096);
	assert_int_equal(fake_back_end_count(f->back_end, VHOST_USER_GET_CONFIG), 2);
	virtio_dev_read_config(f->dev, 0, sizeof(config), (uint8_t *)&config);
	assert_int_equal(config.num_queues, 2);
	/* With an answer. */
	message.flags |= VHOST_USER_NEED_REPLY;
	say(f, &message, sizeof(message));
	service(f);
	assert_int_equal(read(f->back_end->channel_fd, &answer, sizeof(answer)), sizeof(answer));
	assert_int_equal(answer.header.request, message.request);
	assert_int_equal(answer.header.flags, VHOST_USER_VERSION | VHOST_USER_REPLY);
	assert_int_equal(answer.header.size, sizeof(answer.good));
	assert_int_equal(answer.good, 0);
	do_request(f, 0);
}

/* The end of the channel, and no more than that. */
static void test_vhost_user_says_nonsense(void **state)
{
	static const struct vhost_user_header messages[] = {
		{.request = 1, .flags = VHOST_USER_VERSION},
		{.request = VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, .flags = 0},
		{.request = VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
		 .flags = VHOST_USER_VERSION | VHOST_USER_REPLY},
		{.request = VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, .flags = VHOST_USER_VERSION,
		 .size = 0xffffffff},
	};
	struct fixture *f = *state;
	char byte;

	for (unsigned int i = 0; i < ARRAY_SIZE(messages); i++) {
		create_block(f, 1);
		bring_up(f, V1);
		say(f, &messages[i], sizeof(messages[i]));
		service(f);
		assert_int_equal(read(f->back_end->channel_fd, &byte, 1), 0);
		assert_false(eventfd_drain(f->dev->config_fd));
		do_request(f, 0);
		virtio_dev_reset(f->dev);
		virtio_vhost_user_destroy(f->device);
		f->device = NULL;
		fake_back_end_stop(f->back_end);
	}
}

/* What it is now cannot be read any more: it is as it was. */
static void test_vhost_user_config_is_lost(void **state)
{
	static const struct vhost_user_header message = {
		.request = VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, .flags = VHOST_USER_VERSION};
	struct fixture *f = *state;

	create_block(f, 1);
	bring_up(f, V1);
	say(f, &message, sizeof(message));
	service(f);
	fake_back_end_stop(f->back_end);
	assert_int_equal(read_capacity(f), 2048);
	assert_true(needs_reset(f));
}

/* --- what cannot be --- */

static void test_vhost_user_refuses_back_ends(void **state)
{
	static const struct {
		uint64_t features, protocol, queue_num;
		enum vhost_user_type type;
		unsigned int queues;
		const char *why;
	} cases[] = {
		{~V1, ~0ULL, 4, VHOST_USER_FS, 1, "has not VIRTIO_F_VERSION_1"},
		{~FEATURE(30), ~0ULL, 4, VHOST_USER_FS, 1, "has not VHOST_USER_F_PROTOCOL_FEA"},
		{~0ULL, 0, 4, VHOST_USER_BLOCK, 1, "has not VHOST_USER_PROTOCOL_F_CONFIG"},
		{~0ULL, ~FEATURE(9), 4, VHOST_USER_BLOCK, 1, "VHOST_USER_PROTOCOL_F_CONFIG"},
		{~0ULL, ~0ULL, 4, VHOST_USER_BLOCK, 5, "has 4 queues, not 5"},
		{~0ULL, ~0ULL, 4, VHOST_USER_FS, 4, "has 4 queues, not 5"},
		{~0ULL, ~0ULL, 0, VHOST_USER_BLOCK, 1, "has 0 queues, not 1"},
		{~0ULL, ~1ULL, 4, VHOST_USER_BLOCK, 2, "has 1 queues, not 2"},
		{~0ULL, ~1ULL, 4, VHOST_USER_FS, 2, "has 2 queues, not 3"},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		f->back_end->features = cases[i].features;
		f->back_end->protocol_features = cases[i].protocol;
		f->back_end->queue_num = cases[i].queue_num;
		fake_back_end_start(f->back_end);
		assert_int_equal(create(f, cases[i].type, cases[i].queues), -EOPNOTSUPP);
		if (!strstr(f->why, cases[i].why))
			fail_msg("\"%s\" lacks \"%s\"", f->why, cases[i].why);
		fake_back_end_stop(f->back_end);
	}
}

static void test_vhost_user_refuses_sockets(void **state)
{
	struct fixture *f = *state;
	FILE *file;

	assert_int_equal(create(f, VHOST_USER_BLOCK, 1), -ENOENT);
	assert_non_null(strstr(f->why, "started first (qemu-storage-daemon, for one)"));
	file = fopen(f->back_end->path, "w");
	assert_non_null(file);
	fclose(file);
	assert_int_equal(create(f, VHOST_USER_BLOCK, 1), -ENOTSOCK);
	assert_non_null(strstr(f->why, "it is no stream socket"));
	assert_null(strstr(f->why, "for one"));
	unlink(f->back_end->path);
}

/* --- while it runs --- */

static void test_vhost_user_dies(void **state)
{
	struct fixture *f = *state;
	int watch;

	create_block(f, 1);
	watch = virtio_vhost_user_watch_fd(f->device);
	bring_up(f, V1);
	do_request(f, 0);
	virtio_vhost_user_service(f->device);
	assert_false(needs_reset(f));
	fake_back_end_stop(f->back_end);
	assert_true(driver_await(watch));
	virtio_vhost_user_service(f->device);
	assert_true(needs_reset(f));
	assert_true(eventfd_drain(f->dev->config_fd));
	assert_int_equal(poll(&(struct pollfd){.fd = watch, .events = POLLIN}, 1, 0), 0);
	virtio_vhost_user_service(f->device);
	/* Nothing is there: the driver's next try fails, too. */
	bring_up(f, V1);
	assert_true(needs_reset(f));
	assert_false(f->dev->running);
	/* A back end that came back, with another disk. */
	((struct virtio_blk_config *)(void *)f->back_end->config)->capacity = 4096;
	fake_back_end_start(f->back_end);
	bring_up(f, V1);
	assert_true(f->dev->running);
	assert_false(needs_reset(f));
	do_request(f, 0);
	assert_int_equal(read_capacity(f), 4096);
	/* And its end is seen as that of the first one. */
	fake_back_end_stop(f->back_end);
	assert_true(driver_await(watch));
	virtio_vhost_user_service(f->device);
	assert_true(needs_reset(f));
}

/* Before the driver begins, an end is no reason for a status that it does not expect. */
static void test_vhost_user_dies_unused(void **state)
{
	struct fixture *f = *state;

	create_block(f, 1);
	fake_back_end_stop(f->back_end);
	assert_true(driver_await(virtio_vhost_user_watch_fd(f->device)));
	virtio_vhost_user_service(f->device);
	assert_int_equal(virtio_dev_status(f->dev), 0);
	bring_up(f, V1);
	assert_true(needs_reset(f));
}

static void test_vhost_user_ring_error_of_before(void **state)
{
	struct fixture *f = *state;

	create_block(f, 1);
	bring_up(f, V1);
	virtio_dev_reset(f->dev);
	pthread_mutex_lock(&f->back_end->lock);
	eventfd_write(f->back_end->queue[0].error_fd, 1);
	pthread_mutex_unlock(&f->back_end->lock);
	assert_true(driver_await(virtio_vhost_user_watch_fd(f->device)));
	virtio_vhost_user_service(f->device);
	assert_int_equal(virtio_dev_status(f->dev), 0);
}

static void test_vhost_user_ring_error(void **state)
{
	struct fixture *f = *state;

	create_block(f, 1);
	bring_up(f, V1);
	do_request(f, 0);
	pthread_mutex_lock(&f->back_end->lock);
	eventfd_write(f->back_end->queue[0].error_fd, 1);
	pthread_mutex_unlock(&f->back_end->lock);
	assert_true(driver_await(virtio_vhost_user_watch_fd(f->device)));
	virtio_vhost_user_service(f->device);
	assert_true(needs_reset(f));
	bring_up(f, V1);
	assert_true(f->dev->running);
	do_request(f, 0);
}

/* Requests that are never answered hold up no stop for good, nor does a driver's own used index. */
static void test_vhost_user_stops_with_requests(void **state)
{
	struct fixture *f = *state;

	f->back_end->asleep = true;
	fake_back_end_start(f->back_end);
	assert_int_equal(create(f, VHOST_USER_BLOCK, 1), 0);
	f->patience.ending_us = 1000;
	bring_up(f, V1);
	driver_ring_set(&f->driver.ring[0], 0, RINGS, 16, 0, 0);
	driver_ring_offer(&f->driver.ring[0], 0);
	virtio_dev_reset(f->dev);
	assert_false(f->dev->running);
	bring_up(f, V1);
	f->driver.ring[0].used->idx = 77;
	virtio_dev_set_bus_master(f->dev, false);
	assert_false(f->dev->running);
	assert_false(needs_reset(f));
	assert_int_equal(f->dev->queue[0].ring.next_avail, 0);
}

/* What the back end still has is waited for: it is told to stop only once it has answered. */
static void *wake_later(void *opaque)
{
	struct fixture *f = opaque;

	usleep(20000); /* time to do it wrong */
	assert_int_equal(fake_back_end_count(f->back_end, VHOST_USER_GET_VRING_BASE), 0);
	fake_back_end_wake(f->back_end);
	return NULL;
}

static void test_vhost_user_waits_for_requests(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;

	f->back_end->asleep = true;
	create_block(f, 1);
	bring_up(f, V1);
	driver_ring_set(&f->driver.ring[0], 0, RINGS, 16, 0, 0);
	driver_ring_offer(&f->driver.ring[0], 0);
	assert_int_equal(pthread_create(&thread, NULL, wake_later, f), 0);
	virtio_dev_set_bus_master(f->dev, false);
	pthread_join(thread, NULL);
	assert_int_equal(driver_used(&f->driver, 0), 1);
	assert_int_equal(f->dev->queue[0].ring.next_avail, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_vhost_user_block),
		TEST(test_vhost_user_without_several_queues),
		TEST(test_vhost_user_fs),
		TEST(test_vhost_user_memory),
		TEST(test_vhost_user_resets),
		TEST(test_vhost_user_goes_on_after_bus_master),
		TEST(test_vhost_user_leaves_queues_out),
		TEST(test_vhost_user_cache),
		TEST(test_vhost_user_config_changes),
		TEST(test_vhost_user_says_nonsense),
		TEST(test_vhost_user_config_is_lost),
		TEST(test_vhost_user_refuses_back_ends),
		TEST(test_vhost_user_refuses_sockets),
		TEST(test_vhost_user_dies),
		TEST(test_vhost_user_dies_unused),
		TEST(test_vhost_user_ring_error_of_before),
		TEST(test_vhost_user_ring_error),
		TEST(test_vhost_user_stops_with_requests),
		TEST(test_vhost_user_waits_for_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
