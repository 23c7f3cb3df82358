#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "devices/acpi_pm.h"
#include "devices/pci.h"
#include "devices/pvpanic.h"
#include "devices/q35.h"
#include "devices/virtio_devices.h"
#include "devices/watchdog.h"
#include "vfio/vfio.h"
#include "vmm/base/log.h"
#include "vmm/boot.h"
#include "vmm/events.h"
#include "vmm/firmware_files.h"
#include "vmm/irq.h"
#include "vmm/layout.h"
#include "vmm/loop.h"
#include "vmm/machine_internal.h"
#include "vmm/options.h"
#include "vmm/shutdown.h"
#include "vmm/slots.h"

int machine_load_guest(struct machine *m, char *why, size_t why_size)
{
	struct boot_entry entry;
	int error = machine_load(m, &entry, why, why_size);

	return error ? error : vcpus_reset(m->vcpus, &entry);
}

void machine_reset_devices(struct machine *m)
{
	m->awaited += virtio_devices_reset(m->virtio, m->awaited_fd);
	pvpanic_reset(m->pvpanic);
	serial_reset(m->serial);
	terminal_drop_input(m->terminal);
	if (m->firmware_files)
		firmware_files_reset(m->firmware_files);
}

/* A guest that was asked to power off has its end in a reset. */
static bool end_if_asked(struct machine *m)
{
	bool asked = shutdown_is_asked(m->shutdown);

	if (asked)
		machine_end(m, "reset", EXIT_GUEST_POWERED_OFF);
	return asked;
}

/* Cards and disks are done, and nobody else was to do anything meanwhile. */
static void begin_anew(struct machine *m)
{
	char why[WHY_SIZE] = "the CPUs refuse their reset state";

	if (end_if_asked(m)) /* meanwhile; this one has nothing to put in order yet */
		return;
	if (machine_load_guest(m, why, sizeof(why))) {
		log_err("reboot: %s", why);
		machine_end(m, "reset-failed", EXIT_FAILED);
		return;
	}
	vcpus_resume(m->vcpus);
}

void machine_await_slots(struct machine *m, void (*ask)(struct vfio_slot *slot, int done_fd),
			 void (*done)(struct machine *m))
{
	struct vfio_slot *slot;

	m->then = done;
	for (unsigned int i = 0; (slot = slots_get(m->slots, i)); i++) {
		m->awaited++;
		ask(slot, m->awaited_fd);
	}
	if (!m->awaited)
		done(m);
}

/* Ours before the cards: what people do until these are done (a key, the power button) is for the
 * guest that comes. */
void machine_reset(struct machine *m)
{
	const char *cause = m->reset_cause ? m->reset_cause : "guest";
	const struct event_number faults = {"faults", m->faults};

	if (end_if_asked(m))
		return;
	if (m->awaited && m->then != begin_anew) {
		m->reset_waits = true; /* for a step of S3 to end */
		return;
	}
	m->reset_cause = NULL;
	if (m->awaited)
		return;
	events_emit(&(struct event){.event = "reset", .cause = cause, .number = &faults,
				    .numbers = m->faults > 0});
	/* First: an interrupt that a device raises from its reset on must not be forgotten. */
	irq_chip_reset(m->irq);
	machine_reset_devices(m);
	/* Not in S3, or who resumes would have to know where ECAM was (devices/q35.c). */
	q35_reset(m->q35);
	acpi_pm_reset(m->pm);
	rtc_reset(m->rtc);
	if (m->watchdog)
		watchdog_reset(m->watchdog);
	m->is_suspended = false;
	machine_await_slots(m, vfio_slot_reset, begin_anew);
}

void machine_parts_are_done(void *opaque, int fd)
{
	struct machine *m = opaque;
	uint64_t count;

	if (read(fd, &count, sizeof(count)) != sizeof(count))
		return;
	m->awaited -= count;
	if (m->awaited || loop_is_stopping(m->loop))
		return;
	if (m->reset_waits) {
		m->reset_waits = false;
		machine_reset(m);
	} else {
		m->then(m);
	}
}
