#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tools/latency.h"

static void test_latency_of_nothing_is_0(void **state)
{
	static const struct latency latency;

	(void)state;
	assert_int_equal(latency_percentile(&latency, 50), 0);
	assert_int_equal(latency_octave(&latency, 10), 0);
}

static void test_latency_of_one_is_itself(void **state)
{
	static const uint64_t values[] = {0, 1, 127, 128, 16251, 999999, 60000000,
					  1ULL << 36, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct latency latency = {.count = 0};

		latency_add(&latency, values[i]);
		assert_true(latency_percentile(&latency, 50) <= values[i]);
		assert_int_equal(latency_percentile(&latency, 100), values[i]);
		assert_int_equal(latency.min_us, values[i]);
		if (values[i] < 1ULL << 35)
			assert_int_equal(latency_percentile(&latency, 1), values[i]);
	}
}

/* No percentile is below the value that was counted, and none more than 1 % above it. */
static void test_latency_percentiles_are_within_a_percent(void **state)
{
	struct latency latency = {.count = 0};

	(void)state;
	for (uint64_t us = 1; us <= 100000; us++)
		latency_add(&latency, us * 7);
	for (unsigned int percent = 1; percent <= 100; percent++) {
		uint64_t right = percent * 7000, us = latency_percentile(&latency, percent);

		assert_true(us >= right && us <= right + right / 100);
	}
}

/* Every value is in the octave that its highest bit names, and the buckets lose none. */
static void test_latency_octaves_hold_all(void **state)
{
	struct latency latency = {.count = 0};
	uint64_t sum = 0;

	(void)state;
	for (unsigned int bit = 0; bit < 35; bit++) {
		latency_add(&latency, 1ULL << bit);
		latency_add(&latency, (2ULL << bit) - 1);
	}
	for (unsigned int octave = 0; octave < 35; octave++) {
		assert_int_equal(latency_octave(&latency, octave), 2);
		sum += latency_octave(&latency, octave);
	}
	assert_int_equal(sum, latency.count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_latency_of_nothing_is_0),
		cmocka_unit_test(test_latency_of_one_is_itself),
		cmocka_unit_test(test_latency_percentiles_are_within_a_percent),
		cmocka_unit_test(test_latency_octaves_hold_all),
	};

	return cmocka_run_group_tests_name("latency", tests, NULL, NULL);
}
