/*
 * A disk whose host fails it: its file system is full before the disk is, or (gone=1) its file is
 * cut to nothing. The driver gets I/O errors, the device lives, and what can go on goes on.
 * tests/program/check-disk makes such hosts, and looks at the events.
 */
#include "guest-tests/bare/lib_blk.h"

#define BLOCK 4096U
#define SECTORS (BLOCK / SECTOR)
#define ROOM 16U /* blocks given back */
#define FEATURES (FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_BLK_F_FLUSH) | \
		  FEATURE(VIRTIO_BLK_F_DISCARD))

static struct virtio dev;
static struct queue queue;
static uint64_t block[BLOCK / 8] __attribute__((aligned(4096)));

static uint8_t write_block(uint64_t number)
{
	for (unsigned int i = 0; i < BLOCK / 8; i++)
		block[i] = ~number;
	return blk_do(&queue, LAYOUT_PLAIN, BLK_OUT, number * SECTORS, block, BLOCK);
}

static uint8_t read_block(uint64_t number)
{
	memset(block, 0, BLOCK);
	return blk_do(&queue, LAYOUT_PLAIN, BLK_IN, number * SECTORS, block, BLOCK);
}

static bool holds(uint64_t number)
{
	return read_block(number) == BLK_OK && block[0] == ~number &&
	       block[BLOCK / 8 - 1] == ~number;
}

static void fill_up(uint64_t blocks)
{
	uint8_t status = BLK_OK;
	uint64_t failed = 0;

	while (failed < blocks && (status = write_block(failed)) == BLK_OK)
		failed++;
	report("some blocks are written, not all", failed > ROOM && failed < blocks);
	report_equal("then: an I/O error", status, BLK_IOERR);
	report_equal("the next one, too", write_block(failed + 1), BLK_IOERR);
	report("what was written is there", holds(0) && holds(failed - 1));
	report_equal("flush", blk_do(&queue, LAYOUT_PLAIN, BLK_FLUSH, 0, NULL, 0), BLK_OK);
	report_equal("some are given back", blk_do_range(&queue, BLK_DISCARD, 0, ROOM * SECTORS, 0),
		     BLK_OK);
	report("there is room again", write_block(failed) == BLK_OK && holds(failed));
}

void test(void)
{
	uint8_t status;

	if (!virtio_find(VIRTIO_ID_BLOCK, 0, &dev) ||
	    !blk_setup(&dev, &queue, 1, FEATURES, false)) {
		report("there is a disk", false);
		return;
	}
	if (option("gone") <= 0) {
		fill_up(MMIO(uint32_t, dev.config) / SECTORS);
		return;
	}
	print("reading\n");
	while ((status = read_block(0)) == BLK_OK)
		;
	report_equal("a read of what is no more: an I/O error", status, BLK_IOERR);
	report_equal("the device does not need a reset",
		     virtio_needs_reset(&dev), 0);
}
