/*
 * The input is what a person writes: the first byte says whether --gpu or the file of --quirks, the
 * others are the text.
 */
#include <errno.h>
#include <string.h>

#include "tests/fake_kernel.h"
#include "tests/fuzz/fuzz.h"
#include "vfio/quirks.h"
#include "vfio/vfio.h"
#include "vmm/base/bits.h"

#define TEXT_MAX 4096U

static void try_slot(const char *text)
{
	struct vfio_slot_config config;
	char why[512] = "";

	if (vfio_slot_parse(text, &config, why, sizeof(why))) {
		fuzz_must(*why != '\0', "a refusal without a sentence");
		return;
	}
	fuzz_must(memchr(config.bdf, 0, sizeof(config.bdf)) &&
		  memchr(config.socket, 0, sizeof(config.socket)), "a name without an end");
	fuzz_must((config.bdf[0] != 0) != (config.socket[0] != 0), "neither slot nor socket");
}

static void try_quirks(const char *text, size_t size)
{
	const struct policy_facts facts = {
		.name = "0000:01:00.0", .vendor = 0x10de, .device = 0x1b38, .class = 0x030000};
	struct quirk_verdict verdict;
	struct quirks *quirks = NULL;
	struct fake_file file;
	char why[512] = "";

	fake_file_create(&file, text, size);
	if (quirks_create(file.path, &quirks, why, sizeof(why))) {
		fuzz_must(*why && !quirks, "a refusal without a sentence");
	} else {
		quirks_match(quirks, &facts, &verdict);
		fuzz_must((verdict.power != 0) == (verdict.power_reason != NULL) &&
			  (verdict.reset != 0) == (verdict.reset_reason != NULL),
			  "a verdict without a reason");
		quirks_destroy(quirks);
	}
	fake_file_destroy(&file);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const seeds[] = {
		"0" "0000:01:00.0,power=d3hot,reentry=guest,reset=bus,min-sleep=5",
		"0" "vfio-user:/run/gpu.sock,max-wakes-per-hour=3,resume-timeout=60",
		"1" "# mine\n10de:1b38 reset=bus \"it has no other\"\n"
		    "1002:*:03 power=off reentry=host external=yes \"does not come back\"\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(seeds); i++) {
		const char name[] = {(char)('a' + i), 0};

		fuzz_write_seed(*argc, *argv, name, seeds[i], strlen(seeds[i]));
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[TEXT_MAX + 1] = "";

	if (!size || size > TEXT_MAX)
		return 0;
	memcpy(text, data + 1, size - 1);
	if (data[0] & 1)
		try_quirks(text, size - 1);
	else
		try_slot(text);
	return 0;
}
