#include "guest-tests/bare/lib.h"

#define RSDP_RSDT 16
#define RSDP_REVISION 15
#define RSDP_XSDT 24
#define PM_TIMER_HZ 3579545U
#define PM_TIMER_MASK 0xffffffU

/* ACPI 6.3, 5.2.12 Multiple APIC Description Table. */
#define MADT_ENTRIES 44
#define MADT_LOCAL_APIC 0
#define MADT_ENABLED 1

/* Where an AP starts and counts itself; see start.S. */
#define AP_START 0x8000U
#define AP_COUNTS 0x9000U
#define AP_MAX 256
#define START_TIMEOUT_US 3000000
#define ICR_INIT 0x4500U
#define ICR_STARTUP 0x4600U
#define ICR_PENDING 0x1000U

extern const uint8_t ap_trampoline[], ap_trampoline_end[];

bool acpi_checksum_good(const void *bytes, size_t size)
{
	const uint8_t *p = bytes;
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + p[i]);
	return !sum;
}

uint32_t acpi_get32(const struct acpi_header *table, size_t off)
{
	uint32_t value;

	memcpy(&value, (const uint8_t *)table + off, sizeof(value));
	return value;
}

uint64_t acpi_get64(const struct acpi_header *table, size_t off)
{
	return acpi_get32(table, off) | (uint64_t)acpi_get32(table, off + 4) << 32;
}

const struct acpi_header *acpi_table(unsigned int index)
{
	const void *rsdp = (const void *)(uintptr_t)boot_info()->rsdp;
	bool has_xsdt = ((const uint8_t *)rsdp)[RSDP_REVISION] >= 2;
	size_t entry = has_xsdt ? 8 : 4, off = sizeof(struct acpi_header) + index * entry;
	const struct acpi_header *root = (const struct acpi_header *)(uintptr_t)(has_xsdt ?
		acpi_get64(rsdp, RSDP_XSDT) : acpi_get32(rsdp, RSDP_RSDT));

	if (off + entry > root->length)
		return NULL;
	return (const struct acpi_header *)(uintptr_t)(has_xsdt ? acpi_get64(root, off) :
								acpi_get32(root, off));
}

const struct acpi_header *acpi_find(const char *signature)
{
	const struct acpi_header *table = NULL;

	for (unsigned int i = 0; (table = acpi_table(i)); i++)
		if (!memcmp(table->signature, signature, sizeof(table->signature)))
			break;
	return table;
}

/* --- time --- */

static uint32_t pm_timer(void)
{
	static uint16_t port;

	if (!port)
		port = (uint16_t)acpi_get32(acpi_find("FACP"), FADT_PM_TMR);
	return inl(port) & PM_TIMER_MASK;
}

void stopwatch_start(struct stopwatch *watch)
{
	*watch = (struct stopwatch){.last = pm_timer()};
}

uint64_t stopwatch_us(struct stopwatch *watch)
{
	uint32_t now = pm_timer();

	watch->ticks += (now - watch->last) & PM_TIMER_MASK;
	watch->last = now;
	return watch->ticks * 1000000 / PM_TIMER_HZ;
}

/* --- CPUs --- */

static void send_ipi(uint8_t apic_id, uint32_t command)
{
	MMIO(uint32_t, LAPIC + LAPIC_ICR_HIGH) = (uint32_t)apic_id << 24;
	MMIO(uint32_t, LAPIC + LAPIC_ICR_LOW) = command;
	while (MMIO(uint32_t, LAPIC + LAPIC_ICR_LOW) & ICR_PENDING)
		;
}

static bool cpu_start(uint8_t apic_id)
{
	volatile uint8_t *count = (volatile uint8_t *)(uintptr_t)(AP_COUNTS + apic_id);
	struct stopwatch watch;

	send_ipi(apic_id, ICR_INIT);
	send_ipi(apic_id, ICR_STARTUP | AP_START >> 12);
	stopwatch_start(&watch);
	while (!*count && stopwatch_us(&watch) < START_TIMEOUT_US)
		;
	/* A second start-up message, as real systems get, must not start a running CPU again. */
	send_ipi(apic_id, ICR_STARTUP | AP_START >> 12);
	return *count == 1;
}

unsigned int cpus_start(unsigned int *ret_expected)
{
	const struct acpi_header *madt = acpi_find("APIC");
	uint8_t self = (uint8_t)(MMIO(uint32_t, LAPIC + LAPIC_ID) >> 24);
	unsigned int started = 0, expected = 0;

	interrupt_init();
	memset((void *)(uintptr_t)AP_COUNTS, 0, AP_MAX);
	memcpy((void *)(uintptr_t)AP_START, ap_trampoline,
	       (size_t)(ap_trampoline_end - ap_trampoline));
	for (size_t off = MADT_ENTRIES; madt && off + 2 <= madt->length;) {
		const uint8_t *entry = (const uint8_t *)madt + off;

		if (entry[0] == MADT_LOCAL_APIC && entry[4] & MADT_ENABLED && entry[3] != self) {
			expected++;
			started += cpu_start(entry[3]);
		}
		if (!entry[1])
			break;
		off += entry[1];
	}
	*ret_expected = expected;
	return started;
}
