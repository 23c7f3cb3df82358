/*
 * Has every disk running, and reads from each without end: for tests/program/check-hung-back-end.
 * Says "disks N" when all of them run, however long that takes. With idle=1 it reads nothing. A
 * press of the power button sends it to sleep in S3, after which it begins anew; with again=1 it
 * resets the disks instead, and says "resetting" before.
 */
#include "guest-tests/bare/lib_blk.h"
#include "guest-tests/bare/lib_sleep.h"

#define DISKS_MAX 2U

static struct virtio disk[DISKS_MAX];
static struct queue queue[DISKS_MAX];
static uint8_t buffer[DISKS_MAX][SECTOR];

static void offer(unsigned int i)
{
	blk_offer(&queue[i], i, LAYOUT_PLAIN, BLK_IN, 0, buffer[i], SECTOR);
	queue_kick(&queue[i]);
}

static void begin(unsigned int i)
{
	while (!blk_setup(&disk[i], &queue[i], 1, FEATURE(VIRTIO_F_VERSION_1), false))
		;
	if (option("idle") <= 0)
		offer(i);
}

static void read_until_pressed(unsigned int disks)
{
	while (!(pm1_status() & PM1_PWRBTN))
		for (unsigned int i = 0; i < disks; i++) {
			if (!queue_has_used(&queue[i]))
				continue;
			queue_take(&queue[i]);
			offer(i);
		}
}

static bool begin_anew(void)
{
	if (option("again") > 0) {
		print("resetting\n");
		return true;
	}
	return sleep_s3(SLEEP_REAL_MODE);
}

void test(void)
{
	do {
		unsigned int disks = 0;

		while (disks < DISKS_MAX && virtio_find(VIRTIO_ID_BLOCK, disks, &disk[disks]))
			begin(disks++);
		pm1_clear(0xffff);
		print("disks ");
		print_number(disks);
		print("\n");
		read_until_pressed(disks);
		pm1_clear(0xffff);
	} while (begin_anew());
}
