/*
 * One line of the event log (vmm/events.h), read. The line may be from anywhere: a file that a
 * person gives, or the answer of a control socket.
 */
#ifndef TOOLS_EVENT_LINE_H
#define TOOLS_EVENT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_DEVICE_MAX 256
#define EVENT_WORD_MAX 24
#define EVENT_ID_MAX 32
#define EVENT_DETAIL_MAX 1024
/* Ten years; a later time is no time. */
#define EVENT_TIME_MAX (3650ULL * 86400 * 1000000)

/* What the line does not have is "" or 0. */
struct event_line {
	uint64_t t_us;
	char event[EVENT_WORD_MAX];
	char device[EVENT_DEVICE_MAX];
	char from[EVENT_WORD_MAX], to[EVENT_WORD_MAX], cause[EVENT_WORD_MAX];
	char error[EVENT_WORD_MAX];
	char id[EVENT_ID_MAX], bdf[EVENT_WORD_MAX];
	char detail[EVENT_DETAIL_MAX];
	uint64_t latency_us, engaged_us, suspended_us, hold_ms, count;
	bool tells_suspended; /* it has suspended_us */
};

/* 0; -EPROTO: no object with `t_us`, `event` and, if at all, a `device` that can be one. A word
 * that is too long is one that nobody knows, and left out. */
int event_line_parse(const char *bytes, size_t len, struct event_line *ret_line);

#endif
