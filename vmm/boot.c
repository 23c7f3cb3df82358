#include "vmm/boot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/boot_internal.h"
#include "vmm/mem.h"

#define PAGE 4096ULL

/* Intel SDM vol. 3A, 3.4.5 Segment Descriptors: flat, present, ring 0, accessed. */
#define DESCRIPTOR_CODE_32 0x00cf9b000000ffffULL
#define DESCRIPTOR_CODE_64 0x00af9b000000ffffULL
#define DESCRIPTOR_DATA 0x00cf93000000ffffULL
#define DESCRIPTORS 4 /* null, unused, __BOOT_CS (0x10), __BOOT_DS (0x18) */

/* Intel SDM vol. 3A, 4.5 4-Level Paging and 5-Level Paging. */
#define PTE_PRESENT_WRITABLE 0x3ULL
#define PTE_PAGE_SIZE 0x80ULL
#define LARGE_PAGE (2 * MIB)
#define TABLE_ENTRIES 512U
#define DIRECTORIES 4U /* of 1 GiB each: the low 4 GiB */

static const struct boot_format *const formats[] = {&boot_bzimage, &boot_pvh};

unsigned int boot_memory_map(uint64_t ram_size, struct boot_map_entry map[BOOT_E820_MAX])
{
	uint64_t low = ram_size < RAM_LOW_MAX ? ram_size : RAM_LOW_MAX;
	const struct boot_map_entry all[] = {
		{0, EBDA_START, BOOT_E820_RAM},
		{EBDA_START, BIOS_AREA_END - EBDA_START, BOOT_E820_RESERVED},
		{BIOS_AREA_END, low - BIOS_AREA_END, BOOT_E820_RAM},
		{ECAM_START, ECAM_SIZE, BOOT_E820_RESERVED},
		{RAM_HIGH_START, ram_size - low, BOOT_E820_RAM},
	};
	unsigned int count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i].size)
			map[count++] = all[i];
	return count;
}

/* --- what it is --- */

static int read_head(const struct boot *boot, uint8_t ret_head[BOOT_HEAD_SIZE],
		     struct boot_why why)
{
	uint64_t size = boot->kernel.size < BOOT_HEAD_SIZE ? boot->kernel.size : BOOT_HEAD_SIZE;

	memset(ret_head, 0, BOOT_HEAD_SIZE);
	return boot_file_read(&boot->kernel, ret_head, size, 0, why);
}

static const struct boot_format *find_format(const uint8_t head[BOOT_HEAD_SIZE])
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (formats[i]->recognise(head))
			return formats[i];
	return NULL;
}

#define SECTOR 512U

static bool is_efi_application(const uint8_t head[BOOT_HEAD_SIZE])
{
	return head[0] == 'M' && head[1] == 'Z';
}

/* UEFI 2.10, 5.2.1 Legacy Master Boot Record (MBR): Signature. A disk with GPT has it, too. */
static bool is_boot_sector(const uint8_t head[BOOT_HEAD_SIZE])
{
	return head[SECTOR - 2] == 0x55 && head[SECTOR - 1] == 0xaa;
}

enum boot_kind boot_kind_of(const char *path)
{
	char text[256];
	struct boot_why why = {text, sizeof(text)};
	struct boot boot = {.initrd = {.fd = -1}};
	uint8_t head[BOOT_HEAD_SIZE];
	struct stat status;
	int error;

	if (!stat(path, &status) && S_ISBLK(status.st_mode))
		return BOOT_KIND_DISK;
	error = boot_file_open(&boot.kernel, "guest", path, why);
	if (error)
		return BOOT_KIND_UNKNOWN;
	error = read_head(&boot, head, why);
	boot_file_close(&boot.kernel);
	if (error)
		return BOOT_KIND_UNKNOWN;
	if (find_format(head) || is_efi_application(head))
		return BOOT_KIND_KERNEL;
	return is_boot_sector(head) ? BOOT_KIND_DISK : BOOT_KIND_UNKNOWN;
}

/* --- boot_open() --- */

static int recognise(struct boot *boot, struct boot_why why)
{
	uint8_t head[BOOT_HEAD_SIZE];
	bool unified = false;
	int error = read_head(boot, head, why);

	/* A bzImage is an EFI application, too: it goes first. */
	if (!error)
		boot->format = find_format(head);
	if (!error && !boot->format)
		error = boot_uki_open(boot, head, &unified, why);
	if (!error && unified)
		error = read_head(boot, head, why);
	if (!error && unified)
		boot->format = find_format(head);
	if (error)
		return error;
	if (!boot->format)
		return boot_file_refuse_foreign(&boot->kernel, why);
	return boot->format->parse(boot, head, why);
}

static int check_cmdline(const struct boot *boot, struct boot_why why)
{
	size_t len = strlen(boot->append);
	uint64_t max = boot->cmdline_max < BOOT_CMDLINE_MAX ? boot->cmdline_max :
							       BOOT_CMDLINE_MAX - 1;

	if (len <= max)
		return 0;
	if (boot->own_append)
		return boot_refuse(&boot->kernel, why, -E2BIG, "its command line has %zu "
				   "characters, and its kernel takes at most %llu; give a shorter "
				   "one by --append", len, ull(max));
	return boot_refuse(NULL, why, -E2BIG, "--append: the command line has %zu characters, and "
			   "this kernel takes at most %llu", len, ull(max));
}

/* As high as it may be, so that the kernel has room to unpack itself; else below the kernel. */
static int place_initrd(struct boot *boot, struct boot_why why)
{
	gpa_t end = boot->initrd_end < boot->low_end ? boot->initrd_end : boot->low_end;
	gpa_t ends[] = {end, end < boot->span.start ? end : boot->span.start};
	uint64_t size = boot->initrd.size;

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		gpa_t top = align_down(ends[i], PAGE);

		if (top < BIOS_AREA_END || size > top - BIOS_AREA_END)
			continue;
		boot->initrd_gpa = align_down(top - size, PAGE);
		if (!range_meets(boot->span, (struct range){boot->initrd_gpa, size}))
			return 0;
	}
	return boot_refuse(&boot->initrd, why, -ENOSPC, "its %llu MiB do not fit beside the "
			   "kernel (%llu to %llu MiB) below %llu MiB, where this kernel can use "
			   "it; a smaller initrd or a larger --memory (up to 3G counts) would work",
			   mib(size), ull(boot->span.start / MIB),
			   ull((boot->span.start + boot->span.size) / MIB), ull(end / MIB));
}

static int open_all(struct boot *boot, const struct boot_config *config, struct boot_why why)
{
	int error;

	boot->append = config->append ? strdup(config->append) : NULL;
	if (config->append && !boot->append)
		return boot_refuse(NULL, why, -ENOMEM, "out of memory");
	error = boot_file_open(&boot->kernel, "guest", config->kernel, why);
	if (!error && config->initrd)
		error = boot_file_open(&boot->initrd, "initrd", config->initrd, why);
	if (!error)
		error = recognise(boot, why);
	if (!error && !boot->append && !(boot->append = strdup("")))
		return boot_refuse(NULL, why, -ENOMEM, "out of memory");
	if (!error)
		error = check_cmdline(boot, why);
	if (!error && boot->initrd.fd >= 0)
		error = place_initrd(boot, why);
	return error;
}

int boot_open(const struct boot_config *config, uint64_t ram_size, struct boot **ret_boot,
	      char *ret_why, size_t why_size)
{
	struct boot_why why = {ret_why, why_size};
	struct boot *boot = calloc(1, sizeof(*boot));
	int error;

	if (!boot)
		return boot_refuse(NULL, why, -ENOMEM, "out of memory");
	boot->kernel.fd = boot->initrd.fd = -1;
	boot->ram_size = ram_size;
	boot->low_end = ram_size < RAM_LOW_MAX ? ram_size : RAM_LOW_MAX;
	error = open_all(boot, config, why);
	if (error)
		boot_close(boot);
	else
		*ret_boot = boot;
	return error;
}

/* --- boot_load() --- */

static int load_files(const struct boot *boot, struct mem *mem, struct boot_why why)
{
	for (unsigned int i = 0; i < boot->segments; i++) {
		const struct boot_segment *segment = &boot->segment[i];
		uint64_t rest = segment->size - segment->file_size;
		int error = boot_file_load(&boot->kernel, mem, segment->gpa, segment->file_size,
					   segment->off, why);
		void *hva = mem_hva(mem, segment->gpa + segment->file_size, rest);

		if (error)
			return error;
		if (!hva)
			return boot_refuse(&boot->kernel, why, -ENOSPC, "it does not fit the RAM");
		memset(hva, 0, rest);
	}
	if (boot->initrd.fd < 0)
		return 0;
	return boot_file_load(&boot->initrd, mem, boot->initrd_gpa, boot->initrd.size, 0, why);
}

static void write_page_tables(uint8_t *low)
{
	uint8_t *tables = low + BOOT_PAGE_TABLES_START; /* PML4, PDPT, directories */
	uint8_t *directories = tables + 2 * PAGE;

	memset(tables, 0, (2 + DIRECTORIES) * PAGE);
	le64_set(tables, (BOOT_PAGE_TABLES_START + PAGE) | PTE_PRESENT_WRITABLE);
	for (unsigned int i = 0; i < DIRECTORIES; i++)
		le64_set(tables + PAGE + 8 * i,
			 (BOOT_PAGE_TABLES_START + (2 + i) * PAGE) | PTE_PRESENT_WRITABLE);
	for (unsigned int i = 0; i < DIRECTORIES * TABLE_ENTRIES; i++)
		le64_set(directories + 8 * i,
			 i * LARGE_PAGE | PTE_PRESENT_WRITABLE | PTE_PAGE_SIZE);
}

/* The registers hold the same segments (vmm/vcpu_state.c); a kernel may load them once more. */
static void write_gdt(uint8_t *low, enum boot_mode mode)
{
	const uint64_t gdt[DESCRIPTORS] = {
		0, 0, mode == BOOT_LONG_MODE ? DESCRIPTOR_CODE_64 : DESCRIPTOR_CODE_32,
		DESCRIPTOR_DATA,
	};

	for (unsigned int i = 0; i < DESCRIPTORS; i++)
		le64_set(low + BOOT_GDT_START + 8 * i, gdt[i]);
}

int boot_load(struct boot *boot, struct mem *mem, gpa_t rsdp, struct boot_entry *ret_entry,
	      char *ret_why, size_t why_size)
{
	struct boot_why why = {ret_why, why_size};
	struct boot_entry entry = {
		.rsp = BOOT_STACK_TOP, .gdt = BOOT_GDT_START, .gdt_limit = 8 * DESCRIPTORS - 1};
	uint8_t *low = mem_hva(mem, 0, EBDA_START);
	int error = load_files(boot, mem, why);

	if (error)
		return error;
	if (!low)
		return boot_refuse(NULL, why, -ENOSPC, "the guest has no RAM at address 0");
	strcpy((char *)low + BOOT_CMDLINE_START, boot->append);
	boot->format->inform(boot, low, rsdp, &entry);
	if (entry.mode == BOOT_LONG_MODE) {
		write_page_tables(low);
		entry.cr3 = BOOT_PAGE_TABLES_START;
	}
	write_gdt(low, entry.mode);
	*ret_entry = entry;
	return 0;
}

void boot_close(struct boot *boot)
{
	if (!boot)
		return;
	boot_file_close(&boot->initrd);
	boot_file_close(&boot->kernel);
	free(boot->append);
	free(boot);
}
