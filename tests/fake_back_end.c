#include "tests/fake_back_end.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/fake_must.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"

#define FEATURE(bit) (1ULL << (bit))

static void replace_fd(int *fd, int other)
{
	if (*fd >= 0)
		close(*fd);
	*fd = other;
}

/* --- memory and rings --- */

static void unmap(struct fake_back_end *back_end)
{
	for (unsigned int i = 0; i < back_end->memory.regions; i++)
		if (back_end->map[i])
			munmap(back_end->map[i], back_end->memory.region[i].size);
	memset(back_end->map, 0, sizeof(back_end->map));
	back_end->memory.regions = 0;
}

static void take_memory(struct fake_back_end *back_end, struct fake_back_end_message *request)
{
	struct vhost_user_memory *memory = &back_end->memory;

	unmap(back_end);
	memcpy(memory, request->payload, sizeof(*memory));
	must(memory->regions == request->fds, "a descriptor for each region");
	for (unsigned int i = 0; i < memory->regions; i++) {
		back_end->map[i] = mmap(NULL, memory->region[i].size, PROT_READ | PROT_WRITE,
					MAP_SHARED, request->fd[i],
					(off_t)memory->region[i].fd_offset);
		must(back_end->map[i] != MAP_FAILED, "mmap");
		close(request->fd[i]);
	}
	request->fds = 0;
}

static void *at(const struct fake_back_end *back_end, uint64_t address)
{
	for (unsigned int i = 0; i < back_end->memory.regions; i++) {
		const struct vhost_user_region *region = &back_end->memory.region[i];

		if (address - region->address < region->size)
			return (uint8_t *)back_end->map[i] + (address - region->address);
	}
	must(false, "an address in no region");
	return NULL;
}

static void run_queue(struct fake_back_end *back_end, struct fake_back_end_queue *queue)
{
	struct vring_avail *avail = at(back_end, queue->addr.avail_user_addr);
	struct vring_used *used = at(back_end, queue->addr.used_user_addr);
	uint64_t kicks;

	must(read(queue->kick_fd, &kicks, sizeof(kicks)) == sizeof(kicks) || errno == EAGAIN,
	     "read of a kick");
	while (queue->next != __atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE)) {
		uint16_t head = avail->ring[queue->next % queue->size];

		used->ring[queue->next % queue->size] = (struct vring_used_elem){.id = head};
		queue->next++;
		queue->requests++;
		__atomic_store_n(&used->idx, queue->next, __ATOMIC_RELEASE);
	}
	eventfd_write(queue->call_fd, 1);
}

/* --- messages --- */

/* False: the front end is gone. */
static bool receive(int client, struct fake_back_end_message *request)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(request->fd))];
	} control;
	struct iovec part = {.iov_base = &request->header, .iov_len = sizeof(request->header)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *header;

	memset(request, 0, sizeof(*request));
	if (recvmsg(client, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC) != sizeof(request->header))
		return false;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS) {
		request->fds = (unsigned int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(request->fd, CMSG_DATA(header), request->fds * sizeof(int));
	}
	must(request->header.size <= sizeof(request->payload), "a request as long as that");
	return !request->header.size ||
	       recv(client, request->payload, request->header.size, MSG_WAITALL) ==
		       (ssize_t)request->header.size;
}

static void transmit(int client, const struct fake_back_end_message *answer)
{
	size_t size = sizeof(answer->header) + answer->header.size;
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(answer->fd))];
	} control = {.header = {.cmsg_len = CMSG_LEN(answer->fds * sizeof(int)),
				.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec parts[] = {
		{.iov_base = (void *)(uintptr_t)&answer->header,
		 .iov_len = sizeof(answer->header)},
		{.iov_base = (void *)(uintptr_t)answer->payload, .iov_len = 0},
	};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	if (size > sizeof(answer->header) + sizeof(answer->payload))
		size = sizeof(answer->header) + sizeof(answer->payload);
	if (answer->send < size)
		size = answer->send;
	if (!size)
		return;
	if (size < parts[0].iov_len)
		parts[0].iov_len = size;
	parts[1].iov_len = size - parts[0].iov_len;
	if (answer->fds) {
		memcpy(CMSG_DATA(&control.header), answer->fd, answer->fds * sizeof(int));
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(answer->fds * sizeof(int));
	}
	/* The front end may be gone. */
	sendmsg(client, &message, MSG_NOSIGNAL);
}

static void answer_with(struct fake_back_end_message *answer,
			const struct fake_back_end_message *request, const void *bytes, size_t size)
{
	answer->header = (struct vhost_user_header){
		.request = request->header.request,
		.flags = VHOST_USER_VERSION | VHOST_USER_REPLY, .size = (uint32_t)size};
	memcpy(answer->payload, bytes, size);
}

static struct fake_back_end_queue *queue_of(struct fake_back_end *back_end,
					    const struct fake_back_end_message *request)
{
	uint32_t index;

	memcpy(&index, request->payload, sizeof(index));
	must(index < FAKE_BACK_END_QUEUES, "a queue that there is");
	return &back_end->queue[index];
}

static void set_queue(struct fake_back_end *back_end, struct fake_back_end_message *request)
{
	struct fake_back_end_queue *queue = queue_of(back_end, request);
	int fd = request->fds ? request->fd[0] : -1;
	uint32_t number;

	memcpy(&number, request->payload + sizeof(number), sizeof(number));
	request->fds = 0;
	switch (request->header.request) {
	case VHOST_USER_SET_VRING_NUM:
		queue->size = number;
		break;
	case VHOST_USER_SET_VRING_BASE:
		queue->next = (uint16_t)number;
		break;
	case VHOST_USER_SET_VRING_ADDR:
		memcpy(&queue->addr, request->payload, sizeof(queue->addr));
		break;
	case VHOST_USER_SET_VRING_KICK:
		replace_fd(&queue->kick_fd, fd);
		break;
	case VHOST_USER_SET_VRING_CALL:
		replace_fd(&queue->call_fd, fd);
		break;
	case VHOST_USER_SET_VRING_ERR:
		replace_fd(&queue->error_fd, fd);
		break;
	case VHOST_USER_SET_VRING_ENABLE:
		queue->enabled = number;
		break;
	}
}

static void stop_queue(struct fake_back_end *back_end, const struct fake_back_end_message *request,
		       struct fake_back_end_message *answer)
{
	struct fake_back_end_queue *queue = queue_of(back_end, request);
	struct vhost_vring_state state = {.num = queue->next};

	memcpy(&state.index, request->payload, sizeof(state.index));
	replace_fd(&queue->kick_fd, -1);
	replace_fd(&queue->call_fd, -1);
	answer_with(answer, request, &state, sizeof(state));
}

static void answer_config(struct fake_back_end *back_end,
			  const struct fake_back_end_message *request,
			  struct fake_back_end_message *answer)
{
	struct vhost_user_config_space space;

	memcpy(&space, request->payload, sizeof(space));
	must(space.off + space.size <= sizeof(back_end->config), "configuration that there is");
	memcpy(space.bytes, back_end->config + space.off, space.size);
	answer_with(answer, request, &space, request->header.size);
}

static void perform(struct fake_back_end *back_end, struct fake_back_end_message *request,
		    struct fake_back_end_message *answer)
{
	switch (request->header.request) {
	case VHOST_USER_GET_FEATURES:
		answer_with(answer, request, &back_end->features, 8);
		break;
	case VHOST_USER_SET_FEATURES:
		memcpy(&back_end->accepted, request->payload, 8);
		break;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		answer_with(answer, request, &back_end->protocol_features, 8);
		break;
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		memcpy(&back_end->protocol_accepted, request->payload, 8);
		break;
	case VHOST_USER_GET_QUEUE_NUM:
		answer_with(answer, request, &back_end->queue_num, 8);
		break;
	case VHOST_USER_SET_OWNER:
		break;
	case VHOST_USER_SET_MEM_TABLE:
		take_memory(back_end, request);
		break;
	case VHOST_USER_GET_CONFIG:
		answer_config(back_end, request, answer);
		break;
	case VHOST_USER_SET_CONFIG:
		memcpy(&back_end->written, request->payload, sizeof(back_end->written));
		break;
	case VHOST_USER_SET_BACKEND_REQ_FD:
		must(request->fds == 1, "a channel");
		replace_fd(&back_end->channel_fd, request->fd[0]);
		request->fds = 0;
		break;
	case VHOST_USER_GET_VRING_BASE:
		stop_queue(back_end, request, answer);
		break;
	default:
		set_queue(back_end, request);
		break;
	}
}

/* False: this connection is over. */
static bool serve_one(struct fake_back_end *back_end, int client)
{
	struct fake_back_end_message request, answer = {.send = SIZE_MAX};
	const uint64_t good = 0;
	bool answers;

	if (!receive(client, &request))
		return false;
	pthread_mutex_lock(&back_end->lock);
	must(request.header.request < FAKE_BACK_END_REQUESTS, "a request that there is");
	back_end->count[request.header.request]++;
	perform(back_end, &request, &answer);
	if (request.header.flags & VHOST_USER_NEED_REPLY && !answer.header.request)
		answer_with(&answer, &request, &good, sizeof(good));
	answers = answer.header.request;
	if (back_end->hook)
		back_end->hook(back_end->hook_opaque, &request, &answer);
	pthread_mutex_unlock(&back_end->lock);
	for (unsigned int i = 0; i < request.fds; i++)
		close(request.fd[i]);
	if (answers && !answer.silent)
		transmit(client, &answer);
	return !answer.hang_up;
}

static void run_queues(struct fake_back_end *back_end)
{
	pthread_mutex_lock(&back_end->lock);
	for (unsigned int i = 0; i < FAKE_BACK_END_QUEUES && !back_end->asleep; i++) {
		struct fake_back_end_queue *queue = &back_end->queue[i];
		struct pollfd kick = {.fd = queue->kick_fd, .events = POLLIN};

		if (queue->enabled && poll(&kick, 1, 0) == 1)
			run_queue(back_end, queue);
	}
	pthread_mutex_unlock(&back_end->lock);
}

static void serve_client(struct fake_back_end *back_end, int client)
{
	bool alive = true;

	while (alive) {
		struct pollfd fds[3 + FAKE_BACK_END_QUEUES] = {
			{.fd = back_end->stop_fd, .events = POLLIN},
			{.fd = client, .events = POLLIN},
			{.fd = back_end->wake_fd, .events = POLLIN}};

		pthread_mutex_lock(&back_end->lock);
		for (unsigned int i = 0; i < FAKE_BACK_END_QUEUES; i++)
			fds[3 + i] = (struct pollfd){
				.fd = back_end->asleep ? -1 : back_end->queue[i].kick_fd,
				.events = POLLIN};
		pthread_mutex_unlock(&back_end->lock);
		must(poll(fds, ARRAY_SIZE(fds), -1) > 0 || errno == EINTR, "poll");
		eventfd_drain(back_end->wake_fd);
		alive = !fds[0].revents && (!fds[1].revents || serve_one(back_end, client));
		run_queues(back_end);
	}
}

static void forget(struct fake_back_end *back_end)
{
	for (unsigned int i = 0; i < FAKE_BACK_END_QUEUES; i++) {
		struct fake_back_end_queue *queue = &back_end->queue[i];

		replace_fd(&queue->kick_fd, -1);
		replace_fd(&queue->call_fd, -1);
		replace_fd(&queue->error_fd, -1);
		queue->enabled = false;
	}
	replace_fd(&back_end->channel_fd, -1);
	unmap(back_end);
}

static void *serve(void *opaque)
{
	struct fake_back_end *back_end = opaque;

	for (;;) {
		struct pollfd fds[] = {{.fd = back_end->stop_fd, .events = POLLIN},
				       {.fd = back_end->listener, .events = POLLIN}};
		int client;

		must(poll(fds, ARRAY_SIZE(fds), -1) > 0, "poll");
		if (fds[0].revents)
			return NULL;
		client = accept4(back_end->listener, NULL, NULL, SOCK_CLOEXEC);
		must(client >= 0, "accept");
		pthread_mutex_lock(&back_end->lock);
		back_end->clients++;
		pthread_mutex_unlock(&back_end->lock);
		serve_client(back_end, client);
		pthread_mutex_lock(&back_end->lock);
		forget(back_end);
		pthread_mutex_unlock(&back_end->lock);
		close(client);
	}
}

/* --- life --- */

struct fake_back_end *fake_back_end_create(void)
{
	struct fake_back_end *back_end = calloc(1, sizeof(*back_end));
	struct virtio_blk_config block = {.capacity = 2048, .num_queues = 9, .wce = 1};

	must(back_end, "calloc");
	pthread_mutex_init(&back_end->lock, NULL);
	snprintf(back_end->dir, sizeof(back_end->dir), "/tmp/fake-back-end.XXXXXX");
	must(mkdtemp(back_end->dir), "mkdtemp");
	snprintf(back_end->path, sizeof(back_end->path), "%s/0", back_end->dir);
	back_end->features = ~0ULL;
	back_end->protocol_features = ~0ULL;
	back_end->queue_num = 4;
	back_end->channel_fd = -1;
	memcpy(back_end->config, &block, sizeof(block));
	for (unsigned int i = 0; i < FAKE_BACK_END_QUEUES; i++)
		back_end->queue[i] = (struct fake_back_end_queue){
			.kick_fd = -1, .call_fd = -1, .error_fd = -1};
	back_end->stop_fd = eventfd(0, EFD_CLOEXEC);
	back_end->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must(back_end->stop_fd >= 0 && back_end->wake_fd >= 0, "eventfd");
	return back_end;
}

void fake_back_end_start(struct fake_back_end *back_end)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, back_end->path, strlen(back_end->path));
	back_end->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(back_end->listener >= 0 &&
	     !bind(back_end->listener, (struct sockaddr *)&address, sizeof(address)) &&
	     !listen(back_end->listener, 4), "listen");
	must(!pthread_create(&back_end->thread, NULL, serve, back_end), "thread");
	back_end->running = true;
}

void fake_back_end_stop(struct fake_back_end *back_end)
{
	uint64_t count;

	if (!back_end->running)
		return;
	eventfd_write(back_end->stop_fd, 1);
	pthread_join(back_end->thread, NULL);
	must(read(back_end->stop_fd, &count, sizeof(count)) == sizeof(count), "read");
	close(back_end->listener);
	unlink(back_end->path);
	back_end->running = false;
}

void fake_back_end_destroy(struct fake_back_end *back_end)
{
	if (!back_end)
		return;
	fake_back_end_stop(back_end);
	rmdir(back_end->dir);
	close(back_end->stop_fd);
	close(back_end->wake_fd);
	pthread_mutex_destroy(&back_end->lock);
	free(back_end);
}

void fake_back_end_wake(struct fake_back_end *back_end)
{
	pthread_mutex_lock(&back_end->lock);
	back_end->asleep = false;
	pthread_mutex_unlock(&back_end->lock);
	eventfd_write(back_end->wake_fd, 1);
}

unsigned int fake_back_end_count(struct fake_back_end *back_end, enum vhost_user_request request)
{
	unsigned int count;

	pthread_mutex_lock(&back_end->lock);
	count = back_end->count[request];
	pthread_mutex_unlock(&back_end->lock);
	return count;
}
