/*
 * The ACPI tables from inside: checksums, what must be there, and that the registers which the FADT
 * names behave as such.
 */
#include "guest-tests/bare/lib.h"

#define TABLES_MAX 64
#define FACS_MIN 64
#define FADT_SMI_CMD 48
#define FLAG_RESET_REG_SUP (1U << 10)
#define FLAG_HW_REDUCED (1U << 20)
#define SPACE_IO 1
#define PM1_PWRBTN (1U << 8)
#define PM1_CNT_SCI_EN 1
#define IOAPIC_PINS 24

/* The signature as a name for reports. */
static void report_table(const struct acpi_header *table, const char *what, bool good)
{
	char name[64] = {0};

	memcpy(name, table->signature, 4);
	name[4] = ' ';
	memcpy(name + 5, what, strlen(what));
	report(name, good);
}

static void check_root(void)
{
	const struct acpi_header *rsdp = (const struct acpi_header *)(uintptr_t)boot_info()->rsdp;
	const struct acpi_header *xsdt;
	bool is_2 = ((const uint8_t *)rsdp)[15] >= 2;

	report("RSDP revision 2", is_2);
	if (!is_2)
		return;
	report("RSDP extended checksum", acpi_checksum_good(rsdp, acpi_get32(rsdp, 20)));
	xsdt = (const struct acpi_header *)(uintptr_t)acpi_get64(rsdp, 24);
	report("RSDP points at an XSDT", xsdt && !memcmp(xsdt->signature, "XSDT", 4));
	report("XSDT checksum", acpi_checksum_good(xsdt, xsdt->length));
}

static void check_tables(void)
{
	static const char *const needed[] = {"FACP", "APIC", "MCFG"};
	const struct acpi_header *table;

	for (unsigned int i = 0; i < TABLES_MAX && (table = acpi_table(i)); i++)
		report_table(table, "checksum", table->length >= sizeof(*table) &&
			     acpi_checksum_good(table, table->length));
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		report(needed[i], acpi_find(needed[i]));
}

static void check_fadt(const struct acpi_header *fadt)
{
	const struct acpi_header *facs, *dsdt;
	uint32_t flags = acpi_get32(fadt, FADT_FLAGS), reset = acpi_get32(fadt, FADT_RESET_REG);

	facs = (const struct acpi_header *)(uintptr_t)acpi_get32(fadt, FADT_FACS);
	report("FACS", facs && !memcmp(facs->signature, "FACS", 4) && facs->length >= FACS_MIN &&
	       !((uintptr_t)facs & 63));
	dsdt = (const struct acpi_header *)(uintptr_t)acpi_get64(fadt, FADT_X_DSDT);
	if (!dsdt)
		dsdt = (const struct acpi_header *)(uintptr_t)acpi_get32(fadt, FADT_DSDT);
	report("DSDT", dsdt && !memcmp(dsdt->signature, "DSDT", 4) &&
	       acpi_checksum_good(dsdt, dsdt->length));
	report("not hardware-reduced", !(flags & FLAG_HW_REDUCED));
	report("reset register is offered", flags & FLAG_RESET_REG_SUP);
	report_equal("reset register is in I/O space", reset & 0xff, SPACE_IO);
	report_equal("reset register is port 0xcf9", acpi_get64(fadt, FADT_RESET_REG + 4), 0xcf9);
	report_equal("no SMI command: always in ACPI mode", acpi_get32(fadt, FADT_SMI_CMD), 0);
}

static void check_pm1(const struct acpi_header *fadt)
{
	uint16_t event = (uint16_t)acpi_get32(fadt, FADT_PM1A_EVT);
	uint16_t control = (uint16_t)acpi_get32(fadt, FADT_PM1A_CNT);
	uint16_t enable = inw((uint16_t)(event + 2));

	report("PM1 control has SCI_EN", inw(control) & PM1_CNT_SCI_EN);
	outw((uint16_t)(event + 2), enable ^ PM1_PWRBTN);
	report_equal("PM1 enable holds PWRBTN_EN", inw((uint16_t)(event + 2)) & PM1_PWRBTN,
		     (enable ^ PM1_PWRBTN) & PM1_PWRBTN);
	outw((uint16_t)(event + 2), enable);
	report_equal("PM1 enable is back", inw((uint16_t)(event + 2)), enable);
	outw(event, 0xffff);
	report_equal("PM1 status is cleared by ones", inw(event) & PM1_PWRBTN, 0);
}

static void check_gpe0(const struct acpi_header *fadt)
{
	uint16_t base = (uint16_t)acpi_get32(fadt, FADT_GPE0);
	uint8_t half = ((const uint8_t *)fadt)[FADT_GPE0_LEN] / 2;
	uint16_t enable = (uint16_t)(base + half);

	report("GPE0 block is there", base && half);
	report_equal("GPE0 enable is clear after reset", inb(enable), 0);
	outb(enable, 0xa5);
	report_equal("GPE0 enable holds what is written", inb(enable), 0xa5);
	outb(enable, 0);
	outb(base, 0xff);
	report_equal("GPE0 status is not set by writes", inb(base), 0);
}

static void check_timer(void)
{
	struct stopwatch watch;
	unsigned int reads = 0;

	stopwatch_start(&watch);
	while (stopwatch_us(&watch) < 100 && reads < 1000000)
		reads++;
	report("PM timer advances", watch.ticks > 0 && reads < 1000000);
}

static void check_apics(void)
{
	const struct acpi_header *madt = acpi_find("APIC");

	report_equal("MADT local APIC address", acpi_get32(madt, 36), LAPIC);
	report_equal("IOAPIC has 24 pins", (ioapic_read(1) >> 16 & 0xff) + 1, IOAPIC_PINS);
}

static void check_mcfg(void)
{
	const struct acpi_header *mcfg = acpi_find("MCFG");
	uint64_t base = acpi_get64(mcfg, 44);

	report("MCFG: the host bridge answers", MMIO(uint32_t, base) != 0xffffffff);
}

void test(void)
{
	const struct acpi_header *fadt = acpi_find("FACP");

	check_root();
	check_tables();
	check_fadt(fadt);
	check_pm1(fadt);
	check_gpe0(fadt);
	check_timer();
	check_apics();
	check_mcfg();
}
