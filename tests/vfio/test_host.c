/* host_parse_bdf() and host_slot_read() on small sysfs trees that each case makes for itself. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
	char *sysfs = strdup("/tmp/test_host.XXXXXX");

	if (!sysfs || !mkdtemp(sysfs))
		return -1;
	*state = sysfs;
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void empty_sysfs(const char *sysfs)
{
	nftw(sysfs, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	mkdir(sysfs, 0700);
}

static int remove_sysfs(void **state)
{
	nftw(*state, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(*state);
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
	{"not an address", "gpu", {CARD}, .result = -EINVAL, .says = {"'gpu'", "01:00.0"}},
	{"a path", "../../../../etc/passwd", {CARD}, .result = -EINVAL,
	 .says = {"is not a PCI address"}},
	{"no such device", "02:00.0", {CARD}, .result = -ENODEV, .says = {"0000:02:00.0", "lspci"}},
	{"no such function", "01:00.3", {CARD}, .result = -ENODEV, .says = {"0000:01:00.3"}},
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
	 .says = {"0000:01:00.0 (nouveau), 0000:01:00.1 (snd_hda_intel)", "modprobe vfio-pci",
	  "for d in 0000:01:00.0 0000:01:00.1; do", "devices/$d/driver_override",
	  "devices/$d/driver/unbind", ">drivers_probe"}},
	{"function 1 is unbound", "01:00.0",
	 {DEVICE("0000:01:00.0", "vfio-pci", 1), DEVICE("0000:01:00.1", NULL, 1)}, .result = -EBUSY,
	 .says = {"not yet: 0000:01:00.1 (no driver);", "for d in 0000:01:00.1; do",
	  "driver_override; echo $d >drivers_probe"}},
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
		empty_sysfs(*state);
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
		cmocka_unit_test_setup_teardown(test_host_slot_read_short_why, make_sysfs,
						remove_sysfs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
