/*
 * Lists of spans and marks whose length is bounded by what a picture can show.
 *
 * After a merge with cells of width w two neighbouring spans are together wider than w, so there
 * are at most 2 * range / w + 1 of them; marks of a kind are w apart. Both limits below are more
 * than twice that for w = range / CELLS, so a merge is rare.
 */
#include <stdlib.h>

#include "tools/timeline.h"

#define CELLS 1024U
#define SPANS_MAX 5120U
#define MARK_CELLS 256U
#define MARKS_MAX (3U * MARK_CELLS * TIMELINE_MARKS)
#define SIZE_FIRST 16U

/* `array`, which has `count` elements of `each` bytes, with room for one more, moved if need be; it
 * never has room for more than `max`. NULL: out of memory, `array` is as before. */
static void *with_room(void *array, unsigned int count, unsigned int *size, unsigned int max,
		       size_t each)
{
	unsigned int larger = *size ? *size * 2 : SIZE_FIRST;
	void *moved;

	if (count < *size)
		return array;
	if (larger > max)
		larger = max;
	moved = realloc(array, larger * each);
	if (moved)
		*size = larger;
	return moved;
}

static void merge(struct timeline_span *into, const struct timeline_span *next)
{
	into->end = next->end;
	into->pieces += next->pieces;
	for (unsigned int i = 0; i < TIMELINE_STATES; i++)
		into->us[i] += next->us[i];
	into->cause[0] = into->ended_by[0] = into->error[0] = '\0';
	into->latency_us = 0;
	into->tells_suspended |= next->tells_suspended;
	into->is_open |= next->is_open;
}

void timeline_merge_spans(struct timeline_lane *lane, uint64_t cell)
{
	unsigned int kept = 0;

	for (unsigned int i = 1; i < lane->spans; i++) {
		struct timeline_span *last = &lane->span[kept], *next = &lane->span[i];

		if (next->end - last->start <= cell)
			merge(last, next);
		else
			lane->span[++kept] = *next;
	}
	lane->spans = lane->spans ? kept + 1 : 0;
}

bool timeline_add_span(struct timeline_lane *lane, const struct timeline_span *span, uint64_t range)
{
	struct timeline_span *spans;

	if (lane->spans == SPANS_MAX)
		timeline_merge_spans(lane, range / CELLS + 1);
	spans = with_room(lane->span, lane->spans, &lane->size, SPANS_MAX, sizeof(*span));
	if (!spans)
		return false;
	lane->span = spans;
	lane->span[lane->spans++] = *span;
	return true;
}

void timeline_merge_marks(struct timeline_marks *marks, uint64_t cell)
{
	struct timeline_mark *last[TIMELINE_MARKS] = {NULL};
	unsigned int kept = 0;

	for (unsigned int i = 0; i < marks->count; i++) {
		struct timeline_mark mark = marks->mark[i];

		if (last[mark.kind] && mark.t - last[mark.kind]->t < cell) {
			last[mark.kind]->count += mark.count;
			continue;
		}
		last[mark.kind] = &marks->mark[kept];
		marks->mark[kept++] = mark;
	}
	marks->count = kept;
}

bool timeline_add_mark(struct timeline_marks *marks, enum timeline_mark_kind kind, uint64_t t,
		       uint64_t range)
{
	struct timeline_mark *moved;

	if (marks->count == MARKS_MAX)
		timeline_merge_marks(marks, range / MARK_CELLS + 1);
	moved = with_room(marks->mark, marks->count, &marks->size, MARKS_MAX, sizeof(*moved));
	if (!moved)
		return false;
	marks->mark = moved;
	marks->mark[marks->count++] = (struct timeline_mark) {.t = t, .count = 1, .kind = kind};
	return true;
}
