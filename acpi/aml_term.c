/*
 * The terms with an encoding of their own: data objects, named objects, statements.
 */
#include <errno.h>
#include <string.h>

#include "acpi/aml_emit.h"
#include "vmm/base/bits.h"

#define EISA_ID_SIZE 7
#define UUID_SIZE 16
#define OBJECT_TYPE_DEVICE 6 /* ACPI 6.3, ObjectType (Get Object Type) */

/* Opcodes that only the functions below write. */
enum {
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	OP_DWORD_PREFIX = 0x0c,
	OP_STRING_PREFIX = 0x0d,
	OP_QWORD_PREFIX = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_EXTERNAL = 0x15,
	OP_IF = 0xa0,
	OP_WHILE = 0xa2,
	OP_ONES = 0xff,
	OP_REGION = 0x5b80,
	OP_FIELD = 0x5b81,
	OP_DEVICE = 0x5b82,
	OP_POWER_RESOURCE = 0x5b84,
};

/* ACPI 6.3, Data Objects Encoding: ComputationalData, ConstObj */
void aml_integer(struct aml *aml, uint64_t value)
{
	static const struct {
		uint64_t max;
		uint8_t prefix, len;
	} forms[] = {
		{UINT8_MAX, AML_BYTE_PREFIX, 1},
		{UINT16_MAX, AML_WORD_PREFIX, 2},
		{UINT32_MAX, OP_DWORD_PREFIX, 4},
		{UINT64_MAX, OP_QWORD_PREFIX, 8},
	};
	size_t i = 0;

	if (value <= OP_ONE || value == UINT64_MAX) {
		aml_put(aml, 1, value & OP_ONES);
		return;
	}
	while (value > forms[i].max)
		i++;
	aml_put(aml, 1, forms[i].prefix);
	aml_put(aml, forms[i].len, value);
}

/* ACPI 6.3, Data Objects Encoding: String */
void aml_string(struct aml *aml, const char *text)
{
	aml_put(aml, 1, OP_STRING_PREFIX);
	aml_raw(aml, text, strlen(text) + 1);
}

/* ACPI 6.3, Data Objects Encoding: DefBuffer */
void aml_buffer(struct aml *aml, const uint8_t *bytes, size_t len)
{
	aml_open_term(aml, OP_BUFFER);
	aml_integer(aml, len);
	aml_raw(aml, bytes, len);
	aml_end(aml);
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) % 16 : -1;
}

/*
 * ACPI 6.3, EISAID (EISA ID String To Integer Conversion Macro): three letters of five bits, four
 * hexadecimal digits, stored with the most significant byte first.
 */
void aml_eisa_id(struct aml *aml, const char *id)
{
	uint32_t value = 0;
	uint8_t bytes[4];

	if (strlen(id) != EISA_ID_SIZE) {
		aml_fail(aml, -EINVAL);
		return;
	}
	for (unsigned int i = 0; i < EISA_ID_SIZE; i++) {
		bool letter = i < 3;
		int digit = letter ? id[i] - '@' : hex_digit(id[i]);

		if (digit < (letter ? 1 : 0) || digit > 26)
			aml_fail(aml, -EINVAL);
		value = value << (letter ? 5 : 4) | ((uint32_t)digit & (letter ? 0x1f : 0xf));
	}
	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(value >> (24 - 8 * i));
	aml_put(aml, 1, OP_DWORD_PREFIX);
	aml_raw(aml, bytes, sizeof(bytes));
}

/* ACPI 6.3, ToUUID (Convert String to UUID Macro): the first three groups little-endian. */
void aml_uuid(struct aml *aml, const char *uuid)
{
	static const uint8_t order[UUID_SIZE] = {3, 2, 1, 0, 5, 4, 7, 6,
						 8, 9, 10, 11, 12, 13, 14, 15};
	uint8_t bytes[UUID_SIZE];

	for (unsigned int i = 0; i < UUID_SIZE; i++) {
		int high = hex_digit(*uuid), low = high < 0 ? -1 : hex_digit(uuid[1]);

		if (low < 0) {
			aml_fail(aml, -EINVAL);
			return;
		}
		bytes[order[i]] = (uint8_t)(high << 4 | low);
		uuid += 2;
		uuid += *uuid == '-';
	}
	if (*uuid)
		aml_fail(aml, -EINVAL);
	aml_buffer(aml, bytes, sizeof(bytes));
}

/* ACPI 6.3, Data Objects Encoding: DefPackage */
void aml_begin_package(struct aml *aml, uint8_t elements)
{
	aml_open_term(aml, OP_PACKAGE);
	aml_put(aml, 1, elements);
}

/* ACPI 6.3, Namespace Modifier Objects Encoding: DefName */
void aml_name(struct aml *aml, const char *name)
{
	aml_put_opcode(aml, OP_NAME);
	aml_name_string(aml, name);
}

void aml_name_integer(struct aml *aml, const char *name, uint64_t value)
{
	aml_name(aml, name);
	aml_integer(aml, value);
}

/* ACPI 6.3, Named Objects Encoding: DefExternal, for disassemblers only; so, like iasl, below
 * If (Zero). ObjectType Device, no arguments. */
void aml_external_device(struct aml *aml, const char *path)
{
	aml_begin_if(aml);
	aml_integer(aml, 0);
	aml_put_opcode(aml, OP_EXTERNAL);
	aml_name_string(aml, path);
	aml_put(aml, 1, OBJECT_TYPE_DEVICE);
	aml_put(aml, 1, 0);
	aml_end(aml);
}

/* ACPI 6.3, Namespace Modifier Objects Encoding: DefScope */
void aml_begin_scope(struct aml *aml, const char *path)
{
	aml_open_term(aml, OP_SCOPE);
	aml_name_string(aml, path);
}

/* ACPI 6.3, Named Objects Encoding: DefDevice */
void aml_begin_device(struct aml *aml, const char *name)
{
	aml_open_term(aml, OP_DEVICE);
	aml_name_string(aml, name);
}

/* ACPI 6.3, Named Objects Encoding: DefMethod, MethodFlags */
void aml_begin_method(struct aml *aml, const char *name, unsigned int args, bool serialized)
{
	aml_open_term(aml, OP_METHOD);
	aml_name_string(aml, name);
	if (args > 7)
		aml_fail(aml, -EINVAL);
	aml_put(aml, 1, args | (serialized ? 1U << 3 : 0));
}

/* ACPI 6.3, Named Objects Encoding: DefPowerRes. SystemLevel 0: off in every sleep state but S0;
 * ResourceOrder 0. */
void aml_begin_power_resource(struct aml *aml, const char *name)
{
	aml_open_term(aml, OP_POWER_RESOURCE);
	aml_name_string(aml, name);
	aml_put(aml, 1, 0);
	aml_put(aml, 2, 0);
}

/* ACPI 6.3, Named Objects Encoding: DefOpRegion, RegionSpace SystemMemory */
void aml_memory_region(struct aml *aml, const char *name, uint64_t gpa, uint64_t size)
{
	aml_put_opcode(aml, OP_REGION);
	aml_name_string(aml, name);
	aml_put(aml, 1, 0);
	aml_integer(aml, gpa);
	aml_integer(aml, size);
}

/* ACPI 6.3, Named Objects Encoding: DefField, FieldFlags: AccessType DWordAcc, NoLock, Preserve */
void aml_begin_dword_field(struct aml *aml, const char *region)
{
	aml_open_term(aml, OP_FIELD);
	aml_name_string(aml, region);
	aml_put(aml, 1, 3);
}

/* ACPI 6.3, Named Objects Encoding: NamedField. Its PkgLength counts bits, and not itself. */
void aml_field_unit(struct aml *aml, const char *name, uint32_t bits)
{
	uint8_t bytes[AML_PKG_LENGTH_MAX];
	size_t len = aml_pkg_length_size(bits);

	if (!len || aml_count_segs(name) != 1)
		aml_fail(aml, -EINVAL);
	aml_put_name_seg(aml, name);
	if (aml->error)
		return;
	aml_encode_pkg_length(bytes, len, bits);
	aml_raw(aml, bytes, len);
}

/* ACPI 6.3, Statement Opcodes Encoding: DefIfElse without DefElse */
void aml_begin_if(struct aml *aml)
{
	aml_open_term(aml, OP_IF);
}

/* ACPI 6.3, Statement Opcodes Encoding: DefWhile */
void aml_begin_while(struct aml *aml)
{
	aml_open_term(aml, OP_WHILE);
}

/* ACPI 6.3, Data Objects Encoding: DefBuffer, whose ByteList is a resource template */
void aml_begin_resources(struct aml *aml)
{
	aml_open_term(aml, OP_BUFFER);
	if (!aml->error)
		aml->open[aml->depth - 1].resources = true;
}
