/*
 * How the driver says that there are buffers: by eventfds, which the kernel signals where it can.
 */
#include <string.h>

#include "devices/virtio_pci_internal.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/log.h"
#include "vmm/doorbell.h"

static gpa_t bell_address(const struct virtio_pci *transport, unsigned int queue)
{
	return transport->bar_address + VIRTIO_NOTIFY_OFF + (uint64_t)queue * VIRTIO_NOTIFY_STRIDE;
}

void virtio_doorbells_sync(struct virtio_pci *transport)
{
	struct virtio_dev *dev = transport->dev;
	bool wanted = dev->running && transport->bar_mapped;

	for (unsigned int i = 0; i < dev->queues; i++) {
		uint64_t bit = 1ULL << i;
		int error;

		if (!wanted && transport->bells & bit) {
			doorbell_remove(transport->doorbells, bell_address(transport, i),
					dev->queue[i].kick_fd);
			transport->bells &= ~bit;
		}
		if (!wanted || transport->bells & bit || !dev->queue[i].enabled)
			continue;
		error = doorbell_add(transport->doorbells, bell_address(transport, i),
				     dev->queue[i].kick_fd);
		if (!error)
			transport->bells |= bit;
		else
			log_guest("%s %s: queue %u is kicked the slow way: %s", dev->ops->type,
				  dev->name, i, strerror(-error));
	}
}

/* VIRTIO 1.2, 4.1.5.2 Available Buffer Notifications: the address says which queue, too. */
void virtio_doorbells_kick(struct virtio_pci *transport, uint64_t off)
{
	uint64_t queue = off / VIRTIO_NOTIFY_STRIDE;

	if (queue < transport->dev->queues && transport->dev->running)
		eventfd_signal(transport->dev->queue[queue].kick_fd);
}
