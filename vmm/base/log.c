#include "vmm/base/log.h"

#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "vmm/base/clock.h"

#define LINES_PER_WINDOW 10
#define WINDOW_US 1000000
#define LINE_MAX_BYTES (PATH_MAX + 2048) /* a path, and what is wrong with it */

static _Atomic int max_level = LOG_INFO;
static atomic_bool raw_terminal;
static pthread_mutex_t limit_lock = PTHREAD_MUTEX_INITIALIZER; /* every struct log_ratelimit */

void log_set_level(enum log_level level)
{
	max_level = (int)level;
}

void log_set_raw_terminal(bool raw)
{
	raw_terminal = raw;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = {"error: ", "warning: ", "", "debug: "};
	char line[LINE_MAX_BYTES];
	const size_t end = sizeof(line) - 2; /* room for the line's end */
	va_list ap;
	int len;

	if ((int)level > max_level)
		return;
	len = snprintf(line, end, "minivmm: %s", names[level]);
	va_start(ap, fmt);
	len += vsnprintf(line + len, end - (size_t)len, fmt, ap);
	va_end(ap);
	if ((size_t)len >= end)
		len = (int)end - 1;
	if (raw_terminal)
		line[len++] = '\r';
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)len) < 0)
		return; /* nowhere left to complain to */
}

bool log_allowed(struct log_ratelimit *limit)
{
	uint64_t now = clock_us();
	unsigned int dropped = 0;
	bool allowed;

	pthread_mutex_lock(&limit_lock);
	if (!limit->window_start_us || now - limit->window_start_us >= WINDOW_US) {
		dropped = limit->dropped;
		*limit = (struct log_ratelimit){.window_start_us = now};
	}
	allowed = limit->lines < LINES_PER_WINDOW;
	if (allowed)
		limit->lines++;
	else
		limit->dropped++;
	pthread_mutex_unlock(&limit_lock);
	if (dropped)
		log_warn("%u more lines like the next one were not shown", dropped);
	return allowed;
}
