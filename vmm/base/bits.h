/*
 * Small helpers on integers, arrays and containing objects. No state, no libc beyond stddef/stdint.
 */
#ifndef VMM_BASE_BITS_H
#define VMM_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIB 1024ULL
#define MIB (1024ULL * KIB)
#define GIB (1024ULL * MIB)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The object of type `type` whose member `member` is at `ptr`. The only place that walks back. */
#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* Bits hi..lo set, as the manuals write "[hi:lo]". */
#define BITS(hi, lo) ((~0ULL >> (63 - (hi))) & (~0ULL << (lo)))

static inline uint64_t align_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

static inline uint64_t align_down(uint64_t value, uint64_t align)
{
	return value & ~(align - 1);
}

static inline bool is_power_of_two(uint64_t value)
{
	return value && !(value & (value - 1));
}

/* All ones in the low `len` bytes (1 to 8): what a read that nobody answers returns. */
static inline uint64_t ones(unsigned int len)
{
	return ~0ULL >> (64 - 8 * len);
}

#endif
