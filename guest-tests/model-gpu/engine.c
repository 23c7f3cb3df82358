/* The DMA engine and the command ring. Both work at once: they are done when the write is. */
#include "guest-tests/model-gpu/model.h"

#include <errno.h>

enum { OP_NOP, OP_COPY, OP_FILL, OP_FENCE };

struct ring_entry {
	uint32_t opcode, value;
	uint64_t src, dst;
	uint32_t len, vector;
};
_Static_assert(sizeof(struct ring_entry) == 32, "ring entry");

void engine_dma(struct function *fn, uint32_t control)
{
	struct registers *regs = &fn->registers;
	int error;

	if (!(control & DMA_CONTROL_START))
		return;
	error = dma_copy(fn, regs->dma_dst, regs->dma_src, regs->dma_len);
	regs->dma_status = error ? DMA_STATUS_ERROR : DMA_STATUS_DONE;
	if (control & DMA_CONTROL_IRQ)
		interrupts_raise(fn, DMA_VECTOR);
}

/* 0 or a RING_ERROR. */
static uint32_t run_entry(struct function *fn, const struct ring_entry *entry)
{
	int error = 0;

	switch (entry->opcode) {
	case OP_NOP:
		return 0;
	case OP_COPY:
		error = dma_copy(fn, entry->dst, entry->src, entry->len);
		break;
	case OP_FILL:
		error = dma_fill(fn, entry->dst, entry->value, entry->len);
		break;
	case OP_FENCE:
		if (entry->vector >= fn->kind->vectors)
			return RING_ERROR_VECTOR;
		error = dma_write(fn, entry->dst, &entry->value, sizeof(entry->value));
		if (!error)
			interrupts_raise(fn, entry->vector);
		break;
	default:
		return RING_ERROR_OPCODE;
	}
	return error ? RING_ERROR_ADDRESS : 0;
}

void engine_doorbell(struct function *fn)
{
	struct registers *regs = &fn->registers;
	uint32_t size = regs->ring_size;

	if (!size || size > RING_SIZE_MAX || size & (size - 1) || regs->ring_tail >= size) {
		regs->ring_error = RING_ERROR_RING;
		return;
	}
	while (!regs->ring_error && regs->ring_head != regs->ring_tail) {
		struct ring_entry entry;
		uint64_t at = regs->ring_base + regs->ring_head * sizeof(entry);

		if (dma_read(fn, at, &entry, sizeof(entry)))
			regs->ring_error = RING_ERROR_RING;
		else
			regs->ring_error = run_entry(fn, &entry);
		if (!regs->ring_error)
			regs->ring_head = (regs->ring_head + 1) & (size - 1);
	}
}
