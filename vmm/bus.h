/*
 * A bus carries accesses of the guest's CPUs (port I/O or memory-mapped I/O) to the device that
 * claimed the range. The machine has two: ports and MMIO.
 *
 * An access that nobody claims reads all ones and drops writes, as on the hardware. One that no
 * claim takes as a whole is halved, down to bytes, and each piece goes its own way: so an access
 * that crosses the end of a claimed range reaches it with the bytes that are inside, and a wide
 * access to a device with narrow registers arrives as several. A handler is called with no lock of
 * the bus held, so it may add ranges itself.
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
	/* Sizes the device takes, an OR of 1, 2, 4 and 8. Wider accesses are split into the largest
	 * accepted size that divides them; narrower ones are not the device's: if no other claim
	 * takes them they read ones. */
	unsigned int sizes;
	/* Called on the accessing vCPU's thread. Mandatory. */
	void (*access)(void *opaque, struct bus_access *access);
};

/* `name` is for diagnostics ("port", "mmio") and must outlive the bus. NULL: out of memory. */
struct bus *bus_create(const char *name);
void bus_destroy(struct bus *bus);

/*
 * Claims `range`, for accesses of the sizes in `ops`, for a device that lives as long as the bus.
 * Two claims may meet when they have no size in common: then the size of an access says whose it
 * is. (A dword at port 0xcf8 is PCI's address register, a byte at 0xcf9 resets the machine.)
 * Returns 0, -EEXIST when the range meets one that is claimed for the same size, -EINVAL when the
 * range is empty or beyond the end of the address space or `ops` is incomplete, -ENOMEM.
 */
int bus_add(struct bus *bus, struct range range, const struct bus_ops *ops, void *opaque);

/*
 * One access of `access->len` (1 to 8) bytes at absolute address `addr`. Answers a read in
 * access->value; access->off is not looked at.
 * Thread: any vCPU. Lock: takes the bus's own read lock for the look-up alone.
 */
void bus_access(struct bus *bus, uint64_t addr, struct bus_access *access);

#endif
