/* Verdicts of power tests: kept whole, read with distrust, used for their own card and kernel. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fake_tree.h"
#include "vfio/verdict.h"
#include "vmm/base/bits.h"

#define SUBJECT {.slot = "0000:01:00", .card = "0:10de:2684:1043:88e2", .kernel = "6.12.1"}

static const struct verdict sample = {
	.subject = SUBJECT,
	.date = "2026-11-22T10:11:12Z", .passed = false, .cycles = 3, .state = "D3cold",
	.reason = "cycle 4: reads of ones after the wake \"x\"",
	.entry = {1, 2, 3, 4}, .suspend = {5, 6, 7, 8}, .wake = {9, 10, 11, UINT32_MAX},
};

/* A directory whose lower parts do not exist yet. */
struct place {
	char *root;
	char dir[64];
};

static char path_[PATH_MAX];

static const char *path_of(const struct place *place, const char *name)
{
	snprintf(path_, sizeof(path_), "%s/%s", place->dir, name);
	return path_;
}

static int setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	if (!place)
		return -1;
	place->root = fake_tree_create();
	snprintf(place->dir, sizeof(place->dir), "%s/a/b", place->root);
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;

	fake_tree_remove(place->root);
	free(place);
	return 0;
}

static void keep(const struct place *place, const struct verdict *verdict)
{
	char why[256] = "";

	if (verdict_write(place->dir, verdict, why, sizeof(why)))
		fail_msg("%s", why);
}

static void put(const struct place *place, const char *text, size_t len)
{
	int fd;

	keep(place, &sample); /* for the directory */
	fd = open(path_of(place, "0000:01:00.json"), O_WRONLY | O_TRUNC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

static void test_verdict_write_then_read(void **state)
{
	const struct place *place = *state;
	const struct verdict_subject subject = SUBJECT;
	struct verdict other = sample;
	struct verdict_lookup lookup;
	struct stat st;

	umask(077);
	verdict_read(place->dir, &subject, &lookup);
	assert_int_equal(lookup.use, VERDICT_NONE);
	keep(place, &sample);
	verdict_read(place->dir, &subject, &lookup);
	assert_int_equal(lookup.use, VERDICT_CURRENT);
	assert_memory_equal(&lookup.verdict.entry, &sample.entry, sizeof(sample.entry));
	assert_memory_equal(&lookup.verdict.suspend, &sample.suspend, sizeof(sample.suspend));
	assert_memory_equal(&lookup.verdict.wake, &sample.wake, sizeof(sample.wake));
	assert_string_equal(lookup.verdict.reason, sample.reason);
	assert_string_equal(lookup.verdict.date, sample.date);
	assert_string_equal(lookup.verdict.state, "D3cold");
	assert_int_equal(lookup.verdict.cycles, 3);
	assert_false(lookup.verdict.passed);

	assert_int_equal(stat(place->dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(stat(path_of(place, "0000:01:00.json"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);

	other.passed = true;
	keep(place, &other);
	verdict_read(place->dir, &subject, &lookup);
	assert_true(lookup.verdict.passed);
	umask(022);
}

/* Nothing but the verdict is left, whether it could be put in place or not. */
static void test_verdict_write_leaves_no_rest(void **state)
{
	const struct place *place = *state;
	char why[256] = "";

	keep(place, &sample);
	assert_int_equal(unlink(path_of(place, "0000:01:00.json")), 0);
	assert_int_equal(mkdir(path_of(place, "0000:01:00.json"), 0755), 0);
	assert_true(verdict_write(place->dir, &sample, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, place->dir));
	assert_int_equal(rmdir(path_of(place, "0000:01:00.json")), 0);
	assert_int_equal(rmdir(place->dir), 0);
}

static void test_verdict_write_where_nothing_can_be(void **state)
{
	char why[256] = "", long_dir[PATH_MAX + 8];

	(void)state;
	assert_int_equal(verdict_check("/dev/null/x", why, sizeof(why)), -ENOTDIR);
	assert_non_null(strstr(why, "the verdict cannot be kept in /dev/null/x: "));
	/* where even root can make no file */
	assert_true(verdict_check("/proc/self", why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "the verdict cannot be kept in /proc/self: "));
	why[0] = '\0';
	assert_int_equal(verdict_write("/dev/null/x", &sample, why, sizeof(why)), -ENOTDIR);
	assert_non_null(strstr(why, "/dev/null/x"));
	memset(long_dir, 'x', sizeof(long_dir) - 1);
	long_dir[0] = '/';
	long_dir[sizeof(long_dir) - 1] = '\0';
	assert_int_equal(verdict_write(long_dir, &sample, why, sizeof(why)), -ENAMETOOLONG);
}

/* Asked before, it makes the directory and leaves nothing in it. */
static void test_verdict_check(void **state)
{
	const struct place *place = *state;
	char why[256] = "";

	assert_int_equal(verdict_check(place->dir, why, sizeof(why)), 0);
	assert_int_equal(verdict_check(place->dir, why, sizeof(why)), 0);
	assert_string_equal(why, "");
	assert_int_equal(rmdir(place->dir), 0);
}

static void test_verdict_stale(void **state)
{
	static const struct {
		struct verdict_subject subject;
		const char *says;
	} cases[] = {
		{{.slot = "0000:01:00", .card = "0:10de:2684:1043:88e3", .kernel = "6.12.1"},
		 "the power-test of 2026-11-22 was of another card"},
		{{.slot = "0000:01:00", .card = "0:10de:2684:1043:88e2", .kernel = "6.12.2"},
		 "was under kernel 6.12.1, this is 6.12.2"},
	};
	const struct place *place = *state;

	keep(place, &sample);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct verdict_lookup lookup;

		verdict_read(place->dir, &cases[i].subject, &lookup);
		assert_int_equal(lookup.use, VERDICT_STALE);
		if (!strstr(lookup.why, cases[i].says))
			fail_msg("'%s'", lookup.why);
	}
}

#define LATENCY "{\"min\":1,\"median\":2,\"p95\":3,\"max\":4}"
#define WHOLE(version, slot, card, date, result, cycles, reason, entry) \
	"{\"version\":" version ",\"slot\":" slot ",\"card\":" card ",\"kernel\":\"6.12.1\"," \
	"\"date\":" date ",\"result\":" result ",\"cycles\":" cycles ",\"state\":\"D3cold\"," \
	"\"reason\":" reason ",\"entry_us\":" entry ",\"suspend_us\":" LATENCY "," \
	"\"wake_us\":" LATENCY "}"
#define SLOT "\"0000:01:00\""
#define CARD "\"0:10de:2684:1043:88e2\""
#define DATE "\"2026-11-22T10:11:12Z\""

static void test_verdict_broken(void **state)
{
	static const struct {
		const char *text;
		enum verdict_use use;
	} cases[] = {
		{WHOLE("1", SLOT, CARD, DATE, "\"passed\"", "3", "\"r\"", LATENCY),
		 VERDICT_CURRENT},
		{"", VERDICT_BROKEN},
		{"null", VERDICT_BROKEN},
		{"[]", VERDICT_BROKEN},
		{"{}", VERDICT_BROKEN},
		{WHOLE("2", SLOT, CARD, DATE, "\"passed\"", "3", "\"r\"", LATENCY), VERDICT_BROKEN},
		{WHOLE("1", "\"0000:02:00\"", CARD, DATE, "\"passed\"", "3", "\"r\"", LATENCY),
		 VERDICT_BROKEN},
		{WHOLE("1", SLOT, "7", DATE, "\"passed\"", "3", "\"r\"", LATENCY), VERDICT_BROKEN},
		{WHOLE("1", SLOT, CARD, "\"2026-11-22T10:11:12Z and more\"", "\"passed\"", "3",
		       "\"r\"", LATENCY), VERDICT_BROKEN},
		{WHOLE("1", SLOT, CARD, DATE, "\"perhaps\"", "3", "\"r\"", LATENCY),
		 VERDICT_BROKEN},
		{WHOLE("1", SLOT, CARD, DATE, "\"passed\"", "-3", "\"r\"", LATENCY),
		 VERDICT_BROKEN},
		{WHOLE("1", SLOT, CARD, DATE, "\"passed\"", "3", "\"\\u001b[2J\"", LATENCY),
		 VERDICT_BROKEN},
		{WHOLE("1", SLOT, CARD, DATE, "\"passed\"", "3", "\"\"", LATENCY), VERDICT_BROKEN},
		{WHOLE("1", SLOT, CARD, DATE, "\"passed\"", "3", "\"r\"", "7"), VERDICT_BROKEN},
		{WHOLE("1", SLOT, CARD, DATE, "\"passed\"", "3", "\"r\"", LATENCY) "}",
		 VERDICT_BROKEN},
	};
	const struct verdict_subject subject = SUBJECT;
	const struct place *place = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct verdict_lookup lookup;

		put(place, cases[i].text, strlen(cases[i].text));
		verdict_read(place->dir, &subject, &lookup);
		if (lookup.use != cases[i].use)
			fail_msg("%s: %d", cases[i].text, (int)lookup.use);
		assert_int_equal(lookup.use == VERDICT_CURRENT, lookup.why[0] == '\0');
	}
}

/* Cut anywhere, a verdict is none. */
static void test_verdict_truncated(void **state)
{
	static const char whole[] = WHOLE("1", SLOT, CARD, DATE, "\"failed\"", "3", "\"r\"",
					  LATENCY);
	const struct verdict_subject subject = SUBJECT;
	const struct place *place = *state;

	for (size_t len = 0; len < sizeof(whole) - 1; len++) {
		struct verdict_lookup lookup;

		put(place, whole, len);
		verdict_read(place->dir, &subject, &lookup);
		assert_int_equal(lookup.use, VERDICT_BROKEN);
	}
}

static void test_verdict_large_or_no_file(void **state)
{
	const struct verdict_subject subject = SUBJECT;
	const struct place *place = *state;
	struct verdict_lookup lookup;
	char *large = calloc(1, MIB);

	assert_non_null(large);
	memset(large, ' ', MIB);
	put(place, large, MIB);
	free(large);
	verdict_read(place->dir, &subject, &lookup);
	assert_int_equal(lookup.use, VERDICT_BROKEN);

	unlink(path_of(place, "0000:01:00.json"));
	assert_int_equal(mkfifo(path_of(place, "0000:01:00.json"), 0600), 0);
	verdict_read(place->dir, &subject, &lookup);
	assert_int_equal(lookup.use, VERDICT_BROKEN);

	unlink(path_of(place, "0000:01:00.json"));
	assert_int_equal(symlink("/etc/passwd", path_of(place, "0000:01:00.json")), 0);
	verdict_read(place->dir, &subject, &lookup);
	assert_int_equal(lookup.use, VERDICT_BROKEN);
	assert_non_null(strstr(lookup.why, "cannot be read"));
}

static void make_function(const struct place *place, const char *name, const char *const value[4])
{
	static const char *const files[] = {
		"vendor", "device", "subsystem_vendor", "subsystem_device",
	};
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "mkdir -p %s/bus/pci/devices/%s", place->root, name);
	assert_int_equal(system(path), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(files); i++) {
		FILE *file;

		snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/%s", place->root, name,
			 files[i]);
		file = fopen(path, "w");
		assert_non_null(file);
		fprintf(file, "%s\n", value[i]);
		fclose(file);
	}
}

static void test_verdict_identify(void **state)
{
	static const char *const gpu[] = {"0x10de", "0x2684", "0x1043", "0x88e2"};
	static const char *const audio[] = {"0x10de", "0x22ba", "0x1043", "0x88e2"};
	static const char *const odd[] = {"0x10de", "x", "0x1043", "0x88e2"};
	const struct place *place = *state;
	struct verdict_subject subject = {.slot = "untouched"};
	struct utsname kernel;

	assert_false(verdict_identify(place->root, "0000:01:00", &subject));
	assert_string_equal(subject.slot, "untouched");
	make_function(place, "0000:01:00.0", gpu);
	make_function(place, "0000:01:00.1", audio);
	make_function(place, "0000:01:00.2", odd);
	assert_true(verdict_identify(place->root, "0000:01:00", &subject));
	assert_string_equal(subject.slot, "0000:01:00");
	assert_string_equal(subject.card, "0:10de:2684:1043:88e2 1:10de:22ba:1043:88e2");
	assert_int_equal(uname(&kernel), 0);
	assert_string_equal(subject.kernel, kernel.release);
}

static void test_verdict_dir(void **state)
{
	(void)state;
	unsetenv(VERDICT_DIR_VARIABLE);
	assert_string_equal(verdict_dir(), VERDICT_DIR);
	setenv(VERDICT_DIR_VARIABLE, "", 1);
	assert_string_equal(verdict_dir(), VERDICT_DIR);
	setenv(VERDICT_DIR_VARIABLE, "/tmp/x", 1);
	assert_string_equal(verdict_dir(), "/tmp/x");
	unsetenv(VERDICT_DIR_VARIABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_verdict_write_then_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_verdict_write_leaves_no_rest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_verdict_check, setup, teardown),
		cmocka_unit_test(test_verdict_write_where_nothing_can_be),
		cmocka_unit_test_setup_teardown(test_verdict_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(test_verdict_broken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_verdict_truncated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_verdict_large_or_no_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_verdict_identify, setup, teardown),
		cmocka_unit_test(test_verdict_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
