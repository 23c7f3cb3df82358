/*
 * The host bridge: the two ways into config space, the windows through which the CPUs reach BARs,
 * and the look-up of functions by the bus numbers that the guest has given to the bridges.
 *
 * Everything below bus 0 hangs off a root port there; deeper bridges do not exist.
 */
#include <errno.h>
#include <linux/pci.h>
#include <linux/pci_regs.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "devices/pci_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/log.h"
#include "vmm/bus.h"

#define DEVICES_MAX 256U
#define DWORD_LEN 4U

/* Register 0xcf8. PCI 3.0, 3.2.2.3.2 Software Generation of Configuration Transactions. */
#define ADDRESS_ENABLE 0x80000000U
#define ADDRESS_RW 0x80fffffcU
#define ADDRESS_BDF_SHIFT 8
#define ADDRESS_REGISTER 0xfcU

/* PCIe 5.0, 7.2.2 PCI Express Enhanced Configuration Access Mechanism (ECAM). */
#define ECAM_BDF_SHIFT 12

struct pci_host {
	struct irq_chip *irq;
	struct range mmio64;
	struct pci_dev *devices[DEVICES_MAX]; /* these two do not change once a vCPU runs */
	unsigned int count;
	_Atomic uint32_t address;             /* register 0xcf8 */
	pthread_mutex_t decode_lock; /* every struct pci_bar.{address,mapped}, pci_dev.forward */
};

static const struct range mmio32 = {MMIO32_START, MMIO32_SIZE};
static const struct range io_ports = {PCI_IO_START, PCI_IO_SIZE};

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

/* --- look-up --- */

/* The device that is at `devfn` below `parent` (NULL: on bus 0). */
static struct pci_dev *find_at(struct pci_host *host, const struct pci_dev *parent, uint8_t devfn)
{
	for (unsigned int i = 0; i < host->count; i++) {
		if (host->devices[i]->parent == parent && host->devices[i]->devfn == devfn)
			return host->devices[i];
	}
	return NULL;
}

/* The bridge that takes config requests for `bus`. Where two claim it, the first one has it. */
static struct pci_dev *find_bridge_locked(struct pci_host *host, uint8_t bus)
{
	for (unsigned int i = 0; i < host->count; i++) {
		struct pci_dev *dev = host->devices[i];

		if (!dev->parent && pci_dev_is_bridge(dev) && bus >= dev->forward.secondary &&
		    bus <= dev->forward.subordinate)
			return dev;
	}
	return NULL;
}

static struct pci_dev *find_function(struct pci_host *host, uint16_t bdf)
{
	uint8_t bus = (uint8_t)(bdf >> 8);
	struct pci_dev *bridge, *dev = NULL;

	if (!bus)
		return find_at(host, NULL, (uint8_t)bdf);
	pci_host_decode_lock(host);
	bridge = find_bridge_locked(host, bus);
	if (bridge && bridge->forward.secondary == bus && !bridge->forward.held_in_reset)
		dev = find_at(host, bridge, (uint8_t)bdf);
	pci_host_decode_unlock(host);
	return dev;
}

uint16_t pci_host_bdf(struct pci_dev *dev)
{
	uint16_t bus = 0;

	if (dev->parent) {
		pci_host_decode_lock(dev->host);
		bus = dev->parent->forward.secondary;
		pci_host_decode_unlock(dev->host);
	}
	return (uint16_t)(bus << 8 | dev->devfn);
}

/* --- config space --- */

static bool is_valid_access(uint16_t off, unsigned int len)
{
	bool valid = (len == 1 || len == 2 || len == 4) && off % DWORD_LEN + len <= DWORD_LEN &&
		     range_fits(PCI_CFG_LEN, off, len);

	if (!valid)
		log_guest("pci: config access of %u bytes at 0x%x, ignoring", len, off);
	return valid;
}

uint32_t pci_host_cfg_read(struct pci_host *host, uint16_t bdf, uint16_t off, unsigned int len)
{
	struct pci_dev *dev = is_valid_access(off, len) ? find_function(host, bdf) : NULL;

	if (!dev)
		return len < DWORD_LEN ? (1U << (8 * len)) - 1 : UINT32_MAX;
	return pci_dev_cfg_read(dev, off, len);
}

void pci_host_cfg_write(struct pci_host *host, uint16_t bdf, uint16_t off, unsigned int len,
			uint32_t value)
{
	struct pci_dev *dev = is_valid_access(off, len) ? find_function(host, bdf) : NULL;

	if (dev)
		pci_dev_cfg_write(dev, off, len, value);
}

static void cfg_access(struct pci_host *host, uint16_t bdf, uint16_t off,
		       struct bus_access *access)
{
	if (access->is_write)
		pci_host_cfg_write(host, bdf, off, access->len, (uint32_t)access->value);
	else
		access->value = pci_host_cfg_read(host, bdf, off, access->len);
}

static void ecam_access(void *opaque, struct bus_access *access)
{
	cfg_access(opaque, (uint16_t)(access->off >> ECAM_BDF_SHIFT),
		   (uint16_t)(access->off % PCI_CFG_LEN), access);
}

static void address_access(void *opaque, struct bus_access *access)
{
	struct pci_host *host = opaque;

	if (access->is_write)
		host->address = (uint32_t)access->value & ADDRESS_RW;
	else
		access->value = host->address;
}

static void data_access(void *opaque, struct bus_access *access)
{
	struct pci_host *host = opaque;
	uint32_t address = host->address;

	if (address & ADDRESS_ENABLE)
		cfg_access(host, (uint16_t)(address >> ADDRESS_BDF_SHIFT),
			   (uint16_t)((address & ADDRESS_REGISTER) + access->off), access);
}

/* --- windows --- */

bool pci_host_reaches(const struct pci_dev *dev, bool io, struct range range)
{
	const struct pci_dev *bridge = dev->parent;
	struct pci_host *host = dev->host;
	uint64_t start = range.start, size = range.size;
	bool reached;

	reached = io ? range_contains(io_ports, start, size)
		     : range_contains(mmio32, start, size) ||
			       range_contains(host->mmio64, start, size);
	if (!reached || !bridge)
		return reached;
	pci_host_decode_lock(host);
	reached = io ? range_contains(bridge->forward.io, start, size)
		     : range_contains(bridge->forward.mem, start, size) ||
			       range_contains(bridge->forward.prefetch, start, size);
	pci_host_decode_unlock(host);
	return reached;
}

/* The BAR that answers `len` bytes at `addr`: its device and index, or NULL. Where several BARs
 * decode the address, the first in order of addition has it. */
static struct pci_dev *find_bar(struct pci_host *host, bool io, uint64_t addr, unsigned int len,
				unsigned int *ret_bar)
{
	struct pci_dev *found = NULL;

	pci_host_decode_lock(host);
	for (unsigned int i = 0; i < host->count * (PCI_BAR_COUNT + 1) && !found; i++) {
		struct pci_dev *dev = host->devices[i / (PCI_BAR_COUNT + 1)];
		const struct pci_bar *bar = &dev->bar[i % (PCI_BAR_COUNT + 1)];
		bool bar_io = bar->flags & PCI_BASE_ADDRESS_SPACE_IO;

		if (!bar->mapped || bar_io != io ||
		    !range_contains((struct range){bar->address, bar->size}, addr, len))
			continue;
		found = dev;
		*ret_bar = i % (PCI_BAR_COUNT + 1);
	}
	pci_host_decode_unlock(host);
	return found;
}

static void window_access(struct pci_host *host, bool io, uint64_t addr,
			  struct bus_access *access)
{
	unsigned int bar;
	struct pci_dev *dev = find_bar(host, io, addr, access->len, &bar);

	if (dev)
		pci_bar_access(dev, bar, addr, access);
}

static void mmio32_access(void *opaque, struct bus_access *access)
{
	window_access(opaque, false, mmio32.start + access->off, access);
}

static void mmio64_access(void *opaque, struct bus_access *access)
{
	struct pci_host *host = opaque;

	window_access(host, false, host->mmio64.start + access->off, access);
}

static void io_access(void *opaque, struct bus_access *access)
{
	window_access(opaque, true, io_ports.start + access->off, access);
}

/* --- what a write to a bridge changes below it --- */

static void for_each_below(struct pci_dev *bridge, void (*fn)(struct pci_dev *dev))
{
	struct pci_host *host = bridge->host;

	for (unsigned int i = 0; i < host->count; i++) {
		if (host->devices[i]->parent == bridge)
			fn(host->devices[i]);
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

/* --- set-up --- */

static int claim_ranges(struct pci_host *host, struct bus *mmio, struct bus *port)
{
	static const struct bus_ops ecam_ops = {1 | 2 | 4, ecam_access};
	static const struct bus_ops address_ops = {4, address_access};
	static const struct bus_ops data_ops = {1 | 2 | 4, data_access};
	static const struct bus_ops io_ops = {1 | 2 | 4, io_access};
	static const struct bus_ops mmio32_ops = {1 | 2 | 4 | 8, mmio32_access};
	static const struct bus_ops mmio64_ops = {1 | 2 | 4 | 8, mmio64_access};
	const struct {
		struct bus *bus;
		struct range range;
		const struct bus_ops *ops;
	} claims[] = {
		{mmio, {ECAM_START, ECAM_SIZE}, &ecam_ops},
		{port, {PORT_PCI_ADDRESS, DWORD_LEN}, &address_ops},
		{port, {PORT_PCI_DATA, DWORD_LEN}, &data_ops},
		{port, io_ports, &io_ops},
		{mmio, mmio32, &mmio32_ops},
		{mmio, host->mmio64, &mmio64_ops},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(claims); i++) {
		int error = 0;

		if (claims[i].range.size)
			error = bus_add(claims[i].bus, claims[i].range, claims[i].ops, host);
		if (error)
			return error;
	}
	return 0;
}

struct pci_host *pci_host_create(const struct pci_host_config *config)
{
	struct pci_host *host = calloc(1, sizeof(*host));

	if (!host)
		return NULL;
	host->irq = config->irq;
	host->mmio64 = config->mmio64;
	pthread_mutex_init(&host->decode_lock, NULL);
	if (claim_ranges(host, config->mmio, config->port)) {
		pci_host_destroy(host);
		return NULL;
	}
	return host;
}

void pci_host_destroy(struct pci_host *host)
{
	if (!host)
		return;
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

int pci_host_add(struct pci_host *host, struct pci_dev *dev, struct pci_dev *parent, uint8_t devfn)
{
	if (find_at(host, parent, devfn))
		return -EEXIST;
	if (host->count == DEVICES_MAX)
		return -ENOSPC;
	dev->host = host;
	dev->parent = parent;
	dev->devfn = devfn;
	dev->intx.gsi = intx_gsi(dev);
	for (unsigned int i = 0; i < PCI_CFG_LEN; i++)
		dev->reset_image[i] = dev->cfg.value[i];
	host->devices[host->count++] = dev;
	return 0;
}

struct pci_dev *pci_host_get(struct pci_host *host, unsigned int index)
{
	return index < host->count ? host->devices[index] : NULL;
}
