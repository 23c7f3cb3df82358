/*
 * What the CPUs reach through the host bridge: the two ways into config space, and the windows with
 * the BARs in them.
 */
#include <linux/pci_regs.h>

#include "devices/pci_host_internal.h"
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

static const struct range io_ports = {PCI_IO_START, PCI_IO_SIZE};

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
	struct pci_dev *dev = is_valid_access(off, len) ? pci_host_find(host, bdf) : NULL;
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
	struct pci_dev *dev = is_valid_access(off, len) ? pci_host_find(host, bdf) : NULL;

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
		found = pci_host_hold_locked(dev);
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

/* --- what comes here --- */

int pci_host_claim_ranges(struct pci_host *host, struct bus *mmio, struct bus *port)
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
