#include <errno.h>
#include <misc/pvpanic.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "devices/acpi_pm.h"
#include "devices/pvpanic.h"
#include "devices/virtio_console.h"
#include "devices/virtio_devices.h"
#include "devices/watchdog.h"
#include "vfio/vfio.h"
#include "vmm/base/bits.h"
#include "vmm/base/clock.h"
#include "vmm/base/log.h"
#include "vmm/events.h"
#include "vmm/loop.h"
#include "vmm/machine_internal.h"
#include "vmm/notify.h"
#include "vmm/options.h"
#include "vmm/shutdown.h"
#include "vmm/slots.h"

#define FAULTS_SAID_EVERY_US 60000000U

void machine_end(struct machine *machine, const char *cause, int status)
{
	vcpus_request_pause(machine->vcpus);
	if (loop_stop(machine->loop, status))
		events_emit(&(struct event){.event = "exit", .cause = cause});
}

void machine_ask_reset(struct machine *machine)
{
	uint64_t one = 1;

	vcpus_request_pause(machine->vcpus);
	if (machine->options->no_reboot)
		machine_end(machine, "reset", EXIT_GUEST_POWERED_OFF);
	else if (write(machine->reset_fd, &one, sizeof(one)) != sizeof(one))
		log_debug("a reset is already under way");
}

void machine_on_request(void *opaque, enum machine_request request)
{
	struct machine *machine = opaque;

	switch (request) {
	case MACHINE_POWER_OFF:
		machine_end(machine, "power-off", EXIT_GUEST_POWERED_OFF);
		break;
	case MACHINE_RESET:
		machine_ask_reset(machine);
		break;
	case MACHINE_SUSPEND:
		machine_ask_suspend(machine);
		break;
	case MACHINE_WAKE:
		machine_ask_wake(machine);
		break;
	}
}

void machine_on_debug_exit(void *opaque, int status)
{
	machine_end(opaque, "debug-exit", status);
}

static void on_cpu_faulted(void *opaque, const char *cause)
{
	struct machine *machine = opaque;
	bool first = !atomic_exchange(&machine->fault, cause);

	if (!machine->options->no_reboot) {
		machine_ask_reset(machine);
	} else if (first) {
		log_warn("a CPU of the guest has stopped (%s), ending it", cause);
		machine_end(machine, cause, EXIT_FAILED);
	}
}

static void on_cpu_failed(void *opaque, const char *why)
{
	log_err("%s", why);
	machine_end(opaque, "cpu-failed", EXIT_FAILED);
}

static bool on_window_fault(void *opaque)
{
	struct machine *machine = opaque;
	bool dropped = false;
	struct vfio_slot *slot;

	for (unsigned int i = 0; (slot = slots_get(machine->slots, i)); i++)
		dropped |= vfio_slot_drop_windows(slot);
	return dropped;
}

static void on_quit(void *opaque)
{
	machine_end(opaque, "quit", EXIT_GUEST_POWERED_OFF);
}

static void on_ended(void *opaque, const char *cause)
{
	machine_end(opaque, cause, EXIT_GUEST_POWERED_OFF);
}

/* The service manager hears at once that the end has begun. */
static bool on_shutdown(void *opaque)
{
	struct machine *machine = opaque;
	bool suspended = acpi_pm_is_suspended(machine->pm);

	notify_stopping(machine->notify);
	acpi_pm_power_button(machine->pm);
	return suspended;
}

int machine_next_signal(const struct machine *machine)
{
	struct signalfd_siginfo info;

	return read(machine->signal_fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo
									      : 0;
}

static void on_signal(void *opaque, int fd)
{
	struct machine *machine = opaque;
	int signal = machine_next_signal(machine);

	(void)fd;
	if (signal)
		shutdown_signal(machine->shutdown, signal, clock_ns());
}

/* The guest is still running, or what is left of it. A crash kernel that is loaded comes next. */
void machine_take_panic(struct machine *machine)
{
	unsigned int said = pvpanic_take(machine->pvpanic);

	if (said & PVPANIC_CRASH_LOADED)
		events_emit(&(struct event){.event = "panic", .cause = "crash-loaded"});
	if (!(said & PVPANIC_PANICKED))
		return;
	log_warn("the guest's kernel panicked");
	events_emit(&(struct event){.event = "panic", .cause = "panicked"});
	if (machine->options->on_panic == PANIC_EXIT || shutdown_is_asked(machine->shutdown))
		machine_end(machine, "panic", EXIT_FAILED);
	else if (machine->options->on_panic == PANIC_REBOOT)
		machine_ask_reset(machine);
}

static void on_panic(void *opaque, int fd)
{
	(void)fd;
	machine_take_panic(opaque);
}

static void on_watchdog(void *opaque, int fd)
{
	struct machine *machine = opaque;

	(void)fd;
	if (!watchdog_timer(machine->watchdog))
		return;
	log_warn("the guest let its watchdog expire");
	events_emit(&(struct event){.event = "watchdog", .cause = "expired"});
	if (machine->options->watchdog == WATCHDOG_EXIT || shutdown_is_asked(machine->shutdown)) {
		machine_end(machine, "watchdog", EXIT_FAILED);
		return;
	}
	machine->reset_cause = "watchdog";
	machine_ask_reset(machine);
}

/* A guest that is broken may do so without end, thousands of times in a minute. */
static void take_fault(struct machine *machine)
{
	const char *cause = atomic_exchange(&machine->fault, NULL);
	uint64_t now_us = clock_us();

	if (!cause)
		return;
	if (!machine->reset_cause)
		machine->reset_cause = cause;
	if (machine->faults++ && now_us - machine->faults_said_us < FAULTS_SAID_EVERY_US)
		return;
	machine->faults_said_us = now_us;
	log_warn("a CPU of the guest has stopped (%s), resetting, number %u; --no-reboot ends it "
		 "instead", cause, machine->faults);
}

static void on_reset(void *opaque, int fd)
{
	struct machine *machine = opaque;
	uint64_t count;

	/* Paused first: what several CPUs ask for at the same time is one reset, or the end. Until
	 * then `fd` stays as it is, and others have their turn. */
	if (!vcpus_try_pause(machine->vcpus))
		return;
	/* A guest that says that it panicked and resets is reset once. */
	machine_take_panic(machine);
	if (read(fd, &count, sizeof(count)) != sizeof(count) || loop_is_stopping(machine->loop))
		return;
	take_fault(machine);
	machine_reset(machine);
}

static size_t on_input(void *opaque, const uint8_t *bytes, size_t len)
{
	struct machine *machine = opaque;

	struct virtio_console *console = virtio_devices_console(machine->virtio);

	return console ? virtio_console_input(console, bytes, len)
		       : serial_input(machine->serial, bytes, len);
}

static void on_resized(void *opaque, struct terminal_size size)
{
	struct machine *machine = opaque;

	virtio_console_set_size(virtio_devices_console(machine->virtio), size.cols, size.rows);
}

static void on_input_room(void *opaque, int fd)
{
	struct machine *machine = opaque;
	uint64_t count;

	if (read(fd, &count, sizeof(count)) == sizeof(count) && machine->terminal)
		terminal_resume_input(machine->terminal);
}

static void on_rtc_timer(void *opaque, int fd)
{
	struct machine *machine = opaque;

	(void)fd;
	rtc_timer(machine->rtc);
}

struct vcpu_listener machine_vcpu_listener(struct machine *machine)
{
	return (struct vcpu_listener){.opaque = machine, .faulted = on_cpu_faulted,
				      .failed = on_cpu_failed, .window_fault = on_window_fault};
}

struct terminal_listener machine_terminal_listener(struct machine *machine)
{
	bool has_size = virtio_devices_console(machine->virtio);

	return (struct terminal_listener){.opaque = machine, .input = on_input, .quit = on_quit,
					  .resized = has_size ? on_resized : NULL};
}

/* The main thread blocks these since the start of the program (vmm/main.c). */
static int open_signals(void)
{
	sigset_t signals;
	int fd;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGQUIT);
	fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int machine_watch(struct machine *m)
{
	const struct shutdown_listener listener = {
		.opaque = m, .press_button = on_shutdown, .end = on_ended};
	const struct virtio_console *console = virtio_devices_console(m->virtio);
	int error;

	m->signal_fd = open_signals();
	if (m->signal_fd < 0)
		return m->signal_fd;
	m->shutdown = shutdown_create(m->loop, m->options->shutdown_timeout_s * 1000, &listener);
	if (!m->shutdown)
		return -ENOMEM;

	const struct {
		int fd;
		loop_handler ready;
	} sources[] = {
		{m->signal_fd, on_signal},
		{m->reset_fd, on_reset},
		{m->awaited_fd, machine_parts_are_done},
		{m->sleep_fd, machine_change_sleep},
		{rtc_timer_fd(m->rtc), on_rtc_timer},
		{console ? virtio_console_room_fd(console) : serial_room_fd(m->serial),
		 on_input_room},
		{pvpanic_fd(m->pvpanic), on_panic},
		{m->watchdog ? watchdog_timer_fd(m->watchdog) : -1, on_watchdog},
	};

	error = 0;
	for (size_t i = 0; !error && i < ARRAY_SIZE(sources); i++)
		if (sources[i].fd >= 0)
			error = loop_add(m->loop, sources[i].fd, sources[i].ready, m);
	return error;
}
