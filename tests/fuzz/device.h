/*
 * A virtio device without a transport, of any type, and what a driver does to it: eight bytes a
 * step, a verb, a queue, an offset and a value. Its own threads, or another process, serve it. The
 * targets of single types have verbs of their own besides.
 */
#ifndef TESTS_FUZZ_DEVICE_H
#define TESTS_FUZZ_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "tests/fake_driver.h"

struct fuzz_device_step {
	uint8_t verb, queue;
	uint16_t off;
	uint32_t value;
};

struct fuzz_device {
	struct driver driver;
	unsigned int writes; /* the queues whose buffers the device writes, a bit each */
};

void fuzz_device_start(struct fuzz_device *device, struct mem *mem, struct virtio_dev *dev,
		       unsigned int writes);

/* The device is reset, and must have forgotten all. */
void fuzz_device_reset(struct fuzz_device *device);

/* As a driver that knows how; it must run then, and a buffer of `len` bytes come back. */
void fuzz_device_bring_up(struct fuzz_device *device, uint64_t features, unsigned int queues);
void fuzz_device_offer(struct fuzz_device *device, unsigned int queue, uint32_t len);
void fuzz_device_await(struct fuzz_device *device, unsigned int queue, const char *what);

/*
 * The verbs that all have; those of a target's own follow them.
 * RESTART     from a reset to DRIVER_OK, without the features of `value` and the queues of `queue`
 * OFFER       a buffer, with a kick
 * INDEX       `off` is one of the ring's indices, or a head, as the bits of `value` say
 * BUS_MASTER  on or off
 * READ_CONFIG, RESET
 */
enum {
	FUZZ_DEVICE_RESTART, FUZZ_DEVICE_OFFER, FUZZ_DEVICE_INDEX, FUZZ_DEVICE_BUS_MASTER,
	FUZZ_DEVICE_READ_CONFIG, FUZZ_DEVICE_RESET, FUZZ_DEVICE_VERBS
};

/* Takes the steps of an input one by one, `own` those with a verb of the target's own. */
void fuzz_device_run(struct fuzz_device *device, const uint8_t *data, size_t size,
		     void (*const *own)(const struct fuzz_device_step *step), size_t owns);

#endif
