/*
 * Writes numbered blocks to the disk for ever, flushes after some, and says each time how far it
 * got: "acked 0xN" means that blocks 1 to N were written and flushed. The host (host/power_cut.c)
 * ends the VMM in the middle and looks. Option: blocks=N of the disk, which is used round and
 * round.
 */
#include "guest-tests/bare/lib_blk.h"

#define BLOCK 4096U
#define IN_FLIGHT 8U

static struct virtio dev;
static struct queue queue;
static uint64_t block[IN_FLIGHT][BLOCK / 8] __attribute__((aligned(4096)));

/* A block full of its number: torn or stale ones show. */
static void number_block(uint64_t *at, uint64_t number)
{
	for (unsigned int i = 0; i < BLOCK / 8; i++)
		at[i] = number;
}

static bool write_some(uint64_t first, unsigned int count, uint64_t blocks)
{
	uint16_t before = queue.avail.idx;
	bool good = true;

	for (unsigned int i = 0; i < count; i++) {
		number_block(block[i], first + i);
		blk_offer(&queue, i, LAYOUT_INDIRECT, BLK_OUT,
			  (first + i) % blocks * (BLOCK / SECTOR), block[i], BLOCK);
	}
	queue_kick_if_wanted(&queue, before);
	good = queue_wait(&queue, (uint16_t)count);
	for (unsigned int i = 0; i < count; i++) {
		queue_take(&queue);
		good &= blk_status(i) == BLK_OK;
	}
	return good && blk_do(&queue, LAYOUT_INDIRECT, BLK_FLUSH, 0, NULL, 0) == BLK_OK;
}

void test(void)
{
	uint64_t blocks = (uint64_t)option("blocks"), next = 1;
	unsigned int count = 1;

	if (!virtio_find(VIRTIO_ID_BLOCK, 0, &dev) ||
	    !blk_setup(&dev, &queue, 1, FEATURE(VIRTIO_F_VERSION_1) |
		       FEATURE(VIRTIO_BLK_F_FLUSH) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC) |
		       FEATURE(VIRTIO_RING_F_EVENT_IDX), false)) {
		report("there is a disk", false);
		return;
	}
	while (write_some(next, count, blocks)) {
		next += count;
		count = count % IN_FLIGHT + 1;
		print("acked ");
		print_hex(next - 1);
		print("\n");
	}
	report("a write is answered well", false);
}
