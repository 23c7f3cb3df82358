#include "devices/q35.h"

#include <linux/pci.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "devices/pci.h"
#include "vmm/base/bits.h"
#include "vmm/base/log.h"

#define VENDOR_INTEL 0x8086

/* Intel I/O Controller Hub 9 Family Datasheet, 13.1 PCI Configuration Registers (LPC I/F). */
#define LPC_PMBASE 0x40
#define   LPC_PMBASE_IO 0x1
#define LPC_ACPI_CNTL 0x44
#define   LPC_ACPI_CNTL_ENABLE 0x80

/* Q35 MCH, 5.1 DRAM Controller Registers (D0:F0). */
#define MCH_PCIEXBAR 0x60 /* 64 bits */
#define   MCH_PCIEXBAR_ENABLE 0x1ULL
#define   MCH_PCIEXBAR_LENGTH BITS(2, 1) /* 256 MiB, 128 MiB, 64 MiB */
#define   MCH_PCIEXBAR_LENGTH_64M (2ULL << 1)
#define   MCH_PCIEXBAR_BASE BITS(35, 26)
#define   MCH_PCIEXBAR_DEFAULT 0xe0000000ULL
#define MCH_PAM0 0x90 /* of 0xf0000; the others, to PAM6, of two pieces each from 0xc0000 on */
#define   MCH_PAM_HIGH BITS(5, 4)
#define   MCH_PAM_BOTH (BITS(5, 4) | BITS(1, 0))
#define MCH_PAMS 7
/* Reserved in the MCH; QEMU 7.2 has a register there, hw/pci-host/q35.c: how large can TSEG be? */
#define MCH_EXT_TSEG_MBYTES 0x50
#define   MCH_EXT_TSEG_QUERY 0xffffU

/* By these SeaBIOS knows a machine with a fw_cfg device: QEMU 7.2, docs/specs/pci-ids.rst. */
#define SUBSYSTEM_VENDOR 0x1af4
#define SUBSYSTEM 0x1100

_Static_assert(ECAM_SIZE == 64 * MIB, "PCIEXBAR's length");

struct q35 {
	struct pci_dev host_bridge;
	struct pci_dev lpc;
};

static void place_ecam(struct pci_dev *dev)
{
	uint64_t bar = pci_cfg_read(&dev->cfg, MCH_PCIEXBAR, 4) |
		       (uint64_t)pci_cfg_read(&dev->cfg, MCH_PCIEXBAR + 4, 4) << 32;
	uint64_t size = 256 * MIB >> (bar & MCH_PCIEXBAR_LENGTH) / 2;

	/* The fourth length is reserved. */
	if (!(bar & MCH_PCIEXBAR_ENABLE) || size < 64 * MIB)
		size = 0;
	pci_host_set_ecam(dev->host, (struct range){
				     size ? align_down(bar & MCH_PCIEXBAR_BASE, size) : 0, size});
}

/*
 * Deviation: ECAM that is on stays where it is until it is enabled elsewhere. SeaBIOS 1.16.2 writes
 * PCIEXBAR three times when it resumes from S3: off, the upper half, on. They come by ECAM, so a
 * chipset that takes the first at its word never sees the others, and Linux has no ECAM any more.
 */
static void host_bridge_changed(struct pci_dev *dev, uint16_t off, unsigned int len,
				uint32_t value)
{
	/* OVMF 2022.11, OvmfPkg/PlatformPei/MemDetect.c: nobody else asks. It stops soon after. */
	if (off == MCH_EXT_TSEG_MBYTES && len == 2 && value == MCH_EXT_TSEG_QUERY)
		log_guest("the firmware asks for SMM, as builds of OVMF with Secure Boot do; this "
			  "machine has none, so it will stop: --firmware uefi takes one without");
	if (range_meets((struct range){off, len}, (struct range){MCH_PCIEXBAR, 8}) &&
	    pci_cfg_read(&dev->cfg, MCH_PCIEXBAR, 4) & MCH_PCIEXBAR_ENABLE)
		place_ecam(dev);
}

static const struct pci_dev_ops host_bridge_ops = {
	.name = "host bridge", .cfg_changed = host_bridge_changed, .reset = place_ecam};
static const struct pci_dev_ops lpc_ops = {.name = "LPC bridge"};

/* The PAM registers keep what is written, and no more: what they place at 0xc0000 to 0xfffff is RAM
 * all the time, with the ROM's end in it from the start, so reads find what they would anyway. */
static void init_host_bridge(struct pci_dev *dev, bool firmware)
{
	uint64_t bar = firmware ? MCH_PCIEXBAR_DEFAULT
				: ECAM_START | MCH_PCIEXBAR_LENGTH_64M | MCH_PCIEXBAR_ENABLE;
	uint64_t rw = MCH_PCIEXBAR_BASE | MCH_PCIEXBAR_LENGTH | MCH_PCIEXBAR_ENABLE;

	pci_dev_init(dev, &host_bridge_ops, VENDOR_INTEL, 0x29c0, 0x060000,
		     PCI_HEADER_TYPE_NORMAL);
	pci_cfg_set(&dev->cfg, PCI_SUBSYSTEM_VENDOR_ID, 2, SUBSYSTEM_VENDOR);
	pci_cfg_set(&dev->cfg, PCI_SUBSYSTEM_ID, 2, SUBSYSTEM);
	pci_cfg_set(&dev->cfg, MCH_PCIEXBAR, 4, (uint32_t)bar);
	pci_cfg_set_rw(&dev->cfg, MCH_PCIEXBAR, 4, (uint32_t)rw);
	pci_cfg_set_rw(&dev->cfg, MCH_PCIEXBAR + 4, 4, (uint32_t)(rw >> 32));
	for (uint16_t i = 0; i < MCH_PAMS; i++)
		pci_cfg_set_rw(&dev->cfg, MCH_PAM0 + i, 1, i ? MCH_PAM_BOTH : MCH_PAM_HIGH);
}

struct q35 *q35_create(struct pci_host *host, bool firmware)
{
	struct q35 *q35 = calloc(1, sizeof(*q35));

	if (!q35)
		return NULL;
	init_host_bridge(&q35->host_bridge, firmware);
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
