/*
 * A virtio device whose queues another process serves: a disk or a file system over vhost-user.
 * What is ours are the registers, and for a file system its configuration.
 */
#ifndef DEVICES_VIRTIO_VHOST_USER_H
#define DEVICES_VIRTIO_VHOST_USER_H

#include <stddef.h>

#include "devices/vhost_user_config.h"

struct vhost_user_patience;
struct virtio_dev;
struct virtio_vhost_user;

/* Connects to the back end of `config`, for which `patience` is meant. `name` is for diagnostics.
 * 0, or a negative errno and a sentence in `ret_why`. */
int virtio_vhost_user_create(const struct vhost_user_config *config,
			     const struct vhost_user_patience *patience, const char *name,
			     struct virtio_vhost_user **ret_device, char *ret_why,
			     size_t why_size);

/* The machine ends: nothing more is asked of the back end, and nobody waits for it any more. Any
 * thread, with no lock. */
void virtio_vhost_user_leave(struct virtio_vhost_user *device);

/* The device is stopped. Accepts NULL. */
void virtio_vhost_user_destroy(struct virtio_vhost_user *device);

struct virtio_dev *virtio_vhost_user_dev(struct virtio_vhost_user *device);

/* A descriptor that the main loop watches; when it is readable, virtio_vhost_user_service() looks
 * what has become of the back end. */
int virtio_vhost_user_watch_fd(const struct virtio_vhost_user *device);
void virtio_vhost_user_service(struct virtio_vhost_user *device);

#endif
