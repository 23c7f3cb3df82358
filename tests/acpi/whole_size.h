/*
 * What builds into memory of the caller's takes as much as it says, and not a byte more. Included
 * after <cmocka.h>.
 */
#ifndef TESTS_ACPI_WHOLE_SIZE_H
#define TESTS_ACPI_WHOLE_SIZE_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#define WHOLE_SIZE_MAX 0x20000U

/* `build` returns how many of `size` bytes it took, or -ENOSPC. */
static inline void assert_needs_whole_size(long (*build)(uint8_t *bytes, size_t size))
{
	static uint8_t whole[WHOLE_SIZE_MAX];
	long len = build(whole, sizeof(whole));

	assert_in_range(len, 1, sizeof(whole));
	for (size_t size = 0; size <= (size_t)len; size++) {
		uint8_t *bytes = malloc(size); /* so that ASan sees a byte too many */

		assert_int_equal(build(bytes, size), size < (size_t)len ? -ENOSPC : len);
		if (size == (size_t)len)
			assert_memory_equal(bytes, whole, size);
		free(bytes);
	}
}

#endif
