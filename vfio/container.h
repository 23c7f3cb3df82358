/*
 * Inside vfio/: the kernel's VFIO container with its groups, and the sentences for what can go
 * wrong on the way to a device. A container is opened with its first group and closed with the
 * last; the kernel forgets IOMMU and DMA mappings at that point, and so does this.
 * Thread: one at a time (slots are created and destroyed by the main thread).
 */
#ifndef VFIO_CONTAINER_H
#define VFIO_CONTAINER_H

#include <stddef.h>
#include <stdint.h>

struct vfio_container;

/*
 * Opens group `number`, adds it to the container and counts a user; later calls count only. On
 * failure a sentence, negative errno, and nothing of the group stays open.
 */
int vfio_container_get_group(struct vfio_container *container, int number, int *ret_fd,
			     char *ret_why, size_t why_size);

/* The user's device is closed by now and none of its BARs is mapped: that would keep the group. */
void vfio_container_put_group(struct vfio_container *container, int number);

/* The steps on the way to an open device, for the sentences. */
enum vfio_step {
	VFIO_STEP_OPEN_CONTAINER,
	VFIO_STEP_CHECK_VERSION,
	VFIO_STEP_OPEN_GROUP,
	VFIO_STEP_CHECK_VIABLE,
	VFIO_STEP_ADD_GROUP,
	VFIO_STEP_SET_IOMMU,
	VFIO_STEP_OPEN_DEVICE,
	VFIO_STEP_READ_DEVICE,
};

/* One line: `what` (a path, a device) failed at `step` with `error` (negative errno). */
void vfio_explain(enum vfio_step step, const char *what, int error, char *ret_why, size_t why_size);

/*
 * One line: the block of RAM [gpa, gpa + size) could not be mapped for DMA. `need`: bytes of RAM in
 * all; `limit`: RLIMIT_MEMLOCK in bytes, UINT64_MAX for none.
 */
void vfio_explain_map(int error, uint64_t gpa, uint64_t size, uint64_t need, uint64_t limit,
		      char *ret_why, size_t why_size);

#endif
