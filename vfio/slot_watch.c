/*
 * What is known of a slot's sleeps besides the state machine: how long they were and how much of it
 * the device was really suspended, what ended them, and whether the governor allows the next one.
 */
#include <errno.h>
#include <stdio.h>

#include "vfio/function.h"
#include "vfio/slot.h"
#include "vmm/base/clock.h"
#include "vmm/base/log.h"
#include "vmm/events.h"

static int observe(struct vfio_slot *slot, unsigned int fn, struct vfio_observation *ret)
{
	struct vfio_backend *backend = vfio_function_backend(slot->card.fn[fn].function);

	return backend->ops->observe(backend, ret);
}

void slot_watch_before(struct vfio_slot *slot, unsigned int fn)
{
	slot->card.fn[fn].observed = !observe(slot, fn, &slot->card.fn[fn].before);
}

void slot_watch_entry(struct vfio_slot *slot, unsigned int fn, int error, uint64_t host_us)
{
	stats_entry(&slot->card.fn[fn].stats, error, host_us);
	if (!error)
		slot->card.fn[fn].engaged_at = clock_us();
}

/* The sleep of `fn` is over; `now` NULL: the host tells nothing. */
static void end_sleep(struct vfio_slot *slot, unsigned int i, const struct vfio_observation *now)
{
	struct slot_function *fn = &slot->card.fn[i];

	if (!fn->engaged_at)
		return;
	fn->engaged_us = clock_us() - fn->engaged_at;
	fn->engaged_at = 0;
	fn->observed &= now != NULL;
	fn->suspended_us = 0;
	if (fn->observed && now->suspended_us > fn->before.suspended_us)
		fn->suspended_us = now->suspended_us - fn->before.suspended_us;
	stats_slept(&fn->stats, fn->engaged_us, fn->suspended_us);
}

void slot_watch_exit(struct vfio_slot *slot, unsigned int fn, uint64_t host_us)
{
	struct vfio_observation now;
	bool tells = !observe(slot, fn, &now);

	stats_exit(&slot->card.fn[fn].stats, host_us);
	end_sleep(slot, fn, tells ? &now : NULL);
}

enum power_cause slot_watch_wake(struct vfio_slot *slot, unsigned int i)
{
	const struct power_function *power = &slot->card.power.fn[i];
	struct slot_function *fn = &slot->card.fn[i];
	enum power_cause cause = POWER_CAUSE_UNKNOWN;
	struct vfio_observation now;
	bool tells;

	if (power->state != POWER_ENGAGED || !power->engaged_wakeup) {
		stats_wake(&fn->stats, POWER_CAUSE_OWN);
		return POWER_CAUSE_OWN;
	}
	tells = !observe(slot, i, &now);
	if (tells && fn->observed && now.counts_wakeups && fn->before.counts_wakeups)
		cause = now.wakeups > fn->before.wakeups ? POWER_CAUSE_PME : POWER_CAUSE_HOST;
	stats_wake(&fn->stats, cause);
	end_sleep(slot, i, tells ? &now : NULL);
	return cause;
}

/* --- the governor --- */

static uint64_t now_ms(void)
{
	return clock_us() / 1000;
}

void slot_watch_slept(struct vfio_slot *slot)
{
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		const struct power_function *fn = &slot->card.power.fn[i];

		if (!fn->exists || fn->state != POWER_ENGAGED)
			continue;
		governor_slept(&slot->card.governor, now_ms());
		return;
	}
}

void slot_watch_woken(struct vfio_slot *slot, bool by_guest)
{
	governor_woken(&slot->card.governor, now_ms(), by_guest);
}

static void announce(const struct vfio_slot *slot, enum governor_rule rule, uint64_t ms)
{
	const struct governor_config *config = &slot->card.config.governor;
	const struct event_number hold = {"hold_ms", ms};
	char text[160];
	const struct event event = {
		.event = "governor", .device = slot->card.name, .detail = text,
		.number = &hold, .numbers = 1,
	};

	if (rule == GOVERNOR_WAKES)
		snprintf(text, sizeof(text), "woken more than %u times in an hour "
			 "(max-wakes-per-hour): it stays awake for %llu s",
			 config->max_wakes_per_hour, (unsigned long long)(ms + 999) / 1000);
	else
		snprintf(text, sizeof(text), "woken %u times in a row before %u s of sleep "
			 "(min-sleep): it stays awake for %llu s", GOVERNOR_SHORT_SLEEPS_MAX,
			 config->min_sleep_s, (unsigned long long)(ms + 999) / 1000);
	events_emit(&event);
	log_info("vfio %s: %s", slot->card.name, text);
}

void slot_watch_hold(struct vfio_slot *slot)
{
	enum governor_rule rule = GOVERNOR_NONE;
	bool tell = false;
	uint64_t ms = governor_hold(&slot->card.governor, now_ms(), &rule, &tell);

	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		slot->card.power.fn[i].hold = ms ? -EAGAIN : 0;
	slot->hold_until = ms ? clock_us() + ms * 1000 : 0;
	slot_set_timer(slot->hold_fd, ms);
	if (ms && tell)
		announce(slot, rule, ms);
}
