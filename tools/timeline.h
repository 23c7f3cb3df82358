/*
 * The power timeline: what an event log says about each function over time, in memory that does not
 * grow with the log, and the picture of it. The states are those of docs/power.md, but for a sleep,
 * which is split into what the host really suspended and the rest.
 */
#ifndef TOOLS_TIMELINE_H
#define TOOLS_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/event_line.h"
#include "tools/latency.h"
#include "tools/lines.h"
#include "vmm/base/text.h"

enum timeline_state {
	TIMELINE_ASLEEP,  /* engaged, and the host suspended it */
	TIMELINE_ENGAGED, /* engaged, and the host did not, or does not tell, or not yet */
	TIMELINE_WOKEN,
	TIMELINE_ON,
	TIMELINE_REFUSED,
	TIMELINE_LOST,
	TIMELINE_RELEASED, /* not of this machine any more: no part of its time */
};
#define TIMELINE_STATES 7U

/* What happened at a moment. The first four are the wakes. */
enum timeline_mark_kind {
	TIMELINE_WAKE_GUEST,
	TIMELINE_WAKE_HOST,
	TIMELINE_WAKE_PME,
	TIMELINE_WAKE_UNKNOWN,
	TIMELINE_REFUSAL,
	TIMELINE_LOSS,
	TIMELINE_HOLD,
	TIMELINE_ERROR,
	TIMELINE_UNPLUG,
	/* of the machine */
	TIMELINE_BOOT,
	TIMELINE_RESET,
	TIMELINE_EXIT,
	TIMELINE_RESTART, /* time went back: another run begins in the same log */
};
#define TIMELINE_WAKES 4U
#define TIMELINE_MARKS 13U

/* One state for a while, or, where the log has more than a picture can show, several. */
struct timeline_span {
	uint64_t start, end;
	uint64_t us[TIMELINE_STATES]; /* their sum is `end` - `start` */
	uint32_t pieces;
	/* of the one piece, "" and 0 when there are several */
	char cause[EVENT_WORD_MAX], ended_by[EVENT_WORD_MAX], error[EVENT_WORD_MAX];
	uint64_t latency_us;          /* the host's time for getting there */
	bool tells_suspended, is_open; /* open: the log ends in it */
};

struct timeline_mark {
	uint64_t t;
	uint32_t count; /* of the same kind, so near to each other that they are one */
	enum timeline_mark_kind kind;
};

struct timeline_marks {
	struct timeline_mark *mark;
	unsigned int count, size;
};

struct timeline_lane {
	char *device;
	struct timeline_span *span;
	unsigned int spans, size;
	struct timeline_marks marks;
	struct timeline_span now;      /* the last piece, not in `span` yet */
	enum timeline_state state;     /* of it: ASLEEP does not occur */
	bool is_alive, is_known;       /* known: a transition said what state it is in */
	uint64_t us[TIMELINE_STATES];
	uint64_t sleeps, refusals, losses, wakes[TIMELINE_WAKES];
	bool tells_suspended;          /* at least once */
	struct latency entry, exit;
};

/* What was decided for a slot. */
struct timeline_policy {
	char *slot;
	char power[EVENT_WORD_MAX];
};

#define TIMELINE_LANES 128U /* as many as sixteen slots have functions */

struct timeline {
	struct timeline_lane *lane[TIMELINE_LANES];
	unsigned int lanes;
	struct timeline_policy policy[TIMELINE_LANES];
	unsigned int policies;
	struct timeline_marks machine;
	char exit_cause[EVENT_WORD_MAX];
	uint64_t events;               /* understood, known or not */
	uint64_t first, last;          /* their times; later runs are drawn after earlier ones */
	uint64_t offset;               /* what is added to the times of the run that is read */
	/* what is not in the picture */
	uint64_t broken, broken_first; /* lines, and the number of the first */
	uint64_t restarts, restart_first;
	uint64_t other_devices;        /* events of devices beyond TIMELINE_LANES */
	uint64_t missing;              /* lines that the server could not keep (event "lost") */
	bool failed;                   /* out of memory */
};

/* Takes a line, see line_fn; `opaque` is the timeline, which starts as {0}. False: no memory. */
bool timeline_take(void *opaque, uint64_t number, const char *line, size_t len);

/* The log has ended: closes the last span of each function, and merges what is narrower than
 * `columns` columns over all can show. */
void timeline_close(struct timeline *timeline, unsigned int columns);

void timeline_finish(struct timeline *timeline);

/* Where the axis begins: 0, or the first event where that is much later. */
uint64_t timeline_start(const struct timeline *timeline);

/* How long a function was part of the machine. */
uint64_t timeline_whole(const struct timeline_lane *lane);

/* What was decided for the slot of `device`, or "". */
const char *timeline_policy(const struct timeline *timeline, const char *device);

/* --- spans and marks: tools/timeline_spans.c --- */

/* Appends; spans of a lane follow each other without a gap. What is narrower than a thousandth of
 * `range`, from the first to the last, is merged when there are many. False: out of memory. */
bool timeline_add_span(struct timeline_lane *lane, const struct timeline_span *span,
		       uint64_t range);
bool timeline_add_mark(struct timeline_marks *marks, enum timeline_mark_kind kind, uint64_t t,
		       uint64_t range);

/* Merges neighbours that are narrower than `cell`, and marks of a kind that are nearer. */
void timeline_merge_spans(struct timeline_lane *lane, uint64_t cell);
void timeline_merge_marks(struct timeline_marks *marks, uint64_t cell);

/* --- the picture: tools/timeline_svg.c --- */

/* The picture as a whole SVG document, the same for the same log. `ret_svg->failed` on lack of
 * memory. The timeline is closed, and has at least one event. */
void timeline_draw(const struct timeline *timeline, struct text *ret_svg);

#endif
