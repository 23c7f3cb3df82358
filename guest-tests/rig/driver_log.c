/* What the outer console says: lines "RIG seconds text", from CLOCK_MONOTONIC. */
#include "guest-tests/rig/driver.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char reason[LINE_MAX_BYTES];
static int kmsg = -1;

uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void say(const char *fmt, ...)
{
	uint64_t us = now_us();
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printf("RIG %4" PRIu64 ".%06" PRIu64 " %s\n", us / 1000000, us % 1000000, text);
}

int fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	return -1;
}

const char *fail_reason(void)
{
	return reason;
}

/* /dev/kmsg gives one record per read: "priority,number,time,flags;text\n key=value\n" */
static void say_record(char *record)
{
	char *text = strchr(record, ';');

	if (!text)
		return;
	text[1 + strcspn(text + 1, "\n")] = '\0';
	say("host kernel: %s", text + 1);
}

void kernel_log_begin(void)
{
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (kmsg >= 0)
		lseek(kmsg, 0, SEEK_END);
}

void say_kernel_log(void)
{
	char record[LINE_MAX_BYTES];
	ssize_t len;

	while (kmsg >= 0 && (len = read(kmsg, record, sizeof(record) - 1)) > 0) {
		record[len] = '\0';
		say_record(record);
	}
}

void line_feed(struct rig *rig, struct line *line, const char *text, size_t len,
	       void (*take)(struct rig *rig, char *line))
{
	for (size_t i = 0; i < len; i++) {
		bool end = text[i] == '\n' || text[i] == '\r';

		if (!end)
			line->text[line->len++] = text[i];
		if (!end && line->len < sizeof(line->text) - 1)
			continue;
		line->text[line->len] = '\0';
		if (line->len)
			take(rig, line->text);
		line->len = 0;
	}
}
