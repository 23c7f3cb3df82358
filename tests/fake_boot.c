#include "tests/fake_boot.h"

#include <errno.h>
#include <stdbool.h>

#include "tests/fake_kernel.h"
#include "tests/fake_must.h"
#include "vmm/boot.h"

#define WHY_SIZE 512

void fake_boot_load(const struct fake_kernel *kernel, struct mem *mem, const char *initrd,
		    const char *append, struct boot_entry *ret_entry)
{
	struct boot *boot = NULL;
	struct fake_file file;
	struct boot_config config = {.kernel = file.path, .initrd = initrd, .append = append};
	char why[WHY_SIZE] = "";

	fake_file_create(&file, kernel->bytes, kernel->size);
	must(!boot_open(&config, FAKE_BOOT_RAM, &boot, why, sizeof(why)), why);
	must(!boot_load(boot, mem, FAKE_BOOT_RSDP, ret_entry, why, sizeof(why)), why);
	boot_close(boot);
	fake_file_destroy(&file);
}

size_t fake_boot_first_taken_truncation(const struct fake_kernel *kernel)
{
	size_t size = 0;

	for (; size < kernel->size; size++) {
		struct boot *boot = NULL;
		char why[WHY_SIZE];
		int error = fake_kernel_open(kernel, size, FAKE_BOOT_RAM, &boot, why, sizeof(why));

		boot_close(boot);
		if (error != -EINVAL)
			break;
	}
	return size;
}

static void try_one(const struct fake_kernel *kernel, struct mem *mem,
		    struct fake_boot_outcome *outcome)
{
	struct boot *boot = NULL;
	struct boot_entry entry;
	char why[WHY_SIZE];

	if (fake_kernel_open(kernel, kernel->size, FAKE_BOOT_RAM, &boot, why, sizeof(why))) {
		outcome->refused++;
		return;
	}
	must(!boot_load(boot, mem, 0, &entry, why, sizeof(why)), why);
	boot_close(boot);
	outcome->loaded++;
	outcome->astray += entry.rip < BIOS_AREA_END || entry.rip >= FAKE_BOOT_RAM;
}

struct fake_boot_outcome fake_boot_try_bytes(const struct fake_kernel *kernel, struct mem *mem,
					     size_t start, size_t end)
{
	static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	struct fake_boot_outcome outcome = {0};

	for (size_t off = start; off < end; off++) {
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			struct fake_kernel changed = *kernel;

			changed.bytes[off] = values[i];
			try_one(&changed, mem, &outcome);
		}
	}
	return outcome;
}
