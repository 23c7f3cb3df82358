/*
 * One function's socket: accepts one client at a time, takes messages apart, sends replies. At any
 * byte the client may be gone, slow or wrong.
 */
#include "guest-tests/model-gpu/model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NEVER_US (UINT64_MAX / 4)

static struct function *function_of(struct connection *connection)
{
	return container_of(connection, struct function, connection);
}

static void process(struct connection *connection);

/* --- the end of a client --- */

static void close_fds(struct connection *connection)
{
	for (unsigned int i = 0; i < connection->fd_count; i++)
		if (connection->fds[i] >= 0)
			close(connection->fds[i]);
	connection->fd_count = 0;
}

static void drop_client(struct connection *connection)
{
	struct function *fn = function_of(connection);

	trace(fn, "the client is gone");
	timer_cancel(&connection->hold);
	watch_remove(&connection->peer);
	close(connection->peer.fd);
	connection->peer.fd = -1;
	close_fds(connection);
	connection->in_len = connection->fds_end = 0;
	connection->state = CONNECTION_READING;
	connection->negotiated = false;
	dma_unmap_all(fn);
	interrupts_drop(fn);
	power_disconnect(fn);
	config_init(fn);
}

void server_disconnect(struct function *fn, bool vanish)
{
	struct connection *connection = &fn->connection;

	if (connection->peer.fd >= 0) {
		drop_client(connection);
		if (!vanish)
			watch_change(&connection->listener, EPOLLIN);
	}
	if (!vanish || connection->listener.fd < 0)
		return;
	watch_remove(&connection->listener);
	close(connection->listener.fd);
	connection->listener.fd = -1;
	unlink(connection->path);
}

/* --- replies --- */

/* Bytes sent, or -1. The descriptor goes with the first byte. */
static ssize_t send_some(struct connection *connection)
{
	struct iovec part = {
		.iov_base = connection->out + connection->out_sent,
		.iov_len = connection->out_len - connection->out_sent,
	};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (connection->out_fd >= 0 && !connection->out_sent) {
		struct cmsghdr *header;

		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &connection->out_fd, sizeof(int));
	}
	return sendmsg(connection->peer.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void flush(struct connection *connection)
{
	while (connection->out_sent < connection->out_len) {
		ssize_t n = send_some(connection);

		if (n >= 0) {
			connection->out_sent += (size_t)n;
		} else if (errno == EAGAIN) {
			connection->state = CONNECTION_FLUSHING;
			watch_change(&connection->peer, EPOLLOUT | EPOLLRDHUP);
			return;
		} else if (errno != EINTR) {
			server_disconnect(function_of(connection), false);
			return;
		}
	}
	if (connection->state != CONNECTION_READING) {
		connection->state = CONNECTION_READING;
		watch_change(&connection->peer, EPOLLIN);
	}
	power_replied(function_of(connection));
}

static void hold(struct connection *connection, enum connection_state state, uint64_t us)
{
	connection->state = state;
	watch_change(&connection->peer, EPOLLRDHUP); /* only its end is of interest */
	timer_arm(&connection->hold, us);
}

static void send_reply(struct connection *connection, struct user_header header,
		       const struct message *message, int error)
{
	struct function *fn = function_of(connection);
	struct faults *faults = &fn->faults;

	if (header.flags & USER_NO_REPLY) {
		power_replied(fn);
		return;
	}
	connection->out_fd = error ? -1 : message->reply_fd;
	connection->out_len = sizeof(header) + (error ? 0 : message->reply_size);
	connection->out_sent = 0;
	header.size = (uint32_t)connection->out_len;
	header.flags = USER_TYPE_REPLY | (error ? USER_ERROR : 0);
	header.error = (uint32_t)-error;
	if (faults->wrong_id)
		header.id ^= 0x5555;
	if (faults->wrong_size)
		header.size = sizeof(header) / 2;
	faults->wrong_id = faults->wrong_size = false;
	memcpy(connection->out, &header, sizeof(header));
	if (faults->late_us)
		hold(connection, CONNECTION_HELD_REPLY, faults->late_us);
	else
		flush(connection);
}

/* --- requests --- */

/* Takes `size` bytes from the front of the buffer, and the descriptors that came with them. */
static void consume(struct connection *connection, size_t size)
{
	if (connection->fds_end > size) {
		connection->fds_end -= size;
	} else {
		close_fds(connection);
		connection->fds_end = 0;
	}
	connection->in_len -= size;
	memmove(connection->in, connection->in + size, connection->in_len);
}

static void handle(struct connection *connection, const struct user_header *header)
{
	struct function *fn = function_of(connection);
	struct message message = {
		.payload = connection->in + sizeof(*header),
		.size = header->size - sizeof(*header),
		.fds = connection->fds,
		.fd_count = connection->fds_end <= header->size ? connection->fd_count : 0,
		.reply = connection->out + sizeof(*header),
		.reply_fd = -1,
	};
	int error = -EINVAL;

	if ((header->flags & USER_TYPE_MASK) == USER_TYPE_COMMAND) {
		if (message_touches(header->command) &&
		    !message_is_exit(header->command, message.payload, message.size))
			power_touch(fn);
		error = message_handle(fn, header->command, &message);
	}
	trace(fn, "command %u, %u bytes, %u descriptors: %s", header->command, header->size,
	      message.fd_count, error ? strerror(-error) : "ok");
	power_settle(fn);
	consume(connection, header->size);
	send_reply(connection, *header, &message, error);
}

/* How long the function would take for this message: to resume, or for its reset. */
static uint64_t work_us(struct connection *connection, const struct user_header *header)
{
	const struct function *fn = function_of(connection);
	bool resumes = message_is_exit(header->command, connection->in + sizeof(*header),
				       header->size - sizeof(*header)) ||
		       (message_touches(header->command) && fn->power.suspended);

	if (header->command == USER_DEVICE_RESET && fn->faults.reset_delay_us)
		return fn->faults.reset_delay_us;
	if (!resumes)
		return 0;
	return fn->faults.resume_never ? NEVER_US : fn->faults.resume_delay_us;
}

/* A message whose size cannot be true: where the next one begins is not known. */
static void refuse_framing(struct connection *connection, const struct user_header *header)
{
	struct message none = {.reply_fd = -1};
	struct function *fn = function_of(connection);

	connection->in_len = 0;
	send_reply(connection, *header, &none, -EINVAL);
	server_disconnect(fn, false);
}

/* Handles the message at the start of the buffer. False: it is not complete. */
static bool process_one(struct connection *connection, bool was_held)
{
	struct user_header header;
	uint64_t delay_us;

	if (connection->in_len < sizeof(header))
		return false;
	memcpy(&header, connection->in, sizeof(header));
	if (header.size < sizeof(header) || header.size > USER_MESSAGE_MAX) {
		refuse_framing(connection, &header);
		return false;
	}
	if (connection->in_len < header.size)
		return false;
	delay_us = was_held ? 0 : work_us(connection, &header);
	if (delay_us)
		hold(connection, CONNECTION_HELD_REQUEST, delay_us);
	else
		handle(connection, &header);
	return true;
}

static bool can_read(const struct connection *connection)
{
	return connection->peer.fd >= 0 && connection->state == CONNECTION_READING;
}

static void process(struct connection *connection)
{
	while (can_read(connection) && process_one(connection, false))
		;
}

static void hold_fire(struct timer *timer)
{
	struct connection *connection = container_of(timer, struct connection, hold);
	enum connection_state state = connection->state;

	if (state == CONNECTION_HELD_REPLY) {
		flush(connection);
	} else if (state == CONNECTION_HELD_REQUEST) {
		connection->state = CONNECTION_READING;
		watch_change(&connection->peer, EPOLLIN);
		process_one(connection, true);
	}
	process(connection);
}

void server_release(struct function *fn)
{
	if (fn->connection.hold.armed)
		timer_arm(&fn->connection.hold, 0);
}

/* --- receiving --- */

static void keep_fds(struct connection *connection, struct cmsghdr *header)
{
	size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(header) + i * sizeof(fd), sizeof(fd));
		if (connection->fd_count < USER_FDS_MAX)
			connection->fds[connection->fd_count++] = fd;
		else
			close(fd);
	}
}

/* As recvmsg(). The kernel ends a read behind data that came with descriptors, so they belong to
 * the message that has the last byte of this read. */
static ssize_t receive(struct connection *connection)
{
	struct iovec part = {
		.iov_base = connection->in + connection->in_len,
		.iov_len = USER_MESSAGE_MAX - connection->in_len,
	};
	union {
		char bytes[CMSG_SPACE(253 * sizeof(int))]; /* SCM_MAX_FD of the kernel */
		struct cmsghdr align;
	} control;
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1,
		.msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(connection->peer.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return n;
	for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
	     header = CMSG_NXTHDR(&message, header))
		if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
			keep_fds(connection, header);
	connection->in_len += (size_t)n;
	if (connection->fd_count && !connection->fds_end)
		connection->fds_end = connection->in_len;
	return n;
}

static void peer_ready(struct watch *watch, uint32_t events)
{
	struct connection *connection = container_of(watch, struct connection, peer);
	struct function *fn = function_of(connection);
	ssize_t n;

	if (connection->state != CONNECTION_READING) {
		if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
			server_disconnect(fn, false);
		} else {
			flush(connection);
			process(connection);
		}
		return;
	}
	n = receive(connection);
	if (n > 0)
		process(connection);
	else if (!n || (errno != EAGAIN && errno != EINTR))
		server_disconnect(fn, false);
}

/* --- listening --- */

static void listener_ready(struct watch *watch, uint32_t events)
{
	struct connection *connection = container_of(watch, struct connection, listener);
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	connection->peer.fd = fd;
	if (watch_add(&connection->peer, EPOLLIN)) {
		close(fd);
		connection->peer.fd = -1;
		return;
	}
	watch_change(watch, 0); /* the next client waits for the end of this one */
	trace(function_of(connection), "a client");
}

int server_listen(struct function *fn, const char *dir)
{
	struct connection *connection = &fn->connection;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	connection->peer = (struct watch){.fd = -1, .ready = peer_ready};
	connection->listener = (struct watch){.fd = -1, .ready = listener_ready};
	connection->hold.fire = hold_fire;
	connection->out_fd = -1;
	connection->in = malloc(USER_MESSAGE_MAX);
	connection->out = malloc(USER_MESSAGE_MAX + 512);
	if (!connection->in || !connection->out)
		return -ENOMEM;
	if (snprintf(connection->path, sizeof(connection->path), "%s/%u", dir, fn->number) >=
	    (int)sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, connection->path, sizeof(address.sun_path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	connection->listener.fd = fd;
	unlink(connection->path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 4))
		return -errno;
	return watch_add(&connection->listener, EPOLLIN);
}

void server_finish(struct function *fn)
{
	server_disconnect(fn, true);
	free(fn->connection.in);
	free(fn->connection.out);
}
