/*
 * A machine that starts without a device: it is added while the guest runs, used, sleeps in D3cold,
 * is woken by itself, and is removed; option cycles=N times. In every second cycle it is removed
 * while it sleeps. The guest does what drivers of the slot do (pciehp), and asks the control socket
 * for the additions and removals.
 */
#include "guest-tests/bare/lib_gpu.h"
#include "guest-tests/bare/lib_hotplug.h"
#include "guest-tests/bare/lib_irq.h"

#define CYCLES 3
#define VECTOR_PORT 42
#define TIMEOUT_MS 20000
#define ONES 0xffffffffU
#define PATTERN 0x4ddc0de0U
#define COPY_LEN 256
#define BARS 6
#define BODY_MAX 256

#define EVENTS (PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC)

static struct slot slot;
static struct gpu gpu;
static uint8_t source[COPY_LEN], target[COPY_LEN];
static unsigned int cycle;
static bool all_good = true;

/* Reports are one a run and check, so only what differs is printed for each cycle. */
static void expect(const char *name, uint64_t got, uint64_t expected)
{
	if (got == expected)
		return;
	all_good = false;
	note("cycle", cycle);
	report_equal(name, got, expected);
}

static bool is_absent(void *opaque)
{
	(void)opaque;
	return !(hotplug_status(&slot) & PCI_EXP_SLTSTA_PDS);
}

/* --- addresses, inside the windows that firmware has given to the port --- */

struct window {
	uint64_t next, end;
};

static struct window low_window(void)
{
	return (struct window){
		(uint64_t)(pci_read(slot.port, PCI_MEMORY_BASE, 2) & 0xfff0) << 16,
		(uint64_t)((pci_read(slot.port, PCI_MEMORY_LIMIT, 2) & 0xfff0) + 0x10) << 16,
	};
}

static uint64_t high_bound(unsigned int low, unsigned int high)
{
	return (uint64_t)pci_read(slot.port, high, 4) << 32 |
	       (uint64_t)(pci_read(slot.port, low, 2) & 0xfff0) << 16;
}

static struct window high_window(void)
{
	return (struct window){
		high_bound(PCI_PREF_MEMORY_BASE, PCI_PREF_BASE_UPPER32),
		high_bound(PCI_PREF_MEMORY_LIMIT, PCI_PREF_LIMIT_UPPER32) + (1 << 20),
	};
}

/* Returns how many registers the BAR takes. */
static unsigned int place_bar(uint16_t bdf, unsigned int bar, struct window *low,
			      struct window *high)
{
	const uint32_t prefetch64 = PCI_BASE_ADDRESS_MEM_PREFETCH | PCI_BASE_ADDRESS_MEM_TYPE_64;
	unsigned int off = PCI_BASE_ADDRESS_0 + 4 * bar;
	uint32_t flags = pci_read(bdf, off, 4) & 0xf;
	bool wide = !(flags & PCI_BASE_ADDRESS_SPACE_IO) && flags & PCI_BASE_ADDRESS_MEM_TYPE_64;
	struct window *window = (flags & prefetch64) == prefetch64 ? high : low;
	uint64_t mask, size;

	pci_write(bdf, off, 4, ONES);
	mask = pci_read(bdf, off, 4) & ~0xfU;
	if (wide) {
		pci_write(bdf, off + 4, 4, ONES);
		mask |= (uint64_t)pci_read(bdf, off + 4, 4) << 32;
	} else {
		mask |= mask ? ~(uint64_t)ONES : 0;
	}
	size = ~mask + 1;
	if (!mask || flags & PCI_BASE_ADDRESS_SPACE_IO)
		return 1;
	window->next = (window->next + size - 1) & mask;
	pci_write(bdf, off, 4, (uint32_t)window->next);
	if (wide)
		pci_write(bdf, off + 4, 4, (uint32_t)(window->next >> 32));
	window->next += size;
	expect("its BARs fit the port's windows", window->next <= window->end, 1);
	return wide ? 2 : 1;
}

static void place_bars(void)
{
	struct window low = low_window(), high = high_window();

	for (unsigned int fn = 0; fn < SLOT_FUNCTIONS; fn++)
		for (unsigned int bar = 0; slot.fn[fn] && bar < BARS;)
			bar += place_bar(slot.fn[fn], bar, &low, &high);
}

/* --- the cycle --- */

static void add(void)
{
	char body[BODY_MAX];

	irq_take(VECTOR_PORT, NULL);
	expect("vm.add-device", api_ask("PUT /api/v1/vm.add-device {\"gpu\":\"vfio-user:$SLOT\"}",
					body, sizeof(body)), 200);
	expect("presence and link have changed",
	       hotplug_await(&slot, EVENTS | PCI_EXP_SLTSTA_PDS, TIMEOUT_MS), 1);
	expect("with an interrupt", irq_wait(VECTOR_PORT, 1, TIMEOUT_MS), 1);
	expect("the link is up", hotplug_link_active(&slot), 1);
	hotplug_clear(&slot, hotplug_status(&slot));
	hotplug_change_control(&slot, PCI_EXP_SLTCTL_PCC | PCI_EXP_SLTCTL_PIC,
			       PCI_EXP_SLTCTL_PWR_IND_ON);
	slot_find_functions(&slot);
	expect("function 0 is there", slot.fn[0] != 0, 1);
	if (!slot.fn[0])
		finish();
	place_bars();
	gpu_find(&slot, 0, &gpu);
}

static void use(void)
{
	expect("its registers answer", gpu_read(&gpu, GPU_ID), GPU_ID_VALUE);
	expect("they are as after a reset", gpu_read(&gpu, GPU_SCRATCH), 0);
	gpu_write(&gpu, GPU_SCRATCH, PATTERN);
	expect("they keep what is written", gpu_read(&gpu, GPU_SCRATCH), PATTERN);
	for (unsigned int i = 0; i < COPY_LEN; i++)
		source[i] = (uint8_t)(i + cycle);
	memset(target, 0, sizeof(target));
	expect("DMA to VRAM",
	       gpu_dma(&gpu, GPU_VRAM_ADDRESS, (uintptr_t)source, COPY_LEN, false), GPU_DMA_DONE);
	expect("DMA from VRAM",
	       gpu_dma(&gpu, (uintptr_t)target, GPU_VRAM_ADDRESS, COPY_LEN, false), GPU_DMA_DONE);
	expect("the copy is good", (uint64_t)memcmp(source, target, COPY_LEN), 0);
}

static void clear_root_status(void)
{
	pci_write(slot.port, slot.port_exp + PCI_EXP_RTSTA, 4, PCI_EXP_RTSTA_PME);
}

/* Its siblings, which the host has woken with it, ask as well. True: function 0 has asked. */
static bool serve_pmes(void)
{
	bool asked = false;
	uint32_t status;

	while ((status = slot_root_status(&slot)) & PCI_EXP_RTSTA_PME) {
		asked |= (uint16_t)status == slot.fn[0];
		clear_root_status();
	}
	return asked;
}

static void sleep_and_wake(void)
{
	expect("_OFF", slot_suspend(&slot, true), 0);
	expect("it sleeps", (uint64_t)model_status(0, "engaged"), 1);
	irq_take(VECTOR_PORT, NULL);
	expect("the model wakes", model_ask("wake 0 now"), 1);
	expect("its PME comes", irq_wait(VECTOR_PORT, 1, TIMEOUT_MS), 1);
	expect("Root Status names it", serve_pmes(), 1);
	expect("_ON", slot_resume(&slot), STATUS_ON);
	serve_pmes();
	expect("its registers answer again", gpu_read(&gpu, GPU_ID), GPU_ID_VALUE);
	expect("presence did not change", hotplug_status(&slot), PCI_EXP_SLTSTA_PDS);
}

static void fall_asleep(void)
{
	hotplug_change_control(&slot, PCI_EXP_SLTCTL_HPIE, 0);
	expect("_OFF before the removal", slot_suspend(&slot, true), 0);
	irq_take(VECTOR_PORT, NULL);
}

/* The port's own PME, as PCIe 5.0, 6.7.3.4 Software Notification of Hot-Plug Events has it. */
static void wake_up(void)
{
	expect("the port's PME comes", irq_wait(VECTOR_PORT, 1, TIMEOUT_MS), 1);
	expect("Root Status names the port", slot_root_status(&slot),
	       PCI_EXP_RTSTA_PME | slot.port);
	expect("_ON for the removal", slot_resume(&slot), STATUS_ON);
	clear_root_status();
	hotplug_change_control(&slot, 0, PCI_EXP_SLTCTL_HPIE);
}

static void remove(bool asleep)
{
	char body[BODY_MAX];

	if (asleep)
		fall_asleep();
	expect("vm.remove-device",
	       api_ask("PUT /api/v1/vm.remove-device {\"id\":\"gpu0\"}", body, sizeof(body)), 204);
	if (asleep)
		wake_up();
	expect("the attention button is pressed",
	       hotplug_await(&slot, PCI_EXP_SLTSTA_ABP, TIMEOUT_MS), 1);
	expect("the device works still", gpu_read(&gpu, GPU_ID), GPU_ID_VALUE);
	hotplug_clear(&slot, hotplug_status(&slot));
	hotplug_change_control(&slot, PCI_EXP_SLTCTL_PIC, PCI_EXP_SLTCTL_PCC
			       | PCI_EXP_SLTCTL_PWR_IND_OFF);
	expect("the slot is empty", wait_until(is_absent, NULL, TIMEOUT_MS), 1);
	for (unsigned int fn = 0; fn < SLOT_FUNCTIONS; fn++)
		if (slot.fn[fn])
			expect("config space reads ones", pci_read(slot.fn[fn], PCI_VENDOR_ID, 4),
			       ONES);
	expect("BAR 0 reads ones", gpu_read(&gpu, GPU_ID), ONES);
	hotplug_clear(&slot, hotplug_status(&slot));
}

/* The guest sees it go before the VMM has closed it. */
static bool is_free(void *opaque)
{
	char body[BODY_MAX];

	(void)opaque;
	return api_ask("PUT /api/v1/vm.remove-device {\"id\":\"gpu0\"}", body, sizeof(body)) == 404;
}

static void set_up(void)
{
	irq_init();
	slot_find_port(&slot);
	report("the port has a power resource", slot_find_controller(&slot));
	report_equal("nothing is below it", slot.fn[0], 0);
	report_equal("Slot Status: empty, no event", hotplug_status(&slot), 0);
	report("the link is down", !hotplug_link_active(&slot));
	irq_take(VECTOR_PORT, NULL);
	msi_route(slot.port, VECTOR_PORT);
	pci_change(slot.port, PCI_COMMAND, 2, 0, PCI_COMMAND_MASTER);
	pci_change(slot.port, slot.port_exp + PCI_EXP_RTCTL, 2, 0, PCI_EXP_RTCTL_PMEIE);
	hotplug_change_control(&slot, 0, PCI_EXP_SLTCTL_ABPE | PCI_EXP_SLTCTL_PDCE |
				       PCI_EXP_SLTCTL_DLLSCE | PCI_EXP_SLTCTL_HPIE);
	report_equal("no interrupt without an event", irq_count(VECTOR_PORT), 0);
}

void test(void)
{
	long cycles = option("cycles") > 0 ? option("cycles") : CYCLES;

	set_up();
	for (cycle = 1; cycle <= cycles && all_good; cycle++) {
		add();
		use();
		sleep_and_wake();
		remove(cycle % 2 == 0);
		expect("the port is free again", wait_until(is_free, NULL, TIMEOUT_MS), 1);
	}
	report("added, used, asleep, woken, removed, every time", all_good);
	report_equal("no access while it slept", (uint64_t)model_status(0, "touches"), 0);
}
