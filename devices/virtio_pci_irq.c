/*
 * Interrupts of a virtio function. Every source has an eventfd of the device's. With MSI-X the
 * kernel turns its signals into the message of the vector that it is mapped to; a masked vector
 * only loses that way, so that a signal meanwhile stays in the eventfd: that is the pending bit.
 * Without MSI-X the main loop takes the signals to the ISR byte and INTx.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "devices/virtio_pci_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/log.h"

#define ISR_QUEUE 0x1 /* VIRTIO 1.2, 4.1.4.5 ISR status capability */
#define SOURCE_CONFIG 0U

int virtio_irq_init(struct virtio_pci *transport)
{
	unsigned int vectors = transport->pci.msix.table_size;

	transport->source = calloc(transport->sources, sizeof(*transport->source));
	transport->vector = calloc(vectors, sizeof(*transport->vector));
	transport->line_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!transport->source || !transport->vector)
		return -ENOMEM;
	if (transport->line_fd < 0)
		return -errno;
	for (unsigned int i = 0; i < vectors; i++)
		transport->vector[i].gsi = -1;
	for (unsigned int i = 0; i < transport->sources; i++) {
		const struct virtio_dev *dev = transport->dev;

		transport->source[i].fd = i == SOURCE_CONFIG ? dev->config_fd
							     : dev->queue[i - 1].call_fd;
		transport->source[i].vector = VIRTIO_MSI_NO_VECTOR;
	}
	return 0;
}

/* --- MSI-X --- */

static bool msix_enabled(const struct virtio_pci *transport)
{
	const struct pci_dev *pci = &transport->pci;

	return pci_cfg_read(&pci->cfg, pci->msix.cap + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE;
}

static bool wants_vector(const struct virtio_pci *transport, const struct virtio_source *source)
{
	const struct pci_dev *pci = &transport->pci;

	return pci_msix_active(pci, source->vector) &&
	       pci_cfg_read(&pci->cfg, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
}

static struct irq_fd source_fd(const struct virtio_source *source, int gsi)
{
	return (struct irq_fd){.trigger = source->fd, .resample = -1, .gsi = (uint32_t)gsi};
}

static void detach(struct virtio_pci *transport, struct virtio_source *source)
{
	struct irq_fd fd = source_fd(source, source->attached_gsi);

	if (source->attached)
		irq_fd_detach(transport->irq, &fd);
	source->attached = false;
}

/* Points the vector's route at the message in its table entry. */
static int set_route(struct virtio_pci *transport, unsigned int index)
{
	struct virtio_vector *vector = &transport->vector[index];
	struct msi_message message = pci_msix_message(&transport->pci, index);
	int error;

	if (vector->gsi < 0)
		vector->gsi = irq_route_alloc(transport->irq);
	if (vector->gsi < 0)
		return vector->gsi;
	if (vector->set && vector->message.address == message.address &&
	    vector->message.data == message.data)
		return 0;
	error = irq_route_set(transport->irq, vector->gsi, message);
	vector->set = !error;
	vector->message = message;
	return error;
}

static void sync_source(struct virtio_pci *transport, struct virtio_source *source)
{
	int error;

	if (!wants_vector(transport, source)) {
		detach(transport, source);
		return;
	}
	error = set_route(transport, source->vector);
	if (!error && source->attached &&
	    source->attached_gsi != transport->vector[source->vector].gsi)
		detach(transport, source);
	if (!error && !source->attached) {
		struct irq_fd fd = source_fd(source, transport->vector[source->vector].gsi);

		error = irq_fd_attach(transport->irq, &fd);
		source->attached = !error;
		source->attached_gsi = (int)fd.gsi;
	}
	if (error)
		log_guest("%s %s: MSI-X vector %u cannot reach the guest: %s",
			  transport->dev->ops->type, transport->dev->name, source->vector,
			  strerror(-error));
}

/* --- INTx --- */

static void watch_lines(struct virtio_pci *transport, bool on)
{
	if (transport->lines_watched == on)
		return;
	for (unsigned int i = 0; i < transport->sources; i++) {
		struct epoll_event event = {.events = EPOLLIN};

		epoll_ctl(transport->line_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL,
			  transport->source[i].fd, &event);
	}
	transport->lines_watched = on;
}

int virtio_pci_line_fd(const struct virtio_pci *transport)
{
	return transport->line_fd;
}

/* What there is to say, as bits of the ISR byte. */
static uint8_t take_signals(struct virtio_pci *transport)
{
	uint8_t isr = 0;

	for (unsigned int i = 0; i < transport->sources; i++)
		if (eventfd_drain(transport->source[i].fd))
			isr |= i == SOURCE_CONFIG ? VIRTIO_PCI_ISR_CONFIG : ISR_QUEUE;
	return isr;
}

/* The line may be another function's, too, whose driver cannot make this one let go of it: without
 * a driver nothing is said. What it has missed of the configuration it is told later (virtio.c).
 * Who holds the lock may be waiting for others, for whom the main loop does not wait: the signals
 * stay where they are. */
void virtio_pci_service_line(struct virtio_pci *transport)
{
	uint8_t isr;

	if (pthread_mutex_trylock(&transport->pci.lock))
		return;
	if (transport->lines_watched) {
		isr = take_signals(transport);
		if (transport->dev->status & VIRTIO_CONFIG_S_DRIVER_OK)
			transport->isr |= isr;
		pci_dev_set_intx(&transport->pci, transport->isr);
	}
	pthread_mutex_unlock(&transport->pci.lock);
}

/* VIRTIO 1.2, 4.1.4.5 ISR status capability: "simply reading this register resets it to 0 and
 * causes the device to de-assert the interrupt". */
uint8_t virtio_irq_take_isr(struct virtio_pci *transport)
{
	uint8_t isr = transport->isr;

	transport->isr = 0;
	pci_dev_set_intx(&transport->pci, false);
	return isr;
}

/* --- the whole --- */

void virtio_irq_hush(struct virtio_pci *transport)
{
	watch_lines(transport, false);
}

void virtio_irq_sync(struct virtio_pci *transport)
{
	watch_lines(transport, !msix_enabled(transport));
	for (unsigned int i = 0; i < transport->sources; i++)
		sync_source(transport, &transport->source[i]);
}

void virtio_irq_vector_changed(struct pci_dev *pci, unsigned int vector)
{
	struct virtio_pci *transport = container_of(pci, struct virtio_pci, pci);

	for (unsigned int i = 0; i < transport->sources; i++)
		if (transport->source[i].vector == vector)
			sync_source(transport, &transport->source[i]);
}

bool virtio_irq_pending(struct pci_dev *pci, unsigned int vector)
{
	const struct virtio_pci *transport = container_of(pci, struct virtio_pci, pci);

	for (unsigned int i = 0; i < transport->sources; i++) {
		const struct virtio_source *source = &transport->source[i];
		struct pollfd fd = {.fd = source->fd, .events = POLLIN};

		if (source->vector == vector && !source->attached && poll(&fd, 1, 0) == 1)
			return true;
	}
	return false;
}

/* VIRTIO 1.2, 4.1.5.1.2.1 Device Requirements: MSI-X Vector Configuration: a mapping that fails
 * reads back as NO_VECTOR. */
void virtio_irq_map(struct virtio_pci *transport, unsigned int source, uint16_t vector)
{
	if (vector >= transport->pci.msix.table_size)
		vector = VIRTIO_MSI_NO_VECTOR;
	transport->source[source].vector = vector;
	sync_source(transport, &transport->source[source]);
}

void virtio_irq_reset(struct virtio_pci *transport)
{
	for (unsigned int i = 0; i < transport->sources; i++)
		transport->source[i].vector = VIRTIO_MSI_NO_VECTOR;
	virtio_irq_sync(transport);
	virtio_irq_take_isr(transport);
}

void virtio_irq_finish(struct virtio_pci *transport)
{
	for (unsigned int i = 0; transport->source && i < transport->sources; i++)
		detach(transport, &transport->source[i]);
	for (unsigned int i = 0; transport->vector && i < transport->pci.msix.table_size; i++)
		if (transport->vector[i].gsi >= 0)
			irq_route_free(transport->irq, transport->vector[i].gsi);
	if (transport->line_fd >= 0)
		close(transport->line_fd);
	free(transport->source);
	free(transport->vector);
}
