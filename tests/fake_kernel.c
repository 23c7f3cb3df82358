#include "tests/fake_kernel.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fake_must.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/boot.h"

#define BZIMAGE_SIZE 4096U
#define HEADER_OFF 0x1f1U
#define NOTES_OFF 0x200U
#define NOTES_SIZE 56U
#define CODE_OFF 0x300U
#define DATA_OFF 0x380U
#define SEGMENT_SIZE 0x80U

static void fill(struct fake_kernel *kernel, size_t off, size_t size)
{
	for (size_t i = 0; i < size; i++)
		kernel->bytes[off + i] = (uint8_t)(1 + i % 251);
}

void fake_kernel_bzimage(struct fake_kernel *kernel)
{
	struct setup_header header = {
		.setup_sects = 1,
		.syssize = (BZIMAGE_SIZE - FAKE_BZIMAGE_CODE_OFF) / 16,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb, /* the header ends at 0x26c */
		.header = 0x53726448,
		.version = 0x20f,
		.loadflags = LOADED_HIGH | CAN_USE_HEAP,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = 2047,
		.payload_offset = 0x300,
		.payload_length = 0x900,
		.setup_data = 0x1234,
		.pref_address = 0x1000000,
		.init_size = 0x200000,
	};

	memset(kernel, 0, sizeof(*kernel));
	kernel->size = BZIMAGE_SIZE;
	memset(kernel->bytes, 0xcc, FAKE_BZIMAGE_CODE_OFF); /* what must not reach boot_params */
	memcpy(kernel->bytes + HEADER_OFF, &header, sizeof(header));
	fill(kernel, FAKE_BZIMAGE_CODE_OFF, BZIMAGE_SIZE - FAKE_BZIMAGE_CODE_OFF);
}

static size_t put_note(uint8_t *to, const char *name, uint32_t type, uint32_t value)
{
	Elf32_Nhdr note = {
		.n_namesz = (uint32_t)strlen(name) + 1, .n_descsz = sizeof(value), .n_type = type};

	memcpy(to, &note, sizeof(note));
	memcpy(to + sizeof(note), name, note.n_namesz);
	memcpy(to + sizeof(note) + align_up(note.n_namesz, 4), &value, sizeof(value));
	return sizeof(note) + align_up(note.n_namesz, 4) + sizeof(value);
}

static void put_headers_64(struct fake_kernel *kernel)
{
	Elf64_Ehdr elf = {.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
			  .e_phoff = sizeof(elf), .e_ehsize = sizeof(elf),
			  .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 3};
	Elf64_Phdr headers[] = {
		{.p_type = PT_NOTE, .p_offset = NOTES_OFF, .p_filesz = NOTES_SIZE,
		 .p_memsz = NOTES_SIZE, .p_align = 4},
		{.p_type = PT_LOAD, .p_offset = CODE_OFF, .p_paddr = 0x100000,
		 .p_filesz = SEGMENT_SIZE, .p_memsz = SEGMENT_SIZE},
		{.p_type = PT_LOAD, .p_offset = DATA_OFF, .p_paddr = 0x200000,
		 .p_filesz = SEGMENT_SIZE, .p_memsz = FAKE_PVH_DATA_SIZE},
	};

	memcpy(kernel->bytes, &elf, sizeof(elf));
	memcpy(kernel->bytes + elf.e_phoff, headers, sizeof(headers));
	kernel->bytes[EI_CLASS] = ELFCLASS64;
}

static void put_headers_32(struct fake_kernel *kernel)
{
	Elf32_Ehdr elf = {.e_type = ET_EXEC, .e_machine = EM_386, .e_version = EV_CURRENT,
			  .e_phoff = sizeof(elf), .e_ehsize = sizeof(elf),
			  .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 3};
	Elf32_Phdr headers[] = {
		{.p_type = PT_NOTE, .p_offset = NOTES_OFF, .p_filesz = NOTES_SIZE,
		 .p_memsz = NOTES_SIZE, .p_align = 4},
		{.p_type = PT_LOAD, .p_offset = CODE_OFF, .p_paddr = 0x100000,
		 .p_filesz = SEGMENT_SIZE, .p_memsz = SEGMENT_SIZE},
		{.p_type = PT_LOAD, .p_offset = DATA_OFF, .p_paddr = 0x200000,
		 .p_filesz = SEGMENT_SIZE, .p_memsz = FAKE_PVH_DATA_SIZE},
	};

	memcpy(kernel->bytes, &elf, sizeof(elf));
	memcpy(kernel->bytes + elf.e_phoff, headers, sizeof(headers));
	kernel->bytes[EI_CLASS] = ELFCLASS32;
}

void fake_kernel_pvh(struct fake_kernel *kernel, bool is_64)
{
	size_t notes = NOTES_OFF;

	memset(kernel, 0, sizeof(*kernel));
	if (is_64)
		put_headers_64(kernel);
	else
		put_headers_32(kernel);
	memcpy(kernel->bytes, ELFMAG, SELFMAG);
	kernel->bytes[EI_DATA] = ELFDATA2LSB;
	kernel->bytes[EI_VERSION] = EV_CURRENT;
	/* The type alone is not enough: another owner uses the same number. */
	notes += put_note(kernel->bytes + notes, "Someone", 18, 0xdead0000);
	notes += put_note(kernel->bytes + notes, "Xen", 18, FAKE_PVH_ENTRY);
	must(notes <= NOTES_OFF + NOTES_SIZE, "too many notes");
	fill(kernel, CODE_OFF, SEGMENT_SIZE);
	fill(kernel, DATA_OFF, SEGMENT_SIZE);
	kernel->size = DATA_OFF + SEGMENT_SIZE;
}

static void put_section(struct fake_kernel *kernel, unsigned int index, const char *name,
			uint32_t off, uint32_t size)
{
	uint8_t *section = kernel->bytes + FAKE_UKI_SECTIONS + (size_t)40 * index;

	memcpy(section, name, strlen(name));
	le32_set(section + 8, size);
	le32_set(section + 16, (uint32_t)align_up(size, 0x200));
	le32_set(section + 20, off);
}

void fake_kernel_uki(struct fake_kernel *kernel)
{
	static const char cmdline[] = "console=uki\n";
	struct fake_kernel linux_image;
	uint8_t *pe = kernel->bytes + 0x40;

	fake_kernel_bzimage(&linux_image);
	memset(kernel, 0, sizeof(*kernel));
	memcpy(kernel->bytes, "MZ", 2);
	le32_set(kernel->bytes + 0x3c, 0x40);
	memcpy(pe, "PE\0", 4);
	le16_set(pe + 4, 0x8664);
	le16_set(pe + 6, 4);
	le16_set(pe + 20, FAKE_UKI_SECTIONS - 0x40 - 24);
	put_section(kernel, FAKE_UKI_OTHER, ".text", 0x200, 0x100);
	put_section(kernel, FAKE_UKI_CMDLINE, ".cmdline", 0x400, sizeof(cmdline) - 1);
	put_section(kernel, FAKE_UKI_INITRD, ".initrd", FAKE_UKI_INITRD_OFF, FAKE_UKI_INITRD_SIZE);
	put_section(kernel, FAKE_UKI_LINUX, ".linux", FAKE_UKI_LINUX_OFF,
		    (uint32_t)linux_image.size);
	memcpy(kernel->bytes + 0x400, cmdline, sizeof(cmdline) - 1);
	fill(kernel, FAKE_UKI_INITRD_OFF, FAKE_UKI_INITRD_SIZE);
	memcpy(kernel->bytes + FAKE_UKI_LINUX_OFF, linux_image.bytes, linux_image.size);
	kernel->size = FAKE_UKI_LINUX_OFF + linux_image.size;
}

void fake_file_create(struct fake_file *file, const void *bytes, uint64_t size)
{
	file->fd = memfd_create("fake-file", MFD_CLOEXEC);
	must(file->fd >= 0 && !ftruncate(file->fd, (off_t)size), "memfd");
	must(!bytes || pwrite(file->fd, bytes, size, 0) == (ssize_t)size, "write");
	snprintf(file->path, sizeof(file->path), "/proc/self/fd/%d", file->fd);
}

void fake_file_destroy(struct fake_file *file)
{
	close(file->fd);
}

int fake_kernel_open(const struct fake_kernel *kernel, size_t size, uint64_t ram_size,
		     struct boot **ret_boot, char *ret_why, size_t why_size)
{
	struct fake_file file;
	struct boot_config config = {.kernel = file.path};
	int error;

	fake_file_create(&file, kernel->bytes, size);
	memset(ret_why, 0, why_size);
	error = boot_open(&config, ram_size, ret_boot, ret_why, why_size);
	must(error <= 0, "boot_open() returned a positive number");
	must(!error || (*ret_why && !strchr(ret_why, '\n')), "a refusal is not one line");
	must(!error || strstr(ret_why, file.path), "a refusal does not name the file");
	fake_file_destroy(&file);
	return error;
}
