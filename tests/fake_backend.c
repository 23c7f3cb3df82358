#include "tests/fake_backend.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "tests/fake_must.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"

static struct fake_backend *fake_of(struct vfio_backend *backend)
{
	return container_of(backend, struct fake_backend, backend);
}

/* --- what every op does first and last --- */

static void violate(struct fake_backend *fake, const struct fake_call *call)
{
	if (!fake->violations++)
		fake->violation = *call;
}

void fake_backend_end_low_power(struct fake_backend *fake)
{
	if (fake->engaged && fake->with_wakeup)
		must(!eventfd_write(fake->wakeup_fd, 1), "eventfd");
	fake->engaged = false;
	fake->with_wakeup = false;
}

static bool is_allowed_engaged(enum fake_op op)
{
	return op == FAKE_EXIT || op == FAKE_REGION_MAP || op == FAKE_REGION_UNMAP ||
	       op == FAKE_OBSERVE;
}

/* Takes the lock, and records the call. Returns the injected error or 0. */
static int begin(struct fake_backend *fake, struct fake_call call)
{
	struct fake_error *error = &fake->error[call.op];
	struct fake_call *record;

	if (fake->hook)
		fake->hook(fake, &call);
	pthread_mutex_lock(&fake->lock);
	record = fake->calls < FAKE_CALLS_MAX ? &fake->call[fake->calls++] : &fake->unrecorded;
	*record = call;
	fake->count[call.op]++;
	pthread_cond_broadcast(&fake->changed);
	if (fake->closed)
		violate(fake, &call);
	if (fake->engaged && !is_allowed_engaged(call.op)) {
		violate(fake, &call);
		if (fake->with_wakeup)
			fake_backend_end_low_power(fake);
	}
	while (fake->blocked[call.op])
		pthread_cond_wait(&fake->changed, &fake->lock);
	fake->now = record;
	if (!error->error || !error->times)
		return 0;
	if (error->skip) {
		error->skip--;
		return 0;
	}
	if (error->times != UINT32_MAX)
		error->times--;
	return error->error;
}

static int finish(struct fake_backend *fake, int result)
{
	fake->now->result = result;
	pthread_mutex_unlock(&fake->lock);
	return result;
}

/* --- regions --- */

static int op_region_info(struct vfio_backend *backend, unsigned int index,
			  struct vfio_region *ret_region)
{
	struct fake_backend *fake = fake_of(backend);
	int error = begin(fake, (struct fake_call){.op = FAKE_REGION_INFO, .index = index});

	if (!error && index >= FAKE_REGIONS)
		error = -EINVAL;
	if (!error)
		*ret_region = fake->region[index].info;
	return finish(fake, error);
}

/* vfio-pci fails BAR accesses with EIO while its virtual Command has Memory Space off. */
static int check_region(struct fake_backend *fake, unsigned int index, uint64_t off, size_t len)
{
	if (index >= FAKE_REGIONS || !range_fits(fake->region[index].info.size, off, len))
		return -EINVAL;
	if (index <= VFIO_PCI_BAR5_REGION_INDEX) {
		uint8_t bar = fake->cfg[PCI_BASE_ADDRESS_0 + 4 * index];
		bool io = bar & PCI_BASE_ADDRESS_SPACE_IO;

		if (!(fake->cfg[PCI_COMMAND] & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
			return -EIO;
	}
	return 0;
}

static uint8_t *region_bytes(struct fake_backend *fake, unsigned int index)
{
	return index == VFIO_PCI_CONFIG_REGION_INDEX ? fake->cfg : fake->region[index].mem;
}

/* VFIO answers for vendor and device by itself (Linux 6.1, vfio_pci_config.c,
 * init_pci_cap_basic_perm()). */
static void read_dead(struct fake_backend *fake, unsigned int index, uint64_t off, uint8_t *bytes,
		      size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool virtual = index == VFIO_PCI_CONFIG_REGION_INDEX &&
			       off + i < PCI_DEVICE_ID + 2;

		bytes[i] = virtual ? fake->cfg[off + i] : 0xff;
	}
}

static ssize_t op_region_read(struct vfio_backend *backend, unsigned int index, uint64_t off,
			      void *buffer, size_t len)
{
	struct fake_backend *fake = fake_of(backend);
	struct fake_call call = {.op = FAKE_REGION_READ, .index = index, .off = off, .len = len};
	int error = begin(fake, call);

	if (!error)
		error = check_region(fake, index, off, len);
	if (error)
		return finish(fake, error);
	if (fake->dead)
		read_dead(fake, index, off, buffer, len);
	else
		memcpy(buffer, region_bytes(fake, index) + off, len);
	return finish(fake, (int)len);
}

static ssize_t op_region_write(struct vfio_backend *backend, unsigned int index, uint64_t off,
			       const void *buffer, size_t len)
{
	struct fake_backend *fake = fake_of(backend);
	struct fake_call call = {.op = FAKE_REGION_WRITE, .index = index, .off = off, .len = len,
		.value = le_get(buffer, len < 8 ? (unsigned int)len : 8)};
	int error = begin(fake, call);
	const uint8_t *from = buffer;

	if (!error)
		error = check_region(fake, index, off, len);
	if (error)
		return finish(fake, error);
	for (size_t i = 0; i < len && !fake->dead; i++) {
		uint8_t *to = region_bytes(fake, index) + off + i;
		uint8_t rw = index == VFIO_PCI_CONFIG_REGION_INDEX ? fake->cfg_rw[off + i] : 0xff;

		*to = (uint8_t)((*to & ~rw) | (from[i] & rw));
	}
	return finish(fake, (int)len);
}

static bool in_area(const struct vfio_region *info, uint64_t off, size_t len)
{
	for (unsigned int i = 0; i < info->areas; i++)
		if (range_contains(info->area[i], off, len))
			return true;
	return false;
}

static int op_region_map(struct vfio_backend *backend, unsigned int index, uint64_t off,
			 size_t len, void **ret_hva)
{
	struct fake_backend *fake = fake_of(backend);
	struct fake_call call = {.op = FAKE_REGION_MAP, .index = index, .off = off, .len = len};
	int error = begin(fake, call);
	void *hva;

	if (!error && (index >= FAKE_REGIONS || !in_area(&fake->region[index].info, off, len)))
		error = -EINVAL;
	if (error)
		return finish(fake, error);
	hva = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fake->region[index].fd,
		   (off_t)off);
	if (hva == MAP_FAILED)
		return finish(fake, -errno);
	fake->maps++;
	*ret_hva = hva;
	return finish(fake, 0);
}

static void op_region_unmap(struct vfio_backend *backend, void *hva, size_t len)
{
	struct fake_backend *fake = fake_of(backend);

	begin(fake, (struct fake_call){.op = FAKE_REGION_UNMAP, .len = len});
	must(fake->maps && !munmap(hva, len), "unmap");
	fake->maps--;
	finish(fake, 0);
}

/* --- interrupts --- */

static int op_irq_count(struct vfio_backend *backend, unsigned int index)
{
	struct fake_backend *fake = fake_of(backend);
	int error = begin(fake, (struct fake_call){.op = FAKE_IRQ_COUNT, .index = index});

	if (!error)
		error = index < FAKE_IRQS ? fake->irq[index].count : -EINVAL;
	return finish(fake, error);
}

static bool other_irq_enabled(const struct fake_backend *fake, unsigned int index)
{
	for (unsigned int i = 0; i <= VFIO_PCI_MSIX_IRQ_INDEX; i++)
		if (i != index && fake->irq[i].enabled)
			return true;
	return false;
}

static int set_triggers(struct fake_backend *fake, unsigned int index, unsigned int start,
			unsigned int count, const int *fds)
{
	struct fake_irq *irq = &fake->irq[index];

	if (!count || start + count > (unsigned int)irq->count)
		return -EINVAL;
	if (index <= VFIO_PCI_MSIX_IRQ_INDEX && other_irq_enabled(fake, index))
		return -EINVAL;
	if (irq->enabled && start + count > irq->enabled)
		return -EINVAL;
	if (!irq->enabled)
		irq->enabled = start + count;
	memcpy(irq->trigger + start, fds, count * sizeof(*fds));
	return 0;
}

static int op_irq_set_triggers(struct vfio_backend *backend, unsigned int index,
			       unsigned int start, unsigned int count, const int *fds)
{
	struct fake_backend *fake = fake_of(backend);
	struct fake_call call = {.op = FAKE_IRQ_SET_TRIGGERS, .index = index, .off = start,
		.len = count, .fd = count ? fds[0] : -1};
	int error = begin(fake, call);

	if (!error && index >= FAKE_IRQS)
		error = -EINVAL;
	if (!error)
		error = set_triggers(fake, index, start, count, fds);
	return finish(fake, error);
}

static int op_irq_disable(struct vfio_backend *backend, unsigned int index)
{
	struct fake_backend *fake = fake_of(backend);
	int error = begin(fake, (struct fake_call){.op = FAKE_IRQ_DISABLE, .index = index});

	if (!error && (index >= FAKE_IRQS || !fake->irq[index].enabled))
		error = -EINVAL;
	if (!error) {
		fake->irq[index].enabled = 0;
		memset(fake->irq[index].trigger, 0xff, sizeof(fake->irq[index].trigger));
		if (index == VFIO_PCI_INTX_IRQ_INDEX)
			fake->unmask_fd = -1;
	}
	return finish(fake, error);
}

static int op_intx_set_unmask(struct vfio_backend *backend, int fd)
{
	struct fake_backend *fake = fake_of(backend);
	int error = begin(fake, (struct fake_call){.op = FAKE_INTX_SET_UNMASK, .fd = fd});

	if (!error && !fake->irq[VFIO_PCI_INTX_IRQ_INDEX].enabled)
		error = -EINVAL;
	if (!error)
		fake->unmask_fd = fd;
	return finish(fake, error);
}

static int op_intx_unmask(struct vfio_backend *backend)
{
	struct fake_backend *fake = fake_of(backend);
	int error = begin(fake, (struct fake_call){.op = FAKE_INTX_UNMASK});

	if (!error && !fake->irq[VFIO_PCI_INTX_IRQ_INDEX].enabled)
		error = -EINVAL;
	return finish(fake, error);
}

/* --- power and life --- */

static int op_low_power_probe(struct vfio_backend *backend, enum vfio_low_power feature)
{
	struct fake_backend *fake = fake_of(backend);
	int error = begin(fake, (struct fake_call){.op = FAKE_LOW_POWER_PROBE, .index = feature});

	if (!error && !(fake->features & 1U << feature))
		error = -ENOTTY;
	return finish(fake, error);
}

static int enter(struct fake_backend *fake, enum vfio_low_power feature, int wakeup_fd)
{
	if (feature == VFIO_LOW_POWER_EXIT) {
		fake_backend_end_low_power(fake);
		return 0;
	}
	if (fake->engaged)
		return -EINVAL;
	if (feature == VFIO_LOW_POWER_ENTRY_WITH_WAKEUP && wakeup_fd < 0)
		return -EINVAL;
	fake->engaged = true;
	fake->with_wakeup = feature == VFIO_LOW_POWER_ENTRY_WITH_WAKEUP;
	fake->wakeup_fd = wakeup_fd;
	return 0;
}

static int op_low_power(struct vfio_backend *backend, enum vfio_low_power feature, int wakeup_fd)
{
	static const enum fake_op ops[] = {
		[VFIO_LOW_POWER_ENTRY] = FAKE_ENTRY,
		[VFIO_LOW_POWER_ENTRY_WITH_WAKEUP] = FAKE_ENTRY_WITH_WAKEUP,
		[VFIO_LOW_POWER_EXIT] = FAKE_EXIT,
	};
	struct fake_backend *fake = fake_of(backend);
	int error = begin(fake, (struct fake_call){.op = ops[feature], .index = feature,
							.fd = wakeup_fd});

	if (!error && !(fake->features & 1U << feature))
		error = -ENOTTY;
	if (!error)
		error = enter(fake, feature, wakeup_fd);
	return finish(fake, error);
}

static int reset(struct vfio_backend *backend, enum fake_op op, const bool *can)
{
	struct fake_backend *fake = fake_of(backend);
	int error = begin(fake, (struct fake_call){.op = op});

	if (!error && !*can)
		error = -ENOTTY;
	if (!error && fake->reset_revives)
		fake->dead = false;
	return finish(fake, error);
}

static int op_reset(struct vfio_backend *backend)
{
	return reset(backend, FAKE_RESET, &fake_of(backend)->can_reset);
}

static int op_slot_reset(struct vfio_backend *backend)
{
	return reset(backend, FAKE_SLOT_RESET, &fake_of(backend)->can_slot_reset);
}

static bool answer(struct vfio_backend *backend, enum fake_op op, const bool *can)
{
	struct fake_backend *fake = fake_of(backend);
	int error = begin(fake, (struct fake_call){.op = op});

	return finish(fake, !error && *can);
}

static bool op_can_reset(struct vfio_backend *backend)
{
	return answer(backend, FAKE_CAN_RESET, &fake_of(backend)->can_reset);
}

static bool op_can_slot_reset(struct vfio_backend *backend)
{
	return answer(backend, FAKE_CAN_SLOT_RESET, &fake_of(backend)->can_slot_reset);
}

static int op_map_ram(struct vfio_backend *backend, const struct mem *mem, char *ret_why,
		      size_t why_size)
{
	struct fake_backend *fake = fake_of(backend);
	int error = begin(fake, (struct fake_call){.op = FAKE_MAP_RAM});

	(void)mem;
	if (error)
		snprintf(ret_why, why_size, "%s: no RAM", backend->name);
	return finish(fake, error);
}

static int op_observe(struct vfio_backend *backend, struct vfio_observation *ret_observation)
{
	struct fake_backend *fake = fake_of(backend);
	int error = begin(fake, (struct fake_call){.op = FAKE_OBSERVE});

	if (!error && !fake->tells)
		error = -ENOTSUP;
	if (!error)
		*ret_observation = fake->observation;
	return finish(fake, error);
}

static void op_close(struct vfio_backend *backend)
{
	struct fake_backend *fake = fake_of(backend);

	begin(fake, (struct fake_call){.op = FAKE_CLOSE});
	if (fake->maps)
		violate(fake, fake->now);
	fake->closed = true;
	finish(fake, 0);
}

const struct vfio_backend_ops fake_backend_ops = {
	.region_info = op_region_info,
	.region_read = op_region_read,
	.region_write = op_region_write,
	.region_map = op_region_map,
	.region_unmap = op_region_unmap,
	.irq_count = op_irq_count,
	.irq_set_triggers = op_irq_set_triggers,
	.irq_disable = op_irq_disable,
	.intx_set_unmask = op_intx_set_unmask,
	.intx_unmask = op_intx_unmask,
	.low_power_probe = op_low_power_probe,
	.low_power = op_low_power,
	.reset = op_reset,
	.can_reset = op_can_reset,
	.slot_reset = op_slot_reset,
	.can_slot_reset = op_can_slot_reset,
	.map_ram = op_map_ram,
	.observe = op_observe,
	.close = op_close,
};
