/* The value of --gpu. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "vfio/vfio.h"
#include "vmm/base/bits.h"
#include "vmm/base/text.h"

static void test_slot_config_defaults(void **state)
{
	static const char *const options[] = {"01:00.0", "vfio-user:/run/gpu"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		struct vfio_slot_config config;
		char why[256];

		memset(&config, 0xff, sizeof(config));
		assert_int_equal(vfio_slot_parse(options[i], &config, why, sizeof(why)), 0);
		assert_int_equal(config.power, POLICY_POWER_AUTO);
		assert_int_equal(config.reset, POLICY_RESET_AUTO);
		assert_int_equal(config.reentry, POWER_REENTRY_AUTO);
		assert_int_equal(config.governor.min_sleep_s, VFIO_MIN_SLEEP_S);
		assert_int_equal(config.governor.max_wakes_per_hour, VFIO_MAX_WAKES_PER_HOUR);
		assert_int_equal(config.resume_timeout_s, VFIO_RESUME_TIMEOUT_S);
		assert_int_equal(config.inject_entry_error, 0);
	}
}

static void test_slot_config_slots(void **state)
{
	static const struct {
		const char *option, *bdf, *socket;
	} cases[] = {
		{"01:00.0", "0000:01:00.0", ""},
		{"0001:c1:1f.7,power=off", "0001:c1:1f.7", ""},
		{"vfio-user:/run/gpu", "", "/run/gpu"},
		{"vfio-user:gpu,power=off", "", "gpu"},
		{"vfio-user:vfio-user:a=b", "", "vfio-user:a=b"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vfio_slot_config config;
		char why[256];

		assert_int_equal(vfio_slot_parse(cases[i].option, &config, why, sizeof(why)), 0);
		assert_string_equal(config.bdf, cases[i].bdf);
		assert_string_equal(config.socket, cases[i].socket);
	}
}

static void test_slot_config_words(void **state)
{
	static const struct {
		const char *pairs;
		enum policy_power power;
		enum policy_reset reset;
		enum power_reentry reentry;
		int entry_error;
	} cases[] = {
		{",power=auto,reset=auto,reentry=auto", 0, 0, 0, 0},
		{",power=d3cold", POLICY_POWER_D3COLD, 0, 0, 0},
		{",power=d3hot", POLICY_POWER_D3HOT, 0, 0, 0},
		{",power=off,power=d3cold", POLICY_POWER_D3COLD, 0, 0, 0},
		{",reset=flr", 0, POLICY_RESET_FLR, 0, 0},
		{",reset=bus", 0, POLICY_RESET_BUS, 0, 0},
		{",reset=none,power=off", POLICY_POWER_OFF, POLICY_RESET_NONE, 0, 0},
		{",reentry=guest", 0, 0, POWER_REENTRY_GUEST, 0},
		{",reentry=host", 0, 0, POWER_REENTRY_HOST, 0},
		{",x-entry-error=ENOTTY", 0, 0, 0, -ENOTTY},
		{",x-entry-error=EINVAL", 0, 0, 0, -EINVAL},
		{",x-entry-error=EIO", 0, 0, 0, -EIO},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vfio_slot_config config;
		char option[128], why[256];

		snprintf(option, sizeof(option), "01:00.0%s", cases[i].pairs);
		assert_int_equal(vfio_slot_parse(option, &config, why, sizeof(why)), 0);
		assert_int_equal(config.power, cases[i].power);
		assert_int_equal(config.reset, cases[i].reset);
		assert_int_equal(config.reentry, cases[i].reentry);
		assert_int_equal(config.inject_entry_error, cases[i].entry_error);
	}
}

static void test_slot_config_numbers(void **state)
{
	struct vfio_slot_config config;
	char why[256];

	(void)state;
	assert_int_equal(vfio_slot_parse("01:00.0,min-sleep=86400,max-wakes-per-hour=3600,"
					 "resume-timeout=3600", &config, why, sizeof(why)), 0);
	assert_int_equal(config.governor.min_sleep_s, 86400);
	assert_int_equal(config.governor.max_wakes_per_hour, 3600);
	assert_int_equal(config.resume_timeout_s, 3600);
	assert_int_equal(vfio_slot_parse("01:00.0,min-sleep=0,max-wakes-per-hour=0,"
					 "resume-timeout=1", &config, why, sizeof(why)), 0);
	assert_int_equal(config.governor.min_sleep_s, 0);
	assert_int_equal(config.governor.max_wakes_per_hour, 0);
	assert_int_equal(config.resume_timeout_s, 1);
}

static void test_slot_config_refuses_with_a_reason(void **state)
{
	static const struct {
		const char *option, *says;
	} cases[] = {
		{"", "\"\" is no PCI address"},
		{"gpu", "\"gpu\" is no PCI address"},
		{"01:00", "\"01:00\" is no PCI address"},
		{"01:00.8", "no PCI address"},
		{"0000:01:00.00000000000000000000", "no PCI address"},
		{"vfio-user", "no PCI address; lspci -D prints them, as 0000:01:00.0 or short "
			      "01:00.0; or give vfio-user:PATH"},
		{"vfio-user:", "the path of a socket has 1 to 107 bytes, not 0"},
		{"01:00.0,", "no key \"\""},
		{"01:00.0,ron=x", "no key \"ron\"; there are power, reentry, reset, min-sleep,"},
		{"01:00.0,rom=", "rom takes the path of a file, of 1 to 1023 bytes, not \"\""},
		{"01:00.0,rom", "rom takes the path of a file"},
		{"vfio-user:/tmp/a,b", "no key \"b\" (a path cannot have a comma); there are"},
		{"01:00.0,low-power=off", "no key \"low-power\""},
		{"01:00.0,power", "power takes auto, d3cold, d3hot or off, not \"\""},
		{"01:00.0,power=", "power takes auto, d3cold, d3hot or off, not \"\""},
		{"01:00.0,power=offf", "not \"offf\""},
		{"01:00.0,power=of", "not \"of\""},
		{"01:00.0,power=off=on", "not \"off=on\""},
		{"01:00.0,reset=pm", "reset takes auto, flr, bus or none, not \"pm\""},
		{"01:00.0,reentry=never", "reentry takes auto, guest or host, not \"never\""},
		{"01:00.0,x-entry-error=EPERM", "takes ENOTTY, EINVAL or EIO, not \"EPERM\""},
		{"01:00.0,min-sleep=86401", "min-sleep takes a number of seconds from 0 to 86400"},
		{"01:00.0,min-sleep=-1", "not \"-1\""},
		{"01:00.0,min-sleep=", "not \"\""},
		{"01:00.0,min-sleep=4294967297", "not \"4294967297\""},
		{"01:00.0,max-wakes-per-hour=3601", "takes a number from 0 to 3600, not \"3601\""},
		{"01:00.0,max-wakes-per-hour=0x10", "not \"0x10\""},
		{"01:00.0,resume-timeout=0", "seconds from 1 to 3600, not \"0\""},
		{"01:00.0,resume-timeout=1 ", "not \"1 \""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vfio_slot_config config;
		char why[512] = "";

		assert_int_equal(vfio_slot_parse(cases[i].option, &config, why, sizeof(why)),
				 -EINVAL);
		if (!strstr(why, cases[i].says))
			fail_msg("case %zu says '%s', not '%s'", i, why, cases[i].says);
	}
}

/* The longest path that sockaddr_un takes, and one byte more. */
static void test_slot_config_length_of_a_path(void **state)
{
	static const struct {
		size_t len;
		int error;
	} cases[] = {{1, 0}, {106, 0}, {107, 0}, {108, -EINVAL}, {300, -EINVAL}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vfio_slot_config config = {.socket = "untouched"};
		char option[400] = "vfio-user:", why[512];
		size_t start = strlen(option);

		memset(option + start, 'a', cases[i].len);
		strcpy(option + start + cases[i].len, ",power=off");
		assert_int_equal(vfio_slot_parse(option, &config, why, sizeof(why)),
				 cases[i].error);
		if (cases[i].error)
			assert_string_equal(config.socket, "untouched");
		else
			assert_int_equal(strlen(config.socket), cases[i].len);
	}
}

static void test_slot_config_written_and_read_again(void **state)
{
	static const struct {
		const char *option, *text;
	} cases[] = {
		{"1f:1f.7,power=d3cold,reentry=host,reset=flr,min-sleep=86400",
		 "0000:1f:1f.7,power=d3cold,reentry=host,reset=flr,min-sleep=86400,"
		 "max-wakes-per-hour=120,resume-timeout=120"},
		{"01:00.0,rom=/a b",
		 "0000:01:00.0,power=auto,reentry=auto,reset=auto,min-sleep=0,"
		 "max-wakes-per-hour=120,resume-timeout=120,rom=/a b"},
		{"vfio-user:a b,x-entry-error=EIO,max-wakes-per-hour=0,resume-timeout=1,reset=none",
		 "vfio-user:a b,power=auto,reentry=auto,reset=none,min-sleep=0,"
		 "max-wakes-per-hour=0,resume-timeout=1,x-entry-error=EIO"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vfio_slot_config config;
		struct text once = {0}, twice = {0};
		char why[256];

		assert_int_equal(vfio_slot_parse(cases[i].option, &config, why, sizeof(why)), 0);
		vfio_slot_format(&config, &once);
		assert_string_equal(once.bytes, cases[i].text);
		assert_int_equal(vfio_slot_parse(once.bytes, &config, why, sizeof(why)), 0);
		vfio_slot_format(&config, &twice);
		assert_string_equal(twice.bytes, cases[i].text);
		text_finish(&once);
		text_finish(&twice);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slot_config_defaults),
		cmocka_unit_test(test_slot_config_slots),
		cmocka_unit_test(test_slot_config_words),
		cmocka_unit_test(test_slot_config_numbers),
		cmocka_unit_test(test_slot_config_refuses_with_a_reason),
		cmocka_unit_test(test_slot_config_length_of_a_path),
		cmocka_unit_test(test_slot_config_written_and_read_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
