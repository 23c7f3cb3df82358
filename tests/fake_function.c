#include "tests/fake_function.h"

#include <linux/pci_regs.h>
#include <stdlib.h>

#include "devices/pci.h"
#include "devices/root_port.h"
#include "tests/fake_irq.h"
#include "tests/fake_must.h"
#include "vfio/function.h"
#include "vmm/base/bits.h"
#include "vmm/bus.h"

#define RAM_SIZE (64 * MIB)
#define PORT_DEVFN 0x08
#define MMIO64_START 0x4000000000ULL
#define MMIO64_SIZE 0x4000000000ULL
#define MSIX_BAR 5
#define MSIX_TABLE 0x1000

static void on_host_error(void *opaque, unsigned int fn, int error)
{
	struct fake_function *fake = opaque;

	(void)fn;
	fake->host_errors++;
	fake->host_error = error;
}

static void on_pme_cleared(void *opaque, unsigned int fn)
{
	struct fake_function *fake = opaque;

	(void)fn;
	fake->pme_cleared++;
}

static void start_pci(struct fake_function *fake)
{
	const struct root_port_config port = {.slot_number = 1, .link_speed = 3, .link_width = 16};
	struct pci_host_config config;

	fake->irq = fake_irq_create();
	fake->mmio = bus_create("mmio");
	fake->ports = bus_create("port");
	config = (struct pci_host_config){
		.mmio = fake->mmio,
		.port = fake->ports,
		.irq = fake->irq,
		.mmio64 = {MMIO64_START, MMIO64_SIZE},
	};
	fake->host = pci_host_create(&config);
	must(fake->host, "pci_host_create");
	fake->port = root_port_create(&port);
	must(fake->port && !pci_host_add(fake->host, root_port_pci(fake->port), NULL, PORT_DEVFN),
	     "root port");
}

void fake_function_prepare(struct fake_function *fake, struct fake_backend *device)
{
	struct vfio_function_listener listener = {fake, on_host_error, on_pme_cleared};
	char why[256] = "";

	*fake = (struct fake_function){.device = device};
	fake->mem = fake_mem_create(RAM_SIZE);
	start_pci(fake);
	must(!vfio_function_create(&device->backend, 0, false, &listener, &fake->function, why,
				   sizeof(why)), why);
}

void fake_function_plug(struct fake_function *fake)
{
	struct pci_dev *port = root_port_pci(fake->port);
	char why[256] = "";

	must(!vfio_function_plug(fake->function, fake->mem, fake->irq, fake->host, port,
				 why, sizeof(why)), why);
	must(!pci_host_assign(fake->host), "pci_host_assign");
	fake->bdf = (uint16_t)(pci_cfg_read(&port->cfg, PCI_SECONDARY_BUS, 1) << 8);
	fake_backend_forget(fake->device);
}

void fake_function_start(struct fake_function *fake, struct fake_backend *device)
{
	fake_function_prepare(fake, device);
	fake_function_plug(fake);
}

void fake_function_stop(struct fake_function *fake)
{
	vfio_function_destroy(fake->function);
	must(fake->device->closed, "the back end is not closed");
	must(!fake->device->maps, "a region is still mapped");
	root_port_destroy(fake->port);
	pci_host_destroy(fake->host);
	bus_destroy(fake->mmio);
	bus_destroy(fake->ports);
	fake_irq_destroy(fake->irq);
	fake_mem_destroy(fake->mem);
	fake_backend_destroy(fake->device);
}

int fake_function_setup(void **state)
{
	struct fake_function *fake = calloc(1, sizeof(*fake));

	must(fake, "out of memory");
	fake_function_start(fake, fake_backend_create_gpu("0000:01:00.0", false));
	*state = fake;
	return 0;
}

int fake_function_setup_enabled(void **state)
{
	struct fake_function *fake;

	fake_function_setup(state);
	fake = *state;
	fake_function_enable(fake, 0);
	fake_backend_forget(fake->device);
	return 0;
}

int fake_function_teardown(void **state)
{
	fake_function_stop(*state);
	free(*state);
	return 0;
}

uint32_t fake_function_read(struct fake_function *fake, uint16_t off, unsigned int len)
{
	return pci_host_cfg_read(fake->host, fake->bdf, off, len);
}

void fake_function_write(struct fake_function *fake, uint16_t off, unsigned int len,
			 uint32_t value)
{
	pci_host_cfg_write(fake->host, fake->bdf, off, len, value);
}

void fake_function_enable(struct fake_function *fake, uint16_t more)
{
	fake_function_write(fake, PCI_COMMAND, 2,
			    PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | more);
}

uint64_t fake_function_at(struct fake_function *fake, unsigned int bar, uint64_t off)
{
	const struct pci_cfg *cfg = &vfio_function_pci(fake->function)->cfg;
	uint16_t reg = (uint16_t)(PCI_BASE_ADDRESS_0 + 4 * bar);
	uint64_t address;

	if (bar == PCI_BAR_ROM)
		return (pci_cfg_read(cfg, PCI_ROM_ADDRESS, 4) & ~1U) + off;
	address = pci_cfg_read(cfg, reg, 4);
	if (address & PCI_BASE_ADDRESS_SPACE_IO)
		return (address & ~3ULL) + off;
	if (address & PCI_BASE_ADDRESS_MEM_TYPE_64)
		address |= (uint64_t)pci_cfg_read(cfg, reg + 4, 4) << 32;
	return (address & ~15ULL) + off;
}

uint64_t fake_function_mmio_read(struct fake_function *fake, uint64_t gpa, unsigned int len)
{
	struct bus_access access = {.len = len, .value = ones(len)};

	bus_access(fake->mmio, gpa, &access);
	return access.value & ones(len);
}

void fake_function_mmio_write(struct fake_function *fake, uint64_t gpa, unsigned int len,
			      uint64_t value)
{
	struct bus_access access = {.len = len, .is_write = true, .value = value};

	bus_access(fake->mmio, gpa, &access);
}

void fake_function_set_vector(struct fake_function *fake, unsigned int vector, uint64_t address,
			      uint32_t data, bool masked)
{
	uint64_t entry = fake_function_at(fake, MSIX_BAR, MSIX_TABLE + 16 * vector);

	fake_function_mmio_write(fake, entry, 4, (uint32_t)address);
	fake_function_mmio_write(fake, entry + 4, 4, address >> 32);
	fake_function_mmio_write(fake, entry + 8, 4, data);
	fake_function_mmio_write(fake, entry + 12, 4, masked);
}

int fake_function_trigger(struct fake_function *fake, unsigned int index, unsigned int vector)
{
	int fd;

	pthread_mutex_lock(&fake->device->lock);
	fd = vector < fake->device->irq[index].enabled ? fake->device->irq[index].trigger[vector]
						       : -1;
	pthread_mutex_unlock(&fake->device->lock);
	return fd;
}

/* --- variants --- */

void fake_variant_build(struct fake_variant *variant, struct fake_backend *device,
			bool multifunction)
{
	const struct vfio_function_listener listener = {0};

	*variant = (struct fake_variant){.device = device};
	variant->error = vfio_function_create(&device->backend, 0, multifunction, &listener,
					      &variant->function, variant->why,
					      sizeof(variant->why));
}

void fake_variant_destroy(struct fake_variant *variant)
{
	if (!variant->error)
		vfio_function_destroy(variant->function);
	fake_backend_destroy(variant->device);
}

uint32_t fake_variant_read(const struct fake_variant *variant, uint16_t off, unsigned int len)
{
	return pci_cfg_read(&vfio_function_pci(variant->function)->cfg, off, len);
}
