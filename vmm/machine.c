#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/acpi_pm.h"
#include "devices/pci.h"
#include "devices/pvpanic.h"
#include "devices/q35.h"
#include "devices/virtio_console.h"
#include "devices/virtio_devices.h"
#include "devices/watchdog.h"
#include "vfio/vfio.h"
#include "vmm/api.h"
#include "vmm/base/bits.h"
#include "vmm/base/log.h"
#include "vmm/boot.h"
#include "vmm/bus.h"
#include "vmm/cpu_list.h"
#include "vmm/events.h"
#include "vmm/firmware_boot.h"
#include "vmm/firmware_files.h"
#include "vmm/irq.h"
#include "vmm/layout.h"
#include "vmm/loop.h"
#include "vmm/machine_internal.h"
#include "vmm/mem.h"
#include "vmm/notify.h"
#include "vmm/options.h"
#include "vmm/shutdown.h"
#include "vmm/slots.h"

struct range machine_mmio64_window(const struct machine *machine)
{
	unsigned int bits = machine->kvm.address_bits;
	uint64_t end = 1ULL << (bits < MMIO64_MAX_ADDRESS_BITS ? bits : MMIO64_MAX_ADDRESS_BITS);
	uint64_t memory = machine->options->memory;
	uint64_t high = memory > FIRMWARE_RAM_LOW_MAX ? memory - FIRMWARE_RAM_LOW_MAX : 0;
	uint64_t start = align_up(RAM_HIGH_START + high, FIRMWARE_MMIO64_ALIGN);

	if (!machine->firmware_files)
		return (struct range){end / 2, end / 2};
	return (struct range){start, (1ULL << bits) - start};
}

/* RAM must leave as much free. */
static int check_memory_size(const struct machine *m, char *why, size_t why_size)
{
	uint64_t half = 1ULL << (m->kvm.address_bits - 1);

	if (m->options->memory <= half - RAM_HIGH_START)
		return 0;
	snprintf(why, why_size, "--memory %llu MiB: the host's CPU addresses %u bits, which leaves "
		 "room for %llu MiB", (unsigned long long)(m->options->memory / MIB),
		 m->kvm.address_bits, (unsigned long long)((half - RAM_HIGH_START) / MIB));
	return -EINVAL;
}

static int create_core(struct machine *m, char *why, size_t why_size)
{
	const struct mem_config memory = {.size = m->options->memory,
					  .page = m->options->memory_page,
					  .prefault = m->options->prefault,
					  .low_max = m->firmware_files ? FIRMWARE_RAM_LOW_MAX
								       : RAM_LOW_MAX};
	int error = cpu_list_check(&m->options->pin, why, why_size);

	if (!error)
		error = kvm_open(&m->kvm, why, why_size);
	if (!error && m->options->has_halt_poll)
		error = kvm_set_halt_poll(&m->kvm, m->options->halt_poll_us, why, why_size);
	if (!error)
		error = check_memory_size(m, why, why_size);
	if (!error)
		error = mem_create(&m->kvm, &memory, &m->mem, why, why_size);
	if (error)
		return error;
	m->irq = irq_chip_create(&m->kvm);
	m->doorbells = doorbells_create(&m->kvm);
	m->port = bus_create("port");
	m->mmio = bus_create("mmio");
	m->loop = loop_create();
	m->reset_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->awaited_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->sleep_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return m->irq && m->doorbells && m->port && m->mmio && m->loop && m->reset_fd >= 0 &&
			       m->awaited_fd >= 0 && m->sleep_fd >= 0
		       ? 0
		       : -ENOMEM;
}

static int create_devices(struct machine *m)
{
	const struct pci_host_config pci = {
		.mmio = m->mmio, .port = m->port, .irq = m->irq,
		.mmio64 = machine_mmio64_window(m), .firmware = m->firmware_files};

	m->pm = acpi_pm_create(m->port, m->irq, machine_on_request, m);
	m->serial = serial_create(m->port, m->irq, PORT_COM1, GSI_COM1, STDOUT_FILENO);
	m->rtc = rtc_create(m->port, m->irq, m->pm);
	m->pci = pci_host_create(&pci);
	if (!m->pm || !m->serial || !m->rtc || !m->pci)
		return -ENOMEM;
	m->q35 = q35_create(m->pci, m->firmware_files);
	m->pvpanic = pvpanic_create(m->pci);
	if (!m->q35 || !m->pvpanic || i8042_create(m->port, machine_on_request, m))
		return -ENOMEM;
	if (m->options->watchdog != WATCHDOG_OFF) {
		m->watchdog = watchdog_create(m->port);
		if (!m->watchdog)
			return -ENOMEM;
	}
	if (m->options->debug_exit)
		return debug_exit_create(m->port, machine_on_debug_exit, m);
	return 0;
}

static int create_virtio(struct machine *m, char *why, size_t why_size)
{
	struct terminal_size size = {0};
	const struct virtio_machine machine = {
		.mem = m->mem, .irq = m->irq, .doorbells = m->doorbells, .pci = m->pci};
	struct console_config console = {.out_fd = STDOUT_FILENO};
	const struct virtio_devices_config config = {
		.disk = m->disk, .disks = m->disks,
		.cloud_init = m->options->cloud_init,
		.net = m->options->net, .nets = m->options->nets,
		.vhost_user = m->options->vhost_user, .vhost_users = m->options->vhost_users,
		.console = m->options->console == CONSOLE_VIRTIO ? &console : NULL,
		.vsock_cid = m->options->vsock_cid,
		.entropy = m->options->entropy};

	if (terminal_get_size(&size)) {
		console.cols = size.cols;
		console.rows = size.rows;
	}
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
	const struct vcpu_listener listener = machine_vcpu_listener(m);
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

static int build(struct machine *m, char *why, size_t why_size)
{
	int error = machine_open_guest(m, why, why_size);

	if (!error)
		error = create_core(m, why, why_size);
	if (!error)
		error = machine_create_api(m, why, why_size);
	if (!error)
		error = create_devices(m);
	if (!error)
		error = create_virtio(m, why, why_size);
	if (!error)
		error = create_slots(m, why, why_size);
	if (!error)
		error = machine_plug_firmware(m, why, why_size);
	if (!error)
		error = create_cpus(m, why, why_size);
	if (!error)
		error = machine_watch(m);
	if (error)
		return error;
	vcpus_wait_paused(m->vcpus);
	return machine_load_guest(m, why, why_size);
}

int machine_create(const struct options *options, struct machine **ret_machine, char *ret_why,
		   size_t why_size)
{
	struct machine *machine = calloc(1, sizeof(*machine));
	int error = -ENOMEM;

	snprintf(ret_why, why_size, "out of memory or file descriptors");
	if (machine) {
		*machine = (struct machine){.options = options, .kvm = KVM_CLOSED,
					    .signal_fd = -1, .reset_fd = -1,
					    .awaited_fd = -1, .sleep_fd = -1};
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
	const struct terminal_listener listener = machine_terminal_listener(machine);
	int status, signal;

	machine->terminal = terminal_create(machine->loop, &listener);
	if (!machine->terminal) {
		log_err("the terminal: out of memory or file descriptors");
		return EXIT_FAILED;
	}
	events_emit(&(struct event){.event = "boot"});
	/* A guest that has not begun has nothing to put in order. */
	signal = machine_next_signal(machine);
	if (signal) {
		machine_end(machine, strsignal(signal), EXIT_GUEST_POWERED_OFF);
	} else {
		vcpus_resume(machine->vcpus);
		notify_ready(machine->notify, "The guest runs");
	}
	status = loop_run(machine->loop);
	notify_stopping(machine->notify);
	api_stop(machine->api);
	virtio_devices_leave(machine->virtio);
	vcpus_wait_paused(machine->vcpus);
	terminal_destroy(machine->terminal);
	machine->terminal = NULL;
	return status;
}

void machine_destroy(struct machine *machine)
{
	if (!machine)
		return;
	vcpus_destroy(machine->vcpus);
	slots_destroy(machine->slots);
	virtio_devices_destroy(machine->virtio);
	watchdog_destroy(machine->watchdog);
	pvpanic_destroy(machine->pvpanic);
	q35_destroy(machine->q35);
	firmware_boot_destroy(machine->firmware_boot);
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
	firmware_files_close(machine->firmware_files);
	mem_destroy(machine->mem);
	kvm_close(&machine->kvm);
	boot_close(machine->boot);
	if (machine->signal_fd >= 0)
		close(machine->signal_fd);
	if (machine->reset_fd >= 0)
		close(machine->reset_fd);
	if (machine->awaited_fd >= 0)
		close(machine->awaited_fd);
	if (machine->sleep_fd >= 0)
		close(machine->sleep_fd);
	free(machine);
}
