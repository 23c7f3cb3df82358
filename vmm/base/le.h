/*
 * Explicit little-endian accessors to byte arrays: PCI config space, firmware tables, boot headers.
 * Pointers need no alignment.
 */
#ifndef VMM_BASE_LE_H
#define VMM_BASE_LE_H

#include <stdint.h>

/* The `len` (1 to 8) bytes at `p` as a number. */
static inline uint64_t le_get(const uint8_t *p, unsigned int len)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < len; i++)
		value |= (uint64_t)p[i] << (8 * i);
	return value;
}

/* Stores the low `len` (1 to 8) bytes of `value` at `p`. */
static inline void le_set(uint8_t *p, unsigned int len, uint64_t value)
{
	for (unsigned int i = 0; i < len; i++)
		p[i] = (uint8_t)(value >> (8 * i));
}

static inline uint16_t le16_get(const uint8_t *p)
{
	return (uint16_t)le_get(p, 2);
}

static inline uint32_t le32_get(const uint8_t *p)
{
	return (uint32_t)le_get(p, 4);
}

static inline uint64_t le64_get(const uint8_t *p)
{
	return le_get(p, 8);
}

static inline void le16_set(uint8_t *p, uint16_t value)
{
	le_set(p, 2, value);
}

static inline void le32_set(uint8_t *p, uint32_t value)
{
	le_set(p, 4, value);
}

static inline void le64_set(uint8_t *p, uint64_t value)
{
	le_set(p, 8, value);
}

#endif
