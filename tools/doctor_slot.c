/* What the doctor looks at for every slot: whether and how it can be passed. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/doctor.h"
#include "vfio/quirks.h"
#include "vfio/sysfs.h"
#include "vmm/base/bits.h"

#define MEMBERS_SHOWN 8U

static const char *kind_of(uint64_t class)
{
	return class >> 8 == 0x0300 ? "VGA controller"
	     : class >> 8 == 0x0302 ? "3D controller"
	     : class >> 16 == DOCTOR_CLASS_DISPLAY  ? "display controller"
				    : "device";
}

static bool device_has(const struct doctor_host *host, const char *device, const char *file)
{
	char dir[PATH_MAX], path[PATH_MAX];

	return sysfs_device_dir(host->sysfs, device, dir) &&
	       snprintf(path, sizeof(path), "%s/%s", dir, file) < (int)sizeof(path) &&
	       access(path, F_OK) == 0;
}

/* Whether a device is a bridge or a virtual function is told by what the kernel shows of it
 * (pci-sysfs.c, pci_bridge_attrs_are_visible(); iov.c), not by asking the device. */
void doctor_look_device(const struct doctor_host *host, const struct doctor_slot *slot,
			struct doctor_finding *finding)
{
	const char *name = doctor_main_function(host, slot);

	if (!slot->host.fn[slot->bdf[strlen(slot->bdf) - 1] - '0'].exists) {
		doctor_say(finding, DOCTOR_FAIL, "there is no such PCI device on this host");
		doctor_fix(finding, "ls /sys/bus/pci/devices");
	} else if (device_has(host, slot->bdf, "secondary_bus_number")) {
		doctor_say(finding, DOCTOR_FAIL, "a PCI bridge, which cannot be passed: name a "
			   "device behind it");
	} else if (device_has(host, slot->bdf, "physfn")) {
		doctor_say(finding, DOCTOR_FAIL, "a virtual function: minivmm passes slots with "
			   "all their functions, and virtual ones have no power of their own");
	} else if (!slot->host.fn[0].exists) {
		doctor_say(finding, DOCTOR_FAIL, "function 0 of the slot is missing, without which "
			   "no guest finds the others");
		doctor_fix(finding, "echo 1 >/sys/bus/pci/rescan");
	} else if (!doctor_number(host, name, "vendor") || !doctor_number(host, name, "class")) {
		doctor_say(finding, DOCTOR_UNKNOWN, "the host does not say what it is");
	} else {
		doctor_say(finding, DOCTOR_OK, "%04x:%04x, %s",
			   (unsigned int)doctor_number(host, name, "vendor") & 0xffff,
			   (unsigned int)doctor_number(host, name, "device") & 0xffff,
			   kind_of(doctor_number(host, name, "class")));
	}
}

/* --- the group --- */

/* The other members of a group: those in the way, and the others. */
struct members {
	struct text bad, good;
	unsigned int bads, goods;
};

static void add_name(struct text *list, const char *name, const char *driver)
{
	text_add(list, "%s%s (%s)", list->len ? ", " : "", name, driver[0] ? driver : "no driver");
}

static void add_member(struct members *members, const struct doctor_host *host, const char *name)
{
	char driver[32], full[16];
	bool good;

	if (!host_parse_bdf(name, full))
		return;
	doctor_link(host, full, "driver", driver, sizeof(driver));
	good = host_keeps_viable(host->sysfs, full, driver);
	if (good ? members->goods++ < MEMBERS_SHOWN : members->bads++ < MEMBERS_SHOWN)
		add_name(good ? &members->good : &members->bad, full, driver);
}

static void say_members(struct doctor_finding *finding, const struct members *members, int group)
{
	const char *bad_end = members->bads > MEMBERS_SHOWN ? ", ..." : "";
	const char *good_end = members->goods > MEMBERS_SHOWN ? ", ..." : "";

	if (members->bads)
		doctor_say(finding, DOCTOR_FAIL, "drivers of the host hold members of IOMMU group "
			   "%d: %s%s", group, members->bad.len ? members->bad.bytes : "", bad_end);
	if (members->goods)
		doctor_say(finding, DOCTOR_OK, members->bads ? "in %s%d, too: %s%s" :
			   "%s%d, with %s%s", members->bads ? "group " : "IOMMU group ", group,
			   members->good.len ? members->good.bytes : "", good_end);
	if (!members->bads && !members->goods)
		doctor_say(finding, DOCTOR_OK, "IOMMU group %d, alone", group);
	finding->why.failed |= members->bad.failed | members->good.failed;
}

static void look_at_group(const struct doctor_host *host, const struct doctor_slot *slot, int group,
			  struct doctor_finding *finding)
{
	struct members members = {{0}, {0}, 0, 0};
	struct dirent **entry;
	char path[64];
	int count;

	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/devices", group);
	count = doctor_scan(host, path, &entry);
	if (count < 0) {
		doctor_say(finding, DOCTOR_UNKNOWN, "IOMMU group %d cannot be listed", group);
		return;
	}
	for (int i = 0; i < count; i++)
		if (!doctor_is_of_slot(slot, entry[i]->d_name))
			add_member(&members, host, entry[i]->d_name);
	doctor_scan_finish(entry, count);
	say_members(finding, &members, group);
	if (members.bads && !finding->fix.len) {
		doctor_fix(finding, "# put the card where its group is its own, or, if they can be "
			   "spared:");
		doctor_fix(finding, "minivmm bind %s --yes --group", slot->bdf);
	}
	text_finish(&members.bad);
	text_finish(&members.good);
}

static void look_group(const struct doctor_host *host, const struct doctor_slot *slot,
		       struct doctor_finding *finding)
{
	int seen = -1; /* functions mostly share a group */

	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		const struct host_function *fn = &slot->host.fn[i];

		if (!fn->exists || (fn->group >= 0 && fn->group == seen))
			continue;
		seen = fn->group;
		if (seen < 0)
			doctor_say(finding, DOCTOR_FAIL, "%s is behind no IOMMU", fn->name);
		else if (host_group_is_noiommu(host->sysfs, seen))
			doctor_say(finding, DOCTOR_FAIL, "%s has VFIO's no-IOMMU mode only, which "
				   "is not used", fn->name);
		else
			look_at_group(host, slot, seen, finding);
	}
}

/* --- drivers and access --- */

static void look_driver(const struct doctor_host *host, const struct doctor_slot *slot,
			struct doctor_finding *finding)
{
	unsigned int functions = 0;

	(void)host;
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		const struct host_function *fn = &slot->host.fn[i];

		functions += fn->exists;
		if (!fn->exists || !strcmp(fn->driver, "vfio-pci"))
			continue;
		doctor_say(finding, DOCTOR_FAIL, "%s is bound to %s", fn->name,
			   fn->driver[0] ? fn->driver : "no driver");
		if (!finding->fix.len)
			doctor_fix(finding, "minivmm bind %s --yes", slot->bdf);
	}
	if (!finding->why.len && functions == 1)
		doctor_say(finding, DOCTOR_OK, "bound to vfio-pci");
	else if (!finding->why.len)
		doctor_say(finding, DOCTOR_OK, "all %u functions are bound to vfio-pci", functions);
}

/* Once bound, its group has a node, and the device one where the kernel has iommufd. */
static void look_node(const struct doctor_host *host, const struct host_function *fn,
		      struct doctor_finding *finding)
{
	char path[PATH_MAX], node[48];

	snprintf(node, sizeof(node), "/dev/vfio/%d", fn->group);
	if (fn->node >= 0 && !doctor_exists(host, node))
		snprintf(node, sizeof(node), "/dev/vfio/devices/vfio%d", fn->node);
	if (snprintf(path, sizeof(path), "%s%s", host->root, node) >= (int)sizeof(path))
		return;
	if (access(path, F_OK)) {
		doctor_say(finding, DOCTOR_FAIL, "%s is missing: is devtmpfs mounted on /dev?"
			   "", node);
	} else if (access(path, R_OK | W_OK)) {
		doctor_say(finding, DOCTOR_FAIL, "%s is not yours to open", node);
		doctor_fix(finding, "sudo chown $USER %s", node);
	} else {
		doctor_say(finding, DOCTOR_OK, "%s may be opened", node);
	}
}

static void look_access(const struct doctor_host *host, const struct doctor_slot *slot,
			struct doctor_finding *finding)
{
	int seen = -1; /* functions mostly share a group */

	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		const struct host_function *fn = &slot->host.fn[i];

		if (!fn->exists || strcmp(fn->driver, "vfio-pci") || fn->group < 0 ||
		    fn->group == seen)
			continue;
		seen = fn->group;
		look_node(host, fn, finding);
	}
}

/* --- what the card is like --- */

static bool has_word(const char *line, const char *word)
{
	const char *at = strstr(line, word);

	return at && (at == line || at[-1] == ' ') && strchr(" ", at[strlen(word)]);
}

/* Names of the kernel's (pci.c, pci_reset_fn_methods[]); the others are bus, cxl_bus, and pm, after
 * which a card may be as it was. */
static bool resets_function(const char *line)
{
	static const char *const methods[] = {"device_specific", "acpi", "flr", "af_flr"};

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (has_word(line, methods[i]))
			return true;
	return false;
}

static void look_reset(const struct doctor_host *host, const struct doctor_slot *slot,
		       struct doctor_finding *finding)
{
	char line[96];

	if (!doctor_attribute(host, slot->host.fn[0].name, "reset_method"
	    "", line, sizeof(line)) || !line[0])
		doctor_say(finding, DOCTOR_LIMIT, "the host knows no way to reset it: a guest that "
			   "restarts finds the card as it left it");
	else if (resets_function(line))
		doctor_say(finding, DOCTOR_OK, "a function can be reset alone (%s)", line);
	else if (has_word(line, "bus"))
		doctor_say(finding, DOCTOR_OK, "only the whole slot can be reset (%s)", line);
	else
		doctor_say(finding, DOCTOR_LIMIT, "no function and no bus reset (%s): a guest that "
			   "restarts may find the card as it left it", line);
}

static void look_boot_vga(const struct doctor_host *host, const struct doctor_slot *slot,
			  struct doctor_finding *finding)
{
	const char *name = doctor_main_function(host, slot);

	char line[8];

	if (!doctor_is_display(host, name) ||
	    !doctor_attribute(host, name, "boot_vga", line, sizeof(line)))
		return;
	if (strcmp(line, "1")) {
		doctor_say(finding, DOCTOR_OK, "the host did not boot on its display");
		return;
	}
	doctor_say(finding, DOCTOR_LIMIT, "the host booted on its display: its console goes dark, "
		   "and the host's framebuffer driver may hold its memory");
	doctor_fix(finding, "# firmware set-up: make another display adapter the primary one");
}

static void look_external(const struct doctor_host *host, const struct doctor_slot *slot,
			  struct doctor_finding *finding)
{
	if (!host_is_external(host->sysfs, slot->bdf)) {
		doctor_say(finding, DOCTOR_OK, "built in: neither removable nor behind Thunderbolt"
			   "");
		return;
	}
	doctor_say(finding, DOCTOR_LIMIT, "removable or behind Thunderbolt: power=auto does not "
		   "use D3cold");
}

static void say_quirks(const struct doctor_host *host, const char *name,
		       struct doctor_finding *finding)
{
	const struct policy_facts facts = {
		.name = name,
		.vendor = (uint16_t)doctor_number(host, name, "vendor"),
		.device = (uint16_t)doctor_number(host, name, "device"),
		.class = (uint32_t)doctor_number(host, name, "class") & 0xffffff,
		.is_external = host_is_external(host->sysfs, name),
	};
	struct quirk_verdict verdict;

	if (!facts.vendor)
		doctor_say(finding, DOCTOR_UNKNOWN, "the host does not say what %s is", name);
	quirks_match(host->quirks, &facts, &verdict);
	if (verdict.power)
		doctor_say(finding, verdict.power == POLICY_POWER_D3COLD ? DOCTOR_OK : DOCTOR_LIMIT,
			   "%s: power=auto is %s", verdict.power_reason,
			   policy_power_name(verdict.power));
	if (!verdict.reset)
		return;
	if (verdict.power && verdict.reset_reason == verdict.power_reason)
		doctor_say(finding, DOCTOR_OK, "reset=auto is %s"
			   "", policy_reset_name(verdict.reset));
	else
		doctor_say(finding, DOCTOR_OK, "%s: reset=auto is %s", verdict.reset_reason,
			   policy_reset_name(verdict.reset));
}

static void look_quirks(const struct doctor_host *host, const struct doctor_slot *slot,
			struct doctor_finding *finding)
{
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (slot->host.fn[i].exists)
			say_quirks(host, slot->host.fn[i].name, finding);
	if (!finding->why.len)
		doctor_say(finding, DOCTOR_OK, "nothing bad is known of this card");
}

const struct doctor_check doctor_slot_checks[] = {
	{"group", look_group},
	{"driver", look_driver},
	{"access", look_access},
	{"reset", look_reset},
	{"boot-vga", look_boot_vga},
	{"external", look_external},
	{"quirks", look_quirks},
	{NULL, NULL},
};
