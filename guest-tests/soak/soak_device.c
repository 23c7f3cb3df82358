/* The device of the soak: what it must be like after a cycle, and what it can do. */
#include "guest-tests/soak/soak.h"

#define VECTOR_RAISE 44 /* and the next ones, for each function */
#define VECTOR_DMA 48
#define RAISE_ENTRY 0
#define IRQ_TIMEOUT_MS 20000
#define COPY_SIZE 64
#define RING_ENTRIES 4
#define HEADER_WORDS 6 /* the BARs */
#define VRAM_TOUCHED 0x1000 /* by another CPU */
#define DISTURB_BURST 8

volatile uint32_t disturbances, disturbances_strange;
static uint32_t boots[FUNCTIONS_MAX], command[FUNCTIONS_MAX];
static uint32_t bars[FUNCTIONS_MAX][HEADER_WORDS];
static uint64_t source[COPY_SIZE / 8], target[COPY_SIZE / 8];
static struct gpu_command ring[RING_ENTRIES] __attribute__((aligned(4096)));
static volatile uint32_t fence;

static uint32_t get(unsigned int fn, unsigned int reg)
{
	return MMIO(uint32_t, soak.gpu[fn].regs + reg);
}

static void set(unsigned int fn, unsigned int reg, uint32_t value)
{
	MMIO(uint32_t, soak.gpu[fn].regs + reg) = value;
}

/* --- interrupts --- */

static bool by_line(unsigned int fn)
{
	return soak.lines >> fn & 1;
}

/* Those with a cause: where a hypervisor ends interrupts as it delivers them, a line that is not
 * quiet yet interrupts once more. */
static volatile unsigned int line_interrupts[FUNCTIONS_MAX];

/* A line is level-triggered: it is quiet before the interrupt ends. */
static void on_line(unsigned int vector)
{
	unsigned int fn = vector - VECTOR_RAISE;
	uint32_t status = get(fn, GPU_IRQ_STATUS);

	if (!status || status == ONES)
		return;
	set(fn, GPU_IRQ_STATUS, ONES);
	line_interrupts[fn]++;
}

static void route(unsigned int fn)
{
	uint16_t bdf = soak.slot.fn[fn];

	irq_take(VECTOR_RAISE + fn, by_line(fn) ? on_line : NULL);
	irq_take(VECTOR_DMA + fn, NULL);
	if (by_line(fn)) {
		intx_route(bdf, VECTOR_RAISE + fn);
		return;
	}
	msix_route(bdf, RAISE_ENTRY, VECTOR_RAISE + fn);
	msix_route(bdf, GPU_DMA_VECTOR, VECTOR_DMA + fn);
	msix_enable(bdf);
}

/* Interrupts that an entry of the table sent. */
struct awaited {
	unsigned int fn, entry, count;
};

static unsigned int count_interrupts(unsigned int fn, unsigned int entry)
{
	unsigned int count = irq_count((entry == RAISE_ENTRY ? VECTOR_RAISE : VECTOR_DMA) + fn);

	return by_line(fn) ? line_interrupts[fn] : count;
}

static bool came(void *opaque)
{
	const struct awaited *awaited = opaque;

	return count_interrupts(awaited->fn, awaited->entry) >= awaited->count;
}

static void expect_one_more(const struct cycle *cycle, unsigned int fn, unsigned int entry,
			    unsigned int before)
{
	struct awaited awaited = {fn, entry, before + 1};

	wait_until(came, &awaited, IRQ_TIMEOUT_MS);
	soak_expect(cycle, "the device's interrupts", count_interrupts(fn, entry), before + 1);
	set(fn, GPU_IRQ_STATUS, ONES);
}

void device_init(void)
{
	for (unsigned int fn = 0; fn < soak.count; fn++) {
		route(fn);
		boots[fn] = get(fn, GPU_BOOT_COUNT);
		command[fn] = CFG(uint16_t, soak.cfg[fn], PCI_COMMAND);
		for (unsigned int i = 0; i < HEADER_WORDS; i++)
			bars[fn][i] = CFG(uint32_t, soak.cfg[fn], PCI_BASE_ADDRESS_0 + 4 * i);
	}
	mmio_map(soak.gpu[0].vram + VRAM_TOUCHED);
}

void device_plan(const struct cycle *cycle)
{
	for (unsigned int fn = 0; fn < soak.count; fn++)
		set(fn, GPU_SCRATCH, cycle->plan[fn]);
}

/* --- asleep --- */

void device_touch_asleep(const struct cycle *cycle)
{
	unsigned int fn = (soak_random() >> 8) % soak.count;

	numbers.touches++;
	soak_expect(cycle, "asleep: BAR 0", get(fn, GPU_ID), ONES);
	soak_expect(cycle, "asleep: VRAM", MMIO(uint32_t, soak.gpu[0].vram), ONES);
	soak_expect(cycle, "asleep: config space", CFG(uint32_t, soak.cfg[fn], PCI_VENDOR_ID),
		    ONES);
	soak_expect(cycle, "asleep: PMCSR", PMCSR(fn) & PCI_PM_CTRL_STATE_MASK, 3);
	set(fn, GPU_SCRATCH, 1);
	set(fn, GPU_IRQ_RAISE, RAISE_ENTRY);
	MMIO(uint32_t, soak.gpu[0].vram) = 1;
	CFG(uint16_t, soak.cfg[fn], PCI_COMMAND) = 0;
	CFG(uint32_t, soak.cfg[fn], PCI_BASE_ADDRESS_0) = 0;
}

/* --- awake: what is as before --- */

static void check_contents(const struct cycle *cycle, unsigned int fn, bool lost)
{
	uint32_t now = get(fn, GPU_BOOT_COUNT);

	soak_expect(cycle, "SCRATCH", get(fn, GPU_SCRATCH), lost ? 0 : cycle->plan[fn]);
	if (!lost)
		soak_expect(cycle, "BOOT_COUNT without a boot", now, boots[fn]);
	else if (cycle->contents == CONTENTS_LOST && !cycle->wakers)
		soak_expect(cycle, "BOOT_COUNT after one sleep", now, boots[fn] + 1);
	else
		soak_expect(cycle, "BOOT_COUNT has grown", now > boots[fn], 1);
	boots[fn] = now;
}

static void check_header(const struct cycle *cycle, unsigned int fn)
{
	soak_expect(cycle, "ID", get(fn, GPU_ID), GPU_ID_VALUE);
	soak_expect(cycle, "Vendor ID and Device ID", CFG(uint32_t, soak.cfg[fn], PCI_VENDOR_ID),
		    soak.id[fn]);
	soak_expect(cycle, "Command", CFG(uint16_t, soak.cfg[fn], PCI_COMMAND), command[fn]);
	for (unsigned int i = 0; i < HEADER_WORDS; i++)
		soak_expect(cycle, "a BAR", CFG(uint32_t, soak.cfg[fn], PCI_BASE_ADDRESS_0 + 4 * i),
			    bars[fn][i]);
}

/* --- awake: what works --- */

static void check_interrupt(const struct cycle *cycle, unsigned int fn)
{
	unsigned int before = count_interrupts(fn, RAISE_ENTRY);

	set(fn, GPU_IRQ_RAISE, RAISE_ENTRY);
	expect_one_more(cycle, fn, RAISE_ENTRY, before);
	numbers.interrupts++;
}

static void check_copy(const struct cycle *cycle)
{
	for (unsigned int i = 0; i < COPY_SIZE / 8; i++) {
		soak_expect(cycle, "what was copied", target[i], source[i]);
		target[i] = 0;
	}
}

static void check_dma(const struct cycle *cycle, unsigned int fn)
{
	unsigned int before = count_interrupts(fn, GPU_DMA_VECTOR);

	source[cycle->number % (COPY_SIZE / 8)] = soak_random();
	soak_expect(cycle, "DMA", gpu_dma(&soak.gpu[fn], (uintptr_t)target, (uintptr_t)source,
					  COPY_SIZE, true), GPU_DMA_DONE);
	expect_one_more(cycle, fn, GPU_DMA_VECTOR, before);
	check_copy(cycle);
	numbers.dmas++;
}

static void check_ring(const struct cycle *cycle, unsigned int fn)
{
	unsigned int before = count_interrupts(fn, RAISE_ENTRY);

	source[cycle->number % (COPY_SIZE / 8)] = soak_random();
	gpu_ring_init(&soak.gpu[fn], ring, RING_ENTRIES);
	ring[0] = (struct gpu_command){.opcode = GPU_COPY, .src = (uintptr_t)source,
				       .dst = (uintptr_t)target, .len = COPY_SIZE};
	ring[1] = (struct gpu_command){.opcode = GPU_FENCE, .value = cycle->number,
				       .dst = (uintptr_t)&fence, .vector = RAISE_ENTRY};
	fence = 0;
	set(fn, GPU_RING_TAIL, 2);
	expect_one_more(cycle, fn, RAISE_ENTRY, before);
	soak_expect(cycle, "the fence", fence, cycle->number);
	soak_expect(cycle, "the ring's error", get(fn, GPU_RING_ERROR), 0);
	check_copy(cycle);
	numbers.fences++;
}

void device_check(const struct cycle *cycle)
{
	unsigned int fn = (soak_random() >> 8) % soak.count;
	bool lost = !get(0, GPU_SCRATCH);

	check_header(cycle, fn);
	if (cycle->contents != CONTENTS_EITHER)
		soak_expect(cycle, "contents are lost", lost, cycle->contents == CONTENTS_LOST);
	for (unsigned int i = 0; i < soak.count; i++)
		check_contents(cycle, i, lost);
	if (soak_chance(8))
		check_interrupt(cycle, fn);
	if (soak_chance(16))
		check_dma(cycle, fn);
	if (soak_chance(16))
		check_ring(cycle, fn);
}

/* --- from another CPU, in every state --- */

static void see(uint32_t value, uint32_t good)
{
	disturbances++;
	if (value != good && value != ONES)
		disturbances_strange++;
}

void device_disturb(void)
{
	uint32_t times = 0;

	irq_init();
	for (;;) {
		for (unsigned int i = 0; i < DISTURB_BURST; i++) {
			unsigned int fn = times++ % soak.count;

			see(get(fn, GPU_ID), GPU_ID_VALUE);
			see(CFG(uint32_t, soak.cfg[fn], PCI_VENDOR_ID), soak.id[fn]);
			MMIO(uint32_t, soak.gpu[0].vram + VRAM_TOUCHED) = times;
			(void)MMIO(uint32_t, soak.gpu[0].vram + VRAM_TOUCHED);
		}
		/* until the next tick of its timer */
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	}
}
