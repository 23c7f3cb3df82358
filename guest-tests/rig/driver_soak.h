/* The soak's own: driver_soak.c, its order; driver_access.c, what it does to a device. */
#ifndef GUEST_TESTS_RIG_DRIVER_SOAK_H
#define GUEST_TESTS_RIG_DRIVER_SOAK_H

#include "guest-tests/rig/driver.h"

enum soak_phase { PHASE_SETTLE, PHASE_PAUSE, PHASE_WOKEN, PHASE_EXTRAS };

struct target {
	const struct rig_device *device;
	struct sample state;    /* power_state on the host */
	bool engaged;           /* what the events say of function 0 */
	unsigned long woken;    /* such events of the slot so far */
	unsigned long expected; /* ... that there must be, for it was asleep when it was accessed */
	unsigned long certain;  /* how often it was */
	unsigned long accesses; /* that wake a sleeping device */
	unsigned int extras;    /* accesses to come in this round */
	enum soak_phase phase;
	bool in_round;
	bool held;              /* power/control is "on" because of us */
	uint64_t since_us;      /* of its last access */
	uint64_t next_us;       /* of its next access, or its release */
};

struct soak {
	struct rig *rig;
	struct target target[DEVICE_COUNT];
	unsigned int targets;
	unsigned long wakes, wanted, rounds;
	unsigned long quiet;    /* accesses that wake nothing */
	size_t cursor;          /* in the events */
};

uint32_t soak_random(uint32_t limit);       /* below it */
int soak_take_events(struct soak *soak);

/* A random access of the host, which must be one that wakes or may be any. */
int soak_access(struct soak *soak, struct target *target, bool must_wake);
int soak_release(struct soak *soak, struct target *target);

#endif
