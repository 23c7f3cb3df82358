/*
 * The script by which firmware takes the tables from the fw_cfg device to where it wants them, and
 * corrects pointers and checksums. QEMU 7.2, hw/acpi/bios-linker-loader.c, struct
 * BiosLinkerLoaderEntry.
 */
#include <errno.h>
#include <string.h>

#include "acpi/header.h"
#include "acpi/structs.h"
#include "acpi/tables.h"
#include "vmm/base/bits.h"

#define FILE_NAME_SIZE 56
#define TABLES_ALIGN 64 /* of the FACS */
#define RSDP_ALIGN 16   /* ACPI 6.3, 5.2.5.1 Finding the RSDP on IA-PC Systems */

enum loader_command {
	LOADER_ALLOCATE = 1,
	LOADER_ADD_POINTER = 2,
	LOADER_ADD_CHECKSUM = 3,
};

enum loader_zone {
	LOADER_ZONE_HIGH = 1,
	LOADER_ZONE_FSEG = 2, /* where operating systems look for the RSDP */
};

struct loader_entry {
	uint32_t command;
	union {
		struct {
			char file[FILE_NAME_SIZE];
			uint32_t align;
			uint8_t zone;
		} __attribute__((packed)) allocate;
		struct {
			char file[FILE_NAME_SIZE]; /* that has the pointer */
			char target[FILE_NAME_SIZE];
			uint32_t off;
			uint8_t size;
		} __attribute__((packed)) pointer;
		struct {
			char file[FILE_NAME_SIZE];
			uint32_t off, start, len;
		} __attribute__((packed)) checksum;
		uint8_t all[124];
	};
} __attribute__((packed));
_Static_assert(sizeof(struct loader_entry) == ACPI_LOADER_ENTRY_SIZE, "BiosLinkerLoaderEntry");

static void allocate(struct acpi_image *script, const char *file, uint32_t align,
		     enum loader_zone zone)
{
	struct loader_entry entry = {
		.command = LOADER_ALLOCATE, .allocate = {.align = align, .zone = (uint8_t)zone}};

	strcpy(entry.allocate.file, file);
	acpi_append(script, &entry, sizeof(entry));
}

/* All pointers are into the tables. */
static void add_pointer(struct acpi_image *script, const char *file, uint32_t off, uint8_t size)
{
	struct loader_entry entry = {
		.command = LOADER_ADD_POINTER, .pointer = {.off = off, .size = size}};

	strcpy(entry.pointer.file, file);
	strcpy(entry.pointer.target, ACPI_FILE_TABLES);
	acpi_append(script, &entry, sizeof(entry));
}

static void add_checksum(struct acpi_image *script, const char *file,
			 const struct acpi_link_sum *sum)
{
	struct loader_entry entry = {
		.command = LOADER_ADD_CHECKSUM,
		.checksum = {.off = sum->off, .start = sum->start, .len = sum->len}};

	strcpy(entry.checksum.file, file);
	acpi_append(script, &entry, sizeof(entry));
}

/* The second sum is over the first one's checksum, too. OVMF wants checksums to be 0 before. */
static void add_rsdp(struct acpi_image *script, uint8_t *rsdp)
{
	static const struct acpi_link_sum sums[] = {
		{offsetof(struct acpi_rsdp, checksum), 0, RSDP_V1_SIZE},
		{offsetof(struct acpi_rsdp, extended_checksum), 0, sizeof(struct acpi_rsdp)},
	};

	add_pointer(script, ACPI_FILE_RSDP, offsetof(struct acpi_rsdp, xsdt), 8);
	for (unsigned int i = 0; i < ARRAY_SIZE(sums); i++) {
		rsdp[sums[i].off] = 0;
		add_checksum(script, ACPI_FILE_RSDP, &sums[i]);
	}
}

long acpi_build_loader(const struct acpi_links *links, uint8_t *tables,
		       uint8_t ret_rsdp[ACPI_RSDP_SIZE], uint8_t *script, size_t size)
{
	struct acpi_image image = {.buffer = script, .size = size};

	memcpy(ret_rsdp, tables, ACPI_RSDP_SIZE);
	memset(tables, 0, ACPI_RSDP_SIZE);
	allocate(&image, ACPI_FILE_TABLES, TABLES_ALIGN, LOADER_ZONE_HIGH);
	allocate(&image, ACPI_FILE_RSDP, RSDP_ALIGN, LOADER_ZONE_FSEG);
	for (unsigned int i = 0; i < links->pointers; i++)
		add_pointer(&image, ACPI_FILE_TABLES, links->pointer[i].off,
			    links->pointer[i].size);
	for (unsigned int i = 0; i < links->sums; i++)
		add_checksum(&image, ACPI_FILE_TABLES, &links->sum[i]);
	add_rsdp(&image, ret_rsdp);
	return image.error ? image.error : (long)image.used;
}
