#include "guest-tests/bare/lib.h"
#include "guest-tests/bare/start.h"

/* ACPI 6.3, 5.2.12 Multiple APIC Description Table. */
#define MADT_ENTRIES 44
#define MADT_LOCAL_APIC 0
#define MADT_ENABLED 1

#define AP_MAX 256
#define STACK_SIZE 8192
#define START_TIMEOUT_US 3000000
#define ICR_INIT 0x4500U
#define ICR_STARTUP 0x4600U
#define ICR_PENDING 0x1000U

extern const uint8_t ap_trampoline[], ap_trampoline_end[], ap_long[], ap_long_end[];
extern uint64_t ap_stack;
void ap_main(void);

/* Of the CPU that is being started. */
uint64_t ap_stack;
static void (*ap_function)(void);
static volatile bool ap_came;

static void send_ipi(uint8_t apic_id, uint32_t command)
{
	MMIO(uint32_t, LAPIC + LAPIC_ICR_HIGH) = (uint32_t)apic_id << 24;
	MMIO(uint32_t, LAPIC + LAPIC_ICR_LOW) = command;
	while (MMIO(uint32_t, LAPIC + LAPIC_ICR_LOW) & ICR_PENDING)
		;
}

/* Starts `apic_id` at `page` and awaits that it sets `came`. */
static void start_at(uint8_t apic_id, uint32_t page, const volatile uint8_t *came)
{
	struct stopwatch watch;

	send_ipi(apic_id, ICR_INIT);
	send_ipi(apic_id, ICR_STARTUP | page >> 12);
	stopwatch_start(&watch);
	while (!*came && stopwatch_us(&watch) < START_TIMEOUT_US)
		;
}

/* APIC ID of number `index` of the MADT's other CPUs. False after the last. */
static bool other_cpu(unsigned int index, uint8_t *ret_apic_id)
{
	const struct acpi_header *madt = acpi_find("APIC");
	uint8_t self = (uint8_t)(MMIO(uint32_t, LAPIC + LAPIC_ID) >> 24);

	for (size_t off = MADT_ENTRIES; madt && off + 2 <= madt->length;) {
		const uint8_t *entry = (const uint8_t *)madt + off;

		if (entry[0] == MADT_LOCAL_APIC && entry[4] & MADT_ENABLED && entry[3] != self &&
		    !index--) {
			*ret_apic_id = entry[3];
			return true;
		}
		if (!entry[1])
			break;
		off += entry[1];
	}
	return false;
}

/* --- counting them --- */

static bool cpu_start(uint8_t apic_id)
{
	volatile uint8_t *count = (volatile uint8_t *)(uintptr_t)(AP_COUNTS + apic_id);

	start_at(apic_id, AP_START, count);
	/* A second start-up message, as real systems get, must not start a running CPU again. */
	send_ipi(apic_id, ICR_STARTUP | AP_START >> 12);
	return *count == 1;
}

unsigned int cpus_start(unsigned int *ret_expected)
{
	unsigned int started = 0, expected = 0;
	uint8_t apic_id;

	interrupt_init();
	memset((void *)(uintptr_t)AP_COUNTS, 0, AP_MAX);
	memcpy((void *)(uintptr_t)AP_START, ap_trampoline,
	       (size_t)(ap_trampoline_end - ap_trampoline));
	while (other_cpu(expected, &apic_id)) {
		expected++;
		started += cpu_start(apic_id);
	}
	*ret_expected = expected;
	return started;
}

/* --- work for them --- */

void ap_main(void)
{
	void (*function)(void) = ap_function;

	interrupt_load();
	ap_came = true;
	function();
}

bool cpu_run(unsigned int index, void (*function)(void))
{
	static uint8_t stacks[3][STACK_SIZE] __attribute__((aligned(16)));
	uint8_t apic_id;

	if (index >= ARRAY_SIZE(stacks) || !other_cpu(index, &apic_id))
		return false;
	memcpy((void *)(uintptr_t)AP_LONG_START, ap_long, (size_t)(ap_long_end - ap_long));
	ap_stack = (uintptr_t)stacks[index] + STACK_SIZE;
	ap_function = function;
	ap_came = false;
	start_at(apic_id, AP_LONG_START, (const volatile uint8_t *)&ap_came);
	return ap_came;
}
