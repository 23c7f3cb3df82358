#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tools/timeline.h"

#define DEVICE "0000:01:00.0"

struct log {
	struct timeline timeline;
	uint64_t number;
};

static void take(struct log *log, const char *line)
{
	assert_true(timeline_take(&log->timeline, ++log->number, line, strlen(line)));
}

static void take_power(struct log *log, uint64_t t_us, const char *from, const char *to,
		       const char *cause, const char *more)
{
	char line[512];

	snprintf(line, sizeof(line), "{\"t_us\":%llu,\"event\":\"power\",\"device\":\"" DEVICE "\","
		 "\"from\":\"%s\",\"to\":\"%s\",\"cause\":\"%s\"%s}", (unsigned long long)t_us,
		 from, to, cause, more);
	take(log, line);
}

/* A sleep of 4 s of which the host suspended 3, a wake by the host, 1 s until the guest is back. */
static void take_sleep(struct log *log, uint64_t start)
{
	take_power(log, start, "on", "engaged", "guest", ",\"latency_us\":1500");
	take_power(log, start + 4000000, "engaged", "woken", "host",
		   ",\"engaged_us\":4000000,\"suspended_us\":3000000");
	take_power(log, start + 5000000, "woken", "on", "guest", ",\"latency_us\":200");
}

/* A slot is not one of its functions, and what left the machine is awake no more. */
static void test_timeline_card_goes_and_comes(void **state)
{
	struct log log = {.number = 0};
	struct timeline_lane *lane;

	(void)state;
	take(&log, "{\"t_us\":1000000,\"event\":\"open\",\"device\":\"" DEVICE "\"}");
	take(&log, "{\"t_us\":2000000,\"event\":\"unplug-request\",\"device\":\"0000:01:00\"}");
	take(&log, "{\"t_us\":3000000,\"event\":\"unplug\",\"device\":\"0000:01:00\"}");
	take(&log, "{\"t_us\":5000000,\"event\":\"open\",\"device\":\"" DEVICE "\"}");
	take(&log, "{\"t_us\":9000000,\"event\":\"exit\",\"cause\":\"power-off\"}");
	timeline_close(&log.timeline, 1000);
	assert_int_equal(log.timeline.lanes, 1);
	lane = log.timeline.lane[0];
	assert_int_equal(lane->us[TIMELINE_ON], 6000000);
	assert_int_equal(lane->us[TIMELINE_RELEASED], 2000000);
	assert_int_equal(lane->marks.count, 1);
	timeline_finish(&log.timeline);
}

static void test_timeline_adds_up_a_sleep(void **state)
{
	struct log log = {.number = 0};
	struct timeline_lane *lane;

	(void)state;
	take(&log, "{\"t_us\":1000000,\"event\":\"open\",\"device\":\"" DEVICE "\"}");
	take_sleep(&log, 2000000);
	take(&log, "{\"t_us\":9000000,\"event\":\"exit\",\"cause\":\"power-off\"}");
	timeline_close(&log.timeline, 1000);
	assert_int_equal(log.timeline.lanes, 1);
	lane = log.timeline.lane[0];
	assert_int_equal(lane->spans, 4);
	assert_int_equal(lane->us[TIMELINE_ASLEEP], 3000000);
	assert_int_equal(lane->us[TIMELINE_ENGAGED], 1000000);
	assert_int_equal(lane->us[TIMELINE_WOKEN], 1000000);
	assert_int_equal(lane->us[TIMELINE_ON], 3000000);
	assert_int_equal(lane->span[1].start, 2000000);
	assert_int_equal(lane->span[1].end, 6000000);
	assert_string_equal(lane->span[1].cause, "guest");
	assert_string_equal(lane->span[1].ended_by, "host");
	assert_int_equal(lane->span[1].latency_us, 1500);
	assert_true(lane->span[3].is_open && !lane->span[2].is_open);
	assert_int_equal(lane->sleeps, 1);
	assert_int_equal(lane->wakes[TIMELINE_WAKE_HOST], 1);
	assert_int_equal(lane->wakes[TIMELINE_WAKE_GUEST], 0); /* it was awake already */
	assert_int_equal(lane->entry.count, 1);
	assert_int_equal(lane->exit.count, 0);
	assert_int_equal(lane->marks.count, 1);
	assert_string_equal(log.timeline.exit_cause, "power-off");
	timeline_finish(&log.timeline);
}

/* The first transition says what the function was before it, though nobody had said so. */
static void test_timeline_learns_the_first_state_afterwards(void **state)
{
	struct log log = {.number = 0};

	(void)state;
	take(&log, "{\"t_us\":1000,\"event\":\"pme\",\"device\":\"" DEVICE "\"}");
	take_power(&log, 5000, "engaged", "on", "pme", "");
	timeline_close(&log.timeline, 1000);
	assert_int_equal(log.timeline.lane[0]->us[TIMELINE_ENGAGED], 4000);
	assert_int_equal(log.timeline.lane[0]->us[TIMELINE_ON], 0);
	assert_int_equal(log.timeline.lane[0]->wakes[TIMELINE_WAKE_PME], 1);
	timeline_finish(&log.timeline);
}

static void test_timeline_counts_causes_refusals_and_losses(void **state)
{
	static const struct {
		const char *from, *to, *cause;
		unsigned int wakes, refusals, losses; /* together so far */
	} steps[] = {
		{"on", "engaged", "guest", 0, 0, 0},      {"engaged", "on", "guest", 1, 0, 0},
		{"on", "refused", "guest", 1, 1, 0},
		{"refused", "engaged", "governor", 1, 1, 0},
		{"engaged", "woken", "pme", 2, 1, 0},     {"woken", "on", "guest", 2, 1, 0},
		{"on", "engaged", "guest", 2, 1, 0},      {"engaged", "on", "reset", 2, 1, 0},
		{"on", "engaged", "guest", 2, 1, 0},      {"engaged", "woken", "unknown", 3, 1, 0},
		{"woken", "lost", "error", 3, 1, 1},      {"lost", "lost", "reset", 3, 1, 1},
		{"lost", "released", "unplug", 3, 1, 1},
	};
	struct log log = {.number = 0};

	(void)state;
	for (unsigned int i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct timeline_lane *lane;
		uint64_t wakes = 0;

		take_power(&log, 1000 * (i + 1), steps[i].from, steps[i].to, steps[i].cause, "");
		lane = log.timeline.lane[0];
		for (unsigned int k = 0; k < TIMELINE_WAKES; k++)
			wakes += lane->wakes[k];
		assert_int_equal(wakes, steps[i].wakes);
		assert_int_equal(lane->refusals, steps[i].refusals);
		assert_int_equal(lane->losses, steps[i].losses);
	}
	assert_false(log.timeline.lane[0]->is_alive);
	timeline_finish(&log.timeline);
}

static void test_timeline_skips_and_counts_what_is_no_event(void **state)
{
	static const char *const broken[] = {
		"", "not JSON", "[]", "{\"t_us\":1}", "{\"event\":\"boot\"}",
		"{\"t_us\":-1,\"event\":\"boot\"}", "{\"t_us\":\"1\",\"event\":\"boot\"}",
		"{\"t_us\":99999999999999999999,\"event\":\"boot\"}",
		"{\"t_us\":1,\"event\":\"power\",\"device\":7}",
		"{\"t_us\":1,\"event\":\"power\",\"device\":{}}",
		"{\"t_us\":1,\"event\":\"power\",\"device\":\"a\\u0000b\"}",
	};
	static const char *const ignored[] = {
		"{\"t_us\":5,\"event\":\"of the future that has a very, very long name\"}",
		"{\"t_us\":5,\"event\":\"power\"}",
		"{\"t_us\":5,\"event\":\"power\",\"device\":\"\",\"from\":\"on\",\"to\":\"lost\"}",
		"{\"t_us\":5,\"event\":\"power\",\"device\":\"a\",\"from\":\"x\",\"to\":\"lost\"}",
		"{\"t_us\":5,\"event\":7}",
	};
	struct log log = {.number = 0};

	(void)state;
	take(&log, "{\"t_us\":1,\"event\":\"boot\"}");
	for (unsigned int i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		take(&log, broken[i]);
	assert_true(timeline_take(&log.timeline, ++log.number, NULL, 0));
	assert_int_equal(log.timeline.broken, sizeof(broken) / sizeof(broken[0]) + 1);
	assert_int_equal(log.timeline.broken_first, 2);
	assert_int_equal(log.timeline.events, 1);
	for (unsigned int i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		take(&log, ignored[i]);
	assert_int_equal(log.timeline.broken, sizeof(broken) / sizeof(broken[0]) + 1);
	assert_int_equal(log.timeline.lanes, 0);
	take(&log, "{\"t_us\":6,\"event\":\"lost\",\"count\":3}");
	assert_int_equal(log.timeline.missing, 3);
	timeline_finish(&log.timeline);
}

/* Time that goes back is another run in the same file; what is between is nobody's time. */
static void test_timeline_draws_runs_after_each_other(void **state)
{
	struct log log = {.number = 0};
	struct timeline_lane *lane;

	(void)state;
	take_sleep(&log, 1000000);
	take_sleep(&log, 3000000);
	timeline_close(&log.timeline, 1000);
	lane = log.timeline.lane[0];
	assert_int_equal(log.timeline.restarts, 1);
	assert_int_equal(log.timeline.restart_first, 4);
	assert_int_equal(log.timeline.last, 6000000 + 8000000);
	assert_int_equal(lane->us[TIMELINE_ASLEEP], 6000000);
	assert_int_equal(lane->us[TIMELINE_RELEASED], 3000000);
	assert_int_equal(lane->us[TIMELINE_ON], 0);
	timeline_finish(&log.timeline);
}

/* However often time goes back, its sum stays one that can be drawn. */
static void test_timeline_bounds_time(void **state)
{
	struct log log = {.number = 0};
	struct text svg = {.bytes = NULL};

	(void)state;
	for (unsigned int i = 0; i < 100; i++) {
		take(&log, "{\"t_us\":315359999999999,\"event\":\"boot\"}");
		take_sleep(&log, 1000);
	}
	assert_true(log.timeline.last <= EVENT_TIME_MAX);
	timeline_close(&log.timeline, 824);
	timeline_draw(&log.timeline, &svg);
	assert_false(svg.failed);
	text_finish(&svg);
	timeline_finish(&log.timeline);
}

/* Spans that touch, and no time is lost, however many are merged. */
static void check_spans(const struct timeline_lane *lane, unsigned int most)
{
	uint64_t us[TIMELINE_STATES] = {0};

	assert_true(lane->spans && lane->spans <= most);
	for (unsigned int i = 0; i < lane->spans; i++) {
		uint64_t sum = 0;

		for (unsigned int k = 0; k < TIMELINE_STATES; k++) {
			us[k] += lane->span[i].us[k];
			sum += lane->span[i].us[k];
		}
		assert_int_equal(sum, lane->span[i].end - lane->span[i].start);
		if (i)
			assert_int_equal(lane->span[i].start, lane->span[i - 1].end);
	}
	assert_memory_equal(us, lane->us, sizeof(us));
}

static void test_timeline_merges_what_no_picture_shows(void **state)
{
	struct log log = {.number = 0};
	struct timeline_lane *lane;
	uint64_t marks = 0;

	(void)state;
	for (unsigned int i = 0; i < 20000; i++) {
		take_sleep(&log, 10000000ULL * i);
		if (i % 1000 == 0)
			assert_true(log.timeline.lane[0]->spans <= 5120);
	}
	timeline_close(&log.timeline, 824);
	lane = log.timeline.lane[0];
	check_spans(lane, 2 * 824 + 1);
	assert_int_equal(lane->us[TIMELINE_ASLEEP], 20000 * 3000000ULL);
	for (unsigned int i = 0; i < lane->marks.count; i++)
		marks += lane->marks.mark[i].count;
	assert_int_equal(marks, 20000);
	assert_true(lane->marks.count < 10000);
	timeline_finish(&log.timeline);
}

/* One long sleep after thousands of short ones is still itself. */
static void test_timeline_keeps_long_spans_whole(void **state)
{
	struct log log = {.number = 0};
	struct timeline_span *last;

	(void)state;
	for (unsigned int i = 0; i < 9000; i++)
		take_sleep(&log, 5000000ULL * i);
	take_power(&log, 45000000000ULL, "on", "engaged", "guest", "");
	take_power(&log, 90000000000ULL, "engaged", "on", "pme", ",\"suspended_us\":1");
	timeline_close(&log.timeline, 824);
	last = &log.timeline.lane[0]->span[log.timeline.lane[0]->spans - 1];
	assert_int_equal(last->pieces, 1);
	assert_string_equal(last->ended_by, "pme");
	timeline_finish(&log.timeline);
}

static void test_timeline_bounds_functions(void **state)
{
	struct log log = {.number = 0};
	char line[128];

	(void)state;
	for (unsigned int i = 0; i < 1000; i++) {
		snprintf(line, sizeof(line), "{\"t_us\":%u,\"event\":\"open\",\"device\":\"d%u\"}",
			 i, i);
		take(&log, line);
		snprintf(line, sizeof(line),
			 "{\"t_us\":%u,\"event\":\"policy\",\"device\":\"d%u\"}", i, i);
		take(&log, line);
	}
	assert_int_equal(log.timeline.lanes, TIMELINE_LANES);
	assert_int_equal(log.timeline.other_devices, 1000 - TIMELINE_LANES);
	timeline_finish(&log.timeline);
}

static void test_timeline_finds_the_slots_policy(void **state)
{
	struct log log = {.number = 0};

	(void)state;
	take(&log, "{\"t_us\":1,\"event\":\"policy\",\"device\":\"0000:01:00\",\"to\":\"d3hot\"}");
	take(&log, "{\"t_us\":1,\"event\":\"open\",\"device\":\"" DEVICE "\"}");
	take(&log, "{\"t_us\":2,\"event\":\"governor\",\"device\":\"0000:01:00\",\"hold_ms\":5}");
	assert_string_equal(timeline_policy(&log.timeline, DEVICE), "d3hot");
	assert_string_equal(timeline_policy(&log.timeline, "0000:01:00.1"), "d3hot");
	assert_string_equal(timeline_policy(&log.timeline, "0000:01:001.0"), "");
	assert_string_equal(timeline_policy(&log.timeline, "0000:02:00.0"), "");
	assert_int_equal(log.timeline.lane[0]->marks.mark[0].kind, TIMELINE_HOLD);
	timeline_finish(&log.timeline);
}

/* The same lines give the same picture, whatever the device is called. */
static void test_timeline_draws_any_name(void **state)
{
	static const char *const names[] = {
		"<script>&\\\"'\\u0007\\u001b[2J", "\xff\xfe", "\\ud800", "\xef\xbf\xbf", " ",
		"very long, very long, very long, very long, very long, very long, very long name",
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct log log = {.number = 0};
		struct text svg[2] = {{.bytes = NULL}};
		char line[512];

		snprintf(line, sizeof(line), "{\"t_us\":1,\"event\":\"open\",\"device\":\"%s\"}",
			 names[i]);
		take(&log, line);
		timeline_close(&log.timeline, 824);
		timeline_draw(&log.timeline, &svg[0]);
		timeline_draw(&log.timeline, &svg[1]);
		assert_string_equal(svg[0].bytes, svg[1].bytes);
		assert_null(strstr(svg[0].bytes, "<script"));
		assert_null(strchr(svg[0].bytes, '\033'));
		assert_null(strchr(svg[0].bytes, '\xff'));
		text_finish(&svg[0]);
		text_finish(&svg[1]);
		timeline_finish(&log.timeline);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timeline_card_goes_and_comes),
		cmocka_unit_test(test_timeline_adds_up_a_sleep),
		cmocka_unit_test(test_timeline_learns_the_first_state_afterwards),
		cmocka_unit_test(test_timeline_counts_causes_refusals_and_losses),
		cmocka_unit_test(test_timeline_skips_and_counts_what_is_no_event),
		cmocka_unit_test(test_timeline_draws_runs_after_each_other),
		cmocka_unit_test(test_timeline_bounds_time),
		cmocka_unit_test(test_timeline_merges_what_no_picture_shows),
		cmocka_unit_test(test_timeline_keeps_long_spans_whole),
		cmocka_unit_test(test_timeline_bounds_functions),
		cmocka_unit_test(test_timeline_finds_the_slots_policy),
		cmocka_unit_test(test_timeline_draws_any_name),
	};

	return cmocka_run_group_tests_name("timeline", tests, NULL, NULL);
}
