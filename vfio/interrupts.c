/*
 * Interrupts from the host's eventfds into the guest, by irqfd. The guest's registers say what it
 * wants, `applied` and `count` what the host does; vfio_irqs_sync() makes the second the first, now
 * or when the device may be touched again.
 *
 * A masked message keeps its eventfd on the host and only loses its way into the guest, so that a
 * signal meanwhile stays in the eventfd: that is the pending bit, and unmasking delivers it.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vfio/function_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/log.h"

#define MSI_MASK_BITS 32U
#define MSIX_AT_ONCE 32U /* messages that the host enables with MSI-X, if there are so many */

static const unsigned int host_index[] = {
	[VFIO_IRQ_INTX] = VFIO_PCI_INTX_IRQ_INDEX,
	[VFIO_IRQ_MSI] = VFIO_PCI_MSI_IRQ_INDEX,
	[VFIO_IRQ_MSIX] = VFIO_PCI_MSIX_IRQ_INDEX,
};

int vfio_irqs_init(struct vfio_function *function, unsigned int messages)
{
	struct vfio_interrupts *irqs = &function->irqs;

	if (!messages)
		return 0;
	irqs->vector = calloc(messages, sizeof(*irqs->vector));
	irqs->triggers = calloc(messages, sizeof(*irqs->triggers));
	if (!irqs->vector || !irqs->triggers)
		return -ENOMEM;
	irqs->capacity = messages;
	for (unsigned int i = 0; i < messages; i++) {
		irqs->vector[i].trigger = -1;
		irqs->vector[i].route = -1;
	}
	return 0;
}

static bool is_signalled(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	return fd >= 0 && poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & POLLIN;
}

/* 0 when `*fd` is an eventfd. */
static int need_eventfd(int *fd)
{
	if (*fd < 0)
		*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return *fd < 0 ? -errno : 0;
}

/* --- what the guest wants --- */

static uint32_t msi_flags(const struct pci_dev *dev)
{
	return pci_cfg_read(&dev->cfg, dev->msi.cap + PCI_MSI_FLAGS, 2);
}

static bool msix_enabled(const struct pci_dev *dev)
{
	return dev->msix.cap && pci_cfg_read(&dev->cfg, dev->msix.cap + PCI_MSIX_FLAGS, 2) &
					PCI_MSIX_FLAGS_ENABLE;
}

/* INTx is left out while Interrupt Disable is set: it can signal nothing, and drivers that restore
 * their MSI after sleep switch that off and on again. */
static enum vfio_irq_kind wanted_kind(const struct vfio_function *function)
{
	const struct pci_dev *dev = &function->dev;

	if (msix_enabled(dev))
		return VFIO_IRQ_MSIX;
	if (pci_msi_active(dev))
		return VFIO_IRQ_MSI;
	if (function->irqs.intx.gsi &&
	    !(pci_cfg_read(&dev->cfg, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE))
		return VFIO_IRQ_INTX;
	return VFIO_IRQ_NONE;
}

/* The guest may write any Multiple Message Enable; what it may not is taken for the most. */
static unsigned int msi_count(const struct vfio_function *function)
{
	unsigned int mme = (msi_flags(&function->dev) & PCI_MSI_FLAGS_QSIZE) >> 4;
	unsigned int count = 1U << mme;

	return count < function->irqs.msi_max ? count : function->irqs.msi_max;
}

/* Messages for the host to enable: up to the last one that the guest unmasked or gave an address,
 * and as many as drivers commonly use from the start, see grow(). */
static unsigned int msix_count(const struct pci_dev *dev)
{
	unsigned int count = dev->msix.table_size;

	while (count > MSIX_AT_ONCE && !pci_msix_active(dev, count - 1) &&
	       !pci_msix_message(dev, count - 1).address)
		count--;
	return count;
}

static unsigned int wanted_count(const struct vfio_function *function, enum vfio_irq_kind kind)
{
	switch (kind) {
	case VFIO_IRQ_MSI:
		return msi_count(function);
	case VFIO_IRQ_MSIX:
		return msix_count(&function->dev);
	case VFIO_IRQ_INTX:
		return 1;
	case VFIO_IRQ_NONE:
		break;
	}
	return 0;
}

static uint32_t msi_mask(const struct pci_dev *dev)
{
	uint32_t flags = msi_flags(dev);
	uint16_t reg = dev->msi.cap +
		       (flags & PCI_MSI_FLAGS_64BIT ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32);

	return flags & PCI_MSI_FLAGS_MASKBIT ? pci_cfg_read(&dev->cfg, reg, 4) : 0;
}

static bool wants_vector(const struct vfio_function *function, unsigned int vector)
{
	const struct vfio_interrupts *irqs = &function->irqs;

	if (vector >= irqs->count)
		return false;
	if (irqs->applied == VFIO_IRQ_MSIX)
		return pci_msix_active(&function->dev, vector);
	return irqs->applied == VFIO_IRQ_MSI && vector < MSI_MASK_BITS &&
	       !(msi_mask(&function->dev) & 1U << vector);
}

/* PCIe 5.0, 7.7.1 MSI Capability Structures, Message Data Register for MSI: the device modifies the
 * low bits to tell its messages apart. */
static struct msi_message wanted_message(const struct vfio_function *function, unsigned int vector)
{
	struct msi_message message;

	if (function->irqs.applied == VFIO_IRQ_MSIX)
		return pci_msix_message(&function->dev, vector);
	message = pci_msi_message(&function->dev);
	message.data = (message.data & ~(msi_count(function) - 1)) | vector;
	return message;
}

/* --- messages --- */

static struct irq_fd vector_fd(const struct vfio_vector *vector)
{
	return (struct irq_fd){
		.trigger = vector->trigger,
		.resample = -1,
		.gsi = (uint32_t)vector->route,
	};
}

static void detach_vector(struct vfio_function *function, struct vfio_vector *vector)
{
	struct irq_fd fd = vector_fd(vector);

	if (!vector->attached)
		return;
	irq_fd_detach(function->irq, &fd);
	vector->attached = false;
}

static int set_route(struct vfio_function *function, struct vfio_vector *vector,
		     struct msi_message message)
{
	int error;

	if (vector->route < 0)
		vector->route = irq_route_alloc(function->irq);
	if (vector->route < 0)
		return vector->route;
	if (vector->route_set && vector->message.address == message.address &&
	    vector->message.data == message.data)
		return 0;
	error = irq_route_set(function->irq, vector->route, message);
	vector->route_set = !error;
	vector->message = message;
	return error;
}

static void sync_vector(struct vfio_function *function, unsigned int index)
{
	struct vfio_vector *vector = &function->irqs.vector[index];
	struct irq_fd fd;
	int error;

	if (!wants_vector(function, index)) {
		detach_vector(function, vector);
		return;
	}
	error = set_route(function, vector, wanted_message(function, index));
	if (!error && !vector->attached) {
		fd = vector_fd(vector);
		error = irq_fd_attach(function->irq, &fd);
		vector->attached = !error;
	}
	if (error)
		log_guest("vfio %s: interrupt message %u cannot reach the guest: %s",
			  function->backend->name, index, strerror(-error));
}

/* The host does `count` messages or says (a positive answer) how many it can. */
static int set_triggers(struct vfio_function *function, enum vfio_irq_kind kind,
			unsigned int wanted)
{
	struct vfio_backend *backend = function->backend;
	struct vfio_interrupts *irqs = &function->irqs;
	unsigned int count = wanted;
	int error = wanted > irqs->capacity ? -ENODEV : 0; /* given back: there are none any more */

	for (unsigned int i = 0; i < count && !error; i++) {
		error = need_eventfd(&irqs->vector[i].trigger);
		irqs->triggers[i] = irqs->vector[i].trigger;
	}
	if (!error)
		error = backend->ops->irq_set_triggers(backend, host_index[kind], 0, count,
						       irqs->triggers);
	if (error > 0 && (unsigned int)error < count) {
		log_guest("vfio %s: the host has %d interrupt messages, the guest wants %u",
			  backend->name, error, count);
		count = (unsigned int)error;
		error = backend->ops->irq_set_triggers(backend, host_index[kind], 0, count,
						       irqs->triggers);
	}
	if (error)
		return error < 0 ? error : -ENOSPC;
	irqs->applied = kind;
	irqs->count = count;
	irqs->wanted = wanted;
	return 0;
}

/* --- INTx --- */

static int attach_intx(struct vfio_function *function)
{
	struct vfio_interrupts *irqs = &function->irqs;
	int error = need_eventfd(&irqs->intx.trigger);

	if (!error)
		error = need_eventfd(&irqs->intx.resample);
	if (!error && !irqs->intx_attached)
		error = irq_fd_attach(function->irq, &irqs->intx);
	if (!error)
		irqs->intx_attached = true;
	return error;
}

void vfio_irqs_detach_intx(struct vfio_function *function)
{
	struct vfio_interrupts *irqs = &function->irqs;

	if (!irqs->intx_attached)
		return;
	irq_fd_detach(function->irq, &irqs->intx);
	irqs->intx_attached = false;
}

static int enable_intx(struct vfio_function *function)
{
	struct vfio_backend *backend = function->backend;
	struct vfio_interrupts *irqs = &function->irqs;
	int error = attach_intx(function);

	if (!error)
		error = backend->ops->irq_set_triggers(backend, VFIO_PCI_INTX_IRQ_INDEX, 0, 1,
						       &irqs->intx.trigger);
	if (error) {
		vfio_irqs_detach_intx(function);
		return error;
	}
	irqs->applied = VFIO_IRQ_INTX;
	irqs->count = 1;
	return backend->ops->intx_set_unmask(backend, irqs->intx.resample);
}

/* After sleep. What was signalled before is stale, the line may have changed; unmasking makes the
 * host look at it and signal again if it is high. */
static void resume_intx(struct vfio_function *function)
{
	struct vfio_backend *backend = function->backend;
	int error;

	eventfd_drain(function->irqs.intx.trigger);
	eventfd_drain(function->irqs.intx.resample);
	error = attach_intx(function);
	if (!error)
		error = backend->ops->intx_unmask(backend);
	if (error)
		vfio_function_failed(function, error, "unmasking INTx");
}

/* --- the whole --- */

/* `detach`: the guest's side too, and what is pending is forgotten. */
static void disable_host(struct vfio_function *function, bool detach)
{
	struct vfio_backend *backend = function->backend;
	struct vfio_interrupts *irqs = &function->irqs;
	int error;

	if (irqs->applied == VFIO_IRQ_NONE)
		return;
	if (irqs->applied == VFIO_IRQ_INTX)
		vfio_irqs_detach_intx(function);
	for (unsigned int i = 0; detach && i < irqs->capacity; i++)
		detach_vector(function, &irqs->vector[i]);
	error = backend->ops->irq_disable(backend, host_index[irqs->applied]);
	if (error)
		vfio_function_failed(function, error, "disabling interrupts");
	for (unsigned int i = 0; detach && i < irqs->capacity; i++)
		eventfd_drain(irqs->vector[i].trigger);
	eventfd_drain(irqs->intx.trigger);
	eventfd_drain(irqs->intx.resample);
	irqs->applied = VFIO_IRQ_NONE;
	irqs->count = 0;
}

void vfio_irqs_disable(struct vfio_function *function)
{
	disable_host(function, true);
}

/* The host cannot add messages to those enabled (not before Linux 6.12, which says so by a flag):
 * all are taken away and given again. One that the device sent meanwhile is lost, so each message
 * that was ever in use is sent once more. Not every driver bears one too many, either: Linux's
 * e1000e, which asks for its interrupts before it sets up the device, fills its ring of receive
 * buffers twice at the same time, and receives nothing. So this is kept rare by MSIX_AT_ONCE. */
static int grow(struct vfio_function *function, unsigned int count)
{
	struct vfio_interrupts *irqs = &function->irqs;
	unsigned int before = irqs->count;
	enum vfio_irq_kind kind = irqs->applied;
	int error;

	disable_host(function, false);
	error = set_triggers(function, kind, count);
	for (unsigned int i = 0; i < before && !error; i++)
		if (irqs->vector[i].route_set)
			eventfd_write(irqs->vector[i].trigger, 1);
	return error;
}

static int switch_kind(struct vfio_function *function, enum vfio_irq_kind kind, unsigned int count)
{
	disable_host(function, true);
	if (kind == VFIO_IRQ_INTX)
		return enable_intx(function);
	return kind ? set_triggers(function, kind, count) : 0;
}

/* One message of MSI or MSI-X. The number on the host grows when a message is unmasked, not when it
 * is written: drivers enable MSI-X before they fill in the table. What the host was asked for and
 * did not grant is not asked for again. */
static void update_vector(struct vfio_function *function, unsigned int vector)
{
	struct vfio_interrupts *irqs = &function->irqs;
	int error = 0;

	if (irqs->applied == VFIO_IRQ_MSIX && vector >= irqs->wanted &&
	    pci_msix_active(&function->dev, vector))
		error = grow(function, msix_count(&function->dev));
	if (error)
		vfio_function_failed(function, error, "enabling more interrupts");
	sync_vector(function, vector);
}

void vfio_irqs_sync(struct vfio_function *function)
{
	struct vfio_interrupts *irqs = &function->irqs;
	enum vfio_irq_kind kind = wanted_kind(function);
	unsigned int count = wanted_count(function, kind);
	int error = 0;

	if (!function->awake)
		return;
	if (kind != irqs->applied || (kind == VFIO_IRQ_MSI && count != irqs->wanted))
		error = switch_kind(function, kind, count);
	else if (kind == VFIO_IRQ_INTX && !irqs->intx_attached)
		resume_intx(function);
	if (error)
		vfio_function_failed(function, error, "enabling interrupts");
	for (unsigned int i = 0; i < irqs->capacity; i++)
		update_vector(function, i);
}

void vfio_irqs_msix_changed(struct pci_dev *dev, unsigned int vector)
{
	struct vfio_function *function = vfio_function_of(dev);

	if (function->awake && vector < function->irqs.capacity)
		update_vector(function, vector);
}

bool vfio_irqs_pending(struct pci_dev *dev, unsigned int vector)
{
	const struct vfio_interrupts *irqs = &vfio_function_of(dev)->irqs;

	return vector < irqs->count && !irqs->vector[vector].attached &&
	       is_signalled(irqs->vector[vector].trigger);
}

uint32_t vfio_irqs_msi_pending(struct vfio_function *function)
{
	uint32_t pending = 0;

	if (function->irqs.applied != VFIO_IRQ_MSI)
		return 0;
	for (unsigned int i = 0; i < function->irqs.count && i < MSI_MASK_BITS; i++)
		if (vfio_irqs_pending(&function->dev, i))
			pending |= 1U << i;
	return pending;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void vfio_irqs_finish(struct vfio_function *function)
{
	struct vfio_interrupts *irqs = &function->irqs;

	if (function->awake) /* else it is lost, and may sleep; closing it disables them too */
		disable_host(function, true);
	vfio_irqs_detach_intx(function);
	for (unsigned int i = 0; i < irqs->capacity; i++) {
		struct vfio_vector *vector = &irqs->vector[i];

		detach_vector(function, vector);
		if (vector->route >= 0)
			irq_route_free(function->irq, vector->route);
		close_fd(&vector->trigger);
	}
	close_fd(&irqs->intx.trigger);
	close_fd(&irqs->intx.resample);
	free(irqs->vector);
	free(irqs->triggers);
	irqs->vector = NULL;
	irqs->triggers = NULL;
	irqs->capacity = irqs->count = 0;
	irqs->applied = VFIO_IRQ_NONE;
}
