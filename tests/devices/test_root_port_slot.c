/* The root port's slot and its errors, and all that interrupts together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/devices/root_port_bench.h"

/* --- slot --- */

static void use_hotplug(struct fixture *f)
{
	use_msi(f);
	write_cfg(f, SLTCTL, 2, POWERED | HOTPLUG);
}

/* Presence, link and their events are one; the guest gets one message and clears them all, as
 * Linux' service routine does. */
static void test_root_port_presence(void **state)
{
	const uint32_t changed = PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC;
	struct fixture *f = *state;

	use_hotplug(f);
	for (unsigned int i = 0; i < 4; i++) {
		bool present = i % 2;

		root_port_set_present(f->port, !present);
		assert_int_equal(take_msis(f), 0);
		root_port_set_present(f->port, present);
		assert_int_equal(read_cfg(f, SLTSTA, 2),
				 changed | (present ? PCI_EXP_SLTSTA_PDS : 0));
		assert_int_equal(read_cfg(f, LNKSTA, 2), present ? 0x3103 : 0x1103);
		assert_int_equal(take_msis(f), 1);
		write_cfg(f, SLTSTA, 2, PCI_EXP_SLTSTA_PDC);
		assert_int_equal(read_cfg(f, SLTSTA, 2) & changed, PCI_EXP_SLTSTA_DLLSC);
		write_cfg(f, SLTSTA, 2, 0xffff);
		assert_int_equal(read_cfg(f, SLTSTA, 2), present ? PCI_EXP_SLTSTA_PDS : 0);
		assert_int_equal(take_msis(f), 0);
	}
	assert_int_equal(f->ejected, 0);
	assert_int_equal(read_cfg(f, EXP + PCI_EXP_LNKCAP, 4) & PCI_EXP_LNKCAP_DLLLARC,
			 PCI_EXP_LNKCAP_DLLLARC);
}

/* A message for each time that the condition becomes true; none while it stays so. */
static void test_root_port_hotplug_messages(void **state)
{
	struct fixture *f = *state;

	use_msi(f);
	root_port_press_attention(f->port);
	assert_int_equal(take_msis(f), 0);
	write_cfg(f, SLTCTL, 2, POWERED | PCI_EXP_SLTCTL_HPIE);
	assert_int_equal(take_msis(f), 0);
	write_cfg(f, SLTCTL, 2, POWERED | HOTPLUG);
	assert_int_equal(take_msis(f), 1);
	root_port_press_attention(f->port);
	root_port_set_present(f->port, false);
	assert_int_equal(take_msis(f), 0);
	write_cfg(f, SLTSTA, 2, PCI_EXP_SLTSTA_ABP);
	assert_int_equal(take_msis(f), 0);
	write_cfg(f, SLTCTL, 2, POWERED | (HOTPLUG & ~PCI_EXP_SLTCTL_HPIE));
	write_cfg(f, SLTCTL, 2, POWERED | HOTPLUG);
	assert_int_equal(take_msis(f), 1);
	write_cfg(f, SLTSTA, 2, 0xffff);
	root_port_press_attention(f->port);
	assert_int_equal(take_msis(f), 1);
	assert_int_equal(fake_irq_line(f->pci.irq, GSI).rises, 0);
}

/* On the transition only, whatever the width of the write; a reset is none. */
static void test_root_port_ejected(void **state)
{
	static const struct {
		uint16_t off;
		unsigned int len;
		uint32_t value;
		unsigned int ejected;
	} steps[] = {
		{SLTCTL, 2, POWERED, 0},
		{SLTCTL, 2, POWERED | PCI_EXP_SLTCTL_PWR_OFF, 1},
		{SLTCTL, 2, POWERED | PCI_EXP_SLTCTL_PWR_OFF, 1},
		{SLTCTL, 1, PCI_EXP_SLTCTL_HPIE, 1},
		{SLTCTL, 2, POWERED, 1},
		{SLTCTL + 1, 1, PCI_EXP_SLTCTL_PWR_OFF >> 8, 2},
		{SLTCTL, 4, 0xffff0000 | POWERED, 2},
		{SLTCTL, 4, POWERED | PCI_EXP_SLTCTL_PWR_OFF, 3},
		{SLTSTA, 2, PCI_EXP_SLTCTL_PWR_OFF, 3},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
		write_cfg(f, steps[i].off, steps[i].len, steps[i].value);
		assert_int_equal(f->ejected, steps[i].ejected);
		assert_int_equal(read_cfg(f, SLTSTA, 2), PCI_EXP_SLTSTA_PDS);
	}
	root_port_set_present(f->port, false);
	pci_dev_reset(root_port_pci(f->port));
	assert_int_equal(f->ejected, 3);
	assert_int_equal(read_cfg(f, SLTCTL, 4), 0x000007c0);
	/* Power alone brings nothing back. */
	write_cfg(f, SLTCTL, 2, POWERED);
	assert_int_equal(read_cfg(f, SLTSTA, 2), 0);
	assert_int_equal(read_cfg(f, LNKSTA, 2), 0x1103);
}

/* Linux disables the interrupt of a sleeping port and leaves the button enabled: a press is then a
 * PME of the port itself. */
static void test_root_port_button_wakes_the_port(void **state)
{
	struct fixture *f = *state;

	use_msi(f);
	write_cfg(f, RTCTL, 2, PCI_EXP_RTCTL_PMEIE);
	write_cfg(f, SLTCTL, 2, POWERED | PCI_EXP_SLTCTL_ABPE);
	write_cfg(f, PMCSR, 2, PCI_PM_CTRL_PME_ENABLE | 3);
	root_port_pme(f->port, 1);
	assert_int_equal(take_msis(f), 1);
	root_port_press_attention(f->port);
	root_port_press_attention(f->port);
	assert_int_equal(read_cfg(f, PMCSR, 2), 0x810b);
	assert_int_equal(read_cfg(f, RTSTA, 4),
			 PCI_EXP_RTSTA_PENDING | PCI_EXP_RTSTA_PME | 0x0501);
	write_cfg(f, RTSTA, 4, PCI_EXP_RTSTA_PME);
	assert_int_equal(read_cfg(f, RTSTA, 4), PCI_EXP_RTSTA_PME | BDF);
	assert_int_equal(take_msis(f), 1);
	assert_false(root_port_pme_outstanding(f->port, BDF));
	write_cfg(f, RTSTA, 4, PCI_EXP_RTSTA_PME);
	assert_int_equal(read_cfg(f, RTSTA, 4), 0);
	/* Awake, it is an interrupt again, of what has been pending. */
	write_cfg(f, PMCSR, 2, PCI_PM_CTRL_PME_STATUS);
	assert_int_equal(take_msis(f), 0);
	write_cfg(f, SLTCTL, 2, POWERED | HOTPLUG);
	assert_int_equal(take_msis(f), 1);
}

/* No PME of the port when it is awake, when PMCSR does not enable it, or for a button that is not
 * enabled; a change of presence needs no enable. */
static void test_root_port_events_that_do_not_wake(void **state)
{
	static const struct {
		bool press;
		uint32_t pmcsr, control;
		bool wakes;
	} cases[] = {
		{true, PCI_PM_CTRL_PME_ENABLE, PCI_EXP_SLTCTL_ABPE, false},
		{true, 3, PCI_EXP_SLTCTL_ABPE, false},
		{true, PCI_PM_CTRL_PME_ENABLE | 3, PCI_EXP_SLTCTL_DLLSCE, false},
		{true, PCI_PM_CTRL_PME_ENABLE | 3, PCI_EXP_SLTCTL_ABPE, true},
		{false, PCI_PM_CTRL_PME_ENABLE, PCI_EXP_SLTCTL_DLLSCE, false},
		{false, 3, PCI_EXP_SLTCTL_DLLSCE, false},
		{false, PCI_PM_CTRL_PME_ENABLE | 3, PCI_EXP_SLTCTL_ABPE, true},
	};
	struct fixture *f = *state;
	bool present = true;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		write_cfg(f, PMCSR, 2, cases[i].pmcsr);
		write_cfg(f, SLTCTL, 2, POWERED | cases[i].control);
		if (cases[i].press)
			root_port_press_attention(f->port);
		else
			root_port_set_present(f->port, present = !present);
		assert_int_equal(read_cfg(f, RTSTA, 4),
				 cases[i].wakes ? PCI_EXP_RTSTA_PME | BDF : 0);
		assert_int_equal(!!(read_cfg(f, PMCSR, 2) & PCI_PM_CTRL_PME_STATUS),
				 cases[i].wakes);
		write_cfg(f, PMCSR, 2, PCI_PM_CTRL_PME_STATUS);
		write_cfg(f, RTSTA, 4, PCI_EXP_RTSTA_PME);
		write_cfg(f, SLTSTA, 2, 0xffff);
	}
	/* One that waits is dropped when the guest wakes the port by itself. */
	root_port_pme(f->port, 1);
	write_cfg(f, SLTCTL, 2, POWERED | PCI_EXP_SLTCTL_ABPE);
	write_cfg(f, PMCSR, 2, PCI_PM_CTRL_PME_ENABLE | 3);
	root_port_press_attention(f->port);
	write_cfg(f, PMCSR, 2, PCI_PM_CTRL_PME_STATUS);
	assert_int_equal(read_cfg(f, RTSTA, 4), PCI_EXP_RTSTA_PME | 0x0501);
}

/* --- errors --- */

/* As Linux leaves a port whose errors are its own. */
static void use_aer(struct fixture *f)
{
	write_cfg(f, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_SERR);
	write_cfg(f, EXP + PCI_EXP_DEVCTL, 2, 0x000f);
	write_cfg(f, ROOT_COMMAND, 4, 7);
}

static void test_root_port_errors_by_msi(void **state)
{
	struct fixture *f = *state;

	use_msi(f);
	use_aer(f);
	root_port_report_error(f->port, 0x01, ROOT_PORT_FATAL);
	assert_int_equal(take_msis(f), 1);
	assert_int_equal(read_cfg(f, ROOT_STATUS, 4), 0x54);
	assert_int_equal(read_cfg(f, ERROR_SOURCE, 4), 0x05010000);
	/* The ID is that of the time of the message. */
	write_cfg(f, PCI_SECONDARY_BUS, 1, 7);
	root_port_report_error(f->port, 0x02, ROOT_PORT_CORRECTABLE);
	root_port_report_error(f->port, 0x03, ROOT_PORT_NONFATAL);
	assert_int_equal(take_msis(f), 0);
	assert_int_equal(read_cfg(f, ROOT_STATUS, 4), 0x7d);
	assert_int_equal(read_cfg(f, ERROR_SOURCE, 4), 0x05010702);
	write_cfg(f, ROOT_STATUS, 4, 0x7d);
	assert_int_equal(read_cfg(f, ROOT_STATUS, 4), 0);
	root_port_report_error(f->port, 0x03, ROOT_PORT_NONFATAL);
	assert_int_equal(take_msis(f), 1);
	assert_int_equal(read_cfg(f, ROOT_STATUS, 4), 0x24);
	/* Secondary side: Received System Error. */
	assert_int_equal(read_cfg(f, PCI_SEC_STATUS, 2), PCI_STATUS_SIG_SYSTEM_ERROR);
	write_cfg(f, ROOT_COMMAND, 4, 0);
	write_cfg(f, ROOT_COMMAND, 4, 2);
	assert_int_equal(take_msis(f), 1);
}

/* What lets an error through, and what shows of it in the status of the two sides. */
static void test_root_port_error_forwarding(void **state)
{
	static const struct {
		uint32_t bridge, command, control;
		uint32_t recorded; /* bit: enum root_port_error */
	} cases[] = {
		{0, PCI_COMMAND_SERR, 0x0007, 0},
		{PCI_BRIDGE_CTL_SERR, 0, 0x0000, 0},
		{PCI_BRIDGE_CTL_SERR, 0, 0x0001, 1U << ROOT_PORT_CORRECTABLE},
		{PCI_BRIDGE_CTL_SERR, 0, 0x0002, 1U << ROOT_PORT_NONFATAL},
		{PCI_BRIDGE_CTL_SERR, 0, 0x0004, 1U << ROOT_PORT_FATAL},
		{PCI_BRIDGE_CTL_SERR, PCI_COMMAND_SERR, 0x0000,
		 1U << ROOT_PORT_NONFATAL | 1U << ROOT_PORT_FATAL},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases) * 3; i++) {
		enum root_port_error error = i % 3;
		bool recorded = cases[i / 3].recorded & 1U << error;
		bool uncorrectable = error != ROOT_PORT_CORRECTABLE;
		bool signaled = uncorrectable && recorded && cases[i / 3].command;

		write_cfg(f, PCI_BRIDGE_CONTROL, 2, cases[i / 3].bridge);
		write_cfg(f, PCI_COMMAND, 2, cases[i / 3].command);
		write_cfg(f, EXP + PCI_EXP_DEVCTL, 2, cases[i / 3].control);
		root_port_report_error(f->port, 0, error);
		assert_int_equal(read_cfg(f, ROOT_STATUS, 4) != 0, recorded);
		assert_int_equal(read_cfg(f, PCI_STATUS, 2),
				 PCI_STATUS_CAP_LIST |
					 (signaled ? PCI_STATUS_SIG_SYSTEM_ERROR : 0));
		assert_int_equal(read_cfg(f, PCI_SEC_STATUS, 2),
				 uncorrectable ? PCI_STATUS_SIG_SYSTEM_ERROR : 0);
		write_cfg(f, PCI_STATUS, 2, 0xffff);
		write_cfg(f, PCI_SEC_STATUS, 2, 0xffff);
		write_cfg(f, ROOT_STATUS, 4, 0xffffffff);
		assert_int_equal(read_cfg(f, ROOT_STATUS, 4), 0);
	}
}

/* --- all sources --- */

/* INTx is high as long as one of the three wants it. */
static void test_root_port_sources_share_intx(void **state)
{
	struct fixture *f = *state;

	use_aer(f);
	write_cfg(f, RTCTL, 2, PCI_EXP_RTCTL_PMEIE);
	write_cfg(f, SLTCTL, 2, POWERED | HOTPLUG);
	assert_false(fake_irq_level(f->pci.irq, GSI));
	root_port_press_attention(f->port);
	assert_true(fake_irq_level(f->pci.irq, GSI));
	root_port_report_error(f->port, 0, ROOT_PORT_CORRECTABLE);
	root_port_pme(f->port, 0);
	write_cfg(f, SLTSTA, 2, PCI_EXP_SLTSTA_ABP);
	write_cfg(f, RTSTA, 4, PCI_EXP_RTSTA_PME);
	assert_true(fake_irq_level(f->pci.irq, GSI));
	write_cfg(f, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	assert_false(fake_irq_level(f->pci.irq, GSI));
	write_cfg(f, PCI_COMMAND, 2, 0);
	assert_true(fake_irq_level(f->pci.irq, GSI));
	write_cfg(f, ROOT_STATUS, 4, PCI_ERR_ROOT_COR_RCV);
	assert_false(fake_irq_level(f->pci.irq, GSI));
	assert_int_equal(take_msis(f), 0);
}

/* Each has its own edge: none hides behind another that is pending. */
static void test_root_port_sources_have_their_own_messages(void **state)
{
	struct fixture *f = *state;

	use_hotplug(f);
	use_aer(f);
	write_cfg(f, RTCTL, 2, PCI_EXP_RTCTL_PMEIE);
	root_port_pme(f->port, 0);
	assert_int_equal(take_msis(f), 1);
	root_port_press_attention(f->port);
	assert_int_equal(take_msis(f), 1);
	root_port_report_error(f->port, 0, ROOT_PORT_FATAL);
	assert_int_equal(take_msis(f), 1);
	write_cfg(f, RTSTA, 4, PCI_EXP_RTSTA_PME);
	root_port_pme(f->port, 0);
	assert_int_equal(take_msis(f), 1);
	/* All at once are one message of the one vector. */
	write_cfg(f, PCI_COMMAND, 2, 0);
	write_cfg(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_int_equal(take_msis(f), 1);
}

/* The slot stays as it is, all else is as at the beginning. */
static void test_root_port_reset_keeps_presence(void **state)
{
	struct fixture *f = *state;

	for (unsigned int present = 0; present < 2; present++) {
		use_aer(f);
		write_cfg(f, SLTCTL, 2, POWERED | HOTPLUG);
		root_port_set_present(f->port, present);
		root_port_press_attention(f->port);
		root_port_report_error(f->port, 0, ROOT_PORT_FATAL);
		assert_true(fake_irq_level(f->pci.irq, GSI));
		pci_dev_reset(root_port_pci(f->port));
		assert_false(fake_irq_level(f->pci.irq, GSI));
		assert_int_equal(read_cfg(f, SLTCTL, 4), present ? 0x004001c0 : 0x000007c0);
		assert_int_equal(read_cfg(f, LNKSTA, 2), present ? 0x3103 : 0x1103);
		assert_int_equal(read_cfg(f, ROOT_STATUS, 4), 0);
		assert_int_equal(read_cfg(f, ERROR_SOURCE, 4), 0);
		assert_int_equal(read_cfg(f, ROOT_COMMAND, 4), 0);
	}
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(test_root_port_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(presence),
		CASE(hotplug_messages),
		CASE(ejected),
		CASE(button_wakes_the_port),
		CASE(events_that_do_not_wake),
		CASE(errors_by_msi),
		CASE(error_forwarding),
		CASE(sources_share_intx),
		CASE(sources_have_their_own_messages),
		CASE(reset_keeps_presence),
	};

	return cmocka_run_group_tests_name("root_port", tests, NULL, NULL);
}
