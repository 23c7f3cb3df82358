/* Interrupts: eventfds that the client routed, with the rules of vfio-pci's SET_IRQS. */
#include "guest-tests/model-gpu/model.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#define DATA_MASK (VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_DATA_EVENTFD)
#define ACTION_MASK \
	(VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_ACTION_TRIGGER)

bool is_eventfd(int fd)
{
	char path[32], target[32];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return false;
	target[len] = 0;
	return !strcmp(target, "anon_inode:[eventfd]");
}

void eventfd_signal(int fd)
{
	struct pollfd room = {.fd = fd, .events = POLLOUT};
	uint64_t one = 1;

	/* The client chose whether a write to a full counter blocks. Full is signalled anyway. */
	if (poll(&room, 1, 0) == 1 && room.revents & POLLOUT &&
	    write(fd, &one, sizeof(one)) != sizeof(one))
		fprintf(stderr, "model-gpu: an eventfd takes no signal\n");
}

static void set_fd(int *slot, int fd)
{
	if (*slot >= 0)
		close(*slot);
	*slot = fd;
}

/* --- INTx --- */

static bool intx_level(const struct function *fn)
{
	return fn->registers.irq_status && config_intx_enabled(fn);
}

void interrupts_update_intx(struct function *fn)
{
	struct irq_index *intx = &fn->interrupts.index[VFIO_PCI_INTX_IRQ_INDEX];

	if (!intx->enabled || fn->interrupts.intx_masked || !intx_level(fn))
		return;
	/* Automasked: it is signalled once, until the client unmasks it. */
	fn->interrupts.intx_masked = true;
	if (intx->trigger[0] >= 0)
		eventfd_signal(intx->trigger[0]);
}

static void intx_unmask(struct function *fn)
{
	fn->interrupts.intx_masked = false;
	interrupts_update_intx(fn);
}

static void unmask_ready(struct watch *watch, uint32_t events)
{
	struct interrupts *interrupts = container_of(watch, struct interrupts, unmask);
	struct pollfd set = {.fd = watch->fd, .events = POLLIN};
	uint64_t count;

	(void)events;
	if (poll(&set, 1, 0) == 1 && read(watch->fd, &count, sizeof(count)) == sizeof(count))
		intx_unmask(container_of(interrupts, struct function, interrupts));
}

static void set_unmask(struct function *fn, int fd)
{
	struct watch *watch = &fn->interrupts.unmask;

	if (watch->fd >= 0) {
		watch_remove(watch);
		close(watch->fd);
	}
	watch->fd = fd;
	if (fd >= 0)
		watch_add(watch, EPOLLIN);
}

/* --- raising --- */

bool interrupts_signal(struct function *fn, uint32_t index, uint32_t vector)
{
	const struct irq_index *irq = &fn->interrupts.index[index];

	if (!irq->enabled || vector >= irq->count || irq->trigger[vector] < 0)
		return false;
	eventfd_signal(irq->trigger[vector]);
	return true;
}

static bool enabled(const struct function *fn, uint32_t index)
{
	return fn->interrupts.index[index].enabled;
}

void interrupts_raise(struct function *fn, uint32_t vector)
{
	if (vector >= 32)
		return;
	fn->registers.irq_status |= 1U << vector;
	if (enabled(fn, VFIO_PCI_MSIX_IRQ_INDEX))
		interrupts_signal(fn, VFIO_PCI_MSIX_IRQ_INDEX, vector);
	else if (enabled(fn, VFIO_PCI_MSI_IRQ_INDEX))
		interrupts_signal(fn, VFIO_PCI_MSI_IRQ_INDEX, 0);
	else
		interrupts_update_intx(fn);
}

bool interrupts_signal_asleep(struct function *fn, uint32_t vector)
{
	if (enabled(fn, VFIO_PCI_MSIX_IRQ_INDEX))
		return interrupts_signal(fn, VFIO_PCI_MSIX_IRQ_INDEX, vector);
	if (enabled(fn, VFIO_PCI_MSI_IRQ_INDEX))
		return interrupts_signal(fn, VFIO_PCI_MSI_IRQ_INDEX, 0);
	return interrupts_signal(fn, VFIO_PCI_INTX_IRQ_INDEX, 0);
}

/* --- SET_IRQS --- */

void interrupts_init(struct function *fn)
{
	const uint32_t counts[VFIO_PCI_NUM_IRQS] = {
		[VFIO_PCI_INTX_IRQ_INDEX] = 1,
		[VFIO_PCI_MSI_IRQ_INDEX] = 1,
		[VFIO_PCI_MSIX_IRQ_INDEX] = fn->kind->vectors,
		[VFIO_PCI_ERR_IRQ_INDEX] = 1,
		[VFIO_PCI_REQ_IRQ_INDEX] = 1,
	};

	for (unsigned int i = 0; i < VFIO_PCI_NUM_IRQS; i++) {
		fn->interrupts.index[i].count = counts[i];
		for (unsigned int v = 0; v < VECTORS_MAX; v++)
			fn->interrupts.index[i].trigger[v] = -1;
	}
	fn->interrupts.unmask = (struct watch){.fd = -1, .ready = unmask_ready};
}

int interrupts_info(struct function *fn, struct vfio_irq_info *info)
{
	if (info->index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	info->count = fn->interrupts.index[info->index].count;
	info->flags = VFIO_IRQ_INFO_EVENTFD;
	if (info->index == VFIO_PCI_INTX_IRQ_INDEX)
		info->flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
	else if (info->index != VFIO_PCI_MSIX_IRQ_INDEX)
		info->flags |= VFIO_IRQ_INFO_NORESIZE;
	return 0;
}

static void disable(struct function *fn, uint32_t index)
{
	struct irq_index *irq = &fn->interrupts.index[index];

	for (unsigned int v = 0; v < VECTORS_MAX; v++)
		set_fd(&irq->trigger[v], -1);
	irq->enabled = false;
	if (index == VFIO_PCI_INTX_IRQ_INDEX) {
		set_unmask(fn, -1);
		fn->interrupts.intx_masked = false;
	}
}

void interrupts_drop(struct function *fn)
{
	for (uint32_t i = 0; i < VFIO_PCI_NUM_IRQS; i++)
		disable(fn, i);
}

static bool is_line(uint32_t index)
{
	return index <= VFIO_PCI_MSIX_IRQ_INDEX;
}

/* INTx, MSI and MSI-X exclude each other. */
static bool other_enabled(const struct function *fn, uint32_t index)
{
	for (uint32_t i = 0; is_line(index) && is_line(i); i++)
		if (i != index && enabled(fn, i))
			return true;
	return false;
}

static int route(struct function *fn, const struct vfio_irq_set *set, int *fds,
		 unsigned int fd_count)
{
	struct irq_index *irq = &fn->interrupts.index[set->index];

	if (other_enabled(fn, set->index))
		return -EINVAL;
	for (uint32_t i = 0; i < set->count; i++) {
		set_fd(&irq->trigger[set->start + i], fd_count ? fds[i] : -1);
		if (fd_count)
			fds[i] = -1;
	}
	irq->enabled |= fd_count > 0;
	if (set->index == VFIO_PCI_INTX_IRQ_INDEX)
		interrupts_update_intx(fn);
	return 0;
}

static int set_trigger(struct function *fn, const struct vfio_irq_set *set, const uint8_t *data,
		       int *fds, unsigned int fd_count)
{
	if (!set->count) {
		disable(fn, set->index);
		return 0;
	}
	if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD)
		return route(fn, set, fds, fd_count);
	if (!enabled(fn, set->index))
		return -EINVAL;
	for (uint32_t i = 0; i < set->count; i++)
		if (set->flags & VFIO_IRQ_SET_DATA_NONE || data[i])
			interrupts_signal(fn, set->index, set->start + i);
	return 0;
}

static int set_mask(struct function *fn, const struct vfio_irq_set *set, const uint8_t *data,
		    int *fds, unsigned int fd_count)
{
	bool unmask = set->flags & VFIO_IRQ_SET_ACTION_UNMASK;

	if (set->index != VFIO_PCI_INTX_IRQ_INDEX)
		return -ENOTTY;
	if (!enabled(fn, set->index) || set->count != 1)
		return -EINVAL;
	if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
		if (!unmask)
			return -ENOTTY;
		set_unmask(fn, fd_count ? fds[0] : -1);
		if (fd_count)
			fds[0] = -1;
		return 0;
	}
	if (set->flags & VFIO_IRQ_SET_DATA_BOOL && !data[0])
		return 0;
	if (unmask)
		intx_unmask(fn);
	else
		fn->interrupts.intx_masked = true;
	return 0;
}

static bool one_bit(uint32_t bits)
{
	return bits && !(bits & (bits - 1));
}

static int check_set(const struct function *fn, const struct vfio_irq_set *set, const int *fds,
		     unsigned int fd_count)
{
	uint32_t count;

	if (set->index >= VFIO_PCI_NUM_IRQS || set->flags & ~(uint32_t)(DATA_MASK | ACTION_MASK) ||
	    !one_bit(set->flags & DATA_MASK) || !one_bit(set->flags & ACTION_MASK))
		return -EINVAL;
	count = fn->interrupts.index[set->index].count;
	if (set->start > count || set->count > count - set->start)
		return -EINVAL;
	if (!set->count)
		return set->flags == (VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER) &&
		       !set->start ? 0 : -EINVAL;
	if (!(set->flags & VFIO_IRQ_SET_DATA_EVENTFD))
		return fd_count ? -EINVAL : 0;
	if (fd_count && fd_count != set->count)
		return -EINVAL;
	for (unsigned int i = 0; i < fd_count; i++)
		if (!is_eventfd(fds[i]))
			return -EINVAL;
	return 0;
}

int interrupts_set(struct function *fn, const struct vfio_irq_set *set, const uint8_t *data,
		   int *fds, unsigned int fd_count)
{
	int error = check_set(fn, set, fds, fd_count);

	if (error)
		return error;
	if (set->flags & VFIO_IRQ_SET_ACTION_TRIGGER)
		return set_trigger(fn, set, data, fds, fd_count);
	return set_mask(fn, set, data, fds, fd_count);
}
