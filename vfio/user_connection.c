#include "vfio/user_connection.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/base/clock.h"
#include "vmm/base/log.h"

#define CONNECT_TIMEOUT_S 5

struct vfio_user_connection {
	pthread_mutex_t lock; /* held over a whole call; protects the rest */
	int fd;               /* -1: the end came */
	uint16_t id;          /* of the last request */
	const char *failure;  /* what ended it */
	const char *name;     /* NULL: be silent */
};

int vfio_user_connection_open(const char *path, struct vfio_user_connection **ret_connection)
{
	const struct timeval patience = {.tv_sec = CONNECT_TIMEOUT_S};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct vfio_user_connection *connection;
	int r = -ENOMEM;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	connection = calloc(1, sizeof(*connection));
	if (!connection)
		return r;
	connection->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection->fd < 0) {
		r = -errno;
		goto free_connection;
	}
	/* The limit for sending bounds connect() too, when the server's queue is full: EAGAIN. */
	if (setsockopt(connection->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(connection->fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		r = -errno;
		goto close_socket;
	}
	pthread_mutex_init(&connection->lock, NULL);
	*ret_connection = connection;
	return 0;

close_socket:
	close(connection->fd);
free_connection:
	free(connection);
	return r;
}

/* Gives `error` back. */
static int fail_locked(struct vfio_user_connection *connection, int error, const char *what)
{
	if (connection->fd < 0)
		return error;
	close(connection->fd);
	connection->fd = -1;
	connection->failure = what;
	if (connection->name)
		log_err("vfio %s: the vfio-user server %s; the device is lost", connection->name,
			what);
	return error;
}

/* Waits until the socket is ready for `events`; 0, or the end of the connection. */
static int wait_locked(struct vfio_user_connection *connection, short events, uint64_t deadline_us)
{
	struct pollfd poll_fd = {.fd = connection->fd, .events = events};

	for (;;) {
		uint64_t now = clock_us();
		uint64_t left_ms = deadline_us > now ? (deadline_us - now + 999) / 1000 : 0;
		int r = poll(&poll_fd, 1, left_ms < INT32_MAX ? (int)left_ms : INT32_MAX);

		if (r > 0)
			return 0;
		if (r == 0 && clock_us() >= deadline_us)
			return fail_locked(connection, -ETIMEDOUT, "did not answer in time");
		if (r < 0 && errno != EINTR)
			return fail_locked(connection, -EIO, "cannot be waited for");
	}
}

/* Takes the first `len` bytes off the parts. */
static void skip(struct iovec *parts, unsigned int count, size_t len)
{
	for (unsigned int i = 0; i < count; i++) {
		size_t step = len < parts[i].iov_len ? len : parts[i].iov_len;

		parts[i].iov_base = (char *)parts[i].iov_base + step;
		parts[i].iov_len -= step;
		len -= step;
	}
}

/* struct iovec has no const in it; sendmsg() changes nothing. */
static struct iovec const_part(const void *base, size_t len)
{
	return (struct iovec) {.iov_base = (void *)(uintptr_t)base, .iov_len = len};
}

union control {
	struct cmsghdr header; /* for its alignment */
	char bytes[CMSG_SPACE(VFIO_USER_SEND_FDS_MAX * sizeof(int))];
};

static void attach_fds(struct msghdr *message, union control *control,
		       const struct vfio_user_call *call)
{
	size_t size = call->fd_count * sizeof(int);

	memset(control, 0, sizeof(*control));
	control->header.cmsg_level = SOL_SOCKET;
	control->header.cmsg_type = SCM_RIGHTS;
	control->header.cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(&control->header), call->fds, size);
	message->msg_control = control;
	message->msg_controllen = CMSG_SPACE(size);
}

static int send_locked(struct vfio_user_connection *connection,
		       const struct vfio_user_header *header, const struct vfio_user_call *call,
		       uint64_t deadline_us)
{
	struct iovec parts[] = {
		const_part(header, sizeof(*header)),
		const_part(call->request, call->request_size),
		const_part(call->request_data, call->request_data_size),
	};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts)};
	union control control;
	size_t left = header->size;

	if (call->fd_count)
		attach_fds(&message, &control, call);
	while (left) {
		ssize_t r = sendmsg(connection->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (r >= 0) {
			/* The descriptors went with the first byte. */
			message.msg_control = NULL;
			message.msg_controllen = 0;
			skip(parts, ARRAY_SIZE(parts), (size_t)r);
			left -= (size_t)r;
		} else if (errno == EAGAIN) {
			int error = wait_locked(connection, POLLOUT, deadline_us);

			if (error)
				return error;
		} else if (errno != EINTR) {
			bool gone = errno == EPIPE || errno == ECONNRESET;

			return fail_locked(connection, gone ? -ECONNRESET : -EIO,
					   gone ? "closed the connection" : "takes no request");
		}
	}
	return 0;
}

/*
 * The descriptor that came with these bytes, if any. There is room for one where one may come, else
 * for none: the kernel drops the others and says so (recvmsg(2), MSG_CTRUNC). 0 or -EPROTO; `*fd`
 * is then to be closed all the same.
 */
static int take_fd(struct msghdr *message, int *fd)
{
	struct cmsghdr *header = message->msg_controllen ? CMSG_FIRSTHDR(message) : NULL;

	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
	    header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(header), sizeof(int));
	return message->msg_flags & MSG_CTRUNC ? -EPROTO : 0;
}

/* Some bytes of a reply, as many as there are room for; their number, or the end. */
static ssize_t receive_some(struct vfio_user_connection *connection, struct iovec *parts,
			    unsigned int count, bool want_fd, int *fd, uint64_t deadline_us)
{
	for (;;) {
		struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
		union control control;
		ssize_t r;

		if (want_fd && *fd < 0) {
			message.msg_control = &control;
			message.msg_controllen = CMSG_LEN(sizeof(int)); /* CMSG_SPACE() has two */
		}
		r = recvmsg(connection->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (r > 0) {
			if (take_fd(&message, fd) < 0)
				return fail_locked(connection, -EPROTO,
						   "sent files that were not asked for");
			return r;
		}
		if (r == 0 || (errno != EAGAIN && errno != EINTR))
			return fail_locked(connection, -ECONNRESET, "closed the connection");
		if (errno == EAGAIN) {
			int error = wait_locked(connection, POLLIN, deadline_us);

			if (error)
				return error;
		}
	}
}

/* As nothing else is under way, bytes beyond the reply are as wrong as bytes that lack. */
static ssize_t receive_locked(struct vfio_user_connection *connection,
			      const struct vfio_user_header *request,
			      const struct vfio_user_call *call, int *fd, uint64_t deadline_us)
{
	const size_t payload_max = call->reply_size + call->reply_data_size;
	struct vfio_user_header header;
	char beyond;
	struct iovec parts[] = {
		{.iov_base = &header, .iov_len = sizeof(header)},
		{.iov_base = call->reply, .iov_len = call->reply_size},
		{.iov_base = call->reply_data, .iov_len = call->reply_data_size},
		{.iov_base = &beyond, .iov_len = 1},
	};
	size_t got = 0, payload = 0;
	bool checked = false;
	int error = 0;

	while (!checked || got < sizeof(header) + payload) {
		ssize_t r = receive_some(connection, parts, ARRAY_SIZE(parts), call->ret_fd != NULL,
					 fd, deadline_us);

		if (r < 0)
			return r;
		skip(parts, ARRAY_SIZE(parts), (size_t)r);
		got += (size_t)r;
		if (checked || got < sizeof(header))
			continue;
		if (vfio_user_reply_check(request, &header, payload_max, &payload, &error) < 0)
			return fail_locked(connection, -EPROTO, "sent what is no answer");
		checked = true;
	}
	if (got > sizeof(header) + payload)
		return fail_locked(connection, -EPROTO, "sent more than an answer");
	return error ? error : (ssize_t)payload;
}

static ssize_t call_locked(struct vfio_user_connection *connection, struct vfio_user_call *call,
			   int *fd)
{
	uint64_t deadline_us = clock_us() + call->timeout_ms * 1000ULL;
	struct vfio_user_header header;
	int error;

	if (connection->fd < 0)
		return -EIO;
	header = vfio_user_header(++connection->id, call->command,
				  call->request_size + call->request_data_size);
	error = send_locked(connection, &header, call, deadline_us);
	if (error)
		return error;
	return receive_locked(connection, &header, call, fd, deadline_us);
}

ssize_t vfio_user_connection_call(struct vfio_user_connection *connection,
				  struct vfio_user_call *call)
{
	int fd = -1;
	ssize_t r;

	if (call->fd_count > VFIO_USER_SEND_FDS_MAX)
		return -EINVAL;
	pthread_mutex_lock(&connection->lock);
	r = call_locked(connection, call, &fd);
	pthread_mutex_unlock(&connection->lock);
	if (r >= 0 && call->ret_fd)
		*call->ret_fd = fd;
	else if (fd >= 0)
		close(fd);
	return r;
}

int vfio_user_connection_reject(struct vfio_user_connection *connection, const char *what)
{
	pthread_mutex_lock(&connection->lock);
	fail_locked(connection, -EPROTO, what);
	pthread_mutex_unlock(&connection->lock);
	return -EPROTO;
}

const char *vfio_user_connection_failure(struct vfio_user_connection *connection)
{
	const char *failure;

	pthread_mutex_lock(&connection->lock);
	failure = connection->failure;
	pthread_mutex_unlock(&connection->lock);
	return failure;
}

void vfio_user_connection_announce(struct vfio_user_connection *connection, const char *name)
{
	pthread_mutex_lock(&connection->lock);
	connection->name = name;
	pthread_mutex_unlock(&connection->lock);
}

void vfio_user_connection_close(struct vfio_user_connection *connection)
{
	if (!connection)
		return;
	if (connection->fd >= 0) {
		shutdown(connection->fd, SHUT_RDWR);
		close(connection->fd);
	}
	pthread_mutex_destroy(&connection->lock);
	free(connection);
}
