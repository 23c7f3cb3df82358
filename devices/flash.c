#include "devices/flash.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/base/log.h"
#include "vmm/base/range.h"
#include "vmm/bus.h"
#include "vmm/mem.h"

/* Intel 28F128J3A, Command Definitions: first bus cycle */
#define COMMAND_PROGRAM 0x40
#define COMMAND_PROGRAM_ALTERNATE 0x10
#define COMMAND_ERASE 0x20
#define COMMAND_CLEAR_STATUS 0x50
#define COMMAND_READ_STATUS 0x70
#define COMMAND_READ_ID 0x90
#define COMMAND_READ_CFI 0x98
#define COMMAND_SUSPEND 0xb0
#define COMMAND_CONFIRM 0xd0 /* also resumes what was suspended */
#define COMMAND_BUFFERED_PROGRAM 0xe8
#define COMMAND_READ_ARRAY 0xff

/* Intel 28F128J3A, Status Register Definitions */
#define STATUS_READY 0x80U
#define STATUS_ERASE_ERROR 0x20U
#define STATUS_PROGRAM_ERROR 0x10U
#define STATUS_SEQUENCE_ERROR (STATUS_ERASE_ERROR | STATUS_PROGRAM_ERROR)

#define ERASED 0xff
#define QUERY_SIZE 0x100U /* of identity and CFI tables; higher address bits choose a block */

/* What a read is answered with. */
enum flash_view { VIEW_ARRAY, VIEW_STATUS, VIEW_ID, VIEW_CFI };

/* What the next write is. */
enum flash_expect {
	EXPECT_COMMAND,
	EXPECT_DATA,           /* of a program */
	EXPECT_ERASE_CONFIRM,
	EXPECT_COUNT,          /* of a buffered program: bytes less one */
	EXPECT_BUFFER,
	EXPECT_BUFFER_CONFIRM,
	EXPECTS
};

/* The buffered program that is being prepared. */
struct program_buffer {
	uint64_t block;        /* where the command was given: all of it is in this block */
	struct range range;    /* begins where the first byte was written */
	unsigned int left;     /* bytes that are still to come */
	bool refused;          /* a byte was outside */
	uint8_t bytes[FLASH_BUFFER];
};

struct flash {
	struct flash_config config;

	/* Protects the rest. Held over writes to the file and over fdatasync(): other CPUs that
	 * want the chip meanwhile find it busy, so to speak. */
	pthread_mutex_t lock;
	int window;            /* handle of the window onto the array; negative: away */
	enum flash_view view;
	enum flash_expect expect;
	uint8_t status;
	struct program_buffer buffer;
	bool unsynced;         /* the file has what the disk may not have */
};

/* --- the array and its file --- */

/* The file first: what it has not taken has not happened. */
static int store(struct flash *flash, uint64_t off, const uint8_t *bytes, size_t len)
{
	size_t done = 0;

	while (flash->config.fd >= 0 && done < len) {
		ssize_t n = pwrite(flash->config.fd, bytes + done, len - done,
				   (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int error = n ? -errno : -EIO;

			log_guest("firmware variables: the file cannot be written at 0x%llx: %s, "
				  "failing the guest's write", (unsigned long long)(off + done),
				  strerror(-error));
			return error;
		}
		done += (size_t)n;
		flash->unsynced = true;
	}
	memcpy(flash->config.bytes + off, bytes, len);
	return 0;
}

static void sync_file(struct flash *flash)
{
	if (flash->unsynced && fdatasync(flash->config.fd))
		log_guest("firmware variables: the file cannot be brought to the disk: %s, "
			  "going on", strerror(errno));
	flash->unsynced = false;
}

/* Without a window, which only the kernel's lack of memory can cause, reads of the array trap. */
static void show(struct flash *flash, enum flash_view view)
{
	if (view == VIEW_ARRAY)
		sync_file(flash);
	if (view == VIEW_ARRAY && flash->window < 0) {
		flash->window = mem_window_map(flash->config.mem, flash->config.gpa,
					       flash->config.size, flash->config.bytes, true);
	} else if (view != VIEW_ARRAY && flash->window >= 0) {
		mem_window_unmap(flash->config.mem, flash->window);
		flash->window = -1;
	}
	flash->view = view;
}

/* --- commands --- */

static void finish(struct flash *flash, uint8_t errors)
{
	flash->status |= STATUS_READY | errors;
	flash->expect = EXPECT_COMMAND;
}

/* Zeros stay zeros: only an erase makes ones. Intel 28F128J3A, 4.9 Byte/Word Program Commands: a
 * one where there is a zero is no error, what is verified is that the zeros came about. */
static void program(struct flash *flash, uint64_t off, const uint8_t *bytes, size_t len)
{
	uint8_t result[FLASH_BUFFER];

	for (size_t i = 0; i < len; i++)
		result[i] = bytes[i] & flash->config.bytes[off + i];
	finish(flash, store(flash, off, result, len) ? STATUS_PROGRAM_ERROR : 0);
}

static void on_command(struct flash *flash, uint64_t off, uint8_t value)
{
	static const struct {
		uint8_t command;
		enum flash_view view;
		enum flash_expect expect;
	} commands[] = {
		{COMMAND_READ_ARRAY, VIEW_ARRAY, EXPECT_COMMAND},
		{COMMAND_READ_STATUS, VIEW_STATUS, EXPECT_COMMAND},
		{COMMAND_READ_ID, VIEW_ID, EXPECT_COMMAND},
		{COMMAND_READ_CFI, VIEW_CFI, EXPECT_COMMAND},
		{COMMAND_PROGRAM, VIEW_STATUS, EXPECT_DATA},
		{COMMAND_PROGRAM_ALTERNATE, VIEW_STATUS, EXPECT_DATA},
		{COMMAND_ERASE, VIEW_STATUS, EXPECT_ERASE_CONFIRM},
		{COMMAND_BUFFERED_PROGRAM, VIEW_STATUS, EXPECT_COUNT},
		/* Nothing is under way that could be suspended or resumed. */
		{COMMAND_SUSPEND, VIEW_STATUS, EXPECT_COMMAND},
		{COMMAND_CONFIRM, VIEW_STATUS, EXPECT_COMMAND},
	};

	/* Deviation: a real chip leaves SR.7 set. The firmware takes the chip for one only if its
	 * status is then 0 (edk2, OvmfPkg/QemuFlashFvbServicesRuntimeDxe/QemuFlash.c:
	 * QemuFlashDetected()). The next operation sets it. What is shown stays. */
	if (value == COMMAND_CLEAR_STATUS) {
		flash->status = 0;
		return;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(commands); i++) {
		if (commands[i].command != value)
			continue;
		flash->expect = commands[i].expect;
		flash->buffer = (struct program_buffer){.block = align_down(off, FLASH_BLOCK)};
		if (flash->expect == EXPECT_COUNT) /* the buffer is free */
			flash->status |= STATUS_READY;
		show(flash, commands[i].view);
		return;
	}
	finish(flash, STATUS_SEQUENCE_ERROR);
	show(flash, VIEW_STATUS);
}

static void on_data(struct flash *flash, uint64_t off, uint8_t value)
{
	program(flash, off, &value, 1);
}

static void on_erase_confirm(struct flash *flash, uint64_t off, uint8_t value)
{
	uint8_t block[FLASH_BLOCK];

	if (value != COMMAND_CONFIRM) {
		finish(flash, STATUS_SEQUENCE_ERROR);
		return;
	}
	memset(block, ERASED, sizeof(block));
	finish(flash, store(flash, align_down(off, FLASH_BLOCK), block, sizeof(block))
			      ? STATUS_ERASE_ERROR : 0);
}

static void on_count(struct flash *flash, uint64_t off, uint8_t value)
{
	(void)off;
	if (value >= FLASH_BUFFER) {
		finish(flash, STATUS_SEQUENCE_ERROR);
		return;
	}
	flash->buffer.left = value + 1U;
	flash->buffer.range.size = flash->buffer.left;
	memset(flash->buffer.bytes, ERASED, sizeof(flash->buffer.bytes));
	flash->expect = EXPECT_BUFFER;
}

/* Intel 28F128J3A, 4.8 Write to Buffer Command: the first byte's address is where they begin; the
 * others lie within that and the count. */
static void on_buffer(struct flash *flash, uint64_t off, uint8_t value)
{
	struct program_buffer *buffer = &flash->buffer;

	if (buffer->left == buffer->range.size)
		buffer->range.start = off;
	if (align_down(off, FLASH_BLOCK) == buffer->block &&
	    range_contains(buffer->range, off, 1))
		buffer->bytes[off - buffer->range.start] = value;
	else
		buffer->refused = true;
	if (!--buffer->left)
		flash->expect = EXPECT_BUFFER_CONFIRM;
}

/* The last byte of the range may lie beyond the block without ever having been written. */
static void on_buffer_confirm(struct flash *flash, uint64_t off, uint8_t value)
{
	const struct program_buffer *buffer = &flash->buffer;
	struct range block = {buffer->block, FLASH_BLOCK};

	(void)off;
	if (value != COMMAND_CONFIRM || buffer->refused ||
	    !range_contains(block, buffer->range.start, buffer->range.size))
		finish(flash, STATUS_SEQUENCE_ERROR);
	else
		program(flash, buffer->range.start, buffer->bytes, buffer->range.size);
}

static void write_byte(struct flash *flash, uint64_t off, uint8_t value)
{
	static void (*const writes[EXPECTS])(struct flash *, uint64_t, uint8_t) = {
		[EXPECT_COMMAND] = on_command,
		[EXPECT_DATA] = on_data,
		[EXPECT_ERASE_CONFIRM] = on_erase_confirm,
		[EXPECT_COUNT] = on_count,
		[EXPECT_BUFFER] = on_buffer,
		[EXPECT_BUFFER_CONFIRM] = on_buffer_confirm,
	};

	writes[flash->expect](flash, off, value);
}

/* --- reads --- */

/*
 * JEDEC JESD68.01, Common Flash Interface: Query Structure, with the Intel/Sharp extended command
 * set. A size is a power of two there: the number of blocks is the exact one. Times are the
 * shortest that can be said.
 */
static uint8_t cfi(const struct flash *flash, unsigned int off)
{
	uint64_t last_block = flash->config.size / FLASH_BLOCK - 1;
	unsigned int size_log2 = 64 - (unsigned int)__builtin_clzll(flash->config.size - 1);
	const uint8_t table[] = {
		[0x10] = 'Q', 'R', 'Y',
		[0x13] = 0x01,         /* primary command set: Intel/Sharp extended */
		[0x15] = 0x31,         /* where its own table is */
		[0x1b] = 0x27, 0x36,   /* 2.7 V to 3.6 V */
		[0x1f] = 1, 1, 1, 0,   /* log2 of typical us: a byte, a buffer; of ms: an erase */
		[0x23] = 1, 1, 1, 0,   /* and of how many times that at most */
		[0x27] = (uint8_t)size_log2,
		[0x28] = 0x00, 0x00,   /* 8 bits wide */
		[0x2a] = 5,            /* log2 of FLASH_BUFFER */
		[0x2c] = 1,            /* regions with blocks of one size */
		[0x2d] = (uint8_t)last_block, (uint8_t)(last_block >> 8),
		[0x2f] = FLASH_BLOCK / 256, 0,
		[0x31] = 'P', 'R', 'I', '1', '1',
		[0x3d] = 0x33,         /* 3.3 V; none of the optional features before it */
	};

	_Static_assert(1U << 5 == FLASH_BUFFER, "CFI tells the size of the buffer");
	return off < sizeof(table) ? table[off] : 0;
}

/* No maker and no type (both 0): no chip that could be bought has these blocks. */
static uint8_t read_byte(const struct flash *flash, uint64_t off)
{
	switch (flash->view) {
	case VIEW_STATUS:
		return flash->status;
	case VIEW_ID:
		return 0;
	case VIEW_CFI:
		return cfi(flash, (unsigned int)(off % QUERY_SIZE));
	default:
		return flash->config.bytes[off];
	}
}

static void on_access(void *opaque, struct bus_access *access)
{
	struct flash *flash = opaque;

	pthread_mutex_lock(&flash->lock);
	if (access->is_write)
		write_byte(flash, access->off, (uint8_t)access->value);
	else
		access->value = read_byte(flash, access->off);
	pthread_mutex_unlock(&flash->lock);
}

/* --- life --- */

/* The bus splits wider accesses: a chip of 8 bits takes a byte in a cycle. */
static const struct bus_ops ops = {.sizes = 1, .access = on_access};

int flash_create(const struct flash_config *config, struct flash **ret_flash)
{
	struct flash *flash = calloc(1, sizeof(*flash));
	int error;

	if (!flash)
		return -ENOMEM;
	flash->config = *config;
	flash->status = STATUS_READY;
	pthread_mutex_init(&flash->lock, NULL);
	flash->window = mem_window_map(config->mem, config->gpa, config->size, config->bytes, true);
	error = flash->window < 0 ? flash->window : 0;
	if (!error)
		error = bus_add(config->mmio, (struct range){config->gpa, config->size}, &ops,
				flash);
	if (error)
		flash_destroy(flash);
	else
		*ret_flash = flash;
	return error;
}

void flash_reset(struct flash *flash)
{
	pthread_mutex_lock(&flash->lock);
	flash->expect = EXPECT_COMMAND;
	flash->status = STATUS_READY;
	show(flash, VIEW_ARRAY);
	pthread_mutex_unlock(&flash->lock);
}

void flash_destroy(struct flash *flash)
{
	if (!flash)
		return;
	sync_file(flash);
	if (flash->window >= 0)
		mem_window_unmap(flash->config.mem, flash->window);
	pthread_mutex_destroy(&flash->lock);
	free(flash);
}
