/*
 * The guest's CPUs: one thread each, that runs the guest and carries its accesses to the buses.
 *
 * All CPUs run, or all are paused. Pausing is asked for from any thread and awaited on the main
 * thread; a paused CPU has completed the access it was in.
 */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <stdbool.h>
#include <stddef.h>

struct boot_entry;
struct bus;
struct cpu_list;
struct kvm;
struct vcpus;

/* What a CPU asks of the machine. Called on the CPU's thread; must not block. */
struct vcpu_listener {
	void *opaque;
	/* The guest shut its CPU down ("triple-fault"), or executed what cannot be emulated
	 * ("unemulated"). */
	void (*faulted)(void *opaque, const char *cause);
	/* KVM cannot run the CPU at all. `why` is a sentence. */
	void (*failed)(void *opaque, const char *why);
	/* An access to a memory window faulted on the host. True: something changed, try again. */
	bool (*window_fault)(void *opaque);
};

/* `count` CPUs with local APIC IDs 0 to count - 1. As kvm_open() on failure. */
int vcpus_create(struct kvm *kvm, unsigned int count, struct bus *port, struct bus *mmio,
		 const struct vcpu_listener *listener, struct vcpus **ret_vcpus, char *ret_why,
		 size_t why_size);

/* Reset state; CPU 0 is to start at `entry` (NULL: where a reset has it start), the others wait for
 * INIT and SIPI. All are paused. */
int vcpus_reset(struct vcpus *vcpus, const struct boot_entry *entry);

/* Creates the threads, paused; number n runs on the host's CPU n of `pin`, if that is not empty. */
int vcpus_start(struct vcpus *vcpus, const struct cpu_list *pin);
void vcpus_resume(struct vcpus *vcpus);
void vcpus_request_pause(struct vcpus *vcpus); /* any thread, returns at once */
void vcpus_wait_paused(struct vcpus *vcpus);   /* main thread; requests as well */
/* The same, for a moment: false if a CPU is still in an access, which may wait for others. */
bool vcpus_try_pause(struct vcpus *vcpus);

/* Ends the threads and frees everything. Accepts NULL. */
void vcpus_destroy(struct vcpus *vcpus);

#endif
