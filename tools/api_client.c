#include "tools/api_client.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/printable.h"
#include "vmm/base/bits.h"
#include "vmm/base/clock.h"
#include "vmm/base/unix_stream.h"

#define PIECE 4096
#define TOKENS_FIRST 512U
#define TOKENS_MAX 65536U

/* --- connecting --- */

static void explain_connect(const char *path, int error, struct api_why *why)
{
	static const struct {
		int error;
		const char *text;
	} reasons[] = {
		{ENOENT, "there is no such socket; minivmm makes it when it runs with --api PATH"},
		{ECONNREFUSED, "nobody listens there; the VM that made it has ended"},
		{ENOTSOCK, "this is no socket; name the one that minivmm made with --api PATH"},
		{EACCES, "permission denied; a VM is controlled by the user who runs it, and root"},
		{EAGAIN, "too many clients are waiting there, or the VM hangs"},
		{ENAMETOOLONG, "a socket's path has at most 107 bytes"},
	};
	const char *text = strerror(error);

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (reasons[i].error == error)
			text = reasons[i].text;
	snprintf(why->text, sizeof(why->text), "%s: %s", path, text);
}

int api_connect(const char *path, struct api_why *why)
{
	int fd = *path ? unix_stream_connect(path, API_TIMEOUT_MS / 1000) : -ENOENT;

	if (fd < 0)
		explain_connect(path, -fd, why);
	return fd;
}

/* --- requests --- */

static int fail(int error, const char *path, const char *text, struct api_why *why)
{
	snprintf(why->text, sizeof(why->text), "%s: %s", path, text);
	return error;
}

static int send_request(int fd, const char *path, const char *method, const char *target,
			const char *body, struct api_why *why)
{
	struct text request = {.bytes = NULL};
	size_t sent = 0;
	int error = 0;

	text_add(&request, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", method,
		 target);
	if (body)
		text_add(&request, "Content-Type: application/json\r\n");
	if (body || strcmp(method, "GET"))
		text_add(&request, "Content-Length: %zu\r\n", body ? strlen(body) : 0);
	text_add(&request, "\r\n%s", body ? body : "");
	if (request.failed)
		error = fail(-ENOMEM, path, "out of memory", why);
	while (!error && sent < request.len) {
		ssize_t len = send(fd, request.bytes + sent, request.len - sent, MSG_NOSIGNAL);

		if (len < 0 && errno == EPIPE)
			break; /* it may have answered before it closed */
		if (len < 0 && errno != EINTR)
			error = fail(-errno, path, strerror(errno), why);
		sent += len > 0 ? (size_t)len : 0;
	}
	text_finish(&request);
	return error;
}

static bool take_bounded(void *opaque, const char *bytes, size_t len)
{
	struct text *body = opaque;

	if (len > API_ANSWER_MAX - body->len)
		return false;
	text_add_bytes(body, bytes, len);
	return !body->failed;
}

int api_await(int fd, uint64_t deadline_us)
{
	for (;;) {
		struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
		uint64_t now = clock_us();
		int count = poll(&poll_fd, 1, now < deadline_us
				 ? (int)((deadline_us - now + 999) / 1000) : 0);

		if (count > 0)
			return 0;
		if (!count)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static int await_answer(int fd, const char *path, uint64_t deadline_us, struct api_why *why)
{
	int error = api_await(fd, deadline_us);

	return error ? fail(error, path, error == -ETIMEDOUT ? "the VM does not answer in time"
							     : strerror(-error), why) : 0;
}

/* Reads once. 0: read; 1: the server has closed. */
static int read_piece(int fd, const char *path, struct http_reader *http, http_body_fn take,
		      void *opaque, struct api_why *why)
{
	char piece[PIECE];
	ssize_t len = recv(fd, piece, sizeof(piece), 0);
	int error;

	if (len < 0 && errno == EINTR)
		return 0;
	if (len < 0 && errno != ECONNRESET)
		return fail(-errno, path, strerror(errno), why);
	if (len <= 0 && http_is_whole(http))
		return 1;
	if (len <= 0)
		return fail(-EPROTO, path, "the answer ends in the middle; has the VM ended?", why);
	error = http_feed(http, piece, (size_t)len, take, opaque);
	if (error == -EPROTO)
		fail(error, path, "what answers there is no HTTP/1.1 server as minivmm is",
		     why);
	return error;
}

/* The sentence of an error, which is the first string of an array. */
static int explain_status(const char *path, unsigned int status, const struct text *body,
			  struct api_why *why)
{
	jsmntok_t tokens[16];
	struct json_doc doc;
	char sentence[API_WHY_SIZE / 2];
	struct text shown = {.bytes = NULL};

	if (body->len && !json_parse(body->bytes, body->len, tokens, ARRAY_SIZE(tokens), &doc) &&
	    json_get_string(&doc, json_element(&doc, 0, 0), sentence, sizeof(sentence)))
		printable_add(&shown, sentence, 0);
	if (shown.len)
		fail(0, path, shown.bytes, why);
	else
		snprintf(why->text, sizeof(why->text), "%s: the VM answers with status %u", path,
			 status);
	text_finish(&shown);
	return -EREMOTEIO;
}

static int parse_body(const char *path, struct api_answer *answer, struct api_why *why)
{
	int error = -E2BIG;

	for (unsigned int max = TOKENS_FIRST; error == -E2BIG && max <= TOKENS_MAX; max *= 4) {
		jsmntok_t *tokens = realloc(answer->tokens, max * sizeof(*tokens));

		if (!tokens)
			return fail(-ENOMEM, path, "out of memory", why);
		answer->tokens = tokens;
		error = json_parse(answer->body.bytes, answer->body.len, tokens, max, &answer->doc);
	}
	return error ? fail(-EPROTO, path, "the answer is not JSON as docs/api.md has it", why) : 0;
}

int api_request_on(int fd, const char *path, const char *method, const char *target,
		   const char *body, unsigned int timeout_ms, struct api_answer *ret_answer,
		   struct api_why *why)
{
	uint64_t deadline = clock_us() + timeout_ms * 1000ULL;
	struct api_answer answer = {.tokens = NULL};
	struct http_reader http = {.phase = HTTP_STATUS_LINE};
	int error = send_request(fd, path, method, target, body, why);

	while (!error && http.phase != HTTP_DONE) {
		error = await_answer(fd, path, deadline, why);
		if (!error)
			error = read_piece(fd, path, &http, take_bounded, &answer.body, why);
	}
	close(fd);
	if (error == -ECANCELED)
		fail(error, path, answer.body.failed ? "out of memory"
						     : "the answer has more than 1 MiB", why);
	if (error >= 0)
		error = http.status >= 300 ? explain_status(path, http.status, &answer.body, why)
		      : answer.body.len    ? parse_body(path, &answer, why) : 0;
	if (error)
		api_answer_finish(&answer);
	*ret_answer = answer;
	return error;
}

int api_request(const char *path, const char *method, const char *target, const char *body,
		unsigned int timeout_ms, struct api_answer *ret_answer, struct api_why *why)
{
	int fd = api_connect(path, why);

	*ret_answer = (struct api_answer) {.tokens = NULL};
	return fd < 0 ? fd : api_request_on(fd, path, method, target, body, timeout_ms, ret_answer,
					    why);
}

void api_answer_finish(struct api_answer *answer)
{
	text_finish(&answer->body);
	free(answer->tokens);
	*answer = (struct api_answer) {.tokens = NULL};
}

/* --- streams --- */

static bool take_stream(void *opaque, const char *bytes, size_t len)
{
	struct api_stream *stream = opaque;

	if (stream->http.status >= 300)
		return take_bounded(&stream->error, bytes, len);
	return lines_feed(&stream->lines, bytes, len, stream->take, stream->opaque);
}

int api_stream_read(struct api_stream *stream, struct api_why *why)
{
	int error = 0;

	if (stream->deadline_us)
		error = await_answer(stream->fd, stream->path, stream->deadline_us, why);
	if (!error)
		error = read_piece(stream->fd, stream->path, &stream->http, take_stream, stream,
				   why);
	if (error < 0)
		return error;
	if (!error && stream->http.phase != HTTP_DONE)
		return 0;
	if (stream->http.status >= 300)
		return explain_status(stream->path, stream->http.status, &stream->error, why);
	return lines_end(&stream->lines, stream->take, stream->opaque) ? 1 : -ECANCELED;
}

int api_stream_open_on(int fd, const char *path, const char *target, struct api_stream *ret_stream,
		       line_fn take, void *opaque, struct api_why *why)
{
	uint64_t deadline = clock_us() + API_TIMEOUT_MS * 1000ULL;
	int error;

	*ret_stream = (struct api_stream) {.fd = fd, .path = path, .take = take, .opaque = opaque};
	error = send_request(fd, path, "GET", target, NULL, why);
	/* An error's body is read, too, for its sentence. */
	while (!error && (!http_has_head(&ret_stream->http) || ret_stream->http.status >= 300)) {
		error = await_answer(fd, path, deadline, why);
		if (!error)
			error = api_stream_read(ret_stream, why);
	}
	if (error < 0)
		api_stream_finish(ret_stream);
	return error < 0 ? error : 0;
}

void api_stream_finish(struct api_stream *stream)
{
	if (stream->fd >= 0)
		close(stream->fd);
	stream->fd = -1;
	text_finish(&stream->error);
}
