#include "vmm/events.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/base/errno_name.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"

/* Not blocking: the machine does not wait for who should read a FIFO. */
#define FILE_FLAGS (O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* orders lines, and protects the rest */
static int log_fd = -1;
static uint64_t start_us;        /* written once, before there are threads */
static struct event_ring *ring;  /* NULL: nobody may ask for the last lines */
static int ring_fd = -1;

struct line {
	char text[EVENT_LINE_MAX];
	size_t len;
};

static void put(struct line *line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct line *line, const char *fmt, ...)
{
	size_t room = sizeof(line->text) - line->len;
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(line->text + line->len, room, fmt, ap);
	va_end(ap);
	if (len > 0)
		line->len += (size_t)len < room ? (size_t)len : room - 1;
}

/* What does not fit is cut off, so that the rest of the line has its room. */
static void put_string(struct line *line, const char *key, const char *value)
{
	char escaped[JSON_ESCAPED_MAX];

	if (!value)
		return;
	put(line, ",\"%s\":\"", key);
	while (*value && line->len < sizeof(line->text) - 32) {
		value += json_escape(value, escaped);
		put(line, "%s", escaped);
	}
	put(line, "\"");
}

/* One that does not fit is left out whole: the rest of the line has its room. */
static void put_number(struct line *line, const struct event_number *number)
{
	const size_t rest = 64, digits = 24; /* detail and the end; of this number */

	if (line->len + strlen(number->key) + digits + rest < sizeof(line->text))
		put(line, ",\"%s\":%" PRIu64, number->key, number->value);
}

static void put_error(struct line *line, int error)
{
	const char *name = errno_name(error);

	if (!error)
		return;
	if (name)
		put_string(line, "errno", name);
	else
		put(line, ",\"errno\":\"%d\"", -error);
}

int events_open(const char *path)
{
	int fd = -1;

	if (path && !strcmp(path, "-"))
		fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	else if (path)
		fd = open(path, FILE_FLAGS, 0644);
	if (path && fd < 0)
		return -errno;
	pthread_mutex_lock(&lock);
	if (log_fd >= 0)
		close(log_fd);
	log_fd = fd;
	if (!start_us)
		start_us = clock_us();
	pthread_mutex_unlock(&lock);
	return 0;
}

static void format(struct line *line, const struct event *event)
{
	put(line, "{\"t_us\":%" PRIu64, events_now_us());
	put_string(line, "event", event->event);
	put_string(line, "device", event->device);
	put_string(line, "id", event->id);
	put_string(line, "bdf", event->bdf);
	put_string(line, "from", event->from);
	put_string(line, "to", event->to);
	put_string(line, "cause", event->cause);
	put_error(line, event->error);
	if (event->latency_us)
		put(line, ",\"latency_us\":%" PRIu64, event->latency_us);
	for (unsigned int i = 0; i < event->numbers; i++)
		put_number(line, &event->number[i]);
	put_string(line, "detail", event->detail);
	put(line, "}\n");
}

void events_emit(const struct event *event)
{
	struct line line = {.len = 0};
	uint64_t one = 1;

	pthread_mutex_lock(&lock);
	if (log_fd >= 0 || ring)
		format(&line, event);
	if (log_fd >= 0 && write(log_fd, line.text, line.len) != (ssize_t)line.len)
		log_guest("events: a line could not be written, ignoring");
	if (ring) {
		event_ring_add(ring, line.text, line.len);
		if (write(ring_fd, &one, sizeof(one)) < 0)
			log_debug("events: the readers are told already");
	}
	pthread_mutex_unlock(&lock);
}

uint64_t events_time_us(uint64_t clock)
{
	return clock > start_us ? clock - start_us : 0;
}

uint64_t events_now_us(void)
{
	return events_time_us(clock_us());
}

/* --- readers --- */

int events_keep(void)
{
	struct event_ring *fresh = calloc(1, sizeof(*fresh));
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (!fresh || fd < 0) {
		free(fresh);
		return fd < 0 ? -errno : -ENOMEM;
	}
	pthread_mutex_lock(&lock);
	assert(!ring);
	ring = fresh;
	ring_fd = fd;
	pthread_mutex_unlock(&lock);
	return 0;
}

void events_drop(void)
{
	pthread_mutex_lock(&lock);
	free(ring);
	ring = NULL;
	if (ring_fd >= 0)
		close(ring_fd);
	ring_fd = -1;
	pthread_mutex_unlock(&lock);
}

int events_fd(void)
{
	return ring_fd;
}

struct event_cursor events_oldest(void)
{
	struct event_cursor cursor = {0};

	pthread_mutex_lock(&lock);
	if (ring)
		cursor = event_ring_oldest(ring);
	pthread_mutex_unlock(&lock);
	return cursor;
}

struct event_cursor events_newest(void)
{
	struct event_cursor cursor = {0};

	pthread_mutex_lock(&lock);
	if (ring)
		cursor = event_ring_newest(ring);
	pthread_mutex_unlock(&lock);
	return cursor;
}

/* What is said in the place of lines that are gone; `count` 0: nothing. */
static size_t say_lost(uint64_t count, char *ret_line, size_t size)
{
	const struct event_number number = {"count", count};
	struct line line = {.len = 0};

	if (!count)
		return 0;
	format(&line, &(struct event){.event = "lost", .number = &number, .numbers = 1});
	assert(line.len <= size);
	memcpy(ret_line, line.text, line.len);
	return line.len;
}

size_t events_read(struct event_cursor *cursor, char *ret_lines, size_t size)
{
	size_t len = 0;

	pthread_mutex_lock(&lock);
	if (ring) {
		len = say_lost(event_ring_skip_lost(ring, cursor), ret_lines, size);
		len += event_ring_read(ring, cursor, ret_lines + len, size - len);
	}
	pthread_mutex_unlock(&lock);
	return len;
}
