/*
 * The last lines of the event log, kept in memory for readers who come later or read slowly. Pure:
 * vmm/events.c has the lock. Nobody waits for a reader: the oldest lines make room for new ones,
 * and a reader who was too late learns how many it missed.
 */
#ifndef VMM_EVENT_RING_H
#define VMM_EVENT_RING_H

#include <stddef.h>
#include <stdint.h>

#define EVENT_RING_SIZE 65536U

/* All zero at the start. Positions count every byte ever written, lines every line. */
struct event_ring {
	char bytes[EVENT_RING_SIZE];
	uint64_t start, end;        /* positions: [start, end) is kept, whole lines */
	uint64_t first_line;        /* number of the line at `start` */
	uint64_t next_line;         /* ... of the one that comes at `end` */
};

/* Where a reader is: before the line at `at`, which has number `line`. */
struct event_cursor {
	uint64_t at, line;
};

/* Adds a line, its newline included; at most half of the ring. */
void event_ring_add(struct event_ring *ring, const char *line, size_t len);

struct event_cursor event_ring_oldest(const struct event_ring *ring);
struct event_cursor event_ring_newest(const struct event_ring *ring); /* after the last line */

/* How many lines the reader missed; it is then before the oldest that is left. */
uint64_t event_ring_skip_lost(const struct event_ring *ring, struct event_cursor *cursor);

/* As many whole lines as fit, none of them lost. Returns their bytes. */
size_t event_ring_read(const struct event_ring *ring, struct event_cursor *cursor,
		       char *ret_lines, size_t size);

#endif
