/* Guest memory, the DMA engine and the command ring. */
#include "guest-tests/model-gpu/check/client.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct entry {
	uint32_t opcode, value;
	uint64_t src, dst;
	uint32_t len, vector;
};
enum { NOP, COPY, FILL, FENCE };

static uint32_t dma(struct client *client, uint64_t dst, uint64_t src, uint32_t len,
		    uint32_t control_bits)
{
	reg_write(client, 0x040, (uint32_t)src);
	reg_write(client, 0x044, (uint32_t)(src >> 32));
	reg_write(client, 0x048, (uint32_t)dst);
	reg_write(client, 0x04c, (uint32_t)(dst >> 32));
	reg_write(client, 0x050, len);
	reg_write(client, 0x054, control_bits);
	return reg_read(client, 0x058);
}

static void map(void)
{
	static const struct {
		uint64_t fd_offset, iova, size;
		int error;
	} cases[] = {
		{0, 0x100000, 0x10000, -EEXIST},
		{0, 0x10f000, 0x2000, -EEXIST},
		{0, 0xff000, 0x2000, -EEXIST},
		{0, 0x200000, 0, -EINVAL},
		{0, 0x200000, 0x11000, -EINVAL},       /* behind the end of the file */
		{0x10000, 0x200000, 0x1000, -EINVAL},
		{0, 0x200800, 0x1000, -EINVAL},
		{0, UINT64_MAX - 0xfff, 0x2000, -EINVAL},
		{0, 0x200000, UINT64_MAX - 0xfff, -EINVAL},
		{UINT64_MAX - 0xfff, 0x200000, 0x1000, -EINVAL},
		{0xf000, 0x110000, 0x1000, 0},         /* next to it */
	};
	struct client client = client_open(0);
	int fd;

	ram_share(&client, &fd);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_equal(dma_map(&client, fd, cases[i].fd_offset, cases[i].iova,
				     cases[i].size), cases[i].error);
	expect_equal(dma_map(&client, -1, 0, 0x200000, 0x1000), -EINVAL);
	expect_equal(dma_map(&client, make_eventfd(), 0, 0x200000, 0x1000), -EINVAL);
	expect_equal(status(0, "ram"), 0x11000);
	expect_equal(dma_unmap(&client, 0x100000, 0x1000), -ENOENT);
	expect_equal(dma_unmap(&client, 0x100000, 0x10000), 0);
	expect_equal(dma_unmap(&client, 0x100000, 0x10000), -ENOENT);
	expect_equal(status(0, "ram"), 0x1000);
}

static void many_maps(void)
{
	struct client client = client_open(0);
	int fd;

	ram_share(&client, &fd);
	for (uint64_t i = 1; i < 256; i++)
		expect_equal(dma_map(&client, fd, 0, RAM_IOVA + i * RAM_SIZE, RAM_SIZE), 0);
	expect_equal(dma_map(&client, fd, 0, 0, 0x1000), -ENOSPC);
}

static void copies(void)
{
	struct client client = client_open(0);
	int fd, vector = make_eventfd();
	uint8_t *ram = ram_share(&client, &fd), back[16];

	memset(ram, 0x11, RAM_SIZE);
	memcpy(ram + 0x100, "from here to VRAM", 16);
	expect_equal(dma(&client, VRAM_BIT | 0x2000, RAM_IOVA + 0x100, 16, 1), 1);
	expect_equal(region_read(&client, 2, 0x2000, back, 16), 0);
	expect(!memcmp(back, ram + 0x100, 16));
	/* And back, with vector 1. */
	expect_equal(irqs_set(&client, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_IRQ_SET_DATA_EVENTFD |
			      VFIO_IRQ_SET_ACTION_TRIGGER, 1, 1, &vector, 1), 0);
	expect_equal(dma(&client, RAM_IOVA + 0x8001, VRAM_BIT | 0x2000, 16, 3), 1);
	expect(!memcmp(ram + 0x8001, ram + 0x100, 16));
	expect_equal(ram[0x8000], 0x11);
	expect_equal(ram[0x8011], 0x11);
	expect_equal(drained(vector), 1);
	/* Without the start bit nothing moves. */
	memset(ram, 0, 16);
	dma(&client, RAM_IOVA, RAM_IOVA + 0x8001, 16, 2);
	expect_equal(ram[0], 0);
}

static void across_maps(void)
{
	struct client client = client_open(0);
	int fd;
	uint8_t *ram = ram_share(&client, &fd);

	/* The first page of the file once more, behind its last one. */
	expect_equal(dma_map(&client, fd, 0, RAM_IOVA + RAM_SIZE, 0x1000), 0);
	memcpy(ram + 0x4000, "0123456789abcdef", 16);
	expect_equal(dma(&client, RAM_IOVA + RAM_SIZE - 8, RAM_IOVA + 0x4000, 16, 1), 1);
	expect(!memcmp(ram + RAM_SIZE - 8, "01234567", 8));
	expect(!memcmp(ram, "89abcdef", 8));
}

static void not_memory(void)
{
	static const struct {
		uint64_t dst, src;
		uint32_t len;
	} cases[] = {
		{RAM_IOVA, 0, 4},
		{0, RAM_IOVA, 4},
		{RAM_IOVA + RAM_SIZE - 4, RAM_IOVA, 8},
		{RAM_IOVA, RAM_IOVA - 1, 2},
		{RAM_IOVA, UINT64_MAX, 4},
		{VRAM_BIT | ((256 << 20) - 4), RAM_IOVA, 8},
		{RAM_IOVA, VRAM_BIT | 1ULL << 40, 8},
		{RAM_IOVA, RAM_IOVA, UINT32_MAX},
		{RAM_IOVA + 1, UINT64_MAX - 1, UINT32_MAX},
	};
	struct client client = client_open(0);
	int fd;
	uint8_t *ram = ram_share(&client, &fd);

	memset(ram, 0x22, RAM_SIZE);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_equal(dma(&client, cases[i].dst, cases[i].src, cases[i].len, 1), 2);
	for (size_t i = 0; i < RAM_SIZE; i++)
		expect_equal(ram[i], 0x22);
	/* Without Bus Master nothing of the guest's is memory. */
	config_write(&client, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	expect_equal(dma(&client, RAM_IOVA, RAM_IOVA + 16, 16, 1), 2);
}

static void read_only(void)
{
	struct client client = client_open(0);
	struct user_dma_map request = {sizeof(request), USER_DMA_READ, 0, 0x40000000, 0x1000};
	int fd;

	ram_share(&client, &fd);
	client_send(&client, USER_DMA_MAP, &request, sizeof(request), &fd, 1);
	expect_equal(client_receive(&client, USER_DMA_MAP, NULL, 0), 0);
	expect_equal(dma(&client, RAM_IOVA, 0x40000000, 16, 1), 1);
	expect_equal(dma(&client, 0x40000000, RAM_IOVA, 16, 1), 2);
}

/* The client takes memory away that it has shared. */
static void truncated(void)
{
	struct client client = client_open(0);
	int fd;

	ram_share(&client, &fd);
	expect(!ftruncate(fd, 0));
	for (unsigned int i = 0; i < 3; i++)
		expect_equal(dma(&client, RAM_IOVA, RAM_IOVA + 0x1000, 16, 1), 2);
	expect(!ftruncate(fd, RAM_SIZE));
	expect_equal(dma(&client, RAM_IOVA, RAM_IOVA + 0x1000, 16, 1), 1);
}

static void ring_start(struct client *client, uint64_t base, uint32_t size)
{
	reg_write(client, 0x080, (uint32_t)base);
	reg_write(client, 0x084, (uint32_t)(base >> 32));
	reg_write(client, 0x088, size);
}

static void ring(void)
{
	struct client client = client_open(0);
	int fd, vector = make_eventfd();
	uint8_t *ram = ram_share(&client, &fd);
	const struct entry entries[] = {
		{.opcode = NOP},
		{.opcode = FILL, .value = 0xaabbccdd, .dst = RAM_IOVA + 0x2000, .len = 0x1006},
		{.opcode = COPY, .src = RAM_IOVA + 0x2000, .dst = VRAM_BIT, .len = 64},
		{.opcode = FENCE, .value = 0x600d, .dst = RAM_IOVA + 0x4000, .vector = 3},
	};

	expect_equal(irqs_set(&client, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_IRQ_SET_DATA_EVENTFD |
			      VFIO_IRQ_SET_ACTION_TRIGGER, 3, 1, &vector, 1), 0);
	ring_start(&client, RAM_IOVA, 4);
	memcpy(ram, entries, sizeof(entries));
	reg_write(&client, 0x090, 3);
	expect_equal(reg_read(&client, 0x08c), 3);
	expect(!memcmp(ram + 0x2000, "\xdd\xcc\xbb\xaa\xdd\xcc\xbb\xaa", 8));
	expect(!memcmp(ram + 0x3004, "\xdd\xcc\0\0", 4));
	expect_equal(drained(vector), 0);
	/* It wraps. */
	reg_write(&client, 0x090, 1);
	expect_equal(reg_read(&client, 0x08c), 1);
	expect_equal(*(uint32_t *)(void *)(ram + 0x4000), 0x600d);
	expect_equal(drained(vector), 1);
	expect_equal(reg_read(&client, 0x024), 1 << 3);
	expect_equal(reg_read(&client, 0x094), 0);
}

static void ring_errors(void)
{
	static const struct entry bad[] = {
		{.opcode = 4},
		{.opcode = COPY, .src = RAM_IOVA, .dst = 0, .len = 4},
		{.opcode = FILL, .dst = RAM_IOVA + RAM_SIZE - 4, .len = 8},
		{.opcode = FENCE, .dst = RAM_IOVA + 0x1000, .vector = 8},
	};
	static const uint32_t wanted[] = {2, 3, 3, 4};
	static const uint32_t sizes[] = {0, 3, 512, UINT32_MAX};
	struct client client = client_open(0);
	int fd;
	uint8_t *ram = ram_share(&client, &fd);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ring_start(&client, RAM_IOVA, 8);
		memset(ram, 0, 256);
		memcpy(ram + 32, &bad[i], sizeof(bad[i]));
		reg_write(&client, 0x090, 3);
		expect_equal(reg_read(&client, 0x094), wanted[i]);
		expect_equal(reg_read(&client, 0x08c), 1); /* it stopped there, */
		reg_write(&client, 0x090, 5);
		expect_equal(reg_read(&client, 0x08c), 1); /* and stays */
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		ring_start(&client, RAM_IOVA, sizes[i]);
		reg_write(&client, 0x090, 1);
		expect_equal(reg_read(&client, 0x094), 1);
	}
	ring_start(&client, 0, 8); /* not in RAM */
	reg_write(&client, 0x090, 1);
	expect_equal(reg_read(&client, 0x094), 1);
	ring_start(&client, RAM_IOVA, 8);
	reg_write(&client, 0x090, 8); /* the tail is no index */
	expect_equal(reg_read(&client, 0x094), 1);
}

/* The audio function has the engine, but no VRAM. */
static void no_vram(void)
{
	struct client client = client_open(1);
	int fd;

	ram_share(&client, &fd);
	expect_equal(dma(&client, RAM_IOVA, RAM_IOVA + 64, 64, 1), 1);
	expect_equal(dma(&client, VRAM_BIT, RAM_IOVA, 64, 1), 2);
}

const struct test dma_tests[] = {
	{"dma-map", map, {0}},
	{"dma-many-maps", many_maps, {0}},
	{"dma-copies", copies, {0}},
	{"dma-across-maps", across_maps, {0}},
	{"dma-not-memory", not_memory, {0}},
	{"dma-read-only", read_only, {0}},
	{"dma-truncated", truncated, {0}},
	{"ring", ring, {0}},
	{"ring-errors", ring_errors, {0}},
	{"dma-no-vram", no_vram, {"--functions", "gpu,audio"}},
	{0},
};
