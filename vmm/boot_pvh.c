/*
 * ELF kernels by the PVH entry, 32-bit protected mode without paging: Xen PVH, docs/misc/pvh.pandoc
 * "x86/HVM direct boot ABI" and start_info.h "struct hvm_start_info", version 1.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/boot_internal.h"

#define XEN_ELFNOTE_PHYS32_ENTRY 18 /* Xen, xen/include/public/elfnote.h */
#define NOTES_MAX (16 * KIB)        /* in one segment; Linux has below 1 KiB */
#define XEN_NAME "Xen"              /* with its zero */

#define HVM_START_MAGIC 0x336ec578U
#define HVM_START_VERSION 1U

struct hvm_start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr;
	uint64_t memmap_paddr;
	uint32_t memmap_entries, reserved;
};
_Static_assert(sizeof(struct hvm_start_info) == 56, "start_info.h: the structure of version 1");

struct hvm_modlist_entry {
	uint64_t paddr, size, cmdline_paddr, reserved;
};
_Static_assert(sizeof(struct hvm_modlist_entry) == 32, "start_info.h: module structure");

struct hvm_memmap_entry {
	uint64_t addr, size;
	uint32_t type, reserved; /* the types are those of E820 */
};
_Static_assert(sizeof(struct hvm_memmap_entry) == 24, "start_info.h: memory map entry");

/* All in one page at BOOT_PVH_INFO_START. */
struct pvh_info {
	struct hvm_start_info start;
	struct hvm_modlist_entry initrd;
	struct hvm_memmap_entry map[BOOT_E820_MAX];
};
_Static_assert(sizeof(struct pvh_info) <= BOOT_ZERO_PAGE_START - BOOT_PVH_INFO_START, "one page");

/* The program headers of both classes have the same fields; these are the ones that matter. */
struct program_header {
	uint32_t type;
	uint64_t off, paddr, file_size, mem_size, align;
};

struct elf {
	bool is_64;
	uint64_t headers_off;
	unsigned int headers, header_size;
};

static bool recognise(const uint8_t head[BOOT_HEAD_SIZE])
{
	return !memcmp(head, ELFMAG, SELFMAG);
}

static int read_elf_header(const struct boot *boot, const uint8_t *head, struct elf *ret_elf,
			   struct boot_why why)
{
	Elf64_Ehdr wide;
	Elf32_Ehdr narrow;
	bool is_64 = head[EI_CLASS] == ELFCLASS64;
	uint16_t machine;

	memcpy(&wide, head, sizeof(wide));
	memcpy(&narrow, head, sizeof(narrow));
	machine = wide.e_machine; /* at the same place in both */
	if ((!is_64 && head[EI_CLASS] != ELFCLASS32) || head[EI_DATA] != ELFDATA2LSB ||
	    (machine != EM_X86_64 && machine != EM_386))
		return boot_refuse(&boot->kernel, why, -EINVAL, "an ELF file of class %u, byte "
				   "order %u, machine %u; one for x86 is needed (machine %u or %u)",
				   head[EI_CLASS], head[EI_DATA], machine, EM_X86_64, EM_386);
	*ret_elf = (struct elf){
		.is_64 = is_64,
		.headers_off = is_64 ? wide.e_phoff : narrow.e_phoff,
		.headers = is_64 ? wide.e_phnum : narrow.e_phnum,
		.header_size = is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr),
	};
	if ((is_64 ? wide.e_phentsize : narrow.e_phentsize) != ret_elf->header_size)
		return boot_refuse(&boot->kernel, why, -EINVAL, "its ELF program headers have %u "
				   "bytes each; %u is right",
				   is_64 ? wide.e_phentsize : narrow.e_phentsize,
				   ret_elf->header_size);
	return 0;
}

static struct program_header program_header(bool is_64, const uint8_t *bytes)
{
	Elf64_Phdr wide;
	Elf32_Phdr narrow;

	if (is_64) {
		memcpy(&wide, bytes, sizeof(wide));
		return (struct program_header){wide.p_type, wide.p_offset, wide.p_paddr,
					       wide.p_filesz, wide.p_memsz, wide.p_align};
	}
	memcpy(&narrow, bytes, sizeof(narrow));
	return (struct program_header){narrow.p_type, narrow.p_offset, narrow.p_paddr,
				       narrow.p_filesz, narrow.p_memsz, narrow.p_align};
}

static int read_program_headers(const struct boot *boot, const struct elf *elf,
				struct program_header *ret_headers, struct boot_why why)
{
	uint8_t bytes[BOOT_SEGMENTS_MAX * sizeof(Elf64_Phdr)];
	uint64_t size = (uint64_t)elf->headers * elf->header_size;
	int error;

	if (!elf->headers || elf->headers > BOOT_SEGMENTS_MAX)
		return boot_refuse(&boot->kernel, why, -EINVAL, "it has %u ELF program headers "
				   "(e_phnum); 1 to %u can be loaded", elf->headers,
				   BOOT_SEGMENTS_MAX);
	if (!range_fits(boot->kernel.size, elf->headers_off, size))
		return boot_refuse(&boot->kernel, why, -EINVAL, "truncated: its %u ELF program "
				   "headers are at byte %llu, and the file has %llu bytes",
				   elf->headers, ull(elf->headers_off), ull(boot->kernel.size));
	error = boot_file_read(&boot->kernel, bytes, size, elf->headers_off, why);
	for (unsigned int i = 0; i < elf->headers && !error; i++)
		ret_headers[i] = program_header(elf->is_64, bytes + i * elf->header_size);
	return error;
}

/* --- notes --- */

/*
 * Looks for the entry point in `size` bytes of notes. Name and contents are padded to four bytes,
 * to eight in a segment of that alignment. True when found. Stops at a note that lies about its
 * size: what follows it cannot be found.
 */
static bool find_entry(const uint8_t *notes, uint64_t size, uint64_t align, uint64_t *ret_entry)
{
	uint64_t off = 0;

	while (range_fits(size, off, sizeof(Elf32_Nhdr))) {
		Elf32_Nhdr note; /* the same in both classes */
		uint64_t name, desc;

		memcpy(&note, notes + off, sizeof(note));
		name = off + sizeof(note);
		desc = align_up(name + note.n_namesz, align);
		if (!range_fits(size, desc, note.n_descsz))
			return false;
		if (note.n_type == XEN_ELFNOTE_PHYS32_ENTRY && note.n_namesz == sizeof(XEN_NAME) &&
		    !memcmp(notes + name, XEN_NAME, sizeof(XEN_NAME)) &&
		    (note.n_descsz == 4 || note.n_descsz == 8)) {
			*ret_entry = le_get(notes + desc, note.n_descsz);
			return true;
		}
		off = align_up(desc + note.n_descsz, align);
	}
	return false;
}

/* 1: found; 0: not in this segment; negative errno and a sentence. */
static int read_notes(const struct boot *boot, const struct program_header *header,
		      uint64_t *ret_entry, struct boot_why why)
{
	uint8_t notes[NOTES_MAX];
	int error;

	if (header->file_size > NOTES_MAX ||
	    !range_fits(boot->kernel.size, header->off, header->file_size))
		return boot_refuse(&boot->kernel, why, -EINVAL, "its ELF notes (%llu bytes at "
				   "%llu) are larger than %llu bytes or not in the file of %llu "
				   "bytes", ull(header->file_size), ull(header->off),
				   ull(NOTES_MAX), ull(boot->kernel.size));
	error = boot_file_read(&boot->kernel, notes, header->file_size, header->off, why);
	if (error)
		return error;
	return find_entry(notes, header->file_size, header->align == 8 ? 8 : 4, ret_entry);
}

static int read_entry(struct boot *boot, const struct program_header *headers, unsigned int count,
		      struct boot_why why)
{
	uint64_t entry = 0;
	int found = 0;

	for (unsigned int i = 0; i < count && !found; i++)
		if (headers[i].type == PT_NOTE)
			found = read_notes(boot, &headers[i], &entry, why);
	if (found < 0)
		return found;
	if (!found)
		return boot_refuse(&boot->kernel, why, -EINVAL, "an ELF file without a PVH entry "
				   "point (Xen note %u; Linux has it with CONFIG_PVH); "
				   BOOT_SUPPORTED, XEN_ELFNOTE_PHYS32_ENTRY);
	for (unsigned int i = 0; i < boot->segments; i++) {
		const struct boot_segment *segment = &boot->segment[i];

		if (range_contains((struct range){segment->gpa, segment->size}, entry, 1)) {
			boot->entry = (uint32_t)entry;
			return 0;
		}
	}
	return boot_refuse(&boot->kernel, why, -EINVAL, "its PVH entry point 0x%llx is in none of "
			   "its %u loaded segments", ull(entry), boot->segments);
}

/* --- segments --- */

static int add_segment(struct boot *boot, const struct program_header *header,
		       struct boot_why why)
{
	if (header->file_size > header->mem_size)
		return boot_refuse(&boot->kernel, why, -EINVAL, "a segment has more bytes in the "
				   "file (%llu) than in memory (%llu)", ull(header->file_size),
				   ull(header->mem_size));
	if (!range_fits(boot->kernel.size, header->off, header->file_size))
		return boot_refuse(&boot->kernel, why, -EINVAL, "truncated: a segment has %llu "
				   "bytes at byte %llu, and the file has %llu bytes",
				   ull(header->file_size), ull(header->off),
				   ull(boot->kernel.size));
	if (header->paddr < BIOS_AREA_END)
		return boot_refuse(&boot->kernel, why, -EINVAL, "a segment is linked at 0x%llx; "
				   "from 1 MiB on (0x%llx) is possible", ull(header->paddr),
				   BIOS_AREA_END);
	if (!range_fits(boot->low_end, header->paddr, header->mem_size))
		return boot_refuse(&boot->kernel, why, -ENOSPC, "a segment needs %llu MiB from "
				   "%llu MiB on, and the guest has %llu MiB of RAM below 3 GiB; a "
				   "larger --memory may do",
				   mib(header->mem_size),
				   ull(header->paddr / MIB), ull(boot->low_end / MIB));
	boot->segment[boot->segments++] = (struct boot_segment){
		.off = header->off, .file_size = header->file_size,
		.gpa = header->paddr, .size = header->mem_size,
	};
	return 0;
}

static struct range span_of(const struct boot_segment *segments, unsigned int count)
{
	gpa_t start = segments[0].gpa, end = start;

	for (unsigned int i = 0; i < count; i++) {
		if (segments[i].gpa < start)
			start = segments[i].gpa;
		if (segments[i].gpa + segments[i].size > end)
			end = segments[i].gpa + segments[i].size;
	}
	return (struct range){start, end - start};
}

static int parse(struct boot *boot, const uint8_t head[BOOT_HEAD_SIZE], struct boot_why why)
{
	struct program_header headers[BOOT_SEGMENTS_MAX];
	struct elf elf = {0};
	int error = read_elf_header(boot, head, &elf, why);

	if (!error)
		error = read_program_headers(boot, &elf, headers, why);
	for (unsigned int i = 0; !error && i < elf.headers; i++)
		if (headers[i].type == PT_LOAD && headers[i].mem_size)
			error = add_segment(boot, &headers[i], why);
	if (!error)
		error = read_entry(boot, headers, elf.headers, why);
	if (error)
		return error;
	boot->span = span_of(boot->segment, boot->segments);
	boot->initrd_end = boot->low_end;
	boot->cmdline_max = BOOT_CMDLINE_MAX - 1;
	return 0;
}

/* --- what the kernel is told --- */

static void inform(const struct boot *boot, uint8_t *low, gpa_t rsdp, struct boot_entry *ret_entry)
{
	struct boot_map_entry map[BOOT_E820_MAX];
	unsigned int count = boot_memory_map(boot->ram_size, map);
	bool has_initrd = boot->initrd.fd >= 0;
	struct pvh_info info = {
		.start = {
			.magic = HVM_START_MAGIC,
			.version = HVM_START_VERSION,
			.nr_modules = has_initrd,
			.cmdline_paddr = BOOT_CMDLINE_START,
			.rsdp_paddr = rsdp,
			.memmap_paddr = BOOT_PVH_INFO_START + offsetof(struct pvh_info, map),
			.memmap_entries = count,
		},
		.initrd = {.paddr = boot->initrd_gpa, .size = boot->initrd.size},
	};

	if (has_initrd)
		info.start.modlist_paddr = BOOT_PVH_INFO_START + offsetof(struct pvh_info, initrd);
	for (unsigned int i = 0; i < count; i++)
		info.map[i] = (struct hvm_memmap_entry){
			.addr = map[i].start, .size = map[i].size, .type = map[i].type};
	memcpy(low + BOOT_PVH_INFO_START, &info, sizeof(info));
	ret_entry->mode = BOOT_PROTECTED_MODE;
	ret_entry->rip = boot->entry;
	ret_entry->rbx = BOOT_PVH_INFO_START;
}

const struct boot_format boot_pvh = {
	.recognise = recognise, .parse = parse, .inform = inform,
};
