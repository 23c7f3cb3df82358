/* The counters, and the event that they become. */
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

#include "vfio/stats.h"
#include "vmm/base/bits.h"
#include "vmm/events.h"

static void test_stats_buckets(void **state)
{
	static const struct {
		uint64_t us;
		unsigned int bucket;
	} cases[] = {
		{0, 0}, {1000, 0}, {1001, 1}, {2000, 1}, {2001, 2}, {4000, 2}, {4001, 3},
		{1024000, 10}, {1024001, 11}, {32768000, 15}, {32768001, 16}, {UINT64_MAX, 16},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct power_stats stats = {.entries = 0};

		stats_exit(&stats, cases[i].us);
		stats_entry(&stats, 0, cases[i].us);
		assert_int_equal(stats.exit.bucket[cases[i].bucket], 1);
		assert_int_equal(stats.exit.sum_us, cases[i].us);
		assert_memory_equal(&stats.entry, &stats.exit, sizeof(stats.entry));
	}
}

static void test_stats_entries_and_refusals(void **state)
{
	struct power_stats stats = {.entries = 0};

	(void)state;
	stats_entry(&stats, 0, 5);
	stats_entry(&stats, -EIO, 70);
	stats_entry(&stats, -EINVAL, 70);
	stats_entry(&stats, -EIO, 70);
	assert_int_equal(stats.entries, 1);
	assert_int_equal(stats.entry.sum_us, 5); /* a refusal is no entry */
	assert_int_equal(stats.refusals, 3);
	assert_int_equal(stats.refused[0].error, -EIO);
	assert_int_equal(stats.refused[0].count, 2);
	assert_int_equal(stats.refused[1].error, -EINVAL);
	assert_int_equal(stats.refused[1].count, 1);
	assert_int_equal(stats.refused[2].count, 0);
}

static void test_stats_more_errnos_than_places(void **state)
{
	struct power_stats stats = {.entries = 0};

	(void)state;
	for (int error = 1; error <= 20; error++)
		stats_entry(&stats, -error, 0);
	stats_entry(&stats, -1, 0);
	assert_int_equal(stats.refusals, 21);
	assert_int_equal(stats.refused[0].count, 2);
	assert_int_equal(stats.refused[STATS_ERRNOS - 2].count, 1);
	assert_int_equal(stats.refused[STATS_ERRNOS - 1].error, 0);
	assert_int_equal(stats.refused[STATS_ERRNOS - 1].count, 20 - (STATS_ERRNOS - 1));
}

static void test_stats_wakes_and_sleeps(void **state)
{
	struct power_stats stats = {.entries = 0};

	(void)state;
	stats_wake(&stats, POWER_CAUSE_PME);
	stats_wake(&stats, POWER_CAUSE_PME);
	stats_wake(&stats, POWER_CAUSE_OWN);
	stats_slept(&stats, 100, 60);
	stats_slept(&stats, 10, 0);
	assert_int_equal(stats.wakes[POWER_CAUSE_PME], 2);
	assert_int_equal(stats.wakes[POWER_CAUSE_OWN], 1);
	assert_int_equal(stats.wakes[POWER_CAUSE_HOST], 0);
	assert_int_equal(stats.engaged_us, 110);
	assert_int_equal(stats.suspended_us, 60);
}

/* --- the event --- */

static void emit(const struct power_stats *stats, char *line, size_t size)
{
	char path[] = "/tmp/test_stats.XXXXXX";
	FILE *file;

	close(mkstemp(path));
	assert_int_equal(events_open(path), 0);
	stats_emit("0000:01:00.0", stats);
	events_open(NULL);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(line, (int)size, file));
	assert_int_equal(fgetc(file), EOF);
	fclose(file);
	unlink(path);
}

static void test_stats_event_of_nothing(void **state)
{
	const struct power_stats stats = {.entries = 0};
	char line[2048];

	(void)state;
	emit(&stats, line, sizeof(line));
	assert_non_null(strstr(line, ",\"event\":\"counters\",\"device\":\"0000:01:00.0\"}\n"));
}

static void test_stats_event_numbers(void **state)
{
	struct power_stats stats = {.losses = 1, .recoveries = 2};
	char line[2048];

	(void)state;
	/* Half of the entries below 1 ms, most below 4 ms, one of a hundred not. */
	for (unsigned int i = 0; i < 100; i++)
		stats_entry(&stats, 0, i < 50 ? 500 : i < 99 ? 3000 : 5000000);
	stats_entry(&stats, -EIO, 0);
	stats_entry(&stats, -ENOTTY, 0);
	stats_entry(&stats, -ENOTTY, 0);
	stats_entry(&stats, -EXDEV, 0);
	stats_exit(&stats, 40000000);
	stats_wake(&stats, POWER_CAUSE_HOST);
	stats_wake(&stats, POWER_CAUSE_UNKNOWN);
	stats_slept(&stats, 123456, 0);
	emit(&stats, line, sizeof(line));
	assert_non_null(strstr(line, "\"device\":\"0000:01:00.0\",\"entries\":100,\"refusals\":4,"
			       "\"refused_eio\":1,\"refused_enotty\":2,\"refused_18\":1,"
			       "\"wakes_host\":1,\"wakes_unknown\":1,\"losses\":1,\"recoveries\":2,"
			       "\"engaged_us\":123456,\"entry_us_sum\":5172000,"
			       "\"entry_us_p50\":1000,\"entry_us_p99\":4000,"
			       "\"exit_us_sum\":40000000}\n"));
}

/* Every counter at the most that years of running could give: the line is whole. */
static void test_stats_event_fits_in_a_line(void **state)
{
	struct power_stats stats = {
		.entries = UINT32_MAX, .refusals = UINT32_MAX, .losses = UINT32_MAX,
		.recoveries = UINT32_MAX, .engaged_us = 1ULL << 53, .suspended_us = 1ULL << 53,
	};
	char line[2048];

	(void)state;
	for (int error = 0; error < (int)STATS_ERRNOS; error++)
		stats_entry(&stats, -ETIMEDOUT - error, 0);
	for (unsigned int i = 0; i < STATS_ERRNOS; i++)
		stats.refused[i].count = UINT32_MAX;
	for (unsigned int i = 0; i < POWER_CAUSES; i++)
		stats.wakes[i] = UINT32_MAX;
	stats.entry.bucket[STATS_BUCKETS - 2] = stats.exit.bucket[STATS_BUCKETS - 2] = UINT32_MAX;
	stats.entry.sum_us = stats.exit.sum_us = 1ULL << 53;
	emit(&stats, line, sizeof(line));
	assert_non_null(strstr(line, "\"refused_others\":4294967295"));
	assert_non_null(strstr(line, "\"exit_us_p99\":32768000}\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stats_buckets),
		cmocka_unit_test(test_stats_entries_and_refusals),
		cmocka_unit_test(test_stats_more_errnos_than_places),
		cmocka_unit_test(test_stats_wakes_and_sleeps),
		cmocka_unit_test(test_stats_event_of_nothing),
		cmocka_unit_test(test_stats_event_numbers),
		cmocka_unit_test(test_stats_event_fits_in_a_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
