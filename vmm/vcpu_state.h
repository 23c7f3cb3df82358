/*
 * Register state of one vCPU: what KVM gave it at creation, kept for resets, and how the boot CPU
 * starts.
 */
#ifndef VMM_VCPU_STATE_H
#define VMM_VCPU_STATE_H

#include <stdbool.h>
#include <stdint.h>

struct boot_entry;
struct kvm;
struct vcpu_state;

/* Saves the state of a vCPU that has not run yet. NULL: out of memory or KVM refused. */
struct vcpu_state *vcpu_state_save(struct kvm *kvm, int vcpu_fd);
void vcpu_state_free(struct vcpu_state *state); /* accepts NULL */

/* Restores it; the boot CPU (`is_boot`) then starts at `entry` (NULL: the reset vector), the others
 * wait. 0 or negative
 * errno. */
int vcpu_state_restore(const struct vcpu_state *state, int vcpu_fd, const struct boot_entry *entry,
		       bool is_boot);

#endif
