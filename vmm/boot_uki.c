/*
 * Unified kernel images: a PE file that carries a Linux bzImage, and most often an initial RAM disk
 * and a command line, as sections. Its EFI stub is not run: what it would do, take the parts and
 * start the kernel, is done here.
 *
 * Unified Kernel Image 1, UKI Components and Multi-Profile UKIs; Microsoft PE, COFF File Header and
 * Section Table.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/le.h"
#include "vmm/boot_internal.h"

#define DOS_SIGNATURE 0x5a4d
#define DOS_HEADER_OFFSET 0x3c
#define PE_SIGNATURE 0x4550U
#define COFF_OFFSET 4U          /* behind the signature */
#define   COFF_MACHINE 0
#define     MACHINE_AMD64 0x8664
#define   COFF_SECTIONS 2
#define   COFF_OPTIONAL_SIZE 16
#define COFF_SIZE 20U
#define SECTION_SIZE 40U
#define   SECTION_NAME_SIZE 8U
#define   SECTION_VIRTUAL_SIZE 8
#define   SECTION_RAW_SIZE 16
#define   SECTION_RAW_OFFSET 20
#define SECTIONS_MAX 96U        /* what Windows' loader takes */

enum part { PART_LINUX, PART_INITRD, PART_CMDLINE, PARTS };

static const char part_name[PARTS][SECTION_NAME_SIZE] = {
	[PART_LINUX] = ".linux", [PART_INITRD] = ".initrd", [PART_CMDLINE] = ".cmdline",
};

/* Begins a profile. Its sections override those before the first one. */
static const char profile_name[SECTION_NAME_SIZE] = ".profile";

/* Where the parts are in the file; size 0: it does not have it. */
struct parts {
	struct range part[PARTS];
};

static bool is_pe(const uint8_t head[BOOT_HEAD_SIZE])
{
	return le16_get(head) == DOS_SIGNATURE;
}

/* The section's data: the file may hold fill after it, but no less than it says. */
static int take_section(const struct boot *boot, const uint8_t section[SECTION_SIZE],
			struct parts *parts, struct boot_why why)
{
	uint64_t size = le32_get(section + SECTION_VIRTUAL_SIZE);
	uint64_t raw = le32_get(section + SECTION_RAW_SIZE);
	uint64_t off = le32_get(section + SECTION_RAW_OFFSET);

	for (unsigned int i = 0; i < PARTS; i++) {
		if (memcmp(section, part_name[i], SECTION_NAME_SIZE))
			continue;
		if (size > raw || !range_fits(boot->kernel.size, off, size))
			return boot_refuse(&boot->kernel, why, -EINVAL, "truncated: its section "
					   "%.8s says %llu bytes at %llu, and the file has %llu",
					   part_name[i], ull(size), ull(off),
					   ull(boot->kernel.size));
		parts->part[i] = (struct range){off, size};
	}
	return 0;
}

/* Those of the base profile, and of the first one, which is taken where none is asked for. */
static int read_sections(const struct boot *boot, uint64_t off, unsigned int count,
			 struct parts *parts, struct boot_why why)
{
	uint8_t section[SECTION_SIZE];
	unsigned int profiles = 0;
	int error = 0;

	for (unsigned int i = 0; i < count && profiles < 2 && !error; i++) {
		error = boot_file_read(&boot->kernel, section, sizeof(section),
				       off + i * SECTION_SIZE, why);
		if (!error && !memcmp(section, profile_name, SECTION_NAME_SIZE))
			profiles++;
		else if (!error)
			error = take_section(boot, section, parts, why);
	}
	return error;
}

/* No parts at all, and success, where the file is none with sections. */
static int find_parts(const struct boot *boot, const uint8_t head[BOOT_HEAD_SIZE],
		      struct parts *parts, struct boot_why why)
{
	uint64_t pe = le32_get(head + DOS_HEADER_OFFSET), table;
	uint8_t header[COFF_OFFSET + COFF_SIZE];
	const uint8_t *coff = header + COFF_OFFSET;
	unsigned int count;
	int error;

	if (!range_fits(boot->kernel.size, pe, sizeof(header)))
		return 0;
	error = boot_file_read(&boot->kernel, header, sizeof(header), pe, why);
	if (error || le32_get(header) != PE_SIGNATURE)
		return error;
	count = le16_get(coff + COFF_SECTIONS);
	table = pe + sizeof(header) + le16_get(coff + COFF_OPTIONAL_SIZE);
	if (count > SECTIONS_MAX ||
	    !range_fits(boot->kernel.size, table, (uint64_t)count * SECTION_SIZE))
		return 0;
	error = read_sections(boot, table, count, parts, why);
	if (!error && parts->part[PART_LINUX].size &&
	    le16_get(coff + COFF_MACHINE) != MACHINE_AMD64)
		return boot_refuse(&boot->kernel, why, -EINVAL, "a unified kernel image for "
				   "another machine (0x%x, not x86-64)",
				   le16_get(coff + COFF_MACHINE));
	return error;
}

/* The image's own command line holds where the user gives none, as with its EFI stub. */
static int take_cmdline(struct boot *boot, struct range part, struct boot_why why)
{
	size_t len = part.size;
	char *text;
	int error;

	if (!part.size || boot->append)
		return 0;
	if (part.size > BOOT_CMDLINE_MAX)
		return boot_refuse(&boot->kernel, why, -E2BIG, "its command line has %llu bytes, "
				   "and %llu are possible", ull(part.size), ull(BOOT_CMDLINE_MAX));
	text = calloc(1, part.size + 1);
	if (!text)
		return boot_refuse(NULL, why, -ENOMEM, "out of memory");
	error = boot_file_read(&boot->kernel, text, part.size, part.start, why);
	while (len && (text[len - 1] == '\n' || text[len - 1] == '\0'))
		text[--len] = '\0';
	boot->append = text;
	boot->own_append = true;
	return error;
}

static int take_initrd(struct boot *boot, struct range part, struct boot_why why)
{
	if (!part.size)
		return 0;
	if (boot->initrd.fd >= 0)
		return boot_refuse(&boot->initrd, why, -EINVAL, "the kernel %s brings an initial "
				   "RAM disk of its own; leave --initrd away", boot->kernel.path);
	return boot_file_part(&boot->kernel, "initrd", part, &boot->initrd, why);
}

int boot_uki_open(struct boot *boot, const uint8_t head[BOOT_HEAD_SIZE], bool *ret_opened,
		  struct boot_why why)
{
	struct parts parts = {0};
	int error = is_pe(head) ? find_parts(boot, head, &parts, why) : 0;

	*ret_opened = !error && parts.part[PART_LINUX].size;
	if (!*ret_opened)
		return error;
	error = take_initrd(boot, parts.part[PART_INITRD], why);
	if (!error)
		error = take_cmdline(boot, parts.part[PART_CMDLINE], why);
	boot->kernel.start = parts.part[PART_LINUX].start;
	boot->kernel.size = parts.part[PART_LINUX].size;
	return error;
}
