/*
 * The virtio disk, driven well and badly. Its file has a line for each sector, 511 digits of the
 * sector's number (guest-tests/bare/run makes it so); the last thing done turns their order around,
 * which the host checks. Options: sectors=N, queues=N, ro=1.
 */
#include "guest-tests/bare/lib_blk.h"
#include "guest-tests/bare/lib_irq.h"
#include "guest-tests/bare/lib_pci.h"

#define VECTOR_CONFIG VECTOR_FIRST
#define VECTOR_QUEUE (VECTOR_FIRST + 1)
#define WAIT_MS 20000
#define BASE_FEATURES (FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_BLK_F_FLUSH))
#define RING_FEATURES (FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | FEATURE(VIRTIO_RING_F_EVENT_IDX))
#define RANGE_FEATURES (FEATURE(VIRTIO_BLK_F_DISCARD) | FEATURE(VIRTIO_BLK_F_WRITE_ZEROES))
#define ALL (BASE_FEATURES | RING_FEATURES | RANGE_FEATURES)
#define NOWHERE 0x7f0000000000ULL /* no RAM */
#define CHUNK (8 * SECTOR)
#define QUEUES_MAX 4

static struct virtio dev;
static struct queue queue[QUEUES_MAX];
static uint8_t buffer[16][CHUNK] __attribute__((aligned(4096)));
static uint64_t sectors, offered;
static unsigned int queues;
static bool read_only;

/* --- what the sectors hold --- */

static bool is_zero(const uint8_t *bytes, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		if (bytes[i])
			return false;
	return true;
}

static uint8_t read_sectors(enum layout layout, uint64_t sector, void *to, uint32_t len)
{
	memset(to, 0xa5, len);
	return blk_do(&queue[0], layout, BLK_IN, sector, to, len);
}

/* --- the function and its registers --- */

static void check_identity(void)
{
	report_equal("revision is 1", pci_read(dev.bdf, PCI_REVISION_ID, 1), 1);
	report("subsystem ID is beyond legacy's", pci_read(dev.bdf, PCI_SUBSYSTEM_ID, 2) >= 0x40);
	report("every structure is there", dev.common && dev.isr && dev.config && dev.notify);
	report_equal("MSI-X has a vector for each queue and the configuration",
		     (pci_read(dev.bdf, pci_cap(dev.bdf, PCI_CAP_ID_MSIX) + PCI_MSIX_FLAGS, 2) &
		      PCI_MSIX_FLAGS_QSIZE) + 1, queues + 1);
	report_equal("number of queues", virtio_read(&dev, VIRTIO_PCI_COMMON_NUMQ, 2), queues);
	report_equal("capacity", MMIO(uint32_t, dev.config), sectors);
	report_equal("capacity, upper half", MMIO(uint32_t, dev.config + 4), sectors >> 32);
}

static void check_features(void)
{
	uint64_t features = offered;

	report("modern, indirect, event index, flush", !(~features & (BASE_FEATURES |
								      RING_FEATURES)));
	report_equal("read-only says so", !!(features & FEATURE(VIRTIO_BLK_F_RO)), read_only);
	report_equal("discard and write zeroes where it can be written",
		     (features & RANGE_FEATURES) == RANGE_FEATURES, !read_only);
	report("no SCSI commands", !(features & FEATURE(VIRTIO_BLK_F_SCSI)));
	report("without VERSION_1 no FEATURES_OK",
	       !virtio_negotiate(&dev, FEATURE(VIRTIO_BLK_F_FLUSH)));
	report("what was not offered gives no FEATURES_OK",
	       !virtio_negotiate(&dev, BASE_FEATURES | FEATURE(VIRTIO_F_RING_PACKED)));
	virtio_write(&dev, VIRTIO_PCI_COMMON_DFSELECT, 4, 2);
	report_equal("feature word 2 is zero", virtio_read(&dev, VIRTIO_PCI_COMMON_DF, 4), 0);
	report("these are taken", virtio_negotiate(&dev, BASE_FEATURES));
	virtio_write(&dev, VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	virtio_write(&dev, VIRTIO_PCI_COMMON_GF, 4, 0);
	report_equal("and final", virtio_read(&dev, VIRTIO_PCI_COMMON_GF, 4),
		     FEATURE(VIRTIO_BLK_F_FLUSH));
}

/* Registers of queues that do not exist, vectors that do not exist, registers that are frozen. */
static void check_registers(void)
{
	static const uint16_t absent[] = {QUEUES_MAX, 0x7fff, 0xffff};

	for (unsigned int i = 0; i < ARRAY_SIZE(absent); i++) {
		virtio_write(&dev, VIRTIO_PCI_COMMON_Q_SELECT, 2, absent[i]);
		virtio_write(&dev, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
		virtio_write(&dev, VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
		virtio_write(&dev, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		report_equal("absent queue: no size",
			     virtio_read(&dev, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
		report_equal("absent queue: no vector",
			     virtio_read(&dev, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
		report_equal("absent queue: not enabled",
			     virtio_read(&dev, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	}
	virtio_reset(&dev);
	virtio_write(&dev, VIRTIO_PCI_COMMON_MSIX, 2, queues + 1);
	report_equal("a vector beyond the table", virtio_read(&dev, VIRTIO_PCI_COMMON_MSIX, 2),
		     VIRTIO_MSI_NO_VECTOR);
	virtio_write(&dev, VIRTIO_PCI_COMMON_MSIX, 2, queues);
	report_equal("the last vector", virtio_read(&dev, VIRTIO_PCI_COMMON_MSIX, 2), queues);
	virtio_write(&dev, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	for (uint32_t size = 0; size < 0x10000; size = 3 * size + 3)
		virtio_write(&dev, VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
	report_equal("sizes that are no power of two are ignored",
		     virtio_read(&dev, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE_SIZE);
	report("set up", blk_setup(&dev, queue, 1, offered & ALL, false));
	virtio_write(&dev, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	virtio_write(&dev, VIRTIO_PCI_COMMON_Q_SIZE, 2, 4);
	virtio_write(&dev, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x1000);
	virtio_write(&dev, VIRTIO_PCI_COMMON_Q_USEDHI, 4, 1);
	virtio_write(&dev, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
	report_equal("frozen: size", virtio_read(&dev, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE_SIZE);
	report_equal("frozen: address", virtio_read(&dev, VIRTIO_PCI_COMMON_Q_DESCLO, 4),
		     (uint32_t)(uintptr_t)queue[0].desc);
	report_equal("frozen: address, upper half",
		     virtio_read(&dev, VIRTIO_PCI_COMMON_Q_USEDHI, 4), 0);
	report_equal("frozen: enabled", virtio_read(&dev, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	report_equal("and it works", read_sectors(LAYOUT_PLAIN, 0, buffer[0], SECTOR), 0);
}

/* The way for who cannot reach the BAR: status and a kick through config space. */
static void check_config_window(void)
{
	unsigned int cap = pci_read(dev.bdf, PCI_CAPABILITY_LIST, 1);

	while (cap && (pci_read(dev.bdf, cap, 1) != PCI_CAP_ID_VNDR ||
		       pci_read(dev.bdf, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1) !=
			       VIRTIO_PCI_CAP_PCI_CFG))
		cap = pci_read(dev.bdf, cap + PCI_CAP_LIST_NEXT, 1);
	report("the capability is there", cap);
	pci_write(dev.bdf, cap + VIRTIO_PCI_CAP_BAR, 1, 0);
	pci_write(dev.bdf, cap + VIRTIO_PCI_CAP_LENGTH, 4, 1);
	pci_write(dev.bdf, cap + VIRTIO_PCI_CAP_OFFSET, 4, VIRTIO_PCI_COMMON_STATUS);
	report_equal("status through config space", pci_read(dev.bdf, cap + 16, 4) & 0xff,
		     virtio_status(&dev));
	pci_write(dev.bdf, cap + 16, 4, 0);
	report_equal("reset through config space", virtio_status(&dev), 0);
	pci_write(dev.bdf, cap + VIRTIO_PCI_CAP_OFFSET, 4, 0xfffffffe);
	pci_write(dev.bdf, cap + 16, 4, 0);
	pci_write(dev.bdf, cap + VIRTIO_PCI_CAP_BAR, 1, 5);
	pci_write(dev.bdf, cap + VIRTIO_PCI_CAP_LENGTH, 4, 0xffffffff);
	pci_read(dev.bdf, cap + 16, 4);
	pci_write(dev.bdf, cap + 16, 4, 0);
	report_equal("accesses to nowhere harm nothing", virtio_status(&dev), 0);
}

/* --- requests --- */

static const struct {
	const char *name;
	uint64_t features;
} rings[] = {
	{"plain ring", ALL & ~RING_FEATURES},
	{"indirect", ALL & ~FEATURE(VIRTIO_RING_F_EVENT_IDX)},
	{"event index", ALL & ~FEATURE(VIRTIO_RING_F_INDIRECT_DESC)},
	{"both", ALL},
};

static bool transfers(enum layout layout)
{
	static const uint64_t places[] = {0, 1, 7, 100};
	bool good = true;

	for (unsigned int i = 0; i < ARRAY_SIZE(places); i++) {
		good &= read_sectors(layout, places[i], buffer[0], CHUNK) == BLK_OK;
		for (unsigned int j = 0; j < CHUNK / SECTOR; j++)
			good &= blk_is_numbered(buffer[0] + j * SECTOR, places[i] + j);
	}
	good &= read_sectors(layout, sectors - 1, buffer[0], SECTOR) == BLK_OK &&
		blk_is_numbered(buffer[0], sectors - 1);
	if (read_only)
		return good;
	/* Write something else, see it, and put back what was there. */
	memset(buffer[1], 0x5a ^ layout, CHUNK);
	good &= !blk_do(&queue[0], layout, BLK_OUT, 50, buffer[1], CHUNK);
	good &= !read_sectors(LAYOUT_PLAIN, 50, buffer[0], CHUNK);
	good &= !memcmp(buffer[0], buffer[1], CHUNK);
	for (unsigned int j = 0; j < CHUNK / SECTOR; j++)
		blk_number(buffer[1] + j * SECTOR, 50 + j);
	good &= !blk_do(&queue[0], layout, BLK_OUT, 50, buffer[1], CHUNK);
	return good && !blk_do(&queue[0], layout, BLK_FLUSH, 0, NULL, 0);
}

static void check_transfers(void)
{
	static const char *const names[] = {"plain", "indirect", "scattered", "tail"};

	for (unsigned int i = 0; i < ARRAY_SIZE(rings); i++) {
		report(rings[i].name,
		       blk_setup(&dev, queue, 1, offered & rings[i].features, false));
		for (enum layout layout = 0; layout < LAYOUTS; layout++) {
			bool table = layout == LAYOUT_INDIRECT || layout == LAYOUT_TAIL;

			if (!table || rings[i].features & FEATURE(VIRTIO_RING_F_INDIRECT_DESC))
				report(join(rings[i].name, names[layout]), transfers(layout));
		}
	}
}

/* More than the ring has entries, so that every index wraps; two bytes off any alignment. */
static void check_many(void)
{
	uint16_t before;
	bool good = true;

	for (unsigned int round = 0; round < 20 && good; round++) {
		before = queue[0].avail.idx;
		for (unsigned int slot = 0; slot < 15; slot++)
			blk_offer(&queue[0], slot, slot % LAYOUTS, BLK_IN, round + slot,
				  buffer[slot] + 2, SECTOR);
		queue_kick_if_wanted(&queue[0], before);
		good = queue_wait(&queue[0], 15);
		for (unsigned int slot = 0; slot < 15; slot++) {
			queue_take(&queue[0]);
			good &= !blk_status(slot) &&
				blk_is_numbered(buffer[slot] + 2, round + slot);
		}
	}
	report("300 reads, 15 at a time", good);
}

static void check_id(void)
{
	char id[VIRTIO_BLK_ID_BYTES + 1] = {0}, expected[VIRTIO_BLK_ID_BYTES + 1] = {0};

	option_word("id", expected, sizeof(expected));
	report_equal("get ID", blk_do(&queue[0], LAYOUT_PLAIN, VIRTIO_BLK_T_GET_ID, 0, id,
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

static void check_refusals(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(refusals); i++) {
		uint64_t sector = refusals[i].sector + (refusals[i].from_end ? sectors : 0);

		memset(buffer[0], 0x77, CHUNK);
		report_equal(refusals[i].name, blk_do(&queue[0], LAYOUT_PLAIN, refusals[i].type,
						      sector, buffer[0], refusals[i].len),
			     refusals[i].status);
		report("and touches nothing", buffer[0][0] == 0x77);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++)
		report_equal(ranges[i].name, blk_do_range(&queue[0], ranges[i].type,
							  ranges[i].sector, ranges[i].count,
							  ranges[i].flags),
			     read_only ? BLK_UNSUPP : ranges[i].status);
	if (read_only)
		report_equal("a write to a read-only disk",
			     blk_do(&queue[0], LAYOUT_PLAIN, BLK_OUT, 0, buffer[0],
				    SECTOR), BLK_IOERR);
	report("the first sector is as it was",
	       !read_sectors(LAYOUT_PLAIN, 0, buffer[0], SECTOR) && blk_is_numbered(buffer[0], 0));
}

static void check_ranges(void)
{
	for (uint32_t flags = 0; flags < 2; flags++) {
		report_equal("write zeroes",
			     blk_do_range(&queue[0], BLK_ZEROES, 33, 5, flags), 0);
		report("zeroes are read", !read_sectors(LAYOUT_PLAIN, 32, buffer[0], 7 * SECTOR) &&
		       is_zero(buffer[0] + SECTOR, 5 * SECTOR));
		report("and no more than those", blk_is_numbered(buffer[0], 32) &&
		       blk_is_numbered(buffer[0] + 6 * SECTOR, 38));
		for (unsigned int i = 0; i < 5; i++)
			blk_number(buffer[0] + i * SECTOR, 33 + i);
		report_equal("written again", blk_do(&queue[0], LAYOUT_PLAIN, BLK_OUT, 33,
						     buffer[0], 5 * SECTOR), 0);
	}
	report_equal("discard", blk_do_range(&queue[0], BLK_DISCARD, 64, 8, 0), 0);
	report("what is beside it stays", !read_sectors(LAYOUT_PLAIN, 63, buffer[0], SECTOR) &&
	       blk_is_numbered(buffer[0], 63));
	for (unsigned int i = 0; i < 8; i++)
		blk_number(buffer[0] + i * SECTOR, 64 + i);
	report_equal("the discarded can be written",
		     blk_do(&queue[0], LAYOUT_PLAIN, BLK_OUT, 64, buffer[0], CHUNK), 0);
}

/* VIRTIO 1.2, 5.2.6.2: the driver may switch the cache off. */
static void check_cache(void)
{
	uint64_t wce = dev.config + offsetof(struct virtio_blk_config, wce);

	report("without FLUSH there is no write cache",
	       blk_setup(&dev, queue, 1, FEATURE(VIRTIO_F_VERSION_1) |
					 FEATURE(VIRTIO_BLK_F_CONFIG_WCE), false));
	report_equal("writeback is 0", MMIO(uint8_t, wce), 0);
	report("with it there is", blk_setup(&dev, queue, 1, BASE_FEATURES |
					     FEATURE(VIRTIO_BLK_F_CONFIG_WCE), false));
	report_equal("writeback is 1", MMIO(uint8_t, wce), 1);
	MMIO(uint8_t, wce) = 0;
	report_equal("switched off", MMIO(uint8_t, wce), 0);
	blk_number(buffer[0], 9);
	report_equal("a write without cache", blk_do(&queue[0], LAYOUT_PLAIN, BLK_OUT, 9,
						     buffer[0], SECTOR),
		     read_only ? BLK_IOERR : BLK_OK);
}

/* --- interrupts --- */

static volatile unsigned int causes;

/* A level that falls while its interrupt is on the way may come once more, without a cause. */
static void on_intx(unsigned int vector)
{
	(void)vector;
	causes += MMIO(uint8_t, dev.isr) & 1;
}

static void check_intx(void)
{
	report("set up", blk_setup(&dev, queue, 1, BASE_FEATURES, false));
	/* First the route: a line that was high while it was masked may count as an edge. */
	intx_route(dev.bdf, VECTOR_QUEUE);
	irq_take(VECTOR_QUEUE, on_intx);
	causes = 0;
	report_equal("a read", read_sectors(LAYOUT_PLAIN, 3, buffer[0], SECTOR), 0);
	report("INTx is raised", irq_wait(VECTOR_QUEUE, 1, WAIT_MS));
	report_equal("ISR says why", causes, 1);
	report_equal("reading ISR cleared it", MMIO(uint8_t, dev.isr), 0);
	report("and the line is low", !(pci_read(dev.bdf, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT));
	queue[0].avail.flags = VRING_AVAIL_F_NO_INTERRUPT;
	for (unsigned int i = 0; i < 8; i++)
		read_sectors(LAYOUT_PLAIN, i, buffer[0], SECTOR);
	irq_count(VECTOR_QUEUE);
	report_equal("none when the driver wants none", causes, 1);
	intx_mask(dev.bdf);
}

static void check_msix(void)
{
	irq_take(VECTOR_QUEUE, NULL);
	msix_route(dev.bdf, 1, VECTOR_QUEUE);
	msix_enable(dev.bdf);
	report("set up", blk_setup(&dev, queue, 1, BASE_FEATURES | RING_FEATURES, true));
	queue[0].avail.used_event = 0;
	report_equal("a read", read_sectors(LAYOUT_INDIRECT, 3, buffer[0], SECTOR), 0);
	report("the message came", irq_wait(VECTOR_QUEUE, 1, WAIT_MS));
	/* used_event stays behind: no further message, until the entry that is asked for. */
	queue[0].avail.used_event = (uint16_t)(queue[0].seen + 3);
	for (unsigned int i = 0; i < 3; i++)
		read_sectors(LAYOUT_INDIRECT, i, buffer[0], SECTOR);
	report_equal("none before the event index", irq_count(VECTOR_QUEUE), 1);
	read_sectors(LAYOUT_INDIRECT, 4, buffer[0], SECTOR);
	report("one at the event index", irq_wait(VECTOR_QUEUE, 2, WAIT_MS));
}

/* A masked vector keeps its message, shows it as pending, and sends it when unmasked. */
static void check_mask(void)
{
	unsigned int cap = pci_cap(dev.bdf, PCI_CAP_ID_MSIX);
	uint32_t table = pci_read(dev.bdf, cap + PCI_MSIX_TABLE, 4);
	uint32_t pba = pci_read(dev.bdf, cap + PCI_MSIX_PBA, 4);
	uint64_t control = pci_bar(dev.bdf, 0) + (table & PCI_MSIX_TABLE_OFFSET) +
			   PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL;
	uint64_t pending = pci_bar(dev.bdf, 0) + (pba & PCI_MSIX_PBA_OFFSET);
	unsigned int before = irq_count(VECTOR_QUEUE);

	MMIO(uint32_t, control) = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	queue[0].avail.used_event = queue[0].seen;
	report_equal("a read while masked", read_sectors(LAYOUT_PLAIN, 3, buffer[0], SECTOR), 0);
	while (!(MMIO(uint32_t, pending) & 2))
		;
	report_equal("no message", irq_count(VECTOR_QUEUE), before);
	MMIO(uint32_t, control) = 0;
	report("it comes when unmasked", irq_wait(VECTOR_QUEUE, before + 1, WAIT_MS));
	report_equal("nothing is pending", MMIO(uint32_t, pending), 0);
}

static void check_queues(void)
{
	bool good = true;

	if (queues > QUEUES_MAX)
		queues = QUEUES_MAX;
	for (unsigned int i = 0; i < queues; i++) {
		irq_take(VECTOR_QUEUE + i, NULL);
		msix_route(dev.bdf, 1 + i, VECTOR_QUEUE + i);
	}
	report("set up", blk_setup(&dev, queue, queues, BASE_FEATURES | RING_FEATURES |
				   (queues > 1 ? FEATURE(VIRTIO_BLK_F_MQ) : 0), true));
	for (unsigned int i = 0; i < queues; i++) {
		queue[i].avail.used_event = 0;
		blk_offer(&queue[i], i, LAYOUT_INDIRECT, BLK_IN, 10 * i, buffer[i],
			  SECTOR);
	}
	for (unsigned int i = 0; i < queues; i++)
		queue_kick(&queue[i]);
	for (unsigned int i = 0; i < queues; i++) {
		good &= queue_wait(&queue[i], 1) && !blk_status(i) &&
			blk_is_numbered(buffer[i], 10 * i);
		good &= irq_wait(VECTOR_QUEUE + i, 1, WAIT_MS);
	}
	report("every queue answers, by its own vector", good);
}

/* --- reset and Bus Master --- */

static void check_reset_in_flight(void)
{
	uint8_t seen[16];

	for (unsigned int round = 0; round < 20; round++) {
		report("set up", blk_setup(&dev, queue, 1, BASE_FEATURES | RING_FEATURES, true));
		for (unsigned int slot = 0; slot < 16; slot++)
			blk_offer(&queue[0], slot, LAYOUT_PLAIN, BLK_IN, slot,
				  buffer[slot], CHUNK);
		queue_kick(&queue[0]);
		virtio_reset(&dev);
		/* From here on the memory is ours. */
		memset(buffer, 0xee, sizeof(buffer));
		for (unsigned int slot = 0; slot < 16; slot++)
			seen[slot] = blk_status(slot);
		for (unsigned int i = 0; i < 300; i++)
			virtio_status(&dev);
		for (unsigned int slot = 0; slot < 16; slot++)
			if (blk_status(slot) != seen[slot] || buffer[slot][0] != 0xee ||
			    buffer[slot][CHUNK - 1] != 0xee)
				report("nothing is written after a reset", false);
	}
	report("20 resets in flight", true);
}

static void check_bus_master(void)
{
	report("set up", blk_setup(&dev, queue, 1, BASE_FEATURES, true));
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

/* --- nonsense --- */

static void loop(void)
{
	queue[0].desc[0].flags |= VRING_DESC_F_NEXT;
	queue[0].desc[0].next = 0;
}

static void long_loop(void)
{
	queue[0].desc[2].flags |= VRING_DESC_F_NEXT;
	queue[0].desc[2].next = 0;
}

static void beyond_table(void)
{
	queue[0].desc[0].next = QUEUE_SIZE;
}

static void no_ram(void)
{
	queue[0].desc[1].addr = NOWHERE;
}

static void over_end_of_ram(void)
{
	queue[0].desc[1].len = 0xffffffff;
}

static void wrapping_address(void)
{
	queue[0].desc[1].addr = UINT64_MAX - 0xff;
}

static void empty(void)
{
	queue[0].desc[1].len = 0;
}

static void readable_after_writable(void)
{
	queue[0].desc[0].flags |= VRING_DESC_F_WRITE;
	queue[0].desc[1].flags &= (uint16_t)~VRING_DESC_F_WRITE;
}

static void no_status(void)
{
	queue[0].desc[0].flags = 0;
}

static void short_header(void)
{
	queue[0].desc[0].len = 8;
}

static void indirect_in_indirect(void)
{
	static struct vring_desc table[2];

	table[0] = (struct vring_desc){.addr = (uintptr_t)table, .len = sizeof(table),
				       .flags = VRING_DESC_F_INDIRECT};
	queue[0].desc[0] = table[0];
}

static void odd_table(void)
{
	queue[0].desc[0] = (struct vring_desc){.addr = (uintptr_t)queue[0].desc, .len = 17,
					       .flags = VRING_DESC_F_INDIRECT};
}

static void table_no_ram(void)
{
	queue[0].desc[0] = (struct vring_desc){.addr = NOWHERE, .len = 32,
					       .flags = VRING_DESC_F_INDIRECT};
}

static void nothing(void)
{
}

static const struct {
	const char *name;
	void (*spoil)(void);
	uint16_t head, ahead; /* what is offered, and how far the index is wrong */
} nonsense[] = {
	{"a descriptor that follows itself", loop, 0, 0},
	{"a loop of three", long_loop, 0, 0},
	{"next beyond the table", beyond_table, 0, 0},
	{"a buffer that is no RAM", no_ram, 0, 0},
	{"a buffer over the end of RAM", over_end_of_ram, 0, 0},
	{"a buffer whose end wraps", wrapping_address, 0, 0},
	{"an empty buffer", empty, 0, 0},
	{"readable after writable", readable_after_writable, 0, 0},
	{"no room for a status", no_status, 0, 0},
	{"half a header", short_header, 0, 0},
	{"indirect in indirect", indirect_in_indirect, 0, 0},
	{"a table of 17 bytes", odd_table, 0, 0},
	{"a table that is no RAM", table_no_ram, 0, 0},
	{"a head beyond the table", nothing, 0xffff, 0},
	{"an index that runs ahead", nothing, 0, QUEUE_SIZE},
};

static bool needs_reset(void *opaque)
{
	(void)opaque;
	return virtio_status(&dev) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* The device says that it needs a reset, interrupts for it, and works after one. */
static void check_nonsense(void)
{
	irq_take(VECTOR_CONFIG, NULL);
	msix_route(dev.bdf, 0, VECTOR_CONFIG);
	for (unsigned int i = 0; i < ARRAY_SIZE(nonsense); i++) {
		unsigned int before = irq_count(VECTOR_CONFIG);

		if (!virtio_negotiate(&dev, BASE_FEATURES | RING_FEATURES))
			report("negotiated", false);
		virtio_write(&dev, VIRTIO_PCI_COMMON_MSIX, 2, 0);
		queue_setup(&queue[0], &dev, 0, QUEUE_SIZE, 1);
		virtio_driver_ok(&dev);
		blk_fill(&queue[0], 0, LAYOUT_PLAIN, BLK_IN, 0, buffer[0], SECTOR);
		nonsense[i].spoil();
		queue[0].avail.ring[0] = nonsense[i].head;
		__asm__ volatile("mfence" : : : "memory");
		*(volatile uint16_t *)&queue[0].avail.idx = (uint16_t)(nonsense[i].ahead + 1);
		queue_kick(&queue[0]);
		report(nonsense[i].name, wait_until(needs_reset, NULL, WAIT_MS));
		report("the driver is told", irq_wait(VECTOR_CONFIG, before + 1, WAIT_MS));
		report("nothing was answered", !queue_has_used(&queue[0]));
	}
	report("it works after a reset", blk_setup(&dev, queue, 1, BASE_FEATURES, true) &&
	       !read_sectors(LAYOUT_PLAIN, 0, buffer[0], SECTOR) && blk_is_numbered(buffer[0], 0));
}

/* Rings where no ring can be, and DRIVER_OK out of turn. */
static void check_bad_rings(void)
{
	static const struct {
		const char *name;
		unsigned int off;
		uint32_t value;
	} rings_at[] = {
		{"descriptors that are no RAM", VIRTIO_PCI_COMMON_Q_DESCHI, 0x7f00},
		{"available ring that is no RAM", VIRTIO_PCI_COMMON_Q_AVAILHI, 0x7f00},
		{"used ring that is no RAM", VIRTIO_PCI_COMMON_Q_USEDLO, 0xfffffffc},
		{"descriptors not aligned", VIRTIO_PCI_COMMON_Q_DESCLO, 0x10008},
		{"available ring not aligned", VIRTIO_PCI_COMMON_Q_AVAILLO, 0x10001},
		{"used ring not aligned", VIRTIO_PCI_COMMON_Q_USEDLO, 0x10002},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rings_at); i++) {
		virtio_negotiate(&dev, BASE_FEATURES);
		virtio_write(&dev, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
		virtio_write(&dev, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x10000);
		virtio_write(&dev, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, 0x20000);
		virtio_write(&dev, VIRTIO_PCI_COMMON_Q_USEDLO, 4, 0x30000);
		virtio_write(&dev, rings_at[i].off, 4, rings_at[i].value);
		virtio_write(&dev, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		virtio_driver_ok(&dev);
		report(rings_at[i].name, needs_reset(NULL));
	}
	virtio_reset(&dev);
	virtio_write(&dev, VIRTIO_PCI_COMMON_STATUS, 1, STATUS_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK);
	report("DRIVER_OK without FEATURES_OK", needs_reset(NULL));
	virtio_reset(&dev);
	queue_kick(&queue[0]);
	report_equal("a kick before anything is set up", virtio_status(&dev), 0);
	MMIO(uint32_t, dev.notify + 0x800) = 5;
	report_equal("a kick beyond the queues", virtio_status(&dev), 0);
}

/* --- the end --- */

static void turn_around(void)
{
	report("every sector is written",
	       blk_setup(&dev, queue, 1, BASE_FEATURES | RING_FEATURES, true) &&
	       blk_turn_around(&queue[0], sectors, buffer[0], CHUNK));
}

void test(void)
{
	sectors = (uint64_t)option("sectors");
	queues = option("queues") > 0 ? (unsigned int)option("queues") : 1;
	read_only = option("ro") > 0;
	irq_init();
	if (!virtio_find(VIRTIO_ID_BLOCK, 0, &dev)) {
		report("there is a disk", false);
		return;
	}
	offered = virtio_features(&dev);
	check_identity();
	check_features();
	check_registers();
	check_config_window();
	check_transfers();
	check_many();
	check_id();
	check_refusals();
	if (!read_only)
		check_ranges();
	check_cache();
	check_intx();
	check_msix();
	check_mask();
	check_queues();
	check_reset_in_flight();
	check_bus_master();
	check_nonsense();
	check_bad_rings();
	if (!read_only)
		turn_around();
}
