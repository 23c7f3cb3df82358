#include "vfio/policy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vfio/policy_words.h"
#include "vfio/quirks.h"
#include "vfio/verdict.h"
#include "vfio/vfio.h"

#define LIST_MAX 32
#define TEST_REASON_MAX 160 /* so that other reasons have room, too */

/* All that the decision follows from. */
struct question {
	const struct vfio_slot_config *wish;
	const struct policy_facts *const *facts;
	struct quirk_verdict verdict[POWER_FUNCTIONS]; /* of the functions that exist */
};

/* Adds a reason; what does not fit is dropped. */
static void say(struct policy *policy, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct policy *policy, const char *fmt, ...)
{
	size_t len = strlen(policy->reasons);
	size_t room = sizeof(policy->reasons) - len;
	va_list ap;

	if (len && room > 2) {
		memcpy(policy->reasons + len, "; ", 3);
		len += 2;
		room -= 2;
	}
	va_start(ap, fmt);
	vsnprintf(policy->reasons + len, room, fmt, ap);
	va_end(ap);
}

typedef bool (*fact_fn)(const struct policy_facts *facts);

static bool has_pm(const struct policy_facts *facts)
{
	return facts->has_pm;
}

static bool can_reset(const struct policy_facts *facts)
{
	return facts->can_reset;
}

static bool can_slot_reset(const struct policy_facts *facts)
{
	return facts->can_slot_reset;
}

static bool is_external(const struct policy_facts *facts)
{
	return facts->is_external;
}

static bool idle_d3_disabled(const struct policy_facts *facts)
{
	return facts->idle_d3_disabled;
}

static bool any(const struct question *question, fact_fn fact)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		if (question->facts[i] && fact(question->facts[i]))
			return true;
	return false;
}

static bool all(const struct question *question, fact_fn fact)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		if (question->facts[i] && !fact(question->facts[i]))
			return false;
	return true;
}

/* --- who puts it to sleep again --- */

/* Rule 5 of docs/power.md does not bend: what the built-in table says of it holds against the
 * user's word and file. `*ret_wanted` is what these want. */
static enum power_reentry reentry_of(const struct question *question, unsigned int i,
				     enum power_reentry *ret_wanted)
{
	enum power_reentry wanted = question->wish->reentry;
	struct quirk_verdict built_in;

	quirks_match(NULL, question->facts[i], &built_in);
	*ret_wanted = wanted ? wanted : question->verdict[i].reentry;
	return built_in.reentry == POWER_REENTRY_GUEST ? POWER_REENTRY_GUEST : *ret_wanted;
}

static void decide_reentry(const struct question *question, struct policy *policy)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++) {
		const struct policy_facts *facts = question->facts[i];
		enum power_reentry wanted;

		if (!facts)
			continue;
		policy->reentry[i] = reentry_of(question, i, &wanted);
		policy->refuse_error[i] = facts->entry_error;
		if (!facts->entry_error && policy->reentry[i] == POWER_REENTRY_GUEST)
			policy->refuse_error[i] = facts->wakeup_error;
	}
}

static void explain_reentry(const struct question *question, struct policy *policy)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++) {
		struct quirk_verdict built_in;
		enum power_reentry wanted;

		if (!question->facts[i])
			continue;
		quirks_match(NULL, question->facts[i], &built_in);
		if (reentry_of(question, i, &wanted) != wanted)
			say(policy, "function %u: reentry=%s is refused, it is guest: %s", i,
			    policy_words[POLICY_KEY_REENTRY].word[wanted],
			    built_in.reentry_reason);
		else if (!question->wish->reentry && wanted)
			say(policy, "function %u: reentry=%s by quirk: %s", i,
			    policy_words[POLICY_KEY_REENTRY].word[wanted],
			    question->verdict[i].reentry_reason);
	}
}

/* --- how deep it sleeps --- */

/* What keeps a function, and so the slot, out of D3cold; NULL: nothing. */
static const char *obstacle_of(const struct policy_facts *facts, int refuse_error)
{
	if (!facts->has_pm)
		return "no power management capability";
	if (facts->entry_error == -ENOTTY)
		return "the host offers no low power (Linux 6.1 and later do)";
	if (facts->entry_error)
		return "the host answers an error when asked for low power";
	if (refuse_error)
		return "only the guest can put it to sleep again, and the host offers no low power "
		       "with wake-up";
	return NULL;
}

/* Says each obstacle once, with the functions that have it. */
static bool is_obstructed(const struct question *question, struct policy *policy)
{
	const char *obstacle[POWER_FUNCTIONS] = {NULL};
	bool found = false;

	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		if (question->facts[i])
			obstacle[i] = obstacle_of(question->facts[i], policy->refuse_error[i]);
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++) {
		const char *text = obstacle[i];
		char list[LIST_MAX];
		size_t len = 0;

		if (!text)
			continue;
		for (unsigned int k = i; k < POWER_FUNCTIONS; k++) {
			if (obstacle[k] != text)
				continue;
			len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%u",
						len ? ", " : "", k);
			obstacle[k] = NULL;
		}
		say(policy, "no D3cold: function %s: %s", list, text);
		found = true;
	}
	return found;
}

/* The shallowest that a quirk of any function asks for: they sleep together. */
static enum policy_power power_by_quirk(const struct question *question, struct policy *policy)
{
	const struct quirk_verdict *strictest = NULL;

	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		if (question->facts[i] && question->verdict[i].power &&
		    (!strictest || question->verdict[i].power > strictest->power))
			strictest = &question->verdict[i];
	if (!strictest)
		return POLICY_POWER_AUTO;
	say(policy, "power=%s by quirk: %s", policy_power_name(strictest->power),
	    strictest->power_reason);
	return strictest->power;
}

/* What a power test of the slot found; NULL: nobody looked, or there was none. */
static const struct verdict_lookup *power_test(const struct question *question)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++) {
		const struct policy_facts *facts = question->facts[i];

		if (facts && facts->power_test && facts->power_test->use != VERDICT_NONE)
			return facts->power_test;
	}
	return NULL;
}

static bool test_failed(const struct question *question)
{
	const struct verdict_lookup *test = power_test(question);

	return test && test->use == VERDICT_CURRENT && !test->verdict.passed;
}

static void say_test_failed(const struct question *question, struct policy *policy,
			    const char *then)
{
	const struct verdict *verdict = &power_test(question)->verdict;

	say(policy, "%sthe power-test of %.10s failed: %.*s", then, verdict->date, TEST_REASON_MAX,
	    verdict->reason);
}

/* Of a test that does not cut: that D3cold is to be had all the same, that it was seen to work, or
 * why it is not looked at. */
static void explain_test(const struct question *question, struct policy *policy)
{
	const struct verdict_lookup *test = power_test(question);

	if (!test)
		return;
	if (test->use != VERDICT_CURRENT)
		say(policy, "%s: it is not used", test->why);
	else if (!test->verdict.passed)
		say_test_failed(question, policy, "but ");
	else
		say(policy, "power-test passed %u cycles on %.10s, the host reached %s",
		    test->verdict.cycles, test->verdict.date, test->verdict.state);
}

/* Before what is possible is looked at. */
static enum policy_power wanted_power(const struct question *question, struct policy *policy,
				      bool *ret_auto)
{
	enum policy_power power = question->wish->power;

	*ret_auto = false;
	if (power) {
		say(policy, "power=%s as asked", policy_power_name(power));
		return power;
	}
	power = power_by_quirk(question, policy);
	if (power)
		return power;
	if (any(question, is_external)) {
		say(policy, "power=auto: not D3cold, the card is behind Thunderbolt or removable");
		return POLICY_POWER_D3HOT;
	}
	if (test_failed(question)) {
		say_test_failed(question, policy, "power=auto: not D3cold, ");
		return POLICY_POWER_D3HOT;
	}
	*ret_auto = true;
	return POLICY_POWER_D3COLD;
}

static void decide_power(const struct question *question, struct policy *policy)
{
	bool is_auto;
	enum policy_power power = wanted_power(question, policy, &is_auto);

	if (power == POLICY_POWER_D3COLD && is_obstructed(question, policy))
		power = POLICY_POWER_D3HOT;
	else if (is_auto)
		say(policy, "power=auto: every function has power management, and the host offers "
			    "low power for it");
	if (power == POLICY_POWER_D3COLD)
		explain_test(question, policy);
	if (power == POLICY_POWER_D3HOT && !any(question, has_pm)) {
		say(policy, "no D3hot: no function has power management");
		power = POLICY_POWER_OFF;
	}
	if (any(question, idle_d3_disabled))
		say(policy, "the host has vfio_pci.disable_idle_d3 set: this changes no sleep of "
			    "the guest, but after its end the card stays in D0");
	policy->power = power;
}

/* --- how it is reset --- */

/* The user's word, else that of a quirk of the lowest function that has one. */
static enum policy_reset wanted_reset(const struct question *question, struct policy *policy)
{
	if (question->wish->reset)
		return question->wish->reset;
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++) {
		const struct quirk_verdict *verdict = &question->verdict[i];

		if (!question->facts[i] || !verdict->reset)
			continue;
		say(policy, "reset=%s by quirk: %s", policy_reset_name(verdict->reset),
		    verdict->reset_reason);
		return verdict->reset;
	}
	return POLICY_RESET_AUTO;
}

static enum policy_reset reset_by_auto(const struct question *question, struct policy *policy)
{
	if (all(question, can_reset))
		return POLICY_RESET_FLR;
	if (any(question, can_slot_reset)) {
		say(policy, "reset=bus: not every function has a reset of its own");
		return POLICY_RESET_BUS;
	}
	if (any(question, can_reset)) {
		say(policy, "reset=flr: some functions have no reset of their own and keep their "
			    "state, and the host cannot reset the slot");
		return POLICY_RESET_FLR;
	}
	say(policy, "reset=none: the host has no way to reset this card");
	return POLICY_RESET_NONE;
}

static void decide_reset(const struct question *question, struct policy *policy)
{
	enum policy_reset wanted = wanted_reset(question, policy);
	bool by_function = any(question, can_reset), by_slot = any(question, can_slot_reset);

	policy->recover_reset = by_function &&
		(wanted == POLICY_RESET_AUTO || wanted == POLICY_RESET_FLR);
	policy->recover_slot_reset = by_slot &&
		(wanted == POLICY_RESET_AUTO || wanted == POLICY_RESET_BUS);
	policy->reset = wanted == POLICY_RESET_AUTO ? reset_by_auto(question, policy) : wanted;
	if (policy->reset == POLICY_RESET_FLR && !by_function) {
		say(policy, "no reset: no function has one of its own");
		policy->reset = POLICY_RESET_NONE;
	}
	if (policy->reset == POLICY_RESET_BUS && !by_slot) {
		say(policy, "no reset: the host cannot reset the slot");
		policy->reset = POLICY_RESET_NONE;
	}
}

void policy_decide(const struct vfio_slot_config *wish, const struct quirks *quirks,
		   const struct policy_facts *const facts[POWER_FUNCTIONS],
		   struct policy *ret_policy)
{
	struct question question = {.wish = wish, .facts = facts};

	*ret_policy = (struct policy) {.power = POLICY_POWER_AUTO};
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		if (facts[i])
			quirks_match(quirks, facts[i], &question.verdict[i]);
	decide_reentry(&question, ret_policy);
	decide_power(&question, ret_policy);
	decide_reset(&question, ret_policy);
	explain_reentry(&question, ret_policy);
}
