/*
 * What the guest's CPUs say of themselves: the host's offer (KVM_GET_SUPPORTED_CPUID) with the
 * machine's own topology written over it. Pure.
 */
#ifndef VMM_CPUID_H
#define VMM_CPUID_H

#include <stdint.h>

struct kvm_cpuid2;

/* Entries that cpuid_set_topology() may add. */
#define CPUID_ADDED_MAX 2

/*
 * Rewrites `cpuid` for the vCPU with local APIC ID `apic_id` of `cpus`: one socket, one thread a
 * core. It has room for CPUID_ADDED_MAX more entries. `tsc_deadline`: KVM emulates the TSC deadline
 * timer.
 */
void cpuid_set_topology(struct kvm_cpuid2 *cpuid, uint32_t apic_id, unsigned int cpus,
			int tsc_deadline);

#endif
