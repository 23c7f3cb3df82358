/* Guest, VMM and model counted for themselves: they must agree. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "guest-tests/soak/host/watch.h"

#define VMM_STATUS_GOOD 1 /* --debug-exit: the guest wrote 0 */

void result_fail(struct result *result, const char *format, ...)
{
	va_list args;

	if (result->failure[0])
		return;
	va_start(args, format);
	vsnprintf(result->failure, sizeof(result->failure), format, args);
	va_end(args);
}

static void agree(struct result *result, const char *what, uint64_t a, uint64_t b)
{
	if (a != b)
		result_fail(result, "%s: %ju and %ju", what, (uintmax_t)a, (uintmax_t)b);
}

/* The log may know of more than the guest saw for sure. */
static void within(struct result *result, const char *what, uint64_t log, uint64_t guest,
		   uint64_t maybe)
{
	if (log < guest || log > guest + maybe)
		result_fail(result, "%s: %ju in the event log, the guest knows of %ju to %ju", what,
			    (uintmax_t)log, (uintmax_t)guest, (uintmax_t)(guest + maybe));
}

static uint64_t guest_number(struct result *result, const char *name)
{
	char key[64];
	uint64_t number = 0;

	snprintf(key, sizeof(key), " %s=", name);
	if (!find_number(result->guest, NULL, key, &number))
		result_fail(result, "the guest gave no number \"%s\"", name);
	return number;
}

/* --- the model's status --- */

/* The part of function `fn`; false: it has none. */
static bool model_function(const struct result *result, unsigned int fn, const char **ret_start,
			   const char **ret_end)
{
	char key[32];

	snprintf(key, sizeof(key), "{\"function\":%u,", fn);
	*ret_start = strstr(result->model, key);
	if (!*ret_start)
		return false;
	*ret_end = strchr(*ret_start, '}');
	return *ret_end != NULL;
}

static uint64_t model_number(struct result *result, unsigned int fn, const char *name)
{
	const char *start, *end;
	uint64_t number = 0;
	char key[64];

	snprintf(key, sizeof(key), "\"%s\":", name);
	if (!model_function(result, fn, &start, &end) ||
	    !find_number(start, end, key, &number))
		result_fail(result, "the model gave no number \"%s\"", name);
	return number;
}

/* --- comparisons --- */

static void compare_function(struct result *result, unsigned int fn)
{
	const struct counters *counters = &result->events.counters[fn];
	const char *start, *end;

	if (!model_function(result, fn, &start, &end)) {
		agree(result, "counters of a function that is not there", counters->came, 0);
		return;
	}
	agree(result, "counters of each function", counters->came, true);
	agree(result, "entries, VMM and model", counters->entries,
	      model_number(result, fn, "entries"));
	agree(result, "refusals, VMM and model", counters->refusals,
	      model_number(result, fn, "refusals"));
	agree(result, "touches of the sleeping device", model_number(result, fn, "touches"), 0);
}

static void compare_guest(struct result *result)
{
	const struct events *events = &result->events;
	struct counters total = events_total(events);
	uint64_t again = guest_number(result, "maybe_again");

	agree(result, "cycles, done and asked for", guest_number(result, "cycles"),
	      result->cycles);
	agree(result, "lost wake-ups", guest_number(result, "lost"), 0);
	agree(result, "spurious PMEs", guest_number(result, "spurious"), 0);
	within(result, "PMEs", events->pmes, guest_number(result, "pmes"), again);
	within(result, "Notifies", events->notifies, guest_number(result, "notifies"), again);
	within(result, "sleeps that a wake ended", events->woken, guest_number(result, "woken"),
	       again);
	within(result, "refusals", events->refused, guest_number(result, "refused"),
	       guest_number(result, "maybe_refused"));
	agree(result, "wakes, counters and what the guest was told of", total.wakes,
	      events->pmes + events->notifies);
	agree(result, "refusals, counters and event log", total.refusals, events->refused);
}

static void compare_rest(struct result *result)
{
	uint64_t touched = 1;
	char why[sizeof(result->failure)];

	agree(result, "malformed lines in the event log", result->events.malformed, 0);
	agree(result, "losses", result->events.lost + events_total(&result->events).losses, 0);
	find_number(result->model, NULL, "\"vram_touched\":", &touched);
	agree(result, "times that VRAM without power was written", touched, 0);
	for (unsigned int fn = 0; fn < FUNCTIONS_MAX; fn++)
		compare_function(result, fn);
	if (samples_grew(&result->samples, result->cycles, why, sizeof(why)))
		result_fail(result, "%s", why);
	agree(result, "samples", result->samples.count > 1, true);
}

static void judge_ends(struct result *result)
{
	if (WIFSIGNALED(result->vmm_status))
		result_fail(result, "signal %d ended the VMM", WTERMSIG(result->vmm_status));
	else if (!result->passed || WEXITSTATUS(result->vmm_status) != VMM_STATUS_GOOD)
		result_fail(result, "the VMM ended with status %d",
			    WEXITSTATUS(result->vmm_status));
	if (WIFSIGNALED(result->model_status))
		result_fail(result, "signal %d ended the model", WTERMSIG(result->model_status));
	else if (WEXITSTATUS(result->model_status))
		result_fail(result, "the model ended with status %d",
			    WEXITSTATUS(result->model_status));
}

/* --- the report --- */

static void print_events(const struct events *events)
{
	struct counters total = events_total(events);

	printf("log:   lines=%ju engaged=%ju woken=%ju refused=%ju lost=%ju pmes=%ju again=%ju "
	       "notifies=%ju\n", (uintmax_t)events->lines, (uintmax_t)events->engaged,
	       (uintmax_t)events->woken, (uintmax_t)events->refused, (uintmax_t)events->lost,
	       (uintmax_t)events->pmes, (uintmax_t)events->pmes_again,
	       (uintmax_t)events->notifies);
	printf("count: entries=%ju refusals=%ju wakes_unknown=%ju wakes_own=%ju losses=%ju\n",
	       (uintmax_t)total.entries, (uintmax_t)total.refusals, (uintmax_t)total.wakes,
	       (uintmax_t)total.own_wakes, (uintmax_t)total.losses);
}

void result_judge(struct result *result)
{
	printf("guest:%s\n", result->guest);
	print_events(&result->events);
	judge_ends(result);
	compare_guest(result);
	compare_rest(result);
}
