#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "devices/legacy.h"
#include "tests/devices/guest_io.h"
#include "vmm/base/bits.h"
#include "vmm/bus.h"
#include "vmm/layout.h"

#define NONE -1

static int last;

static void on_exit_port(void *opaque, int status)
{
	*(int *)opaque = status;
}

static int setup(void **state)
{
	*state = bus_create("port");
	return debug_exit_create(*state, on_exit_port, &last);
}

static int teardown(void **state)
{
	bus_destroy(*state);
	return 0;
}

static void test_debug_exit_status(void **state)
{
	static const struct {
		uint64_t off;
		unsigned int len;
		uint64_t value;
		int status;
	} cases[] = {
		{0, 1, 0, 1},
		{0, 1, 0x10, 0x21},
		{0, 2, 0x10, 0x21},
		{0, 4, 0x10, 0x21},
		{0, 4, 0xabcdef10, 0x21},  /* the low byte */
		{0, 1, 0xff, 0x1ff},
		{1, 1, 0x10, NONE},
		{2, 2, 0x10, NONE},
		{4, 1, 0x10, NONE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		last = NONE;
		guest_out(*state, PORT_DEBUG_EXIT + cases[i].off, cases[i].len, cases[i].value);
		if (last != cases[i].status)
			fail_msg("case %zu: status 0x%x", i, (unsigned int)last);
	}
}

static void test_debug_exit_read_does_nothing(void **state)
{
	last = NONE;
	assert_int_equal(guest_in(*state, PORT_DEBUG_EXIT, 1), 0xff);
	assert_int_equal(last, NONE);
}

static void test_debug_exit_refuses_taken_port(void **state)
{
	assert_int_equal(debug_exit_create(*state, on_exit_port, &last), -EEXIST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_debug_exit_status, setup, teardown),
		cmocka_unit_test_setup_teardown(test_debug_exit_read_does_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_debug_exit_refuses_taken_port, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
