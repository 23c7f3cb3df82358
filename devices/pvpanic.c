#include "devices/pvpanic.h"

#include <linux/pci.h>
#include <linux/pci_regs.h>
#include <misc/pvpanic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/pci.h"
#include "vmm/base/bits.h"

/* QEMU, docs/specs/pvpanic.rst and docs/specs/pci-ids.rst. */
#define VENDOR_REDHAT 0x1b36
#define DEVICE_PVPANIC 0x0011
#define CLASS_SYSTEM_OTHER 0x088000
#define BAR_SIZE 16 /* the smallest; its first byte is the register */
#define EVENTS (PVPANIC_PANICKED | PVPANIC_CRASH_LOADED)

struct pvpanic {
	struct pci_dev dev;
	int fd;
	uint8_t told, fresh; /* since the reset; of them, not taken yet. Under dev.lock */
};

static struct pvpanic *to_pvpanic(struct pci_dev *dev)
{
	return container_of(dev, struct pvpanic, dev);
}

static void bar_read(struct pci_dev *dev, unsigned int bar, uint64_t off, unsigned int len,
		     uint64_t *value)
{
	(void)dev;
	(void)bar;
	(void)len;
	*value = off ? 0 : EVENTS; /* what a guest may say */
}

static void bar_write(struct pci_dev *dev, unsigned int bar, uint64_t off, unsigned int len,
		      uint64_t value)
{
	struct pvpanic *pvpanic = to_pvpanic(dev);
	uint8_t fresh = off ? 0 : value & EVENTS & ~pvpanic->told;
	uint64_t one = 1;

	(void)bar;
	(void)len;
	pvpanic->told |= fresh;
	pvpanic->fresh |= fresh;
	/* It is read seldom enough never to be full. */
	if (fresh)
		(void)!write(pvpanic->fd, &one, sizeof(one));
}

static void reset(struct pci_dev *dev)
{
	to_pvpanic(dev)->told = 0;
}

static const struct pci_dev_ops ops = {
	.name = "pvpanic", .bar_read = bar_read, .bar_write = bar_write, .reset = reset};

struct pvpanic *pvpanic_create(struct pci_host *host)
{
	struct pvpanic *pvpanic = calloc(1, sizeof(*pvpanic));

	if (!pvpanic)
		return NULL;
	pci_dev_init(&pvpanic->dev, &ops, VENDOR_REDHAT, DEVICE_PVPANIC, CLASS_SYSTEM_OTHER,
		     PCI_HEADER_TYPE_NORMAL);
	pci_dev_set_bar(&pvpanic->dev, 0, BAR_SIZE, PCI_BASE_ADDRESS_SPACE_MEMORY);
	pvpanic->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pvpanic->fd < 0 ||
	    pci_host_add(host, &pvpanic->dev, NULL, PCI_DEVFN(PVPANIC_SLOT, 0))) {
		pvpanic_destroy(pvpanic);
		return NULL;
	}
	return pvpanic;
}

void pvpanic_destroy(struct pvpanic *pvpanic)
{
	if (!pvpanic)
		return;
	pci_dev_finish(&pvpanic->dev);
	if (pvpanic->fd >= 0)
		close(pvpanic->fd);
	free(pvpanic);
}

void pvpanic_reset(struct pvpanic *pvpanic)
{
	pci_dev_reset(&pvpanic->dev);
}

int pvpanic_fd(const struct pvpanic *pvpanic)
{
	return pvpanic->fd;
}

unsigned int pvpanic_take(struct pvpanic *pvpanic)
{
	uint64_t count;
	unsigned int fresh;

	if (read(pvpanic->fd, &count, sizeof(count)) != sizeof(count))
		return 0;
	pthread_mutex_lock(&pvpanic->dev.lock);
	fresh = pvpanic->fresh;
	pvpanic->fresh = 0;
	pthread_mutex_unlock(&pvpanic->dev.lock);
	return fresh;
}
