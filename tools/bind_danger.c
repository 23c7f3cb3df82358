/*
 * What must not be taken from the host, and why: a bridge, a disk that is in use, a network
 * interface that is up, a device that has virtual functions or that a program has open. The host
 * is asked by its files alone.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/bind.h"
#include "tools/pci_class.h"
#include "vfio/host.h"
#include "vfio/sysfs.h"
#include "vmm/base/bits.h"
#include "vmm/base/number.h"

#define NAME_LEN 64 /* of a device of the host; the kernel's are shorter */
#define IFF_UP 1    /* Linux 6.1, include/uapi/linux/if.h */
#define WHERE_LEN 256

/* A search through one class of the host's devices for those that are behind a PCI function. */
struct search {
	struct bind_host *host;
	struct bind_function *fn;
	char root[PATH_MAX]; /* real path of the PCI function */
};

/* The first danger stays. */
static void refuse(struct bind_function *fn, bool forceable, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void refuse(struct bind_function *fn, bool forceable, const char *fmt, ...)
{
	va_list ap;

	if (fn->danger[0])
		return;
	va_start(ap, fmt);
	vsnprintf(fn->danger, sizeof(fn->danger), fmt, ap);
	va_end(ap);
	fn->forceable = forceable;
}

static bool starts_below(const char *path, const char *root)
{
	size_t len = strlen(root);

	return !strncmp(path, root, len) && (path[len] == '/' || !path[len]);
}

/* Calls `found` for each device of a class ("net") that is below `root`, in no order. */
static void for_each_below(struct search *search, const char *class, const char *root,
			   void (*found)(struct search *search, const char *name))
{
	char dir[PATH_MAX], path[PATH_MAX], real[PATH_MAX];
	struct dirent *entry;
	DIR *list;

	snprintf(dir, sizeof(dir), "%s/class/%s", search->host->sysfs, class);
	list = opendir(dir);
	while (list && (entry = readdir(list))) {
		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= NAME_LEN)
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name) <
		    (int)sizeof(path) && realpath(path, real) && starts_below(real, root))
			found(search, entry->d_name);
	}
	if (list)
		closedir(list);
}

static void class_dir(const struct search *search, const char *class, const char *name,
		      char ret_dir[PATH_MAX])
{
	snprintf(ret_dir, PATH_MAX, "%s/class/%s/%.63s", search->host->sysfs, class, name);
}

/* --- network --- */

static void check_interface(struct search *search, const char *name)
{
	char dir[PATH_MAX];
	uint64_t flags;

	class_dir(search, "net", name, dir);
	if (sysfs_read_number(dir, "flags", &flags) && flags & IFF_UP)
		refuse(search->fn, false, "its network interface %s is up: as root, ip link set %s "
		       "down (is it how you reach this host?)", name, name);
}

/* --- disks --- */

/* Word number `index` of `text`, from 0, as much of it as fits. False: there are not so many. */
static bool word_at(const char *text, unsigned int index, char *ret_word, size_t size)
{
	static const char blanks[] = " \t\n";

	for (text += strspn(text, blanks); index; index--) {
		text += strcspn(text, blanks);
		text += strspn(text, blanks);
	}
	snprintf(ret_word, size, "%.*s", (int)strcspn(text, blanks), text);
	return *text;
}

/* Is the mount of this line (proc(5), /proc/PID/mountinfo) of the block device? Some filesystems
 * have a number of their own, and name the device as their source. */
static bool line_mounts(const char *line, const char *name, const char *number, char *ret_where)
{
	char mounted[32], source[PATH_MAX] = "", real[PATH_MAX];
	const char *rest = strstr(line, " - ");

	if (!word_at(line, 2, mounted, sizeof(mounted)) || !word_at(line, 4, ret_where, WHERE_LEN))
		return false;
	if (number[0] && !strcmp(mounted, number))
		return true;
	if (!rest || !word_at(rest, 2, source, sizeof(source)) || strncmp(source, "/dev/", 5))
		return false;
	return !strcmp((realpath(source, real) ? real : source) + 5, name);
}

static bool is_mounted(const struct search *search, const char *name, const char *number,
		       char ret_where[WHERE_LEN])
{
	char path[PATH_MAX], *line = NULL;
	bool found = false;
	size_t size = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/self/mountinfo", search->host->proc);
	file = fopen(path, "re");
	while (file && !found && getline(&line, &size, file) > 0)
		found = line_mounts(line, name, number, ret_where);
	free(line);
	if (file)
		fclose(file);
	return found;
}

static bool is_swap(const struct search *search, const char *name)
{
	char path[PATH_MAX], line[512], file_name[256];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "%s/swaps", search->host->proc);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file))
		found = !strncmp(line, "/dev/", 5) &&
			word_at(line + 5, 0, file_name, sizeof(file_name)) &&
			!strcmp(file_name, name);
	if (file)
		fclose(file);
	return found;
}

/* Another block device that is made of this one: LVM, encryption, RAID. */
static bool has_holder(const char *dir, char ret_holder[NAME_LEN])
{
	char path[PATH_MAX];
	struct dirent *entry;
	bool found = false;
	DIR *list;

	if (snprintf(path, sizeof(path), "%s/holders", dir) >= (int)sizeof(path))
		return false;
	list = opendir(path);
	while (list && !found && (entry = readdir(list))) {
		found = entry->d_name[0] != '.';
		if (found)
			snprintf(ret_holder, NAME_LEN, "%.63s", entry->d_name);
	}
	if (list)
		closedir(list);
	return found;
}

/* Disks and partitions alike. */
static void check_disk(struct search *search, const char *name)
{
	char dir[PATH_MAX], number[32] = "", where[WHERE_LEN], holder[NAME_LEN];

	class_dir(search, "block", name, dir);
	sysfs_read_line(dir, "dev", number, sizeof(number));
	if (is_mounted(search, name, number, where))
		refuse(search->fn, false, "its disk %s is mounted on %s", name, where);
	else if (is_swap(search, name))
		refuse(search->fn, false, "its disk %s is swap space in use: as root, swapoff "
		       "/dev/%s", name, name);
	else if (has_holder(dir, holder))
		refuse(search->fn, false, "its disk %s is a part of %s", name, holder);
	else if (search->host->ops->is_claimed(search->host, name))
		refuse(search->fn, false, "its disk %s is in use", name);
}

/* A number after `prefix` at `*at`, which then is behind it. */
static bool take_number(const char **at, const char *prefix, unsigned int *ret_number)
{
	size_t len = strlen(prefix);

	*at = strncmp(*at, prefix, len) ? NULL : number_take(*at + len, 9, ret_number);
	return *at;
}

/*
 * With multipath of NVMe the controller has only the hidden path "nvme0c1n2"; the disk is
 * "nvme0n2", elsewhere in sysfs (Linux 6.1, drivers/nvme/host/multipath.c,
 * nvme_mpath_set_disk_name()).
 */
static void check_disk_or_path(struct search *search, const char *name)
{
	unsigned int subsystem, controller, space;
	char head[NAME_LEN], path[PATH_MAX], real[PATH_MAX];
	const char *at = name;

	check_disk(search, name);
	if (!take_number(&at, "nvme", &subsystem) || !take_number(&at, "c", &controller) ||
	    !take_number(&at, "n", &space) || *at)
		return;
	snprintf(head, sizeof(head), "nvme%un%u", subsystem, space);
	class_dir(search, "block", head, path);
	if (realpath(path, real))
		for_each_below(search, "block", real, check_disk);
}

/* --- display --- */

/*
 * A driver of Linux goes, and leaves the programs with errors. That of NVIDIA waits for them, as
 * long as it takes and with its locks held, and some versions wait on when they have ended (NVIDIA
 * open-gpu-kernel-modules, nv-pci.c, nv_pci_remove_helper(); issues 1119 and 1374): not even
 * --force does that to the host.
 */
static void check_display_node(struct search *search, const char *path)
{
	bool hangs = !strcmp(search->fn->driver, "nvidia");
	char holders[160];

	if (bind_holders(search->host, path, holders, sizeof(holders)))
		refuse(search->fn, !hangs, "programs use it by %s: %s; end them first%s", path,
		       holders, hangs ? ", or its driver hangs when it is unbound" : "");
}

static void check_drm(struct search *search, const char *name)
{
	char path[80];

	snprintf(path, sizeof(path), "/dev/dri/%.63s", name);
	check_display_node(search, path);
}

/* Its own driver has a node of its own for a card, by a number that only this file tells. It is a
 * card of the host: that reading this may wake it does no harm. */
static void check_nvidia(struct search *search)
{
	static const char key[] = "Device Minor:";
	char path[PATH_MAX], line[256];
	unsigned int minor;
	FILE *file;

	snprintf(path, sizeof(path), "%s/driver/nvidia/gpus/%s/information", search->host->proc,
		 search->fn->name);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		const char *number = line + sizeof(key) - 1;

		if (strncmp(line, key, sizeof(key) - 1) ||
		    !number_take(number + strspn(number, " \t"), 3, &minor))
			continue;
		snprintf(path, sizeof(path), "/dev/nvidia%u", minor);
		check_display_node(search, path);
	}
	if (file)
		fclose(file);
}

static bool console_is_framebuffer(const struct search *search)
{
	for (unsigned int i = 0; i < 4; i++) {
		char dir[PATH_MAX], number[8], name[64];

		snprintf(number, sizeof(number), "vtcon%u", i);
		class_dir(search, "vtconsole", number, dir);
		if (sysfs_read_line(dir, "name", name, sizeof(name)) &&
		    strstr(name, "frame buffer") &&
		    sysfs_read_line(dir, "bind", name, sizeof(name)) && !strcmp(name, "1"))
			return true;
	}
	return false;
}

static void check_boot_display(struct search *search)
{
	char dir[PATH_MAX];
	uint64_t boot = 0;

	if (!sysfs_device_dir(search->host->sysfs, search->fn->name, dir) ||
	    !sysfs_read_number(dir, "boot_vga", &boot) || !boot)
		return;
	snprintf(search->fn->warning, sizeof(search->fn->warning), "the host booted with this "
		 "display%s: have another way to reach the host, and see that nothing claims its "
		 "memory (/proc/iomem)", console_is_framebuffer(search) ?
		 ", and its text console is on a frame buffer: the screen freezes" : "");
}

/* --- all of it --- */

static void check_iommu(const struct bind_host *host, struct bind_function *fn)
{
	if (fn->group < 0 || host_group_is_noiommu(host->sysfs, fn->group))
		refuse(fn, false, "it is behind no IOMMU, so it could not be passed: switch VT-d "
		       "or AMD-Vi on in the firmware set-up and, with Intel, boot the host with "
		       "intel_iommu=on");
}

/* Its driver takes them along when it goes, whoever uses them, and waits for those that guests
 * have; or it leaves them without it (Linux 6.1, pci/iov.c, pci_iov_remove()). */
static void check_virtual_functions(struct search *search)
{
	uint64_t count = 0;
	char dir[PATH_MAX];

	if (sysfs_device_dir(search->host->sysfs, search->fn->name, dir) &&
	    sysfs_read_number(dir, "sriov_numvfs", &count) && count)
		refuse(search->fn, false, "it has %u virtual functions: as root, echo 0 "
		       ">/sys/bus/pci/devices/%s/sriov_numvfs", (unsigned int)count,
		       search->fn->name);
}

void bind_check(struct bind_host *host, struct bind_function *fn)
{
	struct search search = {.host = host, .fn = fn};
	char dir[PATH_MAX];

	fn->danger[0] = fn->warning[0] = '\0';
	fn->forceable = false;
	if (!sysfs_device_dir(host->sysfs, fn->name, dir) || !realpath(dir, search.root)) {
		refuse(fn, false, "it has just vanished");
		return;
	}
	if (pci_class_is_bridge(fn->class))
		refuse(fn, false, "it is a bridge, which belongs to the host: name a device "
		       "behind it");
	check_iommu(host, fn);
	check_virtual_functions(&search);
	for_each_below(&search, "block", search.root, check_disk_or_path);
	for_each_below(&search, "net", search.root, check_interface);
	for_each_below(&search, "drm", search.root, check_drm);
	check_nvidia(&search);
	check_boot_display(&search);
}
