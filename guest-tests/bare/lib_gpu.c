#include "guest-tests/bare/lib_gpu.h"
#include "guest-tests/bare/lib_irq.h"

#define LSR_DATA 0x01
#define ANSWER_MAX 2048
#define DMA_TIMEOUT_MS 5000

void gpu_find(const struct slot *slot, unsigned int fn, struct gpu *gpu)
{
	gpu->bdf = slot->fn[fn];
	gpu->regs = pci_bar(gpu->bdf, 0);
	gpu->vram = fn ? 0 : pci_bar(gpu->bdf, GPU_VRAM_BAR);
	pci_change(gpu->bdf, PCI_COMMAND, 2, 0, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	pci_change(slot->port, PCI_COMMAND, 2, 0, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

void gpu_begin(struct slot *slot, struct gpu *gpu)
{
	irq_init();
	slot_find(slot);
	report("the slot has a power resource", slot_find_controller(slot));
	gpu_find(slot, 0, gpu);
}

uint32_t gpu_read(const struct gpu *gpu, unsigned int reg)
{
	return MMIO(uint32_t, gpu->regs + reg);
}

void gpu_write(const struct gpu *gpu, unsigned int reg, uint32_t value)
{
	MMIO(uint32_t, gpu->regs + reg) = value;
}

void gpu_write64(const struct gpu *gpu, unsigned int reg, uint64_t value)
{
	gpu_write(gpu, reg, (uint32_t)value);
	gpu_write(gpu, reg + 4, (uint32_t)(value >> 32));
}

static bool dma_ended(void *opaque)
{
	return gpu_read(opaque, GPU_DMA_STATUS) != 0;
}

uint32_t gpu_dma(const struct gpu *gpu, uint64_t dst, uint64_t src, uint32_t len, bool raise)
{
	struct gpu copy = *gpu;

	gpu_write64(gpu, GPU_DMA_SRC, src);
	gpu_write64(gpu, GPU_DMA_DST, dst);
	gpu_write(gpu, GPU_DMA_LEN, len);
	gpu_write(gpu, GPU_DMA_CONTROL, GPU_DMA_START | (raise ? GPU_DMA_RAISE : 0));
	wait_until(dma_ended, &copy, DMA_TIMEOUT_MS);
	return gpu_read(gpu, GPU_DMA_STATUS);
}

void gpu_ring_init(const struct gpu *gpu, const struct gpu_command *ring, uint32_t entries)
{
	gpu_write64(gpu, GPU_RING_BASE, (uintptr_t)ring);
	gpu_write(gpu, GPU_RING_SIZE, entries);
}

/* --- the host's side --- */

static char read_char(void)
{
	while (!(inb(COM1 + 5) & LSR_DATA))
		;
	return (char)inb(COM1);
}

/* A request to with-model: who is to answer it, what, and the answer without its newline. Returns
 * its length. */
static size_t ask(const char *whom, const char *what, char *answer, size_t size)
{
	size_t len = 0;
	char c;

	print(whom);
	print(what);
	print("\n");
	while ((c = read_char()) != '\n')
		if (len + 1 < size)
			answer[len++] = c;
	answer[len] = 0;
	return len;
}

bool model_ask_for(const char *command, char *answer, size_t size)
{
	return ask("model: ", command, answer, size) >= 2 && !memcmp(answer, "ok", 2);
}

unsigned int api_ask(const char *request, char *body, size_t size)
{
	static char answer[ANSWER_MAX];
	unsigned int status = 0;
	size_t at = 0, len = 0;

	ask("api: ", request, answer, sizeof(answer));
	for (; answer[at] >= '0' && answer[at] <= '9'; at++)
		status = status * 10 + (unsigned int)(answer[at] - '0');
	at += answer[at] == ' ';
	for (; answer[at] && len + 1 < size; at++)
		body[len++] = answer[at];
	body[len] = 0;
	return status;
}

bool model_ask(const char *command)
{
	char answer[80];

	return model_ask_for(command, answer, sizeof(answer));
}

long model_status(unsigned int fn, const char *key)
{
	static char answer[ANSWER_MAX];
	size_t size = strlen(key);
	long value = 0;

	model_ask_for("status", answer, sizeof(answer));
	for (const char *at = answer; *at; at++) {
		if (*at != '"' || memcmp(at + 1, key, size) || at[size + 1] != '"' || fn--)
			continue;
		for (at += size + 2; *at == ':' || *at == ' '; at++)
			;
		if (*at == 't')
			return 1;
		for (; *at >= '0' && *at <= '9'; at++)
			value = value * 10 + (*at - '0');
		return value;
	}
	return -1;
}
