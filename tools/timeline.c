#include "tools/timeline.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/base/bits.h"

/* The states of docs/power.md by name. */
static bool find_state(const char *name, enum timeline_state *ret_state)
{
	static const char *const names[TIMELINE_STATES] = {
		[TIMELINE_ENGAGED] = "engaged", [TIMELINE_WOKEN] = "woken",
		[TIMELINE_ON] = "on",           [TIMELINE_REFUSED] = "refused",
		[TIMELINE_LOST] = "lost",       [TIMELINE_RELEASED] = "released",
	};

	for (unsigned int i = 0; i < TIMELINE_STATES; i++) {
		if (!names[i] || strcmp(names[i], name))
			continue;
		*ret_state = (enum timeline_state)i;
		return true;
	}
	return false;
}

static uint64_t range(const struct timeline *timeline)
{
	return timeline->last - timeline->first;
}

/* --- lanes --- */

/* The lane of a device, made when it is the first time; NULL: memory or lanes ran out. */
static struct timeline_lane *find_lane(struct timeline *timeline, const char *device)
{
	struct timeline_lane *lane;

	for (unsigned int i = 0; i < timeline->lanes; i++)
		if (!strcmp(timeline->lane[i]->device, device))
			return timeline->lane[i];
	if (timeline->lanes == TIMELINE_LANES) {
		timeline->other_devices++;
		return NULL;
	}
	lane = calloc(1, sizeof(*lane));
	if (lane)
		lane->device = strdup(device);
	if (!lane || !lane->device) {
		free(lane);
		timeline->failed = true;
		return NULL;
	}
	lane->state = TIMELINE_RELEASED;
	lane->now.start = timeline->last;
	timeline->lane[timeline->lanes++] = lane;
	return lane;
}

/* Ends the piece of now; `slept`, if any, is the line that says how the sleep was. */
static void end_piece(struct timeline *timeline, struct timeline_lane *lane,
		      const struct event_line *slept)
{
	struct timeline_span *now = &lane->now;
	uint64_t length, asleep = 0;

	now->end = timeline->last;
	length = now->end - now->start;
	if (lane->state == TIMELINE_ENGAGED && slept && slept->tells_suspended) {
		asleep = slept->suspended_us < length ? slept->suspended_us : length;
		now->tells_suspended = lane->tells_suspended = true;
		now->us[TIMELINE_ASLEEP] = asleep;
	}
	now->us[lane->state] = length - asleep;
	now->pieces = 1;
	for (unsigned int i = 0; i < TIMELINE_STATES; i++)
		lane->us[i] += now->us[i];
	if (length && !timeline_add_span(lane, now, range(timeline)))
		timeline->failed = true;
	*now = (struct timeline_span) {.start = timeline->last};
}

static void enter(struct timeline *timeline, struct timeline_lane *lane, enum timeline_state state,
		  const struct event_line *line)
{
	memcpy(lane->now.ended_by, line->cause, sizeof(line->cause));
	end_piece(timeline, lane, line);
	lane->state = state;
	lane->is_alive = state != TIMELINE_RELEASED;
	memcpy(lane->now.cause, line->cause, sizeof(line->cause));
	memcpy(lane->now.error, line->error, sizeof(line->error));
	lane->now.latency_us = line->latency_us;
}

/* The device is there, in a state that the next transition will tell; most likely it is on. */
static void see(struct timeline *timeline, struct timeline_lane *lane)
{
	if (lane->is_alive)
		return;
	end_piece(timeline, lane, NULL);
	lane->state = TIMELINE_ON;
	lane->is_alive = true;
	lane->is_known = false;
}

static void mark(struct timeline *timeline, struct timeline_marks *marks,
		 enum timeline_mark_kind kind)
{
	if (!timeline_add_mark(marks, kind, timeline->last, range(timeline)))
		timeline->failed = true;
}

/* --- transitions --- */

/* Whether leaving `engaged` was a wake, and by what. */
static bool find_wake(const struct event_line *line, enum timeline_mark_kind *ret_kind)
{
	static const char *const causes[TIMELINE_WAKES] = {
		[TIMELINE_WAKE_GUEST] = "guest", [TIMELINE_WAKE_HOST] = "host",
		[TIMELINE_WAKE_PME] = "pme",     [TIMELINE_WAKE_UNKNOWN] = "unknown",
	};

	if (strcmp(line->to, "on") && strcmp(line->to, "woken"))
		return false;
	for (unsigned int i = 0; i < TIMELINE_WAKES; i++) {
		if (strcmp(causes[i], line->cause))
			continue;
		*ret_kind = (enum timeline_mark_kind)i;
		return true;
	}
	return false;
}

static void count_transition(struct timeline *timeline, struct timeline_lane *lane,
			     enum timeline_state from, enum timeline_state to,
			     const struct event_line *line)
{
	enum timeline_mark_kind kind;

	if (to == TIMELINE_ENGAGED) {
		lane->sleeps++;
		latency_add(&lane->entry, line->latency_us);
	}
	if (from == TIMELINE_ENGAGED && to == TIMELINE_ON)
		latency_add(&lane->exit, line->latency_us);
	if (from == TIMELINE_ENGAGED && find_wake(line, &kind)) {
		lane->wakes[kind]++;
		mark(timeline, &lane->marks, kind);
	}
	if (to == TIMELINE_REFUSED) {
		lane->refusals++;
		mark(timeline, &lane->marks, TIMELINE_REFUSAL);
	}
	if (to == TIMELINE_LOST && from != TIMELINE_LOST) {
		lane->losses++;
		mark(timeline, &lane->marks, TIMELINE_LOSS);
	}
}

/* --- events --- */

/* What an event is taken with; each knows which marks it makes. */
typedef void (*take_fn)(struct timeline *timeline, const struct event_line *line,
			enum timeline_mark_kind kind);
#define NO_MARK ((enum timeline_mark_kind)TIMELINE_MARKS)

static void take_power(struct timeline *timeline, const struct event_line *line,
		       enum timeline_mark_kind kind)
{
	enum timeline_state from, to;
	struct timeline_lane *lane;

	(void)kind;
	if (!*line->device || !find_state(line->from, &from) || !find_state(line->to, &to))
		return;
	lane = find_lane(timeline, line->device);
	if (!lane)
		return;
	see(timeline, lane);
	if (!lane->is_known)
		lane->state = from;
	lane->is_known = true;
	count_transition(timeline, lane, from, to, line);
	enter(timeline, lane, to, line);
}

static void take_device(struct timeline *timeline, const struct event_line *line,
			enum timeline_mark_kind kind)
{
	struct timeline_lane *lane = *line->device ? find_lane(timeline, line->device) : NULL;

	if (!lane)
		return;
	see(timeline, lane);
	if (kind != NO_MARK)
		mark(timeline, &lane->marks, kind);
}

/* It is not of the machine any more. */
static void leave(struct timeline *timeline, struct timeline_lane *lane)
{
	end_piece(timeline, lane, NULL);
	lane->state = TIMELINE_RELEASED;
	lane->is_alive = false;
}

/* A function is named as its slot, a dot and its number; `slot` may be the function, too. */
static bool is_in_slot(const char *device, const char *slot)
{
	size_t len = strlen(slot);

	return !strncmp(device, slot, len) &&
	       (!device[len] || (device[len] == '.' && !strchr(device + len + 1, '.')));
}

static void take_slot(struct timeline *timeline, const struct event_line *line,
		      enum timeline_mark_kind kind)
{
	for (unsigned int i = 0; i < timeline->lanes; i++)
		if (is_in_slot(timeline->lane[i]->device, line->device))
			mark(timeline, &timeline->lane[i]->marks, kind);
}

static void take_unplug(struct timeline *timeline, const struct event_line *line,
			enum timeline_mark_kind kind)
{
	(void)kind;
	for (unsigned int i = 0; i < timeline->lanes; i++)
		if (is_in_slot(timeline->lane[i]->device, line->device))
			leave(timeline, timeline->lane[i]);
}

static void take_policy(struct timeline *timeline, const struct event_line *line,
			enum timeline_mark_kind kind)
{
	unsigned int i = 0;

	(void)kind;
	while (i < timeline->policies && strcmp(timeline->policy[i].slot, line->device))
		i++;
	if (i == TIMELINE_LANES)
		return;
	if (i == timeline->policies) {
		timeline->policy[i].slot = strdup(line->device);
		timeline->failed |= !timeline->policy[i].slot;
		timeline->policies += !timeline->failed;
	}
	memcpy(timeline->policy[i].power, line->to, sizeof(line->to));
}

static void take_machine(struct timeline *timeline, const struct event_line *line,
			 enum timeline_mark_kind kind)
{
	if (kind == TIMELINE_EXIT)
		memcpy(timeline->exit_cause, line->cause, sizeof(line->cause));
	mark(timeline, &timeline->machine, kind);
}

static void take_lost(struct timeline *timeline, const struct event_line *line,
		      enum timeline_mark_kind kind)
{
	(void)kind;
	timeline->missing += line->count;
}

static void take_event(struct timeline *timeline, const struct event_line *line)
{
	static const struct {
		const char *name;
		take_fn take;
		enum timeline_mark_kind kind;
	} kinds[] = {
		{"power", take_power, NO_MARK},
		{"open", take_device, NO_MARK},
		{"pme", take_device, NO_MARK},
		{"notify", take_device, NO_MARK},
		{"error", take_device, TIMELINE_ERROR},
		{"unplug-request", take_slot, TIMELINE_UNPLUG},
		{"unplug", take_unplug, NO_MARK},
		{"governor", take_slot, TIMELINE_HOLD},
		{"policy", take_policy, NO_MARK},
		{"boot", take_machine, TIMELINE_BOOT},
		{"reset", take_machine, TIMELINE_RESET},
		{"exit", take_machine, TIMELINE_EXIT},
		{"lost", take_lost, NO_MARK},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i].name, line->event))
			kinds[i].take(timeline, line, kinds[i].kind);
}

/* --- the log --- */

/* The VMM's clock does not go back: another run was appended to the log. */
static void restart(struct timeline *timeline, uint64_t number)
{
	for (unsigned int i = 0; i < timeline->lanes; i++)
		leave(timeline, timeline->lane[i]);
	if (!timeline->restarts++)
		timeline->restart_first = number;
	timeline->offset = timeline->last;
	mark(timeline, &timeline->machine, TIMELINE_RESTART);
}

bool timeline_take(void *opaque, uint64_t number, const char *line, size_t len)
{
	struct timeline *timeline = opaque;
	struct event_line event;

	if (!line || event_line_parse(line, len, &event)) {
		if (!timeline->broken++)
			timeline->broken_first = number;
		return true;
	}
	if (timeline->events && timeline->offset + event.t_us < timeline->last)
		restart(timeline, number);
	/* Ten years in all, too, so that nobody's sums overflow. */
	timeline->last = timeline->offset + event.t_us;
	if (timeline->last > EVENT_TIME_MAX)
		timeline->last = EVENT_TIME_MAX;
	if (!timeline->events++)
		timeline->first = timeline->last;
	take_event(timeline, &event);
	return !timeline->failed;
}

void timeline_close(struct timeline *timeline, unsigned int columns)
{
	uint64_t cell = (timeline->last - timeline_start(timeline)) / columns + 1;

	for (unsigned int i = 0; i < timeline->lanes; i++) {
		timeline->lane[i]->now.is_open = true;
		end_piece(timeline, timeline->lane[i], NULL);
		timeline_merge_spans(timeline->lane[i], cell);
	}
}

uint64_t timeline_start(const struct timeline *timeline)
{
	return timeline->first > timeline->last / 10 ? timeline->first : 0;
}

uint64_t timeline_whole(const struct timeline_lane *lane)
{
	uint64_t us = 0;

	for (unsigned int i = 0; i < TIMELINE_RELEASED; i++)
		us += lane->us[i];
	return us;
}

const char *timeline_policy(const struct timeline *timeline, const char *device)
{
	for (unsigned int i = 0; i < timeline->policies; i++)
		if (is_in_slot(device, timeline->policy[i].slot))
			return timeline->policy[i].power;
	return "";
}

void timeline_finish(struct timeline *timeline)
{
	for (unsigned int i = 0; i < timeline->lanes; i++) {
		free(timeline->lane[i]->span);
		free(timeline->lane[i]->marks.mark);
		free(timeline->lane[i]->device);
		free(timeline->lane[i]);
	}
	for (unsigned int i = 0; i < timeline->policies; i++)
		free(timeline->policy[i].slot);
	free(timeline->machine.mark);
	*timeline = (struct timeline) {.lanes = 0};
}
