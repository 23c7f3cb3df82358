/*
 * `ctl events`: the log as it is written, for people or for programs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ctl.h"
#include "tools/event_line.h"
#include "tools/tools.h"
#include "vmm/base/clock.h"
#include "vmm/base/log.h"

#define EVENTS "/api/v1/events"
#define RECENT EVENTS "?recent=1"

struct printer {
	const struct ctl *ctl;
	const char *target;
	bool changes; /* of power only */
	bool ends;    /* it is what there is, not what comes */
	bool malformed, failed;
};

static bool is_change(const char *line, size_t len)
{
	struct event_line event;

	return !event_line_parse(line, len, &event) && !strcmp(event.event, "power");
}

static bool print_line(void *opaque, uint64_t number, const char *line, size_t len)
{
	struct printer *printer = opaque;
	struct text text = {.bytes = NULL};

	(void)number;
	printer->malformed = !show_event(&text, line, len);
	if (!printer->malformed && printer->changes && !is_change(line, len)) {
		text_finish(&text);
		return true;
	}
	if (!printer->malformed && printer->ctl->json) {
		text_finish(&text);
		text_add_bytes(&text, line, len);
	}
	text_add(&text, "\n");
	printer->failed = text.failed ||
			  (!printer->malformed && tool_say(text.bytes, text.len) != TOOL_OK);
	text_finish(&text);
	return !printer->malformed && !printer->failed;
}

/* Prints until the stream ends. */
static int print(struct printer *printer, struct api_stream *stream)
{
	struct api_why why;
	int error = api_stream_open_on(stream->fd, printer->ctl->path, printer->target, stream,
				       print_line, printer, &why);

	if (error)
		stream->fd = -1; /* closed already */
	if (printer->ends)
		stream->deadline_us = clock_us() + API_TIMEOUT_MS * 1000ULL;
	while (!error)
		error = api_stream_read(stream, &why);
	if (error > 0)
		return TOOL_OK;
	if (printer->malformed)
		log_err("ctl: %s: a line is no event", printer->ctl->path);
	else if (!printer->failed)
		log_err("ctl: %s", why.text);
	return TOOL_FAILED;
}

static int print_events(struct printer *printer)
{
	struct api_stream *stream = calloc(1, sizeof(*stream));
	int status = TOOL_FAILED;
	struct api_why why;

	if (!stream) {
		log_err("ctl: out of memory");
		return TOOL_FAILED;
	}
	stream->fd = api_connect(printer->ctl->path, &why);
	if (stream->fd < 0) {
		log_err("ctl: %s", why.text);
	} else {
		status = print(printer, stream);
		api_stream_finish(stream);
	}
	free(stream);
	return status;
}

int ctl_events(const struct ctl *ctl)
{
	return print_events(&(struct printer) {
		.ctl = ctl, .target = ctl->follow ? RECENT "&follow=1" : RECENT,
		.ends = !ctl->follow});
}

int ctl_watch_lines(const struct ctl *ctl)
{
	return print_events(&(struct printer) {.ctl = ctl, .target = EVENTS, .changes = true});
}
