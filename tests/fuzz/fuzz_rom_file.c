/*
 * The input is the file of an expansion ROM: it is refused with a sentence, or a chain of images
 * that can be asked for which device it is. The sanitizer watches its end.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vfio/rom_file.h"
#include "vmm/base/le.h"

#define VENDOR 0x1002
#define DATA 0x1c

static void put_image(uint8_t *image, bool last)
{
	le16_set(image, 0xaa55);
	le16_set(image + 0x18, DATA);
	memcpy(image + DATA, "PCIR", 4);
	le16_set(image + DATA + 0x04, VENDOR);
	le16_set(image + DATA + 0x08, 0x1c);
	image[DATA + 0x0c] = 3;
	le16_set(image + DATA + 0x10, 1);
	image[DATA + 0x15] = last ? 0x80 : 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	uint8_t rom[1024] = {0};

	put_image(rom, false);
	put_image(rom + 512, true);
	fuzz_write_seed(*argc, *argv, "two", rom, sizeof(rom));
	put_image(rom, true);
	fuzz_write_seed(*argc, *argv, "one", rom, 512);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rom_file rom = {.bytes = malloc(size ? size : 1), .size = size, .len = size};
	char why[256] = "";
	int error;

	fuzz_must(rom.bytes, "out of memory");
	memcpy(rom.bytes, data, size);
	error = rom_check(rom.bytes, size, why, sizeof(why));
	if (error)
		fuzz_check_why(why);
	else
		rom_is_for(&rom, VENDOR, (uint16_t)size);
	free(rom.bytes);
	return 0;
}
