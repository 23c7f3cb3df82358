/*
 * Doorbells: addresses at which a write of the guest signals an eventfd in the kernel, without
 * leaving the CPU for this program (ioeventfd). A write that the kernel does not catch arrives on
 * the MMIO bus as any other, so a doorbell is never more than a shorter way.
 *
 * The product's implementation is KVM (vmm/doorbell.c); unit tests bring tests/fake_doorbell.c.
 * Any thread.
 */
#ifndef VMM_DOORBELL_H
#define VMM_DOORBELL_H

#include "vmm/layout.h"

struct doorbells;

/* Writes of any length at `gpa` signal `fd` from now on. 0; -EEXIST when another doorbell is there;
 * another negative errno of KVM_IOEVENTFD. */
int doorbell_add(struct doorbells *doorbells, gpa_t gpa, int fd);

/* Writes arrive on the bus again. Does nothing when there is no such doorbell. */
void doorbell_remove(struct doorbells *doorbells, gpa_t gpa, int fd);

#endif
