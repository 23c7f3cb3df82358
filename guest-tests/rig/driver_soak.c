/*
 * The soak: random accesses of the host at random moments to devices whose guest's driver lets them
 * sleep again each time. Each device goes round: both guest and host say it sleeps; after a random
 * pause an access that must wake it, so an event `woken` must come; then up to two more at moments
 * that hit it awake, on its way, or asleep again.
 *
 * A wake-up is lost when a sleeping device was accessed and the guest is not told, or is told and
 * does not come; both keep the device awake on the host for ever, so the round does not end.
 */
#include "guest-tests/rig/driver_soak.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define WOKEN_MS 30000U  /* from an access to the event */
#define ROUND_MS 120000U /* from the last access until it sleeps again */
#define PAUSE_MS 500U    /* a sleep lasts up to so long before the access */
#define EXTRAS_MAX 2U
#define EXTRA_MS 6500U   /* each comes within that time; an e1000e sleeps after 5 s */
#define HOLD_MS 1500U    /* power/control stays "on" for up to so long */
#define TELL_WAKES 50U

static uint64_t seed;

uint32_t soak_random(uint32_t limit)
{
	/* xorshift64 of G. Marsaglia, "Xorshift RNGs" */
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % limit;
}

static void within(struct target *target, uint32_t ms)
{
	target->next_us = now_us() + soak_random(ms * 1000);
}

/* --- what the events say --- */

static void tell(struct soak *soak)
{
	unsigned long certain = 0, accesses = 0;

	for (unsigned int i = 0; i < soak->targets; i++) {
		accesses += soak->target[i].accesses;
		certain += soak->target[i].certain;
	}
	snprintf(soak->rig->answer, sizeof(soak->rig->answer),
		 "%lu wake-ups by %lu accesses, %lu of them while asleep; %lu rounds, "
		 "%lu readings of attributes", soak->wakes, accesses, certain, soak->rounds,
		 soak->quiet);
	say("soak: %s", soak->rig->answer);
}

static int take_event(struct soak *soak, const char *line)
{
	char event[32], device[32] = "", to[32] = "";

	if (!event_field(line, "event", event, sizeof(event)) || strcmp(event, "power") != 0)
		return 0;
	event_field(line, "device", device, sizeof(device));
	event_field(line, "to", to, sizeof(to));
	if (!strcmp(to, "lost") || !strcmp(to, "refused"))
		return fail("%s became %s", device, to);
	for (unsigned int i = 0; i < soak->targets; i++) {
		struct target *target = &soak->target[i];
		const char *bdf = target->device->bdf;

		if (strncmp(device, bdf, strlen(bdf) - 2) != 0)
			continue;
		if (!strcmp(to, "woken")) {
			target->woken++;
			if (++soak->wakes % TELL_WAKES == 0)
				tell(soak);
		}
		if (!strcmp(device, bdf))
			target->engaged = !strcmp(to, "engaged");
	}
	return 0;
}

int soak_take_events(struct soak *soak)
{
	const struct events *events = &soak->rig->events;

	while (soak->cursor < events->count)
		if (take_event(soak, events->list[soak->cursor++]) < 0)
			return -1;
	return 0;
}

/* --- a round --- */

static bool is_asleep(struct target *target)
{
	sample_read(&target->state);
	return target->engaged && !target->held && !strcmp(target->state.value, "D3cold");
}

static int settle(struct soak *soak, struct target *target)
{
	if (!is_asleep(target))
		return 0;
	if (target->woken < target->expected)
		return fail("%s: an access woke it, and no event says so", target->device->name);
	soak->rounds += target->in_round;
	target->in_round = false;
	target->phase = PHASE_PAUSE;
	within(target, PAUSE_MS);
	return 0;
}

static int begin_round(struct soak *soak, struct target *target)
{
	/* An access to all, for another device's sake, may have come between. */
	if (!is_asleep(target)) {
		target->phase = PHASE_SETTLE;
		return 0;
	}
	if (soak->wakes >= soak->wanted)
		return 0;
	target->in_round = true;
	target->phase = PHASE_WOKEN;
	return soak_access(soak, target, true);
}

static int await_wake(struct soak *soak, struct target *target)
{
	(void)soak;
	if (target->woken < target->expected)
		return now_us() - target->since_us < WOKEN_MS * 1000ULL ? 0 :
			fail("%s: an access woke it, and the guest was not told",
			     target->device->name);
	target->phase = PHASE_EXTRAS;
	target->extras = soak_random(EXTRAS_MAX + 1);
	within(target, target->held ? HOLD_MS : target->extras ? EXTRA_MS : 1);
	return 0;
}

static int access_again(struct soak *soak, struct target *target)
{
	int result;

	if (!target->held && !target->extras) {
		target->phase = PHASE_SETTLE;
		return 0;
	}
	if (target->held) {
		result = soak_release(soak, target);
	} else {
		target->extras--;
		result = soak_access(soak, target, false);
	}
	within(target, target->held ? HOLD_MS : target->extras ? EXTRA_MS : 1);
	return result;
}

static int move_on(struct soak *soak, struct target *target)
{
	bool due = now_us() >= target->next_us;

	if (now_us() - target->since_us > ROUND_MS * 1000ULL && target->in_round)
		return fail("%s is %s on the host, and %s for the guest, since its last access",
			    target->device->name, target->state.value,
			    target->engaged ? "asleep" : "awake");
	switch (target->phase) {
	case PHASE_SETTLE:
		return settle(soak, target);
	case PHASE_PAUSE:
		return due ? begin_round(soak, target) : 0;
	case PHASE_WOKEN:
		return await_wake(soak, target);
	case PHASE_EXTRAS:
		return due ? access_again(soak, target) : 0;
	}
	return 0;
}

static int soaked(struct rig *rig, void *arg)
{
	struct soak *soak = arg;
	bool all_asleep = true;

	rig->alarm_us = UINT64_MAX;
	if (soak_take_events(soak) < 0)
		return -1;
	for (unsigned int i = 0; i < soak->targets; i++) {
		struct target *target = &soak->target[i];

		if (move_on(soak, target) < 0)
			return -1;
		all_asleep &= target->phase == PHASE_PAUSE && is_asleep(target);
		if (target->phase != PHASE_SETTLE && target->next_us < rig->alarm_us)
			rig->alarm_us = target->next_us;
	}
	return soak->wakes >= soak->wanted && all_asleep;
}

/* --- the step --- */

static int add_target(struct soak *soak, const char *bdf)
{
	struct target *target = &soak->target[soak->targets];

	for (size_t i = 0; i < DEVICE_COUNT; i++) {
		if (strcmp(soak->rig->device[i].bdf, bdf) != 0)
			continue;
		target->device = &soak->rig->device[i];
		target->since_us = now_us();
		soak->targets++;
		return sample_open(&target->state, bdf, "power_state");
	}
	return fail("no device of the rig: %s", bdf);
}

static void sow(const char *text)
{
	if (text)
		seed = strtoull(text, NULL, 10);
	else if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = now_us();
	seed += !seed; /* the generator would stay at 0 */
	say("soak: seed %" PRIu64, seed);
}

/* The events so far: which devices sleep now. */
static int take_history(struct soak *soak)
{
	int result = soak_take_events(soak);

	soak->wakes = 0;
	for (unsigned int i = 0; i < soak->targets; i++)
		soak->target[i].woken = 0;
	return result;
}

/* soak WAKES DEVICE... [seed NUMBER] */
int do_soak(struct rig *rig, const struct words *words, const char *rest)
{
	struct soak soak = {.rig = rig, .wanted = strtoul(words->word[1], NULL, 10)};
	unsigned int i = 2;
	int result = 0;

	(void)rest;
	while (i < words->count && strcmp(words->word[i], "seed") != 0 && result == 0)
		result = soak.targets == DEVICE_COUNT ? fail("too many devices") :
			 add_target(&soak, words->word[i++]);
	if (result < 0 || take_history(&soak) < 0)
		return -1;
	sow(i + 1 < words->count ? words->word[i + 1] : NULL);
	rig->sampling = true;
	result = rig_wait(rig, soaked, &soak, UINT32_MAX);
	rig->sampling = false;
	rig->alarm_us = 0;
	tell(&soak);
	for (i = 0; i < soak.targets; i++)
		sample_close(&soak.target[i].state);
	return result == WAIT_TIMEOUT ? fail("it does not end") : result;
}
