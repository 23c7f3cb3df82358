/*
 * What a guest sees that touches a function which it has put to sleep: ones, and writes are
 * dropped; only PMCSR lives. So in D3cold; in D3hot and without Memory Space the BARs alone are
 * gone. The accesses wake nothing, and what was set up before is there afterwards.
 */
#include "guest-tests/bare/lib_gpu.h"
#include "guest-tests/bare/lib_irq.h"

#define VECTOR_RAISE 44
#define RAISE_ENTRY 2
#define IRQ_TIMEOUT_MS 5000
#define ONES 0xffffffffU
#define VRAM_SIZE (256ULL << 20)
#define PATTERN 0x0a51ee90U

static struct slot slot;
static struct gpu gpu;
static uint64_t table; /* MSI-X */

static const uint64_t vram_offsets[] = {0, 0x1000, VRAM_SIZE / 2, VRAM_SIZE - 4};

static void check_bars_ones(const char *state)
{
	report_equal(join(state, "BAR 0 dword"), gpu_read(&gpu, GPU_ID), ONES);
	report_equal(join(state, "BAR 0 word"), MMIO(uint16_t, gpu.regs + 2), 0xffff);
	report_equal(join(state, "BAR 0 byte"), MMIO(uint8_t, gpu.regs + 1), 0xff);
	report_equal(join(state, "BAR 0 qword"), MMIO(uint64_t, gpu.regs), ~0ULL);
	for (size_t i = 0; i < ARRAY_SIZE(vram_offsets); i++)
		report_equal(join(state, "VRAM"), MMIO(uint32_t, gpu.vram + vram_offsets[i]), ONES);
	report_equal(join(state, "MSI-X table"), MMIO(uint32_t, table), ONES);
	report_equal(join(state, "MSI-X PBA"), MMIO(uint32_t, table + 0x2000), ONES);
}

static void write_bars(void)
{
	gpu_write(&gpu, GPU_SCRATCH, PATTERN + 1);
	gpu_write(&gpu, GPU_IRQ_RAISE, RAISE_ENTRY);
	for (size_t i = 0; i < ARRAY_SIZE(vram_offsets); i++)
		MMIO(uint32_t, gpu.vram + vram_offsets[i]) = PATTERN + 1;
	MMIO(uint32_t, table + 16 * RAISE_ENTRY + PCI_MSIX_ENTRY_DATA) = 0xdead;
}

static void check_works(const char *state)
{
	irq_take(VECTOR_RAISE, NULL);
	gpu_write(&gpu, GPU_IRQ_RAISE, RAISE_ENTRY);
	report(join(state, "MSI-X arrives as set up before"),
	       irq_wait(VECTOR_RAISE, 1, IRQ_TIMEOUT_MS));
	gpu_write(&gpu, GPU_IRQ_STATUS, ONES);
}

/* --- D3hot, Memory Space off: the function keeps all it has --- */

static void check_kept(const char *state)
{
	report_equal(join(state, "SCRATCH was kept"), gpu_read(&gpu, GPU_SCRATCH), PATTERN);
	report_equal(join(state, "VRAM was kept"), MMIO(uint32_t, gpu.vram), PATTERN);
	check_works(state);
}

static void set_pattern(void)
{
	gpu_write(&gpu, GPU_SCRATCH, PATTERN);
	MMIO(uint32_t, gpu.vram) = PATTERN;
}

static void check_no_memory_space(uint32_t id)
{
	set_pattern();
	pci_change(gpu.bdf, PCI_COMMAND, 2, PCI_COMMAND_MEMORY, 0);
	check_bars_ones("Memory Space off");
	write_bars();
	report_equal("Memory Space off: config answers", pci_read(gpu.bdf, PCI_VENDOR_ID, 4), id);
	pci_change(gpu.bdf, PCI_COMMAND, 2, 0, PCI_COMMAND_MEMORY);
	check_kept("Memory Space on");
}

static void check_d3hot(uint32_t id)
{
	set_pattern();
	slot_set_pmcsr(&slot, 0, 3);
	check_bars_ones("D3hot");
	write_bars();
	report_equal("D3hot: config answers", pci_read(gpu.bdf, PCI_VENDOR_ID, 4), id);
	report_equal("D3hot: PMCSR", slot_pmcsr(&slot, 0) & PCI_PM_CTRL_STATE_MASK, 3);
	slot_set_pmcsr(&slot, 0, 0);
	check_kept("D0");
}

/* The port alone in D3hot forwards config, but no memory. */
static void check_port_d3hot(uint32_t id)
{
	set_pattern();
	pci_change(slot.port, slot.port_pm + PCI_PM_CTRL, 2, 3, 3);
	check_bars_ones("port in D3hot");
	write_bars();
	report_equal("port in D3hot: config answers", pci_read(gpu.bdf, PCI_VENDOR_ID, 4), id);
	pci_change(slot.port, slot.port_pm + PCI_PM_CTRL, 2, 3, 0);
	check_kept("port in D0");
}

/* --- D3cold --- */

/* Every dword of config space but PMCSR's. */
static void check_config_ones(void)
{
	unsigned int different = 0;

	for (unsigned int off = 0; off < PCI_CFG_SPACE_EXP_SIZE; off += 4)
		if (off != slot.pm[0] + PCI_PM_CTRL && pci_read(gpu.bdf, off, 4) != ONES)
			different++;
	report_equal("D3cold: config space is ones", different, 0);
	report_equal("D3cold: by ports too", pci_port_read(gpu.bdf, PCI_COMMAND), ONES);
	report_equal("D3cold: bytes too", pci_read(gpu.bdf, PCI_HEADER_TYPE, 1), 0xff);
}

static void check_pmcsr(void)
{
	report_equal("D3cold: PMCSR says D3", slot_pmcsr(&slot, 0) & PCI_PM_CTRL_STATE_MASK, 3);
	slot_set_pmcsr(&slot, 0, PCI_PM_CTRL_PME_ENABLE);
	report_equal("D3cold: PME_En can be set, the state cannot",
		     slot_pmcsr(&slot, 0) & 0x8103, 0x0103);
	slot_set_pmcsr(&slot, 0, 3);
	report_equal("D3cold: PME_En can be cleared", slot_pmcsr(&slot, 0) & 0x8103, 0x0003);
}

static void write_config(void)
{
	for (unsigned int off = 0; off < PCI_CFG_SPACE_SIZE; off += 4)
		if (off != slot.pm[0] + PCI_PM_CTRL)
			pci_write(gpu.bdf, off, 4, 0);
}

static void check_d3cold(uint32_t id, bool memory_space)
{
	const char *state = memory_space ? "D3cold" : "D3cold without Memory Space";
	uint32_t command, bar;
	long entries = model_status(0, "entries");

	set_pattern();
	if (!memory_space)
		pci_change(gpu.bdf, PCI_COMMAND, 2, PCI_COMMAND_MEMORY, 0);
	command = pci_read(gpu.bdf, PCI_COMMAND, 2);
	bar = pci_read(gpu.bdf, PCI_BASE_ADDRESS_0, 4);
	report_equal(join(state, "_OFF"), slot_suspend(&slot, false), 0);
	check_config_ones();
	check_pmcsr();
	check_bars_ones(state);
	write_bars();
	write_config();
	pci_change(slot.port, slot.port_pm + PCI_PM_CTRL, 2, 3, 0);
	check_bars_ones("D3cold, port in D0");
	report_equal(join(state, "the accesses woke nothing"),
		     (uint64_t)model_status(0, "engaged"), 1);
	report_equal(join(state, "it was one entry"), (uint64_t)model_status(0, "entries"),
		     (uint64_t)entries + 1);
	report_equal(join(state, "_ON"), slot_resume(&slot), STATUS_ON);
	report_equal("after it: config answers", pci_read(gpu.bdf, PCI_VENDOR_ID, 4), id);
	report_equal("after it: Command", pci_read(gpu.bdf, PCI_COMMAND, 2), command);
	report_equal("after it: BAR 0", pci_read(gpu.bdf, PCI_BASE_ADDRESS_0, 4), bar);
	if (!memory_space)
		check_bars_ones("after it, Memory Space off");
	pci_change(gpu.bdf, PCI_COMMAND, 2, 0, PCI_COMMAND_MEMORY);
	report_equal("after it: SCRATCH is lost, not written", gpu_read(&gpu, GPU_SCRATCH), 0);
	report("after it: VRAM is not what was written",
	       MMIO(uint32_t, gpu.vram) != PATTERN + 1);
	check_works("after it");
}

void test(void)
{
	uint32_t id;

	gpu_begin(&slot, &gpu);
	for (size_t i = 0; i < ARRAY_SIZE(vram_offsets); i++)
		mmio_map(gpu.vram + vram_offsets[i]);
	table = pci_bar(gpu.bdf, 4);
	id = pci_read(gpu.bdf, PCI_VENDOR_ID, 4);
	msix_route(gpu.bdf, RAISE_ENTRY, VECTOR_RAISE);
	msix_enable(gpu.bdf);
	check_works("D0");
	check_no_memory_space(id);
	check_d3hot(id);
	check_port_d3hot(id);
	check_d3cold(id, true);
	check_d3cold(id, false);
	report_equal("the VMM never touched it asleep", (uint64_t)model_status(0, "touches"), 0);
}
