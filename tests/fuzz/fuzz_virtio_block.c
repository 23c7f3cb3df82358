/*
 * The input is what a driver asks of a disk: options of the disk, then requests of eight bytes each
 * (type, sector, flags, pieces), then the bytes of the data. The host does them part by part, or
 * fails them. The image keeps its size, a read-only one its bytes; every request is answered once,
 * and none writes outside of the buffers that it names.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "devices/block_queue.h"
#include "tests/fake_driver.h"
#include "tests/fake_mem.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/bits.h"

#define RAM (16 * MIB)
#define RINGS 0x10000U
#define HEADERS 0x20000U
#define STATUSES 0x21000U
#define DATA 0x30000U
#define DATA_LEN 0x10000U
#define GUARD 0x40000U
#define GUARD_LEN 0x1000U
#define SECTORS 64U
#define IMAGE_LEN (SECTORS * 512U)
#define RING_SIZE 64U
#define DESCRIPTORS 8U /* of each request */
#define REQUESTS (RING_SIZE / DESCRIPTORS)

struct step {
	uint8_t type, pieces, sector, piece_len;
	uint32_t wild; /* replaces something when its low byte says so */
};
_Static_assert(sizeof(struct step) == 8, "a step of the seeds");

static struct mem *mem;
static uint8_t image[IMAGE_LEN], before[IMAGE_LEN];
static atomic_bool stable;
static bool flags_changed; /* by this input */

/* --- a host that works at once, in parts --- */

struct host {
	struct block_io io;
	struct block_op *done;
	uint8_t mood;
	bool read_only;
};

static uint64_t move(struct host *host, const struct block_op *op)
{
	uint64_t off = op->off, moved = 0, most = host->mood & 1 ? 700 : UINT64_MAX;

	for (unsigned int i = 0; i < op->iovs && off < IMAGE_LEN && moved < most; i++) {
		size_t len = op->iov[i].iov_len;

		if (len > IMAGE_LEN - off)
			len = (size_t)(IMAGE_LEN - off);
		if (len > most - moved)
			len = (size_t)(most - moved);
		if (op->type == BLOCK_READ)
			memcpy(op->iov[i].iov_base, image + off, len);
		else
			memcpy(image + off, op->iov[i].iov_base, len);
		off += len;
		moved += len;
	}
	return moved;
}

static int64_t perform(struct host *host, const struct block_op *op)
{
	if (host->mood % 16 == 15)
		return -EIO;
	switch (op->type) {
	case BLOCK_READ:
	case BLOCK_WRITE:
		fuzz_must(op->off < IMAGE_LEN && op->iovs && op->iovs <= BLOCK_CHAIN_MAX,
			  "an operation beyond the image");
		fuzz_must(op->type == BLOCK_READ || !host->read_only, "a read-only image written");
		return (int64_t)move(host, op);
	case BLOCK_FALLOCATE:
		fuzz_must(op->off < IMAGE_LEN && op->len && op->len <= IMAGE_LEN - op->off &&
			  op->mode & FALLOC_FL_KEEP_SIZE && !host->read_only, "a wrong range");
		if (host->mood & 2)
			return -EOPNOTSUPP;
		memset(image + op->off, 0, op->len);
		return 0;
	case BLOCK_FLUSH:
		break;
	}
	return 0;
}

static void host_add(struct block_io *io, struct block_op *op)
{
	struct host *host = container_of(io, struct host, io);

	op->result = perform(host, op);
	host->mood = (uint8_t)(host->mood * 5 + 3);
	op->next = host->done;
	host->done = op;
}

static bool host_submit(struct block_io *io)
{
	(void)io;
	return true;
}

static struct block_op *host_reap(struct block_io *io)
{
	struct host *host = container_of(io, struct host, io);
	struct block_op *op = host->done;

	if (op)
		host->done = op->next;
	return op;
}

static void host_destroy(struct block_io *io)
{
	(void)io;
}

static const struct block_io_ops host_ops = {"fuzz", host_destroy, host_add, host_submit,
					     host_reap};

/* --- the driver --- */

static void offer(struct driver_ring *ring, unsigned int slot, const struct step *step)
{
	static const uint32_t types[] = {
		VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_DISCARD,
		VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_SCSI_CMD, 0x1234,
	};
	struct virtio_blk_outhdr header = {.type = types[step->type % ARRAY_SIZE(types)],
					   .sector = step->sector};
	unsigned int pieces = step->pieces % (DESCRIPTORS - 1);
	unsigned int head = slot * DESCRIPTORS, at = head;
	uint32_t len = step->piece_len % 3 ? 512U << step->piece_len % 3 : step->piece_len + 1U;
	uint16_t flags = header.type == VIRTIO_BLK_T_IN || header.type == VIRTIO_BLK_T_GET_ID
				 ? VRING_DESC_F_WRITE : 0;

	if (step->wild % 8 == 1)
		header.sector = (uint64_t)(step->wild / 8) << 48 | step->sector;
	memcpy(mem_hva(mem, HEADERS + 16 * slot, 16), &header, sizeof(header));
	driver_ring_set(ring, at, HEADERS + 16 * slot, 16, VRING_DESC_F_NEXT, (uint16_t)(at + 1));
	at++;
	for (unsigned int i = 0; i < pieces; i++, at++)
		driver_ring_set(ring, at, DATA + slot * 0x1000 + i * 0x200, len,
				flags | VRING_DESC_F_NEXT, (uint16_t)(at + 1));
	driver_ring_set(ring, at, STATUSES + slot, 1, VRING_DESC_F_WRITE, 0);
	/* No tables: what a guest writes there may be any memory, also the guard. */
	if (step->wild % 8 == 2) {
		ring->desc[head + step->wild / 8 % DESCRIPTORS].flags ^= step->wild >> 16 & 3;
		flags_changed = true;
	}
	driver_ring_offer(ring, (uint16_t)head);
}

/* What is left of the input is every request's data, also as a range to discard. */
static void fill_data(const struct fuzz_input *input)
{
	uint8_t *data = mem_hva(mem, DATA, DATA_LEN);

	memset(data, 0, DATA_LEN);
	for (unsigned int slot = 0; slot < REQUESTS; slot++)
		memcpy(data + slot * 0x1000, input->bytes, input->size < 64 ? input->size : 64);
}

static bool is_all(const uint8_t *bytes, size_t len, uint8_t value)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

/* No sector beyond the disk is read or written, however its number overflows. Not where flags were
 * changed: a chain may then run on into another, and answer there. */
static void check_answer(uint32_t slot)
{
	struct virtio_blk_outhdr header;
	const uint8_t *status = mem_hva(mem, STATUSES + slot, 1);

	memcpy(&header, mem_hva(mem, HEADERS + 16 * slot, 16), sizeof(header));
	if (!flags_changed && header.type <= VIRTIO_BLK_T_OUT && header.sector > SECTORS)
		fuzz_must(*status != VIRTIO_BLK_S_OK, "a sector beyond the disk");
}

static void check(struct block_queue *queue, const struct driver_ring *ring, unsigned int offered,
		  bool read_only)
{
	fuzz_must(!block_queue_is_busy(queue), "a request is lost");
	fuzz_must(ring->used->idx <= offered, "answered more than once");
	fuzz_must(ring->used->idx == offered || virtio_dev_is_broken(queue->dev),
		  "a request is not answered");
	fuzz_must(is_all(mem_hva(mem, GUARD, GUARD_LEN), GUARD_LEN, 0x99),
		  "memory beside the buffers written");
	fuzz_must(!read_only || !memcmp(image, before, IMAGE_LEN), "a read-only image changed");
	for (unsigned int i = 0; i < ring->used->idx; i++) {
		uint32_t slot = ring->used->ring[i].id / DESCRIPTORS;

		fuzz_must(slot < REQUESTS, "an id that nobody offered");
		check_answer(slot);
	}
}

static void write_seeds(int argc, char **argv)
{
	static const struct {
		uint8_t options, mood;
		struct step step[5];
		struct virtio_blk_discard_write_zeroes range;
	} __attribute__((packed)) seeds[] = {
		{8, 0, {{0, 2, 0, 0, 0}, {1, 2, 8, 1, 0}, {2, 0, 0, 0, 0}, {5, 1, 0, 20, 0}},
		 {0, 0, 0}},
		{9, 2, {{3, 1, 0, 15, 0}, {4, 1, 0, 15, 0}, {4, 1, 0, 15, 1}}, {8, 16, 0}},
		{44, 1, {{0, 3, 1, 1, 0}, {1, 3, 1, 2, 2}, {0, 1, 1, 1, 1025}}, {1, 1, 1}},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(seeds); i++)
		fuzz_write_seed(argc, argv, (const char[]){(char)('a' + i), 0}, &seeds[i],
				sizeof(seeds[i]));
}

static const struct virtio_ops no_ops = {.type = "fuzz", .id = VIRTIO_ID_BLOCK};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	mem = fake_mem_create(RAM);
	for (unsigned int i = 0; i < IMAGE_LEN; i++)
		before[i] = (uint8_t)(i * 7 + i / 512);
	write_seeds(*argc, *argv);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	uint8_t options = (uint8_t)fuzz_take(&input, 1);
	struct host host = {.io = {.ops = &host_ops}, .mood = (uint8_t)fuzz_take(&input, 1),
			    .read_only = options & 1};
	const struct block_disk disk = {
		.image = {.size = IMAGE_LEN, .block_size = options & 2 ? 4096 : 512,
			  .memory_align = options & 4 ? 512 : 1, .read_only = options & 1},
		.serial = "fuzz", .discard = options & 8, .write_zeroes = options & 8,
		.stable = &stable};
	const struct virtqueue_config config = {
		.size = RING_SIZE, .desc = RINGS, .avail = RINGS + DRIVER_AVAIL,
		.used = RINGS + DRIVER_USED, .event_idx = options & 16, .indirect = options & 32};
	struct virtio_dev dev = {.ops = NULL};
	struct block_queue queue;
	struct driver_ring ring;
	unsigned int offered = 0;

	memcpy(image, before, IMAGE_LEN);
	memset(mem_hva(mem, GUARD, GUARD_LEN), 0x99, GUARD_LEN);
	memset(mem_hva(mem, STATUSES, REQUESTS), 0xff, REQUESTS);
	stable = options & 64;
	flags_changed = false;
	driver_ring_init(&ring, mem, RINGS, RING_SIZE);
	fuzz_must(!virtio_dev_init(&dev, &no_ops, 0, 1, RING_SIZE) &&
		  !virtqueue_start(&dev.queue[0].ring, mem, &config) &&
		  !block_queue_init(&queue, &dev, 0, &disk, &host.io), "set-up");
	for (; input.size >= sizeof(struct step) && offered < REQUESTS; offered++) {
		struct step step;

		memcpy(&step, input.bytes, sizeof(step));
		input.bytes += sizeof(step);
		input.size -= sizeof(step);
		fill_data(&input);
		offer(&ring, offered, &step);
		if (offered % 2)
			block_queue_serve(&queue);
	}
	for (unsigned int i = 0; i < 1000 && (!i || block_queue_is_busy(&queue)); i++)
		block_queue_serve(&queue);
	check(&queue, &ring, offered, options & 1);
	block_queue_finish(&queue);
	virtio_dev_finish(&dev);
	return 0;
}
