#include "vmm/machine.h"

#include <errno.h>
#include <misc/pvpanic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "devices/acpi_pm.h"
#include "devices/legacy.h"
#include "devices/pci.h"
#include "devices/pvpanic.h"
#include "devices/q35.h"
#include "devices/virtio_devices.h"
#include "vfio/vfio.h"
#include "vmm/api.h"
#include "vmm/base/bits.h"
#include "vmm/base/clock.h"
#include "vmm/base/log.h"
#include "vmm/boot.h"
#include "vmm/bus.h"
#include "vmm/cpu_list.h"
#include "vmm/events.h"
#include "vmm/firmware.h"
#include "vmm/irq.h"
#include "vmm/kvm.h"
#include "vmm/layout.h"
#include "vmm/loop.h"
#include "vmm/mem.h"
#include "vmm/notify.h"
#include "vmm/options.h"
#include "vmm/shutdown.h"
#include "vmm/slots.h"
#include "vmm/terminal.h"
#include "vmm/vcpu.h"

#define EXIT_GUEST_POWERED_OFF 0
#define EXIT_FAILED 1
#define WHY_SIZE 512

struct machine {
	const struct options *options;
	struct kvm kvm;
	struct mem *mem;
	struct irq_chip *irq;
	struct bus *port, *mmio;
	struct loop *loop;
	struct boot *boot;
	struct acpi_pm *pm;
	struct serial *serial;
	struct rtc *rtc;
	struct pci_host *pci;
	struct q35 *q35;
	struct doorbells *doorbells;
	struct virtio_devices *virtio;
	struct pvpanic *pvpanic;
	struct slots *slots;
	struct vcpus *vcpus;
	struct terminal *terminal;
	struct api *api;         /* NULL: no --api */
	struct notify *notify;   /* NULL: no service manager */
	struct shutdown *shutdown;
	int signal_fd;
	int reset_fd;            /* eventfd: a reset was asked for */
	bool reset_by_api;       /* ... by the control socket, too; main thread's */
};

/* --- what the guest and the person ask for; on any thread, must not block --- */

static void end(struct machine *machine, const char *cause, int status)
{
	vcpus_request_pause(machine->vcpus);
	if (loop_stop(machine->loop, status))
		events_emit(&(struct event){.event = "exit", .cause = cause});
}

static void ask_reset(struct machine *machine)
{
	uint64_t one = 1;

	vcpus_request_pause(machine->vcpus);
	if (machine->options->no_reboot)
		end(machine, "reset", EXIT_GUEST_POWERED_OFF);
	else if (write(machine->reset_fd, &one, sizeof(one)) != sizeof(one))
		log_debug("a reset is already under way");
}

static void on_request(void *opaque, enum machine_request request)
{
	struct machine *machine = opaque;

	if (request == MACHINE_RESET)
		ask_reset(machine);
	else
		end(machine, "power-off", EXIT_GUEST_POWERED_OFF);
}

static void on_debug_exit(void *opaque, int status)
{
	end(opaque, "debug-exit", status);
}

static void on_triple_fault(void *opaque)
{
	ask_reset(opaque);
}

static void on_cpu_failed(void *opaque, const char *why)
{
	log_err("%s", why);
	end(opaque, "cpu-failed", EXIT_FAILED);
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
	end(opaque, "quit", EXIT_GUEST_POWERED_OFF);
}

static void on_ended(void *opaque, const char *cause)
{
	end(opaque, cause, EXIT_GUEST_POWERED_OFF);
}

/* The service manager hears at once that the end has begun. */
static void on_shutdown(void *opaque)
{
	struct machine *machine = opaque;

	notify_stopping(machine->notify);
	acpi_pm_power_button(machine->pm);
}

/* 0: there is none. */
static int next_signal(const struct machine *machine)
{
	struct signalfd_siginfo info;

	return read(machine->signal_fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo
									      : 0;
}

static void on_signal(void *opaque, int fd)
{
	struct machine *machine = opaque;
	int signal = next_signal(machine);

	(void)fd;
	if (signal)
		shutdown_signal(machine->shutdown, signal, clock_ns());
}

/* The guest is still running, or what is left of it. A crash kernel that is loaded comes next. */
static void on_panic(void *opaque, int fd)
{
	struct machine *machine = opaque;
	unsigned int said = pvpanic_take(machine->pvpanic);

	(void)fd;
	if (said & PVPANIC_CRASH_LOADED)
		events_emit(&(struct event){.event = "panic", .cause = "crash-loaded"});
	if (!(said & PVPANIC_PANICKED))
		return;
	log_warn("the guest's kernel panicked");
	events_emit(&(struct event){.event = "panic", .cause = "panicked"});
	if (machine->options->on_panic == PANIC_EXIT || shutdown_is_asked(machine->shutdown))
		end(machine, "panic", EXIT_FAILED);
	else if (machine->options->on_panic == PANIC_REBOOT)
		ask_reset(machine);
}

static size_t on_input(void *opaque, const uint8_t *bytes, size_t len)
{
	struct machine *machine = opaque;

	return serial_input(machine->serial, bytes, len);
}

static void on_serial_room(void *opaque, int fd)
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

/* --- what the control socket asks for; main thread --- */

static bool on_slot_asked(void *opaque, unsigned int index, struct vfio_slot_status *ret_status)
{
	struct machine *machine = opaque;
	struct vfio_slot *slot = slots_get(machine->slots, index);

	if (!slot)
		return false;
	vfio_slot_status(slot, ret_status);
	return ret_status->name[0];
}

static void on_reboot_asked(void *opaque)
{
	struct machine *machine = opaque;

	machine->reset_by_api = true;
	ask_reset(machine);
}

static void on_power_button(void *opaque)
{
	struct machine *machine = opaque;

	acpi_pm_power_button(machine->pm);
}

/* --- the machine, in order --- */

static struct range mmio64_window(const struct machine *machine)
{
	uint64_t half = 1ULL << (machine->kvm.address_bits - 1);

	return (struct range){half, half};
}

static int create_core(struct machine *m, char *why, size_t why_size)
{
	const struct mem_config memory = {.size = m->options->memory,
					  .page = m->options->memory_page,
					  .prefault = m->options->prefault};
	int error = cpu_list_check(&m->options->pin, why, why_size);

	if (!error)
		error = kvm_open(&m->kvm, why, why_size);
	if (error)
		return error;
	if (RAM_HIGH_START + m->options->memory > mmio64_window(m).start) {
		snprintf(why, why_size, "--memory %llu MiB: the host's CPU addresses %u bits, "
			 "which leaves room for %llu MiB",
			 (unsigned long long)(m->options->memory / MIB), m->kvm.address_bits,
			 (unsigned long long)((mmio64_window(m).start - RAM_HIGH_START) / MIB));
		return -EINVAL;
	}
	error = mem_create(&m->kvm, &memory, &m->mem, why, why_size);
	if (error)
		return error;
	m->irq = irq_chip_create(&m->kvm);
	m->doorbells = doorbells_create(&m->kvm);
	m->port = bus_create("port");
	m->mmio = bus_create("mmio");
	m->loop = loop_create();
	m->reset_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return m->irq && m->doorbells && m->port && m->mmio && m->loop && m->reset_fd >= 0
		       ? 0
		       : -ENOMEM;
}

static int create_devices(struct machine *m)
{
	const struct pci_host_config pci = {
		.mmio = m->mmio, .port = m->port, .irq = m->irq, .mmio64 = mmio64_window(m)};

	m->pm = acpi_pm_create(m->port, m->irq, on_request, m);
	m->serial = serial_create(m->port, m->irq, PORT_COM1, GSI_COM1, STDOUT_FILENO);
	m->rtc = rtc_create(m->port, m->irq);
	m->pci = pci_host_create(&pci);
	if (!m->pm || !m->serial || !m->rtc || !m->pci)
		return -ENOMEM;
	m->q35 = q35_create(m->pci);
	m->pvpanic = pvpanic_create(m->pci);
	if (!m->q35 || !m->pvpanic || i8042_create(m->port, on_request, m))
		return -ENOMEM;
	if (m->options->debug_exit)
		return debug_exit_create(m->port, on_debug_exit, m);
	return 0;
}

static int create_virtio(struct machine *m, char *why, size_t why_size)
{
	const struct virtio_machine machine = {
		.mem = m->mem, .irq = m->irq, .doorbells = m->doorbells, .pci = m->pci};
	const struct virtio_devices_config config = {
		.disk = m->options->disk, .disks = m->options->disks,
		.net = m->options->net, .nets = m->options->nets,
		.entropy = m->options->entropy};

	return virtio_devices_create(&config, &machine, m->loop, &m->virtio, why, why_size);
}

static int create_slots(struct machine *m, char *why, size_t why_size)
{
	const struct vfio_machine plugged = {
		.mem = m->mem, .mmio = m->mmio, .irq = m->irq, .pci = m->pci, .pm = m->pm};

	return slots_create(m->options, &m->kvm, m->loop, &plugged, &m->slots, why, why_size);
}

static int create_cpus(struct machine *m, char *why, size_t why_size)
{
	const struct vcpu_listener listener = {
		.opaque = m, .triple_fault = on_triple_fault, .failed = on_cpu_failed,
		.window_fault = on_window_fault};
	int error = vcpus_create(&m->kvm, m->options->cpus, m->port, m->mmio, &listener, &m->vcpus,
				 why, why_size);

	if (error)
		return error;
	error = vcpus_start(m->vcpus, &m->options->pin);
	if (error)
		snprintf(why, why_size, "the CPUs' threads cannot be started%s: %s",
			 m->options->pin.count ? ", each on its CPU of pin=" : "",
			 strerror(-error));
	return error;
}

/* Addresses, tables, kernel, registers: the state in which the guest begins, also after a reset. */
static int load_guest(struct machine *m, char *why, size_t why_size)
{
	const struct firmware_config firmware = {
		.mem = m->mem, .cpus = m->options->cpus, .mmio64 = mmio64_window(m),
		.slots = m->slots};
	struct boot_entry entry;
	int error = pci_host_assign(m->pci);

	if (error) {
		snprintf(why, why_size, "the devices' memory does not fit the guest's address "
					"space");
		return error;
	}
	error = firmware_write(&firmware, why, why_size);
	if (!error)
		error = boot_load(m->boot, m->mem, ACPI_TABLES_START, &entry, why, why_size);
	return error ? error : vcpus_reset(m->vcpus, &entry);
}

static void on_reset(void *opaque, int fd)
{
	struct machine *m = opaque;
	char why[WHY_SIZE] = "the CPUs refuse their reset state";
	struct vfio_slot *slot;
	uint64_t count;

	/* Paused first: what several CPUs ask for at the same time is one reset, or the end. */
	vcpus_wait_paused(m->vcpus);
	/* A guest that says that it panicked and resets is reset once. */
	on_panic(m, pvpanic_fd(m->pvpanic));
	if (read(fd, &count, sizeof(count)) != sizeof(count) || loop_is_stopping(m->loop))
		return;
	if (shutdown_is_asked(m->shutdown)) {
		end(m, "reset", EXIT_GUEST_POWERED_OFF);
		return;
	}
	events_emit(&(struct event){.event = "reset", .cause = m->reset_by_api ? "api" : "guest"});
	m->reset_by_api = false;
	/* First: an interrupt that a device raises from its reset on must not be forgotten. */
	irq_chip_reset(m->irq);
	for (unsigned int i = 0; (slot = slots_get(m->slots, i)); i++)
		vfio_slot_reset(slot);
	virtio_devices_reset(m->virtio);
	q35_reset(m->q35);
	pvpanic_reset(m->pvpanic);
	acpi_pm_reset(m->pm);
	serial_reset(m->serial);
	rtc_reset(m->rtc);
	if (load_guest(m, why, sizeof(why))) {
		log_err("reboot: %s", why);
		loop_stop(m->loop, EXIT_FAILED);
		return;
	}
	vcpus_resume(m->vcpus);
}

static int watch(struct machine *m)
{
	const struct shutdown_listener listener = {
		.opaque = m, .press_button = on_shutdown, .end = on_ended};
	sigset_t signals;
	int error;

	/* The main thread blocks these since the start of the program (vmm/main.c). */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGQUIT);
	m->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->signal_fd < 0)
		return -errno;
	m->shutdown = shutdown_create(m->loop, m->options->shutdown_timeout_s * 1000, &listener);
	if (!m->shutdown)
		return -ENOMEM;
	error = loop_add(m->loop, m->signal_fd, on_signal, m);
	if (!error)
		error = loop_add(m->loop, m->reset_fd, on_reset, m);
	if (!error)
		error = loop_add(m->loop, rtc_timer_fd(m->rtc), on_rtc_timer, m);
	if (!error)
		error = loop_add(m->loop, serial_room_fd(m->serial), on_serial_room, m);
	if (!error)
		error = loop_add(m->loop, pvpanic_fd(m->pvpanic), on_panic, m);
	return error;
}

static int on_add_device(void *opaque, const struct vfio_slot_config *config, const char *id,
			 api_device_added done, void *done_opaque, char *ret_why, size_t why_size)
{
	return machine_add_device(opaque, config, id, done, done_opaque, ret_why, why_size);
}

static int on_remove_device(void *opaque, const char *id, char *ret_why, size_t why_size)
{
	return machine_remove_device(opaque, id, ret_why, why_size);
}

/* Before any device is touched: its path may be taken. It answers once the loop runs. */
static int create_api(struct machine *m, char *why, size_t why_size)
{
	const struct api_machine machine = {
		.opaque = m, .options = m->options, .slot = on_slot_asked,
		.power_button = on_power_button, .reboot = on_reboot_asked, .shutdown = on_quit,
		.add_device = on_add_device, .remove_device = on_remove_device};

	m->notify = notify_create(m->loop);
	if (!m->options->api)
		return 0;
	return api_create(m->loop, m->options->api, &machine, &m->api, why, why_size);
}

static int build(struct machine *m, char *why, size_t why_size)
{
	const struct boot_config boot = {.kernel = m->options->kernel,
					 .initrd = m->options->initrd,
					 .append = m->options->append};
	int error = boot_open(&boot, m->options->memory, &m->boot, why, why_size);

	if (!error)
		error = create_core(m, why, why_size);
	if (!error)
		error = create_api(m, why, why_size);
	if (!error)
		error = create_devices(m);
	if (!error)
		error = create_virtio(m, why, why_size);
	if (!error)
		error = create_slots(m, why, why_size);
	if (!error)
		error = create_cpus(m, why, why_size);
	if (!error)
		error = watch(m);
	if (error)
		return error;
	vcpus_wait_paused(m->vcpus);
	return load_guest(m, why, why_size);
}

int machine_create(const struct options *options, struct machine **ret_machine, char *ret_why,
		   size_t why_size)
{
	struct machine *machine = calloc(1, sizeof(*machine));
	int error = -ENOMEM;

	snprintf(ret_why, why_size, "out of memory or file descriptors");
	if (machine) {
		*machine = (struct machine){.options = options, .kvm = KVM_CLOSED,
					    .signal_fd = -1, .reset_fd = -1};
		error = build(machine, ret_why, why_size);
	}
	if (error)
		machine_destroy(machine);
	else
		*ret_machine = machine;
	return error;
}

int machine_run(struct machine *machine)
{
	const struct terminal_listener listener = {
		.opaque = machine, .input = on_input, .quit = on_quit};
	int status, signal;

	machine->terminal = terminal_create(machine->loop, &listener);
	if (!machine->terminal) {
		log_err("the terminal: out of memory or file descriptors");
		return EXIT_FAILED;
	}
	events_emit(&(struct event){.event = "boot"});
	/* A guest that has not begun has nothing to put in order. */
	signal = next_signal(machine);
	if (signal) {
		on_ended(machine, strsignal(signal));
	} else {
		vcpus_resume(machine->vcpus);
		notify_ready(machine->notify, "The guest runs");
	}
	status = loop_run(machine->loop);
	notify_stopping(machine->notify);
	api_stop(machine->api);
	vcpus_wait_paused(machine->vcpus);
	terminal_destroy(machine->terminal);
	machine->terminal = NULL;
	return status;
}

/* --- devices that come and go --- */

int machine_add_device(struct machine *machine, const struct vfio_slot_config *config,
		       const char *id, machine_device_added done, void *opaque, char *ret_why,
		       size_t why_size)
{
	return slots_add(machine->slots, config, id, done, opaque, ret_why, why_size);
}

int machine_remove_device(struct machine *machine, const char *id, char *ret_why, size_t why_size)
{
	return slots_remove(machine->slots, id, ret_why, why_size);
}

const char *machine_device_id(struct machine *machine, unsigned int index)
{
	return slots_id(machine->slots, index);
}

void machine_destroy(struct machine *machine)
{
	if (!machine)
		return;
	vcpus_destroy(machine->vcpus);
	slots_destroy(machine->slots);
	virtio_devices_destroy(machine->virtio);
	pvpanic_destroy(machine->pvpanic);
	q35_destroy(machine->q35);
	pci_host_destroy(machine->pci);
	rtc_destroy(machine->rtc);
	serial_destroy(machine->serial);
	acpi_pm_destroy(machine->pm);
	api_destroy(machine->api);
	notify_destroy(machine->notify);
	shutdown_destroy(machine->shutdown);
	loop_destroy(machine->loop);
	bus_destroy(machine->mmio);
	bus_destroy(machine->port);
	doorbells_destroy(machine->doorbells);
	irq_chip_destroy(machine->irq);
	mem_destroy(machine->mem);
	kvm_close(&machine->kvm);
	boot_close(machine->boot);
	if (machine->signal_fd >= 0)
		close(machine->signal_fd);
	if (machine->reset_fd >= 0)
		close(machine->reset_fd);
	free(machine);
}
