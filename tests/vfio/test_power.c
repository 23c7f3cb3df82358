/*
 * The power state machine: explored exhaustively (tests/fake_power.h), mutants that show that the
 * exploration can fail, and examples to read.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/fake_power.h"
#include "vfio/power.h"
#include "vmm/base/bits.h"

#define FULL .exists = true, .can_enter = true, .can_enter_wakeup = true

static const struct power_config configs[] = {
	{"one function", 1, {{FULL}}},
	{"one NVIDIA function", 1, {{FULL, .needs_driver = true}}},
	{"kernel without wake-up", 1, {{.exists = true, .can_enter = true}}},
	{"kernel without the features", 1, {{.exists = true, .refuse_error = -ENOTTY}}},
	{"two functions", 2, {{FULL}, {FULL}}},
	{"NVIDIA and its audio", 2, {{FULL, .needs_driver = true}, {FULL}}},
	{"NVIDIA without wake-up", 2,
	 {{.exists = true, .can_enter = true, .needs_driver = true},
	  {.exists = true, .can_enter = true}}},
	{"one of two refused", 2, {{FULL}, {.exists = true, .refuse_error = -EPERM}}},
};

static void test_power_keeps_the_rules_in_every_state(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(configs); i++)
		assert_int_equal(power_explore(&configs[i], power_step, false), RULE_NONE);
}

/* Eight functions need the most room: every one detached, drained and refused. */
static void test_power_actions_fit(void **state)
{
	static const enum power_event_type types[] = {
		POWER_EV_OFF, POWER_EV_ON, POWER_EV_RESET, POWER_EV_SHUTDOWN,
	};

	(void)state;
	for (unsigned int off = 0; off < 2; off++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
			struct power_actions actions;
			struct power power = {.phase = POWER_IDLE};
			struct power_event event = {.type = POWER_EV_OFF};

			for (unsigned int fn = 0; fn < POWER_FUNCTIONS; fn++)
				power.fn[fn].exists = true;
			power_init(&power);
			if (off)
				power_step(&power, &event, &actions);
			event.type = types[i];
			power_step(&power, &event, &actions);
			assert_in_range(actions.count, 1, POWER_ACTIONS_MAX);
		}
	}
}

/* --- mutants: machines with one thing wrong --- */

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

static void test_power_explorer_catches_mutants(void **state)
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
		{"believes every check", believes_every_check, RULE_ATTACH},
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
		{"ends without reset", ends_without_reset, RULE_SHUTDOWN},
		{"stays refused", stays_refused, RULE_REPORT},
	};
	static const struct power_config slot = {
		"mutants", 2, {{FULL, .needs_driver = true}, {FULL}},
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

/* --- examples --- */

/* One event and what the machine must say to it. */
struct example_step {
	enum power_event_type type;
	uint8_t function;
	int error;
	const char *actions;
};

#define EXAMPLE_STEPS_MAX 24

/* PME_En and PME_Status stay as given; a PME sets PME_Status, as the owner would. */
struct example {
	const char *name;
	struct power_function fn[FUNCTIONS_MAX];
	struct example_step step[EXAMPLE_STEPS_MAX];
};

static size_t describe(const struct power_action *action, char *text, size_t size)
{
	static const char *const names[] = {
		[POWER_DO_DETACH] = "detach", [POWER_DO_DRAIN] = "drain",
		[POWER_DO_ENTRY] = "entry",   [POWER_DO_EXIT] = "exit",
		[POWER_DO_CHECK] = "check",   [POWER_DO_RESET] = "reset",
		[POWER_DO_ATTACH] = "attach", [POWER_DO_GONE] = "gone",
		[POWER_DO_PME] = "pme",       [POWER_DO_NOTIFY] = "notify",
	};

	switch (action->type) {
	case POWER_DO_TIMER:
		return (size_t)snprintf(text, size, "timer");
	case POWER_DO_DONE:
		return (size_t)snprintf(text, size, "done %s", action->on ? "on" : "off");
	case POWER_DO_REPORT:
		return (size_t)snprintf(text, size, "%u %s>%s %s%s", action->function,
					power_state_name(action->from),
					power_state_name(action->to),
					power_cause_name(action->cause), action->error ? "!" : "");
	default:
		return (size_t)snprintf(text, size, "%s%s %u", names[action->type],
					action->with_wakeup ? "+wakeup" : "", action->function);
	}
}

static void run_example(const struct example *example)
{
	struct power power = {.phase = POWER_IDLE};

	memcpy(power.fn, example->fn, sizeof(example->fn));
	power_init(&power);
	for (unsigned int i = 0; i < EXAMPLE_STEPS_MAX && example->step[i].actions; i++) {
		const struct example_step *step = &example->step[i];
		struct power_event event = {step->type, step->function, step->error};
		struct power_actions actions;
		char text[1024] = "";
		size_t len = 0;

		for (unsigned int k = 0; k < FUNCTIONS_MAX; k++)
			power.fn[k].pme_enable = example->fn[k].pme_enable;
		power_step(&power, &event, &actions);
		for (unsigned int k = 0; k < actions.count; k++) {
			if (k)
				len += (size_t)snprintf(text + len, sizeof(text) - len, ", ");
			len += describe(&actions.action[k], text + len, sizeof(text) - len);
			if (actions.action[k].type == POWER_DO_PME)
				power.fn[actions.action[k].function].pme_status = true;
		}
		if (strcmp(text, step->actions))
			fail_msg("%s, step %u:\n  expected %s\n  got      %s", example->name, i,
				 step->actions, text);
	}
}

#define EXAMPLE(test, ...)                                        \
	static void test(void **state)                            \
	{                                                         \
		static const struct example example = {           \
			.name = #test, __VA_ARGS__                \
		};                                                \
                                                                  \
		(void)state;                                      \
		run_example(&example);                            \
	}

EXAMPLE(test_power_on_at_boot_only_answers,
	.fn = {{FULL}},
	.step = {{POWER_EV_ON, 0, 0, "done on"}})

EXAMPLE(test_power_off_wake_pme_on,
	.fn = {{FULL, .pme_enable = true}},
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, drain 0, entry+wakeup 0"},
		{POWER_EV_ENTRY_DONE, 0, 0, "0 on>engaged guest, done off"},
		{POWER_EV_WAKE, 0, 0, "pme 0, timer, 0 engaged>woken host"},
		{POWER_EV_ON, 0, 0, "exit 0"},
		{POWER_EV_EXIT_DONE, 0, 0, "check 0"},
		{POWER_EV_CHECK_DONE, 0, 0, "attach 0, 0 woken>on guest, done on"},
		{POWER_EV_RESEND, 0, 0, ""},
		{POWER_EV_ON, 0, 0, "done on"},
		{POWER_EV_OFF, 0, 0, "detach 0, drain 0, entry+wakeup 0"},
	})

EXAMPLE(test_power_enters_plain_without_pme_enable,
	.fn = {{FULL}},
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, drain 0, entry 0"},
		{POWER_EV_ENTRY_DONE, 0, 0, "0 on>engaged guest, done off"},
		{POWER_EV_WAKE, 0, 0, ""},
		{POWER_EV_OFF, 0, 0, "done off"},
	})

EXAMPLE(test_power_nvidia_enters_with_wakeup_and_is_notified,
	.fn = {{FULL, .needs_driver = true}, {FULL}},
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, detach 1, drain 0, drain 1, entry+wakeup 0"},
		{POWER_EV_ENTRY_DONE, 0, 0, "entry 1"},
		{POWER_EV_ENTRY_DONE, 1, 0, "0 on>engaged guest, 1 on>engaged guest, done off"},
		{POWER_EV_WAKE, 0, 0, "notify 0, 0 engaged>woken host"},
	})

EXAMPLE(test_power_refuses_without_the_features,
	.fn = {{.exists = true, .refuse_error = -ENOTTY, .pme_enable = true}},
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, drain 0, 0 on>refused guest!, done off"},
		{POWER_EV_ON, 0, 0, "check 0"},
		{POWER_EV_CHECK_DONE, 0, 0, "attach 0, 0 refused>on guest, done on"},
	})

EXAMPLE(test_power_refuses_plain_where_wakeup_is_needed,
	.fn = {{.exists = true, .can_enter = true, .pme_enable = true}},
	.step = {{POWER_EV_OFF, 0, 0, "detach 0, drain 0, 0 on>refused guest!, done off"}})

EXAMPLE(test_power_leaves_after_a_refused_entry,
	.fn = {{FULL}},
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, drain 0, entry 0"},
		{POWER_EV_ENTRY_DONE, 0, -EIO, "0 on>refused guest!, done off"},
		{POWER_EV_ON, 0, 0, "exit 0"},
		{POWER_EV_EXIT_DONE, 0, 0, "check 0"},
		{POWER_EV_CHECK_DONE, 0, 0, "attach 0, 0 refused>on guest, done on"},
	})

EXAMPLE(test_power_reports_a_wake_of_siblings_once,
	.fn = {{FULL, .pme_enable = true}, {FULL, .pme_enable = true}},
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, detach 1, drain 0, drain 1, entry+wakeup 0"},
		{POWER_EV_ENTRY_DONE, 0, 0, "entry+wakeup 1"},
		{POWER_EV_ENTRY_DONE, 1, 0, "0 on>engaged guest, 1 on>engaged guest, done off"},
		{POWER_EV_WAKE, 1, 0, "pme 1, timer, 1 engaged>woken host"},
		{POWER_EV_WAKE, 0, 0, "pme 0, timer"},
		{POWER_EV_WAKE, 0, 0, ""},
	})

/* The owner gives the result first; the eventfd keeps the wake-up until then. */
EXAMPLE(test_power_wake_while_going_off_is_kept,
	.fn = {{FULL, .pme_enable = true}, {FULL}},
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, detach 1, drain 0, drain 1, entry+wakeup 0"},
		{POWER_EV_ENTRY_DONE, 0, 0, "entry 1"},
		{POWER_EV_ENTRY_DONE, 1, -EINVAL,
		 "0 on>engaged guest, 1 on>refused guest!, done off"},
		{POWER_EV_WAKE, 0, 0, "pme 0, timer, 0 engaged>woken host"},
	})

EXAMPLE(test_power_resends_five_times_then_notifies_once,
	.fn = {{FULL, .pme_enable = true}},
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, drain 0, entry+wakeup 0"},
		{POWER_EV_ENTRY_DONE, 0, 0, "0 on>engaged guest, done off"},
		{POWER_EV_WAKE, 0, 0, "pme 0, timer, 0 engaged>woken host"},
		{POWER_EV_RESEND, 0, 0, "pme 0, timer"},
		{POWER_EV_RESEND, 0, 0, "pme 0, timer"},
		{POWER_EV_RESEND, 0, 0, "pme 0, timer"},
		{POWER_EV_RESEND, 0, 0, "pme 0, timer"},
		{POWER_EV_RESEND, 0, 0, "pme 0, timer"},
		{POWER_EV_RESEND, 0, 0, "notify 0"},
		{POWER_EV_RESEND, 0, 0, ""},
	})

EXAMPLE(test_power_reset_while_engaged,
	.fn = {{FULL}},
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, drain 0, entry 0"},
		{POWER_EV_ENTRY_DONE, 0, 0, "0 on>engaged guest, done off"},
		{POWER_EV_RESET, 0, 0, "exit 0"},
		{POWER_EV_EXIT_DONE, 0, 0, "reset 0"},
		{POWER_EV_RESET_DONE, 0, 0, "check 0"},
		{POWER_EV_CHECK_DONE, 0, 0, "attach 0, 0 engaged>on reset"},
		{POWER_EV_ON, 0, 0, "done on"},
	})

EXAMPLE(test_power_shutdown_while_engaged,
	.fn = {{FULL}, {FULL}},
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, detach 1, drain 0, drain 1, entry 0"},
		{POWER_EV_ENTRY_DONE, 0, 0, "entry 1"},
		{POWER_EV_ENTRY_DONE, 1, -EIO, "0 on>engaged guest, 1 on>refused guest!, done off"},
		{POWER_EV_SHUTDOWN, 0, 0, "exit 0"},
		{POWER_EV_EXIT_DONE, 0, 0, "exit 1"},
		{POWER_EV_EXIT_DONE, 1, 0, "reset 0"},
		{POWER_EV_RESET_DONE, 0, 0, "reset 1"},
		{POWER_EV_RESET_DONE, 1, 0, "check 0"},
		{POWER_EV_CHECK_DONE, 0, 0, "check 1"},
		{POWER_EV_CHECK_DONE, 1, 0, "0 engaged>on shutdown, 1 refused>on shutdown"},
		{POWER_EV_ON, 0, 0, ""},
		{POWER_EV_WAKE, 0, 0, ""},
	})

EXAMPLE(test_power_lost_device_is_tried_again_by_a_reset,
	.fn = {{FULL}},
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, drain 0, entry 0"},
		{POWER_EV_ENTRY_DONE, 0, 0, "0 on>engaged guest, done off"},
		{POWER_EV_ON, 0, 0, "exit 0"},
		{POWER_EV_EXIT_DONE, 0, -EIO, "gone 0, 0 engaged>lost guest!, done off"},
		{POWER_EV_ON, 0, 0, "done off"},
		{POWER_EV_OFF, 0, 0, "done off"},
		{POWER_EV_RESET, 0, 0, "exit 0"},
		{POWER_EV_EXIT_DONE, 0, 0, "reset 0"},
		{POWER_EV_RESET_DONE, 0, -EIO, "check 0"},
		{POWER_EV_CHECK_DONE, 0, -ENODEV, "gone 0"},
		{POWER_EV_RESET, 0, 0, "reset 0"},
		{POWER_EV_RESET_DONE, 0, 0, "check 0"},
		{POWER_EV_CHECK_DONE, 0, 0, "attach 0, 0 lost>on reset"},
	})

EXAMPLE(test_power_host_error_is_checked_before_it_is_believed,
	.fn = {{FULL}},
	.step = {
		{POWER_EV_HOST_ERROR, 0, -EIO, "check 0"},
		{POWER_EV_CHECK_DONE, 0, 0, ""},
		{POWER_EV_HOST_ERROR, 0, -EIO, "check 0"},
		{POWER_EV_CHECK_DONE, 0, -ENODEV, "gone 0, 0 on>lost error!"},
		{POWER_EV_HOST_ERROR, 0, -EIO, ""},
		{POWER_EV_OFF, 0, 0, "done off"},
	})

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_keeps_the_rules_in_every_state),
		cmocka_unit_test(test_power_actions_fit),
		cmocka_unit_test(test_power_explorer_catches_mutants),
		cmocka_unit_test(test_power_on_at_boot_only_answers),
		cmocka_unit_test(test_power_off_wake_pme_on),
		cmocka_unit_test(test_power_enters_plain_without_pme_enable),
		cmocka_unit_test(test_power_nvidia_enters_with_wakeup_and_is_notified),
		cmocka_unit_test(test_power_refuses_without_the_features),
		cmocka_unit_test(test_power_refuses_plain_where_wakeup_is_needed),
		cmocka_unit_test(test_power_leaves_after_a_refused_entry),
		cmocka_unit_test(test_power_reports_a_wake_of_siblings_once),
		cmocka_unit_test(test_power_wake_while_going_off_is_kept),
		cmocka_unit_test(test_power_resends_five_times_then_notifies_once),
		cmocka_unit_test(test_power_reset_while_engaged),
		cmocka_unit_test(test_power_shutdown_while_engaged),
		cmocka_unit_test(test_power_lost_device_is_tried_again_by_a_reset),
		cmocka_unit_test(test_power_host_error_is_checked_before_it_is_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
