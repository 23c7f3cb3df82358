/*
 * A client of the control socket (docs/api.md). Nothing that the server says is believed without a
 * look: an answer has a size and a time it may take, and an error of the server is one sentence.
 *
 * Every failure is a sentence in `why`, without a full stop, that begins with the socket's path.
 */
#ifndef TOOLS_API_CLIENT_H
#define TOOLS_API_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "tools/http.h"
#include "tools/lines.h"
#include "vmm/base/json_read.h"
#include "vmm/base/text.h"

#define API_ANSWER_MAX (1U << 20)
#define API_TIMEOUT_MS 5000U
/* To add a device is to open it, which wakes it. */
#define API_TIMEOUT_ADD_MS 120000U
#define API_WHY_SIZE 512

struct api_why {
	char text[API_WHY_SIZE];
};

struct api_answer {
	struct text body;
	jsmntok_t *tokens; /* of `doc`; NULL: the answer has no body */
	struct json_doc doc;
};

/* Waits until the descriptor can be read, or clock_us() is `deadline_us`: 0 or -ETIMEDOUT, or
 * another negative errno. */
int api_await(int fd, uint64_t deadline_us);

/* Connects. The descriptor, or a negative errno with a sentence that says what to do. */
int api_connect(const char *path, struct api_why *why);

/*
 * Sends a request (`body` NULL: without one) on the descriptor, which it closes, and waits for the
 * answer. 0: the answer is a success, and JSON if it has a body. Otherwise negative: -EPROTO is no
 * answer at all, -ETIMEDOUT none in time, -EREMOTEIO an error of the server with its sentence.
 */
int api_request_on(int fd, const char *path, const char *method, const char *target,
		   const char *body, unsigned int timeout_ms, struct api_answer *ret_answer,
		   struct api_why *why);

/* The same on a connection of its own. */
int api_request(const char *path, const char *method, const char *target, const char *body,
		unsigned int timeout_ms, struct api_answer *ret_answer, struct api_why *why);

void api_answer_finish(struct api_answer *answer);

/* Lines that come as long as the server has some. */
struct api_stream {
	int fd; /* to be polled */
	const char *path;
	struct http_reader http;
	struct lines lines;
	struct text error; /* the body, where the answer is an error */
	line_fn take;
	void *opaque;
	uint64_t deadline_us; /* of clock_us(), by which it ends; 0: it may go on for ever */
};

/* Starts a stream on a connection, which it takes over in any case; first lines may go to `take` at
 * once. 0 or as api_request_on(). */
int api_stream_open_on(int fd, const char *path, const char *target, struct api_stream *ret_stream,
		       line_fn take, void *opaque, struct api_why *why);

/* Reads what there is, and waits if there is nothing. 0: it goes on; 1: it has ended as it should;
 * -ECANCELED: `take` wanted no more; others with a sentence, -ETIMEDOUT after the deadline. */
int api_stream_read(struct api_stream *stream, struct api_why *why);

void api_stream_finish(struct api_stream *stream);

#endif
