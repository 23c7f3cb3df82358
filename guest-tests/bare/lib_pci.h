/*
 * PCI for the guests: config space by ECAM and by CF8, where things are, and memory windows of any
 * address. A function is named by its bdf (bus << 8 | device << 3 | function), as numbered now.
 */
#ifndef GUEST_TESTS_BARE_LIB_PCI_H
#define GUEST_TESTS_BARE_LIB_PCI_H

#include <linux/pci_regs.h>

#include "guest-tests/bare/lib.h"

#define BDF(bus, dev, fn) ((uint16_t)((bus) << 8 | (dev) << 3 | (fn)))

/* `len` is 1, 2 or 4. Writes of other bytes than those named are not made. */
uint32_t pci_read(uint16_t bdf, unsigned int off, unsigned int len);
void pci_write(uint16_t bdf, unsigned int off, unsigned int len, uint32_t value);
/* Sets and clears bits of a register of `len` bytes. */
void pci_change(uint16_t bdf, unsigned int off, unsigned int len, uint32_t clear, uint32_t set);
/* The same by ports 0xcf8 and 0xcfc; dwords. */
uint32_t pci_port_read(uint16_t bdf, unsigned int off);
void pci_port_write(uint16_t bdf, unsigned int off, uint32_t value);

/* Offset of a capability of the standard or extended list; 0: it has none. */
unsigned int pci_cap(uint16_t bdf, uint8_t id);
unsigned int pci_ext_cap(uint16_t bdf, uint16_t id);

/* The address in a BAR, whose registers are reachable afterwards: see mmio_map(). */
uint64_t pci_bar(uint16_t bdf, unsigned int index);

/* Makes the 2 MiB around `address` reachable, one to one and uncached. Only addresses above 4 GiB
 * need it. Other CPUs see it too, if they were started before or after. */
void mmio_map(uint64_t address);

#endif
