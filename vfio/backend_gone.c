/*
 * The back end of a device that was given back to the host: nothing is there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "vfio/backend.h"
#include "vfio/host.h"

static int gone_region_info(struct vfio_backend *backend, unsigned int index,
			    struct vfio_region *ret_region)
{
	(void)backend, (void)index, (void)ret_region;
	return -ENODEV;
}

static ssize_t gone_region_read(struct vfio_backend *backend, unsigned int index, uint64_t off,
				void *buffer, size_t len)
{
	(void)backend, (void)index, (void)off, (void)buffer, (void)len;
	return -ENODEV;
}

static ssize_t gone_region_write(struct vfio_backend *backend, unsigned int index, uint64_t off,
				 const void *buffer, size_t len)
{
	(void)backend, (void)index, (void)off, (void)buffer, (void)len;
	return -ENODEV;
}

static int gone_region_map(struct vfio_backend *backend, unsigned int index, uint64_t off,
			   size_t len, void **ret_hva)
{
	(void)backend, (void)index, (void)off, (void)len, (void)ret_hva;
	return -ENODEV;
}

/* Everything was unmapped before. */
static void gone_region_unmap(struct vfio_backend *backend, void *hva, size_t len)
{
	(void)backend, (void)hva, (void)len;
}

static int gone_irq(struct vfio_backend *backend, unsigned int index)
{
	(void)backend, (void)index;
	return 0;
}

static int gone_irq_set_triggers(struct vfio_backend *backend, unsigned int index,
				 unsigned int start, unsigned int count, const int *fds)
{
	(void)backend, (void)index, (void)start, (void)count, (void)fds;
	return -ENODEV;
}

static int gone_intx_set_unmask(struct vfio_backend *backend, int fd)
{
	(void)backend, (void)fd;
	return -ENODEV;
}

static int gone_low_power_probe(struct vfio_backend *backend, enum vfio_low_power feature)
{
	(void)backend, (void)feature;
	return -ENODEV;
}

static int gone_low_power(struct vfio_backend *backend, enum vfio_low_power feature, int wakeup_fd)
{
	(void)backend, (void)feature, (void)wakeup_fd;
	return -ENODEV;
}

static int gone_call(struct vfio_backend *backend)
{
	(void)backend;
	return -ENODEV;
}

static bool gone_can(struct vfio_backend *backend)
{
	(void)backend;
	return false;
}

static int gone_map_ram(struct vfio_backend *backend, const struct mem *mem, char *ret_why,
			size_t why_size)
{
	(void)mem;
	snprintf(ret_why, why_size, "%s was given back to the host", backend->name);
	return -ENODEV;
}

static int gone_observe(struct vfio_backend *backend, struct vfio_observation *ret_observation)
{
	(void)backend, (void)ret_observation;
	return -ENOTSUP;
}

static void gone_close(struct vfio_backend *backend)
{
	free(backend);
}

static const struct vfio_backend_ops gone_ops = {
	.region_info = gone_region_info,
	.region_read = gone_region_read,
	.region_write = gone_region_write,
	.region_map = gone_region_map,
	.region_unmap = gone_region_unmap,
	.irq_count = gone_irq,
	.irq_set_triggers = gone_irq_set_triggers,
	.irq_disable = gone_irq,
	.intx_set_unmask = gone_intx_set_unmask,
	.intx_unmask = gone_call,
	.low_power_probe = gone_low_power_probe,
	.low_power = gone_low_power,
	.reset = gone_call,
	.can_reset = gone_can,
	.slot_reset = gone_call,
	.can_slot_reset = gone_can,
	.map_ram = gone_map_ram,
	.observe = gone_observe,
	.close = gone_close,
};

struct vfio_backend *vfio_gone_backend_create(const char *name)
{
	struct vfio_backend *backend = calloc(1, sizeof(*backend));

	if (!backend)
		return NULL;
	backend->ops = &gone_ops;
	snprintf(backend->name, sizeof(backend->name), "%s", name);
	return backend;
}
