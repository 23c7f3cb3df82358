/*
 * The way to a device by its IOMMU group and the container of groups.
 */
#include <linux/vfio.h>
#include <string.h>

#include "vfio/container.h"
#include "vfio/device_kernel.h"
#include "vfio/explain.h"
#include "vfio/host.h"
#include "vfio/syscalls.h"

static int open_device(struct vfio_container *container, const struct host_function *fn,
		       int group_fd, struct vfio_backend **ret_backend, char *ret_why,
		       size_t why_size)
{
	const struct vfio_syscalls *sys = vfio_container_syscalls(container);
	char name[sizeof(fn->name)]; /* the kernel only reads it, which ioctl() cannot say */
	int fd, r;

	memcpy(name, fn->name, sizeof(name));
	fd = sys->ioctl(group_fd, VFIO_GROUP_GET_DEVICE_FD, name);
	if (fd < 0)
		return vfio_fail(VFIO_STEP_OPEN_DEVICE, fn->name, fd, ret_why, why_size);
	r = vfio_kernel_device_create(container, fn->name, fd, fn->group, ret_backend, ret_why,
				      why_size);
	if (r < 0)
		sys->close(fd);
	return r;
}

int vfio_group_backend_open(struct vfio_container *container, const struct host_function *fn,
			    struct vfio_backend **ret_backend, char *ret_why, size_t why_size)
{
	int group_fd;
	int r = vfio_container_get_group(container, fn->group, &group_fd, ret_why, why_size);

	if (r < 0)
		return r;
	r = open_device(container, fn, group_fd, ret_backend, ret_why, why_size);
	if (r < 0)
		vfio_container_put_group(container, fn->group);
	return r;
}
