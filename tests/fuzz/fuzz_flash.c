/*
 * The input is what a guest does to the firmware's flash: four bytes a step, an offset of two
 * bytes, of which the high two bits choose a write, a read or a reset, a length and a value.
 * Whatever it does, array and file are the same.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/flash.h"
#include "tests/fake_mem.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/bits.h"
#include "vmm/bus.h"

#define FLASH 0xffc00000ULL
#define SIZE (4 * FLASH_BLOCK)
#define RESET 0xc000U /* bits of a step's offset */
#define READ 0x8000U

static struct mem *mem;
static uint8_t *bytes;
static int fd;

static void write_seeds(int argc, char **argv)
{
	static const uint8_t edk2[] = {
		0, 0, 0, 0x50, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0xff, /* is it flash? */
		8, 0, 0, 0x10, 8, 0, 0, 0x5a, 9, 0, 0, 0x10, 9, 0, 0, 0xa5, 9, 0, 0, 0xff,
		0, 0x10, 0, 0x20, 0, 0x10, 0, 0xd0, 0, 0xc0, 0, 0,
	};
	static const uint8_t buffered[] = {
		0, 0, 0, 0xe8, 0, 0, 0, 1, 4, 0, 0, 'a', 5, 0, 0, 'b', 0, 0, 0, 0xd0,
		0, 0, 0, 0x98, 0x10, 0x80, 3, 0, 0, 0, 0, 0x90, 0, 0x80, 3, 0, 0, 0, 0, 0xff,
	};

	fuzz_write_seed(argc, argv, "edk2", edk2, sizeof(edk2));
	fuzz_write_seed(argc, argv, "buffered", buffered, sizeof(buffered));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	mem = fake_mem_create(16 * MIB);
	fd = memfd_create("vars", MFD_CLOEXEC);
	bytes = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fuzz_must(fd >= 0 && !ftruncate(fd, SIZE) && bytes != MAP_FAILED, "set-up");
	write_seeds(*argc, *argv);
	return 0;
}

static void step(struct bus *mmio, struct flash *flash, struct fuzz_input *input)
{
	unsigned int off = (unsigned int)fuzz_take(input, 2);
	struct bus_access access = {.len = 1U << fuzz_take(input, 1) % 4};

	access.value = fuzz_take(input, 1) * 0x0101010101010101U;
	access.is_write = !(off & READ);
	if ((off & RESET) == RESET)
		flash_reset(flash);
	else
		bus_access(mmio, FLASH + off % SIZE, &access);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	struct flash_config config = {.mem = mem, .gpa = FLASH, .size = SIZE, .bytes = bytes,
				      .fd = fd};
	static uint8_t file[SIZE];
	struct flash *flash;

	memset(bytes, 0xff, SIZE);
	fuzz_must(pwrite(fd, bytes, SIZE, 0) == SIZE, "set-up");
	config.mmio = bus_create("mmio");
	fuzz_must(config.mmio && !flash_create(&config, &flash), "set-up");
	while (input.size)
		step(config.mmio, flash, &input);
	fuzz_must(pread(fd, file, SIZE, 0) == SIZE && !memcmp(file, bytes, SIZE),
		  "array and file differ");
	flash_reset(flash);
	fuzz_must(fake_mem_windows(mem) == 1, "no array after a reset");
	flash_destroy(flash);
	bus_destroy(config.mmio);
	return 0;
}
