/*
 * A host back end: one function of a real (or modelled) device, as the host's VFIO offers it. The
 * kernel's group/container back end is vfio/backend_group.c; tests bring tests/fake_backend.c;
 * vfio/backend_fault.c wraps one and injects failures.
 *
 * Every op may wake a sleeping device, except mmap/munmap; so none is called while the power state
 * machine (vfio/power.h) holds the function engaged. Ops return 0 (or a count) or negative errno.
 * Thread: any, one at a time per function (the caller holds the function's device lock, or is the
 * slot's power thread while the function is not present for the guest).
 */
#ifndef VFIO_BACKEND_H
#define VFIO_BACKEND_H

#include <linux/vfio.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/base/range.h"

struct vfio_backend;

/* A region of the device: a BAR, the ROM or config space (VFIO_PCI_*_REGION_INDEX). */
#define VFIO_SPARSE_MAX 16
struct vfio_region {
	uint64_t size;       /* bytes; 0: not there */
	uint64_t fd_offset;  /* of the region in the device's file */
	bool readable, writable;
	unsigned int areas;  /* parts that can be mapped; 0: none */
	struct range area[VFIO_SPARSE_MAX]; /* offsets in the region */
};

enum vfio_low_power {
	VFIO_LOW_POWER_ENTRY,
	VFIO_LOW_POWER_ENTRY_WITH_WAKEUP,
	VFIO_LOW_POWER_EXIT,
};

struct vfio_backend_ops {
	int (*region_info)(struct vfio_backend *backend, unsigned int index,
			   struct vfio_region *ret_region);
	/* Bytes moved, or negative errno; short counts are errors of the device. */
	ssize_t (*region_read)(struct vfio_backend *backend, unsigned int index, uint64_t off,
			       void *buffer, size_t len);
	ssize_t (*region_write)(struct vfio_backend *backend, unsigned int index, uint64_t off,
				const void *buffer, size_t len);
	/* Maps `len` bytes at `off` of a region into this process. Does not touch the device. */
	int (*region_map)(struct vfio_backend *backend, unsigned int index, uint64_t off,
			  size_t len, void **ret_hva);
	void (*region_unmap)(struct vfio_backend *backend, void *hva, size_t len);

	/* Number of interrupts of VFIO_PCI_{INTX,MSI,MSIX,ERR,REQ}_IRQ_INDEX; 0: none. */
	int (*irq_count)(struct vfio_backend *backend, unsigned int index);
	/* Routes `count` interrupts from number `start` of `index` to eventfds (-1: none).
	 * Positive: nothing was done, the host can do only so many. */
	int (*irq_set_triggers)(struct vfio_backend *backend, unsigned int index,
				unsigned int start, unsigned int count, const int *fds);
	int (*irq_disable)(struct vfio_backend *backend, unsigned int index);
	/* INTx: an eventfd that unmasks; -1 detaches. And: unmask once, now. */
	int (*intx_set_unmask)(struct vfio_backend *backend, int fd);
	int (*intx_unmask)(struct vfio_backend *backend);

	/* Does the host offer the feature? 0 or -ENOTTY. Wakes the device. */
	int (*low_power_probe)(struct vfio_backend *backend, enum vfio_low_power feature);
	/* `wakeup_fd` for ENTRY_WITH_WAKEUP only. May block up to 60 s. */
	int (*low_power)(struct vfio_backend *backend, enum vfio_low_power feature, int wakeup_fd);

	/* Function reset. -ENOTTY: the function has no reset of its own. */
	int (*reset)(struct vfio_backend *backend);
	bool (*can_reset)(struct vfio_backend *backend);
	void (*close)(struct vfio_backend *backend);
};

struct vfio_backend {
	const struct vfio_backend_ops *ops;
	char name[32]; /* "0000:01:00.0" */
};

#endif
