/*
 * vmm/mem.h without KVM: RAM is a memfd mapped once, windows are only recorded. Thread-safe like
 * the real one.
 */
#ifndef TESTS_FAKE_MEM_H
#define TESTS_FAKE_MEM_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/mem.h"

#define FAKE_MEM_WINDOWS 64

struct fake_window {
	bool mapped;
	gpa_t gpa;
	uint64_t size;
	void *hva;
	bool read_only;
};

/* `size` bytes of zeroed RAM in the blocks of vmm/layout.h: up to 3 GiB low, the rest from 4 GiB.
 * Never NULL (aborts). */
struct mem *fake_mem_create(uint64_t size);
/* Accepts NULL. Aborts when a window is still mapped: that is a leak in the code under test. */
void fake_mem_destroy(struct mem *mem);

/* Windows mapped now, and how many were ever mapped. */
unsigned int fake_mem_windows(struct mem *mem);
unsigned int fake_mem_windows_ever(struct mem *mem);
/* The window that holds `gpa`. False when there is none. */
bool fake_mem_window_at(struct mem *mem, gpa_t gpa, struct fake_window *ret_window);

/* mem_window_map() answers `error` (negative errno) from now on; 0: works again. */
void fake_mem_fail_windows(struct mem *mem, int error);

#endif
