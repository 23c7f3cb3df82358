/*
 * The back end of a device that another process offers by the vfio-user protocol: an op is one
 * request to it, except mapping, which takes the file that came with the region. What the process
 * tells of its device is read once, when opened. docs/vfio-user.md.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vfio/abi.h"
#include "vfio/backend.h"
#include "vfio/host.h"
#include "vfio/user_connection.h"
#include "vfio/user_device.h"
#include "vmm/base/bits.h"
#include "vmm/mem.h"

#define VECTORS_MAX 2048U

struct user_backend {
	struct vfio_backend base;
	struct vfio_user_connection *connection;
	struct vfio_user_device device;
	unsigned int resume_ms; /* patience for what may wait for a resume */
	uint32_t routed;        /* bit per interrupt index that has triggers */
	bool ram_mapped;
};

static struct user_backend *user_backend(struct vfio_backend *backend)
{
	return container_of(backend, struct user_backend, base);
}

/* --- regions --- */

static int user_region_info(struct vfio_backend *backend, unsigned int index,
			    struct vfio_region *ret_region)
{
	if (index >= VFIO_USER_REGIONS)
		return -EINVAL;
	*ret_region = user_backend(backend)->device.region[index];
	return 0;
}

/* One access that the server can take; `from` for writes, else `into`. Bytes moved. */
static ssize_t access_once(struct user_backend *user, const struct vfio_user_access *request,
			   const void *from, void *into)
{
	struct vfio_user_access reply;
	struct vfio_user_call call = {
		.command = from ? VFIO_USER_REGION_WRITE : VFIO_USER_REGION_READ,
		.timeout_ms = VFIO_USER_ANSWER_MS,
		.request = request, .request_size = sizeof(*request),
		.request_data = from, .request_data_size = from ? request->count : 0,
		.reply = &reply, .reply_size = sizeof(reply),
		.reply_data = into, .reply_data_size = from ? 0 : request->count,
	};
	ssize_t r = vfio_user_connection_call(user->connection, &call);

	if (r < 0)
		return r;
	r = vfio_user_access_parse(request, from != NULL, &reply, (size_t)r);
	if (r < 0)
		return vfio_user_connection_reject(user->connection,
						   "answered another access than was asked for");
	return r;
}

/* A short count ends it, as it does with a file. */
static ssize_t access_region(struct vfio_backend *backend, unsigned int index, uint64_t off,
			     size_t len, const uint8_t *from, uint8_t *into)
{
	struct user_backend *user = user_backend(backend);
	size_t max = user->device.limits.data, done = 0;

	if (index >= VFIO_USER_REGIONS || !range_fits(user->device.region[index].size, off, len))
		return -EINVAL;
	while (done < len) {
		size_t step = len - done < max ? len - done : max;
		struct vfio_user_access request = {
			.off = off + done, .region = index, .count = (uint32_t)step,
		};
		ssize_t r = access_once(user, &request, from ? from + done : NULL,
					into ? into + done : NULL);

		if (r < 0)
			return r;
		done += (size_t)r;
		if ((size_t)r < step)
			break;
	}
	return (ssize_t)done;
}

static ssize_t user_region_read(struct vfio_backend *backend, unsigned int index, uint64_t off,
				void *buffer, size_t len)
{
	return access_region(backend, index, off, len, NULL, buffer);
}

static ssize_t user_region_write(struct vfio_backend *backend, unsigned int index, uint64_t off,
				 const void *buffer, size_t len)
{
	return access_region(backend, index, off, len, buffer, NULL);
}

static bool is_mappable(const struct vfio_region *region, uint64_t off, size_t len)
{
	for (unsigned int i = 0; i < region->areas; i++)
		if (len && range_contains(region->area[i], off, len))
			return true;
	return false;
}

/* Beyond the end of a file there is SIGBUS. The server may cut the file later: then KVM_RUN answers
 * EFAULT, and the slot's windows are dropped. */
static bool file_holds(int fd, uint64_t off, size_t len)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	return !S_ISREG(st.st_mode) || range_fits((uint64_t)st.st_size, off, len);
}

static int user_region_map(struct vfio_backend *backend, unsigned int index, uint64_t off,
			   size_t len, void **ret_hva)
{
	struct user_backend *user = user_backend(backend);
	const struct vfio_region *region;
	uint64_t at;
	int prot;
	void *hva;

	if (index >= VFIO_USER_REGIONS || !is_mappable(&user->device.region[index], off, len))
		return -EINVAL;
	region = &user->device.region[index];
	at = region->fd_offset + off;
	if (!file_holds(user->device.region_fd[index], at, len))
		return -EINVAL;
	prot = (region->readable ? PROT_READ : 0) | (region->writable ? PROT_WRITE : 0);
	hva = mmap(NULL, len, prot, MAP_SHARED, user->device.region_fd[index], (off_t)at);
	if (hva == MAP_FAILED)
		return -errno;
	*ret_hva = hva;
	return 0;
}

static void user_region_unmap(struct vfio_backend *backend, void *hva, size_t len)
{
	(void)backend;
	munmap(hva, len);
}

/* --- interrupts --- */

static int user_irq_count(struct vfio_backend *backend, unsigned int index)
{
	return index < VFIO_USER_IRQS ? user_backend(backend)->device.irq_count[index] : 0;
}

/* `fds` NULL with DATA_EVENTFD: detaches those numbers. */
static int set_irqs(struct user_backend *user, uint32_t flags, unsigned int index,
		    unsigned int start, unsigned int count, const int *fds)
{
	const struct vfio_irq_set set = {
		.argsz = sizeof(set), .flags = flags, .index = index, .start = start,
		.count = count,
	};
	struct vfio_user_call call = {
		.command = VFIO_USER_DEVICE_SET_IRQS, .timeout_ms = VFIO_USER_ANSWER_MS,
		.request = &set, .request_size = sizeof(set),
		.fds = fds, .fd_count = fds ? count : 0,
	};
	ssize_t r = vfio_user_connection_call(user->connection, &call);

	return r < 0 ? (int)r : 0;
}

/* How many from the first on go in one message: all with a descriptor, or all without. */
static unsigned int run_length(const struct user_backend *user, const int *fds, unsigned int count)
{
	unsigned int len = 1, max = VFIO_USER_SEND_FDS_MAX;

	if (fds[0] < 0)
		max = count;
	else if (user->device.limits.fds < max)
		max = user->device.limits.fds;
	while (len < count && len < max && (fds[len] < 0) == (fds[0] < 0))
		len++;
	return len;
}

static int user_irq_set_triggers(struct vfio_backend *backend, unsigned int index,
				 unsigned int start, unsigned int count, const int *fds)
{
	const uint32_t flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	struct user_backend *user = user_backend(backend);

	if (index >= VFIO_USER_IRQS || !fds || !count || count > VECTORS_MAX)
		return -EINVAL;
	for (unsigned int done = 0, len; done < count; done += len) {
		int r;

		len = run_length(user, fds + done, count - done);
		r = set_irqs(user, flags, index, start + done, len,
			     fds[done] < 0 ? NULL : fds + done);
		if (r < 0)
			return r;
		user->routed |= 1U << index; /* some are, even if the rest fails */
	}
	return 0;
}

static int user_irq_disable(struct vfio_backend *backend, unsigned int index)
{
	struct user_backend *user = user_backend(backend);
	int r;

	if (index >= VFIO_USER_IRQS || !(user->routed & 1U << index))
		return 0;
	r = set_irqs(user, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, index, 0, 0, NULL);
	if (r == 0)
		user->routed &= ~(1U << index);
	return r;
}

static int user_intx_set_unmask(struct vfio_backend *backend, int fd)
{
	return set_irqs(user_backend(backend),
			VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK,
			VFIO_PCI_INTX_IRQ_INDEX, 0, 1, fd < 0 ? NULL : &fd);
}

static int user_intx_unmask(struct vfio_backend *backend)
{
	return set_irqs(user_backend(backend), VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK,
			VFIO_PCI_INTX_IRQ_INDEX, 0, 1, NULL);
}

/* --- power, reset --- */

static int feature_call(struct user_backend *user, enum vfio_low_power feature, bool probe,
			int wakeup_fd)
{
	union vfio_feature_request request, reply;
	struct vfio_user_call call = {
		.command = VFIO_USER_DEVICE_FEATURE,
		.timeout_ms = probe ? VFIO_USER_ANSWER_MS : user->resume_ms,
		.request = &request, .reply = &reply,
	};
	ssize_t r;

	/* A descriptor is a number here and another there: the field has its place in the message,
	 * which is the first. */
	vfio_low_power_request(feature, probe, 0, &request);
	call.request_size = call.reply_size = request.feature.argsz;
	if (!probe && feature == VFIO_LOW_POWER_ENTRY_WITH_WAKEUP) {
		call.fds = &wakeup_fd;
		call.fd_count = 1;
	}
	r = vfio_user_connection_call(user->connection, &call);
	if (r >= (ssize_t)sizeof(reply.feature) && reply.feature.flags != request.feature.flags)
		return vfio_user_connection_reject(user->connection,
						   "answered for another feature");
	return r < 0 ? (int)r : 0;
}

/* Servers that never heard of the feature have other words for it: libvfio-user's is EINVAL
 * (lib/libvfio-user.c, handle_device_feature()). */
static int user_low_power_probe(struct vfio_backend *backend, enum vfio_low_power feature)
{
	int r = feature_call(user_backend(backend), feature, true, -1);

	return r == -EINVAL || r == -ENOTSUP || r == -ENOSYS ? -ENOTTY : r;
}

static int user_low_power(struct vfio_backend *backend, enum vfio_low_power feature, int wakeup_fd)
{
	return feature_call(user_backend(backend), feature, false, wakeup_fd);
}

static int user_reset(struct vfio_backend *backend)
{
	struct user_backend *user = user_backend(backend);
	struct vfio_user_call call = {
		.command = VFIO_USER_DEVICE_RESET, .timeout_ms = user->resume_ms,
	};
	ssize_t r = -ENOTTY;

	if (user->device.can_reset)
		r = vfio_user_connection_call(user->connection, &call);
	return r < 0 ? (int)r : 0;
}

static bool user_can_reset(struct vfio_backend *backend)
{
	return user_backend(backend)->device.can_reset;
}

/* The protocol knows no slot. */
static int user_slot_reset(struct vfio_backend *backend)
{
	(void)backend;
	return -ENOTTY;
}

static bool user_can_slot_reset(struct vfio_backend *backend)
{
	(void)backend;
	return false;
}

static int user_observe(struct vfio_backend *backend, struct vfio_observation *ret_observation)
{
	(void)backend, (void)ret_observation;
	return -ENOTSUP;
}

/* --- DMA --- */

static int dma_map(struct user_backend *user, const struct mem_block *block, int fd)
{
	const struct vfio_user_dma_map map = {
		.argsz = sizeof(map), .flags = VFIO_USER_DMA_READ | VFIO_USER_DMA_WRITE,
		.offset = block->fd_offset, .addr = block->gpa, .size = block->size,
	};
	struct vfio_user_call call = {
		.command = VFIO_USER_DMA_MAP, .timeout_ms = VFIO_USER_ANSWER_MS,
		.request = &map, .request_size = sizeof(map), .fds = &fd, .fd_count = 1,
	};
	ssize_t r = vfio_user_connection_call(user->connection, &call);

	return r < 0 ? (int)r : 0;
}

/* Nothing more can be done where it fails. */
static void dma_unmap(struct user_backend *user, const struct mem_block *block)
{
	const struct vfio_user_dma_unmap unmap = {
		.argsz = sizeof(unmap), .addr = block->gpa, .size = block->size,
	};
	struct vfio_user_dma_unmap reply;
	struct vfio_user_call call = {
		.command = VFIO_USER_DMA_UNMAP, .timeout_ms = VFIO_USER_ANSWER_MS,
		.request = &unmap, .request_size = sizeof(unmap),
		.reply = &reply, .reply_size = sizeof(reply),
	};

	vfio_user_connection_call(user->connection, &call);
}

static int user_map_ram(struct vfio_backend *backend, const struct mem *mem, char *ret_why,
			size_t why_size)
{
	struct user_backend *user = user_backend(backend);
	struct mem_block block;
	unsigned int mapped = 0;
	int r = 0;

	if (user->ram_mapped)
		return 0;
	for (; mem_block_get(mem, mapped, &block); mapped++) {
		r = dma_map(user, &block, mem_fd(mem));
		if (r < 0)
			break;
	}
	user->ram_mapped = r == 0;
	if (r == 0)
		return 0;
	snprintf(ret_why, why_size, "%s: the vfio-user server does not take RAM 0x%llx to 0x%llx "
		 "for DMA: %s", backend->name, (unsigned long long)block.gpa,
		 (unsigned long long)(block.gpa + block.size - 1), strerror(-r));
	while (mapped-- && mem_block_get(mem, mapped, &block))
		dma_unmap(user, &block);
	return r;
}

/* --- life --- */

static void user_close(struct vfio_backend *backend)
{
	struct user_backend *user = user_backend(backend);

	vfio_user_connection_close(user->connection);
	vfio_user_device_close(&user->device);
	free(user);
}

static const struct vfio_backend_ops user_ops = {
	.region_info = user_region_info,
	.region_read = user_region_read,
	.region_write = user_region_write,
	.region_map = user_region_map,
	.region_unmap = user_region_unmap,
	.irq_count = user_irq_count,
	.irq_set_triggers = user_irq_set_triggers,
	.irq_disable = user_irq_disable,
	.intx_set_unmask = user_intx_set_unmask,
	.intx_unmask = user_intx_unmask,
	.low_power_probe = user_low_power_probe,
	.low_power = user_low_power,
	.reset = user_reset,
	.can_reset = user_can_reset,
	.slot_reset = user_slot_reset,
	.can_slot_reset = user_can_slot_reset,
	.map_ram = user_map_ram,
	.observe = user_observe,
	.close = user_close,
};

static void explain_connect(const char *path, int error, char *ret_why, size_t why_size)
{
	static const struct {
		int error;
		const char *before, *after; /* the path */
	} known[] = {
		{-ENOENT, "there is no socket ", ": is the vfio-user server running?"},
		{-ECONNREFUSED, "nobody listens on the socket ",
		 ": is the vfio-user server running?"},
		{-EACCES, "no permission on the socket ",
		 ": chown it, and its directory, to the user who runs minivmm"},
		{-EAGAIN, "the vfio-user server on ",
		 " accepts no connection: is another client connected?"},
		{-ENOTDIR, "a part of the path ", " is no directory"},
		{-ENOTSOCK, "", " is no socket: name the one that the vfio-user server made"},
		{-EPROTOTYPE, "", " is no stream socket, so no vfio-user server is behind it"},
		{-ENAMETOOLONG, "UNIX sockets cannot have a path as long as ", ""},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(known); i++) {
		if (known[i].error == error) {
			snprintf(ret_why, why_size, "%s%s%s", known[i].before, path,
				 known[i].after);
			return;
		}
	}
	snprintf(ret_why, why_size, "cannot connect to the vfio-user server on %s: %s", path,
		 strerror(-error));
}

int vfio_user_backend_open(const char *path, const char *name, uint32_t resume_timeout_s,
			   struct vfio_backend **ret_backend, char *ret_why, size_t why_size)
{
	const uint32_t longest_s = UINT32_MAX / 1000;
	struct user_backend *user = calloc(1, sizeof(*user));
	int r;

	if (!user) {
		snprintf(ret_why, why_size, "out of memory for %s", name);
		return -ENOMEM;
	}
	user->base.ops = &user_ops;
	user->resume_ms = 1000 * (resume_timeout_s < longest_s ? resume_timeout_s : longest_s);
	snprintf(user->base.name, sizeof(user->base.name), "%s", name);
	r = vfio_user_connection_open(path, &user->connection);
	if (r < 0) {
		explain_connect(path, r, ret_why, why_size);
		goto free_backend;
	}
	r = vfio_user_device_open(user->connection, path, &user->device, ret_why, why_size);
	if (r < 0)
		goto close_connection;
	vfio_user_connection_announce(user->connection, user->base.name);
	*ret_backend = &user->base;
	return 0;

close_connection:
	vfio_user_connection_close(user->connection);
free_backend:
	free(user);
	return r;
}
