/* What a driver asks of the disk, in any layout; and what is refused. */
#include "guest-tests/bare/virtio-blk/checks.h"

static bool is_zero(const uint8_t *bytes, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		if (bytes[i])
			return false;
	return true;
}

static const struct {
	const char *name;
	uint64_t features;
} rings[] = {
	{"plain ring", ALL & ~RING_FEATURES},
	{"indirect", ALL & ~FEATURE(VIRTIO_RING_F_EVENT_IDX)},
	{"event index", ALL & ~FEATURE(VIRTIO_RING_F_INDIRECT_DESC)},
	{"both", ALL},
};

void check_transfers(void)
{
	static const char *const names[] = {"plain", "indirect", "scattered", "tail"};

	for (unsigned int i = 0; i < ARRAY_SIZE(rings); i++) {
		report(rings[i].name, disk_setup(&disk, disk.offered & rings[i].features, false));
		for (enum layout layout = 0; layout < LAYOUTS; layout++) {
			bool table = layout == LAYOUT_INDIRECT || layout == LAYOUT_TAIL;

			if (!table || rings[i].features & FEATURE(VIRTIO_RING_F_INDIRECT_DESC))
				report(join(rings[i].name, names[layout]),
				       disk_transfers(&disk, layout));
		}
	}
}

void check_id(void)
{
	char id[VIRTIO_BLK_ID_BYTES + 1] = {0}, expected[VIRTIO_BLK_ID_BYTES + 1] = {0};

	option_word("id", expected, sizeof(expected));
	report_equal("get ID", blk_do(queue, LAYOUT_PLAIN, VIRTIO_BLK_T_GET_ID, 0, id,
				      VIRTIO_BLK_ID_BYTES), BLK_OK);
	report("the ID", !memcmp(id, expected, VIRTIO_BLK_ID_BYTES));
}

/* What is refused is answered, and nothing is written. */
static const struct {
	const char *name;
	uint32_t type;
	uint64_t sector; /* relative to the end of the disk for those that say so */
	uint32_t len;
	uint8_t status;
	bool from_end;
} refusals[] = {
	{"read beyond the end", BLK_IN, 0, SECTOR, BLK_IOERR, true},
	{"read across the end", BLK_IN, (uint64_t)-1, 2 * SECTOR, BLK_IOERR, true},
	{"read at the largest sector", BLK_IN, UINT64_MAX, SECTOR, BLK_IOERR, false},
	{"read where bytes overflow", BLK_IN, 1ULL << 55, SECTOR, BLK_IOERR, false},
	{"write where bytes overflow", BLK_OUT, 1ULL << 55, SECTOR, BLK_IOERR, false},
	{"write beyond the end", BLK_OUT, 0, SECTOR, BLK_IOERR, true},
	{"half a sector", BLK_IN, 0, SECTOR / 2, BLK_IOERR, false},
	{"half a sector, written", BLK_OUT, 0, SECTOR / 2, BLK_IOERR, false},
	{"a SCSI command", VIRTIO_BLK_T_SCSI_CMD, 0, SECTOR, BLK_UNSUPP, false},
	{"secure erase", VIRTIO_BLK_T_SECURE_ERASE, 0, 16, BLK_UNSUPP, false},
	{"an unknown type", 0xdeadbeef, 0, SECTOR, BLK_UNSUPP, false},
};

static const struct {
	const char *name;
	uint32_t type;
	uint64_t sector;
	uint32_t count, flags;
	uint8_t status;
} ranges[] = {
	{"discard with unmap", BLK_DISCARD, 0, 1, 1, BLK_UNSUPP},
	{"discard with an unknown flag", BLK_DISCARD, 0, 1, 2, BLK_UNSUPP},
	{"write zeroes with an unknown flag", BLK_ZEROES, 0, 1, 4, BLK_UNSUPP},
	{"discard that overflows", BLK_DISCARD, UINT64_MAX, 2, 0, BLK_IOERR},
	{"write zeroes that overflow", BLK_ZEROES, UINT64_MAX - 1, 8, 0, BLK_IOERR},
	{"write zeroes whose bytes overflow", BLK_ZEROES, 1ULL << 55, 8, 1, BLK_IOERR},
	{"discard of too much", BLK_DISCARD, 0, UINT32_MAX, 0, BLK_IOERR},
};

void check_refusals(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(refusals); i++) {
		uint64_t sector = refusals[i].sector + (refusals[i].from_end ? disk.sectors : 0);

		memset(disk.buffer[0], 0x77, CHUNK);
		report_equal(refusals[i].name, blk_do(queue, LAYOUT_PLAIN, refusals[i].type,
						      sector, disk.buffer[0], refusals[i].len),
			     refusals[i].status);
		report("and touches nothing", disk.buffer[0][0] == 0x77);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++)
		report_equal(ranges[i].name, blk_do_range(queue, ranges[i].type,
							  ranges[i].sector, ranges[i].count,
							  ranges[i].flags),
			     disk.read_only ? BLK_UNSUPP : ranges[i].status);
	if (disk.read_only)
		report_equal("a write to a read-only disk",
			     blk_do(queue, LAYOUT_PLAIN, BLK_OUT, 0, disk.buffer[0],
				    SECTOR), BLK_IOERR);
	report("the first sector is as it was",
	       !disk_read(&disk, LAYOUT_PLAIN, 0, SECTOR) && blk_is_numbered(disk.buffer[0], 0));
}

void check_ranges(void)
{
	for (uint32_t flags = 0; flags < 2; flags++) {
		report_equal("write zeroes", blk_do_range(queue, BLK_ZEROES, 33, 5, flags), 0);
		report("zeroes are read", !disk_read(&disk, LAYOUT_PLAIN, 32, 7 * SECTOR) &&
		       is_zero(disk.buffer[0] + SECTOR, 5 * SECTOR));
		report("and no more than those", blk_is_numbered(disk.buffer[0], 32) &&
		       blk_is_numbered(disk.buffer[0] + 6 * SECTOR, 38));
		report_equal("written again",
			     disk_write_numbers(&disk, LAYOUT_PLAIN, 33, 5 * SECTOR), 0);
	}
	report_equal("discard", blk_do_range(queue, BLK_DISCARD, 64, 8, 0), 0);
	report("what is beside it stays", !disk_read(&disk, LAYOUT_PLAIN, 63, SECTOR) &&
	       blk_is_numbered(disk.buffer[0], 63));
	report_equal("the discarded can be written",
		     disk_write_numbers(&disk, LAYOUT_PLAIN, 64, 8 * SECTOR), 0);
}

/* VIRTIO 1.2, 5.2.6.2: the driver may switch the cache off. */
void check_cache(void)
{
	uint64_t wce = dev->config + offsetof(struct virtio_blk_config, wce);

	report("without FLUSH there is no write cache",
	       disk_setup(&disk, FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_BLK_F_CONFIG_WCE),
			  false));
	report_equal("writeback is 0", MMIO(uint8_t, wce), 0);
	report("with it there is",
	       disk_setup(&disk, BASE_FEATURES | FEATURE(VIRTIO_BLK_F_CONFIG_WCE), false));
	report_equal("writeback is 1", MMIO(uint8_t, wce), 1);
	MMIO(uint8_t, wce) = 0;
	report_equal("switched off", MMIO(uint8_t, wce), 0);
	report_equal("a write without cache", disk_write_numbers(&disk, LAYOUT_PLAIN, 9, SECTOR),
		     disk.read_only ? BLK_IOERR : BLK_OK);
}
