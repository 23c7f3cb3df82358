/*
 * The host bridge: which devices there are, and the look-up of functions by the bus numbers that
 * the guest has given to the bridges.
 *
 * Everything below bus 0 hangs off a root port there; deeper bridges do not exist.
 */
#include <errno.h>
#include <linux/pci.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "devices/pci_host_internal.h"
#include "vmm/base/log.h"

void pci_host_decode_lock(struct pci_host *host)
{
	pthread_mutex_lock(&host->decode_lock);
}

void pci_host_decode_unlock(struct pci_host *host)
{
	pthread_mutex_unlock(&host->decode_lock);
}

struct irq_chip *pci_host_irq(const struct pci_host *host)
{
	return host->irq;
}

struct range pci_host_mmio64(const struct pci_host *host)
{
	return host->mmio64;
}

bool pci_host_has_firmware(const struct pci_host *host)
{
	return host->firmware;
}

struct range pci_host_ecam(struct pci_host *host)
{
	struct range ecam;

	pci_host_decode_lock(host);
	ecam = host->ecam;
	pci_host_decode_unlock(host);
	return ecam;
}

void pci_host_set_ecam(struct pci_host *host, struct range ecam)
{
	if (ecam.size && !range_contains(host->mmio32, ecam.start, ecam.size)) {
		log_guest("pci: ECAM at 0x%llx would not be reached, switching it off",
			  (unsigned long long)ecam.start);
		ecam.size = 0;
	}
	pci_host_decode_lock(host);
	host->ecam = ecam;
	pci_host_decode_unlock(host);
	host->ecam_moved = true;
}

/* --- look-up --- */

struct pci_dev *pci_host_hold_locked(struct pci_dev *dev)
{
	if (dev)
		dev->users++;
	return dev;
}

void pci_host_put(struct pci_dev *dev)
{
	struct pci_host *host = dev->host;

	pci_host_decode_lock(host);
	if (!--dev->users)
		pthread_cond_broadcast(&host->unused);
	pci_host_decode_unlock(host);
}

struct pci_dev *pci_host_next(struct pci_host *host, unsigned int *place)
{
	struct pci_dev *dev = NULL;

	pci_host_decode_lock(host);
	while (!dev && *place < host->end)
		dev = pci_host_hold_locked(host->places[(*place)++]);
	pci_host_decode_unlock(host);
	return dev;
}

/* The device that is at `devfn` below `parent` (NULL: on bus 0). */
static struct pci_dev *find_at_locked(struct pci_host *host, const struct pci_dev *parent,
				      uint8_t devfn)
{
	for (unsigned int i = 0; i < host->end; i++) {
		struct pci_dev *dev = host->places[i];

		if (dev && dev->parent == parent && dev->devfn == devfn)
			return dev;
	}
	return NULL;
}

/* The bridge that takes config requests for `bus`. Where two claim it, the first one has it. */
static struct pci_dev *find_bridge_locked(struct pci_host *host, uint8_t bus)
{
	for (unsigned int i = 0; i < host->end; i++) {
		struct pci_dev *dev = host->places[i];

		if (dev && !dev->parent && pci_dev_is_bridge(dev) &&
		    bus >= dev->forward.secondary && bus <= dev->forward.subordinate)
			return dev;
	}
	return NULL;
}

static struct pci_dev *find_function_locked(struct pci_host *host, uint16_t bdf)
{
	uint8_t bus = (uint8_t)(bdf >> 8);
	struct pci_dev *bridge;

	if (!bus)
		return find_at_locked(host, NULL, (uint8_t)bdf);
	bridge = find_bridge_locked(host, bus);
	if (!bridge || bridge->forward.secondary != bus || bridge->forward.held_in_reset)
		return NULL;
	return find_at_locked(host, bridge, (uint8_t)bdf);
}

struct pci_dev *pci_host_find(struct pci_host *host, uint16_t bdf)
{
	struct pci_dev *dev;

	pci_host_decode_lock(host);
	dev = pci_host_hold_locked(find_function_locked(host, bdf));
	pci_host_decode_unlock(host);
	return dev;
}

uint8_t pci_bridge_secondary(struct pci_dev *bridge)
{
	uint8_t bus;

	pci_host_decode_lock(bridge->host);
	bus = bridge->forward.secondary;
	pci_host_decode_unlock(bridge->host);
	return bus;
}

uint16_t pci_host_bdf(struct pci_dev *dev)
{
	uint16_t bus = dev->parent ? pci_bridge_secondary(dev->parent) : 0;

	return (uint16_t)(bus << 8 | dev->devfn);
}

/* --- what a write to a bridge changes below it --- */

static void for_each_below(struct pci_dev *bridge, void (*fn)(struct pci_dev *dev))
{
	unsigned int place = 0;
	struct pci_dev *dev;

	while ((dev = pci_host_next(bridge->host, &place))) {
		if (dev->parent == bridge)
			fn(dev);
		pci_host_put(dev);
	}
}

static void update_mappings(struct pci_dev *dev)
{
	pthread_mutex_lock(&dev->lock);
	pci_dev_update_mappings_locked(dev);
	pthread_mutex_unlock(&dev->lock);
}

void pci_host_reset_below(struct pci_dev *bridge)
{
	for_each_below(bridge, pci_dev_reset_from_above);
}

void pci_host_update_below(struct pci_dev *bridge)
{
	for_each_below(bridge, update_mappings);
}

/* Q35 MCH, 5.1 DRAM Controller Registers (D0:F0), PCIEXBAR: the bridge itself answers there, and
 * nothing of that goes to who is behind it. */
void pci_host_update_moved(struct pci_host *host)
{
	unsigned int place = 0;
	struct pci_dev *dev;

	if (!atomic_exchange(&host->ecam_moved, false))
		return;
	while ((dev = pci_host_next(host, &place))) {
		update_mappings(dev);
		pci_host_put(dev);
	}
}

/* --- set-up --- */

struct pci_host *pci_host_create(const struct pci_host_config *config)
{
	struct pci_host *host = calloc(1, sizeof(*host));

	if (!host)
		return NULL;
	host->irq = config->irq;
	host->mmio64 = config->mmio64;
	host->firmware = config->firmware;
	if (config->firmware) {
		host->mmio32 = (struct range){FIRMWARE_MMIO32_START, FIRMWARE_MMIO32_SIZE};
	} else {
		host->mmio32 = (struct range){MMIO32_START, IOAPIC_START - MMIO32_START};
		host->ecam = (struct range){ECAM_START, ECAM_SIZE};
	}
	pthread_mutex_init(&host->decode_lock, NULL);
	pthread_cond_init(&host->unused, NULL);
	if (pci_host_claim_ranges(host, config->mmio, config->port)) {
		pci_host_destroy(host);
		return NULL;
	}
	return host;
}

void pci_host_destroy(struct pci_host *host)
{
	if (!host)
		return;
	pthread_cond_destroy(&host->unused);
	pthread_mutex_destroy(&host->decode_lock);
	free(host);
}

/* PCIe 5.0, 2.2.8.1 INTx Interrupt Signaling - Rules: each bridge swizzles the pins of the
 * devices below it by their device number. */
static uint32_t intx_gsi(const struct pci_dev *dev)
{
	unsigned int pin = dev->cfg.value[PCI_INTERRUPT_PIN];

	if (pin < 1 || pin > 4)
		return 0;
	if (!dev->parent)
		return layout_pci_gsi(PCI_SLOT(dev->devfn), pin);
	pin = (pin - 1 + PCI_SLOT(dev->devfn)) % 4 + 1;
	return layout_pci_gsi(PCI_SLOT(dev->parent->devfn), pin);
}

static int add_locked(struct pci_host *host, struct pci_dev *dev)
{
	unsigned int place = 0;

	if (find_at_locked(host, dev->parent, dev->devfn))
		return -EEXIST;
	while (place < host->end && host->places[place])
		place++;
	if (place == PCI_PLACES)
		return -ENOSPC;
	host->places[place] = dev;
	if (place == host->end)
		host->end++;
	return 0;
}

int pci_host_add(struct pci_host *host, struct pci_dev *dev, struct pci_dev *parent, uint8_t devfn)
{
	int error;

	dev->host = host;
	dev->parent = parent;
	dev->devfn = devfn;
	dev->intx.gsi = intx_gsi(dev);
	memcpy(dev->reset_image, dev->cfg.value, sizeof(dev->reset_image));
	pci_host_decode_lock(host);
	error = add_locked(host, dev);
	pci_host_decode_unlock(host);
	if (error)
		dev->host = NULL;
	return error;
}

void pci_host_remove(struct pci_dev *dev)
{
	struct pci_host *host = dev->host;

	pci_host_decode_lock(host);
	for (unsigned int i = 0; i < host->end; i++)
		if (host->places[i] == dev)
			host->places[i] = NULL;
	while (dev->users)
		pthread_cond_wait(&host->unused, &host->decode_lock);
	pci_host_decode_unlock(host);
}
