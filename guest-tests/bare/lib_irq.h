/*
 * Interrupts for the guests: vectors with counters, messages and lines routed to them, and waits
 * that halt. Interrupts are taken inside of these waits only, by the CPU that waits.
 */
#ifndef GUEST_TESTS_BARE_LIB_IRQ_H
#define GUEST_TESTS_BARE_LIB_IRQ_H

#include "guest-tests/bare/lib.h"

/* Vectors of the guests' own. The timer of the waits has the one after the last. */
#define VECTOR_FIRST 40
#define VECTOR_LAST 60

/* The local APIC and its timer, on this CPU. Once, before all others. */
void irq_init(void);

/* How often `vector` was taken. Reading it takes what is pending first. */
unsigned int irq_count(unsigned int vector);

/* Halts until `vector` was taken `count` times in all. False: not within `ms`. */
bool irq_wait(unsigned int vector, unsigned int count, unsigned int ms);

/* Halts until `done(opaque)`, asked again after every interrupt and timer tick. False: not within
 * `ms`, which is a limit for what never comes, not a measure. */
bool wait_until(bool (*done)(void *opaque), void *opaque, unsigned int ms);

/* Counts `vector` from now on, without what is pending; `handler` (or NULL) is called for each. */
void irq_take(unsigned int vector, interrupt_handler handler);

/* Routes a function's MSI (one message) to `vector`, and enables it. */
void msi_route(uint16_t bdf, unsigned int vector);
void msi_disable(uint16_t bdf);
/* Routes and unmasks an entry of a function's MSI-X table; and enables MSI-X. An entry that is
 * routed when MSI-X is enabled already may cost a needless interrupt on the others. */
void msix_route(uint16_t bdf, unsigned int entry, unsigned int vector);
void msix_enable(uint16_t bdf);
void msix_disable(uint16_t bdf);

/* Routes a function's INTx, level triggered, to `vector`; the runtime ends each interrupt after the
 * handler, which must have quieted the device or masked the line. */
void intx_route(uint16_t bdf, unsigned int vector);
void intx_mask(uint16_t bdf);

#endif
