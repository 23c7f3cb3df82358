#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/lines.h"
#include "tools/printable.h"

struct taken {
	char text[256];
	unsigned int stop_after; /* 0: never */
};

static bool take(void *opaque, uint64_t number, const char *line, size_t len)
{
	struct taken *taken = opaque;
	size_t used = strlen(taken->text);

	snprintf(taken->text + used, sizeof(taken->text) - used, "%u=%.*s;", (unsigned int)number,
		 line ? (int)len : 4, line ? line : "LONG");
	return number != taken->stop_after;
}

static void test_lines_come_whole_whatever_the_pieces(void **state)
{
	static const char stream[] = "one\n\nthree\r\nlast";

	(void)state;
	for (size_t piece = 1; piece <= sizeof(stream); piece++) {
		struct lines *lines = calloc(1, sizeof(*lines));
		struct taken taken = {.text = ""};

		for (size_t at = 0; at < strlen(stream); at += piece) {
			size_t left = strlen(stream) - at;

			assert_true(lines_feed(lines, stream + at, left < piece ? left : piece,
					       take, &taken));
		}
		assert_string_equal(taken.text, "1=one;2=;3=three\r;");
		assert_int_equal(lines->len, 4);
		/* once, however often the end is told */
		assert_true(lines_end(lines, take, &taken));
		assert_true(lines_end(lines, take, &taken));
		assert_string_equal(taken.text, "1=one;2=;3=three\r;4=last;");
		free(lines);
	}
}

static void test_lines_that_are_too_long_are_lost_alone(void **state)
{
	struct lines *lines = calloc(1, sizeof(*lines));
	struct taken taken = {.text = ""};
	char *longest = calloc(1, LINES_MAX + 2);

	(void)state;
	memset(longest, 'x', LINES_MAX + 1);
	assert_true(lines_feed(lines, longest, LINES_MAX + 1, take, &taken));
	assert_true(lines_feed(lines, "more\nok\n", 8, take, &taken));
	assert_true(lines_end(lines, take, &taken));
	assert_string_equal(taken.text, "1=LONG;2=ok;");
	assert_true(lines_feed(lines, longest, LINES_MAX + 1, take, &taken));
	assert_true(lines_end(lines, take, &taken));
	assert_string_equal(taken.text, "1=LONG;2=ok;3=LONG;");
	free(longest);
	free(lines);
}

static void test_lines_stop_when_told(void **state)
{
	struct lines *lines = calloc(1, sizeof(*lines));
	struct taken taken = {.text = "", .stop_after = 2};

	(void)state;
	assert_false(lines_feed(lines, "a\nb\nc\n", 6, take, &taken));
	assert_string_equal(taken.text, "1=a;2=b;");
	free(lines);
}

static void test_printable_keeps_terminals_quiet(void **state)
{
	static const struct {
		const char *text;
		unsigned int columns;
		const char *shown;
	} cases[] = {
		{"0000:01:00.0", 0, "0000:01:00.0"},
		{"a\033[2Jb\rc\nd\te", 0, "a?[2Jb?c?d?e"},
		{"\x7f\xc2\x9b" "31m\xc2\xa0", 0, "??31m\xc2\xa0"},
		{"gr\xc3\xbc\xc3\x9f", 0, "gr\xc3\xbc\xc3\x9f"},
		{"\xff\xc3", 0, "??"},
		{"\xe2\x80\xae" "evil\xe2\x81\xa6\xef\xbf\xbf", 0, "?evil??"},
		{"name", 6, "name  "},
		{"name", 4, "name"},
		{"longer", 4, "lon~"},
		{"\xc3\xbc\xc3\xbc\xc3\xbc", 2, "\xc3\xbc~"},
		{"", 2, "  "},
		{"\"\\", 0, "\"\\"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct text out = {.bytes = NULL};

		printable_add(&out, cases[i].text, cases[i].columns);
		assert_string_equal(out.bytes, cases[i].shown);
		text_finish(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_come_whole_whatever_the_pieces),
		cmocka_unit_test(test_lines_that_are_too_long_are_lost_alone),
		cmocka_unit_test(test_lines_stop_when_told),
		cmocka_unit_test(test_printable_keeps_terminals_quiet),
	};

	return cmocka_run_group_tests_name("lines", tests, NULL, NULL);
}
