/*
 * What sysfs says of the host while a device sleeps: reading these files asks the kernel's memory,
 * never the device (Linux 6.1, drivers/base/power/sysfs.c, drivers/pci/pci-sysfs.c).
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio/backend.h"
#include "vfio/host.h"
#include "vfio/sysfs.h"

int host_observe(const char *sysfs, const char *name, struct vfio_observation *ret_observation)
{
	struct vfio_observation seen = {.power_state = "unknown"};
	char dir[PATH_MAX], status[16];
	uint64_t suspended_ms = 0;

	/* Every PCI device has run-time power management; what lacks the file is no device. */
	if (!sysfs_device_dir(sysfs, name, dir) ||
	    !sysfs_read_line(dir, "power/runtime_status", status, sizeof(status)))
		return -ENOTSUP;
	seen.suspended = !strcmp(status, "suspended");
	sysfs_read_line(dir, "power_state", seen.power_state, sizeof(seen.power_state));
	if (sysfs_read_number(dir, "power/runtime_suspended_time", &suspended_ms))
		seen.suspended_us = suspended_ms * 1000;
	/* An empty line: wake-up is not enabled for the device. */
	seen.counts_wakeups = sysfs_read_number(dir, "power/wakeup_active_count", &seen.wakeups);
	*ret_observation = seen;
	return 0;
}

/* The file is there where the firmware says of the port that it leads outside, and is "removable"
 * for all that is below it (pci/probe.c, pci_set_removable()). */
bool host_is_external(const char *sysfs, const char *name)
{
	char dir[PATH_MAX], real[PATH_MAX], *last;

	if (!sysfs_device_dir(sysfs, name, dir) || !realpath(dir, real))
		return false;
	/* From the device up to the root: bridges are named as devices, "0000:00:1c.0". */
	while ((last = strrchr(real, '/')) && host_parse_bdf(last + 1, (char[16]){0})) {
		char line[16];

		if (sysfs_read_line(real, "removable", line, sizeof(line)) &&
		    !strcmp(line, "removable"))
			return true;
		*last = '\0';
	}
	return false;
}

bool host_idle_d3_disabled(const char *sysfs)
{
	char dir[PATH_MAX], line[8];

	return snprintf(dir, sizeof(dir), "%s/module/vfio_pci/parameters", sysfs) < PATH_MAX &&
	       sysfs_read_line(dir, "disable_idle_d3", line, sizeof(line)) && !strcmp(line, "Y");
}
