/*
 * The expansion ROM that the owner gave function 0 (key rom of --gpu): as large as the register
 * says, there when memory and ROM are enabled and only then, gone while the card sleeps. The file
 * is one image, whose bytes from 64 on count up, and what is behind it is ones. Option: rom=BYTES
 * of the file.
 */
#include "guest-tests/bare/lib_gpu.h"
#include "guest-tests/bare/lib_irq.h"

#define HEADER 64U
#define SIGNATURE 0xaa55
#define PCIR 0x52494350U
#define ONES 0xffffffffU
#define ENABLE PCI_ROM_ADDRESS_ENABLE

static struct slot slot;
static struct gpu gpu;
static uint64_t rom;

static uint32_t bar_size(void)
{
	uint32_t before = pci_read(gpu.bdf, PCI_ROM_ADDRESS, 4), mask;

	pci_write(gpu.bdf, PCI_ROM_ADDRESS, 4, ~ENABLE);
	mask = pci_read(gpu.bdf, PCI_ROM_ADDRESS, 4);
	pci_write(gpu.bdf, PCI_ROM_ADDRESS, 4, before);
	return mask ? ~mask + 1 : 0;
}

static void check_gone(const char *state)
{
	report_equal(join(state, "the ROM is ones"), MMIO(uint32_t, rom), ONES);
	report_equal(join(state, "at its end too"), MMIO(uint8_t, rom + 2047), 0xff);
}

static unsigned int wrong_bytes(uint32_t len, uint32_t size)
{
	unsigned int wrong = 0;

	for (uint32_t off = HEADER; off < len; off++)
		wrong += MMIO(uint8_t, rom + off) != (uint8_t)off;
	for (uint32_t off = len; off < size; off++)
		wrong += MMIO(uint8_t, rom + off) != 0xff;
	return wrong;
}

static void check_there(const char *state, uint32_t len, uint32_t size)
{
	report_equal(join(state, "signature"), MMIO(uint16_t, rom), SIGNATURE);
	report_equal(join(state, "PCI data structure"),
		     MMIO(uint32_t, rom + MMIO(uint16_t, rom + 0x18)), PCIR);
	report_equal(join(state, "wrong bytes"), wrong_bytes(len, size), 0);
}

static void sleep_and_wake(void)
{
	long touches = model_status(0, "touches");

	report_equal("_OFF", slot_suspend(&slot, false), 0);
	check_gone("D3cold");
	report_equal("the reads woke nothing", (uint64_t)model_status(0, "engaged"), 1);
	report_equal("_ON", slot_resume(&slot), STATUS_ON);
	report_equal("nobody touched it asleep", (uint64_t)model_status(0, "touches"),
		     (uint64_t)touches);
}

void test(void)
{
	uint32_t len = (uint32_t)option("rom"), size = 2048;

	while (size < len)
		size *= 2;
	gpu_begin(&slot, &gpu);
	report_equal("size by the register", bar_size(), size);
	rom = pci_read(gpu.bdf, PCI_ROM_ADDRESS, 4) & PCI_ROM_ADDRESS_MASK;
	check_gone("ROM off");
	pci_change(gpu.bdf, PCI_ROM_ADDRESS, 4, 0, ENABLE);
	check_there("ROM on", len, size);
	MMIO(uint32_t, rom) = 0;
	check_there("written", len, size);
	pci_change(gpu.bdf, PCI_COMMAND, 2, PCI_COMMAND_MEMORY, 0);
	check_gone("Memory Space off");
	pci_change(gpu.bdf, PCI_COMMAND, 2, 0, PCI_COMMAND_MEMORY);
	check_there("Memory Space on", len, size);
	sleep_and_wake();
	check_there("awake again", len, size);
}
