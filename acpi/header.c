#include "acpi/header.h"

#include <errno.h>
#include <string.h>

#include "vmm/base/le.h"

#define CREATOR_ID "MVMM"

/* ACPI 6.3, Definition Block Encoding: from 2 on, integers have 64 bits. */
#define BLOCK_REVISION 2

void acpi_append(struct acpi_image *image, const void *bytes, size_t len)
{
	if (!image->error && len > image->size - image->used)
		image->error = -ENOSPC;
	if (image->error)
		return;
	memcpy(image->buffer + image->used, bytes, len);
	image->used += len;
}

uint8_t acpi_checksum(const uint8_t *bytes, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return (uint8_t)-sum;
}

struct acpi_header acpi_header(const char *signature, uint8_t revision, const char *table_id)
{
	struct acpi_header header = {
		.revision = revision, .oem_revision = 1, .creator_revision = 1};

	memcpy(header.signature, signature, sizeof(header.signature));
	memcpy(header.oem_id, ACPI_OEM_ID, sizeof(header.oem_id));
	memcpy(header.oem_table_id, table_id, sizeof(header.oem_table_id));
	memcpy(header.creator_id, CREATOR_ID, sizeof(header.creator_id));
	return header;
}

void acpi_header_finish(uint8_t *table, size_t len)
{
	uint8_t *checksum = table + offsetof(struct acpi_header, checksum);

	le32_set(table + offsetof(struct acpi_header, length), (uint32_t)len);
	*checksum = 0;
	*checksum = acpi_checksum(table, len);
}

void acpi_block_start(struct aml *aml, uint8_t *buffer, size_t size, const char *signature,
		      const char *table_id)
{
	const struct acpi_header header = acpi_header(signature, BLOCK_REVISION, table_id);

	aml_start(aml, buffer, size);
	aml_raw(aml, &header, sizeof(header));
}

long acpi_block_finish(struct aml *aml)
{
	long len = aml_finish(aml);

	if (len > 0)
		acpi_header_finish(aml->buffer, (size_t)len);
	return len;
}
