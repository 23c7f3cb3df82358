#include "vmm/http_server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/log.h"
#include "vmm/http_connection.h"
#include "vmm/loop.h"

#define NO_DESCRIPTORS_US (1 * 1000 * 1000ULL) /* until connections are taken again */

struct http_server {
	struct loop *loop;
	int listen_fd;
	bool listening;         /* the loop awaits listen_fd */
	bool stopped;
	struct http_service service;
	struct http_connection connection[HTTP_CONNECTIONS_MAX];
	int timer_fd;
	uint64_t timer;         /* what it is armed for; 0: not */
	uint64_t listen_again;  /* clock; 0: listening, or never again */
};

static void on_connection(void *opaque, int fd);
static void on_listen(void *opaque, int fd);

/* --- deadlines --- */

static void earliest(uint64_t *at, uint64_t deadline)
{
	if (deadline && (!*at || deadline < *at))
		*at = deadline;
}

/* One timer for all of them. */
static void arm_timer(struct http_server *server)
{
	struct itimerspec when = {.it_value = {0}};
	uint64_t at = server->listen_again;

	for (unsigned int i = 0; i < HTTP_CONNECTIONS_MAX; i++)
		earliest(&at, server->connection[i].deadline);
	if (at == server->timer)
		return;
	server->timer = at;
	when.it_value.tv_sec = (time_t)(at / 1000000);
	when.it_value.tv_nsec = (long)(at % 1000000 * 1000);
	timerfd_settime(server->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* --- the listening socket --- */

static void set_listening(struct http_server *server, bool on)
{
	if (server->listening && !on)
		loop_remove(server->loop, server->listen_fd);
	else if (!server->listening && on &&
		 loop_add(server->loop, server->listen_fd, on_listen, server))
		return;
	server->listening = on;
}

/* Without descriptors or memory a connection cannot be taken, and the socket stays ready: it is
 * left alone until there may be some again. */
static void rest(struct http_server *server)
{
	set_listening(server, false);
	server->listen_again = clock_us() + NO_DESCRIPTORS_US;
}

static void listen_again(struct http_server *server)
{
	if (!server->listen_again)
		return;
	server->listen_again = 0;
	set_listening(server, true);
}

/* --- connections --- */

static void end(struct http_server *server, struct http_connection *connection)
{
	loop_remove(server->loop, connection->fd);
	http_connection_close(connection);
	listen_again(server);
}

/* After it did something; `alive` as it said. */
static void settle(struct http_server *server, struct http_connection *connection, bool alive)
{
	if (alive)
		loop_want(server->loop, connection->fd, http_connection_wants(connection));
	else
		end(server, connection);
}

static void on_connection(void *opaque, int fd)
{
	struct http_server *server = opaque;

	for (unsigned int i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		struct http_connection *connection = &server->connection[i];

		if (connection->state != HTTP_FREE && connection->fd == fd)
			settle(server, connection, http_connection_run(connection));
	}
	arm_timer(server);
}

/* May it go when others need its place? One that waits for nothing, or for a reader who does not
 * read. */
static bool is_idle(const struct http_connection *connection)
{
	switch (connection->state) {
	case HTTP_READING:
		return !connection->in_len && !connection->out.len;
	case HTTP_WAITING:
		return false;
	case HTTP_STREAMING:
		return connection->out.len;
	default:
		return true;
	}
}

/* A free place, or the one that has been idle longest; NULL: all are busy. */
static struct http_connection *free_or_idle(struct http_server *server)
{
	struct http_connection *oldest = NULL;

	for (unsigned int i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		struct http_connection *connection = &server->connection[i];

		if (connection->state == HTTP_FREE)
			return connection;
		if (is_idle(connection) && (!oldest || connection->since < oldest->since))
			oldest = connection;
	}
	return oldest;
}

/* Whoever seems idle may have just spoken, or read, and whoever seems busy may be gone. */
static void hear_all(struct http_server *server)
{
	for (unsigned int i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		struct http_connection *connection = &server->connection[i];

		if (connection->state != HTTP_FREE && connection->state != HTTP_WAITING)
			settle(server, connection, http_connection_run(connection));
	}
}

/* A place for a new connection; NULL: there is none. */
static struct http_connection *make_place(struct http_server *server)
{
	struct http_connection *place = free_or_idle(server);

	if (place && place->state == HTTP_FREE)
		return place;
	hear_all(server);
	place = free_or_idle(server);
	if (place && place->state != HTTP_FREE)
		end(server, place);
	return place;
}

/* Nothing is read of it: what it asks is not known. */
static void turn_away(struct http_server *server, int fd)
{
	struct http_connection connection;

	if (http_connection_open(&connection, fd, &server->service))
		http_connection_refuse(&connection, 503);
	http_connection_close(&connection);
}

static void take_connection(struct http_server *server, int fd)
{
	struct http_connection *connection = make_place(server);

	if (!connection) {
		turn_away(server, fd);
		return;
	}
	if (!http_connection_open(connection, fd, &server->service) ||
	    loop_add(server->loop, fd, on_connection, server))
		http_connection_close(connection);
}

static void on_listen(void *opaque, int listen_fd)
{
	struct http_server *server = opaque;
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0) {
		take_connection(server, fd);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
		log_guest("control socket: no descriptors or memory for a connection, waiting");
		rest(server);
	}
	arm_timer(server);
}

static void on_timer(void *opaque, int fd)
{
	struct http_server *server = opaque;
	uint64_t now = clock_us();

	eventfd_drain(fd);
	server->timer = 0;
	for (unsigned int i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		struct http_connection *connection = &server->connection[i];

		if (connection->deadline && connection->deadline <= now)
			settle(server, connection, http_connection_expire(connection));
	}
	if (server->listen_again && server->listen_again <= now)
		listen_again(server);
	arm_timer(server);
}

/* --- for the control socket --- */

struct http_server *http_server_create(struct loop *loop, int fd,
				       const struct http_service *service)
{
	struct http_server *server = calloc(1, sizeof(*server));

	if (!server)
		return NULL;
	server->loop = loop;
	server->listen_fd = fd;
	server->service = *service;
	server->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	set_listening(server, true);
	if (server->timer_fd < 0 || !server->listening ||
	    loop_add(loop, server->timer_fd, on_timer, server)) {
		http_server_destroy(server);
		return NULL;
	}
	return server;
}

void http_server_answer(struct http_server *server, uint64_t exchange, struct http_answer *answer)
{
	for (unsigned int i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		struct http_connection *connection = &server->connection[i];

		if (connection->state == HTTP_WAITING && connection->exchange == exchange)
			settle(server, connection, http_connection_answer(connection, answer));
	}
	text_finish(&answer->body); /* of one that has nobody to go to */
	arm_timer(server);
}

void http_server_feed(struct http_server *server)
{
	for (unsigned int i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		struct http_connection *connection = &server->connection[i];

		if (connection->state == HTTP_STREAMING)
			settle(server, connection, http_connection_run(connection));
	}
	arm_timer(server);
}

void http_server_stop(struct http_server *server)
{
	server->listen_again = 0;
	set_listening(server, false);
	for (unsigned int i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		struct http_connection *connection = &server->connection[i];

		if (connection->state == HTTP_FREE || connection->state == HTTP_STREAMING)
			continue;
		if (connection->state == HTTP_WAITING)
			http_connection_refuse(connection, 503);
		end(server, connection);
	}
	arm_timer(server);
}

void http_server_destroy(struct http_server *server)
{
	if (!server)
		return;
	http_server_stop(server);
	for (unsigned int i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		if (server->connection[i].state != HTTP_STREAMING)
			continue;
		http_connection_end_stream(&server->connection[i]);
		end(server, &server->connection[i]);
	}
	loop_remove(server->loop, server->timer_fd);
	if (server->timer_fd >= 0)
		close(server->timer_fd);
	free(server);
}
