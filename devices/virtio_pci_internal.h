/*
 * What the files of the virtio PCI transport share among themselves.
 */
#ifndef DEVICES_VIRTIO_PCI_INTERNAL_H
#define DEVICES_VIRTIO_PCI_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/pci.h"
#include "devices/virtio.h"
#include "devices/virtio_pci.h"

/* Something that interrupts: the configuration, or a queue. */
struct virtio_source {
	int fd;             /* the device's eventfd */
	uint16_t vector;    /* VIRTIO_MSI_NO_VECTOR: none */
	bool attached;      /* the kernel takes `fd`'s signals to the vector's route */
	int attached_gsi;
};

struct virtio_vector {
	int gsi;            /* of the route, negative: none yet */
	bool set;
	struct msi_message message;
};

/* dev.lock protects all of it. */
struct virtio_pci {
	struct pci_dev pci;
	struct virtio_dev *dev;
	struct irq_chip *irq;
	struct doorbells *doorbells;

	uint32_t device_feature_select, driver_feature_select;
	uint16_t queue_select;
	uint8_t isr;

	gpa_t bar_address;
	bool bar_mapped;
	uint64_t bells;     /* queues with a doorbell, a bit each */

	unsigned int sources; /* [0] the configuration, [1 + n] queue n */
	struct virtio_source *source;
	struct virtio_vector *vector; /* pci.msix.table_size */
	int line_fd;        /* epoll descriptor: of all sources while MSI-X is off, else of none */
	bool lines_watched;
};
_Static_assert(VIRTIO_QUEUES_MAX <= 64, "a bit for each queue in struct virtio_pci.bells");

/* --- virtio_pci_common.c --- */

/* Registers, `off` from the start of the structure. */
uint64_t virtio_common_read(const struct virtio_pci *transport, uint64_t off, unsigned int len);
void virtio_common_write(struct virtio_pci *transport, uint64_t off, unsigned int len,
			 uint32_t value);

/* The device, its interrupts and doorbells, and what the driver selected: as at first. */
void virtio_common_reset(struct virtio_pci *transport);

/* --- virtio_pci_doorbells.c --- */

/* The doorbells' part of BAR 0. */
#define VIRTIO_NOTIFY_OFF 0x1000U
#define VIRTIO_NOTIFY_STRIDE 4U

/* The kernel catches kicks while the device runs and its BAR decodes; others trap, see
 * virtio_doorbells_kick(). */
void virtio_doorbells_sync(struct virtio_pci *transport);

/* A kick that the kernel did not catch, `off` from VIRTIO_NOTIFY_OFF. */
void virtio_doorbells_kick(struct virtio_pci *transport, uint64_t off);

/* --- virtio_pci_irq.c --- */

/* 0 or negative errno; virtio_irq_finish() undoes what was done. */
int virtio_irq_init(struct virtio_pci *transport);
void virtio_irq_finish(struct virtio_pci *transport);

/* Before what may take its time with the lock held: the main loop is not told of signals until
 * virtio_irq_sync(). */
void virtio_irq_hush(struct virtio_pci *transport);

/* All sources, or those of one vector, as the MSI-X registers and Bus Master now want them. */
void virtio_irq_sync(struct virtio_pci *transport);
void virtio_irq_vector_changed(struct pci_dev *pci, unsigned int vector);
bool virtio_irq_pending(struct pci_dev *pci, unsigned int vector);

/* Maps a source to a vector that the driver wrote; one that does not exist unmaps it. */
void virtio_irq_map(struct virtio_pci *transport, unsigned int source, uint16_t vector);

/* No vector is mapped, nothing is pending. */
void virtio_irq_reset(struct virtio_pci *transport);

/* The ISR byte, which a read clears. */
uint8_t virtio_irq_take_isr(struct virtio_pci *transport);

#endif
