#include "devices/virtqueue.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/mem.h"

#define DESC_LEN 16U
#define AVAIL_IDX 2U  /* offsets in the two rings; their flags are at 0 */
#define AVAIL_RING 4U
#define USED_IDX 2U
#define USED_RING 4U
#define USED_ELEM_LEN 8U
#define EVENT_LEN 2U  /* used_event after the available ring, avail_event after the used one */

struct descriptor {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

/* Where descriptors are read from: the queue's table or an indirect one. */
struct table {
	const uint8_t *desc;
	uint32_t size; /* descriptors */
	bool indirect; /* of a chain: it leads to no other */
};

const char *virtqueue_complaint(int error)
{
	switch (error) {
	case -EBADSLT:
		return "the available index ran ahead of the ring";
	case -ERANGE:
		return "a descriptor beyond its table";
	case -ELOOP:
		return "a loop of descriptors";
	case -E2BIG:
		return "too many buffers in a request";
	case -EBADMSG:
		return "buffers that may not follow each other, or an empty one";
	case -EFAULT:
		return "memory that is no RAM";
	case -EINVAL:
		return "a queue of a wrong size or alignment";
	default:
		return "an error";
	}
}

/* --- shared memory --- */

void virtqueue_copy_once(void *ret_copy, const void *from, size_t len)
{
	memcpy(ret_copy, from, len);
	/* What the copy is worth from here on is not known to be worth `from`. */
	__asm__ volatile("" : : "r"(ret_copy) : "memory");
}

/* The rings are aligned (virtqueue_start()), so these are one access each. */
static uint16_t load16(const uint8_t *at)
{
	return __atomic_load_n((const uint16_t *)(const void *)at, __ATOMIC_ACQUIRE);
}

static void store16(uint8_t *at, uint16_t value)
{
	__atomic_store_n((uint16_t *)(void *)at, value, __ATOMIC_RELEASE);
}

static uint8_t *used_event(const struct virtqueue *queue)
{
	return queue->avail + AVAIL_RING + 2U * queue->size;
}

static uint8_t *avail_event(const struct virtqueue *queue)
{
	return queue->used + USED_RING + USED_ELEM_LEN * queue->size;
}

/* --- set-up --- */

/* VIRTIO 1.2, 2.7 Split Virtqueues: sizes and alignments of the three parts. */
int virtqueue_start(struct virtqueue *queue, const struct mem *mem,
		    const struct virtqueue_config *config)
{
	uint32_t size = config->size, event = config->event_idx ? EVENT_LEN : 0;
	const void *desc;
	void *avail, *used;

	if (!is_power_of_two(size) || size > VIRTQUEUE_SIZE_MAX || config->desc % 16 ||
	    config->avail % 2 || config->used % 4)
		return -EINVAL;
	desc = mem_hva(mem, config->desc, DESC_LEN * (uint64_t)size);
	avail = mem_hva(mem, config->avail, AVAIL_RING + 2ULL * size + event);
	used = mem_hva(mem, config->used, USED_RING + USED_ELEM_LEN * (uint64_t)size + event);
	if (!desc || !avail || !used)
		return -EFAULT;
	*queue = (struct virtqueue){.mem = mem, .size = config->size,
				    .event_idx = config->event_idx, .indirect = config->indirect,
				    .desc = desc, .avail = avail, .used = used};
	return 0;
}

/* --- taking chains --- */

static void read_descriptor(const struct table *table, uint32_t index, struct descriptor *ret_desc)
{
	uint8_t bytes[DESC_LEN];

	virtqueue_copy_once(bytes, table->desc + (size_t)index * DESC_LEN, DESC_LEN);
	ret_desc->addr = le64_get(bytes);
	ret_desc->len = le32_get(bytes + 8);
	ret_desc->flags = le16_get(bytes + 12);
	ret_desc->next = le16_get(bytes + 14);
}

static int add_buffer(const struct virtqueue *queue, const struct descriptor *desc,
		      struct virtqueue_chain *chain)
{
	unsigned int count = chain->readable + chain->writable;
	bool writable = desc->flags & VRING_DESC_F_WRITE;
	void *hva = mem_hva(queue->mem, desc->addr, desc->len);

	/* VIRTIO 1.2, 2.7.4.2 Driver Requirements: Message Framing: "The driver MUST place any
	 * device-writable descriptor elements after any device-readable descriptor elements." */
	if (!desc->len || (!writable && chain->writable))
		return -EBADMSG;
	if (count == chain->capacity)
		return -E2BIG;
	if (!hva)
		return -EFAULT;
	chain->iov[count] = (struct iovec){.iov_base = hva, .iov_len = desc->len};
	if (writable) {
		chain->writable++;
		chain->writable_len += desc->len;
	} else {
		chain->readable++;
		chain->readable_len += desc->len;
	}
	return 0;
}

/* VIRTIO 1.2, 2.7.5.3 Indirect Descriptors. One table a chain, at its end. */
static int enter_indirect(const struct virtqueue *queue, const struct descriptor *desc,
			  struct table *table)
{
	/* That table may lie where the queue's own is: its address does not tell. */
	if (!queue->indirect || table->indirect || desc->flags & VRING_DESC_F_NEXT || !desc->len ||
	    desc->len % DESC_LEN)
		return -EBADMSG;
	table->indirect = true;
	table->desc = mem_hva(queue->mem, desc->addr, desc->len);
	table->size = desc->len / DESC_LEN;
	return table->desc ? 0 : -EFAULT;
}

static int walk(const struct virtqueue *queue, struct virtqueue_chain *chain)
{
	struct table table = {.desc = queue->desc, .size = queue->size};
	uint32_t index = chain->head, seen = 0;

	for (;;) {
		struct descriptor desc;
		int error;

		if (index >= table.size)
			return -ERANGE;
		if (seen++ == table.size)
			return -ELOOP;
		read_descriptor(&table, index, &desc);
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			error = enter_indirect(queue, &desc, &table);
			index = seen = 0;
			if (error)
				return error;
			continue;
		}
		error = add_buffer(queue, &desc, chain);
		if (error)
			return error;
		if (!(desc.flags & VRING_DESC_F_NEXT))
			return 0;
		index = desc.next;
	}
}

static unsigned int available(const struct virtqueue *queue)
{
	return (uint16_t)(load16(queue->avail + AVAIL_IDX) - queue->next_avail);
}

int virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain)
{
	unsigned int waiting = available(queue);
	int error;

	if (!waiting)
		return 0;
	if (waiting > queue->size)
		return -EBADSLT;
	chain->readable = chain->writable = 0;
	chain->readable_len = chain->writable_len = 0;
	chain->head = load16(queue->avail + AVAIL_RING +
			     2U * (queue->next_avail & (queue->size - 1U)));
	error = walk(queue, chain);
	if (error)
		return error;
	queue->next_avail++;
	return 1;
}

/* --- giving back --- */

void virtqueue_unpop(struct virtqueue *queue, unsigned int count)
{
	queue->next_avail = (uint16_t)(queue->next_avail - count);
}

void virtqueue_fill(struct virtqueue *queue, unsigned int ahead, uint16_t head, uint32_t written)
{
	uint8_t *elem = queue->used + USED_RING +
			USED_ELEM_LEN * ((queue->next_used + ahead) & (queue->size - 1U));

	le32_set(elem, head);
	le32_set(elem + 4, written);
}

void virtqueue_publish(struct virtqueue *queue, unsigned int count)
{
	queue->next_used = (uint16_t)(queue->next_used + count);
	/* The release: elements and buffers are seen by whoever sees the index. */
	store16(queue->used + USED_IDX, queue->next_used);
}

void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written)
{
	virtqueue_fill(queue, 0, head, written);
	virtqueue_publish(queue, 1);
}

uint16_t virtqueue_avail_index(const struct virtqueue *queue)
{
	return load16(queue->avail + AVAIL_IDX);
}

uint16_t virtqueue_used_index(const struct virtqueue *queue)
{
	return load16(queue->used + USED_IDX);
}

bool virtqueue_must_notify(struct virtqueue *queue)
{
	uint16_t before = queue->notified_used, now = queue->next_used;

	if (before == now)
		return false;
	queue->notified_used = now;
	/* The index is seen before the driver's wish is read: else each might miss the other's. */
	atomic_thread_fence(memory_order_seq_cst);
	if (queue->event_idx)
		return vring_need_event(load16(used_event(queue)), now, before);
	return !(load16(queue->avail) & VRING_AVAIL_F_NO_INTERRUPT);
}

bool virtqueue_want_kick(struct virtqueue *queue)
{
	if (queue->event_idx)
		store16(avail_event(queue), queue->next_avail);
	else
		store16(queue->used, 0);
	/* As above, the other way round. */
	atomic_thread_fence(memory_order_seq_cst);
	return available(queue);
}

int virtqueue_pop_or_ask(struct virtqueue *queue, struct virtqueue_chain *chain)
{
	int got;

	do {
		got = virtqueue_pop(queue, chain);
	} while (!got && virtqueue_want_kick(queue));
	return got;
}

/* With event indexes nothing need be written: an index that lies behind asks for no kick. */
void virtqueue_spare_kicks(struct virtqueue *queue)
{
	if (!queue->event_idx)
		store16(queue->used, VRING_USED_F_NO_NOTIFY);
}

/* --- bytes of a chain --- */

/* Calls `copy` for the pieces of [off, off + len) in `count` buffers. */
static bool copy_pieces(const struct iovec *iov, unsigned int count, uint64_t off, uint8_t *bytes,
			size_t len, void (*copy)(uint8_t *bytes, uint8_t *guest, size_t len))
{
	for (unsigned int i = 0; i < count && len; i++) {
		size_t piece = iov[i].iov_len;

		if (off >= piece) {
			off -= piece;
			continue;
		}
		piece -= (size_t)off;
		if (piece > len)
			piece = len;
		copy(bytes, (uint8_t *)iov[i].iov_base + off, piece);
		bytes += piece;
		len -= piece;
		off = 0;
	}
	return !len;
}

static void copy_from_guest(uint8_t *bytes, uint8_t *guest, size_t len)
{
	virtqueue_copy_once(bytes, guest, len);
}

static void copy_to_guest(uint8_t *bytes, uint8_t *guest, size_t len)
{
	memcpy(guest, bytes, len);
}

bool virtqueue_chain_read(const struct virtqueue_chain *chain, uint64_t off, void *ret_bytes,
			  size_t len)
{
	return copy_pieces(chain->iov, chain->readable, off, ret_bytes, len, copy_from_guest);
}

bool virtqueue_chain_write(const struct virtqueue_chain *chain, uint64_t off, const void *bytes,
			   size_t len)
{
	uint8_t *from = (uint8_t *)(uintptr_t)bytes; /* only read: see copy_to_guest() */

	return copy_pieces(chain->iov + chain->readable, chain->writable, off, from, len,
			   copy_to_guest);
}
