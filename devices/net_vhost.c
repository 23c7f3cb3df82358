#include "devices/net_vhost.h"

#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

#include "devices/vhost.h"

#define QUEUES 2U
/* What the kernel must know of when the driver has accepted it; the rest is the tap device's. */
#define FEATURES (VHOST_RING_FEATURES | 1ULL << VIRTIO_NET_F_MRG_RXBUF)

static struct vhost_share share_of(int fd, struct virtio_dev *dev, unsigned int first)
{
	return (struct vhost_share){.fd = fd, .dev = dev, .first = first, .count = QUEUES,
				    .features = FEATURES, .error_fd = -1};
}

int net_vhost_open(void)
{
	uint64_t features;

	return vhost_open(NET_VHOST_PATH, FEATURES, &features);
}

/* The kernel wants none or both of the queues to be those that it has. */
static int set_backend(int fd, int tap_fd)
{
	int error = 0;

	for (unsigned int i = 0; i < QUEUES && !error; i++) {
		struct vhost_vring_file backend = {i, tap_fd};

		error = vhost_call(fd, VHOST_NET_SET_BACKEND, &backend);
	}
	return error;
}

int net_vhost_start(int fd, struct virtio_dev *dev, unsigned int first, int tap_fd, int error_fd)
{
	struct vhost_share share = share_of(fd, dev, first);
	int error;

	share.error_fd = error_fd;
	error = vhost_give(&share);
	if (!error)
		error = set_backend(fd, tap_fd);
	if (error)
		set_backend(fd, -1);
	return error;
}

/* VHOST_NET_SET_BACKEND returns when the kernel is done with the queue. */
void net_vhost_stop(int fd, struct virtio_dev *dev, unsigned int first)
{
	struct vhost_share share = share_of(fd, dev, first);

	set_backend(fd, -1);
	vhost_take_back(&share);
}
