#include "vmm/event_ring.h"

#include <assert.h>

static char at(const struct event_ring *ring, uint64_t position)
{
	return ring->bytes[position % EVENT_RING_SIZE];
}

/* The position after the line that begins at `position`. */
static uint64_t line_end(const struct event_ring *ring, uint64_t position)
{
	while (at(ring, position) != '\n')
		position++;
	return position + 1;
}

void event_ring_add(struct event_ring *ring, const char *line, size_t len)
{
	assert(len && len <= EVENT_RING_SIZE / 2 && line[len - 1] == '\n');
	while (ring->end - ring->start > EVENT_RING_SIZE - len) {
		ring->start = line_end(ring, ring->start);
		ring->first_line++;
	}
	for (size_t i = 0; i < len; i++)
		ring->bytes[(ring->end + i) % EVENT_RING_SIZE] = line[i];
	ring->end += len;
	ring->next_line++;
}

struct event_cursor event_ring_oldest(const struct event_ring *ring)
{
	return (struct event_cursor){ring->start, ring->first_line};
}

struct event_cursor event_ring_newest(const struct event_ring *ring)
{
	return (struct event_cursor){ring->end, ring->next_line};
}

uint64_t event_ring_skip_lost(const struct event_ring *ring, struct event_cursor *cursor)
{
	uint64_t lost = 0;

	if (cursor->at < ring->start) {
		lost = ring->first_line - cursor->line;
		*cursor = event_ring_oldest(ring);
	}
	return lost;
}

size_t event_ring_read(const struct event_ring *ring, struct event_cursor *cursor,
		       char *ret_lines, size_t size)
{
	size_t len = 0;

	assert(cursor->at >= ring->start && cursor->at <= ring->end);
	while (cursor->at < ring->end) {
		uint64_t end = line_end(ring, cursor->at);

		if (end - cursor->at > size - len)
			break;
		while (cursor->at < end)
			ret_lines[len++] = at(ring, cursor->at++);
		cursor->line++;
	}
	return len;
}
