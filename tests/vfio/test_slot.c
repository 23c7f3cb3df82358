/*
 * A slot with its power thread, in a machine of fakes: two scriptable devices, a PCI bus, RAM. The
 * test is the guest (doorbell, config space) and the host (wake-ups, failures).
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/acpi_pm.h"
#include "devices/pci.h"
#include "devices/root_port.h"
#include "devices/slot_power.h"
#include "tests/fake_backend.h"
#include "tests/fake_irq.h"
#include "tests/fake_mem.h"
#include "vfio/function.h"
#include "vfio/slot.h"
#include "vfio/vfio.h"
#include "vmm/base/bits.h"
#include "vmm/base/clock.h"
#include "vmm/bus.h"
#include "vmm/events.h"

#define PORT_BDF 0x0008
#define FN_BDF(fn) (0x0100 + (fn))
#define REQUESTER_ID 0xffffU /* in Root Status */
#define MMIO64_START 0x4000000000ULL
#define MMIO64_SIZE 0x4000000000ULL
#define DEADLINE_US 10000000ULL
#define WAKE_ROUNDS 100U

struct rig {
	struct bus *mmio, *port;
	struct irq_chip *irq;
	struct pci_host *pci;
	struct mem *mem;
	struct acpi_pm *pm;
	struct fake_backend *fake[2];
	struct vfio_slot *slot;
	char log[32];
};

/* --- the rig --- */

static void no_request(void *opaque, enum machine_request request)
{
	(void)opaque;
	fail_msg("the machine was asked for %d", request);
}

static void build_machine(struct rig *rig)
{
	struct pci_host_config config = {.mmio64 = {MMIO64_START, MMIO64_SIZE}};

	config.mmio = rig->mmio = bus_create("mmio");
	config.port = rig->port = bus_create("port");
	config.irq = rig->irq = fake_irq_create();
	rig->pci = pci_host_create(&config);
	rig->mem = fake_mem_create(64 * MIB);
	rig->pm = acpi_pm_create(rig->port, rig->irq, no_request, NULL);
	assert_true(rig->pci && rig->pm);
}

/* `audio_pm`: function 1 has a power management capability. */
static void build(struct rig *rig, const char *option, bool nvidia, bool audio_pm)
{
	struct vfio_backend *backend[HOST_FUNCTIONS] = {NULL};
	struct vfio_slot_config config;
	char why[256] = "";

	memset(rig, 0, sizeof(*rig));
	strcpy(rig->log, "/tmp/test_slot.XXXXXX");
	close(mkstemp(rig->log));
	assert_int_equal(events_open(rig->log), 0);
	assert_int_equal(vfio_slot_parse(option, &config, why, sizeof(why)), 0);
	build_machine(rig);
	rig->fake[0] = fake_backend_create_gpu("0000:01:00.0", nvidia);
	rig->fake[1] = fake_backend_create_gpu("0000:01:00.1", false);
	if (!audio_pm) /* it is the first of the list: begin with the next */
		rig->fake[1]->cfg[PCI_CAPABILITY_LIST] =
			rig->fake[1]->cfg[rig->fake[1]->cfg[PCI_CAPABILITY_LIST] + 1];
	backend[0] = &rig->fake[0]->backend;
	backend[1] = &rig->fake[1]->backend;
	if (vfio_slot_build(NULL, &config, 0, backend, &rig->slot, why, sizeof(why)))
		fail_msg("%s", why);
}

static void start_with(struct rig *rig, const char *option, bool nvidia)
{
	struct vfio_machine machine;
	char why[256] = "";

	build(rig, option, nvidia, true);
	machine = (struct vfio_machine) {
		.mem = rig->mem, .mmio = rig->mmio, .irq = rig->irq, .pci = rig->pci,
		.pm = rig->pm,
	};
	if (vfio_slot_plug(rig->slot, &machine, why, sizeof(why)))
		fail_msg("%s", why);
	assert_int_equal(vfio_slot_start(rig->slot), 0);
	assert_int_equal(pci_host_assign(rig->pci), 0);
	/* What a driver does: decode memory. */
	for (unsigned int fn = 0; fn < 2; fn++)
		pci_host_cfg_write(rig->pci, (uint16_t)FN_BDF(fn), PCI_COMMAND, 2,
				   PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void start(struct rig *rig)
{
	start_with(rig, "01:00.0", false);
}

/* Takes down what is left, and sees that no rule of the back end was broken. */
static void finish(struct rig *rig)
{
	vfio_slot_destroy(rig->slot);
	for (unsigned int i = 0; i < 2; i++) {
		if (rig->fake[i]->violations)
			fail_msg("function %u: %s while engaged", i,
				 fake_op_name(rig->fake[i]->violation.op));
		assert_true(rig->fake[i]->closed);
		fake_backend_destroy(rig->fake[i]);
	}
	acpi_pm_destroy(rig->pm);
	pci_host_destroy(rig->pci);
	fake_irq_destroy(rig->irq);
	bus_destroy(rig->port);
	bus_destroy(rig->mmio);
	fake_mem_destroy(rig->mem);
	events_open(NULL);
	unlink(rig->log);
}

/* --- the guest --- */

static uint64_t controller_read(struct rig *rig, unsigned int off)
{
	struct bus_access access = {.len = 4};

	bus_access(rig->mmio, SLOT_POWER_START + off, &access);
	return access.value;
}

static void ring(struct rig *rig, bool on)
{
	struct bus_access access = {.len = 4, .is_write = true, .value = on};

	bus_access(rig->mmio, SLOT_POWER_START + SLOT_POWER_CONTROL, &access);
}

/* As the guest's _OFF and _ON wait. */
static void await_status(struct rig *rig, uint64_t status)
{
	uint64_t end = clock_us() + DEADLINE_US;

	while (controller_read(rig, SLOT_POWER_STATUS) != status) {
		if (clock_us() > end)
			fail_msg("slot power status stays 0x%llx, expected 0x%llx",
				 (unsigned long long)controller_read(rig, SLOT_POWER_STATUS),
				 (unsigned long long)status);
		sched_yield();
	}
}

static void switch_power(struct rig *rig, bool on)
{
	ring(rig, on);
	await_status(rig, on ? SLOT_POWER_STATUS_ON : 0);
}

static uint16_t pmcsr_off(struct rig *rig, unsigned int fn)
{
	return vfio_function_pci(rig->slot->fn[fn].function)->pm_cap + PCI_PM_CTRL;
}

static uint32_t pmcsr(struct rig *rig, unsigned int fn)
{
	return pci_host_cfg_read(rig->pci, (uint16_t)FN_BDF(fn), pmcsr_off(rig, fn), 2);
}

static void set_pmcsr(struct rig *rig, unsigned int fn, uint32_t value)
{
	pci_host_cfg_write(rig->pci, (uint16_t)FN_BDF(fn), pmcsr_off(rig, fn), 2, value);
}

static uint32_t vendor(struct rig *rig, unsigned int fn)
{
	return pci_host_cfg_read(rig->pci, (uint16_t)FN_BDF(fn), PCI_VENDOR_ID, 2);
}

static uint32_t root_status(struct rig *rig)
{
	uint16_t off = root_port_pci(rig->slot->port)->exp_cap + PCI_EXP_RTSTA;

	return pci_host_cfg_read(rig->pci, PORT_BDF, off, 4);
}

static void await_pme(struct rig *rig)
{
	uint64_t end = clock_us() + DEADLINE_US;

	while (!(root_status(rig) & PCI_EXP_RTSTA_PME)) {
		assert_true(clock_us() < end);
		sched_yield();
	}
}

/* --- what was logged and called --- */

static unsigned int logged(struct rig *rig, const char *text)
{
	static char lines[262144];
	unsigned int count = 0;
	FILE *file = fopen(rig->log, "r");

	assert_non_null(file);
	lines[fread(lines, 1, sizeof(lines) - 1, file)] = '\0';
	fclose(file);
	for (const char *at = lines; (at = strstr(at, text)); at++)
		count++;
	return count;
}

static void await_logged(struct rig *rig, const char *text)
{
	uint64_t end = clock_us() + DEADLINE_US;

	while (!logged(rig, text)) {
		if (clock_us() > end)
			fail_msg("not in the event log: %s", text);
		sched_yield();
	}
}

static unsigned int called(struct fake_backend *fake, enum fake_op op)
{
	return fake_backend_find(fake, op, 0, NULL);
}

/* --- tests --- */

static void test_slot_off_wake_pme_on(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	set_pmcsr(&rig, 0, PCI_PM_CTRL_PME_ENABLE);
	assert_true(fake_mem_windows(rig.mem) > 0);
	for (unsigned int round = 1; round <= 20; round++) {
		switch_power(&rig, false);
		assert_int_equal(called(rig.fake[0], FAKE_ENTRY_WITH_WAKEUP), round);
		assert_int_equal(called(rig.fake[1], FAKE_ENTRY), round);
		assert_int_equal(fake_mem_windows(rig.mem), 0);
		assert_int_equal(vendor(&rig, 0), 0xffff);
		assert_int_equal(root_status(&rig) & PCI_EXP_RTSTA_PME, 0);

		assert_true(fake_backend_wake(rig.fake[0]));
		await_pme(&rig);
		assert_int_equal(root_status(&rig) & REQUESTER_ID, FN_BDF(0));
		assert_int_equal(pmcsr(&rig, 0) & ~PCI_PM_CTRL_STATE_MASK,
				 PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS |
					 PCI_PM_CTRL_NO_SOFT_RESET);
		/* Linux: clears Root Status and PME_Status, resumes, and arms PME again. */
		pci_host_cfg_write(rig.pci, PORT_BDF,
				   root_port_pci(rig.slot->port)->exp_cap + PCI_EXP_RTSTA, 4,
				   PCI_EXP_RTSTA_PME);
		set_pmcsr(&rig, 0, PCI_PM_CTRL_PME_STATUS);
		switch_power(&rig, true);
		assert_int_equal(vendor(&rig, 0), 0x1002);
		assert_true(fake_mem_windows(rig.mem) > 0);
		set_pmcsr(&rig, 0, PCI_PM_CTRL_PME_ENABLE);
		assert_int_equal(root_status(&rig) & PCI_EXP_RTSTA_PME, 0);
	}
	assert_int_equal(logged(&rig,
				"\"from\":\"on\",\"to\":\"engaged\",\"cause\":\"guest\""),
			 40);
	assert_int_equal(logged(&rig,
				"\"from\":\"engaged\",\"to\":\"woken\",\"cause\":\"host\""),
			 20);
	assert_int_equal(logged(&rig, "\"event\":\"pme\",\"device\":\"0000:01:00.0\""), 20);
	assert_int_equal(logged(&rig, "\"event\":\"pme\""), 20);
	assert_int_equal(logged(&rig, "\"from\":\"woken\",\"to\":\"on\",\"cause\":\"guest\""), 20);
	finish(&rig);
}

/* Someone on the host who wakes the device whenever it sleeps, at any moment. */
struct waker {
	struct fake_backend *fake;
	atomic_bool stop;
};

static void *waker_thread(void *opaque)
{
	struct waker *waker = opaque;

	while (!atomic_load(&waker->stop)) {
		fake_backend_wake(waker->fake);
		sched_yield();
	}
	return NULL;
}

static void test_slot_loses_no_wake_and_invents_none(void **state)
{
	struct waker waker = {.stop = false};
	pthread_t thread;
	struct rig rig;

	(void)state;
	start(&rig);
	waker.fake = rig.fake[0];
	assert_int_equal(pthread_create(&thread, NULL, waker_thread, &waker), 0);
	for (unsigned int round = 0; round < WAKE_ROUNDS; round++) {
		set_pmcsr(&rig, 0, PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS);
		switch_power(&rig, false);
		await_pme(&rig);
		pci_host_cfg_write(rig.pci, PORT_BDF,
				   root_port_pci(rig.slot->port)->exp_cap + PCI_EXP_RTSTA, 4,
				   PCI_EXP_RTSTA_PME);
		switch_power(&rig, true);
		assert_int_equal(root_status(&rig) & PCI_EXP_RTSTA_PME, 0);
	}
	atomic_store(&waker.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(logged(&rig, "\"event\":\"pme\""), WAKE_ROUNDS);
	assert_int_equal(logged(&rig, "\"to\":\"woken\""), WAKE_ROUNDS);
	finish(&rig);
}

static void test_slot_on_at_boot_touches_nothing(void **state)
{
	struct rig rig;
	unsigned int before;

	(void)state;
	start(&rig);
	before = rig.fake[0]->calls;
	switch_power(&rig, true);
	assert_int_equal(rig.fake[0]->calls, before);
	finish(&rig);
}

static void test_slot_tells_nvidia_by_notify(void **state)
{
	struct bus_access gpe = {.len = 1};
	struct rig rig;

	(void)state;
	start_with(&rig, "01:00.0", true);
	switch_power(&rig, false);
	assert_int_equal(called(rig.fake[0], FAKE_ENTRY_WITH_WAKEUP), 1);
	assert_true(fake_backend_wake(rig.fake[0]));
	await_logged(&rig, "\"event\":\"notify\",\"device\":\"0000:01:00.0\"");
	assert_int_equal(controller_read(&rig, SLOT_POWER_WAKE), 1);
	bus_access(rig.port, PORT_GPE0 + GPE_SLOT_FIRST / 8, &gpe);
	assert_int_equal(gpe.value & 0xff, 1U << GPE_SLOT_FIRST % 8);
	assert_int_equal(root_status(&rig) & PCI_EXP_RTSTA_PME, 0);
	switch_power(&rig, true);
	finish(&rig);
}

static void test_slot_refuses_and_says_why(void **state)
{
	static const struct {
		const char *option, *error, *detail;
		bool fails_entry;
	} cases[] = {
		{"01:00.0,low-power=off", "\"EPERM\"", "low-power=off", false},
		{"01:00.0,x-entry-error=ENOTTY", "\"ENOTTY\"", "Linux 6.1", false},
		{"01:00.0,x-entry-error=EIO", "\"EIO\"", "refused to enter", false},
		{"01:00.0", "\"EINVAL\"", "refused to enter", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig rig;

		start_with(&rig, cases[i].option, false);
		if (cases[i].fails_entry)
			fake_backend_fail(rig.fake[0], FAKE_ENTRY, -EINVAL, 0, UINT32_MAX);
		switch_power(&rig, false);
		assert_int_equal(vendor(&rig, 0), 0xffff);
		assert_true(logged(&rig, "\"to\":\"refused\"") >= 1);
		assert_true(logged(&rig, cases[i].error) >= 1);
		assert_true(logged(&rig, cases[i].detail) >= 1);
		assert_int_equal(called(rig.fake[0], FAKE_ENTRY), cases[i].fails_entry);
		switch_power(&rig, true);
		assert_int_equal(vendor(&rig, 0), 0x1002);
		assert_true(logged(&rig, "\"from\":\"refused\",\"to\":\"on\"") >= 1);
		finish(&rig);
	}
}

/* The guest does not wait for the first answer: the last request counts. */
static void test_slot_serves_the_last_request(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	fake_backend_block(rig.fake[0], FAKE_ENTRY, true);
	ring(&rig, false);
	assert_true(fake_backend_wait(rig.fake[0], FAKE_ENTRY, 1));
	ring(&rig, true);
	assert_true(controller_read(&rig, SLOT_POWER_STATUS) & SLOT_POWER_STATUS_BUSY);
	fake_backend_block(rig.fake[0], FAKE_ENTRY, false);
	await_status(&rig, SLOT_POWER_STATUS_ON);
	assert_int_equal(called(rig.fake[0], FAKE_EXIT), 1);
	assert_int_equal(vendor(&rig, 0), 0x1002);
	finish(&rig);
}

/* One function was woken and its PME is shown, the other sleeps. */
static void test_slot_reset_while_off(void **state)
{
	struct rig rig;
	unsigned int resets;

	(void)state;
	start(&rig);
	set_pmcsr(&rig, 0, PCI_PM_CTRL_PME_ENABLE);
	switch_power(&rig, false);
	assert_true(fake_backend_wake(rig.fake[0]));
	await_pme(&rig);
	resets = called(rig.fake[0], FAKE_RESET);
	vfio_slot_reset(rig.slot);
	assert_int_equal(called(rig.fake[0], FAKE_EXIT), 1);
	assert_int_equal(called(rig.fake[1], FAKE_EXIT), 1);
	assert_int_equal(called(rig.fake[0], FAKE_RESET), resets + 1);
	assert_int_equal(controller_read(&rig, SLOT_POWER_STATUS), SLOT_POWER_STATUS_ON);
	assert_int_equal(pci_host_assign(rig.pci), 0);
	assert_int_equal(vendor(&rig, 0), 0x1002);
	assert_int_equal(pmcsr(&rig, 0), PCI_PM_CTRL_NO_SOFT_RESET);
	assert_int_equal(root_status(&rig), 0);
	assert_int_equal(logged(&rig, "\"from\":\"woken\",\"to\":\"on\",\"cause\":\"reset\""), 1);
	assert_int_equal(logged(&rig, "\"from\":\"engaged\",\"to\":\"on\",\"cause\":\"reset\""), 1);
	switch_power(&rig, false);
	switch_power(&rig, true);
	finish(&rig);
}

static unsigned int number_of_last(struct fake_backend *fake, enum fake_op op)
{
	unsigned int last = 0;

	for (unsigned int i = 0; i < fake->calls; i++)
		if (fake->call[i].op == op)
			last = i + 1;
	assert_true(last);
	return last;
}

static void test_slot_end_leaves_resets_unmaps_closes(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	switch_power(&rig, false);
	vfio_slot_destroy(rig.slot);
	rig.slot = NULL;
	for (unsigned int i = 0; i < 2; i++) {
		unsigned int exit = number_of_last(rig.fake[i], FAKE_EXIT);
		unsigned int reset = number_of_last(rig.fake[i], FAKE_RESET);
		unsigned int unmap = number_of_last(rig.fake[i], FAKE_REGION_UNMAP);
		unsigned int close = number_of_last(rig.fake[i], FAKE_CLOSE);

		assert_true(exit < reset && reset < unmap && unmap < close);
		assert_int_equal(close, rig.fake[i]->calls);
		assert_int_equal(rig.fake[i]->maps, 0);
	}
	assert_int_equal(
		logged(&rig, "\"from\":\"engaged\",\"to\":\"on\",\"cause\":\"shutdown\""), 2);
	finish(&rig);
}

static void set_dead(struct fake_backend *fake, bool dead)
{
	pthread_mutex_lock(&fake->lock);
	fake->dead = dead;
	pthread_mutex_unlock(&fake->lock);
}

static void test_slot_lost_devices_read_ones_until_a_reset(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	switch_power(&rig, false);
	set_dead(rig.fake[0], true);
	switch_power(&rig, true); /* the other one is there */
	assert_int_equal(vendor(&rig, 0), 0xffff);
	assert_int_equal(vendor(&rig, 1), 0x1002);
	assert_int_equal(logged(&rig,
				"\"to\":\"lost\",\"cause\":\"guest\",\"errno\":\"ENODEV\""),
			 1);
	set_dead(rig.fake[0], false);
	vfio_slot_reset(rig.slot);
	assert_int_equal(pci_host_assign(rig.pci), 0);
	assert_int_equal(vendor(&rig, 0), 0x1002);
	assert_int_equal(logged(&rig, "\"from\":\"lost\",\"to\":\"on\",\"cause\":\"reset\""), 1);
	finish(&rig);
}

static void test_slot_all_lost_answers_off(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	switch_power(&rig, false);
	fake_backend_fail(rig.fake[0], FAKE_EXIT, -EIO, 0, UINT32_MAX);
	fake_backend_fail(rig.fake[1], FAKE_EXIT, -EIO, 0, UINT32_MAX);
	ring(&rig, true);
	await_status(&rig, 0);
	assert_int_equal(logged(&rig, "\"to\":\"lost\",\"cause\":\"guest\",\"errno\":\"EIO\""), 2);
	fake_backend_fail(rig.fake[0], FAKE_EXIT, 0, 0, 0);
	fake_backend_fail(rig.fake[1], FAKE_EXIT, 0, 0, 0);
	finish(&rig);
}

static void test_slot_host_error_makes_lost(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	set_dead(rig.fake[0], true);
	assert_int_equal(vendor(&rig, 0), 0x1002); /* a copy: does not ask the device */
	pci_host_cfg_read(rig.pci, FN_BDF(0), 0xb4, 4);
	await_logged(&rig,
		     "\"from\":\"on\",\"to\":\"lost\",\"cause\":\"error\",\"errno\":\"ENODEV\"");
	assert_int_equal(vendor(&rig, 0), 0xffff);
	finish(&rig);
}

static void test_slot_info_tells_port_and_functions(void **state)
{
	struct vfio_slot_info info;
	struct rig rig;

	(void)state;
	build(&rig, "01:00.0", false, true);
	vfio_slot_info(rig.slot, &info);
	assert_int_equal(info.port_dev, 1);
	assert_int_equal(info.functions, 0x3);
	assert_true(info.d3cold);
	finish(&rig); /* never plugged */
}

static void test_slot_without_pm_capability_has_no_d3cold(void **state)
{
	struct vfio_slot_info info;
	struct rig rig;

	(void)state;
	build(&rig, "01:00.0", false, false);
	vfio_slot_info(rig.slot, &info);
	assert_int_equal(info.functions, 0x3);
	assert_false(info.d3cold);
	finish(&rig);
}

static void test_slot_build_failure_closes_everything(void **state)
{
	const struct vfio_slot_config config = {.bdf = "0000:01:00.0"};
	struct vfio_backend *backend[HOST_FUNCTIONS] = {NULL};
	struct fake_backend *fake[3];
	struct vfio_slot *slot = NULL;
	char why[256] = "";

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		fake[i] = fake_backend_create_gpu("0000:01:00.0", false);
		backend[i] = &fake[i]->backend;
	}
	fake_backend_fail(fake[1], FAKE_RESET, -EIO, 0, UINT32_MAX);
	assert_int_equal(vfio_slot_build(NULL, &config, 0, backend, &slot, why, sizeof(why)), -EIO);
	assert_null(slot);
	assert_non_null(strstr(why, "reset"));
	for (unsigned int i = 0; i < 3; i++) {
		assert_true(fake[i]->closed);
		fake_backend_destroy(fake[i]);
	}
}

static void test_slot_parse_takes_options(void **state)
{
	static const struct {
		const char *text, *bdf;
		bool forbid;
		int inject;
	} cases[] = {
		{"01:00.0", "0000:01:00.0", false, 0},
		{"0001:af:1f.7", "0001:af:1f.7", false, 0},
		{"01:00.0,low-power=off", "0000:01:00.0", true, 0},
		{"01:00.0,low-power=off,low-power=on", "0000:01:00.0", false, 0},
		{"01:00.0,x-entry-error=ENOTTY", "0000:01:00.0", false, -ENOTTY},
		{"01:00.0,x-entry-error=EINVAL", "0000:01:00.0", false, -EINVAL},
		{"01:00.0,low-power=off,x-entry-error=EIO", "0000:01:00.0", true, -EIO},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vfio_slot_config config;
		char why[256];

		assert_int_equal(vfio_slot_parse(cases[i].text, &config, why, sizeof(why)), 0);
		assert_string_equal(config.bdf, cases[i].bdf);
		assert_int_equal(config.forbid_low_power, cases[i].forbid);
		assert_int_equal(config.inject_entry_error, cases[i].inject);
	}
}

static void test_slot_parse_explains_mistakes(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "no PCI address"},
		{"gpu0", "\"gpu0\" is no PCI address"},
		{"01:00.8", "no PCI address"},
		{"0000:01:00.0000000000000000000000000000000000", "no PCI address"},
		{"01:00.0,", "no key \"\""},
		{"01:00.0,rom=x", "no key \"rom\"; there are low-power"},
		{"01:00.0,low-power", "low-power takes on or off, not \"\""},
		{"01:00.0,low-power=maybe", "low-power takes on or off, not \"maybe\""},
		{"01:00.0,low-power=offf", "not \"offf\""},
		{"01:00.0,x-entry-error=EPERM", "takes ENOTTY, EINVAL or EIO"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vfio_slot_config config = {.inject_entry_error = 7};
		char why[256] = "";

		assert_int_equal(vfio_slot_parse(cases[i].text, &config, why, sizeof(why)),
				 -EINVAL);
		if (!strstr(why, cases[i].why))
			fail_msg("--gpu %s: \"%s\" has no \"%s\"", cases[i].text, why,
				 cases[i].why);
		assert_int_equal(config.inject_entry_error, 7);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slot_off_wake_pme_on),
		cmocka_unit_test(test_slot_loses_no_wake_and_invents_none),
		cmocka_unit_test(test_slot_on_at_boot_touches_nothing),
		cmocka_unit_test(test_slot_tells_nvidia_by_notify),
		cmocka_unit_test(test_slot_refuses_and_says_why),
		cmocka_unit_test(test_slot_serves_the_last_request),
		cmocka_unit_test(test_slot_reset_while_off),
		cmocka_unit_test(test_slot_end_leaves_resets_unmaps_closes),
		cmocka_unit_test(test_slot_lost_devices_read_ones_until_a_reset),
		cmocka_unit_test(test_slot_all_lost_answers_off),
		cmocka_unit_test(test_slot_host_error_makes_lost),
		cmocka_unit_test(test_slot_info_tells_port_and_functions),
		cmocka_unit_test(test_slot_without_pm_capability_has_no_d3cold),
		cmocka_unit_test(test_slot_build_failure_closes_everything),
		cmocka_unit_test(test_slot_parse_takes_options),
		cmocka_unit_test(test_slot_parse_explains_mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
