/*
 * The virtio disk (lib_disk.h), driven well and badly: the order of what virtio-blk/ checks.
 * Option besides those of every disk: id=WORD, what it says that it is.
 */
#include "guest-tests/bare/virtio-blk/checks.h"

struct disk disk;

void test(void)
{
	static const enum layout layouts[] = {LAYOUT_PLAIN, LAYOUT_INDIRECT, LAYOUT_SCATTERED,
					      LAYOUT_TAIL};

	if (!disk_find(&disk))
		return;
	check_identity();
	check_features();
	check_registers();
	check_config_window();
	check_transfers();
	disk_check_many(&disk, layouts, ARRAY_SIZE(layouts));
	check_id();
	check_refusals();
	if (!disk.read_only)
		check_ranges();
	check_cache();
	check_intx();
	check_msix();
	check_mask();
	disk_check_queues(&disk);
	disk_check_resets(&disk);
	disk_check_bus_master(&disk);
	check_nonsense();
	check_bad_rings();
	if (!disk.read_only)
		disk_turn_around(&disk);
}
