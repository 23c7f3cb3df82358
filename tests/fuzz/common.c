#include "tests/fuzz/fuzz.h"

#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "devices/pci.h"

#define CAPS_MAX ((PCI_CFG_SPACE_SIZE - PCI_STD_HEADER_SIZEOF) / 4)
#define EXT_CAPS_MAX ((PCI_CFG_SPACE_EXP_SIZE - PCI_CFG_SPACE_SIZE) / 4)

void fuzz_must(bool good, const char *what)
{
	if (good)
		return;
	/* Not to standard error, which is what the product logs to: tests/fuzz/run drops it. */
	printf("fuzz: %s\n", what);
	fflush(stdout);
	abort();
}

void fuzz_write_seed(int argc, char **argv, const char *name, const void *bytes, size_t size)
{
	const char *folder = argv[argc - 1];
	struct stat status;
	char path[512];
	FILE *file;

	if (argc < 2 || stat(folder, &status) || !S_ISDIR(status.st_mode))
		return;
	snprintf(path, sizeof(path), "%s/seed-%s", folder, name);
	file = fopen(path, "w");
	fuzz_must(file && fwrite(bytes, 1, size, file) == size && !fclose(file), "seed");
}

uint64_t fuzz_take(struct fuzz_input *input, unsigned int len)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < len && input->size; i++, input->bytes++, input->size--)
		value |= (uint64_t)*input->bytes << (8 * i);
	return value;
}

void fuzz_check_why(const char *why)
{
	size_t len = strlen(why);

	fuzz_must(len && !strchr(why, '\n') && why[len - 1] != '.', "a refusal is not one line");
}

void fuzz_check_caps(const struct pci_cfg *cfg)
{
	uint32_t off = pci_cfg_read(cfg, PCI_CAPABILITY_LIST, 1);
	unsigned int count = 0;

	for (; off; off = pci_cfg_read(cfg, (uint16_t)off + PCI_CAP_LIST_NEXT, 1)) {
		fuzz_must(off >= PCI_STD_HEADER_SIZEOF && off % 4 == 0, "capability misplaced");
		fuzz_must(count++ < CAPS_MAX, "loop of capabilities");
	}
	count = 0;
	for (off = PCI_CFG_SPACE_SIZE; off;
	     off = PCI_EXT_CAP_NEXT(pci_cfg_read(cfg, (uint16_t)off, 4))) {
		fuzz_must(off >= PCI_CFG_SPACE_SIZE, "extended capability misplaced");
		fuzz_must(count++ < EXT_CAPS_MAX, "loop of extended capabilities");
	}
}
