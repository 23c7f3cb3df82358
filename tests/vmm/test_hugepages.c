#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake_tree.h"
#include "vmm/base/bits.h"
#include "vmm/hugepages.h"

static void add_pool(const char *root, const char *name, int total, int free_pages, int reserved)
{
	char line[128];

	snprintf(line, sizeof(line), "%s/nr_hugepages = %d", name, total);
	fake_tree_add(root, line);
	snprintf(line, sizeof(line), "%s/free_hugepages = %d", name, free_pages);
	fake_tree_add(root, line);
	snprintf(line, sizeof(line), "%s/resv_hugepages = %d", name, reserved);
	fake_tree_add(root, line);
}

static void test_hugepages_says_how_many_are_missing(void **state)
{
	static const struct {
		uint64_t page, size;
		int total, free_pages, reserved, error;
		const char *says;
	} cases[] = {
		{2 * MIB, 64 * MIB, 32, 32, 0, 0, NULL},
		{2 * MIB, 64 * MIB, 100, 40, 8, 0, NULL},
		{2 * MIB, 64 * MIB, 0, 0, 0, -ENOMEM,
		 "32 huge pages of 2M are needed, 0 are free: echo 32 >"},
		{2 * MIB, 64 * MIB, 100, 40, 9, -ENOMEM,
		 "32 huge pages of 2M are needed, 31 are free: echo 101 >"},
		{GIB, 8 * GIB, 4, 4, 1, -ENOMEM,
		 "8 huge pages of 1G are needed, 3 are free: echo 9 >"},
		/* This cannot be; the kernel will say what is wrong. */
		{2 * MIB, 64 * MIB, 4, 1, 2, 0, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *root = fake_tree_create(), why[1024] = "";

		add_pool(root, cases[i].page == GIB ? "hugepages-1048576kB" : "hugepages-2048kB",
			 cases[i].total, cases[i].free_pages, cases[i].reserved);
		assert_int_equal(hugepages_check(root, cases[i].page, cases[i].size, why,
						 sizeof(why)), cases[i].error);
		if (cases[i].says)
			assert_ptr_equal(strstr(why, cases[i].says), why);
		fake_tree_remove(root);
	}
}

static void test_hugepages_without_a_pool(void **state)
{
	char *root = fake_tree_create(), why[1024] = "";

	(void)state;
	add_pool(root, "hugepages-2048kB", 512, 512, 0);
	assert_int_equal(hugepages_check(root, GIB, GIB, why, sizeof(why)), -ENODEV);
	assert_non_null(strstr(why, "no huge pages of 1G"));
	fake_tree_add(root, "hugepages-2048kB/nr_hugepages = many");
	assert_int_equal(hugepages_check(root, 2 * MIB, GIB, why, sizeof(why)), 0);
	fake_tree_remove(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hugepages_says_how_many_are_missing),
		cmocka_unit_test(test_hugepages_without_a_pool),
	};

	return cmocka_run_group_tests_name("hugepages", tests, NULL, NULL);
}
