/*
 * Prints every transition of the power state machine (vfio/power.h): a line for each state and what
 * can come in, in the words of tests/power/transitions.pml, whose lines must be the same.
 *
 *   dump_transitions CAN_ENTER CAN_WAKEUP CAN_RECOVER REENTRY RESET CAN_SLOT_RESET
 *
 * The arguments are a slot of two functions, as tests/power/machine.pml says. What nobody asks for
 * in an idle machine is cleared, so that equal states are one: that is no part of what is compared.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vfio/power.h"
#include "vmm/base/bits.h"

#define LINE_MAX_LEN 1024
#define STATES_MAX 65536U
#define TABLE_SIZE (4 * STATES_MAX)

struct text {
	char line[LINE_MAX_LEN];
	size_t len;
};

static struct power found[STATES_MAX];
static char *words[STATES_MAX]; /* of each state found */
static unsigned int table[TABLE_SIZE]; /* by hash of the words: its number + 1; 0: free */
static unsigned int found_count;
static const unsigned int functions = 2;

static void fail(const char *what)
{
	fprintf(stderr, "dump_transitions: %s\n", what);
	exit(2);
}

__attribute__((format(printf, 2, 3))) static void say(struct text *text, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text->line + text->len, sizeof(text->line) - text->len, fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(text->line) - text->len)
		fail("a line is too long");
	text->len += (size_t)n;
}

/* --- words --- */

static const char *phase_name(enum power_phase phase)
{
	static const char *const names[] = {
		[POWER_IDLE] = "idle",           [POWER_GOING_OFF] = "going-off",
		[POWER_GOING_ON] = "going-on",   [POWER_RESETTING] = "resetting",
		[POWER_CHECKING] = "checking",   [POWER_ENDING] = "ending",
		[POWER_REMOVING] = "removing",   [POWER_RETRYING] = "retrying",
	};

	return (unsigned int)phase < ARRAY_SIZE(names) ? names[phase] : "unknown";
}

static const char *event_name(enum power_event_type type)
{
	static const char *const names[] = {
		[POWER_EV_OFF] = "off",           [POWER_EV_ON] = "on",
		[POWER_EV_WAKE] = "wake",         [POWER_EV_RESET] = "reset",
		[POWER_EV_SHUTDOWN] = "shutdown", [POWER_EV_REMOVE] = "remove",
		[POWER_EV_HOST_ERROR] = "host-error", [POWER_EV_RESEND] = "resend",
		[POWER_EV_RETRY] = "retry",
	};

	return (unsigned int)type < ARRAY_SIZE(names) ? names[type] : "result";
}

static void say_action(struct text *text, const struct power_action *action)
{
	static const char *const names[] = {
		[POWER_DO_DETACH] = "detach",   [POWER_DO_DRAIN] = "drain",
		[POWER_DO_ENTRY] = "entry",     [POWER_DO_EXIT] = "exit",
		[POWER_DO_CHECK] = "check",     [POWER_DO_RESET] = "clear",
		[POWER_DO_RECOVER] = "recover", [POWER_DO_SLOT_RESET] = "slot-reset",
		[POWER_DO_ATTACH] = "attach",   [POWER_DO_GONE] = "gone",
		[POWER_DO_RELEASE] = "release", [POWER_DO_PME] = "pme",
		[POWER_DO_NOTIFY] = "notify",
	};

	if (action->type == POWER_DO_TIMER)
		say(text, " timer");
	else if (action->type == POWER_DO_DONE)
		say(text, action->on ? " done-on" : " done-off");
	else if (action->type == POWER_DO_REPORT)
		say(text, " report%u(%s,%s,%s,%d,%u,%d)", action->function,
		    power_state_name(action->from), power_state_name(action->to),
		    power_cause_name(action->cause), action->error, action->tried,
		    action->recovered);
	else
		say(text, " %s%s%u", action->device ? "reset" : names[action->type],
		    action->with_wakeup ? "+wakeup" : "", action->function);
}

static void say_state(struct text *text, const struct power *power)
{
	for (unsigned int i = 0; i < functions; i++) {
		const struct power_function *fn = &power->fn[i];

		say(text, "%s.%u%u%u%u%u.%d ", power_state_name(fn->state), fn->engaged_wakeup,
		    fn->entry_tried, fn->failed, fn->fell, fn->tried, fn->error);
	}
	say(text, "%s.%u.%u %u%u%u%u.%u.%u", phase_name(power->phase),
	    power->waiting ? power->stage : 0U, power->waiting, power->slot_on,
	    power->only_held, power->wake_reported, power->slot_was_reset,
	    power->recheck & ((1U << functions) - 1),
	    power->resends);
}

/* --- states --- */

static void clear_scratch(struct power *power)
{
	if (power->waiting)
		return;
	power->stage = 0;
	power->slot_was_reset = false;
	power->recheck = 0;
	for (unsigned int i = 0; i < functions; i++) {
		power->fn[i].failed = power->fn[i].fell = false;
		power->fn[i].tried = 0;
	}
}

static void find(const struct power *power)
{
	struct text text = {.len = 0};
	uint32_t at = 2166136261U;

	say_state(&text, power);
	for (size_t i = 0; i < text.len; i++)
		at = (at ^ (uint8_t)text.line[i]) * 16777619U;
	for (at %= TABLE_SIZE; table[at]; at = (at + 1) % TABLE_SIZE)
		if (!strcmp(words[table[at] - 1], text.line))
			return;
	if (found_count == STATES_MAX)
		fail("too many states");
	table[at] = found_count + 1;
	found[found_count] = *power;
	words[found_count] = strdup(text.line);
	if (!words[found_count++])
		fail("out of memory");
}

/* What comes in besides the event. */
struct inputs {
	unsigned int enable, status, held; /* masks of functions */
};

static void give(const struct power *before, struct power_event event, struct inputs in)
{
	struct text text = {.len = 0};
	struct power power = *before;
	struct power_actions actions;

	for (unsigned int i = 0; i < functions; i++) {
		power.fn[i].pme_enable = in.enable >> i & 1;
		power.fn[i].pme_status = in.status >> i & 1;
		power.fn[i].hold = in.held >> i & 1 ? -EAGAIN : 0;
	}
	say_state(&text, before);
	say(&text, " > %s%u %d held%u", event_name(event.type), event.function, event.error,
	    in.held);
	for (unsigned int i = 0; i < functions; i++)
		say(&text, " %u%u", in.enable >> i & 1, in.status >> i & 1);
	say(&text, " >");
	event.cause = POWER_CAUSE_HOST;
	if (event.type == POWER_EV_HOST_ERROR)
		event.error = -EIO;
	power_step(&power, &event, &actions);
	clear_scratch(&power);
	for (unsigned int i = 0; i < actions.count; i++)
		say_action(&text, &actions.action[i]);
	say(&text, " > ");
	say_state(&text, &power);
	puts(text.line);
	find(&power);
}

static void give_events(const struct power *power)
{
	unsigned int all = 1U << functions;

	for (unsigned int enable = 0; enable < all; enable++) {
		for (unsigned int other = 0; other < all; other++) {
			give(power, (struct power_event) {.type = POWER_EV_OFF},
			     (struct inputs) {.enable = enable, .held = other});
			give(power, (struct power_event) {.type = POWER_EV_RETRY},
			     (struct inputs) {.enable = enable, .held = other});
			give(power, (struct power_event) {.type = POWER_EV_RESEND},
			     (struct inputs) {.enable = enable, .status = other});
		}
		for (uint8_t i = 0; i < functions; i++)
			give(power, (struct power_event) {.type = POWER_EV_WAKE, .function = i},
			     (struct inputs) {.enable = enable});
	}
	for (uint8_t i = 0; i < functions; i++)
		give(power, (struct power_event) {.type = POWER_EV_HOST_ERROR, .function = i},
		     (struct inputs) {0});
	give(power, (struct power_event) {.type = POWER_EV_ON}, (struct inputs) {0});
	give(power, (struct power_event) {.type = POWER_EV_RESET}, (struct inputs) {0});
	give(power, (struct power_event) {.type = POWER_EV_SHUTDOWN}, (struct inputs) {0});
	give(power, (struct power_event) {.type = POWER_EV_REMOVE}, (struct inputs) {0});
}

/* Gives both results of the action awaited: which one that is, is found by trying. A result that
 * nobody awaits changes nothing. */
static void give_results(const struct power *power)
{
	static const struct {
		enum power_event_type type;
		int error;
	} results[] = {
		{POWER_EV_ENTRY_DONE, -EIO},   {POWER_EV_EXIT_DONE, -EIO},
		{POWER_EV_CHECK_DONE, -ENODEV}, {POWER_EV_RESET_DONE, -EIO},
		{POWER_EV_RECOVER_DONE, -EIO}, {POWER_EV_SLOT_RESET_DONE, -EBUSY},
	};

	for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
		struct power_event event = {
			.type = results[i].type,
			.function = (uint8_t)__builtin_ctz(power->waiting),
		};
		struct power_actions actions;
		struct power copy = *power;

		power_step(&copy, &event, &actions);
		if (!actions.count && copy.waiting == power->waiting)
			continue;
		give(power, event, (struct inputs) {0});
		event.error = results[i].error;
		give(power, event, (struct inputs) {0});
	}
}

int main(int argc, char **argv)
{
	struct power power = {.phase = POWER_IDLE};
	unsigned int arg[7] = {0};

	if (argc != 7)
		fail("CAN_ENTER CAN_WAKEUP CAN_RECOVER REENTRY RESET CAN_SLOT_RESET");
	for (int i = 1; i < argc; i++)
		arg[i] = (unsigned int)strtoul(argv[i], NULL, 0);
	for (unsigned int i = 0; i < functions; i++) {
		power.fn[i] = (struct power_function) {
			.exists = true,
			.can_enter = arg[1] >> i & 1,
			.can_enter_wakeup = arg[2] >> i & 1,
			.can_recover = arg[3] >> i & 1,
			.reentry = (enum power_reentry)(arg[4] >> 2 * i & 3),
		};
	}
	power.reset = (enum power_reset)arg[5];
	power.can_slot_reset = arg[6];
	power_init(&power);
	find(&power);
	for (unsigned int i = 0; i < found_count; i++) {
		struct power now = found[i];

		if (now.waiting)
			give_results(&now);
		else if (now.phase == POWER_IDLE)
			give_events(&now);
	}
	for (unsigned int i = 0; i < found_count; i++)
		free(words[i]);
	return 0;
}
