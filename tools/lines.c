#include "tools/lines.h"

#include <string.h>

static void keep(struct lines *lines, const char *bytes, size_t len)
{
	if (len > sizeof(lines->bytes) - lines->len) {
		lines->too_long = true;
		return;
	}
	memcpy(lines->bytes + lines->len, bytes, len);
	lines->len += len;
}

static bool give(struct lines *lines, line_fn take, void *opaque)
{
	bool more = take(opaque, ++lines->number, lines->too_long ? NULL : lines->bytes,
			 lines->len);

	lines->len = 0;
	lines->too_long = false;
	return more;
}

bool lines_feed(struct lines *lines, const char *bytes, size_t len, line_fn take, void *opaque)
{
	while (len) {
		const char *newline = memchr(bytes, '\n', len);
		size_t piece = newline ? (size_t)(newline - bytes) : len;

		keep(lines, bytes, piece);
		if (!newline)
			return true;
		if (!give(lines, take, opaque))
			return false;
		bytes += piece + 1;
		len -= piece + 1;
	}
	return true;
}

bool lines_end(struct lines *lines, line_fn take, void *opaque)
{
	return (!lines->len && !lines->too_long) || give(lines, take, opaque);
}
