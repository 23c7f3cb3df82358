/*
 * The power thread of a slot: the one owner of its power state machine (vfio/power.h) and the only
 * reader of what the host signals (wake-ups, errors, the wish to have the device back). It waits
 * for commands, signals and the resend timer, and gives them to the machine one at a time. The host
 * may take a minute over an action; nobody but those who asked for the slot's power waits for it.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "devices/pci.h"
#include "devices/root_port.h"
#include "devices/slot_power.h"
#include "vfio/function.h"
#include "vfio/slot.h"
#include "vmm/base/bits.h"
#include "vmm/base/clock.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/log.h"
#include "vmm/base/thread.h"
#include "vmm/events.h"

/* The kernel repeats its wish every ten seconds; a guest takes a second press of the button for a
 * change of mind while it still blinks. */
#define ASK_AGAIN_US (60 * 1000 * 1000ULL)
/* In this time a guest that switches the slot off is done with that; Linux takes a second. */
#define SETTLED_MS 5000
#define FILES_MAX (4 + HOST_FUNCTIONS * SLOT_SIGNALS)

static void feed(struct vfio_slot *slot, enum power_event_type type, unsigned int fn, int error)
{
	slot_feed(slot, (struct power_event) {
		.type = type, .function = (uint8_t)fn, .error = error,
	});
}

/* --- the slot from the beginning, and empty --- */

static void stop_timers(const struct vfio_slot *slot)
{
	slot_set_timer(slot->timer_fd, 0);
	slot_set_timer(slot->hold_fd, 0);
}

/* The slot as after power-on: what the guest asked for before is void. */
static void start_anew(struct vfio_slot *slot)
{
	stop_timers(slot);
	slot_watch_woken(slot, true);
	feed(slot, POWER_EV_RESET, 0, 0);
	slot_power_reset(slot->controller);
	slot->main_power_lost = false;
}

static void give_back(struct vfio_slot *slot)
{
	stop_timers(slot);
	slot_set_timer(slot->patience_fd, 0);
	feed(slot, POWER_EV_REMOVE, 0, 0);
	slot_empty(slot);
	slot->asked_at = 0;
}

/* --- the card is wanted back --- */

/* Empty for the guest, or switched off by it: it would take the button for the wish to have the
 * slot on. */
static bool is_out_of_use(const struct vfio_slot *slot)
{
	return slot->card.power.fn[0].state == POWER_LOST || root_port_slot_is_off(slot->port);
}

static void tell_request(const struct vfio_slot *slot, const char *name, const char *device,
			 const char *detail)
{
	const struct event event = {
		.event = name, .device = device, .id = slot->card.config.id,
		.cause = slot->asked_by, .detail = detail,
	};

	events_emit(&event);
	log_info("vfio %s: %s", slot->card.name, detail);
}

/* `who` wants `device` back. */
static void ask_for_card(struct vfio_slot *slot, const char *who, const char *device)
{
	uint64_t now = clock_us();
	bool out_of_use = is_out_of_use(slot);

	if (!out_of_use && slot->asked_at && now - slot->asked_at < ASK_AGAIN_US)
		return;
	slot->asked_by = who;
	if (out_of_use) {
		tell_request(slot, "unplug-request", device,
			     "it is wanted back, and the guest does not use it");
		give_back(slot);
		return;
	}
	slot->asked_at = now;
	slot_set_timer(slot->patience_fd, ASK_AGAIN_US / 1000);
	tell_request(slot, "unplug-request", device,
		     "it is wanted back: the guest is asked to eject the slot");
	root_port_press_attention(slot->port); /* wakes a sleeping port, too */
}

static void serve_unplug(struct vfio_slot *slot)
{
	if (slot->card.name[0])
		ask_for_card(slot, "user", slot->card.name);
}

/* The guest has had its time: to eject the card, which it may still do, or to be done with the one
 * before. */
static void lose_patience(struct vfio_slot *slot)
{
	if (!slot->asked_at)
		root_port_settle(slot->port);
	else
		tell_request(slot, "unplug-ignored", slot->card.name,
			     "the guest has not ejected it within a minute: it stays, until the "
			     "guest does or is reset, or is asked again");
}

/* The guest switched the hot-plug slot off. If the card is wanted back it goes; else this is the
 * guest's way to a card in its first state. After a removal it is a matter of form. */
static void serve_eject(struct vfio_slot *slot)
{
	const struct power_function *first = &slot->card.power.fn[0];

	if (slot->asked_at)
		give_back(slot);
	else if (first->exists && first->state != POWER_LOST)
		start_anew(slot);
}

/* --- commands --- */

static void switch_off(struct vfio_slot *slot)
{
	bool was_on = slot->card.power.slot_on;

	slot_watch_hold(slot);
	feed(slot, POWER_EV_OFF, 0, 0);
	if (was_on)
		slot_watch_slept(slot);
}

static void serve_power(struct vfio_slot *slot)
{
	slot->sequence = slot_power_sequence(slot->controller);
	if (slot_power_wanted(slot->controller)) {
		stop_timers(slot);
		slot_watch_woken(slot, true);
		feed(slot, POWER_EV_ON, 0, 0);
		return;
	}
	switch_off(slot);
}

/* The guest has seen to the PME itself; one that still waits in the port would only puzzle it. A
 * function that was woken again meanwhile keeps its own. */
static void forget_pme(struct vfio_slot *slot, unsigned int i)
{
	struct vfio_function *function = slot->card.fn[i].function;

	if (!function) /* it was taken away meanwhile */
		return;
	if (vfio_function_pme_enable(function) && vfio_function_pme_status(function))
		return;
	root_port_pme_forget(slot->port, vfio_function_pci(function)->devfn);
}

static void serve_insertion(struct vfio_slot *slot, struct slot_insertion *insertion)
{
	insertion->error = slot_insert(slot, insertion->card, insertion->ret_why,
				       insertion->why_size);
	/* A guest that has the power on is told by the controller that it is. One that has it off
	 * finds the card awake all the same when it comes for it. */
	if (insertion->error)
		return;
	slot_set_timer(slot->patience_fd, SETTLED_MS);
	if (slot_power_wanted(slot->controller))
		serve_power(slot);
}

/* The guest begins anew: the time to take what it has not given back. */
static void serve_reset(struct vfio_slot *slot)
{
	if (slot->asked_at)
		give_back(slot);
	start_anew(slot);
	slot_reserve(slot);
	pci_dev_reset(root_port_pci(slot->port));
}

/* ACPI 6.3, 16.1.3 S3 Sleeping State: power is maintained for memory and what wakes. */
static void serve_suspend(struct vfio_slot *slot)
{
	if (!slot->card.name[0] || !slot->card.power.slot_on)
		return;
	slot->main_power_lost = true;
	switch_off(slot);
}

/* Functions that were woken, and that the guest has not seen to; also where their PME has been sent
 * as often as it is (vfio/power.h). */
static void send_pmes_again(struct vfio_slot *slot)
{
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		struct vfio_function *function = slot->card.fn[i].function;

		if (!function || slot->card.power.fn[i].state != POWER_WOKEN)
			continue;
		if (vfio_function_pme_enable(function) && vfio_function_pme_status(function))
			root_port_pme(slot->port, vfio_function_pci(function)->devfn);
	}
}

/* The port has lost its registers, and with them what it showed of PMEs and of the button. */
static void serve_resume(struct vfio_slot *slot)
{
	if (slot->main_power_lost)
		start_anew(slot);
	slot_reserve(slot);
	pci_dev_reset(root_port_pci(slot->port));
	send_pmes_again(slot);
	if (slot->asked_at)
		root_port_press_attention(slot->port);
}

/* All that was asked for so far, as one. */
static void serve(struct vfio_slot *slot, const struct slot_commands *commands)
{
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		if (commands->pme_cleared & 1U << i)
			forget_pme(slot, i);
		if (commands->host_errors & 1U << i)
			feed(slot, POWER_EV_HOST_ERROR, i, commands->host_error[i]);
	}
	if (commands->eject && !commands->reset)
		serve_eject(slot);
	if (commands->unplug)
		serve_unplug(slot);
	if (commands->reset)
		serve_reset(slot);
	else if (commands->power && !commands->shutdown)
		serve_power(slot);
	if (commands->suspend)
		serve_suspend(slot);
	if (commands->resume)
		serve_resume(slot);
	if (commands->insertion)
		serve_insertion(slot, commands->insertion);
	if (commands->shutdown)
		feed(slot, POWER_EV_SHUTDOWN, 0, 0);
}

bool slot_serve_commands(struct vfio_slot *slot)
{
	struct slot_commands commands;

	eventfd_drain(slot->command_fd);
	pthread_mutex_lock(&slot->lock);
	commands = slot->commands;
	slot->commands = (struct slot_commands) {.issued = commands.issued};
	pthread_mutex_unlock(&slot->lock);
	serve(slot, &commands);
	pthread_mutex_lock(&slot->lock);
	slot->served = commands.issued;
	pthread_cond_broadcast(&slot->answered);
	pthread_mutex_unlock(&slot->lock);
	if (commands.suspend || commands.resume || commands.reset)
		eventfd_signal(commands.done_fd);
	return !commands.shutdown;
}

/* --- what the host signals --- */

static void on_wakeup(struct vfio_slot *slot, unsigned int fn)
{
	enum power_cause cause = slot_watch_wake(slot, fn);

	if (cause != POWER_CAUSE_OWN)
		slot_watch_woken(slot, false);
	slot_feed(slot, (struct power_event) {
		.type = POWER_EV_WAKE, .function = (uint8_t)fn, .cause = cause,
	});
}

/*
 * Linux signals ERR for errors that are fatal or not, with no word about which
 * (pci/vfio_pci_core.c, vfio_pci_core_aer_err_detected()), and clears the device's own registers
 * before anybody reads them. A guest, too, need not ask the device about a fatal error.
 */
static void on_error(struct vfio_slot *slot, unsigned int fn)
{
	bool in_use = slot->card.power.fn[fn].state == POWER_ON;

	slot_emit(slot, fn, "error", in_use ?
		"the host saw an uncorrectable error of the device; the guest is told" :
		"the host saw an uncorrectable error of the sleeping device");
	if (!in_use)
		return;
	root_port_report_error(slot->port, vfio_function_pci(slot->card.fn[fn].function)->devfn,
			       ROOT_PORT_FATAL);
	feed(slot, POWER_EV_HOST_ERROR, fn, -EIO);
}

static void on_request(struct vfio_slot *slot, unsigned int fn)
{
	ask_for_card(slot, "host", vfio_function_name(slot->card.fn[fn].function));
}

/* The guest asked for the sleep long ago, and has not touched the slot since. */
static void retry(struct vfio_slot *slot)
{
	slot_watch_hold(slot);
	feed(slot, POWER_EV_RETRY, 0, 0);
	slot_watch_slept(slot);
}

static void serve_signals(struct vfio_slot *slot)
{
	static void (*const handlers[SLOT_SIGNALS])(struct vfio_slot *slot, unsigned int fn) = {
		[SLOT_WAKEUP] = on_wakeup, [SLOT_ERROR] = on_error, [SLOT_REQUEST] = on_request,
	};

	if (eventfd_drain(slot->timer_fd))
		feed(slot, POWER_EV_RESEND, 0, 0);
	if (eventfd_drain(slot->hold_fd))
		retry(slot);
	if (eventfd_drain(slot->patience_fd))
		lose_patience(slot);
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		for (unsigned int kind = 0; kind < SLOT_SIGNALS; kind++)
			if (eventfd_drain(slot->card.fn[i].signal_fd[kind]) &&
			    slot->card.power.fn[i].exists)
				handlers[kind](slot, i);
}

/* --- the thread --- */

/* Anew each time: a card comes and goes. */
static unsigned int list_files(const struct vfio_slot *slot, struct pollfd fds[FILES_MAX])
{
	const int own[] = {slot->command_fd, slot->timer_fd, slot->hold_fd, slot->patience_fd};
	unsigned int count = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(own); i++)
		fds[count++] = (struct pollfd) {.fd = own[i], .events = POLLIN};
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		for (unsigned int kind = 0; kind < SLOT_SIGNALS; kind++)
			if (slot->card.fn[i].function)
				fds[count++] = (struct pollfd) {
					.fd = slot->card.fn[i].signal_fd[kind], .events = POLLIN,
				};
	return count;
}

static void *power_thread(void *opaque)
{
	struct vfio_slot *slot = opaque;
	struct pollfd fds[FILES_MAX];

	for (;;) {
		if (poll(fds, list_files(slot, fds), -1) < 0)
			continue; /* EINTR */
		/* A wake-up that the guest's _ON overtakes is drained by EXIT: commands first. But
		 * a guest that never stops to ring must not keep the host's signals waiting. */
		if (fds[0].revents && !slot_serve_commands(slot))
			return NULL;
		serve_signals(slot);
	}
}

int vfio_slot_start(struct vfio_slot *slot)
{
	char name[sizeof("slot ") + 10];
	int error;

	snprintf(name, sizeof(name), "slot %u", slot->index);
	error = thread_create(&slot->thread, name, power_thread, slot);

	slot->running = !error;
	return error;
}
