/*
 * The input is a config as a flattened device tree. What is accepted is a machine within bounds and
 * can be printed; what is refused has its sentence.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/fake_config.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/bits.h"
#include "vmm/base/text.h"
#include "vmm/config.h"
#include "vmm/options.h"

static void check_machine(const struct options *options)
{
	struct text text = {0};

	fuzz_must(options->cpus >= 1 && options->cpus <= VCPU_MAX, "number of CPUs");
	fuzz_must(!options->memory_page || options->memory % options->memory_page == 0, "page");
	fuzz_must(options->memory >= RAM_MIN_SIZE && options->memory % (2 * MIB) == 0, "memory");
	fuzz_must(options->slots <= SLOT_MAX, "number of slots");
	fuzz_must(!config_print(options, &text) && strlen(text.bytes) == text.len, "printing");
	text_finish(&text);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct fake_property small[] = {
		{"", "compatible", FAKE_STRING(CONFIG_COMPATIBLE)},
		{"gpu-0", "slot", FAKE_STRING("vfio-user:a")},
		{NULL, NULL, NULL, 0},
	};
	struct fake_config config;

	fake_config_create(&config, fake_config_whole);
	fuzz_write_seed(*argc, *argv, "whole", config.bytes, config.size);
	fake_config_create(&config, small);
	fuzz_write_seed(*argc, *argv, "small", config.bytes, config.size);
	return 0;
}

/* libFuzzer's buffer may be aligned to nothing, and malloc() is what config.h asks for. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct options options = {.memory = 512 * MIB, .cpus = 1};
	void *blob = malloc(size ? size : 1);
	char why[512] = "";

	memcpy(blob, data, size);
	if (config_apply(blob, size, "a/b", &options, why, sizeof(why)))
		fuzz_check_why(why);
	else
		check_machine(&options);
	options_finish(&options);
	free(blob);
	return 0;
}
