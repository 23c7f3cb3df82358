#include "vfio/user_connection.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/base/clock.h"
#include "vmm/base/log.h"
#include "vmm/base/unix_stream.h"

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
	struct vfio_user_connection *connection = calloc(1, sizeof(*connection));
	int fd;

	if (!connection)
		return -ENOMEM;
	fd = unix_stream_connect(path, CONNECT_TIMEOUT_S);
	if (fd < 0) {
		free(connection);
		return fd;
	}
	connection->fd = fd;
	pthread_mutex_init(&connection->lock, NULL);
	*ret_connection = connection;
	return 0;
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

/* What became of a request or its reply. */
static int fail_stream_locked(struct vfio_user_connection *connection, int error, bool sending)
{
	const char *what = error == -ETIMEDOUT ? "did not answer in time"
			 : error == -ECONNRESET ? "closed the connection"
			 : error == -EPROTO ? "sent files that were not asked for"
			 : sending ? "takes no request"
				   : "cannot be waited for";

	return fail_locked(connection, error, what);
}

static int send_locked(struct vfio_user_connection *connection,
		       const struct vfio_user_header *header, const struct vfio_user_call *call,
		       uint64_t deadline_us)
{
	struct iovec parts[] = {
		unix_stream_const_part(header, sizeof(*header)),
		unix_stream_const_part(call->request, call->request_size),
		unix_stream_const_part(call->request_data, call->request_data_size),
	};
	int error = unix_stream_send(connection->fd, parts, ARRAY_SIZE(parts), call->fds,
				     call->fd_count, deadline_us);

	return error ? fail_stream_locked(connection, error, true) : 0;
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
		ssize_t r = unix_stream_receive(connection->fd, parts, ARRAY_SIZE(parts),
						call->ret_fd ? fd : NULL, deadline_us);

		if (r < 0)
			return fail_stream_locked(connection, (int)r, false);
		unix_stream_skip(parts, ARRAY_SIZE(parts), (size_t)r);
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
