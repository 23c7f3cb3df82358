/*
 * One request of a virtio block device: what the driver asks, checked once, and the steps on the
 * host that answer it. Pure but for the guest's memory; VIRTIO 1.2, 5.2.6 Device Operation.
 *
 *	block_request_parse()            the chain becomes a request, or a status at once
 *	block_request_next()             its next operation on the file, until there is none
 *	block_request_done()             how that went
 *	block_request_finish()           status to the driver; how many bytes were written
 */
#ifndef DEVICES_BLOCK_REQUEST_H
#define DEVICES_BLOCK_REQUEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/block_io.h"
#include "devices/virtqueue.h"

/* Segments of data in a request; what a driver is told in seg_max. */
#define BLOCK_SEGMENTS_MAX 126U
/* Header and status may have descriptors of their own. */
#define BLOCK_CHAIN_MAX (BLOCK_SEGMENTS_MAX + 2U)
#define BLOCK_DISCARD_SECTORS_MAX (4U << 20)
#define BLOCK_ZEROES_SECTORS_MAX (64U << 10)

/* What requests are checked against. */
struct block_disk {
	struct block_image image;
	const char *serial;
	bool discard, write_zeroes; /* negotiated */
	const atomic_bool *stable;  /* writes are on the medium when they are acknowledged */
};

struct block_request {
	struct block_op op;
	struct virtqueue_chain chain; /* with `iov` as its room */
	struct iovec iov[BLOCK_CHAIN_MAX];
	uint32_t type;           /* VIRTIO_BLK_T_* */
	uint8_t *status;         /* the driver's byte */
	struct iovec *data;      /* the rest of the data, no empty piece in it */
	unsigned int data_count;
	uint64_t off, left;      /* bytes on the disk still to do */
	bool unmap;              /* of write zeroes */
	uint8_t *bounce;         /* aligned buffer for direct I/O, or NULL */
	struct iovec bounced;    /* the part of it in flight */
	uint32_t filled;         /* bytes of the driver's data, all of them written */
	bool flushes;            /* the last operation is a flush */
	int error;               /* negative errno of the host */
};

/*
 * Takes what request->chain holds. Returns -EBADMSG when it has no room for header or status, which
 * breaks the device; a VIRTIO_BLK_S_* when that is the answer already; BLOCK_REQUEST_GOES_ON.
 */
#define BLOCK_REQUEST_GOES_ON 0x100
int block_request_parse(struct block_request *request, const struct block_disk *disk);

/* True: request->op is to be done next. False: the request is at its end. */
bool block_request_next(struct block_request *request, const struct block_disk *disk);

/* Takes op.result in. */
void block_request_done(struct block_request *request);

/* Writes `status` (VIRTIO_BLK_S_*; when it was done, that of block_request_status()), and returns
 * the length for the used ring. */
uint32_t block_request_finish(struct block_request *request, uint8_t status);
uint8_t block_request_status(const struct block_request *request);

/* For diagnostics: "read", "write", ... */
const char *block_request_name(const struct block_request *request);

#endif
