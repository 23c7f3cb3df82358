#include "tests/fake_backend.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/fake_must.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"

#define WAIT_S 10

static const char *const op_names[FAKE_OPS] = {
	[FAKE_REGION_INFO] = "region_info",
	[FAKE_REGION_READ] = "region_read",
	[FAKE_REGION_WRITE] = "region_write",
	[FAKE_REGION_MAP] = "region_map",
	[FAKE_REGION_UNMAP] = "region_unmap",
	[FAKE_IRQ_COUNT] = "irq_count",
	[FAKE_IRQ_SET_TRIGGERS] = "irq_set_triggers",
	[FAKE_IRQ_DISABLE] = "irq_disable",
	[FAKE_INTX_SET_UNMASK] = "intx_set_unmask",
	[FAKE_INTX_UNMASK] = "intx_unmask",
	[FAKE_LOW_POWER_PROBE] = "low_power_probe",
	[FAKE_ENTRY] = "entry",
	[FAKE_ENTRY_WITH_WAKEUP] = "entry_with_wakeup",
	[FAKE_EXIT] = "exit",
	[FAKE_RESET] = "reset",
	[FAKE_CAN_RESET] = "can_reset",
	[FAKE_SLOT_RESET] = "slot_reset",
	[FAKE_CAN_SLOT_RESET] = "can_slot_reset",
	[FAKE_MAP_RAM] = "map_ram",
	[FAKE_OBSERVE] = "observe",
	[FAKE_CLOSE] = "close",
};

const char *fake_op_name(enum fake_op op)
{
	return op < FAKE_OPS ? op_names[op] : "?";
}

static struct fake_backend *fake_of(struct vfio_backend *backend)
{
	return container_of(backend, struct fake_backend, backend);
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	must(write(fd, &one, sizeof(one)) == sizeof(one), "eventfd");
}

/* --- what every op does first and last --- */

static void violate(struct fake_backend *fake, const struct fake_call *call)
{
	if (!fake->violations++)
		fake->violation = *call;
}

static void end_low_power(struct fake_backend *fake)
{
	if (fake->engaged && fake->with_wakeup)
		signal_fd(fake->wakeup_fd);
	fake->engaged = false;
	fake->with_wakeup = false;
}

static bool is_allowed_engaged(enum fake_op op)
{
	return op == FAKE_EXIT || op == FAKE_REGION_MAP || op == FAKE_REGION_UNMAP ||
	       op == FAKE_OBSERVE;
}

/* Takes the lock. Returns the call's record and, in `ret_error`, the injected error or 0. */
static struct fake_call *begin(struct fake_backend *fake, struct fake_call call, int *ret_error)
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
			end_low_power(fake);
	}
	while (fake->blocked[call.op])
		pthread_cond_wait(&fake->changed, &fake->lock);
	*ret_error = 0;
	if (error->error && error->skip) {
		error->skip--;
	} else if (error->error && error->times) {
		if (error->times != UINT32_MAX)
			error->times--;
		*ret_error = error->error;
	}
	return record;
}

static int finish(struct fake_backend *fake, struct fake_call *record, int result)
{
	record->result = result;
	pthread_mutex_unlock(&fake->lock);
	return result;
}

/* --- regions --- */

static int op_region_info(struct vfio_backend *backend, unsigned int index,
			  struct vfio_region *ret_region)
{
	struct fake_backend *fake = fake_of(backend);
	int error;
	struct fake_call *record =
		begin(fake, (struct fake_call) { .op = FAKE_REGION_INFO, .index = index }, &error);

	if (!error && index >= FAKE_REGIONS)
		error = -EINVAL;
	if (!error)
		*ret_region = fake->region[index].info;
	return finish(fake, record, error);
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
	struct fake_call call = { .op = FAKE_REGION_READ, .index = index, .off = off, .len = len };
	int error;
	struct fake_call *record = begin(fake, call, &error);

	if (!error)
		error = check_region(fake, index, off, len);
	if (error)
		return finish(fake, record, error);
	if (fake->dead)
		read_dead(fake, index, off, buffer, len);
	else
		memcpy(buffer, region_bytes(fake, index) + off, len);
	return finish(fake, record, (int)len);
}

static ssize_t op_region_write(struct vfio_backend *backend, unsigned int index, uint64_t off,
			       const void *buffer, size_t len)
{
	struct fake_backend *fake = fake_of(backend);
	struct fake_call call = { .op = FAKE_REGION_WRITE, .index = index, .off = off, .len = len,
		.value = le_get(buffer, len < 8 ? (unsigned int)len : 8) };
	int error;
	struct fake_call *record = begin(fake, call, &error);
	const uint8_t *from = buffer;

	if (!error)
		error = check_region(fake, index, off, len);
	if (error)
		return finish(fake, record, error);
	for (size_t i = 0; i < len && !fake->dead; i++) {
		uint8_t *to = region_bytes(fake, index) + off + i;
		uint8_t rw = index == VFIO_PCI_CONFIG_REGION_INDEX ? fake->cfg_rw[off + i] : 0xff;

		*to = (uint8_t)((*to & ~rw) | (from[i] & rw));
	}
	return finish(fake, record, (int)len);
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
	struct fake_call call = { .op = FAKE_REGION_MAP, .index = index, .off = off, .len = len };
	int error;
	struct fake_call *record = begin(fake, call, &error);
	void *hva;

	if (!error && (index >= FAKE_REGIONS || !in_area(&fake->region[index].info, off, len)))
		error = -EINVAL;
	if (error)
		return finish(fake, record, error);
	hva = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fake->region[index].fd,
		   (off_t)off);
	if (hva == MAP_FAILED)
		return finish(fake, record, -errno);
	fake->maps++;
	*ret_hva = hva;
	return finish(fake, record, 0);
}

static void op_region_unmap(struct vfio_backend *backend, void *hva, size_t len)
{
	struct fake_backend *fake = fake_of(backend);
	int error;
	struct fake_call *record =
		begin(fake, (struct fake_call) { .op = FAKE_REGION_UNMAP, .len = len }, &error);

	must(fake->maps && !munmap(hva, len), "unmap");
	fake->maps--;
	finish(fake, record, 0);
}

/* --- interrupts --- */

static int op_irq_count(struct vfio_backend *backend, unsigned int index)
{
	struct fake_backend *fake = fake_of(backend);
	int error;
	struct fake_call *record =
		begin(fake, (struct fake_call) { .op = FAKE_IRQ_COUNT, .index = index }, &error);

	if (!error)
		error = index < FAKE_IRQS ? fake->irq[index].count : -EINVAL;
	return finish(fake, record, error);
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
	struct fake_call call = { .op = FAKE_IRQ_SET_TRIGGERS, .index = index, .off = start,
		.len = count, .fd = count ? fds[0] : -1 };
	int error;
	struct fake_call *record = begin(fake, call, &error);

	if (!error && index >= FAKE_IRQS)
		error = -EINVAL;
	if (!error)
		error = set_triggers(fake, index, start, count, fds);
	return finish(fake, record, error);
}

static int op_irq_disable(struct vfio_backend *backend, unsigned int index)
{
	struct fake_backend *fake = fake_of(backend);
	int error;
	struct fake_call *record =
		begin(fake, (struct fake_call) { .op = FAKE_IRQ_DISABLE, .index = index }, &error);

	if (!error && (index >= FAKE_IRQS || !fake->irq[index].enabled))
		error = -EINVAL;
	if (!error) {
		fake->irq[index].enabled = 0;
		memset(fake->irq[index].trigger, 0xff, sizeof(fake->irq[index].trigger));
		if (index == VFIO_PCI_INTX_IRQ_INDEX)
			fake->unmask_fd = -1;
	}
	return finish(fake, record, error);
}

static int op_intx_set_unmask(struct vfio_backend *backend, int fd)
{
	struct fake_backend *fake = fake_of(backend);
	int error;
	struct fake_call *record =
		begin(fake, (struct fake_call) { .op = FAKE_INTX_SET_UNMASK, .fd = fd }, &error);

	if (!error && !fake->irq[VFIO_PCI_INTX_IRQ_INDEX].enabled)
		error = -EINVAL;
	if (!error)
		fake->unmask_fd = fd;
	return finish(fake, record, error);
}

static int op_intx_unmask(struct vfio_backend *backend)
{
	struct fake_backend *fake = fake_of(backend);
	int error;
	struct fake_call *record =
		begin(fake, (struct fake_call) { .op = FAKE_INTX_UNMASK }, &error);

	if (!error && !fake->irq[VFIO_PCI_INTX_IRQ_INDEX].enabled)
		error = -EINVAL;
	return finish(fake, record, error);
}

/* --- power and life --- */

static int op_low_power_probe(struct vfio_backend *backend, enum vfio_low_power feature)
{
	struct fake_backend *fake = fake_of(backend);
	int error;
	struct fake_call call = { .op = FAKE_LOW_POWER_PROBE, .index = feature };
	struct fake_call *record = begin(fake, call, &error);

	if (!error && !(fake->features & 1U << feature))
		error = -ENOTTY;
	return finish(fake, record, error);
}

static int enter(struct fake_backend *fake, enum vfio_low_power feature, int wakeup_fd)
{
	if (feature == VFIO_LOW_POWER_EXIT) {
		end_low_power(fake);
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
	int error;
	struct fake_call *record = begin(
		fake, (struct fake_call) { .op = ops[feature], .index = feature, .fd = wakeup_fd },
		&error);

	if (!error && !(fake->features & 1U << feature))
		error = -ENOTTY;
	if (!error)
		error = enter(fake, feature, wakeup_fd);
	return finish(fake, record, error);
}

static int op_reset(struct vfio_backend *backend)
{
	struct fake_backend *fake = fake_of(backend);
	int error;
	struct fake_call *record = begin(fake, (struct fake_call) { .op = FAKE_RESET }, &error);

	if (!error && !fake->can_reset)
		error = -ENOTTY;
	if (!error && fake->reset_revives)
		fake->dead = false;
	return finish(fake, record, error);
}

static int op_slot_reset(struct vfio_backend *backend)
{
	struct fake_backend *fake = fake_of(backend);
	int error;
	struct fake_call *record =
		begin(fake, (struct fake_call) { .op = FAKE_SLOT_RESET }, &error);

	if (!error && !fake->can_slot_reset)
		error = -ENOTTY;
	if (!error && fake->reset_revives)
		fake->dead = false;
	return finish(fake, record, error);
}

static bool op_can_slot_reset(struct vfio_backend *backend)
{
	struct fake_backend *fake = fake_of(backend);
	int error;
	struct fake_call *record =
		begin(fake, (struct fake_call) { .op = FAKE_CAN_SLOT_RESET }, &error);

	return finish(fake, record, !error && fake->can_slot_reset);
}

static int op_map_ram(struct vfio_backend *backend, const struct mem *mem, char *ret_why,
		      size_t why_size)
{
	struct fake_backend *fake = fake_of(backend);
	int error;
	struct fake_call *record = begin(fake, (struct fake_call) { .op = FAKE_MAP_RAM }, &error);

	(void)mem;
	if (error)
		snprintf(ret_why, why_size, "%s: no RAM", backend->name);
	return finish(fake, record, error);
}

static int op_observe(struct vfio_backend *backend, struct vfio_observation *ret_observation)
{
	struct fake_backend *fake = fake_of(backend);
	int error;
	struct fake_call *record = begin(fake, (struct fake_call) { .op = FAKE_OBSERVE }, &error);

	if (!error && !fake->tells)
		error = -ENOTSUP;
	if (!error)
		*ret_observation = fake->observation;
	return finish(fake, record, error);
}

static bool op_can_reset(struct vfio_backend *backend)
{
	struct fake_backend *fake = fake_of(backend);
	int error;
	struct fake_call *record = begin(fake, (struct fake_call) { .op = FAKE_CAN_RESET }, &error);

	return finish(fake, record, !error && fake->can_reset);
}

static void op_close(struct vfio_backend *backend)
{
	struct fake_backend *fake = fake_of(backend);
	int error;
	struct fake_call *record = begin(fake, (struct fake_call) { .op = FAKE_CLOSE }, &error);

	if (fake->maps)
		violate(fake, record);
	fake->closed = true;
	finish(fake, record, 0);
}

static const struct vfio_backend_ops fake_ops = {
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

/* --- the test's side --- */

struct fake_backend *fake_backend_create(const char *name)
{
	struct fake_backend *fake = calloc(1, sizeof(*fake));
	pthread_condattr_t attr;

	must(fake, "out of memory");
	fake->backend.ops = &fake_ops;
	snprintf(fake->backend.name, sizeof(fake->backend.name), "%s", name);
	pthread_mutex_init(&fake->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&fake->changed, &attr);
	pthread_condattr_destroy(&attr);

	le16_set(fake->cfg + PCI_VENDOR_ID, 0x1af4);
	le16_set(fake->cfg + PCI_DEVICE_ID, 0x10ff);
	memset(fake->cfg_rw, 0xff, sizeof(fake->cfg_rw));
	fake->region[VFIO_PCI_CONFIG_REGION_INDEX].info =
		(struct vfio_region) { .size = 256, .readable = true, .writable = true };
	for (unsigned int i = 0; i < FAKE_REGIONS; i++)
		fake->region[i].fd = -1;
	for (unsigned int i = 0; i < FAKE_IRQS; i++)
		memset(fake->irq[i].trigger, 0xff, sizeof(fake->irq[i].trigger));
	fake->features = 1U << VFIO_LOW_POWER_ENTRY | 1U << VFIO_LOW_POWER_ENTRY_WITH_WAKEUP |
			 1U << VFIO_LOW_POWER_EXIT;
	fake->can_reset = true;
	fake->wakeup_fd = -1;
	fake->unmask_fd = -1;
	return fake;
}

void fake_backend_add_region(struct fake_backend *fake, unsigned int index, uint64_t size,
			     uint32_t flags, bool mappable)
{
	struct fake_region *region = &fake->region[index];
	bool is_rom = index == VFIO_PCI_ROM_REGION_INDEX;

	must(region->fd < 0, "region declared twice");
	region->fd = memfd_create("fake-region", MFD_CLOEXEC);
	must(region->fd >= 0 && !ftruncate(region->fd, (off_t)size), "memfd");
	region->mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			   region->fd, 0);
	must(region->mem != MAP_FAILED, "mmap");
	region->info = (struct vfio_region) {
		.size = size, .readable = true, .writable = !is_rom, .areas = mappable,
		.area = { { 0, mappable ? size : 0 } },
	};
	if (!is_rom)
		le32_set(fake->cfg + PCI_BASE_ADDRESS_0 + 4 * index, flags);
}

/* The registers of the sample, as bytes; `off` 0 ends. */
static const struct {
	uint16_t off;
	uint8_t len;
	uint32_t value;
} gpu_cfg[] = {
	{ PCI_STATUS, 2, PCI_STATUS_CAP_LIST },
	{ PCI_CLASS_REVISION, 4, 0x030000a1 },
	{ PCI_SUBSYSTEM_VENDOR_ID, 4, 0x12341043 },
	{ PCI_CAPABILITY_LIST, 1, 0x40 },
	{ PCI_INTERRUPT_PIN, 1, 1 },
	/* power management: version 3, no PME (the kernel hides it), No_Soft_Reset */
	{ 0x40, 4, 0x00034801 },
	{ 0x44, 4, PCI_PM_CTRL_NO_SOFT_RESET },
	/* MSI: 4 vectors, 64-bit, maskable */
	{ 0x48, 4, 0x01846005 },
	/* PCI Express: version 2 endpoint, FLR, x16 at 8 GT/s */
	{ 0x60, 4, 0x0002a010 },
	{ 0x64, 4, PCI_EXP_DEVCAP_FLR | 1 },
	{ 0x68, 2, 0x2910 },
	{ 0x6c, 4, 0x00000d03 },
	{ 0x70, 4, 0x11030040 },
	{ 0x84, 4, 0x00000810 },
	{ 0x8c, 4, 0x0000000e },
	{ 0x90, 2, 3 },
	/* MSI-X: 8 vectors in BAR5 */
	{ 0xa0, 4, 0x002fb011 },
	{ 0xa4, 4, 0x1005 },
	{ 0xa8, 4, 0x2005 },
	/* vendor-specific, 16 bytes */
	{ 0xb0, 4, 0xab100009 },
	{ 0xb4, 4, 0xcafef00d },
	/* AER, Resizable BAR (one), LTR, SR-IOV */
	{ 0x100, 4, 0x15020001 },
	{ 0x150, 4, 0x18010015 },
	{ 0x154, 4, 0x000ff000 },
	{ 0x158, 4, 0x00000020 },
	{ 0x180, 4, 0x1a010018 },
	{ 0x184, 4, 0x10031003 },
	{ 0x1a0, 4, 0x00010010 },
	{ 0x1ac, 4, 0x00040004 },
};

struct fake_backend *fake_backend_create_gpu(const char *name, bool nvidia)
{
	struct fake_backend *fake = fake_backend_create(name);

	le16_set(fake->cfg + PCI_VENDOR_ID, nvidia ? 0x10de : 0x1002);
	le16_set(fake->cfg + PCI_DEVICE_ID, 0x1234);
	for (unsigned int i = 0; i < ARRAY_SIZE(gpu_cfg); i++)
		le_set(fake->cfg + gpu_cfg[i].off, gpu_cfg[i].len, gpu_cfg[i].value);
	fake->region[VFIO_PCI_CONFIG_REGION_INDEX].info.size = 4096;
	fake_backend_add_region(fake, 0, 64 * KIB, 0, true);
	fake_backend_add_region(fake, 2, 16 * MIB,
				PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH,
				true);
	fake_backend_add_region(fake, 4, 256, PCI_BASE_ADDRESS_SPACE_IO, false);
	fake_backend_add_region(fake, 5, 16 * KIB, 0, true);
	fake_backend_add_region(fake, VFIO_PCI_ROM_REGION_INDEX, 64 * KIB, 0, false);
	fake->irq[VFIO_PCI_INTX_IRQ_INDEX].count = 1;
	fake->irq[VFIO_PCI_MSI_IRQ_INDEX].count = 4;
	fake->irq[VFIO_PCI_MSIX_IRQ_INDEX].count = 48;
	return fake;
}

void fake_backend_destroy(struct fake_backend *fake)
{
	if (!fake)
		return;
	for (unsigned int i = 0; i < FAKE_REGIONS; i++) {
		if (fake->region[i].fd < 0)
			continue;
		munmap(fake->region[i].mem, fake->region[i].info.size);
		close(fake->region[i].fd);
	}
	pthread_cond_destroy(&fake->changed);
	pthread_mutex_destroy(&fake->lock);
	free(fake);
}

void fake_backend_fail(struct fake_backend *fake, enum fake_op op, int error, unsigned int skip,
		       unsigned int times)
{
	pthread_mutex_lock(&fake->lock);
	fake->error[op] = (struct fake_error) { error, skip, times };
	pthread_mutex_unlock(&fake->lock);
}

void fake_backend_block(struct fake_backend *fake, enum fake_op op, bool blocked)
{
	pthread_mutex_lock(&fake->lock);
	fake->blocked[op] = blocked;
	pthread_cond_broadcast(&fake->changed);
	pthread_mutex_unlock(&fake->lock);
}

bool fake_backend_wait(struct fake_backend *fake, enum fake_op op, unsigned int count)
{
	struct timespec until;
	int error = 0;
	bool reached;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WAIT_S;
	pthread_mutex_lock(&fake->lock);
	while (fake->count[op] < count && !error)
		error = pthread_cond_timedwait(&fake->changed, &fake->lock, &until);
	reached = fake->count[op] >= count;
	pthread_mutex_unlock(&fake->lock);
	return reached;
}

bool fake_backend_wake(struct fake_backend *fake)
{
	bool woke;

	pthread_mutex_lock(&fake->lock);
	woke = fake->engaged && fake->with_wakeup;
	if (woke)
		end_low_power(fake);
	pthread_mutex_unlock(&fake->lock);
	return woke;
}

bool fake_backend_fire(struct fake_backend *fake, unsigned int index, unsigned int vector)
{
	int fd = -1;

	pthread_mutex_lock(&fake->lock);
	if (vector < fake->irq[index].enabled)
		fd = fake->irq[index].trigger[vector];
	if (fd >= 0)
		signal_fd(fd);
	pthread_mutex_unlock(&fake->lock);
	return fd >= 0;
}

void fake_backend_forget(struct fake_backend *fake)
{
	pthread_mutex_lock(&fake->lock);
	fake->calls = 0;
	pthread_mutex_unlock(&fake->lock);
}

unsigned int fake_backend_find(struct fake_backend *fake, enum fake_op op, unsigned int from,
			       struct fake_call *ret_call)
{
	unsigned int found = 0;

	pthread_mutex_lock(&fake->lock);
	for (unsigned int i = from; i < fake->calls; i++) {
		if (fake->call[i].op != op)
			continue;
		found++;
		if (ret_call)
			*ret_call = fake->call[i];
	}
	pthread_mutex_unlock(&fake->lock);
	return found;
}
