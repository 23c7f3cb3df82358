/*
 * The fixed tables, and the assembly of all: tables are installed one after the other, then
 * pointers, lengths and last the checksums.
 */
#include "acpi/tables.h"

#include <errno.h>
#include <string.h>

#include "acpi/header.h"
#include "acpi/structs.h"
#include "vmm/base/bits.h"

#define TABLE_ALIGN 16
#define FACS_ALIGN 64 /* ACPI 6.3, Firmware ACPI Control Structure (FACS) */
#define GPA_END (4 * GIB)

/* What is built so far. The first error sticks, as in acpi/aml.h. */
struct image {
	struct acpi_image out;
	uint64_t gpa;
	unsigned int tables;
	uint64_t table[XSDT_ENTRIES_MAX]; /* gpa of each, for the XSDT */
	struct acpi_links *links;         /* NULL: the tables stay where they are */
};

_Static_assert(ACPI_LINK_POINTERS_MAX == 3 + XSDT_ENTRIES_MAX, "every pointer has a link");

static void note_pointer(struct image *image, size_t off, uint8_t size)
{
	if (image->links)
		image->links->pointer[image->links->pointers++] =
			(struct acpi_link_pointer){(uint32_t)off, size};
}

/* The table from `start` to here has pointers, so its checksum, which it loses, comes later. */
static void note_checksum(struct image *image, size_t start)
{
	struct acpi_links *links = image->links;

	if (!links || image->out.error)
		return;
	image->out.buffer[start + offsetof(struct acpi_header, checksum)] = 0;
	links->sum[links->sums++] = (struct acpi_link_sum){
		.start = (uint32_t)start, .len = (uint32_t)(image->out.used - start),
		.off = (uint32_t)(start + offsetof(struct acpi_header, checksum))};
}

/* Pads to a multiple of `to`, at most FACS_ALIGN. Returns the offset. */
static size_t align(struct image *image, size_t to)
{
	static const uint8_t zeros[FACS_ALIGN];

	acpi_append(&image->out, zeros, align_up(image->out.used, to) - image->out.used);
	return image->out.used;
}

/* The table from `start` to here is complete. Returns its gpa. */
static uint64_t finish_table(struct image *image, size_t start)
{
	if (!image->out.error)
		acpi_header_finish(image->out.buffer + start, image->out.used - start);
	return image->gpa + start;
}

static void list_table(struct image *image, uint64_t gpa)
{
	image->table[image->tables++] = gpa;
}

/* What acpi_build_dsdt() or acpi_build_slot_ssdt() wrote at the end of the image. */
static void take_block(struct image *image, long len)
{
	if (len < 0)
		image->out.error = (int)len;
	else
		image->out.used += (size_t)len;
}

static uint32_t add_facs(struct image *image)
{
	const struct acpi_facs facs = {
		.signature = {'F', 'A', 'C', 'S'}, .length = sizeof(facs), .version = FACS_VERSION};
	size_t start = align(image, FACS_ALIGN);

	acpi_append(&image->out, &facs, sizeof(facs));
	return (uint32_t)(image->gpa + start);
}

static uint32_t add_dsdt(struct image *image, const struct acpi_machine *machine)
{
	size_t start = align(image, TABLE_ALIGN);

	if (!image->out.error)
		take_block(image, acpi_build_dsdt(machine, image->out.buffer + start,
						  image->out.size - start));
	return (uint32_t)(image->gpa + start);
}

static struct acpi_gas io_register(uint16_t port, uint8_t size, uint8_t access_size)
{
	return (struct acpi_gas){.space = GAS_SYSTEM_IO, .bit_width = (uint8_t)(size * 8),
				 .access_size = access_size, .address = port};
}

/* Addresses of the fixed hardware, in the old and in the extended fields. */
static void set_fixed_hardware(struct acpi_fadt *fadt, const struct acpi_machine *machine)
{
	fadt->pm1a_evt_blk = machine->pm1a_evt;
	fadt->pm1a_cnt_blk = machine->pm1a_cnt;
	fadt->pm_tmr_blk = machine->pm_tmr;
	fadt->gpe0_blk = machine->gpe0;
	fadt->pm1_evt_len = PM1_EVT_LEN;
	fadt->pm1_cnt_len = PM1_CNT_LEN;
	fadt->pm_tmr_len = PM_TMR_LEN;
	fadt->gpe0_blk_len = machine->gpe0_size;
	fadt->x_pm1a_evt_blk = io_register(machine->pm1a_evt, PM1_EVT_LEN, 2);
	fadt->x_pm1a_cnt_blk = io_register(machine->pm1a_cnt, PM1_CNT_LEN, 2);
	fadt->x_pm_tmr_blk = io_register(machine->pm_tmr, PM_TMR_LEN, 3);
	fadt->x_gpe0_blk = io_register(machine->gpe0, machine->gpe0_size, 1);
}

/* SMI_CMD is zero: the machine is always in ACPI mode. The DSDT has both addresses, the FACS only
 * the short one: ACPI 5.0, Fixed ACPI Description Table, forbids both. */
static void add_fadt(struct image *image, const struct acpi_machine *machine, uint32_t facs,
		     uint32_t dsdt)
{
	struct acpi_fadt fadt = {
		.header = acpi_header("FACP", FADT_REVISION, ACPI_TABLE_ID_MACHINE),
		.firmware_ctrl = facs,
		.dsdt = dsdt,
		.x_dsdt = dsdt,
		.sci_int = machine->sci,
		.p_lvl2_lat = NO_C2,
		.p_lvl3_lat = NO_C3,
		.iapc_boot_arch = BOOT_LEGACY_DEVICES | BOOT_VGA_NOT_PRESENT,
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_TMR_VAL_EXT |
			 FADT_RESET_REG_SUP | FADT_PCI_EXP_WAK,
		.reset_reg = io_register(machine->reset_port, 1, 1),
		.reset_value = machine->reset_value,
		.minor_version = FADT_MINOR_VERSION,
	};
	size_t start = align(image, TABLE_ALIGN);

	set_fixed_hardware(&fadt, machine);
	acpi_append(&image->out, &fadt, sizeof(fadt));
	list_table(image, finish_table(image, start));
	note_pointer(image, start + offsetof(struct acpi_fadt, firmware_ctrl), 4);
	note_pointer(image, start + offsetof(struct acpi_fadt, dsdt), 4);
	note_pointer(image, start + offsetof(struct acpi_fadt, x_dsdt), 8);
	note_checksum(image, start);
}

static void add_cpus(struct image *image, const struct acpi_machine *machine)
{
	for (unsigned int i = 0; i < machine->cpus; i++) {
		const struct madt_lapic lapic = {
			.type = 0, .length = sizeof(lapic), .uid = (uint8_t)i,
			.apic_id = (uint8_t)machine->apic_ids[i], .flags = LAPIC_ENABLED};
		const struct madt_x2apic x2apic = {
			.type = 9, .length = sizeof(x2apic), .uid = i,
			.x2apic_id = machine->apic_ids[i], .flags = LAPIC_ENABLED};

		if (machine->apic_ids[i] <= LAPIC_ID_MAX)
			acpi_append(&image->out, &lapic, sizeof(lapic));
		else
			acpi_append(&image->out, &x2apic, sizeof(x2apic));
	}
}

/*
 * Two interrupts are not where ISA has them. KVM's timer, IRQ 0, is routed to pin 2 of the IOAPIC,
 * as on a PC. The SCI keeps its number, but our PM block drives it as a level that is asserted
 * high, like KVM's other lines; without an override it would be active low.
 */
static void add_overrides(struct image *image, const struct acpi_machine *machine)
{
	const struct madt_override overrides[] = {
		{.type = 2, .length = sizeof(overrides[0]), .source = 0, .gsi = 2},
		{.type = 2, .length = sizeof(overrides[0]), .source = machine->sci,
		 .gsi = machine->sci, .flags = INTI_LEVEL_ACTIVE_HIGH},
	};

	acpi_append(&image->out, overrides, sizeof(overrides));
}

static void add_madt(struct image *image, const struct acpi_machine *machine)
{
	const struct acpi_madt madt = {
		.header = acpi_header("APIC", MADT_REVISION, ACPI_TABLE_ID_MACHINE),
		.lapic = machine->lapic,
		.flags = MADT_PCAT_COMPAT,
	};
	const struct madt_ioapic ioapic = {
		.type = 1, .length = sizeof(ioapic), .address = machine->ioapic};
	const struct madt_lapic_nmi nmi = {
		.type = 4, .length = sizeof(nmi), .uid = ALL_PROCESSORS, .lint = 1};
	size_t start = align(image, TABLE_ALIGN);

	acpi_append(&image->out, &madt, sizeof(madt));
	add_cpus(image, machine);
	acpi_append(&image->out, &ioapic, sizeof(ioapic));
	add_overrides(image, machine);
	acpi_append(&image->out, &nmi, sizeof(nmi));
	list_table(image, finish_table(image, start));
}

static void add_mcfg(struct image *image, const struct acpi_machine *machine)
{
	const struct acpi_mcfg mcfg = {
		.header = acpi_header("MCFG", MCFG_REVISION, ACPI_TABLE_ID_MACHINE),
		.ecam = machine->ecam.start,
		.last_bus = (uint8_t)((machine->ecam.size >> 20) - 1), /* 1 MiB a bus */
	};
	size_t start = align(image, TABLE_ALIGN);

	acpi_append(&image->out, &mcfg, sizeof(mcfg));
	list_table(image, finish_table(image, start));
}

static void add_wdat(struct image *image, const struct acpi_watchdog *watchdog)
{
	size_t start = align(image, TABLE_ALIGN);

	acpi_append_wdat(&image->out, watchdog);
	list_table(image, finish_table(image, start));
}

static void add_slot(struct image *image, const struct acpi_slot *slot)
{
	size_t start = align(image, TABLE_ALIGN);

	if (!image->out.error)
		take_block(image, acpi_build_slot_ssdt(slot, image->out.buffer + start,
						       image->out.size - start));
	list_table(image, image->gpa + start);
}

static uint64_t add_xsdt(struct image *image)
{
	struct acpi_xsdt xsdt = {
		.header = acpi_header("XSDT", XSDT_REVISION, ACPI_TABLE_ID_MACHINE)};
	size_t start = align(image, TABLE_ALIGN);
	uint64_t gpa;

	for (unsigned int i = 0; i < image->tables; i++) {
		xsdt.entry[i] = image->table[i];
		note_pointer(image, start + offsetof(struct acpi_xsdt, entry) +
			     i * sizeof(xsdt.entry[0]), sizeof(xsdt.entry[0]));
	}
	acpi_append(&image->out, &xsdt,
		    sizeof(xsdt.header) + image->tables * sizeof(xsdt.entry[0]));
	gpa = finish_table(image, start);
	note_checksum(image, start);
	return gpa;
}

/* The RSDP, whose place at the start was kept. */
static void set_rsdp(struct image *image, uint64_t xsdt)
{
	struct acpi_rsdp rsdp = {
		.signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '},
		.revision = RSDP_REVISION,
		.length = sizeof(rsdp),
		.xsdt = xsdt,
	};

	memcpy(rsdp.oem_id, ACPI_OEM_ID, sizeof(rsdp.oem_id));
	rsdp.checksum = acpi_checksum((const uint8_t *)&rsdp, RSDP_V1_SIZE);
	rsdp.extended_checksum = acpi_checksum((const uint8_t *)&rsdp, sizeof(rsdp));
	memcpy(image->out.buffer, &rsdp, sizeof(rsdp));
}

static long build(const struct acpi_machine *machine, uint8_t *buffer, size_t size, uint64_t gpa,
		  struct acpi_links *links)
{
	static const struct acpi_rsdp place;
	struct image image = {
		.out = {.buffer = buffer, .size = size}, .gpa = gpa, .links = links};
	uint32_t facs, dsdt;
	uint64_t xsdt;

	if (!machine->cpus || machine->cpus > ACPI_CPU_MAX || machine->slots > ACPI_SLOT_MAX ||
	    !machine->ecam.size || machine->ecam.size > 256 * MIB || gpa % FACS_ALIGN ||
	    gpa >= GPA_END || size > GPA_END - gpa)
		return -EINVAL;
	acpi_append(&image.out, &place, sizeof(place));
	facs = add_facs(&image); /* ACPI_FACS_OFFSET */
	dsdt = add_dsdt(&image, machine);
	add_fadt(&image, machine, facs, dsdt);
	add_madt(&image, machine);
	add_mcfg(&image, machine);
	if (machine->watchdog.port)
		add_wdat(&image, &machine->watchdog);
	for (unsigned int i = 0; i < machine->slots; i++)
		add_slot(&image, &machine->slot[i]);
	xsdt = add_xsdt(&image);
	if (image.out.error)
		return image.out.error;
	set_rsdp(&image, xsdt);
	return (long)image.out.used;
}

long acpi_build(const struct acpi_machine *machine, uint8_t *buffer, size_t size, uint64_t gpa)
{
	return build(machine, buffer, size, gpa, NULL);
}

long acpi_build_linked(const struct acpi_machine *machine, uint8_t *buffer, size_t size,
		       struct acpi_links *ret_links)
{
	*ret_links = (struct acpi_links){0};
	return build(machine, buffer, size, 0, ret_links);
}
