#include "devices/virtio_vhost_user.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/vhost_user.h"
#include "devices/virtio.h"
#include "vmm/base/bits.h"
#include "vmm/base/log.h"
#include "vmm/events.h"

#define CLASS_STORAGE_OTHER 0x018000 /* PCI Code and ID Assignment 1.11, 1.2 Base Class 01h */
#define FEATURE(bit) (1ULL << (bit))
#define QUEUE_SIZE 256U
#define WHY_SIZE 256

/* What differs between the types. */
struct kind {
	const struct virtio_ops *ops;
	uint64_t features;         /* that the back end may offer to the driver */
	unsigned int other_queues; /* besides those of requests */
	unsigned int config_size;
	bool asks_config;
	const char *help;          /* what serves it, where nobody does */
};

struct virtio_vhost_user {
	struct virtio_dev dev;
	const struct kind *kind;
	struct vhost_user_config config;
	struct vhost_user_listener listener;
	struct vhost_user *back_end;
	union {
		struct virtio_blk_config block; /* the back end's */
		struct virtio_fs_config fs;
		uint8_t bytes[sizeof(struct virtio_blk_config)];
	} space;
	atomic_bool stale;               /* the back end's configuration is another one now */
	atomic_bool lost;                /* there is no back end */
	atomic_bool left;                /* and is not to be one */
	atomic_bool serving;             /* it has the rings: else the driver wants no news of it */
	bool silent;                     /* it did not answer the stop that this reset began with */
};

static struct virtio_vhost_user *device_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_vhost_user, dev);
}

/* --- the back end; on any thread --- */

static void lose(void *opaque, int error, const char *what)
{
	struct virtio_vhost_user *device = opaque;
	struct virtio_dev *dev = &device->dev;

	if (atomic_exchange(&device->lost, true))
		return;
	log_guest("%s %s: the back end %s; the device is of no use until a reset finds another one "
		  "at %s", dev->ops->type, dev->name, what, device->config.socket);
	events_emit(&(struct event){.event = "link", .device = dev->name, .from = "up",
				    .to = "down", .error = error, .detail = what});
	if (device->serving)
		virtio_dev_break(dev, "its back end is lost");
}

static void on_ring_error(void *opaque)
{
	struct virtio_vhost_user *device = opaque;

	if (device->serving)
		virtio_dev_break(&device->dev, "the back end refuses what is in its rings");
}

/* The driver reads it on a CPU of its own, which may wait for it. */
static void on_config_changed(void *opaque)
{
	struct virtio_vhost_user *device = opaque;

	device->stale = true;
	if (device->serving)
		virtio_dev_config_changed(&device->dev);
}

/* VIRTIO 1.2, 5.2.4 Device configuration layout: the number of queues is that of ours. */
static void fill_block(struct virtio_vhost_user *device)
{
	device->space.block.num_queues = (uint16_t)device->config.queues;
}

/* VIRTIO 1.2, 5.11.4 Device configuration layout: the tag is padded, not ended, with NULs. */
static void fill_fs(struct virtio_vhost_user *device)
{
	struct virtio_fs_config *fs = &device->space.fs;

	memset(fs, 0, sizeof(*fs));
	memcpy(fs->tag, device->config.tag, strlen(device->config.tag));
	fs->num_request_queues = device->config.queues;
}

/* Features and configuration may be others than those of the last back end: the driver reads them
 * after this. */
static int connect_back_end(struct virtio_vhost_user *device, char *why, size_t why_size)
{
	const struct kind *kind = device->kind;
	const struct vhost_user_needs needs = {
		.queues = kind->other_queues + device->config.queues,
		.least_queues = kind->other_queues + 1,
		.config_size = kind->asks_config ? kind->config_size : 0};
	uint64_t features;
	int error = vhost_user_connect(device->back_end, &needs, device->space.bytes, why,
				       why_size);

	if (error)
		return error;
	features = vhost_user_features(device->back_end) & kind->features;
	if (device->config.queues == 1)
		features &= ~FEATURE(VIRTIO_BLK_F_MQ);
	device->dev.features = features;
	if (device->config.type == VHOST_USER_FS)
		fill_fs(device);
	else
		fill_block(device);
	device->lost = false;
	events_emit(&(struct event){.event = "link", .device = device->dev.name, .to = "up",
				    .cause = "vhost-user"});
	return 0;
}

/* --- ops --- */

static void config_read(struct virtio_dev *dev, uint32_t off, uint32_t len, uint8_t *ret_bytes)
{
	struct virtio_vhost_user *device = device_of(dev);

	if (atomic_exchange(&device->stale, false) &&
	    !vhost_user_get_config(device->back_end, dev->config_size, device->space.bytes))
		fill_block(device);
	memcpy(ret_bytes, device->space.bytes + off, len);
}

/* VIRTIO 1.2, 5.2.4 Device configuration layout: nothing else is the driver's to write. */
static void block_config_write(struct virtio_dev *dev, uint32_t off, uint32_t len,
			       const uint8_t *bytes)
{
	struct virtio_vhost_user *device = device_of(dev);
	uint8_t wce = bytes[0] & 1;

	if (off != offsetof(struct virtio_blk_config, wce) || len != 1 ||
	    !virtio_dev_has(dev, VIRTIO_BLK_F_CONFIG_WCE))
		return;
	if (!vhost_user_set_config(device->back_end, off, len, &wce))
		device->space.block.wce = wce;
}

static int start(struct virtio_dev *dev)
{
	struct virtio_vhost_user *device = device_of(dev);
	int error = 0;

	if (device->lost)
		error = -ENOTCONN;
	if (!error)
		error = vhost_user_start(device->back_end, dev);
	device->serving = !error;
	return error || !device->lost ? error : -ENOTCONN;
}

static void stop(struct virtio_dev *dev)
{
	struct virtio_vhost_user *device = device_of(dev);
	int error;

	device->serving = false;
	if (device->lost)
		return;
	error = vhost_user_stop(device->back_end, dev);
	device->silent = error == -ETIMEDOUT && !dev->status;
	if (error && !device->left)
		virtio_dev_break(dev, "its back end does not tell how far it came");
}

/* A back end that was started again is found here, when the driver begins anew; one that has just
 * kept us waiting is not asked again before the next time. */
static void reset(struct virtio_dev *dev)
{
	static struct log_ratelimit limit;
	struct virtio_vhost_user *device = device_of(dev);
	char why[WHY_SIZE];

	if (device->left || device->silent || vhost_user_is_there(device->back_end)) {
		device->silent = false;
		return;
	}
	if (connect_back_end(device, why, sizeof(why)))
		log_guest("%s %s: no back end at %s: %s", dev->ops->type, dev->name,
			  device->config.socket, why);
	else if (log_allowed(&limit))
		log_info("%s %s: there is a back end again", dev->ops->type, dev->name);
}

static const struct virtio_ops block_ops = {
	.type = "vhost-user-block",
	.id = VIRTIO_ID_BLOCK,
	.pci_class = CLASS_STORAGE_OTHER,
	.awaits_host = true,
	.config_read = config_read,
	.config_write = block_config_write,
	.start = start,
	.stop = stop,
	.reset = reset,
};

static const struct virtio_ops fs_ops = {
	.type = "vhost-user-fs",
	.id = VIRTIO_ID_FS,
	.pci_class = CLASS_STORAGE_OTHER,
	.awaits_host = true,
	.config_read = config_read,
	.start = start,
	.stop = stop,
	.reset = reset,
};

#define RING_FEATURES                                                                         \
	(FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC) |                 \
	 FEATURE(VIRTIO_RING_F_EVENT_IDX))
#define BLOCK_FEATURES                                                                        \
	(FEATURE(VIRTIO_BLK_F_SIZE_MAX) | FEATURE(VIRTIO_BLK_F_SEG_MAX) |                     \
	 FEATURE(VIRTIO_BLK_F_GEOMETRY) | FEATURE(VIRTIO_BLK_F_RO) |                          \
	 FEATURE(VIRTIO_BLK_F_BLK_SIZE) | FEATURE(VIRTIO_BLK_F_FLUSH) |                       \
	 FEATURE(VIRTIO_BLK_F_TOPOLOGY) | FEATURE(VIRTIO_BLK_F_CONFIG_WCE) |                  \
	 FEATURE(VIRTIO_BLK_F_MQ) | FEATURE(VIRTIO_BLK_F_DISCARD) |                           \
	 FEATURE(VIRTIO_BLK_F_WRITE_ZEROES))

/* VIRTIO 1.2, 5.11.2 Virtqueues: a file system has the queue "hiprio", and none for notifications,
 * as that feature is not offered. */
static const struct kind kinds[] = {
	[VHOST_USER_BLOCK] = {
		&block_ops, RING_FEATURES | BLOCK_FEATURES, 0,
		offsetof(struct virtio_blk_config, max_secure_erase_sectors), true,
		" (qemu-storage-daemon, for one)"},
	[VHOST_USER_FS] = {
		&fs_ops, RING_FEATURES, 1, sizeof(struct virtio_fs_config), false,
		" (virtiofsd, for one)"},
};

/* --- set-up --- */

int virtio_vhost_user_create(const struct vhost_user_config *config,
			     const struct vhost_user_patience *patience, const char *name,
			     struct virtio_vhost_user **ret_device, char *ret_why, size_t why_size)
{
	struct virtio_vhost_user *device = calloc(1, sizeof(*device));
	const struct kind *kind = &kinds[config->type];
	const char *type = vhost_user_type_name(config->type);
	char why[WHY_SIZE] = "out of memory or file descriptors";
	int error = -ENOMEM;

	if (device) {
		device->config = *config;
		device->kind = kind;
		device->lost = true; /* until there is one: nothing to report */
		device->listener = (struct vhost_user_listener){device, lose, on_ring_error,
								on_config_changed};
		snprintf(device->dev.name, sizeof(device->dev.name), "%s", name);
		error = virtio_dev_init(&device->dev, kind->ops, 0,
					kind->other_queues + config->queues, QUEUE_SIZE);
	}
	if (!error) {
		device->dev.config_size = kind->config_size;
		error = vhost_user_create(device->config.socket, patience, &device->listener,
					  &device->back_end);
	}
	if (!error)
		error = connect_back_end(device, why, sizeof(why));
	if (error) {
		snprintf(ret_why, why_size, "--vhost-user %s,%s: %s%s", type, config->socket, why,
			 error == -ENOENT || error == -ECONNREFUSED ? kind->help : "");
		virtio_vhost_user_destroy(device);
		return error;
	}
	*ret_device = device;
	return 0;
}

void virtio_vhost_user_leave(struct virtio_vhost_user *device)
{
	device->left = device->lost = true;
	vhost_user_leave(device->back_end);
}

void virtio_vhost_user_destroy(struct virtio_vhost_user *device)
{
	if (!device)
		return;
	vhost_user_destroy(device->back_end);
	virtio_dev_finish(&device->dev);
	free(device);
}

struct virtio_dev *virtio_vhost_user_dev(struct virtio_vhost_user *device)
{
	return &device->dev;
}

int virtio_vhost_user_watch_fd(const struct virtio_vhost_user *device)
{
	return vhost_user_watch_fd(device->back_end);
}

void virtio_vhost_user_service(struct virtio_vhost_user *device)
{
	vhost_user_service(device->back_end);
}
