#include "devices/virtio_vsock.h"

#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_vsock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/vhost.h"
#include "devices/virtio.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/log.h"

#define CLASS_COMMUNICATION_OTHER 0x078000 /* PCI Code and ID Assignment 1.11, 1.8 Base Class 07h */
#define QUEUE_SIZE 256U

/* VIRTIO 1.2, 5.10.2 Virtqueues. The kernel has the first two, in this order. */
enum { RX, TX, EVENT, QUEUES };
#define SHARED_QUEUES 2U

/* Offered as far as the kernel knows them. VIRTIO_VSOCK_F_STREAM is none of them: streams are
 * implied where it is missing (VIRTIO 1.2, 5.10.3 Feature bits). */
#define FEATURES (1ULL << VIRTIO_VSOCK_F_SEQPACKET)

struct virtio_vsock {
	struct virtio_dev dev;
	struct virtio_vsock_config config;
	int vhost_fd;
	int error_fd;  /* eventfd: vhost met a driver that breaks the rules */
	bool has_cid;  /* the kernel has given vhost_fd the address */
	bool serving;  /* the kernel serves the queues */
	bool used;     /* it has done so since vhost_fd was opened */
};

static struct virtio_vsock *vsock_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_vsock, dev);
}

/* --- the kernel's side --- */

static int open_vhost(uint64_t *ret_features)
{
	return vhost_open(VSOCK_PATH, VHOST_RING_FEATURES, ret_features);
}

/* Connections to this address go to the guest from here on. */
static int claim_cid(struct virtio_vsock *vsock)
{
	uint64_t cid = vsock->config.guest_cid;
	int error;

	if (vsock->has_cid)
		return 0;
	error = vhost_call(vsock->vhost_fd, VHOST_VSOCK_SET_GUEST_CID, &cid);
	vsock->has_cid = !error;
	return error;
}

static int set_running(const struct virtio_vsock *vsock, int on)
{
	return vhost_call(vsock->vhost_fd, VHOST_VSOCK_SET_RUNNING, &on);
}

static struct vhost_share share_of(struct virtio_vsock *vsock)
{
	return (struct vhost_share){.fd = vsock->vhost_fd, .dev = &vsock->dev, .first = RX,
				    .count = SHARED_QUEUES,
				    .features = VHOST_RING_FEATURES | FEATURES,
				    .error_fd = vsock->error_fd};
}

/*
 * The kernel resets the host's ends of all connections when its device is closed (Linux
 * vhost/vsock.c, vhost_vsock_dev_release()), and at no other time: without that a program that only
 * reads would wait for a guest that has forgotten it. What cannot be opened again is kept.
 */
static void renew(struct virtio_vsock *vsock)
{
	uint64_t features;
	int error = 0, fd = open_vhost(&features);

	if (fd < 0) {
		log_guest("%s: %s cannot be opened again: %s; connections of the former driver "
			  "end when they are used", vsock->dev.ops->type, VSOCK_PATH,
			  strerror(-fd));
		return;
	}
	close(vsock->vhost_fd);
	vsock->vhost_fd = fd;
	vsock->has_cid = vsock->used = false;
	error = claim_cid(vsock);
	if (error)
		log_guest("%s: CID %u: %s; tried again when the driver starts",
			  vsock->dev.ops->type, (unsigned int)vsock->config.guest_cid,
			  strerror(-error));
}

int virtio_vsock_error_fd(const struct virtio_vsock *vsock)
{
	return vsock->error_fd;
}

void virtio_vsock_take_error(struct virtio_vsock *vsock)
{
	if (eventfd_drain(vsock->error_fd))
		virtio_dev_break(&vsock->dev, "the kernel's vhost refuses what is in its rings");
}

/* --- running --- */

static int give(struct virtio_vsock *vsock)
{
	const struct vhost_share share = share_of(vsock);
	int error = claim_cid(vsock);

	if (!error)
		error = vhost_give(&share);
	if (!error)
		error = set_running(vsock, 1);
	return error;
}

/* The kernel takes both queues or none. */
static int start(struct virtio_dev *dev)
{
	struct virtio_vsock *vsock = vsock_of(dev);
	int error;

	if (!dev->queue[RX].enabled || !dev->queue[TX].enabled)
		return 0;
	error = give(vsock);
	vsock->serving = !error;
	vsock->used |= !error;
	if (error)
		log_guest("%s %s: its queues cannot be served: %s", dev->ops->type, dev->name,
			  strerror(-error));
	return error;
}

/* VHOST_VSOCK_SET_RUNNING takes the queues' locks, which the kernel holds while it serves them. */
static void stop(struct virtio_dev *dev)
{
	struct virtio_vsock *vsock = vsock_of(dev);
	const struct vhost_share share = share_of(vsock);

	if (!vsock->serving)
		return;
	set_running(vsock, 0);
	vhost_take_back(&share);
	vsock->serving = false;
}

static void reset(struct virtio_dev *dev)
{
	struct virtio_vsock *vsock = vsock_of(dev);

	if (vsock->used)
		renew(vsock);
	eventfd_drain(vsock->error_fd);
}

static void config_read(struct virtio_dev *dev, uint32_t off, uint32_t len, uint8_t *ret_bytes)
{
	memcpy(ret_bytes, (const uint8_t *)&vsock_of(dev)->config + off, len);
}

static const struct virtio_ops vsock_ops = {
	.type = "virtio-vsock",
	.id = VIRTIO_ID_VSOCK,
	.pci_class = CLASS_COMMUNICATION_OTHER,
	.config_read = config_read,
	.start = start,
	.stop = stop,
	.reset = reset,
};

/* --- set-up --- */

/* What would work. */
static void explain_open(uint32_t cid, int error, char *why, size_t why_size)
{
	const char *remedy = "";

	if (error == -ENOENT || error == -ENODEV || error == -ENXIO)
		remedy = "; modprobe vhost_vsock gives the host one";
	else if (error == -EACCES || error == -EPERM)
		remedy = "; it opens for root, or for its group (ls -l shows it, on Debian kvm)";
	else if (error == -EOPNOTSUPP)
		remedy = "; a kernel from Linux 4.8 on has what is needed";
	snprintf(why, why_size, "--vsock %u: %s: %s%s", cid, VSOCK_PATH, strerror(-error), remedy);
}

static void explain_cid(uint32_t cid, int error, char *why, size_t why_size)
{
	if (error == -EADDRINUSE)
		snprintf(why, why_size, "--vsock %u: another virtual machine has this CID; each "
			 "takes one of its own, %u to %u", cid, VSOCK_CID_MIN, VSOCK_CID_MAX);
	else
		snprintf(why, why_size, "--vsock %u: the kernel refuses this CID: %s", cid,
			 strerror(-error));
}

static int open_all(struct virtio_vsock *vsock, uint64_t *ret_features, char *why, size_t why_size)
{
	uint32_t cid = (uint32_t)vsock->config.guest_cid;
	int error;

	vsock->vhost_fd = open_vhost(ret_features);
	if (vsock->vhost_fd < 0) {
		explain_open(cid, vsock->vhost_fd, why, why_size);
		return vsock->vhost_fd;
	}
	error = claim_cid(vsock);
	if (error)
		explain_cid(cid, error, why, why_size);
	return error;
}

int virtio_vsock_create(uint32_t cid, struct virtio_vsock **ret_vsock, char *ret_why,
			size_t why_size)
{
	struct virtio_vsock *vsock = calloc(1, sizeof(*vsock));
	uint64_t features = 0;
	int error;

	snprintf(ret_why, why_size, "--vsock %u: out of memory or file descriptors", cid);
	if (!vsock)
		return -ENOMEM;
	snprintf(vsock->dev.name, sizeof(vsock->dev.name), "vsock");
	vsock->config.guest_cid = cid;
	vsock->dev.config_size = sizeof(vsock->config);
	vsock->vhost_fd = -1;
	vsock->error_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = vsock->error_fd < 0 ? -errno : open_all(vsock, &features, ret_why, why_size);
	if (!error)
		error = virtio_dev_init(&vsock->dev, &vsock_ops, features & FEATURES, QUEUES,
					QUEUE_SIZE);
	if (error) {
		virtio_vsock_destroy(vsock);
		return error;
	}
	*ret_vsock = vsock;
	return 0;
}

void virtio_vsock_destroy(struct virtio_vsock *vsock)
{
	if (!vsock)
		return;
	virtio_dev_finish(&vsock->dev);
	if (vsock->vhost_fd >= 0)
		close(vsock->vhost_fd);
	if (vsock->error_fd >= 0)
		close(vsock->error_fd);
	free(vsock);
}

struct virtio_dev *virtio_vsock_dev(struct virtio_vsock *vsock)
{
	return &vsock->dev;
}
