/*
 * What sysfs says on why a slot does not sleep: one sentence for each thing that can be put right.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/power_test.h"
#include "vfio/sysfs.h"
#include "vmm/base/text.h"

static const char *separator(const struct text *text)
{
	return text->len ? "; " : "";
}

static bool file_says(const char *dir, const char *name, const char *value)
{
	char line[32];

	return sysfs_read_line(dir, name, line, sizeof(line)) && !strcmp(line, value);
}

/* A device with power/control=on is never suspended, and neither is what is above it. */
static void explain_control(const char *dir, const char *name, struct text *text)
{
	if (file_says(dir, "power/control", "on"))
		text_add(text, "%s%s has power/control=on: as root, echo auto "
			 ">/sys/bus/pci/devices/%s/power/control", separator(text), name, name);
}

static void explain_cold(const char *dir, const char *name, struct text *text)
{
	if (file_says(dir, "d3cold_allowed", "0"))
		text_add(text, "%s%s has d3cold_allowed=0: as root, echo 1 "
			 ">/sys/bus/pci/devices/%s/d3cold_allowed", separator(text), name, name);
}

/* Who else is below the port, and is awake. */
static void explain_neighbours(const char *port, const char *slot, struct text *text)
{
	struct dirent *entry;
	DIR *list = opendir(port);

	while (list && (entry = readdir(list))) {
		char dir[PATH_MAX], bdf[16];

		if (!host_parse_bdf(entry->d_name, bdf) || !strncmp(bdf, slot, strlen(slot)) ||
		    snprintf(dir, sizeof(dir), "%s/%.12s", port, bdf) >= (int)sizeof(dir))
			continue;
		if (file_says(dir, "power/runtime_status", "active"))
			text_add(text, "%s%s, below the same port, is awake", separator(text),
				 bdf);
	}
	if (list)
		closedir(list);
}

static void explain_bridges(char *path, const char *slot, bool asleep, struct text *text)
{
	bool nearest = true;
	char *last;

	/* From the device's own directory up to the root: bridges are named as devices. */
	while ((last = strrchr(path, '/'))) {
		char name[16];

		*last = '\0';
		last = strrchr(path, '/');
		if (!last || !host_parse_bdf(last + 1, name))
			return;
		explain_control(path, name, text);
		if (asleep)
			explain_cold(path, name, text);
		if (nearest && asleep)
			explain_neighbours(path, slot, text);
		nearest = false;
	}
}

void power_test_explain(const char *sysfs, const char *slot, bool asleep, struct text *text)
{
	char dir[PATH_MAX], real[PATH_MAX] = "", name[16];

	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		snprintf(name, sizeof(name), "%.12s.%u", slot, i);
		if (!sysfs_device_dir(sysfs, name, dir) || access(dir, F_OK))
			continue;
		explain_control(dir, name, text);
		if (asleep)
			explain_cold(dir, name, text);
		if (!real[0] && !realpath(dir, real))
			real[0] = '\0';
	}
	explain_bridges(real, slot, asleep, text);
}
