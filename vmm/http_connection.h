/*
 * Inside the HTTP server: one connection. vmm/http_server.c has the table of them, their places and
 * their deadlines.
 */
#ifndef VMM_HTTP_CONNECTION_H
#define VMM_HTTP_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/text.h"
#include "vmm/http.h"
#include "vmm/http_server.h"

enum http_state {
	HTTP_FREE,
	HTTP_READING,   /* a request, or between two */
	HTTP_WAITING,   /* the answer comes later */
	HTTP_STREAMING, /* an answer that goes on until one of both has enough */
	HTTP_LINGERING, /* all is said; what the client still sends is dropped */
};

struct http_connection {
	int fd;
	enum http_state state;
	const struct http_service *service;
	char *in;               /* the request */
	size_t in_len, in_size;
	struct http_parser parser;
	bool continue_sent;     /* to this request */
	uint64_t exchange;      /* number of this request, never used twice */
	struct text out;        /* of which `sent` bytes are gone */
	size_t sent;
	bool last;              /* linger once `out` is gone */
	bool said_all;          /* the client will send no more */
	struct http_stream stream;
	bool is_chunked;        /* how `stream` is sent */
	uint64_t since;         /* clock when it last did something */
	uint64_t deadline;      /* clock; 0: none */
};

/* `fd` was accepted. False: out of memory. */
bool http_connection_open(struct http_connection *connection, int fd,
			  const struct http_service *service);

/* Goes on, as far as it can without a wait. False: it is over, close it. */
bool http_connection_run(struct http_connection *connection);

/* What its request waits for has come. False: it is over. */
bool http_connection_answer(struct http_connection *connection, struct http_answer *answer);

/* Its deadline has come. False: it is over. */
bool http_connection_expire(struct http_connection *connection);

/* Refuses what it would ask, and ends. False: it is over. */
bool http_connection_refuse(struct http_connection *connection, unsigned int status);

/* What its descriptor is to be awaited for: LOOP_*, or nothing but the end of its client. */
unsigned int http_connection_wants(const struct http_connection *connection);

/* Ends a stream as it should end, as far as the reader takes it. */
void http_connection_end_stream(struct http_connection *connection);

void http_connection_close(struct http_connection *connection);

#endif
