/*
 * The governor of a slot, pure: a card that is woken again and again burns more than one that stays
 * awake, so it is left awake for a while. Time comes in as milliseconds of a monotonic clock.
 *
 * Two rules, each with its back-off: more than max_wakes_per_hour wakes in the last hour (until the
 * oldest of them is an hour old), and SHORT_SLEEPS_MAX sleeps in a row that something else than the
 * guest ended before min_sleep_s (one minute, then twice as long each time up to an hour; a sleep
 * that lasts begins anew). Limits of 0 switch a rule off.
 */
#ifndef VFIO_GOVERNOR_H
#define VFIO_GOVERNOR_H

#include <stdbool.h>
#include <stdint.h>

#define GOVERNOR_SHORT_SLEEPS_MAX 3U
#define GOVERNOR_WAKES_MAX 3600U

struct governor_config {
	uint32_t min_sleep_s;
	uint32_t max_wakes_per_hour; /* to GOVERNOR_WAKES_MAX */
};

enum governor_rule { GOVERNOR_NONE, GOVERNOR_WAKES, GOVERNOR_SHORT_SLEEPS };

struct governor {
	struct governor_config config;
	uint64_t slept_at;                     /* valid while asleep */
	bool asleep;
	uint64_t wake[GOVERNOR_WAKES_MAX + 1]; /* ring of the times of the last wakes */
	uint32_t wakes, next;
	uint32_t short_sleeps;                 /* in a row */
	uint64_t backoff_ms, hold_until;       /* of the second rule */
	enum governor_rule announced;          /* the hold in force was told */
};

void governor_init(struct governor *governor, const struct governor_config *config);

/* The slot went to sleep. */
void governor_slept(struct governor *governor, uint64_t now_ms);

/* The sleep ended; `by_guest`: the guest wanted it. Nothing when it does not sleep. */
void governor_woken(struct governor *governor, uint64_t now_ms, bool by_guest);

/*
 * May it go to sleep now? 0, or the milliseconds for which not. `*ret_rule` is the rule that holds
 * it, and `*ret_announce` true the first time of each hold: then people are told.
 */
uint64_t governor_hold(struct governor *governor, uint64_t now_ms, enum governor_rule *ret_rule,
		       bool *ret_announce);

#endif
