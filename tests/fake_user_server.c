#include "tests/fake_user_server.h"

#include <errno.h>
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

static void drop_fds(struct fake_user_message *message)
{
	while (message->fds)
		close(message->fd[--message->fds]);
}

/* --- the wire --- */

/* Waits for bytes; false when the test wants the thread to end. */
static bool wait_readable(struct fake_user_server *server, int fd)
{
	struct pollfd fds[] = {
		{.fd = fd, .events = POLLIN}, {.fd = server->stop_fd, .events = POLLIN},
	};

	while (poll(fds, 2, -1) < 0)
		must(errno == EINTR, "poll");
	return !fds[1].revents;
}

/* All of `len` bytes; false at the end of the connection. */
static bool receive(struct fake_user_server *server, int client, void *buffer, size_t len,
		    struct fake_user_message *message)
{
	for (size_t got = 0; got < len;) {
		union {
			struct cmsghdr header;
			char bytes[CMSG_SPACE(FAKE_USER_FDS_MAX * sizeof(int))];
		} control;
		struct iovec part = {(uint8_t *)buffer + got, len - got};
		struct msghdr msg = {
			.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
			.msg_controllen = sizeof(control),
		};
		struct cmsghdr *header;
		ssize_t r;

		if (!wait_readable(server, client))
			return false;
		r = recvmsg(client, &msg, MSG_CMSG_CLOEXEC);
		if (r <= 0)
			return false;
		got += (size_t)r;
		header = msg.msg_controllen ? CMSG_FIRSTHDR(&msg) : NULL;
		if (!header)
			continue;
		must(!message->fds, "descriptors twice in a message");
		message->fds = (unsigned int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(message->fd, CMSG_DATA(header), message->fds * sizeof(int));
	}
	return true;
}

static bool send_bytes(int client, const uint8_t *bytes, size_t len, const int *fds,
		       unsigned int count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(FAKE_USER_FDS_MAX * sizeof(int))];
	} control = {0};

	while (len) {
		struct iovec part = {(void *)(uintptr_t)bytes, len};
		struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
		ssize_t r;

		if (count) {
			control.header.cmsg_level = SOL_SOCKET;
			control.header.cmsg_type = SCM_RIGHTS;
			control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
			memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
			msg.msg_control = &control;
			msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		}
		r = sendmsg(client, &msg, MSG_NOSIGNAL);
		if (r <= 0)
			return false;
		bytes += r;
		len -= (size_t)r;
		count = 0;
	}
	return true;
}

static bool send_reply(int client, struct fake_user_message *reply)
{
	size_t all = sizeof(reply->header) + reply->size;
	size_t len = reply->send < all ? reply->send : all;
	size_t piece = reply->piece ? reply->piece : len;
	uint8_t *bytes = malloc(all);
	bool good = true;

	must(bytes, "malloc");
	memcpy(bytes, &reply->header, sizeof(reply->header));
	memcpy(bytes + sizeof(reply->header), reply->payload, reply->size);
	for (size_t at = 0; at < len && good; at += piece)
		good = send_bytes(client, bytes + at, piece < len - at ? piece : len - at,
				  reply->fd, at ? 0 : reply->fds);
	free(bytes);
	return good && !reply->hang_up;
}

/* --- the device --- */

static uint32_t put(struct fake_user_message *reply, const void *bytes, size_t size)
{
	memcpy(reply->payload, bytes, size);
	reply->size = size;
	return 0;
}

static uint32_t answer_region_info(struct fake_user_server *server,
				   const struct fake_user_message *request,
				   struct fake_user_message *reply)
{
	struct vfio_region_info info;
	const struct fake_user_region *region;

	if (request->size != sizeof(info))
		return EINVAL;
	memcpy(&info, request->payload, sizeof(info));
	if (info.index >= server->info.num_regions || info.index >= FAKE_USER_REGIONS)
		return EINVAL;
	region = &server->region[info.index];
	if (info.argsz < region->reply_size)
		return EINVAL;
	if (region->fd >= 0)
		reply->fd[reply->fds++] = region->fd;
	return put(reply, &region->reply, region->reply_size);
}

static uint32_t answer_irq_info(struct fake_user_server *server,
				const struct fake_user_message *request,
				struct fake_user_message *reply)
{
	struct vfio_irq_info info;

	if (request->size != sizeof(info))
		return EINVAL;
	memcpy(&info, request->payload, sizeof(info));
	if (info.index >= VFIO_PCI_NUM_IRQS || info.argsz < sizeof(info))
		return EINVAL;
	return put(reply, &server->irq[info.index], sizeof(info));
}

static uint32_t answer_access(struct fake_user_server *server,
			      const struct fake_user_message *request,
			      struct fake_user_message *reply)
{
	bool is_write = request->header.command == VFIO_USER_REGION_WRITE;
	struct vfio_user_access access;
	const struct fake_user_region *region;

	if (request->size < sizeof(access))
		return EINVAL;
	memcpy(&access, request->payload, sizeof(access));
	if (access.region >= FAKE_USER_REGIONS ||
	    request->size != sizeof(access) + (is_write ? access.count : 0))
		return EINVAL;
	region = &server->region[access.region];
	if (!range_fits(region->reply.info.size, access.off, access.count) || !region->mem)
		return EINVAL;
	put(reply, &access, sizeof(access));
	if (is_write) {
		memcpy(region->mem + access.off, request->payload + sizeof(access), access.count);
		return 0;
	}
	memcpy(reply->payload + sizeof(access), region->mem + access.off, access.count);
	reply->size += access.count;
	return 0;
}

static uint32_t answer_feature(struct fake_user_server *server,
			       const struct fake_user_message *request,
			       struct fake_user_message *reply)
{
	struct vfio_device_feature feature;

	if (request->size < sizeof(feature))
		return EINVAL;
	memcpy(&feature, request->payload, sizeof(feature));
	if (!(server->features & 1U << (feature.flags & 31)))
		return ENOTTY;
	return put(reply, request->payload, request->size);
}

static uint32_t answer(struct fake_user_server *server, const struct fake_user_message *request,
		       struct fake_user_message *reply)
{
	uint16_t command = request->header.command;

	if (command >= FAKE_USER_COMMANDS)
		return ENOTSUP;
	if (server->error[command])
		return server->error[command];
	switch (command) {
	case VFIO_USER_VERSION:
		return put(reply, &server->version, server->version_size);
	case VFIO_USER_DEVICE_GET_INFO:
		return put(reply, &server->info, sizeof(server->info));
	case VFIO_USER_DEVICE_GET_REGION_INFO:
		return answer_region_info(server, request, reply);
	case VFIO_USER_DEVICE_GET_IRQ_INFO:
		return answer_irq_info(server, request, reply);
	case VFIO_USER_REGION_READ:
	case VFIO_USER_REGION_WRITE:
		return answer_access(server, request, reply);
	case VFIO_USER_DEVICE_FEATURE:
		return answer_feature(server, request, reply);
	case VFIO_USER_DMA_UNMAP:
		return put(reply, request->payload, request->size);
	case VFIO_USER_DMA_MAP:
	case VFIO_USER_DEVICE_SET_IRQS:
	case VFIO_USER_DEVICE_RESET:
		return 0;
	default:
		return ENOTSUP;
	}
}

static void record(struct fake_user_server *server, struct fake_user_message *request)
{
	uint16_t command = request->header.command;
	struct fake_user_message *last = &server->last[command % FAKE_USER_COMMANDS];

	pthread_mutex_lock(&server->lock);
	drop_fds(last);
	*last = *request;
	request->fds = 0;
	last->payload = server->last_payload[command % FAKE_USER_COMMANDS];
	memset(last->payload, 0, sizeof(server->last_payload[0]));
	memcpy(last->payload, request->payload,
	       request->size < sizeof(server->last_payload[0]) ? request->size :
								 sizeof(server->last_payload[0]));
	server->count[command % FAKE_USER_COMMANDS]++;
	server->requests++;
	pthread_mutex_unlock(&server->lock);
}

static bool serve_one(struct fake_user_server *server, int client)
{
	struct fake_user_message *request = &server->request, *reply = &server->reply;
	uint32_t error;

	request->fds = 0;
	if (!receive(server, client, &request->header, sizeof(request->header), request))
		return false;
	must(request->header.size >= sizeof(request->header) &&
	     request->header.size - sizeof(request->header) <= FAKE_USER_PAYLOAD_MAX &&
	     request->header.flags == VFIO_USER_TYPE_COMMAND, "no request");
	request->size = request->header.size - sizeof(request->header);
	if (!receive(server, client, request->payload, request->size, request)) {
		drop_fds(request);
		return false;
	}
	*reply = (struct fake_user_message) {.payload = reply->payload, .send = SIZE_MAX};
	reply->header = request->header;
	error = answer(server, request, reply);
	record(server, request);
	reply->header.flags = VFIO_USER_TYPE_REPLY | (error ? VFIO_USER_ERROR : 0);
	reply->header.error = error;
	reply->header.size = (uint32_t)(sizeof(reply->header) + reply->size);
	pthread_mutex_lock(&server->lock);
	if (server->hook)
		server->hook(server->hook_opaque, request, reply);
	pthread_mutex_unlock(&server->lock);
	return reply->silent ? !reply->hang_up : send_reply(client, reply);
}

static void *serve(void *opaque)
{
	struct fake_user_server *server = opaque;

	while (wait_readable(server, server->listener)) {
		int client = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);

		must(client >= 0, "accept");
		pthread_mutex_lock(&server->lock);
		server->clients++;
		pthread_mutex_unlock(&server->lock);
		while (serve_one(server, client))
			;
		close(client);
	}
	return NULL;
}

/* --- set-up --- */

static void add_region(struct fake_user_server *server, unsigned int index, uint64_t size,
		       uint32_t flags)
{
	server->region[index].reply.info.size = size;
	server->region[index].reply.info.flags =
		VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE | flags;
	if (!(flags & VFIO_REGION_INFO_FLAG_MMAP)) {
		server->region[index].mem = calloc(1, size);
		must(server->region[index].mem, "calloc");
	}
}

/* 1 MiB at 64 KiB of the file; [0, 64 KiB) and [128 KiB, 1 MiB) can be mapped. */
static void add_file_region(struct fake_user_server *server, unsigned int index)
{
	const struct vfio_region_sparse_mmap_area areas[] = {
		{.offset = 0, .size = 64 * KIB},
		{.offset = 128 * KIB, .size = MIB - 128 * KIB},
	};
	struct fake_user_region *region = &server->region[index];
	struct vfio_region_info_cap_sparse_mmap cap = {
		.header = {.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP, .version = 1},
		.nr_areas = ARRAY_SIZE(areas),
	};

	add_region(server, index, MIB, VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS);
	memcpy(region->reply.caps, &cap, sizeof(cap));
	memcpy(region->reply.caps + sizeof(cap), areas, sizeof(areas));
	region->reply_size += sizeof(cap) + sizeof(areas);
	region->reply.info.cap_offset = sizeof(region->reply.info);
	region->reply.info.argsz = (uint32_t)region->reply_size;
	region->reply.info.offset = 64 * KIB;
	region->fd = memfd_create("fake-bar", MFD_CLOEXEC);
	must(region->fd >= 0 && !ftruncate(region->fd, 64 * KIB + MIB), "memfd");
	region->mem = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, region->fd, 64 * KIB);
	must(region->mem != MAP_FAILED, "mmap");
}

static void add_device(struct fake_user_server *server)
{
	static const uint32_t irqs[VFIO_PCI_NUM_IRQS] = {
		[VFIO_PCI_INTX_IRQ_INDEX] = 1, [VFIO_PCI_MSIX_IRQ_INDEX] = 8,
		[VFIO_PCI_ERR_IRQ_INDEX] = 1, [VFIO_PCI_REQ_IRQ_INDEX] = 1,
	};

	server->info = (struct vfio_user_device_info) {
		.argsz = sizeof(server->info),
		.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET,
		.num_regions = VFIO_PCI_NUM_REGIONS, .num_irqs = VFIO_PCI_NUM_IRQS,
	};
	for (unsigned int i = 0; i < FAKE_USER_REGIONS; i++) {
		server->region[i].fd = -1;
		server->region[i].reply_size = sizeof(struct vfio_region_info);
		server->region[i].reply.info.argsz = sizeof(struct vfio_region_info);
		server->region[i].reply.info.index = i;
	}
	add_region(server, VFIO_PCI_CONFIG_REGION_INDEX, 4096, 0);
	add_region(server, VFIO_PCI_BAR0_REGION_INDEX, 64 * KIB, 0);
	add_file_region(server, VFIO_PCI_BAR2_REGION_INDEX);
	for (unsigned int i = 0; i < VFIO_PCI_NUM_IRQS; i++)
		server->irq[i] = (struct vfio_irq_info) {
			.argsz = sizeof(struct vfio_irq_info), .flags = VFIO_IRQ_INFO_EVENTFD,
			.index = i, .count = irqs[i],
		};
	server->features = 1U << VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY |
			   1U << VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP |
			   1U << VFIO_DEVICE_FEATURE_LOW_POWER_EXIT;
}

void fake_user_server_set_json(struct fake_user_server *server, const char *json)
{
	must(strlen(json) < sizeof(server->version.json), "long JSON");
	memcpy(server->version.json, json, strlen(json) + 1);
	server->version_size = offsetof(struct vfio_user_version, json) + strlen(json) + 1;
}

struct fake_user_server *fake_user_server_create(void)
{
	struct fake_user_server *server = calloc(1, sizeof(*server));

	must(server, "calloc");
	server->request.payload = malloc(FAKE_USER_PAYLOAD_MAX);
	server->reply.payload = malloc(FAKE_USER_PAYLOAD_MAX);
	must(server->request.payload && server->reply.payload, "malloc");
	pthread_mutex_init(&server->lock, NULL);
	snprintf(server->dir, sizeof(server->dir), "/tmp/fake-user.XXXXXX");
	must(mkdtemp(server->dir), "mkdtemp");
	snprintf(server->path, sizeof(server->path), "%s/0", server->dir);
	server->listener = -1;
	server->stop_fd = eventfd(0, EFD_CLOEXEC);
	must(server->stop_fd >= 0, "eventfd");
	server->version.minor = 1;
	fake_user_server_set_json(server, "{\"capabilities\":{\"max_msg_fds\":8,"
					  "\"max_data_xfer_size\":1048576}}");
	add_device(server);
	return server;
}

void fake_user_server_start(struct fake_user_server *server)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, server->path, strlen(server->path));
	server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(server->listener >= 0 &&
	     !bind(server->listener, (struct sockaddr *)&address, sizeof(address)) &&
	     !listen(server->listener, 4), "listen");
	must(!pthread_create(&server->thread, NULL, serve, server), "thread");
	server->running = true;
}

void fake_user_server_destroy(struct fake_user_server *server)
{
	if (!server)
		return;
	if (server->running) {
		eventfd_write(server->stop_fd, 1);
		pthread_join(server->thread, NULL);
		close(server->listener);
		unlink(server->path);
	}
	rmdir(server->dir);
	close(server->stop_fd);
	for (unsigned int i = 0; i < FAKE_USER_COMMANDS; i++)
		drop_fds(&server->last[i]);
	for (unsigned int i = 0; i < FAKE_USER_REGIONS; i++) {
		if (server->region[i].fd >= 0) {
			munmap(server->region[i].mem, MIB);
			close(server->region[i].fd);
		} else {
			free(server->region[i].mem);
		}
	}
	free(server->request.payload);
	free(server->reply.payload);
	pthread_mutex_destroy(&server->lock);
	free(server);
}

unsigned int fake_user_server_count(struct fake_user_server *server, unsigned int command)
{
	unsigned int count;

	pthread_mutex_lock(&server->lock);
	count = server->count[command];
	pthread_mutex_unlock(&server->lock);
	return count;
}

unsigned int fake_user_server_requests(struct fake_user_server *server)
{
	unsigned int requests;

	pthread_mutex_lock(&server->lock);
	requests = server->requests;
	pthread_mutex_unlock(&server->lock);
	return requests;
}
