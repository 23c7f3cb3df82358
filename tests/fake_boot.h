/*
 * What is tried with the kernel images of all formats (tests/fake_kernel.h), in a machine of
 * FAKE_BOOT_RAM bytes.
 */
#ifndef TESTS_FAKE_BOOT_H
#define TESTS_FAKE_BOOT_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/bits.h"

struct boot_entry;
struct fake_kernel;
struct mem;

#define FAKE_BOOT_RAM (64 * MIB)
#define FAKE_BOOT_RSDP 0xe0010U

/* Opens and loads `kernel` with `initrd` and `append` (both may be NULL). Aborts with the sentence
 * when it is refused. */
void fake_boot_load(const struct fake_kernel *kernel, struct mem *mem, const char *initrd,
		    const char *append, struct boot_entry *ret_entry);

/* Opens the image cut to every shorter size. The first size that was not refused with -EINVAL, or
 * the whole size when all were. */
size_t fake_boot_first_taken_truncation(const struct fake_kernel *kernel);

/* What became of images with one byte changed; `astray` were loaded and start outside of RAM. */
struct fake_boot_outcome {
	unsigned int loaded, refused, astray;
};

/* Sets each byte in [start, end) of `kernel` to its extremes in turn, opens, and loads into `mem`
 * what is not refused. Aborts when what was opened cannot be loaded. */
struct fake_boot_outcome fake_boot_try_bytes(const struct fake_kernel *kernel, struct mem *mem,
					     size_t start, size_t end);

#endif
