#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ctl_show.h"
#include "vmm/base/bits.h"

#define TOKENS 4096

static const char power_json[] =
	"{\"t_us\":100000000,\"slots\":[{\"id\":\"gpu0\",\"name\":\"0000:01:00\","
	"\"policy\":{\"power\":\"d3cold\",\"reset\":\"flr\",\"reasons\":\"power=auto: all can\"},"
	"\"guest\":\"off\",\"hold_ms\":4500,\"functions\":["
	"{\"name\":\"0000:01:00.0\",\"state\":\"engaged\",\"since_us\":90000000,\"error\":null,"
	"\"host\":{\"power_state\":\"D3cold\",\"suspended\":true,\"suspended_us\":9000000},"
	"\"counters\":{\"entries\":4,\"wakes_host\":2,\"wakes_pme\":1,\"engaged_us\":40000000,"
	"\"suspended_us\":39000000,\"refusals\":3,\"refused_eio\":2,\"refused_eagain\":1,"
	"\"entry_us_p50\":2000,\"entry_us_p99\":32000,\"exit_us_p50\":16000,"
	"\"exit_us_p99\":32000,\"of_the_future\":7}},"
	"{\"name\":\"0000:01:00.1\",\"state\":\"refused\",\"since_us\":99000000,"
	"\"error\":\"EIO\",\"host\":null,\"counters\":{}}]}]}";

static int read_power(const char *json, struct view_power *power)
{
	static jsmntok_t tokens[TOKENS];
	struct json_doc doc;
	int error = json_parse(json, strlen(json), tokens, TOKENS, &doc);

	return error ? error : view_read_power(&doc, power);
}

static void test_ctl_status_is_a_table(void **state)
{
	static const struct view_info info = {
		.state = "Running", .kernel = "vmlinuz", .memory = 512 * MIB, .cpus = 2,
		.uptime_us = 100000000};
	struct view_power *power = calloc(1, sizeof(*power));
	struct text text = {.bytes = NULL};

	(void)state;
	assert_int_equal(read_power(power_json, power), 0);
	show_status(&text, &info, power);
	assert_string_equal(text.bytes,
		"Running for 1 min 40 s, 2 CPUs, 512 MiB, guest vmlinuz\n\n"
		"SLOT  FUNCTION      STATE    SINCE   HOST    ENGAGED  WOKEN BY       REFUSED\n"
		"gpu0  0000:01:00.0  engaged  10.0 s  D3cold  50 %     host 2, pme 1  3\n"
		"      0000:01:00.1  refused  1.00 s  -       0 %      none           0\n");
	text_finish(&text);
	power->slots = 0;
	show_status(&text, &info, power);
	assert_non_null(strstr(text.bytes, "No device is passed through.\n"));
	text_finish(&text);
	free(power);
}

static void test_ctl_power_tells_all(void **state)
{
	struct view_power *power = calloc(1, sizeof(*power));
	struct show_past past[2] = {{.letter = "##e...", .count = 6}, {.letter = "#r", .count = 2}};
	struct text text = {.bytes = NULL};

	(void)state;
	assert_int_equal(read_power(power_json, power), 0);
	show_power(&text, power, past, (struct show_style) {.colour = false});
	assert_string_equal(text.bytes,
		"gpu0  0000:01:00  power=d3cold reset=flr; the guest wants it off\n"
		"  power=auto: all can\n"
		"  the governor holds it awake for another 4.50 s\n"
		"\n"
		"  0000:01:00.0  engaged for 10.0 s; host: D3cold, suspended\n"
		"    engaged ===========------------- 50 %, 50.0 s; of sleeps that are over really"
		" suspended 97 %\n"
		"    past    ##e... 6 s\n"
		"    sleeps  4; woken by host 2, pme 1; refused 3 (EIO 2, EAGAIN 1)\n"
		"    entry   half within 2.00 ms, 99 % within 32.0 ms\n"
		"    exit    half within 16.0 ms, 99 % within 32.0 ms\n"
		"\n"
		"  0000:01:00.1  refused for 1.00 s; last error EIO\n"
		"    engaged ------------------------ 0 %, 0 s\n"
		"    past    #r 2 s\n"
		"    sleeps  0; woken by nobody on the host\n");
	text_finish(&text);
	show_power(&text, power, past, (struct show_style) {.colour = true, .utf8 = true});
	assert_non_null(strstr(text.bytes, "\033[34m\u2581"));
	text_finish(&text);
	free(power);
}

/* What the server says cannot do anything to a terminal, whatever it is. */
static void test_ctl_shows_no_escapes_of_the_server(void **state)
{
	static const char json[] =
		"{\"t_us\":1,\"slots\":[{\"id\":\"\\u001b[2J\",\"name\":\"\\u001b\",\"policy\":"
		"{\"power\":\"\\u001b\",\"reset\":\"\\u001b\",\"reasons\":\"\\u001b\"},"
		"\"guest\":\"\\u001b\",\"functions\":[{\"name\":\"\\u001b\","
		"\"state\":\"\\u001b\",\"since_us\":5,\"error\":"
		"\"\\u001b\",\"host\":{\"power_state\":\"\\u001b\"},\"counters\":{"
		"\"refused_\\u001b\":1}}]}]}";
	static const char event[] =
		"{\"t_us\":1,\"event\":\"\\u001b\",\"device\":\"\\u001b\",\"\\u001b\":\"\\u001b\","
		"\"detail\":\"\\u001b\\u0007\"}";
	struct view_info info = {.state = "\033", .kernel = "\033"};
	struct view_power *power = calloc(1, sizeof(*power));
	struct text text = {.bytes = NULL};

	(void)state;
	assert_int_equal(read_power(json, power), 0);
	show_status(&text, &info, power);
	show_power(&text, power, NULL, (struct show_style) {.colour = false});
	assert_true(show_event(&text, event, strlen(event)));
	assert_null(strchr(text.bytes, '\033'));
	assert_null(strchr(text.bytes, '\007'));
	text_finish(&text);
	free(power);
}

static void test_ctl_refuses_other_shapes(void **state)
{
	static const char *const answers[] = {
		"{}", "[]", "{\"t_us\":1}", "{\"slots\":[]}", "{\"t_us\":1,\"slots\":{}}x",
		"{\"t_us\":1,\"slots\":[1]}", "{\"t_us\":1,\"slots\":[{}]}",
		"{\"t_us\":1,\"slots\":[{\"id\":\"a\"}]}",
		"{\"t_us\":1,\"slots\":[{\"id\":\"a\",\"functions\":[{}]}]}",
		"{\"t_us\":1,\"slots\":[{\"id\":\"a\",\"functions\":[{\"name\":\"n\",\"state\":7,"
		"\"since_us\":1}]}]}",
	};
	struct view_power *power = calloc(1, sizeof(*power));
	struct text many = {.bytes = NULL};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
		assert_int_equal(read_power(answers[i], power), -EPROTO);
	for (unsigned int slots = 32; slots < 34; slots++) {
		text_add(&many, "{\"t_us\":1,\"slots\":[");
		for (unsigned int i = 0; i < slots; i++)
			text_add(&many, "%s{\"id\":\"a\",\"functions\":[]}", i ? "," : "");
		text_add(&many, "]}");
		assert_int_equal(read_power(many.bytes, power), slots > VIEW_SLOTS ? -EPROTO : 0);
		text_finish(&many);
	}
	free(power);
}

/* Time that the server's own numbers do not allow is none. */
static void test_ctl_view_survives_odd_numbers(void **state)
{
	static const char json[] =
		"{\"t_us\":5,\"slots\":[{\"id\":\"a\",\"functions\":[{\"name\":\"n\","
		"\"state\":\"engaged\",\"since_us\":99999999999999999999,\"counters\":{"
		"\"engaged_us\":99999999999999999999,\"suspended_us\":99999999999999999999}}]}]}";
	struct view_power *power = calloc(1, sizeof(*power));
	struct text text = {.bytes = NULL};

	(void)state;
	assert_int_equal(read_power(json, power), 0);
	show_power(&text, power, NULL, (struct show_style) {.colour = false});
	assert_non_null(strstr(text.bytes, "engaged for 0 s"));
	assert_non_null(strstr(text.bytes, "======================== 100 %"));
	text_finish(&text);
	free(power);
}

static void test_ctl_events_are_sentences(void **state)
{
	static const struct {
		const char *line, *shown;
	} cases[] = {
		{"{\"t_us\":14313501,\"event\":\"power\",\"device\":\"0000:01:00.0\","
		 "\"from\":\"on\","
		 "\"to\":\"engaged\",\"cause\":\"guest\",\"latency_us\":16251}",
		 "    14.313  0000:01:00.0    on -> engaged by guest, the host took 16.2 ms"},
		{"{\"t_us\":16558559,\"event\":\"power\",\"device\":\"0000:01:00.0\","
		 "\"from\":\"engaged\",\"to\":\"woken\",\"cause\":\"host\",\"engaged_us\":2235771,"
		 "\"suspended_us\":2210000}",
		 "    16.558  0000:01:00.0    engaged -> woken by host, slept 2.23 s, really "
		 "suspended 2.21 s"},
		{"{\"t_us\":1,\"event\":\"power\",\"device\":\"a.0\",\"from\":\"on\","
		 "\"to\":\"refused\","
		 "\"cause\":\"guest\",\"errno\":\"EIO\",\"detail\":\"the host refused\"}",
		 "     0.000  a.0             on -> refused by guest, EIO: the host refused"},
		{"{\"t_us\":1963604,\"event\":\"boot\"}",
		 "     1.963                  the guest boots"},
		{"{\"t_us\":1900000,\"event\":\"shutdown\",\"cause\":\"Terminated\"}",
		 "     1.900                  the guest is asked to power off: Terminated"},
		{"{\"t_us\":1940000,\"event\":\"watchdog\",\"cause\":\"expired\"}",
		 "     1.940                  the guest let its watchdog expire"},
		{"{\"t_us\":1950000,\"event\":\"panic\",\"cause\":\"panicked\"}",
		 "     1.950                  the guest's kernel: panicked"},
		{"{\"t_us\":2000000,\"event\":\"exit\",\"cause\":\"power-off\"}",
		 "     2.000                  the VM ends: power-off"},
		{"{\"t_us\":3,\"event\":\"policy\",\"device\":\"0000:01:00\",\"to\":\"d3cold\","
		 "\"detail\":\"power=auto\"}",
		 "     0.000  0000:01:00      may sleep as deep as d3cold: power=auto"},
		{"{\"t_us\":3,\"event\":\"governor\",\"device\":\"x\",\"hold_ms\":5000}",
		 "     0.000  x               held awake for 5.00 s"},
		{"{\"t_us\":3,\"event\":\"counters\",\"device\":\"x.0\",\"entries\":3,"
		 "\"wakes_pme\":1}",
		 "     0.000  x.0             counters: entries 3, wakes_pme 1"},
		{"{\"t_us\":3,\"event\":\"plug\",\"device\":\"0000:01:00\",\"id\":\"gpu1\","
		 "\"bdf\":\"0000:05:00.0\"}",
		 "     0.000  0000:01:00      plugged in as gpu1, which the guest finds at "
		 "0000:05:00.0"},
		{"{\"t_us\":3,\"event\":\"plug\",\"device\":\"x\",\"id\":\"a\","
		 "\"detail\":\"no D3cold\"}",
		 "     0.000  x               plugged in as a: no D3cold"},
		{"{\"t_us\":3,\"event\":\"unplug\",\"device\":\"0000:01:00\","
		 "\"id\":\"gpu1\",\"cause\":\"host\"}",
		 "     0.000  0000:01:00      gpu1 is unplugged, its port is free; it was "
		 "asked back by host"},
		{"{\"t_us\":3,\"event\":\"unplug\",\"device\":\"x\","
		 "\"id\":\"\\u001b[\"}",
		 "     0.000  x               ?[ is unplugged, its port is free"},
		{"{\"t_us\":3,\"event\":\"lost\",\"count\":12}",
		 "     0.000                  events that were too many to be kept: 12"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct text text = {.bytes = NULL};

		assert_true(show_event(&text, cases[i].line, strlen(cases[i].line)));
		assert_string_equal(text.bytes, cases[i].shown);
		text_finish(&text);
	}
	assert_false(show_event(&(struct text) {.bytes = NULL}, "{}", 2));
	assert_false(show_event(&(struct text) {.bytes = NULL}, NULL, 0));
}

/* The more awake of two wants to be seen, so that no wake is too short for a second. */
static void test_ctl_past_keeps_the_shortest_wake(void **state)
{
	static const char order[] = " .ew#r!";

	(void)state;
	for (unsigned int i = 0; order[i]; i++)
		for (unsigned int k = 0; order[k]; k++)
			assert_int_equal(show_more_awake(order[i], order[k]),
					 order[i > k ? i : k]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ctl_status_is_a_table),
		cmocka_unit_test(test_ctl_power_tells_all),
		cmocka_unit_test(test_ctl_shows_no_escapes_of_the_server),
		cmocka_unit_test(test_ctl_refuses_other_shapes),
		cmocka_unit_test(test_ctl_view_survives_odd_numbers),
		cmocka_unit_test(test_ctl_events_are_sentences),
		cmocka_unit_test(test_ctl_past_keeps_the_shortest_wake),
	};

	return cmocka_run_group_tests_name("ctl_show", tests, NULL, NULL);
}
