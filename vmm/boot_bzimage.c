/*
 * Linux bzImage by its 64-bit entry: Linux boot.rst, "Details of Header Fields" and "64-bit Boot
 * Protocol". Real-mode code is not loaded; it is only where the header comes from.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/boot_internal.h"

#define SECTOR 512U
#define PARAGRAPH 16U
#define PROTOCOL_MIN 0x020c     /* 2.12: xloadflags */
#define HEADER_START 0x1f1U
#define HEADER_JUMP_END 0x202U  /* "header ends at 0x0202 + byte value at offset 0x0201" */
#define HEADER_END_MIN 0x264U   /* up to init_size, which protocol 2.10 brought */
#define HEADER_END_MAX 0x290U
#define MAGIC_BOOT_FLAG 0xaa55
#define MAGIC_HEADER 0x53726448 /* "HdrS" */
#define SETUP_SECTS_DEFAULT 4U  /* what 0 means */
#define ENTRY_64 0x200U
#define LOADER_UNDEFINED 0xff
#define VIDEO_MODE_NORMAL 0xffff

_Static_assert(sizeof(struct boot_params) == 4096, "the zero page is a page");
_Static_assert(offsetof(struct boot_params, hdr) == HEADER_START, "boot.rst: offset of the header");
_Static_assert(HEADER_END_MAX - HEADER_START == BOOT_SETUP_HEADER_MAX, "room for the header");

static bool recognise(const uint8_t head[BOOT_HEAD_SIZE])
{
	struct setup_header header;

	memcpy(&header, head + HEADER_START, sizeof(header));
	return header.header == MAGIC_HEADER && header.boot_flag == MAGIC_BOOT_FLAG;
}

static int check_kind(const struct boot *boot, const struct setup_header *header,
		      struct boot_why why)
{
	if (header->version < PROTOCOL_MIN)
		return boot_refuse(&boot->kernel, why, -EINVAL, "a Linux kernel of boot protocol "
				   "%u.%u; 2.12 (Linux 3.8) or newer is needed",
				   header->version >> 8, header->version & 0xffU);
	if (!(header->loadflags & LOADED_HIGH))
		return boot_refuse(&boot->kernel, why, -EINVAL, "a zImage (loadflags 0x%x); a "
				   "bzImage is needed", header->loadflags);
	if (!(header->xloadflags & XLF_KERNEL_64))
		return boot_refuse(&boot->kernel, why, -EINVAL, "a 32-bit Linux kernel "
				   "(xloadflags 0x%x); a 64-bit one is needed", header->xloadflags);
	return 0;
}

/* `off` of the protected-mode code in the file, and its size; both are inside the file. */
static int find_code(const struct boot *boot, const struct setup_header *header,
		     uint64_t *ret_off, uint64_t *ret_size, struct boot_why why)
{
	unsigned int sectors = header->setup_sects ? header->setup_sects : SETUP_SECTS_DEFAULT;
	uint64_t off = (sectors + 1) * SECTOR;
	uint64_t claimed = (uint64_t)header->syssize * PARAGRAPH;
	uint64_t size;

	if (off >= boot->kernel.size)
		return boot_refuse(&boot->kernel, why, -EINVAL, "truncated: its setup_sects says "
				   "that the code starts at byte %llu, and the file has %llu bytes",
				   ull(off), ull(boot->kernel.size));
	size = boot->kernel.size - off;
	if (claimed > size || size <= ENTRY_64)
		return boot_refuse(&boot->kernel, why, -EINVAL, "truncated: its syssize says %llu "
				   "bytes of code, and the file has %llu", ull(claimed), ull(size));
	if (!range_fits(size, header->payload_offset, header->payload_length))
		return boot_refuse(&boot->kernel, why, -EINVAL, "its payload (%u bytes at %u) "
				   "goes beyond its %llu bytes of code", header->payload_length,
				   header->payload_offset, ull(size));
	*ret_off = off;
	*ret_size = size;
	return 0;
}

static bool fits_low(const struct boot *boot, gpa_t start, uint64_t size)
{
	return start >= BIOS_AREA_END && range_fits(boot->low_end, start, size);
}

/*
 * Where the kernel is loaded, so that it runs where it is loaded: at its preferred address if that
 * is RAM, else, if it is relocatable, at the lowest address that it takes.
 */
static int place(struct boot *boot, const struct setup_header *header, uint64_t size,
		 struct boot_why why)
{
	uint64_t align = header->kernel_alignment;
	uint64_t needed = header->init_size > size ? header->init_size : size;
	gpa_t start = header->pref_address ? header->pref_address : BIOS_AREA_END;

	if (header->relocatable_kernel && (!is_power_of_two(align) || align < SECTOR))
		return boot_refuse(&boot->kernel, why, -EINVAL, "its kernel_alignment 0x%llx is "
				   "not a power of two from 512 up", ull(align));
	if (header->relocatable_kernel && header->pref_address % align)
		return boot_refuse(&boot->kernel, why, -EINVAL, "its pref_address 0x%llx is not a "
				   "multiple of its kernel_alignment 0x%llx",
				   ull(header->pref_address), ull(align));
	if (header->relocatable_kernel && !fits_low(boot, start, needed))
		start = align_up(BIOS_AREA_END, align);
	if (!fits_low(boot, start, needed))
		return boot_refuse(&boot->kernel, why, -ENOSPC, "it needs %llu MiB from %llu MiB "
				   "on (init_size), and the guest has %llu MiB of RAM below 3 "
				   "GiB; a larger --memory may do", mib(needed),
				   ull(start / MIB), ull(boot->low_end / MIB));
	boot->span = (struct range){start, needed};
	return 0;
}

static int copy_header(struct boot *boot, const uint8_t head[BOOT_HEAD_SIZE], struct boot_why why)
{
	unsigned int end = HEADER_JUMP_END + head[HEADER_JUMP_END - 1];

	if (end < HEADER_END_MIN || end > HEADER_END_MAX || end > boot->kernel.size)
		return boot_refuse(&boot->kernel, why, -EINVAL, "its setup header says that it "
				   "ends at 0x%x; 0x%x to 0x%x is possible", end, HEADER_END_MIN,
				   HEADER_END_MAX);
	boot->setup_header_size = end - HEADER_START;
	memcpy(boot->setup_header, head + HEADER_START, boot->setup_header_size);
	return 0;
}

static int parse(struct boot *boot, const uint8_t head[BOOT_HEAD_SIZE], struct boot_why why)
{
	struct setup_header header;
	struct boot_segment *code = &boot->segment[0];
	int error;

	memcpy(&header, head + HEADER_START, sizeof(header));
	error = check_kind(boot, &header, why);
	if (!error)
		error = copy_header(boot, head, why);
	if (!error)
		error = find_code(boot, &header, &code->off, &code->file_size, why);
	if (!error)
		error = place(boot, &header, code->file_size, why);
	if (error)
		return error;
	code->size = code->file_size;
	code->gpa = boot->span.start;
	boot->segments = 1;
	boot->initrd_end = (gpa_t)header.initrd_addr_max + 1;
	boot->cmdline_max = header.cmdline_size;
	return 0;
}

static void fill_header(const struct boot *boot, struct setup_header *header)
{
	header->vid_mode = VIDEO_MODE_NORMAL;
	header->type_of_loader = LOADER_UNDEFINED;
	header->loadflags &= (uint8_t)~CAN_USE_HEAP; /* of the real-mode code, which does not run */
	header->code32_start = (uint32_t)boot->span.start;
	header->cmd_line_ptr = BOOT_CMDLINE_START;
	/* Below 3 GiB always: boot_params.ext_ramdisk_image and _size stay 0. */
	header->ramdisk_image = (uint32_t)boot->initrd_gpa;
	header->ramdisk_size = (uint32_t)boot->initrd.size;
	header->setup_data = 0;
}

static void inform(const struct boot *boot, uint8_t *low, gpa_t rsdp, struct boot_entry *ret_entry)
{
	struct boot_params *params = (struct boot_params *)(void *)(low + BOOT_ZERO_PAGE_START);
	struct boot_map_entry map[BOOT_E820_MAX];
	unsigned int count = boot_memory_map(boot->ram_size, map);

	memset(params, 0, sizeof(*params));
	memcpy(low + BOOT_ZERO_PAGE_START + HEADER_START, boot->setup_header,
	       boot->setup_header_size);
	fill_header(boot, &params->hdr);
	params->acpi_rsdp_addr = rsdp;
	params->e820_entries = (uint8_t)count;
	for (unsigned int i = 0; i < count; i++)
		params->e820_table[i] = (struct boot_e820_entry){
			.addr = map[i].start, .size = map[i].size, .type = map[i].type};
	ret_entry->mode = BOOT_LONG_MODE;
	ret_entry->rip = boot->span.start + ENTRY_64;
	ret_entry->rsi = BOOT_ZERO_PAGE_START;
}

const struct boot_format boot_bzimage = {
	.recognise = recognise, .parse = parse, .inform = inform,
};
