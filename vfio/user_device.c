#include "vfio/user_device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio/user_connection.h"

/* `*ret_answered`: by a reply that only a vfio-user server gives. */
static int negotiate(struct vfio_user_connection *connection, struct vfio_user_limits *ret_limits,
		     bool *ret_answered)
{
	struct vfio_user_version proposal, reply;
	struct vfio_user_call call = {
		.command = VFIO_USER_VERSION, .timeout_ms = VFIO_USER_ANSWER_MS,
		.request = &proposal, .request_size = vfio_user_version_fill(&proposal),
		.reply = &reply, .reply_size = sizeof(reply),
	};
	ssize_t r = vfio_user_connection_call(connection, &call);

	*ret_answered = r >= 0;
	if (r < 0)
		return (int)r;
	if (vfio_user_version_parse(&reply, (size_t)r, ret_limits) < 0)
		return vfio_user_connection_reject(connection, "speaks another protocol than "
						   "vfio-user 0.1, or takes too little at once");
	return 0;
}

static int read_info(struct vfio_user_connection *connection,
		     struct vfio_user_device_info *ret_info)
{
	const struct vfio_user_device_info request = {.argsz = sizeof(request)};
	struct vfio_user_device_info reply;
	struct vfio_user_call call = {
		.command = VFIO_USER_DEVICE_GET_INFO, .timeout_ms = VFIO_USER_ANSWER_MS,
		.request = &request, .request_size = sizeof(request),
		.reply = &reply, .reply_size = sizeof(reply),
	};
	ssize_t r = vfio_user_connection_call(connection, &call);

	if (r < 0)
		return (int)r;
	if (vfio_user_device_parse(&reply, (size_t)r, ret_info) < 0)
		return vfio_user_connection_reject(connection, "describes no device");
	return 0;
}

/* `buffer`: of VFIO_USER_REGION_INFO_MAX bytes. */
static int read_region(struct vfio_user_connection *connection, unsigned int index, void *buffer,
		       struct vfio_user_device *device)
{
	const struct vfio_region_info request = {
		.argsz = VFIO_USER_REGION_INFO_MAX, .index = index,
	};
	int fd = -1;
	struct vfio_user_call call = {
		.command = VFIO_USER_DEVICE_GET_REGION_INFO, .timeout_ms = VFIO_USER_ANSWER_MS,
		.request = &request, .request_size = sizeof(request),
		.reply = buffer, .reply_size = VFIO_USER_REGION_INFO_MAX,
		.ret_fd = &fd,
	};
	ssize_t r = vfio_user_connection_call(connection, &call);

	if (r < 0)
		return (int)r;
	r = vfio_user_region_parse(buffer, (size_t)r, index, fd >= 0, &device->region[index]);
	if (r == 0 && device->region[index].areas)
		device->region_fd[index] = fd;
	else if (fd >= 0)
		close(fd);
	if (r < 0)
		return vfio_user_connection_reject(connection, "describes a region that cannot be");
	return 0;
}

static int read_irq(struct vfio_user_connection *connection, unsigned int index,
		    struct vfio_user_device *device)
{
	const struct vfio_irq_info request = {.argsz = sizeof(request), .index = index};
	struct vfio_irq_info reply;
	struct vfio_user_call call = {
		.command = VFIO_USER_DEVICE_GET_IRQ_INFO, .timeout_ms = VFIO_USER_ANSWER_MS,
		.request = &request, .request_size = sizeof(request),
		.reply = &reply, .reply_size = sizeof(reply),
	};
	ssize_t r = vfio_user_connection_call(connection, &call);

	if (r == -EINVAL)
		return 0; /* as the kernel's VFIO answers for an index that the device lacks */
	if (r < 0)
		return (int)r;
	r = vfio_user_irq_parse(&reply, (size_t)r, index);
	if (r < 0)
		return vfio_user_connection_reject(connection,
						   "describes interrupts that cannot be");
	device->irq_count[index] = (int)r;
	return 0;
}

/* -ENODEV: it is none of PCI. */
static int read_device(struct vfio_user_connection *connection, struct vfio_user_device *device)
{
	struct vfio_user_device_info info;
	void *buffer;
	int r = read_info(connection, &info);

	if (r < 0)
		return r;
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI) || info.num_regions < VFIO_USER_REGIONS)
		return -ENODEV;
	device->can_reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
	buffer = malloc(VFIO_USER_REGION_INFO_MAX);
	if (!buffer)
		return -ENOMEM;
	for (unsigned int i = 0; i < VFIO_USER_REGIONS && r == 0; i++)
		r = read_region(connection, i, buffer, device);
	free(buffer);
	for (unsigned int i = 0; i < VFIO_USER_IRQS && i < info.num_irqs && r == 0; i++)
		r = read_irq(connection, i, device);
	return r;
}

static void explain(struct vfio_user_connection *connection, const char *path, bool answered,
		    int error, char *ret_why, size_t why_size)
{
	const char *failure = vfio_user_connection_failure(connection);

	if (failure && !answered)
		snprintf(ret_why, why_size, "%s is not the socket of a vfio-user server, or that "
			 "is busy with another client: it %s", path, failure);
	else if (failure)
		snprintf(ret_why, why_size, "the vfio-user server on %s %s", path, failure);
	else if (error == -ENODEV && answered)
		snprintf(ret_why, why_size, "the vfio-user server on %s offers no PCI device",
			 path);
	else
		snprintf(ret_why, why_size, "the vfio-user server on %s refuses to %s: %s", path,
			 answered ? "describe its device" : "speak version 0.1 of the protocol",
			 strerror(-error));
}

int vfio_user_device_open(struct vfio_user_connection *connection, const char *path,
			  struct vfio_user_device *ret_device, char *ret_why, size_t why_size)
{
	struct vfio_user_device device = {0};
	bool answered;
	int r;

	for (unsigned int i = 0; i < VFIO_USER_REGIONS; i++)
		device.region_fd[i] = -1;
	r = negotiate(connection, &device.limits, &answered);
	if (r == 0)
		r = read_device(connection, &device);
	if (r < 0) {
		explain(connection, path, answered, r, ret_why, why_size);
		vfio_user_device_close(&device);
		return r;
	}
	*ret_device = device;
	return 0;
}

void vfio_user_device_close(struct vfio_user_device *device)
{
	for (unsigned int i = 0; i < VFIO_USER_REGIONS; i++)
		if (device->region_fd[i] >= 0)
			close(device->region_fd[i]);
}
