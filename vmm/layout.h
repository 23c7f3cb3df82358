/*
 * The guest's physical address space and its fixed I/O ports: every address that the machine, the
 * ACPI tables and the boot loaders must agree on stands here and nowhere else.
 *
 *   0x0000_0000  RAM, up to 3 GiB (the BIOS area 0xa0000-0xfffff is reserved in the memory map and
 *                holds the firmware tables)
 *   0xc000_0000  32-bit MMIO window of the PCI host bridge
 *   0xe000_0000  ECAM, 64 buses: the slots need 17, a guest reads all there are at its boot
 *   0xfec0_0000  IOAPIC (in the kernel)
 *   0xfed5_0000  slot power controllers, one per passed slot
 *   0xfee0_0000  local APICs (in the kernel)
 *   0xfeff_c000  KVM's own pages (identity map and TSS)
 *   4 GiB        the rest of RAM
 *   upper half   64-bit MMIO window (from the CPU's physical address bits)
 *
 * Where firmware of a distribution boots the machine it looks as such firmware expects: RAM up to
 * 2 GiB, and from there to the IOAPIC, and from the end of RAM to the end of the address space,
 * windows in which the firmware places ECAM and BARs as it likes; its own ROM ends at 4 GiB.
 */
#ifndef VMM_LAYOUT_H
#define VMM_LAYOUT_H

#include <stdint.h>

typedef uint64_t gpa_t;  /* guest physical address */
typedef uint64_t iova_t; /* address that a device uses for DMA; equals the gpa without a vIOMMU */

/* Memory. */
#define RAM_LOW_MAX 0xc0000000ULL
#define RAM_HIGH_START 0x100000000ULL
#define RAM_MIN_SIZE (16ULL << 20)

#define MMIO32_START 0xc0000000ULL
#define MMIO32_SIZE 0x20000000ULL
#define ECAM_START 0xe0000000ULL
#define ECAM_BUSES 64U
#define ECAM_SIZE (ECAM_BUSES << 20)
#define IOAPIC_START 0xfec00000ULL
#define SLOT_POWER_START 0xfed50000ULL
#define SLOT_POWER_STRIDE 0x20U
#define LAPIC_START 0xfee00000ULL
/* Below the 16 MiB that firmware may have, where QEMU has them: SeaBIOS, OVMF leave them alone. */
#define KVM_IDENTITY_MAP_START 0xfeffc000ULL
#define KVM_TSS_START 0xfeffd000ULL
#define KVM_PAGES_SIZE 0x4000ULL

/* With firmware. SeaBIOS 1.16 and OVMF 2022.11 place ECAM at 0xb0000000, other releases of OVMF at
 * 0xe0000000; OVMF wants all RAM below it. */
#define FIRMWARE_RAM_LOW_MAX 0x80000000ULL
#define FIRMWARE_MMIO32_START FIRMWARE_RAM_LOW_MAX
#define FIRMWARE_MMIO32_SIZE (IOAPIC_START - FIRMWARE_MMIO32_START)
#define FIRMWARE_MMIO64_ALIGN 0x40000000ULL /* firmware leaves so much below */
#define ROM_END 0x100000000ULL /* of the firmware's ROM; the last ROM_LOW_SIZE also below 1 MiB */
#define ROM_LOW_SIZE 0x20000ULL
#define OPTION_ROM_START 0xc0000ULL

/* MMIO above RAM: the upper half of the guest's physical address space, capped so that a guest
 * with four-level page tables still reaches it (64 TiB is what Linux maps there). */
#define MMIO64_MAX_ADDRESS_BITS 46U

/* What boot and firmware put below 1 MiB. */
#define BOOT_GDT_START 0x500ULL
#define BOOT_PVH_INFO_START 0x6000ULL
#define BOOT_ZERO_PAGE_START 0x7000ULL
#define BOOT_PAGE_TABLES_START 0x9000ULL /* PML4, PDPT, four page directories: 6 pages */
#define BOOT_STACK_TOP 0x8ff0ULL
#define BOOT_CMDLINE_START 0x20000ULL
#define BOOT_CMDLINE_MAX 0x10000ULL
#define EBDA_START 0x9fc00ULL
#define BIOS_AREA_START 0xa0000ULL
#define ACPI_TABLES_START 0xe0000ULL
#define ACPI_TABLES_SIZE 0x10000ULL
#define SMBIOS_START 0xf0000ULL
#define SMBIOS_SIZE 0x10000ULL
#define BIOS_AREA_END 0x100000ULL

/* I/O ports. The power management block has ICH9's offsets (PMBASE 0x600). */
#define PORT_RTC_INDEX 0x70
#define PORT_I8042_DATA 0x60
#define PORT_I8042_COMMAND 0x64
#define PORT_DEBUG_EXIT 0xf4
#define PORT_COM1 0x3f8
#define PORT_FW_CFG 0x510
#define PORT_FW_CFG_DMA 0x514
#define PORT_PM_BASE 0x600
#define PORT_PM1A_EVT 0x600
#define PORT_PM1A_CNT 0x604
#define PORT_PM_TMR 0x608
#define PORT_GPE0 0x620
#define GPE0_SIZE 16 /* bytes: the first half status, the second half enable: 64 events */
#define PORT_PM_SIZE 0x80
#define PORT_WATCHDOG 0x680
#define PORT_PCI_ADDRESS 0xcf8
#define PORT_RESET 0xcf9
#define PORT_PCI_DATA 0xcfc
#define PCI_IO_START 0x1000
#define PCI_IO_SIZE 0xf000

/* Interrupts: GSI numbers of the IOAPIC. */
#define GSI_COM1 4
#define GSI_RTC 8
#define GSI_SCI 9
#define GSI_PCI_FIRST 16 /* eight level-triggered lines for PCI INTx: 16 to 23 */
#define GSI_PCI_COUNT 8
#define GSI_COUNT 24

/* General-purpose events: one per passed slot, "a function of the slot was woken". */
#define GPE_SLOT_FIRST 0x10
#define SLOT_MAX 16 /* passed-through slots: root ports 00:01.0 to 00:10.0 */

/* Virtio devices on bus 0: a device number for each type (or two), a function for each instance. */
#define VIRTIO_ENTROPY_SLOT 0x11
#define VIRTIO_NET_SLOT 0x12
#define VIRTIO_CONSOLE_SLOT 0x13
#define VIRTIO_VSOCK_SLOT 0x14
#define VIRTIO_BLOCK_SLOT 0x18
#define VIRTIO_BLOCK_SLOTS 2U
#define VIRTIO_VHOST_USER_SLOT 0x1a
#define VIRTIO_SEED_SLOT 0x1b /* the disk of --cloud-init */

#define PVPANIC_SLOT 0x1e /* device number on bus 0 */

#define VCPU_MAX 64

/* The GSI of a PCI interrupt pin (1 to 4) of device `dev` on bus 0; also what _PRT says. */
static inline uint32_t layout_pci_gsi(unsigned int dev, unsigned int pin)
{
	return GSI_PCI_FIRST + (dev + pin - 1) % GSI_PCI_COUNT;
}

#endif
