#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/devices/guest_io.h"
#include "tests/fake_mem.h"
#include "vmm/base/bits.h"
#include "vmm/base/text.h"
#include "vmm/bus.h"
#include "vmm/firmware_files.h"
#include "vmm/firmware_internal.h"

static char dir[] = "/tmp/minivmm-firmware-XXXXXX";

static struct stat synced; /* what fsync() was last called for */
static bool was_there;     /* guest.img.vars, when it was called */

int fsync(int fd)
{
	was_there = !access("guest.img.vars", F_OK);
	return fstat(fd, &synced);
}

/* A pair as OVMF's: 48 KiB of code and 16 KiB of variables, by their names; others beside it. */
static void make_file(const char *name, char fill, size_t size)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	char *bytes = malloc(size + 1);

	assert_true(fd >= 0 && bytes);
	memset(bytes, fill, size + 1);
	assert_int_equal(write(fd, bytes, size), (ssize_t)size);
	close(fd);
	free(bytes);
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir) || chdir(dir))
		return -1;
	make_file("MY_CODE.fd", 'c', 48 * KIB);
	make_file("MY_VARS.fd", 'v', 16 * KIB);
	make_file("plain.rom", 'r', 64 * KIB);
	make_file("odd.rom", 'o', 64 * KIB + 1);
	make_file("empty.rom", 'e', 0);
	make_file("large.rom", 'l', FIRMWARE_SIZE_MAX + 4 * KIB);
	make_file("small.vars", 's', 8 * KIB);
	make_file("BAD_CODE.fd", 'c', 48 * KIB);
	make_file("BAD_VARS.fd", 'v', 12 * KIB);
	return mkfifo("fifo", 0600) || mkdir("folder", 0700) ? -1 : 0;
}

static int teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return chdir("/") || system(command);
}

static struct firmware_option parse(const char *text)
{
	struct firmware_option option;
	char why[256];

	if (firmware_option_parse(text, &option, why, sizeof(why)))
		fail_msg("%s", why);
	return option;
}

static int open_files(const char *text, const char *guest, struct firmware_files **ret_files,
		      char why[512])
{
	struct firmware_option option = parse(text);

	return firmware_files_open(&option, guest, ret_files, why, 512);
}

static char first_byte(const char *name)
{
	int fd = open(name, O_RDONLY);
	char byte = 0;

	assert_true(fd >= 0 && read(fd, &byte, 1) == 1);
	close(fd);
	return byte;
}

/* --- the option --- */

static void test_firmware_option(void **state)
{
	static const struct {
		const char *text;
		enum firmware_kind kind;
		const char *vars;
	} cases[] = {
		{"", FIRMWARE_NONE, ""},
		{"uefi", FIRMWARE_UEFI, ""},
		{"bios", FIRMWARE_BIOS, ""},
		{"./bios", FIRMWARE_FILE, ""},
		{"uefi,vars=a.vars", FIRMWARE_UEFI, "a.vars"},
		{"/x/OVMF_CODE.fd,vars=/y", FIRMWARE_FILE, "/y"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct firmware_option option = parse(cases[i].text);
		struct text text = {0};

		assert_int_equal(option.kind, cases[i].kind);
		assert_string_equal(option.vars, cases[i].vars);
		if (option.kind == FIRMWARE_NONE)
			continue;
		firmware_option_format(&option, &text);
		assert_string_equal(text.bytes, cases[i].text);
		text_finish(&text);
	}
}

static void test_firmware_option_refuses(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{",vars=a", "takes uefi, bios or the path"},
		{"uefi,", "no key \"\""},
		{"uefi,ro", "no key \"ro\"; there is vars"},
		{"uefi,vars=", "vars takes a path"},
		{"uefi,vars=a,b", "without a comma"},
		{"bios,vars=a", "a BIOS has no variables"},
	};
	static char path[FIRMWARE_PATH_SIZE + 8];
	struct firmware_option option;
	char why[2048];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(firmware_option_parse(cases[i].text, &option, why, sizeof(why)),
				 -EINVAL);
		if (!strstr(why, cases[i].says))
			fail_msg("\"%s\": %s", cases[i].text, why);
	}
	memset(path, 'a', FIRMWARE_PATH_SIZE);
	assert_int_equal(firmware_option_parse(path, &option, why, sizeof(why)), -EINVAL);
}

/* --- files --- */

static void test_firmware_refuses_files(void **state)
{
	static const struct {
		const char *text, *guest, *says;
		int error;
	} cases[] = {
		{"none.rom", NULL, "none.rom: No such file", -ENOENT},
		{"folder", NULL, "folder: not a regular file", -EINVAL},
		{"fifo", NULL, "fifo: not a regular file", -EINVAL},
		{"empty.rom", NULL, "empty.rom: the file is empty", -EINVAL},
		{"odd.rom", NULL, "65537 bytes, which is no multiple of 4 KiB", -EINVAL},
		{"large.rom", NULL, "16388 KiB; firmware has 16 MiB at most", -EINVAL},
		{"MY_CODE.fd", NULL, "give vars=FILE", -EINVAL},
		{"MY_CODE.fd", "/dev/null", "no image file is the guest; give vars=FILE", -EINVAL},
		{"plain.rom,vars=small.vars", NULL, "code of 64 KiB has no variables", -EINVAL},
		{"MY_CODE.fd,vars=small.vars", NULL, "small.vars: variables of 8 KiB do not go "
		 "with 48 KiB of code, which has 16 KiB", -EINVAL},
		{"BAD_CODE.fd", "new.img", "BAD_VARS.fd: variables of 12 KiB do not", -EINVAL},
		{"MY_CODE.fd,vars=folder", NULL, "folder: cannot be opened for writing", -EISDIR},
		{"MY_CODE.fd,vars=fifo", NULL, "fifo: not a regular file", -EINVAL},
		{"MY_CODE.fd,vars=nofolder/v", NULL, "nofolder/v: cannot be made", -ENOENT},
		{"MY_CODE.fd,vars=empty.rom", NULL, "empty.rom: the file is empty", -EINVAL},
	};
	struct firmware_files *files;
	char why[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(open_files(cases[i].text, cases[i].guest, &files, why),
				 cases[i].error);
		if (!strstr(why, cases[i].says) || strncmp(why, "--firmware ", 11) ||
		    strchr(why, '\n'))
			fail_msg("\"%s\": %s", cases[i].text, why);
	}
	assert_int_equal(access("new.img.vars", F_OK), -1);
}

/* A machine of root's could write to it. */
static void test_firmware_keeps_the_template(void **state)
{
	struct firmware_option option = parse("uefi,vars=/usr/share/OVMF/OVMF_VARS_4M.fd");
	char why[512];
	struct opening opening = {
		.option = &option, .code = OVMF_CODE, .ret_why = why, .why_size = sizeof(why)};

	(void)state;
	assert_int_equal(firmware_name_vars(&opening, NULL), -EINVAL);
	assert_non_null(strstr(why, "OVMF_VARS_4M.fd: this is the template of all machines"));
	option = parse("uefi,vars=/usr/share/OVMF/mine.fd");
	assert_int_equal(firmware_name_vars(&opening, NULL), 0);
}

static void test_firmware_plain_rom(void **state)
{
	struct firmware_files *files;
	const uint8_t *code;
	char why[512];
	size_t size;

	(void)state;
	assert_int_equal(open_files("plain.rom", NULL, &files, why), 0);
	code = firmware_files_code(files, &size);
	assert_int_equal(size, 64 * KIB);
	assert_int_equal(code[0], 'r');
	assert_int_equal(code[size - 1], 'r');
	firmware_files_close(files);
}

static unsigned int count_files(void)
{
	FILE *list = popen("ls", "r");
	unsigned int count = 0;
	char line[256];

	assert_non_null(list);
	while (fgets(line, sizeof(line), list))
		count++;
	pclose(list);
	return count;
}

static void test_firmware_makes_variables(void **state)
{
	unsigned int before = count_files();
	struct firmware_files *files;
	struct stat status;
	char why[512];

	(void)state;
	assert_int_equal(open_files("MY_CODE.fd", "guest.img", &files, why), 0);
	firmware_files_close(files);
	assert_int_equal(stat("guest.img.vars", &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_int_equal(status.st_size, 16 * KIB);
	assert_int_equal(first_byte("guest.img.vars"), 'v');
	assert_int_equal(count_files(), before + 1); /* nothing temporary is left */
	assert_int_equal(stat(".", &status), 0);
	assert_true(was_there && synced.st_ino == status.st_ino);

	/* What is there stays, whatever it holds. */
	make_file("guest.img.vars", 'g', 16 * KIB);
	assert_int_equal(open_files("MY_CODE.fd", "guest.img", &files, why), 0);
	firmware_files_close(files);
	assert_int_equal(first_byte("guest.img.vars"), 'g');
	unlink("guest.img.vars");
}

/* The name is taken, by what leads nowhere: it is not replaced. */
static void test_firmware_keeps_a_name(void **state)
{
	struct firmware_files *files;
	struct stat status;
	char why[512];

	(void)state;
	assert_int_equal(symlink("nofolder/v", "link.vars"), 0);
	assert_int_equal(open_files("MY_CODE.fd,vars=link.vars", NULL, &files, why), -ENOENT);
	assert_non_null(strstr(why, "link.vars: cannot be opened"));
	assert_int_equal(lstat("link.vars", &status), 0);
	assert_true(S_ISLNK(status.st_mode));
	unlink("link.vars");
}

static void test_firmware_without_template(void **state)
{
	struct firmware_files *files;
	char why[512];

	(void)state;
	make_file("NO_CODE.fd", 'c', 48 * KIB);
	assert_int_equal(open_files("NO_CODE.fd,vars=new.vars", NULL, &files, why), -ENOENT);
	assert_non_null(strstr(why, "no template"));
	assert_int_equal(open_files("NO_CODE.fd", "guest.img", &files, why), 0); /* a plain ROM */
	firmware_files_close(files);
	assert_int_equal(access("guest.img.vars", F_OK), -1);
	make_file("new.vars", 'n', 16 * KIB);
	assert_int_equal(open_files("NO_CODE.fd,vars=new.vars", NULL, &files, why), 0);
	firmware_files_close(files);
}

static void test_firmware_variables_have_one_machine(void **state)
{
	struct firmware_files *files, *others;
	char why[512];

	(void)state;
	assert_int_equal(open_files("MY_CODE.fd,vars=one.vars", NULL, &files, why), 0);
	assert_int_equal(open_files("MY_CODE.fd,vars=one.vars", NULL, &others, why), -EBUSY);
	assert_non_null(strstr(why, "one.vars: in use by another virtual machine"));
	firmware_files_close(files);
	assert_int_equal(open_files("MY_CODE.fd,vars=one.vars", NULL, &files, why), 0);
	firmware_files_close(files);
}

/* Root may write everything, so root becomes somebody else. */
static void test_firmware_variables_must_be_writable(void **state)
{
	struct firmware_files *files;
	char why[512];
	uid_t user = geteuid();
	int error;

	(void)state;
	make_file("ro.vars", 'v', 16 * KIB);
	assert_int_equal(chmod("ro.vars", 0444) | chmod("MY_CODE.fd", 0644) | chmod(dir, 0755), 0);
	assert_int_equal(seteuid(user ? user : 65534), 0);
	error = open_files("MY_CODE.fd,vars=ro.vars", NULL, &files, why);
	assert_int_equal(seteuid(user), 0);
	assert_int_equal(error, -EACCES);
	assert_non_null(strstr(why, "ro.vars: cannot be opened for writing: Permission denied"));
}

static void test_firmware_survives_its_files_change(void **state)
{
	struct firmware_files *files;
	char why[512];
	size_t size;

	(void)state;
	make_file("gone.rom", 'r', 64 * KIB);
	assert_int_equal(open_files("gone.rom", NULL, &files, why), 0);
	assert_int_equal(truncate("gone.rom", 0), 0);
	assert_int_equal(firmware_files_code(files, &size)[size - 1], 'r');
	firmware_files_close(files);
}

/* --- in the machine --- */

struct machine {
	struct mem *mem;
	struct bus *mmio;
	struct firmware_files *files;
};

static void start(struct machine *machine, const char *text)
{
	char why[512];

	machine->mem = fake_mem_create(16 * MIB);
	machine->mmio = bus_create("mmio");
	assert_non_null(machine->mmio);
	assert_int_equal(open_files(text, NULL, &machine->files, why), 0);
	assert_int_equal(firmware_files_map(machine->files, machine->mem, machine->mmio, why,
					    sizeof(why)), 0);
}

static void stop(struct machine *machine)
{
	firmware_files_close(machine->files);
	bus_destroy(machine->mmio);
	fake_mem_destroy(machine->mem); /* which looks for windows that are left */
}

static void test_firmware_ends_at_4g(void **state)
{
	struct machine machine;
	struct fake_window window;

	(void)state;
	start(&machine, "MY_CODE.fd,vars=two.vars");
	assert_true(fake_mem_window_at(machine.mem, 0xfffffff0, &window));
	assert_int_equal(window.gpa, 0x100000000 - 48 * KIB);
	assert_int_equal(window.size, 48 * KIB);
	assert_true(window.read_only);
	assert_int_equal(*(const char *)window.hva, 'c');
	assert_true(fake_mem_window_at(machine.mem, window.gpa - 1, &window));
	assert_int_equal(window.gpa, 0x100000000 - 64 * KIB);
	assert_int_equal(*(const char *)window.hva, 'v');
	stop(&machine);
}

/* Writes of the code are dropped; those of the variables are there the next time. */
static void test_firmware_variables_persist(void **state)
{
	uint64_t vars = 0x100000000 - 64 * KIB, code = 0x100000000 - 48 * KIB;
	struct machine machine;
	struct fake_window window;

	(void)state;
	start(&machine, "MY_CODE.fd,vars=three.vars");
	guest_out(machine.mmio, code, 1, 0x70);
	guest_out(machine.mmio, vars, 1, 0x40);
	guest_out(machine.mmio, vars, 1, 0x06); /* 'v' is 0x76 */
	assert_int_equal(first_byte("three.vars"), 0x06);
	firmware_files_reset(machine.files);
	assert_int_equal(fake_mem_windows(machine.mem), 2);
	stop(&machine);
	start(&machine, "MY_CODE.fd,vars=three.vars");
	assert_true(fake_mem_window_at(machine.mem, vars, &window));
	assert_int_equal(*(const char *)window.hva, 0x06);
	assert_true(fake_mem_window_at(machine.mem, code, &window));
	assert_int_equal(*(const char *)window.hva, 'c');
	stop(&machine);
}

static void test_firmware_needs_its_place(void **state)
{
	struct firmware_files *files;
	struct mem *mem = fake_mem_create(16 * MIB);
	struct bus *mmio = bus_create("mmio");
	char why[512];

	(void)state;
	assert_int_equal(open_files("MY_CODE.fd,vars=four.vars", NULL, &files, why), 0);
	fake_mem_fail_windows(mem, -ENOMEM);
	assert_int_equal(firmware_files_map(files, mem, mmio, why, sizeof(why)), -ENOMEM);
	assert_non_null(strstr(why, "64 KiB below 4 GiB cannot be mapped"));
	firmware_files_close(files);
	bus_destroy(mmio);
	fake_mem_destroy(mem);
}

/* --- firmware that needs SMM --- */

static void describe(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

#define DESCRIPTOR(file, feature)                                                       \
	"{\"mapping\": {\"device\": \"flash\", \"executable\": {\"filename\": \"" file  \
	"\"}}, \"features\": [\"acpi-s3\", \"" feature "\"]}"

static int check_smm(const char *code, char why[512])
{
	static const char *const folders[] = {"etc", "usr"};
	const struct firmware_option option = parse(code);
	const struct opening opening = {
		.option = &option, .code = code, .ret_why = why, .why_size = 512};
	int fd = open(code, O_RDONLY), error;

	assert_true(fd >= 0);
	why[0] = '\0';
	error = firmware_check_smm(&opening, fd, folders);
	close(fd);
	return error;
}

static void test_firmware_with_smm(void **state)
{
	static const struct {
		const char *etc, *usr;
		int error;
	} cases[] = {
		{NULL, NULL, 0},
		{NULL, DESCRIPTOR("MY_CODE.fd", "requires-smm"), -EOPNOTSUPP},
		{NULL, DESCRIPTOR("./link.fd", "requires-smm"), -EOPNOTSUPP},
		{DESCRIPTOR("MY_CODE.fd", "requires-smm"), NULL, -EOPNOTSUPP},
		{NULL, DESCRIPTOR("MY_CODE.fd", "secure-boot"), 0},
		{NULL, DESCRIPTOR("plain.rom", "requires-smm"), 0},
		{NULL, DESCRIPTOR("nothing", "requires-smm"), 0},
		/* The administrator says otherwise, or nothing. */
		{DESCRIPTOR("MY_CODE.fd", "acpi-s4"), DESCRIPTOR("MY_CODE.fd", "requires-smm"), 0},
		{"", DESCRIPTOR("MY_CODE.fd", "requires-smm"), 0},
		/* No descriptors. */
		{NULL, "", 0},
		{NULL, "requires-smm", 0},
		{NULL, "[\"requires-smm\"]", 0},
		{NULL, "{\"features\": \"requires-smm\"}", 0},
		{NULL, "{\"features\": [\"requires-smm\"]}", 0},
		{NULL, "{\"features\": [7, \"requires-smm\"], \"mapping\": []}", 0},
		{NULL, "{\"features\": [\"requires-smm\"], \"mapping\": {\"executable\": 1}}", 0},
	};
	char why[512];

	(void)state;
	assert_int_equal(check_smm("MY_CODE.fd", why), 0);
	assert_false(mkdir("etc", 0700) || mkdir("usr", 0700) || mkdir("usr/a.json", 0700) ||
		     symlink("MY_CODE.fd", "link.fd"));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (cases[i].etc)
			describe("etc/50.json", cases[i].etc);
		if (cases[i].usr)
			describe("usr/50.json", cases[i].usr);
		assert_int_equal(check_smm("MY_CODE.fd", why), cases[i].error);
		assert_int_equal(check_smm("link.fd", why), cases[i].error);
		if (cases[i].error)
			assert_non_null(strstr(why, "link.fd: needs SMM"));
		unlink("etc/50.json");
		unlink("usr/50.json");
	}
	describe("usr/50.txt", DESCRIPTOR("MY_CODE.fd", "requires-smm"));
	assert_int_equal(check_smm("MY_CODE.fd", why), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_firmware_option),
		cmocka_unit_test(test_firmware_option_refuses),
		cmocka_unit_test(test_firmware_refuses_files),
		cmocka_unit_test(test_firmware_keeps_the_template),
		cmocka_unit_test(test_firmware_plain_rom),
		cmocka_unit_test(test_firmware_makes_variables),
		cmocka_unit_test(test_firmware_keeps_a_name),
		cmocka_unit_test(test_firmware_without_template),
		cmocka_unit_test(test_firmware_variables_have_one_machine),
		cmocka_unit_test(test_firmware_variables_must_be_writable),
		cmocka_unit_test(test_firmware_survives_its_files_change),
		cmocka_unit_test(test_firmware_ends_at_4g),
		cmocka_unit_test(test_firmware_variables_persist),
		cmocka_unit_test(test_firmware_needs_its_place),
		cmocka_unit_test(test_firmware_with_smm),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
