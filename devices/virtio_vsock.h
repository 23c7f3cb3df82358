/*
 * The virtio socket device: AF_VSOCK between the guest and programs on its host. VIRTIO 1.2, 5.10
 * Socket Device.
 *
 * The host's kernel has the connections and serves both queues of packets (vhost-vsock). What is
 * ours: the guest's address (CID), and the queue of events, of which there are none, because no
 * connection outlives the driver that had it. So that the host's ends do not either, the kernel's
 * device is opened anew after every driver.
 */
#ifndef DEVICES_VIRTIO_VSOCK_H
#define DEVICES_VIRTIO_VSOCK_H

#include <stddef.h>
#include <stdint.h>

struct virtio_dev;
struct virtio_vsock;

#define VSOCK_PATH "/dev/vhost-vsock"

/* VIRTIO 1.2, 5.10.4 Device configuration layout: the other CIDs are reserved. */
#define VSOCK_CID_MIN 3U
#define VSOCK_CID_MAX 0xfffffffeU

/* A device of the guest with address `cid`. Negative errno, with a sentence in `ret_why`, when the
 * host has not what it needs, or another has this address. */
int virtio_vsock_create(uint32_t cid, struct virtio_vsock **ret_vsock, char *ret_why,
			size_t why_size);

/* Of a device that is stopped. Accepts NULL. */
void virtio_vsock_destroy(struct virtio_vsock *vsock);

struct virtio_dev *virtio_vsock_dev(struct virtio_vsock *vsock);

/* A descriptor that the main loop watches: readable when the driver breaks the rules of the rings,
 * of which virtio_vsock_take_error() tells it, with the transport's lock. */
int virtio_vsock_error_fd(const struct virtio_vsock *vsock);
void virtio_vsock_take_error(struct virtio_vsock *vsock);

#endif
