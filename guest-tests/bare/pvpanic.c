/*
 * Says by pvpanic that it panicked, twice, and that a crash kernel is loaded; for
 * tests/program/check-panic, which knows what must follow, and types when it has. If it is still
 * there after that, it ends by itself.
 */
#include <misc/pvpanic.h>

#include "guest-tests/bare/lib_pci.h"

/* QEMU, docs/specs/pvpanic.rst and docs/specs/pci-ids.rst. */
#define IDENTITY 0x00111b36
#define LSR_DATA 0x01

static uint16_t find(void)
{
	unsigned int dev = 0;

	while (dev < 32 && pci_read(BDF(0, dev, 0), PCI_VENDOR_ID, 4) != IDENTITY)
		dev++;
	return BDF(0, dev, 0);
}

/* Somebody types a character when the event log has it. */
static void await_go(void)
{
	while (!(inb(COM1 + 5) & LSR_DATA))
		;
	inb(COM1);
}

void test(void)
{
	uint16_t bdf = find();
	uint64_t address;

	report("there is a pvpanic", bdf < BDF(1, 0, 0));
	if (bdf >= BDF(1, 0, 0))
		return;
	pci_change(bdf, PCI_COMMAND, 2, 0, PCI_COMMAND_MEMORY);
	address = pci_bar(bdf, 0);
	report_equal("what it takes", MMIO(uint8_t, address),
		     PVPANIC_PANICKED | PVPANIC_CRASH_LOADED);
	report_equal("the rest of its BAR is empty", MMIO(uint8_t, address + 1), 0);
	MMIO(uint8_t, address + 1) = 0xff;
	MMIO(uint8_t, address) = 0xfc;
	MMIO(uint8_t, address) = PVPANIC_CRASH_LOADED;
	await_go();
	MMIO(uint8_t, address) = PVPANIC_PANICKED;
	MMIO(uint8_t, address) = PVPANIC_PANICKED;
	await_go();
}
