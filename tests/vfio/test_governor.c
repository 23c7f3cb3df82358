/* When a card that is woken again and again is left awake: examples of each rule, and properties
 * that hold for random histories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vfio/governor.h"

#define SECOND 1000ULL
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

static struct governor governor; /* too large for a stack */

static void start(uint32_t min_sleep_s, uint32_t max_wakes_per_hour)
{
	const struct governor_config config = {min_sleep_s, max_wakes_per_hour};

	memset(&governor, 0xa5, sizeof(governor));
	governor_init(&governor, &config);
}

static void sleep_once(uint64_t from, uint64_t to, bool by_guest)
{
	governor_slept(&governor, from);
	governor_woken(&governor, to, by_guest);
}

static void expect_hold(uint64_t now, uint64_t ms, enum governor_rule rule, bool announce)
{
	enum governor_rule got_rule = GOVERNOR_WAKES;
	bool got_announce = !announce;

	assert_int_equal(governor_hold(&governor, now, &got_rule, &got_announce), ms);
	assert_int_equal(got_rule, rule);
	assert_int_equal(got_announce, announce);
}

static void test_governor_allows_what_is_allowed(void **state)
{
	(void)state;
	start(0, 3);
	expect_hold(5, 0, GOVERNOR_NONE, false);
	for (uint64_t i = 0; i < 3; i++)
		sleep_once(i * MINUTE, i * MINUTE + 1, true);
	expect_hold(3 * MINUTE, 0, GOVERNOR_NONE, false);
}

static void test_governor_wakes_in_an_hour(void **state)
{
	(void)state;
	start(0, 3);
	for (uint64_t i = 0; i < 4; i++)
		sleep_once(i * MINUTE, i * MINUTE + 1, i % 2);
	/* Four wakes, the first of them at 1 ms: free again when that one is an hour old. */
	expect_hold(10 * MINUTE, 50 * MINUTE + 1, GOVERNOR_WAKES, true);
	expect_hold(11 * MINUTE, 49 * MINUTE + 1, GOVERNOR_WAKES, false);
	expect_hold(HOUR, 1, GOVERNOR_WAKES, false);
	expect_hold(HOUR + 1, 0, GOVERNOR_NONE, false);
	/* One more is one too many again, and that is a new hold. */
	sleep_once(HOUR + 2, HOUR + 3, false);
	expect_hold(HOUR + 4, MINUTE - 3, GOVERNOR_WAKES, true);
}

static void test_governor_short_sleeps_back_off(void **state)
{
	static const uint64_t backoff[] = {1, 2, 4, 8, 16, 32, 60, 60};
	uint64_t now = HOUR;

	(void)state;
	start(30, 0);
	for (unsigned int i = 0; i < GOVERNOR_SHORT_SLEEPS_MAX - 1; i++) {
		sleep_once(now, now + SECOND, false);
		now += 2 * SECOND;
		expect_hold(now, 0, GOVERNOR_NONE, false);
	}
	for (unsigned int i = 0; i < sizeof(backoff) / sizeof(backoff[0]); i++) {
		sleep_once(now, now + SECOND, false);
		now += SECOND;
		expect_hold(now, backoff[i] * MINUTE, GOVERNOR_SHORT_SLEEPS, true);
		expect_hold(now + SECOND, backoff[i] * MINUTE - SECOND, GOVERNOR_SHORT_SLEEPS,
			    false);
		now += backoff[i] * MINUTE;
		expect_hold(now, 0, GOVERNOR_NONE, false);
	}
	/* A sleep that lasts begins anew. */
	sleep_once(now, now + 30 * SECOND, false);
	now += MINUTE;
	for (unsigned int i = 0; i < GOVERNOR_SHORT_SLEEPS_MAX; i++) {
		expect_hold(now, 0, GOVERNOR_NONE, false);
		sleep_once(now, now + 30 * SECOND - 1, false);
		now += 30 * SECOND - 1;
	}
	expect_hold(now, MINUTE, GOVERNOR_SHORT_SLEEPS, true);
}

static void test_governor_guest_may_be_brief(void **state)
{
	(void)state;
	start(30, 0);
	for (uint64_t i = 0; i < 100; i++) {
		expect_hold(i * SECOND, 0, GOVERNOR_NONE, false);
		sleep_once(i * SECOND, i * SECOND + 1, true);
	}
	/* Nor does it interrupt a row of others. */
	sleep_once(101 * SECOND, 102 * SECOND, false);
	sleep_once(103 * SECOND, 104 * SECOND, false);
	sleep_once(105 * SECOND, 106 * SECOND, true);
	sleep_once(107 * SECOND, 108 * SECOND, false);
	expect_hold(108 * SECOND, MINUTE, GOVERNOR_SHORT_SLEEPS, true);
}

static void test_governor_ignores_what_ends_no_sleep(void **state)
{
	(void)state;
	start(30, 1);
	for (uint64_t i = 0; i < 100; i++)
		governor_woken(&governor, i, false);
	expect_hold(100, 0, GOVERNOR_NONE, false);
	/* Told twice that it sleeps: the first time counts, so this sleep lasted. */
	governor_slept(&governor, 100);
	governor_slept(&governor, 100 + 30 * SECOND - 1);
	governor_woken(&governor, 100 + 30 * SECOND, false);
	governor_woken(&governor, 100 + 30 * SECOND, false);
	assert_int_equal(governor.wakes, 1);
	assert_int_equal(governor.short_sleeps, 0);
}

/* The longer of two holds counts. */
static void test_governor_both_rules(void **state)
{
	(void)state;
	start(30, 2);
	for (uint64_t i = 0; i < 3; i++)
		sleep_once(i * 10, i * 10 + 1, false);
	expect_hold(100, HOUR + 1 - 100, GOVERNOR_WAKES, true);
	start(30, 2);
	sleep_once(0, 1, false);
	for (uint64_t i = 0; i < 2; i++)
		sleep_once(HOUR - 50 + i * 10, HOUR - 45 + i * 10, false);
	expect_hold(HOUR, MINUTE - 35, GOVERNOR_SHORT_SLEEPS, true);
}

static void test_governor_ring_wraps(void **state)
{
	const uint64_t step = HOUR / GOVERNOR_WAKES_MAX; /* exactly as many as are allowed */
	uint64_t now = 0;

	(void)state;
	start(0, GOVERNOR_WAKES_MAX);
	for (unsigned int i = 0; i < 3 * GOVERNOR_WAKES_MAX; i++, now += step) {
		expect_hold(now, 0, GOVERNOR_NONE, false);
		sleep_once(now, now, false);
	}
	sleep_once(now - 1, now - 1, false); /* one more within the hour */
	expect_hold(now - 1, 1, GOVERNOR_WAKES, true);
	expect_hold(now, 0, GOVERNOR_NONE, false);
}

/* --- random histories --- */

static uint32_t seed;

static uint32_t pick(uint32_t below)
{
	seed = seed * 1664525U + 1013904223U;
	return (seed >> 8) % below;
}

/* Some time passes: from nothing to two hours, most often little. */
static uint64_t pass(void)
{
	static const uint32_t most[] = {1, 100, 2000, 60000, 7200000};

	return pick(most[pick(5)] + 1);
}

static void test_governor_never_holds_without_limits(void **state)
{
	uint64_t now = 0;

	(void)state;
	seed = 1;
	start(0, 0);
	for (unsigned int i = 0; i < 20000; i++) {
		now += pass();
		expect_hold(now, 0, GOVERNOR_NONE, false);
		sleep_once(now, now + pass(), pick(2));
	}
}

#define HISTORY 3000U

static unsigned int count_after(const uint64_t *times, unsigned int count, uint64_t start)
{
	unsigned int found = 0;

	while (count-- && times[count] > start)
		found++;
	return found;
}

/* A hold is told once, ends after the time it named, and not before; and whoever asks before each
 * sleep is never woken more often in an hour than allowed, and once. */
static void check_history(uint32_t min_sleep_s, uint32_t max_wakes)
{
	static uint64_t woken[HISTORY];
	unsigned int wakes = 0;
	uint64_t now = 2 * HOUR, told_until = 0;

	start(min_sleep_s, max_wakes);
	for (unsigned int i = 0; i < HISTORY; i++) {
		enum governor_rule rule, again;
		bool announce, twice;
		uint64_t hold;

		now += pass();
		hold = governor_hold(&governor, now, &rule, &announce);
		assert_int_equal(hold != 0, rule != GOVERNOR_NONE);
		if (!hold) {
			assert_true(!announce && now >= told_until);
			governor_slept(&governor, now);
			now += pass();
			governor_woken(&governor, now, pick(2));
			woken[wakes++] = now;
			assert_true(!max_wakes ||
				    count_after(woken, wakes, now - HOUR) <= max_wakes + 1);
			continue;
		}
		assert_true(hold <= HOUR);
		assert_int_equal(announce, now >= told_until);
		assert_true(announce || now + hold == told_until);
		told_until = now + hold;
		assert_int_equal(governor_hold(&governor, told_until - 1, &again, &twice), 1);
		assert_true(again == rule && !twice);
		/* What ends no sleep changes nothing. */
		governor_woken(&governor, now, false);
		assert_int_equal(governor_hold(&governor, now, &again, &twice), hold);
	}
}

static void test_governor_holds_as_long_as_it_says(void **state)
{
	(void)state;
	for (uint32_t round = 1; round <= 60; round++) {
		seed = round;
		check_history(pick(2) ? pick(120) : 0, pick(2) ? pick(40) : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_governor_allows_what_is_allowed),
		cmocka_unit_test(test_governor_wakes_in_an_hour),
		cmocka_unit_test(test_governor_short_sleeps_back_off),
		cmocka_unit_test(test_governor_guest_may_be_brief),
		cmocka_unit_test(test_governor_ignores_what_ends_no_sleep),
		cmocka_unit_test(test_governor_both_rules),
		cmocka_unit_test(test_governor_ring_wraps),
		cmocka_unit_test(test_governor_never_holds_without_limits),
		cmocka_unit_test(test_governor_holds_as_long_as_it_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
