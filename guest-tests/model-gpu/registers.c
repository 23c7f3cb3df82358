/* The regions: config space, BAR0 with its registers, VRAM, and the BAR of MSI-X. */
#include "guest-tests/model-gpu/model.h"

#include <errno.h>

#define ID_MGPU 0x5550474dU
#define VERSION_1 1U
#define PBA_OFF 0x2000U

enum {
	REG_ID = 0x000,
	REG_VERSION = 0x004,
	REG_SCRATCH = 0x008,
	REG_BOOT_COUNT = 0x00c,
	REG_VECTORS = 0x010,
	REG_IRQ_RAISE = 0x020,
	REG_IRQ_STATUS = 0x024,
	REG_DMA_SRC_LO = 0x040,
	REG_DMA_SRC_HI = 0x044,
	REG_DMA_DST_LO = 0x048,
	REG_DMA_DST_HI = 0x04c,
	REG_DMA_LEN = 0x050,
	REG_DMA_CONTROL = 0x054,
	REG_DMA_STATUS = 0x058,
	REG_RING_BASE_LO = 0x080,
	REG_RING_BASE_HI = 0x084,
	REG_RING_SIZE = 0x088,
	REG_RING_HEAD = 0x08c,
	REG_RING_TAIL = 0x090,
	REG_RING_ERROR = 0x094,
};

static uint64_t with_low(uint64_t old, uint32_t value)
{
	return (old & ~0xffffffffULL) | value;
}

static uint64_t with_high(uint64_t old, uint32_t value)
{
	return (old & 0xffffffffULL) | (uint64_t)value << 32;
}

static uint32_t register_read(const struct function *fn, uint64_t off)
{
	const struct registers *regs = &fn->registers;

	switch (off) {
	case REG_ID: return ID_MGPU;
	case REG_VERSION: return VERSION_1;
	case REG_SCRATCH: return regs->scratch;
	case REG_BOOT_COUNT: return fn->boot_count;
	case REG_VECTORS: return fn->kind->vectors;
	case REG_IRQ_STATUS: return regs->irq_status;
	case REG_DMA_SRC_LO: return (uint32_t)regs->dma_src;
	case REG_DMA_SRC_HI: return (uint32_t)(regs->dma_src >> 32);
	case REG_DMA_DST_LO: return (uint32_t)regs->dma_dst;
	case REG_DMA_DST_HI: return (uint32_t)(regs->dma_dst >> 32);
	case REG_DMA_LEN: return regs->dma_len;
	case REG_DMA_STATUS: return regs->dma_status;
	case REG_RING_BASE_LO: return (uint32_t)regs->ring_base;
	case REG_RING_BASE_HI: return (uint32_t)(regs->ring_base >> 32);
	case REG_RING_SIZE: return regs->ring_size;
	case REG_RING_HEAD: return regs->ring_head;
	case REG_RING_TAIL: return regs->ring_tail;
	case REG_RING_ERROR: return regs->ring_error;
	default: return 0;
	}
}

static void ring_restart(struct registers *regs, uint32_t size)
{
	regs->ring_size = size;
	regs->ring_head = regs->ring_tail = 0;
	regs->ring_error = 0;
}

static void register_write(struct function *fn, uint64_t off, uint32_t value)
{
	struct registers *regs = &fn->registers;

	switch (off) {
	case REG_SCRATCH: regs->scratch = value; break;
	case REG_IRQ_RAISE: interrupts_raise(fn, value); break;
	case REG_IRQ_STATUS: regs->irq_status &= ~value; break;
	case REG_DMA_SRC_LO: regs->dma_src = with_low(regs->dma_src, value); break;
	case REG_DMA_SRC_HI: regs->dma_src = with_high(regs->dma_src, value); break;
	case REG_DMA_DST_LO: regs->dma_dst = with_low(regs->dma_dst, value); break;
	case REG_DMA_DST_HI: regs->dma_dst = with_high(regs->dma_dst, value); break;
	case REG_DMA_LEN: regs->dma_len = value; break;
	case REG_DMA_CONTROL: engine_dma(fn, value); break;
	case REG_RING_BASE_LO: regs->ring_base = with_low(regs->ring_base, value); break;
	case REG_RING_BASE_HI: regs->ring_base = with_high(regs->ring_base, value); break;
	case REG_RING_SIZE: ring_restart(regs, value); break;
	case REG_RING_TAIL:
		regs->ring_tail = value;
		engine_doorbell(fn);
		break;
	default: break;
	}
}

void registers_reset(struct function *fn)
{
	fn->registers = (struct registers){0};
}

/* Registers have 32 bits: a narrower read gets its bytes, a narrower write is ignored. */
static void registers_read(const struct function *fn, uint64_t off, uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len;) {
		uint8_t value[4];
		size_t in_register = (off + i) & 3, part = 4 - in_register;

		if (part > len - i)
			part = len - i;
		put_le32(value, register_read(fn, off + i - in_register));
		memcpy(data + i, value + in_register, part);
		i += part;
	}
}

static void registers_write(struct function *fn, uint64_t off, const uint8_t *data, size_t len)
{
	size_t i = -off & 3;

	for (; i + 4 <= len; i += 4)
		register_write(fn, off + i, get_le32(data + i));
}

/* As vfio-pci does: BARs of a function that does not decode memory, or is not in D0, are -EIO. */
static int check_bar(const struct function *fn, uint32_t region)
{
	return region > VFIO_PCI_BAR5_REGION_INDEX || config_memory_enabled(fn) ? 0 : -EIO;
}

int region_read(struct function *fn, uint32_t region, uint64_t off, uint8_t *data, size_t len)
{
	if (fn->faults.ones || fn->faults.dead) {
		memset(data, 0xff, len);
		return 0;
	}
	if (check_bar(fn, region))
		return -EIO;
	if (region == VFIO_PCI_CONFIG_REGION_INDEX)
		config_read(fn, off, data, len);
	else if (region == VFIO_PCI_BAR2_REGION_INDEX)
		memcpy(data, fn->slot->vram + off, len);
	else if (region == VFIO_PCI_BAR4_REGION_INDEX)
		memcpy(data, fn->msix + off, len);
	else
		registers_read(fn, off, data, len);
	return 0;
}

static void msix_write(struct function *fn, uint64_t off, const uint8_t *data, size_t len)
{
	if (off >= PBA_OFF)
		return;
	memcpy(fn->msix + off, data, len < PBA_OFF - off ? len : PBA_OFF - off);
}

int region_write(struct function *fn, uint32_t region, uint64_t off, const uint8_t *data,
		 size_t len)
{
	if (fn->faults.ones || fn->faults.dead)
		return 0;
	if (check_bar(fn, region))
		return -EIO;
	if (region == VFIO_PCI_CONFIG_REGION_INDEX)
		config_write(fn, off, data, len);
	else if (region == VFIO_PCI_BAR2_REGION_INDEX)
		memcpy(fn->slot->vram + off, data, len);
	else if (region == VFIO_PCI_BAR4_REGION_INDEX)
		msix_write(fn, off, data, len);
	else
		registers_write(fn, off, data, len);
	return 0;
}
