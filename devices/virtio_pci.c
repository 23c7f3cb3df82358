#include "devices/virtio_pci.h"

#include <errno.h>
#include <linux/pci.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>

#include "devices/virtio_pci_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"

/* VIRTIO 1.2, 4.1.2 PCI Device Discovery. */
#define VENDOR_VIRTIO 0x1af4
#define DEVICE_VIRTIO 0x1040 /* plus the device's type */
#define REVISION_MODERN 1

/* BAR 0. The doorbells have a page of their own, VIRTIO_NOTIFY_OFF. */
#define BAR 0U
#define BAR_SIZE 0x4000U
#define COMMON_OFF 0x0000U
#define COMMON_LEN 56U
#define ISR_OFF 0x0100U
#define CONFIG_OFF 0x0200U
#define CONFIG_LEN_MAX (VIRTIO_NOTIFY_OFF - CONFIG_OFF)
#define MSIX_TABLE_OFF 0x2000U
#define DOORBELLS ((struct range){VIRTIO_NOTIFY_OFF, MSIX_TABLE_OFF - VIRTIO_NOTIFY_OFF})
#define MSIX_PBA_OFF 0x3000U
_Static_assert(sizeof(struct virtio_pci_common_cfg) == COMMON_LEN, "VIRTIO 1.2, 4.1.4.3");
_Static_assert((VIRTIO_QUEUES_MAX + 1) * PCI_MSIX_ENTRY_SIZE <= MSIX_PBA_OFF - MSIX_TABLE_OFF,
	       "the vectors' table fits");

/* Capabilities in config space. */
#define CAP_MSIX 0x40
#define CAP_COMMON 0x50
#define CAP_ISR 0x60
#define CAP_NOTIFY 0x70
#define CAP_PCI_CFG 0x84
#define CAP_DEVICE 0x98
#define PCI_CFG_DATA (CAP_PCI_CFG + sizeof(struct virtio_pci_cap))

static struct virtio_pci *transport_of(struct pci_dev *pci)
{
	return container_of(pci, struct virtio_pci, pci);
}

/* --- the BAR --- */

/* A back end of vhost-user may have to be asked for it, or told. */
static uint64_t read_config(struct virtio_pci *transport, uint64_t off, unsigned int len)
{
	uint8_t bytes[8];

	virtio_irq_hush(transport);
	virtio_dev_read_config(transport->dev, (uint32_t)off, len, bytes);
	virtio_irq_sync(transport);
	return le_get(bytes, len);
}

static void write_config(struct virtio_pci *transport, uint64_t off, unsigned int len,
			 uint32_t value)
{
	uint8_t bytes[4];

	le_set(bytes, 4, value);
	virtio_irq_hush(transport);
	virtio_dev_write_config(transport->dev, (uint32_t)off, len, bytes);
	virtio_irq_sync(transport);
}

static uint64_t read_bar(struct virtio_pci *transport, uint64_t off, unsigned int len)
{
	if (range_contains((struct range){COMMON_OFF, COMMON_LEN}, off, len))
		return virtio_common_read(transport, off - COMMON_OFF, len);
	if (off == ISR_OFF)
		return virtio_irq_take_isr(transport);
	if (range_contains((struct range){CONFIG_OFF, CONFIG_LEN_MAX}, off, len))
		return read_config(transport, off - CONFIG_OFF, len);
	return ones(len);
}

static void write_bar(struct virtio_pci *transport, uint64_t off, unsigned int len, uint32_t value)
{
	if (range_contains((struct range){COMMON_OFF, COMMON_LEN}, off, len))
		virtio_common_write(transport, off - COMMON_OFF, len, value);
	else if (range_contains((struct range){CONFIG_OFF, CONFIG_LEN_MAX}, off, len))
		write_config(transport, off - CONFIG_OFF, len, value);
	else if (range_contains(DOORBELLS, off, len))
		virtio_doorbells_kick(transport, off - VIRTIO_NOTIFY_OFF);
}

static void bar_mapped(struct pci_dev *pci, unsigned int bar, uint64_t address, bool on)
{
	struct virtio_pci *transport = transport_of(pci);

	(void)bar;
	transport->bar_mapped = on;
	if (!on)
		virtio_doorbells_sync(transport); /* at the address where they are */
	transport->bar_address = address;
	if (on)
		virtio_doorbells_sync(transport);
}

static void bar_read(struct pci_dev *pci, unsigned int bar, uint64_t off, unsigned int len,
		     uint64_t *value)
{
	(void)bar;
	*value = read_bar(transport_of(pci), off, len);
}

/* No register is wider than four bytes. */
static void bar_write(struct pci_dev *pci, unsigned int bar, uint64_t off, unsigned int len,
		      uint64_t value)
{
	(void)bar;
	if (len == 8) {
		write_bar(transport_of(pci), off, 4, (uint32_t)value);
		write_bar(transport_of(pci), off + 4, 4, (uint32_t)(value >> 32));
	} else {
		write_bar(transport_of(pci), off, len, (uint32_t)value);
	}
}

/* --- config space --- */

/* VIRTIO 1.2, 4.1.4.9 PCI configuration access capability: a window into the BAR for who cannot
 * reach it. 0: what the driver set names no access. */
static unsigned int window_access(const struct virtio_pci *transport, uint32_t *ret_off)
{
	const struct pci_cfg *cfg = &transport->pci.cfg;
	uint32_t len = pci_cfg_read(cfg, CAP_PCI_CFG + VIRTIO_PCI_CAP_LENGTH, 4);

	*ret_off = pci_cfg_read(cfg, CAP_PCI_CFG + VIRTIO_PCI_CAP_OFFSET, 4);
	if (pci_cfg_read(cfg, CAP_PCI_CFG + VIRTIO_PCI_CAP_BAR, 1) != BAR ||
	    (len != 1 && len != 2 && len != 4) || *ret_off % len ||
	    !range_fits(MSIX_TABLE_OFF, *ret_off, len))
		return 0;
	return len;
}

static bool meets(uint16_t off, unsigned int len, uint16_t reg, unsigned int reg_len)
{
	return range_meets((struct range){off, len}, (struct range){reg, reg_len});
}

static void cfg_read(struct pci_dev *pci, uint16_t off, unsigned int len, uint32_t *value)
{
	struct virtio_pci *transport = transport_of(pci);
	uint32_t at;
	unsigned int width;

	if (!meets(off, len, PCI_CFG_DATA, 4))
		return;
	width = window_access(transport, &at);
	if (!width)
		return;
	pci_cfg_set(&pci->cfg, PCI_CFG_DATA, width, (uint32_t)read_bar(transport, at, width));
	*value = pci_cfg_read(&pci->cfg, off, len);
}

static void cfg_changed(struct pci_dev *pci, uint16_t off, unsigned int len, uint32_t value)
{
	struct virtio_pci *transport = transport_of(pci);
	bool master = pci_cfg_read(&pci->cfg, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
	uint32_t at;
	unsigned int width;

	(void)value;
	if (meets(off, len, PCI_CFG_DATA, 4)) {
		width = window_access(transport, &at);
		if (width)
			write_bar(transport, at, width,
				  pci_cfg_read(&pci->cfg, PCI_CFG_DATA, width));
	}
	if (master != transport->dev->bus_master) {
		virtio_irq_hush(transport);
		virtio_dev_set_bus_master(transport->dev, master);
		virtio_doorbells_sync(transport);
		virtio_irq_sync(transport);
	} else if (meets(off, len, CAP_MSIX + PCI_MSIX_FLAGS, 2)) {
		virtio_irq_sync(transport);
	}
}

static void reset(struct pci_dev *pci)
{
	struct virtio_pci *transport = transport_of(pci);

	virtio_common_reset(transport);
	virtio_dev_set_bus_master(transport->dev, false);
}

/* --- set-up --- */

static const struct pci_dev_ops pci_ops = {
	.name = "virtio",
	.cfg_read = cfg_read,
	.cfg_changed = cfg_changed,
	.bar_read = bar_read,
	.bar_write = bar_write,
	.bar_mapped = bar_mapped,
	.reset = reset,
};

static void add_cap(struct pci_dev *pci, uint8_t at, uint8_t len, uint8_t type, struct range range)
{
	pci_cfg_add_cap(&pci->cfg, PCI_CAP_ID_VNDR, at);
	pci_cfg_set(&pci->cfg, at + VIRTIO_PCI_CAP_LEN, 1, len);
	pci_cfg_set(&pci->cfg, at + VIRTIO_PCI_CAP_CFG_TYPE, 1, type);
	pci_cfg_set(&pci->cfg, at + VIRTIO_PCI_CAP_BAR, 1, BAR);
	pci_cfg_set(&pci->cfg, at + VIRTIO_PCI_CAP_OFFSET, 4, (uint32_t)range.start);
	pci_cfg_set(&pci->cfg, at + VIRTIO_PCI_CAP_LENGTH, 4, (uint32_t)range.size);
}

/* VIRTIO 1.2, 4.1.4 Virtio Structure PCI Capabilities. */
static void add_caps(struct pci_dev *pci, const struct virtio_dev *dev)
{
	const uint8_t len = sizeof(struct virtio_pci_cap);

	add_cap(pci, CAP_COMMON, len, VIRTIO_PCI_CAP_COMMON_CFG,
		(struct range){COMMON_OFF, COMMON_LEN});
	add_cap(pci, CAP_ISR, len, VIRTIO_PCI_CAP_ISR_CFG, (struct range){ISR_OFF, 1});
	add_cap(pci, CAP_NOTIFY, sizeof(struct virtio_pci_notify_cap), VIRTIO_PCI_CAP_NOTIFY_CFG,
		(struct range){VIRTIO_NOTIFY_OFF, (uint64_t)dev->queues * VIRTIO_NOTIFY_STRIDE});
	pci_cfg_set(&pci->cfg, CAP_NOTIFY + VIRTIO_PCI_NOTIFY_CAP_MULT, 4, VIRTIO_NOTIFY_STRIDE);
	add_cap(pci, CAP_PCI_CFG, sizeof(struct virtio_pci_cfg_cap), VIRTIO_PCI_CAP_PCI_CFG,
		(struct range){0, 0});
	pci_cfg_set_rw(&pci->cfg, CAP_PCI_CFG + VIRTIO_PCI_CAP_BAR, 1, 0xff);
	pci_cfg_set_rw(&pci->cfg, CAP_PCI_CFG + VIRTIO_PCI_CAP_OFFSET, 4, 0xffffffff);
	pci_cfg_set_rw(&pci->cfg, CAP_PCI_CFG + VIRTIO_PCI_CAP_LENGTH, 4, 0xffffffff);
	pci_cfg_set_rw(&pci->cfg, PCI_CFG_DATA, 4, 0xffffffff);
	if (dev->config_size)
		add_cap(pci, CAP_DEVICE, len, VIRTIO_PCI_CAP_DEVICE_CFG,
			(struct range){CONFIG_OFF, align_up(dev->config_size, 4)});
}

static int fill_function(struct virtio_pci *transport, uint8_t devfn, bool multifunction)
{
	const struct virtio_dev *dev = transport->dev;
	struct pci_dev *pci = &transport->pci;
	uint16_t id = DEVICE_VIRTIO + dev->ops->id;

	pci_dev_init(pci, &pci_ops, VENDOR_VIRTIO, id, dev->ops->pci_class,
		     PCI_HEADER_TYPE_NORMAL);
	pci_cfg_set(&pci->cfg, PCI_REVISION_ID, 1, REVISION_MODERN);
	pci_cfg_set(&pci->cfg, PCI_SUBSYSTEM_VENDOR_ID, 2, VENDOR_VIRTIO);
	pci_cfg_set(&pci->cfg, PCI_SUBSYSTEM_ID, 2, id);
	pci_cfg_set(&pci->cfg, PCI_INTERRUPT_PIN, 1, PCI_FUNC(devfn) % 4U + 1);
	if (multifunction)
		pci_cfg_set(&pci->cfg, PCI_HEADER_TYPE, 1, PCI_HEADER_TYPE_NORMAL | 0x80);
	pci_dev_set_bar(pci, BAR, BAR_SIZE, 0);
	add_caps(pci, dev);
	pci->msix = (struct pci_msix){
		.cap = CAP_MSIX, .table_size = (uint16_t)transport->sources,
		.table_bir = BAR, .table_off = MSIX_TABLE_OFF,
		.pba_bir = BAR, .pba_off = MSIX_PBA_OFF,
		.pending = virtio_irq_pending, .changed = virtio_irq_vector_changed};
	return pci_dev_add_msix(pci, true);
}

int virtio_pci_create(struct virtio_dev *dev, const struct virtio_machine *machine, uint8_t devfn,
		      bool multifunction, struct virtio_pci **ret_transport)
{
	struct virtio_pci *transport = calloc(1, sizeof(*transport));
	int error;

	if (!transport)
		return -ENOMEM;
	transport->dev = dev;
	transport->irq = machine->irq;
	transport->doorbells = machine->doorbells;
	transport->sources = 1 + dev->queues;
	transport->line_fd = -1;
	dev->mem = machine->mem;
	error = fill_function(transport, devfn, multifunction);
	if (!error)
		error = virtio_irq_init(transport);
	if (!error)
		error = pci_host_add(machine->pci, &transport->pci, NULL, devfn);
	if (error) {
		virtio_irq_finish(transport);
		pci_dev_finish(&transport->pci);
		free(transport);
		return error;
	}
	virtio_irq_sync(transport);
	*ret_transport = transport;
	return 0;
}

struct pci_dev *virtio_pci_dev(struct virtio_pci *transport)
{
	return &transport->pci;
}

void virtio_pci_destroy(struct virtio_pci *transport)
{
	if (!transport)
		return;
	pthread_mutex_lock(&transport->pci.lock);
	virtio_dev_set_bus_master(transport->dev, false);
	virtio_doorbells_sync(transport);
	pthread_mutex_unlock(&transport->pci.lock);
	virtio_irq_finish(transport);
	pci_dev_finish(&transport->pci);
	free(transport);
}
