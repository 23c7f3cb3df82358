/*
 * Mutants: power state machines with one thing wrong. The exploration (tests/fake_power.h) must say
 * of each which rule it breaks.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/fake_power.h"
#include "vfio/power.h"
#include "vmm/base/bits.h"

static void drop(struct power_actions *actions, enum power_action_type type)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < actions->count; i++)
		if (actions->action[i].type != type)
			actions->action[kept++] = actions->action[i];
	actions->count = kept;
}

static void append(struct power_actions *actions, enum power_action_type type, unsigned int fn)
{
	actions->action[actions->count++] = (struct power_action) {
		.type = type, .function = (uint8_t)fn,
	};
}

/* Instead of doing the action, pretends that it was done well. */
static void pretend(struct power *power, struct power_actions *actions,
		    enum power_action_type type, enum power_event_type answer)
{
	while (actions->count && actions->action[actions->count - 1].type == type) {
		struct power_event event = {
			.type = answer,
			.function = actions->action[actions->count - 1].function,
		};
		struct power_actions more;

		actions->count--;
		power_step(power, &event, &more);
		memcpy(&actions->action[actions->count], more.action,
		       more.count * sizeof(more.action[0]));
		actions->count += more.count;
	}
}

#define MUTANT(name)                                                                  \
	static void name(struct power *power, const struct power_event *event,       \
			 struct power_actions *actions)

MUTANT(never_detaches)
{
	power_step(power, event, actions);
	drop(actions, POWER_DO_DETACH);
}

MUTANT(detaches_late)
{
	power_step(power, event, actions);
	if (event->type != POWER_EV_ENTRY_DONE)
		drop(actions, POWER_DO_DETACH);
	else
		append(actions, POWER_DO_DETACH, event->function);
}

MUTANT(never_drains)
{
	power_step(power, event, actions);
	drop(actions, POWER_DO_DRAIN);
}

MUTANT(enters_plain)
{
	power_step(power, event, actions);
	for (unsigned int i = 0; i < actions->count; i++)
		actions->action[i].with_wakeup = false;
}

MUTANT(enters_again_after_a_wake)
{
	power_step(power, event, actions);
	if (event->type == POWER_EV_WAKE && actions->count)
		append(actions, POWER_DO_ENTRY, event->function);
}

MUTANT(skips_exit_when_woken)
{
	power_step(power, event, actions);
	if (actions->count &&
	    power->fn[actions->action[actions->count - 1].function].state == POWER_WOKEN)
		pretend(power, actions, POWER_DO_EXIT, POWER_EV_EXIT_DONE);
}

MUTANT(resets_while_engaged)
{
	power_step(power, event, actions);
	if (event->type == POWER_EV_RESET)
		pretend(power, actions, POWER_DO_EXIT, POWER_EV_EXIT_DONE);
}

MUTANT(never_checks)
{
	power_step(power, event, actions);
	pretend(power, actions, POWER_DO_CHECK, POWER_EV_CHECK_DONE);
}

MUTANT(believes_every_check)
{
	struct power_event good = *event;

	if (good.type == POWER_EV_CHECK_DONE)
		good.error = 0;
	power_step(power, &good, actions);
}

MUTANT(takes_its_own_exit_for_a_wake)
{
	power_step(power, event, actions);
	if (event->type != POWER_EV_EXIT_DONE)
		return;
	memmove(&actions->action[1], &actions->action[0],
		actions->count * sizeof(actions->action[0]));
	actions->count++;
	actions->action[0] =
		(struct power_action){.type = POWER_DO_PME, .function = event->function};
}

MUTANT(pme_in_any_state)
{
	power_step(power, event, actions);
	if (event->type == POWER_EV_WAKE && !actions->count &&
	    power->fn[event->function].pme_enable)
		append(actions, POWER_DO_PME, event->function);
}

MUTANT(loses_the_pme)
{
	power_step(power, event, actions);
	drop(actions, POWER_DO_PME);
}

MUTANT(loses_the_wake_of_a_sibling)
{
	if (event->type == POWER_EV_WAKE && power->wake_reported) {
		actions->count = 0;
		return;
	}
	power_step(power, event, actions);
}

MUTANT(never_notifies)
{
	power_step(power, event, actions);
	drop(actions, POWER_DO_NOTIFY);
}

MUTANT(resends_for_ever)
{
	if (event->type == POWER_EV_RESEND && power->resends)
		power->resends = POWER_RESENDS;
	power_step(power, event, actions);
}

MUTANT(reports_every_wake)
{
	if (event->type == POWER_EV_WAKE && power->fn[event->function].state == POWER_ENGAGED)
		power->wake_reported = false;
	power_step(power, event, actions);
}

MUTANT(never_answers_on)
{
	power_step(power, event, actions);
	if (actions->count && actions->action[actions->count - 1].on)
		actions->count--;
}

MUTANT(answers_twice)
{
	power_step(power, event, actions);
	if (actions->count && actions->action[actions->count - 1].type == POWER_DO_DONE)
		append(actions, POWER_DO_DONE, 0);
}

MUTANT(always_says_on)
{
	power_step(power, event, actions);
	for (unsigned int i = 0; i < actions->count; i++)
		actions->action[i].on = true;
}

MUTANT(attaches_the_lost)
{
	power_step(power, event, actions);
	if (event->type == POWER_EV_OFF && power->fn[0].state == POWER_LOST) {
		actions->count = 0;
		append(actions, POWER_DO_DETACH, 0);
	}
}

MUTANT(ends_without_reset)
{
	power_step(power, event, actions);
	if (power->phase == POWER_ENDING)
		pretend(power, actions, POWER_DO_RESET, POWER_EV_RESET_DONE);
}

MUTANT(stays_refused)
{
	bool was_refused = power->fn[0].state == POWER_REFUSED;

	power_step(power, event, actions);
	if (was_refused && power->fn[0].state == POWER_ON)
		power->fn[0].state = POWER_REFUSED;
	drop(actions, POWER_DO_REPORT);
}

MUTANT(enters_although_held)
{
	for (unsigned int i = 0; i < FUNCTIONS_MAX; i++)
		power->fn[i].hold = 0;
	power_step(power, event, actions);
}

static bool all_refused(const struct power *power, int error)
{
	for (unsigned int i = 0; i < FUNCTIONS_MAX; i++) {
		const struct power_function *fn = &power->fn[i];

		if (fn->exists && fn->state != POWER_LOST &&
		    (fn->state != POWER_REFUSED || fn->entry_tried ||
		     (error && fn->error != error)))
			return false;
	}
	return !power->slot_on;
}

MUTANT(retries_every_refusal)
{
	if (event->type == POWER_EV_RETRY && power->phase == POWER_IDLE)
		power->only_held = all_refused(power, 0);
	power_step(power, event, actions);
}

MUTANT(tells_a_hold_by_its_errno)
{
	if (event->type == POWER_EV_RETRY && power->phase == POWER_IDLE)
		power->only_held = all_refused(power, -EAGAIN);
	power_step(power, event, actions);
}

MUTANT(never_retries)
{
	actions->count = 0;
	if (event->type != POWER_EV_RETRY)
		power_step(power, event, actions);
}

MUTANT(answers_a_retry)
{
	bool retrying = event->type == POWER_EV_RETRY || power->phase == POWER_RETRYING;

	power_step(power, event, actions);
	if (retrying && actions->count && power->phase == POWER_IDLE)
		append(actions, POWER_DO_DONE, 0);
}

MUTANT(detaches_for_a_retry)
{
	power_step(power, event, actions);
	if (event->type == POWER_EV_RETRY && power->phase == POWER_IDLE && actions->count)
		append(actions, POWER_DO_DETACH, actions->action[0].function);
}

MUTANT(retries_in_the_name_of_the_guest)
{
	power_step(power, event, actions);
	for (unsigned int i = 0; i < actions->count; i++)
		if (actions->action[i].cause == POWER_CAUSE_GOVERNOR)
			actions->action[i].cause = POWER_CAUSE_GUEST;
}

MUTANT(says_each_hold)
{
	power_step(power, event, actions);
	if (event->type == POWER_EV_RETRY && actions->count && power->only_held)
		actions->action[actions->count++] = (struct power_action) {
			.type = POWER_DO_REPORT, .function = actions->action[0].function,
			.from = POWER_REFUSED, .to = POWER_REFUSED,
			.cause = POWER_CAUSE_GOVERNOR, .error = -EAGAIN,
		};
}

MUTANT(hides_a_new_refusal)
{
	bool retrying = power->phase == POWER_RETRYING;

	power_step(power, event, actions);
	if (retrying && power->phase == POWER_IDLE && power->fn[0].state == POWER_REFUSED)
		drop(actions, POWER_DO_REPORT);
}

MUTANT(never_enters)
{
	for (unsigned int i = 0; i < FUNCTIONS_MAX; i++)
		power->fn[i].hold = -EAGAIN;
	power_step(power, event, actions);
}

MUTANT(never_rolls_back)
{
	power_step(power, event, actions);
	if (power->phase == POWER_GOING_OFF)
		pretend(power, actions, POWER_DO_EXIT, POWER_EV_EXIT_DONE);
}

MUTANT(goes_on_after_a_refusal)
{
	struct power_event good = *event;

	if (good.type == POWER_EV_ENTRY_DONE && !good.function)
		good.error = 0;
	power_step(power, &good, actions);
}

MUTANT(takes_a_failed_exit_for_done)
{
	struct power_event good = *event;

	if (good.type == POWER_EV_EXIT_DONE)
		good.error = 0;
	power_step(power, &good, actions);
}

MUTANT(answers_on_at_once)
{
	if (event->type != POWER_EV_ON || power->slot_on) {
		power_step(power, event, actions);
		return;
	}
	actions->count = 0;
	append(actions, POWER_DO_DONE, 0);
}

MUTANT(tells_the_guest_late)
{
	power_step(power, event, actions);
	if (power->phase == POWER_CHECKING && power->waiting)
		drop(actions, POWER_DO_GONE);
}

/* Events after which the machine is compared with what it was. */
static bool may_be_void(const struct power_event *event)
{
	return event->type == POWER_EV_WAKE || event->type == POWER_EV_RETRY;
}

MUTANT(never_recovers)
{
	for (unsigned int i = 0; i < FUNCTIONS_MAX && !may_be_void(event); i++)
		power->fn[i].can_recover = false;
	power_step(power, event, actions);
}

MUTANT(never_resets_the_slot)
{
	if (!may_be_void(event))
		power->can_slot_reset = false;
	power_step(power, event, actions);
}

/* As if nobody used the sibling. */
MUTANT(resets_the_slot_under_a_sibling)
{
	enum power_state real = power->fn[1].state;

	if (power->phase != POWER_CHECKING || event->function) {
		power_step(power, event, actions);
		return;
	}
	power->fn[1].state = POWER_LOST;
	power_step(power, event, actions);
	power->fn[1].state = real;
}

MUTANT(brings_back_the_lost)
{
	bool checking = power->phase == POWER_CHECKING;

	power_step(power, event, actions);
	if (!checking || !actions->count || !actions->action[actions->count - 1].recovered)
		return;
	power->fn[event->function].state = POWER_ON;
	drop(actions, POWER_DO_REPORT);
}

/* Takes the step that was asked for as taken. */
MUTANT(only_says_that_it_recovers)
{
	power_step(power, event, actions);
	pretend(power, actions, POWER_DO_RECOVER, POWER_EV_RECOVER_DONE);
}

MUTANT(boasts_of_a_recovery)
{
	power_step(power, event, actions);
	for (unsigned int i = 0; i < actions->count; i++)
		actions->action[i].recovered = actions->action[i].to == POWER_LOST;
}

MUTANT(hides_what_was_tried)
{
	power_step(power, event, actions);
	for (unsigned int i = 0; i < actions->count; i++)
		actions->action[i].tried = 0;
}

MUTANT(blames_the_host)
{
	power_step(power, event, actions);
	for (unsigned int i = 0; i < actions->count; i++)
		if (actions->action[i].to == POWER_WOKEN)
			actions->action[i].cause = POWER_CAUSE_HOST;
}

MUTANT(resets_the_view_alone)
{
	power_step(power, event, actions);
	for (unsigned int i = 0; i < actions->count; i++)
		actions->action[i].device = false;
}

MUTANT(keeps_a_removed_function)
{
	bool removing = event->type == POWER_EV_REMOVE || power->phase == POWER_REMOVING;

	power_step(power, event, actions);
	if (removing && power->phase == POWER_IDLE)
		power->fn[1].exists = true;
}

MUTANT(never_releases)
{
	power_step(power, event, actions);
	drop(actions, POWER_DO_RELEASE);
}

/* Hopes for a better answer. */
MUTANT(checks_for_ever)
{
	if (event->type != POWER_EV_CHECK_DONE || !event->error ||
	    power->phase != POWER_GOING_ON) {
		power_step(power, event, actions);
		return;
	}
	actions->count = 0;
	append(actions, POWER_DO_CHECK, event->function);
}

static void test_power_mutants_are_caught(void **state)
{
	static const struct {
		const char *name;
		power_step_fn step;
		enum rule rule;
	} mutants[] = {
		{"never detaches", never_detaches, RULE_DETACH},
		{"detaches late", detaches_late, RULE_DETACH},
		{"never drains", never_drains, RULE_DRAIN},
		{"enters plain", enters_plain, RULE_ENTRY},
		{"enters again after a wake", enters_again_after_a_wake, RULE_TOUCH},
		{"skips EXIT when woken", skips_exit_when_woken, RULE_TOUCH},
		{"resets while engaged", resets_while_engaged, RULE_TOUCH},
		{"never checks", never_checks, RULE_ATTACH},
		{"believes every check", believes_every_check, RULE_STAYS_LOST},
		{"takes its own EXIT for a wake", takes_its_own_exit_for_a_wake, RULE_FALSE_PME},
		{"PME in any state", pme_in_any_state, RULE_FALSE_PME},
		{"loses the PME", loses_the_pme, RULE_LOST_WAKE},
		{"loses the wake of a sibling", loses_the_wake_of_a_sibling, RULE_LOST_WAKE},
		{"never notifies", never_notifies, RULE_LOST_WAKE},
		{"resends for ever", resends_for_ever, RULE_RESEND},
		{"reports every wake", reports_every_wake, RULE_REPORT},
		{"never answers _ON", never_answers_on, RULE_DONE},
		{"answers twice", answers_twice, RULE_DONE},
		{"always says on", always_says_on, RULE_DONE},
		{"attaches the lost", attaches_the_lost, RULE_LOST_QUIET},
		{"ends without reset", ends_without_reset, RULE_RESET},
		{"stays refused", stays_refused, RULE_REPORT},
		{"enters although held", enters_although_held, RULE_HOLD},
		{"retries every refusal", retries_every_refusal, RULE_RETRY},
		{"tells a hold by its errno", tells_a_hold_by_its_errno, RULE_RETRY},
		{"never retries", never_retries, RULE_ENTRY},
		{"answers a retry", answers_a_retry, RULE_DONE},
		{"detaches for a retry", detaches_for_a_retry, RULE_DETACH},
		{"retries in the name of the guest", retries_in_the_name_of_the_guest,
		 RULE_REPORT},
		{"says each hold", says_each_hold, RULE_REPORT},
		{"hides a new refusal", hides_a_new_refusal, RULE_REPORT},
		{"never enters", never_enters, RULE_ENTRY},
		{"never rolls back", never_rolls_back, RULE_ROLL_BACK},
		{"goes on after a refusal", goes_on_after_a_refusal, RULE_ROLL_BACK},
		{"takes a failed EXIT for done", takes_a_failed_exit_for_done, RULE_TOUCH},
		{"answers _ON at once", answers_on_at_once, RULE_RETURNS},
		{"tells the guest late", tells_the_guest_late, RULE_TOLD},
		{"never recovers", never_recovers, RULE_LADDER},
		{"never resets the slot", never_resets_the_slot, RULE_LADDER},
		{"resets the slot under a sibling", resets_the_slot_under_a_sibling, RULE_LADDER},
		{"brings back the lost", brings_back_the_lost, RULE_STAYS_LOST},
		{"only says that it recovers", only_says_that_it_recovers, RULE_REPORT},
		{"boasts of a recovery", boasts_of_a_recovery, RULE_REPORT},
		{"hides what was tried", hides_what_was_tried, RULE_REPORT},
		{"blames the host", blames_the_host, RULE_REPORT},
		{"resets the view alone", resets_the_view_alone, RULE_RESET},
		{"keeps a removed function", keeps_a_removed_function, RULE_REMOVED},
		{"never releases", never_releases, RULE_REMOVED},
		{"checks for ever", checks_for_ever, RULE_FOREVER},
	};
	static const struct power_config slot = {
		"mutants", .functions = 2, .can_slot_reset = true,
		.fn = {
			{.exists = true, .can_enter = true, .can_enter_wakeup = true,
			 .can_recover = true, .reentry = POWER_REENTRY_GUEST},
			{.exists = true, .can_enter = true, .can_enter_wakeup = true,
			 .can_recover = true},
		},
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(mutants); i++) {
		enum rule rule = power_explore(&slot, mutants[i].step, true);

		if (rule != mutants[i].rule)
			fail_msg("%s: expected \"%s\", got \"%s\"", mutants[i].name,
				 power_rule_names[mutants[i].rule],
				 rule ? power_rule_names[rule] : "nothing");
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_mutants_are_caught),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
