#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/block_io.h"
#include "vmm/base/bits.h"

#define DEPTH 64U
#define BLOCK 4096U

struct fixture {
	int file;
	struct block_io *io;
};

static struct fixture fixture;

static int setup(enum disk_io kind, void **state)
{
	char name[] = "/tmp/minivmm-io-XXXXXX";

	fixture.file = mkstemp(name);
	unlink(name);
	if (fixture.file < 0 || ftruncate(fixture.file, DEPTH * BLOCK))
		return -1;
	*state = &fixture;
	return block_io_create(fixture.file, DEPTH, kind, &fixture.io);
}

static int setup_uring(void **state)
{
	return setup(DISK_IO_URING, state);
}

static int setup_threads(void **state)
{
	return setup(DISK_IO_THREADS, state);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	block_io_destroy(f->io);
	close(f->file);
	return 0;
}

static struct block_op *await(struct fixture *f)
{
	struct pollfd fd = {.fd = f->io->event_fd, .events = POLLIN};
	struct block_op *op;

	while (!(op = block_io_reap(f->io)))
		assert_int_equal(poll(&fd, 1, 20000), 1);
	return op;
}

static int64_t do_one(struct fixture *f, struct block_op *op)
{
	block_io_add(f->io, op);
	assert_true(block_io_submit(f->io));
	assert_ptr_equal(await(f), op);
	assert_null(block_io_reap(f->io));
	return op->result;
}

static void test_block_io_moves_bytes(void **state)
{
	static char written[DEPTH][BLOCK], read_back[DEPTH][BLOCK];
	struct iovec iov[DEPTH];
	struct block_op op[DEPTH];
	struct fixture *f = *state;

	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < DEPTH; i++) {
			memset(written[i], (int)(i + 1), BLOCK);
			iov[i] = (struct iovec){round ? read_back[i] : written[i], BLOCK};
			op[i] = (struct block_op){.type = round ? BLOCK_READ : BLOCK_WRITE,
						  .stable = i % 2, .off = (uint64_t)i * BLOCK,
						  .iov = &iov[i], .iovs = 1};
			block_io_add(f->io, &op[i]);
		}
		assert_true(block_io_submit(f->io));
		for (unsigned int i = 0; i < DEPTH; i++)
			assert_int_equal(await(f)->result, BLOCK);
		assert_null(block_io_reap(f->io));
	}
	assert_memory_equal(written, read_back, sizeof(written));
}

static void test_block_io_scatters(void **state)
{
	char a[3] = "abc", b[5] = "defgh", c[16] = {0};
	struct iovec pieces[] = {{a, 3}, {b, 5}}, whole = {c, sizeof(c)};
	struct block_op op = {.type = BLOCK_WRITE, .off = 100, .iov = pieces, .iovs = 2};
	struct fixture *f = *state;

	assert_int_equal(do_one(f, &op), 8);
	op = (struct block_op){.type = BLOCK_READ, .off = 99, .iov = &whole, .iovs = 1};
	assert_int_equal(do_one(f, &op), 16);
	assert_memory_equal(c, "\0abcdefgh\0", 10);
	op.off = DEPTH * BLOCK - 4; /* short at the end, nothing beyond */
	assert_int_equal(do_one(f, &op), 4);
	op.off = DEPTH * BLOCK;
	assert_int_equal(do_one(f, &op), 0);
}

static void test_block_io_flushes_and_punches(void **state)
{
	char bytes[8] = "xxxxxxxx", read_back[8];
	struct iovec out = {bytes, 8}, in = {read_back, 8};
	struct block_op op = {.type = BLOCK_WRITE, .off = BLOCK, .iov = &out, .iovs = 1};
	struct fixture *f = *state;

	assert_int_equal(do_one(f, &op), 8);
	op = (struct block_op){.type = BLOCK_FLUSH};
	assert_int_equal(do_one(f, &op), 0);
	op = (struct block_op){.type = BLOCK_FALLOCATE, .off = BLOCK, .len = BLOCK,
			       .mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE};
	assert_int_equal(do_one(f, &op), 0);
	op = (struct block_op){.type = BLOCK_READ, .off = BLOCK, .iov = &in, .iovs = 1};
	assert_int_equal(do_one(f, &op), 8);
	assert_memory_equal(read_back, "\0\0\0\0\0\0\0\0", 8);
}

/* That the host's error comes back, and that a flush asks the host at all. */
static void test_block_io_fails(void **state)
{
	struct iovec bad = {NULL, 16};
	struct block_op op = {.type = BLOCK_READ, .iov = &bad, .iovs = 1};
	struct fixture *f = *state;
	int ends[2];

	assert_int_equal(do_one(f, &op), -EFAULT);
	op = (struct block_op){.type = BLOCK_FALLOCATE, .len = 0};
	assert_int_equal(do_one(f, &op), -EINVAL);
	assert_int_equal(pipe(ends), 0);
	f->io->file = ends[0];
	op = (struct block_op){.type = BLOCK_FLUSH};
	assert_int_equal(do_one(f, &op), -EINVAL);
	close(ends[0]);
	op = (struct block_op){.type = BLOCK_FLUSH};
	assert_int_equal(do_one(f, &op), -EBADF);
	close(ends[1]);
}

int main(void)
{
#define BOTH(name)                                                                 \
	{#name " (io_uring)", name, setup_uring, teardown, NULL},                  \
	{#name " (threads)", name, setup_threads, teardown, NULL}
	const struct CMUnitTest tests[] = {
		BOTH(test_block_io_moves_bytes),
		BOTH(test_block_io_scatters),
		BOTH(test_block_io_flushes_and_punches),
		BOTH(test_block_io_fails),
	};

	return cmocka_run_group_tests_name("block_io", tests, NULL, NULL);
}
