#include <linux/pci_regs.h>

#include "devices/pci_internal.h"

#define MSI_ADDRESS_RW 0xfffffffcU

/* PCIe 5.0, 7.7.1 MSI Capability Structures: 64-bit address, one vector, no masking. */
void pci_dev_add_msi(struct pci_dev *dev, uint8_t off)
{
	struct pci_cfg *cfg = &dev->cfg;

	pci_cfg_add_cap(cfg, PCI_CAP_ID_MSI, off);
	pci_cfg_set(cfg, off + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_64BIT);
	/* Multiple Message Enable takes any value; with one vector none changes anything. */
	pci_cfg_set_rw(cfg, off + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
	pci_cfg_set_rw(cfg, off + PCI_MSI_ADDRESS_LO, 4, MSI_ADDRESS_RW);
	pci_cfg_set_rw(cfg, off + PCI_MSI_ADDRESS_HI, 4, 0xffffffff);
	pci_cfg_set_rw(cfg, off + PCI_MSI_DATA_64, 2, 0xffff);
	dev->msi.cap = off;
}

static uint32_t flags(const struct pci_dev *dev)
{
	return pci_cfg_read(&dev->cfg, dev->msi.cap + PCI_MSI_FLAGS, 2);
}

bool pci_msi_active(const struct pci_dev *dev)
{
	return dev->msi.cap && flags(dev) & PCI_MSI_FLAGS_ENABLE;
}

struct msi_message pci_msi_message(const struct pci_dev *dev)
{
	const struct pci_cfg *cfg = &dev->cfg;
	uint16_t cap = dev->msi.cap;
	struct msi_message message = {0};

	if (!cap)
		return message;
	message.address = pci_cfg_read(cfg, cap + PCI_MSI_ADDRESS_LO, 4);
	if (flags(dev) & PCI_MSI_FLAGS_64BIT) {
		message.address |= (uint64_t)pci_cfg_read(cfg, cap + PCI_MSI_ADDRESS_HI, 4) << 32;
		message.data = pci_cfg_read(cfg, cap + PCI_MSI_DATA_64, 2);
	} else {
		message.data = pci_cfg_read(cfg, cap + PCI_MSI_DATA_32, 2);
	}
	return message;
}

void pci_dev_send_msi(struct pci_dev *dev)
{
	if (dev->host && pci_msi_active(dev) &&
	    pci_cfg_read(&dev->cfg, PCI_COMMAND, 2) & PCI_COMMAND_MASTER)
		irq_send_msi(pci_host_irq(dev->host), pci_msi_message(dev));
}
