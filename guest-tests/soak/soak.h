/*
 * The soak: a guest that lets its slot sleep and wake again and again, each time a little
 * different, and knows each time what must come of it. The seed decides everything but time: soak.c
 * runs the cycles, soak_plan.c says what one is to do and what is to be expected, soak_wakes.c
 * takes what the guest is told, soak_device.c uses the device.
 *
 * Every instruction of a guest may cost microseconds and every access to a device tens of them, so
 * config space is reached by addresses that are looked up once.
 */
#ifndef GUEST_TESTS_SOAK_SOAK_H
#define GUEST_TESTS_SOAK_SOAK_H

#include "guest-tests/bare/lib_gpu.h"
#include "guest-tests/bare/lib_irq.h"

#define FUNCTIONS_MAX 3U
#define ONES 0xffffffffU

/* --- the machine, found once --- */

struct soak {
	struct slot slot;
	unsigned int count;          /* functions: 0 to count - 1 */
	uint32_t mask;
	bool intx;                   /* the port's interrupt is its line, not MSI */
	uint32_t lines;              /* functions whose interrupts are their lines, not MSI-X */
	uint32_t notified;           /* functions that are told of by Notify, without PME_En */
	uint32_t gpe_bit;
	uint16_t gpe_port;
	uint64_t port_cfg, cfg[FUNCTIONS_MAX]; /* config space */
	struct gpu gpu[FUNCTIONS_MAX];
	uint32_t id[FUNCTIONS_MAX];            /* vendor and device */
};

extern struct soak soak;

/* A register of config space: of the port, of a function. */
#define CFG(type, base, off) MMIO(type, (base) + (off))
#define PORT_PMCSR CFG(uint16_t, soak.port_cfg, soak.slot.port_pm + PCI_PM_CTRL)
#define ROOT_STATUS CFG(uint32_t, soak.port_cfg, soak.slot.port_exp + PCI_EXP_RTSTA)
#define PMCSR(fn) CFG(uint16_t, soak.cfg[fn], soak.slot.pm[fn] + PCI_PM_CTRL)

void soak_find(void);

/* --- one cycle --- */

/* How far the guest lets the slot sleep before it wants it back. */
enum course {
	COURSE_SLEEP,     /* until it slept, and was woken if it shall be */
	COURSE_LATE,      /* until it slept, and some time on: a wake and _ON race */
	COURSE_AT_ONCE,   /* _ON right behind _OFF */
	COURSE_GOING_OFF, /* _ON while _OFF is under way */
};

enum contents { CONTENTS_EITHER, CONTENTS_KEPT, CONTENTS_LOST };

struct cycle {
	unsigned int number;
	uint32_t pme;                  /* functions with PME_En */
	uint32_t plan[FUNCTIONS_MAX];  /* guest-tests/model-gpu/plan.h */
	enum course course;
	bool one_by_one;               /* each PME is served upon an interrupt of its own */
	/* what follows */
	bool refused;                  /* if it comes to an entry at all */
	uint32_t wakers;               /* functions that want to be awake */
	uint32_t must, may;            /* functions that the guest is told of */
	enum contents contents;
	/* what was seen */
	uint32_t told_pme, told_notify;
};

void soak_seed(uint32_t seed);
uint32_t soak_random(void);
unsigned int soak_count_bits(uint32_t functions);
/* True once in `n`, a power of two. */
bool soak_chance(uint32_t n);
/* Some time, at most about `n` dozens of instructions. */
void soak_dawdle(uint32_t n);

/* Decides all of `cycle` but its number. `plain`: all functions have PME_En, nothing happens. */
void soak_plan(struct cycle *cycle, bool plain);

/* --- what is counted --- */

struct numbers {
	uint64_t cycles, slept, raced, refused, maybe_refused;
	uint64_t wakes;    /* functions that had to wake the guest */
	uint64_t pmes, notifies;
	uint64_t woken;    /* cycles with one or more of these */
	uint64_t maybe_again; /* of these: a second sleep in one cycle may have told of it twice */
	uint64_t lost, spurious;
	uint64_t interrupts, dmas, fences, touches;
};

extern struct numbers numbers;

/* Ends the run, with what this cycle was; the numbers are for people and may be equal. */
_Noreturn void soak_fail(const struct cycle *cycle, const char *what, uint64_t got,
			 uint64_t expected);
static inline void soak_expect(const struct cycle *cycle, const char *what, uint64_t got,
			       uint64_t expected)
{
	if (got != expected)
		soak_fail(cycle, what, got, expected);
}

/* --- soak_wakes.c --- */

void wakes_init(void);
/* Serves what comes until every function of cycle->must was told of. */
void wakes_await(struct cycle *cycle);
/* The slot is on again: takes what came too late to be served, and checks that nothing else did. */
void wakes_finish(struct cycle *cycle);

/* --- soak_device.c --- */

void device_init(void);
/* Tells the model of the plan. */
void device_plan(const struct cycle *cycle);
/* Touches a sleeping function. */
void device_touch_asleep(const struct cycle *cycle);
/* Everything is as it must be, and works. */
void device_check(const struct cycle *cycle);

/* For another CPU: touches the device all the time, and sees its values or ones. */
void device_disturb(void);
extern volatile uint32_t disturbances, disturbances_strange;

#endif
