/*
 * A disk under test, whoever serves it: what the guests that drive one have, and the checks that
 * they share. Its file has a line for each sector, 511 digits of the sector's number
 * (guest-tests/bare/run makes it so); the last thing done turns their order around, which the host
 * checks. Options: sectors=N, queues=N, ro=1.
 */
#ifndef GUEST_TESTS_BARE_LIB_DISK_H
#define GUEST_TESTS_BARE_LIB_DISK_H

#include "guest-tests/bare/lib_blk.h"
#include "guest-tests/bare/lib_irq.h"

#define VECTOR_CONFIG VECTOR_FIRST
#define VECTOR_QUEUE (VECTOR_FIRST + 1) /* of the first one; the others' follow */
#define WAIT_MS 20000
#define BASE_FEATURES (FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_BLK_F_FLUSH))
#define RING_FEATURES (FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | FEATURE(VIRTIO_RING_F_EVENT_IDX))
#define CHUNK (8 * SECTOR)
#define DISK_QUEUES_MAX 4U
#define DISK_SLOTS 16U

struct disk {
	struct virtio dev;
	uint64_t sectors, offered; /* by the options; features */
	unsigned int queues;
	bool read_only;
	struct queue queue[DISK_QUEUES_MAX];
	uint8_t buffer[DISK_SLOTS][CHUNK] __attribute__((aligned(4096)));
};

/* Finds the first disk, and reads the options. False, and reported: there is none. */
bool disk_find(struct disk *disk);

/* Its first queue, from a reset; with vector VECTOR_QUEUE if `msix`. */
bool disk_setup(struct disk *disk, uint64_t features, bool msix);

/* Reads `len` bytes into the first buffer, by the first queue: the status. */
uint8_t disk_read(struct disk *disk, enum layout layout, uint64_t sector, uint32_t len);
/* Writes the sectors' numbers by way of it. */
uint8_t disk_write_numbers(struct disk *disk, enum layout layout, uint64_t sector, uint32_t len);

/* Reads here and there. Writes, sees it, and puts back what was there, unless it is read-only. */
bool disk_transfers(struct disk *disk, enum layout layout);

/* --- checks, of a disk that is set up --- */

/* More reads than the ring has entries, in these layouts by turns. */
void disk_check_many(struct disk *disk, const enum layout *layouts, unsigned int count);

/* --- checks, which set it up --- */

/* Every queue answers, by its own vector. Enables MSI-X. */
void disk_check_queues(struct disk *disk);
/* From the end of a reset on the memory is ours, whatever was in flight. */
void disk_check_resets(struct disk *disk);
/* Without Bus Master it stands still, and loses nothing. */
void disk_check_bus_master(struct disk *disk);
/* The last one: the numbers in reversed order. */
void disk_turn_around(struct disk *disk);

#endif
