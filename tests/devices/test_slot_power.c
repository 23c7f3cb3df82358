#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "devices/slot_power.h"
#include "tests/devices/guest_io.h"
#include "vmm/base/bits.h"
#include "vmm/bus.h"
#include "vmm/layout.h"

#define BASE SLOT_POWER_START
#define CONTROL (BASE + SLOT_POWER_CONTROL)
#define STATUS (BASE + SLOT_POWER_STATUS)
#define WAKE (BASE + SLOT_POWER_WAKE)
#define ON SLOT_POWER_STATUS_ON
#define BUSY SLOT_POWER_STATUS_BUSY

struct fixture {
	struct bus *mmio;
	struct slot_power *power;
	unsigned int rings;
	bool rung_on;
	uint32_t status_when_rung;
};

static void on_ring(void *opaque, bool on)
{
	struct fixture *f = opaque;

	f->rings++;
	f->rung_on = on;
	f->status_when_rung = (uint32_t)guest_in(f->mmio, STATUS, 4);
}

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){.mmio = bus_create("mmio")};
	f.power = slot_power_create(f.mmio, 0, on_ring, &f);
	*state = &f;
	return f.power ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	slot_power_destroy(f->power);
	bus_destroy(f->mmio);
	return 0;
}

static void assert_registers(struct fixture *f, uint32_t control, uint32_t status, uint32_t wake)
{
	assert_int_equal(guest_in(f->mmio, CONTROL, 4), control);
	assert_int_equal(guest_in(f->mmio, STATUS, 4), status);
	assert_int_equal(guest_in(f->mmio, WAKE, 4), wake);
}

static void ring(struct fixture *f, uint32_t value)
{
	guest_out(f->mmio, CONTROL, 4, value);
}

static void test_slot_power_starts_on(void **state)
{
	struct fixture *f = *state;

	assert_registers(f, 1, ON, 0);
	assert_true(slot_power_wanted(f->power));
	assert_int_equal(f->rings, 0);
}

static void test_slot_power_off_and_on(void **state)
{
	struct fixture *f = *state;

	ring(f, 0);
	assert_int_equal(f->rings, 1);
	assert_false(f->rung_on);
	assert_int_equal(f->status_when_rung, ON | BUSY);
	assert_false(slot_power_wanted(f->power));
	slot_power_done(f->power, slot_power_sequence(f->power), false);
	assert_registers(f, 0, 0, 0);

	ring(f, 1);
	assert_true(f->rung_on);
	assert_int_equal(f->status_when_rung, BUSY);
	slot_power_done(f->power, slot_power_sequence(f->power), true);
	assert_registers(f, 1, ON, 0);
}

/* _ON runs once at every boot, with the power on. */
static void test_slot_power_on_is_idempotent(void **state)
{
	struct fixture *f = *state;

	ring(f, 1);
	assert_int_equal(f->rings, 1);
	assert_registers(f, 1, ON | BUSY, 0);
	slot_power_done(f->power, slot_power_sequence(f->power), true);
	assert_registers(f, 1, ON, 0);
}

/* What is on is what the host says, not what the guest asked for. */
static void test_slot_power_refused_off_stays_on(void **state)
{
	struct fixture *f = *state;

	ring(f, 0);
	slot_power_done(f->power, slot_power_sequence(f->power), true);
	assert_registers(f, 0, ON, 0);
}

static void test_slot_power_request_during_work_keeps_busy(void **state)
{
	struct fixture *f = *state;
	unsigned int first, second;

	ring(f, 0);
	first = slot_power_sequence(f->power);
	ring(f, 1);
	second = slot_power_sequence(f->power);
	assert_int_not_equal(first, second);
	slot_power_done(f->power, first, false);
	assert_registers(f, 1, BUSY, 0);
	slot_power_done(f->power, second, true);
	assert_registers(f, 1, ON, 0);
}

static void test_slot_power_reset_voids_requests(void **state)
{
	struct fixture *f = *state;
	unsigned int before;

	ring(f, 0);
	slot_power_set_wake(f->power, 0x3);
	before = slot_power_sequence(f->power);
	slot_power_reset(f->power);
	assert_registers(f, 1, ON, 0);
	/* The answer to what the guest before asked for. */
	slot_power_done(f->power, before, false);
	assert_registers(f, 1, ON, 0);
	ring(f, 0);
	slot_power_done(f->power, before, false);
	assert_registers(f, 0, ON | BUSY, 0);
	slot_power_done(f->power, slot_power_sequence(f->power), false);
	assert_registers(f, 0, 0, 0);
}

static void test_slot_power_wake_is_write_one_to_clear(void **state)
{
	struct fixture *f = *state;

	slot_power_set_wake(f->power, 0x81);
	slot_power_set_wake(f->power, 0x02);
	assert_registers(f, 1, ON, 0x83);
	guest_out(f->mmio, WAKE, 4, 0xffffff02);
	assert_registers(f, 1, ON, 0x81);
	guest_out(f->mmio, WAKE, 4, 0);
	assert_registers(f, 1, ON, 0x81);
	guest_out(f->mmio, WAKE, 4, 0xff);
	assert_registers(f, 1, ON, 0);
	assert_int_equal(f->rings, 0);
}

static void test_slot_power_ignores_what_is_no_request(void **state)
{
	static const struct {
		uint64_t addr;
		unsigned int len;
		uint64_t value;
	} cases[] = {
		{CONTROL, 4, 2},
		{CONTROL, 4, 0xffffffff},
		{CONTROL, 1, 0},      /* dwords only */
		{CONTROL, 2, 0},
		{CONTROL + 1, 4, 0},
		{STATUS, 4, 0},       /* read-only */
		{BASE + 0xc, 4, 0},
		{BASE + SLOT_POWER_STRIDE - 4, 4, 0},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		guest_out(f->mmio, cases[i].addr, cases[i].len, cases[i].value);
		if (f->rings)
			fail_msg("case %zu rang", i);
		assert_registers(f, 1, ON, 0);
	}
	assert_int_equal(guest_in(f->mmio, BASE + 0xc, 4), 0xffffffff);
	assert_int_equal(guest_in(f->mmio, STATUS, 1), 0xff);
}

/* Two registers in one access of 8 bytes. */
static void test_slot_power_wide_access(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(guest_in(f->mmio, CONTROL, 8), (uint64_t)ON << 32 | 1);
}

static void test_slot_power_controllers_are_apart(void **state)
{
	struct fixture *f = *state;
	struct fixture other = {.mmio = f->mmio};
	struct slot_power *last = slot_power_create(f->mmio, SLOT_MAX - 1, on_ring, &other);

	assert_non_null(last);
	assert_null(slot_power_create(f->mmio, SLOT_MAX, on_ring, &other));
	assert_null(slot_power_create(f->mmio, 0, on_ring, &other)); /* taken */
	guest_out(f->mmio, BASE + (SLOT_MAX - 1) * SLOT_POWER_STRIDE, 4, 0);
	assert_int_equal(other.rings, 1);
	assert_int_equal(f->rings, 0);
	assert_registers(f, 1, ON, 0);
	slot_power_destroy(last);
	slot_power_destroy(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_slot_power_starts_on),
		TEST(test_slot_power_off_and_on),
		TEST(test_slot_power_on_is_idempotent),
		TEST(test_slot_power_refused_off_stays_on),
		TEST(test_slot_power_request_during_work_keeps_busy),
		TEST(test_slot_power_reset_voids_requests),
		TEST(test_slot_power_wake_is_write_one_to_clear),
		TEST(test_slot_power_ignores_what_is_no_request),
		TEST(test_slot_power_wide_access),
		TEST(test_slot_power_controllers_are_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
