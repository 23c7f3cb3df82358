#include "devices/block_request.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/base/range.h"

#define HEADER_LEN 16U
#define RANGE_LEN 16U
#define BOUNCE_LEN (256 * KIB)
/* Written where the file system cannot zero a range: as many pieces as a request has room for. */
#define ZEROES_LEN (256 * KIB)
_Static_assert((uint64_t)BLOCK_ZEROES_SECTORS_MAX * DISK_SECTOR <= ZEROES_LEN * BLOCK_CHAIN_MAX,
	       "the largest write zeroes fits one write");

static uint8_t zeroes[ZEROES_LEN] __attribute__((aligned(4096))); /* nobody writes it */

/* --- lists of pieces --- */

static void drop_front(struct block_request *request, uint64_t len)
{
	while (len) {
		struct iovec *first = request->data;
		size_t piece = first->iov_len < len ? first->iov_len : (size_t)len;

		first->iov_base = (uint8_t *)first->iov_base + piece;
		first->iov_len -= piece;
		len -= piece;
		if (!first->iov_len) {
			request->data++;
			request->data_count--;
		}
	}
}

/* The status is the last byte that the driver lets us write. */
static void take_status(struct block_request *request)
{
	struct virtqueue_chain *chain = &request->chain;
	struct iovec *last = &chain->iov[chain->readable + chain->writable - 1];

	last->iov_len--;
	request->status = (uint8_t *)last->iov_base + last->iov_len;
	chain->writable_len--;
	if (!last->iov_len)
		chain->writable--;
}

/* --- checks --- */

/* The range [sector, sector + count) as bytes; false when it is not all on the disk or not made of
 * whole blocks. `count` has few bits enough not to overflow: 64 less 9. */
static bool take_range(struct block_request *request, const struct block_disk *disk,
		       uint64_t sector, uint64_t count)
{
	const struct block_image *image = &disk->image;

	if (!range_fits(image->size / DISK_SECTOR, sector, count))
		return false;
	request->off = sector * DISK_SECTOR;
	request->left = count * DISK_SECTOR;
	return (request->off | request->left) % image->block_size == 0;
}

static int parse_transfer(struct block_request *request, const struct block_disk *disk,
			  uint64_t sector)
{
	struct virtqueue_chain *chain = &request->chain;
	bool write = request->type == VIRTIO_BLK_T_OUT;
	uint64_t len = write ? chain->readable_len - HEADER_LEN : chain->writable_len;

	if ((write && disk->image.read_only) || len % DISK_SECTOR ||
	    !take_range(request, disk, sector, len / DISK_SECTOR))
		return VIRTIO_BLK_S_IOERR;
	request->data = chain->iov;
	request->data_count = chain->readable;
	drop_front(request, HEADER_LEN);
	if (!write) {
		request->data = chain->iov + chain->readable;
		request->data_count = chain->writable;
	}
	return BLOCK_REQUEST_GOES_ON;
}

/* One range: max_discard_seg and max_write_zeroes_seg are 1. VIRTIO 1.2, 5.2.6.2 Device
 * Requirements: Device Operation: flags that are not known, and "unmap" of a discard, are
 * unsupported. */
static int parse_range(struct block_request *request, const struct block_disk *disk)
{
	bool discard = request->type == VIRTIO_BLK_T_DISCARD;
	uint32_t most = discard ? BLOCK_DISCARD_SECTORS_MAX : BLOCK_ZEROES_SECTORS_MAX;
	uint32_t known = discard ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	uint8_t range[RANGE_LEN];
	uint32_t count, flags;

	if (!(discard ? disk->discard : disk->write_zeroes))
		return VIRTIO_BLK_S_UNSUPP;
	if (request->chain.readable_len != HEADER_LEN + RANGE_LEN)
		return VIRTIO_BLK_S_IOERR;
	virtqueue_chain_read(&request->chain, HEADER_LEN, range, sizeof(range));
	count = le32_get(range + 8);
	flags = le32_get(range + 12);
	if (flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	if (disk->image.read_only || count > most ||
	    !take_range(request, disk, le64_get(range), count))
		return VIRTIO_BLK_S_IOERR;
	request->unmap = discard || flags;
	return BLOCK_REQUEST_GOES_ON;
}

/* VIRTIO 1.2, 5.2.6 Device Operation: padded with NULs; 20 characters have none after them. */
static int give_id(struct block_request *request, const struct block_disk *disk)
{
	uint64_t room = request->chain.writable_len;
	uint8_t id[VIRTIO_BLK_ID_BYTES] = {0};

	memcpy(id, disk->serial, strnlen(disk->serial, sizeof(id)));
	request->filled = (uint32_t)(room < sizeof(id) ? room : sizeof(id));
	virtqueue_chain_write(&request->chain, 0, id, request->filled);
	return VIRTIO_BLK_S_OK;
}

int block_request_parse(struct block_request *request, const struct block_disk *disk)
{
	struct virtqueue_chain *chain = &request->chain;
	uint8_t header[HEADER_LEN];

	request->unmap = request->flushes = false;
	request->filled = 0;
	request->error = 0;
	request->off = request->left = 0;
	request->data_count = 0;
	if (!virtqueue_chain_read(chain, 0, header, sizeof(header)) || !chain->writable_len)
		return -EBADMSG;
	take_status(request);
	request->type = le32_get(header);
	switch (request->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		return parse_transfer(request, disk, le64_get(header + 8));
	case VIRTIO_BLK_T_FLUSH:
		request->flushes = true;
		return BLOCK_REQUEST_GOES_ON;
	case VIRTIO_BLK_T_GET_ID:
		return give_id(request, disk);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return parse_range(request, disk);
	default: /* SCSI commands of old among them */
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/* --- steps --- */

static bool is_aligned(const struct block_request *request, const struct block_image *image)
{
	for (unsigned int i = 0; i < request->data_count; i++)
		if ((uintptr_t)request->data[i].iov_base % image->memory_align ||
		    request->data[i].iov_len % image->block_size)
			return false;
	return true;
}

/* Direct I/O to memory that it cannot reach goes by a buffer of ours, piece by piece. */
static bool use_bounce(struct block_request *request, const struct block_image *image)
{
	size_t len = request->left < BOUNCE_LEN ? (size_t)request->left : BOUNCE_LEN;
	size_t align = image->memory_align > 4096 ? image->memory_align : 4096;
	struct virtqueue_chain rest = {.iov = request->data, .readable = request->data_count};

	if (!request->bounce && posix_memalign((void **)&request->bounce, align, BOUNCE_LEN)) {
		request->error = -ENOMEM;
		return false;
	}
	if (request->type == VIRTIO_BLK_T_OUT)
		virtqueue_chain_read(&rest, 0, request->bounce, len);
	request->bounced = (struct iovec){.iov_base = request->bounce, .iov_len = len};
	request->op.iov = &request->bounced;
	request->op.iovs = 1;
	return true;
}

static bool next_transfer(struct block_request *request, const struct block_disk *disk)
{
	request->op.type = request->type == VIRTIO_BLK_T_OUT ? BLOCK_WRITE : BLOCK_READ;
	request->op.stable = *disk->stable;
	request->op.off = request->off;
	request->op.iov = request->data;
	request->op.iovs = request->data_count;
	return disk->image.memory_align == 1 || is_aligned(request, &disk->image) ||
	       use_bounce(request, &disk->image);
}

/* Where the host cannot zero a range, zeroes are written; nothing of the chain is needed any more,
 * so its room takes the pieces. */
static void write_zeroes(struct block_request *request)
{
	uint64_t left = request->left;

	request->type = VIRTIO_BLK_T_OUT;
	request->data = request->iov;
	request->data_count = 0;
	while (left) {
		size_t piece = left < ZEROES_LEN ? (size_t)left : ZEROES_LEN;

		assert(request->data_count < BLOCK_CHAIN_MAX);
		request->iov[request->data_count++] = (struct iovec){zeroes, piece};
		left -= piece;
	}
}

/* A punched hole reads as zeroes: it serves discard, and write zeroes that may unmap. */
static void next_range(struct block_request *request, const struct block_disk *disk)
{
	request->op.type = BLOCK_FALLOCATE;
	request->op.mode = FALLOC_FL_KEEP_SIZE |
			   (request->unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
	request->op.off = request->off;
	request->op.len = request->left;
	request->flushes = *disk->stable;
}

bool block_request_next(struct block_request *request, const struct block_disk *disk)
{
	if (request->error)
		return false;
	if (!request->left) {
		request->op.type = BLOCK_FLUSH;
		return request->flushes;
	}
	if (request->type == VIRTIO_BLK_T_IN || request->type == VIRTIO_BLK_T_OUT)
		return next_transfer(request, disk);
	next_range(request, disk);
	return true;
}

/* --- results --- */

static void transfer_done(struct block_request *request, uint64_t len)
{
	struct virtqueue_chain rest = {.iov = request->data, .writable = request->data_count};

	/* Nothing more to read: somebody has made the file shorter. */
	if (!len) {
		request->error = -EIO;
		return;
	}
	if (len > request->left)
		len = request->left;
	if (request->op.type == BLOCK_READ && request->op.iov == &request->bounced)
		virtqueue_chain_write(&rest, 0, request->bounce, (size_t)len);
	drop_front(request, len);
	request->off += len;
	request->left -= len;
	if (request->op.type == BLOCK_READ)
		request->filled += (uint32_t)len;
}

/* Discard is advice. That the file system cannot zero a range is no answer for the driver. */
static void range_done(struct block_request *request, int error)
{
	if (error == -EOPNOTSUPP && request->type == VIRTIO_BLK_T_WRITE_ZEROES) {
		write_zeroes(request);
		return;
	}
	if (error != -EOPNOTSUPP)
		request->error = error;
	request->left = 0;
}

void block_request_done(struct block_request *request)
{
	int64_t result = request->op.result;

	if (result == -EAGAIN || result == -EINTR)
		return; /* the same again */
	if (request->op.type == BLOCK_FALLOCATE) {
		range_done(request, (int)result);
	} else if (result < 0) {
		request->error = (int)result;
	} else if (request->op.type == BLOCK_FLUSH) {
		request->flushes = false;
	} else {
		transfer_done(request, (uint64_t)result);
	}
}

uint8_t block_request_status(const struct block_request *request)
{
	return request->error ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

/* VIRTIO 1.2, 2.7.8.2 Device Requirements: The Virtqueue Used Ring: the length counts from the
 * first byte on, so the status counts when all before it was written. */
uint32_t block_request_finish(struct block_request *request, uint8_t status)
{
	bool all = request->filled == request->chain.writable_len;

	free(request->bounce);
	request->bounce = NULL;
	*request->status = status;
	return request->filled + all;
}

const char *block_request_name(const struct block_request *request)
{
	switch (request->type) {
	case VIRTIO_BLK_T_IN:
		return "read";
	case VIRTIO_BLK_T_OUT:
		return "write";
	case VIRTIO_BLK_T_FLUSH:
		return "flush";
	case VIRTIO_BLK_T_DISCARD:
		return "discard";
	default:
		return "write zeroes";
	}
}
