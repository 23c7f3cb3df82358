/*
 * The HTTP server on a listening socket: a few connections, served by the main loop, none of which
 * can hold it. Everything is bounded: connections, bytes of a request, the time to send one, the
 * time without progress while an answer is taken. Main thread only.
 */
#ifndef VMM_HTTP_SERVER_H
#define VMM_HTTP_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/text.h"
#include "vmm/http.h"

struct http_server;
struct loop;

#define HTTP_CONNECTIONS_MAX 16U

/* A body without a known end: `read` gives what there is now, whole lines say, 0: nothing new. */
struct http_stream {
	size_t (*read)(struct http_stream *stream, char *ret_bytes, size_t size);
	uint64_t position[2]; /* the reader's own */
};

/* All zero is an answer that comes later. */
struct http_answer {
	unsigned int status;
	const char *type;          /* of the body; NULL: none */
	struct text body;          /* the server frees it */
	char allow[32];            /* of a 405 */
	struct http_stream stream; /* goes on after `body` where it has `read` */
};

struct http_service {
	void *opaque;
	/* Answers one request; `body` has request->body_len bytes. One that is not answered at once
	 * is answered by http_server_answer(), with the number `exchange`. */
	void (*serve)(void *opaque, uint64_t exchange, const struct http_request *request,
		      const char *body, struct http_answer *ret_answer);
	/* The answer to what was refused before it got there (http_parse(), 408, 503). */
	void (*refuse)(void *opaque, unsigned int status, struct http_answer *ret_answer);
};

/* Serves what connects to the listening, non-blocking `fd`, which stays the caller's. NULL: out of
 * memory or descriptors. */
struct http_server *http_server_create(struct loop *loop, int fd,
				       const struct http_service *service);

/* The answer of an exchange that still waits for it; its client may be gone by now. The server
 * frees the body. */
void http_server_answer(struct http_server *server, uint64_t exchange, struct http_answer *answer);

/* There may be news for the streams. */
void http_server_feed(struct http_server *server);

/* No more connections and requests; exchanges that wait get a 503, streams go on. Before the loop's
 * end is final. */
void http_server_stop(struct http_server *server);

/* Gives the streams what is left and ends them, as far as their readers take it without a wait. */
void http_server_destroy(struct http_server *server); /* accepts NULL */

#endif
