/*
 * A back end around another one whose host lacks or refuses low power: a kernel before 6.1
 * (-ENOTTY), a refusal (-EINVAL), a device that fails (-EIO). So the fallback is tried on the
 * newest kernel and on the real device.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "vfio/backend.h"
#include "vfio/host.h"
#include "vmm/base/bits.h"

struct fault_backend {
	struct vfio_backend base;
	struct vfio_backend *inner;
	int error;
};

static struct fault_backend *fault_backend(struct vfio_backend *backend)
{
	return container_of(backend, struct fault_backend, base);
}

static struct vfio_backend *inner_of(struct vfio_backend *backend)
{
	return fault_backend(backend)->inner;
}

static int fault_region_info(struct vfio_backend *backend, unsigned int index,
			     struct vfio_region *ret_region)
{
	struct vfio_backend *inner = inner_of(backend);

	return inner->ops->region_info(inner, index, ret_region);
}

static ssize_t fault_region_read(struct vfio_backend *backend, unsigned int index, uint64_t off,
				 void *buffer, size_t len)
{
	struct vfio_backend *inner = inner_of(backend);

	return inner->ops->region_read(inner, index, off, buffer, len);
}

static ssize_t fault_region_write(struct vfio_backend *backend, unsigned int index, uint64_t off,
				  const void *buffer, size_t len)
{
	struct vfio_backend *inner = inner_of(backend);

	return inner->ops->region_write(inner, index, off, buffer, len);
}

static int fault_region_map(struct vfio_backend *backend, unsigned int index, uint64_t off,
			    size_t len, void **ret_hva)
{
	struct vfio_backend *inner = inner_of(backend);

	return inner->ops->region_map(inner, index, off, len, ret_hva);
}

static void fault_region_unmap(struct vfio_backend *backend, void *hva, size_t len)
{
	struct vfio_backend *inner = inner_of(backend);

	inner->ops->region_unmap(inner, hva, len);
}

static int fault_irq_count(struct vfio_backend *backend, unsigned int index)
{
	struct vfio_backend *inner = inner_of(backend);

	return inner->ops->irq_count(inner, index);
}

static int fault_irq_set_triggers(struct vfio_backend *backend, unsigned int index,
				  unsigned int start, unsigned int count, const int *fds)
{
	struct vfio_backend *inner = inner_of(backend);

	return inner->ops->irq_set_triggers(inner, index, start, count, fds);
}

static int fault_irq_disable(struct vfio_backend *backend, unsigned int index)
{
	struct vfio_backend *inner = inner_of(backend);

	return inner->ops->irq_disable(inner, index);
}

static int fault_intx_set_unmask(struct vfio_backend *backend, int fd)
{
	struct vfio_backend *inner = inner_of(backend);

	return inner->ops->intx_set_unmask(inner, fd);
}

static int fault_intx_unmask(struct vfio_backend *backend)
{
	struct vfio_backend *inner = inner_of(backend);

	return inner->ops->intx_unmask(inner);
}

static int fault_low_power_probe(struct vfio_backend *backend, enum vfio_low_power feature)
{
	struct vfio_backend *inner = inner_of(backend);

	/* -ENOTTY is a kernel without the features; others have them, and fail when it matters. */
	if (fault_backend(backend)->error == -ENOTTY)
		return -ENOTTY;
	return inner->ops->low_power_probe(inner, feature);
}

static int fault_low_power(struct vfio_backend *backend, enum vfio_low_power feature, int wakeup_fd)
{
	struct vfio_backend *inner = inner_of(backend);

	if (feature != VFIO_LOW_POWER_EXIT)
		return fault_backend(backend)->error;
	return inner->ops->low_power(inner, feature, wakeup_fd);
}

static int fault_reset(struct vfio_backend *backend)
{
	struct vfio_backend *inner = inner_of(backend);

	return inner->ops->reset(inner);
}

static bool fault_can_reset(struct vfio_backend *backend)
{
	struct vfio_backend *inner = inner_of(backend);

	return inner->ops->can_reset(inner);
}

static int fault_slot_reset(struct vfio_backend *backend)
{
	struct vfio_backend *inner = inner_of(backend);

	return inner->ops->slot_reset(inner);
}

static bool fault_can_slot_reset(struct vfio_backend *backend)
{
	struct vfio_backend *inner = inner_of(backend);

	return inner->ops->can_slot_reset(inner);
}

static int fault_map_ram(struct vfio_backend *backend, const struct mem *mem, char *ret_why,
			 size_t why_size)
{
	struct vfio_backend *inner = inner_of(backend);

	return inner->ops->map_ram(inner, mem, ret_why, why_size);
}

static int fault_observe(struct vfio_backend *backend, struct vfio_observation *ret_observation)
{
	struct vfio_backend *inner = inner_of(backend);

	return inner->ops->observe(inner, ret_observation);
}

static void fault_close(struct vfio_backend *backend)
{
	struct vfio_backend *inner = inner_of(backend);

	inner->ops->close(inner);
	free(fault_backend(backend));
}

static const struct vfio_backend_ops fault_ops = {
	.region_info = fault_region_info,
	.region_read = fault_region_read,
	.region_write = fault_region_write,
	.region_map = fault_region_map,
	.region_unmap = fault_region_unmap,
	.irq_count = fault_irq_count,
	.irq_set_triggers = fault_irq_set_triggers,
	.irq_disable = fault_irq_disable,
	.intx_set_unmask = fault_intx_set_unmask,
	.intx_unmask = fault_intx_unmask,
	.low_power_probe = fault_low_power_probe,
	.low_power = fault_low_power,
	.reset = fault_reset,
	.can_reset = fault_can_reset,
	.slot_reset = fault_slot_reset,
	.can_slot_reset = fault_can_slot_reset,
	.map_ram = fault_map_ram,
	.observe = fault_observe,
	.close = fault_close,
};

struct vfio_backend *vfio_fault_backend_wrap(struct vfio_backend *inner, int error)
{
	struct fault_backend *fault = calloc(1, sizeof(*fault));

	if (!fault)
		return NULL;
	fault->base.ops = &fault_ops;
	fault->inner = inner;
	fault->error = error;
	snprintf(fault->base.name, sizeof(fault->base.name), "%s", inner->name);
	return &fault->base;
}
