/*
 * A virtio function on PCI, of any type, and what a driver does to it: eight bytes a step, a verb,
 * a length, an offset and a value. The targets of single types have verbs of their own besides.
 */
#ifndef TESTS_FUZZ_FUNCTION_H
#define TESTS_FUZZ_FUNCTION_H

#include <stddef.h>
#include <stdint.h>

#include "tests/fake_driver.h"
#include "tests/fake_pci.h"

struct doorbells;
struct virtio_dev;
struct virtio_pci;

#define FUZZ_QUEUES_MAX 3U

struct fuzz_step {
	uint8_t verb, len; /* len: log2, of the bytes */
	uint16_t off;
	uint32_t value;
};

struct fuzz_function {
	struct fake_pci pci;
	struct doorbells *doorbells;
	struct virtio_dev *dev;
	struct virtio_pci *transport;
	unsigned int queues;
	struct driver_ring ring[FUZZ_QUEUES_MAX];
};

/* Plugs `dev` in, whose queues are `queues`. */
void fuzz_function_start(struct fuzz_function *function, struct mem *mem, struct virtio_dev *dev,
			 unsigned int queues);
/* The device is reset, and must have forgotten all; then it is as before the start. */
void fuzz_function_stop(struct fuzz_function *function);

/* The verbs that all have, and a step of a target's own from then on. */
enum {
	FUZZ_BRING_UP, FUZZ_OFFER, FUZZ_KICK, FUZZ_WRITE_BAR, FUZZ_READ_BAR, FUZZ_WRITE_COMMON,
	FUZZ_WRITE_CFG, FUZZ_READ_CFG, FUZZ_SERVICE, FUZZ_RESET, FUZZ_VERBS
};
void fuzz_function_step(struct fuzz_function *function, const struct fuzz_step *step);

/* Takes the steps of an input one by one, `own` those with a verb from FUZZ_VERBS to `verbs`. */
void fuzz_function_run(struct fuzz_function *function, const uint8_t *data, size_t size,
		       unsigned int verbs, void (*own)(const struct fuzz_step *step));

#endif
