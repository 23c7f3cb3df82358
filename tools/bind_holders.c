/*
 * Who has a file open, as /proc tells.
 */
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/bind.h"
#include "vfio/sysfs.h"

static bool process_holds(const struct bind_host *host, const char *pid, const char *path)
{
	char dir[PATH_MAX], name[PATH_MAX], target[PATH_MAX];
	struct dirent *fd;
	bool holds = false;
	DIR *fds;

	snprintf(dir, sizeof(dir), "%s/%.16s/fd", host->proc, pid);
	fds = opendir(dir);
	while (fds && !holds && (fd = readdir(fds))) {
		ssize_t len = -1;

		if (snprintf(name, sizeof(name), "%s/%.16s", dir, fd->d_name) < (int)sizeof(name))
			len = readlink(name, target, sizeof(target));
		holds = len == (ssize_t)strlen(path) && !memcmp(target, path, (size_t)len);
	}
	if (fds)
		closedir(fds);
	return holds;
}

bool bind_holders(const struct bind_host *host, const char *path, char *ret_text, size_t size)
{
	DIR *processes = opendir(host->proc);
	struct dirent *process;
	size_t len = 0;

	ret_text[0] = '\0';
	while (processes && len < size && (process = readdir(processes))) {
		const char *pid = process->d_name;
		char dir[PATH_MAX], comm[32] = "a program";

		if (!isdigit((unsigned char)pid[0]) || !process_holds(host, pid, path))
			continue;
		snprintf(dir, sizeof(dir), "%s/%.16s", host->proc, pid);
		sysfs_read_line(dir, "comm", comm, sizeof(comm));
		len += (size_t)snprintf(ret_text + len, size - len, "%s%s (pid %.16s)",
					len ? ", " : "", comm, pid);
	}
	if (processes)
		closedir(processes);
	return ret_text[0];
}
