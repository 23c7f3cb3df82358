/* What a cycle is to do, and what must come of it. */
#include "guest-tests/soak/soak.h"

#include "guest-tests/model-gpu/plan.h"

#define ERRNO_EIO 5
#define ERRNO_EBUSY 16
#define ERRNO_EINVAL 22
#define SHORT_US 256
#define LONG_US 4096
#define RESUME_MS 4

static uint32_t state;

void soak_seed(uint32_t seed)
{
	state = seed * 2654435761U | 1;
}

uint32_t soak_random(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

/* The low bits of this generator are the worse ones. */
bool soak_chance(uint32_t n)
{
	return !(soak_random() >> 8 & (n - 1));
}

unsigned int soak_count_bits(uint32_t functions)
{
	unsigned int count = 0;

	for (; functions; functions &= functions - 1)
		count++;
	return count;
}

void soak_dawdle(uint32_t n)
{
	for (uint32_t i = (soak_random() >> 8) % n; i; i--)
		__asm__ volatile("pause; pause; pause; pause; pause; pause; pause; pause");
}

/* --- what the model shall do --- */

static uint32_t word(enum plan_kind kind, uint32_t value)
{
	return (uint32_t)kind << PLAN_KIND_SHIFT | value;
}

static uint32_t one_of_the_events(void)
{
	static const uint8_t errors[] = {ERRNO_EIO, ERRNO_EIO, ERRNO_EINVAL, ERRNO_EBUSY};
	uint32_t random = soak_random() >> 8;

	switch (random & 15) {
	case 0:
	case 1:
		return word(PLAN_REFUSE, errors[random >> 4 & 3]);
	case 2:
		return word(PLAN_STALE_SIGNAL, 0);
	case 3:
	case 4:
	case 5:
		return word(PLAN_WAKE_BEFORE_ANSWER, 0);
	case 6:
	case 7:
	case 8:
		return word(PLAN_WAKE_IN_ENTRY, 0);
	case 9:
	case 10:
	case 11:
		return word(PLAN_WAKE_AFTER, (random >> 4) % SHORT_US);
	default:
		return word(PLAN_WAKE_AFTER, (random >> 4) % LONG_US);
	}
}

static void plan_events(struct cycle *cycle)
{
	unsigned int first = (soak_random() >> 8) % soak.count;

	for (unsigned int fn = 0; fn < soak.count; fn++) {
		cycle->plan[fn] = PLAN_MAGIC;
		if (fn == first ? !soak_chance(4) : soak_chance(8))
			cycle->plan[fn] |= one_of_the_events();
		if (soak_chance(32))
			cycle->plan[fn] |= (soak_random() >> 8) % RESUME_MS << PLAN_RESUME_SHIFT;
	}
}

static enum course one_of_the_courses(void)
{
	switch (soak_random() >> 8 & 15) {
	case 0:
		return COURSE_AT_ONCE;
	case 1:
		return COURSE_GOING_OFF;
	case 2:
	case 3:
		return COURSE_LATE;
	default:
		return COURSE_SLEEP;
	}
}

/* --- what follows from it --- */

static bool is_wake(uint32_t plan)
{
	return PLAN_KIND(plan) >= PLAN_WAKE_BEFORE_ANSWER && PLAN_KIND(plan) <= PLAN_WAKE_AFTER;
}

/*
 * The host asks the functions to enter low power one after the other, and the slot loses its power
 * with the last. A function that wakes before does so alone, one that wakes later wakes all. One
 * that refuses keeps the whole slot awake: what woke a function until then ended no sleep of the
 * slot, and the guest is not told.
 */
static void conclude(struct cycle *cycle)
{
	uint32_t told = cycle->pme | soak.notified, last = 1U << (soak.count - 1);

	cycle->refused = false;
	cycle->wakers = 0;
	for (unsigned int fn = 0; fn < soak.count; fn++) {
		cycle->refused |= PLAN_KIND(cycle->plan[fn]) == PLAN_REFUSE;
		cycle->wakers |= is_wake(cycle->plan[fn]) ? 1U << fn : 0;
	}
	cycle->must = cycle->may = 0;
	cycle->contents = CONTENTS_KEPT;
	if (cycle->refused)
		return;
	cycle->contents = CONTENTS_LOST;
	if (!cycle->wakers)
		return;
	cycle->may = told;
	cycle->must = cycle->wakers == last ? told : cycle->wakers & told;
	if (cycle->wakers != last)
		cycle->contents = CONTENTS_EITHER;
}

void soak_plan(struct cycle *cycle, bool plain)
{
	cycle->told_pme = cycle->told_notify = 0;
	cycle->course = COURSE_SLEEP;
	cycle->one_by_one = plain || soak_chance(2);
	cycle->pme = soak.mask;
	for (unsigned int fn = 0; fn < FUNCTIONS_MAX; fn++)
		cycle->plan[fn] = PLAN_MAGIC;
	if (!plain) {
		cycle->course = one_of_the_courses();
		cycle->pme &= (soak_random() | soak_random()) >> 8;
		plan_events(cycle);
	}
	conclude(cycle);
	if (cycle->course == COURSE_SLEEP)
		return;
	/* Whether the guest is told, or the slot ever slept, is a matter of microseconds. */
	cycle->must = 0;
	if (cycle->course != COURSE_LATE)
		cycle->contents = CONTENTS_EITHER;
}
