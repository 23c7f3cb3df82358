/*
 * The power thread of a slot: the one owner of its power state machine (vfio/power.h) and the only
 * reader of its wake-up eventfds. It waits for commands, wake-ups and the resend timer, gives them
 * to the machine one at a time and does what the machine says. The host may take a minute over an
 * action; nobody but those who asked for the slot's power waits for it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "devices/acpi_pm.h"
#include "devices/pci.h"
#include "devices/root_port.h"
#include "devices/slot_power.h"
#include "vfio/backend.h"
#include "vfio/function.h"
#include "vfio/slot.h"
#include "vmm/base/bits.h"
#include "vmm/base/clock.h"
#include "vmm/base/log.h"
#include "vmm/events.h"

/* Reads an eventfd or timerfd empty. True when it was signalled. */
static bool drain(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count);
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		log_debug("vfio: an eventfd is full, and so signalled already");
}

static void set_timer(const struct vfio_slot *slot, unsigned int ms)
{
	const struct itimerspec when = {
		.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L},
	};

	timerfd_settime(slot->timer_fd, 0, &when, NULL);
}

/* --- actions --- */

/*
 * Each does one action on the function's behalf; those whose result the machine awaits return it.
 */
typedef int (*action_fn)(struct vfio_slot *slot, const struct power_action *action);

static int do_detach(struct vfio_slot *slot, const struct power_action *action)
{
	vfio_function_detach(slot->fn[action->function].function);
	return 0;
}

static int do_drain(struct vfio_slot *slot, const struct power_action *action)
{
	drain(slot->fn[action->function].wakeup_fd);
	return 0;
}

static int do_entry(struct vfio_slot *slot, const struct power_action *action)
{
	struct slot_function *fn = &slot->fn[action->function];
	struct vfio_backend *backend = vfio_function_backend(fn->function);

	if (action->with_wakeup)
		return backend->ops->low_power(backend, VFIO_LOW_POWER_ENTRY_WITH_WAKEUP,
					       fn->wakeup_fd);
	return backend->ops->low_power(backend, VFIO_LOW_POWER_ENTRY, -1);
}

/* The kernel signals the eventfd before EXIT returns, so it is empty afterwards for sure. */
static int do_exit(struct vfio_slot *slot, const struct power_action *action)
{
	struct slot_function *fn = &slot->fn[action->function];
	struct vfio_backend *backend = vfio_function_backend(fn->function);
	int error = backend->ops->low_power(backend, VFIO_LOW_POWER_EXIT, -1);

	drain(fn->wakeup_fd);
	return error;
}

static int do_check(struct vfio_slot *slot, const struct power_action *action)
{
	return vfio_function_check(slot->fn[action->function].function);
}

static int do_reset(struct vfio_slot *slot, const struct power_action *action)
{
	return vfio_function_reset(slot->fn[action->function].function);
}

static int do_attach(struct vfio_slot *slot, const struct power_action *action)
{
	vfio_function_attach(slot->fn[action->function].function);
	return 0;
}

static int do_gone(struct vfio_slot *slot, const struct power_action *action)
{
	vfio_function_gone(slot->fn[action->function].function);
	return 0;
}

static void emit(const struct vfio_slot *slot, unsigned int fn, const char *name)
{
	const struct event event = {
		.event = name, .device = vfio_function_name(slot->fn[fn].function),
	};

	events_emit(&event);
}

static int do_pme(struct vfio_slot *slot, const struct power_action *action)
{
	struct vfio_function *function = slot->fn[action->function].function;

	vfio_function_set_pme_status(function);
	root_port_pme(slot->port, vfio_function_pci(function)->devfn);
	emit(slot, action->function, "pme");
	return 0;
}

static int do_notify(struct vfio_slot *slot, const struct power_action *action)
{
	slot_power_set_wake(slot->controller, (uint8_t)(1U << action->function));
	acpi_pm_raise_gpe(slot->pm, GPE_SLOT_FIRST + slot->index);
	emit(slot, action->function, "notify");
	return 0;
}

static int do_timer(struct vfio_slot *slot, const struct power_action *action)
{
	(void)action;
	set_timer(slot, POWER_RESEND_MS);
	return 0;
}

/* The reason for people. */
static const char *detail_of(const struct vfio_slot *slot, const struct power_action *action)
{
	const struct power_function *fn = &slot->power.fn[action->function];

	if (action->to == POWER_LOST)
		return action->error == -ENODEV ?
			"the device reads as ones: it does not come back" :
			"the host cannot wake or read the device";
	if (action->to != POWER_REFUSED)
		return action->error ? "the function reset failed" : NULL;
	if (slot->config.forbid_low_power)
		return "low power is forbidden for this device (low-power=off)";
	if (!fn->can_enter && action->error == -ENOTTY)
		return "the host's kernel has no VFIO low power (Linux 6.1 and later have)";
	if (!fn->can_enter)
		return "the host offers no low power for this device";
	if (fn->engaged_wakeup && !fn->can_enter_wakeup)
		return "the host's kernel has no low power with wake-up";
	return "the host refused to enter low power";
}

static int do_report(struct vfio_slot *slot, const struct power_action *action)
{
	struct slot_function *fn = &slot->fn[action->function];
	const struct event event = {
		.event = "power",
		.device = vfio_function_name(fn->function),
		.from = power_state_name(action->from),
		.to = power_state_name(action->to),
		.cause = power_cause_name(action->cause),
		.detail = detail_of(slot, action),
		.error = action->error,
		.latency_us = fn->host_us,
	};

	events_emit(&event);
	fn->host_us = 0;
	if (action->to == POWER_LOST)
		log_err("vfio %s: %s: the guest reads ones from now on", event.device,
			event.detail);
	return 0;
}

static int do_done(struct vfio_slot *slot, const struct power_action *action)
{
	slot_power_done(slot->controller, slot->sequence, action->on);
	return 0;
}

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
	[POWER_DO_ATTACH] = {.act = do_attach},
	[POWER_DO_GONE] = {.act = do_gone},
	[POWER_DO_PME] = {.act = do_pme},
	[POWER_DO_NOTIFY] = {.act = do_notify},
	[POWER_DO_TIMER] = {.act = do_timer},
	[POWER_DO_REPORT] = {.act = do_report},
	[POWER_DO_DONE] = {.act = do_done},
};

/* Does one action; true when `*ret_result` is now its result. */
static bool carry_out(struct vfio_slot *slot, const struct power_action *action,
		      struct power_event *ret_result)
{
	const struct action *how = &actions_of[action->type];
	uint64_t start = clock_us();
	int error = how->act(slot, action);

	if (!how->has_result)
		return false;
	slot->fn[action->function].host_us += clock_us() - start;
	*ret_result = (struct power_event) {
		.type = how->answer, .function = action->function, .error = error,
	};
	return true;
}

/* Gives one event to the machine, and then every result, until it is idle again. */
static void feed(struct vfio_slot *slot, enum power_event_type type, unsigned int fn, int error)
{
	struct power_event event = {.type = type, .function = (uint8_t)fn, .error = error};
	struct power_actions actions;
	bool more = true;

	while (more) {
		for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
			struct vfio_function *function = slot->fn[i].function;

			if (!function)
				continue;
			slot->power.fn[i].pme_enable = vfio_function_pme_enable(function);
			slot->power.fn[i].pme_status = vfio_function_pme_status(function);
		}
		power_step(&slot->power, &event, &actions);
		more = false;
		for (unsigned int i = 0; i < actions.count; i++)
			more |= carry_out(slot, &actions.action[i], &event);
	}
}

/* --- commands --- */

void vfio_slot_request_power(void *opaque, bool on)
{
	struct vfio_slot *slot = opaque;

	(void)on; /* what counts is what is wanted when the thread gets to it */
	pthread_mutex_lock(&slot->lock);
	slot->commands.power = true;
	signal_fd(slot->command_fd);
	pthread_mutex_unlock(&slot->lock);
}

void vfio_slot_host_error(void *opaque, unsigned int fn, int error)
{
	struct vfio_slot *slot = opaque;

	pthread_mutex_lock(&slot->lock);
	slot->commands.host_errors |= (uint8_t)(1U << fn);
	slot->commands.host_error[fn] = error;
	signal_fd(slot->command_fd);
	pthread_mutex_unlock(&slot->lock);
}

void vfio_slot_pme_cleared(void *opaque, unsigned int fn)
{
	struct vfio_slot *slot = opaque;

	pthread_mutex_lock(&slot->lock);
	slot->commands.pme_cleared |= (uint8_t)(1U << fn);
	signal_fd(slot->command_fd);
	pthread_mutex_unlock(&slot->lock);
}

/* Guest reset: what it asked for before is void. */
static void serve_reset(struct vfio_slot *slot)
{
	set_timer(slot, 0);
	feed(slot, POWER_EV_RESET, 0, 0);
	pci_dev_reset(root_port_pci(slot->port));
	slot_power_reset(slot->controller);
}

/* The guest has seen to the PME itself; one that still waits in the port would only puzzle it. A
 * function that was woken again meanwhile keeps its own. */
static void forget_pme(struct vfio_slot *slot, unsigned int i)
{
	struct vfio_function *function = slot->fn[i].function;

	if (vfio_function_pme_enable(function) && vfio_function_pme_status(function))
		return;
	root_port_pme_forget(slot->port, vfio_function_pci(function)->devfn);
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
	if (commands->reset) {
		serve_reset(slot);
	} else if (commands->power && !commands->shutdown) {
		slot->sequence = slot_power_sequence(slot->controller);
		feed(slot, slot_power_wanted(slot->controller) ? POWER_EV_ON : POWER_EV_OFF, 0, 0);
	}
	if (commands->shutdown)
		feed(slot, POWER_EV_SHUTDOWN, 0, 0);
}

/* False after a shutdown. */
static bool serve_commands(struct vfio_slot *slot)
{
	struct slot_commands commands;

	drain(slot->command_fd);
	pthread_mutex_lock(&slot->lock);
	commands = slot->commands;
	slot->commands = (struct slot_commands) {.issued = commands.issued};
	pthread_mutex_unlock(&slot->lock);
	serve(slot, &commands);
	pthread_mutex_lock(&slot->lock);
	slot->served = commands.issued;
	pthread_cond_broadcast(&slot->answered);
	pthread_mutex_unlock(&slot->lock);
	return !commands.shutdown;
}

/* Sets one flag of `slot->commands` and waits until it was served, by whoever owns the power. */
static void command(struct vfio_slot *slot, bool *flag)
{
	unsigned int ticket;

	pthread_mutex_lock(&slot->lock);
	*flag = true;
	ticket = ++slot->commands.issued;
	signal_fd(slot->command_fd);
	while (slot->running && (int)(slot->served - ticket) < 0)
		pthread_cond_wait(&slot->answered, &slot->lock);
	pthread_mutex_unlock(&slot->lock);
	if (!slot->running)
		serve_commands(slot);
}

/* --- the thread --- */

/* A wake-up that the guest's _ON overtakes is drained by EXIT, so commands go first. */
static void serve_wakeups(struct vfio_slot *slot)
{
	if (drain(slot->timer_fd))
		feed(slot, POWER_EV_RESEND, 0, 0);
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (slot->fn[i].function && drain(slot->fn[i].wakeup_fd))
			feed(slot, POWER_EV_WAKE, i, 0);
}

static void *power_thread(void *opaque)
{
	struct vfio_slot *slot = opaque;
	struct pollfd fds[2 + HOST_FUNCTIONS] = {
		{.fd = slot->command_fd, .events = POLLIN},
		{.fd = slot->timer_fd, .events = POLLIN},
	};

	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) /* poll ignores those that are -1 */
		fds[2 + i] = (struct pollfd) {.fd = slot->fn[i].wakeup_fd, .events = POLLIN};
	for (;;) {
		if (poll(fds, 2 + HOST_FUNCTIONS, -1) < 0)
			continue; /* EINTR */
		if (!fds[0].revents)
			serve_wakeups(slot);
		else if (!serve_commands(slot))
			return NULL;
	}
}

int vfio_slot_start(struct vfio_slot *slot)
{
	static const int own_faults[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
	sigset_t others, before;
	int error;

	/* Signals are the main thread's, but for a fault's: blocked, it would end the program
	 * without the handler that restores the terminal. */
	sigfillset(&others);
	for (unsigned int i = 0; i < ARRAY_SIZE(own_faults); i++)
		sigdelset(&others, own_faults[i]);
	pthread_sigmask(SIG_SETMASK, &others, &before);
	error = pthread_create(&slot->thread, NULL, power_thread, slot);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	slot->running = !error;
	return -error;
}

void vfio_slot_reset(struct vfio_slot *slot)
{
	command(slot, &slot->commands.reset);
}

void vfio_slot_stop(struct vfio_slot *slot)
{
	if (!slot->plugged)
		return;
	command(slot, &slot->commands.shutdown);
	if (slot->running)
		pthread_join(slot->thread, NULL);
	slot->running = false;
	slot->plugged = false;
}
