/*
 * What the files of capabilities share: caps.c (the standard list, and the order of the work) and
 * caps_ext.c (the extended list). Set-up only.
 */
#ifndef VFIO_CAPS_INTERNAL_H
#define VFIO_CAPS_INTERNAL_H

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio/function_internal.h"

#define VFIO_EXT_CAPS_MAX ((PCI_CFG_SPACE_EXP_SIZE - PCI_CFG_SPACE_SIZE) / 4)

struct vfio_cap {
	uint16_t id, off;
	bool hidden;
};

/* One build. */
struct vfio_caps {
	struct vfio_function *function;
	const uint8_t *raw; /* PCI_CFG_LEN bytes, zeroes from `cfg_size` on */
	unsigned int cfg_size;
	bool taken[PCI_CFG_SPACE_SIZE]; /* bytes that belong to a capability already */
	unsigned int count;
	struct vfio_cap cap[VFIO_EXT_CAPS_MAX]; /* of the list being walked, in its order */
	char *why;
	size_t why_size;
};

/* A sentence on what is wrong with the device. Evaluates to -EINVAL. */
#define vfio_caps_refuse(caps, ...)                                                              \
	vfio_function_say((caps)->function, -EINVAL, (caps)->why, (caps)->why_size, __VA_ARGS__)

/* Walks the extended list, hides what the guest must not see and links the rest. */
int vfio_caps_build_ext(struct vfio_caps *caps);

#endif
