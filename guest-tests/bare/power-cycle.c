/*
 * D3cold and back, N times (option cycles=N), as the AML of the slot does it. What must be lost is
 * lost, what must be kept is kept, and after each cycle the device works: registers, DMA, command
 * ring, interrupts.
 */
#include "guest-tests/bare/lib_gpu.h"
#include "guest-tests/bare/lib_irq.h"

#define CYCLES 8
#define VECTOR_RAISE 44
#define VECTOR_DMA 45
#define VECTOR_FENCE 46
#define RAISE_ENTRY 3
#define FENCE_ENTRY 5
#define IRQ_TIMEOUT_MS 5000
#define COPY_LEN 256
#define RING_ENTRIES 8
#define FENCE_VALUE 0xfe2ce000U
#define PATTERN 0x70a7e200U

static struct slot slot;
static struct gpu gpu;
static uint8_t source[COPY_LEN], target[COPY_LEN];
static struct gpu_command ring[RING_ENTRIES] __attribute__((aligned(4096)));
static volatile uint32_t fence;

/* Reports are one a run and check, so only what differs is printed for each cycle. */
static bool all_good = true;

static void expect(unsigned int cycle, const char *name, uint64_t got, uint64_t expected)
{
	if (got == expected)
		return;
	all_good = false;
	note("cycle", cycle);
	report_equal(name, got, expected);
}

/* --- what the device can do --- */

static void check_interrupt(unsigned int cycle)
{
	irq_take(VECTOR_RAISE, NULL);
	gpu_write(&gpu, GPU_IRQ_RAISE, RAISE_ENTRY);
	expect(cycle, "MSI-X arrives", irq_wait(VECTOR_RAISE, 1, IRQ_TIMEOUT_MS), 1);
	gpu_write(&gpu, GPU_IRQ_STATUS, 0xffffffff);
	expect(cycle, "MSI-X arrives once", irq_count(VECTOR_RAISE), 1);
}

static void check_dma(unsigned int cycle)
{
	for (unsigned int i = 0; i < COPY_LEN; i++)
		source[i] = (uint8_t)(i + cycle);
	memset(target, 0, sizeof(target));
	irq_take(VECTOR_DMA, NULL);
	expect(cycle, "DMA to VRAM",
	       gpu_dma(&gpu, GPU_VRAM_ADDRESS | 0x1000, (uintptr_t)source, COPY_LEN, false),
	       GPU_DMA_DONE);
	expect(cycle, "VRAM has what was copied", MMIO(uint32_t, gpu.vram + 0x1000),
	       *(uint32_t *)(uintptr_t)source);
	expect(cycle, "DMA from VRAM",
	       gpu_dma(&gpu, (uintptr_t)target, GPU_VRAM_ADDRESS | 0x1000, COPY_LEN, true),
	       GPU_DMA_DONE);
	expect(cycle, "the copy is good", (uint64_t)memcmp(source, target, COPY_LEN), 0);
	expect(cycle, "DMA's interrupt arrives", irq_wait(VECTOR_DMA, 1, IRQ_TIMEOUT_MS), 1);
}

static bool fence_passed(void *opaque)
{
	(void)opaque;
	return fence != 0;
}

static void check_ring(unsigned int cycle)
{
	memset(ring, 0, sizeof(ring));
	memset(target, 0, sizeof(target));
	fence = 0;
	irq_take(VECTOR_FENCE, NULL);
	gpu_ring_init(&gpu, ring, RING_ENTRIES);
	ring[0] = (struct gpu_command){.opcode = GPU_NOP};
	ring[1] = (struct gpu_command){.opcode = GPU_COPY, .src = (uintptr_t)source,
				       .dst = (uintptr_t)target, .len = COPY_LEN};
	ring[2] = (struct gpu_command){.opcode = GPU_FENCE, .value = FENCE_VALUE + cycle,
				       .dst = (uintptr_t)&fence, .vector = FENCE_ENTRY};
	gpu_write(&gpu, GPU_RING_TAIL, 3);
	expect(cycle, "the fence's interrupt arrives", irq_wait(VECTOR_FENCE, 1, IRQ_TIMEOUT_MS),
	       1);
	expect(cycle, "the fence is passed", wait_until(fence_passed, NULL, IRQ_TIMEOUT_MS), 1);
	expect(cycle, "the fence's value", fence, FENCE_VALUE + cycle);
	expect(cycle, "the ring's copy is good", (uint64_t)memcmp(source, target, COPY_LEN), 0);
	expect(cycle, "the ring has no error", gpu_read(&gpu, GPU_RING_ERROR), 0);
	expect(cycle, "the ring is empty", gpu_read(&gpu, GPU_RING_HEAD), 3);
}

/* --- cycles --- */

#define HEADER_WORDS 16
#define FIRST_COMPARED 1 /* Command and Status */

static void read_header(uint32_t header[HEADER_WORDS])
{
	for (unsigned int i = 0; i < HEADER_WORDS; i++)
		header[i] = pci_read(gpu.bdf, 4 * i, 4);
	header[1] &= 0xffff; /* Command; Status has Interrupt Status */
}

static void cycle_once(unsigned int cycle)
{
	uint32_t before[HEADER_WORDS], after[HEADER_WORDS];
	uint32_t boots = gpu_read(&gpu, GPU_BOOT_COUNT);

	gpu_write(&gpu, GPU_SCRATCH, PATTERN + cycle);
	MMIO(uint32_t, gpu.vram) = PATTERN + cycle;
	expect(cycle, "SCRATCH holds", gpu_read(&gpu, GPU_SCRATCH), PATTERN + cycle);
	read_header(before);
	expect(cycle, "_OFF: STATUS", slot_suspend(&slot, false), 0);
	expect(cycle, "off: Vendor ID", pci_read(gpu.bdf, PCI_VENDOR_ID, 4), 0xffffffff);
	expect(cycle, "_OFF again: STATUS", slot_switch(&slot, false, SLOT_TIMEOUT_MS), 0);
	expect(cycle, "_ON: STATUS", slot_resume(&slot), STATUS_ON);
	expect(cycle, "SCRATCH is lost", gpu_read(&gpu, GPU_SCRATCH), 0);
	expect(cycle, "VRAM is lost", MMIO(uint32_t, gpu.vram) != PATTERN + cycle, 1);
	expect(cycle, "BOOT_COUNT rises by one", gpu_read(&gpu, GPU_BOOT_COUNT), boots + 1);
	expect(cycle, "_ON again: STATUS", slot_switch(&slot, true, SLOT_TIMEOUT_MS), STATUS_ON);
	expect(cycle, "BOOT_COUNT stays", gpu_read(&gpu, GPU_BOOT_COUNT), boots + 1);
	read_header(after);
	for (unsigned int i = 0; i < HEADER_WORDS; i++)
		expect(cycle, "the header is as before", after[i], before[i]);
	check_interrupt(cycle);
	check_dma(cycle);
	check_ring(cycle);
}

void test(void)
{
	long cycles = option("cycles") > 0 ? option("cycles") : CYCLES;

	gpu_begin(&slot, &gpu);
	report_equal("STATUS is on at the start", MMIO(uint32_t, slot.status), STATUS_ON);
	report_equal("the model GPU is there", gpu_read(&gpu, GPU_ID), GPU_ID_VALUE);
	irq_take(VECTOR_RAISE, NULL);
	irq_take(VECTOR_DMA, NULL);
	irq_take(VECTOR_FENCE, NULL);
	msix_route(gpu.bdf, RAISE_ENTRY, VECTOR_RAISE);
	msix_route(gpu.bdf, GPU_DMA_VECTOR, VECTOR_DMA);
	msix_route(gpu.bdf, FENCE_ENTRY, VECTOR_FENCE);
	msix_enable(gpu.bdf);
	report_equal("_ON at the start changes nothing",
		     slot_switch(&slot, true, SLOT_TIMEOUT_MS), STATUS_ON);
	check_interrupt(0);
	check_dma(0);
	check_ring(0);
	for (long cycle = 1; cycle <= cycles; cycle++)
		cycle_once((unsigned int)cycle);
	report("every cycle was good", all_good);
	report_equal("each was one entry", (uint64_t)model_status(0, "entries"), (uint64_t)cycles);
	report_equal("the VMM never touched it asleep", (uint64_t)model_status(0, "touches"), 0);
}
