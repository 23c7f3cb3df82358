/*
 * What sysfs says of a slot and of those who share its IOMMU groups. Reading it wakes nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/bind.h"
#include "tools/pci_class.h"
#include "vfio/host.h"
#include "vfio/sysfs.h"

void bind_driver(const struct bind_host *host, const char *name, char *ret_driver, size_t size)
{
	char dir[PATH_MAX];

	ret_driver[0] = '\0';
	if (sysfs_device_dir(host->sysfs, name, dir))
		sysfs_link_name(dir, "driver", ret_driver, size);
}

bool bind_exists(const struct bind_host *host, const char *name)
{
	char dir[PATH_MAX];

	return sysfs_device_dir(host->sysfs, name, dir) && !access(dir, F_OK);
}

/* "(null)" is what the kernel writes for none (Linux 6.1, pci-sysfs.c, driver_override_show()). */
static void read_override(const char *dir, char *ret_override, size_t size)
{
	if (!sysfs_read_line(dir, "driver_override", ret_override, size) ||
	    !strcmp(ret_override, "(null)"))
		ret_override[0] = '\0';
}

static bool read_function(const struct bind_host *host, const char *name, bool in_slot,
			  struct bind_function *ret_fn)
{
	struct host_function known;
	uint64_t class = 0, vendor = 0, device = 0;
	char dir[PATH_MAX];

	if (!bind_exists(host, name) || !sysfs_device_dir(host->sysfs, name, dir))
		return false;
	host_function_read(host->sysfs, name, &known);
	sysfs_read_number(dir, "class", &class);
	sysfs_read_number(dir, "vendor", &vendor);
	sysfs_read_number(dir, "device", &device);
	*ret_fn = (struct bind_function) {
		.class = (uint32_t)class & 0xffffff,
		.vendor = (uint16_t)vendor,
		.device = (uint16_t)device,
		.group = known.group,
		.node = known.node,
		.in_slot = in_slot,
		.harmless = host_keeps_viable(host->sysfs, name, known.driver),
	};
	snprintf(ret_fn->name, sizeof(ret_fn->name), "%s", known.name);
	snprintf(ret_fn->driver, sizeof(ret_fn->driver), "%s", known.driver);
	read_override(dir, ret_fn->override, sizeof(ret_fn->override));
	return true;
}

static bool is_known(const struct bind_slot *slot, const char *name)
{
	for (unsigned int i = 0; i < slot->count; i++)
		if (!strcmp(slot->fn[i].name, name))
			return true;
	return false;
}

static int is_address(const struct dirent *entry)
{
	char bdf[16];

	return host_parse_bdf(entry->d_name, bdf) && !strcmp(bdf, entry->d_name);
}

/* Those of group `number` that are not known yet. */
static void add_group(const struct bind_host *host, int number, struct bind_slot *slot)
{
	char dir[PATH_MAX];
	struct dirent **members;
	int count;

	snprintf(dir, sizeof(dir), "%s/kernel/iommu_groups/%d/devices", host->sysfs, number);
	count = scandir(dir, &members, is_address, alphasort);
	for (int i = 0; i < count; i++) {
		const char *name = members[i]->d_name;

		if (slot->count == BIND_FUNCTIONS)
			slot->beyond += !is_known(slot, name);
		else if (!is_known(slot, name) &&
			 read_function(host, name, false, &slot->fn[slot->count]))
			slot->count++;
		free(members[i]);
	}
	if (count >= 0)
		free(members);
}

int bind_look(const struct bind_host *host, const char *bdf, struct bind_slot *ret_slot,
	      char *ret_why, size_t why_size)
{
	char full[16], name[16];
	unsigned int functions;

	*ret_slot = (struct bind_slot){.count = 0};
	if (!host_parse_bdf(bdf, full)) {
		snprintf(ret_why, why_size, "'%.32s' is not a PCI address: write "
			 "BUS:DEVICE.FUNCTION in hexadecimal, as in 01:00.0 or 0000:01:00.0", bdf);
		return -EINVAL;
	}
	if (!bind_exists(host, full)) {
		snprintf(ret_why, why_size, "there is no PCI device %s; lspci lists those that "
			 "there are", full);
		return -ENODEV;
	}
	snprintf(ret_slot->name, sizeof(ret_slot->name), "%.*s", (int)strlen(full) - 2, full);
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		snprintf(name, sizeof(name), "%.10s.%u", ret_slot->name, i);
		if (read_function(host, name, true, &ret_slot->fn[ret_slot->count]))
			ret_slot->count++;
	}
	functions = ret_slot->count;
	for (unsigned int i = 0; i < functions; i++)
		if (ret_slot->fn[i].group >= 0)
			add_group(host, ret_slot->fn[i].group, ret_slot);
	return 0;
}
