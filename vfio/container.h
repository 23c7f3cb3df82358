/*
 * Inside vfio/: what all devices of the kernel's VFIO share: the container with its groups, or one
 * iommufd with the devices' own nodes; never both in one machine. Either is opened with its first
 * user and closed with its last; the kernel forgets IOMMU and DMA mappings at that point, and so
 * does this.
 * Lock: its own, a leaf but for the listener; it is held while the kernel opens and closes files,
 * which wakes a device that is being opened. Thread: any.
 */
#ifndef VFIO_CONTAINER_H
#define VFIO_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio/vfio.h"

struct host_function;
struct vfio_container;
struct vfio_syscalls;

/* vfio_container_create() on another kernel than the real one. */
struct vfio_container *vfio_container_create_on(enum vfio_backend_kind kind,
						const struct vfio_syscalls *sys);

const struct vfio_syscalls *vfio_container_syscalls(const struct vfio_container *container);

/*
 * How the device is to be opened: VFIO_BACKEND_GROUP or _IOMMUFD. The first call decides where the
 * container's kind is AUTO; all later ones get the same answer, or -EINVAL and a sentence when
 * their device cannot be had that way.
 */
int vfio_container_choose(struct vfio_container *container, const struct host_function *fn,
			  char *ret_why, size_t why_size);

/*
 * Opens group `number`, adds it to the container and counts a user; later calls count only. On
 * failure a sentence, negative errno, and nothing of the group stays open.
 */
int vfio_container_get_group(struct vfio_container *container, int number, int *ret_fd,
			     char *ret_why, size_t why_size);

/* The user's device is closed by now and none of its BARs is mapped: that would keep the group. */
void vfio_container_put_group(struct vfio_container *container, int number);

/* The descriptor of an open group; -1: not open. */
int vfio_container_group_fd(struct vfio_container *container, int number);

/*
 * Opens the own node of a device, binds it to the iommufd and attaches it to the address space that
 * all share. On failure a sentence, negative errno, and nothing of the device stays open.
 */
int vfio_container_open_node(struct vfio_container *container, const struct host_function *fn,
			     int *ret_fd, char *ret_why, size_t why_size);

/* Closes it; none of its BARs is mapped by now. */
void vfio_container_close_node(struct vfio_container *container, int fd);

#endif
