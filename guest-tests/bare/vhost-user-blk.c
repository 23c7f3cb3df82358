/*
 * A disk (lib_disk.h) that another process serves: qemu-storage-daemon, which guest-tests/bare/run
 * starts beside this guest. Nothing that the process itself would have to refuse is asked for;
 * resets and Bus Master, which are the VMM's part, are.
 */
#include "guest-tests/bare/lib_disk.h"

static struct disk disk;

static bool has(unsigned int feature)
{
	return disk.offered & FEATURE(feature);
}

static void check_identity(void)
{
	uint64_t count = disk.dev.config + offsetof(struct virtio_blk_config, num_queues);

	report_equal("it is at 00:1a.0", disk.dev.bdf, 0x1a << 3);
	report_equal("number of queues", virtio_read(&disk.dev, VIRTIO_PCI_COMMON_NUMQ, 2),
		     disk.queues);
	report_equal("in its configuration, too", MMIO(uint16_t, count), disk.queues);
	report_equal("capacity", MMIO(uint32_t, disk.dev.config), disk.sectors);
	report("modern, flush", has(VIRTIO_F_VERSION_1) && has(VIRTIO_BLK_F_FLUSH));
	report("several queues where there are", has(VIRTIO_BLK_F_MQ) == (disk.queues > 1));
	report("nothing of the protocol's own, no packed ring", !has(30) && !has(34));
}

static void check_transfers(void)
{
	report("a ring without features", disk_setup(&disk, BASE_FEATURES, false));
	report("plain", disk_transfers(&disk, LAYOUT_PLAIN));
	report("scattered", disk_transfers(&disk, LAYOUT_SCATTERED));
	report("a ring with all", disk_setup(&disk, BASE_FEATURES | RING_FEATURES, false));
	report("plain", disk_transfers(&disk, LAYOUT_PLAIN));
	report("indirect", disk_transfers(&disk, LAYOUT_INDIRECT));
}

void test(void)
{
	/* After a table behind a plain descriptor, qemu-storage-daemon 7.2 answers no more. */
	static const enum layout layouts[] = {LAYOUT_PLAIN, LAYOUT_INDIRECT, LAYOUT_SCATTERED};

	if (!disk_find(&disk))
		return;
	check_identity();
	check_transfers();
	disk_check_many(&disk, layouts, ARRAY_SIZE(layouts));
	disk_check_queues(&disk);
	disk_check_resets(&disk);
	disk_check_bus_master(&disk);
	disk_turn_around(&disk);
}
