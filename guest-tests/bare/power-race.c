/*
 * Two CPUs switch the slot on and off against each other, as no sane guest does, while a third
 * reads and writes config space and BARs: whatever comes of it, the VM lives, each read gives the
 * device's value or ones, and the last _ON wins. Option writes=N of each CPU.
 */
#include "guest-tests/bare/lib_gpu.h"
#include "guest-tests/bare/lib_irq.h"

#define WRITES 2000
#define SETTLE 16 /* one in so many writes awaits its answer */
#define RACE_TIMEOUT_MS 60000
#define ONES 0xffffffffU

static struct slot slot;
static struct gpu gpu;
static volatile unsigned int ended;

/* Other CPUs have no timer: they poll. */
static void settle(void)
{
	while (MMIO(uint32_t, slot.status) & STATUS_BUSY)
		;
}

static void race(unsigned int phase)
{
	long writes = option("writes") > 0 ? option("writes") : WRITES;

	for (long i = 0; i < writes; i++) {
		MMIO(uint32_t, slot.control) = ((unsigned int)i + phase) & 1;
		if (i % SETTLE == SETTLE - 1)
			settle();
	}
	__atomic_fetch_add(&ended, 1, __ATOMIC_SEQ_CST);
}

static void race_first(void)
{
	race(0);
}

static void race_second(void)
{
	race(1);
}

static unsigned int touches, answers, strange;

static void see(uint32_t value, uint32_t good)
{
	touches++;
	answers += value == good;
	strange += value != good && value != ONES;
}

static void touch(uint32_t id)
{
	see(pci_read(gpu.bdf, PCI_VENDOR_ID, 4), id);
	see(pci_port_read(gpu.bdf, PCI_VENDOR_ID), id);
	see(gpu_read(&gpu, GPU_ID), GPU_ID_VALUE);
	gpu_write(&gpu, GPU_SCRATCH, touches);
	MMIO(uint32_t, gpu.vram + 0x100) = touches;
	(void)MMIO(uint32_t, gpu.vram + 0x100);
	pci_change(gpu.bdf, PCI_COMMAND, 2, 0, PCI_COMMAND_MEMORY);
	slot_set_pmcsr(&slot, 0, touches & 1 ? PCI_PM_CTRL_PME_ENABLE : 0);
}

static bool touch_until_ended(void *opaque)
{
	struct stopwatch watch;

	stopwatch_start(&watch);
	while (ended < 2 && stopwatch_us(&watch) < 1000ULL * RACE_TIMEOUT_MS)
		touch(*(uint32_t *)opaque);
	return ended == 2;
}

void test(void)
{
	uint32_t id;

	gpu_begin(&slot, &gpu);
	id = pci_read(gpu.bdf, PCI_VENDOR_ID, 4);
	report("a second CPU runs", cpu_run(0, race_first));
	report("a third CPU runs", cpu_run(1, race_second));
	report("the race ends", touch_until_ended(&id));
	note("accesses", touches);
	note("of them answered", answers);
	report_equal("each read gave the device's value or ones", strange, 0);
	report_equal("_ON works at the end", slot_switch(&slot, true, SLOT_TIMEOUT_MS), STATUS_ON);
	pci_change(gpu.bdf, PCI_COMMAND, 2, 0, PCI_COMMAND_MEMORY);
	slot_set_pmcsr(&slot, 0, PCI_PM_CTRL_PME_STATUS);
	report_equal("config space answers", pci_read(gpu.bdf, PCI_VENDOR_ID, 4), id);
	report_equal("BAR 0 answers", gpu_read(&gpu, GPU_ID), GPU_ID_VALUE);
	gpu_write(&gpu, GPU_SCRATCH, 0x5c4a7c4);
	report_equal("and can be written", gpu_read(&gpu, GPU_SCRATCH), 0x5c4a7c4);
	report_equal("the model is awake", (uint64_t)model_status(0, "engaged"), 0);
	report("it slept meanwhile", model_status(0, "entries") > 0);
	report_equal("the VMM never touched it asleep", (uint64_t)model_status(0, "touches"), 0);
	report_equal("_OFF works after it", slot_switch(&slot, false, SLOT_TIMEOUT_MS), 0);
	report_equal("and _ON", slot_switch(&slot, true, SLOT_TIMEOUT_MS), STATUS_ON);
	report_equal("BAR 0 answers again", gpu_read(&gpu, GPU_ID), GPU_ID_VALUE);
}
