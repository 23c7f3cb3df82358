/* What the guest is told of wakes: native PME by MSI or by the line, and ACPI's Notify. */
#include "guest-tests/soak/soak.h"

#define VECTOR_PME 41
#define LAPIC_IRR 0x200 /* Intel SDM vol. 3A, Interrupt Acceptance for Fixed Interrupts */
#define WAKE_TIMEOUT_MS 20000
#define PMCSR_WOKEN (PCI_PM_CTRL_PME_STATUS | PCI_PM_CTRL_PME_ENABLE | 3)
#define WAKE_REGISTER MMIO(uint32_t, soak.slot.wake)

static unsigned int interrupts; /* those before this cycle */
static unsigned int served;     /* and of this one those that were served, one by one */

/* The line is level-triggered: it stays masked until its cause was served. */
static void on_pme(unsigned int vector)
{
	(void)vector;
	if (soak.intx)
		intx_mask(soak.slot.port);
}

static void rearm(void)
{
	if (soak.intx)
		intx_route(soak.slot.port, VECTOR_PME);
}

/* All that came, also what the local APIC still holds: an emulated CPU may take its time. */
static unsigned int count_interrupts(void)
{
	unsigned int count;

	do
		count = irq_count(VECTOR_PME);
	while (MMIO(uint32_t, LAPIC + LAPIC_IRR + VECTOR_PME / 32 * 0x10) >> VECTOR_PME % 32 & 1);
	return count;
}

void wakes_init(void)
{
	irq_take(VECTOR_PME, on_pme);
	if (!soak.intx)
		msi_route(soak.slot.port, VECTOR_PME);
	rearm();
	pci_change(soak.slot.port, soak.slot.port_exp + PCI_EXP_RTCTL, 2, 0,
		   PCI_EXP_RTCTL_PMEIE);
	served = interrupts = count_interrupts();
}

/* --- while the slot sleeps --- */

static void take_pme(struct cycle *cycle, unsigned int fn)
{
	if (!(cycle->may & cycle->pme & ~cycle->told_pme & 1U << fn)) {
		numbers.spurious++;
		soak_fail(cycle, "PME of a function that nothing woke, or twice", 1U << fn,
			  cycle->may);
	}
	cycle->told_pme |= 1U << fn;
	numbers.pmes++;
}

/* Root Status, which shows Pending with Status only, and functions of the slot. */
static uint32_t read_root_status(const struct cycle *cycle)
{
	uint32_t status = ROOT_STATUS;

	if (!(status & (PCI_EXP_RTSTA_PME | PCI_EXP_RTSTA_PENDING)))
		return 0;
	soak_expect(cycle, "PME Pending without PME Status", status & PCI_EXP_RTSTA_PME,
		    PCI_EXP_RTSTA_PME);
	soak_expect(cycle, "bus and device of the requester", status & 0xfff8, soak.slot.fn[0]);
	return status;
}

/* Now what the port shows is cleared first, now what the function has set: both orders are good. */
static void serve_pme(struct cycle *cycle, uint32_t status)
{
	bool port_first = cycle->number & 1;
	unsigned int fn = status & 7;

	take_pme(cycle, fn);
	if (port_first)
		ROOT_STATUS = PCI_EXP_RTSTA_PME;
	soak_expect(cycle, "PMCSR of a function that woke", PMCSR(fn) & PMCSR_WOKEN, PMCSR_WOKEN);
	PMCSR(fn) = PMCSR_WOKEN;
	soak_expect(cycle, "PME_Status is cleared", PMCSR(fn) & PCI_PM_CTRL_PME_STATUS, 0);
	if (!port_first)
		ROOT_STATUS = PCI_EXP_RTSTA_PME;
}

/* All that the port shows, and then what waited behind it; or one for each interrupt, which must
 * come again for those behind it. */
static void serve_pmes(struct cycle *cycle)
{
	unsigned int came = cycle->one_by_one ? count_interrupts() : 0;
	uint32_t status;

	if (cycle->one_by_one && came == served)
		return;
	served = came;
	while ((status = read_root_status(cycle))) {
		serve_pme(cycle, status);
		if (cycle->one_by_one)
			break;
	}
	rearm();
}

/* The bits of WAKE, and the general-purpose event whose method would read them. */
static void serve_notify(struct cycle *cycle)
{
	uint32_t functions = WAKE_REGISTER;

	if (!functions)
		return;
	if (functions & ~(cycle->may & soak.notified & ~cycle->pme & ~cycle->told_notify)) {
		numbers.spurious++;
		soak_fail(cycle, "Notify for functions that nothing woke", functions, cycle->may);
	}
	WAKE_REGISTER = functions;
	cycle->told_notify |= functions;
	numbers.notifies += soak_count_bits(functions);
}

static bool serve(void *opaque)
{
	struct cycle *cycle = opaque;

	serve_pmes(cycle);
	if (soak.notified)
		serve_notify(cycle);
	return !(cycle->must & ~(cycle->told_pme | cycle->told_notify));
}

void wakes_await(struct cycle *cycle)
{
	if (!cycle->must)
		return;
	numbers.wakes += soak_count_bits(cycle->must);
	if (wait_until(serve, cycle, WAKE_TIMEOUT_MS))
		return;
	numbers.lost++;
	soak_fail(cycle, "LOST WAKE-UP: functions that the guest was told of",
		  cycle->told_pme | cycle->told_notify, cycle->must);
}

/* --- afterwards --- */

/* The event came if Notify did; Status of the event is set even though it is not enabled. */
static void check_gpe(const struct cycle *cycle)
{
	bool set = inb(soak.gpe_port) & soak.gpe_bit;

	soak_expect(cycle, "the event of Notify", set, cycle->told_notify != 0);
	if (set)
		outb(soak.gpe_port, (uint8_t)soak.gpe_bit);
}

/* Functions that woke while _ON was on its way; D0 and no PME_En for all. A slot that was switched
 * on before it was off may never have lost its state. */
static void take_late_pmes(struct cycle *cycle)
{
	bool was_off = cycle->course == COURSE_SLEEP || cycle->course == COURSE_LATE;

	for (unsigned int fn = 0; fn < soak.count; fn++) {
		uint16_t pmcsr = PMCSR(fn);

		if (was_off)
			soak_expect(cycle, "PowerState after _ON", pmcsr & PCI_PM_CTRL_STATE_MASK,
				    0);
		if (pmcsr & PCI_PM_CTRL_PME_STATUS)
			take_pme(cycle, fn);
		PMCSR(fn) = PCI_PM_CTRL_PME_STATUS;
	}
}

void wakes_finish(struct cycle *cycle)
{
	unsigned int before = interrupts;
	uint32_t status;

	take_late_pmes(cycle);
	/* What the port shows stays until it is cleared; what waited behind it may be gone. */
	while ((status = read_root_status(cycle))) {
		soak_expect(cycle, "requester of a late PME", cycle->told_pme >> (status & 7) & 1,
			    1);
		ROOT_STATUS = PCI_EXP_RTSTA_PME;
	}
	if (soak.notified) {
		serve_notify(cycle);
		check_gpe(cycle);
	}
	served = interrupts = count_interrupts();
	rearm();
	if (!cycle->told_pme && interrupts != before)
		numbers.spurious++;
	soak_expect(cycle, "interrupts for PMEs and for nothing else", interrupts != before,
		    cycle->told_pme != 0);
	numbers.woken += cycle->told_pme || cycle->told_notify;
}
