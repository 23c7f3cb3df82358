/* What the doctor reads, and how it makes sure that no device wakes up for it. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/doctor.h"
#include "vfio/sysfs.h"
#include "vmm/base/bits.h"

/*
 * Files of a device whose reading only asks the kernel's memory (Linux 6.1 and 6.12,
 * drivers/pci/pci-sysfs.c, pci.c reset_method_show(), drivers/base/power/sysfs.c). Those that
 * resume a device in D3cold or the bridge above it (pci_config_pm_runtime_get()) are not among
 * them: config, current_link_speed, current_link_width, max_link_width, secondary_bus_number,
 * subordinate_bus_number, rom, vpd, resourceN_resize. Those of firmware_node ask ACPI:
 * real_power_state evaluates _STA of power resources and _PSC (drivers/acpi/device_pm.c,
 * acpi_device_get_power()), which say in what state a device is and change none.
 */
static const char *const harmless[] = {
	"boot_vga",
	"class",
	"d3cold_allowed",
	"device",
	"firmware_node/real_power_state",
	"power/autosuspend_delay_ms",
	"power/control",
	"power/runtime_status",
	"power/runtime_suspended_time",
	"power_state",
	"reset_method",
	"vendor",
};

static bool is_harmless(const char *attribute)
{
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		if (!strcmp(harmless[i], attribute))
			return true;
	return false;
}

bool doctor_attribute(const struct doctor_host *host, const char *device, const char *attribute,
		      char *ret_line, size_t size)
{
	char dir[PATH_MAX];

	assert(is_harmless(attribute));
	return sysfs_device_dir(host->sysfs, device, dir) &&
	       sysfs_read_line(dir, attribute, ret_line, size);
}

bool doctor_attribute_number(const struct doctor_host *host, const char *device,
			     const char *attribute, uint64_t *ret_number)
{
	char dir[PATH_MAX];

	assert(is_harmless(attribute));
	return sysfs_device_dir(host->sysfs, device, dir) &&
	       sysfs_read_number(dir, attribute, ret_number);
}

uint64_t doctor_number(const struct doctor_host *host, const char *device, const char *attribute)
{
	uint64_t value = 0;

	doctor_attribute_number(host, device, attribute, &value);
	return value;
}

bool doctor_is_display(const struct doctor_host *host, const char *device)
{
	return doctor_number(host, device, "class") >> 16 == DOCTOR_CLASS_DISPLAY;
}

bool doctor_is_of_slot(const struct doctor_slot *slot, const char *device)
{
	size_t len = strlen(slot->host.name);

	return !strncmp(slot->host.name, device, len) && device[len] == '.';
}

const char *doctor_main_function(const struct doctor_host *host, const struct doctor_slot *slot)
{
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (slot->host.fn[i].exists && doctor_is_display(host, slot->host.fn[i].name))
			return slot->host.fn[i].name;
	return slot->host.fn[0].name;
}

void doctor_link(const struct doctor_host *host, const char *device, const char *link,
		 char *ret_name, size_t size)
{
	char dir[PATH_MAX];

	ret_name[0] = '\0';
	if (sysfs_device_dir(host->sysfs, device, dir))
		sysfs_link_name(dir, link, ret_name, size);
}

bool doctor_exists(const struct doctor_host *host, const char *path)
{
	char full[PATH_MAX];

	return snprintf(full, sizeof(full), "%s%s", host->root, path) < (int)sizeof(full) &&
	       access(full, F_OK) == 0;
}

bool doctor_line(const struct doctor_host *host, const char *path, char *ret_line, size_t size)
{
	return sysfs_read_line(host->root, path, ret_line, size);
}

bool doctor_keyed_line(const struct doctor_host *host, const char *path, const char *key,
		       char *ret_line, size_t size)
{
	size_t len = strlen(key);
	char full[PATH_MAX], line[256];
	bool found = false;
	FILE *file;

	if (snprintf(full, sizeof(full), "%s%s", host->root, path) >= (int)sizeof(full))
		return false;
	file = fopen(full, "re");
	while (file && !found && fgets(line, sizeof(line), file))
		found = !strncmp(line, key, len);
	if (file)
		fclose(file);
	if (!found)
		return false;
	line[strcspn(line, "\n")] = '\0';
	snprintf(ret_line, size, "%s", line + len + strspn(line + len, " \t:"));
	return true;
}

static int not_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int doctor_scan(const struct doctor_host *host, const char *path, struct dirent ***ret_entry)
{
	char full[PATH_MAX];
	int count;

	*ret_entry = NULL;
	if (snprintf(full, sizeof(full), "%s%s", host->root, path) >= (int)sizeof(full))
		return -ENAMETOOLONG;
	count = scandir(full, ret_entry, not_hidden, alphasort);
	return count < 0 ? -errno : count;
}

void doctor_scan_finish(struct dirent **entry, int count)
{
	for (int i = 0; i < count; i++)
		free(entry[i]);
	free(entry);
}

unsigned int doctor_entries(const struct doctor_host *host, const char *path)
{
	struct dirent **entry;
	int count = doctor_scan(host, path, &entry);

	doctor_scan_finish(entry, count);
	return count > 0 ? (unsigned int)count : 0;
}

void doctor_first_entry(const struct doctor_host *host, const char *path, char *ret_name,
			size_t size)
{
	struct dirent **entry;
	int count = doctor_scan(host, path, &entry);

	snprintf(ret_name, size, "%.*s", (int)size - 1, count > 0 ? entry[0]->d_name : "");
	doctor_scan_finish(entry, count);
}

bool doctor_kernel_argument(const struct doctor_host *host, const char *word)
{
	char line[4096], *rest = line, *found;

	if (!doctor_line(host, "/proc/cmdline", line, sizeof(line)))
		return false;
	while ((found = strsep(&rest, " ")))
		if (!strcmp(found, word))
			return true;
	return false;
}

bool doctor_cpu_is(const struct doctor_host *host, const char *vendor)
{
	char line[64];

	return doctor_keyed_line(host, "/proc/cpuinfo", "vendor_id", line, sizeof(line)) &&
	       !strcmp(line, vendor);
}

unsigned int doctor_find_bridges(const struct doctor_host *host, const char *device,
				 char ret_bridge[DOCTOR_BRIDGES_MAX][16])
{
	char dir[PATH_MAX], real[PATH_MAX], *last;
	unsigned int count = 0;

	if (!sysfs_device_dir(host->sysfs, device, dir) || !realpath(dir, real))
		return 0;
	/* A device's directory is in that of the bridge above it, up to the host bridge. */
	while (count < DOCTOR_BRIDGES_MAX && (last = strrchr(real, '/'))) {
		*last = '\0';
		last = strrchr(real, '/');
		if (!last || !host_parse_bdf(last + 1, ret_bridge[count]))
			break;
		count++;
	}
	return count;
}

/*
 * Reading config space keeps a device awake that is awake (pci_config_pm_runtime_get()), but one
 * that may fall asleep could do so just before, and would be woken. So only one is asked whose
 * power/control does not let it sleep.
 */
bool doctor_is_dead(const struct doctor_host *host, const char *device)
{
	char state[16], status[16], control[16], dir[PATH_MAX], path[PATH_MAX];
	uint16_t vendor = 0;
	int fd;

	if (!doctor_attribute(host, device, "power/control", control, sizeof(control)) ||
	    !doctor_attribute(host, device, "power/runtime_status", status, sizeof(status)) ||
	    !doctor_attribute(host, device, "power_state", state, sizeof(state)) ||
	    strcmp(control, "on") || strcmp(status, "active") || strcmp(state, "D0"))
		return false;
	if (!sysfs_device_dir(host->sysfs, device, dir) ||
	    snprintf(path, sizeof(path), "%s/config", dir) >= (int)sizeof(path))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, &vendor, sizeof(vendor)) != (ssize_t)sizeof(vendor))
		vendor = 0;
	close(fd);
	return vendor == 0xffff;
}
