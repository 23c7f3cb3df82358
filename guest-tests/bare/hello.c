/*
 * What the boot loader tells a PVH guest: start_info, memory map, RSDP, command line, initrd.
 * Options: ram=MIB is compared with the memory map; initrd=1 expects the runner's list of tests.
 */
#include "guest-tests/bare/lib.h"

#define MAGIC 0x336ec578
#define MIB 0x100000ULL
#define BIOS_AREA 0x60400 /* what the memory map takes from RAM: 0x9fc00 to 0x100000 */

static const struct memory *memory_map(unsigned int index)
{
	return (const struct memory *)(uintptr_t)boot_info()->memory_map + index;
}

static void check_memory_map(void)
{
	uint64_t end = 0, ram = 0;
	bool sorted = true, has_code = false;
	uint64_t here = (uintptr_t)check_memory_map;
	long expected = option("ram");

	for (unsigned int i = 0; i < boot_info()->memory_map_entries; i++) {
		const struct memory *entry = memory_map(i);

		sorted &= entry->address >= end && entry->size &&
			  entry->address + entry->size > entry->address;
		end = entry->address + entry->size;
		if (entry->type != MEMORY_RAM)
			continue;
		ram += entry->size;
		has_code |= here >= entry->address && here < end;
	}
	report("memory map has entries", boot_info()->memory_map_entries > 0);
	report("memory map is sorted, without overlap", sorted);
	report("memory map has the guest's code in RAM", has_code);
	if (expected >= 0)
		report_equal("memory map has all RAM", ram, (uint64_t)expected * MIB - BIOS_AREA);
}

static void check_rsdp(void)
{
	const uint8_t *rsdp = (const uint8_t *)(uintptr_t)boot_info()->rsdp;

	report("RSDP is given", rsdp);
	if (!rsdp)
		return;
	report("RSDP has its signature", !memcmp(rsdp, "RSD PTR ", 8));
	report("RSDP has its checksum", acpi_checksum_good(rsdp, 20));
}

static void check_module(void)
{
	const struct module *module = (const struct module *)(uintptr_t)boot_info()->module_list;
	static const char first_line[] = "# Tests on /dev/kvm";

	if (option("initrd") < 0) {
		report_equal("no module", boot_info()->modules, 0);
		return;
	}
	report_equal("one module", boot_info()->modules, 1);
	if (!boot_info()->modules)
		return;
	report_equal("module is page-aligned", module->address & 0xfff, 0);
	report("module has a size", module->size > sizeof(first_line));
	report("module has its contents", !memcmp((const void *)(uintptr_t)module->address,
						  first_line, sizeof(first_line) - 1));
}

void test(void)
{
	report_equal("start_info magic", boot_info()->magic, MAGIC);
	report("start_info version", boot_info()->version >= 1);
	print("command line: ");
	print(cmdline());
	print("\n");
	report_equal("command line", (uint64_t)option("token"), 4711);
	check_memory_map();
	check_rsdp();
	check_module();
}
