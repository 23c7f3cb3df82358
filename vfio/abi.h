/*
 * Inside vfio/: what goes to the kernel's VFIO is built here, and what comes back is read here,
 * for the back ends. Nothing here does I/O.
 */
#ifndef VFIO_ABI_H
#define VFIO_ABI_H

#include <linux/vfio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio/backend.h"

/*
 * Reads the answer to VFIO_DEVICE_GET_REGION_INFO: `size` bytes at `info`, struct vfio_region_info
 * and the capabilities behind it. Trusts none of it: areas are cut down to whole pages inside the
 * region, such as meet an earlier one or exceed VFIO_SPARSE_MAX are left out (those parts trap).
 * -EINVAL when offsets leave the buffer, capabilities go in a circle, or the region does not fit
 * in a file.
 */
int vfio_region_parse(const void *info, size_t size, struct vfio_region *ret_region);

/* The argument of VFIO_DEVICE_SET_IRQS; `fds` NULL: no data. To be freed; NULL: out of memory. */
struct vfio_irq_set *vfio_irq_set_create(unsigned int index, uint32_t action, unsigned int start,
					 unsigned int count, const int *fds);

/* The argument of VFIO_DEVICE_FEATURE for the low-power features. */
union vfio_feature_request {
	struct vfio_device_feature feature;
	uint8_t bytes[sizeof(struct vfio_device_feature) +
		      sizeof(struct vfio_device_low_power_entry_with_wakeup)];
};

/* `probe`: ask whether it exists, change nothing. */
void vfio_low_power_request(enum vfio_low_power feature, bool probe, int wakeup_fd,
			    union vfio_feature_request *ret_request);

#endif
