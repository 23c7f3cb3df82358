#include "guest-tests/bare/lib_disk.h"

#include "guest-tests/bare/lib_pci.h"

bool disk_find(struct disk *disk)
{
	disk->sectors = (uint64_t)option("sectors");
	disk->queues = option("queues") > 0 ? (unsigned int)option("queues") : 1;
	disk->read_only = option("ro") > 0;
	irq_init();
	if (!virtio_find(VIRTIO_ID_BLOCK, 0, &disk->dev)) {
		report("there is a disk", false);
		return false;
	}
	disk->offered = virtio_features(&disk->dev);
	return true;
}

bool disk_setup(struct disk *disk, uint64_t features, bool msix)
{
	return blk_setup(&disk->dev, disk->queue, 1, features, msix);
}

uint8_t disk_read(struct disk *disk, enum layout layout, uint64_t sector, uint32_t len)
{
	memset(disk->buffer[0], 0xa5, len);
	return blk_do(disk->queue, layout, BLK_IN, sector, disk->buffer[0], len);
}

/* --- transfers --- */

static bool reads_numbers(struct disk *disk, enum layout layout, uint64_t sector, uint32_t len)
{
	bool good = disk_read(disk, layout, sector, len) == BLK_OK;

	for (unsigned int i = 0; i < len / SECTOR; i++)
		good &= blk_is_numbered(disk->buffer[0] + i * SECTOR, sector + i);
	return good;
}

static bool write_other(struct disk *disk, enum layout layout, uint64_t sector)
{
	bool good;

	memset(disk->buffer[1], 0x5a ^ layout, CHUNK);
	good = !blk_do(disk->queue, layout, BLK_OUT, sector, disk->buffer[1], CHUNK);
	good &= !disk_read(disk, LAYOUT_PLAIN, sector, CHUNK);
	return good && !memcmp(disk->buffer[0], disk->buffer[1], CHUNK);
}

uint8_t disk_write_numbers(struct disk *disk, enum layout layout, uint64_t sector, uint32_t len)
{
	for (unsigned int i = 0; i < len / SECTOR; i++)
		blk_number(disk->buffer[0] + i * SECTOR, sector + i);
	return blk_do(disk->queue, layout, BLK_OUT, sector, disk->buffer[0], len);
}

bool disk_transfers(struct disk *disk, enum layout layout)
{
	static const uint64_t places[] = {0, 1, 7, 100};
	bool good = true;

	for (unsigned int i = 0; i < ARRAY_SIZE(places); i++)
		good &= reads_numbers(disk, layout, places[i], CHUNK);
	good &= reads_numbers(disk, layout, disk->sectors - 1, SECTOR);
	if (disk->read_only)
		return good;
	good &= write_other(disk, layout, 50);
	good &= !disk_write_numbers(disk, layout, 50, CHUNK);
	return good && !blk_do(disk->queue, layout, BLK_FLUSH, 0, NULL, 0);
}

/* Two bytes off any alignment. */
void disk_check_many(struct disk *disk, const enum layout *layouts, unsigned int count)
{
	struct queue *queue = disk->queue;
	bool good = true;

	for (unsigned int round = 0; round < 20 && good; round++) {
		uint16_t before = queue->avail.idx;

		for (unsigned int slot = 0; slot < DISK_SLOTS; slot++)
			blk_offer(queue, slot, layouts[slot % count], BLK_IN, round + slot,
				  disk->buffer[slot] + 2, SECTOR);
		queue_kick_if_wanted(queue, before);
		good = queue_wait(queue, DISK_SLOTS);
		for (unsigned int slot = 0; slot < DISK_SLOTS; slot++) {
			queue_take(queue);
			good &= !blk_status(slot) &&
				blk_is_numbered(disk->buffer[slot] + 2, round + slot);
		}
	}
	report("320 reads, 16 at a time", good);
}

void disk_turn_around(struct disk *disk)
{
	report("every sector is written",
	       disk_setup(disk, BASE_FEATURES | RING_FEATURES, true) &&
	       blk_turn_around(disk->queue, disk->sectors, disk->buffer[0], CHUNK));
}

/* --- queues --- */

void disk_check_queues(struct disk *disk)
{
	uint64_t features = BASE_FEATURES | RING_FEATURES;
	unsigned int queues = disk->queues < DISK_QUEUES_MAX ? disk->queues : DISK_QUEUES_MAX;
	struct queue *queue = disk->queue;
	bool good = true;

	for (unsigned int i = 0; i < queues; i++) {
		irq_take(VECTOR_QUEUE + i, NULL);
		msix_route(disk->dev.bdf, 1 + i, VECTOR_QUEUE + i);
	}
	msix_enable(disk->dev.bdf);
	if (queues > 1)
		features |= FEATURE(VIRTIO_BLK_F_MQ);
	report("set up", blk_setup(&disk->dev, queue, queues, features, true));
	for (unsigned int i = 0; i < queues; i++) {
		queue[i].avail.used_event = 0;
		blk_offer(&queue[i], i, LAYOUT_INDIRECT, BLK_IN, 10 * i, disk->buffer[i], SECTOR);
	}
	for (unsigned int i = 0; i < queues; i++)
		queue_kick(&queue[i]);
	for (unsigned int i = 0; i < queues; i++) {
		good &= queue_wait(&queue[i], 1) && !blk_status(i) &&
			blk_is_numbered(disk->buffer[i], 10 * i);
		good &= irq_wait(VECTOR_QUEUE + i, 1, WAIT_MS);
	}
	report("every queue answers, by its own vector", good);
}

/* --- reset and Bus Master --- */

/* What would have come by now, had anything been on its way. */
static void linger(const struct disk *disk)
{
	for (unsigned int i = 0; i < 300; i++)
		virtio_status(&disk->dev);
}

static bool stays_untouched(struct disk *disk)
{
	uint8_t seen[DISK_SLOTS];
	bool good = true;

	memset(disk->buffer, 0xee, sizeof(disk->buffer));
	for (unsigned int slot = 0; slot < DISK_SLOTS; slot++)
		seen[slot] = blk_status(slot);
	linger(disk);
	for (unsigned int slot = 0; slot < DISK_SLOTS; slot++)
		good &= blk_status(slot) == seen[slot] && disk->buffer[slot][0] == 0xee &&
			disk->buffer[slot][CHUNK - 1] == 0xee;
	return good;
}

void disk_check_resets(struct disk *disk)
{
	for (unsigned int round = 0; round < 20; round++) {
		report("set up", disk_setup(disk, BASE_FEATURES | RING_FEATURES, true));
		for (unsigned int slot = 0; slot < DISK_SLOTS; slot++)
			blk_offer(disk->queue, slot, LAYOUT_PLAIN, BLK_IN, slot,
				  disk->buffer[slot], CHUNK);
		queue_kick(disk->queue);
		virtio_reset(&disk->dev);
		report("nothing is written after a reset", stays_untouched(disk));
	}
}

void disk_check_bus_master(struct disk *disk)
{
	struct queue *queue = disk->queue;

	report("set up", disk_setup(disk, BASE_FEATURES, true));
	report_equal("a read", disk_read(disk, LAYOUT_PLAIN, 6, SECTOR), 0);
	pci_change(disk->dev.bdf, PCI_COMMAND, 2, PCI_COMMAND_MASTER, 0);
	blk_offer(queue, 1, LAYOUT_PLAIN, BLK_IN, 5, disk->buffer[1], SECTOR);
	queue_kick(queue);
	linger(disk);
	report("no Bus Master, no access to memory", !queue_has_used(queue));
	pci_change(disk->dev.bdf, PCI_COMMAND, 2, 0, PCI_COMMAND_MASTER);
	report("it goes on where it was", queue_wait(queue, 1) && !blk_status(1) &&
	       blk_is_numbered(disk->buffer[1], 5));
	queue_take(queue);
	report_equal("and further", disk_read(disk, LAYOUT_PLAIN, 6, SECTOR), 0);
}
