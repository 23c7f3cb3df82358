/*
 * Prints config space in the format of `lspci -xxxx`, after firmware has assigned addresses: the
 * emulated functions and a function with MSI-X, for tests/devices/check-lspci.sh.
 */
#include <linux/pci.h>
#include <stdio.h>

#include "devices/pci.h"
#include "devices/q35.h"
#include "devices/root_port.h"
#include "tests/fake_pci.h"
#include "vmm/base/bits.h"

static void dump(struct fake_pci *pci, uint16_t bdf)
{
	printf("%02x:%02x.%x dump\n", bdf >> 8, PCI_SLOT(bdf), PCI_FUNC(bdf));
	for (uint16_t off = 0; off < PCI_CFG_LEN; off++) {
		if (off % 16 == 0)
			printf("%02x:", off);
		printf(" %02x", pci_host_cfg_read(pci->host, bdf, off, 1));
		if (off % 16 == 15)
			printf("\n");
	}
	printf("\n");
}

/* Opens every window of the port above it. */
static void init_gpu(struct fake_pci_dev *fake)
{
	fake_pci_dev_init(fake);
	pci_dev_set_bar(&fake->dev, 0, 0x1000000, 0);
	pci_dev_set_bar(&fake->dev, 1, 0x80, PCI_BASE_ADDRESS_SPACE_IO);
	pci_dev_set_bar(&fake->dev, 2, 0x10000000,
			PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
}

static int init_audio(struct fake_pci_dev *fake)
{
	fake_pci_dev_init(fake);
	pci_dev_set_bar(&fake->dev, 0, 0x4000, 0);
	pci_dev_set_bar(&fake->dev, PCI_BAR_ROM, 0x80000, 0);
	fake->dev.msix = (struct pci_msix){.cap = 0x60, .table_size = 16, .table_off = 0x2000,
					   .pba_off = 0x3000};
	return pci_dev_add_msix(&fake->dev, true);
}

int main(void)
{
	static const uint16_t bdfs[] = {0x0000, 0x0008, 0x00f8, 0x0101};
	static struct fake_pci_dev gpu, audio;
	struct fake_pci pci;
	struct root_port *port;
	struct q35 *q35;

	fake_pci_start(&pci);
	q35 = q35_create(pci.host, false);
	port = fake_pci_add_port(&pci, PCI_DEVFN(1, 0));
	init_gpu(&gpu);
	if (!q35 || init_audio(&audio) ||
	    pci_host_add(pci.host, &gpu.dev, root_port_pci(port), PCI_DEVFN(0, 0)) ||
	    pci_host_add(pci.host, &audio.dev, root_port_pci(port), PCI_DEVFN(0, 1)) ||
	    pci_host_assign(pci.host))
		return 1;
	for (unsigned int i = 0; i < ARRAY_SIZE(bdfs); i++)
		dump(&pci, bdfs[i]);
	pci_dev_finish(&audio.dev);
	pci_dev_finish(&gpu.dev);
	root_port_destroy(port);
	q35_destroy(q35);
	fake_pci_stop(&pci);
	return 0;
}
