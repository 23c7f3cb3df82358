#include "vmm/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/hugepages.h"
#include "vmm/kvm.h"
#include "vmm/mem_fault.h"
#include "vmm/prefault.h"

#define PAGE 4096ULL
#define BLOCKS_MAX 2
/* BARs in pieces around trapped pages: 16 slots of 8 functions use a few windows each. */
#define WINDOWS_MAX 1024

struct mem {
	struct kvm *kvm;
	int fd;
	uint8_t *hva;         /* all of the memfd */
	uint64_t size;
	unsigned int blocks;
	struct mem_block block[BLOCKS_MAX];

	pthread_mutex_t lock; /* protects window[] and serialises changes of KVM's slots */
	/* size 0: free; the number of KVM's slot is the index + BLOCKS_MAX */
	struct range window[WINDOWS_MAX];
};

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

uint64_t mem_size(const struct mem *mem)
{
	return mem->size;
}

gpa_t mem_end(const struct mem *mem)
{
	const struct mem_block *last = &mem->block[mem->blocks - 1];

	return last->gpa + last->size;
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

static int set_slot(struct mem *mem, unsigned int slot, struct range gpa, void *hva,
		    bool read_only)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = read_only ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = gpa.start,
		.memory_size = gpa.size,
		.userspace_addr = (uintptr_t)hva,
	};

	return kvm_ioctl(mem->kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static int add_block(struct mem *mem, gpa_t gpa, uint64_t size, uint64_t fd_offset)
{
	struct mem_block *block = &mem->block[mem->blocks];

	*block = (struct mem_block){
		.gpa = gpa, .size = size, .hva = mem->hva + fd_offset, .fd_offset = fd_offset};
	return set_slot(mem, mem->blocks++, (struct range){gpa, size}, block->hva, false);
}

static unsigned int memfd_flags(uint64_t page)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;

	if (page)
		flags |= MFD_HUGETLB | (unsigned int)__builtin_ctzll(page) << MAP_HUGE_SHIFT;
	return flags;
}

/* Huge pages are reserved here, all of them: without MAP_NORESERVE mmap() fails where the pool has
 * too few (Linux, hugetlbpage.rst). What may be missing all the same: vmm/mem_fault.h. */
static int map_ram(struct mem *mem, uint64_t size, uint64_t page)
{
	int reserve = page ? 0 : MAP_NORESERVE;
	void *hva;

	mem->fd = memfd_create("minivmm-ram", memfd_flags(page));
	if (mem->fd < 0 || ftruncate(mem->fd, (off_t)size) < 0)
		return -errno;
	/* Nobody who is given the descriptor may shrink the memory under us. */
	if (fcntl(mem->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	hva = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | reserve, mem->fd, 0);
	if (hva == MAP_FAILED)
		return -errno;
	mem->hva = hva;
	mem->size = size;
	mem_fault_watch(hva, size);
	return 0;
}

static int add_blocks(struct mem *mem, uint64_t low_max)
{
	uint64_t low = mem->size < low_max ? mem->size : low_max;
	int error = add_block(mem, 0, low, 0);

	if (!error && mem->size > low)
		error = add_block(mem, RAM_HIGH_START, mem->size - low, low);
	return error;
}

/* The pool of huge pages has its own words for what is missing, while nothing is reserved yet. */
static void explain(const struct mem_config *config, bool is_mapped, int error, char *ret_why,
		    size_t why_size)
{
	char why[256];

	if (is_mapped && config->page && (error == -EFAULT || error == -ENOMEM))
		snprintf(ret_why, why_size, "--memory: " MEM_FAULT_SENTENCE);
	else if (!is_mapped && config->page &&
		 hugepages_check(HUGEPAGES_FOLDER, config->page, config->size, why,
				 sizeof(why)))
		snprintf(ret_why, why_size, "--memory: %s", why);
	else
		snprintf(ret_why, why_size, "cannot make %llu MiB of guest memory: %s",
			 (unsigned long long)(config->size / MIB), strerror(-error));
}

int mem_create(struct kvm *kvm, const struct mem_config *config, struct mem **ret_mem,
	       char *ret_why, size_t why_size)
{
	struct mem *mem = calloc(1, sizeof(*mem));
	int error = -ENOMEM;

	if (mem) {
		mem->kvm = kvm;
		mem->fd = -1;
		pthread_mutex_init(&mem->lock, NULL);
		error = map_ram(mem, config->size, config->page);
	}
	if (!error && config->prefault)
		error = prefault(mem->hva, mem->size, config->page ? config->page : PAGE);
	if (!error)
		error = add_blocks(mem, config->low_max);
	if (error) {
		explain(config, mem && mem->hva, error, ret_why, why_size);
		mem_destroy(mem);
		return error;
	}
	*ret_mem = mem;
	return 0;
}

void mem_destroy(struct mem *mem)
{
	if (!mem)
		return;
	for (unsigned int i = 0; i < mem->blocks; i++)
		set_slot(mem, i, (struct range){mem->block[i].gpa, 0}, NULL, false);
	if (mem->hva)
		munmap(mem->hva, mem->size);
	if (mem->fd >= 0)
		close(mem->fd);
	pthread_mutex_destroy(&mem->lock);
	free(mem);
}

static bool meets_known(const struct mem *mem, struct range range)
{
	for (unsigned int i = 0; i < mem->blocks; i++)
		if (range_meets(range, (struct range){mem->block[i].gpa, mem->block[i].size}))
			return true;
	for (unsigned int i = 0; i < WINDOWS_MAX; i++)
		if (range_meets(range, mem->window[i]))
			return true;
	return false;
}

static int free_window(const struct mem *mem)
{
	for (int i = 0; i < WINDOWS_MAX; i++)
		if (!mem->window[i].size)
			return i;
	return -ENOSPC;
}

int mem_window_map(struct mem *mem, gpa_t gpa, uint64_t size, void *hva, bool read_only)
{
	struct range range = {gpa, size};
	int index, error;

	if (!size || (gpa | size | (uintptr_t)hva) % PAGE || gpa + size < gpa)
		return -EINVAL;
	pthread_mutex_lock(&mem->lock);
	index = meets_known(mem, range) ? -EEXIST : free_window(mem);
	if (index >= 0) {
		error = set_slot(mem, BLOCKS_MAX + (unsigned int)index, range, hva, read_only);
		if (error)
			index = error;
		else
			mem->window[index] = range;
	}
	pthread_mutex_unlock(&mem->lock);
	return index;
}

void mem_window_unmap(struct mem *mem, int handle)
{
	if (handle < 0 || handle >= WINDOWS_MAX)
		return;
	pthread_mutex_lock(&mem->lock);
	if (mem->window[handle].size)
		set_slot(mem, BLOCKS_MAX + (unsigned int)handle,
			 (struct range){mem->window[handle].start, 0}, NULL, false);
	mem->window[handle].size = 0;
	pthread_mutex_unlock(&mem->lock);
}
