/*
 * vmm/doorbell.h without KVM: remembers which doorbells there are. Thread-safe.
 */
#ifndef TESTS_FAKE_DOORBELL_H
#define TESTS_FAKE_DOORBELL_H

#include <stdbool.h>

#include "vmm/doorbell.h"

/* Never NULL (aborts). Destroying aborts when a doorbell is still there: that is a leak. */
struct doorbells *fake_doorbells_create(void);
void fake_doorbells_destroy(struct doorbells *doorbells);

unsigned int fake_doorbells_count(struct doorbells *doorbells);

/* What the kernel does when the guest writes at `gpa`. False: no doorbell is there. */
bool fake_doorbells_ring(struct doorbells *doorbells, gpa_t gpa);

/* doorbell_add() answers `error` from now on; 0: works again. */
void fake_doorbells_fail(struct doorbells *doorbells, int error);

#endif
