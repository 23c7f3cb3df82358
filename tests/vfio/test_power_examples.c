/* The power state machine: examples to read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/vfio/power_bench.h"

/* One event and what the machine must say to it. */
struct example_step {
	enum power_event_type type;
	uint8_t function;
	int error;
	const char *actions;
	bool let_go; /* the governor holds nothing at this moment */
};

#define EXAMPLE_STEPS_MAX 24

/* PME_En and PME_Status stay as given; a PME sets PME_Status, as the owner would. */
struct example {
	const char *name;
	struct power_function fn[FUNCTIONS_MAX];
	enum power_reset reset;
	bool can_slot_reset;
	struct example_step step[EXAMPLE_STEPS_MAX];
};

static size_t describe(const struct power_action *action, char *text, size_t size)
{
	static const char *const names[] = {
		[POWER_DO_DETACH] = "detach", [POWER_DO_DRAIN] = "drain",
		[POWER_DO_ENTRY] = "entry",   [POWER_DO_EXIT] = "exit",
		[POWER_DO_CHECK] = "check",   [POWER_DO_RESET] = "clear",
		[POWER_DO_ATTACH] = "attach", [POWER_DO_GONE] = "gone",
		[POWER_DO_PME] = "pme",       [POWER_DO_NOTIFY] = "notify",
		[POWER_DO_RECOVER] = "recover", [POWER_DO_SLOT_RESET] = "slot reset",
		[POWER_DO_RELEASE] = "release",
	};
	static const char *const tried[] = {
		"", " +reset", " +slot reset", " +reset +slot reset",
	};

	switch (action->type) {
	case POWER_DO_TIMER:
		return (size_t)snprintf(text, size, "timer");
	case POWER_DO_DONE:
		return (size_t)snprintf(text, size, "done %s", action->on ? "on" : "off");
	case POWER_DO_REPORT:
		return (size_t)snprintf(text, size, "%u %s>%s %s%s%s%s", action->function,
					power_state_name(action->from),
					power_state_name(action->to),
					power_cause_name(action->cause), action->error ? "!" : "",
					tried[action->tried],
					action->recovered ? " recovered" : "");
	default:
		return (size_t)snprintf(text, size, "%s%s %u",
					action->device ? "reset" : names[action->type],
					action->with_wakeup ? "+wakeup" : "", action->function);
	}
}

static void run_example(const struct example *example)
{
	struct power power = {
		.reset = example->reset, .can_slot_reset = example->can_slot_reset,
	};

	memcpy(power.fn, example->fn, sizeof(example->fn));
	power_init(&power);
	for (unsigned int i = 0; i < EXAMPLE_STEPS_MAX && example->step[i].actions; i++) {
		const struct example_step *step = &example->step[i];
		struct power_event event = {
			step->type, step->function, step->error, POWER_CAUSE_HOST,
		};
		struct power_actions actions;
		char text[1024] = "";
		size_t len = 0;

		for (unsigned int k = 0; k < FUNCTIONS_MAX; k++) {
			power.fn[k].pme_enable = example->fn[k].pme_enable;
			power.fn[k].hold = step->let_go ? 0 : example->fn[k].hold;
		}
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
	.fn = {{FULL, GUEST}, {FULL}},
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
		{POWER_EV_ENTRY_DONE, 0, -EIO, "exit 0"},
		{POWER_EV_EXIT_DONE, 0, 0, "0 on>refused guest!, done off"},
		{POWER_EV_ON, 0, 0, "check 0"},
		{POWER_EV_CHECK_DONE, 0, 0, "attach 0, 0 refused>on guest, done on"},
	})

EXAMPLE(test_power_rolls_back_when_one_refuses,
	.fn = {{FULL, .pme_enable = true}, {FULL}},
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, detach 1, drain 0, drain 1, entry+wakeup 0"},
		{POWER_EV_ENTRY_DONE, 0, 0, "entry 1"},
		{POWER_EV_ENTRY_DONE, 1, -EINVAL, "exit 0"},
		{POWER_EV_EXIT_DONE, 0, 0, "exit 1"},
		{POWER_EV_EXIT_DONE, 1, 0,
		 "0 on>refused guest!, 1 on>refused guest!, done off"},
		{POWER_EV_WAKE, 0, 0, ""},
		{POWER_EV_ON, 0, 0, "check 0"},
		{POWER_EV_CHECK_DONE, 0, 0, "check 1"},
		{POWER_EV_CHECK_DONE, 1, 0,
		 "attach 0, 0 refused>on guest, attach 1, 1 refused>on guest, done on"},
	})

/* Its device may be engaged still, so EXIT is tried again before anything else is. */
EXAMPLE(test_power_roll_back_that_fails_is_tried_again,
	.fn = {{FULL}, {FULL}},
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, detach 1, drain 0, drain 1, entry 0"},
		{POWER_EV_ENTRY_DONE, 0, 0, "entry 1"},
		{POWER_EV_ENTRY_DONE, 1, -EINVAL, "exit 0"},
		{POWER_EV_EXIT_DONE, 0, -EIO, "exit 1"},
		{POWER_EV_EXIT_DONE, 1, 0,
		 "0 on>refused guest!, 1 on>refused guest!, done off"},
		{POWER_EV_ON, 0, 0, "exit 0"},
		{POWER_EV_EXIT_DONE, 0, -EIO, "check 1"},
		{POWER_EV_CHECK_DONE, 1, 0,
		 "gone 0, 0 refused>lost guest!, attach 1, 1 refused>on guest, done on"},
		/* And a lost one has no part in the sleeps of the others. */
		{POWER_EV_OFF, 0, 0, "detach 1, drain 1, entry 1"},
		{POWER_EV_ENTRY_DONE, 1, -EIO, "exit 1"},
		{POWER_EV_EXIT_DONE, 1, 0, "1 on>refused guest!, done off"},
	})

EXAMPLE(test_power_held_slot_is_not_entered,
	.fn = {{FULL, .hold = -EAGAIN}, {FULL}},
	.step = {
		{POWER_EV_OFF, 0, 0,
		 "detach 0, detach 1, drain 0, drain 1, 0 on>refused guest!, "
		 "1 on>refused guest!, done off"},
		{POWER_EV_ON, 0, 0, "check 0"},
	})

/* The guest asked for the sleep when the slot was held, and has heard that it is off. */
EXAMPLE(test_power_goes_to_sleep_when_the_hold_is_over,
	.fn = {{FULL, GUEST, .hold = -EAGAIN}, {FULL, .hold = -EAGAIN}},
	.step = {
		{POWER_EV_RETRY, 0, 0, "", .let_go = true},
		{POWER_EV_OFF, 0, 0,
		 "detach 0, detach 1, drain 0, drain 1, 0 on>refused guest!, "
		 "1 on>refused guest!, done off"},
		{POWER_EV_RETRY, 0, 0, "drain 0, drain 1"},
		{POWER_EV_RETRY, 0, 0, "drain 0, drain 1, entry+wakeup 0", .let_go = true},
		{POWER_EV_ENTRY_DONE, 0, 0, "entry 1"},
		{POWER_EV_ENTRY_DONE, 1, 0,
		 "0 refused>engaged governor, 1 refused>engaged governor"},
		{POWER_EV_RETRY, 0, 0, "", .let_go = true},
		{POWER_EV_WAKE, 0, 0, "notify 0, 0 engaged>woken host"},
		{POWER_EV_RETRY, 0, 0, "", .let_go = true},
		{POWER_EV_ON, 0, 0, "exit 0"},
	})

/* Once touched, only the guest may have it put to sleep. */
EXAMPLE(test_power_retries_no_other_refusal,
	.fn = {{FULL, .hold = -EAGAIN}, {FULL, .hold = -EAGAIN}},
	.step = {
		{POWER_EV_OFF, 0, 0,
		 "detach 0, detach 1, drain 0, drain 1, 0 on>refused guest!, "
		 "1 on>refused guest!, done off"},
		{POWER_EV_RETRY, 0, 0, "drain 0, drain 1, entry 0", .let_go = true},
		{POWER_EV_ENTRY_DONE, 0, 0, "entry 1"},
		{POWER_EV_ENTRY_DONE, 1, -EIO, "exit 0"},
		{POWER_EV_EXIT_DONE, 0, 0, "exit 1"},
		{POWER_EV_EXIT_DONE, 1, 0,
		 "0 refused>refused governor!, 1 refused>refused governor!"},
		{POWER_EV_RETRY, 0, 0, "", .let_go = true},
		{POWER_EV_ON, 0, 0, "check 0"},
	})

/* What the host says of an entry is no hold, whatever its errno. */
EXAMPLE(test_power_tells_a_hold_from_a_busy_host,
	.fn = {{FULL}},
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, drain 0, entry 0"},
		{POWER_EV_ENTRY_DONE, 0, -EAGAIN, "exit 0"},
		{POWER_EV_EXIT_DONE, 0, 0, "0 on>refused guest!, done off"},
		{POWER_EV_RETRY, 0, 0, ""},
	})

EXAMPLE(test_power_host_goes_back_by_itself_where_the_policy_says_so,
	.fn = {{FULL, HOST, .pme_enable = true}},
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, drain 0, entry 0"},
		{POWER_EV_ENTRY_DONE, 0, 0, "0 on>engaged guest, done off"},
		{POWER_EV_WAKE, 0, 0, ""},
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
		{POWER_EV_WAKE, 0, 0, ""},
		{POWER_EV_ENTRY_DONE, 1, 0, "0 on>engaged guest, 1 on>engaged guest, done off"},
		{POWER_EV_WAKE, 0, 0, "pme 0, timer, 0 engaged>woken host"},
	})

/* A sibling that is woken later has all its resends ahead. */
EXAMPLE(test_power_each_wake_is_resent,
	.fn = {{FULL, .pme_enable = true}, {FULL, .pme_enable = true}},
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, detach 1, drain 0, drain 1, entry+wakeup 0"},
		{POWER_EV_ENTRY_DONE, 0, 0, "entry+wakeup 1"},
		{POWER_EV_ENTRY_DONE, 1, 0, "0 on>engaged guest, 1 on>engaged guest, done off"},
		{POWER_EV_WAKE, 0, 0, "pme 0, timer, 0 engaged>woken host"},
		{POWER_EV_RESEND, 0, 0, "pme 0, timer"},
		{POWER_EV_RESEND, 0, 0, "pme 0, timer"},
		{POWER_EV_RESEND, 0, 0, "pme 0, timer"},
		{POWER_EV_RESEND, 0, 0, "pme 0, timer"},
		{POWER_EV_RESEND, 0, 0, "pme 0, timer"},
		{POWER_EV_WAKE, 1, 0, "pme 1, timer"},
		{POWER_EV_RESEND, 0, 0, "pme 0, pme 1, timer"},
		{POWER_EV_RESEND, 0, 0, "pme 0, pme 1, timer"},
		{POWER_EV_RESEND, 0, 0, "pme 0, pme 1, timer"},
		{POWER_EV_RESEND, 0, 0, "pme 0, pme 1, timer"},
		{POWER_EV_RESEND, 0, 0, "pme 0, pme 1, timer"},
		{POWER_EV_RESEND, 0, 0, "notify 1"},
		{POWER_EV_RESEND, 0, 0, ""},
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
		{POWER_EV_ENTRY_DONE, 1, 0, "0 on>engaged guest, 1 on>engaged guest, done off"},
		{POWER_EV_SHUTDOWN, 0, 0, "exit 0"},
		{POWER_EV_EXIT_DONE, 0, 0, "exit 1"},
		{POWER_EV_EXIT_DONE, 1, 0, "reset 0"},
		{POWER_EV_RESET_DONE, 0, 0, "reset 1"},
		{POWER_EV_RESET_DONE, 1, 0, "check 0"},
		{POWER_EV_CHECK_DONE, 0, 0, "check 1"},
		{POWER_EV_CHECK_DONE, 1, 0, "0 engaged>on shutdown, 1 engaged>on shutdown"},
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

EXAMPLE(test_power_ladder_brings_back_what_the_guest_waits_for,
	.fn = {{FULL, LADDER}, {FULL, LADDER}}, .can_slot_reset = true,
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, detach 1, drain 0, drain 1, entry 0"},
		{POWER_EV_ENTRY_DONE, 0, 0, "entry 1"},
		{POWER_EV_ENTRY_DONE, 1, 0, "0 on>engaged guest, 1 on>engaged guest, done off"},
		{POWER_EV_ON, 0, 0, "exit 0"},
		{POWER_EV_EXIT_DONE, 0, 0, "exit 1"},
		{POWER_EV_EXIT_DONE, 1, 0, "check 0"},
		{POWER_EV_CHECK_DONE, 0, -ENODEV, "check 1"},
		{POWER_EV_CHECK_DONE, 1, 0, "recover 0"},
		{POWER_EV_RECOVER_DONE, 0, -ENOTTY, "check 0"},
		{POWER_EV_CHECK_DONE, 0, -ENODEV, "slot reset 0"},
		{POWER_EV_SLOT_RESET_DONE, 0, 0, "check 0"},
		{POWER_EV_CHECK_DONE, 0, 0, "check 1"},
		{POWER_EV_CHECK_DONE, 1, 0,
		 "attach 0, 0 engaged>on guest +reset +slot reset recovered, "
		 "attach 1, 1 engaged>on guest, done on"},
	})

/* A hot reset would wake, or break, one that did not leave low power. */
EXAMPLE(test_power_ladder_spares_a_sibling_that_may_be_engaged,
	.fn = {{FULL, LADDER}, {FULL, LADDER}}, .can_slot_reset = true,
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, detach 1, drain 0, drain 1, entry 0"},
		{POWER_EV_ENTRY_DONE, 0, 0, "entry 1"},
		{POWER_EV_ENTRY_DONE, 1, 0, "0 on>engaged guest, 1 on>engaged guest, done off"},
		{POWER_EV_ON, 0, 0, "exit 0"},
		{POWER_EV_EXIT_DONE, 0, 0, "exit 1"},
		{POWER_EV_EXIT_DONE, 1, -EIO, "check 0"},
		{POWER_EV_CHECK_DONE, 0, -ENODEV, "recover 0"},
		{POWER_EV_RECOVER_DONE, 0, 0, "check 0"},
		{POWER_EV_CHECK_DONE, 0, -ENODEV,
		 "gone 0, 0 engaged>lost guest! +reset, gone 1, 1 engaged>lost guest!, done off"},
	})

/* What the guest knows of the device is gone, so it must not come back behind the guest's back. */
EXAMPLE(test_power_one_lost_at_work_is_told_first_and_stays_lost,
	.fn = {{FULL, LADDER}, {FULL, LADDER}}, .can_slot_reset = true,
	.step = {
		{POWER_EV_HOST_ERROR, 0, -EIO, "check 0"},
		{POWER_EV_CHECK_DONE, 0, -ENODEV, "gone 0, recover 0"},
		{POWER_EV_RECOVER_DONE, 0, 0, "check 0"},
		{POWER_EV_CHECK_DONE, 0, 0, "0 on>lost error! +reset recovered"},
		{POWER_EV_HOST_ERROR, 1, -EIO, "check 1"},
		{POWER_EV_CHECK_DONE, 1, -ENODEV, "gone 1, recover 1"},
		{POWER_EV_RECOVER_DONE, 1, 0, "check 1"},
		{POWER_EV_CHECK_DONE, 1, -EIO, "slot reset 1"},
		{POWER_EV_SLOT_RESET_DONE, 1, 0, "check 1"},
		{POWER_EV_CHECK_DONE, 1, -EIO, "1 on>lost error! +reset +slot reset"},
		{POWER_EV_OFF, 0, 0, "done off"},
		{POWER_EV_ON, 0, 0, "done off"},
		{POWER_EV_RESET, 0, 0, "reset 0"},
		{POWER_EV_RESET_DONE, 0, 0, "reset 1"},
		{POWER_EV_RESET_DONE, 1, 0, "check 0"},
		{POWER_EV_CHECK_DONE, 0, 0, "check 1"},
		{POWER_EV_CHECK_DONE, 1, 0, "attach 0, 0 lost>on reset, attach 1, 1 lost>on reset"},
	})

EXAMPLE(test_power_ladder_spares_a_sibling_at_work,
	.fn = {{FULL, LADDER}, {FULL, LADDER}}, .can_slot_reset = true,
	.step = {
		{POWER_EV_HOST_ERROR, 1, -EIO, "check 1"},
		{POWER_EV_CHECK_DONE, 1, -ENODEV, "gone 1, recover 1"},
		{POWER_EV_RECOVER_DONE, 1, 0, "check 1"},
		{POWER_EV_CHECK_DONE, 1, -ENODEV, "1 on>lost error! +reset"},
	})

EXAMPLE(test_power_reset_by_the_slot,
	.fn = {{FULL}, {FULL}}, .reset = POWER_RESET_SLOT,
	.step = {
		{POWER_EV_RESET, 0, 0, "clear 0"},
		{POWER_EV_RESET_DONE, 0, 0, "clear 1"},
		{POWER_EV_RESET_DONE, 1, 0, "slot reset 0"},
		{POWER_EV_SLOT_RESET_DONE, 0, -EBUSY, "check 0"},
		{POWER_EV_CHECK_DONE, 0, 0, "check 1"},
		{POWER_EV_CHECK_DONE, 1, 0, "0 on>on reset!"},
	})

/* While one may be engaged the next best is each function's own reset, where it has one. */
EXAMPLE(test_power_reset_by_the_slot_waits_for_all_exits,
	.fn = {{FULL}, {FULL, LADDER}}, .reset = POWER_RESET_SLOT,
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, detach 1, drain 0, drain 1, entry 0"},
		{POWER_EV_ENTRY_DONE, 0, 0, "entry 1"},
		{POWER_EV_ENTRY_DONE, 1, 0, "0 on>engaged guest, 1 on>engaged guest, done off"},
		{POWER_EV_RESET, 0, 0, "exit 0"},
		{POWER_EV_EXIT_DONE, 0, -EIO, "exit 1"},
		{POWER_EV_EXIT_DONE, 1, 0, "reset 1"},
		{POWER_EV_RESET_DONE, 1, 0, "check 1"},
		{POWER_EV_CHECK_DONE, 1, 0,
		 "gone 0, 0 engaged>lost reset!, attach 1, 1 engaged>on reset"},
		{POWER_EV_RESET, 0, 0, "exit 0"},
		{POWER_EV_EXIT_DONE, 0, 0, "clear 0"},
		{POWER_EV_RESET_DONE, 0, 0, "clear 1"},
		{POWER_EV_RESET_DONE, 1, 0, "slot reset 0"},
		{POWER_EV_SLOT_RESET_DONE, 0, 0, "check 0"},
		{POWER_EV_CHECK_DONE, 0, 0, "check 1"},
		{POWER_EV_CHECK_DONE, 1, 0, "attach 0, 0 lost>on reset"},
	})

EXAMPLE(test_power_reset_of_the_view_alone,
	.fn = {{FULL}}, .reset = POWER_RESET_NONE,
	.step = {
		{POWER_EV_RESET, 0, 0, "clear 0"},
		{POWER_EV_RESET_DONE, 0, 0, "check 0"},
		{POWER_EV_CHECK_DONE, 0, 0, ""},
	})

EXAMPLE(test_power_removal_leaves_nothing,
	.fn = {{FULL}, {FULL}},
	.step = {
		{POWER_EV_OFF, 0, 0, "detach 0, detach 1, drain 0, drain 1, entry 0"},
		{POWER_EV_ENTRY_DONE, 0, 0, "entry 1"},
		{POWER_EV_ENTRY_DONE, 1, 0, "0 on>engaged guest, 1 on>engaged guest, done off"},
		{POWER_EV_REMOVE, 0, 0, "exit 0"},
		{POWER_EV_EXIT_DONE, 0, 0, "exit 1"},
		{POWER_EV_EXIT_DONE, 1, -EIO, "reset 0"},
		{POWER_EV_RESET_DONE, 0, 0, "check 0"},
		{POWER_EV_CHECK_DONE, 0, 0,
		 "release 0, 0 engaged>released unplug, gone 1, release 1, "
		 "1 engaged>released unplug!"},
		{POWER_EV_WAKE, 1, 0, ""},
		{POWER_EV_ON, 0, 0, "done off"},
		{POWER_EV_OFF, 0, 0, "done off"},
		{POWER_EV_RESET, 0, 0, ""},
		{POWER_EV_REMOVE, 0, 0, ""},
		{POWER_EV_SHUTDOWN, 0, 0, ""},
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
		cmocka_unit_test(test_power_rolls_back_when_one_refuses),
		cmocka_unit_test(test_power_roll_back_that_fails_is_tried_again),
		cmocka_unit_test(test_power_held_slot_is_not_entered),
		cmocka_unit_test(test_power_goes_to_sleep_when_the_hold_is_over),
		cmocka_unit_test(test_power_retries_no_other_refusal),
		cmocka_unit_test(test_power_tells_a_hold_from_a_busy_host),
		cmocka_unit_test(test_power_host_goes_back_by_itself_where_the_policy_says_so),
		cmocka_unit_test(test_power_each_wake_is_resent),
		cmocka_unit_test(test_power_ladder_brings_back_what_the_guest_waits_for),
		cmocka_unit_test(test_power_ladder_spares_a_sibling_that_may_be_engaged),
		cmocka_unit_test(test_power_one_lost_at_work_is_told_first_and_stays_lost),
		cmocka_unit_test(test_power_ladder_spares_a_sibling_at_work),
		cmocka_unit_test(test_power_reset_by_the_slot),
		cmocka_unit_test(test_power_reset_by_the_slot_waits_for_all_exits),
		cmocka_unit_test(test_power_reset_of_the_view_alone),
		cmocka_unit_test(test_power_removal_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
