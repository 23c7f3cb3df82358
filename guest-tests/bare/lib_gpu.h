/*
 * The model GPU (guest-tests/model-gpu/) as its driver sees it, and how a guest asks the host to
 * make it misbehave.
 */
#ifndef GUEST_TESTS_BARE_LIB_GPU_H
#define GUEST_TESTS_BARE_LIB_GPU_H

#include "guest-tests/bare/lib_slot.h"

/* BAR 0; guest-tests/model-gpu/README.md has the table. */
#define GPU_ID 0x000
#define   GPU_ID_VALUE 0x5550474dU
#define GPU_VERSION 0x004
#define GPU_SCRATCH 0x008
#define GPU_BOOT_COUNT 0x00c
#define GPU_VECTORS 0x010
#define GPU_IRQ_RAISE 0x020
#define GPU_IRQ_STATUS 0x024
#define GPU_DMA_SRC 0x040
#define GPU_DMA_DST 0x048
#define GPU_DMA_LEN 0x050
#define GPU_DMA_CONTROL 0x054
#define   GPU_DMA_START 0x1U
#define   GPU_DMA_RAISE 0x2U
#define GPU_DMA_STATUS 0x058
#define   GPU_DMA_DONE 1U
#define   GPU_DMA_ERROR 2U
#define GPU_RING_BASE 0x080
#define GPU_RING_SIZE 0x088
#define GPU_RING_HEAD 0x08c
#define GPU_RING_TAIL 0x090
#define GPU_RING_ERROR 0x094
#define GPU_VRAM_ADDRESS (1ULL << 63) /* or'ed to an offset in VRAM */

#define GPU_DMA_VECTOR 1 /* of its MSI-X table: "DMA done" */
#define GPU_VRAM_BAR 2

struct gpu {
	uint16_t bdf;
	uint64_t regs; /* BAR 0 */
	uint64_t vram; /* BAR 2; 0: this function has none */
};

/* Looks at the BARs of function `fn` of the slot and switches Memory Space and Bus Master on. */
void gpu_find(const struct slot *slot, unsigned int fn, struct gpu *gpu);
/* What a guest begins with: interrupts, the slot and its power resource, function 0. */
void gpu_begin(struct slot *slot, struct gpu *gpu);

uint32_t gpu_read(const struct gpu *gpu, unsigned int reg);
void gpu_write(const struct gpu *gpu, unsigned int reg, uint32_t value);
void gpu_write64(const struct gpu *gpu, unsigned int reg, uint64_t value);

/* Starts the DMA engine and waits for its end. Returns DMA_STATUS. */
uint32_t gpu_dma(const struct gpu *gpu, uint64_t dst, uint64_t src, uint32_t len, bool raise);

/* One entry of the command ring. */
struct gpu_command {
	uint32_t opcode, value;
	uint64_t src, dst;
	uint32_t len, vector;
};
enum { GPU_NOP, GPU_COPY, GPU_FILL, GPU_FENCE };

/* Gives the device a ring of `entries` at `ring`, empty. */
void gpu_ring_init(const struct gpu *gpu, const struct gpu_command *ring, uint32_t entries);

/* --- the host's side: with-model must run the VMM --- */

/* Sends one command to the model's control socket. True: it answered "ok". */
bool model_ask(const char *command);
/* The same, with the answer's first `size` - 1 bytes, without the newline. */
bool model_ask_for(const char *command, char *answer, size_t size);
/*
 * One request to the VMM's control socket, "METHOD PATH [BODY]", in which "$SLOT" stands for the
 * model's path. Returns the answer's status, 0 when there was none, with the first `size` - 1 bytes
 * of its body.
 */
unsigned int api_ask(const char *request, char *body, size_t size);

/* A number of function `fn` in the model's status, which does not touch the device; -1: no such
 * key. Booleans are 0 and 1. */
long model_status(unsigned int fn, const char *key);

#endif
