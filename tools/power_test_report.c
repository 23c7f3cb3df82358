/* What people and programs read of a power test. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/power_test.h"
#include "vfio/backend.h"
#include "vmm/base/bits.h"
#include "vmm/base/json.h"

static const struct {
	const char *row, *key;
	size_t member; /* of struct power_test_cycle */
} rows[] = {
	{"low power accepted", "entry_us", offsetof(struct power_test_cycle, entry_us)},
	{"suspended after", "suspend_us", offsetof(struct power_test_cycle, suspend_us)},
	{"awake again after", "wake_us", offsetof(struct power_test_cycle, wake_us)},
};

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

/* Nearest rank: the smallest that `percent` of them do not exceed. `count` is not 0. */
static uint64_t percentile(const uint64_t *sorted, unsigned int count, unsigned int percent)
{
	unsigned int rank = (count * percent + 99) / 100;

	return sorted[rank ? rank - 1 : 0];
}

void power_test_latency(const struct power_test *test, size_t member,
			struct verdict_latency *ret_latency)
{
	uint64_t *sorted = calloc(test->count ? test->count : 1, sizeof(*sorted));

	*ret_latency = (struct verdict_latency){0};
	for (unsigned int i = 0; sorted && i < test->count; i++)
		memcpy(&sorted[i], (const char *)&test->cycle[i] + member, sizeof(sorted[i]));
	if (sorted && test->count) {
		qsort(sorted, test->count, sizeof(*sorted), compare);
		*ret_latency = (struct verdict_latency) {
			.min_us = sorted[0],
			.median_us = percentile(sorted, test->count, 50),
			.p95_us = percentile(sorted, test->count, 95),
			.max_us = sorted[test->count - 1],
		};
	}
	free(sorted);
}

const char *power_test_result(const struct power_test *test)
{
	switch (test->fault) {
	case POWER_TEST_FINE:
		return "passed";
	case POWER_TEST_STOPPED:
		return "stopped";
	case POWER_TEST_ERROR:
		return "not possible";
	case POWER_TEST_WOKEN:
		return "disturbed";
	default:
		return "failed";
	}
}

/* Whoever reads a register of it, lspci say, wakes it: that is no fault of the card, which came
 * back each time. Where it did not, the fault is another one. */
bool power_test_is_verdict(const struct power_test *test)
{
	return test->fault != POWER_TEST_STOPPED && test->fault != POWER_TEST_ERROR &&
	       test->fault != POWER_TEST_WOKEN;
}

static void put_ms(struct text *text, uint64_t us)
{
	text_add(text, " %9" PRIu64 ".%03" PRIu64, us / 1000, us % 1000);
}

static void put_depths(const struct power_test *test, struct text *text)
{
	const char *before = "";

	text_add(text, "state reached: ");
	for (unsigned int depth = SLEEP_DEPTHS; depth-- > 0;) {
		unsigned int count = power_test_depth_count(test, (enum sleep_depth)depth);

		if (!count)
			continue;
		if (depth == SLEEP_UNTOLD)
			text_add(text, "%sthe server does not tell", before);
		else
			text_add(text, "%s%s in %u of %u cycles", before,
				 sleep_depth_name((enum sleep_depth)depth), count, test->count);
		before = ", ";
	}
	text_add(text, "\n");
}

void power_test_table(const struct power_test *test, struct text *text)
{
	bool told = power_test_depth(test) != SLEEP_UNTOLD;

	if (!test->count)
		return;
	text_add(text, "%-20s %13s %13s %13s %13s\n", "milliseconds", "min", "median", "p95",
		 "max");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct verdict_latency latency;

		if (!told && rows[i].member == offsetof(struct power_test_cycle, suspend_us))
			continue;
		power_test_latency(test, rows[i].member, &latency);
		text_add(text, "%-20s", rows[i].row);
		put_ms(text, latency.min_us);
		put_ms(text, latency.median_us);
		put_ms(text, latency.p95_us);
		put_ms(text, latency.max_us);
		text_add(text, "\n");
	}
	put_depths(test, text);
}

void power_test_json(const struct power_test *test, const char *kept, struct text *text)
{
	struct json json = {.out = text};
	struct text ladder = {0};
	const char *state = sleep_depth_name(power_test_depth(test));

	json_begin_object(&json, NULL);
	json_string(&json, "slot", test->name);
	json_string(&json, "result", power_test_result(test));
	json_string(&json, "reason", test->why[0] ? test->why : NULL);
	json_number(&json, "cycles", test->count);
	json_string(&json, "state", state[0] ? state : NULL);
	json_begin_object(&json, "states");
	for (unsigned int depth = SLEEP_D0; depth < SLEEP_DEPTHS; depth++)
		json_number(&json, sleep_depth_name((enum sleep_depth)depth),
			    power_test_depth_count(test, (enum sleep_depth)depth));
	json_end_object(&json);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct verdict_latency latency;

		power_test_latency(test, rows[i].member, &latency);
		json_begin_object(&json, rows[i].key);
		json_number(&json, "min", latency.min_us);
		json_number(&json, "median", latency.median_us);
		json_number(&json, "p95", latency.p95_us);
		json_number(&json, "max", latency.max_us);
		json_end_object(&json);
	}
	if (test->fault == POWER_TEST_LOST)
		power_test_ladder(test, &ladder);
	json_string(&json, "recovery", ladder.bytes);
	text_finish(&ladder);
	json_string(&json, "verdict", kept);
	json_end_object(&json);
	text_add(text, "\n");
}

static const char *first_function(const struct power_test *test)
{
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (test->backend[i])
			return test->backend[i]->name;
	return test->name;
}

void power_test_ladder(const struct power_test *test, struct text *text)
{
	unsigned int count = 0;

	if (!test->sysfs) {
		text_add(text, "To recover: start the server of this device again.\n");
		return;
	}
	text_add(text, "To recover, as root; go on to the next line only if the card does not "
		 "answer (lspci -s %s shows \"rev ff\"):\n  1. reset each function:", test->name);
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		if (!test->backend[i])
			continue;
		count++;
		text_add(text, " echo 1 >/sys/bus/pci/devices/%s/reset;", test->backend[i]->name);
	}
	if (count == 1)
		text_add(text, "\n  2. hot reset of the slot: cd /sys/bus/pci/devices/%s; "
			 "echo bus >reset_method; echo 1 >reset; echo default >reset_method",
			 first_function(test));
	else
		text_add(text, "\n  2. hot reset of the slot: port=$(basename $(readlink -f "
			 "/sys/bus/pci/devices/%s/..)); setpci -s $port BRIDGE_CONTROL=40:40; "
			 "sleep 1; setpci -s $port BRIDGE_CONTROL=0:40; sleep 1; then line 3",
			 first_function(test));
	text_add(text, "\n  3. remove it and find it again:");
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (test->backend[i])
			text_add(text, " echo 1 >/sys/bus/pci/devices/%s/remove;",
				 test->backend[i]->name);
	text_add(text, " echo 1 >/sys/bus/pci/rescan; minivmm bind %s --yes\n"
		 "  4. switch the host off and on again; a reboot keeps the card's power\n",
		 first_function(test));
}
