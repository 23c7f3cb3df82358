/*
 * Devices of the host's kernel that serve a virtio device's queues themselves (vhost): what is the
 * same for each, whatever it does with the buffers. The eventfds of the queues, the rings and the
 * guest's memory are all that the kernel needs; it checks the rings.
 */
#ifndef DEVICES_VHOST_H
#define DEVICES_VHOST_H

#include <stdint.h>

#include "devices/virtio.h"

/* One of them, and what it is given. */
struct vhost_share {
	int fd;                  /* of vhost_open() */
	struct virtio_dev *dev;
	unsigned int first, count; /* queues of `dev`, which the kernel knows as 0 to count - 1 */
	uint64_t features;       /* that the kernel must know of if the driver accepted them */
	int error_fd;            /* eventfd, signalled when the driver breaks the rules */
};

/* What the kernel must know of the rings themselves, whatever the device. */
#define VHOST_RING_FEATURES                                                                    \
	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC |                    \
	 1ULL << VIRTIO_RING_F_EVENT_IDX)

/* A descriptor of the kernel's device `path`, which is this process' own, and what it offers.
 * Negative errno; -EOPNOTSUPP: not all of `needed`. */
int vhost_open(const char *path, uint64_t needed, uint64_t *ret_features);

/* An ioctl. 0 or negative errno. */
int vhost_call(int fd, unsigned long request, const void *argument);

/*
 * Hands over memory and queues, which are enabled, and what the driver accepted. The kernel does
 * not serve them yet: how it is told to is the device's own. 0 or negative errno. Transport's lock,
 * or the device's thread.
 */
int vhost_give(const struct vhost_share *share);

/* Takes the queues back, as far as the kernel came; it does not serve them any more. */
void vhost_take_back(const struct vhost_share *share);

#endif
