/*
 * The root port's hot-plug slot and error reporting, as a guest's drivers of them find it: the
 * host's error is told by AER; a guest that switches the slot off and on gets a fresh card; the
 * host's wish for the card presses the attention button, and the guest ejects it.
 *
 * Option asleep=1: the host wants it while the slot sleeps, and the port's own PME wakes the guest.
 * Option removal=1: the device vanishes instead, and the guest is told of a surprise removal.
 */
#include "guest-tests/bare/lib_gpu.h"
#include "guest-tests/bare/lib_hotplug.h"
#include "guest-tests/bare/lib_irq.h"

#define VECTOR_PORT 42
#define TIMEOUT_MS 10000
#define ONES 0xffffffffU
#define PATTERN 0x407f1660U

static struct slot slot;
static struct gpu gpu;

static bool is_gone(void *opaque)
{
	(void)opaque;
	return pci_read(slot.fn[0], PCI_VENDOR_ID, 4) == ONES;
}

static bool is_fresh(void *opaque)
{
	(void)opaque;
	return pci_read(slot.fn[0], PCI_VENDOR_ID, 4) != ONES &&
	       !(pci_read(slot.fn[0], PCI_COMMAND, 2) & PCI_COMMAND_MEMORY);
}

static void set_up(void)
{
	gpu_begin(&slot, &gpu);
	irq_take(VECTOR_PORT, NULL);
	msi_route(slot.port, VECTOR_PORT);
	report_equal("Slot Status: a card is present, no event", hotplug_status(&slot),
		     PCI_EXP_SLTSTA_PDS);
	report("the link is up", hotplug_link_active(&slot));
	hotplug_change_control(&slot, 0, PCI_EXP_SLTCTL_ABPE | PCI_EXP_SLTCTL_PDCE |
				       PCI_EXP_SLTCTL_DLLSCE | PCI_EXP_SLTCTL_HPIE);
	report_equal("no interrupt without an event", irq_count(VECTOR_PORT), 0);
}

/* --- D3cold is no removal --- */

static void check_sleep(void)
{
	report_equal("_OFF", slot_suspend(&slot, false), 0);
	report_equal("asleep: the card is present, no event", hotplug_status(&slot),
		     PCI_EXP_SLTSTA_PDS);
	report("asleep: the link is up", hotplug_link_active(&slot));
	report_equal("_ON", slot_resume(&slot), STATUS_ON);
	report_equal("awake: the card is present, no event", hotplug_status(&slot),
		     PCI_EXP_SLTSTA_PDS);
	report_equal("no interrupt by a sleep", irq_count(VECTOR_PORT), 0);
}

/* --- errors --- */

static unsigned int aer;

static bool has_error(void *opaque)
{
	(void)opaque;
	return pci_read(slot.port, aer + PCI_ERR_ROOT_STATUS, 4) & PCI_ERR_ROOT_UNCOR_RCV;
}

static void check_error(void)
{
	const uint32_t received = PCI_ERR_ROOT_UNCOR_RCV | PCI_ERR_ROOT_FIRST_FATAL |
				  PCI_ERR_ROOT_FATAL_RCV;

	aer = pci_ext_cap(slot.port, PCI_EXT_CAP_ID_ERR);
	report("the port has AER", aer != 0);
	irq_take(VECTOR_PORT, NULL);
	pci_write(slot.port, aer + PCI_ERR_ROOT_COMMAND, 4,
		  PCI_ERR_ROOT_CMD_COR_EN | PCI_ERR_ROOT_CMD_NONFATAL_EN |
			  PCI_ERR_ROOT_CMD_FATAL_EN);
	pci_change(slot.port, PCI_COMMAND, 2, 0, PCI_COMMAND_SERR);
	pci_change(slot.port, PCI_BRIDGE_CONTROL, 2, 0, PCI_BRIDGE_CTL_SERR);
	report("the model signals ERR", model_ask("err 0"));
	report("Root Error Status comes", wait_until(has_error, NULL, TIMEOUT_MS));
	report("with an interrupt", irq_wait(VECTOR_PORT, 1, TIMEOUT_MS));
	report_equal("a fatal error was received",
		     pci_read(slot.port, aer + PCI_ERR_ROOT_STATUS, 4), received);
	report_equal("of function 0", pci_read(slot.port, aer + PCI_ERR_ROOT_ERR_SRC, 4) >> 16,
		     slot.fn[0]);
	pci_write(slot.port, aer + PCI_ERR_ROOT_STATUS, 4, received);
	report_equal("ones clear it", pci_read(slot.port, aer + PCI_ERR_ROOT_STATUS, 4), 0);
	report_equal("one interrupt", irq_count(VECTOR_PORT), 1);
	report_equal("the device, which answers, stays", gpu_read(&gpu, GPU_ID), GPU_ID_VALUE);
}

/* --- the slot's power controller --- */

/* Off and on without the host's wish: the same card, as after a reset. */
static void check_power_controller(void)
{
	uint32_t bar = pci_read(gpu.bdf, PCI_BASE_ADDRESS_0, 4);

	gpu_write(&gpu, GPU_SCRATCH, PATTERN);
	hotplug_change_control(&slot, 0, PCI_EXP_SLTCTL_PCC);
	report("the slot's power off resets the card", wait_until(is_fresh, NULL, TIMEOUT_MS));
	hotplug_change_control(&slot, PCI_EXP_SLTCTL_PCC, 0);
	report_equal("its BARs are those of a fresh card",
		     pci_read(gpu.bdf, PCI_BASE_ADDRESS_0, 4) & ~0xfU, 0);
	pci_write(gpu.bdf, PCI_BASE_ADDRESS_0, 4, bar);
	pci_change(gpu.bdf, PCI_COMMAND, 2, 0, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	report_equal("it can be set up again", gpu_read(&gpu, GPU_ID), GPU_ID_VALUE);
	report_equal("its registers are as after a reset", gpu_read(&gpu, GPU_SCRATCH), 0);
}

/* --- the host wants the card --- */

/* PCIe 5.0, 6.7.3.4 Software Notification of Hot-Plug Events: a sleeping port sends a PME. */
static void wake_port(void)
{
	irq_take(VECTOR_PORT, NULL);
	pci_change(slot.port, slot.port_exp + PCI_EXP_RTCTL, 2, 0, PCI_EXP_RTCTL_PMEIE);
	hotplug_change_control(&slot, PCI_EXP_SLTCTL_HPIE, 0);
	report_equal("_OFF", slot_suspend(&slot, true), 0);
	report("the model signals REQ", model_ask("req 0"));
	report("the port's PME comes", irq_wait(VECTOR_PORT, 1, TIMEOUT_MS));
	report_equal("Root Status names the port", slot_root_status(&slot),
		     PCI_EXP_RTSTA_PME | slot.port);
	report_equal("the sleeping card was left alone", (uint64_t)model_status(0, "touches"), 0);
	report_equal("_ON", slot_resume(&slot), STATUS_ON);
	pci_write(slot.port, slot.port_exp + PCI_EXP_RTSTA, 4, PCI_EXP_RTSTA_PME);
	report_equal("Root Status is clear", slot_root_status(&slot) & PCI_EXP_RTSTA_PME, 0);
	irq_take(VECTOR_PORT, NULL);
	hotplug_change_control(&slot, 0, PCI_EXP_SLTCTL_HPIE);
}

static void check_ejection(void)
{
	irq_take(VECTOR_PORT, NULL);
	if (option("asleep") > 0)
		wake_port();
	else
		report("the model signals REQ", model_ask("req 0"));
	report("the attention button is pressed",
	       hotplug_await(&slot, PCI_EXP_SLTSTA_ABP, TIMEOUT_MS));
	report("with an interrupt", irq_wait(VECTOR_PORT, 1, TIMEOUT_MS));
	hotplug_clear(&slot, PCI_EXP_SLTSTA_ABP);
	report_equal("a one clears it", hotplug_status(&slot) & PCI_EXP_SLTSTA_ABP, 0);
	report_equal("one press, one interrupt", irq_count(VECTOR_PORT), 1);
	report_equal("the card works still", gpu_read(&gpu, GPU_ID), GPU_ID_VALUE);
	hotplug_change_control(&slot, PCI_EXP_SLTCTL_PIC, PCI_EXP_SLTCTL_PCC |
			       PCI_EXP_SLTCTL_PWR_IND_OFF);
	report("the slot's power off gives the card away", wait_until(is_gone, NULL, TIMEOUT_MS));
	report("the slot is empty", hotplug_await(&slot, PCI_EXP_SLTSTA_PDC, TIMEOUT_MS) &&
				    !(hotplug_status(&slot) & PCI_EXP_SLTSTA_PDS));
	hotplug_change_control(&slot, PCI_EXP_SLTCTL_PCC, 0);
	report_equal("power alone brings nothing back", pci_read(slot.fn[0], PCI_VENDOR_ID, 4),
		     ONES);
	report_equal("BAR 0 reads ones", gpu_read(&gpu, GPU_ID), ONES);
	report_equal("_OFF of an empty slot is answered",
		     slot_switch(&slot, false, SLOT_TIMEOUT_MS) & STATUS_BUSY, 0);
	report_equal("_ON too", slot_switch(&slot, true, SLOT_TIMEOUT_MS) & STATUS_BUSY, 0);
	report_equal("the host has the card", (uint64_t)model_status(0, "connected"), 0);
}

/* --- the device vanishes --- */

static void check_removal(void)
{
	const uint32_t events = PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC;

	report("the model vanishes", model_ask("vanish 0"));
	report_equal("BAR 0 reads ones", gpu_read(&gpu, GPU_ID), ONES);
	report("presence and link have changed", hotplug_await(&slot, events, TIMEOUT_MS));
	report("with an interrupt", irq_wait(VECTOR_PORT, 1, TIMEOUT_MS));
	report_equal("the slot is empty", hotplug_status(&slot) & PCI_EXP_SLTSTA_PDS, 0);
	report("the link is down", !hotplug_link_active(&slot));
	report_equal("config space reads ones", pci_read(gpu.bdf, PCI_VENDOR_ID, 4), ONES);
	hotplug_clear(&slot, events);
	report_equal("ones clear the events", hotplug_status(&slot), 0);
	gpu_write(&gpu, GPU_SCRATCH, PATTERN);
	report_equal("_OFF is answered",
		     slot_switch(&slot, false, SLOT_TIMEOUT_MS) & STATUS_BUSY, 0);
	report_equal("_ON too, and says that there is no power",
		     slot_switch(&slot, true, SLOT_TIMEOUT_MS), 0);
	report_equal("PME of it is out of the question", slot_root_status(&slot), 0);
}

void test(void)
{
	set_up();
	if (option("removal") > 0) {
		check_removal();
		return;
	}
	check_sleep();
	check_error();
	check_power_controller();
	check_ejection();
}
