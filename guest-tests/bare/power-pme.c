/*
 * A sleeping slot is woken by its device, and the guest is told by native PME: by MSI, or with
 * option intx=1 by the level-triggered line. The requester is named, PME_Status is set, both are
 * cleared by writing one, the next sleep is as the first. Several functions at once: none is lost,
 * and Root Status never shows PME Pending without PME Status.
 *
 * With option script=1 the model wakes by itself, some time after each entry; else it is asked to.
 */
#include "guest-tests/bare/lib_gpu.h"
#include "guest-tests/bare/lib_irq.h"

#define VECTOR_PME 41
#define PME_TIMEOUT_MS 10000
#define QUIET_TRIES 10

static struct slot slot;
static bool intx;

/* The line is level-triggered: it stays masked until its cause was served. */
static void on_pme(unsigned int vector)
{
	(void)vector;
	if (intx)
		intx_mask(slot.port);
}

static void rearm(void)
{
	if (intx)
		intx_route(slot.port, VECTOR_PME);
}

/* How many interrupts there were. A level may have been taken more than once before the handler had
 * masked it; a message is one. */
static unsigned int taken(void)
{
	unsigned int count = irq_count(VECTOR_PME);

	if (!intx)
		report_equal("one message for one edge", count, 1);
	return count;
}

static void set_pme_interrupt(bool on)
{
	pci_change(slot.port, slot.port_exp + PCI_EXP_RTCTL, 2, PCI_EXP_RTCTL_PMEIE,
		   on ? PCI_EXP_RTCTL_PMEIE : 0);
}

static void clear_root_status(void)
{
	pci_write(slot.port, slot.port_exp + PCI_EXP_RTSTA, 4, PCI_EXP_RTSTA_PME);
}

/* --- one sleep --- */

/* Into D3cold with PME enabled for the functions of `mask`; others sleep without. */
static void suspend(unsigned int mask)
{
	for (unsigned int fn = 0; fn < SLOT_FUNCTIONS; fn++)
		if (slot.fn[fn])
			slot_set_pmcsr(&slot, fn, 3 | PCI_PM_CTRL_PME_STATUS |
					       (mask >> fn & 1 ? PCI_PM_CTRL_PME_ENABLE : 0));
	pci_change(slot.port, slot.port_pm + PCI_PM_CTRL, 2, 3, 3);
	report_equal("_OFF: STATUS", slot_switch(&slot, false, SLOT_TIMEOUT_MS), 0);
}

static void wake(unsigned int fn)
{
	char command[] = "wake 0 now";

	if (option("script") > 0)
		return;
	command[5] = (char)('0' + fn);
	report(join("model", command), model_ask(command));
}

static unsigned int devfn_bit(uint32_t root_status)
{
	return 1U << (root_status & 7);
}

/* Nothing is asserted: of an asserted level every unmasking makes an interrupt; what is still on
 * its way ends after a few. */
static bool is_quiet(void)
{
	for (unsigned int tries = 0; tries < QUIET_TRIES; tries++) {
		unsigned int count = taken();

		rearm();
		if (irq_count(VECTOR_PME) == count)
			return true;
	}
	return false;
}

/* Serves PMEs as a driver does, until Root Status shows none. Returns the functions served. */
static unsigned int serve(void)
{
	unsigned int served = 0, bus = pci_read(slot.port, PCI_SECONDARY_BUS, 1);
	uint32_t status;

	while ((status = slot_root_status(&slot)) & (PCI_EXP_RTSTA_PME | PCI_EXP_RTSTA_PENDING)) {
		unsigned int fn = status & 7;

		if (!(status & PCI_EXP_RTSTA_PME)) {
			report("PME Pending is never without PME Status", false);
			break;
		}
		report_equal("the requester is a function of the slot", status & 0xfff8,
			     BDF(bus, 0, 0));
		report_equal("its PMCSR says PME_Status, D3, PME_En",
			     slot_pmcsr(&slot, fn) & 0x8103, 0x8103);
		if (served & devfn_bit(status)) {
			report("no function is told of twice", false);
			break;
		}
		served |= devfn_bit(status);
		slot_set_pmcsr(&slot, fn, 3 | PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS);
		report_equal("a one clears PME_Status",
			     slot_pmcsr(&slot, fn) & PCI_PM_CTRL_PME_STATUS, 0);
		clear_root_status();
	}
	return served;
}

struct collected {
	unsigned int expected, served;
};

static bool collect(void *opaque)
{
	struct collected *collected = opaque;

	collected->served |= serve();
	rearm();
	return collected->served == collected->expected;
}

/* --- the checks --- */

static void check_one(unsigned int fn)
{
	irq_take(VECTOR_PME, on_pme);
	rearm();
	suspend(1U << fn);
	wake(fn);
	report("the PME interrupt comes", irq_wait(VECTOR_PME, 1, PME_TIMEOUT_MS));
	report_equal("Root Status has the function's requester ID",
		     slot_root_status(&slot), PCI_EXP_RTSTA_PME | slot.fn[fn]);
	report_equal("it alone was told of", serve(), 1U << fn);
	report_equal("Root Status is clear", slot_root_status(&slot) & PCI_EXP_RTSTA_PME, 0);
	report("no interrupt without a cause", is_quiet());
	report_equal("_ON: STATUS", slot_resume(&slot), STATUS_ON);
}

static bool root_status_set(void *opaque)
{
	(void)opaque;
	return slot_root_status(&slot) & PCI_EXP_RTSTA_PME;
}

/* A message that comes while the interrupt is disabled, is signalled when it is enabled. An
 * interrupt of the check before, by a level that is low again, may still be on its way. */
static void check_late_enable(void)
{
	set_pme_interrupt(false);
	if (intx)
		report("nothing is on its way", is_quiet());
	irq_take(VECTOR_PME, on_pme);
	rearm();
	suspend(1);
	wake(0);
	report("Root Status shows it", wait_until(root_status_set, NULL, PME_TIMEOUT_MS));
	report_equal("no interrupt while it is disabled", irq_count(VECTOR_PME), 0);
	set_pme_interrupt(true);
	report("it comes when it is enabled", irq_wait(VECTOR_PME, 1, PME_TIMEOUT_MS));
	report_equal("function 0 was told of", serve(), 1);
	report_equal("_ON: STATUS", slot_resume(&slot), STATUS_ON);
}

static void check_all(unsigned int functions)
{
	struct collected collected = {functions, 0};

	irq_take(VECTOR_PME, on_pme);
	rearm();
	suspend(functions);
	wake(0);
	report("the PME interrupt comes", irq_wait(VECTOR_PME, 1, PME_TIMEOUT_MS));
	report("every function's PME is told of", wait_until(collect, &collected, PME_TIMEOUT_MS));
	report_equal("they are", collected.served, functions);
	report_equal("_ON: STATUS", slot_resume(&slot), STATUS_ON);
}

/* The line stays asserted until the cause is gone: unmasked too early, it interrupts again. */
static void check_level(void)
{
	unsigned int count;

	if (!intx)
		return;
	irq_take(VECTOR_PME, on_pme);
	rearm();
	suspend(1);
	wake(0);
	report("the PME interrupt comes", irq_wait(VECTOR_PME, 1, PME_TIMEOUT_MS));
	count = taken();
	rearm();
	report("it comes again, for nothing was served",
	       irq_wait(VECTOR_PME, count + 1, PME_TIMEOUT_MS));
	report_equal("Interrupt Status is set",
		     pci_read(slot.port, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT,
		     PCI_STATUS_INTERRUPT);
	pci_change(slot.port, PCI_COMMAND, 2, 0, PCI_COMMAND_INTX_DISABLE);
	report("not with Interrupt Disable", is_quiet());
	count = taken();
	pci_change(slot.port, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE, 0);
	report("and again without", irq_wait(VECTOR_PME, count + 1, PME_TIMEOUT_MS));
	report_equal("function 0 was told of", serve(), 1);
	report_equal("Interrupt Status is clear",
		     pci_read(slot.port, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, 0);
	report_equal("_ON: STATUS", slot_resume(&slot), STATUS_ON);
}

void test(void)
{
	unsigned int functions = 0;
	struct gpu gpu;

	gpu_begin(&slot, &gpu);
	intx = option("intx") > 0;
	if (!intx)
		msi_route(slot.port, VECTOR_PME);
	set_pme_interrupt(true);
	for (unsigned int fn = 0; fn < SLOT_FUNCTIONS; fn++)
		functions |= slot.fn[fn] ? 1U << fn : 0;
	report_equal("the slot has the functions it should have", functions,
		     (uint64_t)option("functions"));
	for (unsigned int round = 0; round < 2; round++)
		for (unsigned int fn = 0; fn < SLOT_FUNCTIONS; fn++)
			if (slot.fn[fn])
				check_one(fn);
	for (unsigned int round = 0; round < 3; round++)
		check_all(functions);
	check_late_enable();
	check_level();
	report_equal("the model GPU answers", gpu_read(&gpu, GPU_ID), GPU_ID_VALUE);
	report_equal("the VMM never touched it asleep", (uint64_t)model_status(0, "touches"), 0);
}
