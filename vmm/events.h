/*
 * The event log: one JSON object per line for every transition of power and of the machine, for
 * people and programs (option --events). Thread-safe; a line is written whole.
 *
 * Keys: t_us (microseconds of CLOCK_MONOTONIC since the program started), event, device, from, to,
 * cause, errno (name, as "ENOTTY"), latency_us, detail, and numbers under keys of the event's own.
 * Only those that apply are present.
 */
#ifndef VMM_EVENTS_H
#define VMM_EVENTS_H

#include <stdint.h>

/* One more number of an event, under a key of its own. */
struct event_number {
	const char *key;
	uint64_t value;
};

struct event {
	const char *event;  /* mandatory: "power", "reset", "pme", "boot", "exit", ... */
	const char *device; /* "0000:01:00.0", or NULL */
	const char *from;
	const char *to;
	const char *cause;
	const char *detail; /* a sentence for people, or NULL */
	int error;          /* negative errno, or 0 */
	uint64_t latency_us; /* of the host's answer; 0: does not apply */
	const struct event_number *number; /* NULL without */
	unsigned int numbers;
};

/*
 * Opens the log: a path (created or truncated), or "-" for standard error. NULL closes it and
 * later events go nowhere. Returns 0 or negative errno.
 */
int events_open(const char *path);

void events_emit(const struct event *event);

#endif
