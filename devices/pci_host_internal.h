/*
 * Inside devices/pci_host*.c: the host bridge itself.
 */
#ifndef DEVICES_PCI_HOST_INTERNAL_H
#define DEVICES_PCI_HOST_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/pci_internal.h"

struct bus;

struct pci_host {
	struct irq_chip *irq;
	struct range mmio32, mmio64; /* what of the CPUs' address space comes here */
	bool firmware;
	_Atomic uint32_t address;    /* register 0xcf8 */
	atomic_bool ecam_moved;      /* over BARs or away from them, which do not know it yet */
	/* Protects the rest, and of every device bar[].{address,mapped}, forward, given, users. */
	pthread_mutex_t decode_lock;
	struct range ecam;           /* inside mmio32; empty: off */
	pthread_cond_t unused;       /* a device has no user any more */
	struct pci_dev *places[PCI_PLACES]; /* NULL: free */
	unsigned int end;            /* all from here on are free */
};

/* --- pci_host.c --- */

/* Who has found a device holds it until pci_host_put(), so that it is not taken away meanwhile.
 * Returns `dev`, which may be NULL. */
struct pci_dev *pci_host_hold_locked(struct pci_dev *dev);

/* The function that the guest addresses so at the moment, held; or NULL. */
struct pci_dev *pci_host_find(struct pci_host *host, uint16_t bdf);

/* --- pci_host_access.c --- */

/* The ports and memory of the CPUs that come here. 0 or negative errno. */
int pci_host_claim_ranges(struct pci_host *host, struct bus *mmio, struct bus *port);

#endif
