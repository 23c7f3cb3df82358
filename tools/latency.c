#include "tools/latency.h"

#include "vmm/base/bits.h"

#define FINE (1U << LATENCY_FINE_BITS)

/* Values below FINE have a bucket each; an octave above it has FINE of them. */
static unsigned int bucket_of(uint64_t us)
{
	unsigned int octave = us < FINE ? 0 : 64 - LATENCY_FINE_BITS -
					      (unsigned int)__builtin_clzll(us);

	if (octave >= LATENCY_OCTAVES)
		return LATENCY_BUCKETS - 1;
	return octave ? (octave << LATENCY_FINE_BITS) + (unsigned int)(us >> (octave - 1)) - FINE
		      : (unsigned int)us;
}

/* The smallest value of a bucket. */
static uint64_t bucket_start(unsigned int i)
{
	unsigned int octave = i >> LATENCY_FINE_BITS;

	return octave ? (uint64_t)(FINE + i % FINE) << (octave - 1) : i;
}

void latency_add(struct latency *latency, uint64_t us)
{
	if (!latency->count || us < latency->min_us)
		latency->min_us = us;
	if (us > latency->max_us)
		latency->max_us = us;
	latency->bucket[bucket_of(us)]++;
	latency->count++;
}

uint64_t latency_percentile(const struct latency *latency, unsigned int percent)
{
	uint64_t wanted = (latency->count * percent + 99) / 100, seen = 0, us;

	if (!latency->count || percent >= 100)
		return latency->max_us;
	for (unsigned int i = 0; i < LATENCY_BUCKETS; i++) {
		seen += latency->bucket[i];
		if (seen < wanted)
			continue;
		us = bucket_start(i + 1) - 1;
		return us < latency->max_us ? us : latency->max_us;
	}
	return latency->max_us;
}

uint64_t latency_octave(const struct latency *latency, unsigned int octave)
{
	uint64_t from = octave ? 1ULL << octave : 0, to = 2ULL << octave, count = 0;

	for (unsigned int i = bucket_of(from); i < bucket_of(to); i++)
		count += latency->bucket[i];
	return count;
}
