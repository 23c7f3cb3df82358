#include "vfio/sysfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

bool sysfs_read_number(const char *dir, const char *name, uint64_t *ret_number)
{
	char line[32], *end;
	unsigned long long number;

	if (!sysfs_read_line(dir, name, line, sizeof(line)))
		return false;
	errno = 0;
	number = strtoull(line, &end, line[0] == '0' && line[1] == 'x' ? 16 : 10);
	if (end == line || *end || errno)
		return false;
	*ret_number = number;
	return true;
}

void sysfs_link_name(const char *dir, const char *name, char *ret_name, size_t size)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *last;
	ssize_t len = -1;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path))
		len = readlink(path, target, sizeof(target) - 1);
	target[len > 0 ? len : 0] = '\0';
	last = strrchr(target, '/');
	snprintf(ret_name, size, "%.*s", (int)size - 1, last ? last + 1 : target);
}
