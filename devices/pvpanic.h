/*
 * The device by which a guest's kernel says that it panicked: pvpanic, as a PCI function. Linux and
 * Windows have drivers for QEMU's, whose identity and register it has.
 */
#ifndef DEVICES_PVPANIC_H
#define DEVICES_PVPANIC_H

struct pci_host;
struct pvpanic;

/* NULL: out of memory or file descriptors, or its place on bus 0 is taken. */
struct pvpanic *pvpanic_create(struct pci_host *host);
void pvpanic_destroy(struct pvpanic *pvpanic); /* accepts NULL */
void pvpanic_reset(struct pvpanic *pvpanic);

/* An eventfd, to be watched by the loop, which then calls pvpanic_take(). */
int pvpanic_fd(const struct pvpanic *pvpanic);

/* What the guest said since the last call, PVPANIC_* of <misc/pvpanic.h>; each at most once between
 * two resets, so that a guest cannot fill a log. */
unsigned int pvpanic_take(struct pvpanic *pvpanic);

#endif
