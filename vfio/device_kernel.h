/*
 * Inside vfio/: the back end over the open file of a device of the kernel's VFIO. How the file was
 * opened (vfio/backend_group.c, vfio/backend_cdev.c) makes a difference only for the proof that a
 * hot reset wants, and for closing.
 */
#ifndef VFIO_DEVICE_KERNEL_H
#define VFIO_DEVICE_KERNEL_H

#include <stddef.h>

struct vfio_backend;
struct vfio_container;

/*
 * Reads all that VFIO tells of the device, so that nothing has to be asked while it sleeps.
 * `group`: the number of the open group that gave out `fd`; -1: `fd` is the device's own node. On
 * success the back end owns `fd` and the use of the group; on failure a sentence, negative errno,
 * and they stay the caller's.
 */
int vfio_kernel_device_create(struct vfio_container *container, const char *name, int fd, int group,
			      struct vfio_backend **ret_backend, char *ret_why, size_t why_size);

#endif
