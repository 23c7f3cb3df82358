/*
 * A passed-through function in a machine of fakes: device, memory, interrupts, PCI with one root
 * port. For the tests of vfio/function.c and what it is made of.
 */
#ifndef TESTS_FAKE_FUNCTION_H
#define TESTS_FAKE_FUNCTION_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/fake_backend.h"
#include "tests/fake_mem.h"

struct bus;
struct irq_chip;
struct pci_host;
struct root_port;
struct vfio_function;

struct fake_function {
	struct fake_backend *device;
	struct mem *mem;
	struct irq_chip *irq;
	struct bus *mmio, *ports;
	struct pci_host *host;
	struct root_port *port;
	struct vfio_function *function;
	uint16_t bdf;
	/* what the listener was told */
	unsigned int host_errors;
	int host_error;
	unsigned int pme_cleared;
};

/* Builds and plugs a function of `device`, which it then owns, behind the root port; firmware has
 * given BARs their addresses, memory decoding is off. Aborts on failure. */
void fake_function_start(struct fake_function *fake, struct fake_backend *device);
/* Its two halves: what is between is set-up of the function. */
void fake_function_prepare(struct fake_function *fake, struct fake_backend *device);
void fake_function_plug(struct fake_function *fake);
/* Ends all. Aborts when something is left: a window, an irqfd, a mapped region. */
void fake_function_stop(struct fake_function *fake);

/* The fixture of most tests, for cmocka: `*state` is a struct fake_function of the sample GPU,
 * 0000:01:00.0. _enabled: with Command set and no call recorded yet. */
int fake_function_setup(void **state);
int fake_function_setup_enabled(void **state);
int fake_function_teardown(void **state);

uint32_t fake_function_read(struct fake_function *fake, uint16_t off, unsigned int len);
void fake_function_write(struct fake_function *fake, uint16_t off, unsigned int len,
			 uint32_t value);

/* Sets Command to I/O, memory, bus master and `more`. */
void fake_function_enable(struct fake_function *fake, uint16_t more);

/* Where the guest finds byte `off` of a BAR. */
uint64_t fake_function_at(struct fake_function *fake, unsigned int bar, uint64_t off);

/* Accesses of a CPU to the MMIO bus, as they are where no window is. */
uint64_t fake_function_mmio_read(struct fake_function *fake, uint64_t gpa, unsigned int len);
void fake_function_mmio_write(struct fake_function *fake, uint64_t gpa, unsigned int len,
			      uint64_t value);

/* Writes an entry of the sample's MSI-X table as a guest does. */
void fake_function_set_vector(struct fake_function *fake, unsigned int vector, uint64_t address,
			      uint32_t data, bool masked);

/* Triggers now: of VFIO_PCI_*_IRQ_INDEX `index`, -1 without. */
int fake_function_trigger(struct fake_function *fake, unsigned int index, unsigned int vector);

/* --- functions that are not plugged, of devices made wrong by the test --- */

struct fake_variant {
	struct fake_backend *device;
	struct vfio_function *function; /* where `error` is 0 */
	char why[256];
	int error;
};

/* vfio_function_create() of `device`, which the variant then owns. */
void fake_variant_build(struct fake_variant *variant, struct fake_backend *device,
			bool multifunction);
void fake_variant_destroy(struct fake_variant *variant);
/* What the guest would see of it. */
uint32_t fake_variant_read(const struct fake_variant *variant, uint16_t off, unsigned int len);

#endif
