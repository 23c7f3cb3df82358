#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/base/errno_name.h"

static void test_errno_name_of_either_sign(void **state)
{
	(void)state;
	assert_string_equal(errno_name(EIO), "EIO");
	assert_string_equal(errno_name(-ENOTTY), "ENOTTY");
	assert_null(errno_name(0));
	assert_null(errno_name(-9999));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_errno_name_of_either_sign)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
