#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "devices/acpi_pm.h"
#include "devices/acpi_pm_internal.h"
#include "tests/devices/guest_io.h"
#include "tests/fake_irq.h"
#include "vmm/base/bits.h"
#include "vmm/base/clock.h"
#include "vmm/bus.h"
#include "vmm/layout.h"

#define PM1_STS PORT_PM1A_EVT
#define PM1_EN (PORT_PM1A_EVT + 2)
#define GPE_STS PORT_GPE0
#define GPE_EN (PORT_GPE0 + GPE0_SIZE / 2)
#define PWRBTN 0x100
#define RTC 0x400
#define PCIEXP_WAKE 0x4000
#define WAK 0x8000
#define SCI_EN 0x0001
#define SLP_EN 0x2000
#define SLP_TYP(type) ((uint64_t)(type) << 10)

struct fixture {
	struct bus *port;
	struct irq_chip *irq;
	struct acpi_pm *pm;
	int requests[MACHINE_WAKE + 1]; /* of each enum machine_request */
};

static void on_request(void *opaque, enum machine_request request)
{
	struct fixture *f = opaque;

	f->requests[request]++;
}

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){.port = bus_create("port"), .irq = fake_irq_create()};
	f.pm = acpi_pm_create(f.port, f.irq, on_request, &f);
	*state = &f;
	return f.pm ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	acpi_pm_destroy(f->pm);
	assert_false(fake_irq_level(f->irq, GSI_SCI));
	fake_irq_destroy(f->irq);
	bus_destroy(f->port);
	return 0;
}

/* --- events and SCI --- */

static void test_acpi_pm_gpe_drives_sci(void **state)
{
	static const unsigned int numbers[] = {0, 7, 8, GPE_SLOT_FIRST, 31, 63};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uint64_t byte = numbers[i] / 8, bit = 1U << numbers[i] % 8;

		acpi_pm_raise_gpe(f->pm, numbers[i]);
		assert_int_equal(guest_in(f->port, GPE_STS + byte, 1), bit);
		assert_false(fake_irq_level(f->irq, GSI_SCI)); /* not enabled */
		guest_out(f->port, GPE_EN + byte, 1, bit);
		assert_true(fake_irq_level(f->irq, GSI_SCI));
		guest_out(f->port, GPE_STS + byte, 1, (uint8_t)~bit); /* another one */
		assert_true(fake_irq_level(f->irq, GSI_SCI));
		guest_out(f->port, GPE_STS + byte, 1, bit);
		assert_false(fake_irq_level(f->irq, GSI_SCI));
		assert_int_equal(guest_in(f->port, GPE_STS + byte, 1), 0);
		assert_int_equal(guest_in(f->port, GPE_EN + byte, 1), bit);
		acpi_pm_raise_gpe(f->pm, numbers[i]);
		assert_true(fake_irq_level(f->irq, GSI_SCI));
		guest_out(f->port, GPE_EN + byte, 1, 0);
		assert_false(fake_irq_level(f->irq, GSI_SCI));
		guest_out(f->port, GPE_STS + byte, 1, bit);
	}
}

static void test_acpi_pm_sci_is_any_source(void **state)
{
	struct fixture *f = *state;

	guest_out(f->port, GPE_EN, 4, 0x00010001);
	guest_out(f->port, PM1_EN, 2, PWRBTN);
	acpi_pm_raise_gpe(f->pm, 0);
	acpi_pm_raise_gpe(f->pm, 16);
	acpi_pm_power_button(f->pm);
	assert_int_equal(fake_irq_line(f->irq, GSI_SCI).sources, 1);
	guest_out(f->port, GPE_STS, 4, 0x00000001);
	assert_true(fake_irq_level(f->irq, GSI_SCI));
	guest_out(f->port, PM1_STS, 2, PWRBTN);
	assert_true(fake_irq_level(f->irq, GSI_SCI));
	guest_out(f->port, GPE_STS, 4, 0x00010000);
	assert_false(fake_irq_level(f->irq, GSI_SCI));
	assert_int_equal(fake_irq_line(f->irq, GSI_SCI).rises, 1);
}

static void test_acpi_pm_gpe_out_of_range_is_ignored(void **state)
{
	struct fixture *f = *state;

	guest_out(f->port, GPE_EN, 4, 0xffffffff);
	guest_out(f->port, GPE_EN + 4, 4, 0xffffffff);
	acpi_pm_raise_gpe(f->pm, 64);
	acpi_pm_raise_gpe(f->pm, 0xffffffff);
	assert_false(fake_irq_level(f->irq, GSI_SCI));
}

static void test_acpi_pm_power_button(void **state)
{
	struct fixture *f = *state;

	acpi_pm_power_button(f->pm);
	assert_int_equal(guest_in(f->port, PM1_STS, 2), PWRBTN);
	guest_out(f->port, PM1_EN, 2, PWRBTN);
	assert_true(fake_irq_level(f->irq, GSI_SCI));
	guest_out(f->port, PM1_STS + 1, 1, PWRBTN >> 8);
	assert_int_equal(guest_in(f->port, PM1_STS, 2), 0);
	assert_false(fake_irq_level(f->irq, GSI_SCI));
}

/* Registers as the guest finds and leaves them, by every width. */
static void test_acpi_pm_register_widths(void **state)
{
	static const struct {
		uint64_t addr;
		unsigned int len;
		uint64_t write, read;
	} cases[] = {
		{PM1_EN, 2, 0xffff, 0x4521},           /* what there is to enable */
		{PM1_EN, 2, 0x0100, 0x0100},
		{PM1_EN, 1, 0x20, 0x20},
		{PM1_EN + 1, 1, 0xff, 0x45},
		{PM1_STS, 4, 0x01210000, 0x01210000},  /* status and enable at once */
		{PM1_STS, 2, 0xffff, 0},
		{GPE_EN, 4, 0x12345678, 0x12345678},
		{GPE_EN + 4, 4, 0x9abcdef0, 0x9abcdef0},
		{GPE_EN + 1, 2, 0xbeef, 0xbeef},
		{GPE_EN, 8, 0x1122334455667788, 0x1122334455667788},
		{GPE_STS + 6, 4, 0xffff1234, 0xffff0000}, /* across the middle */
		{GPE_STS, 4, 0xffffffff, 0},
		{PORT_PM1A_CNT, 2, 0x0002, 0x0003},
		{PORT_PM1A_CNT, 2, 0x0000, 0x0001},    /* SCI_EN stays */
		{PORT_PM1A_CNT, 1, 0x02, 0x03},
		{PORT_PM1A_CNT + 1, 1, 0x14, 0x14},
		{PORT_PM1A_CNT, 4, 0xffffdfff, 0x00001c03},
		{PORT_PM1A_CNT + 2, 2, 0xffff, 0},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t read;

		guest_out(f->port, cases[i].addr, cases[i].len, cases[i].write);
		read = guest_in(f->port, cases[i].addr, cases[i].len);
		if (read != cases[i].read)
			fail_msg("case %zu: 0x%llx", i, (unsigned long long)read);
	}
	assert_int_equal(f->requests[MACHINE_POWER_OFF], 0);
}

/* --- timer --- */

static void test_acpi_pm_ticks(void **state)
{
	const uint64_t second = 1000000000;
	const struct {
		uint64_t ns, ticks;
	} cases[] = {
		{0, 0},
		{279, 0},
		{280, 1},
		{second, 3579545},
		{second - 1, 3579544},
		{1000000, 3579},
		{86400 * second, 3579545ULL * 86400},
		{100ULL * 365 * 86400 * second, 3579545ULL * 100 * 365 * 86400},
		{UINT64_MAX, 66030950515326656}, /* floor(UINT64_MAX * 3579545 / 10^9) */
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (acpi_pm_ticks(cases[i].ns) != cases[i].ticks)
			fail_msg("case %zu: %llu", i,
				 (unsigned long long)acpi_pm_ticks(cases[i].ns));
}

static void test_acpi_pm_timer_reads_the_clock(void **state)
{
	struct fixture *f = *state;
	uint64_t before = acpi_pm_ticks(clock_ns());
	uint64_t value = guest_in(f->port, PORT_PM_TMR, 4);
	uint64_t after = acpi_pm_ticks(clock_ns());

	assert_true((uint32_t)(value - before) <= (uint32_t)(after - before));
	guest_out(f->port, PORT_PM_TMR, 4, 0); /* read-only */
	assert_true((uint32_t)(guest_in(f->port, PORT_PM_TMR, 4) - before) < 0x80000000U);
}

static void test_acpi_pm_timer_carry(void **state)
{
	const uint64_t half = (1ULL << 31) * 1000000000 / ACPI_PM_TIMER_HZ + 1;
	struct fixture *f = *state;
	uint64_t now = clock_ns();

	guest_out(f->port, PM1_EN, 2, 0x0001);
	acpi_pm_advance(f->pm, now + half);
	assert_true(fake_irq_level(f->irq, GSI_SCI));
	assert_int_equal(guest_in(f->port, PM1_STS, 2), 0x0001);
	guest_out(f->port, PM1_STS, 2, 0x0001);
	assert_false(fake_irq_level(f->irq, GSI_SCI));
	acpi_pm_advance(f->pm, now + half);
	assert_false(fake_irq_level(f->irq, GSI_SCI));
	acpi_pm_advance(f->pm, now + 2 * half);
	assert_true(fake_irq_level(f->irq, GSI_SCI));
}

/* --- power-off and reset --- */

static void test_acpi_pm_sleep(void **state)
{
	static const struct {
		uint64_t addr;
		unsigned int len;
		uint64_t value;
		int power_offs;
	} cases[] = {
		{PORT_PM1A_CNT, 2, SLP_TYP(ACPI_PM_SLP_TYP_S5), 0},
		{PORT_PM1A_CNT, 2, SLP_TYP(ACPI_PM_SLP_TYP_S5) | SLP_EN, 1},
		{PORT_PM1A_CNT, 2, SLP_TYP(ACPI_PM_SLP_TYP_S5) | SLP_EN | SCI_EN, 1},
		{PORT_PM1A_CNT, 4, SLP_TYP(ACPI_PM_SLP_TYP_S5) | SLP_EN, 1},
		{PORT_PM1A_CNT + 1, 1, SLP_EN >> 8, 1},
		{PORT_PM1A_CNT, 2, SLP_TYP(ACPI_PM_SLP_TYP_S3), 0},
		{PORT_PM1A_CNT, 2, SLP_TYP(2) | SLP_EN, 0},
		{PORT_PM1A_CNT, 2, SLP_TYP(5) | SLP_EN, 0},
		{PORT_PM1A_CNT, 2, SLP_TYP(7) | SLP_EN, 0},
		{PORT_PM1A_CNT, 1, 0xff, 0},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		f->requests[MACHINE_POWER_OFF] = 0;
		guest_out(f->port, cases[i].addr, cases[i].len, cases[i].value);
		if (f->requests[MACHINE_POWER_OFF] != cases[i].power_offs)
			fail_msg("case %zu: %d", i, f->requests[MACHINE_POWER_OFF]);
		/* SLP_EN is write-only. */
		assert_false(guest_in(f->port, PORT_PM1A_CNT, 2) & SLP_EN);
	}
	assert_int_equal(f->requests[MACHINE_RESET], 0);
	assert_int_equal(f->requests[MACHINE_SUSPEND], 0);
	assert_int_equal(f->requests[MACHINE_WAKE], 0);
}

/* --- S3 --- */

static void fall_asleep(struct fixture *f)
{
	f->requests[MACHINE_SUSPEND] = 0;
	f->requests[MACHINE_WAKE] = 0;
	guest_out(f->port, PORT_PM1A_CNT, 2, SLP_TYP(ACPI_PM_SLP_TYP_S3) | SLP_EN);
	assert_int_equal(f->requests[MACHINE_SUSPEND], 1);
}

enum cause { BUTTON, ALARM, PME, GPE, USER };

static void cause_wake(struct fixture *f, enum cause cause)
{
	switch (cause) {
	case BUTTON:
		acpi_pm_power_button(f->pm);
		break;
	case ALARM:
		acpi_pm_rtc(f->pm);
		break;
	case PME:
		acpi_pm_pcie_wake(f->pm);
		break;
	case GPE:
		acpi_pm_raise_gpe(f->pm, GPE_SLOT_FIRST);
		break;
	case USER:
		assert_true(acpi_pm_wake(f->pm));
		break;
	}
}

static void test_acpi_pm_wakes(void **state)
{
	static const struct {
		uint64_t enable;  /* PM1 */
		uint64_t gpes;
		enum cause cause;
		enum acpi_pm_wake woken_by;
		uint64_t status;  /* PM1, of the cause */
	} cases[] = {
		{PWRBTN, 0, BUTTON, ACPI_PM_BUTTON, PWRBTN},
		{0, 0, BUTTON, ACPI_PM_BUTTON, PWRBTN},      /* always wakes */
		{RTC, 0, ALARM, ACPI_PM_RTC, RTC},
		{0, 0, ALARM, ACPI_PM_ASLEEP, RTC},
		{PWRBTN, 0, ALARM, ACPI_PM_ASLEEP, RTC},
		{0, 0, PME, ACPI_PM_PME, PCIEXP_WAKE},
		{PCIEXP_WAKE, 0, PME, ACPI_PM_ASLEEP, PCIEXP_WAKE},
		{0, 1, GPE, ACPI_PM_GPE, 0},
		{0, 0, GPE, ACPI_PM_ASLEEP, 0},
		{0, 0, USER, ACPI_PM_USER, 0},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int wakes = cases[i].woken_by != ACPI_PM_ASLEEP;

		acpi_pm_reset(f->pm);
		guest_out(f->port, PM1_EN, 2, cases[i].enable);
		guest_out(f->port, GPE_EN + GPE_SLOT_FIRST / 8, 1, cases[i].gpes);
		fall_asleep(f);
		cause_wake(f, cases[i].cause);
		if (acpi_pm_woken_by(f->pm) != cases[i].woken_by ||
		    f->requests[MACHINE_WAKE] != wakes)
			fail_msg("case %zu: by %d, %d times", i, acpi_pm_woken_by(f->pm),
				 f->requests[MACHINE_WAKE]);
		acpi_pm_power_button(f->pm); /* only the first cause counts */
		assert_int_equal(f->requests[MACHINE_WAKE], 1);
		guest_out(f->port, PM1_STS, 2, PWRBTN & ~cases[i].status);
		acpi_pm_resume(f->pm);
		assert_int_equal(guest_in(f->port, PM1_STS, 2), WAK | cases[i].status);
		assert_int_equal(guest_in(f->port, PM1_EN, 2), cases[i].enable);
		assert_false(acpi_pm_wake(f->pm));
	}
}

/* An event that the guest enabled and has not seen to does not let it sleep. */
static void test_acpi_pm_pending_event_wakes_at_once(void **state)
{
	static const struct {
		uint64_t enable, gpes;
		enum cause cause;
		enum acpi_pm_wake woken_by;
	} cases[] = {
		{PWRBTN, 0, BUTTON, ACPI_PM_BUTTON},
		{RTC, 0, ALARM, ACPI_PM_RTC},
		{0, 1, GPE, ACPI_PM_GPE},
		{0, 0, BUTTON, ACPI_PM_ASLEEP},
		{PWRBTN, 0, ALARM, ACPI_PM_ASLEEP},
		{RTC, 0, GPE, ACPI_PM_ASLEEP},
		{PWRBTN, 0, PME, ACPI_PM_ASLEEP}, /* of a guest that was awake */
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		acpi_pm_reset(f->pm);
		cause_wake(f, cases[i].cause);
		guest_out(f->port, PM1_EN, 2, cases[i].enable);
		guest_out(f->port, GPE_EN + GPE_SLOT_FIRST / 8, 1, cases[i].gpes);
		fall_asleep(f);
		if (acpi_pm_woken_by(f->pm) != cases[i].woken_by)
			fail_msg("case %zu: by %d", i, acpi_pm_woken_by(f->pm));
		assert_int_equal(f->requests[MACHINE_WAKE], 0); /* the machine looks itself */
	}
}

/* The SCI follows WAK_STS and PCIEXP_WAKE_STS nowhere. */
static void test_acpi_pm_wake_status_raises_no_sci(void **state)
{
	struct fixture *f = *state;

	guest_out(f->port, PM1_EN, 2, 0xffff & ~PCIEXP_WAKE);
	fall_asleep(f);
	acpi_pm_pcie_wake(f->pm);
	acpi_pm_resume(f->pm);
	guest_out(f->port, PM1_EN, 2, 0xffff);
	assert_int_equal(guest_in(f->port, PM1_STS, 2), WAK | PCIEXP_WAKE);
	assert_false(fake_irq_level(f->irq, GSI_SCI));
	acpi_pm_power_button(f->pm);
	assert_true(fake_irq_level(f->irq, GSI_SCI));
	guest_out(f->port, PM1_STS, 2, 0xffff);
	assert_int_equal(guest_in(f->port, PM1_STS, 2), 0);
}

/* A guest that is awake, and one whose CPUs ask twice. */
static void test_acpi_pm_sleeps_once(void **state)
{
	struct fixture *f = *state;

	assert_false(acpi_pm_wake(f->pm));
	acpi_pm_power_button(f->pm);
	acpi_pm_pcie_wake(f->pm);
	assert_int_equal(f->requests[MACHINE_WAKE], 0);
	assert_int_equal(guest_in(f->port, PM1_STS, 2), PWRBTN);
	fall_asleep(f);
	guest_out(f->port, PORT_PM1A_CNT, 2, SLP_TYP(ACPI_PM_SLP_TYP_S3) | SLP_EN);
	assert_int_equal(f->requests[MACHINE_SUSPEND], 1);
	acpi_pm_reset(f->pm);
	assert_false(acpi_pm_wake(f->pm));
	fall_asleep(f);
}

static void test_acpi_pm_reset_register(void **state)
{
	static const struct {
		uint64_t value;
		int resets;
		uint64_t read;
	} cases[] = {
		{0x00, 0, 0x00},
		{0x02, 0, 0x02}, /* Linux writes this first */
		{0x06, 1, 0x06},
		{0x06, 0, 0x06}, /* no change of the bit */
		{0x00, 0, 0x00},
		{0x0e, 1, 0x0e},
		{0x0a, 0, 0x0a},
		{0x04, 1, 0x04},
		{0xf1, 0, 0x00},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		f->requests[MACHINE_RESET] = 0;
		guest_out(f->port, PORT_RESET, 1, cases[i].value);
		if (f->requests[MACHINE_RESET] != cases[i].resets)
			fail_msg("case %zu: %d", i, f->requests[MACHINE_RESET]);
		assert_int_equal(guest_in(f->port, PORT_RESET, 1), cases[i].read);
	}
	assert_int_equal(f->requests[MACHINE_POWER_OFF], 0);
}

static void config_address_access(void *opaque, struct bus_access *access)
{
	uint32_t *address = opaque;

	if (access->is_write)
		*address = (uint32_t)access->value;
	else
		access->value = *address;
}

/* The PCI core's address register lies over the reset register, and takes dwords alone. */
static void test_acpi_pm_reset_register_beside_pci(void **state)
{
	static const struct bus_ops ops = {4, config_address_access};
	struct fixture *f = *state;
	uint32_t address = 0;

	assert_int_equal(bus_add(f->port, (struct range){PORT_PCI_ADDRESS, 4}, &ops, &address), 0);
	guest_out(f->port, PORT_PCI_ADDRESS, 4, 0x80000e04);
	assert_int_equal(address, 0x80000e04);
	assert_int_equal(f->requests[MACHINE_RESET], 0);
	guest_out(f->port, PORT_RESET, 1, 0x06);
	assert_int_equal(f->requests[MACHINE_RESET], 1);
	assert_int_equal(guest_in(f->port, PORT_PCI_ADDRESS, 4), 0x80000e04);
}

static void test_acpi_pm_reset_clears_all(void **state)
{
	struct fixture *f = *state;

	guest_out(f->port, PM1_EN, 2, 0xffff);
	guest_out(f->port, GPE_EN, 4, 0xffffffff);
	guest_out(f->port, PORT_PM1A_CNT, 2, 0x1c02);
	guest_out(f->port, PORT_RESET, 1, 0x06);
	acpi_pm_power_button(f->pm);
	acpi_pm_raise_gpe(f->pm, 5);
	assert_true(fake_irq_level(f->irq, GSI_SCI));
	acpi_pm_reset(f->pm);
	assert_false(fake_irq_level(f->irq, GSI_SCI));
	assert_int_equal(guest_in(f->port, PM1_STS, 4), 0);
	assert_int_equal(guest_in(f->port, GPE_STS, 8), 0);
	assert_int_equal(guest_in(f->port, GPE_EN, 8), 0);
	assert_int_equal(guest_in(f->port, PORT_PM1A_CNT, 2), SCI_EN);
	assert_int_equal(guest_in(f->port, PORT_RESET, 1), 0);
}

static void test_acpi_pm_refuses_taken_ports(void **state)
{
	struct fixture *f = *state;

	assert_null(acpi_pm_create(f->port, f->irq, on_request, f));
	acpi_pm_destroy(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_acpi_pm_gpe_drives_sci),
		TEST(test_acpi_pm_sci_is_any_source),
		TEST(test_acpi_pm_gpe_out_of_range_is_ignored),
		TEST(test_acpi_pm_power_button),
		TEST(test_acpi_pm_register_widths),
		cmocka_unit_test(test_acpi_pm_ticks),
		TEST(test_acpi_pm_timer_reads_the_clock),
		TEST(test_acpi_pm_timer_carry),
		TEST(test_acpi_pm_sleep),
		TEST(test_acpi_pm_wakes),
		TEST(test_acpi_pm_pending_event_wakes_at_once),
		TEST(test_acpi_pm_wake_status_raises_no_sci),
		TEST(test_acpi_pm_sleeps_once),
		TEST(test_acpi_pm_reset_register),
		TEST(test_acpi_pm_reset_register_beside_pci),
		TEST(test_acpi_pm_reset_clears_all),
		TEST(test_acpi_pm_refuses_taken_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
