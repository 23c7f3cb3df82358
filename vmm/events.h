/*
 * The event log: one JSON object per line for every transition of power and of the machine, for
 * people and programs (option --events). Thread-safe; a line is written whole.
 *
 * Keys: t_us (microseconds of CLOCK_MONOTONIC since the program started), event, device, id, bdf,
 * from, to, cause, errno (name, as "ENOTTY"), latency_us, detail, and numbers under keys of the
 * event's own. Only those that apply are present.
 */
#ifndef VMM_EVENTS_H
#define VMM_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/event_ring.h"

#define EVENT_LINE_MAX 1024U /* bytes of a line */

/* One more number of an event, under a key of its own. */
struct event_number {
	const char *key;
	uint64_t value;
};

struct event {
	const char *event;  /* mandatory: "power", "reset", "pme", "boot", "exit", ... */
	const char *device; /* "0000:01:00.0", or NULL */
	const char *id;     /* the user's name of what is in a slot, or NULL */
	const char *bdf;    /* the guest's address of it, or NULL */
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

/* --- readers inside the program (the control socket) --- */

/* Keeps the last lines in memory, too, from now on; once. 0, or negative errno. */
int events_keep(void);
/* The end of that. */
void events_drop(void);

/* An eventfd, not blocking, signalled with every line; -1: none are kept. */
int events_fd(void);

/* A reader begins: before the oldest line that is kept, or after the newest. */
struct event_cursor events_oldest(void);
struct event_cursor events_newest(void);

/*
 * The lines from `cursor` on, as many as fit (at least EVENT_LINE_MAX bytes must). Where lines are
 * gone already one line of event "lost" with their number `count` is in their place. Returns the
 * bytes; 0: there is nothing new.
 */
size_t events_read(struct event_cursor *cursor, char *ret_lines, size_t size);

/* The log's clock: its t_us of this moment. */
uint64_t events_now_us(void);
/* t_us of a moment of clock_us(). */
uint64_t events_time_us(uint64_t clock);

#endif
