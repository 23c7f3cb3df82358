/*
 * The answer of an HTTP/1.1 server, read as its bytes come, from a server that may say anything:
 * what is remembered is bounded, and what is not an answer is said to be none.
 */
#ifndef TOOLS_HTTP_H
#define TOOLS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_LINE_MAX 1024 /* of the head, and of what is around chunks */
#define HTTP_LINES_MAX 100

enum http_phase {
	HTTP_STATUS_LINE,
	HTTP_FIELDS,
	HTTP_BODY,       /* `left` bytes more */
	HTTP_BODY_TO_END, /* until the server closes */
	HTTP_CHUNK_SIZE,
	HTTP_CHUNK_DATA, /* `left` bytes more */
	HTTP_CHUNK_END,
	HTTP_TRAILER,
	HTTP_DONE,
};

/* Starts as {0}. */
struct http_reader {
	enum http_phase phase;
	unsigned int status;   /* from HTTP_FIELDS on */
	bool chunked, has_length;
	uint64_t left;
	char line[HTTP_LINE_MAX];
	size_t len;
	unsigned int lines;    /* of the head */
};

/* Takes a piece of the body. False: no more is wanted. */
typedef bool (*http_body_fn)(void *opaque, const char *bytes, size_t len);

/* Reads `len` more bytes; those of the body go to `take`. 0; -EPROTO: this is no answer;
 * -ECANCELED: `take` wanted no more. What comes after the answer is ignored. */
int http_feed(struct http_reader *reader, const char *bytes, size_t len, http_body_fn take,
	      void *opaque);

/* The head was read. */
bool http_has_head(const struct http_reader *reader);

/* The server has closed: was the answer whole? */
bool http_is_whole(const struct http_reader *reader);

#endif
