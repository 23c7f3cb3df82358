/*
 * Inside acpi/: the fixed tables as they lie in memory, and the values that we put there.
 */
#ifndef ACPI_STRUCTS_H
#define ACPI_STRUCTS_H

#include <stdint.h>

#include "acpi/header.h"
#include "acpi/tables.h"

/* ACPI 6.3, Generic Address Structure; AccessSize: 1 byte, 2 word, 3 dword */
struct acpi_gas {
	uint8_t space;
	uint8_t bit_width;
	uint8_t bit_offset;
	uint8_t access_size;
	uint64_t address;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_gas) == 12, "Generic Address Structure");
#define GAS_SYSTEM_IO 1

/* ACPI 6.3, Root System Description Pointer (RSDP) Structure */
struct acpi_rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_rsdp) == 36, "RSDP");
#define RSDP_REVISION 2
#define RSDP_V1_SIZE 20

/* ACPI 6.3, Extended System Description Table (XSDT): FADT, MADT, MCFG, WDAT, slots */
#define XSDT_ENTRIES_MAX (4 + ACPI_SLOT_MAX)
struct acpi_xsdt {
	struct acpi_header header;
	uint64_t entry[XSDT_ENTRIES_MAX]; /* only those that exist count */
} __attribute__((packed));
#define XSDT_REVISION 1

/* ACPI 6.3, Firmware ACPI Control Structure (FACS) */
struct acpi_facs {
	char signature[4];
	uint32_t length;
	uint32_t hardware_signature;
	uint32_t firmware_waking_vector;
	uint32_t global_lock;
	uint32_t flags;
	uint64_t x_firmware_waking_vector;
	uint8_t version;
	uint8_t reserved[3];
	uint32_t ospm_flags;
	uint8_t reserved2[24];
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_facs) == 64, "FACS");
#define FACS_VERSION 2

/* ACPI 6.3, Fixed ACPI Description Table (FADT) */
struct acpi_fadt {
	struct acpi_header header;
	uint32_t firmware_ctrl;
	uint32_t dsdt;
	uint8_t reserved;
	uint8_t preferred_pm_profile;
	uint16_t sci_int;
	uint32_t smi_cmd;
	uint8_t acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	uint32_t pm1a_evt_blk, pm1b_evt_blk, pm1a_cnt_blk, pm1b_cnt_blk;
	uint32_t pm2_cnt_blk, pm_tmr_blk, gpe0_blk, gpe1_blk;
	uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len;
	uint8_t gpe0_blk_len, gpe1_blk_len, gpe1_base, cst_cnt;
	uint16_t p_lvl2_lat, p_lvl3_lat, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alrm, mon_alrm, century;
	uint16_t iapc_boot_arch;
	uint8_t reserved2;
	uint32_t flags;
	struct acpi_gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_version;
	uint64_t x_firmware_ctrl;
	uint64_t x_dsdt;
	struct acpi_gas x_pm1a_evt_blk, x_pm1b_evt_blk, x_pm1a_cnt_blk, x_pm1b_cnt_blk;
	struct acpi_gas x_pm2_cnt_blk, x_pm_tmr_blk, x_gpe0_blk, x_gpe1_blk;
	struct acpi_gas sleep_control_reg, sleep_status_reg;
	uint64_t hypervisor_vendor;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_fadt) == 276, "FADT");
#define FADT_REVISION 6
#define FADT_MINOR_VERSION 3
#define PM1_EVT_LEN 4
#define PM1_CNT_LEN 2
#define PM_TMR_LEN 4
/* ACPI 6.3, Fixed ACPI Description Table: latencies above 100 and 1000 mean no C2 and no C3. */
#define NO_C2 0xfff
#define NO_C3 0xfff
/* ACPI 6.3, IA-PC Boot Architecture Flags. Clear: no 8042; MSI and ASPM allowed; a CMOS clock. */
#define BOOT_LEGACY_DEVICES (1U << 0)
#define BOOT_VGA_NOT_PRESENT (1U << 2)
/* ACPI 6.3, Fixed ACPI Description Table Fixed Feature Flags. PWR_BUTTON is clear: the power
 * button is a fixed one. FIX_RTC is clear: the alarm has RTC_STS and RTC_EN, and wakes; RTC_S4 too,
 * for there is no S4. SLP_BUTTON is set: there is no such fixed event. LOW_POWER_S0_IDLE_CAPABLE is
 * clear: S3 saves more than an idle guest does, and Linux would choose s2idle. */
#define FADT_WBINVD (1U << 0)
#define FADT_PROC_C1 (1U << 2)
#define FADT_SLP_BUTTON (1U << 5)
#define FADT_TMR_VAL_EXT (1U << 8)
#define FADT_RESET_REG_SUP (1U << 10)
#define FADT_PCI_EXP_WAK (1U << 14) /* PM1 has PCIEXP_WAKE_STS and PCIEXP_WAKE_DIS */

/* ACPI 6.3, Multiple APIC Description Table (MADT) */
struct acpi_madt {
	struct acpi_header header;
	uint32_t lapic;
	uint32_t flags;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_madt) == 44, "MADT");
#define MADT_REVISION 5
#define MADT_PCAT_COMPAT 1 /* two 8259s as well */

/* ACPI 6.3, Processor Local APIC Structure */
struct madt_lapic {
	uint8_t type, length, uid, apic_id;
	uint32_t flags;
} __attribute__((packed));
_Static_assert(sizeof(struct madt_lapic) == 8, "Processor Local APIC");

/* ACPI 6.3, Processor Local x2APIC Structure */
struct madt_x2apic {
	uint8_t type, length;
	uint16_t reserved;
	uint32_t x2apic_id, flags, uid;
} __attribute__((packed));
_Static_assert(sizeof(struct madt_x2apic) == 16, "Processor Local x2APIC");
#define LAPIC_ENABLED 1
#define LAPIC_ID_MAX 0xfe /* above it only an x2APIC structure can name a processor */

/* ACPI 6.3, I/O APIC Structure */
struct madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
} __attribute__((packed));
_Static_assert(sizeof(struct madt_ioapic) == 12, "I/O APIC");

/* ACPI 6.3, Interrupt Source Override Structure; MPS INTI Flags */
struct madt_override {
	uint8_t type, length, bus, source;
	uint32_t gsi;
	uint16_t flags;
} __attribute__((packed));
_Static_assert(sizeof(struct madt_override) == 10, "Interrupt Source Override");
#define INTI_LEVEL_ACTIVE_HIGH (3U << 2 | 1U)

/* ACPI 6.3, Local APIC NMI Structure */
struct madt_lapic_nmi {
	uint8_t type, length, uid;
	uint16_t flags;
	uint8_t lint;
} __attribute__((packed));
_Static_assert(sizeof(struct madt_lapic_nmi) == 6, "Local APIC NMI");
#define ALL_PROCESSORS 0xff

/* PCI Firmware 3.2, MCFG Table Description */
struct acpi_mcfg {
	struct acpi_header header;
	uint8_t reserved[8];
	uint64_t ecam;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint32_t reserved2;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_mcfg) == 60, "MCFG");
#define MCFG_REVISION 1

/* Microsoft WDT 1.01, Watchdog Action Table */
struct acpi_wdat {
	struct acpi_header header;
	uint32_t header_length; /* of what is from here to the entries */
	uint16_t pci_segment;
	uint8_t pci_bus, pci_device, pci_function;
	uint8_t reserved[3];
	uint32_t timer_period; /* milliseconds */
	uint32_t max_count, min_count;
	uint8_t flags;
	uint8_t reserved2[3];
	uint32_t entries;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_wdat) == 68, "WDAT");
#define WDAT_REVISION 1
#define WDAT_NO_PCI 0xff /* also as the segment, which has 16 bits */
#define WDAT_ENABLED (1U << 0)
#define WDAT_STOPPED_IN_SLEEP (1U << 7)

/* Microsoft WDT 1.01, Watchdog Instruction Entries */
struct wdat_entry {
	uint8_t action;
	uint8_t instruction;
	uint16_t reserved;
	struct acpi_gas reg;
	uint32_t value, mask;
} __attribute__((packed));
_Static_assert(sizeof(struct wdat_entry) == 24, "Watchdog Instruction Entry");

/* acpi/wdat.c: the table, but for its length and checksum. */
void acpi_append_wdat(struct acpi_image *image, const struct acpi_watchdog *watchdog);

#endif
