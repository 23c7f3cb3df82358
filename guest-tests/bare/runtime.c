/*
 * The runtime itself, as far as other guests lean on it without checking it: waits that halt and
 * end, interrupts that are counted, other CPUs in 64-bit C, addresses above 4 GiB.
 */
#include "guest-tests/bare/lib_irq.h"
#include "guest-tests/bare/lib_pci.h"

#define VECTOR VECTOR_FIRST
#define ICR_SELF 0x44000U /* Intel SDM vol. 3A, Interrupt Command Register: assert, self */
#define TIMEOUT_MS 5000

static volatile uint32_t came;
static volatile unsigned int handled;

static void on_interrupt(unsigned int vector)
{
	handled = vector;
}

static bool never(void *opaque)
{
	(void)opaque;
	return false;
}

static void first_cpu(void)
{
	__atomic_fetch_or(&came, 1, __ATOMIC_SEQ_CST);
}

static void second_cpu(void)
{
	__atomic_fetch_or(&came, 2, __ATOMIC_SEQ_CST);
}

static bool all_came(void *opaque)
{
	(void)opaque;
	return came == 3;
}

void test(void)
{
	const uint64_t high = 1ULL << 37;

	irq_init();
	report("a wait for nothing ends", !wait_until(never, NULL, 20));
	irq_take(VECTOR, on_interrupt);
	report_equal("no interrupt yet", irq_count(VECTOR), 0);
	MMIO(uint32_t, LAPIC + LAPIC_ICR_LOW) = ICR_SELF | VECTOR;
	report("an interrupt is awaited", irq_wait(VECTOR, 1, TIMEOUT_MS));
	report_equal("its handler ran", handled, VECTOR);
	report_equal("it was counted once", irq_count(VECTOR), 1);
	report("a second CPU runs C", cpu_run(0, first_cpu));
	report("a third CPU runs C", cpu_run(1, second_cpu));
	report("there is no fourth", !cpu_run(2, first_cpu));
	report("they did their work", wait_until(all_came, NULL, TIMEOUT_MS));
	mmio_map(high);
	report_equal("nothing is at 128 GiB", MMIO(uint32_t, high), 0xffffffff);
	report_equal("config space by ECAM and by ports", pci_read(BDF(0, 0, 0), 0, 4),
		     pci_port_read(BDF(0, 0, 0), 0));
}
