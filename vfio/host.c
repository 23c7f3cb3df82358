#include "vfio/host.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio/sysfs.h"
#include "vmm/base/bits.h"
#include "vmm/base/number.h"

/* A sentence in the making: what does not fit is cut off. */
struct sentence {
	char *at;
	size_t size, len;
	bool cut; /* a list: the rest of it did not fit */
};

static void add_text(struct sentence *text, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void add_text(struct sentence *text, const char *fmt, ...)
{
	va_list ap;
	int len;

	if (!text->size)
		return;
	va_start(ap, fmt);
	len = vsnprintf(text->at + text->len, text->size - text->len, fmt, ap);
	va_end(ap);
	if (len < 0)
		return;
	text->len += (size_t)len;
	if (text->len >= text->size)
		text->len = text->size - 1;
}

/* "a, b, c": every member but the first brings its comma. */
static const char *comma(const struct sentence *text)
{
	return text->len ? ", " : "";
}

/* Exactly `digits` hexadecimal digits, then `end`; moves on behind it. */
static bool take_hex(const char **text, unsigned int digits, char end, unsigned int *ret_value)
{
	static const char numerals[] = "0123456789abcdef";
	unsigned int value = 0;

	for (; digits; digits--, ++*text) {
		const char *numeral;

		if (!**text)
			return false;
		numeral = strchr(numerals, tolower((unsigned char)**text));
		if (!numeral)
			return false;
		value = value << 4 | (unsigned int)(numeral - numerals);
	}
	if (**text != end)
		return false;
	++*text;
	*ret_value = value;
	return true;
}

bool host_parse_bdf(const char *text, char ret_bdf[16])
{
	unsigned int segment = 0, bus, dev, fn;

	if (strlen(text) == strlen("0000:01:00.0") && !take_hex(&text, 4, ':', &segment))
		return false;
	if (!take_hex(&text, 2, ':', &bus) || !take_hex(&text, 2, '.', &dev) ||
	    !take_hex(&text, 1, '\0', &fn))
		return false;
	if (dev > 0x1f || fn >= HOST_FUNCTIONS)
		return false;
	snprintf(ret_bdf, 16, "%04x:%02x:%02x.%x", segment & 0xffff, bus & 0xff, dev, fn);
	return true;
}

static bool file_exists(const char *dir, const char *name)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path) &&
	       access(path, F_OK) == 0;
}

/* The number of the device's node: VFIO names its device "vfioN" below the PCI device, and the node
 * likewise. -1: VFIO has none (the driver is another, or Linux is older than 6.1). */
static int read_node(const char *dir)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int node = -1;
	DIR *list;

	if (snprintf(path, sizeof(path), "%s/vfio-dev", dir) >= (int)sizeof(path))
		return -1;
	list = opendir(path);
	while (list && node < 0 && (entry = readdir(list))) {
		bool named = !strncmp(entry->d_name, "vfio", 4);
		const char *rest;
		unsigned int number;

		rest = named ? number_take(entry->d_name + 4, 9, &number) : NULL;
		if (rest && !*rest)
			node = (int)number;
	}
	if (list)
		closedir(list);
	return node;
}

static void read_function(const char *sysfs, struct host_function *fn)
{
	char path[PATH_MAX], group[16], *end;
	long number;

	fn->group = fn->node = -1;
	sysfs_device_dir(sysfs, fn->name, path);
	fn->exists = access(path, F_OK) == 0;
	if (!fn->exists)
		return;
	sysfs_link_name(path, "driver", fn->driver, sizeof(fn->driver));
	sysfs_link_name(path, "iommu_group", group, sizeof(group));
	number = strtol(group, &end, 10);
	if (end != group && !*end && number >= 0 && number <= INT_MAX)
		fn->group = (int)number;
	fn->node = read_node(path);
}

bool host_function_read(const char *sysfs, const char *name, struct host_function *ret_fn)
{
	*ret_fn = (struct host_function){.exists = false};
	snprintf(ret_fn->name, sizeof(ret_fn->name), "%s", name);
	read_function(sysfs, ret_fn);
	return ret_fn->exists;
}

/* The functions that exist, `bdf` and number 0 among them. */
static int check_exists(const char *sysfs, const struct host_slot *slot, const char *bdf,
			struct sentence *why)
{
	const struct host_function *asked = &slot->fn[bdf[strlen(bdf) - 1] - '0'];

	(void)sysfs;
	if (!asked->exists) {
		add_text(why, "there is no PCI device %s on this host: lspci -D lists them", bdf);
		return -ENOENT;
	}
	/* A guest, as any host, looks at the other functions only when it finds number 0. */
	if (!slot->fn[0].exists) {
		add_text(why, "%s is there without %s.0, without which no guest finds it: "
			 "echo 1 >/sys/bus/pci/rescan brings back a removed one", bdf, slot->name);
		return -ENODEV;
	}
	return 0;
}

/* vfio-pci takes header type 0 only (Linux 6.1, vfio_pci_core_register_device()). The kernel shows
 * this file for bridges alone (pci-sysfs.c, pci_bridge_attrs_are_visible()). */
static int check_bridge(const char *sysfs, const struct host_slot *slot, const char *bdf,
			struct sentence *why)
{
	char path[PATH_MAX];

	(void)bdf;
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		if (!slot->fn[i].exists)
			continue;
		sysfs_device_dir(sysfs, slot->fn[i].name, path);
		if (file_exists(path, "secondary_bus_number")) {
			add_text(why, "%s is a PCI bridge, which cannot be passed: name a device "
				 "behind it", slot->fn[i].name);
			return -EINVAL;
		}
	}
	return 0;
}

/* VFIO's no-IOMMU mode makes a group of this name for a device without one (vfio_main.c,
 * vfio_noiommu_group_alloc()); the guest could then write all of the host's memory. */
bool host_group_is_noiommu(const char *sysfs, int group)
{
	char dir[PATH_MAX], name[32];

	snprintf(dir, sizeof(dir), "%s/kernel/iommu_groups/%d", sysfs, group);
	return sysfs_read_line(dir, "name", name, sizeof(name)) && !strcmp(name, "vfio-noiommu");
}

static int check_iommu(const char *sysfs, const struct host_slot *slot, const char *bdf,
		       struct sentence *why)
{
	(void)bdf;
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		const struct host_function *fn = &slot->fn[i];

		if (!fn->exists || (fn->group >= 0 && !host_group_is_noiommu(sysfs, fn->group)))
			continue;
		add_text(why, "%s is behind no IOMMU%s: switch VT-d or AMD-Vi on in the firmware "
			 "set-up and, with Intel, boot the host with intel_iommu=on", fn->name,
			 fn->group >= 0 ? " (VFIO's no-IOMMU mode is not used)" : "");
		return -ENODEV;
	}
	return 0;
}

static int check_drivers(const char *sysfs, const struct host_slot *slot, const char *bdf,
			 struct sentence *why)
{
	char wrong_buffer[400];
	struct sentence wrong = {.at = wrong_buffer, .size = sizeof(wrong_buffer)};

	(void)sysfs;
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		const struct host_function *fn = &slot->fn[i];

		if (!fn->exists || !strcmp(fn->driver, "vfio-pci"))
			continue;
		add_text(&wrong, "%s%s (%s)", comma(&wrong), fn->name,
			 fn->driver[0] ? fn->driver : "no driver");
	}
	if (!wrong.len)
		return 0;
	add_text(why, "all of slot %s must be bound to vfio-pci, not yet: %s; minivmm bind %s "
		 "shows what that takes, and with --yes, as root, does it", slot->name, wrong.at,
		 bdf);
	return -EBUSY;
}

/*
 * What does not stand in the way of DMA ownership of its group. Binding counts as use of the
 * group by the host unless the driver has .driver_managed_dma (Linux 6.1, pci-driver.c,
 * pci_dma_configure() -> iommu_device_use_default_domain()), and a group in use cannot be claimed
 * (iommu.c, iommu_group_claim_dma_owner()). The drivers that have it: pcieport, pci-stub, and all
 * of VFIO's, which show as a "vfio-dev" directory below the device (vfio_main.c).
 */
static bool keeps_viable(const char *dir, const char *driver)
{
	static const char *const harmless[] = {"", "vfio-pci", "pci-stub", "pcieport"};

	for (unsigned int i = 0; i < ARRAY_SIZE(harmless); i++)
		if (!strcmp(driver, harmless[i]))
			return true;
	return file_exists(dir, "vfio-dev");
}

bool host_keeps_viable(const char *sysfs, const char *name, const char *driver)
{
	char dir[PATH_MAX];

	return sysfs_device_dir(sysfs, name, dir) && keeps_viable(dir, driver);
}

/* The members of a group, sorted into those in the way and the others. */
struct group_text {
	struct sentence bad, good, bad_names;
};

/* Whole members only; three dots stand for the rest. False: it is one of these. */
static bool add_to_list(struct sentence *list, const char *member)
{
	if (list->cut)
		return false;
	list->cut = list->len + strlen(member) + sizeof(", , ...") > list->size;
	add_text(list, "%s%s", comma(list), list->cut ? "..." : member);
	return !list->cut;
}

/* What is not in the list is not in the command either: the next run of minivmm names it. */
static void add_member(struct group_text *group, const char *group_dir, const char *name)
{
	char dir[PATH_MAX], driver[32], member[NAME_MAX + 40];
	struct sentence *list;

	if (snprintf(dir, sizeof(dir), "%s/%s", group_dir, name) >= (int)sizeof(dir))
		return;
	sysfs_link_name(dir, "driver", driver, sizeof(driver));
	list = keeps_viable(dir, driver) ? &group->good : &group->bad;
	snprintf(member, sizeof(member), "%s (%s)", name, driver[0] ? driver : "no driver");
	if (add_to_list(list, member) && list == &group->bad)
		add_text(&group->bad_names, "%s ", name);
}

static int not_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int check_group(const char *sysfs, int number, const char *slot, struct sentence *why)
{
	char dir[PATH_MAX], bad[280], good[180], names[280] = ""; /* the sentence in 1 KiB */
	struct group_text group = {
		.bad = {.at = bad, .size = sizeof(bad)},
		.good = {.at = good, .size = sizeof(good)},
		.bad_names = {.at = names, .size = sizeof(names)},
	};
	struct dirent **members;
	int count;

	snprintf(dir, sizeof(dir), "%s/kernel/iommu_groups/%d/devices", sysfs, number);
	count = scandir(dir, &members, not_hidden, alphasort);
	if (count < 0) {
		int error = errno;

		add_text(why, "cannot list the IOMMU group in %s: %s", dir, strerror(error));
		return -ENODEV;
	}
	for (int i = 0; i < count; i++) {
		add_member(&group, dir, members[i]->d_name);
		free(members[i]);
	}
	free(members);
	if (!group.bad.len)
		return 0;
	if (group.bad_names.len)
		names[group.bad_names.len - 1] = '\0';
	add_text(why, "IOMMU group %d is larger than slot %s, and drivers of the host hold %s "
		 "beside %s: put the card where its group is its own, or unbind them as root: "
		 "cd /sys/kernel/iommu_groups/%d/devices; "
		 "for d in %s; do echo $d >$d/driver/unbind; done",
		 number, slot, bad, good, number, names);
	return -EBUSY;
}

static int check_viable(const char *sysfs, const struct host_slot *slot, const char *bdf,
			struct sentence *why)
{
	int checked = -1; /* neighbours mostly share a group; a group checked twice does no harm */

	(void)bdf;
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		int r;

		if (!slot->fn[i].exists || slot->fn[i].group == checked)
			continue;
		checked = slot->fn[i].group;
		r = check_group(sysfs, checked, slot->name, why);
		if (r < 0)
			return r;
	}
	return 0;
}

int host_slot_read(const char *sysfs, const char *bdf, struct host_slot *ret_slot, char *ret_why,
		   size_t why_size)
{
	/* In this order, so that the sentence names what has to be put right first. */
	static int (*const checks[])(const char *sysfs, const struct host_slot *slot,
				     const char *bdf, struct sentence *why) = {
		check_exists, check_bridge, check_iommu, check_drivers, check_viable,
	};
	struct sentence why = {.at = ret_why, .size = why_size};
	struct host_slot slot = {0};
	char full[16];

	if (!host_parse_bdf(bdf, full)) {
		add_text(&why, "'%.32s' is not a PCI address: write BUS:DEVICE.FUNCTION in "
			 "hexadecimal, as in 01:00.0 or 0000:01:00.0", bdf);
		return -EINVAL;
	}
	snprintf(slot.name, sizeof(slot.name), "%.*s", (int)strlen(full) - 2, full);
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		snprintf(slot.fn[i].name, sizeof(slot.fn[i].name), "%.10s.%u", slot.name, i);
		read_function(sysfs, &slot.fn[i]);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(checks); i++) {
		int r = checks[i](sysfs, &slot, full, &why);

		if (r < 0)
			return r;
	}
	*ret_slot = slot;
	return 0;
}
