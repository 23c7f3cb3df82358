#include <errno.h>
#include <linux/falloc.h>
#include <linux/virtio_blk.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "devices/block_request.h"
#include "vmm/base/bits.h"

#define SECTORS 1024U
#define DATA_MAX 8192U
#define READ VIRTIO_BLK_T_IN
#define WRITE VIRTIO_BLK_T_OUT
#define FLUSH VIRTIO_BLK_T_FLUSH
#define DISCARD VIRTIO_BLK_T_DISCARD
#define ZEROES VIRTIO_BLK_T_WRITE_ZEROES
#define OK VIRTIO_BLK_S_OK
#define IOERR VIRTIO_BLK_S_IOERR
#define UNSUPP VIRTIO_BLK_S_UNSUPP
#define GOES_ON BLOCK_REQUEST_GOES_ON

static atomic_bool stable;

struct fixture {
	struct block_disk disk;
	struct block_request request;
	struct virtio_blk_outhdr header;
	struct virtio_blk_discard_write_zeroes range;
	uint8_t data[DATA_MAX] __attribute__((aligned(4096)));
	uint8_t status;
};

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){
		.disk = {.image = {.size = SECTORS * 512ULL, .block_size = 512, .memory_align = 1},
			 .serial = "serial", .discard = true, .write_zeroes = true,
			 .stable = &stable}};
	stable = false;
	for (unsigned int i = 0; i < DATA_MAX; i++)
		f.data[i] = (uint8_t)(i / 7);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	free(f->request.bounce);
	return 0;
}

static void add(struct fixture *f, void *bytes, size_t len, bool writable)
{
	struct virtqueue_chain *chain = &f->request.chain;

	if (!len)
		return;
	f->request.iov[chain->readable + chain->writable] = (struct iovec){bytes, len};
	if (writable) {
		chain->writable++;
		chain->writable_len += len;
	} else {
		chain->readable++;
		chain->readable_len += len;
	}
}

/* A request with `len` bytes of data, in pieces of `piece`. */
static int offer(struct fixture *f, uint32_t type, uint64_t sector, size_t len, size_t piece)
{
	bool in = type == READ || type == VIRTIO_BLK_T_GET_ID;

	f->request.chain = (struct virtqueue_chain){.iov = f->request.iov,
						    .capacity = BLOCK_CHAIN_MAX};
	f->header = (struct virtio_blk_outhdr){.type = type, .sector = sector};
	f->status = 0xff;
	add(f, &f->header, 9, false);
	add(f, (uint8_t *)&f->header + 9, sizeof(f->header) - 9, false);
	for (size_t done = 0; done < len; done += piece)
		add(f, f->data + done, len - done < piece ? len - done : piece, in);
	add(f, &f->status, 1, true);
	return block_request_parse(&f->request, &f->disk);
}

static int offer_range(struct fixture *f, uint32_t type, uint64_t sector, uint32_t count,
		       uint32_t flags)
{
	const struct virtio_blk_discard_write_zeroes range = {sector, count, flags};

	memcpy(f->data, &range, sizeof(range));
	return offer(f, type, 0, sizeof(range), 5);
}

/* The next operation must be of `type`; it ends with `result`. */
static void step(struct fixture *f, enum block_op_type type, int64_t result)
{
	assert_true(block_request_next(&f->request, &f->disk));
	assert_int_equal(f->request.op.type, type);
	f->request.op.result = result;
	block_request_done(&f->request);
}

static void expect_end(struct fixture *f, uint8_t status, uint32_t written)
{
	assert_false(block_request_next(&f->request, &f->disk));
	assert_int_equal(block_request_status(&f->request), status);
	assert_int_equal(block_request_finish(&f->request, status), written);
	assert_int_equal(f->status, status);
}

/* --- what is asked --- */

static const struct {
	uint32_t type;
	uint64_t sector;
	size_t len;
	int result;
} transfers[] = {
	{READ, 0, 512, GOES_ON},
	{READ, SECTORS - 1, 512, GOES_ON},
	{READ, SECTORS - 1, 1024, IOERR},
	{READ, SECTORS, 512, IOERR},
	{READ, SECTORS, 0, GOES_ON},
	{READ, SECTORS + 1, 0, IOERR},
	{READ, UINT64_MAX, 512, IOERR},
	{READ, 1ULL << 55, 512, IOERR},        /* its bytes are 0 again */
	{READ, (1ULL << 55) + 1, 512, IOERR},
	{READ, 0, 511, IOERR},
	{READ, 0, 513, IOERR},
	{WRITE, 0, 512, GOES_ON},
	{WRITE, SECTORS, 512, IOERR},
	{WRITE, UINT64_MAX, 8192, IOERR},
	{WRITE, 0, 100, IOERR},
	{FLUSH, 0, 0, GOES_ON},
	{FLUSH, UINT64_MAX, 512, GOES_ON},     /* neither means anything */
	{VIRTIO_BLK_T_GET_ID, 0, 20, OK},
	{VIRTIO_BLK_T_SCSI_CMD, 0, 512, UNSUPP},
	{VIRTIO_BLK_T_SECURE_ERASE, 0, 16, UNSUPP},
	{10, 0, 20, UNSUPP},                   /* lifetime */
	{3, 0, 0, UNSUPP},
	{0x80000000, 0, 0, UNSUPP},            /* barrier */
	{DISCARD, 0, 0, IOERR},
	{DISCARD, 0, 15, IOERR},
	{DISCARD, 0, 32, IOERR},               /* two ranges: max_discard_seg is 1 */
};

static void test_block_request_parses(void **state)
{
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(transfers); i++)
		for (size_t piece = transfers[i].len / 120 + 1; piece < 4096;
		     piece = 5 * piece + 90)
			assert_int_equal(offer(f, transfers[i].type, transfers[i].sector,
					       transfers[i].len, piece), transfers[i].result);
}

static void test_block_request_parses_ranges(void **state)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t count, flags;
		int result;
	} ranges[] = {
		{DISCARD, 0, SECTORS, 0, GOES_ON},
		{DISCARD, 1, SECTORS, 0, IOERR},
		{DISCARD, 0, 1, 1, UNSUPP},
		{DISCARD, 0, 1, 0x80000000, UNSUPP},
		{DISCARD, UINT64_MAX, 1, 0, IOERR},
		{DISCARD, 0, UINT32_MAX, 0, IOERR},
		{ZEROES, 0, SECTORS, 0, GOES_ON},
		{ZEROES, 0, SECTORS, 1, GOES_ON},
		{ZEROES, 0, 1, 2, UNSUPP},
		{ZEROES, SECTORS, 1, 0, IOERR},
		{ZEROES, 1ULL << 55, 1, 0, IOERR}, /* Cloud Hypervisor's issue 8388 */
		{ZEROES, UINT64_MAX - 7, 16, 1, IOERR},
		{ZEROES, 0, BLOCK_ZEROES_SECTORS_MAX + 1, 0, IOERR},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++)
		assert_int_equal(offer_range(f, ranges[i].type, ranges[i].sector, ranges[i].count,
					     ranges[i].flags), ranges[i].result);
	f->disk.discard = f->disk.write_zeroes = false;
	assert_int_equal(offer_range(f, DISCARD, 0, 1, 0), UNSUPP);
	assert_int_equal(offer_range(f, ZEROES, 0, 1, 0), UNSUPP);
}

static void test_block_request_read_only(void **state)
{
	struct fixture *f = *state;

	f->disk.image.read_only = true;
	assert_int_equal(offer(f, WRITE, 0, 512, 512), IOERR);
	assert_int_equal(offer(f, READ, 0, 512, 512), GOES_ON);
	assert_int_equal(offer_range(f, DISCARD, 0, 1, 0), IOERR);
	assert_int_equal(offer_range(f, ZEROES, 0, 1, 0), IOERR);
}

/* Neither header nor status, or not both: there is nothing to answer. */
static void test_block_request_without_frame(void **state)
{
	struct fixture *f = *state;

	for (unsigned int missing = 0; missing < 3; missing++) {
		f->request.chain = (struct virtqueue_chain){.iov = f->request.iov,
							    .capacity = BLOCK_CHAIN_MAX};
		add(f, &f->header, missing == 0 ? 0 : missing == 1 ? 15 : 16, false);
		add(f, &f->status, missing == 2 ? 0 : 1, true);
		assert_int_equal(block_request_parse(&f->request, &f->disk), -EBADMSG);
	}
}

/* Header, data and status need not have descriptors of their own. */
static void test_block_request_of_two_pieces(void **state)
{
	static uint8_t out[16 + 512], in[512 + 1];
	struct fixture *f = *state;

	f->request.chain = (struct virtqueue_chain){.iov = f->request.iov,
						    .capacity = BLOCK_CHAIN_MAX};
	out[0] = WRITE;
	add(f, out, sizeof(out), false);
	add(f, in, 1, true);
	assert_int_equal(block_request_parse(&f->request, &f->disk), GOES_ON);
	assert_true(block_request_next(&f->request, &f->disk));
	assert_ptr_equal(f->request.op.iov[0].iov_base, out + 16);
	assert_int_equal(f->request.op.iov[0].iov_len, 512);

	f->request.chain = (struct virtqueue_chain){.iov = f->request.iov,
						    .capacity = BLOCK_CHAIN_MAX};
	out[0] = READ;
	add(f, out, 16, false);
	add(f, in, sizeof(in), true);
	assert_int_equal(block_request_parse(&f->request, &f->disk), GOES_ON);
	assert_ptr_equal(f->request.status, in + 512);
	step(f, BLOCK_READ, 512);
	assert_false(block_request_next(&f->request, &f->disk));
	assert_int_equal(block_request_finish(&f->request, OK), 513);
}

static void test_block_request_id(void **state)
{
	static const size_t rooms[] = {20, 3, 0, 100};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(rooms); i++) {
		uint32_t filled = rooms[i] < 20 ? (uint32_t)rooms[i] : 20;

		memset(f->data, 0xee, 128);
		assert_int_equal(offer(f, VIRTIO_BLK_T_GET_ID, 0, rooms[i], 7), OK);
		assert_int_equal(block_request_finish(&f->request, OK),
				 filled + (filled == rooms[i]));
		assert_memory_equal(f->data, "serial\0\0\0\0\0\0\0\0\0\0\0\0\0\0", filled);
		assert_int_equal(f->data[filled], 0xee);
	}
}

/* --- what the host does --- */

static void test_block_request_goes_on_after_a_part(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(offer(f, READ, 4, 4096, 1000), GOES_ON);
	step(f, BLOCK_READ, 1500);
	assert_true(block_request_next(&f->request, &f->disk));
	assert_int_equal(f->request.op.off, 4 * 512 + 1500);
	assert_ptr_equal(f->request.op.iov[0].iov_base, f->data + 1500);
	assert_int_equal(f->request.op.iov[0].iov_len, 500);
	step(f, BLOCK_READ, -EAGAIN);
	step(f, BLOCK_READ, -EINTR);
	step(f, BLOCK_READ, 2596);
	expect_end(f, OK, 4097);
	assert_int_equal(offer(f, WRITE, 4, 4096, 1000), GOES_ON);
	step(f, BLOCK_WRITE, 1);
	step(f, BLOCK_WRITE, 4095);
	expect_end(f, OK, 1);
}

static void test_block_request_fails(void **state)
{
	static const int errors[] = {-EIO, -ENOSPC, -ENOMEM, -EBADF};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(errors); i++) {
		assert_int_equal(offer(f, READ, 0, 1024, 512), GOES_ON);
		step(f, BLOCK_READ, 512);
		step(f, BLOCK_READ, errors[i]);
		assert_int_equal(f->request.error, errors[i]);
		expect_end(f, IOERR, 512); /* what was read before it, without the status */
		assert_int_equal(offer(f, FLUSH, 0, 0, 1), GOES_ON);
		step(f, BLOCK_FLUSH, errors[i]);
		expect_end(f, IOERR, 1);
		assert_int_equal(offer_range(f, ZEROES, 0, 1, 0), GOES_ON);
		step(f, BLOCK_FALLOCATE, errors[i]);
		expect_end(f, IOERR, 1);
	}
	assert_int_equal(offer(f, READ, 0, 512, 512), GOES_ON);
	step(f, BLOCK_READ, 0); /* the image was made shorter */
	expect_end(f, IOERR, 0);
}

static void test_block_request_ranges(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(offer_range(f, DISCARD, 8, 16, 0), GOES_ON);
	step(f, BLOCK_FALLOCATE, 0);
	assert_int_equal(f->request.op.mode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	assert_int_equal(f->request.op.off, 8 * 512);
	assert_int_equal(f->request.op.len, 16 * 512);
	expect_end(f, OK, 1);
	assert_int_equal(offer_range(f, DISCARD, 8, 16, 0), GOES_ON);
	step(f, BLOCK_FALLOCATE, -EOPNOTSUPP); /* advice that cannot be taken */
	expect_end(f, OK, 1);
	assert_int_equal(offer_range(f, ZEROES, 8, 16, 0), GOES_ON);
	step(f, BLOCK_FALLOCATE, 0);
	assert_int_equal(f->request.op.mode, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	expect_end(f, OK, 1);
}

/* Zeroes must be read afterwards, by whatever way. */
static void test_block_request_writes_zeroes(void **state)
{
	struct fixture *f = *state;
	uint64_t len = 0;

	f->disk.image.size = 1ULL << 30;
	assert_int_equal(offer_range(f, ZEROES, 8, BLOCK_ZEROES_SECTORS_MAX, 1), GOES_ON);
	step(f, BLOCK_FALLOCATE, -EOPNOTSUPP);
	assert_true(block_request_next(&f->request, &f->disk));
	assert_int_equal(f->request.op.type, BLOCK_WRITE);
	assert_int_equal(f->request.op.off, 8 * 512);
	for (unsigned int i = 0; i < f->request.op.iovs; i++) {
		const uint8_t *bytes = f->request.op.iov[i].iov_base;

		assert_true(!bytes[0] && !bytes[f->request.op.iov[i].iov_len - 1]);
		len += f->request.op.iov[i].iov_len;
	}
	assert_int_equal(len, BLOCK_ZEROES_SECTORS_MAX * 512ULL);
	step(f, BLOCK_WRITE, 1000000);
	step(f, BLOCK_WRITE, (int64_t)len - 1000000);
	expect_end(f, OK, 1);
}

static void test_block_request_without_cache(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(offer(f, WRITE, 0, 512, 512), GOES_ON);
	step(f, BLOCK_WRITE, 512);
	assert_false(f->request.op.stable);
	expect_end(f, OK, 1);
	stable = true;
	assert_int_equal(offer(f, WRITE, 0, 512, 512), GOES_ON);
	step(f, BLOCK_WRITE, 512);
	assert_true(f->request.op.stable);
	expect_end(f, OK, 1);
	assert_int_equal(offer_range(f, ZEROES, 0, 1, 0), GOES_ON);
	step(f, BLOCK_FALLOCATE, 0);
	step(f, BLOCK_FLUSH, 0);
	expect_end(f, OK, 1);
}

/* --- direct I/O --- */

static void test_block_request_bounces(void **state)
{
	struct fixture *f = *state;
	struct block_request *request = &f->request;

	f->disk.image.memory_align = 512;
	assert_int_equal(offer(f, WRITE, 0, 4096, 1024), GOES_ON);
	assert_true(block_request_next(request, &f->disk));
	assert_ptr_equal(request->op.iov[0].iov_base, f->data); /* aligned: as it is */
	assert_int_equal(request->op.iovs, 4);
	assert_null(request->bounce);

	assert_int_equal(offer(f, WRITE, 0, 4096, 1000), GOES_ON);
	assert_true(block_request_next(request, &f->disk));
	assert_int_equal(request->op.iovs, 1);
	assert_int_equal((uintptr_t)request->op.iov[0].iov_base % 4096, 0);
	assert_int_equal(request->op.iov[0].iov_len, 4096);
	assert_memory_equal(request->op.iov[0].iov_base, f->data, 4096);
	step(f, BLOCK_WRITE, 512);
	step(f, BLOCK_WRITE, 3584);
	expect_end(f, OK, 1);
	assert_null(request->bounce);

	assert_int_equal(offer(f, READ, 0, 1024, 100), GOES_ON);
	assert_true(block_request_next(request, &f->disk));
	memset(request->bounce, 0x5c, 1024);
	step(f, BLOCK_READ, 512);
	assert_int_equal(f->data[511], 0x5c);
	assert_int_not_equal(f->data[512], 0x5c);
	assert_true(block_request_next(request, &f->disk));
	memset(request->bounce, 0x6d, 512);
	step(f, BLOCK_READ, 512);
	assert_int_equal(f->data[512], 0x6d);
	assert_int_equal(f->data[1023], 0x6d);
	expect_end(f, OK, 1025);
}

static void test_block_request_of_large_blocks(void **state)
{
	struct fixture *f = *state;

	f->disk.image.memory_align = f->disk.image.block_size = 4096;
	assert_int_equal(offer(f, READ, 0, 512, 512), IOERR);
	assert_int_equal(offer(f, READ, 1, 4096, 4096), IOERR);
	assert_int_equal(offer(f, READ, 8, 4096, 512), GOES_ON);
	assert_int_equal(offer_range(f, ZEROES, 4, 8, 0), IOERR);
	assert_int_equal(offer_range(f, ZEROES, 8, 8, 0), GOES_ON);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_block_request_parses),
		TEST(test_block_request_parses_ranges),
		TEST(test_block_request_read_only),
		TEST(test_block_request_without_frame),
		TEST(test_block_request_of_two_pieces),
		TEST(test_block_request_id),
		TEST(test_block_request_goes_on_after_a_part),
		TEST(test_block_request_fails),
		TEST(test_block_request_ranges),
		TEST(test_block_request_writes_zeroes),
		TEST(test_block_request_without_cache),
		TEST(test_block_request_bounces),
		TEST(test_block_request_of_large_blocks),
	};

	return cmocka_run_group_tests_name("block_request", tests, NULL, NULL);
}
