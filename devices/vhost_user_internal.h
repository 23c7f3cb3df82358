/*
 * What the files of vhost_user*.c share: a connection, and one request on it with its answer.
 */
#ifndef DEVICES_VHOST_USER_INTERNAL_H
#define DEVICES_VHOST_USER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/vhost_user.h"
#include "devices/vhost_user_protocol.h"

/* The other direction, see vhost_user_channel.c. */
struct vhost_user_channel {
	pthread_mutex_t lock;     /* protects the rest; a leaf */
	int fd;                   /* -1: closed */
	struct vhost_user_header header;
	size_t got;               /* bytes of it */
};

struct vhost_user {
	const char *path;
	const struct vhost_user_patience *patience;
	const struct vhost_user_listener *listener;
	pthread_mutex_t lock;     /* who changes `fd`, or uses it elsewhere; a leaf */
	int fd;                   /* the connection; -1: none yet */
	atomic_bool left;         /* nothing more is asked of a back end */
	bool failed;              /* it said or did what ends it */
	atomic_uint connection;   /* counts them; service() reads it */
	int watch_fd;             /* epoll: the connection's end, error_fd, the channel */
	int error_fd;             /* eventfd, of all rings */
	struct vhost_user_channel channel;
	uint64_t features, protocol;
	unsigned int queues;      /* as many as the back end has */
	bool shared;              /* it has the guest's memory */
	char why[64];             /* what `failed` it, after "the back end" */
};

struct vhost_user_call {
	enum vhost_user_request request;
	const void *payload;
	size_t size;
	const int *fds;
	unsigned int fd_count;
	void *reply;              /* NULL: none but an acknowledgement */
	size_t reply_size;
	uint64_t deadline_us;
};

/* Ends the connection, and tells the listener; the descriptor stays until there is another one, as
 * vhost_user_service() waits for its end. Gives `error` back. */
int vhost_user_fail(struct vhost_user *user, int error, const char *what);

/* 0; -EREMOTEIO: the back end refuses; another negative errno: the connection is lost. */
int vhost_user_call(struct vhost_user *user, struct vhost_user_call call);

/* Requests of a usual form. */
int vhost_user_get_u64(struct vhost_user *user, enum vhost_user_request request,
		       uint64_t *ret_value, uint64_t deadline_us);
int vhost_user_set(struct vhost_user *user, enum vhost_user_request request, const void *payload,
		   size_t size, uint64_t deadline_us);
int vhost_user_set_state(struct vhost_user *user, enum vhost_user_request request,
			 unsigned int index, unsigned int number, uint64_t deadline_us);
int vhost_user_set_fd(struct vhost_user *user, enum vhost_user_request request, unsigned int index,
		      int fd, uint64_t deadline_us);

void vhost_user_channel_init(struct vhost_user_channel *channel);
void vhost_user_channel_finish(struct vhost_user_channel *channel);

/* A new channel in place of the last one; `watch_fd` tells of its messages as `source`. Its other
 * end is the caller's. 0, or a negative errno. */
int vhost_user_channel_open(struct vhost_user_channel *channel, int watch_fd, uint64_t source,
			    int *ret_theirs);
void vhost_user_channel_close(struct vhost_user_channel *channel);

/* Takes what has come, and never waits. True: the configuration has changed. What is no such
 * message closes the channel. */
bool vhost_user_channel_service(struct vhost_user_channel *channel);

#endif
