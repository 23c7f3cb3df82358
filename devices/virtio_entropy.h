/*
 * The virtio entropy device: random bytes of the host's kernel. VIRTIO 1.2, 5.4 Entropy Device.
 */
#ifndef DEVICES_VIRTIO_ENTROPY_H
#define DEVICES_VIRTIO_ENTROPY_H

struct virtio_dev;
struct virtio_entropy;

/* What a guest gets in a second at most; the rest waits. */
#define ENTROPY_BYTES_PER_SECOND (256U << 10)

/* 0 or negative errno. */
int virtio_entropy_create(struct virtio_entropy **ret_entropy);

/* Of a device that is stopped. Accepts NULL. */
void virtio_entropy_destroy(struct virtio_entropy *entropy);

struct virtio_dev *virtio_entropy_dev(struct virtio_entropy *entropy);

#endif
