#include "vmm/events.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/base/clock.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"

#define LINE_MAX_BYTES 1024
/* Not blocking: the machine does not wait for who should read a FIFO. */
#define FILE_FLAGS (O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* protects log_fd and orders lines */
static int log_fd = -1;
static uint64_t start_us;

struct line {
	char text[LINE_MAX_BYTES];
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
	static const struct {
		int number;
		const char *name;
	} names[] = {
		{EIO, "EIO"},       {EINVAL, "EINVAL"}, {ENOTTY, "ENOTTY"}, {ENODEV, "ENODEV"},
		{EBUSY, "EBUSY"},   {EPERM, "EPERM"},   {EACCES, "EACCES"}, {ENOMEM, "ENOMEM"},
		{EAGAIN, "EAGAIN"}, {EINTR, "EINTR"},   {EBADF, "EBADF"},
		{EFAULT, "EFAULT"}, {ENXIO, "ENXIO"},   {ETIMEDOUT, "ETIMEDOUT"},
		{ECANCELED, "ECANCELED"},             {EPROTO, "EPROTO"},
		{ECONNRESET, "ECONNRESET"},
	};

	if (!error)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i].number != -error)
			continue;
		put_string(line, "errno", names[i].name);
		return;
	}
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

void events_emit(const struct event *event)
{
	struct line line = {.len = 0};

	pthread_mutex_lock(&lock);
	if (log_fd >= 0) {
		put(&line, "{\"t_us\":%" PRIu64, clock_us() - start_us);
		put_string(&line, "event", event->event);
		put_string(&line, "device", event->device);
		put_string(&line, "from", event->from);
		put_string(&line, "to", event->to);
		put_string(&line, "cause", event->cause);
		put_error(&line, event->error);
		if (event->latency_us)
			put(&line, ",\"latency_us\":%" PRIu64, event->latency_us);
		for (unsigned int i = 0; i < event->numbers; i++)
			put_number(&line, &event->number[i]);
		put_string(&line, "detail", event->detail);
		put(&line, "}\n");
		if (write(log_fd, line.text, line.len) != (ssize_t)line.len)
			log_guest("events: a line could not be written, ignoring");
	}
	pthread_mutex_unlock(&lock);
}
