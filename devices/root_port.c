#include "devices/root_port.h"

#include <linux/pci_regs.h>
#include <stdlib.h>

#include "devices/root_port_internal.h"
#include "vmm/base/bits.h"

#define LINK_MASK (PCI_EXP_LNKSTA_CLS | PCI_EXP_LNKSTA_NLW)

static struct root_port *to_root_port(struct pci_dev *dev)
{
	return container_of(dev, struct root_port, dev);
}

static uint8_t secondary_bus(const struct root_port *port)
{
	return (uint8_t)pci_cfg_read(&port->dev.cfg, PCI_SECONDARY_BUS, 1);
}

static void set_bits(struct pci_dev *dev, uint16_t off, uint32_t mask, uint32_t bits)
{
	pci_cfg_set(&dev->cfg, off, 2, (pci_cfg_read(&dev->cfg, off, 2) & ~mask) | bits);
}

/* --- registers and interrupts --- */

static void show(struct root_port *port)
{
	struct pci_dev *dev = &port->dev;

	pci_cfg_set(&dev->cfg, EXP_CAP + PCI_EXP_RTSTA, 4,
		    pme_root_status(&port->pme, secondary_bus(port)));
	pci_cfg_set(&dev->cfg, EXP_CAP + PCI_EXP_SLTCTL, 2, port->slot.control);
	pci_cfg_set(&dev->cfg, EXP_CAP + PCI_EXP_SLTSTA, 2, slot_events_status(&port->slot));
	set_bits(dev, EXP_CAP + PCI_EXP_LNKSTA, PCI_EXP_LNKSTA_DLLLA | LINK_MASK,
		 port->link | (port->slot.present ? PCI_EXP_LNKSTA_DLLLA : 0));
	pci_cfg_set(&dev->cfg, AER_CAP + PCI_ERR_ROOT_STATUS, 4, port->aer.status);
	pci_cfg_set(&dev->cfg, AER_CAP + PCI_ERR_ROOT_ERR_SRC, 4, aer_error_source(&port->aer));
}

/*
 * Shows the state in the registers and signals it. `pme_edge`: the interrupt condition of pme.h
 * became true anew. A message is sent each time that enable, status and the vector being unmasked
 * become true together, so also when MSI or Bus Master are enabled late; one where several do at
 * once. PCIe 5.0, 6.1.6 Native PME Software Model; 6.7.3.4 Software Notification of Hot-Plug
 * Events; 6.2.4.1.2 Interrupt Generation.
 */
static void refresh(struct root_port *port, bool pme_edge)
{
	struct pci_dev *dev = &port->dev;
	const bool asserted[SOURCE_COUNT] = {
		[SOURCE_PME] = pme_asserted(&port->pme),
		[SOURCE_SLOT] = slot_events_asserted(&port->slot),
		[SOURCE_AER] = aer_asserted(&port->aer),
	};
	bool master = pci_cfg_read(&dev->cfg, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
	bool open = master && pci_msi_active(dev), send = false, any = false;

	show(port);
	for (unsigned int i = 0; i < SOURCE_COUNT; i++) {
		bool condition = asserted[i] && open;

		send |= condition && !port->condition[i];
		port->condition[i] = condition;
		any |= asserted[i];
	}
	if (send || (port->condition[SOURCE_PME] && pme_edge))
		pci_dev_send_msi(dev);
	pci_dev_set_intx(dev, any && !pci_msi_active(dev));
}

/* --- PME --- */

bool root_port_pme(struct root_port *port, uint8_t devfn)
{
	bool enabled;

	pthread_mutex_lock(&port->dev.lock);
	refresh(port, pme_message(&port->pme, devfn));
	enabled = pme_asserted(&port->pme);
	pthread_mutex_unlock(&port->dev.lock);
	return enabled;
}

void root_port_pme_forget(struct root_port *port, int devfn)
{
	pthread_mutex_lock(&port->dev.lock);
	for (int i = 0; i <= UINT8_MAX; i++) {
		if (devfn < 0 || i == devfn)
			pme_forget(&port->pme, (uint8_t)i);
	}
	refresh(port, false);
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

/* --- slot --- */

/*
 * PCIe 5.0, 6.7.3.4 Software Notification of Hot-Plug Events: an event that wakes is a PME of the
 * port itself if it is not in D0 and its PME_En is set. Linux disables the interrupt of a sleeping
 * port and waits for this. True: a new edge of pme.h.
 */
static bool wake_port(struct root_port *port)
{
	struct pci_dev *dev = &port->dev;
	uint32_t pmcsr = pci_cfg_read(&dev->cfg, PM_CAP + PCI_PM_CTRL, 2);

	if (!pci_dev_power_state(dev) || !(pmcsr & PCI_PM_CTRL_PME_ENABLE) ||
	    pmcsr & PCI_PM_CTRL_PME_STATUS)
		return false;
	set_bits(dev, PM_CAP + PCI_PM_CTRL, 0, PCI_PM_CTRL_PME_STATUS);
	return pme_own_message(&port->pme, dev->devfn);
}

void root_port_set_present(struct root_port *port, bool present)
{
	pthread_mutex_lock(&port->dev.lock);
	refresh(port, slot_events_set_present(&port->slot, present) && wake_port(port));
	pthread_mutex_unlock(&port->dev.lock);
}

void root_port_settle(struct root_port *port)
{
	pthread_mutex_lock(&port->dev.lock);
	refresh(port, slot_events_settle(&port->slot) && wake_port(port));
	pthread_mutex_unlock(&port->dev.lock);
}

static uint32_t lower_field(uint32_t value, uint32_t limit, uint32_t mask)
{
	value &= mask;
	limit &= mask;
	return value && value < limit ? value : limit;
}

/* PCIe 5.0, 7.5.3.6 Link Capabilities Register; 7.5.3.8 Link Status Register: speed and width have
 * the same bits in both. */
void root_port_set_link(struct root_port *port, uint8_t speed, uint8_t width)
{
	struct pci_dev *dev = &port->dev;
	uint32_t link = speed | (uint32_t)width << PCI_EXP_LNKSTA_NLW_SHIFT, can;

	pthread_mutex_lock(&dev->lock);
	can = pci_cfg_read(&dev->cfg, EXP_CAP + PCI_EXP_LNKCAP, 4);
	port->link = (uint16_t)(lower_field(link, can, PCI_EXP_LNKSTA_CLS) |
				lower_field(link, can, PCI_EXP_LNKSTA_NLW));
	show(port);
	pthread_mutex_unlock(&dev->lock);
}

void root_port_press_attention(struct root_port *port)
{
	pthread_mutex_lock(&port->dev.lock);
	refresh(port, slot_events_press_attention(&port->slot) && wake_port(port));
	pthread_mutex_unlock(&port->dev.lock);
}

bool root_port_slot_is_off(struct root_port *port)
{
	bool off;

	pthread_mutex_lock(&port->dev.lock);
	off = port->slot.control & PCI_EXP_SLTCTL_PWR_OFF;
	pthread_mutex_unlock(&port->dev.lock);
	return off;
}

/* --- errors --- */

/*
 * PCIe 5.0, 6.2.8.1 Error Message Forwarding and PCI Mapping for Bridge - Rules: SERR# Enable of
 * Bridge Control forwards a message from below; then it must be enabled for "transmission", by
 * Device Control or, when it is uncorrectable, by SERR# Enable of Command, or nothing of it is
 * recorded. Linux sets the first for every bridge, and Device Control where AER is its own.
 * Deviation: the System Errors that Root Control enables go nowhere.
 */
static bool transmits(struct root_port *port, enum root_port_error error)
{
	static const uint32_t enable[] = {
		[ROOT_PORT_CORRECTABLE] = PCI_EXP_DEVCTL_CERE,
		[ROOT_PORT_NONFATAL] = PCI_EXP_DEVCTL_NFERE,
		[ROOT_PORT_FATAL] = PCI_EXP_DEVCTL_FERE,
	};
	struct pci_dev *dev = &port->dev;
	uint32_t bridge = pci_cfg_read(&dev->cfg, PCI_BRIDGE_CONTROL, 2);
	uint32_t command = pci_cfg_read(&dev->cfg, PCI_COMMAND, 2);
	uint32_t control = pci_cfg_read(&dev->cfg, EXP_CAP + PCI_EXP_DEVCTL, 2);
	bool serr = error != ROOT_PORT_CORRECTABLE && command & PCI_COMMAND_SERR;

	if (error != ROOT_PORT_CORRECTABLE)
		set_bits(dev, PCI_SEC_STATUS, 0, PCI_STATUS_SIG_SYSTEM_ERROR);
	if (!(bridge & PCI_BRIDGE_CTL_SERR))
		return false;
	if (serr)
		set_bits(dev, PCI_STATUS, 0, PCI_STATUS_SIG_SYSTEM_ERROR);
	return serr || control & enable[error];
}

void root_port_report_error(struct root_port *port, uint8_t devfn, enum root_port_error error)
{
	pthread_mutex_lock(&port->dev.lock);
	if (transmits(port, error))
		aer_message(&port->aer, error, (uint16_t)(secondary_bus(port) << 8 | devfn));
	refresh(port, false);
	pthread_mutex_unlock(&port->dev.lock);
}

/* --- the guest's writes --- */

static bool pme_written(struct root_port *port)
{
	const struct pci_cfg *cfg = &port->dev.cfg;
	uint32_t control = pci_cfg_read(cfg, EXP_CAP + PCI_EXP_RTCTL, 2);
	uint32_t status = pci_cfg_read(cfg, EXP_CAP + PCI_EXP_RTSTA, 4);
	bool edge = pme_set_enable(&port->pme, control & PCI_EXP_RTCTL_PMEIE);

	if (!(pci_cfg_read(cfg, PM_CAP + PCI_PM_CTRL, 2) & PCI_PM_CTRL_PME_STATUS))
		pme_own_forget(&port->pme);
	if (port->pme.status && !(status & PCI_EXP_RTSTA_PME))
		edge |= pme_clear_status(&port->pme);
	return edge;
}

/* The arrays say what the write did, whatever its width: a control register took its bits, status
 * was cleared where it was written as one. */
static void root_port_cfg_changed(struct pci_dev *dev, uint16_t off, unsigned int len,
				  uint32_t value)
{
	struct root_port *port = to_root_port(dev);
	const struct pci_cfg *cfg = &dev->cfg;
	bool pme_edge = pme_written(port), went_off;

	(void)off, (void)len, (void)value;
	went_off = slot_events_write(&port->slot,
				     (uint16_t)pci_cfg_read(cfg, EXP_CAP + PCI_EXP_SLTCTL, 2),
				     (uint16_t)pci_cfg_read(cfg, EXP_CAP + PCI_EXP_SLTSTA, 2));
	aer_write(&port->aer, pci_cfg_read(cfg, AER_CAP + PCI_ERR_ROOT_COMMAND, 4),
		  pci_cfg_read(cfg, AER_CAP + PCI_ERR_ROOT_STATUS, 4));
	refresh(port, pme_edge);
	if (went_off && port->ejected)
		port->ejected(port->opaque);
}

/* --- life --- */

static void reset_state(struct root_port *port)
{
	pme_reset(&port->pme);
	slot_events_reset(&port->slot);
	aer_reset(&port->aer);
	for (unsigned int i = 0; i < SOURCE_COUNT; i++)
		port->condition[i] = false;
}

static void root_port_reset(struct pci_dev *dev)
{
	struct root_port *port = to_root_port(dev);

	reset_state(port);
	refresh(port, false);
}

static const struct pci_dev_ops root_port_ops = {
	.name = "root port",
	.cfg_changed = root_port_cfg_changed,
	.reset = root_port_reset,
};

struct root_port *root_port_create(const struct root_port_config *config)
{
	struct root_port *port = calloc(1, sizeof(*port));

	if (!port)
		return NULL;
	port->ejected = config->ejected;
	port->opaque = config->opaque;
	root_port_init_registers(&port->dev, &root_port_ops, config);
	port->slot.present = !config->empty;
	port->link = (uint16_t)(pci_cfg_read(&port->dev.cfg, EXP_CAP + PCI_EXP_LNKSTA, 2) &
				LINK_MASK);
	reset_state(port);
	show(port);
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

void root_port_show_reserve(struct root_port *port, struct pci_host *host, bool io)
{
	pci_bridge_show_reserve(host, &port->dev, RESERVE_CAP, io);
}
