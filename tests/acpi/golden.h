/*
 * Comparison of a table with a golden file in tests/acpi/golden/. Programs run in the project's
 * root.
 */
#ifndef TESTS_ACPI_GOLDEN_H
#define TESTS_ACPI_GOLDEN_H

#include <stdio.h>

#include "acpi/header.h"

#define GOLDEN_MAX 16384

/* iasl names itself as the creator, and the checksum follows from that. */
static inline void golden_clear_identity(uint8_t *table)
{
	struct acpi_header *header = (struct acpi_header *)(void *)table;

	header->checksum = 0;
	for (size_t i = 0; i < sizeof(header->creator_id); i++)
		header->creator_id[i] = 0;
	header->creator_revision = 0;
}

static inline void assert_golden(const char *path, uint8_t *table, long len)
{
	static uint8_t expected[GOLDEN_MAX];
	FILE *file = fopen(path, "rb");
	size_t expected_len;

	if (!file)
		fail_msg("%s is missing; run in the project's root", path);
	expected_len = fread(expected, 1, sizeof(expected), file);
	fclose(file);
	assert_int_equal(len, expected_len);
	assert_int_equal(acpi_checksum(table, (size_t)len), 0);
	golden_clear_identity(expected);
	golden_clear_identity(table);
	assert_memory_equal(table, expected, expected_len);
}

#endif
