/* Requests, good and bad, whole and in pieces; and what answers begin with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/base/bits.h"
#include "vmm/http.h"

#define HOST "Host: x\r\n"

/* Parses a copy without anything after it, so that the sanitizer sees every byte too many. */
static unsigned int parse(const char *text, size_t len, struct http_request *ret_request)
{
	static char *copy;
	struct http_parser parser = {.at = 0};
	unsigned int status;

	free(copy);
	copy = malloc(len ? len : 1);
	memcpy(copy, text, len);
	status = http_parse(&parser, copy, len);
	*ret_request = parser.request;
	return status;
}

/* The same, byte by byte: the answer must be the same, and not come before its line has ended. */
static unsigned int parse_slowly(const char *text, size_t len)
{
	struct http_parser parser = {.at = 0};
	unsigned int status = HTTP_MORE;

	for (size_t i = 1; i <= len && status == HTTP_MORE; i++)
		status = http_parse(&parser, text, i);
	return status;
}

static void expect(const char *text, unsigned int status)
{
	struct http_request request;

	if (parse(text, strlen(text), &request) != status ||
	    parse_slowly(text, strlen(text)) != status)
		fail_msg("%s: %u and %u, expected %u", text, parse(text, strlen(text), &request),
			 parse_slowly(text, strlen(text)), status);
}

static void test_http_takes_and_refuses(void **state)
{
	static const struct {
		const char *text;
		unsigned int status;
	} cases[] = {
		{"GET / HTTP/1.1\r\n" HOST "\r\n", HTTP_PARSED},
		{"GET / HTTP/1.0\r\n\r\n", HTTP_PARSED},
		{"GET / HTTP/1.9\r\n" HOST "\r\n", HTTP_PARSED},
		{"\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", HTTP_PARSED},
		{"get / HTTP/1.1\r\n" HOST "\r\n", 501}, /* case counts */
		{"BREW / HTTP/1.1\r\n" HOST "\r\n", 501},
		{"DELETE /x HTTP/1.1\r\n" HOST "\r\n", HTTP_PARSED},
		{"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", HTTP_PARSED},
		{"GET * HTTP/1.1\r\n" HOST "\r\n", 400},
		{"GET x HTTP/1.1\r\n" HOST "\r\n", 400},
		{"GET http://a/x HTTP/1.1\r\n" HOST "\r\n", HTTP_PARSED},
		{"GET HTTP://a HTTP/1.1\r\n" HOST "\r\n", HTTP_PARSED},
		{"GET http:///x HTTP/1.1\r\n" HOST "\r\n", 400},
		{"GET /a#b HTTP/1.1\r\n" HOST "\r\n", 400},
		{"GET /\x80 HTTP/1.1\r\n" HOST "\r\n", 400},
		{"GET /\t HTTP/1.1\r\n" HOST "\r\n", 400},
		{"GET  / HTTP/1.1\r\n" HOST "\r\n", 400},
		{"GET /  HTTP/1.1\r\n" HOST "\r\n", 400},
		{"GET / HTTP/1.1 \r\n" HOST "\r\n", 400},
		{" GET / HTTP/1.1\r\n" HOST "\r\n", 400},
		{"GET / HTTP/2.0\r\n" HOST "\r\n", 505},
		{"GET / HTTP/0.9\r\n" HOST "\r\n", 505},
		{"GET / HTTP/1,1\r\n" HOST "\r\n", 400},
		{"GET / http/1.1\r\n" HOST "\r\n", 400},
		{"GET /\r\n", 400},
		{"GET\r\n", 400},
		{"\x16\x03\x01\r\n", 400}, /* TLS */
		{"GET / HTTP/1.1\n", 400},
		{"GET / HTTP/1.1\r\nHost: x\n", 400},
		{"\n", 400},
		{"GET / HTTP/1.1\r\n\r\n", 400}, /* no Host */
		{"GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400},
		{"GET / HTTP/1.1\r\nHost:\r\n\r\n", HTTP_PARSED},
		{"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n" HOST " folded\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n" HOST "nocolon\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n" HOST ": x\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n" HOST "A: b\tc\x80\r\n\r\n", HTTP_PARSED},
		{"PUT / HTTP/1.1\r\n" HOST "Content-Length: 65536\r\n\r\n", HTTP_PARSED},
		{"PUT / HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n", 413},
		{"PUT / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551617\r\n\r\n", 413},
		{"PUT / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n", 400},
		{"PUT / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n", 400},
		{"PUT / HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n", 400},
		{"PUT / HTTP/1.1\r\n" HOST "Content-Length:\r\n", 400},
		{"PUT / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n", 400},
		{"PUT / HTTP/1.1\r\n" HOST "Content-Length: 1\r\ncontent-length: 1\r\n", 400},
		{"PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n", 411},
		{"PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
		{"PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n"
		 "Content-Length: 1\r\n\r\n", 400},
		{"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		{"PUT / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\n\r\n", HTTP_PARSED},
		{"PUT / HTTP/1.1\r\n" HOST "Expect: tea\r\n", 417},
		{"PUT / HTTP/1.0\r\nExpect: tea\r\n\r\n", HTTP_PARSED},
		{"", HTTP_MORE},
		{"GET / HTTP/1.1\r\n" HOST "\r", HTTP_MORE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect(cases[i].text, cases[i].status);
}

static void test_http_reads_what_is_asked(void **state)
{
	static const struct {
		const char *text;
		struct http_request request;
		const char *path, *query;
	} cases[] = {
		{"GET /a/b?x=1&y HTTP/1.1\r\n" HOST "\r\n",
		 {.method = HTTP_GET, .minor = 1, .keep_alive = true}, "/a/b", "x=1&y"},
		{"HEAD http://host:1/a HTTP/1.1\r\n" HOST "Connection: TE, Close\r\n\r\n",
		 {.method = HTTP_HEAD, .minor = 1}, "/a", ""},
		{"PUT http://host HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		 {.method = HTTP_PUT, .keep_alive = true}, "", ""},
		{"POST /? HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length:\t12 \r\n\r\n",
		 {.method = HTTP_OTHER, .minor = 1, .keep_alive = true, .expects_continue = true,
		  .body_len = 12}, "/", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_request request;

		assert_int_equal(parse(cases[i].text, strlen(cases[i].text), &request),
				 HTTP_PARSED);
		assert_int_equal(request.method, cases[i].request.method);
		assert_int_equal(request.minor, cases[i].request.minor);
		assert_int_equal(request.keep_alive, cases[i].request.keep_alive);
		assert_int_equal(request.expects_continue, cases[i].request.expects_continue);
		assert_int_equal(request.body_len, cases[i].request.body_len);
		assert_int_equal(request.head_len, strlen(cases[i].text));
		assert_int_equal(request.path_len, strlen(cases[i].path));
		assert_memory_equal(request.path, cases[i].path, request.path_len);
		assert_int_equal(request.query_len, strlen(cases[i].query));
		assert_memory_equal(request.query, cases[i].query, request.query_len);
	}
}

/* A head of exactly `len` bytes, the filler in the target or in a field. */
static char *make_head(size_t len, bool in_target)
{
	char *text = malloc(len + 1);
	int used = in_target ? snprintf(text, len, "GET /")
			     : snprintf(text, len, "GET / HTTP/1.1\r\n" HOST "A: ");
	const char *end = in_target ? " HTTP/1.1\r\n" HOST "\r\n" : "\r\n\r\n";

	memset(text + used, 'a', len - (size_t)used);
	memcpy(text + len - strlen(end), end, strlen(end) + 1);
	return text;
}

static void test_http_bounds_the_head(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		char *fits = make_head(HTTP_HEAD_MAX, i), *over = make_head(HTTP_HEAD_MAX + 1, i);
		char *far = make_head(2 * HTTP_HEAD_MAX, i);

		expect(fits, HTTP_PARSED);
		expect(over, 431); /* for want of the last line alone */
		expect(far, i ? 414 : 431);
		free(fits);
		free(over);
		free(far);
	}
}

static void test_http_stops_at_the_end_of_the_head(void **state)
{
	static const char text[] = "PUT / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
				   "GARBAGE\n\n";
	struct http_request request;

	(void)state;
	assert_int_equal(parse(text, strlen(text), &request), HTTP_PARSED);
	assert_memory_equal(text + request.head_len, "abcGARBAGE", 10);
}

static void test_http_query(void **state)
{
	static const char query[] = "recent=1&follow=&x=y=z&&last";
	const struct http_request request = {.query = query, .query_len = strlen(query)};
	const struct http_request none = {.query = query};

	(void)state;
	assert_true(http_query_has(&request, "recent", "1"));
	assert_true(http_query_has(&request, "follow", ""));
	assert_true(http_query_has(&request, "x", "y=z"));
	assert_true(http_query_has(&request, "last", ""));
	assert_false(http_query_has(&request, "recent", "11"));
	assert_false(http_query_has(&request, "recen", "1"));
	assert_false(http_query_has(&none, "recent", "1"));
}

static void test_http_answers(void **state)
{
	struct text text = {0};

	(void)state;
	http_add_head(&text, &(struct http_head){.status = 200, .type = "a/b", .length = 7,
						 .keep_alive = true});
	assert_memory_equal(text.bytes, "HTTP/1.1 200 OK\r\nDate: ", 23);
	/* "Sun, 06 Nov 1994 08:49:37 GMT": always as long. */
	assert_string_equal(text.bytes + 23 + 29,
			    "\r\nContent-Type: a/b\r\nContent-Length: 7\r\n\r\n");
	text_finish(&text);
	http_add_head(&text, &(struct http_head){.status = 204});
	assert_non_null(strstr(text.bytes, "204 No Content\r\n"));
	assert_non_null(strstr(text.bytes, " GMT\r\nConnection: close\r\n\r\n"));
	text_finish(&text);
	http_add_head(&text, &(struct http_head){.status = 405, .allow = "PUT", .is_stream = true,
						 .is_chunked = true, .keep_alive = true});
	assert_non_null(strstr(text.bytes,
			       "\r\nAllow: PUT\r\nTransfer-Encoding: chunked\r\n\r\n"));
	text_finish(&text);
	http_add_chunk(&text, "0123456789abcdefg", 17);
	http_add_chunk(&text, "", 0);
	assert_string_equal(text.bytes, "11\r\n0123456789abcdefg\r\n0\r\n\r\n");
	text_finish(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_http_takes_and_refuses),
		cmocka_unit_test(test_http_reads_what_is_asked),
		cmocka_unit_test(test_http_bounds_the_head),
		cmocka_unit_test(test_http_stops_at_the_end_of_the_head),
		cmocka_unit_test(test_http_query),
		cmocka_unit_test(test_http_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
