/*
 * A stream cut into lines: bytes come in pieces of any size, lines go out whole.
 */
#ifndef TOOLS_LINES_H
#define TOOLS_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINES_MAX 16384 /* bytes of a line; the event log's have 1024 at most */

/* `line` has `len` bytes and no newline; NULL: it had more than LINES_MAX bytes and is lost.
 * `number` counts from 1. False: no more are wanted. */
typedef bool (*line_fn)(void *opaque, uint64_t number, const char *line, size_t len);

/* Starts as {0}. */
struct lines {
	char bytes[LINES_MAX];
	size_t len;
	bool too_long;
	uint64_t number; /* of lines that have ended */
};

/* Gives every line that ends in these bytes to `take`. False: `take` wanted no more. */
bool lines_feed(struct lines *lines, const char *bytes, size_t len, line_fn take, void *opaque);

/* The stream has ended as it should: what came after the last newline is a line, too. */
bool lines_end(struct lines *lines, line_fn take, void *opaque);

#endif
