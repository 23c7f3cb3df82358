/*
 * A slot with its power thread, in a machine of fakes: two scriptable devices, a PCI bus, RAM. The
 * test is the guest (doorbell, config space) and the host (wake-ups, failures). For the tests of
 * vfio/slot*.c. Everything fails the running test when it cannot do what it says.
 */
#ifndef TESTS_FAKE_SLOT_H
#define TESTS_FAKE_SLOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/fake_backend.h"

struct acpi_pm;
struct bus;
struct irq_chip;
struct mem;
struct pci_host;
struct vfio_slot;

#define FN_BDF(fn) (0x0100 + (fn)) /* where firmware puts the functions */

struct fake_slot {
	struct bus *mmio, *port;
	struct irq_chip *irq;
	struct pci_host *pci;
	struct mem *mem;
	struct acpi_pm *pm;
	struct fake_backend *device[2];
	struct vfio_slot *slot;
	char log[32]; /* file of the event log */
	atomic_uint wakes; /* how often the machine was asked to wake from S3 */
};

/* The devices, which may then be changed; the slot from option --gpu; its place in the machine. */
void fake_slot_prepare(struct fake_slot *fake, bool nvidia);
void fake_slot_build(struct fake_slot *fake, const char *option);
void fake_slot_plug(struct fake_slot *fake);

/* Instead of these three: a machine whose slot is empty. Then a card of new devices for it, which
 * is not in it yet, and which goes into it; what was there before must have been given back. */
void fake_slot_start_empty(struct fake_slot *fake);
struct vfio_card *fake_slot_card(struct fake_slot *fake, const char *option);
void fake_slot_insert(struct fake_slot *fake);

/* All three. */
void fake_slot_start_with(struct fake_slot *fake, const char *option, bool nvidia);
void fake_slot_start(struct fake_slot *fake);

/* The guest's reset, until it is done; or whatever else takes its time. */
void fake_slot_reset(struct fake_slot *fake);
void fake_slot_await(struct fake_slot *fake, void (*ask)(struct vfio_slot *slot, int done_fd));

/* What firmware does after a reset: addresses, tables. */
void fake_slot_boot(struct fake_slot *fake);

/* Takes down what is left, and sees that no rule of the back end was broken. */
void fake_slot_finish(struct fake_slot *fake);

/* --- the guest --- */

uint64_t fake_slot_controller(struct fake_slot *fake, unsigned int off);
void fake_slot_ring(struct fake_slot *fake, bool on);
/* As the guest's _OFF and _ON wait. */
void fake_slot_await_status(struct fake_slot *fake, uint64_t status);
void fake_slot_switch(struct fake_slot *fake, bool on);

uint32_t fake_slot_pmcsr(struct fake_slot *fake, unsigned int fn);
void fake_slot_set_pmcsr(struct fake_slot *fake, unsigned int fn, uint32_t value);
uint32_t fake_slot_vendor(struct fake_slot *fake, unsigned int fn);

uint32_t fake_slot_root_status(struct fake_slot *fake);
void fake_slot_await_pme(struct fake_slot *fake);
/* Registers of the port's PCI Express capability. */
uint32_t fake_slot_port_read(struct fake_slot *fake, unsigned int off, unsigned int len);
void fake_slot_port_write(struct fake_slot *fake, unsigned int off, unsigned int len,
			  uint32_t value);

/* --- the event log --- */

unsigned int fake_slot_logged(struct fake_slot *fake, const char *text);
void fake_slot_await_logged(struct fake_slot *fake, const char *text);

#endif
