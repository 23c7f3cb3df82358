#include <errno.h>
#include <stddef.h>

#include "vfio/power_internal.h"

#define STAGES_MAX 8

/* Does function `i` take part in a stage that is about to begin? */
typedef bool (*stage_filter)(const struct power *power, unsigned int i);

/*
 * A phase walks through its stages; a stage does one action on each function that needs it, one
 * after the other. So every function is out of low power before the first one is touched otherwise.
 */
struct phase {
	enum power_cause cause;
	bool is_reset; /* lost functions are tried again */
	unsigned int stages;
	struct {
		enum power_action_type action;
		stage_filter takes_part;
	} stage[STAGES_MAX];
};

/* --- who takes part --- */

/* Surely no function is engaged on the host. */
static bool all_exited(const struct power *power)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		if (power->fn[i].exists && power->fn[i].entry_tried)
			return false;
	return true;
}

static bool any_refused(const struct power *power)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		if (power->fn[i].exists && power->fn[i].state == POWER_REFUSED)
			return true;
	return false;
}

/* One that was held is REFUSED until the host has accepted its entry. */
static bool to_enter(const struct power *power, unsigned int i)
{
	return !power->fn[i].error;
}

/* A slot sleeps as a whole or not at all. */
static bool to_roll_back(const struct power *power, unsigned int i)
{
	return any_refused(power) && power->fn[i].entry_tried;
}

static bool to_exit(const struct power *power, unsigned int i)
{
	return power->fn[i].entry_tried;
}

/* A failed EXIT may have left it engaged, so it is not touched (rule 1). */
static bool to_touch(const struct power *power, unsigned int i)
{
	return !power->fn[i].failed;
}

static bool to_recover(const struct power *power, unsigned int i)
{
	const struct power_function *fn = &power->fn[i];

	return fn->failed && !fn->entry_tried && fn->can_recover &&
	       !(fn->tried & POWER_TRIED_RESET);
}

/* All that was reset since: a hot reset may have broken those that worked. */
static bool to_check_again(const struct power *power, unsigned int i)
{
	return power->recheck >> i & 1;
}

/* Once, for the slot; the lowest function that failed stands for it. Functions that work are reset
 * with it only while the guest does not use them. */
static bool to_recover_slot(const struct power *power, unsigned int i)
{
	if (!power->can_slot_reset || power->slot_was_reset || !all_exited(power))
		return false;
	for (unsigned int k = 0; k < POWER_FUNCTIONS; k++) {
		const struct power_function *fn = &power->fn[k];

		if (!fn->exists)
			continue;
		if (fn->failed && k < i)
			return false;
		if (!fn->failed && fn->state == POWER_ON && power->phase == POWER_CHECKING)
			return false;
	}
	return power->fn[i].failed;
}

/* The reset that the policy wants in place of each function's own. */
static bool to_reset_slot(const struct power *power, unsigned int i)
{
	if (power->reset != POWER_RESET_SLOT || !all_exited(power))
		return false;
	for (unsigned int k = 0; k < i; k++)
		if (power->fn[k].exists)
			return false;
	return true;
}

/* What is tried with a function that does not answer, the smaller step first. */
#define LADDER                                                                                   \
	{POWER_DO_RECOVER, to_recover}, {POWER_DO_CHECK, to_check_again},                        \
	{POWER_DO_SLOT_RESET, to_recover_slot}, {POWER_DO_CHECK, to_check_again}

#define ENTRY_STAGES                                                                             \
	false, 2, {{POWER_DO_ENTRY, to_enter}, {POWER_DO_EXIT, to_roll_back}}

#define RESET_STAGES                                                                             \
	true, 8, {                                                                               \
		{POWER_DO_EXIT, to_exit}, {POWER_DO_RESET, to_touch},                            \
		{POWER_DO_SLOT_RESET, to_reset_slot}, {POWER_DO_CHECK, to_touch}, LADDER         \
	}

static const struct phase phases[] = {
	[POWER_GOING_OFF] = {POWER_CAUSE_GUEST, ENTRY_STAGES},
	[POWER_RETRYING] = {POWER_CAUSE_GOVERNOR, ENTRY_STAGES},
	[POWER_GOING_ON] = {POWER_CAUSE_GUEST, false, 6, {
		{POWER_DO_EXIT, to_exit}, {POWER_DO_CHECK, to_touch}, LADDER
	}},
	[POWER_RESETTING] = {POWER_CAUSE_RESET, RESET_STAGES},
	/* begins with the check of one function, whatever the others do */
	[POWER_CHECKING] = {POWER_CAUSE_ERROR, false, 5, {
		{POWER_DO_CHECK, NULL}, LADDER
	}},
	[POWER_ENDING] = {POWER_CAUSE_SHUTDOWN, RESET_STAGES},
	[POWER_REMOVING] = {POWER_CAUSE_UNPLUG, RESET_STAGES},
};

/* A lost function is left alone until a reset. */
static bool may_take_part(const struct power *power, unsigned int i)
{
	const struct power_function *fn = &power->fn[i];

	return fn->exists && (fn->state != POWER_LOST || phases[power->phase].is_reset);
}

static bool takes_part(const struct power *power, unsigned int i, stage_filter filter)
{
	return may_take_part(power, i) && filter && filter(power, i);
}

/* Is the device of function `i` reset by itself in a phase of resets? */
static bool resets_function(const struct power *power, unsigned int i)
{
	switch (power->reset) {
	case POWER_RESET_FUNCTION:
		return true;
	case POWER_RESET_SLOT: /* barred while one may be engaged: the next best */
		return !all_exited(power) && power->fn[i].can_recover;
	default:
		return false;
	}
}

uint8_t power_resets_before_check(const struct power *power, unsigned int i)
{
	uint8_t tried = power->slot_was_reset ? POWER_TRIED_SLOT_RESET : 0;

	if (phases[power->phase].is_reset && power->fn[i].can_recover &&
	    resets_function(power, i))
		tried |= POWER_TRIED_RESET;
	return tried;
}

int power_reset_missed(const struct power *power, unsigned int i)
{
	if (power->reset != POWER_RESET_SLOT || all_exited(power))
		return 0;
	return resets_function(power, i) ? 0 : -EBUSY;
}

enum power_action_type power_awaited(const struct power *power)
{
	return phases[power->phase].stage[power->stage].action;
}

/* --- the ends of phases --- */

static bool any_on(const struct power *power)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		if (power->fn[i].exists && power->fn[i].state == POWER_ON)
			return true;
	return false;
}

void power_done(const struct power *power, struct power_actions *actions)
{
	power_add(actions, POWER_DO_DONE, 0)->on = power->slot_on && any_on(power);
}

/* A retry that finds the hold still there is no news. */
static void finish_entry(struct power *power, struct power_actions *actions)
{
	bool refused = any_refused(power), again = power->phase == POWER_RETRYING;

	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++) {
		struct power_function *fn = &power->fn[i];

		if (!may_take_part(power, i))
			continue;
		if (refused) {
			fn->state = POWER_REFUSED;
			/* its way back may have failed: that is said then */
			if (!fn->error)
				fn->error = -ECANCELED;
		}
		if (!again || fn->error != -EAGAIN)
			power_report(actions, i, again ? POWER_REFUSED : POWER_ON, fn->state,
				     phases[power->phase].cause, fn->error);
	}
}

static void finish_off(struct power *power, struct power_actions *actions)
{
	finish_entry(power, actions);
	power->slot_on = false;
	power_done(power, actions);
}

/* Function `i` is now in its new state. */
static void report_end(const struct power *power, unsigned int i, enum power_state from,
		       struct power_actions *actions)
{
	const struct power_function *fn = &power->fn[i];
	struct power_action *told = power_report(actions, i, from, fn->state,
						 phases[power->phase].cause, fn->error);

	told->tried = fn->tried;
	told->recovered = fn->tried && !fn->failed;
}

/* The end of a phase in which `fn` was to come back: ON or LOST, as its results say. Of one that
 * the guest lost in the middle of its work the guest is told, even if it works again: what the
 * guest knows of it is gone. */
static void settle(struct power *power, unsigned int i, struct power_actions *actions)
{
	struct power_function *fn = &power->fn[i];
	enum power_state from = fn->state;
	bool over = power->phase == POWER_ENDING;

	fn->state = fn->failed || fn->fell ? POWER_LOST : POWER_ON;
	fn->engaged_wakeup = false;
	if (fn->failed && !fn->fell)
		power_add(actions, POWER_DO_GONE, i);
	else if (fn->state == POWER_ON && from != POWER_ON && !over)
		power_add(actions, POWER_DO_ATTACH, i);
	if (from == fn->state && !fn->tried && (fn->failed || !fn->error))
		return;
	report_end(power, i, from, actions);
}

static void settle_all(struct power *power, struct power_actions *actions)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		if (may_take_part(power, i))
			settle(power, i, actions);
}

/* The next sleep has a wake of its own. */
static void forget_wake(struct power *power)
{
	power->wake_reported = false;
	power->resends = 0;
}

static void finish_on(struct power *power, struct power_actions *actions)
{
	settle_all(power, actions);
	power->slot_on = any_on(power);
	forget_wake(power);
	power_done(power, actions);
}

static void finish_reset(struct power *power, struct power_actions *actions)
{
	settle_all(power, actions);
	power->slot_on = true;
	forget_wake(power);
}

/* One function was checked; `fell` is clear on all others. */
static void finish_check(struct power *power, struct power_actions *actions)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		if (power->fn[i].exists && power->fn[i].fell)
			settle(power, i, actions);
}

/* One that failed is closed without being touched, so it is gone before that. */
static void finish_remove(struct power *power, struct power_actions *actions)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++) {
		struct power_function *fn = &power->fn[i];
		enum power_state from = fn->state;

		if (!fn->exists)
			continue;
		if (fn->failed)
			power_add(actions, POWER_DO_GONE, i);
		power_add(actions, POWER_DO_RELEASE, i);
		fn->state = POWER_RELEASED;
		fn->exists = false;
		report_end(power, i, from, actions);
	}
	power->slot_on = false;
	forget_wake(power);
}

static void finish(struct power *power, struct power_actions *actions)
{
	static void (*const finishers[])(struct power *power, struct power_actions *actions) = {
		[POWER_GOING_OFF] = finish_off,
		[POWER_GOING_ON] = finish_on,
		[POWER_RESETTING] = finish_reset,
		[POWER_CHECKING] = finish_check,
		[POWER_ENDING] = settle_all,
		[POWER_REMOVING] = finish_remove,
		[POWER_RETRYING] = finish_entry,
	};

	finishers[power->phase](power, actions);
	if (power->phase != POWER_ENDING)
		power->phase = POWER_IDLE;
}

/* --- through a phase --- */

static void ask(struct power *power, unsigned int i, enum power_action_type type,
		struct power_actions *actions)
{
	struct power_function *fn = &power->fn[i];
	struct power_action *action = power_add(actions, type, i);

	switch (type) {
	case POWER_DO_ENTRY:
		fn->entry_tried = true;
		action->with_wakeup = fn->engaged_wakeup;
		break;
	case POWER_DO_RESET:
		action->device = resets_function(power, i);
		break;
	case POWER_DO_RECOVER:
		fn->tried |= POWER_TRIED_RESET;
		power->recheck |= (uint8_t)(1U << i);
		break;
	case POWER_DO_SLOT_RESET:
		power->slot_was_reset = true;
		power->recheck = UINT8_MAX;
		for (unsigned int k = 0; k < POWER_FUNCTIONS; k++)
			if (power->fn[k].failed)
				power->fn[k].tried |= POWER_TRIED_SLOT_RESET;
		break;
	default:
		break;
	}
}

void power_advance(struct power *power, struct power_actions *actions)
{
	const struct phase *phase = &phases[power->phase];
	unsigned int fn;

	while (!power->waiting && ++power->stage < phase->stages)
		for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
			if (takes_part(power, i, phase->stage[power->stage].takes_part))
				power->waiting |= (uint8_t)(1U << i);
	if (!power->waiting) {
		finish(power, actions);
		return;
	}
	fn = (unsigned int)__builtin_ctz(power->waiting);
	ask(power, fn, phase->stage[power->stage].action, actions);
}

void power_begin(struct power *power, enum power_phase phase, uint8_t only,
		 struct power_actions *actions)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++) {
		power->fn[i].failed = false;
		power->fn[i].fell = false;
		power->fn[i].tried = 0;
		if (!power_phase_enters(phase) && power->fn[i].state != POWER_LOST)
			power->fn[i].error = 0;
	}
	if (!power_phase_enters(phase))
		power->only_held = false;
	power->slot_was_reset = false;
	power->recheck = 0;
	power->phase = phase;
	power->waiting = only;
	power->stage = only ? 0 : UINT8_MAX; /* before the first */
	power_advance(power, actions);
}

