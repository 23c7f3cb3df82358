/*
 * Latencies, counted in buckets whose width is below 1 % of the value, however many there are.
 */
#ifndef TOOLS_LATENCY_H
#define TOOLS_LATENCY_H

#include <stdint.h>

#define LATENCY_FINE_BITS 7U
#define LATENCY_OCTAVES 30U /* above 19 hours all are one */
#define LATENCY_BUCKETS (LATENCY_OCTAVES << LATENCY_FINE_BITS)

/* Starts as {0}. */
struct latency {
	uint32_t bucket[LATENCY_BUCKETS];
	uint64_t count, min_us, max_us;
};

void latency_add(struct latency *latency, uint64_t us);

/* What `percent` (1 to 100) of them do not exceed; 0 without any. */
uint64_t latency_percentile(const struct latency *latency, unsigned int percent);

/* How many were in [1 << octave, 2 << octave) us; those below 1 us are in octave 0. */
uint64_t latency_octave(const struct latency *latency, unsigned int octave);

#endif
