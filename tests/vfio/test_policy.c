/* What is decided for a slot, from the user's wish, the quirks and what the host offers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "vfio/quirks.h"
#include "vfio/verdict.h"
#include "vfio/vfio.h"
#include "vmm/base/bits.h"

#define VGA 0x030000U
#define AUDIO 0x040300U

/* A card of which no quirk speaks, and its audio: all is possible. */
#define GPU .name = "0000:01:00.0", .vendor = 0x1002, .device = 0x744c, .class = VGA
#define SOUND .name = "0000:01:00.1", .vendor = 0x1002, .device = 0xab30, .class = AUDIO
#define ABLE .has_pm = true, .can_reset = true, .can_slot_reset = true
#define NVIDIA_GPU .name = "0000:01:00.0", .vendor = 0x10de, .device = 0x2684, .class = VGA

static struct policy decide(const struct vfio_slot_config *wish, const struct quirks *quirks,
			    const struct policy_facts *gpu, const struct policy_facts *sound)
{
	const struct policy_facts *const facts[POWER_FUNCTIONS] = {gpu, sound};
	struct policy policy;

	memset(&policy, 0xa5, sizeof(policy));
	policy_decide(wish, quirks, facts, &policy);
	assert_true(policy.power == POLICY_POWER_D3COLD || policy.power == POLICY_POWER_D3HOT ||
		    policy.power == POLICY_POWER_OFF);
	assert_true(policy.reset == POLICY_RESET_FLR || policy.reset == POLICY_RESET_BUS ||
		    policy.reset == POLICY_RESET_NONE);
	assert_non_null(memchr(policy.reasons, '\0', sizeof(policy.reasons)));
	return policy;
}

static void expect_says(const struct policy *policy, const char *what)
{
	if (!strstr(policy->reasons, what))
		fail_msg("'%s' does not say '%s'", policy->reasons, what);
}

static void test_policy_power(void **state)
{
	static const struct {
		enum policy_power wish;
		struct policy_facts gpu, sound;
		enum policy_power power;
		const char *says;
	} cases[] = {
		{0, {GPU, ABLE}, {SOUND, ABLE}, POLICY_POWER_D3COLD,
		 "power=auto: every function has power management, and the host offers low power"},
		{0, {GPU, ABLE}, {SOUND, .has_pm = false}, POLICY_POWER_D3HOT,
		 "no D3cold: function 1: no power management capability"},
		{0, {GPU}, {SOUND}, POLICY_POWER_OFF,
		 "no D3cold: function 0, 1: no power management capability; no D3hot: no function"},
		{0, {GPU, ABLE, .entry_error = -ENOTTY}, {SOUND, ABLE, .entry_error = -ENOTTY},
		 POLICY_POWER_D3HOT,
		 "no D3cold: function 0, 1: the host offers no low power (Linux 6.1 and later do)"},
		{0, {GPU, ABLE}, {SOUND, ABLE, .entry_error = -EIO}, POLICY_POWER_D3HOT,
		 "no D3cold: function 1: the host answers an error"},
		{0, {GPU, .entry_error = -ENOTTY}, {SOUND, ABLE, .entry_error = -ENOTTY},
		 POLICY_POWER_D3HOT, "no D3cold: function 0: no power management capability; "
		 "no D3cold: function 1: the host offers no low power"},
		{0, {GPU, ABLE, .is_external = true}, {SOUND, ABLE}, POLICY_POWER_OFF,
		 "power=off by quirk: a card in an enclosure"},
		{0, {.class = 0x010802, ABLE, .is_external = true}, {SOUND, ABLE},
		 POLICY_POWER_D3HOT, "not D3cold, the card is behind Thunderbolt or removable"},
		{0, {GPU, ABLE, .idle_d3_disabled = true}, {SOUND, ABLE}, POLICY_POWER_D3COLD,
		 "vfio_pci.disable_idle_d3 set: this changes no sleep of the guest, but after"},
		/* the user's word, cut down to what is there */
		{POLICY_POWER_OFF, {GPU, ABLE}, {SOUND, ABLE}, POLICY_POWER_OFF,
		 "power=off as asked"},
		{POLICY_POWER_D3HOT, {GPU, ABLE}, {SOUND, ABLE}, POLICY_POWER_D3HOT,
		 "power=d3hot as asked"},
		{POLICY_POWER_D3HOT, {GPU}, {SOUND}, POLICY_POWER_OFF, "no D3hot"},
		{POLICY_POWER_D3HOT, {GPU}, {SOUND, ABLE}, POLICY_POWER_D3HOT, "as asked"},
		{POLICY_POWER_D3COLD, {GPU, ABLE}, {SOUND, ABLE}, POLICY_POWER_D3COLD,
		 "power=d3cold as asked"},
		{POLICY_POWER_D3COLD, {GPU, ABLE, .is_external = true}, {SOUND, ABLE},
		 POLICY_POWER_D3COLD, "power=d3cold as asked"},
		{POLICY_POWER_D3COLD, {GPU, ABLE, .entry_error = -ENOTTY}, {SOUND, ABLE},
		 POLICY_POWER_D3HOT, "power=d3cold as asked; no D3cold: function 0: the host"},
		{POLICY_POWER_D3COLD, {GPU, .entry_error = -ENOTTY}, {SOUND}, POLICY_POWER_OFF,
		 "power=d3cold as asked; no D3cold"},
		/* plain entries need no wake-up */
		{0, {GPU, ABLE, .wakeup_error = -ENOTTY}, {SOUND, ABLE}, POLICY_POWER_D3COLD,
		 "power=auto"},
		{0, {NVIDIA_GPU, ABLE, .wakeup_error = -ENOTTY}, {SOUND, ABLE}, POLICY_POWER_D3HOT,
		 "no D3cold: function 0: only the guest can put it to sleep again, and the host"},
		/* quirks */
		{0, {GPU, ABLE}, {.vendor = 0x1002, .device = 0x7550, ABLE}, POLICY_POWER_OFF,
		 "power=off by quirk: Radeon RX 9070"},
		{0, {.vendor = 0x10de, .device = 0x1e07, .class = VGA, ABLE}, {SOUND, ABLE},
		 POLICY_POWER_D3HOT, "power=d3hot by quirk: GeForce RTX 2080 Ti"},
		{POLICY_POWER_D3COLD, {.vendor = 0x10de, .device = 0x1e07, .class = VGA, ABLE},
		 {SOUND, ABLE}, POLICY_POWER_D3COLD, "power=d3cold as asked"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct vfio_slot_config wish = {.power = cases[i].wish};
		struct policy policy = decide(&wish, NULL, &cases[i].gpu, &cases[i].sound);

		if (policy.power != cases[i].power || !strstr(policy.reasons, cases[i].says))
			fail_msg("case %zu: power=%s: '%s'", i, policy_power_name(policy.power),
				 policy.reasons);
	}
}

static const struct verdict_lookup test_passed = {
	.use = VERDICT_CURRENT, .verdict = {.date = "2026-11-22T10:11:12Z", .passed = true,
	.cycles = 10, .state = "D3cold", .reason = "D3cold was reached 10 times"},
};
static const struct verdict_lookup test_failed = {
	.use = VERDICT_CURRENT, .verdict = {.date = "2026-11-22T10:11:12Z", .cycles = 2,
	.state = "D3cold", .reason = "cycle 3: it reads as ones"},
};
static const struct verdict_lookup test_stale = {
	.use = VERDICT_STALE, .verdict = {.date = "2026-11-22T10:11:12Z", .cycles = 2,
	.state = "D3cold", .reason = "cycle 3: it reads as ones"}, .why = "it is of another card",
};
static const struct verdict_lookup test_broken = {
	.use = VERDICT_BROKEN, .why = "x.json is not a verdict",
};
static const struct verdict_lookup test_none = {.use = VERDICT_NONE};

static void test_policy_power_test(void **state)
{
	static const struct {
		enum policy_power wish;
		struct policy_facts gpu;
		enum policy_power power;
		const char *says, *silent; /* about that */
	} cases[] = {
		{0, {GPU, ABLE, .power_test = &test_none}, POLICY_POWER_D3COLD, "power=auto: every",
		 "power-test"},
		{0, {GPU, ABLE, .power_test = &test_passed}, POLICY_POWER_D3COLD,
		 "; power-test passed 10 cycles on 2026-11-22, the host reached D3cold", "but"},
		{0, {GPU, ABLE, .power_test = &test_failed}, POLICY_POWER_D3HOT,
		 "power=auto: not D3cold, the power-test of 2026-11-22 failed: cycle 3: it reads "
		 "as ones", "every function"},
		{0, {GPU, .power_test = &test_failed}, POLICY_POWER_OFF,
		 "failed: cycle 3: it reads as ones; no D3hot", "every function"},
		/* of another card or kernel: as if there were none, and said */
		{0, {GPU, ABLE, .power_test = &test_stale}, POLICY_POWER_D3COLD,
		 "; it is of another card: it is not used", "failed"},
		{0, {GPU, ABLE, .power_test = &test_broken}, POLICY_POWER_D3COLD,
		 "; x.json is not a verdict: it is not used", "failed"},
		/* the user's word */
		{POLICY_POWER_D3COLD, {GPU, ABLE, .power_test = &test_failed}, POLICY_POWER_D3COLD,
		 "power=d3cold as asked; but the power-test of 2026-11-22 failed: cycle 3", "auto"},
		{POLICY_POWER_D3COLD, {GPU, ABLE, .power_test = &test_passed}, POLICY_POWER_D3COLD,
		 "power=d3cold as asked; power-test passed 10 cycles", "auto"},
		{POLICY_POWER_OFF, {GPU, ABLE, .power_test = &test_passed}, POLICY_POWER_OFF,
		 "power=off as asked", "passed"},
		/* a pass makes nothing possible that a quirk, a rule or the host forbids */
		{0, {.vendor = 0x10de, .device = 0x1e07, .class = VGA, ABLE,
		     .power_test = &test_passed}, POLICY_POWER_D3HOT,
		 "power=d3hot by quirk: GeForce RTX 2080 Ti", "passed"},
		{0, {.class = 0x010802, ABLE, .is_external = true, .power_test = &test_passed},
		 POLICY_POWER_D3HOT, "not D3cold, the card is behind Thunderbolt", "passed"},
		{0, {GPU, ABLE, .entry_error = -ENOTTY, .power_test = &test_passed},
		 POLICY_POWER_D3HOT, "no D3cold: function 0: the host offers no low power",
		 "passed"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct vfio_slot_config wish = {.power = cases[i].wish};
		struct policy policy = decide(&wish, NULL, &cases[i].gpu, NULL);

		if (policy.power != cases[i].power || !strstr(policy.reasons, cases[i].says) ||
		    strstr(policy.reasons, cases[i].silent))
			fail_msg("case %zu: power=%s: '%s'", i, policy_power_name(policy.power),
				 policy.reasons);
	}
}

/* It is the slot's, whichever function brings it; a long reason leaves room for others. */
static void test_policy_power_test_of_the_slot(void **state)
{
	const struct vfio_slot_config wish = {0};
	const struct policy_facts gpu = {GPU, ABLE, .idle_d3_disabled = true};
	struct verdict_lookup test = test_failed;
	struct policy_facts sound = {SOUND, ABLE, .power_test = &test};
	struct policy policy;

	(void)state;
	memset(test.verdict.reason, 'x', sizeof(test.verdict.reason) - 1);
	policy = decide(&wish, NULL, &gpu, &sound);
	assert_int_equal(policy.power, POLICY_POWER_D3HOT);
	expect_says(&policy, "failed: xxx");
	expect_says(&policy, "vfio_pci.disable_idle_d3 set");
}

static void test_policy_refuse_errors(void **state)
{
	static const struct policy_facts gpu = {NVIDIA_GPU, ABLE, .wakeup_error = -ENOTTY};
	static const struct policy_facts sound = {SOUND, ABLE, .wakeup_error = -ENOTTY};
	static const struct policy_facts refusing = {
		NVIDIA_GPU, ABLE, .entry_error = -EINVAL, .wakeup_error = -ENOTTY,
	};
	const struct vfio_slot_config wish = {.power = POLICY_POWER_D3COLD};
	struct policy policy = decide(&wish, NULL, &gpu, &sound);

	(void)state;
	assert_int_equal(policy.refuse_error[0], -ENOTTY); /* it needs the wake-up */
	assert_int_equal(policy.refuse_error[1], 0);
	assert_int_equal(policy.refuse_error[2], 0);
	policy = decide(&wish, NULL, &refusing, &sound);
	assert_int_equal(policy.refuse_error[0], -EINVAL);
}

static void test_policy_reentry(void **state)
{
	static const struct {
		enum power_reentry wish;
		struct policy_facts gpu;
		enum power_reentry gpu_reentry, sound_reentry;
		const char *says;
	} cases[] = {
		{0, {GPU, ABLE}, 0, 0, ""},
		{POWER_REENTRY_HOST, {GPU, ABLE}, POWER_REENTRY_HOST, POWER_REENTRY_HOST, ""},
		{POWER_REENTRY_GUEST, {GPU, ABLE}, POWER_REENTRY_GUEST, POWER_REENTRY_GUEST, ""},
		{0, {NVIDIA_GPU, ABLE}, POWER_REENTRY_GUEST, 0,
		 "function 0: reentry=guest by quirk: NVIDIA's display function needs its guest"},
		{POWER_REENTRY_GUEST, {NVIDIA_GPU, ABLE}, POWER_REENTRY_GUEST, POWER_REENTRY_GUEST,
		 ""},
		{POWER_REENTRY_HOST, {NVIDIA_GPU, ABLE}, POWER_REENTRY_GUEST, POWER_REENTRY_HOST,
		 "function 0: reentry=host is refused, it is guest: NVIDIA's display function"},
	};
	const struct policy_facts sound = {SOUND, ABLE};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct vfio_slot_config wish = {.reentry = cases[i].wish};
		struct policy policy = decide(&wish, NULL, &cases[i].gpu, &sound);

		assert_int_equal(policy.reentry[0], cases[i].gpu_reentry);
		assert_int_equal(policy.reentry[1], cases[i].sound_reentry);
		expect_says(&policy, cases[i].says);
		if (!*cases[i].says)
			assert_null(strstr(policy.reasons, "reentry"));
	}
}

static void test_policy_reset(void **state)
{
	static const struct {
		enum policy_reset wish;
		bool gpu, sound, slot; /* can be reset */
		enum policy_reset reset;
		bool recover_reset, recover_slot_reset;
		const char *says;
	} cases[] = {
		{POLICY_RESET_AUTO, true, true, true, POLICY_RESET_FLR,
		 true, true, ""},
		{POLICY_RESET_AUTO, true, true, false, POLICY_RESET_FLR,
		 true, false, ""},
		{POLICY_RESET_AUTO, true, false, true, POLICY_RESET_BUS,
		 true, true, "reset=bus: not every function has"},
		{POLICY_RESET_AUTO, false, false, true, POLICY_RESET_BUS,
		 false, true, "reset=bus: not every function has"},
		{POLICY_RESET_AUTO, true, false, false, POLICY_RESET_FLR,
		 true, false, "some functions have no reset"},
		{POLICY_RESET_AUTO, false, false, false, POLICY_RESET_NONE,
		 false, false, "reset=none: the host has no way"},
		{POLICY_RESET_FLR, true, true, true, POLICY_RESET_FLR,
		 true, false, ""},
		{POLICY_RESET_FLR, true, false, true, POLICY_RESET_FLR,
		 true, false, ""},
		{POLICY_RESET_FLR, false, false, true, POLICY_RESET_NONE,
		 false, false, "no reset: no function has one"},
		{POLICY_RESET_BUS, true, true, true, POLICY_RESET_BUS,
		 false, true, ""},
		{POLICY_RESET_BUS, true, true, false, POLICY_RESET_NONE,
		 false, false, "no reset: the host cannot reset the"},
		{POLICY_RESET_NONE, true, true, true, POLICY_RESET_NONE,
		 false, false, ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct vfio_slot_config wish = {.reset = cases[i].wish};
		const struct policy_facts gpu = {
			GPU, .can_reset = cases[i].gpu, .can_slot_reset = cases[i].slot,
		};
		const struct policy_facts sound = {
			SOUND, .can_reset = cases[i].sound, .can_slot_reset = cases[i].slot,
		};
		struct policy policy = decide(&wish, NULL, &gpu, &sound);

		if (policy.reset != cases[i].reset ||
		    policy.recover_reset != cases[i].recover_reset ||
		    policy.recover_slot_reset != cases[i].recover_slot_reset)
			fail_msg("case %zu: %s, recovery %d %d", i,
				 policy_reset_name(policy.reset), policy.recover_reset,
				 policy.recover_slot_reset);
		expect_says(&policy, cases[i].says);
		if (!*cases[i].says)
			assert_null(strstr(policy.reasons, "reset"));
	}
}

static void test_policy_reset_by_quirk(void **state)
{
	static const struct policy_facts polaris = {.vendor = 0x1002, .device = 0x67df, ABLE};
	static const struct policy_facts t4 = {.vendor = 0x10de, .device = 0x1eb8, ABLE};
	static const struct policy_facts sound = {SOUND, ABLE};
	struct vfio_slot_config wish = {.reset = POLICY_RESET_AUTO};
	struct policy policy = decide(&wish, NULL, &polaris, &sound);

	(void)state;
	assert_int_equal(policy.reset, POLICY_RESET_FLR);
	assert_false(policy.recover_slot_reset);
	expect_says(&policy, "reset=flr by quirk: Polaris 10: a bus reset breaks this card");
	policy = decide(&wish, NULL, &t4, &sound);
	assert_int_equal(policy.reset, POLICY_RESET_BUS);
	assert_false(policy.recover_reset);
	wish.reset = POLICY_RESET_BUS;
	policy = decide(&wish, NULL, &polaris, &sound);
	assert_int_equal(policy.reset, POLICY_RESET_BUS);
	assert_null(strstr(policy.reasons, "Polaris"));
}

/* --- with a file of the user's --- */

static struct quirks *load(const char *text)
{
	char path[] = "/tmp/test_policy.XXXXXX", why[256] = "";
	struct quirks *quirks = NULL;
	FILE *file = fdopen(mkstemp(path), "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	if (quirks_create(path, &quirks, why, sizeof(why)))
		fail_msg("%s", why);
	unlink(path);
	return quirks;
}

static void test_policy_file_between_user_and_table(void **state)
{
	static const struct policy_facts gpu = {.vendor = 0x10de, .device = 0x1e07, .class = VGA,
						ABLE};
	static const struct policy_facts sound = {SOUND, ABLE};
	struct quirks *quirks = load("10de:1e07 power=d3cold reset=none \"a good one\"\n");
	struct vfio_slot_config wish = {.power = POLICY_POWER_AUTO};
	struct policy policy = decide(&wish, quirks, &gpu, &sound);

	(void)state;
	assert_int_equal(policy.power, POLICY_POWER_D3COLD);
	assert_int_equal(policy.reset, POLICY_RESET_NONE);
	expect_says(&policy, "power=d3cold by quirk: a good one");
	wish.power = POLICY_POWER_OFF;
	wish.reset = POLICY_RESET_FLR;
	policy = decide(&wish, quirks, &gpu, &sound);
	assert_int_equal(policy.power, POLICY_POWER_OFF);
	assert_int_equal(policy.reset, POLICY_RESET_FLR);
	quirks_destroy(quirks);
}

/* No file makes NVIDIA's display function sleep without its driver. */
static void test_policy_file_does_not_bend_rule_5(void **state)
{
	static const char *const words[] = {"host", "auto"};
	static const struct policy_facts gpu = {NVIDIA_GPU, ABLE};
	static const struct policy_facts sound = {SOUND, ABLE};
	const struct vfio_slot_config wish = {.power = POLICY_POWER_AUTO};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		char line[64], says[64];
		struct quirks *quirks;
		struct policy policy;

		snprintf(line, sizeof(line), "*:* reentry=%s \"mine\"\n", words[i]);
		snprintf(says, sizeof(says), "function 0: reentry=%s is refused", words[i]);
		quirks = load(line);
		policy = decide(&wish, quirks, &gpu, &sound);
		assert_int_equal(policy.reentry[0], POWER_REENTRY_GUEST);
		assert_int_equal(policy.reentry[1], i ? POWER_REENTRY_AUTO : POWER_REENTRY_HOST);
		expect_says(&policy, says);
		quirks_destroy(quirks);
	}
}

/* Eight functions with long reasons: what does not fit is dropped, the first stay. */
static void test_policy_reasons_have_an_end(void **state)
{
	const struct vfio_slot_config wish = {.power = POLICY_POWER_AUTO};
	const struct policy_facts *facts[POWER_FUNCTIONS];
	struct policy_facts fact = {GPU, ABLE};
	struct quirks *quirks;
	struct policy policy;
	char line[256] = "*:* reentry=guest \"";

	(void)state;
	memset(line + strlen(line), 'x', 160);
	strcat(line, "\"\n");
	quirks = load(line);
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		facts[i] = &fact;
	policy_decide(&wish, quirks, facts, &policy);
	assert_int_equal(strlen(policy.reasons), POLICY_REASONS_MAX - 1);
	assert_int_equal(strncmp(policy.reasons, "power=auto: every function", 26), 0);
	quirks_destroy(quirks);
}

/*
 * Over all combinations of two functions: D3cold is decided only where both can enter as they must,
 * each decision has a reason, and a deeper wish never gives a shallower sleep.
 */
static struct policy_facts nth_facts(unsigned int n, bool nvidia)
{
	struct policy_facts facts = {GPU, ABLE};

	if (nvidia)
		facts = (struct policy_facts) {NVIDIA_GPU, ABLE};
	facts.has_pm = n & 1;
	facts.entry_error = n & 2 ? -ENOTTY : 0;
	facts.wakeup_error = n & 4 ? -ENOTTY : 0;
	facts.is_external = n & 8;
	facts.can_reset = n & 16;
	facts.can_slot_reset = n & 32;
	return facts;
}

static void check_pair(const struct policy_facts *first, const struct policy_facts *second)
{
	const struct policy_facts *const facts[] = {first, second};
	enum policy_power last = POLICY_POWER_D3COLD;

	for (unsigned int power = POLICY_POWER_D3COLD; power <= POLICY_POWER_OFF; power++) {
		const struct vfio_slot_config wish = {.power = (enum policy_power)power};
		struct policy policy = decide(&wish, NULL, first, second);

		assert_true(policy.power >= power && policy.power >= last);
		last = policy.power;
	}
	for (unsigned int n = 0; n < 12; n++) {
		const struct vfio_slot_config wish = {
			.power = (enum policy_power)(n / 3), .reentry = (enum power_reentry)(n % 3),
		};
		struct policy policy = decide(&wish, NULL, first, second);

		assert_true(policy.reasons[0]);
		for (unsigned int i = 0; i < 2 && policy.power == POLICY_POWER_D3COLD; i++) {
			assert_true(facts[i]->has_pm && !facts[i]->entry_error);
			assert_false(policy.reentry[i] == POWER_REENTRY_GUEST &&
				     facts[i]->wakeup_error);
			assert_int_equal(policy.refuse_error[i], 0);
		}
		assert_false(policy.reset == POLICY_RESET_FLR && !first->can_reset &&
			     !second->can_reset);
		assert_false(policy.reset == POLICY_RESET_BUS && !first->can_slot_reset &&
			     !second->can_slot_reset);
	}
}

static void test_policy_never_promises_too_much(void **state)
{
	(void)state;
	for (unsigned int n = 0; n < 64 * 64; n++) {
		struct policy_facts first = nth_facts(n % 64, n % 3 == 0);
		struct policy_facts second = nth_facts(n / 64, false);

		check_pair(&first, &second);
	}
}

static void test_policy_names(void **state)
{
	(void)state;
	assert_string_equal(policy_power_name(POLICY_POWER_D3COLD), "d3cold");
	assert_string_equal(policy_power_name(POLICY_POWER_OFF), "off");
	assert_string_equal(policy_reset_name(POLICY_RESET_FLR), "flr");
	assert_string_equal(policy_reset_name(POLICY_RESET_NONE), "none");
	assert_string_equal(policy_reset_name((enum policy_reset)77), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policy_power),
		cmocka_unit_test(test_policy_power_test),
		cmocka_unit_test(test_policy_power_test_of_the_slot),
		cmocka_unit_test(test_policy_refuse_errors),
		cmocka_unit_test(test_policy_reentry),
		cmocka_unit_test(test_policy_reset),
		cmocka_unit_test(test_policy_reset_by_quirk),
		cmocka_unit_test(test_policy_file_between_user_and_table),
		cmocka_unit_test(test_policy_file_does_not_bend_rule_5),
		cmocka_unit_test(test_policy_reasons_have_an_end),
		cmocka_unit_test(test_policy_never_promises_too_much),
		cmocka_unit_test(test_policy_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
