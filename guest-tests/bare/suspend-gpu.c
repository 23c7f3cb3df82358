/*
 * S3 with a passed slot: one that the guest has switched off sleeps on, before, during and after;
 * one that it left on loses its power, and comes back as after a reset. The machine is woken by the
 * device's PME, the power button and the control socket. The VMM touches no sleeping function.
 */
#include "guest-tests/bare/lib_gpu.h"
#include "guest-tests/bare/lib_irq.h"
#include "guest-tests/bare/lib_sleep.h"

#define PME_TIMEOUT_MS 10000
#define PATTERN 0x51ee9001U
#define CONFLICT 409

static struct slot slot;
static struct gpu gpu;

/* What the waking itself left. */
static void check_woken_by(uint16_t status)
{
	report_equal("PM1 status", pm1_status(), PM1_WAK | status);
	pm1_clear(0xffff);
	irq_init();
}

/* The answer of the host's that woke us begins with this. */
static void check_answer(const char *expected)
{
	char answer[80];

	sleep_answer(answer, sizeof(answer));
	report(join("the host did it", answer), !memcmp(answer, expected, strlen(expected)));
}

static void check_asleep(const char *when, long entries)
{
	report_equal(join(when, "it is engaged"), (uint64_t)model_status(0, "engaged"), 1);
	report_equal(join(when, "entries"), (uint64_t)model_status(0, "entries"),
		     (uint64_t)entries);
}

/* All that firmware and the guest have to do again before the device works. */
static void set_up(void)
{
	slot_find(&slot);
	slot_find_controller(&slot);
	gpu_find(&slot, 0, &gpu);
}

static void check_works(const char *when)
{
	gpu_write(&gpu, GPU_SCRATCH, PATTERN);
	report_equal(join(when, "ID"), gpu_read(&gpu, GPU_ID), GPU_ID_VALUE);
	report_equal(join(when, "SCRATCH"), gpu_read(&gpu, GPU_SCRATCH), PATTERN);
}

/* --- asleep before S3, and after --- */

static void check_sleeps_on(const char *request, const char *answer, uint16_t status)
{
	long entries = model_status(0, "entries");

	report_equal("_OFF", slot_suspend(&slot, false), 0);
	check_asleep("before S3", entries + 1);
	sleep_then(request);
	if (!sleep_s3(SLEEP_REAL_MODE))
		finish();
	check_answer(answer);
	check_woken_by(status);
	check_asleep("after S3", entries + 1);
	report_equal("the power resource is off", MMIO(uint32_t, slot.status), 0);
	report_equal("its config space is ones", pci_read(slot.fn[0], PCI_VENDOR_ID, 4), ~0U);
	report_equal("_ON", slot_resume(&slot), STATUS_ON);
	set_up();
	check_works("after _ON");
}

/* Root Status' PME is served, if there is one. Was it the GPU's? */
static bool serve_pme(void)
{
	uint32_t status = slot_root_status(&slot);
	unsigned int fn = status & 7;

	if (!(status & PCI_EXP_RTSTA_PME))
		return false;
	report("its requester is of the slot", fn < SLOT_FUNCTIONS && slot.fn[fn] &&
						       slot.fn[fn] == (status & 0xffff));
	slot_set_pmcsr(&slot, fn, PCI_PM_CTRL_PME_STATUS);
	pci_write(slot.port, slot.port_exp + PCI_EXP_RTSTA, 4, PCI_EXP_RTSTA_PME);
	return !fn;
}

/* The wake of one function is felt by the others, whose PME may be the first that is shown. */
static bool is_gpus_pme_served(void *opaque)
{
	(void)opaque;
	return serve_pme();
}

static void check_pme(void)
{
	pci_change(slot.port, slot.port_exp + PCI_EXP_RTCTL, 2, 0, PCI_EXP_RTCTL_PMEIE);
	report_equal("_OFF", slot_suspend(&slot, true), 0);
	sleep_then("model: wake 0 now");
	if (!sleep_s3(SLEEP_REAL_MODE))
		finish();
	check_answer("ok");
	check_woken_by(PM1_PCIEXP_WAKE);
	report("PME_Status is set", slot_pmcsr(&slot, 0) & PCI_PM_CTRL_PME_STATUS);
	report("the port shows the GPU's PME again",
	       wait_until(is_gpus_pme_served, NULL, PME_TIMEOUT_MS));
	report_equal("_ON", slot_resume(&slot), STATUS_ON);
	for (unsigned int fn = 1; fn < SLOT_FUNCTIONS; fn++)
		serve_pme();
	set_up();
	check_works("after the PME");
}

/* --- left on --- */

static void check_left_on(void)
{
	long entries = model_status(0, "entries");
	uint32_t boots = gpu_read(&gpu, GPU_BOOT_COUNT);
	uint32_t id = pci_read(gpu.bdf, PCI_VENDOR_ID, 4);

	check_works("before S3");
	sleep_then("api: PUT /api/v1/vm.wake");
	if (!sleep_s3(SLEEP_REAL_MODE))
		finish();
	check_answer("204");
	check_woken_by(0);
	report_equal("S3 took its power", (uint64_t)model_status(0, "entries"),
		     (uint64_t)entries + 1);
	report_equal("it is awake", (uint64_t)model_status(0, "engaged"), 0);
	report_equal("config space answers", pci_read(gpu.bdf, PCI_VENDOR_ID, 4), id);
	report_equal("it does not decode", pci_read(gpu.bdf, PCI_COMMAND, 2), 0);
	report_equal("the power resource is on", MMIO(uint32_t, slot.status), STATUS_ON);
	set_up();
	report("it had no power", gpu_read(&gpu, GPU_BOOT_COUNT) > boots);
	report_equal("SCRATCH is lost", gpu_read(&gpu, GPU_SCRATCH), 0);
	check_works("after S3");
}

static void check_awake_guest(void)
{
	char body[160];

	report_equal("an awake guest cannot be woken",
		     api_ask("PUT /api/v1/vm.wake", body, sizeof(body)), CONFLICT);
	report_equal("PM1 status", pm1_status(), 0);
}

void test(void)
{
	gpu_begin(&slot, &gpu);
	pm1_clear(0xffff);
	check_awake_guest();
	check_sleeps_on("api: PUT /api/v1/vm.power-button", "204", PM1_PWRBTN);
	check_sleeps_on("api: PUT /api/v1/vm.wake", "204", 0);
	check_pme();
	check_left_on();
	check_left_on();
	check_pme();
	report_equal("the VMM never touched it asleep", (uint64_t)model_status(0, "touches"), 0);
}
