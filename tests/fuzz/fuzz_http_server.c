/*
 * The input is what a client of the control socket sends, after one byte that says in how many
 * pieces. It goes through the parser, whole and in pieces, which must come to the same, and then
 * through a connection on a real socket pair.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/base/bits.h"
#include "vmm/http.h"
#include "vmm/http_connection.h"
#include "vmm/http_server.h"

#define INPUT_MAX 20000U

static unsigned int served, answered, refused;
static uint64_t last_exchange;
static const char *sent;
static size_t sent_len;

/* --- the parser --- */

static void check_request(const struct http_request *request, const char *bytes, size_t len)
{
	fuzz_must(request->head_len >= 18 && request->head_len <= len &&
		  request->head_len <= HTTP_HEAD_MAX, "a head of a wrong length");
	fuzz_must(!memcmp(bytes + request->head_len - 4, "\r\n\r\n", 4), "a head without an end");
	fuzz_must(request->body_len <= HTTP_BODY_MAX, "a body that is too long");
	fuzz_must(request->path >= bytes && request->path + request->path_len <= request->query &&
		  request->query + request->query_len < bytes + request->head_len,
		  "a path or query outside the request");
}

static unsigned int parse(const char *bytes, size_t len, size_t step, struct http_parser *parser)
{
	unsigned int status = HTTP_MORE;

	*parser = (struct http_parser){.at = 0};
	for (size_t at = 0; at < len && status == HTTP_MORE;) {
		at = len - at < step ? len : at + step;
		status = http_parse(parser, bytes, at);
	}
	return status;
}

static void try_parser(const char *bytes, size_t len, size_t step)
{
	struct http_parser whole, pieces;
	unsigned int status = parse(bytes, len, len ? len : 1, &whole);

	fuzz_must(status == parse(bytes, len, step, &pieces), "pieces make a difference");
	fuzz_must(status <= HTTP_PARSED || (status >= 400 && status < 600), "an odd status");
	if (status != HTTP_PARSED)
		return;
	check_request(&whole.request, bytes, len);
	fuzz_must(whole.request.head_len == pieces.request.head_len &&
		  whole.request.body_len == pieces.request.body_len &&
		  whole.request.method == pieces.request.method &&
		  whole.request.path == pieces.request.path, "pieces make another request");
}

/* --- a connection --- */

static size_t no_more(struct http_stream *stream, char *ret_bytes, size_t size)
{
	size_t len = stream->position[0]-- ? size : 0;

	memset(ret_bytes, 's', len);
	return len;
}

static void serve(void *opaque, uint64_t exchange, const struct http_request *request,
		  const char *body, struct http_answer *ret_answer)
{
	(void)opaque;
	fuzz_must(exchange > last_exchange, "a number that was used before");
	last_exchange = exchange;
	served++;
	fuzz_must(memmem(sent, sent_len, request->path, request->path_len) != NULL,
		  "a path that was not sent");
	fuzz_must(!request->body_len || memmem(sent, sent_len, body, request->body_len),
		  "a body that was not sent");
	if (http_query_has(request, "later", "1"))
		return;
	ret_answer->status = 200;
	ret_answer->type = "text/plain";
	text_add(&ret_answer->body, "%.*s", (int)request->path_len, request->path);
	if (http_query_has(request, "follow", "1"))
		ret_answer->stream = (struct http_stream){no_more, {3, 0}};
}

static void refuse(void *opaque, unsigned int status, struct http_answer *ret_answer)
{
	(void)opaque;
	refused++;
	ret_answer->status = status;
	ret_answer->type = "text/plain";
}

/* The answers of requests that wait for them. False: it is over. */
static bool answer_late(struct http_connection *connection)
{
	bool alive = true;

	while (alive && connection->state == HTTP_WAITING) {
		struct http_answer answer = {.status = 204};

		alive = http_connection_answer(connection, &answer);
	}
	return alive;
}

/* Answers begin so; bodies of ours do not hold it, for a path holds no blank. */
static void hear(int fd)
{
	static const char begin[] = "HTTP/1.1 ";
	static char bytes[1 << 16];
	ssize_t len;

	while ((len = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		for (char *at = bytes; (at = memmem(at, (size_t)(bytes + len - at), begin,
						    strlen(begin))); at += strlen(begin))
			answered += memcmp(at + strlen(begin), "100", 3) != 0;
}

static void try_connection(const char *bytes, size_t len, size_t step)
{
	const struct http_service service = {.serve = serve, .refuse = refuse};
	struct http_connection connection;
	bool alive = true;
	int pair[2];

	served = answered = refused = 0;
	sent = bytes;
	sent_len = len;
	fuzz_must(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) &&
		  http_connection_open(&connection, pair[0], &service), "no connection");
	for (size_t at = 0; at < len && alive; at += step) {
		size_t piece = len - at < step ? len - at : step;

		if (send(pair[1], bytes + at, piece, MSG_NOSIGNAL) != (ssize_t)piece)
			break;
		alive = http_connection_run(&connection);
		hear(pair[1]);
		alive = alive && answer_late(&connection) && http_connection_run(&connection) &&
			answer_late(&connection);
	}
	hear(pair[1]);
	fuzz_must(refused <= 1, "a connection that was refused twice");
	fuzz_must(answered == served + refused, "answers that are no requests'");
	fuzz_must(!alive || http_connection_wants(&connection), "a connection that hangs");
	http_connection_close(&connection);
	close(pair[1]);
}

/* A body that needs more room than a head. */
static void write_long_seed(int argc, char **argv)
{
	static char seed[2 * HTTP_HEAD_MAX];
	int len = snprintf(seed, sizeof(seed), "\xff" "PUT /long?a=b HTTP/1.1\r\nHost: x\r\n"
			   "Content-Length: 9000\r\n\r\n");

	memset(seed + len, 'b', 9000);
	fuzz_write_seed(argc, argv, "long", seed, (size_t)len + 9000);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const seeds[] = {
		"\xff" "GET /api/v1/power?recent=1 HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n",
		"\x07" "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n"
		"\r\n{\"a\"}GET http://h/b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"\x01" "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
		"GET / HTTP/1.1\r\n\r\n",
		"\x20" "GET /e?follow=1 HTTP/1.1\r\nHost: x\r\n\r\nmore",
		"\x09" "PUT /a?later=1 HTTP/1.1\r\nHost: x\r\n\r\nGET /?later=1 HTTP/1.0\r\n\r\n",
		"\x20" "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(seeds); i++) {
		const char name[] = {(char)('a' + i), 0};

		fuzz_write_seed(*argc, *argv, name, seeds[i], strlen(seeds[i]));
	}
	write_long_seed(*argc, *argv);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t step;
	char *bytes;

	if (size < 2 || size > INPUT_MAX)
		return 0;
	/* A few pieces of a long input, or single bytes of a short one. */
	step = data[0] + 1U + size / 64;
	/* A copy that ends where the input does, for the sanitizer. */
	bytes = malloc(size - 1);
	memcpy(bytes, data + 1, size - 1);
	try_parser(bytes, size - 1, step);
	try_connection(bytes, size - 1, step);
	free(bytes);
	return 0;
}
