/*
 * Resource descriptors of a resource template: ACPI 6.3, Resource Data Types for ACPI.
 */
#include <errno.h>

#include "acpi/aml.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"

#define ADDRESS_SPACE_FIELDS 5
#define ADDRESS_SPACE_SIZE(width) (6 + ADDRESS_SPACE_FIELDS * (width))

/* General Flags: a producer that decodes positively, minimum and maximum fixed. */
#define GENERAL_FLAGS (1U << 2 | 1U << 3)

/* One kind of address space descriptor, see address_space(). */
struct address_space {
	uint8_t tag, width, type, type_flags;
};

/* [start, start + size) is empty or passes `max`, or its size does. */
static bool is_out_of(struct aml *aml, uint64_t start, uint64_t size, uint64_t max)
{
	bool out = !size || size > max || start > max || size - 1 > max - start;

	if (out && !aml->error)
		aml->error = -EINVAL;
	return out;
}

/* ACPI 6.3, I/O Port Descriptor: 16-bit decode, fixed base */
void aml_resource_io(struct aml *aml, uint16_t start, uint16_t size)
{
	uint8_t bytes[8] = {0x47, 0x01};

	if (is_out_of(aml, start, size, UINT16_MAX) || is_out_of(aml, 0, size, UINT8_MAX))
		return;
	le16_set(bytes + 2, start);
	le16_set(bytes + 4, start);
	bytes[6] = 1; /* alignment; no other base is offered */
	bytes[7] = (uint8_t)size;
	aml_raw(aml, bytes, sizeof(bytes));
}

/* ACPI 6.3, IRQ Descriptor, the short form: edge-triggered, active high, exclusive */
void aml_resource_irq(struct aml *aml, unsigned int irq)
{
	uint8_t bytes[3] = {0x22};

	if (is_out_of(aml, irq, 1, 15))
		return;
	le16_set(bytes + 1, (uint16_t)(1U << irq));
	aml_raw(aml, bytes, sizeof(bytes));
}

/* ACPI 6.3, 32-Bit Fixed Memory Range Descriptor: read and write */
void aml_resource_memory32(struct aml *aml, uint64_t start, uint64_t size)
{
	uint8_t bytes[12] = {0x86, 0x09, 0x00, 0x01};

	if (is_out_of(aml, start, size, UINT32_MAX))
		return;
	le32_set(bytes + 4, (uint32_t)start);
	le32_set(bytes + 8, (uint32_t)size);
	aml_raw(aml, bytes, sizeof(bytes));
}

/*
 * ACPI 6.3, Address Space Resource Descriptors: tag, length, type, flags; then granularity,
 * minimum, maximum, translation offset and length, each `width` bytes.
 */
static void address_space(struct aml *aml, const struct address_space *kind, uint64_t start,
			  uint64_t size)
{
	const uint64_t fields[ADDRESS_SPACE_FIELDS] = {0, start, start + size - 1, 0, size};
	uint8_t bytes[ADDRESS_SPACE_SIZE(sizeof(uint64_t))] = {kind->tag};
	unsigned int len = 6;

	bytes[3] = kind->type;
	bytes[4] = GENERAL_FLAGS;
	bytes[5] = kind->type_flags;
	for (size_t i = 0; i < ADDRESS_SPACE_FIELDS; i++, len += kind->width)
		le_set(bytes + len, kind->width, fields[i]);
	le16_set(bytes + 1, (uint16_t)(len - 3));
	aml_raw(aml, bytes, len);
}

/* ACPI 6.3, Word Address Space Descriptor: bus number range */
void aml_window_bus(struct aml *aml, uint64_t first, uint64_t count)
{
	static const struct address_space kind = {.tag = 0x88, .width = 2, .type = 2};

	if (!is_out_of(aml, first, count, UINT16_MAX) &&
	    !is_out_of(aml, first + count - 1, 1, UINT8_MAX))
		address_space(aml, &kind, first, count);
}

/* ACPI 6.3, Word Address Space Descriptor: I/O range, the entire range (ISA and non-ISA) */
void aml_window_io(struct aml *aml, uint64_t start, uint64_t size)
{
	static const struct address_space kind = {
		.tag = 0x88, .width = 2, .type = 1, .type_flags = 3};

	if (!is_out_of(aml, start, size, UINT16_MAX))
		address_space(aml, &kind, start, size);
}

/* ACPI 6.3, DWord Address Space Descriptor: memory range, read and write, not cacheable */
void aml_window_memory32(struct aml *aml, uint64_t start, uint64_t size)
{
	static const struct address_space kind = {.tag = 0x87, .width = 4, .type_flags = 1};

	if (!is_out_of(aml, start, size, UINT32_MAX))
		address_space(aml, &kind, start, size);
}

/* ACPI 6.3, QWord Address Space Descriptor: memory range, read and write, not cacheable */
void aml_window_memory64(struct aml *aml, uint64_t start, uint64_t size)
{
	static const struct address_space kind = {.tag = 0x8a, .width = 8, .type_flags = 1};

	if (!is_out_of(aml, start, size, UINT64_MAX))
		address_space(aml, &kind, start, size);
}
