/*
 * A slot (tests/fake_slot.h) in a machine whose main power goes, S3, and comes back.
 */
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "devices/acpi_pm.h"
#include "devices/pci.h"
#include "devices/root_port.h"
#include "devices/slot_power.h"
#include "tests/devices/guest_io.h"
#include "tests/fake_backend.h"
#include "tests/fake_mem.h"
#include "tests/fake_slot.h"
#include "vfio/slot.h"
#include "vfio/vfio.h"
#include "vmm/bus.h"
#include "vmm/layout.h"

#define PORT_BDF 0x0008
#define SLEEP_S3 (0x2000 | ACPI_PM_SLP_TYP_S3 << 10)
#define PCIEXP_WAKE 0x4000

static unsigned int called(struct fake_backend *fake, enum fake_op op)
{
	return fake_backend_find(fake, op, 0, NULL);
}

static void suspend(struct fake_slot *fake)
{
	guest_out(fake->port, PORT_PM1A_CNT, 2, SLEEP_S3);
	fake_slot_await(fake, vfio_slot_suspend);
}

/* As the machine and its firmware do. */
static void resume(struct fake_slot *fake)
{
	fake_slot_await(fake, vfio_slot_resume);
	fake_slot_boot(fake);
	acpi_pm_resume(fake->pm);
}

/* Has the port interrupt for PMEs, as Linux does. */
static void enable_pme(struct fake_slot *fake)
{
	fake_slot_port_write(fake, PCI_EXP_RTCTL, 2, PCI_EXP_RTCTL_PMEIE);
	fake_slot_set_pmcsr(fake, 0, PCI_PM_CTRL_PME_ENABLE);
}

static void test_slot_left_on_loses_its_power(void **state)
{
	struct fake_slot fake;
	unsigned int resets;

	(void)state;
	fake_slot_start(&fake);
	resets = called(fake.device[0], FAKE_RESET);
	suspend(&fake);
	assert_int_equal(called(fake.device[0], FAKE_ENTRY), 1);
	assert_int_equal(called(fake.device[1], FAKE_ENTRY), 1);
	assert_int_equal(fake_mem_windows(fake.mem), 0);
	resume(&fake);
	assert_int_equal(called(fake.device[0], FAKE_EXIT), 1);
	assert_int_equal(called(fake.device[0], FAKE_RESET), resets + 1);
	assert_int_equal(fake_slot_controller(&fake, SLOT_POWER_STATUS), SLOT_POWER_STATUS_ON);
	assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
	/* As after a reset: nothing decodes, and the guest sets it up. */
	assert_int_equal(fake_mem_windows(fake.mem), 0);
	pci_host_cfg_write(fake.pci, FN_BDF(0), PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_true(fake_mem_windows(fake.mem) > 0);
	assert_int_equal(fake_slot_logged(&fake, "\"to\":\"engaged\",\"cause\":\"guest\""), 2);
	assert_int_equal(fake_slot_logged(&fake, "\"to\":\"on\",\"cause\":\"reset\""), 2);
	fake_slot_finish(&fake);
}

/* What was put to sleep by the guest is its own to wake. */
static void test_slot_asleep_is_left_alone(void **state)
{
	struct fake_slot fake;
	unsigned int calls;

	(void)state;
	fake_slot_start(&fake);
	fake_slot_switch(&fake, false);
	calls = fake.device[0]->calls;
	for (unsigned int i = 0; i < 3; i++) {
		suspend(&fake);
		resume(&fake);
		assert_int_equal(fake_slot_controller(&fake, SLOT_POWER_STATUS), 0);
		assert_int_equal(fake_slot_vendor(&fake, 0), 0xffff);
	}
	assert_int_equal(fake.device[0]->calls, calls);
	fake_slot_switch(&fake, true);
	assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
	fake_slot_finish(&fake);
}

static void test_slot_pme_wakes_the_machine(void **state)
{
	struct fake_slot fake;

	(void)state;
	fake_slot_start(&fake);
	enable_pme(&fake);
	fake_slot_switch(&fake, false);
	suspend(&fake);
	assert_true(fake_backend_wake(fake.device[0]));
	fake_slot_await_logged(&fake, "\"event\":\"pme\"");
	assert_int_equal(fake.wakes, 1);
	assert_int_equal(acpi_pm_woken_by(fake.pm), ACPI_PM_PME);
	resume(&fake);
	/* Said again at once, to a port that has forgotten; the function has not. */
	assert_int_equal(fake_slot_root_status(&fake), PCI_EXP_RTSTA_PME | FN_BDF(0));
	assert_int_equal(fake_slot_pmcsr(&fake, 0) & PCI_PM_CTRL_PME_STATUS,
			 PCI_PM_CTRL_PME_STATUS);
	fake_slot_set_pmcsr(&fake, 0, PCI_PM_CTRL_PME_STATUS);
	fake_slot_switch(&fake, true);
	fake_slot_finish(&fake);
}

/* A guest that does not want to be interrupted for it is not woken; nor one that is awake. */
static void test_slot_pme_that_is_no_wake(void **state)
{
	static const struct {
		bool interrupts, disabled, suspended;
	} cases[] = {{false, false, true}, {true, true, true}, {true, false, false}};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake_slot fake;

		fake_slot_start(&fake);
		enable_pme(&fake);
		if (!cases[i].interrupts)
			fake_slot_port_write(&fake, PCI_EXP_RTCTL, 2, 0);
		if (cases[i].disabled)
			guest_out(fake.port, PORT_PM1A_EVT + 2, 2, PCIEXP_WAKE);
		fake_slot_switch(&fake, false);
		if (cases[i].suspended)
			suspend(&fake);
		assert_true(fake_backend_wake(fake.device[0]));
		fake_slot_await_logged(&fake, "\"event\":\"pme\"");
		assert_int_equal(fake.wakes, 0);
		fake_slot_finish(&fake);
	}
}

/* No D3cold for this one: it stays awake, and the log says so. */
static void test_slot_that_cannot_sleep_says_so(void **state)
{
	struct fake_slot fake;

	(void)state;
	fake_slot_start_with(&fake, "0000:01:00.0,power=off", false);
	suspend(&fake);
	assert_int_equal(called(fake.device[0], FAKE_ENTRY), 0);
	assert_int_equal(fake_slot_logged(&fake, "\"to\":\"refused\""), 2);
	resume(&fake);
	assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
	assert_int_equal(fake_slot_controller(&fake, SLOT_POWER_STATUS), SLOT_POWER_STATUS_ON);
	fake_slot_finish(&fake);
}

static void test_slot_reset_and_end_while_suspended(void **state)
{
	struct fake_slot fake;

	(void)state;
	fake_slot_start(&fake);
	suspend(&fake);
	fake_slot_reset(&fake);
	fake_slot_boot(&fake);
	assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
	fake_slot_switch(&fake, false);
	suspend(&fake);
	resume(&fake); /* nothing is left of the first one */
	assert_int_equal(fake_slot_controller(&fake, SLOT_POWER_STATUS), 0);
	fake_slot_switch(&fake, true);
	suspend(&fake);
	fake_slot_finish(&fake); /* awake before it is closed */
}

static void test_slot_empty_and_suspended(void **state)
{
	struct fake_slot fake;

	(void)state;
	fake_slot_start_empty(&fake);
	suspend(&fake);
	resume(&fake);
	assert_int_equal(fake_slot_controller(&fake, SLOT_POWER_STATUS), SLOT_POWER_STATUS_ON);
	fake_slot_finish(&fake);
}

/* A card that was on its way already, and one that is asked for: the guest finds both out later. */
static void test_slot_changes_while_suspended(void **state)
{
	struct fake_slot fake;

	(void)state;
	fake_slot_start_empty(&fake);
	suspend(&fake);
	fake_slot_insert(&fake);
	resume(&fake);
	assert_int_equal(fake_slot_port_read(&fake, PCI_EXP_SLTSTA, 2), PCI_EXP_SLTSTA_PDS);
	assert_int_equal(fake_slot_vendor(&fake, 0), 0x1002);
	suspend(&fake);
	vfio_slot_request_unplug(fake.slot);
	fake_slot_await_logged(&fake, "\"event\":\"unplug-request\"");
	resume(&fake);
	assert_int_equal(fake_slot_port_read(&fake, PCI_EXP_SLTSTA, 2),
			 PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_ABP);
	fake_slot_finish(&fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slot_left_on_loses_its_power),
		cmocka_unit_test(test_slot_asleep_is_left_alone),
		cmocka_unit_test(test_slot_pme_wakes_the_machine),
		cmocka_unit_test(test_slot_pme_that_is_no_wake),
		cmocka_unit_test(test_slot_that_cannot_sleep_says_so),
		cmocka_unit_test(test_slot_reset_and_end_while_suspended),
		cmocka_unit_test(test_slot_empty_and_suspended),
		cmocka_unit_test(test_slot_changes_while_suspended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
