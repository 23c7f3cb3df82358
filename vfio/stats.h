/*
 * The counters of one function's power, for status, metrics and the last line of the event log.
 * Owned by the slot's power thread; others get copies.
 */
#ifndef VFIO_STATS_H
#define VFIO_STATS_H

#include <stdint.h>

#include "vfio/power.h"
#include "vmm/events.h"

/* Latencies: bucket i counts those of up to 1 ms << i; the last one all others (above 32 s). */
#define STATS_BUCKETS 17U
/* Refusals by errno; the last place counts errnos that found no place. */
#define STATS_ERRNOS 8U
#define STATS_OTHERS (STATS_ERRNOS - 1)

struct stats_histogram {
	uint64_t bucket[STATS_BUCKETS];
	uint64_t sum_us;
};

struct power_stats {
	uint64_t entries;                 /* ENTRY that the host accepted */
	uint64_t refusals;
	struct {
		int error;                /* negative errno; 0: free place */
		uint64_t count;
	} refused[STATS_ERRNOS];
	uint64_t wakes[POWER_CAUSES];     /* by cause; POWER_CAUSE_OWN: no wakes, our own */
	uint64_t losses, recoveries;
	uint64_t engaged_us;              /* from ENTRY accepted to EXIT or wake */
	uint64_t suspended_us;            /* of that, really suspended, as far as the host tells */
	struct stats_histogram entry, exit; /* the host's time for them */
};

void stats_entry(struct power_stats *stats, int error, uint64_t host_us);
void stats_exit(struct power_stats *stats, uint64_t host_us);
void stats_wake(struct power_stats *stats, enum power_cause cause);
void stats_slept(struct power_stats *stats, uint64_t engaged_us, uint64_t suspended_us);

/* The end of bucket `i`, in microseconds; the last one has none. */
static inline uint64_t stats_bucket_us(unsigned int i)
{
	return 1000ULL << i;
}

/* The numbers that are not 0, with names of their own where these are made up. */
#define STATS_NUMBERS_MAX 36U
#define STATS_KEY_MAX 24U
struct stats_numbers {
	struct event_number number[STATS_NUMBERS_MAX];
	char key[STATS_NUMBERS_MAX][STATS_KEY_MAX]; /* what the numbers' keys point to */
	unsigned int count;
};

void stats_list(const struct power_stats *stats, struct stats_numbers *ret_numbers);

/* Writes event "counters" of `device`: every number of `stats` that is not 0, `detail` NULL. */
void stats_emit(const char *device, const struct power_stats *stats);

#endif
