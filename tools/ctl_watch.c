/*
 * `ctl power --watch`: drawn again when an event says so, not by asking all the time. Besides, the
 * durations go on every second; and since the host suspends a function some time after its sleep
 * began, of which no event tells, it is looked at every second until it has.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/ctl.h"
#include "tools/event_line.h"
#include "tools/screen.h"
#include "tools/tools.h"
#include "vmm/base/bits.h"
#include "vmm/base/clock.h"
#include "vmm/base/log.h"

#define EVENTS "/api/v1/events"
#define TICK_US 1000000ULL
#define SOON_US 100000ULL /* between two questions, however many events there are */
#define PASTS (VIEW_SLOTS * VIEW_FUNCTIONS)

struct watch {
	const struct ctl *ctl;
	struct screen screen;
	struct show_style style;
	struct api_stream stream;
	struct view_power power;
	struct show_past past[PASTS];
	uint64_t seen_us;  /* our clock: `power` is of then */
	uint64_t asked_us, tick_us; /* when it was asked for, and when the last second began */
	bool stale;        /* an event came since */
	bool ending;       /* so did one that says that the VM ends: it answers no more */
	bool malformed;
};

/* --- the recent past --- */

static void push(struct show_past *past, char letter)
{
	if (past->count == SHOW_PAST) {
		memmove(past->letter, past->letter + 1, SHOW_PAST - 1);
		past->count--;
	}
	past->letter[past->count++] = letter;
}

/* In the second that runs, or as the first of a new one. */
static void note_letter(struct show_past *past, const struct view_function *fn, bool new_second)
{
	char letter = show_letter(fn), *last;

	if (strcmp(past->name, fn->name)) {
		memset(past, 0, sizeof(*past));
		memcpy(past->name, fn->name, sizeof(past->name));
	}
	if (new_second || !past->count)
		push(past, letter);
	last = &past->letter[past->count - 1];
	*last = show_more_awake(*last, letter);
}

static void note_past(struct watch *watch, bool new_second)
{
	struct show_past *past = watch->past;

	for (unsigned int i = 0; i < watch->power.slots; i++)
		for (unsigned int k = 0; k < watch->power.slot[i].functions; k++)
			note_letter(past++, &watch->power.slot[i].function[k], new_second);
}

/* --- what there is to draw --- */

static bool take_event(void *opaque, uint64_t number, const char *line, size_t len)
{
	struct watch *watch = opaque;
	struct event_line event;

	(void)number;
	watch->malformed = !line || event_line_parse(line, len, &event);
	if (!watch->malformed && !strcmp(event.event, "exit"))
		watch->ending = true;
	watch->stale = !watch->ending;
	return !watch->malformed;
}

static int ask(struct watch *watch, struct api_why *why)
{
	int error = ctl_get_power(watch->ctl, &watch->power, why);

	watch->stale = false;
	watch->asked_us = watch->seen_us = clock_us();
	return error;
}

/* What time alone changes. */
static void go_on(struct watch *watch)
{
	uint64_t now = clock_us(), passed = now - watch->seen_us;

	watch->seen_us = now;
	watch->power.t_us += passed;
	for (unsigned int i = 0; i < watch->power.slots; i++) {
		uint64_t *hold = &watch->power.slot[i].hold_ms;

		*hold -= *hold < passed / 1000 ? *hold : passed / 1000;
	}
}

static bool draw(struct watch *watch)
{
	struct text text = {.bytes = NULL};
	bool done;

	go_on(watch);
	show_power(&text, &watch->power, watch->past, watch->style);
	text_add(&text, "\nq ends\n");
	done = !text.failed && screen_draw(text.bytes, text.len);
	text_finish(&text);
	return done;
}

/* --- the loop --- */

static int until(uint64_t deadline_us)
{
	uint64_t now = clock_us();

	return now < deadline_us ? (int)((deadline_us - now + 999) / 1000) : 0;
}

/* A second has passed, or an event came a moment ago. */
static int refresh(struct watch *watch, struct api_why *why)
{
	uint64_t now = clock_us();
	bool new_second = now - watch->tick_us >= TICK_US;
	bool looks = new_second && !watch->ending && view_is_settling(&watch->power);
	bool is_due = watch->stale ? now - watch->asked_us >= SOON_US : looks;
	int error = is_due ? ask(watch, why) : 0;

	if (error || !(is_due || new_second))
		return error;
	if (new_second)
		watch->tick_us = now;
	note_past(watch, new_second);
	return draw(watch) ? 0 : -EIO;
}

static bool take_key(void)
{
	char key = 0;

	return read(STDIN_FILENO, &key, 1) == 1 && key != 'q' && key != 'Q' && key != 4;
}

/* 0: go on; 1: the user has seen enough; 2: the VM has ended; negative: failed. */
static int step(struct watch *watch, struct api_why *why)
{
	struct pollfd fds[] = {
		{.fd = watch->screen.signal_fd, .events = POLLIN},
		{.fd = watch->stream.fd, .events = POLLIN},
		{.fd = watch->screen.takes_keys ? STDIN_FILENO : -1, .events = POLLIN},
	};
	int error = 0;

	if (poll(fds, ARRAY_SIZE(fds), until(watch->stale ? watch->asked_us + SOON_US
							   : watch->tick_us + TICK_US)) < 0)
		return errno == EINTR ? 0 : -errno;
	if (fds[0].revents && !screen_take_signal(&watch->screen))
		return 1;
	if (fds[2].revents && !take_key())
		return 1;
	if (fds[1].revents)
		error = api_stream_read(&watch->stream, why);
	if (error)
		return error > 0 ? 2 : error;
	if (fds[0].revents && !draw(watch))
		return -EIO;
	return refresh(watch, why);
}

static int run_screen(struct watch *watch)
{
	struct api_why why = {.text = ""};
	int error = screen_open(&watch->screen);

	if (error) {
		log_err("ctl: the terminal: %s", strerror(-error));
		return TOOL_FAILED;
	}
	watch->tick_us = clock_us();
	note_past(watch, true);
	if (!draw(watch))
		error = -EIO;
	while (!error)
		error = step(watch, &why);
	screen_close(&watch->screen);
	if (error == 2)
		log_info("ctl: %s: the VM has ended", watch->ctl->path);
	else if (watch->malformed)
		log_err("ctl: %s: a line is no event", watch->ctl->path);
	else if (error < 0 && *why.text)
		log_err("ctl: %s", why.text);
	return error < 0 ? TOOL_FAILED : TOOL_OK;
}

static int start(struct watch *watch)
{
	struct api_why why;
	int fd = api_connect(watch->ctl->path, &why);
	/* First the stream: what happens after the question is an event. */
	int error = fd < 0 ? fd : api_stream_open_on(fd, watch->ctl->path, EVENTS, &watch->stream,
						     take_event, watch, &why);
	int status = TOOL_FAILED;

	if (error) {
		log_err("ctl: %s", why.text);
		return TOOL_FAILED;
	}
	error = ask(watch, &why);
	if (error)
		log_err("ctl: %s", why.text);
	else
		status = run_screen(watch);
	api_stream_finish(&watch->stream);
	return status;
}

int ctl_watch(const struct ctl *ctl)
{
	struct watch *watch;
	int status;

	if (!isatty(STDOUT_FILENO))
		return ctl_watch_lines(ctl);
	watch = calloc(1, sizeof(*watch));
	if (!watch) {
		log_err("ctl: out of memory");
		return TOOL_FAILED;
	}
	watch->ctl = ctl;
	watch->style = ctl_style();
	status = start(watch);
	free(watch);
	return status;
}
