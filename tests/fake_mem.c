#include "tests/fake_mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fake_must.h"
#include "vmm/base/bits.h"

#define PAGE 4096U

struct mem {
	int fd;
	uint64_t size;
	uint8_t *hva;
	unsigned int blocks;
	struct mem_block block[2];

	pthread_mutex_t lock; /* protects the rest */
	struct fake_window window[FAKE_MEM_WINDOWS];
	unsigned int ever;
	int error;
};

static void add_block(struct mem *mem, gpa_t gpa, uint64_t off, uint64_t size)
{
	if (!size)
		return;
	mem->block[mem->blocks++] = (struct mem_block) {
		.gpa = gpa, .size = size, .hva = mem->hva + off, .fd_offset = off,
	};
}

struct mem *fake_mem_create(uint64_t size)
{
	struct mem *mem = calloc(1, sizeof(*mem));
	uint64_t low = size < RAM_LOW_MAX ? size : RAM_LOW_MAX;

	must(mem, "out of memory");
	mem->size = size;
	mem->fd = memfd_create("fake-ram", MFD_CLOEXEC);
	must(mem->fd >= 0 && !ftruncate(mem->fd, (off_t)size), "memfd");
	mem->hva = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, mem->fd, 0);
	must(mem->hva != MAP_FAILED, "mmap");
	add_block(mem, 0, 0, low);
	add_block(mem, RAM_HIGH_START, low, size - low);
	pthread_mutex_init(&mem->lock, NULL);
	return mem;
}

void fake_mem_destroy(struct mem *mem)
{
	if (!mem)
		return;
	must(!fake_mem_windows(mem), "a window is still mapped");
	pthread_mutex_destroy(&mem->lock);
	munmap(mem->hva, mem->size);
	close(mem->fd);
	free(mem);
}

bool mem_block_get(const struct mem *mem, unsigned int index, struct mem_block *ret_block)
{
	if (index >= mem->blocks)
		return false;
	*ret_block = mem->block[index];
	return true;
}

int mem_fd(const struct mem *mem)
{
	return mem->fd;
}

void *mem_hva(const struct mem *mem, gpa_t gpa, uint64_t size)
{
	for (unsigned int i = 0; i < mem->blocks; i++) {
		const struct mem_block *block = &mem->block[i];

		if (gpa >= block->gpa && range_fits(block->size, gpa - block->gpa, size))
			return (uint8_t *)block->hva + (gpa - block->gpa);
	}
	return NULL;
}

uint64_t mem_size(const struct mem *mem)
{
	return mem->size;
}

gpa_t mem_end(const struct mem *mem)
{
	const struct mem_block *last = &mem->block[mem->blocks - 1];

	return last->gpa + last->size;
}

static bool is_taken(const struct mem *mem, struct range range)
{
	for (unsigned int i = 0; i < mem->blocks; i++)
		if (range_meets(range, (struct range) { mem->block[i].gpa, mem->block[i].size }))
			return true;
	for (unsigned int i = 0; i < FAKE_MEM_WINDOWS; i++) {
		const struct fake_window *window = &mem->window[i];

		if (window->mapped &&
		    range_meets(range, (struct range) { window->gpa, window->size }))
			return true;
	}
	return false;
}

static int map_locked(struct mem *mem, gpa_t gpa, uint64_t size, void *hva, bool read_only)
{
	if (mem->error)
		return mem->error;
	if (!size || (gpa | size | (uintptr_t)hva) % PAGE)
		return -EINVAL;
	if (is_taken(mem, (struct range) { gpa, size }))
		return -EEXIST;
	for (int i = 0; i < FAKE_MEM_WINDOWS; i++) {
		if (mem->window[i].mapped)
			continue;
		mem->window[i] = (struct fake_window) { true, gpa, size, hva, read_only };
		mem->ever++;
		return i;
	}
	return -ENOSPC;
}

int mem_window_map(struct mem *mem, gpa_t gpa, uint64_t size, void *hva, bool read_only)
{
	int handle;

	pthread_mutex_lock(&mem->lock);
	handle = map_locked(mem, gpa, size, hva, read_only);
	pthread_mutex_unlock(&mem->lock);
	return handle;
}

void mem_window_unmap(struct mem *mem, int handle)
{
	pthread_mutex_lock(&mem->lock);
	must(handle >= 0 && handle < FAKE_MEM_WINDOWS && mem->window[handle].mapped,
	     "unmap of a window that is not mapped");
	mem->window[handle].mapped = false;
	pthread_mutex_unlock(&mem->lock);
}

unsigned int fake_mem_windows(struct mem *mem)
{
	unsigned int count = 0;

	pthread_mutex_lock(&mem->lock);
	for (unsigned int i = 0; i < FAKE_MEM_WINDOWS; i++)
		count += mem->window[i].mapped;
	pthread_mutex_unlock(&mem->lock);
	return count;
}

unsigned int fake_mem_windows_ever(struct mem *mem)
{
	unsigned int ever;

	pthread_mutex_lock(&mem->lock);
	ever = mem->ever;
	pthread_mutex_unlock(&mem->lock);
	return ever;
}

bool fake_mem_window_at(struct mem *mem, gpa_t gpa, struct fake_window *ret_window)
{
	bool found = false;

	pthread_mutex_lock(&mem->lock);
	for (unsigned int i = 0; i < FAKE_MEM_WINDOWS && !found; i++) {
		const struct fake_window *window = &mem->window[i];

		found = window->mapped &&
			range_contains((struct range) { window->gpa, window->size }, gpa, 1);
		if (found)
			*ret_window = *window;
	}
	pthread_mutex_unlock(&mem->lock);
	return found;
}

void fake_mem_fail_windows(struct mem *mem, int error)
{
	pthread_mutex_lock(&mem->lock);
	mem->error = error;
	pthread_mutex_unlock(&mem->lock);
}
