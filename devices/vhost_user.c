#include "devices/vhost_user.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/vhost_user_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/clock.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/unix_stream.h"

#define FEATURE(bit) (1ULL << (bit))
#define PROTOCOL_WANTED                                                                        \
	(FEATURE(VHOST_USER_PROTOCOL_F_MQ) | FEATURE(VHOST_USER_PROTOCOL_F_REPLY_ACK))
/* Where the configuration is the back end's, which may change it. */
#define PROTOCOL_CONFIG                                                                        \
	(FEATURE(VHOST_USER_PROTOCOL_F_CONFIG) | FEATURE(VHOST_USER_PROTOCOL_F_BACKEND_REQ))

#define CONNECT_S 5
/* In struct epoll_event.data; else the number of a connection. */
#define SOURCE_RINGS 0ULL
#define SOURCE_CHANNEL (1ULL << 32)
#define SOURCES 3

/*
 * vhost-user says nothing of times, and others wait for an answer for ever: QEMU 10.0
 * (hw/virtio/vhost-user.c, vhost_user_read()), crosvm (third_party/vmm_vhost/src/backend_client.rs)
 * and Cloud Hypervisor (rust-vmm's vhost 0.16, frontend.rs). A stop has the time of what is in
 * flight, as that is still written to memory which the guest uses for something else afterwards: a
 * disk has 30 s with Linux 6.12 (drivers/scsi/sd.h, SD_TIMEOUT; drivers/nvme/host/core.c,
 * nvme_io_timeout).
 */
const struct vhost_user_patience vhost_user_patience = {
	.answer_us = 5000000, .ending_us = 5000000, .stop_us = 30000000};

/* --- connecting --- */

static int open_socket(struct vhost_user *user, char *why, size_t why_size)
{
	int fd = unix_stream_connect(user->path, CONNECT_S);
	const char *help = "";

	if (fd >= 0)
		return fd;
	if (fd == -EPROTOTYPE || fd == -ENOTSOCK)
		help = "; it is no stream socket";
	else if (fd == -ENOENT || fd == -ECONNREFUSED)
		help = "; nobody listens there: the back end is to be started first";
	else if (fd == -EAGAIN)
		help = "; the back end is busy with others";
	snprintf(why, why_size, "%s%s", strerror(-fd), help);
	return fd;
}

static int ask_config(struct vhost_user *user, unsigned int size, uint8_t *ret_config,
		      uint64_t deadline_us)
{
	const struct vhost_user_config_space request = {.size = size};
	const size_t len = offsetof(struct vhost_user_config_space, bytes) + size;
	struct vhost_user_config_space reply;
	int error;

	assert(size <= VHOST_USER_CONFIG_MAX);
	error = vhost_user_call(user, (struct vhost_user_call){
		.request = VHOST_USER_GET_CONFIG, .payload = &request, .size = len,
		.reply = &reply, .reply_size = len, .deadline_us = deadline_us});
	if (!error && vhost_user_config_check(&request, &reply))
		error = vhost_user_fail(user, -EPROTO, "sent what is no answer");
	if (!error)
		memcpy(ret_config, reply.bytes, size);
	return error;
}

/* What is not there, as the specifications name it; NULL: all is. */
static const char *missing(const struct vhost_user *user, const struct vhost_user_needs *needs)
{
	if (!(user->features & FEATURE(VIRTIO_F_VERSION_1)))
		return "VIRTIO_F_VERSION_1";
	if (!(user->features & FEATURE(VHOST_USER_F_PROTOCOL_FEATURES)))
		return "VHOST_USER_F_PROTOCOL_FEATURES";
	if (needs->config_size && !(user->protocol & FEATURE(VHOST_USER_PROTOCOL_F_CONFIG)))
		return "VHOST_USER_PROTOCOL_F_CONFIG, a configuration to read";
	return NULL;
}

static int ask_features(struct vhost_user *user, bool asks_config, uint64_t deadline_us)
{
	uint64_t offered = 0, protocol, wanted = PROTOCOL_WANTED;
	int error = vhost_user_get_u64(user, VHOST_USER_GET_FEATURES, &user->features, deadline_us);

	if (!error && user->features & FEATURE(VHOST_USER_F_PROTOCOL_FEATURES))
		error = vhost_user_get_u64(user, VHOST_USER_GET_PROTOCOL_FEATURES, &offered,
					   deadline_us);
	if (asks_config)
		wanted |= PROTOCOL_CONFIG;
	protocol = offered & wanted;
	if (!error && protocol)
		error = vhost_user_set(user, VHOST_USER_SET_PROTOCOL_FEATURES, &protocol,
				       sizeof(protocol), deadline_us);
	user->protocol = protocol; /* from now on */
	return error;
}

/* vhost-user, Multiple queue support: who does not say has what such a device has at least. */
static int ask_queues(struct vhost_user *user, unsigned int least, uint64_t deadline_us)
{
	uint64_t queues = least;
	int error = 0;

	if (user->protocol & FEATURE(VHOST_USER_PROTOCOL_F_MQ))
		error = vhost_user_get_u64(user, VHOST_USER_GET_QUEUE_NUM, &queues, deadline_us);
	user->queues = queues < VIRTIO_QUEUES_MAX ? (unsigned int)queues : VIRTIO_QUEUES_MAX;
	return error;
}

static int open_channel(struct vhost_user *user, uint64_t deadline_us)
{
	int theirs, error;

	if (!(user->protocol & FEATURE(VHOST_USER_PROTOCOL_F_BACKEND_REQ)))
		return 0;
	error = vhost_user_channel_open(&user->channel, user->watch_fd, SOURCE_CHANNEL, &theirs);
	if (error)
		return error;
	error = vhost_user_call(user, (struct vhost_user_call){
		.request = VHOST_USER_SET_BACKEND_REQ_FD, .fds = &theirs, .fd_count = 1,
		.deadline_us = deadline_us});
	close(theirs);
	return error;
}

static int negotiate(struct vhost_user *user, const struct vhost_user_needs *needs,
		     uint8_t *ret_config, char *why, size_t why_size)
{
	uint64_t deadline_us = clock_us() + user->patience->answer_us;
	int error = ask_features(user, needs->config_size, deadline_us);
	const char *lack = error ? NULL : missing(user, needs);

	if (lack) {
		snprintf(why, why_size, "the back end has not %s", lack);
		return -EOPNOTSUPP;
	}
	if (!error)
		error = vhost_user_set(user, VHOST_USER_SET_OWNER, NULL, 0, deadline_us);
	if (!error)
		error = ask_queues(user, needs->least_queues, deadline_us);
	if (!error && user->queues < needs->queues) {
		snprintf(why, why_size, "the back end has %u queues, not %u", user->queues,
			 needs->queues);
		return -EOPNOTSUPP;
	}
	if (!error)
		error = open_channel(user, deadline_us);
	if (!error && needs->config_size)
		error = ask_config(user, needs->config_size, ret_config, deadline_us);
	if (error)
		snprintf(why, why_size, "the back end %s",
			 user->failed ? user->why : "refuses the session");
	return error;
}

/* Its end is awaited, nothing that it says: vhost-user has no messages that nobody asked for. */
static int watch(struct vhost_user *user)
{
	struct epoll_event event = {.events = EPOLLONESHOT, .data.u64 = ++user->connection};

	return epoll_ctl(user->watch_fd, EPOLL_CTL_ADD, user->fd, &event) ? -errno : 0;
}

static void set_fd(struct vhost_user *user, int fd)
{
	pthread_mutex_lock(&user->lock);
	if (user->fd >= 0)
		close(user->fd);
	user->fd = fd;
	if (user->left)
		shutdown(fd, SHUT_RDWR);
	pthread_mutex_unlock(&user->lock);
}

static void disconnect(struct vhost_user *user)
{
	user->connection++;
	vhost_user_channel_close(&user->channel);
	set_fd(user, -1);
	user->failed = true;
}

/* As if the back end had closed it, which ends every wait for it. */
void vhost_user_leave(struct vhost_user *user)
{
	user->left = true;
	pthread_mutex_lock(&user->lock);
	shutdown(user->fd, SHUT_RDWR);
	pthread_mutex_unlock(&user->lock);
}

int vhost_user_connect(struct vhost_user *user, const struct vhost_user_needs *needs,
		       uint8_t *ret_config, char *ret_why, size_t why_size)
{
	int fd, error;

	disconnect(user);
	user->features = user->protocol = 0;
	user->shared = false;
	fd = open_socket(user, ret_why, why_size);
	if (fd < 0)
		return fd;
	set_fd(user, fd);
	user->failed = false;
	error = negotiate(user, needs, ret_config, ret_why, why_size);
	if (!error)
		error = watch(user);
	if (error)
		disconnect(user);
	return error;
}

uint64_t vhost_user_features(const struct vhost_user *user)
{
	return user->features & ~FEATURE(VHOST_USER_F_PROTOCOL_FEATURES);
}

int vhost_user_get_config(struct vhost_user *user, unsigned int size, uint8_t *ret_config)
{
	return ask_config(user, size, ret_config, clock_us() + user->patience->answer_us);
}

int vhost_user_set_config(struct vhost_user *user, uint32_t off, uint32_t len, const uint8_t *bytes)
{
	struct vhost_user_config_space space = {.off = off, .size = len};

	assert(len <= sizeof(space.bytes));
	memcpy(space.bytes, bytes, len);
	return vhost_user_set(user, VHOST_USER_SET_CONFIG, &space,
			      offsetof(struct vhost_user_config_space, bytes) + len,
			      clock_us() + user->patience->answer_us);
}

/* --- life --- */

int vhost_user_create(const char *path, const struct vhost_user_patience *patience,
		      const struct vhost_user_listener *listener, struct vhost_user **ret_user)
{
	struct epoll_event rings = {.events = EPOLLIN, .data.u64 = SOURCE_RINGS};
	struct vhost_user *user = calloc(1, sizeof(*user));
	int error = 0;

	if (!user)
		return -ENOMEM;
	user->path = path;
	user->patience = patience;
	user->listener = listener;
	user->fd = -1;
	user->failed = true;
	pthread_mutex_init(&user->lock, NULL);
	vhost_user_channel_init(&user->channel);
	user->watch_fd = epoll_create1(EPOLL_CLOEXEC);
	user->error_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (user->watch_fd < 0 || user->error_fd < 0 ||
	    epoll_ctl(user->watch_fd, EPOLL_CTL_ADD, user->error_fd, &rings))
		error = -errno;
	if (error)
		vhost_user_destroy(user);
	else
		*ret_user = user;
	return error;
}

void vhost_user_destroy(struct vhost_user *user)
{
	if (!user)
		return;
	disconnect(user);
	vhost_user_channel_finish(&user->channel);
	pthread_mutex_destroy(&user->lock);
	if (user->error_fd >= 0)
		close(user->error_fd);
	if (user->watch_fd >= 0)
		close(user->watch_fd);
	free(user);
}

bool vhost_user_is_there(struct vhost_user *user)
{
	struct pollfd end = {.fd = user->fd};

	if (!user->failed && poll(&end, 1, 0) == 1)
		vhost_user_fail(user, -ECONNRESET, "closed the connection");
	return !user->failed;
}

int vhost_user_watch_fd(const struct vhost_user *user)
{
	return user->watch_fd;
}

static void serve_source(struct vhost_user *user, uint64_t source)
{
	const struct vhost_user_listener *listener = user->listener;

	if (source == SOURCE_RINGS && eventfd_drain(user->error_fd))
		listener->ring_error(listener->opaque);
	else if (source == SOURCE_CHANNEL && vhost_user_channel_service(&user->channel))
		listener->config_changed(listener->opaque);
	else if (source == user->connection)
		listener->lost(listener->opaque, -ECONNRESET, "closed the connection");
}

void vhost_user_service(struct vhost_user *user)
{
	struct epoll_event events[SOURCES];
	int count = epoll_wait(user->watch_fd, events, SOURCES, 0);

	for (int i = 0; i < count; i++)
		serve_source(user, events[i].data.u64);
}
