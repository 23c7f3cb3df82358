/*
 * Guest-physical memory: RAM (one memfd, mapped once) and windows onto device memory that the
 * guest accesses without leaving the CPU. The product's implementation talks to KVM (vmm/mem.c);
 * unit tests bring tests/fake_mem.c.
 */
#ifndef VMM_MEM_H
#define VMM_MEM_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/range.h"
#include "vmm/layout.h"

struct mem;

/* A block of RAM, for those who must map it themselves (VFIO DMA, vhost-user, vfio-user). */
struct mem_block {
	gpa_t gpa;
	uint64_t size;
	void *hva;
	uint64_t fd_offset; /* where in mem_fd() */
};

/* RAM blocks in ascending gpa order; index from 0; false when there is no such block. */
bool mem_block_get(const struct mem *mem, unsigned int index, struct mem_block *ret_block);
int mem_fd(const struct mem *mem);

/* Host address of [gpa, gpa + size) if all of it is RAM in one block, else NULL. */
void *mem_hva(const struct mem *mem, gpa_t gpa, uint64_t size);

/* RAM size in bytes, and the first address above all RAM. */
uint64_t mem_size(const struct mem *mem);
gpa_t mem_end(const struct mem *mem);

/*
 * A window: `size` bytes at `hva` (page-aligned, of device memory) appear at `gpa`.
 * Returns a handle >= 0, or -EEXIST when it meets RAM or another window (then the guest's accesses
 * trap to the MMIO bus, which is correct but slow), -EINVAL for unaligned arguments, -ENOSPC.
 * Lock: takes its own. Thread: any; the change is seen by every vCPU when the call returns.
 */
int mem_window_map(struct mem *mem, gpa_t gpa, uint64_t size, void *hva, bool read_only);
void mem_window_unmap(struct mem *mem, int handle);

#endif
