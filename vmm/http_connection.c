#include "vmm/http_connection.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/loop.h"

#define REQUEST_US (5 * 1000 * 1000ULL) /* to send a request whole */
#define STALLED_US (5 * 1000 * 1000ULL) /* without taking any of an answer */
#define LINGER_US (1 * 1000 * 1000ULL)
#define STREAM_PIECE 4096U

bool http_connection_open(struct http_connection *connection, int fd,
			  const struct http_service *service)
{
	*connection = (struct http_connection){
		.fd = fd, .state = HTTP_READING, .service = service, .in_size = HTTP_HEAD_MAX,
		.in = malloc(HTTP_HEAD_MAX), .since = clock_us(),
	};
	return connection->in;
}

void http_connection_close(struct http_connection *connection)
{
	close(connection->fd);
	free(connection->in);
	text_finish(&connection->out);
	*connection = (struct http_connection){.fd = -1, .state = HTTP_FREE};
}

unsigned int http_connection_wants(const struct http_connection *connection)
{
	unsigned int wanted = connection->out.len ? LOOP_WRITE : 0;

	if (connection->state == HTTP_WAITING)
		return wanted;
	/* Its end can be read again and again. */
	if (connection->said_all)
		return wanted;
	/* One request at a time: the next ones wait in the socket. */
	if (connection->state != HTTP_READING || !wanted)
		wanted |= LOOP_READ;
	return wanted;
}

/* --- writing --- */

/* RFC 9112, section 9.6 Tear-down: to close at once could cost the client the answer. */
static void linger(struct http_connection *connection)
{
	shutdown(connection->fd, SHUT_WR);
	connection->state = HTTP_LINGERING;
	connection->deadline = clock_us() + LINGER_US;
}

/* False: the client is gone. */
static bool flush(struct http_connection *connection)
{
	struct text *out = &connection->out;

	while (connection->sent < out->len) {
		ssize_t len = send(connection->fd, out->bytes + connection->sent,
				   out->len - connection->sent, MSG_NOSIGNAL);

		if (len < 0)
			return errno == EAGAIN || errno == EINTR;
		connection->sent += (size_t)len;
		connection->since = clock_us();
		if (connection->state == HTTP_READING)
			connection->deadline = connection->since + STALLED_US;
	}
	if (!out->len)
		return true;
	text_finish(out);
	connection->sent = 0;
	connection->deadline = 0;
	if (connection->last && connection->state == HTTP_READING)
		linger(connection);
	return true;
}

static void begin_stream(struct http_connection *connection, const struct http_answer *answer,
			 bool is_chunked)
{
	connection->stream = answer->stream;
	connection->is_chunked = is_chunked;
	connection->state = HTTP_STREAMING;
	connection->in_len = 0;
}

/* `request` NULL: there is none that could be understood. Owns the answer's body. */
static void send_answer(struct http_connection *connection, const struct http_request *request,
			struct http_answer *answer)
{
	bool has_body = !request || request->method != HTTP_HEAD;
	bool is_stream = answer->stream.read;
	const struct http_head head = {
		.status = answer->status,
		.type = answer->type,
		.allow = answer->allow[0] ? answer->allow : NULL,
		.length = answer->body.len,
		.is_stream = is_stream,
		.is_chunked = is_stream && request && request->minor,
		.keep_alive = request && request->keep_alive && (!is_stream || request->minor),
	};

	connection->last = !head.keep_alive;
	connection->deadline = clock_us() + STALLED_US;
	http_add_head(&connection->out, &head);
	if (has_body && !is_stream && answer->body.len)
		text_add_bytes(&connection->out, answer->body.bytes, answer->body.len);
	connection->out.failed |= answer->body.failed;
	text_finish(&answer->body);
	if (has_body && is_stream)
		begin_stream(connection, answer, head.is_chunked);
}

bool http_connection_refuse(struct http_connection *connection, unsigned int status)
{
	struct http_answer answer = {.status = 0};

	connection->service->refuse(connection->service->opaque, status, &answer);
	send_answer(connection, NULL, &answer);
	return !connection->out.failed && flush(connection);
}

/* --- reading --- */

/* Both directions have ended: it does not read any more, either. */
static bool is_gone(const struct http_connection *connection)
{
	struct pollfd poll_fd = {.fd = connection->fd};

	return poll(&poll_fd, 1, 0) > 0;
}

/* What the client sends and nobody wants. False: nothing of it is awaited any more. */
static bool drop_input(struct http_connection *connection)
{
	char bytes[1024];
	ssize_t len = recv(connection->fd, bytes, sizeof(bytes), 0);

	if (len)
		return len > 0 || errno == EAGAIN || errno == EINTR;
	/* Whoever only reads may have closed the direction that it does not need. */
	connection->said_all = true;
	return connection->state == HTTP_STREAMING && !is_gone(connection);
}

/* False: the client has ended, or is gone. */
static bool take_input(struct http_connection *connection)
{
	ssize_t len;

	if (connection->in_len == connection->in_size)
		return true;
	len = recv(connection->fd, connection->in + connection->in_len,
		   connection->in_size - connection->in_len, 0);
	if (len <= 0)
		return len < 0 && (errno == EAGAIN || errno == EINTR);
	if (!connection->deadline)
		connection->deadline = clock_us() + REQUEST_US;
	connection->in_len += (size_t)len;
	connection->since = clock_us();
	return true;
}

/* The request that was served goes, what was sent after it is the beginning of the next. */
static void begin_next(struct http_connection *connection, size_t used)
{
	connection->in_len -= used;
	memmove(connection->in, connection->in + used, connection->in_len);
	connection->parser = (struct http_parser){.at = 0};
	connection->continue_sent = false;
}

/* Room for the body of the request whose head is there. False: out of memory. */
static bool make_room(struct http_connection *connection, size_t size)
{
	struct http_request *request = &connection->parser.request;
	char *roomy;

	if (size <= connection->in_size)
		return true;
	roomy = malloc(size);
	if (!roomy)
		return false;
	memcpy(roomy, connection->in, connection->in_len);
	request->path = roomy + (request->path - connection->in);
	request->query = roomy + (request->query - connection->in);
	free(connection->in);
	connection->in = roomy;
	connection->in_size = size;
	return true;
}

static void finish_request(struct http_connection *connection, struct http_answer *answer)
{
	const struct http_request *request = &connection->parser.request;
	size_t len = request->head_len + request->body_len;

	send_answer(connection, request, answer);
	if (connection->state == HTTP_READING)
		begin_next(connection, len);
}

/* The head is there. True: the body, too, and so the request was served. */
static bool serve(struct http_connection *connection)
{
	static uint64_t exchanges;
	const struct http_request *request = &connection->parser.request;
	size_t len = request->head_len + request->body_len;
	struct http_answer answer = {.status = 0};

	if (connection->in_len < len && request->expects_continue && !connection->continue_sent) {
		connection->continue_sent = true;
		text_add(&connection->out, "HTTP/1.1 100 Continue\r\n\r\n");
	}
	if (!make_room(connection, len)) {
		connection->out.failed = true;
		return false;
	}
	if (connection->in_len < len)
		return false;
	connection->deadline = 0;
	connection->exchange = ++exchanges;
	connection->service->serve(connection->service->opaque, connection->exchange, request,
				   connection->in + request->head_len, &answer);
	if (answer.status)
		finish_request(connection, &answer);
	else
		connection->state = HTTP_WAITING;
	return true;
}

/* Requests that are there, until one's answer has to wait for its reader. False: it is over. */
static bool serve_all(struct http_connection *connection)
{
	while (connection->state == HTTP_READING && !connection->out.len && connection->in_len) {
		unsigned int status = HTTP_PARSED;
		bool served = false;

		if (!connection->parser.request.head_len)
			status = http_parse(&connection->parser, connection->in,
					    connection->in_len);
		if (status > HTTP_PARSED)
			return http_connection_refuse(connection, status);
		if (status == HTTP_PARSED)
			served = serve(connection);
		if (connection->out.failed || !flush(connection))
			return false;
		if (!served && !connection->deadline)
			connection->deadline = clock_us() + REQUEST_US;
		if (!served)
			return true;
	}
	return true;
}

/* --- streams --- */

static bool run_stream(struct http_connection *connection)
{
	char piece[STREAM_PIECE];
	size_t len;

	while (!connection->out.len &&
	       (len = connection->stream.read(&connection->stream, piece, sizeof(piece)))) {
		if (connection->is_chunked)
			http_add_chunk(&connection->out, piece, len);
		else
			text_add_bytes(&connection->out, piece, len);
		if (connection->out.failed || !flush(connection))
			return false;
	}
	return true;
}

void http_connection_end_stream(struct http_connection *connection)
{
	if (!flush(connection) || !run_stream(connection))
		return;
	if (connection->is_chunked && !connection->out.len)
		http_add_chunk(&connection->out, "", 0);
	flush(connection);
}

/* --- all together --- */

/* What was left of earlier input comes before what is new. */
static bool read_requests(struct http_connection *connection)
{
	if (!serve_all(connection))
		return false;
	if (connection->state != HTTP_READING || connection->out.len)
		return true;
	return take_input(connection) && serve_all(connection);
}

bool http_connection_run(struct http_connection *connection)
{
	bool had_to_write = connection->out.len;
	bool alive = flush(connection);

	/* Of a client that waits nothing is awaited but its end. */
	if (connection->state == HTTP_WAITING)
		return alive && had_to_write;

	if (alive && connection->state != HTTP_READING)
		alive = drop_input(connection);
	else if (alive && !connection->out.len)
		alive = read_requests(connection);
	return alive && (connection->state != HTTP_STREAMING || run_stream(connection));
}

bool http_connection_answer(struct http_connection *connection, struct http_answer *answer)
{
	connection->state = HTTP_READING;
	finish_request(connection, answer);
	return !connection->out.failed && http_connection_run(connection);
}

bool http_connection_expire(struct http_connection *connection)
{
	if (connection->state != HTTP_READING || connection->out.len)
		return false;
	return http_connection_refuse(connection, 408);
}
