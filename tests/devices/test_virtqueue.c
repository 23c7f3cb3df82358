#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "devices/virtqueue.h"
#include "tests/fake_driver.h"
#include "tests/fake_mem.h"
#include "vmm/base/bits.h"

#define RAM (16 * MIB)
#define RINGS 0x10000U
#define TABLE 0x20000U
#define DATA 0x30000U
#define SIZE 8U
#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

struct fixture {
	struct mem *mem;
	struct driver_ring driver;
	struct virtqueue queue;
	struct iovec iov[SIZE];
	struct virtqueue_chain chain;
};

static struct virtqueue_config rings(uint16_t size)
{
	return (struct virtqueue_config){.size = size, .desc = RINGS, .avail = RINGS + DRIVER_AVAIL,
					 .used = RINGS + DRIVER_USED, .indirect = true};
}

static int setup(void **state)
{
	static struct fixture f;
	struct virtqueue_config config = rings(SIZE);

	f = (struct fixture){.mem = fake_mem_create(RAM)};
	f.chain = (struct virtqueue_chain){.iov = f.iov, .capacity = SIZE};
	driver_ring_init(&f.driver, f.mem, RINGS, SIZE);
	assert_int_equal(virtqueue_start(&f.queue, f.mem, &config), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fake_mem_destroy(f->mem);
	return 0;
}

/* --- where rings may be --- */

static void test_virtqueue_start_checks_the_rings(void **state)
{
	static const struct {
		struct virtqueue_config config;
		int result;
	} cases[] = {
		{{.size = 8, .desc = 0x1000, .avail = 0x2000, .used = 0x3000}, 0},
		{{.size = 1024, .desc = 0x10, .avail = 0x8002, .used = 0x9004}, 0},
		{{.size = 0, .desc = 0x1000, .avail = 0x2000, .used = 0x3000}, -EINVAL},
		{{.size = 7, .desc = 0x1000, .avail = 0x2000, .used = 0x3000}, -EINVAL},
		{{.size = 2048, .desc = 0x1000, .avail = 0x2000, .used = 0x3000}, -EINVAL},
		{{.size = 32768, .desc = 0x1000, .avail = 0x2000, .used = 0x3000}, -EINVAL},
		{{.size = 8, .desc = 0x1008, .avail = 0x2000, .used = 0x3000}, -EINVAL},
		{{.size = 8, .desc = 0x1000, .avail = 0x2001, .used = 0x3000}, -EINVAL},
		{{.size = 8, .desc = 0x1000, .avail = 0x2000, .used = 0x3002}, -EINVAL},
		{{.size = 8, .desc = RAM, .avail = 0x2000, .used = 0x3000}, -EFAULT},
		{{.size = 8, .desc = RAM - 0x70, .avail = 0x2000, .used = 0x3000}, -EFAULT},
		{{.size = 8, .desc = RAM - 0x80, .avail = 0x2000, .used = 0x3000}, 0},
		{{.size = 8, .desc = 0x1000, .avail = RAM - 20, .used = 0x3000}, 0},
		{{.size = 8, .desc = 0x1000, .avail = RAM - 18, .used = 0x3000}, -EFAULT},
		{{.size = 8, .desc = 0x1000, .avail = RAM - 20, .used = 0x3000, .event_idx = true},
		 -EFAULT},
		{{.size = 8, .desc = 0x1000, .avail = 0x2000, .used = RAM - 68}, 0},
		{{.size = 8, .desc = 0x1000, .avail = 0x2000, .used = RAM - 64}, -EFAULT},
		{{.size = 8, .desc = 0x1000, .avail = 0x2000, .used = RAM - 68, .event_idx = true},
		 -EFAULT},
		{{.size = 8, .desc = UINT64_MAX & ~15ULL, .avail = 0x2000, .used = 0x3000},
		 -EFAULT},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct virtqueue queue;

		assert_int_equal(virtqueue_start(&queue, f->mem, &cases[i].config),
				 cases[i].result);
	}
}

/* --- chains --- */

static void test_virtqueue_pop_gives_what_was_offered(void **state)
{
	struct fixture *f = *state;
	char bytes[12];

	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 0);
	driver_ring_set(&f->driver, 3, DATA, 5, NEXT, 1);
	driver_ring_set(&f->driver, 1, DATA + 0x100, 7, NEXT, 6);
	driver_ring_set(&f->driver, 6, DATA + 0x200, 9, WRITE, 0);
	memcpy(mem_hva(f->mem, DATA, 5), "hello", 5);
	memcpy(mem_hva(f->mem, DATA + 0x100, 7), " world!", 7);
	driver_ring_offer(&f->driver, 3);
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 1);
	assert_int_equal(f->chain.head, 3);
	assert_int_equal(f->chain.readable, 2);
	assert_int_equal(f->chain.writable, 1);
	assert_int_equal(f->chain.readable_len, 12);
	assert_int_equal(f->chain.writable_len, 9);
	assert_true(virtqueue_chain_read(&f->chain, 0, bytes, 12));
	assert_memory_equal(bytes, "hello world!", 12);
	assert_true(virtqueue_chain_read(&f->chain, 4, bytes, 3));
	assert_memory_equal(bytes, "o w", 3);
	assert_false(virtqueue_chain_read(&f->chain, 4, bytes, 9));
	assert_false(virtqueue_chain_read(&f->chain, UINT64_MAX, bytes, 1));
	assert_true(virtqueue_chain_write(&f->chain, 2, "1234567", 7));
	assert_false(virtqueue_chain_write(&f->chain, 3, "1234567", 7));
	assert_memory_equal(mem_hva(f->mem, DATA + 0x202, 1), "1123456", 7);
	virtqueue_push(&f->queue, f->chain.head, 9);
	assert_int_equal(f->driver.used->idx, 1);
	assert_int_equal(f->driver.used->ring[0].id, 3);
	assert_int_equal(f->driver.used->ring[0].len, 9);
}

/* A direct descriptor, then a table, whose WRITE flag is ignored: VIRTIO 1.2, 2.7.5.3.2. */
static void test_virtqueue_pop_follows_a_table(void **state)
{
	struct fixture *f = *state;
	struct vring_desc *table = mem_hva(f->mem, TABLE + 4, 3 * sizeof(*table)); /* not aligned */
	const struct vring_desc entries[] = {
		{DATA, 1, NEXT, 2}, {DATA + 16, 3, WRITE, 0}, {DATA + 8, 2, NEXT | WRITE, 1}};

	memcpy(table, entries, sizeof(entries));
	driver_ring_set(&f->driver, 0, DATA, 4, NEXT, 7);
	driver_ring_set(&f->driver, 7, TABLE + 4, sizeof(entries), INDIRECT | WRITE, 0);
	driver_ring_offer(&f->driver, 0);
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 1);
	assert_int_equal(f->chain.readable, 2);
	assert_int_equal(f->chain.writable, 2);
	assert_int_equal(f->chain.readable_len, 5);
	assert_int_equal(f->chain.writable_len, 5);
}

/* What the driver may not do, with table entries in TABLE where there are any. */
static const struct {
	const char *name;
	struct vring_desc desc[3], table[3];
	uint16_t head;
	int error;
} nonsense[] = {
	{"follows itself", .desc = {{DATA, 1, NEXT, 0}}, .error = -ELOOP},
	{"loop", .desc = {{DATA, 1, NEXT, 1}, {DATA, 1, NEXT, 2}, {DATA, 1, NEXT, 0}},
	 .error = -ELOOP},
	{"next beyond", .desc = {{DATA, 1, NEXT, SIZE}}, .error = -ERANGE},
	{"head beyond", .head = SIZE, .error = -ERANGE},
	{"head far beyond", .head = 0xffff, .error = -ERANGE},
	{"empty", .desc = {{DATA, 0, 0, 0}}, .error = -EBADMSG},
	{"readable after writable", .desc = {{DATA, 1, NEXT | WRITE, 1}, {DATA, 1, 0, 0}},
	 .error = -EBADMSG},
	{"no RAM", .desc = {{RAM, 1, 0, 0}}, .error = -EFAULT},
	{"over the end", .desc = {{RAM - 1, 2, 0, 0}}, .error = -EFAULT},
	{"wraps", .desc = {{UINT64_MAX, 2, 0, 0}}, .error = -EFAULT},
	{"long", .desc = {{0x1000, UINT32_MAX, WRITE, 0}}, .error = -EFAULT},
	{"table of no entries", .desc = {{TABLE, 0, INDIRECT, 0}}, .error = -EBADMSG},
	{"table of 17 bytes", .desc = {{TABLE, 17, INDIRECT, 0}}, .error = -EBADMSG},
	{"table and next", .desc = {{TABLE, 16, INDIRECT | NEXT, 1}}, .error = -EBADMSG},
	{"table no RAM", .desc = {{RAM, 16, INDIRECT, 0}}, .error = -EFAULT},
	{"table over the end", .desc = {{RAM - 16, 32, INDIRECT, 0}}, .error = -EFAULT},
	{"table in table", .desc = {{TABLE, 16, INDIRECT, 0}},
	 .table = {{TABLE, 16, INDIRECT, 0}}, .error = -EBADMSG},
	{"the queue's own table", .desc = {{RINGS, 16 * SIZE, INDIRECT, 0}}, .error = -EBADMSG},
	{"table's loop", .desc = {{TABLE, 32, INDIRECT, 0}},
	 .table = {{DATA, 1, NEXT, 1}, {DATA, 1, NEXT, 0}}, .error = -ELOOP},
	{"table's next beyond", .desc = {{TABLE, 16, INDIRECT, 0}},
	 .table = {{DATA, 1, NEXT, 1}}, .error = -ERANGE},
	{"table of a writable and a readable", .desc = {{TABLE, 32, INDIRECT, 0}},
	 .table = {{DATA, 1, NEXT | WRITE, 1}, {DATA, 1, 0, 0}}, .error = -EBADMSG},
	{"too many for the room", .desc = {{TABLE, 65536U * 16U, INDIRECT, 0}},
	 .table = {{DATA, 1, NEXT, 1}, {DATA, 1, NEXT, 2}, {DATA, 1, NEXT, 0}}, .error = -E2BIG},
};

static void test_virtqueue_pop_refuses_nonsense(void **state)
{
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(nonsense); i++) {
		struct virtqueue_config config = rings(SIZE);

		driver_ring_init(&f->driver, f->mem, RINGS, SIZE);
		assert_int_equal(virtqueue_start(&f->queue, f->mem, &config), 0);
		memcpy(f->driver.desc, nonsense[i].desc, sizeof(nonsense[i].desc));
		memcpy(mem_hva(f->mem, TABLE, sizeof(nonsense[i].table)), nonsense[i].table,
		       sizeof(nonsense[i].table));
		driver_ring_offer(&f->driver, nonsense[i].head);
		if (virtqueue_pop(&f->queue, &f->chain) != nonsense[i].error)
			fail_msg("%s", nonsense[i].name);
		assert_true(f->chain.readable + f->chain.writable <= SIZE);
	}
}

static void test_virtqueue_pop_refuses_tables_not_negotiated(void **state)
{
	struct fixture *f = *state;

	f->queue.indirect = false;
	driver_ring_set(&f->driver, 0, TABLE, 16, INDIRECT, 0);
	driver_ring_offer(&f->driver, 0);
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), -EBADMSG);
}

/* QEMU's and Firecracker's: an index that is more than a ring ahead would be taken for ever. */
static void test_virtqueue_pop_refuses_an_index_ahead(void **state)
{
	struct fixture *f = *state;

	driver_ring_set(&f->driver, 0, DATA, 1, 0, 0);
	f->driver.avail->idx = SIZE;
	for (unsigned int i = 0; i < SIZE; i++)
		assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 1);
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 0);
	f->driver.avail->idx = 2 * SIZE + 1;
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), -EBADSLT);
	f->driver.avail->idx = SIZE - 1; /* taken back */
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), -EBADSLT);
}

static void test_virtqueue_indexes_wrap(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < 70000; i++) {
		driver_ring_set(&f->driver, i % SIZE, DATA + i % 100, 1, WRITE, 0);
		driver_ring_offer(&f->driver, i % SIZE);
		assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 1);
		virtqueue_push(&f->queue, f->chain.head, i);
		assert_int_equal(f->driver.used->ring[i % SIZE].id, i % SIZE);
		assert_int_equal(f->driver.used->ring[i % SIZE].len, i);
	}
	assert_int_equal(f->driver.used->idx, (uint16_t)70000);
}

/* --- notifications --- */

static void use(struct fixture *f, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		driver_ring_set(&f->driver, 0, DATA, 1, WRITE, 0);
		driver_ring_offer(&f->driver, 0);
		assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 1);
		virtqueue_push(&f->queue, 0, 1);
	}
}

static void test_virtqueue_notifies_by_flag(void **state)
{
	struct fixture *f = *state;

	assert_false(virtqueue_must_notify(&f->queue));
	use(f, 1);
	assert_true(virtqueue_must_notify(&f->queue));
	assert_false(virtqueue_must_notify(&f->queue));
	f->driver.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	use(f, 3);
	assert_false(virtqueue_must_notify(&f->queue));
}

static void test_virtqueue_notifies_by_event_index(void **state)
{
	struct fixture *f = *state;

	f->queue.event_idx = true;
	f->driver.avail->flags = VRING_AVAIL_F_NO_INTERRUPT; /* must be ignored */
	*driver_ring_used_event(&f->driver) = 2;
	use(f, 2);
	assert_false(virtqueue_must_notify(&f->queue));
	use(f, 1);
	assert_true(virtqueue_must_notify(&f->queue));
	use(f, 5);
	assert_false(virtqueue_must_notify(&f->queue));
	*driver_ring_used_event(&f->driver) = 9;
	use(f, 6); /* passes over it */
	assert_true(virtqueue_must_notify(&f->queue));
}

static void test_virtqueue_asks_for_kicks_by_flag(void **state)
{
	struct fixture *f = *state;

	virtqueue_spare_kicks(&f->queue);
	assert_int_equal(f->driver.used->flags, VRING_USED_F_NO_NOTIFY);
	assert_false(virtqueue_want_kick(&f->queue));
	assert_int_equal(f->driver.used->flags, 0);
	driver_ring_offer(&f->driver, 0);
	assert_true(virtqueue_want_kick(&f->queue));
}

static void test_virtqueue_asks_for_kicks_by_event_index(void **state)
{
	struct fixture *f = *state;

	f->queue.event_idx = true;
	use(f, 3);
	virtqueue_spare_kicks(&f->queue);
	assert_int_equal(*driver_ring_avail_event(&f->driver), 0);
	assert_false(virtqueue_want_kick(&f->queue));
	assert_int_equal(*driver_ring_avail_event(&f->driver), 3);
	assert_int_equal(f->driver.used->flags, 0);
}

static void test_virtqueue_asks_only_where_there_is_none(void **state)
{
	struct fixture *f = *state;

	virtqueue_spare_kicks(&f->queue);
	driver_ring_set(&f->driver, 0, DATA, 16, 0, 0);
	driver_ring_offer(&f->driver, 0);
	assert_int_equal(virtqueue_pop_or_ask(&f->queue, &f->chain), 1);
	assert_int_equal(f->driver.used->flags, VRING_USED_F_NO_NOTIFY);
	assert_int_equal(virtqueue_pop_or_ask(&f->queue, &f->chain), 0);
	assert_int_equal(f->driver.used->flags, 0);
	f->driver.avail->idx += SIZE + 1;
	assert_int_equal(virtqueue_pop_or_ask(&f->queue, &f->chain), -EBADSLT);
}

/* --- memory that changes under us --- */

struct racer {
	struct driver_ring *driver;
	atomic_bool stop;
};

/* A CPU that writes the descriptors while the device reads them. */
static void *race(void *opaque)
{
	struct racer *racer = opaque;
	volatile struct vring_desc *desc = racer->driver->desc;
	uint64_t seed = 1;

	while (!racer->stop) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		desc[seed >> 61].addr = seed >> 33 & 1 ? DATA : seed;
		desc[seed >> 61].len = seed >> 34 & 1 ? 64 : (uint32_t)seed;
		desc[seed >> 61].flags = (uint16_t)(seed >> 40 & 7);
		desc[seed >> 61].next = (uint16_t)(seed >> 50 & 15);
	}
	return NULL;
}

/* Whatever it sees: buffers are RAM as a whole, and no more than there is room for. */
static void test_virtqueue_pop_survives_a_race(void **state)
{
	struct fixture *f = *state;
	struct racer racer = {.driver = &f->driver};
	const uint8_t *ram = mem_hva(f->mem, 0, RAM);
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, race, &racer), 0);
	for (unsigned int i = 0; i < 200000; i++) {
		driver_ring_offer(&f->driver, i % SIZE);
		if (virtqueue_pop(&f->queue, &f->chain) != 1)
			f->queue.next_avail++;
		for (unsigned int j = 0; j < f->chain.readable + f->chain.writable; j++) {
			const uint8_t *base = f->iov[j].iov_base;

			assert_true(j < SIZE && base >= ram && f->iov[j].iov_len &&
				    f->iov[j].iov_len <= RAM - (uint64_t)(base - ram));
		}
	}
	racer.stop = true;
	pthread_join(thread, NULL);
}

static void test_virtqueue_takes_chains_back(void **state)
{
	struct fixture *f = *state;

	for (uint16_t i = 0; i < 3; i++) {
		driver_ring_set(&f->driver, i, DATA, 16, 0, 0);
		driver_ring_offer(&f->driver, i);
	}
	for (unsigned int round = 0; round < 2; round++) {
		for (uint16_t i = 0; i < 3; i++) {
			assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 1);
			assert_int_equal(f->chain.head, i);
		}
		assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 0);
		virtqueue_unpop(&f->queue, 3);
	}
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 1);
	virtqueue_unpop(&f->queue, 0);
	assert_int_equal(virtqueue_pop(&f->queue, &f->chain), 1);
	assert_int_equal(f->chain.head, 1);
}

/* Around the end of the ring and of the index. */
static void test_virtqueue_shows_chains_at_once(void **state)
{
	struct fixture *f = *state;

	f->queue.next_used = f->driver.used->idx = 0xfffe;
	for (uint16_t i = 0; i < 5; i++)
		virtqueue_fill(&f->queue, i, i + 1U, 10U * i);
	assert_int_equal(f->driver.used->idx, 0xfffe);
	virtqueue_publish(&f->queue, 5);
	assert_int_equal(f->driver.used->idx, 3);
	for (uint16_t i = 0; i < 5; i++) {
		struct vring_used_elem elem = f->driver.used->ring[(0xfffe + i) % SIZE];

		assert_int_equal(elem.id, i + 1);
		assert_int_equal(elem.len, 10 * i);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_virtqueue_start_checks_the_rings),
		TEST(test_virtqueue_pop_gives_what_was_offered),
		TEST(test_virtqueue_pop_follows_a_table),
		TEST(test_virtqueue_pop_refuses_nonsense),
		TEST(test_virtqueue_pop_refuses_tables_not_negotiated),
		TEST(test_virtqueue_pop_refuses_an_index_ahead),
		TEST(test_virtqueue_indexes_wrap),
		TEST(test_virtqueue_takes_chains_back),
		TEST(test_virtqueue_shows_chains_at_once),
		TEST(test_virtqueue_notifies_by_flag),
		TEST(test_virtqueue_notifies_by_event_index),
		TEST(test_virtqueue_asks_for_kicks_by_flag),
		TEST(test_virtqueue_asks_for_kicks_by_event_index),
		TEST(test_virtqueue_asks_only_where_there_is_none),
		TEST(test_virtqueue_pop_survives_a_race),
	};

	return cmocka_run_group_tests_name("virtqueue", tests, NULL, NULL);
}
