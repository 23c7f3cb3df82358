#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/options.h"

#define ARGS_MAX 12

static int parse(const char *const *args, struct options *options, char *why, size_t why_size)
{
	static char kept[ARGS_MAX][2 * PATH_MAX]; /* the options point into it */
	static char name[] = "minivmm";
	char *argv[ARGS_MAX + 2] = {name};
	int argc = 1;

	for (; argc <= ARGS_MAX && args[argc - 1]; argc++) {
		strncpy(kept[argc - 1], args[argc - 1], sizeof(kept[0]) - 1);
		argv[argc] = kept[argc - 1];
	}
	return options_parse(argc, argv, options, why, why_size);
}

static void test_options_defaults(void **state)
{
	const char *args[] = {"guest.img", NULL};
	struct options options;
	char why[256];

	(void)state;
	assert_int_equal(parse(args, &options, why, sizeof(why)), 0);
	assert_string_equal(options.kernel, "guest.img");
	assert_int_equal(options.memory, 512 * MIB);
	assert_int_equal(options.cpus, 1);
	assert_int_equal(options.slots, 0);
	assert_int_equal(options.disks, 0);
	assert_false(options.entropy);
	assert_null(options.events);
	assert_null(options.quirks);
	assert_int_equal(options.vfio_backend, VFIO_BACKEND_AUTO);
	assert_false(options.no_reboot);
	assert_int_equal(options.shutdown_timeout_s, 30);
	assert_int_equal(options.on_panic, PANIC_IGNORE);
	assert_int_equal(options.watchdog, WATCHDOG_OFF);
	assert_false(options.has_halt_poll);
}

static void test_options_everything(void **state)
{
	const char *args[] = {"--gpu=01:00.0", "--memory=2G",   "--cpus=4",    "--no-reboot",
			      "--debug-exit",  "--events=-",    "--initrd=i",  "--entropy",
			      "--disk=a.img",  "--disk=b,ro",   "bzImage"};
	const char *list[ARGS_MAX + 1] = {0};
	struct options options;
	char why[256];

	(void)state;
	memcpy(list, args, sizeof(args));
	assert_int_equal(parse(list, &options, why, sizeof(why)), 0);
	assert_int_equal(options.memory, 2 * GIB);
	assert_int_equal(options.cpus, 4);
	assert_true(options.no_reboot && options.debug_exit);
	assert_int_equal(options.slots, 1);
	assert_true(options.entropy);
	assert_int_equal(options.disks, 2);
	assert_string_equal(options.disk[0].path, "a.img");
	assert_true(options.disk[1].read_only);
	assert_string_equal(options.slot[0].bdf, "0000:01:00.0");
	assert_string_equal(options.initrd, "i");
	assert_string_equal(options.kernel, "bzImage");
}

static void test_options_hotplug_ports(void **state)
{
	static const struct {
		const char *ports;
		const char *why; /* NULL: it is good */
	} cases[] = {
		{"0", NULL}, {"1", NULL}, {"15", NULL}, {"16", "more than the 16 slots"},
		{"17", "not a number from 0 to 16"}, {"", "not a number"}, {"1x", "not a number"},
		{"-1", "not a number"}, {"99999999999999999999", "not a number"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *args[] = {"--gpu", "01:00.0", "--hotplug-ports", cases[i].ports, "k",
				      NULL};
		struct options options;
		char why[256] = "";

		if (cases[i].why) {
			assert_true(parse(args, &options, why, sizeof(why)) < 0);
			assert_non_null(strstr(why, cases[i].why));
		} else {
			assert_int_equal(parse(args, &options, why, sizeof(why)), 0);
			assert_int_equal(options.hotplug_ports, (unsigned int)atoi(cases[i].ports));
		}
	}
}

static void test_options_quirks_and_backend(void **state)
{
	static const struct {
		const char *kind;
		enum vfio_backend_kind backend;
	} cases[] = {
		{"auto", VFIO_BACKEND_AUTO},
		{"group", VFIO_BACKEND_GROUP},
		{"iommufd", VFIO_BACKEND_IOMMUFD},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *args[] = {"--quirks", "mine", "--vfio-backend", cases[i].kind, "k",
				      NULL};
		struct options options;
		char why[256];

		assert_int_equal(parse(args, &options, why, sizeof(why)), 0);
		assert_string_equal(options.quirks, "mine");
		assert_int_equal(options.vfio_backend, cases[i].backend);
	}
}

static void test_options_slots_side_by_side(void **state)
{
	const char *args[] = {"--gpu=vfio-user:/run/a", "--gpu=vfio-user:/run/b,power=d3hot",
			      "--gpu=01:00.0", "--gpu=0001:01:00.0", "k", NULL};
	struct options options;
	char why[256];

	(void)state;
	assert_int_equal(parse(args, &options, why, sizeof(why)), 0);
	assert_int_equal(options.slots, 4);
	assert_string_equal(options.slot[0].socket, "/run/a");
	assert_string_equal(options.slot[1].socket, "/run/b");
	assert_int_equal(options.slot[1].power, POLICY_POWER_D3HOT);
	assert_string_equal(options.slot[3].bdf, "0001:01:00.0");
}

static void test_options_networks(void **state)
{
	const char *args[] = {"--net=passt", "--net=tap=vm0,queues=2", "--net", "passt", "k", NULL};
	const char *twice[] = {"--net=tap=vm0", "--net=passt", "--net=tap=vm0,queues=2", "k", NULL};
	const char *many[] = {"--net=passt", "--net=passt", "--net=passt", "--net=passt",
			      "--net=passt", "--net=passt", "--net=passt", "--net=passt",
			      "--net=passt", "k", NULL};
	struct options options;
	char why[256];

	(void)state;
	assert_int_equal(parse(args, &options, why, sizeof(why)), 0);
	assert_int_equal(options.nets, 3);
	assert_string_equal(options.net[1].tap, "vm0");
	assert_int_equal(options.net[1].pairs, 2);
	assert_int_equal(parse(twice, &options, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "--net tap=vm0,queues=2: another device has this link");
	assert_int_equal(parse(many, &options, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "--net passt: no more than 8 network devices");
}

static void test_options_vhost_user(void **state)
{
	const char *args[] = {"--vhost-user=block,/a", "--vhost-user", "fs,/b,tag=t", "k", NULL};
	const char *twice[] = {"--vhost-user=block,/a", "--vhost-user=fs,/a,tag=t", "k", NULL};
	const char *many[] = {"--vhost-user=blk,/1", "--vhost-user=blk,/2", "--vhost-user=blk,/3",
			      "--vhost-user=blk,/4", "--vhost-user=blk,/5", "--vhost-user=blk,/6",
			      "--vhost-user=blk,/7", "--vhost-user=blk,/8", "--vhost-user=blk,/9",
			      "k", NULL};
	struct options options;
	char why[256];

	(void)state;
	assert_int_equal(parse(args, &options, why, sizeof(why)), 0);
	assert_int_equal(options.vhost_users, 2);
	assert_int_equal(options.vhost_user[0].type, VHOST_USER_BLOCK);
	assert_string_equal(options.vhost_user[1].tag, "t");
	assert_int_equal(parse(twice, &options, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "--vhost-user fs,/a,tag=t: another device has this socket");
	assert_int_equal(parse(many, &options, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "--vhost-user blk,/9: no more than 8 devices");
}

static void test_options_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t memory; /* 0: refused */
	} cases[] = {
		{"512", 512 * MIB}, {"512M", 512 * MIB}, {"512m", 512 * MIB}, {"65536K", 64 * MIB},
		{"1G", GIB},        {"8T", 8ULL << 40}, {"9T", 0},  {"15M", 0}, {"17M", 0},
		{"", 0},            {"G", 0},             {"-1", 0},   {"1GB", 0}, {"1 G", 0},
		{"1 ", 0},          {"0x10M", 0},         {"99999999999999999999", 0},
		{"18446744073709551615T", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *args[] = {"--memory", cases[i].text, "k", NULL};
		struct options options;
		char why[256] = "";
		int error = parse(args, &options, why, sizeof(why));

		assert_int_equal(error != 0, cases[i].memory == 0);
		if (error)
			assert_non_null(strstr(why, "--memory"));
		else
			assert_int_equal(options.memory, cases[i].memory);
	}
}

static void test_options_memory_keys(void **state)
{
	static const struct {
		const char *text;
		uint64_t memory, page;
		bool prefault;
	} cases[] = {
		{"512", 512 * MIB, 0, false},
		{"2G,prefault", 2 * GIB, 0, true},
		{"64M,hugepages=2M", 64 * MIB, 2 * MIB, false},
		{"8G,prefault,hugepages=1G", 8 * GIB, GIB, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		/* Keys of an earlier value do not stay. */
		const char *args[] = {"--memory=4G,hugepages=1G,prefault", "--memory",
				      cases[i].text, "k", NULL};
		struct options options;
		char why[256];

		assert_int_equal(parse(args, &options, why, sizeof(why)), 0);
		assert_int_equal(options.memory, cases[i].memory);
		assert_int_equal(options.memory_page, cases[i].page);
		assert_int_equal(options.prefault, cases[i].prefault);
	}
}

static void test_options_pin(void **state)
{
	const char *args[] = {"--cpus=4,pin=8,0-2", "k", NULL};
	const char *again[] = {"--cpus=4,pin=8,0-2", "--cpus", "4", "k", NULL};
	const uint16_t expected[] = {8, 0, 1, 2};
	struct options options;
	char why[256];

	(void)state;
	assert_int_equal(parse(args, &options, why, sizeof(why)), 0);
	assert_int_equal(options.cpus, 4);
	assert_int_equal(options.pin.count, 4);
	assert_memory_equal(options.pin.cpu, expected, sizeof(expected));
	assert_int_equal(parse(again, &options, why, sizeof(why)), 0);
	assert_int_equal(options.pin.count, 0);
}

static void test_options_halt_poll(void **state)
{
	static const struct {
		const char *cpus;
		bool given;
		uint32_t us;
		unsigned int pins;
	} cases[] = {
		{"2", false, 0, 0}, {"2,halt-poll=0", true, 0, 0},
		{"2,halt-poll=200,pin=3,1", true, 200, 2},
		{"2,halt-poll=4294967", true, 4294967, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *args[] = {"--cpus=1,halt-poll=7", "--cpus", cases[i].cpus, "k", NULL};
		struct options options;
		char why[256];

		assert_int_equal(parse(args, &options, why, sizeof(why)), 0);
		assert_int_equal(options.cpus, 2);
		assert_int_equal(options.has_halt_poll, cases[i].given);
		assert_int_equal(options.halt_poll_us, cases[i].us);
		assert_int_equal(options.pin.count, cases[i].pins);
	}
}

static void test_options_watchdog(void **state)
{
	static const struct {
		const char *action;
		enum watchdog_action watchdog;
	} cases[] = {
		{"reboot", WATCHDOG_REBOOT}, {"exit", WATCHDOG_EXIT}, {"off", WATCHDOG_OFF},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *args[] = {"--watchdog", cases[i].action, "k", NULL};
		struct options options;
		char why[256];

		assert_int_equal(parse(args, &options, why, sizeof(why)), 0);
		assert_int_equal(options.watchdog, cases[i].watchdog);
	}
}

static void test_options_refuses_with_a_reason(void **state)
{
	static const struct {
		const char *args[4];
		const char *says;
	} cases[] = {
		{{NULL}, "no guest"},
		{{"--frob", "k", NULL}, "--frob"},
		{{"k", "--memory", NULL}, "--memory: needs a value"},
		{{"-xy", "k", NULL}, "-x: unknown"},
		{{"k", "-h", NULL}, "-h: unknown"},
		{{"--debug-exit=1", "k", NULL}, "--debug-exit=1: takes no value"},
		{{"--memory", "64M,", "k", NULL}, "no key \"\"; there are hugepages, prefault"},
		{{"--memory", ",prefault", "k", NULL}, "not a size"},
		{{"--memory", "64M,prefault=1", "k", NULL}, "no key \"prefault=1\""},
		{{"--memory", "64M,hugepages", "k", NULL}, "hugepages takes 2M or 1G"},
		{{"--memory", "64M,hugepages=4K", "k", NULL}, "hugepages takes 2M or 1G"},
		{{"--memory", "64M,hugepagesx=2M", "k", NULL}, "no key \"hugepagesx=2M\""},
		{{"--memory", "1536M,hugepages=1G", "k", NULL}, "pages of 1G; 2G would be"},
		{{"--cpus", "0", "k", NULL}, "1 to 64"},
		{{"--cpus", "65", "k", NULL}, "1 to 64"},
		{{"--cpus", "two", "k", NULL}, "two"},
		{{"--cpus", "4x", "k", NULL}, "4x"},
		{{"--cpus", "4,", "k", NULL}, "no key \"\"; there are halt-poll, pin"},
		{{"--cpus", "4,pim=1", "k", NULL}, "no key \"pim=1\"; there are halt-poll, pin"},
		{{"--cpus", "4,halt-poll", "k", NULL}, "no key \"halt-poll\""},
		{{"--cpus", "4,halt-poll=", "k", NULL}, "microseconds, 0 to 4294967"},
		{{"--cpus", "4,halt-poll=-1", "k", NULL}, "microseconds, 0 to 4294967"},
		{{"--cpus", "4,halt-poll=4294968", "k", NULL}, "microseconds, 0 to 4294967"},
		{{"--cpus", "4,halt-poll=1ms", "k", NULL}, "microseconds, 0 to 4294967"},
		{{"--watchdog", "pause", "k", NULL}, "--watchdog pause: not off, reboot or exit"},
		{{"--cpus", "4,pin=", "k", NULL}, "pin takes a list"},
		{{"--cpus", "4,pin=0-2", "k", NULL}, "for each of the guest's, 4, not 3"},
		{{"--cpus", "1,pin=1024", "k", NULL}, "up to 1023"},
		{{"--cpus", "2,pin=1,1", "k", NULL}, "a CPU twice"},
		{{"--cpus", "64,pin=0-64", "k", NULL}, "64 at most"},
		{{"--on-panic", "stop", "k", NULL}, "--on-panic stop: not ignore, exit or reboot"},
		{{"--vsock", "2", "k", NULL}, "--vsock 2: not a CID of a guest, 3 to 4294967294"},
		{{"--console", "tty", "k", NULL}, "--console tty: not serial or virtio"},
		{{"--console=", "k", NULL}, "--console : not serial or virtio"},
		{{"--shutdown-timeout", "3601", "k", NULL}, "seconds from 0 to 3600"},
		{{"--shutdown-timeout", "1m", "k", NULL}, "--shutdown-timeout 1m: not"},
		{{"--shutdown-timeout", "", "k", NULL}, "--shutdown-timeout : not"},
		{{"--api", "", "k", NULL}, "--api \"\": a path cannot be empty"},
		{{"--events=", "k", NULL}, "--events \"\": a path cannot be empty"},
		{{"--initrd", "", "k", NULL}, "--initrd \"\": a path cannot be empty"},
		{{"--quirks", "", "k", NULL}, "--quirks \"\": a path cannot be empty"},
		{{"--kernel", "", "k", NULL}, "--kernel \"\": a path cannot be empty"},
		{{"", NULL}, "guest \"\": a path cannot be empty"},
		{{"a", "b", NULL}, "'b'"},
		{{"--gpu", "zz", "k", NULL}, "zz"},
		{{"--gpu", "01:00.0,frob=1", "k", NULL}, "frob"},
		{{"--gpu=01:00.0", "--gpu=0000:01:00.1", "k", NULL},
		 "0000:01:00.1: this slot is passed already"},
		{{"--gpu=vfio-user:/a", "--gpu=vfio-user:/a,power=off", "k", NULL},
		 "vfio-user:/a,power=off: this slot is passed already"},
		{{"--gpu", "01:00.0,low-power=off", "k", NULL}, "no key \"low-power\""},
		{{"--vfio-backend", "cdev", "k", NULL}, "--vfio-backend cdev: not auto, group or"},
		{{"k", "--quirks", NULL}, "--quirks: needs a value"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct options options;
		char why[256] = "";

		assert_true(parse(cases[i].args, &options, why, sizeof(why)) < 0);
		if (!strstr(why, cases[i].says))
			fail_msg("case %zu says '%s', not '%s'", i, why, cases[i].says);
	}
}

/* The reason is not lost behind a value, however long that is. */
static void test_options_says_why_of_what_is_long(void **state)
{
	static const struct {
		const char *option, *says; /* of 4095 bytes; NULL: that is fine */
	} cases[] = {
		{"--disk", "1 to 1023 bytes, not 4095"}, {"--firmware", "of 1 to 1023 bytes"},
		{"--net", "a word of 4095 bytes"}, {"--vhost-user", "a word of 4095 bytes"},
		{"--gpu", "is no PCI address"}, {"--memory", "not a size"},
		{"--cpus", "not a number"}, {"--watchdog", "not off"}, {"--api", "not 4095"},
		{"--kernel", NULL}, {"--initrd", NULL}, {"--quirks", NULL}, {"--cloud-init", NULL},
	};
	static char text[2 * PATH_MAX], why[PATH_MAX + 1024];
	struct options options;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *args[] = {cases[i].option, text, cases[i].says ? "k" : NULL, NULL};

		memset(text, 'a', sizeof(text) - 1);
		text[PATH_MAX - 1] = '\0';
		why[0] = '\0';
		parse(args, &options, why, sizeof(why));
		if (cases[i].says && !strstr(why, cases[i].says))
			fail_msg("%s: %.60s...%s", cases[i].option, why, why + strlen(why) - 60);
		assert_null(strstr(why, "bytes; it can have"));
		text[PATH_MAX - 1] = 'a';
		assert_true(parse(args, &options, why, sizeof(why)) < 0);
		if (!strstr(why, "a value of 8191 bytes; it can have 4095"))
			fail_msg("%s: %.60s", cases[i].option, why);
	}
	assert_true(parse((const char *[]){text, NULL}, &options, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "guest aaaa"));
	assert_int_equal(parse((const char *[]){"--append", text, "k", NULL}, &options, why,
			       sizeof(why)), 0);
}

static void test_options_help_names_every_option(void **state)
{
	static const char *const names[] = {"--gpu", "--kernel", "--initrd", "--append",
					    "--memory", "--cpus", "--events", "--no-reboot",
					    "--debug-exit", "--help", "--version", "--quirks",
					    "--vfio-backend", "vfio-user:", "power=",
					    "reentry=", "reset=", "min-sleep=",
					    "max-wakes-per-hour=", "resume-timeout=",
					    "rom=", "--firmware",
					    "x-entry-error="};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_non_null(strstr(options_help(), names[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_defaults),
		cmocka_unit_test(test_options_everything),
		cmocka_unit_test(test_options_hotplug_ports),
		cmocka_unit_test(test_options_quirks_and_backend),
		cmocka_unit_test(test_options_slots_side_by_side),
		cmocka_unit_test(test_options_networks),
		cmocka_unit_test(test_options_vhost_user),
		cmocka_unit_test(test_options_sizes),
		cmocka_unit_test(test_options_memory_keys),
		cmocka_unit_test(test_options_pin),
		cmocka_unit_test(test_options_halt_poll),
		cmocka_unit_test(test_options_watchdog),
		cmocka_unit_test(test_options_refuses_with_a_reason),
		cmocka_unit_test(test_options_says_why_of_what_is_long),
		cmocka_unit_test(test_options_help_names_every_option),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
