/*
 * Inside acpi/: the header that ACPI tables share, and definition blocks (tables of AML).
 * ACPI 6.3, System Description Table Header.
 */
#ifndef ACPI_HEADER_H
#define ACPI_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "acpi/aml.h"

/* Table structs are stored as they lie in memory. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ACPI tables are little-endian");

#define ACPI_OEM_ID "MINIVM"
#define ACPI_TABLE_ID_MACHINE "MACHINE "

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_header) == 36, "DESCRIPTION_HEADER");

/* The slot power controller's dwords (devices/slot_power.h): CONTROL, STATUS, WAKE. */
#define SLOT_CONTROLLER_SIZE 12

/* A caller's buffer that is filled from its start; the first error sticks. */
struct acpi_image {
	uint8_t *buffer;
	size_t size, used;
	int error; /* 0 or -ENOSPC */
};

/* Does nothing but note the error where `len` bytes do not fit any more. */
void acpi_append(struct acpi_image *image, const void *bytes, size_t len);

/* What the sum of `bytes` lacks to zero. */
uint8_t acpi_checksum(const uint8_t *bytes, size_t len);

/* A header without length and checksum. `signature` has 4 characters, `table_id` 8. */
struct acpi_header acpi_header(const char *signature, uint8_t revision, const char *table_id);

/* Length and checksum of the finished table of `len` bytes. */
void acpi_header_finish(uint8_t *table, size_t len);

/* A definition block: the header, then the caller's terms; finish returns as aml_finish(). */
void acpi_block_start(struct aml *aml, uint8_t *buffer, size_t size, const char *signature,
		      const char *table_id);
long acpi_block_finish(struct aml *aml);

#endif
