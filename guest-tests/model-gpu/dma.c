/* Guest memory that a client has mapped, and VRAM: copied to and from, never beyond its bounds. */
#include "guest-tests/model-gpu/model.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A client may truncate the file that it gave us: then memory that is mapped is not there. */
static sigjmp_buf lost_memory;
static volatile sig_atomic_t touching_memory;

static void on_bus_error(int number)
{
	(void)number;
	if (!touching_memory)
		abort();
	siglongjmp(lost_memory, 1);
}

int dma_init(void)
{
	/* Nodefer: the jump leaves the handler without unblocking the signal. */
	struct sigaction action = {.sa_handler = on_bus_error, .sa_flags = SA_NODEFER};

	return sigaction(SIGBUS, &action, NULL) ? -errno : 0;
}

static int check_map(const struct function *fn, const struct user_dma_map *map, int fd)
{
	struct stat file;

	if (map->argsz < sizeof(*map) || !map->size || map->iova + map->size < map->iova ||
	    map->size > INT64_MAX || map->fd_offset > INT64_MAX ||
	    map->flags & ~(USER_DMA_READ | USER_DMA_WRITE) || !map->flags || fd < 0)
		return -EINVAL;
	if ((map->iova | map->size | map->fd_offset) & 4095)
		return -EINVAL;
	if (fstat(fd, &file) || !S_ISREG(file.st_mode) || (uint64_t)file.st_size < map->fd_offset ||
	    (uint64_t)file.st_size - map->fd_offset < map->size)
		return -EINVAL;
	for (unsigned int i = 0; i < DMA_MAPS_MAX; i++) {
		const struct dma_map *other = &fn->maps[i];

		if (other->hva && map->iova < other->iova + other->size &&
		    other->iova < map->iova + map->size)
			return -EEXIST;
	}
	return 0;
}

int dma_map(struct function *fn, const struct user_dma_map *map, int fd)
{
	bool readable = map->flags & USER_DMA_READ, writable = map->flags & USER_DMA_WRITE;
	int error = check_map(fn, map, fd);
	struct dma_map *free_map = NULL;
	void *hva;

	if (error)
		return error;
	for (unsigned int i = 0; i < DMA_MAPS_MAX && !free_map; i++)
		if (!fn->maps[i].hva)
			free_map = &fn->maps[i];
	if (!free_map)
		return -ENOSPC;
	hva = mmap(NULL, map->size, (readable ? PROT_READ : 0) | (writable ? PROT_WRITE : 0),
		   MAP_SHARED | MAP_NORESERVE, fd, (off_t)map->fd_offset);
	if (hva == MAP_FAILED)
		return -errno;
	*free_map = (struct dma_map){map->iova, map->size, hva, readable, writable};
	return 0;
}

int dma_unmap(struct function *fn, uint64_t iova, uint64_t size)
{
	for (unsigned int i = 0; i < DMA_MAPS_MAX; i++) {
		struct dma_map *map = &fn->maps[i];

		if (!map->hva || map->iova != iova || map->size != size)
			continue;
		munmap(map->hva, map->size);
		*map = (struct dma_map){0};
		return 0;
	}
	return -ENOENT;
}

void dma_unmap_all(struct function *fn)
{
	for (unsigned int i = 0; i < DMA_MAPS_MAX; i++) {
		struct dma_map *map = &fn->maps[i];

		if (map->hva)
			munmap(map->hva, map->size);
		*map = (struct dma_map){0};
	}
}

uint64_t dma_mapped(const struct function *fn)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < DMA_MAPS_MAX; i++)
		sum += fn->maps[i].size;
	return sum;
}

/* Where `addr` is, and in `ret_len` how much of `len` is contiguous there. NULL: not memory. */
static uint8_t *locate(struct function *fn, uint64_t addr, uint64_t len, bool is_write,
		       uint64_t *ret_len)
{
	uint64_t off = addr & ~ADDRESS_VRAM;

	*ret_len = len;
	if (addr & ADDRESS_VRAM)
		return fn->kind->vram && off <= fn->slot->vram_size &&
		       len <= fn->slot->vram_size - off ?
		       fn->slot->vram + off : NULL;
	if (!config_master_enabled(fn))
		return NULL;
	for (unsigned int i = 0; i < DMA_MAPS_MAX; i++) {
		const struct dma_map *map = &fn->maps[i];

		if (!map->hva || addr < map->iova || addr - map->iova >= map->size ||
		    !(is_write ? map->writable : map->readable))
			continue;
		off = addr - map->iova;
		if (len > map->size - off)
			*ret_len = map->size - off;
		return map->hva + off;
	}
	return NULL;
}

static bool is_memory(struct function *fn, uint64_t addr, uint64_t len, bool is_write)
{
	while (len) {
		uint64_t part;

		if (!locate(fn, addr, len, is_write, &part))
			return false;
		addr += part;
		len -= part;
	}
	return true;
}

/* One end of a transfer: a buffer of ours, or addresses of the device. */
struct end {
	uint8_t *buffer;
	uint64_t addr;
};

static uint8_t *end_locate(struct function *fn, const struct end *end, uint64_t done, uint64_t len,
			   bool is_write, uint64_t *ret_len)
{
	*ret_len = len;
	if (end->buffer)
		return end->buffer + done;
	return locate(fn, end->addr + done, len, is_write, ret_len);
}

static void move(struct function *fn, const struct end *dst, const struct end *src, uint64_t len)
{
	for (uint64_t done = 0; done < len;) {
		uint64_t part;
		uint8_t *from = end_locate(fn, src, done, len - done, false, &part);
		uint8_t *to = end_locate(fn, dst, done, part, true, &part);

		memmove(to, from, part);
		done += part;
	}
}

static int transfer(struct function *fn, struct end dst, struct end src, uint64_t len)
{
	if ((!src.buffer && !is_memory(fn, src.addr, len, false)) ||
	    (!dst.buffer && !is_memory(fn, dst.addr, len, true)))
		return -EFAULT;
	if (sigsetjmp(lost_memory, 0)) {
		touching_memory = 0;
		return -EFAULT;
	}
	touching_memory = 1;
	move(fn, &dst, &src, len);
	touching_memory = 0;
	return 0;
}

int dma_copy(struct function *fn, uint64_t dst, uint64_t src, uint64_t len)
{
	return transfer(fn, (struct end){NULL, dst}, (struct end){NULL, src}, len);
}

int dma_read(struct function *fn, uint64_t src, void *buffer, size_t len)
{
	return transfer(fn, (struct end){buffer, 0}, (struct end){NULL, src}, len);
}

int dma_write(struct function *fn, uint64_t dst, const void *buffer, size_t len)
{
	uint8_t copy[64];

	if (len > sizeof(copy))
		return -EINVAL;
	memcpy(copy, buffer, len);
	return transfer(fn, (struct end){NULL, dst}, (struct end){copy, 0}, len);
}

int dma_fill(struct function *fn, uint64_t dst, uint32_t value, uint64_t len)
{
	static uint8_t pattern[65536];

	if (!is_memory(fn, dst, len, true))
		return -EFAULT;
	for (size_t i = 0; i < sizeof(pattern); i += sizeof(value))
		put_le32(pattern + i, value);
	for (uint64_t done = 0; done < len;) {
		uint64_t part = len - done < sizeof(pattern) ? len - done : sizeof(pattern);
		int error = transfer(fn, (struct end){NULL, dst + done},
				     (struct end){pattern, 0}, part);

		if (error)
			return error;
		done += part;
	}
	return 0;
}
