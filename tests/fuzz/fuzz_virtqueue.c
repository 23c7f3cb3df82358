/*
 * The input is the guest's memory with a ring in it, as a driver that means no good leaves it.
 * Whatever it holds: chains are RAM as a whole, in order and within their room, and end.
 */
#include <string.h>

#include "devices/virtqueue.h"
#include "tests/fake_driver.h"
#include "tests/fake_mem.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/bits.h"

#define RAM (16 * MIB)
#define RINGS 0x1000U
#define ROOM 16U
#define POPS 64U
#define AVAIL 0x200U /* closer than drivers put them, so that an input reaches all */
#define USED 0x300U
#define MEMORY_MAX 0x1000U

static struct mem *mem;

static void check_chain(const struct virtqueue_chain *chain)
{
	const uint8_t *ram = mem_hva(mem, 0, RAM);
	uint64_t sum = 0;

	fuzz_must(chain->readable + chain->writable <= ROOM, "more buffers than room");
	for (unsigned int i = 0; i < chain->readable + chain->writable; i++) {
		const uint8_t *base = chain->iov[i].iov_base;

		fuzz_must(base >= ram && base < ram + RAM && chain->iov[i].iov_len &&
			  chain->iov[i].iov_len <= (size_t)(ram + RAM - base), "not RAM");
		sum += chain->iov[i].iov_len;
	}
	fuzz_must(sum == chain->readable_len + chain->writable_len, "lengths do not add up");
}

static void write_seeds(int argc, char **argv)
{
	static struct {
		uint8_t options;
		struct vring_desc desc[8];
		uint8_t gap[AVAIL - 8 * 16];
		uint16_t flags, idx, ring[8], event;
	} __attribute__((packed)) seed = {
		.options = 0x1b,
		.desc = {{0x2000, 16, VRING_DESC_F_NEXT, 1},
			 {0x3000, 512, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2},
			 {0x4000, 1, 2, 0}, {0x1000, 48, VRING_DESC_F_INDIRECT, 0}},
		.idx = 2, .ring = {0, 3}, .event = 1};

	fuzz_write_seed(argc, argv, "ring", &seed, sizeof(seed));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	mem = fake_mem_create(RAM);
	write_seeds(*argc, *argv);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	uint8_t options = (uint8_t)fuzz_take(&input, 1);
	const struct virtqueue_config config = {
		.size = (uint16_t)(1U << options % 4), .desc = RINGS, .avail = RINGS + AVAIL,
		.used = RINGS + USED, .event_idx = options & 8, .indirect = options & 16};
	struct iovec iov[ROOM];
	struct virtqueue_chain chain = {.iov = iov, .capacity = ROOM};
	struct virtqueue queue;
	int got = 1;

	memset(mem_hva(mem, RINGS, MEMORY_MAX), 0, MEMORY_MAX);
	memcpy(mem_hva(mem, RINGS, MEMORY_MAX), input.bytes,
	       input.size < MEMORY_MAX ? input.size : MEMORY_MAX);
	fuzz_must(!virtqueue_start(&queue, mem, &config), "a good ring is refused");
	for (unsigned int i = 0; i < POPS && got == 1; i++) {
		got = virtqueue_pop(&queue, &chain);
		if (got == 1) {
			check_chain(&chain);
			virtqueue_push(&queue, chain.head, 1);
			virtqueue_must_notify(&queue);
			virtqueue_want_kick(&queue);
		}
	}
	fuzz_must(got != 1 || queue.next_avail == POPS, "it does not end");
	return 0;
}
