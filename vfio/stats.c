#include "vfio/stats.h"

#include <errno.h>
#include <stdio.h>

#include "vmm/base/bits.h"
#include "vmm/events.h"

#define ERRNO_OTHERS (STATS_ERRNOS - 1) /* the place of those that found none */
#define KEY_MAX 24
#define NUMBERS_MAX 36U

/* Microseconds below which bucket `i` counts. */
static uint64_t bucket_end(unsigned int i)
{
	return 1000ULL << i;
}

static void histogram_add(struct stats_histogram *histogram, uint64_t us)
{
	unsigned int i = 0;

	while (i < STATS_BUCKETS - 1 && us >= bucket_end(i))
		i++;
	histogram->bucket[i]++;
	histogram->sum_us += us;
}

static void count_refusal(struct power_stats *stats, int error)
{
	unsigned int i = 0;

	while (i < ERRNO_OTHERS && stats->refused[i].error && stats->refused[i].error != error)
		i++;
	if (i < ERRNO_OTHERS)
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

/* --- the event --- */

/* The numbers that are not 0, with names of their own where these are made up. */
struct numbers {
	struct event_number number[NUMBERS_MAX];
	char key[NUMBERS_MAX][KEY_MAX];
	unsigned int count;
};

static void add(struct numbers *numbers, const char *prefix, const char *name, uint64_t value)
{
	char *key;

	if (!value || numbers->count == NUMBERS_MAX)
		return;
	key = numbers->key[numbers->count];
	snprintf(key, KEY_MAX, "%s%s", prefix, name);
	numbers->number[numbers->count++] = (struct event_number) {key, value};
}

static void add_refusals(struct numbers *numbers, const struct power_stats *stats)
{
	static const struct {
		int error;
		const char *name;
	} names[] = {
		{-EIO, "eio"},       {-EINVAL, "einval"}, {-ENOTTY, "enotty"}, {-ENODEV, "enodev"},
		{-EBUSY, "ebusy"},   {-EPERM, "eperm"},   {-EACCES, "eacces"}, {-ENOMEM, "enomem"},
		{-EAGAIN, "eagain"}, {-EINTR, "eintr"},   {-ETIMEDOUT, "etimedout"},
	};

	for (unsigned int i = 0; i < STATS_ERRNOS; i++) {
		char text[KEY_MAX / 2];
		const char *name = text;

		snprintf(text, sizeof(text), "%d", -stats->refused[i].error);
		for (size_t k = 0; k < ARRAY_SIZE(names); k++)
			if (names[k].error == stats->refused[i].error)
				name = names[k].name;
		add(numbers, "refused_", i == ERRNO_OTHERS ? "others" : name,
		    stats->refused[i].count);
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
			return i == STATS_BUCKETS - 1 ? 0 : bucket_end(i);
	}
	return counted ? bucket_end(0) : 0;
}

static void add_histogram(struct numbers *numbers, const char *prefix,
			  const struct stats_histogram *histogram)
{
	add(numbers, prefix, "_us_sum", histogram->sum_us);
	add(numbers, prefix, "_us_p50", percentile(histogram, 50));
	add(numbers, prefix, "_us_p99", percentile(histogram, 99));
}

void stats_emit(const char *device, const struct power_stats *stats)
{
	struct numbers numbers = {.count = 0};
	struct event event = {.event = "counters", .device = device, .number = numbers.number};

	add(&numbers, "entries", "", stats->entries);
	add(&numbers, "refusals", "", stats->refusals);
	add_refusals(&numbers, stats);
	for (unsigned int i = 0; i < POWER_CAUSES; i++)
		add(&numbers, "wakes_", power_cause_name((enum power_cause)i), stats->wakes[i]);
	add(&numbers, "losses", "", stats->losses);
	add(&numbers, "recoveries", "", stats->recoveries);
	add(&numbers, "engaged_us", "", stats->engaged_us);
	add(&numbers, "suspended_us", "", stats->suspended_us);
	add_histogram(&numbers, "entry", &stats->entry);
	add_histogram(&numbers, "exit", &stats->exit);
	event.numbers = numbers.count;
	events_emit(&event);
}
