/* The device as a whole, its threads included, with pipes and a terminal for the person's side. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/virtio.h"
#include "devices/virtio_console.h"
#include "tests/fake_driver.h"
#include "tests/fake_mem.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/le.h"

#define RAM (16 * MIB)
#define FEATURE(bit) (1ULL << (bit))
#define SIZE_FEATURE FEATURE(VIRTIO_CONSOLE_F_SIZE)
#define RX 0U
#define TX 1U
#define QUEUES 2U
#define RINGS 0x100000U
#define IN 0x800000U
#define OUT 0x900000U
#define SIZE 64U
#define PIPE 4096U

struct fixture {
	struct mem *mem;
	struct virtio_console *console;
	struct virtio_dev *dev;
	struct driver driver;
	int out[2]; /* what the device writes is read from [0] */
};

static void make(struct fixture *f, const struct console_config *config)
{
	f->mem = fake_mem_create(RAM);
	assert_int_equal(virtio_console_create(config, &f->console), 0);
	f->dev = virtio_console_dev(f->console);
	driver_init(&f->driver, f->dev, f->mem, RINGS, SIZE);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	assert_int_equal(pipe2(f->out, O_CLOEXEC), 0);
	assert_int_equal(fcntl(f->out[1], F_SETPIPE_SZ, PIPE), PIPE);
	fcntl(f->out[0], F_SETFL, O_NONBLOCK);
	make(f, &(struct console_config){.out_fd = f->out[1], .cols = 80, .rows = 25});
	return 0;
}

/* Of no size, and its output waits once more than 2^64 - 2 is written. */
static int setup_stalled(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	f->out[0] = -1;
	f->out[1] = eventfd(1, EFD_CLOEXEC);
	assert_true(f->out[1] >= 0);
	make(f, &(struct console_config){.out_fd = f->out[1]});
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_dev_reset(f->dev);
	virtio_console_destroy(f->console);
	fake_mem_destroy(f->mem);
	for (unsigned int i = 0; i < 2; i++)
		if (f->out[i] >= 0)
			close(f->out[i]);
	free(f);
	return 0;
}

static void bring_up(struct fixture *f, unsigned int queues)
{
	assert_true(driver_bring_up(&f->driver, FEATURE(VIRTIO_F_VERSION_1), queues));
	assert_true(f->dev->running);
}

static bool is_readable(int fd)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};

	return poll(&readable, 1, 0) == 1;
}

/* So many buffers came back, or more. */
static void await_used(struct fixture *f, unsigned int queue, uint16_t index)
{
	assert_true(driver_await_used(&f->driver, queue, index));
}

static void offer(struct fixture *f, unsigned int queue, gpa_t at, uint32_t len, uint16_t flags)
{
	driver_offer(&f->driver, queue, at, len, flags);
}

/* Output of `len` bytes that count on from `*sent`. */
static void say(struct fixture *f, uint32_t len)
{
	uint8_t *bytes = mem_hva(f->mem, OUT, len);

	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i % 251);
	offer(f, TX, OUT, len, 0);
}

/* Reads `len` bytes that count on from the `from`th of say(). */
static void hear(struct fixture *f, uint32_t from, uint32_t len)
{
	uint8_t bytes[PIPE];

	for (uint32_t end = from + len; from < end;) {
		size_t wanted = end - from < sizeof(bytes) ? end - from : sizeof(bytes);
		ssize_t got;

		assert_true(driver_await(f->out[0]));
		got = read(f->out[0], bytes, wanted);
		assert_true(got > 0);
		for (ssize_t i = 0; i < got; i++)
			assert_int_equal(bytes[i], from++ % 251);
	}
}

static void type(struct fixture *f, const char *text)
{
	const uint8_t *bytes = (const uint8_t *)text;

	assert_int_equal(virtio_console_input(f->console, bytes, strlen(text)), strlen(text));
}

static const char *heard(struct fixture *f, gpa_t at)
{
	return mem_hva(f->mem, at, 1);
}

static uint32_t used_len(struct fixture *f, unsigned int queue, uint16_t index)
{
	return f->driver.ring[queue].used->ring[index % SIZE].len;
}

/* --- configuration --- */

static uint32_t read_size(struct fixture *f)
{
	uint8_t size[4];

	virtio_dev_read_config(f->dev, 0, sizeof(size), size);
	return le32_get(size);
}

static void test_virtio_console_tells_its_size(void **state)
{
	struct fixture *f = *state;
	uint8_t generation;

	assert_true(f->dev->features & SIZE_FEATURE);
	assert_int_equal(f->dev->features & (FEATURE(VIRTIO_CONSOLE_F_MULTIPORT) |
					     FEATURE(VIRTIO_CONSOLE_F_EMERG_WRITE)), 0);
	assert_int_equal(read_size(f), 25 << 16 | 80);
	generation = f->dev->generation;
	virtio_console_set_size(f->console, 80, 25);
	assert_false(eventfd_drain(f->dev->config_fd));
	virtio_console_set_size(f->console, 132, 43);
	assert_true(eventfd_drain(f->dev->config_fd));
	assert_int_equal(read_size(f), 43 << 16 | 132);
	assert_int_not_equal(f->dev->generation, generation);
}

static void test_virtio_console_has_no_size_without_a_terminal(void **state)
{
	struct fixture *f = *state;

	assert_false(f->dev->features & SIZE_FEATURE);
	virtio_console_set_size(f->console, 132, 43);
	assert_false(eventfd_drain(f->dev->config_fd));
}

static void test_virtio_console_configuration_is_read_only(void **state)
{
	struct fixture *f = *state;
	const uint8_t ones[4] = {0xff, 0xff, 0xff, 0xff};
	uint8_t bytes[16];

	for (uint32_t off = 0; off < sizeof(bytes); off += 4)
		virtio_dev_write_config(f->dev, off, 4, ones);
	virtio_dev_read_config(f->dev, 0, sizeof(bytes), bytes);
	assert_int_equal(le32_get(bytes), 25 << 16 | 80);
	for (unsigned int i = 4; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], 0);
}

/* --- input --- */

static void test_virtio_console_input_waits_for_buffers(void **state)
{
	struct fixture *f = *state;

	type(f, "before ");
	bring_up(f, 3);
	type(f, "there are any");
	offer(f, RX, IN, 10, VRING_DESC_F_WRITE);
	offer(f, RX, IN + 100, 100, VRING_DESC_F_WRITE);
	await_used(f, RX, 2);
	assert_int_equal(used_len(f, RX, 0), 10);
	assert_memory_equal(heard(f, IN), "before the", 10);
	assert_int_equal(used_len(f, RX, 1), 10);
	assert_memory_equal(heard(f, IN + 100), "re are any", 10);
	offer(f, RX, IN + 200, 1, VRING_DESC_F_WRITE);
	type(f, "x");
	await_used(f, RX, 3);
	assert_int_equal(*heard(f, IN + 200), 'x');
}

/* Kicks where the device asks for it alone, as drivers do. */
static void offer_politely(struct fixture *f, unsigned int queue, gpa_t at, uint32_t len,
			   uint16_t flags)
{
	struct driver_ring *ring = &f->driver.ring[queue];
	uint16_t head = ring->avail->idx % SIZE;

	driver_ring_set(ring, head, at, len, flags, 0);
	driver_ring_offer(ring, head);
	atomic_thread_fence(memory_order_seq_cst);
	if (!(__atomic_load_n(&ring->used->flags, __ATOMIC_ACQUIRE) & VRING_USED_F_NO_NOTIFY))
		driver_kick(&f->driver, queue);
}

/* More buffers than the device takes in one go, and then more bytes than it has had buffers. */
static void test_virtio_console_input_in_small_buffers(void **state)
{
	struct fixture *f = *state;
	char text[3 * SIZE + 1] = "";

	for (unsigned int i = 0; i < 3 * SIZE; i++)
		text[i] = (char)('a' + i % 26);
	bring_up(f, 3);
	for (uint16_t i = 0; i < SIZE; i++)
		offer_politely(f, RX, IN + i, 1, VRING_DESC_F_WRITE);
	while (is_readable(f->dev->queue[RX].kick_fd))
		poll(NULL, 0, 1);
	type(f, text);
	for (uint16_t i = SIZE; i < 3 * SIZE; i++) {
		await_used(f, RX, i - SIZE + 1U);
		offer_politely(f, RX, IN + i, 1, VRING_DESC_F_WRITE);
	}
	await_used(f, RX, 3 * SIZE);
	assert_memory_equal(heard(f, IN), text, 3 * SIZE);
}

static void test_virtio_console_refuses_input_that_has_no_room(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[CONSOLE_INPUT_SIZE + 100];

	memset(bytes, 'a', sizeof(bytes));
	bring_up(f, 3);
	assert_int_equal(virtio_console_input(f->console, bytes, sizeof(bytes)),
			 CONSOLE_INPUT_SIZE);
	assert_int_equal(virtio_console_input(f->console, bytes, 1), 0);
	offer(f, RX, IN, CONSOLE_INPUT_SIZE / 2 - 1, VRING_DESC_F_WRITE);
	await_used(f, RX, 1);
	assert_false(eventfd_drain(virtio_console_room_fd(f->console)));
	offer(f, RX, IN, 1, VRING_DESC_F_WRITE);
	assert_true(driver_await(virtio_console_room_fd(f->console)));
	assert_true(eventfd_drain(virtio_console_room_fd(f->console)));
	assert_int_equal(virtio_console_input(f->console, bytes, sizeof(bytes)),
			 CONSOLE_INPUT_SIZE / 2);
}

static void test_virtio_console_drops_input_of_a_guest_that_was(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[CONSOLE_INPUT_SIZE + 1] = {0};

	virtio_console_input(f->console, bytes, sizeof(bytes));
	virtio_dev_reset(f->dev);
	assert_int_equal(virtio_console_input(f->console, bytes, 1), 0); /* a driver's reset */
	virtio_console_drop_input(f->console);
	assert_true(eventfd_drain(virtio_console_room_fd(f->console)));
	type(f, "new");
	bring_up(f, 3);
	offer(f, RX, IN, 10, VRING_DESC_F_WRITE);
	await_used(f, RX, 1);
	assert_int_equal(used_len(f, RX, 0), 3);
}

/* --- output --- */

static void test_virtio_console_output_is_more_than_fits(void **state)
{
	struct fixture *f = *state;

	bring_up(f, 3);
	say(f, 100000);
	hear(f, 0, 100000);
	await_used(f, TX, 1);
	assert_int_equal(used_len(f, TX, 0), 0);
}

static void test_virtio_console_output_of_many_pieces(void **state)
{
	struct fixture *f = *state;
	struct driver_ring *ring = &f->driver.ring[TX];

	bring_up(f, 3);
	say(f, 1); /* fills the memory, too */
	await_used(f, TX, 1);
	hear(f, 0, 1);
	memcpy(mem_hva(f->mem, OUT, 3), "\0\1\2", 3);
	for (uint16_t i = 1; i <= 3; i++)
		driver_ring_set(ring, i, OUT + i - 1U, 1, i < 3 ? VRING_DESC_F_NEXT : 0,
				(uint16_t)(i + 1));
	driver_ring_offer(ring, 1);
	driver_kick(&f->driver, TX);
	hear(f, 0, 3);
	await_used(f, TX, 2);
}

/* A buffer that is not done stays in the ring; what was written of it is not written again. */
static void test_virtio_console_stops_in_the_middle_and_goes_on(void **state)
{
	struct fixture *f = *state;

	bring_up(f, 3);
	say(f, 10000);
	hear(f, 0, 100); /* now some is written for sure */
	virtio_dev_set_bus_master(f->dev, false);
	assert_int_equal(f->driver.ring[TX].used->idx, 0);
	virtio_dev_set_bus_master(f->dev, true);
	hear(f, 100, 9900);
	await_used(f, TX, 1);
}

static void test_virtio_console_forgets_output_at_a_reset(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[PIPE];

	bring_up(f, 3);
	say(f, 10000);
	hear(f, 0, 100);
	bring_up(f, 3);
	while (read(f->out[0], bytes, sizeof(bytes)) > 0)
		;
	say(f, 1000);
	hear(f, 0, 1000);
	await_used(f, TX, 1);
}

/* One of our threads waits in write(2). */
static bool is_writing(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	bool writing = false;

	assert_non_null(tasks);
	while (!writing && (entry = readdir(tasks))) {
		char path[300], text[16];
		int fd, number;

		snprintf(path, sizeof(path), "/proc/self/task/%s/syscall", entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, text, sizeof(text)) > 2)
			writing = sscanf(text, "%d ", &number) == 1 && number == SYS_write;
		if (fd >= 0)
			close(fd);
	}
	closedir(tasks);
	return writing;
}

/* poll(2) promises more room than write(2) finds: the thread waits there, and is fetched. Some
 * terminals are like that; here it is an eventfd, whose sum would overflow. */
static void test_virtio_console_stops_in_a_write_that_waits(void **state)
{
	struct fixture *f = *state;
	const uint8_t key = 'x';

	memset(mem_hva(f->mem, OUT, 8), 0xff, 8);
	*(uint8_t *)mem_hva(f->mem, OUT, 1) = 0xfe;
	bring_up(f, 3);
	offer(f, TX, OUT, 8, 0);
	while (!is_writing())
		poll(NULL, 0, 1);
	assert_int_equal(virtio_console_input(f->console, &key, 1), 1);
	offer(f, RX, IN, 10, VRING_DESC_F_WRITE);
	await_used(f, RX, 1); /* input comes all the same */
	virtio_dev_reset(f->dev);
	assert_false(f->dev->running);
	assert_int_equal(f->driver.ring[TX].used->idx, 0);
}

static void test_virtio_console_output_that_nobody_can_have_is_lost(void **state)
{
	struct fixture *f = *state;

	signal(SIGPIPE, SIG_IGN); /* as the program has it */
	close(f->out[0]);
	f->out[0] = -1;
	bring_up(f, 3);
	say(f, 100000);
	say(f, 10);
	await_used(f, TX, 2);
	assert_false(virtio_dev_is_broken(f->dev));
}

static void test_virtio_console_serves_the_queues_there_are(void **state)
{
	struct fixture *f = *state;

	bring_up(f, 1U << TX);
	type(f, "x");
	say(f, 10);
	hear(f, 0, 10);
	await_used(f, TX, 1);
	bring_up(f, 1U << RX);
	offer(f, RX, IN, 10, VRING_DESC_F_WRITE);
	await_used(f, RX, 1);
	assert_int_equal(*heard(f, IN), 'x');
	bring_up(f, 0);
	virtio_dev_reset(f->dev);
}

/* --- nonsense --- */

static void test_virtio_console_breaks_on_nonsense(void **state)
{
	static const struct {
		unsigned int queue;
		gpa_t at;
		uint32_t len;
		uint16_t flags;
	} chains[] = {
		{TX, OUT, 16, VRING_DESC_F_WRITE},     {TX, OUT, 0, 0},
		{TX, RAM, 16, 0},                      {TX, OUT, 16, VRING_DESC_F_INDIRECT},
		{TX, OUT, 16, VRING_DESC_F_NEXT},      {RX, IN, 16, 0},
		{RX, IN, 0, VRING_DESC_F_WRITE},       {RX, RAM - 8, 16, VRING_DESC_F_WRITE},
		{RX, ~0ULL, 16, VRING_DESC_F_WRITE},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(chains); i++) {
		bring_up(f, 3);
		offer(f, chains[i].queue, chains[i].at, chains[i].len, chains[i].flags);
		type(f, "x");
		assert_true(driver_await(f->dev->config_fd));
		assert_true(virtio_dev_status(f->dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
		virtio_console_drop_input(f->console);
	}
	bring_up(f, 3);
	say(f, 10);
	hear(f, 0, 10);
}

/* Its index runs ahead of the ring. */
static void test_virtio_console_breaks_on_an_index_ahead(void **state)
{
	struct fixture *f = *state;

	for (unsigned int i = 0; i < QUEUES; i++) {
		bring_up(f, 3);
		f->driver.ring[i].avail->idx = SIZE + 1;
		type(f, "x");
		driver_kick(&f->driver, i);
		assert_true(driver_await(f->dev->config_fd));
		assert_true(virtio_dev_is_broken(f->dev));
	}
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_virtio_console_tells_its_size),
		cmocka_unit_test_setup_teardown(test_virtio_console_has_no_size_without_a_terminal,
						setup_stalled, teardown),
		CASE(test_virtio_console_configuration_is_read_only),
		CASE(test_virtio_console_input_waits_for_buffers),
		CASE(test_virtio_console_input_in_small_buffers),
		CASE(test_virtio_console_refuses_input_that_has_no_room),
		CASE(test_virtio_console_drops_input_of_a_guest_that_was),
		CASE(test_virtio_console_output_is_more_than_fits),
		CASE(test_virtio_console_output_of_many_pieces),
		CASE(test_virtio_console_stops_in_the_middle_and_goes_on),
		CASE(test_virtio_console_forgets_output_at_a_reset),
		cmocka_unit_test_setup_teardown(
			test_virtio_console_stops_in_a_write_that_waits, setup_stalled, teardown),
		CASE(test_virtio_console_output_that_nobody_can_have_is_lost),
		CASE(test_virtio_console_serves_the_queues_there_are),
		CASE(test_virtio_console_breaks_on_nonsense),
		CASE(test_virtio_console_breaks_on_an_index_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
