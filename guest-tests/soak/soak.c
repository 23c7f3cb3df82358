/*
 * Runs the cycles: options cycles=N, seed=N, cpus=2 (another CPU touches the device meanwhile) and
 * intx=1 (lines instead of messages). It stops at the first thing that is not as it must be.
 * Twenty times it says how far it is and asks the model for its status; the host takes its samples
 * then.
 */
#include "guest-tests/soak/soak.h"

#define CYCLES 200
#define SAMPLES 20
#define SPINS 64
#define MCFG_BASE 44 /* PCI Firmware Specification 3.2, 4.1.2 MCFG Table Description */
#define VENDOR_NVIDIA 0x10deU
#define DAWDLE_SHORT 16
#define DAWDLE_LONG 128

struct soak soak;
struct numbers numbers;

/* --- the machine --- */

static uint64_t cfg_address(uint16_t bdf)
{
	return acpi_get64(acpi_find("MCFG"), MCFG_BASE) + ((uint64_t)bdf << 12);
}

/* Status of the event: the first half of the block. */
static void find_gpe(void)
{
	soak.gpe_port = (uint16_t)(acpi_get32(acpi_find("FACP"), FADT_GPE0) + soak.slot.gpe / 8U);
	soak.gpe_bit = 1U << soak.slot.gpe % 8;
}

/* Lines that are the port's too are left to it. */
static void find_lines(void)
{
	unsigned int ports = pci_read(soak.slot.port, PCI_INTERRUPT_LINE, 1);

	soak.intx = option("intx") > 0;
	for (unsigned int fn = 0; fn < soak.count && soak.intx; fn++)
		if (pci_read(soak.slot.fn[fn], PCI_INTERRUPT_LINE, 1) != ports)
			soak.lines |= 1U << fn;
}

void soak_find(void)
{
	slot_find(&soak.slot);
	report("the slot has a power resource", slot_find_controller(&soak.slot));
	soak.port_cfg = cfg_address(soak.slot.port);
	while (soak.count < FUNCTIONS_MAX && soak.slot.fn[soak.count]) {
		unsigned int fn = soak.count++;

		soak.mask |= 1U << fn;
		soak.cfg[fn] = cfg_address(soak.slot.fn[fn]);
		soak.id[fn] = CFG(uint32_t, soak.cfg[fn], PCI_VENDOR_ID);
		gpu_find(&soak.slot, fn, &soak.gpu[fn]);
	}
	if ((soak.id[0] & 0xffff) == VENDOR_NVIDIA)
		soak.notified = 1;
	find_lines();
	find_gpe();
}

/* --- results --- */

static void print_numbers(void)
{
	const struct {
		const char *name;
		uint64_t value;
	} all[] = {
		{"cycles", numbers.cycles}, {"slept", numbers.slept}, {"raced", numbers.raced},
		{"wakes", numbers.wakes}, {"pmes", numbers.pmes}, {"notifies", numbers.notifies},
		{"woken", numbers.woken}, {"maybe_again", numbers.maybe_again},
		{"refused", numbers.refused}, {"maybe_refused", numbers.maybe_refused},
		{"touches", numbers.touches},
		{"interrupts", numbers.interrupts}, {"dmas", numbers.dmas},
		{"fences", numbers.fences}, {"disturbances", disturbances},
		{"lost", numbers.lost}, {"spurious", numbers.spurious},
	};

	print("soak:");
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		print(" ");
		print(all[i].name);
		print("=");
		print_number(all[i].value);
	}
	print("\n");
}

void soak_fail(const struct cycle *cycle, const char *what, uint64_t got, uint64_t expected)
{
	note("cycle", cycle->number);
	note("course", cycle->course);
	note("PME_En", cycle->pme);
	for (unsigned int fn = 0; fn < soak.count; fn++) {
		note("plan", cycle->plan[fn]);
		note("PMCSR", PMCSR(fn));
	}
	note("wakers", cycle->wakers);
	note("must", cycle->must);
	note("may", cycle->may);
	note("told by PME", cycle->told_pme);
	note("told by Notify", cycle->told_notify);
	note("Root Status", ROOT_STATUS);
	note("STATUS", MMIO(uint32_t, soak.slot.status));
	if (got == expected)
		report(what, false);
	else
		report_equal(what, got, expected);
	model_ask("status");
	print_numbers();
	finish();
}

/* --- one cycle --- */

static uint32_t await_idle(void)
{
	uint32_t status;

	for (unsigned int i = 0; i < SPINS; i++) {
		status = MMIO(uint32_t, soak.slot.status);
		if (!(status & STATUS_BUSY))
			return status;
	}
	return slot_await_idle(&soak.slot, SLOT_TIMEOUT_MS);
}

static void ring(bool on)
{
	MMIO(uint32_t, soak.slot.control) = on;
}

static void go_off(const struct cycle *cycle)
{
	for (unsigned int fn = 0; fn < soak.count; fn++)
		PMCSR(fn) = 3 | PCI_PM_CTRL_PME_STATUS |
			    (cycle->pme >> fn & 1 ? PCI_PM_CTRL_PME_ENABLE : 0);
	PORT_PMCSR = 3;
	ring(false);
}

static void be_asleep(struct cycle *cycle)
{
	soak_expect(cycle, "STATUS after _OFF", await_idle(), 0);
	numbers.slept++;
	numbers.refused += cycle->refused;
	if (cycle->course == COURSE_LATE)
		soak_dawdle(DAWDLE_LONG);
	else
		wakes_await(cycle);
	if (soak_chance(4))
		device_touch_asleep(cycle);
	if (soak_chance(16)) {
		ring(false);
		soak_expect(cycle, "STATUS after _OFF again", await_idle(), 0);
	}
	if (soak_chance(4))
		soak_dawdle(DAWDLE_LONG);
}

/* The guest wants it on, and off once more. The plan may still hold for the second sleep when the
 * first one did not lose it: it was refused, or a function was woken before the last one slept. */
static void change_its_mind(const struct cycle *cycle)
{
	ring(true);
	soak_dawdle(DAWDLE_SHORT);
	ring(false);
	numbers.maybe_refused += cycle->refused;
	if (soak.count > 1)
		numbers.maybe_again += soak_count_bits(cycle->may);
}

/* _ON while _OFF is not served, or under way. */
static void overtake(const struct cycle *cycle)
{
	numbers.raced++;
	numbers.maybe_refused += cycle->refused;
	if (cycle->course == COURSE_GOING_OFF)
		soak_dawdle(DAWDLE_SHORT);
	if (soak_chance(4))
		change_its_mind(cycle);
}

static void one_cycle(struct cycle *cycle)
{
	device_plan(cycle);
	go_off(cycle);
	if (cycle->course == COURSE_SLEEP || cycle->course == COURSE_LATE)
		be_asleep(cycle);
	else
		overtake(cycle);
	ring(true);
	soak_expect(cycle, "STATUS after _ON", await_idle(), STATUS_ON);
	PORT_PMCSR = 0;
	wakes_finish(cycle);
	device_check(cycle);
	numbers.cycles++;
}

/* --- all of them --- */

static void sample(unsigned int number, unsigned int cycles)
{
	print("soak: at ");
	print_number(number);
	print(" of ");
	print_number(cycles);
	print("\n");
	model_ask("status");
	if (disturbances_strange)
		report("each read of the other CPU gave the device's value or ones", false);
}

void test(void)
{
	unsigned int cycles = option("cycles") > 0 ? (unsigned int)option("cycles") : CYCLES;
	unsigned int step = cycles > SAMPLES ? cycles / SAMPLES : 1;
	struct cycle cycle;

	irq_init();
	soak_find();
	wakes_init();
	device_init();
	soak_seed(option("seed") > 0 ? (uint32_t)option("seed") : 1);
	if (option("cpus") > 1)
		report("another CPU runs", cpu_run(0, device_disturb));
	for (unsigned int number = 1; number <= cycles; number++) {
		bool is_sample = number % step == 0;

		cycle.number = number;
		soak_plan(&cycle, is_sample);
		one_cycle(&cycle);
		if (is_sample)
			sample(number, cycles);
	}
	report_equal("strange values seen by another CPU", disturbances_strange, 0);
	report_equal("lost wake-ups", numbers.lost, 0);
	report_equal("spurious PMEs", numbers.spurious, 0);
	print_numbers();
}
