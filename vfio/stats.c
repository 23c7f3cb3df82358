#include "vfio/stats.h"

#include <ctype.h>
#include <stdio.h>

#include "vmm/base/errno_name.h"

#define KEY_MAX STATS_KEY_MAX

static void histogram_add(struct stats_histogram *histogram, uint64_t us)
{
	unsigned int i = 0;

	while (i < STATS_BUCKETS - 1 && us > stats_bucket_us(i))
		i++;
	histogram->bucket[i]++;
	histogram->sum_us += us;
}

static void count_refusal(struct power_stats *stats, int error)
{
	unsigned int i = 0;

	while (i < STATS_OTHERS && stats->refused[i].error && stats->refused[i].error != error)
		i++;
	if (i < STATS_OTHERS)
		stats->refused[i].error = error;
	stats->refused[i].count++;
	stats->refusals++;
}

void stats_entry(struct power_stats *stats, int error, uint64_t host_us)
{
	if (error) {
		count_refusal(stats, error);
		return;
	}
	stats->entries++;
	histogram_add(&stats->entry, host_us);
}

void stats_exit(struct power_stats *stats, uint64_t host_us)
{
	histogram_add(&stats->exit, host_us);
}

void stats_wake(struct power_stats *stats, enum power_cause cause)
{
	if ((unsigned int)cause < POWER_CAUSES)
		stats->wakes[cause]++;
}

void stats_slept(struct power_stats *stats, uint64_t engaged_us, uint64_t suspended_us)
{
	stats->engaged_us += engaged_us;
	stats->suspended_us += suspended_us;
}

/* --- as numbers with names --- */

static void add(struct stats_numbers *numbers, const char *prefix, const char *name,
		uint64_t value)
{
	char *key;

	if (!value || numbers->count == STATS_NUMBERS_MAX)
		return;
	key = numbers->key[numbers->count];
	snprintf(key, KEY_MAX, "%s%s", prefix, name);
	numbers->number[numbers->count++] = (struct event_number) {key, value};
}

/* "eio", or the number of one without a name. */
static void lower_name(int error, char *ret_name, size_t size)
{
	const char *name = errno_name(error);
	size_t i = 0;

	if (!name) {
		snprintf(ret_name, size, "%d", -error);
		return;
	}
	for (; name[i] && i < size - 1; i++)
		ret_name[i] = (char)tolower((unsigned char)name[i]);
	ret_name[i] = '\0';
}

static void add_refusals(struct stats_numbers *numbers, const struct power_stats *stats)
{
	for (unsigned int i = 0; i < STATS_ERRNOS; i++) {
		char name[KEY_MAX / 2] = "others";

		if (i != STATS_OTHERS)
			lower_name(stats->refused[i].error, name, sizeof(name));
		add(numbers, "refused_", name, stats->refused[i].count);
	}
}

/* An upper bound of `percent` of those counted: the end of a bucket. 0: none was counted, or there
 * is no bound. */
static uint64_t percentile(const struct stats_histogram *histogram, unsigned int percent)
{
	uint64_t above = 0, counted = 0;

	for (unsigned int i = 0; i < STATS_BUCKETS; i++)
		counted += histogram->bucket[i];
	/* From the top: may the values of this bucket be left out, too? */
	for (unsigned int i = STATS_BUCKETS - 1; i > 0; i--) {
		above += histogram->bucket[i];
		if (above > counted * (100 - percent) / 100)
			return i == STATS_BUCKETS - 1 ? 0 : stats_bucket_us(i);
	}
	return counted ? stats_bucket_us(0) : 0;
}

static void add_histogram(struct stats_numbers *numbers, const char *prefix,
			  const struct stats_histogram *histogram)
{
	add(numbers, prefix, "_us_sum", histogram->sum_us);
	add(numbers, prefix, "_us_p50", percentile(histogram, 50));
	add(numbers, prefix, "_us_p99", percentile(histogram, 99));
}

void stats_list(const struct power_stats *stats, struct stats_numbers *ret_numbers)
{
	ret_numbers->count = 0;
	add(ret_numbers, "entries", "", stats->entries);
	add(ret_numbers, "refusals", "", stats->refusals);
	add_refusals(ret_numbers, stats);
	for (unsigned int i = 0; i < POWER_CAUSES; i++)
		add(ret_numbers, "wakes_", power_cause_name((enum power_cause)i), stats->wakes[i]);
	add(ret_numbers, "losses", "", stats->losses);
	add(ret_numbers, "recoveries", "", stats->recoveries);
	add(ret_numbers, "engaged_us", "", stats->engaged_us);
	add(ret_numbers, "suspended_us", "", stats->suspended_us);
	add_histogram(ret_numbers, "entry", &stats->entry);
	add_histogram(ret_numbers, "exit", &stats->exit);
}

void stats_emit(const char *device, const struct power_stats *stats)
{
	struct stats_numbers numbers;

	stats_list(stats, &numbers);
	events_emit(&(struct event) {
		.event = "counters", .device = device, .number = numbers.number,
		.numbers = numbers.count,
	});
}
