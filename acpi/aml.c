#include "acpi/aml_emit.h"

#include <errno.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/base/le.h"

#define EXT_OP_PREFIX 0x5b
#define NAME_SEG_SIZE 4
#define NAME_SEGS_MAX 255
#define DUAL_NAME_PREFIX 0x2e
#define MULTI_NAME_PREFIX 0x2f

void aml_fail(struct aml *aml, int error)
{
	if (!aml->error)
		aml->error = error;
}

static bool has_room(struct aml *aml, size_t len)
{
	if (!aml->error && len > aml->size - aml->used)
		aml_fail(aml, -ENOSPC);
	return !aml->error;
}

void aml_put(struct aml *aml, unsigned int len, uint64_t value)
{
	if (!has_room(aml, len))
		return;
	le_set(aml->buffer + aml->used, len, value);
	aml->used += len;
}

void aml_put_opcode(struct aml *aml, unsigned int opcode)
{
	if (opcode > UINT8_MAX)
		aml_put(aml, 1, EXT_OP_PREFIX);
	aml_put(aml, 1, opcode & UINT8_MAX);
}

void aml_start(struct aml *aml, uint8_t *buffer, size_t size)
{
	*aml = (struct aml){.buffer = buffer, .size = size};
}

long aml_finish(const struct aml *aml)
{
	if (aml->error)
		return aml->error;
	return aml->depth ? -EINVAL : (long)aml->used;
}

void aml_raw(struct aml *aml, const void *bytes, size_t len)
{
	if (!len || !has_room(aml, len))
		return;
	memcpy(aml->buffer + aml->used, bytes, len);
	aml->used += len;
}

void aml_op(struct aml *aml, enum aml_opcode op)
{
	aml_put_opcode(aml, op);
}

static void insert(struct aml *aml, size_t at, const uint8_t *bytes, size_t len)
{
	if (!has_room(aml, len))
		return;
	memmove(aml->buffer + at + len, aml->buffer + at, aml->used - at);
	memcpy(aml->buffer + at, bytes, len);
	aml->used += len;
}

/*
 * ACPI 6.3, Package Length Encoding: PkgLength. One byte holds six bits; in a longer form the
 * first byte's top bits say how many follow and its low four are the lowest of the value.
 */
void aml_encode_pkg_length(uint8_t *bytes, size_t len, size_t value)
{
	if (len == 1) {
		bytes[0] = (uint8_t)value;
		return;
	}
	bytes[0] = (uint8_t)((len - 1) << 6 | (value & BITS(3, 0)));
	le_set(bytes + 1, (unsigned int)len - 1, value >> 4);
}

/* The shortest form for `value`; 0: there is none. */
size_t aml_pkg_length_size(size_t value)
{
	static const size_t max[AML_PKG_LENGTH_MAX] = {0x3f, 0xfff, 0xfffff, 0xfffffff};

	for (size_t i = 0; i < AML_PKG_LENGTH_MAX; i++)
		if (value <= max[i])
			return i + 1;
	return 0;
}

void aml_open_term(struct aml *aml, unsigned int opcode)
{
	aml_put_opcode(aml, opcode);
	if (aml->depth == AML_DEPTH_MAX)
		aml_fail(aml, -EINVAL);
	if (aml->error)
		return;
	aml->open[aml->depth].start = aml->used;
	aml->open[aml->depth].resources = false;
	aml->depth++;
}

/* PkgLength counts its own bytes, so their number depends on itself. */
static void insert_pkg_length(struct aml *aml, size_t start)
{
	uint8_t bytes[AML_PKG_LENGTH_MAX];
	size_t contents = aml->used - start, len = 1;

	while (aml_pkg_length_size(contents + len) > len)
		len++;
	if (!aml_pkg_length_size(contents + len)) {
		aml_fail(aml, -EINVAL);
		return;
	}
	aml_encode_pkg_length(bytes, len, contents + len);
	insert(aml, start, bytes, len);
}

/* ACPI 6.3, End Tag, with a checksum of zero, which counts as right. Then, ACPI 6.3, Data Objects
 * Encoding: DefBuffer, BufferSize. */
static void finish_resources(struct aml *aml, size_t start)
{
	static const uint8_t end_tag[] = {0x79, 0x00};
	uint8_t buffer_size[3] = {AML_BYTE_PREFIX};
	size_t len;

	aml_raw(aml, end_tag, sizeof(end_tag));
	if (aml->error)
		return;
	len = aml->used - start;
	if (len > UINT16_MAX) {
		aml_fail(aml, -EINVAL);
		return;
	}
	if (len > UINT8_MAX)
		buffer_size[0] = AML_WORD_PREFIX;
	le16_set(buffer_size + 1, (uint16_t)len);
	insert(aml, start, buffer_size, len > UINT8_MAX ? 3 : 2);
}

void aml_end(struct aml *aml)
{
	if (!aml->error && !aml->depth)
		aml_fail(aml, -EINVAL);
	if (aml->error)
		return;
	aml->depth--;
	if (aml->open[aml->depth].resources)
		finish_resources(aml, aml->open[aml->depth].start);
	if (!aml->error)
		insert_pkg_length(aml, aml->open[aml->depth].start);
}

static bool is_name_char(char c, bool lead)
{
	return (c >= 'A' && c <= 'Z') || c == '_' || (!lead && c >= '0' && c <= '9');
}

/* ACPI 6.3, Name Objects Encoding: NameSeg. Takes up to four characters, pads with '_', and
 * returns what follows in `path`. */
const char *aml_put_name_seg(struct aml *aml, const char *path)
{
	char seg[NAME_SEG_SIZE] = {'_', '_', '_', '_'};
	size_t len = 0;

	while (len < NAME_SEG_SIZE && is_name_char(path[len], !len)) {
		seg[len] = path[len];
		len++;
	}
	if (!len || (path[len] && path[len] != '.'))
		aml_fail(aml, -EINVAL);
	aml_raw(aml, seg, sizeof(seg));
	return path + len;
}

size_t aml_count_segs(const char *path)
{
	size_t count = *path != '\0';

	for (; *path; path++)
		count += *path == '.';
	return count;
}

static void put_seg_prefix(struct aml *aml, size_t segs)
{
	if (segs == 2)
		aml_put(aml, 1, DUAL_NAME_PREFIX);
	if (segs > 2) {
		aml_put(aml, 1, MULTI_NAME_PREFIX);
		aml_put(aml, 1, segs);
	}
	if (segs > NAME_SEGS_MAX)
		aml_fail(aml, -EINVAL);
}

/* ACPI 6.3, Name Objects Encoding: NameString */
void aml_name_string(struct aml *aml, const char *path)
{
	size_t segs;

	while (*path == '\\' || *path == '^')
		aml_put(aml, 1, (uint8_t)*path++);
	segs = aml_count_segs(path);
	put_seg_prefix(aml, segs);
	if (!segs)
		aml_put(aml, 1, AML_NULL_TARGET);
	for (; segs && !aml->error; segs--) {
		path = aml_put_name_seg(aml, path);
		path += segs > 1;
	}
}
