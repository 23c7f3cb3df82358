/* What bind does not take from the host, and what it takes all the same (tests/fake_host.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/tools/bind_bench.h"

#define NIC "0000:02:00.0"

static const struct fake_device nic = {NIC, "e1000e", 7, 0x020000, NULL, NULL};

static void add_bridge(struct fake_host *fake)
{
	static const struct fake_device card = {GPU, "pcieport", 7, 0x060400, NULL, NULL};

	fake_host_add(fake, &card);
}

static void add_without_iommu(struct fake_host *fake)
{
	static const struct fake_device card = {GPU, "nouveau", -1, 0x030000, NULL, NULL};

	fake_host_add(fake, &card);
}

static void add_noiommu(struct fake_host *fake)
{
	add_card(fake);
	fake_host_file(fake, "sys/kernel/iommu_groups/7/name", "vfio-noiommu\n");
}

static void add_disk(struct fake_host *fake, const char *mountinfo, const char *swaps)
{
	static const struct fake_device disk = {GPU, "nvme", 7, 0x010802, NULL, NULL};
	char dir[256], path[320];

	fake_host_add(fake, &disk);
	fake_host_child(fake, GPU, "block", "nvme0n1p2", dir);
	snprintf(path, sizeof(path), "%s/dev", dir);
	fake_host_file(fake, path, "259:2\n");
	fake_host_file(fake, "proc/self/mountinfo", mountinfo);
	fake_host_file(fake, "proc/swaps", swaps);
}

#define MOUNT_OTHER "22 1 8:1 / /boot rw shared:1 - ext4 /dev/sda1 rw\n"

static void add_mounted(struct fake_host *fake)
{
	add_disk(fake, MOUNT_OTHER "23 1 259:2 / / rw,relatime shared:1 - ext4 /dev/root rw\n", "");
}

static void add_mounted_by_source(struct fake_host *fake)
{
	add_disk(fake, MOUNT_OTHER "23 1 0:25 /@ /home rw - btrfs /dev/nvme0n1p2 rw\n", "");
}

static void add_swap(struct fake_host *fake)
{
	add_disk(fake, MOUNT_OTHER, "Filename Type Size Used Priority\n"
		 "/dev/nvme0n1p2 partition 1 0 -2\n");
}

static void add_raid(struct fake_host *fake)
{
	add_disk(fake, MOUNT_OTHER, "");
	fake_host_dir(fake, "sys/devices/pci0000:00/" GPU "/block/nvme0n1p2/holders/md0");
}

static void add_claimed(struct fake_host *fake)
{
	add_disk(fake, MOUNT_OTHER, "");
	strcpy(fake->claimed, "nvme0n1p2");
}

static void add_multipath(struct fake_host *fake)
{
	static const struct fake_device disk = {GPU, "nvme", 7, 0x010802, NULL, NULL};
	char dir[256], link[128], target[128];

	fake_host_add(fake, &disk);
	fake_host_child(fake, GPU, "block", "nvme3c1n2", dir);
	fake_host_file(fake, "sys/devices/virtual/nvme-subsystem/nvme3n2/nvme3n2p1/dev", "259:9\n");
	for (unsigned int i = 0; i < 2; i++) {
		snprintf(target, sizeof(target), "%s/devices/virtual/nvme-subsystem/nvme3n2%s",
			 fake->sysfs, i ? "/nvme3n2p1" : "");
		snprintf(link, sizeof(link), "%s/class/block/nvme3n2%s", fake->sysfs,
			 i ? "p1" : "");
		assert_int_equal(symlink(target, link), 0);
	}
	fake_host_file(fake, "proc/self/mountinfo", "23 1 259:9 / /srv rw - xfs /dev/x rw\n");
}

static void add_interface(struct fake_host *fake)
{
	char dir[256], path[320];

	fake_host_add(fake, &(struct fake_device){GPU, "e1000e", 7, 0x020000, NULL, NULL});
	fake_host_child(fake, GPU, "net", "eth0", dir);
	snprintf(path, sizeof(path), "%s/flags", dir);
	fake_host_file(fake, path, "0x1003\n");
}

static void add_display_in_use(struct fake_host *fake)
{
	char dir[256];

	add_card(fake);
	fake_host_child(fake, GPU, "drm", "card0", dir);
	add_holder(fake, "/dev/dri/card0");
}

static void add_nvidia(struct fake_host *fake)
{
	static const struct fake_device card = {GPU, "nvidia", 7, 0x030000, NULL, NULL};
	char dir[256];

	fake_host_add(fake, &card);
	fake_host_child(fake, GPU, "drm", "card0", dir);
	fake_host_file(fake, "proc/driver/nvidia/gpus/" GPU "/information",
		       "Model: \t\t NVIDIA H100\nDevice Minor: \t 5\nGPU Excluded:\t No\n");
}

static void add_nvidia_in_use(struct fake_host *fake)
{
	add_nvidia(fake);
	add_holder(fake, "/dev/nvidia5");
}

static void add_nvidia_display_in_use(struct fake_host *fake)
{
	add_nvidia(fake);
	add_holder(fake, "/dev/dri/card0");
}

static void add_virtual_functions(struct fake_host *fake)
{
	add_card(fake);
	fake_host_file(fake, "sys/devices/pci0000:00/" GPU "/sriov_numvfs", "2\n");
}

static void add_mixed_group(struct fake_host *fake)
{
	add_card(fake);
	fake_host_add(fake, &nic);
}

static void test_bind_refuses(void **state)
{
	static const struct {
		void (*add)(struct fake_host *fake);
		const char *says;
	} cases[] = {
		{add_bridge, "0000:01:00.0 stays with the host: it is a bridge"},
		{add_without_iommu, "it is behind no IOMMU"},
		{add_noiommu, "it is behind no IOMMU"},
		{add_mounted, "its disk nvme0n1p2 is mounted on /"},
		{add_mounted_by_source, "its disk nvme0n1p2 is mounted on /home"},
		{add_swap, "its disk nvme0n1p2 is swap space in use"},
		{add_raid, "its disk nvme0n1p2 is a part of md0"},
		{add_claimed, "its disk nvme0n1p2 is in use"},
		{add_multipath, "its disk nvme3n2p1 is mounted on /srv"},
		{add_interface, "its network interface eth0 is up: as root, ip link set eth0 down"},
		{add_display_in_use, "programs use it by /dev/dri/card0: Xorg (pid 812)"},
		{add_nvidia_in_use, "programs use it by /dev/nvidia5: Xorg (pid 812); end them "
		 "first, or its driver hangs when it is unbound\n"},
		{add_nvidia_display_in_use, "by /dev/dri/card0: Xorg (pid 812); end them first, or "
		 "its driver hangs when it is unbound\n"},
		{add_virtual_functions, "it has 2 virtual functions: as root, echo 0 "
		 ">/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs"},
		{add_mixed_group, "0000:02:00.0 shares the IOMMU group, and its driver e1000e"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_host *fake;

		assert_int_equal(fake_host_teardown(state) | fake_host_setup(state), 0);
		fake = *state;
		cases[i].add(fake);
		assert_int_equal(run(fake, bind_run_on, "bind 01:00.0"), TOOL_FAILED);
		expect_says(cases[i].says);
		assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
		expect_says(cases[i].says);
		assert_int_equal(fake->writes, 0);
		assert_false(fake_host_exists(fake, "run/bind/" GPU));
	}
}

/* A disk that nobody uses, an interface that is down, a display that nobody has open. */
static void test_bind_takes_the_idle(void **state)
{
	struct fake_host *fake = *state;
	char dir[256], path[320];

	add_disk(fake, MOUNT_OTHER, "Filename\n/dev/nvme0n1p20 partition\n");
	fake_host_file(fake, "sys/devices/pci0000:00/" GPU "/sriov_numvfs", "0\n");
	fake_host_child(fake, GPU, "net", "eth0", dir);
	snprintf(path, sizeof(path), "%s/flags", dir);
	fake_host_file(fake, path, "0x1002\n");
	fake_host_child(fake, GPU, "drm", "card0", dir);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
	expect_driver(fake, GPU, BIND_DRIVER, BIND_DRIVER);
}

static void test_bind_force(void **state)
{
	struct fake_host *fake = *state;

	add_display_in_use(fake);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes --force"), TOOL_OK);
	expect_driver(fake, GPU, BIND_DRIVER, BIND_DRIVER);
	/* not what would harm the host */
	assert_int_equal(fake_host_teardown(state) | fake_host_setup(state), 0);
	fake = *state;
	add_mounted(fake);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes --force"), TOOL_FAILED);
	expect_driver(fake, GPU, "nvme", "");
	assert_int_equal(fake_host_teardown(state) | fake_host_setup(state), 0);
	fake = *state;
	add_nvidia_in_use(fake);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes --force"), TOOL_FAILED);
	expect_driver(fake, GPU, "nvidia", "");
}

/* Another card of the same driver is in use. */
static void test_bind_idle_nvidia(void **state)
{
	struct fake_host *fake = *state;

	add_nvidia(fake);
	add_holder(fake, "/dev/nvidia0");
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
	expect_driver(fake, GPU, BIND_DRIVER, BIND_DRIVER);
}

static void test_bind_group(void **state)
{
	struct fake_host *fake = *state;

	add_mixed_group(fake);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --group"), TOOL_OK);
	expect_says("To do it: sudo minivmm bind 01:00.0 --group --yes");
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --group --yes"), TOOL_OK);
	expect_driver(fake, GPU, BIND_DRIVER, BIND_DRIVER);
	expect_driver(fake, NIC, BIND_DRIVER, BIND_DRIVER);
	expect_driver(fake, "0000:00:01.0", "pcieport", "");
	/* unbind touches the slot alone, unless told otherwise */
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_as_before(fake);
	expect_driver(fake, NIC, BIND_DRIVER, BIND_DRIVER);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --group --yes"), TOOL_OK);
	expect_driver(fake, NIC, "e1000e", "");
}

static void test_bind_boot_display_warns(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	fake_host_file(fake, "sys/devices/pci0000:00/" GPU "/boot_vga", "1\n");
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0"), TOOL_OK);
	expect_says("warning: the host booted with this display: have another way");
	fake_host_file(fake, "sys/class/vtconsole/vtcon1/name", "(M) frame buffer device\n");
	fake_host_file(fake, "sys/class/vtconsole/vtcon1/bind", "1\n");
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0"), TOOL_OK);
	expect_says("its text console is on a frame buffer: the screen freezes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BIND_TEST(test_bind_refuses),
		BIND_TEST(test_bind_takes_the_idle),
		BIND_TEST(test_bind_force),
		BIND_TEST(test_bind_idle_nvidia),
		BIND_TEST(test_bind_group),
		BIND_TEST(test_bind_boot_display_warns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
