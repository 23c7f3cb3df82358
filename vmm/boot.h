/*
 * Boot of a kernel image: recognised by its content, checked against lies, loaded into guest RAM.
 * The file stays open so that a reboot loads the same kernel again.
 *
 * Linux x86 boot protocol (Documentation/arch/x86/boot.rst) for bzImage, 64-bit entry; the PVH
 * boot ABI (Xen, docs/misc/pvh.pandoc and xen/include/public/arch-x86/hvm/start_info.h) for ELF;
 * a unified kernel image is taken apart.
 */
#ifndef VMM_BOOT_H
#define VMM_BOOT_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/layout.h"

struct mem;
struct boot;

struct boot_config {
	const char *kernel;  /* path, mandatory */
	const char *initrd;  /* path or NULL */
	const char *append;  /* command line, or NULL: that of a unified image, else none */
};

/* How the boot CPU starts. */
enum boot_mode {
	BOOT_LONG_MODE,
	BOOT_PROTECTED_MODE,
	BOOT_REAL_MODE,
	BOOT_RESET_VECTOR, /* as after power-on, in the firmware's ROM; nothing below counts */
};

struct boot_entry {
	enum boot_mode mode;
	uint64_t rip;        /* BOOT_REAL_MODE: physical, reached by segment rip >> 4 */
	uint64_t rsi;        /* BOOT_LONG_MODE: boot_params */
	uint64_t rbx;        /* BOOT_PROTECTED_MODE: hvm_start_info */
	uint64_t rsp;
	uint64_t cr3;        /* BOOT_LONG_MODE: page tables that map the low 4 GiB one to one */
	uint64_t gdt;        /* gpa of the descriptor table: null, unused, code, data */
	uint16_t gdt_limit;
};

/* What a file seems to be, by its first bytes. */
enum boot_kind {
	BOOT_KIND_UNKNOWN, /* or it cannot be read: boot_open() has a sentence for it */
	BOOT_KIND_KERNEL,  /* of a format that boot_open() knows, or another EFI application */
	BOOT_KIND_DISK,    /* a block device, or an image whose first sector can be booted */
};
enum boot_kind boot_kind_of(const char *path);

/*
 * Opens and checks kernel and initrd against a machine with `ram_size` bytes of RAM. On failure
 * writes one sentence without a full stop for the user into `ret_why` (what, which value, what
 * would work) and returns negative errno; nothing is left open. On success `*ret_boot` is the
 * caller's, for boot_close().
 */
int boot_open(const struct boot_config *config, uint64_t ram_size, struct boot **ret_boot,
	      char *ret_why, size_t why_size);

/*
 * Loads everything into `mem`: kernel, initrd, command line, memory map, page tables, descriptor
 * table. `rsdp` is the gpa of the ACPI root pointer. Again after every reset. As boot_open().
 */
int boot_load(struct boot *boot, struct mem *mem, gpa_t rsdp, struct boot_entry *ret_entry,
	      char *ret_why, size_t why_size);

void boot_close(struct boot *boot); /* accepts NULL */

/* One entry of the guest's memory map, in the types of the E820 interface. */
#define BOOT_E820_RAM 1U
#define BOOT_E820_RESERVED 2U
#define BOOT_E820_MAX 16U
struct boot_map_entry {
	gpa_t start;
	uint64_t size;
	uint32_t type;
};

/* The memory map of a machine with `ram_size` bytes: RAM, BIOS area, ECAM. Returns the count. */
unsigned int boot_memory_map(uint64_t ram_size, struct boot_map_entry map[BOOT_E820_MAX]);

#endif
