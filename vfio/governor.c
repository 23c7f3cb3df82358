#include "vfio/governor.h"

#include <string.h>

#define MINUTE_MS 60000ULL
#define HOUR_MS (60 * MINUTE_MS)
#define RING (sizeof(((struct governor *)NULL)->wake) / sizeof(uint64_t))

void governor_init(struct governor *governor, const struct governor_config *config)
{
	memset(governor, 0, sizeof(*governor));
	governor->config = *config;
	governor->backoff_ms = MINUTE_MS;
}

void governor_slept(struct governor *governor, uint64_t now_ms)
{
	if (governor->asleep)
		return;
	governor->asleep = true;
	governor->slept_at = now_ms;
	governor->announced = GOVERNOR_NONE; /* whatever held it does so no more */
}

static void remember_wake(struct governor *governor, uint64_t now_ms)
{
	governor->wake[governor->next] = now_ms;
	governor->next = (governor->next + 1) % RING;
	if (governor->wakes < RING)
		governor->wakes++;
}

/* A sleep that the guest ends early is its own affair: it is neither short nor lasting. */
static void judge_length(struct governor *governor, uint64_t now_ms, bool by_guest)
{
	if (now_ms - governor->slept_at >= governor->config.min_sleep_s * 1000ULL) {
		governor->short_sleeps = 0;
		governor->backoff_ms = MINUTE_MS;
		return;
	}
	if (by_guest || ++governor->short_sleeps < GOVERNOR_SHORT_SLEEPS_MAX)
		return;
	governor->short_sleeps = GOVERNOR_SHORT_SLEEPS_MAX; /* the row goes on */
	governor->hold_until = now_ms + governor->backoff_ms;
	governor->backoff_ms *= 2;
	if (governor->backoff_ms > HOUR_MS)
		governor->backoff_ms = HOUR_MS;
}

void governor_woken(struct governor *governor, uint64_t now_ms, bool by_guest)
{
	if (!governor->asleep)
		return;
	governor->asleep = false;
	remember_wake(governor, now_ms);
	judge_length(governor, now_ms, by_guest);
}

/* With one wake more than are allowed in an hour: until the oldest of those is an hour old. */
static uint64_t hold_by_wakes(const struct governor *governor, uint64_t now_ms)
{
	uint32_t allowed = governor->config.max_wakes_per_hour;
	uint64_t until;

	if (!allowed || governor->wakes <= allowed)
		return 0;
	until = governor->wake[(governor->next + RING - allowed - 1) % RING] + HOUR_MS;
	return until > now_ms ? until - now_ms : 0;
}

static uint64_t hold_by_short_sleeps(const struct governor *governor, uint64_t now_ms)
{
	return governor->hold_until > now_ms ? governor->hold_until - now_ms : 0;
}

uint64_t governor_hold(struct governor *governor, uint64_t now_ms, enum governor_rule *ret_rule,
		       bool *ret_announce)
{
	uint64_t wakes = hold_by_wakes(governor, now_ms);
	uint64_t sleeps = hold_by_short_sleeps(governor, now_ms);
	uint64_t hold = wakes > sleeps ? wakes : sleeps;
	enum governor_rule rule = !hold ? GOVERNOR_NONE
				: hold == wakes ? GOVERNOR_WAKES : GOVERNOR_SHORT_SLEEPS;

	*ret_rule = rule;
	*ret_announce = hold && !governor->announced;
	if (!hold || *ret_announce)
		governor->announced = rule;
	return hold;
}
