/*
 * fw_cfg as firmware reads it: by port and by DMA, the directory, what is beyond the end, requests
 * that cannot be met, content that is made when it is asked for.
 */
#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "devices/fw_cfg.h"
#include "tests/devices/guest_io.h"
#include "tests/fake_mem.h"
#include "vmm/base/bits.h"
#include "vmm/layout.h"
#include "vmm/mem.h"

#define RAM (64 * MIB)
#define REQUEST 0x1000U /* guest addresses */
#define BUFFER 0x2000U

static const uint8_t hello[] = "hello, firmware";

struct fixture {
	struct bus *port;
	struct mem *mem;
	struct fw_cfg *fw_cfg;
	unsigned int refreshed;
};

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){.port = bus_create("port"), .mem = fake_mem_create(RAM)};
	f.fw_cfg = fw_cfg_create(f.port, f.mem);
	assert_non_null(f.fw_cfg);
	assert_int_equal(fw_cfg_add_file(f.fw_cfg, "opt/hello", hello, sizeof(hello)), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fw_cfg_destroy(f->fw_cfg);
	fake_mem_destroy(f->mem);
	bus_destroy(f->port);
	return 0;
}

static void select_key(struct fixture *f, uint16_t key)
{
	guest_out(f->port, PORT_FW_CFG, 2, key);
}

static void read_port(struct fixture *f, void *buffer, size_t len)
{
	uint8_t *bytes = buffer;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)guest_in(f->port, PORT_FW_CFG + 1, 1);
}

/* Returns the control word that is left. */
static uint32_t dma(struct fixture *f, uint32_t control, uint32_t len, uint64_t gpa)
{
	struct fw_cfg_dma_access *request = mem_hva(f->mem, REQUEST, sizeof(*request));

	*request = (struct fw_cfg_dma_access){
		.control = htobe32(control), .length = htobe32(len), .address = htobe64(gpa)};
	guest_out(f->port, PORT_FW_CFG_DMA + 4, 4, htobe32(REQUEST));
	return be32toh(request->control);
}

static uint16_t find_file(struct fixture *f, const char *name, uint32_t *ret_size)
{
	struct fw_cfg_file file;
	uint32_t count;

	select_key(f, FW_CFG_FILE_DIR);
	read_port(f, &count, sizeof(count));
	for (uint32_t i = 0; i < be32toh(count); i++) {
		read_port(f, &file, sizeof(file));
		if (strcmp(file.name, name))
			continue;
		*ret_size = be32toh(file.size);
		return be16toh(file.select);
	}
	return 0;
}

static void test_fw_cfg_is_recognised(void **state)
{
	struct fixture *f = *state;
	char signature[4];
	uint32_t id;

	select_key(f, FW_CFG_SIGNATURE);
	read_port(f, signature, sizeof(signature));
	assert_memory_equal(signature, "QEMU", 4);
	select_key(f, FW_CFG_ID);
	read_port(f, &id, sizeof(id));
	assert_int_equal(le32toh(id), FW_CFG_VERSION | FW_CFG_VERSION_DMA);
	assert_int_equal(guest_in(f->port, PORT_FW_CFG_DMA, 8), htobe64(FW_CFG_DMA_SIGNATURE));
}

static void test_fw_cfg_files_are_found_and_read(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[sizeof(hello) + 4];
	uint32_t size = 0;
	uint16_t key = find_file(f, "opt/hello", &size);

	assert_int_equal(key, FW_CFG_FILE_FIRST);
	assert_int_equal(size, sizeof(hello));
	assert_int_equal(find_file(f, "opt/none", &size), 0);
	select_key(f, key);
	read_port(f, bytes, sizeof(bytes));
	assert_memory_equal(bytes, hello, sizeof(hello));
	/* Beyond the end there are zeros, and another selection begins anew. */
	assert_int_equal(le32toh(*(uint32_t *)(void *)(bytes + sizeof(hello))), 0);
	select_key(f, key | FW_CFG_WRITE_CHANNEL);
	guest_out(f->port, PORT_FW_CFG + 1, 1, 'x');
	read_port(f, bytes, 1);
	assert_int_equal(bytes[0], 'h');
}

static void test_fw_cfg_unknown_items_are_zeros(void **state)
{
	struct fixture *f = *state;
	uint8_t byte;

	for (uint32_t key = 2; key < 0x10000; key += 0x101) {
		select_key(f, (uint16_t)key);
		read_port(f, &byte, 1);
		if ((key & ~0x4000U) != FW_CFG_FILE_FIRST)
			assert_int_equal(byte, 0);
	}
}

static void test_fw_cfg_dma_reads_and_skips(void **state)
{
	struct fixture *f = *state;
	uint8_t *buffer = mem_hva(f->mem, BUFFER, 32);
	const uint32_t select = FW_CFG_FILE_FIRST << 16 | FW_CFG_DMA_CTL_SELECT;

	memset(buffer, 0xee, 32);
	assert_int_equal(dma(f, select | FW_CFG_DMA_CTL_READ, 20, BUFFER), 0);
	assert_memory_equal(buffer, hello, sizeof(hello));
	for (unsigned int i = sizeof(hello); i < 20; i++)
		assert_int_equal(buffer[i], 0);
	assert_int_equal(buffer[20], 0xee);
	assert_int_equal(dma(f, select | FW_CFG_DMA_CTL_SKIP, 7, 0), 0);
	assert_int_equal(dma(f, FW_CFG_DMA_CTL_READ, 4, BUFFER), 0);
	assert_memory_equal(buffer, "firm", 4);
	/* To skip is not to come round. */
	assert_int_equal(dma(f, FW_CFG_DMA_CTL_SKIP, UINT32_MAX, 0), 0);
	assert_int_equal(dma(f, FW_CFG_DMA_CTL_SKIP, UINT32_MAX, 0), 0);
	assert_int_equal(dma(f, FW_CFG_DMA_CTL_READ, 1, BUFFER), 0);
	assert_int_equal(buffer[0], 0);
}

static void test_fw_cfg_dma_answers_what_cannot_be(void **state)
{
	static const struct {
		uint32_t control, len;
		uint64_t gpa;
	} cases[] = {
		{FW_CFG_DMA_CTL_READ, 1, RAM},
		{FW_CFG_DMA_CTL_READ, 2, RAM - 1},
		{FW_CFG_DMA_CTL_READ, 16, UINT64_MAX - 7},
		{FW_CFG_DMA_CTL_READ, 0xffffffff, 0},
		{FW_CFG_DMA_CTL_READ, 17 * MIB, 0},
		{FW_CFG_DMA_CTL_WRITE, 1, BUFFER},
	};
	struct fixture *f = *state;
	uint8_t *last = mem_hva(f->mem, RAM - 1, 1);

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(dma(f, FW_CFG_FILE_FIRST << 16 | FW_CFG_DMA_CTL_SELECT |
					cases[i].control, cases[i].len, cases[i].gpa),
				 FW_CFG_DMA_CTL_ERROR);
	assert_int_equal(*last, 0);
	assert_int_equal(dma(f, FW_CFG_DMA_CTL_READ, 0, RAM), 0);
	/* A request that is nowhere is dropped; the address is used once. */
	guest_out(f->port, PORT_FW_CFG_DMA, 4, htobe32(1));
	guest_out(f->port, PORT_FW_CFG_DMA + 4, 4, htobe32(REQUEST));
	assert_int_equal(dma(f, FW_CFG_DMA_CTL_READ, 1, BUFFER), 0);
}

static void refresh(void *opaque)
{
	struct fixture *f = opaque;
	char text[sizeof(hello)];

	snprintf(text, sizeof(text), "refreshed %05u", ++f->refreshed);
	fw_cfg_replace(f->fw_cfg, "opt/hello", text, sizeof(text));
}

static void test_fw_cfg_content_is_made_when_it_is_selected(void **state)
{
	struct fixture *f = *state;
	char bytes[sizeof(hello)];

	fw_cfg_watch(f->fw_cfg, "opt/hello", refresh, f);
	select_key(f, FW_CFG_ID);
	assert_int_equal(f->refreshed, 0);
	select_key(f, FW_CFG_FILE_FIRST);
	read_port(f, bytes, sizeof(bytes));
	assert_string_equal(bytes, "refreshed 00001");
	assert_int_equal(dma(f, FW_CFG_FILE_FIRST << 16 | FW_CFG_DMA_CTL_SELECT |
				FW_CFG_DMA_CTL_READ, sizeof(bytes), BUFFER), 0);
	assert_string_equal(mem_hva(f->mem, BUFFER, sizeof(bytes)), "refreshed 00002");
}

static void test_fw_cfg_reset_forgets_what_was_selected(void **state)
{
	struct fixture *f = *state;
	uint8_t byte;

	select_key(f, FW_CFG_FILE_FIRST);
	fw_cfg_reset(f->fw_cfg);
	read_port(f, &byte, 1);
	assert_int_equal(byte, 0);
}

static void test_fw_cfg_says_when_there_are_too_many(void **state)
{
	struct fixture *f = *state;
	char name[FW_CFG_MAX_FILE_PATH];
	int error = 0;

	for (unsigned int i = 0; i < 100 && !error; i++) {
		snprintf(name, sizeof(name), "opt/%u", i);
		error = fw_cfg_add_file(f->fw_cfg, name, name, 1);
	}
	assert_int_equal(error, -ENOSPC);
	assert_null(fw_cfg_create(f->port, f->mem));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_fw_cfg_is_recognised),
		TEST(test_fw_cfg_files_are_found_and_read),
		TEST(test_fw_cfg_unknown_items_are_zeros),
		TEST(test_fw_cfg_dma_reads_and_skips),
		TEST(test_fw_cfg_dma_answers_what_cannot_be),
		TEST(test_fw_cfg_content_is_made_when_it_is_selected),
		TEST(test_fw_cfg_reset_forgets_what_was_selected),
		TEST(test_fw_cfg_says_when_there_are_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
