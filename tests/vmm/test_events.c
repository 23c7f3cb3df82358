#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/events.h"

static char path[] = "/tmp/minivmm-events-XXXXXX";

static void emit_and_read(const struct event *event, char *text, size_t size)
{
	FILE *file;
	size_t len;

	assert_int_equal(events_open(path), 0);
	events_emit(event);
	file = fopen(path, "r");
	assert_non_null(file);
	len = fread(text, 1, size - 1, file);
	text[len] = 0;
	fclose(file);
}

static void test_events_writes_only_what_applies(void **state)
{
	char text[2048];

	(void)state;
	emit_and_read(&(struct event){.event = "boot"}, text, sizeof(text));
	assert_memory_equal(text, "{\"t_us\":", 8);
	assert_non_null(strstr(text, ",\"event\":\"boot\"}\n"));
	assert_null(strstr(text, "device"));
	assert_null(strstr(text, "latency_us"));
}

static void test_events_names_errors(void **state)
{
	char text[2048];

	(void)state;
	emit_and_read(&(struct event){.event = "power", .device = "0000:01:00.0", .from = "ON",
				      .to = "REFUSED", .cause = "guest", .error = -ENOTTY,
				      .latency_us = 12, .detail = "no such feature"},
		      text, sizeof(text));
	assert_non_null(strstr(text, "\"device\":\"0000:01:00.0\",\"from\":\"ON\","
				     "\"to\":\"REFUSED\","
				     "\"cause\":\"guest\",\"errno\":\"ENOTTY\",\"latency_us\":12,"
				     "\"detail\":\"no such feature\"}\n"));
	emit_and_read(&(struct event){.event = "x", .error = -9999}, text, sizeof(text));
	assert_non_null(strstr(text, "\"errno\":\"9999\""));
}

static void test_events_escapes_and_bounds_strings(void **state)
{
	char text[4096], longest[4096];

	(void)state;
	emit_and_read(&(struct event){.event = "a\"b\\c\nd"}, text, sizeof(text));
	assert_non_null(strstr(text, "a\\\"b\\\\c\\u000ad"));
	memset(longest, '"', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	emit_and_read(&(struct event){.event = "x", .detail = longest}, text, sizeof(text));
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_int_equal(text[strlen(text) - 2], '}');
	assert_int_equal(text[strlen(text) - 3], '"');
}

/* More numbers than a line takes: some are left out, but it stays one whole object. */
static void test_events_bounds_numbers(void **state)
{
	struct event_number numbers[100];
	char text[8192];

	(void)state;
	for (unsigned int i = 0; i < 100; i++)
		numbers[i] = (struct event_number){"a_number", UINT64_MAX - i};
	for (unsigned int count = 0; count <= 100; count++) {
		size_t len;

		emit_and_read(&(struct event){.event = "counters", .number = numbers,
					      .numbers = count, .detail = "d"}, text, sizeof(text));
		len = strlen(text);
		assert_int_equal(strcspn(text, "\n"), len - 1);
		assert_string_equal(text + len - strlen(",\"detail\":\"d\"}\n"),
				    ",\"detail\":\"d\"}\n");
	}
}

/* RFC 8259, section 8.1: JSON is UTF-8, whatever the bytes in the name of a socket are. */
static void test_events_writes_utf8(void **state)
{
	static const struct {
		const char *value, *written;
	} cases[] = {
		{"gr\xc3\xbc\xc3\x9f.0", "gr\xc3\xbc\xc3\x9f.0"},
		{"\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80"},
		{"cut\xc3.0", "cut\\ufffd.0"},
		{"cut\xe2\x82", "cut\\ufffd\\ufffd"},
		{"\x80\xff", "\\ufffd\\ufffd"},
		{"\xc0\xaf", "\\ufffd\\ufffd"},                 /* longer than needed */
		{"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},     /* a surrogate */
		{"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"}, /* beyond the last */
	};
	char text[2048], expected[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		emit_and_read(&(struct event){.event = "boot", .device = cases[i].value}, text,
			      sizeof(text));
		snprintf(expected, sizeof(expected), "\"device\":\"%s\"}", cases[i].written);
		assert_non_null(strstr(text, expected));
	}
}

static void test_events_reports_a_bad_path(void **state)
{
	(void)state;
	assert_int_equal(events_open("/nonexistent/dir/file"), -ENOENT);
	assert_int_equal(events_open(NULL), 0);
	events_emit(&(struct event){.event = "nowhere"});
}

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

/* A FIFO without a reader, or with one that does not read, must not hold the machine. */
static void test_events_waits_for_no_reader(void **state)
{
	char fifo[] = "/tmp/minivmm-fifo-XXXXXX";
	int reader, left = 0;

	(void)state;
	assert_non_null(mkdtemp(fifo));
	assert_int_equal(rmdir(fifo), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(events_open(fifo), -ENXIO);
	reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(events_open(fifo), 0);
	for (unsigned int i = 0; i < 4096; i++) /* more than a pipe holds */
		events_emit(&(struct event){.event = "boot", .detail = "0123456789abcdef"});
	assert_int_equal(ioctl(reader, FIONREAD, &left), 0);
	assert_true(left > 0);
	events_open(NULL);
	close(reader);
	unlink(fifo);
}

/* Readers inside the program: whole lines in order, a descriptor that tells of them, and a line for
 * what came and went unread. */
static void test_events_keeps_the_last_lines(void **state)
{
	struct event_cursor early, late;
	char text[4 * EVENT_LINE_MAX + 1];
	uint64_t told;
	size_t len;

	(void)state;
	assert_int_equal(events_fd(), -1);
	early = events_oldest();
	assert_int_equal(events_read(&early, text, sizeof(text)), 0);
	assert_int_equal(events_keep(), 0);
	early = events_oldest();
	events_emit(&(struct event){.event = "first"});
	late = events_newest();
	events_emit(&(struct event){.event = "second"});
	assert_int_equal(read(events_fd(), &told, sizeof(told)), sizeof(told));
	assert_int_equal(told, 2);
	text[events_read(&late, text, sizeof(text) - 1)] = '\0';
	assert_null(strstr(text, "first"));
	assert_non_null(strstr(text, "\"event\":\"second\"}\n"));
	for (unsigned int i = 0; i < 5000; i++)
		events_emit(&(struct event){.event = "boot"});
	len = events_read(&early, text, sizeof(text) - 1);
	text[len] = '\0';
	assert_int_equal(text[len - 1], '\n');
	assert_memory_equal(text, "{\"t_us\":", 8);
	assert_non_null(strstr(text, ",\"event\":\"lost\",\"count\":"));
	assert_null(strstr(strchr(text, '\n'), "lost"));
	events_drop();
	assert_int_equal(events_fd(), -1);
	events_emit(&(struct event){.event = "nowhere"});
}

static void test_events_clock(void **state)
{
	(void)state;
	assert_int_equal(events_time_us(0), 0); /* before its start */
	assert_true(events_now_us() <= events_time_us(UINT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events_writes_only_what_applies),
		cmocka_unit_test(test_events_names_errors),
		cmocka_unit_test(test_events_escapes_and_bounds_strings),
		cmocka_unit_test(test_events_bounds_numbers),
		cmocka_unit_test(test_events_writes_utf8),
		cmocka_unit_test(test_events_reports_a_bad_path),
		cmocka_unit_test(test_events_waits_for_no_reader),
		cmocka_unit_test(test_events_keeps_the_last_lines),
		cmocka_unit_test(test_events_clock),
	};

	return cmocka_run_group_tests_name("events", tests, make_file, remove_file);
}
