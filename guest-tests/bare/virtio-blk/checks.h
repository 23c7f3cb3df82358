/*
 * The parts of the guest virtio-blk.c, by theme. All are about its one disk.
 */
#ifndef GUEST_TESTS_BARE_VIRTIO_BLK_CHECKS_H
#define GUEST_TESTS_BARE_VIRTIO_BLK_CHECKS_H

#include "guest-tests/bare/lib_disk.h"

#define RANGE_FEATURES (FEATURE(VIRTIO_BLK_F_DISCARD) | FEATURE(VIRTIO_BLK_F_WRITE_ZEROES))
#define ALL (BASE_FEATURES | RING_FEATURES | RANGE_FEATURES)

extern struct disk disk;
static const struct virtio *const dev = &disk.dev;
static struct queue *const queue = disk.queue; /* the first one */

/* registers.c */
void check_identity(void);
void check_features(void);
void check_registers(void);
void check_config_window(void);

/* requests.c; those after check_transfers() of a disk that is set up */
void check_transfers(void);
void check_id(void);
void check_refusals(void);
void check_ranges(void);
void check_cache(void);

/* interrupts.c, in this order */
void check_intx(void);
void check_msix(void);
void check_mask(void);

/* nonsense.c */
void check_nonsense(void);
void check_bad_rings(void);

#endif
