/*
 * The guest gives the root port other bus numbers and another memory window, as Linux does when it
 * finds the firmware's unfit: the functions answer at the new place and nowhere else, and a PME is
 * told with the requester ID of the new place.
 */
#include "guest-tests/bare/lib_gpu.h"
#include "guest-tests/bare/lib_irq.h"

#define VECTOR_PME 41
#define PME_TIMEOUT_MS 5000
#define NEW_BUS 0x2a
#define MEM_UNIT 0x100000U

static uint8_t secondary(const struct slot *slot)
{
	return (uint8_t)pci_read(slot->port, PCI_SECONDARY_BUS, 1);
}

/* All functions at `bus` are those of `ids`, or none is there. */
static bool answers_at(const struct slot *slot, uint8_t bus, const uint32_t *ids, bool there)
{
	for (unsigned int fn = 0; fn < SLOT_FUNCTIONS; fn++) {
		uint32_t expected = there ? ids[fn] : 0xffffffff;

		if (slot->fn[fn] && (pci_read(BDF(bus, 0, fn), PCI_VENDOR_ID, 4) != expected ||
				     pci_port_read(BDF(bus, 0, fn), PCI_VENDOR_ID) != expected))
			return false;
	}
	return true;
}

static void set_buses(struct slot *slot, uint8_t bus, uint8_t last)
{
	pci_change(slot->port, PCI_PRIMARY_BUS, 4, 0x00ffffff,
		   (uint32_t)last << 16 | (uint32_t)bus << 8);
	for (unsigned int fn = 0; fn < SLOT_FUNCTIONS; fn++)
		if (slot->fn[fn])
			slot->fn[fn] = BDF(bus, 0, fn);
}

static void check_buses(struct slot *slot, const uint32_t *ids)
{
	uint8_t old = secondary(slot);

	report("functions answer at the firmware's bus", answers_at(slot, old, ids, true));
	set_buses(slot, NEW_BUS, NEW_BUS + 2);
	report("functions answer at the new bus", answers_at(slot, NEW_BUS, ids, true));
	report("nothing answers at the old bus", answers_at(slot, old, ids, false));
	report("nothing answers at a subordinate bus",
	       answers_at(slot, NEW_BUS + 1, ids, false));
	pci_change(slot->port, PCI_PRIMARY_BUS, 4, 0x00ffffff, 0);
	report("without numbers nothing answers at the new bus",
	       answers_at(slot, NEW_BUS, ids, false));
	set_buses(slot, NEW_BUS, NEW_BUS);
	report("and then it does again", answers_at(slot, NEW_BUS, ids, true));
}

/* --- windows --- */

static void set_window(const struct slot *slot, uint64_t base, uint64_t last)
{
	pci_write(slot->port, PCI_MEMORY_BASE, 4,
		  (uint32_t)(base >> 16 & 0xfff0) | (uint32_t)(last & 0xfff00000));
}

/* BAR 0 of the GPU goes to a place that the window does not cover, then the window follows. */
static void check_window(const struct slot *slot)
{
	uint32_t window = pci_read(slot->port, PCI_MEMORY_BASE, 4);
	uint64_t first = (uint64_t)(window & 0xfff0) << 16, last = (window & 0xfff00000) | 0xfffff;
	uint64_t other = last + 1 + MEM_UNIT;
	struct gpu gpu;
	uint64_t old;

	gpu_find(slot, 0, &gpu);
	old = gpu.regs;
	report_equal("BAR 0 answers inside the window", gpu_read(&gpu, GPU_ID), GPU_ID_VALUE);
	pci_write(gpu.bdf, PCI_BASE_ADDRESS_0, 4, (uint32_t)other);
	gpu.regs = other;
	report_equal("moved outside of the window: ones", gpu_read(&gpu, GPU_ID), 0xffffffff);
	report_equal("and at the old place: ones", MMIO(uint32_t, old), 0xffffffff);
	set_window(slot, first, other + MEM_UNIT - 1);
	report_equal("the window grows: it answers", gpu_read(&gpu, GPU_ID), GPU_ID_VALUE);
	set_window(slot, other, other + MEM_UNIT - 1);
	report_equal("the window moves: it answers", gpu_read(&gpu, GPU_ID), GPU_ID_VALUE);
	set_window(slot, other + MEM_UNIT, other);
	report_equal("the window is closed: ones", gpu_read(&gpu, GPU_ID), 0xffffffff);
	pci_write(slot->port, PCI_MEMORY_BASE, 4, window);
	pci_write(gpu.bdf, PCI_BASE_ADDRESS_0, 4, (uint32_t)old);
	gpu.regs = old;
	report_equal("all as before: it answers", gpu_read(&gpu, GPU_ID), GPU_ID_VALUE);
}

/* --- PME --- */

static void check_pme(struct slot *slot)
{
	report("the slot has a power resource", slot_find_controller(slot));
	irq_take(VECTOR_PME, NULL);
	msi_route(slot->port, VECTOR_PME);
	pci_change(slot->port, slot->port_exp + PCI_EXP_RTCTL, 2, 0, PCI_EXP_RTCTL_PMEIE);
	report_equal("_OFF", slot_suspend(slot, true), 0);
	report("the model wakes function 0", model_ask("wake 0 now"));
	report("a PME interrupt comes", irq_wait(VECTOR_PME, 1, PME_TIMEOUT_MS));
	report_equal("its requester ID has the new bus",
		     slot_root_status(slot) & (PCI_EXP_RTSTA_PME | 0xffff),
		     PCI_EXP_RTSTA_PME | BDF(NEW_BUS, 0, 0));
	report_equal("_ON", slot_resume(slot), STATUS_ON);
	pci_write(slot->port, slot->port_exp + PCI_EXP_RTSTA, 4, PCI_EXP_RTSTA_PME);
}

void test(void)
{
	uint32_t ids[SLOT_FUNCTIONS];
	struct slot slot;

	irq_init();
	slot_find(&slot);
	for (unsigned int fn = 0; fn < SLOT_FUNCTIONS; fn++)
		ids[fn] = slot.fn[fn] ? pci_read(slot.fn[fn], PCI_VENDOR_ID, 4) : 0;
	check_buses(&slot, ids);
	check_window(&slot);
	check_pme(&slot);
}
