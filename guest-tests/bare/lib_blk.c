#include "guest-tests/bare/lib_blk.h"

#define SLOTS 16U
#define DESCRIPTORS 16U /* of each slot */

static struct slot {
	struct vring_desc table[DESCRIPTORS];
	struct blk_header header;
	volatile uint8_t status;
} slots[SLOTS] __attribute__((aligned(16)));

bool blk_setup(const struct virtio *dev, struct queue *queue, unsigned int queues,
	       uint64_t features, bool msix)
{
	if (!virtio_negotiate(dev, features))
		return false;
	for (unsigned int i = 0; i < queues; i++) {
		queue_setup(&queue[i], dev, (uint16_t)i, QUEUE_SIZE,
			    msix ? (uint16_t)(1 + i) : VIRTIO_MSI_NO_VECTOR);
		queue[i].event_idx = features & FEATURE(VIRTIO_RING_F_EVENT_IDX);
	}
	virtio_driver_ok(dev);
	return !(virtio_status(dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static bool device_writes_data(uint32_t type)
{
	return type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
}

/* Adds `len` bytes in `pieces` descriptors. */
static unsigned int add(struct vring_desc *table, unsigned int at, uintptr_t bytes, uint32_t len,
			bool writable, unsigned int pieces)
{
	for (; len && pieces; pieces--) {
		uint32_t piece = pieces == 1 ? len : len / 2;

		if (!piece)
			continue;
		table[at] = (struct vring_desc){
			.addr = bytes, .len = piece,
			.flags = writable ? VRING_DESC_F_WRITE : 0};
		at++;
		bytes += piece;
		len -= piece;
	}
	return at;
}

/* Chains `count` descriptors of a table, of which the first is number `first` in it. */
static void chain(struct vring_desc *table, unsigned int count, unsigned int first)
{
	for (unsigned int i = 0; i + 1 < count; i++) {
		table[i].flags |= VRING_DESC_F_NEXT;
		table[i].next = (uint16_t)(first + i + 1);
	}
}

static struct vring_desc indirect(const struct vring_desc *table, unsigned int count)
{
	return (struct vring_desc){.addr = (uintptr_t)table,
				   .len = count * (uint32_t)sizeof(*table),
				   .flags = VRING_DESC_F_INDIRECT};
}

uint16_t blk_fill(struct queue *queue, unsigned int slot, enum layout layout, uint32_t type,
		  uint64_t sector, void *data, uint32_t len)
{
	struct slot *s = &slots[slot];
	unsigned int head = slot * DESCRIPTORS, pieces = layout == LAYOUT_SCATTERED ? 4 : 1, count;
	struct vring_desc *desc = &queue->desc[head];

	s->header = (struct blk_header){.type = type, .sector = sector};
	s->status = STATUS_NONE;
	count = add(s->table, 0, (uintptr_t)&s->header, sizeof(s->header), false, pieces);
	count = add(s->table, count, (uintptr_t)data, len, device_writes_data(type), pieces);
	count = add(s->table, count, (uintptr_t)&s->status, 1, true, 1);
	switch (layout) {
	case LAYOUT_INDIRECT:
		chain(s->table, count, 0);
		desc[0] = indirect(s->table, count);
		break;
	case LAYOUT_TAIL:
		desc[0] = s->table[0];
		chain(s->table + 1, count - 1, 0);
		desc[1] = indirect(s->table + 1, count - 1);
		chain(desc, 2, head);
		break;
	default:
		memcpy(desc, s->table, count * sizeof(*desc));
		chain(desc, count, head);
		break;
	}
	return (uint16_t)head;
}

void blk_offer(struct queue *queue, unsigned int slot, enum layout layout, uint32_t type,
	       uint64_t sector, void *data, uint32_t len)
{
	queue_offer(queue, blk_fill(queue, slot, layout, type, sector, data, len));
}

uint8_t blk_status(unsigned int slot)
{
	return slots[slot].status;
}

uint8_t blk_do(struct queue *queue, enum layout layout, uint32_t type, uint64_t sector, void *data,
	       uint32_t len)
{
	uint16_t before = queue->avail.idx;

	blk_offer(queue, 0, layout, type, sector, data, len);
	queue_kick_if_wanted(queue, before);
	if (!queue_wait(queue, 1))
		return STATUS_NONE;
	return queue_take(queue).id == 0 ? blk_status(0) : STATUS_NONE;
}

uint8_t blk_do_range(struct queue *queue, uint32_t type, uint64_t sector, uint32_t count,
		     uint32_t flags)
{
	static struct virtio_blk_discard_write_zeroes range;

	range.sector = sector;
	range.num_sectors = count;
	range.flags = flags;
	return blk_do(queue, LAYOUT_PLAIN, type, 0, &range, sizeof(range));
}

#define DIGITS 0x3030303030303030ULL /* eight zeroes; bytes would take an emulated CPU long */

void blk_number(uint8_t *bytes, uint64_t number)
{
	for (unsigned int i = 0; i < SECTOR; i += 8)
		*(uint64_t *)(void *)(bytes + i) = DIGITS;
	bytes[SECTOR - 1] = '\n';
	for (unsigned int i = SECTOR - 2; number; i--, number /= 10)
		bytes[i] = (uint8_t)('0' + number % 10);
}

bool blk_is_numbered(const uint8_t *bytes, uint64_t number)
{
	uint64_t expected[SECTOR / 8], different = 0;

	blk_number((uint8_t *)expected, number);
	for (unsigned int i = 0; i < SECTOR / 8; i++)
		different |= expected[i] ^ ((const uint64_t *)(const void *)bytes)[i];
	return !different;
}

bool blk_turn_around(struct queue *queue, uint64_t sectors, uint8_t *buffer, uint32_t len)
{
	bool good = true;

	for (uint64_t sector = 0; sector < sectors && good; sector += len / SECTOR) {
		for (unsigned int i = 0; i < len / SECTOR; i++)
			blk_number(buffer + i * SECTOR, sectors - 1 - sector - i);
		good = !blk_do(queue, LAYOUT_INDIRECT, BLK_OUT, sector, buffer, len);
	}
	return good && !blk_do(queue, LAYOUT_PLAIN, BLK_FLUSH, 0, NULL, 0);
}
