/*
 * The input is a kernel image, which ends with one byte that says whether an initial RAM disk and a
 * command line come with it. It is refused with a sentence, or loaded into RAM.
 */
#include "tests/fake_kernel.h"
#include "tests/fake_mem.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/bits.h"
#include "vmm/boot.h"

#define RAM RAM_MIN_SIZE
#define INITRD_SIZE 5000U
#define WITH_INITRD 1U
#define WITH_APPEND 2U
#define RSDP ACPI_TABLES_START

static struct mem *mem;
static struct fake_file initrd;

/* A right image, with `last` behind it. */
static void write_seed(int argc, char **argv, const char *name, struct fake_kernel *kernel,
		       uint8_t last)
{
	kernel->bytes[kernel->size] = last;
	fuzz_write_seed(argc, argv, name, kernel->bytes, kernel->size + 1);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct fake_kernel kernel;

	mem = fake_mem_create(RAM);
	fake_file_create(&initrd, NULL, INITRD_SIZE);
	fake_kernel_bzimage(&kernel);
	write_seed(*argc, *argv, "bzimage", &kernel, WITH_INITRD | WITH_APPEND);
	fake_kernel_pvh(&kernel, false);
	write_seed(*argc, *argv, "pvh32", &kernel, 0);
	fake_kernel_pvh(&kernel, true);
	write_seed(*argc, *argv, "pvh64", &kernel, WITH_INITRD);
	fake_kernel_uki(&kernel);
	write_seed(*argc, *argv, "uki", &kernel, 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int with = size ? data[size - 1] : 0;
	struct fake_file file;
	struct boot_config config = {
		.kernel = file.path,
		.initrd = with & WITH_INITRD ? initrd.path : NULL,
		.append = with & WITH_APPEND ? "console=ttyS0" : NULL,
	};
	struct boot *boot = NULL;
	struct boot_entry entry;
	char why[512] = "";

	fake_file_create(&file, data, size ? size - 1 : 0);
	if (boot_open(&config, RAM, &boot, why, sizeof(why))) {
		fuzz_must(!boot, "a refused kernel is open");
		fuzz_check_why(why);
	} else {
		fuzz_must(!boot_load(boot, mem, RSDP, &entry, why, sizeof(why)), why);
		fuzz_must(entry.rip >= BIOS_AREA_END && entry.rip < RAM, "entry outside of RAM");
		boot_close(boot);
	}
	fake_file_destroy(&file);
	return 0;
}
