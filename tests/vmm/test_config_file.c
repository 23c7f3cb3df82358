/*
 * Configs as files, and what the command line makes of them. Source is compiled by dtc, as in life.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fake_config.h"
#include "vmm/base/bits.h"
#include "vmm/base/text.h"
#include "vmm/config.h"
#include "vmm/options.h"

#define ARGS_MAX 12

static char folder[] = "/tmp/test-config-XXXXXX";
static char machine[64]; /* fake_config_whole, in it */

static const char *write_file(const char *name, const void *bytes, size_t size)
{
	static char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), (ssize_t)size);
	close(fd);
	return path;
}

static int create_folder(void **state)
{
	struct fake_config config;

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	fake_config_create(&config, fake_config_whole);
	strcpy(machine, write_file("machine", config.bytes, config.size));
	return 0;
}

static int remove_folder(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

/* `args`: words, the last NULL. The options point into them. */
static int parse(const char *const *args, struct options *options, char *why, size_t why_size)
{
	static char kept[ARGS_MAX][96];
	static char name[] = "minivmm";
	char *argv[ARGS_MAX + 2] = {name};
	int argc = 1;

	for (; args[argc - 1]; argc++) {
		assert_in_range(argc, 1, ARGS_MAX);
		snprintf(kept[argc - 1], sizeof(kept[0]), "%s", args[argc - 1]);
		argv[argc] = kept[argc - 1];
	}
	*why = '\0';
	return options_parse(argc, argv, options, why, why_size);
}

#define PARSE(options, why, ...) \
	parse((const char *const[]){__VA_ARGS__, NULL}, options, why, sizeof(why))

static void refuses(const char *path, const char *says)
{
	struct options options;
	char why[512];

	assert_true(PARSE(&options, why, "--config", path, "k") < 0);
	if (!strstr(why, says) || strchr(why, '\n') || !strstr(why, path))
		fail_msg("it says '%s', not '%s'", why, says);
	options_finish(&options);
}

/* --- the command line has the last word --- */

static void test_config_stands_alone(void **state)
{
	struct options options;
	char why[512];

	(void)state;
	assert_int_equal(PARSE(&options, why, "--config", machine), 0);
	assert_string_equal(options.kernel, "/k");
	assert_int_equal(options.cpus, 3);
	assert_int_equal(options.slots, 2);
	options_finish(&options);
}

/* The order on the command line does not matter: a config comes first. */
static void test_command_line_replaces_values(void **state)
{
	struct options options;
	char why[512];

	(void)state;
	assert_int_equal(PARSE(&options, why, "--cpus=5", "mine", "--append", "", "--config",
			       machine, "--no-reboot=off", "--vfio-backend=auto",
			       "--memory=64M"), 0);
	assert_string_equal(options.kernel, "mine");
	assert_string_equal(options.initrd, "/i");
	assert_null(options.append);
	assert_int_equal(options.cpus, 5);
	assert_int_equal(options.memory, 64 * MIB);
	assert_int_equal(options.vfio_backend, VFIO_BACKEND_AUTO);
	assert_false(options.no_reboot);
	assert_true(options.debug_exit);
	options_finish(&options);
}

static void test_command_line_takes_away(void **state)
{
	struct options options;
	char why[512];

	(void)state;
	assert_int_equal(PARSE(&options, why, "--config", machine, "--initrd", "", "--events", "",
			       "--quirks=", "--api="), 0);
	assert_null(options.initrd);
	assert_null(options.events);
	assert_null(options.quirks);
	assert_null(options.api);
	options_finish(&options);
	assert_int_equal(PARSE(&options, why, "--config", machine, "--kernel", ""), 0);
	assert_int_equal(options.firmware.kind, FIRMWARE_UEFI); /* is a guest, too */
	options_finish(&options);
	assert_true(PARSE(&options, why, "--config", machine, "--kernel", "", "--firmware", "") <
		    0);
	assert_non_null(strstr(why, "no guest"));
	options_finish(&options);
	assert_true(PARSE(&options, why, "--config", machine, "--api=", "--api=") < 0);
	assert_non_null(strstr(why, "--api \"\": a path cannot be empty, and there is none"));
	options_finish(&options);
}

/* In its place, because the order is the guest's; and whole: nothing of the config's keys stays. */
static void test_command_line_replaces_a_slot(void **state)
{
	struct options options;
	char why[512];

	(void)state;
	assert_int_equal(PARSE(&options, why, "--config", machine, "--gpu", "02:00.0", "--gpu",
			       "01:00.1,power=off"), 0);
	assert_int_equal(options.slots, 3);
	assert_string_equal(options.slot[0].bdf, "0000:01:00.1");
	assert_int_equal(options.slot[0].power, POLICY_POWER_OFF);
	assert_int_equal(options.slot[0].reset, POLICY_RESET_AUTO);
	assert_string_equal(options.slot[1].socket, "/run/a");
	assert_string_equal(options.slot[2].bdf, "0000:02:00.0");
	options_finish(&options);
}

static void test_command_line_replaces_once(void **state)
{
	struct options options;
	char why[512];

	(void)state;
	assert_true(PARSE(&options, why, "--config", machine, "--gpu", "01:00.0", "--gpu",
			  "01:00.0") < 0);
	assert_non_null(strstr(why, "this slot is passed already"));
	options_finish(&options);
	assert_true(PARSE(&options, why, "--config", machine, "a", "b") < 0);
	assert_non_null(strstr(why, "two guests: 'a' and 'b'"));
	options_finish(&options);
	assert_true(PARSE(&options, why, "--config", machine, "--no-reboot=maybe") < 0);
	assert_non_null(strstr(why, "--no-reboot=maybe: takes no value, but =on and =off"));
	options_finish(&options);
}

static void test_one_config_only(void **state)
{
	struct options options;
	char why[512];

	(void)state;
	assert_true(PARSE(&options, why, "--config", machine, "--config", machine) < 0);
	assert_non_null(strstr(why, "two configs"));
	options_finish(&options);
}

static void test_help_does_not_read_the_config(void **state)
{
	struct options options;
	char why[512];

	(void)state;
	assert_int_equal(PARSE(&options, why, "--config", "/nosuchfile", "--help"), 0);
	assert_true(options.help);
	options_finish(&options);
}

static void test_no_guest_anywhere(void **state)
{
	static const struct fake_property rows[] = {
		{"", "compatible", FAKE_STRING(CONFIG_COMPATIBLE)}, {NULL, NULL, NULL, 0}};
	struct fake_config config;
	struct options options;
	const char *path;
	char why[512];

	(void)state;
	fake_config_create(&config, rows);
	path = write_file("bare.dts", config.bytes, config.size); /* its name does not count */
	assert_true(PARSE(&options, why, "--config", path) < 0);
	assert_non_null(strstr(why, "no guest"));
	options_finish(&options);
	assert_int_equal(PARSE(&options, why, "--config", path, "--print-config"), 0);
	options_finish(&options);
}

/* --- files that are none --- */

static void test_what_cannot_be_read(void **state)
{
	char path[64];

	(void)state;
	refuses("/nosuchfile", "it cannot be opened: No such file");
	refuses(folder, "it is a directory and should be a file");
	refuses("/dev/zero", "it is a device or a FIFO and should be a file");
	refuses(write_file("empty", "", 0), "the file is empty");
	snprintf(path, sizeof(path), "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	refuses(path, "it is a device or a FIFO and should be a file");
}

/* Sparse, and refused by its size. */
static void test_what_is_too_large(void **state)
{
	const char *path = write_file("large", "\xd0\x0d\xfe\xed", 4);

	(void)state;
	assert_int_equal(truncate(path, 100000000), 0);
	refuses(path, "it has 100000000 bytes, and no more than 1 MiB is read");
	assert_int_equal(truncate(path, CONFIG_SIZE_MAX + 1), 0);
	refuses(path, "it has 1048577 bytes");
	assert_int_equal(truncate(path, CONFIG_SIZE_MAX), 0);
	refuses(path, "the device tree has version 0"); /* zeros follow */
}

static void test_source_is_compiled(void **state)
{
	static const char source[] =
		"/dts-v1/;\n/ { compatible = \"" CONFIG_COMPATIBLE "\";\n"
		"cpus { count = <(1 + 1)>; }; chosen { kernel = \"k\"; }; };\n";
	const char *path = write_file("-source.dtb", source, strlen(source));
	struct options options;
	char why[512], kernel[64];

	(void)state;
	assert_int_equal(PARSE(&options, why, "--config", path), 0);
	assert_int_equal(options.cpus, 2);
	snprintf(kernel, sizeof(kernel), "%s/k", folder);
	assert_string_equal(options.kernel, kernel);
	options_finish(&options);
}

/* What dtc says goes to standard error, here to the test's log. */
static void test_source_that_is_wrong(void **state)
{
	static const char large[] =
		"/dts-v1/;\n/ { compatible = \"" CONFIG_COMPATIBLE "\";\n"
		"x = /incbin/(\"/dev/zero\", 0, 2000000); };\n";

	(void)state;
	refuses(write_file("wrong.dts", "/ { a; };", 9), "dtc cannot compile it");
	refuses(write_file("short", "\xd0\x0d\xfe", 3), "dtc cannot compile it");
	refuses(write_file("large.dts", large, strlen(large)),
		"what dtc makes of it has more than 1 MiB");
}

static void test_without_dtc(void **state)
{
	char *path = strdup(getenv("PATH"));

	(void)state;
	setenv("PATH", folder, 1);
	refuses(write_file("a.dts", "/dts-v1/;", 9), "there is no dtc to compile a .dts: install "
		"the package device-tree-compiler, or compile it elsewhere");
	setenv("PATH", path, 1);
	free(path);
}

/* --- and back --- */

static void print(const char *const *args, struct text *text)
{
	struct options options;
	char why[512];

	if (parse(args, &options, why, sizeof(why)))
		fail_msg("%s", why);
	assert_int_equal(config_print(&options, text), 0);
	options_finish(&options);
}

/* Prints the machine of `args`, and what the print is read as. */
static void check_round_trip(const char *const *args)
{
	struct text once = {0}, twice = {0};
	const char *path;

	print(args, &once);
	path = write_file("printed", once.bytes, once.len);
	print((const char *const[]){"--config", path, "--print-config", NULL}, &twice);
	assert_string_equal(once.bytes, twice.bytes);
	text_finish(&once);
	text_finish(&twice);
}

static void test_printed_machine_is_the_same(void **state)
{
	(void)state;
	check_round_trip((const char *const[]){"--print-config", NULL});
	check_round_trip((const char *const[]){"--config", machine, NULL});
	check_round_trip((const char *const[]){"k", "--append", "", NULL});
	check_round_trip((const char *const[]){"k", "--firmware", "uefi,vars=/v", NULL});
	check_round_trip((const char *const[]){"k", "--firmware", "./bios", NULL});
	check_round_trip((const char *const[]){
		"--append", "a=\"b c\" \\ \x01\x7f\xc3\xa4\n9\tc",
		"--initrd", "../a \"b\"", "--events", "-",
		"--gpu", "vfio-user:run/gpu", "--gpu", "0001:02:03.4,power=d3hot,x-entry-error=EIO",
		"--debug-exit", "k", NULL});
}

static void test_printed_paths_are_absolute(void **state)
{
	char cwd[4096], expected[4200];
	struct text text = {0};

	(void)state;
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	print((const char *const[]){"k", "--gpu", "vfio-user:s", "--quirks", "/q", NULL}, &text);
	snprintf(expected, sizeof(expected), "\n\t\tkernel = \"%s/k\";\n", cwd);
	assert_non_null(strstr(text.bytes, expected));
	snprintf(expected, sizeof(expected), "\n\t\tslot = \"vfio-user:%s/s\";\n", cwd);
	assert_non_null(strstr(text.bytes, expected));
	assert_non_null(strstr(text.bytes, "\n\t\tquirks = \"/q\";\n"));
	text_finish(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_stands_alone),
		cmocka_unit_test(test_command_line_replaces_values),
		cmocka_unit_test(test_command_line_takes_away),
		cmocka_unit_test(test_command_line_replaces_a_slot),
		cmocka_unit_test(test_command_line_replaces_once),
		cmocka_unit_test(test_one_config_only),
		cmocka_unit_test(test_help_does_not_read_the_config),
		cmocka_unit_test(test_no_guest_anywhere),
		cmocka_unit_test(test_what_cannot_be_read),
		cmocka_unit_test(test_what_is_too_large),
		cmocka_unit_test(test_source_is_compiled),
		cmocka_unit_test(test_source_that_is_wrong),
		cmocka_unit_test(test_without_dtc),
		cmocka_unit_test(test_printed_machine_is_the_same),
		cmocka_unit_test(test_printed_paths_are_absolute),
	};

	return cmocka_run_group_tests_name("config_file", tests, create_folder, remove_folder);
}
