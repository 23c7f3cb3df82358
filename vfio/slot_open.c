#include "vfio/slot_open.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "vfio/backend.h"
#include "vfio/vfio.h"

#define SYSFS "/sys"
#define NAME_KEPT 24 /* of a path, in names */

/* --- the kernel's functions --- */

static int open_kernel(struct vfio_container *container, const char *bdf,
		       struct vfio_backend *ret_backend[HOST_FUNCTIONS], char *ret_why,
		       size_t why_size)
{
	struct host_slot host;
	int error = host_slot_read(SYSFS, bdf, &host, ret_why, why_size);

	for (unsigned int i = 0; i < HOST_FUNCTIONS && !error; i++)
		if (host.fn[i].exists)
			error = vfio_kernel_backend_open(container, &host.fn[i], &ret_backend[i],
							 ret_why, why_size);
	return error;
}

/* --- functions of another process --- */

/* The last part of the path, without which a name would not fit. */
static const char *short_name(const char *path)
{
	const char *last = strrchr(path, '/');

	return last && last[1] ? last + 1 : path;
}

static int open_server(const char *path, unsigned int fn, const char *slot_name,
		       uint32_t timeout_s, struct vfio_backend **ret_backend, char *ret_why,
		       size_t why_size)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.%u", slot_name, fn);
	return vfio_user_backend_open(path, name, timeout_s, ret_backend, ret_why, why_size);
}

/* A directory holds one socket a function, by its number; anything else is function 0. */
static int open_servers(const struct vfio_slot_config *config, const char *name,
			struct vfio_backend *ret_backend[HOST_FUNCTIONS], char *ret_why,
			size_t why_size)
{
	struct stat status;
	int error = 0;

	if (stat(config->socket, &status) || !S_ISDIR(status.st_mode))
		return open_server(config->socket, 0, name, config->resume_timeout_s,
				   &ret_backend[0], ret_why, why_size);
	for (unsigned int i = 0; i < HOST_FUNCTIONS && !error; i++) {
		char path[sizeof(config->socket) + 4];

		snprintf(path, sizeof(path), "%s/%u", config->socket, i);
		if (!stat(path, &status) || errno != ENOENT)
			error = open_server(path, i, name, config->resume_timeout_s,
					    &ret_backend[i], ret_why, why_size);
	}
	if (error || ret_backend[0])
		return error;
	snprintf(ret_why, why_size, "vfio-user:%s: there is no socket named 0 in this directory, "
		 "so no function 0, without which no guest finds the others", config->socket);
	return -ENOENT;
}

const char *vfio_slot_sysfs(const struct vfio_slot_config *config)
{
	return config->bdf[0] ? SYSFS : NULL;
}

int vfio_slot_open(struct vfio_container *container, const struct vfio_slot_config *config,
		   char ret_name[SLOT_NAME_MAX], struct vfio_backend *ret_backend[HOST_FUNCTIONS],
		   char *ret_why, size_t why_size)
{
	int error;

	memset(ret_backend, 0, HOST_FUNCTIONS * sizeof(ret_backend[0]));
	if (config->bdf[0]) {
		snprintf(ret_name, SLOT_NAME_MAX, "%.*s", (int)strcspn(config->bdf, "."),
			 config->bdf);
		error = open_kernel(container, config->bdf, ret_backend, ret_why, why_size);
	} else {
		snprintf(ret_name, SLOT_NAME_MAX, "vfio-user:%.*s", NAME_KEPT,
			 short_name(config->socket));
		error = open_servers(config, ret_name, ret_backend, ret_why, why_size);
	}
	for (unsigned int i = 0; i < HOST_FUNCTIONS && error; i++)
		if (ret_backend[i])
			ret_backend[i]->ops->close(ret_backend[i]);
	return error;
}
