/*
 * The virtio block device: a raw image or a block device of the host. VIRTIO 1.2, 5.2 Block Device.
 *
 * Each queue has a thread of its own while the device runs, which takes requests, has them done
 * (devices/block_io.h) and answers; a CPU of the guest never waits for the host's storage, but for
 * a reset, which waits until all that is in flight is done.
 *
 * Acknowledged writes: after a flush that the guest asked for, they survive what the host's storage
 * survives (fdatasync). A driver that does not know flush, or has switched the write cache off, has
 * its writes on the medium when they are acknowledged (RWF_DSYNC).
 */
#ifndef DEVICES_VIRTIO_BLOCK_H
#define DEVICES_VIRTIO_BLOCK_H

#include "devices/block_image.h"

struct virtio_block;
struct virtio_dev;

/*
 * On an image that is open, which becomes the device's, also on failure. Of `config` the path does
 * not matter, and what the image is, it says itself. `name` is for diagnostics and events. 0, or
 * -ENOMEM: no memory or file descriptors.
 */
int virtio_block_create(const struct block_image *image, const struct disk_config *config,
			const char *name, struct virtio_block **ret_block);

/* Of a device that is stopped. What was written goes to the medium. Accepts NULL. */
void virtio_block_destroy(struct virtio_block *block);

struct virtio_dev *virtio_block_dev(struct virtio_block *block);

#endif
