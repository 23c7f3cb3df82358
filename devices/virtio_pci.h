/*
 * Virtio over PCI, modern devices alone: the one transport for every type of device. VIRTIO 1.2,
 * 4.1 Virtio Over PCI Bus.
 *
 * A function with one memory BAR, which holds the structures of VIRTIO 1.2, 4.1.4, and the MSI-X
 * table: a vector for the configuration and one for each queue. Kicks reach the device's eventfds
 * in the kernel while it runs, and vectors leave it as irqfds; without MSI-X it has INTx and the
 * ISR byte.
 *
 * Not offered: VIRTIO_F_RING_PACKED, VIRTIO_F_RING_RESET, VIRTIO_F_ACCESS_PLATFORM (a device sees
 * guest physical addresses), VIRTIO_F_NOTIFICATION_DATA, shared memory regions.
 */
#ifndef DEVICES_VIRTIO_PCI_H
#define DEVICES_VIRTIO_PCI_H

#include <stdbool.h>
#include <stdint.h>

struct doorbells;
struct irq_chip;
struct mem;
struct pci_dev;
struct pci_host;
struct virtio_dev;
struct virtio_pci;

/* What the device is plugged into. */
struct virtio_machine {
	struct mem *mem;
	struct irq_chip *irq;
	struct doorbells *doorbells;
	struct pci_host *pci;
};

/*
 * Shows `dev` as the function `devfn` of bus 0, where pci_host_add() must find it free. Before any
 * vCPU runs. `multifunction`: function 0 of a device number that has others.
 * 0; -EEXIST, -ENOSPC of pci_host_add(); -ENOMEM, -EMFILE. `dev` stays the caller's.
 */
int virtio_pci_create(struct virtio_dev *dev, const struct virtio_machine *machine, uint8_t devfn,
		      bool multifunction, struct virtio_pci **ret_transport);

/* After the last access to the host bridge. Stops the device first. Accepts NULL. */
void virtio_pci_destroy(struct virtio_pci *transport);

struct pci_dev *virtio_pci_dev(struct virtio_pci *transport);

/* A descriptor that the main loop watches; when it is readable, virtio_pci_service_line() raises
 * INTx. Never readable while the driver uses MSI-X. */
int virtio_pci_line_fd(const struct virtio_pci *transport);
void virtio_pci_service_line(struct virtio_pci *transport);

#endif
