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

/* The answer to VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, with room for the functions of one slot. */
#define VFIO_HOT_RESET_DEVICES 8U
union vfio_hot_reset_answer {
	struct vfio_pci_hot_reset_info info;
	uint8_t bytes[sizeof(struct vfio_pci_hot_reset_info) +
		      VFIO_HOT_RESET_DEVICES * sizeof(struct vfio_pci_dependent_device)];
};

/* Who takes part in a hot reset. */
struct vfio_hot_reset {
	unsigned int devices; /* 0: it would reset others than this slot's, or cannot be */
	unsigned int groups;  /* different ones */
	int group[VFIO_HOT_RESET_DEVICES]; /* numbers; of use where groups are open */
};

/* Reads the answer for the device `bdf` ("0000:01:00.0"): all that is reset must be of its slot. */
void vfio_hot_reset_parse(const union vfio_hot_reset_answer *answer, const char *bdf,
			  struct vfio_hot_reset *ret_reset);

/* The argument of VFIO_DEVICE_PCI_HOT_RESET with `count` open groups. */
union vfio_hot_reset_request {
	struct vfio_pci_hot_reset reset;
	uint8_t bytes[sizeof(struct vfio_pci_hot_reset) + VFIO_HOT_RESET_DEVICES * sizeof(int32_t)];
};
void vfio_hot_reset_request(const int *fds, unsigned int count,
			    union vfio_hot_reset_request *ret_request);

#endif
