/*
 * vmm/irq.h without KVM: a chip that records what devices do to it. A test creates it, hands it to
 * the code under test, and asks it (or looks at its fields) afterwards.
 *
 *	struct irq_chip *chip = fake_irq_create();
 *	... the device raises its line, sends a message, attaches an irqfd ...
 *	assert_true(fake_irq_level(chip, GSI_SCI));
 *	assert_int_equal(fake_irq_msi_count(chip), 1);
 *	fake_irq_destroy(chip);
 *
 * It keeps the kernel's rules where code depends on them: a GSI is high while any source holds it,
 * a trigger can be attached once, a route must be allocated before it is set. Breaking one of the
 * rules that vmm/irq.h makes for its callers (a GSI out of range, a route that is not allocated)
 * ends the test program with a line that says so.
 *
 * An attached irqfd delivers nothing by itself: the test reads the trigger's eventfd where it wants
 * to know of a signal, and fake_irq_level() ORs in no irqfd. fake_irq_fire() delivers by hand.
 *
 * Thread-safe.
 */
#ifndef TESTS_FAKE_IRQ_H
#define TESTS_FAKE_IRQ_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/irq.h"
#include "vmm/layout.h"

#define FAKE_IRQ_FDS 256
#define FAKE_IRQ_MSIS 4096   /* messages remembered; later ones are only counted */
#define FAKE_IRQ_ROUTES 4096

struct fake_irq_line {
	unsigned int sources;    /* that hold it high now */
	unsigned int rises;      /* times that it went from low to high */
	unsigned int pulses;     /* irq_pulse() */
};

struct fake_irq_route {
	bool used;
	bool set;                /* has a message */
	struct msi_message message;
	unsigned int sets;       /* times that irq_route_set() was called since the allocation */
};

/* Never NULL (aborts). */
struct irq_chip *fake_irq_create(void);

/* Accepts NULL. Aborts when an irqfd is still attached or a route is still allocated: that is a
 * leak in the code under test. */
void fake_irq_destroy(struct irq_chip *chip);

/* --- lines: GSIs below GSI_COUNT --- */

/* All that was recorded of a line. */
struct fake_irq_line fake_irq_line(struct irq_chip *chip, uint32_t gsi);
/* The line is high: some source holds it. */
bool fake_irq_level(struct irq_chip *chip, uint32_t gsi);
/* Edges by irq_pulse() since creation. */
unsigned int fake_irq_pulses(struct irq_chip *chip, uint32_t gsi);

/* --- messages sent by irq_send_msi() and fake_irq_fire(), in order --- */

unsigned int fake_irq_msi_count(struct irq_chip *chip);
/* Message number `index` from 0. Aborts when there were not so many. */
struct msi_message fake_irq_msi(struct irq_chip *chip, unsigned int index);
void fake_irq_forget_msis(struct irq_chip *chip);

/* --- routes and irqfds --- */

/* Routes that are allocated now. */
unsigned int fake_irq_route_count(struct irq_chip *chip);
/* What is known of the route with this GSI; a zeroed one when it is not allocated. */
struct fake_irq_route fake_irq_route(struct irq_chip *chip, int gsi);

/* irqfds that are attached now, and how many were ever attached. */
unsigned int fake_irq_fd_count(struct irq_chip *chip);
unsigned int fake_irq_fds_ever(struct irq_chip *chip);
/* The attached irqfd with this trigger, or the first one on this GSI. False when there is none. */
bool fake_irq_fd_by_trigger(struct irq_chip *chip, int trigger, struct irq_fd *ret_fd);
bool fake_irq_fd_by_gsi(struct irq_chip *chip, uint32_t gsi, struct irq_fd *ret_fd);

/*
 * Does what KVM does for attached eventfds that are signalled now: takes the signal off each, and
 * counts a pulse of its line or sends its route's message (dropped while the route has none).
 * Returns how many interrupts were delivered.
 */
unsigned int fake_irq_fire(struct irq_chip *chip);

/* --- failures --- */

/* From now on the function answers `error` (negative errno); 0: works again. */
void fake_irq_fail_route_alloc(struct irq_chip *chip, int error);
void fake_irq_fail_route_set(struct irq_chip *chip, int error);
void fake_irq_fail_fd_attach(struct irq_chip *chip, int error);

#endif
