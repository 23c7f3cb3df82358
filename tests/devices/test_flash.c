#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/flash.h"
#include "tests/devices/guest_io.h"
#include "tests/fake_mem.h"
#include "vmm/base/bits.h"
#include "vmm/bus.h"

#define FLASH 0xffc00000ULL
#define SIZE (4 * FLASH_BLOCK)
#define READY 0x80
#define PROGRAM_ERROR 0x10
#define ERASE_ERROR 0x20
#define SEQUENCE_ERROR (PROGRAM_ERROR | ERASE_ERROR)

struct fixture {
	struct mem *mem;
	struct bus *mmio;
	struct flash *flash;
	uint8_t *bytes;
	int fd;
};

static void open_flash(struct fixture *f)
{
	struct flash_config config = {.mem = f->mem, .gpa = FLASH, .size = SIZE,
				      .bytes = f->bytes, .fd = f->fd};

	f->mmio = config.mmio = bus_create("mmio");
	assert_non_null(f->mmio);
	assert_int_equal(flash_create(&config, &f->flash), 0);
}

static void close_flash(struct fixture *f)
{
	flash_destroy(f->flash);
	bus_destroy(f->mmio);
}

static int setup(void **state)
{
	static struct fixture f;

	f.mem = fake_mem_create(16 * MIB);
	f.fd = memfd_create("vars", MFD_CLOEXEC);
	f.bytes = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(f.fd >= 0 && f.bytes != MAP_FAILED);
	memset(f.bytes, 0xff, SIZE);
	assert_int_equal(write(f.fd, f.bytes, SIZE), SIZE);
	open_flash(&f);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close_flash(f);
	munmap(f->bytes, SIZE);
	close(f->fd);
	fake_mem_destroy(f->mem);
	return 0;
}

/* --- the guest, and what the host sees --- */

static void put(struct fixture *f, uint64_t off, uint8_t value)
{
	guest_out(f->mmio, FLASH + off, 1, value);
}

/* Through the window, where there is one, as a CPU reads. */
static uint8_t get(struct fixture *f, uint64_t off)
{
	struct fake_window window;

	if (fake_mem_window_at(f->mem, FLASH + off, &window))
		return ((const uint8_t *)window.hva)[FLASH + off - window.gpa];
	return (uint8_t)guest_in(f->mmio, FLASH + off, 1);
}

static void program(struct fixture *f, uint64_t off, uint8_t value)
{
	put(f, off, 0x10);
	put(f, off, value);
}

static void erase(struct fixture *f, uint64_t off)
{
	put(f, off, 0x20);
	put(f, off, 0xd0);
}

static uint8_t in_file(const struct fixture *f, uint64_t off)
{
	uint8_t byte;

	assert_int_equal(pread(f->fd, &byte, 1, (off_t)off), 1);
	return byte;
}

/* --- tests --- */

static void test_flash_array_is_a_window(void **state)
{
	struct fixture *f = *state;
	struct fake_window window;

	assert_true(fake_mem_window_at(f->mem, FLASH, &window));
	assert_true(window.read_only);
	assert_int_equal(window.gpa, FLASH);
	assert_int_equal(window.size, SIZE);
	assert_ptr_equal(window.hva, f->bytes);
	put(f, 0, 0x70);
	assert_int_equal(fake_mem_windows(f->mem), 0);
	put(f, 0, 0x70);
	put(f, 5, 0xff);
	assert_int_equal(fake_mem_windows(f->mem), 1);
	put(f, 5, 0xff);
	assert_int_equal(fake_mem_windows_ever(f->mem), 2);
}

/* edk2, OvmfPkg/QemuFlashFvbServicesRuntimeDxe/QemuFlash.c: QemuFlashDetected(). A byte that is
 * neither 0x50 nor 0x70 nor 0 stays what it is when 0x50 is written, and becomes 0 after 0x70. */
static void test_flash_is_found_by_edk2(void **state)
{
	struct fixture *f = *state;

	f->bytes[7] = 0x5f;
	put(f, 7, 0x50);
	assert_int_equal(get(f, 7), 0x5f);
	put(f, 7, 0x70);
	assert_int_equal(get(f, 7), 0);
	put(f, 7, 0xff);
	assert_int_equal(get(f, 7), 0x5f);
}

/* QemuFlashWrite(): each byte in two writes, then the array. */
static void test_flash_writes_as_edk2(void **state)
{
	static const char text[] = "NvVarStore";
	struct fixture *f = *state;

	for (unsigned int i = 0; i < sizeof(text); i++)
		program(f, 100 + i, (uint8_t)text[i]);
	assert_int_equal(get(f, 0), READY);
	for (unsigned int i = 0; i < sizeof(text); i++)
		assert_int_equal(in_file(f, 100 + i), text[i]); /* before the guest does more */
	put(f, 100 + sizeof(text) - 1, 0xff);
	for (unsigned int i = 0; i < sizeof(text); i++)
		assert_int_equal(get(f, 100 + i), text[i]);
	assert_int_equal(get(f, 99), 0xff);
	assert_int_equal(get(f, 100 + sizeof(text)), 0xff);
}

static void test_flash_programs_zeros_only(void **state)
{
	struct fixture *f = *state;

	program(f, 3, 0xf0);
	program(f, 3, 0x3c);
	assert_int_equal(get(f, 3), READY);
	put(f, 0, 0xff);
	assert_int_equal(get(f, 3), 0x30);
	assert_int_equal(in_file(f, 3), 0x30);
}

static void test_flash_erases_one_block(void **state)
{
	struct fixture *f = *state;

	for (unsigned int i = 0; i < SIZE; i += FLASH_BLOCK / 2)
		program(f, i, 0);
	erase(f, 2 * FLASH_BLOCK + 77);
	assert_int_equal(get(f, 0), READY);
	put(f, 0, 0xff);
	for (unsigned int i = 0; i < SIZE; i += FLASH_BLOCK / 2) {
		uint8_t expected = i / FLASH_BLOCK == 2 ? 0xff : 0;

		assert_int_equal(get(f, i), expected);
		assert_int_equal(in_file(f, i), expected);
	}
}

/* Every second cycle that is not the right one, and every command that there is not. */
static void test_flash_says_wrong_sequences(void **state)
{
	static const uint8_t known[] = {0x10, 0x20, 0x40, 0x50, 0x70, 0x90, 0x98, 0xb0, 0xd0, 0xe8,
					0xff};
	struct fixture *f = *state;

	for (unsigned int value = 0; value < 256; value++) {
		put(f, 0, 0x20);
		put(f, 0, (uint8_t)value);
		assert_int_equal(get(f, 0),
				 value == 0xd0 ? READY : READY | SEQUENCE_ERROR);
		put(f, 0, 0x50);
		assert_int_equal(get(f, 0), 0); /* still the status */
		put(f, 0, 0xff);
		if (memchr(known, (int)value, sizeof(known)))
			continue;
		put(f, 0, (uint8_t)value);
		assert_int_equal(get(f, 0), READY | SEQUENCE_ERROR);
		put(f, 0, 0x50);
		put(f, 0, 0xff);
	}
	for (unsigned int i = 0; i < SIZE; i++)
		assert_int_equal(get(f, i), 0xff);
}

static void test_flash_buffered_program(void **state)
{
	struct fixture *f = *state;
	uint64_t at = FLASH_BLOCK + 30;

	put(f, at, 0xe8);
	assert_int_equal(get(f, at), READY); /* the buffer is free */
	put(f, at, 3 - 1);
	put(f, at, 'a');
	put(f, at + 2, 'c');
	put(f, at + 1, 'b');
	assert_int_equal(in_file(f, at), 0xff);
	put(f, at, 0xd0);
	assert_int_equal(get(f, at), READY);
	put(f, 0, 0xff);
	assert_memory_equal(f->bytes + at, "abc\xff", 4);
	assert_int_equal(in_file(f, at + 1), 'b');
}

static void test_flash_buffered_program_whole(void **state)
{
	struct fixture *f = *state;

	put(f, 0, 0xe8);
	put(f, 0, FLASH_BUFFER - 1);
	for (unsigned int i = 0; i < FLASH_BUFFER; i++)
		put(f, FLASH_BLOCK - FLASH_BUFFER + i, (uint8_t)i);
	put(f, 0, 0xd0);
	assert_int_equal(get(f, 0), READY);
	for (unsigned int i = 0; i < FLASH_BUFFER; i++)
		assert_int_equal(f->bytes[FLASH_BLOCK - FLASH_BUFFER + i], i);
}

static void test_flash_buffered_program_refuses(void **state)
{
	static const struct {
		uint8_t count;
		uint64_t off[2];
		uint8_t confirm;
	} cases[] = {
		{1, {0, 2}, 0xd0},                         /* beyond the count */
		{1, {5, 4}, 0xd0},                         /* before the first */
		{1, {FLASH_BLOCK, FLASH_BLOCK + 1}, 0xd0}, /* another block than the command's */
		{1, {FLASH_BLOCK - 1, FLASH_BLOCK}, 0xd0}, /* across its end */
		{1, {FLASH_BLOCK - 1, FLASH_BLOCK - 1}, 0xd0}, /* the same, the second untouched */
		{1, {SIZE - 1, 0}, 0xd0},
		{1, {0, 1}, 0xff},                         /* no confirmation */
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		put(f, 0, 0xe8);
		put(f, 0, cases[i].count);
		put(f, cases[i].off[0], 0);
		put(f, cases[i].off[1], 0);
		put(f, 0, cases[i].confirm);
		assert_int_equal(get(f, 0), READY | SEQUENCE_ERROR);
		put(f, 0, 0x50);
	}
	put(f, 0, 0xe8);
	put(f, 0, FLASH_BUFFER); /* one too many */
	assert_int_equal(get(f, 0), READY | SEQUENCE_ERROR);
	put(f, 0, 0xff);
	for (unsigned int i = 0; i < SIZE; i++)
		assert_int_equal(get(f, i), 0xff);
}

/* As the drivers of Linux and U-Boot find out about a chip. */
static void test_flash_answers_cfi(void **state)
{
	static const struct {
		uint8_t off, value;
	} expected[] = {
		{0x10, 'Q'}, {0x11, 'R'}, {0x12, 'Y'}, {0x13, 1}, {0x14, 0}, {0x15, 0x31},
		{0x27, 14}, {0x28, 0}, {0x2a, 5}, {0x2c, 1}, {0x2d, 3}, {0x2e, 0}, {0x2f, 16},
		{0x30, 0}, {0x31, 'P'}, {0x32, 'R'}, {0x33, 'I'}, {0x36, 0}, {0x80, 0}, {0xff, 0},
	};
	struct fixture *f = *state;

	put(f, 0x55, 0x98);
	for (unsigned int i = 0; i < ARRAY_SIZE(expected); i++) {
		assert_int_equal(get(f, expected[i].off), expected[i].value);
		assert_int_equal(get(f, SIZE - 0x100 + expected[i].off), expected[i].value);
	}
	put(f, 0, 0x90);
	assert_int_equal(get(f, 0x10), 0);
	put(f, 0, 0xff);
	assert_int_equal(get(f, 0x10), 0xff);
}

/* A bus of 8 bits: a wide access is as many cycles as it has bytes. */
static void test_flash_takes_wide_accesses(void **state)
{
	struct fixture *f = *state;

	guest_out(f->mmio, FLASH + 8, 2, 0x4110); /* program 0x41 at 9 */
	assert_int_equal(f->bytes[9], 0x41);
	assert_int_equal(f->bytes[8], 0xff);
	assert_int_equal(guest_in(f->mmio, FLASH, 8), 0x8080808080808080);
	guest_out(f->mmio, FLASH + 16, 4, 0xffffd020);
	assert_int_equal(f->bytes[9], 0xff);
	assert_int_equal(fake_mem_windows(f->mem), 1);
}

static void test_flash_reset_forgets_commands(void **state)
{
	struct fixture *f = *state;

	put(f, 0, 0xe8);
	put(f, 0, 4);
	flash_reset(f->flash);
	assert_int_equal(fake_mem_windows(f->mem), 1);
	put(f, 0, 0x70); /* a command, not data */
	assert_int_equal(get(f, 0), READY);
	put(f, 0, 0x20);
	flash_reset(f->flash);
	put(f, 0, 0xd0);
	assert_int_equal(f->bytes[0], 0xff);
}

static void test_flash_survives_without_window(void **state)
{
	struct fixture *f = *state;

	program(f, 4, 0x12);
	fake_mem_fail_windows(f->mem, -ENOMEM);
	put(f, 4, 0xff);
	assert_int_equal(fake_mem_windows(f->mem), 0);
	assert_int_equal(get(f, 4), 0x12);
	fake_mem_fail_windows(f->mem, 0);
	put(f, 4, 0xff);
	assert_int_equal(fake_mem_windows(f->mem), 1);
}

/* What the file does not take has not happened, and the chip says so. */
static void test_flash_says_a_file_that_fails(void **state)
{
	struct fixture *f = *state;
	int fd = dup(f->fd), full = open("/dev/full", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0 && full >= 0);
	program(f, 1, 0x11);
	assert_int_equal(dup3(full, f->fd, O_CLOEXEC), f->fd);
	program(f, 1, 0);
	assert_int_equal(get(f, 1), READY | PROGRAM_ERROR);
	put(f, 0, 0x50);
	erase(f, 0);
	assert_int_equal(get(f, 1), READY | ERASE_ERROR);
	assert_int_equal(f->bytes[1], 0x11);
	assert_int_equal(dup3(fd, f->fd, O_CLOEXEC), f->fd);
	put(f, 0, 0x50);
	program(f, 1, 0);
	assert_int_equal(get(f, 1), READY);
	assert_int_equal(in_file(f, 1), 0);
	close(fd);
	close(full);
}

static void test_flash_keeps_no_file_without_one(void **state)
{
	struct fixture *f = *state;
	int fd = f->fd;

	close_flash(f);
	f->fd = -1;
	open_flash(f);
	program(f, 1, 0x55);
	put(f, 1, 0xff);
	assert_int_equal(get(f, 1), 0x55);
	f->fd = fd;
	assert_int_equal(in_file(f, 1), 0xff);
}

static void test_flash_needs_its_place(void **state)
{
	struct fixture *f = *state;
	struct flash_config config = {.mem = f->mem, .mmio = f->mmio, .gpa = FLASH, .size = SIZE,
				      .bytes = f->bytes, .fd = -1};
	struct flash *flash = NULL;

	assert_int_equal(flash_create(&config, &flash), -EEXIST);
	config.gpa = FLASH - SIZE;
	fake_mem_fail_windows(f->mem, -ENOMEM);
	assert_int_equal(flash_create(&config, &flash), -ENOMEM);
	fake_mem_fail_windows(f->mem, 0);
	assert_null(flash);
}

/*
 * Any writes: after each, what a simple model of the data sheet's says is shown, and the file and
 * the array are the same. The model keeps the words of the sequence that has begun.
 */
struct model {
	uint8_t bytes[SIZE];
	uint8_t status, view;        /* view: the command that chose it */
	struct { uint64_t off; uint8_t value; } cycle[3 + FLASH_BUFFER];
	unsigned int cycles;
};

static void model_program(struct model *model, uint64_t off, uint8_t value)
{
	model->bytes[off] &= value;
	model->status |= READY;
}

static void model_buffer(struct model *model)
{
	unsigned int count = model->cycle[1].value + 1U;
	uint64_t block = model->cycle[0].off / FLASH_BLOCK, start = model->cycle[2].off;
	bool good = model->cycle[2 + count].value == 0xd0 && start / FLASH_BLOCK == block &&
		    (start + count - 1) / FLASH_BLOCK == block;
	uint8_t wanted[FLASH_BUFFER];

	memset(wanted, 0xff, sizeof(wanted));
	for (unsigned int i = 0; i < count; i++) {
		uint64_t off = model->cycle[2 + i].off;

		good = good && off >= start && off < start + count;
		if (good)
			wanted[off - start] = model->cycle[2 + i].value;
	}
	for (unsigned int i = 0; i < count && good; i++)
		model_program(model, start + i, wanted[i]);
	if (!good)
		model->status |= READY | SEQUENCE_ERROR;
}

static void model_second(struct model *model, uint64_t off, uint8_t value)
{
	switch (model->cycle[0].value) {
	case 0x20:
		model->status |= value == 0xd0 ? READY : READY | SEQUENCE_ERROR;
		if (value == 0xd0)
			memset(model->bytes + off / FLASH_BLOCK * FLASH_BLOCK, 0xff, FLASH_BLOCK);
		break;
	case 0xe8:
		if (value < FLASH_BUFFER && model->cycles < value + 4U)
			return; /* not yet all */
		if (value >= FLASH_BUFFER)
			model->status |= READY | SEQUENCE_ERROR;
		break;
	default:
		model_program(model, off, value);
	}
	model->cycles = 0;
}

static void model_first(struct model *model, uint8_t value)
{
	if (value == 0x50)
		model->status = 0;
	else if (value == 0xff || value == 0x90 || value == 0x98)
		model->view = value;
	else
		model->view = 0x70;
	if (value == 0xe8)
		model->status |= READY;
	if (value == 0x10 || value == 0x40 || value == 0x20 || value == 0xe8)
		return;
	model->cycles = 0;
	if (!strchr("\x50\x70\x90\x98\xb0\xd0\xff", value) || !value)
		model->status |= READY | SEQUENCE_ERROR;
}

static void model_write(struct model *model, uint64_t off, uint8_t value)
{
	model->cycle[model->cycles].off = off;
	model->cycle[model->cycles++].value = value;
	if (model->cycles == 1) {
		model_first(model, value);
	} else if (model->cycles == 2) {
		model_second(model, off, value);
	} else if (model->cycles == model->cycle[1].value + 4U) {
		model_buffer(model);
		model->cycles = 0;
	}
}

static void check_against(struct fixture *f, const struct model *model)
{
	uint64_t off = (uint64_t)rand() % SIZE;

	if (model->view == 0xff)
		assert_int_equal(get(f, off), model->bytes[off]);
	else if (model->view == 0x70)
		assert_int_equal(get(f, off), model->status);
	assert_int_equal(fake_mem_windows(f->mem), model->view == 0xff);
}

static void test_flash_does_as_the_model(void **state)
{
	static const uint8_t likely[] = {0x10, 0x40, 0x20, 0xd0, 0xe8, 0x50, 0x70, 0x90, 0x98,
					 0xff, 1, 2, 31, 0};
	static struct model model;
	static uint8_t file[SIZE];
	struct fixture *f = *state;

	memset(model.bytes, 0xff, SIZE);
	model.status = READY;
	model.view = 0xff;
	srand(1);
	for (unsigned int i = 0; i < 300000; i++) {
		uint8_t value = rand() % 4 ? likely[(size_t)rand() % ARRAY_SIZE(likely)]
					   : (uint8_t)rand();
		uint64_t off = rand() % 3 ? (uint64_t)rand() % 8 + FLASH_BLOCK - 4
					  : (uint64_t)rand() % SIZE;

		model_write(&model, off, value);
		put(f, off, value);
		check_against(f, &model);
	}
	assert_memory_equal(f->bytes, model.bytes, SIZE);
	assert_int_equal(pread(f->fd, file, SIZE, 0), SIZE);
	assert_memory_equal(file, model.bytes, SIZE);
}

#define FLASH_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FLASH_TEST(test_flash_array_is_a_window),
		FLASH_TEST(test_flash_is_found_by_edk2),
		FLASH_TEST(test_flash_writes_as_edk2),
		FLASH_TEST(test_flash_programs_zeros_only),
		FLASH_TEST(test_flash_erases_one_block),
		FLASH_TEST(test_flash_says_wrong_sequences),
		FLASH_TEST(test_flash_buffered_program),
		FLASH_TEST(test_flash_buffered_program_whole),
		FLASH_TEST(test_flash_buffered_program_refuses),
		FLASH_TEST(test_flash_answers_cfi),
		FLASH_TEST(test_flash_takes_wide_accesses),
		FLASH_TEST(test_flash_reset_forgets_commands),
		FLASH_TEST(test_flash_survives_without_window),
		FLASH_TEST(test_flash_says_a_file_that_fails),
		FLASH_TEST(test_flash_keeps_no_file_without_one),
		FLASH_TEST(test_flash_needs_its_place),
		FLASH_TEST(test_flash_does_as_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
