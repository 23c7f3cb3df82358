/* The table of quirks, built in and from a file. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "vfio/quirks.h"
#include "vmm/base/bits.h"

static struct quirk_verdict match(const struct quirks *quirks, uint16_t vendor, uint16_t device,
				  uint32_t class, bool external)
{
	const struct policy_facts facts = {
		.vendor = vendor, .device = device, .class = class, .is_external = external,
	};
	struct quirk_verdict verdict;

	memset(&verdict, 0xff, sizeof(verdict));
	quirks_match(quirks, &facts, &verdict);
	/* A reason where there is a word, and nowhere else. */
	assert_int_equal(verdict.power != POLICY_POWER_AUTO, verdict.power_reason != NULL);
	assert_int_equal(verdict.reset != POLICY_RESET_AUTO, verdict.reset_reason != NULL);
	assert_int_equal(verdict.reentry != POWER_REENTRY_AUTO, verdict.reentry_reason != NULL);
	return verdict;
}

static void test_quirks_built_in(void **state)
{
	static const struct {
		uint16_t vendor, device;
		uint32_t class;
		bool external;
		enum policy_power power;
		enum policy_reset reset;
		enum power_reentry reentry;
	} cases[] = {
		/* NVIDIA: VGA and 3D controllers, not audio nor other display classes */
		{0x10de, 0x2684, 0x030000, false, 0, 0, POWER_REENTRY_GUEST},
		{0x10de, 0x25a0, 0x030200, false, 0, 0, POWER_REENTRY_GUEST},
		{0x10de, 0x25a0, 0x038000, false, 0, 0, 0},
		{0x10de, 0x22ba, 0x040300, false, 0, 0, 0},
		{0x1002, 0x744c, 0x030000, false, 0, 0, 0},
		{0x8086, 0x56a0, 0x030000, false, 0, 0, 0},
		/* Tesla P40, T4; their neighbours not */
		{0x10de, 0x1b38, 0x030200, false, POLICY_POWER_D3HOT, POLICY_RESET_BUS,
		 POWER_REENTRY_GUEST},
		{0x10de, 0x1eb8, 0x030200, false, POLICY_POWER_D3HOT, POLICY_RESET_BUS,
		 POWER_REENTRY_GUEST},
		{0x10de, 0x1eb9, 0x030200, false, 0, 0, POWER_REENTRY_GUEST},
		{0x1002, 0x1b38, 0x030200, false, 0, 0, 0},
		{0x10de, 0x1e07, 0x030000, false, POLICY_POWER_D3HOT, 0, POWER_REENTRY_GUEST},
		{0x10de, 0x2b85, 0x030000, false, 0, POLICY_RESET_BUS, POWER_REENTRY_GUEST},
		/* a family of AMD's, from its first to its last number */
		{0x1002, 0x67bf, 0x030000, false, 0, 0, 0},
		{0x1002, 0x67c0, 0x030000, false, 0, POLICY_RESET_FLR, 0},
		{0x1002, 0x67df, 0x030000, false, 0, POLICY_RESET_FLR, 0},
		{0x1002, 0x67ff, 0x038000, false, 0, POLICY_RESET_FLR, 0},
		{0x1002, 0x6800, 0x030000, false, 0, 0, 0},
		{0x1002, 0x7550, 0x030000, false, POLICY_POWER_OFF, 0, 0},
		/* a display in an enclosure, over what is known of the card; no other class */
		{0x1002, 0x744c, 0x030000, true, POLICY_POWER_OFF, 0, 0},
		{0x10de, 0x1e07, 0x030000, true, POLICY_POWER_OFF, 0, POWER_REENTRY_GUEST},
		{0x1234, 0x0001, 0x038000, true, POLICY_POWER_OFF, 0, 0},
		{0x144d, 0xa808, 0x010802, true, 0, 0, 0},
		/* a device that does not answer */
		{0xffff, 0xffff, 0xffffff, false, 0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct quirk_verdict verdict = match(NULL, cases[i].vendor, cases[i].device,
						     cases[i].class, cases[i].external);

		if (verdict.power != cases[i].power || verdict.reset != cases[i].reset ||
		    verdict.reentry != cases[i].reentry)
			fail_msg("case %zu: power %u reset %u reentry %u", i, verdict.power,
				 verdict.reset, verdict.reentry);
	}
}

/* --- files --- */

static char path[] = "/tmp/test_quirks.XXXXXX";

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static void write_file(const char *text, size_t len)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static struct quirks *load(const char *text)
{
	struct quirks *quirks = NULL;
	char why[512] = "";

	write_file(text, strlen(text));
	if (quirks_create(path, &quirks, why, sizeof(why)))
		fail_msg("%s", why);
	return quirks;
}

static void test_quirks_without_a_file(void **state)
{
	struct quirks *quirks = NULL;
	char why[64];

	(void)state;
	assert_int_equal(quirks_create(NULL, &quirks, why, sizeof(why)), 0);
	assert_int_equal(match(quirks, 0x10de, 0x1b38, 0x030200, false).power, POLICY_POWER_D3HOT);
	quirks_destroy(quirks);
	quirks_destroy(NULL);
}

static void test_quirks_file_overrides_key_by_key(void **state)
{
	struct quirks *quirks = load(
		"# mine\n"
		"\n"
		"10de:1b38 power=off \"first\"\n"
		"\t10DE:1B38:0302\treset=flr power=d3cold   \"second\"  # it works here\r\n"
		"10de:1eb8 power=auto \"no trouble with mine\"");
	struct quirk_verdict verdict = match(quirks, 0x10de, 0x1b38, 0x030200, false);

	(void)state;
	assert_int_equal(verdict.power, POLICY_POWER_D3COLD);
	assert_string_equal(verdict.power_reason, "second");
	assert_int_equal(verdict.reset, POLICY_RESET_FLR);
	assert_string_equal(verdict.reset_reason, "second");
	assert_int_equal(verdict.reentry, POWER_REENTRY_GUEST);
	/* The same card under another class: the second rule is not for it. */
	verdict = match(quirks, 0x10de, 0x1b38, 0x030000, false);
	assert_int_equal(verdict.power, POLICY_POWER_OFF);
	assert_int_equal(verdict.reset, POLICY_RESET_BUS);
	/* auto takes back what was said before, of that key. */
	verdict = match(quirks, 0x10de, 0x1eb8, 0x030200, false);
	assert_int_equal(verdict.power, POLICY_POWER_AUTO);
	assert_int_equal(verdict.reset, POLICY_RESET_BUS);
	quirks_destroy(quirks);
}

static void test_quirks_file_patterns(void **state)
{
	static const struct {
		const char *id;
		uint16_t vendor, device;
		uint32_t class;
		bool matches;
	} cases[] = {
		{"*:*", 0, 0, 0, true},
		{"*:*:*", 0xffff, 0xffff, 0xffffff, true},
		{"1af4:*", 0x1af4, 0x1050, 0x038000, true},
		{"1af4:*", 0x1af5, 0x1050, 0x038000, false},
		{"*:1050", 0xabcd, 0x1050, 0, true},
		{"*:1050", 0xabcd, 0x1051, 0, false},
		{"*:0000", 1, 0, 0, true},
		{"*:ffff", 1, 0xffff, 0, true},
		{"*:*:03", 1, 2, 0x038000, true},
		{"*:*:03", 1, 2, 0x040000, false},
		{"*:*:0380", 1, 2, 0x038012, true},
		{"*:*:0380", 1, 2, 0x038100, false},
		{"*:*:038012", 1, 2, 0x038012, true},
		{"*:*:038012", 1, 2, 0x038013, false},
		{"*:*:00", 1, 2, 0x00ffff, true},
		{"*:*:00", 1, 2, 0x01ffff, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct quirks *quirks;
		char line[80];

		snprintf(line, sizeof(line), "%s reset=none \"r\"\n", cases[i].id);
		quirks = load(line);
		if ((match(quirks, cases[i].vendor, cases[i].device, cases[i].class, false).reset ==
		     POLICY_RESET_NONE) != cases[i].matches)
			fail_msg("case %zu: %s", i, cases[i].id);
		quirks_destroy(quirks);
	}
}

static void test_quirks_file_external(void **state)
{
	struct quirks *quirks = load("*:* external=yes power=d3hot \"mine can\"\n");

	(void)state;
	assert_int_equal(match(quirks, 1, 2, 0x030000, true).power, POLICY_POWER_D3HOT);
	assert_int_equal(match(quirks, 1, 2, 0x030000, false).power, POLICY_POWER_AUTO);
	quirks_destroy(quirks);
}

static void test_quirks_file_longest_reason(void **state)
{
	char line[256] = "*:* power=off \"";
	struct quirks *quirks;

	(void)state;
	memset(line + strlen(line), 'r', 160);
	strcat(line, "\"");
	quirks = load(line);
	assert_int_equal(strlen(match(quirks, 1, 2, 3, false).power_reason), 160);
	quirks_destroy(quirks);
}

static void test_quirks_file_refuses_with_a_reason(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"10de power=off \"r\"", "line 1: \"10de\" is not VENDOR:DEVICE"},
		{"# ok\n\n10de:1 power=off \"r\"", "line 3: \"10de:1\" is not"},
		{"10de:1b38: power=off \"r\"", "\"10de:1b38:\" is not"},
		{"10de:1b38:3 power=off \"r\"", "is not VENDOR"},
		{"10de:1b38:030 power=off \"r\"", "is not VENDOR"},
		{"10de:1b38:03000000 power=off \"r\"", "is not VENDOR"},
		{"10de:1b38:0g power=off \"r\"", "is not VENDOR"},
		{"10de:1b38:03:00 power=off \"r\"", "is not VENDOR"},
		{"0000:1b38 power=off \"r\"", "is not VENDOR"},
		{"-001:1b38 power=off \"r\"", "is not VENDOR"},
		{"0x10:1b38 power=off \"r\"", "is not VENDOR"},
		{"**:1b38 power=off \"r\"", "is not VENDOR"},
		{":: power=off \"r\"", "is not VENDOR"},
		{": power=off \"r\"", "is not VENDOR"},
		{"\"r\"", "is not VENDOR"},
		{"power=off", "\"power=off\" is not VENDOR"},
		{"*:*", "none of power, reentry and reset"},
		{"*:* external=yes \"r\"", "none of power, reentry and reset"},
		{"*:* \"r\"", "none of power, reentry and reset"},
		{"*:* power=off", "a reason in quotes is missing"},
		{"*:* power=off # why", "a reason in quotes is missing"},
		{"*:* power=off r", "no key \"r\"; there are power, reentry, reset and external"},
		{"*:* power=off \xe2\x80\x9cr\xe2\x80\x9d",
		 "external, then the reason in \"quotes\""},
		{"\xef\xbb\xbf*:* power=off \"r\"", "line 1: \"???*:*\" is not VENDOR:DEVICE"},
		{"\x1b[31mred power=off \"r\"", "line 1: \"?[31mred\" is not VENDOR:DEVICE"},
		{"*:* power=deep \"r\"", "power takes auto, d3cold, d3hot or off, not \"deep\""},
		{"*:* power=off#x \"r\"", "not \"off#x\""},
		{"*:* power= \"r\"", "not \"\""},
		{"*:* power \"r\"", "not \"\""},
		{"*:* =off \"r\"", "no key \"\""},
		{"*:* min-sleep=3 \"r\"", "no key \"min-sleep\""},
		{"*:* external=no power=off \"r\"", "external takes yes, not \"no\""},
		{"*:* power=off reset=none power=auto \"r\"", "power is given twice"},
		{"*:* power=auto power=off \"r\"", "power is given twice"},
		{"*:* power=off \"r", "the reason has no closing quote"},
		{"*:* power=off \"", "the reason has no closing quote"},
		{"*:* power=off \"r\n\"", "line 1: the reason has no closing quote"},
		{"*:* power=off \"\"", "1 to 160 characters"},
		{"*:* power=off \"r\tr\"", "not printable ASCII"},
		{"*:* power=off \"\xc3\xa4\"", "not printable ASCII"},
		{"*:* power=off \"r\" reset=none", "nothing but a comment may follow"},
		{"*:* power=off \"r\" \"s\"", "nothing but a comment may follow"},
		{"\x7f" "ELF\x02\x01", "line 1: "},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct quirks *quirks = NULL;
		char why[512] = "";

		write_file(cases[i].text, strlen(cases[i].text));
		assert_int_equal(quirks_create(path, &quirks, why, sizeof(why)), -EINVAL);
		assert_null(quirks);
		if (strncmp(why, "--quirks ", 9) || !strstr(why, path) ||
		    !strstr(why, cases[i].says))
			fail_msg("case %zu says '%s', not '%s'", i, why, cases[i].says);
	}
}

/* Zero bytes are no end of line or file. */
static void test_quirks_file_with_zeros(void **state)
{
	static const char text[] = "\0# no comment\n*:* power=off \"r\"\n";
	static const char reason[] = "*:* power=off \"a\0b\"\n";
	struct quirks *quirks = NULL;
	char why[512];

	(void)state;
	write_file(text, sizeof(text) - 1);
	assert_int_equal(quirks_create(path, &quirks, why, sizeof(why)), -EINVAL);
	write_file(reason, sizeof(reason) - 1);
	assert_int_equal(quirks_create(path, &quirks, why, sizeof(why)), -EINVAL);
}

static void test_quirks_files_that_cannot_be_read(void **state)
{
	struct quirks *quirks = NULL;
	char why[256] = "";

	(void)state;
	assert_int_equal(quirks_create("/nonexistent/q", &quirks, why, sizeof(why)), -ENOENT);
	assert_string_equal(why, "--quirks /nonexistent/q: No such file or directory");
	assert_int_equal(quirks_create("/", &quirks, why, sizeof(why)), -EISDIR);
	assert_null(quirks);
}

static void test_quirks_file_sizes(void **state)
{
	static char text[MIB + 2];
	struct quirks *quirks = NULL;
	char why[256] = "";

	(void)state;
	memset(text, '\n', sizeof(text));
	write_file(text, MIB);
	assert_int_equal(quirks_create(path, &quirks, why, sizeof(why)), 0);
	quirks_destroy(quirks);
	quirks = NULL;
	write_file(text, MIB + 1);
	assert_int_equal(quirks_create(path, &quirks, why, sizeof(why)), -EFBIG);
	assert_non_null(strstr(why, "more than 1 MiB"));
	assert_null(quirks);
	write_file(text, 0);
	assert_int_equal(quirks_create(path, &quirks, why, sizeof(why)), 0);
	quirks_destroy(quirks);
}

/* Whatever the file holds, it is taken or refused with a sentence. */
static void test_quirks_files_of_noise(void **state)
{
	static const char *const parts[] = {
		"10de", ":", "*", "0300", " ", "\t", "\n", "\"", "#", "=", "power", "off",
		"reset=bus", "external=yes", "r", "\r", "*:* power=off \"r\"\n",
	};
	uint32_t seed = 7;
	unsigned int taken = 0;

	(void)state;
	for (unsigned int round = 0; round < 3000; round++) {
		struct quirks *quirks = NULL;
		char text[512] = "", why[512] = "";
		int error;

		for (unsigned int i = 0; i < 16; i++) {
			seed = seed * 1664525U + 1013904223U;
			strcat(text, parts[(seed >> 8) % ARRAY_SIZE(parts)]);
		}
		write_file(text, strlen(text));
		error = quirks_create(path, &quirks, why, sizeof(why));
		assert_int_equal(error, quirks ? 0 : -EINVAL);
		assert_int_equal(error != 0, strstr(why, ": line ") != NULL);
		if (quirks)
			match(quirks, 0x10de, 1, 0x030000, true);
		taken += quirks != NULL;
		quirks_destroy(quirks);
	}
	assert_in_range(taken, 1, 2999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quirks_built_in),
		cmocka_unit_test(test_quirks_without_a_file),
		cmocka_unit_test(test_quirks_file_overrides_key_by_key),
		cmocka_unit_test(test_quirks_file_patterns),
		cmocka_unit_test(test_quirks_file_external),
		cmocka_unit_test(test_quirks_file_longest_reason),
		cmocka_unit_test(test_quirks_file_refuses_with_a_reason),
		cmocka_unit_test(test_quirks_file_with_zeros),
		cmocka_unit_test(test_quirks_files_that_cannot_be_read),
		cmocka_unit_test(test_quirks_file_sizes),
		cmocka_unit_test(test_quirks_files_of_noise),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
