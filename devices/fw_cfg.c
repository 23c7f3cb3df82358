/*
 * QEMU 7.2, docs/specs/fw_cfg.rst. The guest names addresses and lengths of transfers: the request
 * is copied once, what it names must be RAM as a whole, and a transfer ends with the item.
 *
 * Deviation: a read beyond the end of an item fills with zeros, here no more than TRANSFER_MAX of
 * them; a request for more is answered with the error bit.
 */
#include "devices/fw_cfg.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/base/log.h"
#include "vmm/bus.h"
#include "vmm/layout.h"
#include "vmm/mem.h"

#define ITEMS_MAX 32U
#define TRANSFER_MAX (16 * MIB)
#define DMA_LOW 4 /* offset of the lower half of the address: a write begins the transfer */
#define DMA_KEY_SHIFT 16

struct item {
	uint16_t key;
	uint8_t *data;
	size_t size;
	void (*refresh)(void *opaque);
	void *opaque;
};

struct fw_cfg {
	struct mem *mem;
	/* Set up before a CPU runs; contents change under the lock. */
	unsigned int items, files;
	struct item item[ITEMS_MAX];
	struct {
		uint32_t count; /* big-endian */
		struct fw_cfg_file file[ITEMS_MAX];
	} directory;

	pthread_mutex_t lock;  /* protects the rest, and what items hold */
	struct item *selected; /* NULL: none of ours */
	size_t off;            /* of the next byte; may be beyond the end */
	uint32_t dma_high;
};

/* --- items --- */

static struct item *find(struct fw_cfg *fw_cfg, uint16_t key)
{
	for (unsigned int i = 0; i < fw_cfg->items; i++)
		if (fw_cfg->item[i].key == key)
			return &fw_cfg->item[i];
	return NULL;
}

static struct item *find_file(struct fw_cfg *fw_cfg, const char *name)
{
	for (unsigned int i = 0; i < fw_cfg->files; i++)
		if (!strcmp(fw_cfg->directory.file[i].name, name))
			return find(fw_cfg, (uint16_t)(FW_CFG_FILE_FIRST + i));
	return NULL;
}

int fw_cfg_add_item(struct fw_cfg *fw_cfg, uint16_t key, const void *data, size_t size)
{
	struct item *item = &fw_cfg->item[fw_cfg->items];

	assert(!find(fw_cfg, key));
	if (fw_cfg->items == ITEMS_MAX || size > UINT32_MAX)
		return -ENOSPC;
	*item = (struct item){.key = key, .data = malloc(size + 1), .size = size};
	if (!item->data)
		return -ENOMEM;
	memcpy(item->data, data, size);
	fw_cfg->items++;
	return 0;
}

static void update_directory(struct fw_cfg *fw_cfg)
{
	struct item *item = find(fw_cfg, FW_CFG_FILE_DIR);

	fw_cfg->directory.count = htobe32(fw_cfg->files);
	memcpy(item->data, &fw_cfg->directory, item->size);
}

int fw_cfg_add_file(struct fw_cfg *fw_cfg, const char *name, const void *data, size_t size)
{
	uint16_t key = (uint16_t)(FW_CFG_FILE_FIRST + fw_cfg->files);
	struct fw_cfg_file *file;
	int error;

	assert(strlen(name) < FW_CFG_MAX_FILE_PATH);
	assert(!find_file(fw_cfg, name));
	error = fw_cfg_add_item(fw_cfg, key, data, size);
	if (error)
		return error;
	file = &fw_cfg->directory.file[fw_cfg->files++];
	*file = (struct fw_cfg_file){.size = htobe32((uint32_t)size), .select = htobe16(key)};
	strcpy(file->name, name);
	update_directory(fw_cfg);
	return 0;
}

void fw_cfg_watch(struct fw_cfg *fw_cfg, const char *name, void (*refresh)(void *opaque),
		  void *opaque)
{
	struct item *item = find_file(fw_cfg, name);

	assert(item);
	item->refresh = refresh;
	item->opaque = opaque;
}

void fw_cfg_replace(struct fw_cfg *fw_cfg, const char *name, const void *data, size_t size)
{
	struct item *item = find_file(fw_cfg, name);

	assert(item && item->size == size);
	memcpy(item->data, data, size);
}

/* --- what the guest does --- */

/* Whether it means to write (FW_CFG_WRITE_CHANNEL) makes no difference. */
static void select_locked(struct fw_cfg *fw_cfg, uint16_t key)
{
	fw_cfg->selected = find(fw_cfg, key & (uint16_t)~FW_CFG_WRITE_CHANNEL);
	fw_cfg->off = 0;
	if (fw_cfg->selected && fw_cfg->selected->refresh)
		fw_cfg->selected->refresh(fw_cfg->selected->opaque);
}

static size_t left_locked(const struct fw_cfg *fw_cfg)
{
	const struct item *item = fw_cfg->selected;

	return item && fw_cfg->off < item->size ? item->size - fw_cfg->off : 0;
}

/* The next `len` bytes; zeros after the last. */
static void read_locked(struct fw_cfg *fw_cfg, uint8_t *buffer, size_t len)
{
	size_t left = left_locked(fw_cfg), got = len < left ? len : left;

	if (got)
		memcpy(buffer, fw_cfg->selected->data + fw_cfg->off, got);
	memset(buffer + got, 0, len - got);
	fw_cfg->off += got;
}

static void skip_locked(struct fw_cfg *fw_cfg, size_t len)
{
	size_t left = left_locked(fw_cfg);

	fw_cfg->off += len < left ? len : left;
}

/* Nothing can be written. False: it could not be done. */
static bool perform_locked(struct fw_cfg *fw_cfg, const struct fw_cfg_dma_access *request)
{
	uint32_t control = be32toh(request->control), len = be32toh(request->length);
	uint64_t gpa = be64toh(request->address);
	void *hva;

	if (control & FW_CFG_DMA_CTL_SELECT)
		select_locked(fw_cfg, (uint16_t)(control >> DMA_KEY_SHIFT));
	if (control & FW_CFG_DMA_CTL_READ) {
		hva = len && len <= TRANSFER_MAX ? mem_hva(fw_cfg->mem, gpa, len) : NULL;
		if (hva)
			read_locked(fw_cfg, hva, len);
		return hva || !len;
	}
	if (control & FW_CFG_DMA_CTL_WRITE)
		return false;
	if (control & FW_CFG_DMA_CTL_SKIP)
		skip_locked(fw_cfg, len);
	return true;
}

static void transfer_locked(struct fw_cfg *fw_cfg, uint64_t gpa)
{
	struct fw_cfg_dma_access request;
	void *hva = mem_hva(fw_cfg->mem, gpa, sizeof(request));
	uint32_t answer = 0;

	if (!hva) {
		log_guest("fw_cfg: a request at 0x%llx, which is no RAM, ignoring",
			  (unsigned long long)gpa);
		return;
	}
	memcpy(&request, hva, sizeof(request));
	if (!perform_locked(fw_cfg, &request)) {
		log_guest("fw_cfg: a request that cannot be met: control 0x%x, %u bytes at 0x%llx",
			  be32toh(request.control), be32toh(request.length),
			  (unsigned long long)be64toh(request.address));
		answer = htobe32(FW_CFG_DMA_CTL_ERROR);
	}
	/* The control word comes first; once it has changed the guest goes on. */
	memcpy(hva, &answer, sizeof(answer));
}

static void select_access(void *opaque, struct bus_access *access)
{
	struct fw_cfg *fw_cfg = opaque;

	if (!access->is_write)
		return;
	pthread_mutex_lock(&fw_cfg->lock);
	select_locked(fw_cfg, (uint16_t)access->value);
	pthread_mutex_unlock(&fw_cfg->lock);
}

static void data_access(void *opaque, struct bus_access *access)
{
	struct fw_cfg *fw_cfg = opaque;
	uint8_t byte;

	if (access->is_write)
		return;
	pthread_mutex_lock(&fw_cfg->lock);
	read_locked(fw_cfg, &byte, 1);
	pthread_mutex_unlock(&fw_cfg->lock);
	access->value = byte;
}

/* The register is big-endian, and reads as a signature. */
static void dma_access(void *opaque, struct bus_access *access)
{
	struct fw_cfg *fw_cfg = opaque;
	uint32_t value = be32toh((uint32_t)access->value);

	if (!access->is_write) {
		access->value = htobe32((uint32_t)(FW_CFG_DMA_SIGNATURE >>
						   (access->off == DMA_LOW ? 0 : 32)));
		return;
	}
	pthread_mutex_lock(&fw_cfg->lock);
	if (access->off == DMA_LOW) {
		transfer_locked(fw_cfg, (uint64_t)fw_cfg->dma_high << 32 | value);
		fw_cfg->dma_high = 0;
	} else {
		fw_cfg->dma_high = value;
	}
	pthread_mutex_unlock(&fw_cfg->lock);
}

/* --- for the machine --- */

void fw_cfg_reset(struct fw_cfg *fw_cfg)
{
	pthread_mutex_lock(&fw_cfg->lock);
	fw_cfg->selected = NULL;
	fw_cfg->off = 0;
	fw_cfg->dma_high = 0;
	pthread_mutex_unlock(&fw_cfg->lock);
}

static int claim_ports(struct fw_cfg *fw_cfg, struct bus *port)
{
	static const struct bus_ops select_ops = {2, select_access};
	static const struct bus_ops data_ops = {1, data_access};
	static const struct bus_ops dma_ops = {4, dma_access};
	int error = bus_add(port, (struct range){PORT_FW_CFG, 2}, &select_ops, fw_cfg);

	if (!error)
		error = bus_add(port, (struct range){PORT_FW_CFG + 1, 1}, &data_ops, fw_cfg);
	if (!error)
		error = bus_add(port, (struct range){PORT_FW_CFG_DMA, 8}, &dma_ops, fw_cfg);
	return error;
}

struct fw_cfg *fw_cfg_create(struct bus *port, struct mem *mem)
{
	const uint32_t id = htole32(FW_CFG_VERSION | FW_CFG_VERSION_DMA);
	struct fw_cfg *fw_cfg = calloc(1, sizeof(*fw_cfg));

	if (!fw_cfg)
		return NULL;
	fw_cfg->mem = mem;
	pthread_mutex_init(&fw_cfg->lock, NULL);
	if (fw_cfg_add_item(fw_cfg, FW_CFG_SIGNATURE, "QEMU", FW_CFG_SIG_SIZE) ||
	    fw_cfg_add_item(fw_cfg, FW_CFG_ID, &id, sizeof(id)) ||
	    fw_cfg_add_item(fw_cfg, FW_CFG_FILE_DIR, &fw_cfg->directory,
			    sizeof(fw_cfg->directory)) ||
	    claim_ports(fw_cfg, port)) {
		fw_cfg_destroy(fw_cfg);
		return NULL;
	}
	return fw_cfg;
}

void fw_cfg_destroy(struct fw_cfg *fw_cfg)
{
	if (!fw_cfg)
		return;
	for (unsigned int i = 0; i < fw_cfg->items; i++)
		free(fw_cfg->item[i].data);
	pthread_mutex_destroy(&fw_cfg->lock);
	free(fw_cfg);
}
