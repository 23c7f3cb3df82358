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
#include <sys/stat.h>
#include <unistd.h>

#include "devices/vhost_user_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/clock.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/log.h"
#include "vmm/base/unix_stream.h"
#include "vmm/mem.h"

#define FEATURE(bit) (1ULL << (bit))
#define PROTOCOL_WANTED                                                                        \
	(FEATURE(VHOST_USER_PROTOCOL_F_MQ) | FEATURE(VHOST_USER_PROTOCOL_F_REPLY_ACK) |        \
	 FEATURE(VHOST_USER_PROTOCOL_F_CONFIG))

#define CONNECT_S 5
#define ANSWER_US 5000000ULL  /* for what needs no I/O */
#define STOP_US 30000000ULL   /* for what it ends before it says that it has stopped */
#define ENDING_US 5000000ULL  /* for what is in flight before the back end is told to stop */
#define LOOK_US 1000          /* between two looks at it */

/* Our own addresses are none of the back end's business: what it is told are guest physical ones,
 * moved so that none is 0. */
#define ADDRESS_BASE 0x100000000000ULL

#define SOURCE_RINGS 0U /* in struct epoll_event.data; else the number of a connection */

/* --- connecting --- */

static int open_socket(struct vhost_user *user, char *why, size_t why_size)
{
	int fd = unix_stream_connect(user->path, CONNECT_S);
	const char *help = "";
	struct stat st;

	if (fd >= 0)
		return fd;
	if (fd == -EPROTOTYPE || (!stat(user->path, &st) && !S_ISSOCK(st.st_mode)))
		help = "; it is no stream socket";
	else if (fd == -ENOENT || fd == -ECONNREFUSED)
		help = "; nobody listens there: the back end is to be started first";
	else if (fd == -EAGAIN)
		help = "; the back end is busy with others";
	snprintf(why, why_size, "%s%s", strerror(-fd), help);
	return fd;
}

static int get_config(struct vhost_user *user, unsigned int size, uint8_t *ret_config,
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

static int ask_features(struct vhost_user *user, uint64_t deadline_us)
{
	uint64_t offered = 0, protocol;
	int error = vhost_user_get_u64(user, VHOST_USER_GET_FEATURES, &user->features, deadline_us);

	if (!error && user->features & FEATURE(VHOST_USER_F_PROTOCOL_FEATURES))
		error = vhost_user_get_u64(user, VHOST_USER_GET_PROTOCOL_FEATURES, &offered,
					   deadline_us);
	protocol = offered & PROTOCOL_WANTED;
	if (!error && protocol)
		error = vhost_user_set(user, VHOST_USER_SET_PROTOCOL_FEATURES, &protocol,
				       sizeof(protocol), deadline_us);
	user->protocol = protocol; /* from now on */
	return error;
}

/* Without VHOST_USER_PROTOCOL_F_MQ, it has as many as such a device has at least. */
static int ask_queues(struct vhost_user *user, uint64_t deadline_us)
{
	uint64_t queues = 0;
	int error = 0;

	if (user->protocol & FEATURE(VHOST_USER_PROTOCOL_F_MQ))
		error = vhost_user_get_u64(user, VHOST_USER_GET_QUEUE_NUM, &queues, deadline_us);
	user->queues = queues < VIRTIO_QUEUES_MAX ? (unsigned int)queues : VIRTIO_QUEUES_MAX;
	return error;
}

static int negotiate(struct vhost_user *user, const struct vhost_user_needs *needs,
		     uint8_t *ret_config, char *why, size_t why_size)
{
	uint64_t deadline_us = clock_us() + ANSWER_US;
	int error = ask_features(user, deadline_us);
	const char *lack = error ? NULL : missing(user, needs);

	if (lack) {
		snprintf(why, why_size, "the back end has not %s", lack);
		return -EOPNOTSUPP;
	}
	if (!error)
		error = vhost_user_set(user, VHOST_USER_SET_OWNER, NULL, 0, deadline_us);
	if (!error)
		error = ask_queues(user, deadline_us);
	if (!error && user->protocol & FEATURE(VHOST_USER_PROTOCOL_F_MQ) &&
	    user->queues < needs->queues) {
		snprintf(why, why_size, "the back end has %u queues, not %u", user->queues,
			 needs->queues);
		return -EOPNOTSUPP;
	}
	if (!error && needs->config_size)
		error = get_config(user, needs->config_size, ret_config, deadline_us);
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

static void disconnect(struct vhost_user *user)
{
	user->connection++;
	if (user->fd >= 0)
		close(user->fd);
	user->fd = -1;
	user->failed = true;
}

int vhost_user_connect(struct vhost_user *user, const struct vhost_user_needs *needs,
		       uint8_t *ret_config, char *ret_why, size_t why_size)
{
	int error;

	disconnect(user);
	user->features = user->protocol = 0;
	user->shared = false;
	user->fd = open_socket(user, ret_why, why_size);
	if (user->fd < 0)
		return user->fd;
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

int vhost_user_set_config(struct vhost_user *user, uint32_t off, uint32_t len, const uint8_t *bytes)
{
	struct vhost_user_config_space space = {.off = off, .size = len};

	assert(len <= sizeof(space.bytes));
	memcpy(space.bytes, bytes, len);
	return vhost_user_set(user, VHOST_USER_SET_CONFIG, &space,
			      offsetof(struct vhost_user_config_space, bytes) + len,
			      clock_us() + ANSWER_US);
}

/* --- rings --- */

/* All of it, once a connection: it is there as long as the machine. */
static int share_memory(struct vhost_user *user, const struct mem *mem, uint64_t deadline_us)
{
	struct vhost_user_memory table = {.regions = 0};
	int fds[VHOST_USER_REGIONS_MAX], error;
	struct mem_block block;

	if (user->shared)
		return 0;
	while (mem_block_get(mem, table.regions, &block)) {
		if (table.regions == VHOST_USER_REGIONS_MAX)
			return -E2BIG;
		fds[table.regions] = mem_fd(mem);
		table.region[table.regions++] = (struct vhost_user_region){
			.gpa = block.gpa, .size = block.size, .address = ADDRESS_BASE + block.gpa,
			.fd_offset = block.fd_offset};
	}
	error = vhost_user_call(user, (struct vhost_user_call){
		.request = VHOST_USER_SET_MEM_TABLE, .payload = &table,
		.size = offsetof(struct vhost_user_memory, region) +
			table.regions * sizeof(table.region[0]),
		.fds = fds, .fd_count = table.regions, .deadline_us = deadline_us});
	user->shared = !error;
	return error;
}

static int start_queue(struct vhost_user *user, const struct virtio_queue *queue,
		       unsigned int index, uint64_t deadline_us)
{
	const struct vhost_vring_addr addr = {
		.index = index, .desc_user_addr = ADDRESS_BASE + queue->desc,
		.used_user_addr = ADDRESS_BASE + queue->used,
		.avail_user_addr = ADDRESS_BASE + queue->avail};
	int error = vhost_user_set_state(user, VHOST_USER_SET_VRING_NUM, index, queue->ring.size,
					 deadline_us);

	if (!error)
		error = vhost_user_set_state(user, VHOST_USER_SET_VRING_BASE, index,
					     queue->ring.next_avail, deadline_us);
	if (!error)
		error = vhost_user_set(user, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr),
				       deadline_us);
	if (!error)
		error = vhost_user_set_fd(user, VHOST_USER_SET_VRING_CALL, index, queue->call_fd,
					  deadline_us);
	if (!error)
		error = vhost_user_set_fd(user, VHOST_USER_SET_VRING_ERR, index, user->error_fd,
					  deadline_us);
	/* vhost-user, Ring states: from here on it may run. */
	if (!error)
		error = vhost_user_set_fd(user, VHOST_USER_SET_VRING_KICK, index, queue->kick_fd,
					  deadline_us);
	if (!error)
		error = vhost_user_set_state(user, VHOST_USER_SET_VRING_ENABLE, index, 1,
					     deadline_us);
	return error;
}

int vhost_user_start(struct vhost_user *user, const struct virtio_dev *dev)
{
	uint64_t features = dev->accepted | FEATURE(VHOST_USER_F_PROTOCOL_FEATURES);
	uint64_t deadline_us = clock_us() + ANSWER_US;
	int error = vhost_user_set(user, VHOST_USER_SET_FEATURES, &features, sizeof(features),
				   deadline_us);

	if (!error)
		error = share_memory(user, dev->mem, deadline_us);
	for (unsigned int i = 0; i < dev->queues && !error; i++)
		if (dev->queue[i].enabled)
			error = start_queue(user, &dev->queue[i], i, deadline_us);
	/* Some rings may run already, and only an end of all stops them for sure. */
	if (error)
		vhost_user_fail(user, error, "refuses the rings");
	return error;
}

static int stop_queue(struct vhost_user *user, unsigned int index, uint16_t *ret_base,
		      uint64_t deadline_us)
{
	const struct vhost_vring_state request = {.index = index};
	struct vhost_vring_state reply;
	int error = vhost_user_call(user, (struct vhost_user_call){
		.request = VHOST_USER_GET_VRING_BASE, .payload = &request, .size = sizeof(request),
		.reply = &reply, .reply_size = sizeof(reply), .deadline_us = deadline_us});

	if (!error && vhost_user_base_check(index, &reply, ret_base))
		error = vhost_user_fail(user, -EPROTO, "sent what is no answer");
	return error;
}

/*
 * What was taken is to be given back before the guest may use its memory for something else, and
 * not every back end waits for that when it is asked to stop: qemu-storage-daemon 7.2 does not, and
 * gives up when a request ends afterwards, as it has closed the queue's descriptor. So it is left
 * alone until it has done all there is to do, as the used index tells, in which nobody interrupts
 * for this program. A driver that has requests which are never answered waits in vain, and goes on.
 */
static bool await_used(const struct virtio_dev *dev, bool stopped, uint64_t deadline_us)
{
	for (unsigned int i = 0; i < dev->queues; i++) {
		const struct virtqueue *ring = &dev->queue[i].ring;

		if (!dev->queue[i].enabled)
			continue;
		while (virtqueue_used_index(ring) !=
		       (stopped ? ring->next_used : virtqueue_avail_index(ring))) {
			if (clock_us() >= deadline_us)
				return false;
			usleep(LOOK_US);
		}
	}
	return true;
}

int vhost_user_stop(struct vhost_user *user, struct virtio_dev *dev)
{
	uint64_t now_us = clock_us();
	int error = 0;

	if (user->failed)
		return -EIO;
	await_used(dev, false, now_us + ENDING_US);
	for (unsigned int i = 0; i < dev->queues && !error; i++) {
		struct virtqueue *ring = &dev->queue[i].ring;
		uint16_t base;

		if (!dev->queue[i].enabled)
			continue;
		error = stop_queue(user, i, &base, now_us + STOP_US);
		if (!error)
			ring->next_avail = ring->next_used = ring->notified_used = base;
	}
	if (!error && !await_used(dev, true, now_us + ENDING_US))
		log_guest("%s %s: stopped with requests in flight", dev->ops->type, dev->name);
	return error;
}

/* --- life --- */

int vhost_user_create(const char *path, const struct vhost_user_listener *listener,
		      struct vhost_user **ret_user)
{
	struct epoll_event rings = {.events = EPOLLIN, .data.u64 = SOURCE_RINGS};
	struct vhost_user *user = calloc(1, sizeof(*user));
	int error = 0;

	if (!user)
		return -ENOMEM;
	user->path = path;
	user->listener = listener;
	user->fd = -1;
	user->failed = true;
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

void vhost_user_service(struct vhost_user *user)
{
	const struct vhost_user_listener *listener = user->listener;
	struct epoll_event event;

	if (epoll_wait(user->watch_fd, &event, 1, 0) != 1)
		return;
	if (event.data.u64 == SOURCE_RINGS && eventfd_drain(user->error_fd))
		listener->ring_error(listener->opaque);
	else if (event.data.u64 == user->connection)
		listener->lost(listener->opaque, -ECONNRESET, "closed the connection");
}
