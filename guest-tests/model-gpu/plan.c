/* Plans of the guest: plan.h. */
#include "guest-tests/model-gpu/plan.h"

#include "guest-tests/model-gpu/control.h"

static bool enabled;
static bool stale_signal[FUNCTIONS_MAX]; /* of the sleep that is going on */

bool plan_command(struct request *request)
{
	const char *word = request->word[0];

	if (!word || (strcmp(word, "on") && strcmp(word, "off")))
		return fail(request, "on or off?");
	enabled = !strcmp(word, "on");
	return true;
}

void plan_entry(struct function *fn, enum wake_arm *wake, uint64_t *after_us, int *refuse)
{
	static const enum wake_arm arms[] = {
		[PLAN_WAKE_BEFORE_ANSWER] = WAKE_BEFORE_ANSWER,
		[PLAN_WAKE_IN_ENTRY] = WAKE_IN_ENTRY,
		[PLAN_WAKE_AFTER] = WAKE_AFTER,
	};
	uint32_t word = fn->registers.scratch, kind = PLAN_KIND(word);

	if (!enabled)
		return;
	if ((word & PLAN_MAGIC_MASK) != PLAN_MAGIC)
		word = kind = PLAN_NOTHING;
	fn->faults.resume_delay_us = PLAN_RESUME_MS(word) * 1000ULL;
	stale_signal[fn->number] = kind == PLAN_STALE_SIGNAL;
	if (kind == PLAN_REFUSE)
		*refuse = (int)PLAN_VALUE(word);
	if (kind < sizeof(arms) / sizeof(arms[0]) && arms[kind] != WAKE_NOT_ARMED) {
		*wake = arms[kind];
		*after_us = PLAN_VALUE(word);
	}
}

bool plan_exit(struct function *fn)
{
	bool stale = stale_signal[fn->number];

	stale_signal[fn->number] = false;
	return stale;
}
