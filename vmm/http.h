/*
 * HTTP/1.1 as the control socket speaks it, pure: bytes in, a request out, and what an answer
 * begins with. RFC 9112 (the messages) and RFC 9110 (what they mean).
 *
 * Why a parser of our own: of the well-kept ones llhttp and picohttpparser are not packaged in
 * Debian 12, its libhttp-parser-dev is given up by its authors, and libmicrohttpd, built for glibc,
 * brings a socket layer and an event loop of its own. What the socket needs of HTTP is this file;
 * it is fuzzed (tests/fuzz/fuzz_http_server.c).
 */
#ifndef VMM_HTTP_H
#define VMM_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/text.h"

#define HTTP_HEAD_MAX 8192U   /* request line and fields, bytes */
#define HTTP_BODY_MAX 65536U

/* HTTP_OTHER: one that RFC 9110, section 9.1 Overview (of methods) knows, and nothing here has. */
enum http_method { HTTP_GET, HTTP_HEAD, HTTP_PUT, HTTP_OTHER };

struct http_request {
	enum http_method method;
	const char *path, *query;  /* in the bytes that were parsed; no NUL follows */
	size_t path_len, query_len;
	unsigned int minor;        /* of HTTP/1.x: 0 or 1 */
	bool keep_alive;           /* the connection may serve another request */
	bool expects_continue;     /* the body comes after "100 Continue" */
	size_t head_len, body_len; /* bytes of both; the body follows the head */
};

/* All zero before a request. */
struct http_parser {
	size_t at;                 /* the first byte that is not parsed yet */
	bool has_request_line, has_host, has_length, is_chunked, is_coded;
	struct http_request request;
};

#define HTTP_MORE 0U   /* the head is not complete */
#define HTTP_PARSED 1U /* parser->request is */

/*
 * Parses on; `bytes` holds the request from its first byte, `len` so far, and stays where it is
 * until the request was served. HTTP_MORE, HTTP_PARSED, or the status that refuses it: 400, 411,
 * 413, 414, 417, 431, 501, 505. A refused connection cannot be read on.
 */
unsigned int http_parse(struct http_parser *parser, const char *bytes, size_t len);

/* Is `name`=`value` one of the pairs of the request's query? */
bool http_query_has(const struct http_request *request, const char *name, const char *value);

/* What an answer begins with, and the empty line. */
struct http_head {
	unsigned int status;
	const char *type;      /* Content-Type; NULL: no body */
	const char *allow;     /* of a 405; NULL */
	uint64_t length;       /* of the body; without one and with `is_stream` not said */
	bool is_stream, is_chunked;
	bool keep_alive;
};

void http_add_head(struct text *text, const struct http_head *head);

/* RFC 9112, section 7.1 Chunked Transfer Coding: one chunk; `len` 0 is the last one. */
void http_add_chunk(struct text *text, const char *bytes, size_t len);

#endif
