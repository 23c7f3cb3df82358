/*
 * A disk that another process serves: qemu-storage-daemon, which guest-tests/bare/run starts beside
 * this guest, with a disk as that of virtio-blk.c. Nothing that the process itself would have to
 * refuse is asked for; resets and Bus Master, which are the VMM's part, are. Options: sectors=N,
 * queues=N.
 */
#include "guest-tests/bare/lib_blk.h"
#include "guest-tests/bare/lib_irq.h"
#include "guest-tests/bare/lib_pci.h"

#define VECTOR_QUEUE VECTOR_FIRST
#define WAIT_MS 20000
#define BASE_FEATURES (FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_BLK_F_FLUSH))
#define RING_FEATURES (FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | FEATURE(VIRTIO_RING_F_EVENT_IDX))
#define CHUNK (8 * SECTOR)
#define SLOTS 16U
#define QUEUES_MAX 4U

static struct virtio dev;
static struct queue queue[QUEUES_MAX];
static uint8_t buffer[SLOTS][CHUNK] __attribute__((aligned(4096)));
static uint64_t sectors, offered;
static unsigned int queues;

static uint8_t read_sectors(enum layout layout, uint64_t sector, void *to, uint32_t len)
{
	memset(to, 0xa5, len);
	return blk_do(&queue[0], layout, BLK_IN, sector, to, len);
}

static bool has(unsigned int feature)
{
	return offered & FEATURE(feature);
}

static void check_identity(void)
{
	uint64_t count = dev.config + offsetof(struct virtio_blk_config, num_queues);

	report_equal("it is at 00:1a.0", dev.bdf, 0x1a << 3);
	report_equal("number of queues", virtio_read(&dev, VIRTIO_PCI_COMMON_NUMQ, 2), queues);
	report_equal("in its configuration, too", MMIO(uint16_t, count), queues);
	report_equal("capacity", MMIO(uint32_t, dev.config), sectors);
	report("modern, flush", has(VIRTIO_F_VERSION_1) && has(VIRTIO_BLK_F_FLUSH));
	report("several queues where there are", has(VIRTIO_BLK_F_MQ) == (queues > 1));
	report("nothing of the protocol's own, no packed ring", !has(30) && !has(34));
}

static bool transfers(enum layout layout)
{
	bool good = !read_sectors(layout, 7, buffer[0], CHUNK);

	for (unsigned int i = 0; i < CHUNK / SECTOR; i++)
		good &= blk_is_numbered(buffer[0] + i * SECTOR, 7 + i);
	memset(buffer[1], 0x5a ^ layout, CHUNK);
	good &= !blk_do(&queue[0], layout, BLK_OUT, 50, buffer[1], CHUNK);
	good &= !read_sectors(LAYOUT_PLAIN, 50, buffer[0], CHUNK);
	good &= !memcmp(buffer[0], buffer[1], CHUNK);
	return good && !blk_do(&queue[0], LAYOUT_PLAIN, BLK_FLUSH, 0, NULL, 0);
}

static void check_transfers(void)
{
	report("a ring without features", blk_setup(&dev, queue, 1, BASE_FEATURES, false));
	report("plain", transfers(LAYOUT_PLAIN));
	report("scattered", transfers(LAYOUT_SCATTERED));
	report("a ring with all", blk_setup(&dev, queue, 1,
					    BASE_FEATURES | (offered & RING_FEATURES), false));
	report("plain", transfers(LAYOUT_PLAIN));
	report("indirect", transfers(LAYOUT_INDIRECT));
}

/* More than the ring has entries, so that every index wraps. */
static void check_many(void)
{
	bool good = true;

	for (unsigned int round = 0; round < 20 && good; round++) {
		uint16_t before = queue[0].avail.idx;

		for (unsigned int slot = 0; slot < SLOTS; slot++)
			blk_offer(&queue[0], slot, slot % 2 ? LAYOUT_INDIRECT : LAYOUT_PLAIN,
				  BLK_IN, round + slot, buffer[slot], SECTOR);
		queue_kick_if_wanted(&queue[0], before);
		good = queue_wait(&queue[0], SLOTS);
		for (unsigned int slot = 0; slot < SLOTS; slot++) {
			queue_take(&queue[0]);
			good &= !blk_status(slot) && blk_is_numbered(buffer[slot], round + slot);
		}
	}
	report("320 reads, 16 at a time", good);
}

static void check_queues(void)
{
	bool good = true;

	msix_enable(dev.bdf);
	for (unsigned int i = 0; i < queues; i++) {
		irq_take(VECTOR_QUEUE + i, NULL);
		msix_route(dev.bdf, 1 + i, VECTOR_QUEUE + i);
	}
	report("set up", blk_setup(&dev, queue, queues, BASE_FEATURES |
				   (queues > 1 ? FEATURE(VIRTIO_BLK_F_MQ) : 0), true));
	for (unsigned int i = 0; i < queues; i++)
		blk_offer(&queue[i], i, LAYOUT_PLAIN, BLK_IN, 10 * i, buffer[i], SECTOR);
	for (unsigned int i = 0; i < queues; i++)
		queue_kick(&queue[i]);
	for (unsigned int i = 0; i < queues; i++) {
		good &= queue_wait(&queue[i], 1) && !blk_status(i) &&
			blk_is_numbered(buffer[i], 10 * i);
		good &= irq_wait(VECTOR_QUEUE + i, 1, WAIT_MS);
	}
	report("every queue answers, by its own vector", good);
}

/* From the end of a reset on the memory is ours, though the process may have requests. */
static void check_reset_in_flight(void)
{
	uint8_t seen[SLOTS];

	for (unsigned int round = 0; round < 20; round++) {
		report("set up", blk_setup(&dev, queue, 1, BASE_FEATURES, true));
		for (unsigned int slot = 0; slot < SLOTS; slot++)
			blk_offer(&queue[0], slot, LAYOUT_PLAIN, BLK_IN, slot, buffer[slot],
				  CHUNK);
		queue_kick(&queue[0]);
		virtio_reset(&dev);
		memset(buffer, 0xee, sizeof(buffer));
		for (unsigned int slot = 0; slot < SLOTS; slot++)
			seen[slot] = blk_status(slot);
		for (unsigned int i = 0; i < 300; i++)
			virtio_status(&dev);
		for (unsigned int slot = 0; slot < SLOTS; slot++)
			if (blk_status(slot) != seen[slot] || buffer[slot][0] != 0xee ||
			    buffer[slot][CHUNK - 1] != 0xee)
				report("nothing is written after a reset", false);
	}
	report("20 resets in flight", true);
}

static void check_bus_master(void)
{
	report("set up", blk_setup(&dev, queue, 1, BASE_FEATURES, true));
	report_equal("a read", read_sectors(LAYOUT_PLAIN, 6, buffer[0], SECTOR), 0);
	pci_change(dev.bdf, PCI_COMMAND, 2, PCI_COMMAND_MASTER, 0);
	blk_offer(&queue[0], 1, LAYOUT_PLAIN, BLK_IN, 5, buffer[1], SECTOR);
	queue_kick(&queue[0]);
	for (unsigned int i = 0; i < 300; i++)
		virtio_status(&dev);
	report("no Bus Master, no access to memory", !queue_has_used(&queue[0]));
	pci_change(dev.bdf, PCI_COMMAND, 2, 0, PCI_COMMAND_MASTER);
	report("it goes on where it was", queue_wait(&queue[0], 1) && !blk_status(1) &&
	       blk_is_numbered(buffer[1], 5));
	queue_take(&queue[0]);
	report_equal("and further", read_sectors(LAYOUT_PLAIN, 6, buffer[0], SECTOR), 0);
}

void test(void)
{
	sectors = (uint64_t)option("sectors");
	queues = option("queues") > 0 ? (unsigned int)option("queues") : 1;
	if (queues > QUEUES_MAX)
		queues = QUEUES_MAX;
	irq_init();
	if (!virtio_find(VIRTIO_ID_BLOCK, 0, &dev)) {
		report("there is a disk", false);
		return;
	}
	offered = virtio_features(&dev);
	check_identity();
	check_transfers();
	check_many();
	check_queues();
	check_reset_in_flight();
	check_bus_master();
	report("every sector is written",
	       blk_setup(&dev, queue, 1, BASE_FEATURES | (offered & RING_FEATURES), true) &&
	       blk_turn_around(&queue[0], sectors, buffer[0], CHUNK));
}
