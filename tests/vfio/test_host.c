/* What sysfs is read as, on small trees that each case makes for itself. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fake_tree.h"
#include "vfio/backend.h"
#include "vfio/host.h"
#include "vmm/base/bits.h"

#define MEMBERS_MAX 8

/* A device of a made-up host. */
struct device {
	const char *name;
	const char *driver;   /* NULL: none */
	int group;            /* -1: none */
	bool bridge;
	bool vfio_dev;        /* registered with VFIO by its driver */
};

static void test_host_parse_bdf(void **state)
{
	static const struct {
		const char *text;
		const char *bdf; /* NULL: refused */
	} cases[] = {
		{"01:00.0", "0000:01:00.0"},
		{"0000:01:00.0", "0000:01:00.0"},
		{"ABCD:Fe:1F.7", "abcd:fe:1f.7"},
		{"", NULL},
		{"1:0.0", NULL},
		{"01:00", NULL},
		{"01:00.", NULL},
		{"01:00.8", NULL},
		{"01:20.0", NULL},
		{"01:00.00", NULL},
		{"01:00.0 ", NULL},
		{" 01:00.0", NULL},
		{"01.00:0", NULL},
		{"g1:00.0", NULL},
		{"-1:00.0", NULL},
		{"0x:00.0", NULL},
		{"000:01:00.0", NULL},
		{"10000:01:00.0", NULL},
		{"0000:01:00:0", NULL},
		{"0000.01:00.0", NULL},
		{"01:00.0\n", NULL},
		{"../../../etc", NULL},
		{"01:00.0/../x", NULL},
	};
	char bdf[16];

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(bdf, '#', sizeof(bdf));
		if (host_parse_bdf(cases[i].text, bdf) != (cases[i].bdf != NULL))
			fail_msg("'%s'", cases[i].text);
		if (cases[i].bdf)
			assert_string_equal(bdf, cases[i].bdf);
		else
			assert_int_equal(bdf[0], '#');
	}
}

static __attribute__((format(printf, 1, 2))) const char *path_of(const char *fmt, ...)
{
	static char path[PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	return path;
}

/* Makes a directory with all above it. */
static void make_dir(const char *path)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		assert_true(mkdir(part, 0700) == 0 || errno == EEXIST);
		*slash = '/';
	}
	assert_true(mkdir(part, 0700) == 0 || errno == EEXIST);
}

static void make_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void make_link(const char *target, const char *path)
{
	assert_int_equal(symlink(target, path), 0);
}

static void make_device(const char *sysfs, const struct device *device)
{
	char dir[256], target[300];

	snprintf(dir, sizeof(dir), "%s/devices/pci0000:00/%s", sysfs, device->name);
	make_dir(dir);
	make_dir(path_of("%s/bus/pci/devices", sysfs));
	make_link(dir, path_of("%s/bus/pci/devices/%s", sysfs, device->name));
	if (device->driver) {
		snprintf(target, sizeof(target), "../../../bus/pci/drivers/%s", device->driver);
		make_link(target, path_of("%s/driver", dir));
	}
	if (device->group >= 0) {
		snprintf(target, sizeof(target), "../../../kernel/iommu_groups/%d", device->group);
		make_link(target, path_of("%s/iommu_group", dir));
		make_dir(path_of("%s/kernel/iommu_groups/%d/devices", sysfs, device->group));
		make_link(dir, path_of("%s/kernel/iommu_groups/%d/devices/%s", sysfs,
				       device->group, device->name));
	}
	if (device->bridge)
		make_file(path_of("%s/secondary_bus_number", dir), "1\n");
	if (device->vfio_dev)
		make_dir(path_of("%s/vfio-dev/vfio0", dir));
}

static int make_sysfs(void **state)
{
	*state = fake_tree_create();
	return 0;
}

static int remove_sysfs(void **state)
{
	fake_tree_remove(*state);
	return 0;
}

struct slot_case {
	const char *what;
	const char *bdf;
	struct device devices[MEMBERS_MAX];
	int result;
	const char *says[6]; /* all in the sentence */
	const char *noiommu; /* contents of group 1's name */
};

#define DEVICE(called, held_by, in_group, ...) \
	{.name = called, .driver = held_by, .group = in_group, __VA_ARGS__}
#define CARD DEVICE("0000:01:00.0", "vfio-pci", 1), DEVICE("0000:01:00.1", "vfio-pci", 1)

static const struct slot_case slot_cases[] = {
	{"a ready card, short form", "01:00.0", {CARD}, .result = 0},
	{"a ready card, long form, by its second function", "0000:01:00.1", {CARD}, .result = 0},
	{"a bridge in the group, held by pcieport", "01:00.0",
	 {CARD, DEVICE("0000:00:01.0", "pcieport", 1, .bridge = true)}, .result = 0},
	{"harmless neighbours", "01:00.0",
	 {CARD, DEVICE("0000:02:00.0", "pci-stub", 1), DEVICE("0000:03:00.0", NULL, 1),
	  DEVICE("0000:04:00.0", "mlx5_vfio_pci", 1, .vfio_dev = true)}, .result = 0},
	{"a group for each function", "01:00.0",
	 {DEVICE("0000:01:00.0", "vfio-pci", 1), DEVICE("0000:01:00.1", "vfio-pci", 2)},
	 .result = 0},
	{"a device in use in another group", "01:00.0", {CARD, DEVICE("0000:02:00.0", "e1000e", 2)},
	 .result = 0},
	{"another card of the group, bound to vfio-pci as well", "01:00.0",
	 {CARD, DEVICE("0000:02:00.0", "vfio-pci", 1, .vfio_dev = true),
	  DEVICE("0000:02:00.1", "vfio-pci", 1)}, .result = 0},
	{"two other cards of the group, one with the host", "01:00.0",
	 {CARD, DEVICE("0000:02:00.0", "vfio-pci", 1), DEVICE("0000:03:00.0", "nvme", 1)},
	 .result = -EBUSY,
	 .says = {"IOMMU group 1 is larger than slot 0000:01:00", "hold 0000:03:00.0 (nvme) beside",
	  "0000:02:00.0 (vfio-pci)", "put the card", "for d in 0000:03:00.0; do"}},
	{"not an address", "gpu", {CARD}, .result = -EINVAL, .says = {"'gpu'", "01:00.0"}},
	{"a path", "../../../../etc/passwd", {CARD}, .result = -EINVAL,
	 .says = {"is not a PCI address"}},
	{"no such device", "02:00.0", {CARD}, .result = -ENOENT, .says = {"0000:02:00.0", "lspci"}},
	{"no such function", "01:00.3", {CARD}, .result = -ENOENT, .says = {"0000:01:00.3"}},
	{"function 0 is missing", "01:00.1", {DEVICE("0000:01:00.1", "vfio-pci", 1)},
	 .result = -ENODEV, .says = {"0000:01:00.1", "0000:01:00.0", "rescan"}},
	{"a bridge", "00:01.0", {DEVICE("0000:00:01.0", "pcieport", 1, .bridge = true)},
	 .result = -EINVAL, .says = {"0000:00:01.0", "bridge"}},
	{"no IOMMU", "01:00.0", {DEVICE("0000:01:00.0", "vfio-pci", -1)}, .result = -ENODEV,
	 .says = {"0000:01:00.0", "IOMMU", "intel_iommu=on"}},
	{"no IOMMU mode", "01:00.0", {DEVICE("0000:01:00.0", "vfio-pci", 1)}, .result = -ENODEV,
	 .says = {"0000:01:00.0", "no-IOMMU mode", "intel_iommu=on"}, .noiommu = "vfio-noiommu\n"},
	{"a group with another name", "01:00.0", {DEVICE("0000:01:00.0", "vfio-pci", 1)},
	 .result = 0, .noiommu = "gpu\n"},
	{"the wrong driver", "01:00.0",
	 {DEVICE("0000:01:00.0", "nouveau", 1), DEVICE("0000:01:00.1", "snd_hda_intel", 1)},
	 .result = -EBUSY,
	 .says = {"0000:01:00.0 (nouveau), 0000:01:00.1 (snd_hda_intel)",
	  "minivmm bind 0000:01:00.0 shows"}},
	{"function 1 is unbound", "01:00.0",
	 {DEVICE("0000:01:00.0", "vfio-pci", 1), DEVICE("0000:01:00.1", NULL, 1)}, .result = -EBUSY,
	 .says = {"not yet: 0000:01:00.1 (no driver);", "with --yes, as root, does it"}},
	{"a mixed group", "01:00.0",
	 {CARD, DEVICE("0000:00:01.0", "pcieport", 1, .bridge = true),
	 DEVICE("0000:02:00.0", "e1000e", 1),
	  DEVICE("0000:03:00.0", "ahci", 1), DEVICE("0000:04:00.0", NULL, 1)}, .result = -EBUSY,
	 .says = {"IOMMU group 1", "hold 0000:02:00.0 (e1000e), 0000:03:00.0 (ahci) beside",
	  "0000:00:01.0 (pcieport), 0000:01:00.0 (vfio-pci), 0000:01:00.1 (vfio-pci)",
	  "0000:04:00.0 (no driver)", "cd /sys/kernel/iommu_groups/1/devices",
	  "for d in 0000:02:00.0 0000:03:00.0; do"}},
	{"the second function's group is mixed", "01:00.0",
	 {DEVICE("0000:01:00.0", "vfio-pci", 1), DEVICE("0000:01:00.1", "vfio-pci", 2),
	  DEVICE("0000:02:00.0", "e1000e", 2)}, .result = -EBUSY,
	  .says = {"IOMMU group 2", "0000:02:00.0 (e1000e)"}},
	{"a name that only begins like a harmless one", "01:00.0",
	 {CARD, DEVICE("0000:02:00.0", "pci-stub2", 1)}, .result = -EBUSY,
	 .says = {"0000:02:00.0 (pci-stub2)"}},
};

static void check_slot_case(const char *sysfs, const struct slot_case *c)
{
	struct host_slot slot = {.name = "untouched"};
	char why[1024] = "";
	int r;

	for (unsigned int i = 0; i < MEMBERS_MAX && c->devices[i].name; i++)
		make_device(sysfs, &c->devices[i]);
	if (c->noiommu)
		make_file(path_of("%s/kernel/iommu_groups/1/name", sysfs), c->noiommu);
	r = host_slot_read(sysfs, c->bdf, &slot, why, sizeof(why));
	if (r != c->result)
		fail_msg("%s: %d instead of %d (%s)", c->what, r, c->result, why);
	for (unsigned int i = 0; i < ARRAY_SIZE(c->says) && c->says[i]; i++)
		if (!strstr(why, c->says[i]))
			fail_msg("%s: no \"%s\" in \"%s\"", c->what, c->says[i], why);
	assert_string_equal(slot.name, r < 0 ? "untouched" : "0000:01:00");
	assert_null(strchr(why, '\n'));
	assert_int_equal(why[0] == '\0', r == 0);
}

static void test_host_slot_read(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(slot_cases); i++) {
		fake_tree_empty(*state);
		check_slot_case(*state, &slot_cases[i]);
	}
}

static void test_host_slot_read_functions(void **state)
{
	static const struct device devices[] = {
		DEVICE("0000:01:00.0", "vfio-pci", 7), DEVICE("0000:01:00.2", "vfio-pci", 12),
	};
	struct host_slot slot;
	char why[256];

	for (unsigned int i = 0; i < ARRAY_SIZE(devices); i++)
		make_device(*state, &devices[i]);
	assert_int_equal(host_slot_read(*state, "01:00.2", &slot, why, sizeof(why)), 0);
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		assert_int_equal(slot.fn[i].exists, i == 0 || i == 2);
	assert_string_equal(slot.fn[2].name, "0000:01:00.2");
	assert_string_equal(slot.fn[2].driver, "vfio-pci");
	assert_int_equal(slot.fn[0].group, 7);
	assert_int_equal(slot.fn[2].group, 12);
	assert_int_equal(slot.fn[0].node, -1);
}

/* The number of a device's node is that of what its driver registered. */
static void test_host_slot_read_node(void **state)
{
	static const struct {
		const char *entry; /* below vfio-dev; NULL: not even that */
		int node;
	} cases[] = {
		{"vfio0", 0}, {"vfio12", 12}, {NULL, -1}, {"vfio", -1}, {"noiommu-vfio0", -1},
		{"vfio1x", -1}, {"vfio-1", -1}, {"power", -1},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct host_slot slot;
		char why[256];

		fake_tree_empty(*state);
		make_device(*state, &(struct device)DEVICE("0000:01:00.0", "vfio-pci", 7));
		if (cases[i].entry)
			make_dir(path_of("%s/bus/pci/devices/0000:01:00.0/vfio-dev/%s",
					 (char *)*state, cases[i].entry));
		assert_int_equal(host_slot_read(*state, "01:00.0", &slot, why, sizeof(why)), 0);
		if (slot.fn[0].node != cases[i].node)
			fail_msg("%s: %d", cases[i].entry, slot.fn[0].node);
		assert_int_equal(slot.fn[1].node, -1);
	}
}

/* A file of the device; nothing when `text` is NULL. */
static void make_attribute(const char *sysfs, const char *name, const char *text)
{
	const char *path = path_of("%s/devices/pci0000:00/0000:01:00.0/%s", sysfs, name);

	if (text)
		make_file(path, text);
}

static void test_host_observe(void **state)
{
	static const struct {
		const char *power_state, *status, *suspended_time, *wakeup_count;
		int result;
		struct vfio_observation seen;
	} cases[] = {
		{"D3cold\n", "suspended\n", "1234\n", "5\n", 0,
		 {"D3cold", true, 1234000, true, 5}},
		{"D0\n", "active\n", "0\n", "\n", 0, {"D0", false, 0, false, 0}},
		{"D0\n", "suspending\n", "7\n", "0\n", 0, {"D0", false, 7000, true, 0}},
		{NULL, "suspended\n", NULL, NULL, 0, {"unknown", true, 0, false, 0}},
		{"D3hot\n", "suspended\n", "x\n", "12x\n", 0, {"D3hot", true, 0, false, 0}},
		{"D3hot\n", "suspended\n", "", "", 0, {"D3hot", true, 0, false, 0}},
		{"D3hot\n", NULL, "1\n", "1\n", -ENOTSUP, {"", false, 0, false, 0}},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vfio_observation seen = {.power_state = ""};

		fake_tree_empty(*state);
		make_device(*state, &(struct device)DEVICE("0000:01:00.0", "vfio-pci", 7));
		make_dir(path_of("%s/devices/pci0000:00/0000:01:00.0/power", (char *)*state));
		make_attribute(*state, "power_state", cases[i].power_state);
		make_attribute(*state, "power/runtime_status", cases[i].status);
		make_attribute(*state, "power/runtime_suspended_time", cases[i].suspended_time);
		make_attribute(*state, "power/wakeup_active_count", cases[i].wakeup_count);
		assert_int_equal(host_observe(*state, "0000:01:00.0", &seen), cases[i].result);
		assert_string_equal(seen.power_state, cases[i].seen.power_state);
		assert_int_equal(seen.suspended, cases[i].seen.suspended);
		assert_int_equal(seen.suspended_us, cases[i].seen.suspended_us);
		assert_int_equal(seen.counts_wakeups, cases[i].seen.counts_wakeups);
		assert_int_equal(seen.wakeups, cases[i].seen.wakeups);
		assert_int_equal(host_observe(*state, "0000:02:00.0", &seen), -ENOTSUP);
	}
}

static void test_host_is_external(void **state)
{
	static const struct {
		const char *path;   /* of a device whose file says `text` */
		const char *text;
		bool external;
	} cases[] = {
		{"pci0000:00/0000:00:1c.0/0000:01:00.0/0000:02:00.0", "removable\n", true},
		{"pci0000:00/0000:00:1c.0/0000:01:00.0", "removable\n", true},
		{"pci0000:00/0000:00:1c.0", "removable\n", true},
		{"pci0000:00/0000:00:1c.0", "fixed\n", false},
		{"pci0000:00/0000:00:1c.0", "unknown\n", false},
		{"pci0000:00/0000:00:1c.0", "", false},
		{"pci0000:00", "removable\n", false}, /* no device of the bus */
		{"pci0000:00/0000:00:1d.0", "removable\n", false}, /* not above it */
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *sysfs = *state;

		fake_tree_empty(sysfs);
		make_dir(path_of("%s/devices/pci0000:00/0000:00:1c.0/0000:01:00.0/0000:02:00.0",
				 sysfs));
		make_dir(path_of("%s/devices/%s", sysfs, cases[i].path));
		make_dir(path_of("%s/bus/pci/devices", sysfs));
		make_link("../../../devices/pci0000:00/0000:00:1c.0/0000:01:00.0/0000:02:00.0",
			  path_of("%s/bus/pci/devices/0000:02:00.0", sysfs));
		make_file(path_of("%s/devices/%s/removable", sysfs, cases[i].path), cases[i].text);
		if (host_is_external(sysfs, "0000:02:00.0") != cases[i].external)
			fail_msg("%s: %s", cases[i].path, cases[i].text);
		assert_false(host_is_external(sysfs, "0000:07:00.0"));
	}
}

static void test_host_idle_d3_disabled(void **state)
{
	static const struct {
		const char *text;
		bool disabled;
	} cases[] = {{"Y\n", true}, {"N\n", false}, {"", false}, {NULL, false}};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *sysfs = *state;

		fake_tree_empty(sysfs);
		make_dir(path_of("%s/module/vfio_pci/parameters", sysfs));
		if (cases[i].text)
			make_file(path_of("%s/module/vfio_pci/parameters/disable_idle_d3", sysfs),
				  cases[i].text);
		assert_int_equal(host_idle_d3_disabled(sysfs), cases[i].disabled);
	}
}

/* On a board without ACS a group is long: the lists end between members, the command is whole. */
static void test_host_slot_read_large_group(void **state)
{
	char name[16], why[1024], *at;
	struct host_slot slot;

	make_device(*state, &(struct device)DEVICE("0000:01:00.0", "vfio-pci", 1));
	for (unsigned int i = 0; i < 64; i++) {
		snprintf(name, sizeof(name), "0000:%02x:00.0", i + 2);
		make_device(*state, &(struct device)DEVICE(name, i % 2 ? "snd_hda_intel" :
							   "vfio-pci", 1));
	}
	assert_int_equal(host_slot_read(*state, "01:00.0", &slot, why, sizeof(why)), -EBUSY);
	assert_non_null(strstr(why, "(snd_hda_intel), ... beside"));
	assert_non_null(strstr(why, "(vfio-pci), ...: put"));
	at = strstr(why, "for d in 0000:03:00.0 0000:05:00.0 ");
	assert_non_null(at);
	at = strchr(at, ';');
	assert_non_null(at);
	assert_memory_equal(at - 5, ":00.0", 5);
	assert_string_equal(at, "; do echo $d >$d/driver/unbind; done");
}

/* Whatever the room, the sentence is cut off inside it. */
static void test_host_slot_read_short_why(void **state)
{
	const struct slot_case *c = slot_cases;
	struct host_slot slot;
	char why[700];

	while (strcmp(c->what, "a mixed group"))
		c++;
	for (unsigned int i = 0; i < MEMBERS_MAX && c->devices[i].name; i++)
		make_device(*state, &c->devices[i]);
	for (size_t size = 0; size < sizeof(why); size++) {
		memset(why, '#', sizeof(why));
		assert_int_equal(host_slot_read(*state, c->bdf, &slot, why, size), -EBUSY);
		assert_int_equal(why[size], '#');
		assert_true(!size || memchr(why, '\0', size));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host_parse_bdf),
		cmocka_unit_test_setup_teardown(test_host_slot_read, make_sysfs, remove_sysfs),
		cmocka_unit_test_setup_teardown(test_host_slot_read_functions, make_sysfs,
						remove_sysfs),
		cmocka_unit_test_setup_teardown(test_host_slot_read_node, make_sysfs, remove_sysfs),
		cmocka_unit_test_setup_teardown(test_host_observe, make_sysfs, remove_sysfs),
		cmocka_unit_test_setup_teardown(test_host_is_external, make_sysfs, remove_sysfs),
		cmocka_unit_test_setup_teardown(test_host_idle_d3_disabled, make_sysfs,
						remove_sysfs),
		cmocka_unit_test_setup_teardown(test_host_slot_read_large_group, make_sysfs,
						remove_sysfs),
		cmocka_unit_test_setup_teardown(test_host_slot_read_short_why, make_sysfs,
						remove_sysfs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
