/*
 * RAM of the guest that the host has promised and does not have. Huge pages are reserved when they
 * are mapped, so that the pool cannot run out of them later; but a reservation is no page. What
 * still fails when a page is first touched: a cgroup's limit, which counts then (Linux, cgroup-v1
 * hugetlb.rst, 2. Page fault accounting; only its rsvd limit counts before), memory policies and
 * cpusets whose nodes have no page, a hole that somebody punches who was given the memory
 * (vhost-user, vfio-user), memory that is broken.
 *
 * A CPU's touch ends KVM_RUN with EFAULT. Ours is SIGBUS, where there is no way back: all threads
 * end, and the kernel gives cards and files back as when the program is killed.
 */
#ifndef VMM_MEM_FAULT_H
#define VMM_MEM_FAULT_H

#include <stdint.h>

/* What is said of it. */
#define MEM_FAULT_SENTENCE                                                                     \
	"the host does not give guest memory that it has promised: a limit of huge pages of "  \
	"a cgroup (hugetlb.*.max), NUMA nodes without any, a hole made by another process, or " \
	"broken memory; with --memory ...,prefault the first two are seen at the start"

/* From now on a SIGBUS there is said in one line, and ends the program with status 1; any other
 * ends it by the signal. Once, before there are threads. */
void mem_fault_watch(const void *hva, uint64_t size);

#endif
