#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/http.h"
#include "vmm/base/bits.h"
#include "vmm/base/text.h"

static bool take(void *opaque, const char *bytes, size_t len)
{
	text_add_bytes(opaque, bytes, len);
	return true;
}

static bool take_nothing(void *opaque, const char *bytes, size_t len)
{
	(void)opaque;
	(void)bytes;
	(void)len;
	return false;
}

/* In pieces of `piece` bytes. */
static int feed(struct http_reader *reader, const char *answer, size_t piece, struct text *body)
{
	size_t len = strlen(answer);
	int error = 0;

	*reader = (struct http_reader) {.phase = HTTP_STATUS_LINE};
	for (size_t at = 0; at < len && !error; at += piece)
		error = http_feed(reader, answer + at, len - at < piece ? len - at : piece, take,
				  body);
	return error;
}

static void test_http_reads_answers_in_any_pieces(void **state)
{
	static const struct {
		const char *answer;
		unsigned int status;
		const char *body;
		bool whole, done;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true, true},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more", 200, "hello",
		 true, true},
		{"HTTP/1.0 200\nContent-Length:0\n\n", 200, "", true, true},
		{"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\nnothing", 204, "", true, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
		 "A;x=y\r\n0123456789\r\n0\r\nX: y\r\n\r\n", 200, "abc0123456789", true, true},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n"
		 "content-LENGTH: \t2 \r\n\r\n[]",
		 404, "[]", true, true},
		{"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end", true, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 200, "hello", false, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 200,
		 "hello",
		 false, false},
		{"HTTP/1.1 200 OK\r\nContent-Le", 200, "", false, false},
		{"", 0, "", false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t piece = 1; piece < 100; piece++) {
			struct text body = {.bytes = NULL};
			struct http_reader reader;

			assert_int_equal(feed(&reader, cases[i].answer, piece, &body), 0);
			assert_int_equal(reader.status, cases[i].status);
			assert_string_equal(body.bytes ? body.bytes : "", cases[i].body);
			assert_int_equal(http_is_whole(&reader), cases[i].whole);
			assert_int_equal(reader.phase == HTTP_DONE, cases[i].done);
			text_finish(&body);
		}
}

static void test_http_refuses_what_is_no_answer(void **state)
{
	static const char *const answers[] = {
		"SSH-2.0-OpenSSH\r\n", "\r\n", "HTTP/2 200\r\n", "HTTP/1.1 2000\r\n",
		"HTTP/1.1 20\r\n", "HTTP/1.1 0x2 OK\r\n", "HTTP/1.1 099 OK\r\n",
		"HTTP/1.1  200\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n", "HTTP/1.1 200 OK\r\n folded: x\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length:\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
		"HTTP/1.1 101 Switch\r\nContent-Length: 1\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct text body = {.bytes = NULL};
		struct http_reader reader;

		assert_int_equal(feed(&reader, answers[i], 1, &body), -EPROTO);
		text_finish(&body);
	}
}

/* A head that does not end, in width or in length, is none; nor one with a NUL. */
static void test_http_bounds_the_head(void **state)
{
	static const char field[] = "X: y\r\n";
	struct http_reader reader = {.phase = HTTP_STATUS_LINE};
	struct text body = {.bytes = NULL};
	unsigned int taken = 0;
	char *longest = malloc(HTTP_LINE_MAX + 1);

	(void)state;
	memset(longest, 'x', HTTP_LINE_MAX);
	longest[HTTP_LINE_MAX] = '\0';
	assert_int_equal(feed(&reader, longest, 7, &body), -EPROTO);
	free(longest);
	assert_int_equal(feed(&reader, "HTTP/1.1 200 OK\r\n", 99, &body), 0);
	while (taken < 1000 && !http_feed(&reader, field, strlen(field), take, &body))
		taken++;
	assert_int_equal(taken, HTTP_LINES_MAX);
	reader = (struct http_reader) {.phase = HTTP_STATUS_LINE};
	assert_int_equal(http_feed(&reader, "HTTP/1.1 \0", 10, take, &body), -EPROTO);
	text_finish(&body);
}

static void test_http_stops_when_told(void **state)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
	struct http_reader reader = {.phase = HTTP_STATUS_LINE};

	(void)state;
	assert_int_equal(http_feed(&reader, answer, strlen(answer), take_nothing, NULL),
			 -ECANCELED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_http_reads_answers_in_any_pieces),
		cmocka_unit_test(test_http_refuses_what_is_no_answer),
		cmocka_unit_test(test_http_bounds_the_head),
		cmocka_unit_test(test_http_stops_when_told),
	};

	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
