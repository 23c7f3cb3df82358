#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "devices/legacy.h"
#include "tests/devices/guest_io.h"
#include "vmm/bus.h"
#include "vmm/layout.h"

static int resets;

static void on_request(void *opaque, enum machine_request request)
{
	assert_ptr_equal(opaque, &resets);
	assert_int_equal(request, MACHINE_RESET);
	resets++;
}

static int setup(void **state)
{
	resets = 0;
	*state = bus_create("port");
	return i8042_create(*state, on_request, &resets);
}

static int teardown(void **state)
{
	bus_destroy(*state);
	return 0;
}

static void test_i8042_is_empty(void **state)
{
	assert_int_equal(guest_in(*state, PORT_I8042_COMMAND, 1), 0);
	assert_int_equal(guest_in(*state, PORT_I8042_DATA, 1), 0);
	/* Ports between and around are not its own. */
	assert_int_equal(guest_in(*state, PORT_I8042_DATA, 4), 0xffffff00);
	assert_int_equal(guest_in(*state, PORT_I8042_COMMAND + 1, 1), 0xff);
}

static void test_i8042_resets_by_one_command_only(void **state)
{
	for (unsigned int value = 0; value < 0x100; value++) {
		guest_out(*state, PORT_I8042_DATA, 1, value);
		if (value != 0xfe)
			guest_out(*state, PORT_I8042_COMMAND, 1, value);
	}
	assert_int_equal(resets, 0);
	guest_out(*state, PORT_I8042_COMMAND, 1, 0xfe);
	assert_int_equal(resets, 1);
}

static void test_i8042_refuses_taken_port(void **state)
{
	assert_int_equal(i8042_create(*state, on_request, &resets), -EEXIST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_i8042_is_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_i8042_resets_by_one_command_only, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_i8042_refuses_taken_port, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
