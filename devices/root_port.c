#include "devices/root_port.h"

#include <linux/pci_regs.h>
#include <stdlib.h>

#include "devices/pci.h"
#include "devices/pme.h"
#include "vmm/base/bits.h"

/* The generic PCI Express root port of pci.ids, for which guests have no quirks. */
#define VENDOR_REDHAT 0x1b36
#define DEVICE_ROOT_PORT 0x000c
#define CLASS_PCI_BRIDGE 0x060400
#define PIN_INTA 1

/* Offsets of the capabilities. */
#define PM_CAP 0x40
#define EXP_CAP 0x50
#define MSI_CAP 0x90

#define EXP_VERSION 2U
#define EXP_TYPE_SHIFT 4
#define LNKCAP_WIDTH_SHIFT 4
#define LNKCAP_ASPM_OPTIONALITY 0x00400000U /* required since PCIe 3.0, with or without ASPM */
#define LNKCAP_PORT_SHIFT 24

struct root_port {
	struct pci_dev dev;
	/* protected by dev.lock */
	struct pme pme;
	bool condition; /* a PME interrupt is due and MSI can carry it; each edge sends one */
};

struct register_init {
	uint8_t off; /* in the PCI Express capability */
	uint8_t len;
	uint32_t value, rw, w1c;
};

static struct root_port *to_root_port(struct pci_dev *dev)
{
	return container_of(dev, struct root_port, dev);
}

/* --- PME --- */

/*
 * Shows the state of `port->pme` in the registers and signals it. `edge`: the interrupt condition
 * of pme.h became true anew. PCIe 5.0, 6.1.6 Native PME Software Model: a message is sent each time
 * that enable, status and the vector being unmasked become true together, so also when MSI or Bus
 * Master are enabled late.
 */
static void refresh_pme(struct root_port *port, bool edge)
{
	struct pci_dev *dev = &port->dev;
	uint8_t bus = (uint8_t)pci_cfg_read(&dev->cfg, PCI_SECONDARY_BUS, 1);
	bool master = pci_cfg_read(&dev->cfg, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
	bool asserted = pme_asserted(&port->pme);
	bool condition = asserted && master && pci_msi_active(dev);

	pci_cfg_set(&dev->cfg, EXP_CAP + PCI_EXP_RTSTA, 4, pme_root_status(&port->pme, bus));
	if (condition && (edge || !port->condition))
		pci_dev_send_msi(dev);
	port->condition = condition;
	pci_dev_set_intx(dev, asserted && !pci_msi_active(dev));
}

void root_port_pme(struct root_port *port, uint8_t devfn)
{
	pthread_mutex_lock(&port->dev.lock);
	refresh_pme(port, pme_message(&port->pme, devfn));
	pthread_mutex_unlock(&port->dev.lock);
}

void root_port_pme_forget(struct root_port *port, int devfn)
{
	pthread_mutex_lock(&port->dev.lock);
	for (int i = 0; i <= UINT8_MAX; i++) {
		if (devfn < 0 || i == devfn)
			pme_forget(&port->pme, (uint8_t)i);
	}
	refresh_pme(port, false);
	pthread_mutex_unlock(&port->dev.lock);
}

bool root_port_pme_outstanding(struct root_port *port, uint8_t devfn)
{
	bool outstanding;

	pthread_mutex_lock(&port->dev.lock);
	outstanding = pme_outstanding(&port->pme, devfn);
	pthread_mutex_unlock(&port->dev.lock);
	return outstanding;
}

/* The arrays say what the write did, whatever its width: PME Interrupt Enable took its bit, and PME
 * Status was cleared where it was written as one. */
static void root_port_cfg_changed(struct pci_dev *dev, uint16_t off, unsigned int len,
				  uint32_t value)
{
	struct root_port *port = to_root_port(dev);
	uint32_t control = pci_cfg_read(&dev->cfg, EXP_CAP + PCI_EXP_RTCTL, 2);
	uint32_t status = pci_cfg_read(&dev->cfg, EXP_CAP + PCI_EXP_RTSTA, 4);
	bool edge;

	(void)off, (void)len, (void)value;
	edge = pme_set_enable(&port->pme, control & PCI_EXP_RTCTL_PMEIE);
	if (port->pme.status && !(status & PCI_EXP_RTSTA_PME))
		edge |= pme_clear_status(&port->pme);
	refresh_pme(port, edge);
}

static void root_port_reset(struct pci_dev *dev)
{
	struct root_port *port = to_root_port(dev);

	pme_reset(&port->pme);
	port->condition = false;
	refresh_pme(port, false);
}

static const struct pci_dev_ops root_port_ops = {
	.name = "root port",
	.cfg_changed = root_port_cfg_changed,
	.reset = root_port_reset,
};

/* --- registers --- */

/*
 * PCIe 5.0, 7.5.3 PCI Express Capability Structure. What is not listed is 0 and read-only; the
 * choices behind that:
 * - no slot: the guest must not take D3cold for a removal (Presence Detect State is then 1);
 * - the link is always up, and a guest cannot disable or retrain it (Deviation: Link Disable is
 *   read-only); no bandwidth notification, which would share the PME's vector;
 * - Configuration RRS Software Visibility is not offered: functions never answer with retry, and
 *   with it Linux (pci_dev_wait()) takes a Vendor ID of ones for ready;
 * - 128-byte payload: fields that only larger ones need are 0.
 */
static void add_express(struct pci_dev *dev, const struct root_port_config *config)
{
	uint32_t speed = config->link_speed ? config->link_speed : 1;
	uint32_t width = config->link_width ? config->link_width : 1;
	uint32_t link = speed | width << LNKCAP_WIDTH_SHIFT;
	const struct register_init registers[] = {
		{PCI_EXP_FLAGS, 2, EXP_VERSION | PCI_EXP_TYPE_ROOT_PORT << EXP_TYPE_SHIFT, 0, 0},
		{PCI_EXP_DEVCAP, 4, PCI_EXP_DEVCAP_RBER, 0, 0},
		{PCI_EXP_DEVCTL, 2, 0,
		 PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE |
			 PCI_EXP_DEVCTL_URRE, 0},
		{PCI_EXP_DEVSTA, 2, 0, 0,
		 PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_NFED | PCI_EXP_DEVSTA_FED |
			 PCI_EXP_DEVSTA_URD},
		{PCI_EXP_LNKCAP, 4,
		 link | PCI_EXP_LNKCAP_DLLLARC | LNKCAP_ASPM_OPTIONALITY |
			 (uint32_t)config->slot_number << LNKCAP_PORT_SHIFT, 0, 0},
		{PCI_EXP_LNKCTL, 2, 0,
		 PCI_EXP_LNKCTL_ASPMC | PCI_EXP_LNKCTL_CCC | PCI_EXP_LNKCTL_ES, 0},
		{PCI_EXP_LNKSTA, 2, link | PCI_EXP_LNKSTA_SLC | PCI_EXP_LNKSTA_DLLLA, 0, 0},
		{PCI_EXP_SLTSTA, 2, PCI_EXP_SLTSTA_PDS, 0, 0},
		{PCI_EXP_RTCTL, 2, 0,
		 PCI_EXP_RTCTL_SECEE | PCI_EXP_RTCTL_SENFEE | PCI_EXP_RTCTL_SEFEE |
			 PCI_EXP_RTCTL_PMEIE, 0},
		{PCI_EXP_RTSTA, 4, 0, 0, PCI_EXP_RTSTA_PME},
		{PCI_EXP_LNKCAP2, 4, ((1U << speed) - 1) << 1, 0, 0},
		{PCI_EXP_LNKCTL2, 2, speed,
		 PCI_EXP_LNKCTL2_TLS | PCI_EXP_LNKCTL2_ENTER_COMP | PCI_EXP_LNKCTL2_HASD |
			 PCI_EXP_LNKCTL2_TX_MARGIN, 0},
	};

	pci_cfg_add_cap(&dev->cfg, PCI_CAP_ID_EXP, EXP_CAP);
	dev->exp_cap = EXP_CAP;
	for (unsigned int i = 0; i < ARRAY_SIZE(registers); i++) {
		const struct register_init *reg = &registers[i];

		pci_cfg_set(&dev->cfg, EXP_CAP + reg->off, reg->len, reg->value);
		pci_cfg_set_rw(&dev->cfg, EXP_CAP + reg->off, reg->len, reg->rw);
		pci_cfg_set_w1c(&dev->cfg, EXP_CAP + reg->off, reg->len, reg->w1c);
	}
}

struct root_port *root_port_create(const struct root_port_config *config)
{
	struct root_port *port = calloc(1, sizeof(*port));
	struct pci_dev *dev;

	if (!port)
		return NULL;
	dev = &port->dev;
	pci_dev_init(dev, &root_port_ops, VENDOR_REDHAT, DEVICE_ROOT_PORT, CLASS_PCI_BRIDGE,
		     PCI_HEADER_TYPE_BRIDGE);
	pci_cfg_set(&dev->cfg, PCI_INTERRUPT_PIN, 1, PIN_INTA);
	pci_dev_add_pm(dev, PM_CAP,
		       PCI_PM_CAP_PME_D0 | PCI_PM_CAP_PME_D3hot | PCI_PM_CAP_PME_D3cold, true);
	add_express(dev, config);
	pci_dev_add_msi(dev, MSI_CAP);
	return port;
}

void root_port_destroy(struct root_port *port)
{
	if (!port)
		return;
	pci_dev_finish(&port->dev);
	free(port);
}

struct pci_dev *root_port_pci(struct root_port *port)
{
	return &port->dev;
}
