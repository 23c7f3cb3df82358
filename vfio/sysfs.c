#include "vfio/sysfs.h"

#include <stdio.h>
#include <string.h>

bool sysfs_device_dir(const char *sysfs, const char *name, char ret_dir[PATH_MAX])
{
	return snprintf(ret_dir, PATH_MAX, "%s/bus/pci/devices/%s", sysfs, name) < PATH_MAX;
}

bool sysfs_read_line(const char *dir, const char *name, char *ret_line, size_t size)
{
	char path[PATH_MAX];
	bool has_line;
	FILE *file;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return false;
	file = fopen(path, "re");
	if (!file)
		return false;
	has_line = fgets(ret_line, (int)size, file);
	fclose(file);
	if (has_line)
		ret_line[strcspn(ret_line, "\n")] = '\0';
	return has_line;
}
