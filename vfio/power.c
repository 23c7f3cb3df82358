#include "vfio/power.h"

#include <errno.h>
#include <string.h>

#include "vfio/power_internal.h"
#include "vmm/base/bits.h"

/* --- actions --- */

struct power_action *power_add(struct power_actions *actions, enum power_action_type type,
			       unsigned int fn)
{
	struct power_action *action = &actions->action[actions->count++];

	*action = (struct power_action) {.type = type, .function = (uint8_t)fn};
	return action;
}

struct power_action *power_report(struct power_actions *actions, unsigned int fn,
				  enum power_state from, enum power_state to,
				  enum power_cause cause, int error)
{
	struct power_action *action = power_add(actions, POWER_DO_REPORT, fn);

	action->from = from;
	action->to = to;
	action->cause = cause;
	action->error = error;
	return action;
}

/* --- what begins a phase, and what does not --- */

/* Why the function cannot be engaged in the way it must be; 0: it can. */
static int refusal(const struct power_function *fn)
{
	if (!fn->can_enter)
		return fn->refuse_error ? fn->refuse_error : -ENOTTY;
	if (fn->engaged_wakeup && !fn->can_enter_wakeup)
		return -ENOTTY;
	return fn->hold;
}

static bool wants_wakeup(const struct power_function *fn)
{
	switch (fn->reentry) {
	case POWER_REENTRY_GUEST:
		return true;
	case POWER_REENTRY_HOST:
		return false;
	default:
		return fn->pme_enable;
	}
}

/* Does function `i` take part in the sleep that begins? */
static bool may_sleep(const struct power *power, unsigned int i)
{
	return power->fn[i].exists && power->fn[i].state != POWER_LOST;
}

/* How the slot is to sleep, or that it cannot: then all are refused. A function whose error is 0
 * is to be entered. */
static void decide_sleep(struct power *power, struct power_actions *actions)
{
	bool refused = false, only_held = true;

	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++) {
		struct power_function *fn = &power->fn[i];

		if (!may_sleep(power, i))
			continue;
		power_add(actions, POWER_DO_DRAIN, i);
		/* Decided once: the guest may write PME_En while the host works. */
		fn->engaged_wakeup = wants_wakeup(fn);
		fn->error = refusal(fn);
		refused |= fn->error != 0;
		only_held &= fn->error == -EAGAIN;
	}
	power->only_held = refused && only_held;
	for (unsigned int i = 0; i < POWER_FUNCTIONS && refused; i++) {
		struct power_function *fn = &power->fn[i];

		if (!may_sleep(power, i))
			continue;
		fn->state = POWER_REFUSED;
		if (!fn->error)
			fn->error = -ECANCELED;
	}
}

static void go_off(struct power *power, struct power_actions *actions)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		if (may_sleep(power, i))
			power_add(actions, POWER_DO_DETACH, i);
	decide_sleep(power, actions);
	power_begin(power, POWER_GOING_OFF, 0, actions);
}

/* Where a device was tried since the guest's _OFF, the guest's driver has not prepared it for
 * another sleep. */
static void retry(struct power *power, struct power_actions *actions)
{
	if (!power->only_held)
		return;
	decide_sleep(power, actions);
	power_begin(power, POWER_RETRYING, 0, actions);
}

static void wake(struct power *power, const struct power_event *event,
		 struct power_actions *actions)
{
	unsigned int i = event->function;
	struct power_function *fn = &power->fn[i];

	/* In any other state the signal is our own doing, or stale (rule 3). */
	if (!fn->exists || fn->state != POWER_ENGAGED || !fn->engaged_wakeup)
		return;
	fn->state = POWER_WOKEN;
	if (fn->pme_enable) {
		power_add(actions, POWER_DO_PME, i);
		power_add(actions, POWER_DO_TIMER, i);
		power->resends = POWER_RESENDS + 1;
	} else if (fn->reentry == POWER_REENTRY_GUEST) {
		power_add(actions, POWER_DO_NOTIFY, i);
	}
	if (power->wake_reported)
		return;
	power->wake_reported = true;
	power_report(actions, i, POWER_ENGAGED, POWER_WOKEN, event->cause, 0);
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
			power_add(actions, POWER_DO_PME, i);
		last = (int)i;
	}
	if (last < 0)
		return;
	power->resends--;
	power_add(actions, power->resends ? POWER_DO_TIMER : POWER_DO_NOTIFY, (unsigned int)last);
}

static void host_error(struct power *power, unsigned int i, struct power_actions *actions)
{
	if (power->fn[i].exists && power->fn[i].state == POWER_ON)
		power_begin(power, POWER_CHECKING, (uint8_t)(1U << i), actions);
}

static void switch_slot(struct power *power, bool on, struct power_actions *actions)
{
	if (power->slot_on == on)
		power_done(power, actions);
	else if (on)
		power_begin(power, POWER_GOING_ON, 0, actions);
	else
		go_off(power, actions);
}

static void request(struct power *power, const struct power_event *event,
		    struct power_actions *actions)
{
	switch (event->type) {
	case POWER_EV_OFF:
	case POWER_EV_ON:
		switch_slot(power, event->type == POWER_EV_ON, actions);
		break;
	case POWER_EV_WAKE:
		wake(power, event, actions);
		break;
	case POWER_EV_RESET:
		power_begin(power, POWER_RESETTING, 0, actions);
		break;
	case POWER_EV_SHUTDOWN:
		power_begin(power, POWER_ENDING, 0, actions);
		break;
	case POWER_EV_REMOVE:
		power_begin(power, POWER_REMOVING, 0, actions);
		break;
	case POWER_EV_HOST_ERROR:
		host_error(power, event->function, actions);
		break;
	case POWER_EV_RESEND:
		resend(power, actions);
		break;
	case POWER_EV_RETRY:
		retry(power, actions);
		break;
	default: /* a result that nobody awaits */
		break;
	}
}

/* --- results --- */

static void take_entry(struct power *power, unsigned int i, int error)
{
	power->fn[i].state = error ? POWER_REFUSED : POWER_ENGAGED;
	power->fn[i].error = error;
	if (error) /* the others need not try */
		power->waiting = 0;
}

static void take_exit(struct power *power, unsigned int i, int error)
{
	struct power_function *fn = &power->fn[i];

	fn->entry_tried = error != 0;
	if (power_phase_enters(power->phase)) {
		/* the roll back; of the one that refused that is what counts */
		if (!fn->error)
			fn->error = error;
		return;
	}
	fn->failed = error != 0;
	fn->error = error;
}

static void take_check(struct power *power, unsigned int i, int error,
		       struct power_actions *actions)
{
	struct power_function *fn = &power->fn[i];

	fn->failed = error != 0;
	power->recheck &= (uint8_t)~(1U << i);
	if (error) {
		fn->error = error;
		fn->tried |= power_resets_before_check(power, i);
	} else if (fn->tried && !fn->fell) {
		fn->error = 0;
	}
	if (!error || power->phase != POWER_CHECKING || fn->fell)
		return;
	/* The guest is told before anything is tried: that may take long. */
	fn->fell = true;
	power_add(actions, POWER_DO_GONE, i);
}

static void take_result(struct power *power, unsigned int i, enum power_action_type stage,
			int error, struct power_actions *actions)
{
	switch (stage) {
	case POWER_DO_ENTRY:
		take_entry(power, i, error);
		break;
	case POWER_DO_EXIT:
		take_exit(power, i, error);
		break;
	case POWER_DO_CHECK:
		take_check(power, i, error, actions);
		break;
	case POWER_DO_RESET: /* one that failed does not make the device lost: CHECK decides */
		power->fn[i].error = error ? error : power_reset_missed(power, i);
		break;
	case POWER_DO_SLOT_RESET: /* likewise; of the ladder's, only CHECK counts */
		if (!power->fn[i].failed)
			power->fn[i].error = error;
		break;
	default:
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
		[POWER_DO_RECOVER] = POWER_EV_RECOVER_DONE,
		[POWER_DO_SLOT_RESET] = POWER_EV_SLOT_RESET_DONE,
	};
	enum power_action_type stage = power_awaited(power);

	if (event->type != answers[stage] ||
	    event->function != (unsigned int)__builtin_ctz(power->waiting))
		return;
	power->waiting &= (uint8_t)(power->waiting - 1);
	take_result(power, event->function, stage, event->error, actions);
	power_advance(power, actions);
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
	struct power fixed = *power;

	*power = (struct power) {
		.reset = fixed.reset, .can_slot_reset = fixed.can_slot_reset, .slot_on = true,
	};
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++) {
		const struct power_function *fn = &fixed.fn[i];

		power->fn[i] = (struct power_function) {
			.exists = fn->exists,
			.can_enter = fn->can_enter,
			.can_enter_wakeup = fn->can_enter_wakeup,
			.can_recover = fn->can_recover,
			.reentry = fn->reentry,
			.refuse_error = fn->refuse_error,
		};
	}
}

const char *power_state_name(enum power_state state)
{
	static const char *const names[] = {
		[POWER_ON] = "on",           [POWER_ENGAGED] = "engaged", [POWER_WOKEN] = "woken",
		[POWER_REFUSED] = "refused", [POWER_LOST] = "lost",
		[POWER_RELEASED] = "released",
	};

	return (unsigned int)state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

const char *power_cause_name(enum power_cause cause)
{
	static const char *const names[POWER_CAUSES] = {
		[POWER_CAUSE_GUEST] = "guest",     [POWER_CAUSE_HOST] = "host",
		[POWER_CAUSE_PME] = "pme",         [POWER_CAUSE_UNKNOWN] = "unknown",
		[POWER_CAUSE_OWN] = "own",         [POWER_CAUSE_RESET] = "reset",
		[POWER_CAUSE_SHUTDOWN] = "shutdown", [POWER_CAUSE_ERROR] = "error",
		[POWER_CAUSE_UNPLUG] = "unplug",   [POWER_CAUSE_GOVERNOR] = "governor",
	};

	return (unsigned int)cause < ARRAY_SIZE(names) ? names[cause] : "unknown";
}
