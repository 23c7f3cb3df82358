/*
 * The firmware tables of the machine: plain data in, bytes out. Pure: no allocation, no logging,
 * no knowledge of KVM or of devices.
 *
 * ACPI 6.3 without hardware-reduced mode: RSDP, XSDT, FADT, FACS, MADT, MCFG, DSDT, one SSDT for
 * each passed slot, and WDAT where there is a watchdog; SMBIOS 3.0.
 */
#ifndef ACPI_TABLES_H
#define ACPI_TABLES_H

#include <stddef.h>
#include <stdint.h>

#define ACPI_SLOT_MAX 16
#define ACPI_CPU_MAX 64

struct acpi_window {
	uint64_t start;
	uint64_t size; /* 0: absent */
};

/* One passed slot: the root port's device number on bus 0 and what is below it. */
struct acpi_slot {
	unsigned int index;       /* names the objects: RP00 ... */
	uint8_t port_dev;         /* device number of the root port on bus 0 */
	uint8_t functions;        /* bit per function that exists below */
	uint8_t d3cold;           /* non-zero: offer the power resource */
	uint8_t gpe;              /* general-purpose event of the slot's Notify */
	uint64_t controller;      /* gpa of the slot power controller (devices/slot_power.h) */
};

/* The registers of devices/watchdog.h. */
struct acpi_watchdog {
	uint16_t port;            /* the first one; 0: there is no watchdog */
	uint32_t period_ms;
	uint32_t max_count;       /* in periods */
};

struct acpi_machine {
	unsigned int cpus;
	const uint32_t *apic_ids;  /* of `cpus` local APICs */

	struct acpi_window mmio32, mmio64, io, ecam;
	struct acpi_window mmio32_more; /* where ECAM divides the window below 4 GiB */
	uint32_t ioapic, lapic;    /* gpa */
	uint16_t pm1a_evt, pm1a_cnt, pm_tmr, gpe0, reset_port; /* I/O ports */
	uint8_t gpe0_size, reset_value, sci;
	uint8_t slp_typ_s3, slp_typ_s5;
	uint16_t com1_port, rtc_port; /* 8 ports from com1_port */
	uint8_t com1_irq, rtc_irq;
	uint16_t pm_base, pm_size; /* ports that the DSDT reserves */

	/* _PRT of the host bridge: GSI of pin 0..3 (INTA..INTD) of device 0..31 on bus 0. */
	uint32_t prt[32][4];

	struct acpi_watchdog watchdog;

	unsigned int slots;
	const struct acpi_slot *slot;
};

/*
 * Writes every table into `buffer`, which the guest sees at physical address `gpa` (below 4 GiB,
 * 64-byte aligned); the RSDP comes first. Returns the bytes used, or negative errno: -ENOSPC the
 * buffer is too small, -EINVAL a count is out of range.
 */
long acpi_build(const struct acpi_machine *machine, uint8_t *buffer, size_t size, uint64_t gpa);

/* Where in it the FACS is, which the guest writes: ACPI_FACS_SIZE bytes. */
#define ACPI_FACS_OFFSET 64U
#define ACPI_FACS_SIZE 64U

/* How the guest wants to be woken from S3, as it wrote into the FACS. */
enum acpi_waking_mode {
	ACPI_WAKING_NONE,      /* not at all: no vector is set */
	ACPI_WAKING_REAL,      /* real mode at `vector` >> 4 : `vector` & 0xf */
	ACPI_WAKING_PROTECTED, /* protected mode, flat, without paging, at `vector` */
};

struct acpi_waking {
	enum acpi_waking_mode mode;
	uint32_t vector;
};

/* `facs` is a copy of the guest's FACS, of which nothing is believed but the vectors. */
struct acpi_waking acpi_waking_vector(const uint8_t facs[ACPI_FACS_SIZE]);

/*
 * The same for whoever moves the tables: built for address 0, so that the pointers are offsets into
 * `buffer`. The links say where they are, and which sums come after; those checksums are 0. The
 * RSDP, which comes first, is not in the links.
 */
#define ACPI_LINK_POINTERS_MAX (3 + 4 + ACPI_SLOT_MAX) /* of the FADT; of the XSDT */
#define ACPI_LINK_SUMS_MAX 2
struct acpi_links {
	unsigned int pointers, sums;
	struct acpi_link_pointer {
		uint32_t off;
		uint8_t size; /* bytes, 4 or 8 */
	} pointer[ACPI_LINK_POINTERS_MAX];
	struct acpi_link_sum {
		uint32_t off, start, len; /* the checksum's place; what is summed up */
	} sum[ACPI_LINK_SUMS_MAX];
};
long acpi_build_linked(const struct acpi_machine *machine, uint8_t *buffer, size_t size,
		       struct acpi_links *ret_links);

/*
 * What firmware does with tables that it places itself: the script of QEMU's ACPI table loader, for
 * `tables` that acpi_build_linked() wrote. Takes the RSDP from their start into `ret_rsdp`. Returns
 * the bytes of the script, or -ENOSPC.
 */
#define ACPI_FILE_TABLES "etc/acpi/tables"
#define ACPI_FILE_RSDP "etc/acpi/rsdp"
#define ACPI_FILE_LOADER "etc/table-loader"
#define ACPI_RSDP_SIZE 36
#define ACPI_LOADER_ENTRY_SIZE 128
#define ACPI_LOADER_SIZE_MAX                                                     \
	((ACPI_LINK_POINTERS_MAX + ACPI_LINK_SUMS_MAX + 5) * ACPI_LOADER_ENTRY_SIZE)
long acpi_build_loader(const struct acpi_links *links, uint8_t *tables,
		       uint8_t ret_rsdp[ACPI_RSDP_SIZE], uint8_t *script, size_t size);

/* Single tables, for tests and for acpi_build(): same returns. */
long acpi_build_dsdt(const struct acpi_machine *machine, uint8_t *buffer, size_t size);
long acpi_build_slot_ssdt(const struct acpi_slot *slot, uint8_t *buffer, size_t size);

struct smbios_machine {
	const char *version;      /* of the program */
	unsigned int cpus;
	uint64_t memory_size;     /* bytes */
	uint64_t memory_low;      /* of these, below 4 GiB from 0, the rest from 4 GiB; 0: all */
	uint8_t uuid[16];
};

/* SMBIOS 3.0 entry point (first, 16-byte aligned) and structure table, as acpi_build(). */
long smbios_build(const struct smbios_machine *machine, uint8_t *buffer, size_t size,
		  uint64_t gpa);

#endif
