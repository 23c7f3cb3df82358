/*
 * A machine with nothing but PCI, and a function that records what the core tells it.
 */
#ifndef TESTS_FAKE_PCI_H
#define TESTS_FAKE_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/pci.h"

#define FAKE_PCI_CALLS 64
#define FAKE_PCI_MMIO64_START 0x4000000000ULL
#define FAKE_PCI_MMIO64_SIZE 0x4000000000ULL

struct root_port;

struct fake_pci {
	struct bus *mmio, *port;
	struct irq_chip *irq;
	struct pci_host *host;
};

/* Never fail (abort). */
void fake_pci_start(struct fake_pci *pci);
void fake_pci_stop(struct fake_pci *pci);
struct root_port *fake_pci_add_port(struct fake_pci *pci, uint8_t devfn);

/* Accesses of a CPU. */
uint64_t fake_pci_read(struct fake_pci *pci, uint64_t gpa, unsigned int len);
void fake_pci_write(struct fake_pci *pci, uint64_t gpa, unsigned int len, uint64_t value);
uint32_t fake_pci_in(struct fake_pci *pci, uint16_t port, unsigned int len);
void fake_pci_out(struct fake_pci *pci, uint16_t port, unsigned int len, uint32_t value);

enum fake_pci_call_type {
	FAKE_CFG_READ, FAKE_CFG_CHANGED, FAKE_MAPPED, FAKE_UNMAPPED, FAKE_BAR_READ, FAKE_BAR_WRITE,
	FAKE_DEV_RESET,
};

struct fake_pci_call {
	enum fake_pci_call_type type;
	unsigned int bar;
	uint64_t at;    /* offset, or the address of a mapping */
	unsigned int len;
	uint64_t value;
};

/* BARs read as the low bits of `bar_value`. cfg_read is recorded only while `watch_reads`. */
struct fake_pci_dev {
	struct pci_dev dev;
	uint64_t bar_value;
	bool watch_reads;
	unsigned int calls;
	struct fake_pci_call call[FAKE_PCI_CALLS];
};

/* A type 0 function 1234:5678 with a power management capability at 0x40. */
void fake_pci_dev_init(struct fake_pci_dev *fake);

/* Number of calls of `type` since the last fake_pci_dev_forget(). */
unsigned int fake_pci_dev_count(const struct fake_pci_dev *fake, enum fake_pci_call_type type);
void fake_pci_dev_forget(struct fake_pci_dev *fake);

#endif
