/*
 * The guest's S3. ACPI 6.3, 16.1.3 S3 Sleeping State: all is lost but memory, the clock, and what
 * wakes. The CPUs stop, devices are as after a reset, slots have no power. What woke the guest is
 * known to the power management registers (devices/acpi_pm.h), which keep their values; the guest
 * begins again where it asked for, and firmware's part, addresses of PCI and memory types, is done.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "devices/acpi_pm.h"
#include "devices/pci.h"
#include "devices/watchdog.h"
#include "vfio/vfio.h"
#include "vmm/base/clock.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/log.h"
#include "vmm/boot.h"
#include "vmm/events.h"
#include "vmm/firmware.h"
#include "vmm/firmware_boot.h"
#include "vmm/loop.h"
#include "vmm/machine_internal.h"
#include "vmm/shutdown.h"
#include "vmm/slots.h"

static void tell_main_thread(struct machine *machine)
{
	uint64_t one = 1;

	if (write(machine->sleep_fd, &one, sizeof(one)) != sizeof(one))
		log_debug("a change of S3 is already under way");
}

void machine_ask_suspend(struct machine *machine)
{
	vcpus_request_pause(machine->vcpus);
	tell_main_thread(machine);
}

void machine_ask_wake(struct machine *machine)
{
	tell_main_thread(machine);
}

/* --- from SLP_EN --- */

static void tell_resume(const struct machine *m, enum acpi_pm_wake woken_by)
{
	static const char *const causes[] = {
		[ACPI_PM_BUTTON] = "button", [ACPI_PM_RTC] = "rtc", [ACPI_PM_PME] = "pme",
		[ACPI_PM_GPE] = "gpe", [ACPI_PM_USER] = "ctl"};
	const struct event_number slept = {"slept_us", clock_us() - m->suspended_since};

	events_emit(&(struct event){.event = "resume", .cause = causes[woken_by],
				    .number = &slept, .numbers = 1});
}

/* What the firmware did before, unless there is one: it does its part itself, and has a FACS of its
 * own. -ENOENT: the guest left no waking vector. */
static int find_entry(struct machine *m, struct boot_entry *ret_entry)
{
	if (m->firmware_boot) {
		firmware_boot_resume(m->firmware_boot);
		*ret_entry = (struct boot_entry){.mode = BOOT_RESET_VECTOR};
		return 0;
	}
	if (!firmware_waking_entry(m->mem, ret_entry))
		return -ENOENT;
	return pci_host_assign(m->pci);
}

/* The slots have their power again. */
static void begin_again(struct machine *m)
{
	struct boot_entry entry;
	int error = find_entry(m, &entry);

	acpi_pm_resume(m->pm);
	irq_chip_assert_again(m->irq);
	if (!error)
		error = vcpus_reset(m->vcpus, &entry);
	if (error == -ENOENT) {
		log_guest("the guest left no waking vector in the FACS, resetting");
		machine_ask_reset(m);
	} else if (error) {
		log_err("S3: the guest cannot be resumed: %s", strerror(-error));
		machine_end(m, "resume-failed", EXIT_FAILED);
	} else {
		vcpus_resume(m->vcpus);
	}
}

static void wake_if_due(struct machine *m)
{
	enum acpi_pm_wake woken_by = acpi_pm_woken_by(m->pm);

	if (!woken_by)
		return;
	m->is_suspended = false;
	tell_resume(m, woken_by);
	machine_await_slots(m, vfio_slot_resume, begin_again);
}

/* All is off. What wakes may have come meanwhile. */
static void be_asleep(struct machine *m)
{
	m->is_suspended = true;
	m->suspended_since = clock_us();
	events_emit(&(struct event){.event = "suspend", .cause = "guest"});
	shutdown_guest_sleeps(m->shutdown);
	wake_if_due(m);
}

static void fall_asleep(struct machine *m)
{
	/* No interrupt of before, and no timer of a CPU, has a place in what comes. */
	irq_chip_reset(m->irq);
	if (vcpus_reset(m->vcpus, NULL))
		log_warn("S3: the CPUs refuse their reset state; they are stopped all the same");
	machine_reset_devices(m);
	if (m->watchdog)
		watchdog_sleep(m->watchdog);
	machine_await_slots(m, vfio_slot_suspend, be_asleep);
}

/* While others are awaited, the end of that looks itself. What a reset overtook is void. */
void machine_change_sleep(void *opaque, int fd)
{
	struct machine *m = opaque;
	bool due = acpi_pm_is_suspended(m->pm) && !m->awaited && !loop_is_stopping(m->loop);

	if (due && !vcpus_try_pause(m->vcpus))
		return; /* `fd` stays as it is */
	eventfd_drain(fd);
	if (!due)
		return;
	if (m->is_suspended)
		wake_if_due(m);
	else
		fall_asleep(m);
}
