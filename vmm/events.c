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

/* Bytes of the UTF-8 character at `text`, 0 when there is none (Unicode 15.0, table 3-7). */
static unsigned int utf8_length(const char *text)
{
	static const struct {
		uint8_t first, last; /* byte 0 */
		uint8_t low, high;   /* byte 1; those after it are 0x80 to 0xbf */
		unsigned int len;
	} forms[] = {
		{0x01, 0x7f, 0x00, 0xff, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	const uint8_t *byte = (const uint8_t *)text;
	unsigned int form = 0;

	while (form < ARRAY_SIZE(forms) && byte[0] > forms[form].last)
		form++;
	if (form == ARRAY_SIZE(forms) || byte[0] < forms[form].first)
		return 0;
	if (forms[form].len > 1 && (byte[1] < forms[form].low || byte[1] > forms[form].high))
		return 0;
	for (unsigned int i = 2; i < forms[form].len; i++)
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
	return forms[form].len;
}

/* RFC 8259, section 7 Strings: quote, backslash and control characters are escaped. What is not
 * UTF-8 (the name of a file may be anything) becomes U+FFFD. */
static void put_string(struct line *line, const char *key, const char *value)
{
	unsigned int len;

	if (!value)
		return;
	put(line, ",\"%s\":\"", key);
	for (const char *p = value; *p && line->len < sizeof(line->text) - 32; p += len ? len : 1) {
		len = utf8_length(p);
		if (*p == '"' || *p == '\\')
			put(line, "\\%c", *p);
		else if ((unsigned char)*p < 0x20)
			put(line, "\\u%04x", (unsigned int)*p);
		else if (len)
			put(line, "%.*s", (int)len, p);
		else
			put(line, "\\ufffd");
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
