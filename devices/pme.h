/*
 * The PME logic of a root port, pure: Root Control, Root Status and the set of requesters that wait
 * for Root Status to become free.
 *
 * PCIe 5.0, 6.1.6 Native PME Software Model; 7.5.3.12 Root Control Register; 7.5.3.14 Root Status
 * Register. Interrupts are one condition, `enable && status`; each function that can change it says
 * whether it became true anew (an edge, for MSI); its level is pme_asserted() (for INTx).
 *
 * Locks: none; the owner (devices/root_port.c) holds its device lock.
 */
#ifndef DEVICES_PME_H
#define DEVICES_PME_H

#include <stdbool.h>
#include <stdint.h>

struct pme {
	bool enable;        /* Root Control: PME Interrupt Enable */
	bool status;        /* Root Status: PME Status */
	uint8_t requester;  /* devfn shown in Root Status; meaningful while status and not own */
	uint64_t waiting[4]; /* devfns that are not shown yet, one bit each */
	bool own, own_waiting; /* likewise: the port itself is shown, or not shown yet */
	uint8_t own_devfn;  /* the port's, on bus 0 */
};

void pme_reset(struct pme *pme);

/* A PME message of `devfn`. Duplicates of one shown or waiting merge. True: a new edge. */
bool pme_message(struct pme *pme, uint8_t devfn);

/* The same of the port itself, which is at `devfn` of bus 0; and what drops it while it waits. */
bool pme_own_message(struct pme *pme, uint8_t devfn);
void pme_own_forget(struct pme *pme);

/* The guest wrote PME Interrupt Enable. True: a new edge. */
bool pme_set_enable(struct pme *pme, bool enable);

/* The guest wrote one to PME Status: the next waiting requester is shown. True: a new edge. */
bool pme_clear_status(struct pme *pme);

/* Drops `devfn` from those waiting (not from Root Status, which the guest may have read). */
void pme_forget(struct pme *pme, uint8_t devfn);

bool pme_asserted(const struct pme *pme);
bool pme_outstanding(const struct pme *pme, uint8_t devfn);

/* The dword of Root Status. Pending is never shown without Status. */
uint32_t pme_root_status(const struct pme *pme, uint8_t secondary_bus);

#endif
