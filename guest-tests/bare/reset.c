/*
 * Reboot in place, by every way that there is. How far it got is kept (stage()); everything else
 * must be as at the first boot. With cpus=N they are started each time.
 */
#include "guest-tests/bare/lib.h"

#define TIMEOUT_US 3000000
#define PORT_RESET 0xcf9
#define RESET_CPU_AND_SYSTEM 0x06
#define PORT_I8042 0x64
#define I8042_RESET 0xfe
#define COM1_IER 1
#define COM1_MCR 4
#define IOAPIC_PIN 5
#define IOAPIC_MASKED 0x10000U

/* Reloaded with the kernel: they must be as linked, whatever an earlier boot wrote. */
static volatile uint32_t in_data = 0x11223344;
static volatile uint32_t in_bss;

static void reset_by_port(void)
{
	outb(PORT_RESET, RESET_CPU_AND_SYSTEM & ~4);
	outb(PORT_RESET, RESET_CPU_AND_SYSTEM);
}

static void reset_by_acpi(void)
{
	const struct acpi_header *fadt = acpi_find("FACP");

	outb((uint16_t)acpi_get64(fadt, FADT_RESET_REG + 4),
	     ((const uint8_t *)fadt)[FADT_RESET_VALUE]);
}

static void reset_by_i8042(void)
{
	outb(PORT_I8042, I8042_RESET);
}

static void reset_by_triple_fault(void)
{
	static const uint8_t nothing[10]; /* an empty descriptor table */

	__asm__ volatile("lidt %0; ud2" : : "m"(nothing));
}

static const struct {
	const char *name;
	void (*reset)(void);
} ways[] = {
	{"reset by port 0xcf9", reset_by_port},
	{"reset by the ACPI reset register", reset_by_acpi},
	{"reset by the keyboard controller", reset_by_i8042},
	{"reset by a triple fault", reset_by_triple_fault},
};

static void check_fresh(void)
{
	const struct acpi_header *fadt = acpi_find("FACP");
	uint16_t pm1_enable = (uint16_t)(acpi_get32(fadt, FADT_PM1A_EVT) + 2);

	report_equal(".data is as linked", in_data, 0x11223344);
	report_equal(".bss is zero", in_bss, 0);
	report_equal("serial interrupts are off", inb(COM1 + COM1_IER), 0);
	report_equal("modem control is clear", inb(COM1 + COM1_MCR), 0);
	report_equal("PM1 enable is clear", inw(pm1_enable), 0);
	report("local APIC is off", !(MMIO(uint32_t, LAPIC + LAPIC_SPURIOUS) & 0x100));
	report("IOAPIC pin is masked", ioapic_read(0x10 + 2 * IOAPIC_PIN) & IOAPIC_MASKED);
}

static void make_dirty(void)
{
	const struct acpi_header *fadt = acpi_find("FACP");

	in_data = 1;
	in_bss = 1;
	outb(COM1 + COM1_IER, 0x0f);
	outb(COM1 + COM1_MCR, 0x03);
	outw((uint16_t)(acpi_get32(fadt, FADT_PM1A_EVT) + 2), 0x100);
	interrupt_init();
	ioapic_route(IOAPIC_PIN, 0x30);
}

static void check_cpus(void)
{
	unsigned int expected, started = cpus_start(&expected);

	report_equal("every CPU starts once", started, expected);
	report_equal("the MADT names every CPU", expected + 1, (uint64_t)option("cpus"));
}

void test(void)
{
	unsigned int done = stage();
	struct stopwatch watch;

	if (done)
		report(done <= ARRAY_SIZE(ways) ? ways[done - 1].name : "stage", true);
	check_fresh();
	if (option("cpus") > 0)
		check_cpus();
	if (done >= ARRAY_SIZE(ways))
		return;
	stage_set(done + 1);
	make_dirty();
	ways[done].reset();
	stopwatch_start(&watch);
	while (stopwatch_us(&watch) < TIMEOUT_US)
		;
	report(ways[done].name, false);
}
