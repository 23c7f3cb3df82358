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
#include <string.h>

#include "devices/pci_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/log.h"
#include "vmm/bus.h"

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
	struct range mmio32, mmio64; /* what of the CPUs' address space comes here */
	bool firmware;
	_Atomic uint32_t address;    /* register 0xcf8 */
	/* Protects the rest, and of every device bar[].{address,mapped}, forward, given, users. */
	pthread_mutex_t decode_lock;
	struct range ecam;           /* inside mmio32; empty: off */
	pthread_cond_t unused;       /* a device has no user any more */
	struct pci_dev *places[PCI_PLACES]; /* NULL: free */
	unsigned int end;            /* all from here on are free */
};

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
}

/* --- look-up --- */

/* Who has found a device holds it until pci_host_put(), so that it is not taken away meanwhile. */
static struct pci_dev *hold_locked(struct pci_dev *dev)
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
		dev = hold_locked(host->places[(*place)++]);
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

/* Held. */
static struct pci_dev *find_function(struct pci_host *host, uint16_t bdf)
{
	struct pci_dev *dev;

	pci_host_decode_lock(host);
	dev = hold_locked(find_function_locked(host, bdf));
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
	uint32_t value = len < DWORD_LEN ? (1U << (8 * len)) - 1 : UINT32_MAX;

	if (!dev)
		return value;
	value = pci_dev_cfg_read(dev, off, len);
	pci_host_put(dev);
	return value;
}

void pci_host_cfg_write(struct pci_host *host, uint16_t bdf, uint16_t off, unsigned int len,
			uint32_t value)
{
	struct pci_dev *dev = is_valid_access(off, len) ? find_function(host, bdf) : NULL;

	if (!dev)
		return;
	pci_dev_cfg_write(dev, off, len, value);
	pci_host_put(dev);
}

static void cfg_access(struct pci_host *host, uint16_t bdf, uint16_t off,
		       struct bus_access *access)
{
	if (access->is_write)
		pci_host_cfg_write(host, bdf, off, access->len, (uint32_t)access->value);
	else
		access->value = pci_host_cfg_read(host, bdf, off, access->len);
}

static void ecam_access(struct pci_host *host, uint64_t off, struct bus_access *access)
{
	uint64_t value = 0;

	/* PCIe 5.0, 7.2.2: a root complex need not take a request for more than a dword, but it
	 * may; it comes as several. */
	for (unsigned int done = 0; done < access->len; done += DWORD_LEN) {
		struct bus_access part = {
			.len = access->len < DWORD_LEN ? access->len : DWORD_LEN,
			.is_write = access->is_write,
			.value = access->value >> 8 * done,
		};

		cfg_access(host, (uint16_t)((off + done) >> ECAM_BDF_SHIFT),
			   (uint16_t)((off + done) % PCI_CFG_LEN), &part);
		value |= (part.value & ones(part.len)) << 8 * done;
	}
	if (!access->is_write)
		access->value = value;
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
		     : (range_contains(host->mmio32, start, size) &&
			!range_meets(pci_host_ecam(host), range)) ||
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

/* The BAR of `dev` that answers `len` bytes at `addr`; -1: none. */
static int find_bar_locked(const struct pci_dev *dev, bool io, uint64_t addr, unsigned int len)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(dev->bar); i++) {
		const struct pci_bar *bar = &dev->bar[i];
		bool bar_io = bar->flags & PCI_BASE_ADDRESS_SPACE_IO;

		if (bar->mapped && bar_io == io &&
		    range_contains((struct range){bar->address, bar->size}, addr, len))
			return (int)i;
	}
	return -1;
}

/* The device that answers, held, and which BAR; or NULL. Where several decode the address, the one
 * in the first place has it. */
static struct pci_dev *find_by_bar(struct pci_host *host, bool io, uint64_t addr, unsigned int len,
				   unsigned int *ret_bar)
{
	struct pci_dev *found = NULL;

	pci_host_decode_lock(host);
	for (unsigned int i = 0; i < host->end && !found; i++) {
		struct pci_dev *dev = host->places[i];
		int bar = dev ? find_bar_locked(dev, io, addr, len) : -1;

		if (bar < 0)
			continue;
		found = hold_locked(dev);
		*ret_bar = (unsigned int)bar;
	}
	pci_host_decode_unlock(host);
	return found;
}

static void window_access(struct pci_host *host, bool io, uint64_t addr,
			  struct bus_access *access)
{
	unsigned int bar;
	struct pci_dev *dev = find_by_bar(host, io, addr, access->len, &bar);

	if (!dev)
		return;
	pci_bar_access(dev, bar, addr, access);
	pci_host_put(dev);
}

static void mmio32_access(void *opaque, struct bus_access *access)
{
	struct pci_host *host = opaque;
	uint64_t addr = host->mmio32.start + access->off;
	struct range ecam = pci_host_ecam(host);

	if (range_contains(ecam, addr, access->len))
		ecam_access(host, addr - ecam.start, access);
	else
		window_access(host, false, addr, access);
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

/* --- set-up --- */

static int claim_ranges(struct pci_host *host, struct bus *mmio, struct bus *port)
{
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
		{port, {PORT_PCI_ADDRESS, DWORD_LEN}, &address_ops},
		{port, {PORT_PCI_DATA, DWORD_LEN}, &data_ops},
		{port, io_ports, &io_ops},
		{mmio, host->mmio32, &mmio32_ops},
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
	host->firmware = config->firmware;
	if (config->firmware) {
		host->mmio32 = (struct range){FIRMWARE_MMIO32_START, FIRMWARE_MMIO32_SIZE};
	} else {
		host->mmio32 = (struct range){MMIO32_START, IOAPIC_START - MMIO32_START};
		host->ecam = (struct range){ECAM_START, ECAM_SIZE};
	}
	pthread_mutex_init(&host->decode_lock, NULL);
	pthread_cond_init(&host->unused, NULL);
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
