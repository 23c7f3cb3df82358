/*
 * Requests to a virtio disk, each complete before the next unless said otherwise.
 */
#ifndef GUEST_TESTS_BARE_LIB_BLK_H
#define GUEST_TESTS_BARE_LIB_BLK_H

#include "guest-tests/bare/lib_virtio.h"

#define SECTOR 512U
#define STATUS_NONE 0xffU /* the device has not answered */

/* Shorter, for tables. */
#define BLK_IN VIRTIO_BLK_T_IN
#define BLK_OUT VIRTIO_BLK_T_OUT
#define BLK_FLUSH VIRTIO_BLK_T_FLUSH
#define BLK_DISCARD VIRTIO_BLK_T_DISCARD
#define BLK_ZEROES VIRTIO_BLK_T_WRITE_ZEROES
#define BLK_OK VIRTIO_BLK_S_OK
#define BLK_IOERR VIRTIO_BLK_S_IOERR
#define BLK_UNSUPP VIRTIO_BLK_S_UNSUPP

struct blk_header {
	uint32_t type, reserved;
	uint64_t sector;
};

/* How a request is laid out in descriptors. */
enum layout {
	LAYOUT_PLAIN,     /* header, data, status: one each */
	LAYOUT_INDIRECT,  /* the same in an indirect table */
	LAYOUT_SCATTERED, /* each of them in several */
	LAYOUT_TAIL,      /* the header plain, the rest in an indirect table after it */
	LAYOUTS,
};

/* Sets the disk up with `features` (the ring's and the device's) and `queues` queues in `queue`,
 * which take vectors 1 + n of MSI-X if `msix`. */
bool blk_setup(const struct virtio *dev, struct queue *queue, unsigned int queues,
	       uint64_t features, bool msix);

/* Fills in number `slot` (0 to 15) of what can be in flight: its first descriptor. */
uint16_t blk_fill(struct queue *queue, unsigned int slot, enum layout layout, uint32_t type,
		  uint64_t sector, void *data, uint32_t len);
/* The same, and offers it. */
void blk_offer(struct queue *queue, unsigned int slot, enum layout layout, uint32_t type,
	       uint64_t sector, void *data, uint32_t len);
uint8_t blk_status(unsigned int slot);

/* One request: its status, STATUS_NONE when it is never answered. */
uint8_t blk_do(struct queue *queue, enum layout layout, uint32_t type, uint64_t sector, void *data,
	       uint32_t len);
/* Of one range, for discard and write zeroes. */
uint8_t blk_do_range(struct queue *queue, uint32_t type, uint64_t sector, uint32_t count,
		     uint32_t flags);

/* --- what the tests' disks hold: a sector is 511 digits of its number, and a newline --- */

void blk_number(uint8_t *bytes, uint64_t number);
bool blk_is_numbered(const uint8_t *bytes, uint64_t number);
/* Writes the numbers in reversed order, and a flush; `len` bytes of `buffer` a time. */
bool blk_turn_around(struct queue *queue, uint64_t sectors, uint8_t *buffer, uint32_t len);

#endif
