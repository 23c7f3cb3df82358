/*
 * How firmware learns what a bridge reserves for what is plugged in later.
 */
#include <linux/pci_regs.h>

#include "devices/pci_internal.h"
#include "vmm/base/bits.h"

/* QEMU 7.2, docs/pcie_pci_bridge.txt, Hotplug additional info: a vendor-specific capability. */
#define RESERVE_TYPE 3
#define   RESERVE_TYPE_RESOURCES 1
#define RESERVE_BUSES 4
#define RESERVE_IO 8        /* 64 bits */
#define RESERVE_MEM 16
#define RESERVE_PREFETCH32 20
#define   RESERVE_DEFAULT UINT32_MAX
#define RESERVE_PREFETCH64 24

/* Of the upper eighth of the address space, where OVMF has its 64-bit BARs, a quarter for one. */
#define RESERVE_SHARE 32

void pci_bridge_show_reserve(struct pci_host *host, struct pci_dev *bridge, uint8_t off, bool io)
{
	uint64_t prefetch = bridge->reserve[PCI_WINDOW_PREFETCH];
	struct pci_cfg *cfg = &bridge->cfg;

	if (!pci_host_has_firmware(host) || !prefetch)
		return;
	while (prefetch > pci_host_mmio64(host).size / RESERVE_SHARE)
		prefetch /= 2;
	pci_cfg_add_cap(cfg, PCI_CAP_ID_VNDR, off);
	pci_cfg_set(cfg, off + PCI_CAP_FLAGS, 1, PCI_RESERVE_LEN);
	pci_cfg_set(cfg, off + RESERVE_TYPE, 1, RESERVE_TYPE_RESOURCES);
	pci_cfg_set(cfg, off + RESERVE_BUSES, 4, 0);
	pci_cfg_set(cfg, off + RESERVE_IO, 4, io ? (uint32_t)bridge->reserve[PCI_WINDOW_IO] : 0);
	pci_cfg_set(cfg, off + RESERVE_IO + 4, 4, 0);
	pci_cfg_set(cfg, off + RESERVE_MEM, 4, (uint32_t)bridge->reserve[PCI_WINDOW_MEM]);
	pci_cfg_set(cfg, off + RESERVE_PREFETCH32, 4, RESERVE_DEFAULT);
	pci_cfg_set(cfg, off + RESERVE_PREFETCH64, 4, (uint32_t)prefetch);
	pci_cfg_set(cfg, off + RESERVE_PREFETCH64 + 4, 4, (uint32_t)(prefetch >> 32));
}
