/*
 * A host back end: one function of a real (or modelled) device, as the host's VFIO offers it: the
 * kernel's by group and container (vfio/backend_group.c) or by iommufd (vfio/backend_cdev.c), or
 * another process by the vfio-user protocol (vfio/backend_user.c). Tests bring
 * tests/fake_backend.c; vfio/backend_fault.c wraps one and injects failures; vfio/backend_gone.c
 * stands where a device was given back.
 *
 * Every op may wake a sleeping device, except region_map, region_unmap and observe; so none is
 * called while the power state
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

struct mem;
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

/* What the host says of a function without touching it. */
struct vfio_observation {
	char power_state[16];  /* of the host's PCI core: "D0", "D3hot", "D3cold", "unknown" */
	bool suspended;        /* run-time power management has it suspended now */
	uint64_t suspended_us; /* in all, since the host started */
	bool counts_wakeups;   /* `wakeups` means something */
	uint64_t wakeups;      /* wake-up events (PME) that the host attributed to it */
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
	/* Hot reset of the whole slot, all functions at once; none may be engaged. The host keeps
	 * config space and routed interrupts. -ENOTTY: the host cannot, or would reset devices
	 * that are not this slot's (can_slot_reset, fixed when opened, is then false). */
	int (*slot_reset)(struct vfio_backend *backend);
	bool (*can_slot_reset)(struct vfio_backend *backend);

	/* Makes all guest RAM reachable for the device's DMA, at iova = gpa; once for everything
	 * that shares an IOMMU. On failure a sentence in `ret_why` and negative errno. */
	int (*map_ram)(struct vfio_backend *backend, const struct mem *mem, char *ret_why,
		       size_t why_size);
	/* -ENOTSUP: this host tells nothing. Never wakes, never blocks long. */
	int (*observe)(struct vfio_backend *backend, struct vfio_observation *ret_observation);
	void (*close)(struct vfio_backend *backend);
};

struct vfio_backend {
	const struct vfio_backend_ops *ops;
	char name[48]; /* "0000:01:00.0" */
};

#endif
