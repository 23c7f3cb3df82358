/*
 * A guest's in and out instructions (or loads and stores), for tests of devices on a bus.
 */
#ifndef TESTS_DEVICES_GUEST_IO_H
#define TESTS_DEVICES_GUEST_IO_H

#include <stdint.h>

#include "vmm/bus.h"

static inline uint64_t guest_in(struct bus *bus, uint64_t addr, unsigned int len)
{
	struct bus_access access = {.len = len};

	bus_access(bus, addr, &access);
	return access.value;
}

static inline void guest_out(struct bus *bus, uint64_t addr, unsigned int len, uint64_t value)
{
	struct bus_access access = {.len = len, .is_write = true, .value = value};

	bus_access(bus, addr, &access);
}

#endif
