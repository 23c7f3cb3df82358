/*
 * What the files of the PCI core share among themselves; devices include "devices/pci.h" only.
 *
 * Locks: a device's lock, then the host's decode lock, which is a leaf. Nobody holds the locks of
 * two devices: what a write to a bridge changes below it is done after the bridge's lock is
 * released, one child at a time (pci_host_reset_below(), pci_host_update_below()).
 */
#ifndef DEVICES_PCI_INTERNAL_H
#define DEVICES_PCI_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/pci.h"

#define PCI_PLACES 256U /* devices that a host bridge knows at most */

struct bus_access;

/* --- pci_dev.c --- */

bool pci_dev_is_bridge(const struct pci_dev *dev);

/* Config accesses of the guest; `off` and `len` are checked. They take dev->lock. */
uint32_t pci_dev_cfg_read(struct pci_dev *dev, uint16_t off, unsigned int len);
void pci_dev_cfg_write(struct pci_dev *dev, uint16_t off, unsigned int len, uint32_t value);

/* As pci_dev_reset(), by the bridge above: does nothing unless the device is PCI_PRESENT. */
void pci_dev_reset_from_above(struct pci_dev *dev);

/* --- pci_bar.c --- */

/* Offset of the register of `bar` in config space. */
uint16_t pci_bar_register(const struct pci_dev *dev, unsigned int bar);

/* The two halves of pci_dev_update_mappings_locked(): first what must go, then what may come. */
void pci_bar_unmap_stale_locked(struct pci_dev *dev);
void pci_bar_map_wanted_locked(struct pci_dev *dev);
void pci_bar_unmap_all_locked(struct pci_dev *dev);

/* A trapped access to `bar` at absolute address `addr`. Checks again, with dev->lock taken, that
 * the BAR decodes there. */
void pci_bar_access(struct pci_dev *dev, unsigned int bar, uint64_t addr,
		    struct bus_access *access);

/* --- pci_bridge.c --- */

/* Writable bits of a type 1 header. */
void pci_bridge_init(struct pci_dev *dev);

/* Takes over the registers into dev->forward. True: it changed, the children must be updated. */
bool pci_bridge_publish_locked(struct pci_dev *dev);

/* What the registers of a window say, whether it forwards now or not. Takes the bridge's lock. */
struct range pci_bridge_window(struct pci_dev *bridge, enum pci_window kind);

/* --- pci_msix.c --- */

/* An access to `bar` that meets the table or the PBA is answered here. False: it meets neither. */
bool pci_msix_access(struct pci_dev *dev, unsigned int bar, struct bus_access *access);
bool pci_msix_enabled(const struct pci_dev *dev);
void pci_msix_reset(struct pci_dev *dev);
void pci_msix_finish(struct pci_dev *dev);

/* --- pci_host.c, pci_host_access.c --- */

void pci_host_decode_lock(struct pci_host *host);
void pci_host_decode_unlock(struct pci_host *host);

/* Would an access of the CPU to `range` (I/O or memory) arrive at the bus that `dev` is on? */
bool pci_host_reaches(const struct pci_dev *dev, bool io, struct range range);

/* Bus number and devfn by which the guest addresses the device at the moment. */
uint16_t pci_host_bdf(struct pci_dev *dev);

/* The next device from `*place` on (0 at first), which is set behind it; NULL after the last. It is
 * not taken away before pci_host_put(). */
struct pci_dev *pci_host_next(struct pci_host *host, unsigned int *place);
void pci_host_put(struct pci_dev *dev);
struct range pci_host_mmio64(const struct pci_host *host);
bool pci_host_has_firmware(const struct pci_host *host);
struct irq_chip *pci_host_irq(const struct pci_host *host);

/* Lock: none may be held. */
void pci_host_reset_below(struct pci_dev *bridge);
void pci_host_update_below(struct pci_dev *bridge);

/* After a write to config space: where it has moved ECAM, which has an address before all BARs,
 * they give way, or come back. Lock: none may be held. */
void pci_host_update_moved(struct pci_host *host);

#endif
