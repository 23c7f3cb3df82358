/*
 * What the back end of vhost-user says by itself: that its configuration has changed, and nothing
 * else, as nothing else was agreed on. vhost-user, Back-end communication. The main thread listens;
 * who opens and closes the channel is whoever connects.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/vhost_user_internal.h"

void vhost_user_channel_init(struct vhost_user_channel *channel)
{
	pthread_mutex_init(&channel->lock, NULL);
	channel->fd = -1;
}

void vhost_user_channel_finish(struct vhost_user_channel *channel)
{
	vhost_user_channel_close(channel);
	pthread_mutex_destroy(&channel->lock);
}

int vhost_user_channel_open(struct vhost_user_channel *channel, int watch_fd, uint64_t source,
			    int *ret_theirs)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = source};
	int fds[2], error;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return -errno;
	if (epoll_ctl(watch_fd, EPOLL_CTL_ADD, fds[0], &event)) {
		error = -errno;
		close(fds[0]);
		close(fds[1]);
		return error;
	}
	vhost_user_channel_close(channel);
	pthread_mutex_lock(&channel->lock);
	channel->fd = fds[0];
	channel->got = 0;
	pthread_mutex_unlock(&channel->lock);
	*ret_theirs = fds[1];
	return 0;
}

static void close_locked(struct vhost_user_channel *channel)
{
	if (channel->fd >= 0)
		close(channel->fd);
	channel->fd = -1;
}

void vhost_user_channel_close(struct vhost_user_channel *channel)
{
	pthread_mutex_lock(&channel->lock);
	close_locked(channel);
	pthread_mutex_unlock(&channel->lock);
}

/* False: the back end takes no answer. */
static bool answer_locked(struct vhost_user_channel *channel)
{
	struct {
		struct vhost_user_header header;
		uint64_t good;
	} __attribute__((packed)) reply = {
		.header = {.request = channel->header.request, .size = sizeof(reply.good),
			   .flags = VHOST_USER_VERSION | VHOST_USER_REPLY}};

	if (!(channel->header.flags & VHOST_USER_NEED_REPLY))
		return true;
	return send(channel->fd, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL) ==
	       sizeof(reply);
}

/* 1: a whole message. 0: not yet. Negative errno: nothing more can come. */
static int receive_locked(struct vhost_user_channel *channel)
{
	ssize_t r = recv(channel->fd, (uint8_t *)&channel->header + channel->got,
			 sizeof(channel->header) - channel->got, MSG_DONTWAIT);

	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (r <= 0)
		return -ECONNRESET;
	channel->got += (size_t)r;
	if (channel->got < sizeof(channel->header))
		return 0;
	channel->got = 0;
	return vhost_user_message_check(&channel->header) ? -EPROTO : 1;
}

bool vhost_user_channel_service(struct vhost_user_channel *channel)
{
	int got = 0;

	pthread_mutex_lock(&channel->lock);
	if (channel->fd >= 0) {
		got = receive_locked(channel);
		if (got < 0 || (got && !answer_locked(channel)))
			close_locked(channel);
	}
	pthread_mutex_unlock(&channel->lock);
	return got > 0;
}
