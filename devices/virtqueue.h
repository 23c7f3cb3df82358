/*
 * One split virtqueue, seen from the device: takes chains of buffers from the available ring, and
 * gives them back on the used ring. VIRTIO 1.2, 2.7 Split Virtqueues. Packed rings are not offered.
 *
 * The rings and all buffers are the guest's memory, which its CPUs and devices change at any time:
 * what is read is copied once, the copy is checked, and only the copy is used. A chain that the
 * specification forbids, or that names memory which is no RAM, is answered with an error, after
 * which the device needs a reset.
 *
 * Not locked: a queue is its device's, one thread at a time.
 */
#ifndef DEVICES_VIRTQUEUE_H
#define DEVICES_VIRTQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/layout.h"

struct mem;

#define VIRTQUEUE_SIZE_MAX 1024U /* entries of any queue; a device may offer fewer */

/* What the driver negotiated and where it put the rings. */
struct virtqueue_config {
	uint16_t size;              /* entries, a power of two */
	gpa_t desc, avail, used;
	bool event_idx, indirect;   /* VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC */
};

struct virtqueue {
	const struct mem *mem;
	uint16_t size;
	bool event_idx, indirect;
	const uint8_t *desc;        /* these three are the guest's memory, checked as a whole */
	uint8_t *avail, *used;
	uint16_t next_avail;        /* entry that the device takes next; free-running */
	uint16_t next_used;         /* entry that it fills next; free-running */
	uint16_t notified_used;     /* next_used when the driver was last asked about */
};

/*
 * A chain: `readable` buffers that the device reads, then `writable` ones that it writes, none of
 * them empty, all of them RAM. `iov` has room for `capacity` and is the caller's.
 */
struct virtqueue_chain {
	struct iovec *iov;
	unsigned int capacity;
	unsigned int readable, writable; /* elements of `iov` */
	uint64_t readable_len, writable_len; /* bytes */
	uint16_t head;              /* its name in the rings */
};

/* Why a chain or a ring was refused, as a word for diagnostics. */
const char *virtqueue_complaint(int error);

/*
 * Takes the rings in use; entries count from 0. Returns 0, -EINVAL when the size is no power of two
 * up to VIRTQUEUE_SIZE_MAX or a ring is not aligned as VIRTIO 1.2, 2.7 Split Virtqueues, wants it,
 * -EFAULT when one is not RAM.
 */
int virtqueue_start(struct virtqueue *queue, const struct mem *mem,
		    const struct virtqueue_config *config);

/*
 * Takes the next chain. 1: here it is. 0: there is none. Negative, and the queue is of no use until
 * the driver resets the device: -EBADSLT the available index ran ahead of the ring, -ERANGE a
 * descriptor beyond the table, -ELOOP more descriptors than the table has, -E2BIG more than
 * `capacity`, -EBADMSG an empty buffer, an indirect table where none may be or of a wrong size, or
 * a readable buffer after a writable one, -EFAULT memory that is no RAM.
 */
int virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain);

/* Takes the last `count` chains back as if they had not been popped. None of them may be given back
 * already, nor one that was popped after them. */
void virtqueue_unpop(struct virtqueue *queue, unsigned int count);

/* Gives the chain of `head` back, with `written` bytes in its writable buffers. */
void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written);

/* The same in two steps, for several chains that the driver must see at once: fills the used entry
 * `ahead` places further on; then shows `count` of them. */
void virtqueue_fill(struct virtqueue *queue, unsigned int ahead, uint16_t head, uint32_t written);
void virtqueue_publish(struct virtqueue *queue, unsigned int count);

/*
 * After one or more pushes: does the driver want to be told? VIRTIO 1.2, 2.7.7 Used Buffer
 * Notification Suppression.
 */
bool virtqueue_must_notify(struct virtqueue *queue);

/*
 * Asks the driver for a kick at its next buffer. True: there is one already, of which no kick may
 * come. VIRTIO 1.2, 2.7.10 Available Buffer Notification Suppression.
 */
bool virtqueue_want_kick(struct virtqueue *queue);

/* As virtqueue_pop(); where there is none, the driver was asked for a kick at its next buffer. */
int virtqueue_pop_or_ask(struct virtqueue *queue, struct virtqueue_chain *chain);

/* The driver need not kick: the device will look by itself. */
void virtqueue_spare_kicks(struct virtqueue *queue);

/* The indices that driver and device share, when somebody else serves the ring: what was offered,
 * and what was given back. */
uint16_t virtqueue_avail_index(const struct virtqueue *queue);
uint16_t virtqueue_used_index(const struct virtqueue *queue);

/* Copies `len` bytes out of the readable buffers, from byte `off` on; true when all were there. */
bool virtqueue_chain_read(const struct virtqueue_chain *chain, uint64_t off, void *ret_bytes,
			  size_t len);

/* Copies into the writable buffers; the same. */
bool virtqueue_chain_write(const struct virtqueue_chain *chain, uint64_t off, const void *bytes,
			   size_t len);

/* `len` bytes of `from` onwards, of which the other side may change every one at any time, are read
 * once, here; no later use of the copy looks at them again. */
void virtqueue_copy_once(void *ret_copy, const void *from, size_t len);

#endif
