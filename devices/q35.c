#include "devices/q35.h"

#include <linux/pci.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "devices/pci.h"
#include "vmm/base/bits.h"

#define VENDOR_INTEL 0x8086

/* Intel I/O Controller Hub 9 Family Datasheet, 13.1 PCI Configuration Registers (LPC I/F). */
#define LPC_PMBASE 0x40
#define   LPC_PMBASE_IO 0x1
#define LPC_ACPI_CNTL 0x44
#define   LPC_ACPI_CNTL_ENABLE 0x80

struct q35 {
	struct pci_dev host_bridge;
	struct pci_dev lpc;
};

static const struct pci_dev_ops host_bridge_ops = {.name = "host bridge"};
static const struct pci_dev_ops lpc_ops = {.name = "LPC bridge"};

struct q35 *q35_create(struct pci_host *host)
{
	struct q35 *q35 = calloc(1, sizeof(*q35));

	if (!q35)
		return NULL;
	pci_dev_init(&q35->host_bridge, &host_bridge_ops, VENDOR_INTEL, 0x29c0, 0x060000,
		     PCI_HEADER_TYPE_NORMAL);
	pci_dev_init(&q35->lpc, &lpc_ops, VENDOR_INTEL, 0x2918, 0x060100, PCI_HEADER_TYPE_NORMAL);
	pci_cfg_set(&q35->lpc.cfg, LPC_PMBASE, 4, PORT_PM_BASE | LPC_PMBASE_IO);
	pci_cfg_set(&q35->lpc.cfg, LPC_ACPI_CNTL, 1, LPC_ACPI_CNTL_ENABLE);
	if (pci_host_add(host, &q35->host_bridge, NULL, PCI_DEVFN(0, 0)) ||
	    pci_host_add(host, &q35->lpc, NULL, PCI_DEVFN(0x1f, 0))) {
		q35_destroy(q35);
		return NULL;
	}
	return q35;
}

void q35_reset(struct q35 *q35)
{
	pci_dev_reset(&q35->host_bridge);
	pci_dev_reset(&q35->lpc);
}

void q35_destroy(struct q35 *q35)
{
	if (!q35)
		return;
	pci_dev_finish(&q35->host_bridge);
	pci_dev_finish(&q35->lpc);
	free(q35);
}
