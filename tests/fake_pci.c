#include "tests/fake_pci.h"

#include <linux/pci_regs.h>

#include "devices/root_port.h"
#include "tests/fake_irq.h"
#include "tests/fake_must.h"
#include "vmm/base/bits.h"
#include "vmm/bus.h"

void fake_pci_start(struct fake_pci *pci)
{
	struct pci_host_config config;

	pci->mmio = bus_create("mmio");
	pci->port = bus_create("port");
	pci->irq = fake_irq_create();
	config = (struct pci_host_config){
		.mmio = pci->mmio, .port = pci->port, .irq = pci->irq,
		.mmio64 = {FAKE_PCI_MMIO64_START, FAKE_PCI_MMIO64_SIZE}};
	pci->host = pci_host_create(&config);
	must(pci->host, "out of memory");
}

void fake_pci_stop(struct fake_pci *pci)
{
	pci_host_destroy(pci->host);
	fake_irq_destroy(pci->irq);
	bus_destroy(pci->port);
	bus_destroy(pci->mmio);
}

struct root_port *fake_pci_add_port(struct fake_pci *pci, uint8_t devfn)
{
	const struct root_port_config config = {.slot_number = devfn >> 3, .link_speed = 3,
						.link_width = 16};
	struct root_port *port = root_port_create(&config);

	must(port && !pci_host_add(pci->host, root_port_pci(port), NULL, devfn), "a root port");
	return port;
}

static uint64_t access_bus(struct bus *bus, uint64_t addr, unsigned int len, bool is_write,
			   uint64_t value)
{
	struct bus_access access = {.len = len, .is_write = is_write, .value = value};

	bus_access(bus, addr, &access);
	return access.value & ones(len);
}

uint64_t fake_pci_read(struct fake_pci *pci, uint64_t gpa, unsigned int len)
{
	return access_bus(pci->mmio, gpa, len, false, ones(len));
}

void fake_pci_write(struct fake_pci *pci, uint64_t gpa, unsigned int len, uint64_t value)
{
	access_bus(pci->mmio, gpa, len, true, value);
}

uint32_t fake_pci_in(struct fake_pci *pci, uint16_t port, unsigned int len)
{
	return (uint32_t)access_bus(pci->port, port, len, false, ones(len));
}

void fake_pci_out(struct fake_pci *pci, uint16_t port, unsigned int len, uint32_t value)
{
	access_bus(pci->port, port, len, true, value);
}

/* --- the recording function --- */

static void record(struct pci_dev *dev, struct fake_pci_call call)
{
	struct fake_pci_dev *fake = container_of(dev, struct fake_pci_dev, dev);

	must(fake->calls < FAKE_PCI_CALLS, "more calls than are recorded");
	fake->call[fake->calls++] = call;
}

static void fake_cfg_read(struct pci_dev *dev, uint16_t off, unsigned int len, uint32_t *value)
{
	if (container_of(dev, struct fake_pci_dev, dev)->watch_reads)
		record(dev, (struct fake_pci_call){FAKE_CFG_READ, 0, off, len, *value});
}

static void fake_cfg_changed(struct pci_dev *dev, uint16_t off, unsigned int len, uint32_t value)
{
	record(dev, (struct fake_pci_call){FAKE_CFG_CHANGED, 0, off, len, value});
}

static void fake_bar_read(struct pci_dev *dev, unsigned int bar, uint64_t off, unsigned int len,
			  uint64_t *value)
{
	*value = container_of(dev, struct fake_pci_dev, dev)->bar_value & ones(len);
	record(dev, (struct fake_pci_call){FAKE_BAR_READ, bar, off, len, *value});
}

static void fake_bar_write(struct pci_dev *dev, unsigned int bar, uint64_t off, unsigned int len,
			   uint64_t value)
{
	record(dev, (struct fake_pci_call){FAKE_BAR_WRITE, bar, off, len, value});
}

static void fake_bar_mapped(struct pci_dev *dev, unsigned int bar, uint64_t address, bool on)
{
	record(dev, (struct fake_pci_call){on ? FAKE_MAPPED : FAKE_UNMAPPED, bar, address, 0, 0});
}

static void fake_reset(struct pci_dev *dev)
{
	record(dev, (struct fake_pci_call){.type = FAKE_DEV_RESET});
}

static const struct pci_dev_ops fake_ops = {
	.name = "fake",
	.cfg_read = fake_cfg_read,
	.cfg_changed = fake_cfg_changed,
	.bar_read = fake_bar_read,
	.bar_write = fake_bar_write,
	.bar_mapped = fake_bar_mapped,
	.reset = fake_reset,
};

void fake_pci_dev_init(struct fake_pci_dev *fake)
{
	*fake = (struct fake_pci_dev){.bar_value = 0x1122334455667788};
	pci_dev_init(&fake->dev, &fake_ops, 0x1234, 0x5678, 0x030000, PCI_HEADER_TYPE_NORMAL);
	pci_dev_add_pm(&fake->dev, 0x40, PCI_PM_CAP_PME_D3hot | PCI_PM_CAP_PME_D3cold, true);
}

unsigned int fake_pci_dev_count(const struct fake_pci_dev *fake, enum fake_pci_call_type type)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < fake->calls; i++)
		count += fake->call[i].type == type;
	return count;
}

void fake_pci_dev_forget(struct fake_pci_dev *fake)
{
	fake->calls = 0;
}
