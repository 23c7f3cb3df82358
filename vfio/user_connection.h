/*
 * Inside vfio/: the connection to a vfio-user server, a UNIX stream socket. One request at a time,
 * each with a reply that is awaited for a bounded time. Once the server was late, broke the
 * protocol or went away the socket is closed, and every later call answers -EIO at once: there is
 * no way to tell what its bytes would belong to.
 * Thread: any; calls wait for each other.
 */
#ifndef VFIO_USER_CONNECTION_H
#define VFIO_USER_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vfio/user_protocol.h"
#include "vmm/base/unix_stream.h"

struct vfio_user_connection;

/* Descriptors that go with one request. */
#define VFIO_USER_SEND_FDS_MAX UNIX_STREAM_FDS_MAX

/* A request and the place for its reply. Payloads come in two parts, so that data need no copy. */
struct vfio_user_call {
	enum vfio_user_command command;
	unsigned int timeout_ms;
	const void *request;
	size_t request_size;
	const void *request_data;
	size_t request_data_size;
	const int *fds;          /* to pass; stay the caller's */
	unsigned int fd_count;
	void *reply;
	size_t reply_size;       /* at most */
	void *reply_data;
	size_t reply_data_size;  /* at most */
	int *ret_fd;             /* NULL: none may come; set to -1 when none came */
};

/* Connects to `path`. Negative errno of socket() or connect(); nothing is sent yet. */
int vfio_user_connection_open(const char *path, struct vfio_user_connection **ret_connection);

/*
 * Bytes of the reply's payload; or negative errno: the server's answer; -ETIMEDOUT, -EPROTO or
 * -ECONNRESET when this call was the end of the connection; -EIO after that. A descriptor that
 * comes is the caller's when the call succeeds.
 */
ssize_t vfio_user_connection_call(struct vfio_user_connection *connection,
				  struct vfio_user_call *call);

/* The payload of a reply is none: ends the connection. Returns -EPROTO. */
int vfio_user_connection_reject(struct vfio_user_connection *connection, const char *what);

/* What ended it, to follow "the server": "closed the connection". NULL: it lives. */
const char *vfio_user_connection_failure(struct vfio_user_connection *connection);

/* From now on the end is logged, once, as one of device `name` (which lives as long). */
void vfio_user_connection_announce(struct vfio_user_connection *connection, const char *name);

/* Accepts NULL. */
void vfio_user_connection_close(struct vfio_user_connection *connection);

#endif
