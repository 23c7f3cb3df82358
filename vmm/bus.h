/*
 * A bus carries accesses of the guest's CPUs (port I/O or memory-mapped I/O) to the device that
 * claimed the range. The machine has two: ports and MMIO.
 *
 * An access that nobody claims reads all ones and drops writes, as on the hardware. A handler is
 * called with no lock of the bus held, so it may add or remove ranges itself.
 */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/range.h"

struct bus;

struct bus_access {
	uint64_t off;     /* bytes from the start of the claimed range */
	unsigned int len; /* 1, 2, 4 or 8; lies wholly inside the range */
	bool is_write;
	uint64_t value;   /* write: the value; read: result, set to all ones before the call */
};

struct bus_ops {
	/* Sizes the device takes, an OR of 1, 2, 4 and 8. Other accesses are split into the largest
	 * accepted size that divides them, or answered with ones when they are too small. */
	unsigned int sizes;
	/* Called on the accessing vCPU's thread. Mandatory. */
	void (*access)(void *opaque, struct bus_access *access);
};

/* `name` is for diagnostics ("port", "mmio") and must outlive the bus. NULL: out of memory. */
struct bus *bus_create(const char *name);
void bus_destroy(struct bus *bus);

/*
 * Claims `range` for a device that lives as long as the bus.
 * Returns 0, -EEXIST when the range meets one already claimed, -EINVAL when it is empty, -ENOMEM.
 */
int bus_add(struct bus *bus, struct range range, const struct bus_ops *ops, void *opaque);

/*
 * One access of `access->len` bytes at absolute address `addr` (access->off is set by the callee).
 * Thread: any vCPU. Lock: takes the bus's own read lock for the look-up alone.
 */
void bus_access(struct bus *bus, uint64_t addr, struct bus_access *access);

#endif
