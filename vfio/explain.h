/*
 * Inside vfio/: the sentences for what can go wrong on the way to a device of the kernel's VFIO.
 * Nothing here does I/O.
 */
#ifndef VFIO_EXPLAIN_H
#define VFIO_EXPLAIN_H

#include <stddef.h>
#include <stdint.h>

/* The steps on the way to an open device. */
enum vfio_step {
	/* by group */
	VFIO_STEP_OPEN_CONTAINER,
	VFIO_STEP_CHECK_VERSION,
	VFIO_STEP_OPEN_GROUP,
	VFIO_STEP_CHECK_VIABLE,
	VFIO_STEP_ADD_GROUP,
	VFIO_STEP_SET_IOMMU,
	VFIO_STEP_OPEN_DEVICE,
	/* by iommufd */
	VFIO_STEP_OPEN_IOMMUFD,
	VFIO_STEP_ALLOC_IOAS,
	VFIO_STEP_OPEN_NODE,
	VFIO_STEP_BIND,
	VFIO_STEP_ATTACH,
	/* both */
	VFIO_STEP_READ_DEVICE,
	VFIO_STEPS,
};

/* One line: `what` (a path, a device) failed at `step` with `error` (negative errno). */
void vfio_explain(enum vfio_step step, const char *what, int error, char *ret_why, size_t why_size);

/* The same, as the last line of a function that fails: returns `error`. */
int vfio_fail(enum vfio_step step, const char *what, int error, char *ret_why, size_t why_size);

/*
 * One line: the block of RAM [gpa, gpa + size) could not be mapped for DMA. `need`: bytes of RAM in
 * all; `limit`: RLIMIT_MEMLOCK in bytes, UINT64_MAX for none.
 */
void vfio_explain_map(int error, uint64_t gpa, uint64_t size, uint64_t need, uint64_t limit,
		      char *ret_why, size_t why_size);

#endif
