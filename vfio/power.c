#include "vfio/power.h"

#include <errno.h>
#include <string.h>

#include "vmm/base/bits.h"

#define STAGES_MAX 3

/*
 * A phase walks through its stages; a stage does one action on each function that needs it, one
 * after the other. So every function is out of low power before the first one is touched otherwise.
 */
struct phase {
	enum power_cause cause;
	unsigned int stages;
	enum power_action_type stage[STAGES_MAX];
};

static const struct phase phases[] = {
	[POWER_GOING_OFF] = {POWER_CAUSE_GUEST, 1, {POWER_DO_ENTRY}},
	[POWER_GOING_ON] = {POWER_CAUSE_GUEST, 2, {POWER_DO_EXIT, POWER_DO_CHECK}},
	[POWER_RESETTING] = {POWER_CAUSE_RESET, 3, {POWER_DO_EXIT, POWER_DO_RESET, POWER_DO_CHECK}},
	[POWER_CHECKING] = {POWER_CAUSE_ERROR, 1, {POWER_DO_CHECK}},
	[POWER_ENDING] = {POWER_CAUSE_SHUTDOWN, 3, {POWER_DO_EXIT, POWER_DO_RESET, POWER_DO_CHECK}},
};

static struct power_action *add(struct power_actions *actions, enum power_action_type type,
				unsigned int fn)
{
	struct power_action *action = &actions->action[actions->count++];

	*action = (struct power_action) {.type = type, .function = (uint8_t)fn};
	return action;
}

static void report(struct power_actions *actions, unsigned int fn, enum power_state from,
		   enum power_state to, enum power_cause cause, int error)
{
	struct power_action *action = add(actions, POWER_DO_REPORT, fn);

	action->from = from;
	action->to = to;
	action->cause = cause;
	action->error = error;
}

static bool any_on(const struct power *power)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		if (power->fn[i].exists && power->fn[i].state == POWER_ON)
			return true;
	return false;
}

static void done(const struct power *power, struct power_actions *actions)
{
	add(actions, POWER_DO_DONE, 0)->on = power->slot_on && any_on(power);
}

/* Why the function cannot be engaged in the way it must be; 0: it can. */
static int refusal(const struct power_function *fn)
{
	if (!fn->can_enter)
		return fn->refuse_error ? fn->refuse_error : -ENOTTY;
	return fn->engaged_wakeup && !fn->can_enter_wakeup ? -ENOTTY : 0;
}

/* Does the function take part in the stage? */
static bool takes_part(const struct power *power, unsigned int i, enum power_action_type type)
{
	const struct power_function *fn = &power->fn[i];

	if (!fn->exists || (fn->state == POWER_LOST && power->phase == POWER_GOING_ON))
		return false;
	switch (type) {
	case POWER_DO_ENTRY:
		return fn->state == POWER_ON;
	case POWER_DO_EXIT:
		return fn->entry_tried;
	default:
		/* A failed EXIT may have left it engaged, so it is not touched (rule 1). */
		return !fn->failed;
	}
}

static void finish_off(struct power *power, struct power_actions *actions)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++) {
		struct power_function *fn = &power->fn[i];

		if (fn->exists && fn->state != POWER_LOST)
			report(actions, i, POWER_ON, fn->state, POWER_CAUSE_GUEST, fn->error);
	}
	power->slot_on = false;
	done(power, actions);
}

/* The end of a phase in which `fn` was to come back: ON or LOST, as its results say. At the very
 * end no guest is left to attach it for. */
static void settle(struct power_function *fn, unsigned int i, enum power_phase phase,
		   struct power_actions *actions)
{
	enum power_state from = fn->state;

	fn->state = fn->failed ? POWER_LOST : POWER_ON;
	fn->engaged_wakeup = false;
	if (fn->failed)
		add(actions, POWER_DO_GONE, i);
	else if (from != POWER_ON && phase != POWER_ENDING)
		add(actions, POWER_DO_ATTACH, i);
	if (from != fn->state || (!fn->failed && fn->error))
		report(actions, i, from, fn->state, phases[phase].cause, fn->error);
}

/* The next sleep has a wake of its own. */
static void forget_wake(struct power *power)
{
	power->wake_reported = false;
	power->resends = 0;
}

static void finish_on(struct power *power, struct power_actions *actions)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		if (power->fn[i].exists && power->fn[i].state != POWER_LOST)
			settle(&power->fn[i], i, POWER_GOING_ON, actions);
	power->slot_on = any_on(power);
	forget_wake(power);
	done(power, actions);
}

static void finish_reset(struct power *power, struct power_actions *actions)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		if (power->fn[i].exists)
			settle(&power->fn[i], i, POWER_RESETTING, actions);
	power->slot_on = true;
	forget_wake(power);
}

/* One function was checked; `failed` is clear on all others. */
static void finish_check(struct power *power, struct power_actions *actions)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		if (power->fn[i].exists && power->fn[i].state == POWER_ON && power->fn[i].failed)
			settle(&power->fn[i], i, POWER_CHECKING, actions);
}

static void finish_end(struct power *power, struct power_actions *actions)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		if (power->fn[i].exists)
			settle(&power->fn[i], i, POWER_ENDING, actions);
}

static void finish(struct power *power, struct power_actions *actions)
{
	static void (*const finishers[])(struct power *power, struct power_actions *actions) = {
		[POWER_GOING_OFF] = finish_off,
		[POWER_GOING_ON] = finish_on,
		[POWER_RESETTING] = finish_reset,
		[POWER_CHECKING] = finish_check,
		[POWER_ENDING] = finish_end,
	};

	finishers[power->phase](power, actions);
	if (power->phase != POWER_ENDING)
		power->phase = POWER_IDLE;
}

static void ask(struct power_function *fn, unsigned int i, enum power_action_type type,
		struct power_actions *actions)
{
	struct power_action *action = add(actions, type, i);

	if (type != POWER_DO_ENTRY)
		return;
	fn->entry_tried = true;
	action->with_wakeup = fn->engaged_wakeup;
}

/* Asks for the next result of the phase, or ends it. */
static void advance(struct power *power, struct power_actions *actions)
{
	const struct phase *phase = &phases[power->phase];
	unsigned int fn;

	while (!power->waiting && ++power->stage < phase->stages)
		for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
			if (takes_part(power, i, phase->stage[power->stage]))
				power->waiting |= (uint8_t)(1U << i);
	if (!power->waiting) {
		finish(power, actions);
		return;
	}
	fn = (unsigned int)__builtin_ctz(power->waiting);
	ask(&power->fn[fn], fn, phase->stage[power->stage], actions);
}

/* Enters a phase; `only` are the functions of its first stage, 0: all that take part. */
static void begin(struct power *power, enum power_phase phase, uint8_t only,
		  struct power_actions *actions)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++) {
		power->fn[i].failed = false;
		if (phase != POWER_GOING_OFF && power->fn[i].state != POWER_LOST)
			power->fn[i].error = 0;
	}
	power->phase = phase;
	power->waiting = only;
	power->stage = only ? 0 : UINT8_MAX; /* before the first */
	advance(power, actions);
}

static void go_off(struct power *power, struct power_actions *actions)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		if (power->fn[i].exists && power->fn[i].state == POWER_ON)
			add(actions, POWER_DO_DETACH, i);
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++) {
		struct power_function *fn = &power->fn[i];

		if (!fn->exists || fn->state != POWER_ON)
			continue;
		add(actions, POWER_DO_DRAIN, i);
		/* Decided once: the guest may write PME_En while the host works. */
		fn->engaged_wakeup = fn->needs_driver || fn->pme_enable;
		fn->error = refusal(fn);
		if (fn->error)
			fn->state = POWER_REFUSED;
	}
	begin(power, POWER_GOING_OFF, 0, actions);
}

static void wake(struct power *power, unsigned int i, struct power_actions *actions)
{
	struct power_function *fn = &power->fn[i];

	/* In any other state the signal is our own doing, or stale (rule 3). */
	if (!fn->exists || fn->state != POWER_ENGAGED || !fn->engaged_wakeup)
		return;
	fn->state = POWER_WOKEN;
	if (fn->pme_enable) {
		add(actions, POWER_DO_PME, i);
		add(actions, POWER_DO_TIMER, i);
	} else if (fn->needs_driver) {
		add(actions, POWER_DO_NOTIFY, i);
	}
	if (power->wake_reported)
		return;
	power->wake_reported = true;
	power->resends = POWER_RESENDS + 1;
	report(actions, i, POWER_ENGAGED, POWER_WOKEN, POWER_CAUSE_HOST, 0);
}

/* The guest has not reacted to a PME: send it again a few times, then try the other way once. */
static void resend(struct power *power, struct power_actions *actions)
{
	int last = -1;

	if (!power->resends)
		return;
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++) {
		const struct power_function *fn = &power->fn[i];

		if (!fn->exists || fn->state != POWER_WOKEN || !fn->pme_status || !fn->pme_enable)
			continue;
		if (power->resends > 1)
			add(actions, POWER_DO_PME, i);
		last = (int)i;
	}
	if (last < 0)
		return;
	power->resends--;
	add(actions, power->resends ? POWER_DO_TIMER : POWER_DO_NOTIFY, (unsigned int)last);
}

static void host_error(struct power *power, unsigned int i, struct power_actions *actions)
{
	if (power->fn[i].exists && power->fn[i].state == POWER_ON)
		begin(power, POWER_CHECKING, (uint8_t)(1U << i), actions);
}

static void request(struct power *power, const struct power_event *event,
		    struct power_actions *actions)
{
	switch (event->type) {
	case POWER_EV_OFF:
		if (power->slot_on)
			go_off(power, actions);
		else
			done(power, actions);
		break;
	case POWER_EV_ON:
		if (power->slot_on)
			done(power, actions);
		else
			begin(power, POWER_GOING_ON, 0, actions);
		break;
	case POWER_EV_WAKE:
		wake(power, event->function, actions);
		break;
	case POWER_EV_RESET:
		begin(power, POWER_RESETTING, 0, actions);
		break;
	case POWER_EV_SHUTDOWN:
		begin(power, POWER_ENDING, 0, actions);
		break;
	case POWER_EV_HOST_ERROR:
		host_error(power, event->function, actions);
		break;
	case POWER_EV_RESEND:
		resend(power, actions);
		break;
	default: /* a result that nobody awaits */
		break;
	}
}

static void take_result(struct power_function *fn, enum power_action_type stage, int error)
{
	switch (stage) {
	case POWER_DO_ENTRY:
		fn->state = error ? POWER_REFUSED : POWER_ENGAGED;
		fn->error = error;
		break;
	case POWER_DO_EXIT:
		fn->entry_tried = error != 0;
		fn->failed = error != 0;
		fn->error = error;
		break;
	case POWER_DO_CHECK:
		fn->failed = error != 0;
		if (error)
			fn->error = error;
		break;
	default: /* a reset that failed does not make the device lost: CHECK decides */
		fn->error = error;
		break;
	}
}

static void result(struct power *power, const struct power_event *event,
		   struct power_actions *actions)
{
	static const enum power_event_type answers[] = {
		[POWER_DO_ENTRY] = POWER_EV_ENTRY_DONE,
		[POWER_DO_EXIT] = POWER_EV_EXIT_DONE,
		[POWER_DO_CHECK] = POWER_EV_CHECK_DONE,
		[POWER_DO_RESET] = POWER_EV_RESET_DONE,
	};
	enum power_action_type stage = phases[power->phase].stage[power->stage];

	if (event->type != answers[stage] ||
	    event->function != (unsigned int)__builtin_ctz(power->waiting))
		return;
	take_result(&power->fn[event->function], stage, event->error);
	power->waiting &= (uint8_t)(power->waiting - 1);
	advance(power, actions);
}

void power_step(struct power *power, const struct power_event *event,
		struct power_actions *actions)
{
	actions->count = 0;
	if (event->function >= POWER_FUNCTIONS)
		return;
	if (power->waiting)
		result(power, event, actions);
	else if (power->phase == POWER_IDLE)
		request(power, event, actions);
}

void power_init(struct power *power)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++) {
		struct power_function *fn = &power->fn[i];

		*fn = (struct power_function) {
			.exists = fn->exists,
			.can_enter = fn->can_enter,
			.can_enter_wakeup = fn->can_enter_wakeup,
			.needs_driver = fn->needs_driver,
			.refuse_error = fn->refuse_error,
		};
	}
	power->slot_on = true;
	power->phase = POWER_IDLE;
	power->stage = 0;
	power->waiting = 0;
	power->resends = 0;
	power->wake_reported = false;
}

const char *power_state_name(enum power_state state)
{
	static const char *const names[] = {
		[POWER_ON] = "on",           [POWER_ENGAGED] = "engaged", [POWER_WOKEN] = "woken",
		[POWER_REFUSED] = "refused", [POWER_LOST] = "lost",
	};

	return (unsigned int)state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

const char *power_cause_name(enum power_cause cause)
{
	static const char *const names[] = {
		[POWER_CAUSE_GUEST] = "guest",       [POWER_CAUSE_HOST] = "host",
		[POWER_CAUSE_RESET] = "reset",       [POWER_CAUSE_SHUTDOWN] = "shutdown",
		[POWER_CAUSE_ERROR] = "error",
	};

	return (unsigned int)cause < ARRAY_SIZE(names) ? names[cause] : "unknown";
}
