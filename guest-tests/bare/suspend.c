/*
 * S3: the guest sleeps, is woken by the alarm, and begins at its waking vector with its memory as
 * it was, one CPU in real mode (with protected=1 in protected mode), everything else as after a
 * reset, but for the clock and what woke it.
 *
 * With novector=1 there is no vector, with device=1 one in the memory of a device: the machine is
 * reset. With cpus=N the others are started before and after.
 */
#include "guest-tests/bare/lib_irq.h"
#include "guest-tests/bare/lib_pci.h"
#include "guest-tests/bare/lib_sleep.h"

/* Intel SDM vol. 3A, IA32_MTRR_DEF_TYPE MSR. */
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MTRR_ENABLED_WRITE_BACK 0x806
#define COM1_IER 1
#define IOAPIC_PIN 5
#define IOAPIC_MASKED 0x10000U
#define NVRAM_STAGE 0x50
#define STAGE_SLEPT 0x5a
#define PANIC_BDF BDF(0, 0x1e, 0)
#define SLOT_POWER 0xfed50000ULL /* what is there executes nothing */
#define PATTERN_STEP 0x1000U
#define PATTERN_START 0x800000ULL
#define PATTERN_END 0x1800000ULL

static void fill_memory(uint32_t seed)
{
	for (uint64_t at = PATTERN_START; at < PATTERN_END; at += PATTERN_STEP)
		MMIO(uint32_t, at) = (uint32_t)at ^ seed;
}

static void check_memory(uint32_t seed)
{
	unsigned int wrong = 0;

	for (uint64_t at = PATTERN_START; at < PATTERN_END; at += PATTERN_STEP)
		wrong += MMIO(uint32_t, at) != ((uint32_t)at ^ seed);
	report_equal("memory is as it was", wrong, 0);
}

static void check_cpus(void)
{
	unsigned int expected, started = cpus_start(&expected);

	report_equal("every CPU starts once", started, expected);
	if (option("cpus") > 0)
		report_equal("the MADT names every CPU", expected + 1, (uint64_t)option("cpus"));
}

/* What a reset would not leave so. */
static void make_dirty(void)
{
	outb(COM1 + COM1_IER, 0x0f);
	interrupt_init();
	ioapic_route(IOAPIC_PIN, 0x30);
	pci_change(PANIC_BDF, PCI_COMMAND, 2, 0, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void check_devices(uint32_t bar)
{
	uint32_t low, high;

	report_equal("serial interrupts are off", inb(COM1 + COM1_IER), 0);
	report("local APIC is off", !(MMIO(uint32_t, LAPIC + LAPIC_SPURIOUS) & 0x100));
	report("IOAPIC pin is masked", ioapic_read(0x10 + 2 * IOAPIC_PIN) & IOAPIC_MASKED);
	report_equal("a PCI function does not decode", pci_read(PANIC_BDF, PCI_COMMAND, 2), 0);
	report_equal("it has its address", pci_read(PANIC_BDF, PCI_BASE_ADDRESS_0, 4), bar);
	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(MSR_MTRR_DEF_TYPE));
	report_equal("memory is write-back", low & 0xcff, MTRR_ENABLED_WRITE_BACK);
}

static void check_alarm(enum sleep_vector mode, uint32_t seed)
{
	uint32_t bar = pci_read(PANIC_BDF, PCI_BASE_ADDRESS_0, 4);

	fill_memory(seed);
	make_dirty();
	pm1_clear(0xffff);
	pm1_enable(PM1_RTC);
	nvram_set(NVRAM_STAGE, (uint8_t)seed);
	alarm_set(2);
	if (!sleep_s3(mode))
		finish();
	report_equal("PM1 status names the alarm", pm1_status(), PM1_WAK | PM1_RTC);
	report_equal("the clock's memory is as it was", nvram_get(NVRAM_STAGE), (uint8_t)seed);
	check_memory(seed);
	check_devices(bar);
	check_cpus();
	pm1_clear(0xffff);
	report_equal("WAK_STS can be cleared", pm1_status(), 0);
	alarm_clear();
}

/* An event that waits already: it sleeps and is woken at once. */
static void check_pending(enum sleep_vector mode)
{
	alarm_set(1);
	while (!(pm1_status() & PM1_RTC))
		;
	if (!sleep_s3(mode))
		finish();
	report_equal("PM1 status names the alarm of before", pm1_status(), PM1_WAK | PM1_RTC);
	alarm_clear();
	pm1_clear(0xffff);
}

/* False: this is the boot after. */
static bool is_first_boot(void)
{
	if (nvram_get(NVRAM_STAGE) != STAGE_SLEPT)
		return true;
	report("a wake that leads nowhere is a reset", true);
	report_equal("PM1 status is clear", pm1_status(), 0);
	return false;
}

static void sleep_to_nowhere(uint64_t x_vector)
{
	if (!is_first_boot())
		return;
	nvram_set(NVRAM_STAGE, STAGE_SLEPT);
	pm1_enable(PM1_RTC);
	alarm_set(1);
	sleep_set_vectors(0, x_vector);
	sleep_enter();
	report("S3 was entered", false);
}

void test(void)
{
	enum sleep_vector mode = option("protected") > 0 ? SLEEP_PROTECTED_MODE : SLEEP_REAL_MODE;

	if (option("novector") > 0) {
		sleep_to_nowhere(0);
	} else if (option("device") > 0) {
		sleep_to_nowhere(SLOT_POWER);
	} else {
		check_cpus();
		check_alarm(mode, 0x11);
		check_alarm(mode, 0x22);
		check_pending(mode);
	}
}
