/*
 * Half-open ranges of addresses or offsets: [start, start + size). All tests of "does it fit" in
 * the program are these; none of them overflows.
 */
#ifndef VMM_BASE_RANGE_H
#define VMM_BASE_RANGE_H

#include <stdbool.h>
#include <stdint.h>

struct range {
	uint64_t start;
	uint64_t size; /* bytes; 0 is an empty range, which contains and meets nothing */
};

/* [off, off + len) lies inside an object of `size` bytes. `len` 0 fits everywhere up to the end. */
static inline bool range_fits(uint64_t size, uint64_t off, uint64_t len)
{
	return off <= size && len <= size - off;
}

/* `len` (at least 1) bytes at `addr` lie inside `r`. */
static inline bool range_contains(struct range r, uint64_t addr, uint64_t len)
{
	return addr >= r.start && r.size && range_fits(r.size, addr - r.start, len);
}

/* The ranges share at least one byte. */
static inline bool range_meets(struct range a, struct range b)
{
	if (!a.size || !b.size)
		return false;
	return a.start < b.start ? b.start - a.start < a.size : a.start - b.start < b.size;
}

#endif
