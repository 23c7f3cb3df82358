/*
 * Diagnostics for a person, on standard error, one line a call, no trailing newline in `fmt`.
 * Prefix messages with the object they speak of ("vfio 0000:01:00.0: ..."). Library code (acpi/,
 * vmm/base/) never logs. Thread-safe: a line is written by one write(2).
 */
#ifndef VMM_BASE_LOG_H
#define VMM_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Sets the most detailed level that is still written; LOG_INFO at start. */
void log_set_level(enum log_level level);

/* While on, a carriage return goes before every newline: the terminal is in raw mode. */
void log_set_raw_terminal(bool raw);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_err(...) log_write(LOG_ERR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

/*
 * Allows about ten lines a second per `struct log_ratelimit`, for what a guest can cause. When
 * lines were dropped, the next one that is allowed is preceded by a line with their number.
 */
struct log_ratelimit {
	uint64_t window_start_us; /* protected by the limiter's own lock in log.c */
	unsigned int lines;
	unsigned int dropped;
};

bool log_allowed(struct log_ratelimit *limit);

#define log_guest(...)                                       \
	do {                                                 \
		static struct log_ratelimit limit_;          \
		if (log_allowed(&limit_))                    \
			log_write(LOG_WARN, __VA_ARGS__);    \
	} while (0)

#endif
