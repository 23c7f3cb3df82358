#include "devices/iso9660.h"

#include <assert.h>
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/base/le.h"

#define SECTOR 2048U

/* Where things are, in sectors. ECMA-119, 6.2.1 System Area: the first 16 are not the volume's. */
enum {
	AT_PRIMARY = 16,
	AT_JOLIET,
	AT_TERMINATOR,
	AT_PATHS_LE,
	AT_PATHS_BE,
	AT_ROOT,
	AT_JOLIET_PATHS_LE,
	AT_JOLIET_PATHS_BE,
	AT_JOLIET_ROOT,
	AT_FILES,
};

/* ECMA-119, 8.4 Primary Volume Descriptor, 8.5 Supplementary Volume Descriptor: offsets, not the
 * standard's positions, which begin with 1. */
enum {
	VOLUME_TYPE = 0,
	VOLUME_ID = 1,         /* "CD001", then the version */
	VOLUME_SYSTEM = 8,
	VOLUME_LABEL = 40,
	VOLUME_SECTORS = 80,
	VOLUME_ESCAPES = 88,
	VOLUME_SET_SIZE = 120,
	VOLUME_NUMBER = 124,
	VOLUME_SECTOR_SIZE = 128,
	VOLUME_PATHS_SIZE = 132,
	VOLUME_PATHS_LE = 140,
	VOLUME_PATHS_BE = 148,
	VOLUME_ROOT = 156,
	VOLUME_TEXTS = 190,    /* who made it, of what: blanks */
	VOLUME_DATES = 813,
	VOLUME_STRUCTURE = 881,
};
#define VERSION 1              /* of the standard, wherever it is asked for */
#define TYPE_PRIMARY 1
#define TYPE_SUPPLEMENTARY 2
#define TYPE_TERMINATOR 255
#define LABEL_SIZE 32U
#define DATES 4U
#define DATE_SIZE 17U          /* 16 digits, and the time zone */
#define DATE_DIGITS 16U

/* ECMA-119, 9.1 Format of a Directory Record */
enum {
	RECORD_LEN = 0,
	RECORD_SECTOR = 2,
	RECORD_SIZE = 10,
	RECORD_DATE = 18,
	RECORD_FLAGS = 25,
	RECORD_VOLUME = 28,
	RECORD_NAME_LEN = 32,
	RECORD_NAME = 33,
};
#define FLAG_DIRECTORY 0x02
#define RECORD_SELF 0
#define RECORD_PARENT 1

/* ECMA-119, 9.4 Format of a Path Table Record: of a root, whose name is one zero byte. */
#define PATHS_SIZE 10U

/* Joliet's, with two bytes for each character of a name, are the longer ones. */
#define RECORD_MAX (RECORD_NAME + 2 * ISO_NAME_MAX + 1)
_Static_assert(RECORD_MAX <= 255, "a record's length is one byte");
_Static_assert(2 * (RECORD_NAME + 1) + ISO_FILES_MAX * RECORD_MAX <= SECTOR,
	       "a directory is one sector");

/* --- numbers and texts --- */

/* ECMA-119, 7.2.3 and 7.3.3: Both-byte orders */
static void put_both16(uint8_t *at, uint16_t value)
{
	le16_set(at, value);
	at[2] = (uint8_t)(value >> 8);
	at[3] = (uint8_t)value;
}

static void put_be32(uint8_t *at, uint32_t value)
{
	for (unsigned int i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void put_both32(uint8_t *at, uint32_t value)
{
	le32_set(at, value);
	put_be32(at + 4, value);
}

/* A character of the volume's own set: one byte, or UCS-2, big-endian. */
static size_t put_char(uint8_t *at, char c, bool joliet)
{
	if (joliet)
		*at++ = 0;
	*at = (uint8_t)c;
	return joliet ? 2 : 1;
}

static void put_padded(uint8_t *at, size_t size, const char *text, bool joliet)
{
	size_t each = joliet ? 2 : 1;

	for (size_t off = 0; off + each <= size; off += each)
		put_char(at + off, *text ? *text++ : ' ', joliet);
}

/* --- directories --- */

/* One of the two trees over the same files. */
struct tree {
	bool joliet;
	uint8_t type;
	uint32_t descriptor, paths_le, paths_be, root; /* sectors */
};

static const struct tree trees[] = {
	{false, TYPE_PRIMARY, AT_PRIMARY, AT_PATHS_LE, AT_PATHS_BE, AT_ROOT},
	{true, TYPE_SUPPLEMENTARY, AT_JOLIET, AT_JOLIET_PATHS_LE, AT_JOLIET_PATHS_BE,
	 AT_JOLIET_ROOT},
};

/* Also of a file without a byte: its sector then is one of the volume. */
static uint32_t sectors_of(const struct iso_file *file)
{
	return file->size ? (uint32_t)(align_up(file->size, SECTOR) / SECTOR) : 1;
}

/* ECMA-119, 7.5 File Identifier: capital letters, digits and '_'; an empty extension; the version.
 * Joliet has it as it is, without what nobody has asked for. Returns its length. */
static size_t put_name(uint8_t *at, const char *name, bool joliet)
{
	static const char end[] = {'.', ';', '1'};
	uint8_t *start = at;

	for (; *name; name++) {
		char c = *name == '-' ? '_' : (char)toupper((unsigned char)*name);

		at += put_char(at, joliet ? *name : c, joliet);
	}
	if (!joliet) {
		memcpy(at, end, sizeof(end));
		at += sizeof(end);
	}
	return (size_t)(at - start);
}

/* The date is 2000-01-01, 00:00:00 UTC. Returns what it takes. */
static size_t finish_record(uint8_t *record, size_t name_len, uint32_t sector, uint32_t size,
			    uint8_t flags)
{
	static const uint8_t date[] = {100, 1, 1, 0, 0, 0, 0};
	size_t len = align_up(RECORD_NAME + name_len, 2);

	record[RECORD_LEN] = (uint8_t)len;
	put_both32(record + RECORD_SECTOR, sector);
	put_both32(record + RECORD_SIZE, size);
	memcpy(record + RECORD_DATE, date, sizeof(date));
	record[RECORD_FLAGS] = flags;
	put_both16(record + RECORD_VOLUME, 1);
	record[RECORD_NAME_LEN] = (uint8_t)name_len;
	return len;
}

/* The root's own record, as itself or as its own parent. */
static size_t put_root(uint8_t *record, const struct tree *tree, uint8_t name)
{
	record[RECORD_NAME] = name;
	return finish_record(record, 1, tree->root, SECTOR, FLAG_DIRECTORY);
}

static void put_directory(uint8_t *volume, const struct tree *tree, const struct iso_file *files,
			  unsigned int count)
{
	uint8_t *record = volume + tree->root * SECTOR;
	uint32_t sector = AT_FILES;

	record += put_root(record, tree, RECORD_SELF);
	record += put_root(record, tree, RECORD_PARENT);
	for (unsigned int i = 0; i < count; i++) {
		size_t len = put_name(record + RECORD_NAME, files[i].name, tree->joliet);

		record += finish_record(record, len, sector, files[i].size, 0);
		sector += sectors_of(&files[i]);
	}
}

/* ECMA-119, 9.4 Format of a Path Table Record */
static void put_paths(uint8_t *volume, const struct tree *tree)
{
	uint8_t *little = volume + tree->paths_le * SECTOR, *big = volume + tree->paths_be * SECTOR;

	little[0] = big[0] = 1;
	le32_set(little + 2, tree->root);
	put_be32(big + 2, tree->root);
	le16_set(little + 6, 1);
	big[7] = 1;
}

/* --- descriptors --- */

static uint8_t *begin_descriptor(uint8_t *volume, uint32_t sector, uint8_t type)
{
	uint8_t *at = volume + sector * SECTOR;

	at[VOLUME_TYPE] = type;
	memcpy(at + VOLUME_ID, "CD001", 5);
	at[VOLUME_ID + 5] = VERSION;
	return at;
}

/* Deviation: ECMA-119, 7.4.1 d-characters has no small letters; those of `label` stay small, as
 * whoever looks for a volume by its label has them. */
static void put_descriptor(uint8_t *volume, const struct tree *tree, const char *label,
			   uint32_t sectors)
{
	/* Joliet Specification, "SVD Escape Sequences field": UCS-2, level 3. */
	static const uint8_t ucs2_level3[] = {'%', '/', 'E'};
	uint8_t *at = begin_descriptor(volume, tree->descriptor, tree->type);

	put_padded(at + VOLUME_SYSTEM, VOLUME_LABEL - VOLUME_SYSTEM, "", tree->joliet);
	put_padded(at + VOLUME_LABEL, LABEL_SIZE, label, tree->joliet);
	put_both32(at + VOLUME_SECTORS, sectors);
	if (tree->joliet)
		memcpy(at + VOLUME_ESCAPES, ucs2_level3, sizeof(ucs2_level3));
	put_both16(at + VOLUME_SET_SIZE, 1);
	put_both16(at + VOLUME_NUMBER, 1);
	put_both16(at + VOLUME_SECTOR_SIZE, SECTOR);
	put_both32(at + VOLUME_PATHS_SIZE, PATHS_SIZE);
	le32_set(at + VOLUME_PATHS_LE, tree->paths_le);
	put_be32(at + VOLUME_PATHS_BE, tree->paths_be);
	put_root(at + VOLUME_ROOT, tree, RECORD_SELF);
	put_padded(at + VOLUME_TEXTS, VOLUME_DATES - VOLUME_TEXTS, "", tree->joliet);
	/* ECMA-119, 8.4.26.1 Date and Time Format: digits '0' say that there is none. */
	for (unsigned int i = 0; i < DATES; i++)
		memset(at + VOLUME_DATES + i * DATE_SIZE, '0', DATE_DIGITS);
	at[VOLUME_STRUCTURE] = VERSION;
}

/* --- the volume --- */

size_t iso9660_size(const struct iso_file *files, unsigned int count)
{
	size_t sectors = AT_FILES;

	for (unsigned int i = 0; i < count; i++)
		sectors += sectors_of(&files[i]);
	return sectors * SECTOR;
}

void iso9660_write(const char *label, const struct iso_file *files, unsigned int count,
		   uint8_t *ret_volume)
{
	uint8_t *at = ret_volume + (size_t)AT_FILES * SECTOR;
	size_t size = iso9660_size(files, count);

	assert(count <= ISO_FILES_MAX && strlen(label) <= ISO_LABEL_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(trees); i++) {
		put_descriptor(ret_volume, &trees[i], label, (uint32_t)(size / SECTOR));
		put_paths(ret_volume, &trees[i]);
		put_directory(ret_volume, &trees[i], files, count);
	}
	begin_descriptor(ret_volume, AT_TERMINATOR, TYPE_TERMINATOR);
	for (unsigned int i = 0; i < count; i++) {
		assert(strlen(files[i].name) <= ISO_NAME_MAX);
		if (files[i].size)
			memcpy(at, files[i].bytes, files[i].size);
		at += (size_t)sectors_of(&files[i]) * SECTOR;
	}
}
