/* What the fake device has: regions, interrupts, and the registers of a GPU. */
#include "tests/fake_backend.h"

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

struct fake_backend *fake_backend_create(const char *name)
{
	struct fake_backend *fake = calloc(1, sizeof(*fake));
	pthread_condattr_t attr;

	must(fake, "out of memory");
	fake->backend.ops = &fake_backend_ops;
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
		(struct vfio_region){ .size = 256, .readable = true, .writable = true };
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
	region->info = (struct vfio_region){
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
