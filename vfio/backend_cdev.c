/*
 * The way to a device by its own node and iommufd; and the choice between the two ways.
 */
#include "vfio/container.h"
#include "vfio/device_kernel.h"
#include "vfio/host.h"
#include "vmm/events.h"

int vfio_cdev_backend_open(struct vfio_container *container, const struct host_function *fn,
			   struct vfio_backend **ret_backend, char *ret_why, size_t why_size)
{
	int fd;
	int r = vfio_container_open_node(container, fn, &fd, ret_why, why_size);

	if (r < 0)
		return r;
	r = vfio_kernel_device_create(container, fn->name, fd, -1, ret_backend, ret_why, why_size);
	if (r < 0)
		vfio_container_close_node(container, fd);
	return r;
}

int vfio_kernel_backend_open(struct vfio_container *container, const struct host_function *fn,
			     struct vfio_backend **ret_backend, char *ret_why, size_t why_size)
{
	static const struct {
		int (*open)(struct vfio_container *container, const struct host_function *fn,
			    struct vfio_backend **ret_backend, char *ret_why, size_t why_size);
		const char *name;
	} ways[] = {
		[VFIO_BACKEND_GROUP] = {vfio_group_backend_open, "group"},
		[VFIO_BACKEND_IOMMUFD] = {vfio_cdev_backend_open, "iommufd"},
	};
	int way = vfio_container_choose(container, fn, ret_why, why_size);
	int error = way < 0 ? way : ways[way].open(container, fn, ret_backend, ret_why, why_size);

	if (!error)
		events_emit(&(struct event){
			.event = "open", .device = fn->name, .to = ways[way].name});
	return error;
}
