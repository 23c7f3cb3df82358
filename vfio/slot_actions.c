/*
 * What the power state machine asks for, done: one small function an action, in a table.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>

#include "devices/acpi_pm.h"
#include "devices/pci.h"
#include "devices/root_port.h"
#include "devices/slot_power.h"
#include "vfio/function.h"
#include "vfio/slot.h"
#include "vmm/base/clock.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/log.h"
#include "vmm/events.h"

#define DETAIL_MAX 320

void slot_set_timer(int fd, uint64_t ms)
{
	const struct itimerspec when = {
		.it_value = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = ms % 1000 * 1000000L},
	};

	timerfd_settime(fd, 0, &when, NULL);
}

void slot_emit(const struct vfio_slot *slot, unsigned int fn, const char *name, const char *detail)
{
	const struct event event = {
		.event = name, .device = vfio_function_name(slot->card.fn[fn].function),
		.detail = detail,
	};

	events_emit(&event);
}

/*
 * Each does one action on the function's behalf; those whose result the machine awaits return it.
 */
typedef int (*action_fn)(struct vfio_slot *slot, const struct power_action *action);

static struct vfio_backend *backend_of(const struct vfio_slot *slot,
				       const struct power_action *action)
{
	return vfio_function_backend(slot->card.fn[action->function].function);
}

static int do_detach(struct vfio_slot *slot, const struct power_action *action)
{
	vfio_function_detach(slot->card.fn[action->function].function);
	return 0;
}

static int do_drain(struct vfio_slot *slot, const struct power_action *action)
{
	eventfd_drain(slot->card.fn[action->function].signal_fd[SLOT_WAKEUP]);
	return 0;
}

static int do_entry(struct vfio_slot *slot, const struct power_action *action)
{
	struct vfio_backend *backend = backend_of(slot, action);
	int fd = slot->card.fn[action->function].signal_fd[SLOT_WAKEUP];

	slot_watch_before(slot, action->function);
	if (action->with_wakeup)
		return backend->ops->low_power(backend, VFIO_LOW_POWER_ENTRY_WITH_WAKEUP, fd);
	return backend->ops->low_power(backend, VFIO_LOW_POWER_ENTRY, -1);
}

/* The kernel signals the eventfd before EXIT returns, so it is empty afterwards for sure. */
static int do_exit(struct vfio_slot *slot, const struct power_action *action)
{
	struct vfio_backend *backend = backend_of(slot, action);
	int error = backend->ops->low_power(backend, VFIO_LOW_POWER_EXIT, -1);

	eventfd_drain(slot->card.fn[action->function].signal_fd[SLOT_WAKEUP]);
	return error;
}

static int do_check(struct vfio_slot *slot, const struct power_action *action)
{
	return vfio_function_check(slot->card.fn[action->function].function);
}

static int do_reset(struct vfio_slot *slot, const struct power_action *action)
{
	return vfio_function_reset(slot->card.fn[action->function].function, action->device);
}

static int do_recover(struct vfio_slot *slot, const struct power_action *action)
{
	struct vfio_backend *backend = backend_of(slot, action);
	int error = backend->ops->reset(backend);

	log_warn("vfio %s: does not answer; function reset: %s", backend->name,
		 error ? strerror(-error) : "done");
	return error;
}

static int do_slot_reset(struct vfio_slot *slot, const struct power_action *action)
{
	struct vfio_backend *backend = backend_of(slot, action);
	int error = backend->ops->slot_reset(backend);

	if (error)
		log_warn("vfio %s: hot reset of the slot failed: %s", backend->name,
			 strerror(-error));
	return error;
}

static int do_attach(struct vfio_slot *slot, const struct power_action *action)
{
	vfio_function_attach(slot->card.fn[action->function].function);
	return 0;
}

static int do_gone(struct vfio_slot *slot, const struct power_action *action)
{
	vfio_function_gone(slot->card.fn[action->function].function);
	return 0;
}

static int do_release(struct vfio_slot *slot, const struct power_action *action)
{
	vfio_function_release(slot->card.fn[action->function].function);
	return 0;
}

static int do_pme(struct vfio_slot *slot, const struct power_action *action)
{
	struct vfio_function *function = slot->card.fn[action->function].function;

	vfio_function_set_pme_status(function);
	if (root_port_pme(slot->port, vfio_function_pci(function)->devfn))
		acpi_pm_pcie_wake(slot->machine.pm);
	slot_emit(slot, action->function, "pme", NULL);
	return 0;
}

static int do_notify(struct vfio_slot *slot, const struct power_action *action)
{
	slot_power_set_wake(slot->controller, (uint8_t)(1U << action->function));
	acpi_pm_raise_gpe(slot->machine.pm, GPE_SLOT_FIRST + slot->index);
	slot_emit(slot, action->function, "notify", NULL);
	return 0;
}

static int do_timer(struct vfio_slot *slot, const struct power_action *action)
{
	(void)action;
	slot_set_timer(slot->timer_fd, POWER_RESEND_MS);
	return 0;
}

/* --- reports --- */

/* Why an entry was refused, for people. */
static const char *refusal(const struct vfio_slot *slot, const struct power_action *action)
{
	const struct power_function *fn = &slot->card.power.fn[action->function];

	if (action->error == -ECANCELED)
		return "another function of the slot refused, so none stays in low power";
	if (fn->hold && action->error == fn->hold)
		return "the slot is left awake for a while: it was woken again and again";
	if (!fn->can_enter && action->error == -ENOTTY)
		return "the host's kernel has no VFIO low power (Linux 6.1 and later have)";
	if (slot->card.policy.power != POLICY_POWER_D3COLD)
		return "low power is not allowed for this slot (see event policy)";
	if (!fn->can_enter)
		return "the host offers no low power for this device";
	if (fn->engaged_wakeup && !fn->can_enter_wakeup)
		return "the host's kernel has no low power with wake-up";
	return "the host refused to enter low power";
}

/* What was tried with a device that did not answer, and what else there is. */
static void describe_loss(const struct vfio_slot *slot, const struct power_action *action,
			  char *ret_text, size_t size)
{
	static const char *const tried[] = {
		[0] = "no reset is possible",
		[POWER_TRIED_RESET] = "tried: function reset",
		[POWER_TRIED_SLOT_RESET] = "tried: hot reset of the slot",
		[POWER_TRIED_RESET | POWER_TRIED_SLOT_RESET] =
			"tried: function reset, hot reset of the slot",
	};
	const char *what = action->error == -ENODEV ? "the device reads as ones"
						    : "the host cannot wake or read the device";

	if (action->recovered)
		snprintf(ret_text, size, "%s (%s): it answers again, and the guest gets it back "
			 "with its next reset", what, tried[action->tried]);
	else if (slot->card.config.socket[0])
		snprintf(ret_text, size, "%s (%s); next: start its server and the guest again",
			 what, tried[action->tried]);
	else
		snprintf(ret_text, size, "%s (%s); next, as root on the host, without this guest: "
			 "echo 1 >/sys/bus/pci/devices/%s/remove; echo 1 >/sys/bus/pci/rescan; "
			 "then a power cycle of the host", what, tried[action->tried],
			 vfio_function_name(slot->card.fn[action->function].function));
}

static const char *describe(const struct vfio_slot *slot, const struct power_action *action,
			    char *text, size_t size)
{
	switch (action->to) {
	case POWER_LOST:
		describe_loss(slot, action, text, size);
		return text;
	case POWER_REFUSED:
		return refusal(slot, action);
	case POWER_RELEASED:
		return "given back to the host";
	default:
		if (action->recovered)
			return action->tried & POWER_TRIED_SLOT_RESET ?
				"it did not answer; a hot reset of the slot brought it back" :
				"it did not answer; a function reset brought it back";
		return action->error == -EBUSY ? "not reset: another function is still engaged" :
		       action->error ? "the reset failed" : NULL;
	}
}

static int do_report(struct vfio_slot *slot, const struct power_action *action)
{
	struct slot_function *fn = &slot->card.fn[action->function];
	const struct event_number slept[] = {
		{"engaged_us", fn->engaged_us}, {"suspended_us", fn->suspended_us},
	};
	bool left = action->from == POWER_ENGAGED && fn->engaged_us;
	char text[DETAIL_MAX];
	const struct event event = {
		.event = "power",
		.device = vfio_function_name(fn->function),
		.from = power_state_name(action->from),
		.to = power_state_name(action->to),
		.cause = power_cause_name(action->cause),
		.detail = describe(slot, action, text, sizeof(text)),
		.error = action->error,
		.latency_us = fn->host_us,
		.number = slept,
		.numbers = !left ? 0 : fn->observed ? 2 : 1,
	};

	events_emit(&event);
	fn->host_us = 0;
	if (left)
		fn->engaged_us = fn->suspended_us = 0;
	fn->stats.losses += action->to == POWER_LOST && action->from != POWER_LOST;
	fn->stats.recoveries += action->recovered;
	if (action->to == POWER_LOST && action->from != POWER_LOST)
		log_err("vfio %s: %s", event.device, event.detail);
	return 0;
}

/* The slot counts as empty when its first function is lost or given back: without that one no guest
 * finds the others. */
static void show_presence(struct vfio_slot *slot)
{
	const struct power_function *first = &slot->card.power.fn[0];

	root_port_set_present(slot->port, first->exists && first->state != POWER_LOST);
}

/* The last of a step: a guest that has its answer finds everything as it is to be. */
static int do_done(struct vfio_slot *slot, const struct power_action *action)
{
	show_presence(slot);
	slot_power_done(slot->controller, slot->sequence, action->on);
	return 0;
}

/* --- the loop --- */

static const struct action {
	action_fn act;
	bool has_result; /* the machine awaits it, as event `answer` */
	enum power_event_type answer;
} actions_of[] = {
	[POWER_DO_DETACH] = {.act = do_detach},
	[POWER_DO_DRAIN] = {.act = do_drain},
	[POWER_DO_ENTRY] = {do_entry, true, POWER_EV_ENTRY_DONE},
	[POWER_DO_EXIT] = {do_exit, true, POWER_EV_EXIT_DONE},
	[POWER_DO_CHECK] = {do_check, true, POWER_EV_CHECK_DONE},
	[POWER_DO_RESET] = {do_reset, true, POWER_EV_RESET_DONE},
	[POWER_DO_RECOVER] = {do_recover, true, POWER_EV_RECOVER_DONE},
	[POWER_DO_SLOT_RESET] = {do_slot_reset, true, POWER_EV_SLOT_RESET_DONE},
	[POWER_DO_ATTACH] = {.act = do_attach},
	[POWER_DO_GONE] = {.act = do_gone},
	[POWER_DO_RELEASE] = {.act = do_release},
	[POWER_DO_PME] = {.act = do_pme},
	[POWER_DO_NOTIFY] = {.act = do_notify},
	[POWER_DO_TIMER] = {.act = do_timer},
	[POWER_DO_REPORT] = {.act = do_report},
	[POWER_DO_DONE] = {.act = do_done},
};

static void count(struct vfio_slot *slot, const struct power_action *action, int error,
		  uint64_t host_us)
{
	slot->card.fn[action->function].host_us += host_us;
	if (action->type == POWER_DO_ENTRY)
		slot_watch_entry(slot, action->function, error, host_us);
	else if (action->type == POWER_DO_EXIT)
		slot_watch_exit(slot, action->function, host_us);
}

/* Does one action; true when `*ret_result` is now its result. */
static bool carry_out(struct vfio_slot *slot, const struct power_action *action,
		      struct power_event *ret_result)
{
	const struct action *how = &actions_of[action->type];
	uint64_t start = clock_us();
	int error = how->act(slot, action);

	if (!how->has_result)
		return false;
	count(slot, action, error, clock_us() - start);
	*ret_result = (struct power_event) {
		.type = how->answer, .function = action->function, .error = error,
	};
	return true;
}

static void refresh(struct vfio_slot *slot)
{
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		struct vfio_function *function = slot->card.fn[i].function;

		if (!function)
			continue;
		slot->card.power.fn[i].pme_enable = vfio_function_pme_enable(function);
		slot->card.power.fn[i].pme_status = vfio_function_pme_status(function);
	}
}

void slot_feed(struct vfio_slot *slot, struct power_event event)
{
	struct power_actions actions;
	bool more = true;

	while (more) {
		refresh(slot);
		power_step(&slot->card.power, &event, &actions);
		/* Who reads the event of a transition, or sees it answered, finds it here, too. */
		slot_publish(slot);
		more = false;
		for (unsigned int i = 0; i < actions.count; i++)
			more |= carry_out(slot, &actions.action[i], &event);
		show_presence(slot);
		slot_publish(slot);
	}
}
