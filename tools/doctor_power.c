/* What the doctor looks at for every slot: how deep it can sleep, and whether it does. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/doctor.h"
#include "vmm/base/bits.h"

/* Does `attribute` of a device say `word`? False, too, where it cannot be read. */
static bool says(const struct doctor_host *host, const char *device, const char *attribute,
		 const char *word)
{
	char line[32];

	return doctor_attribute(host, device, attribute, line, sizeof(line)) && !strcmp(line, word);
}

/* Each of these two says nothing of a device about which there is nothing to say. */
static void look_d3cold(const struct doctor_host *host, const char *device,
			struct doctor_finding *finding)
{
	if (says(host, device, "d3cold_allowed", "1"))
		return;
	if (!says(host, device, "d3cold_allowed", "0")) {
		doctor_say(finding, DOCTOR_UNKNOWN, "%s does not say whether it is allowed D3cold",
			   device);
		return;
	}
	doctor_say(finding, DOCTOR_LIMIT, "%s is not allowed D3cold", device);
	doctor_fix(finding, "echo 1 >/sys/bus/pci/devices/%s/d3cold_allowed", device);
	doctor_fix(finding, "# where it stays 0, %s has no power management", device);
}

static void look_control(const struct doctor_host *host, const char *device,
			 struct doctor_finding *finding)
{
	if (says(host, device, "power/control", "auto"))
		return;
	if (!says(host, device, "power/control", "on")) {
		doctor_say(finding, DOCTOR_UNKNOWN, "%s does not say whether it may sleep", device);
		return;
	}
	doctor_say(finding, DOCTOR_LIMIT, "%s is kept awake (power/control is on)", device);
	doctor_fix(finding, "echo auto >/sys/bus/pci/devices/%s/power/control", device);
}

/* The kernel sets it for every device with power management (pci.c, pci_pm_init()). One such
 * function keeps the power of the slot on (pci_dev_check_d3cold()). */
static void look_d3cold_allowed(const struct doctor_host *host, const struct doctor_slot *slot,
				struct doctor_finding *finding)
{
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (slot->host.fn[i].exists)
			look_d3cold(host, slot->host.fn[i].name, finding);
	if (!finding->why.len)
		doctor_say(finding, DOCTOR_OK, "every function is allowed D3cold");
}

/* vfio-pci sets it to auto when it is bound (vfio_pci_core.c, vfio_pci_core_register_device()). */
static void look_runtime_pm(const struct doctor_host *host, const struct doctor_slot *slot,
			    struct doctor_finding *finding)
{
	unsigned int bound = 0;

	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		const struct host_function *fn = &slot->host.fn[i];

		if (!fn->exists || strcmp(fn->driver, "vfio-pci"))
			continue;
		bound++;
		look_control(host, fn->name, finding);
	}
	if (bound && !finding->why.len)
		doctor_say(finding, DOCTOR_OK, "the host lets every function sleep");
}

/* --- what cuts the power --- */

/* The first entry of a directory of the device's ACPI node, "" without. */
static void first_entry(const struct doctor_host *host, const char *device, const char *dir,
			char ret_name[32])
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/firmware_node/%s", device, dir);
	doctor_first_entry(host, path, ret_name, 32);
}

/* _PR0 and _PR3 both list a power resource, or Linux takes D3cold for impossible
 * (drivers/acpi/scan.c, acpi_bus_get_power_flags(); power.c shows the lists in sysfs). */
static bool has_rail(const struct doctor_host *host, const char *device)
{
	char in_d0[32], in_d3hot[32];

	first_entry(host, device, "power_resources_D0", in_d0);
	first_entry(host, device, "power_resources_D3hot", in_d3hot);
	return in_d0[0] && in_d3hot[0];
}

/* A file of the device's ACPI node. A node that has _EJ0, too, shown as "eject", is never switched
 * (pci-acpi.c, acpi_pci_set_power_state()). */
static bool node_has(const struct doctor_host *host, const char *device, const char *file)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/firmware_node/%s", device, file);
	return doctor_exists(host, path);
}

/* Number 0 is function 0 of the slot, from 1 on are the bridges above it. */
static const char *above(const struct doctor_slot *slot, unsigned int number)
{
	return number ? slot->bridge[number - 1] : slot->host.fn[0].name;
}

/* The nearest with a rail, which cuts the power of the slot. NULL: none. */
static const char *rail_owner(const struct doctor_host *host, const struct doctor_slot *slot,
			      unsigned int *ret_number)
{
	for (*ret_number = 0; *ret_number <= slot->bridges; ++*ret_number)
		if (has_rail(host, above(slot, *ret_number)))
			return above(slot, *ret_number);
	return NULL;
}

/* How many bridges must sleep before the power is cut: up to the last that uses the same rail. All,
 * where there is none. */
static unsigned int bridges_to_sleep(const struct doctor_host *host, const struct doctor_slot *slot)
{
	unsigned int owner, last;
	char rail[32], same[64];

	if (!rail_owner(host, slot, &owner))
		return slot->bridges;
	first_entry(host, above(slot, owner), "power_resources_D0", rail);
	snprintf(same, sizeof(same), "power_resources_D0/%s", rail);
	last = owner;
	for (unsigned int i = owner + 1; i <= slot->bridges; i++)
		if (node_has(host, above(slot, i), same))
			last = i;
	return last;
}

/*
 * Does the kernel never let a port sleep, whatever its power/control says? pcieport uses
 * autosuspend for those that pci_bridge_d3_possible() lets sleep and for no others (Linux 6.12,
 * portdrv.c, pcie_portdrv_probe()), and where it is not used its delay cannot be read
 * (drivers/base/power/sysfs.c, autosuspend_delay_ms_show()).
 */
static bool never_sleeps(const struct doctor_host *host, const char *port, const char *driver)
{
	char line[16];

	return !strcmp(driver, "pcieport") &&
	       doctor_attribute(host, port, "power/control", line, sizeof(line)) &&
	       !doctor_attribute(host, port, "power/autosuspend_delay_ms", line, sizeof(line));
}

static void look_port(const struct doctor_host *host, const char *port,
		      struct doctor_finding *finding)
{
	char driver[32];

	doctor_link(host, port, "driver", driver, sizeof(driver));
	if (never_sleeps(host, port, driver)) {
		doctor_say(finding, DOCTOR_LIMIT, "the kernel never lets %s sleep: a hot-plug "
			   "port, firmware from before 2015, or a board known for trouble", port);
		if (!doctor_kernel_argument(host, "pcie_port_pm=force") &&
		    !doctor_kernel_argument(host, "pcie_port_pm=off"))
			doctor_fix(finding, "# at your own risk: boot the host's kernel with "
				   "pcie_port_pm=force");
	} else {
		look_control(host, port, finding);
	}
	look_d3cold(host, port, finding);
	if (!driver[0])
		doctor_say(finding, DOCTOR_LIMIT, "%s has no driver, which would let it sleep "
			   "(pcieport)", port);
}

static void look_bridges(const struct doctor_host *host, const struct doctor_slot *slot,
			 struct doctor_finding *finding)
{
	unsigned int count = bridges_to_sleep(host, slot);

	for (unsigned int i = 0; i < count; i++)
		look_port(host, slot->bridge[i], finding);
	if (finding->why.len)
		return;
	if (!count)
		doctor_say(finding, DOCTOR_OK, "no port above it has to sleep");
	else if (count == 1)
		doctor_say(finding, DOCTOR_OK, "the host lets %s sleep", slot->bridge[0]);
	else
		doctor_say(finding, DOCTOR_OK, "the host lets %u ports from %s on sleep", count,
			   slot->bridge[0]);
}

/* --- what else is behind the ports that must sleep, which they cannot while it is awake --- */

static bool is_behind(const struct doctor_host *host, const char *device, const char *port)
{
	char bridge[DOCTOR_BRIDGES_MAX][16];
	unsigned int count = doctor_find_bridges(host, device, bridge);

	while (count && strcmp(bridge[count - 1], port))
		count--;
	return count;
}

/* Of the slot, or above it: these have checks of their own. */
static bool is_known(const struct doctor_slot *slot, const char *device)
{
	if (doctor_is_of_slot(slot, device))
		return true;
	for (unsigned int i = 0; i < slot->bridges; i++)
		if (!strcmp(slot->bridge[i], device))
			return true;
	return false;
}

/* True: there is something. */
static bool look_behind(const struct doctor_host *host, const struct doctor_slot *slot,
			const char *port, struct doctor_finding *finding)
{
	struct dirent **entry;
	int count = doctor_scan(host, "/sys/bus/pci/devices", &entry);
	bool found = false;

	for (int i = 0; i < count; i++) {
		const char *name = entry[i]->d_name;

		if (!is_known(slot, name) && is_behind(host, name, port)) {
			found = true;
			look_control(host, name, finding);
			look_d3cold(host, name, finding);
		}
	}
	doctor_scan_finish(entry, count);
	return found;
}

/* As with cards that have their audio behind another port of a switch of their own. */
static void look_neighbours(const struct doctor_host *host, const struct doctor_slot *slot,
			    struct doctor_finding *finding)
{
	unsigned int owner, count = bridges_to_sleep(host, slot);
	bool neighbours;

	if (!count || !rail_owner(host, slot, &owner))
		return;
	neighbours = look_behind(host, slot, slot->bridge[count - 1], finding);
	if (!finding->why.len)
		doctor_say(finding, DOCTOR_OK, neighbours
			   ? "the host lets all others behind %s sleep"
			   : "nothing else is behind %s", slot->bridge[count - 1]);
}

static void look_rail(const struct doctor_host *host, const struct doctor_slot *slot,
		      struct doctor_finding *finding)
{
	unsigned int number;
	const char *owner = rail_owner(host, slot, &number);

	if (!owner) {
		doctor_say(finding, DOCTOR_LIMIT, "the firmware has no power resource (_PR0 and "
			   "_PR3) for the card or a port above it: it reaches D3hot, no power is "
			   "cut");
		doctor_fix(finding, "# newer firmware or another slot may have one");
	} else if (node_has(host, owner, "eject")) {
		doctor_say(finding, DOCTOR_LIMIT, "%s has a power resource, but also _EJ0, with "
			   "which Linux does not use it", owner);
		doctor_fix(finding, "# firmware set-up: switch ACPI hot plug of this slot off");
	} else {
		doctor_say(finding, DOCTOR_OK, "%s has a power resource (_PR3): its power can be "
			   "cut", owner);
	}
}

/* --- what it does now --- */

static void say_time(const struct doctor_host *host, const char *device, char *ret_text,
		     size_t size)
{
	unsigned long long seconds;
	uint64_t ms;

	ret_text[0] = '\0';
	if (!doctor_attribute_number(host, device, "power/runtime_suspended_time", &ms))
		return;
	seconds = ms / 1000;
	snprintf(ret_text, size, "; slept %lluh %02llum %02llus so far",
		 seconds / 3600, seconds / 60 % 60, seconds % 60);
}

/* What a device is called and what its rail does are two things: others may hold the rail. */
static void say_asleep(const struct doctor_host *host, const struct doctor_slot *slot,
		       const char *state, const char *time, struct doctor_finding *finding)
{
	unsigned int number;
	const char *owner = rail_owner(host, slot, &number);
	char real[16];

	if (!strcmp(state, "D0"))
		doctor_say(finding, DOCTOR_LIMIT, "suspended, but in D0 all the same%s", time);
	else if (strcmp(state, "D3cold") || !owner ||
		 !doctor_attribute(host, owner, "firmware_node/real_power_state", real,
				   sizeof(real)))
		doctor_say(finding, DOCTOR_OK, "asleep in %s%s", state, time);
	else if (!strcmp(real, "D3cold"))
		doctor_say(finding, DOCTOR_OK, "asleep in D3cold, its power is cut%s", time);
	else
		doctor_say(finding, DOCTOR_LIMIT, "asleep in D3cold by name, but the power "
			   "resource of %s is on: another device may need it%s", owner, time);
}

/* Linux 6.12, pci.c, pci_power_names[]. */
static bool is_state(const char *line)
{
	static const char *const states[] = {
		"error", "D0", "D1", "D2", "D3hot", "D3cold", "unknown",
	};

	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (!strcmp(line, states[i]))
			return true;
	return false;
}

static void look_state(const struct doctor_host *host, const struct doctor_slot *slot,
		       struct doctor_finding *finding)
{
	const char *device = slot->host.fn[0].name;
	char state[16], status[16], time[64];

	if (!doctor_attribute(host, device, "power_state", state, sizeof(state)) ||
	    !is_state(state) ||
	    !doctor_attribute(host, device, "power/runtime_status", status, sizeof(status))) {
		doctor_say(finding, DOCTOR_UNKNOWN, "its power state cannot be read");
		return;
	}
	say_time(host, device, time, sizeof(time));
	if (!strcmp(status, "error")) {
		doctor_say(finding, DOCTOR_FAIL, "stuck in %s: the host could not resume it (see "
			   "dmesg)", state);
		doctor_fix(finding, "# shut the host down and switch its power off for a while");
	} else if (doctor_is_dead(host, device)) {
		doctor_say(finding, DOCTOR_FAIL, "awake and gone: it answers nothing");
		doctor_fix(finding, "# shut the host down and switch its power off for a while");
	} else if (!strcmp(status, "suspended")) {
		say_asleep(host, slot, state, time, finding);
	} else if (!strcmp(state, "unknown")) {
		doctor_say(finding, DOCTOR_UNKNOWN, "no driver has put it into a known power state "
			   "yet");
	} else {
		doctor_say(finding, DOCTOR_OK, "awake in %s (%s)%s", state, status, time);
	}
}

const struct doctor_check doctor_power_checks[] = {
	{"d3cold-allowed", look_d3cold_allowed},
	{"runtime-pm", look_runtime_pm},
	{"bridges", look_bridges},
	{"neighbours", look_neighbours},
	{"rail", look_rail},
	{"state", look_state},
	{NULL, NULL},
};
