/*
 * What others ask of a slot's power thread. They leave a word in struct slot_commands and signal
 * an eventfd; some wait until it was served, some are told by an eventfd of their own. While the
 * thread does not run, whoever must have an answer serves it himself.
 */
#include "vfio/slot.h"
#include "vmm/base/eventfd.h"

/* `slot->commands` may be changed between these two; then the thread is told. */
static void begin_command(struct vfio_slot *slot)
{
	pthread_mutex_lock(&slot->lock);
}

static void end_command(struct vfio_slot *slot)
{
	eventfd_signal(slot->command_fd);
	pthread_mutex_unlock(&slot->lock);
}

void vfio_slot_request_power(void *opaque, bool on)
{
	struct vfio_slot *slot = opaque;

	(void)on; /* what counts is what is wanted when the thread gets to it */
	begin_command(slot);
	slot->commands.power = true;
	end_command(slot);
}

void vfio_slot_ejected(void *opaque)
{
	struct vfio_slot *slot = opaque;

	begin_command(slot);
	slot->commands.eject = true;
	end_command(slot);
}

void vfio_slot_request_unplug(struct vfio_slot *slot)
{
	begin_command(slot);
	slot->commands.unplug = true;
	end_command(slot);
}

void vfio_slot_host_error(void *opaque, unsigned int fn, int error)
{
	struct vfio_slot *slot = opaque;

	begin_command(slot);
	slot->commands.host_errors |= (uint8_t)(1U << fn);
	slot->commands.host_error[fn] = error;
	end_command(slot);
}

void vfio_slot_pme_cleared(void *opaque, unsigned int fn)
{
	struct vfio_slot *slot = opaque;

	begin_command(slot);
	slot->commands.pme_cleared |= (uint8_t)(1U << fn);
	end_command(slot);
}

/* Ends a command as end_command(), and waits until it was served, by whoever owns the power. */
static void await_command(struct vfio_slot *slot)
{
	unsigned int ticket = ++slot->commands.issued;

	eventfd_signal(slot->command_fd);
	while (slot->running && (int)(slot->served - ticket) < 0)
		pthread_cond_wait(&slot->answered, &slot->lock);
	pthread_mutex_unlock(&slot->lock);
	if (!slot->running)
		slot_serve_commands(slot);
}

int vfio_slot_insert(struct vfio_slot *slot, struct vfio_card *card, char *ret_why,
		     size_t why_size)
{
	struct slot_insertion insertion = {
		.card = card, .ret_why = ret_why, .why_size = why_size,
	};

	begin_command(slot);
	slot->commands.insertion = &insertion;
	await_command(slot);
	if (!insertion.error)
		vfio_card_close(card); /* nothing is left in it */
	return insertion.error;
}

/* Ends a command as end_command(); its end is told by `done_fd`. */
static void end_long_command(struct vfio_slot *slot, int done_fd)
{
	slot->commands.done_fd = done_fd;
	end_command(slot);
	if (!slot->running)
		slot_serve_commands(slot);
}

void vfio_slot_reset(struct vfio_slot *slot, int done_fd)
{
	begin_command(slot);
	slot->commands.reset = true;
	end_long_command(slot, done_fd);
}

void vfio_slot_suspend(struct vfio_slot *slot, int done_fd)
{
	begin_command(slot);
	slot->commands.suspend = true;
	end_long_command(slot, done_fd);
}

void vfio_slot_resume(struct vfio_slot *slot, int done_fd)
{
	begin_command(slot);
	slot->commands.resume = true;
	end_long_command(slot, done_fd);
}

void vfio_slot_stop(struct vfio_slot *slot)
{
	if (!slot->plugged)
		return;
	begin_command(slot);
	slot->commands.shutdown = true;
	await_command(slot);
	if (slot->running)
		pthread_join(slot->thread, NULL);
	slot->running = false;
	slot->plugged = false;
}
