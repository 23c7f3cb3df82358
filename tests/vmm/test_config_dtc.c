/*
 * dtc's bounds: what it may take, and what is said when it takes more. The real dtc, and programs
 * in its place that never end.
 */
#include <errno.h>
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
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/config.h"
#include "vmm/config_internal.h"

static char folder[] = "/tmp/test-dtc-XXXXXX";
static char *path_before;

static void write_file(const char *name, const char *text, mode_t mode)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static int begin(void **state)
{
	(void)state;
	path_before = strdup(getenv("PATH"));
	return mkdtemp(strcpy(folder, "/tmp/test-dtc-XXXXXX")) ? 0 : -1;
}

static int end(void **state)
{
	char command[64];

	(void)state;
	setenv("PATH", path_before, 1);
	free(path_before);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	/* No dtc is left, not even a dead one. */
	return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD ? system(command) : -1;
}

/* A program of that name in dtc's place. */
static void replace_dtc(const char *script)
{
	char path[4096];

	write_file("dtc", script, 0755);
	snprintf(path, sizeof(path), "%s:%s", folder, path_before);
	setenv("PATH", path, 1);
}

/* Compiles the file "a.dts"; the error, and that it says `says`. */
static int compile(const struct dtc_limits *limits, const char *says)
{
	uint8_t *bytes = malloc(CONFIG_SIZE_MAX + 1);
	char path[64], why[256] = "";
	size_t size = 0;
	int error;

	snprintf(path, sizeof(path), "%s/a.dts", folder);
	error = config_dtc(path, limits, bytes, &size, why, sizeof(why));
	if (error ? !strstr(why, says) : why[0] != '\0')
		fail_msg("error %d: '%s'", error, why);
	if (!error)
		assert_true(size > 4 && bytes[0] == 0xd0);
	free(bytes);
	return error;
}

static void test_dtc_compiles(void **state)
{
	(void)state;
	write_file("a.dts", "/dts-v1/; / { a; };", 0600);
	assert_int_equal(compile(&config_dtc_limits, ""), 0);
	write_file("a.dts", "/dts-v1/; / { a };", 0600);
	assert_int_equal(compile(&config_dtc_limits, "dtc cannot compile it"), -EINVAL);
}

/* An include that is a FIFO, to which nobody writes. */
static void test_dtc_has_a_deadline(void **state)
{
	const struct dtc_limits limits = {.memory = 256 * MIB, .cpu_s = 10, .deadline_ms = 1000};
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	write_file("a.dts", "/dts-v1/;\n/include/ \"fifo\"\n/ { a; };", 0600);
	assert_int_equal(compile(&limits, "dtc did not end within 1 s"), -ETIMEDOUT);
}

/* Its output has ended, it has not. */
static void test_dtc_that_lingers_is_ended(void **state)
{
	const struct dtc_limits limits = {.memory = 256 * MIB, .cpu_s = 10, .deadline_ms = 1000};

	(void)state;
	replace_dtc("#!/bin/sh\nexec sleep 1000 >/dev/null\n");
	assert_int_equal(compile(&limits, "dtc did not end within 1 s"), -ETIMEDOUT);
}

static void test_dtc_has_a_share_of_the_cpu(void **state)
{
	const struct dtc_limits limits = {.memory = 256 * MIB, .cpu_s = 1, .deadline_ms = 60000};

	(void)state;
	replace_dtc("#!/bin/sh\nwhile :; do :; done\n");
	assert_int_equal(compile(&limits, "dtc took more than 1 s of a CPU"), -ETIMEDOUT);
}

/* A file without an end, of which it would keep everything. */
static void test_dtc_has_so_much_memory(void **state)
{
	(void)state;
	write_file("a.dts", "/dts-v1/;\n/ { a = /incbin/(\"/dev/zero\"); };", 0600);
	assert_int_equal(compile(&config_dtc_limits, "dtc cannot compile it (with 256 MiB of "
				 "memory)"), -EINVAL);
}

static void test_dtc_is_not_heard_for_ever(void **state)
{
	(void)state;
	replace_dtc("#!/bin/sh\nexec cat /dev/zero\n");
	assert_int_equal(compile(&config_dtc_limits, "has more than 1 MiB"), -EFBIG);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(test_dtc_##name, begin, end)
	const struct CMUnitTest tests[] = {
		CASE(compiles),
		CASE(has_a_deadline),
		CASE(that_lingers_is_ended),
		CASE(has_a_share_of_the_cpu),
		CASE(has_so_much_memory),
		CASE(is_not_heard_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
