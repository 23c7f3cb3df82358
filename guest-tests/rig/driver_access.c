/* What a person or a program on the host does to a device that is passed through, unknowingly. */
#include "guest-tests/rig/driver_soak.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define LSPCI_BYTES 64

static int set_control(struct target *target, bool on)
{
	char path[256];
	int error;

	snprintf(path, sizeof(path), SYSFS_PCI "%s/power/control", target->device->bdf);
	error = host_write(path, on ? "on" : "auto");
	target->held = on;
	return error ? fail("%s: %s", path, strerror(-error)) : 0;
}

static int read_config(struct target *target, unsigned int len)
{
	char hex[2 * 256 + 1];

	if (host_config(target->device->bdf, 0, len, hex, sizeof(hex)) < 0)
		return -1;
	return strncmp(hex, "8680", 4) ? fail("the host reads %.8s from %s", hex,
					      target->device->name) : 0;
}

static int access_id(struct target *target)
{
	return read_config(target, 4);
}

static int access_header(struct target *target)
{
	return read_config(target, 256);
}

static int access_control(struct target *target)
{
	return target->held ? 0 : set_control(target, true);
}

/* What lspci does: the header of every device. */
static int access_all(struct target *target)
{
	char hex[2 * LSPCI_BYTES + 1];
	struct dirent *entry;
	DIR *dir = opendir(SYSFS_PCI);
	int result = 0;

	(void)target;
	while (dir && result == 0 && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			result = host_config(entry->d_name, 0, LSPCI_BYTES, hex, sizeof(hex));
	if (dir)
		closedir(dir);
	return result;
}

/* Everything else in its directory is served from the kernel's memory and wakes nothing. */
static int access_attributes(struct target *target)
{
	static const char *const names[] = {
		"vendor", "device", "class", "irq", "resource", "modalias", "uevent", "enable",
		"numa_node", "power_state", "d3cold_allowed", "current_link_speed", "ari_enabled",
		"power/control", "power/runtime_status", "power/runtime_suspended_time",
		"power/wakeup",
	};
	char path[256], text[TEXT_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), SYSFS_PCI "%s/%s", target->device->bdf, names[i]);
		host_read(path, text, sizeof(text)); /* some kernels do not have all of them */
	}
	return 0;
}

static const struct access {
	const char *name;
	int (*perform)(struct target *target);
	bool wakes, wakes_all;
} accesses[] = {
	{"config, 4 bytes", access_id, true, false},
	{"config, 256 bytes", access_header, true, false},
	{"power/control on", access_control, true, false},
	{"config of all devices", access_all, true, true},
	{"attributes", access_attributes, false, false},
};
#define ACCESSES (sizeof(accesses) / sizeof(accesses[0]))

/* Just before the access. */
static void count(struct target *target)
{
	sample_read(&target->state);
	target->accesses++;
	target->since_us = now_us();
	if (!target->engaged || strcmp(target->state.value, "D3cold") != 0)
		return;
	target->certain++;
	target->expected = target->woken + 1;
}

int soak_access(struct soak *soak, struct target *target, bool must_wake)
{
	const struct access *access;

	do {
		access = &accesses[soak_random(ACCESSES)];
	} while (must_wake && !access->wakes);
	say("soak: %s: %s", target->device->name, access->name);
	events_pump(soak->rig);
	if (soak_take_events(soak) < 0)
		return -1;
	for (unsigned int i = 0; i < soak->targets; i++)
		if (access->wakes_all || (access->wakes && target == &soak->target[i]))
			count(&soak->target[i]);
	soak->quiet += !access->wakes;
	return access->perform(target);
}

int soak_release(struct soak *soak, struct target *target)
{
	(void)soak;
	say("soak: %s: power/control auto", target->device->name);
	target->since_us = now_us();
	return set_control(target, false);
}
