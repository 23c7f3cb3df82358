/*
 * The power state machine: explored exhaustively (tests/fake_power.h). That the exploration can
 * fail is shown by tests/vfio/test_power_mutants.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/vfio/power_bench.h"

/* Each feature alone with everything that can happen, and pairs of features in narrower searches:
 * together they stay complete in what they cover, and quick. */
static const struct power_config configs[] = {
	{"one function", .functions = 1, .fn = {{FULL}}},
	{"one that only its driver puts to sleep, with the ladder", .functions = 1,
	 .fn = {{FULL, GUEST, LADDER}}, .can_slot_reset = true},
	{"one that the host puts to sleep again", .functions = 1, .fn = {{FULL, HOST, LADDER}}},
	{"one, reset with its slot", .functions = 1, .fn = {{FULL, LADDER}},
	 .reset = POWER_RESET_SLOT, .can_slot_reset = true},
	{"one, never reset", .functions = 1, .fn = {{FULL}}, .reset = POWER_RESET_NONE},
	{"one without wake-up", .functions = 1, .fn = {{PLAIN}}},
	{"one without wake-up that needs its driver", .functions = 1, .fn = {{PLAIN, GUEST}}},
	{"one without the features", .functions = 1,
	 .fn = {{.exists = true, .refuse_error = -ENOTTY}}},
	{"two functions", .functions = 2, .fn = {{FULL}, {FULL}}},
	{"a GPU and its audio, with the ladder", .functions = 2,
	 .fn = {{FULL, GUEST, LADDER}, {FULL, LADDER}}, .can_slot_reset = true,
	 .no_resend = true, .no_wakes = true},
	{"a GPU and its audio, hot reset alone", .functions = 2,
	 .fn = {{FULL, GUEST}, {FULL, HOST}}, .can_slot_reset = true, .no_pme = true},
	{"two, reset with their slot", .functions = 2, .fn = {{FULL, LADDER}, {FULL, GUEST}},
	 .reset = POWER_RESET_SLOT, .can_slot_reset = true, .no_pme = true},
	{"two, reset with their slot, no ladder", .functions = 2,
	 .fn = {{FULL, GUEST}, {FULL, GUEST}}, .reset = POWER_RESET_SLOT, .no_pme = true},
	{"two, never reset but when lost", .functions = 2,
	 .fn = {{FULL, LADDER}, {FULL, GUEST, LADDER}}, .reset = POWER_RESET_NONE,
	 .can_slot_reset = true, .no_pme = true},
	{"two, one of them with a ladder", .functions = 2,
	 .fn = {{FULL, HOST}, {FULL, GUEST, LADDER}}, .no_pme = true},
	{"two without wake-up", .functions = 2, .fn = {{PLAIN, LADDER}, {PLAIN}},
	 .can_slot_reset = true, .no_resend = true, .no_wakes = true},
	{"one of two refused", .functions = 2,
	 .fn = {{FULL, LADDER}, {.exists = true, .refuse_error = -EPERM}},
	 .can_slot_reset = true, .no_resend = true, .no_wakes = true},
};

static void test_power_keeps_the_rules_in_every_state(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(configs); i++)
		assert_int_equal(power_explore(&configs[i], power_step, false), RULE_NONE);
}

/* Gives `type` and then every result, each of them bad. The most actions of a step. */
static unsigned int run_to_idle(struct power *power, enum power_event_type type)
{
	struct power_event event = {.type = type};
	struct power_actions actions;
	unsigned int most = 0;

	do {
		const struct power_action *last;

		power_step(power, &event, &actions);
		if (actions.count > most)
			most = actions.count;
		last = &actions.action[actions.count ? actions.count - 1 : 0];
		if (power->waiting)
			event = (struct power_event) {
				.type = power_results[last->type], .function = last->function,
				.error = last->type == POWER_DO_EXIT ? 0 : -EIO,
			};
	} while (power->waiting);
	return most;
}

/* Eight functions need the most room. */
static void test_power_actions_fit(void **state)
{
	static const enum power_event_type types[] = {
		POWER_EV_OFF, POWER_EV_ON, POWER_EV_RESET, POWER_EV_SHUTDOWN, POWER_EV_REMOVE,
	};

	(void)state;
	for (unsigned int off = 0; off < 2; off++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
			struct power power = {.can_slot_reset = true};

			for (unsigned int fn = 0; fn < POWER_FUNCTIONS; fn++)
				power.fn[fn] = (struct power_function) {FULL, LADDER};
			power_init(&power);
			if (off)
				run_to_idle(&power, POWER_EV_OFF);
			assert_in_range(run_to_idle(&power, types[i]), 1, POWER_ACTIONS_MAX);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_keeps_the_rules_in_every_state),
		cmocka_unit_test(test_power_actions_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
