/* The cycles of a power test, on devices that do what each case wants; what is said of them. */
#include <errno.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fake_backend.h"
#include "tools/power_test.h"
#include "vmm/base/bits.h"
#include "vmm/base/text.h"

#define CYCLES 4

/* What the host does with the slot, by number of the cycle from 1 on; 0: never. */
struct plan {
	const char *name;
	const char *state;            /* power_state while asleep */
	unsigned int awake_in;        /* it stays awake */
	unsigned int woken_in;        /* somebody wakes function 1 */
	unsigned int wakes_alone_in;  /* it wakes without a word */
	unsigned int sleeps_on_in;    /* the host says D3cold after the wake */
	unsigned int corrupt_in;      /* a BAR is lost */
	unsigned int gone_in;         /* ones */
	unsigned int stopped_in;      /* a signal, while asleep */
	unsigned int slow_in;         /* the wake takes longer than it may */
	enum fake_op fails;           /* that op of function 1, once, at its second time */
	int error;

	enum power_test_fault fault;
	unsigned int count;
	enum sleep_depth depth;
	const char *says;             /* of `why` */
};

struct bench {
	const struct plan *plan;
	struct fake_backend *device[2];
	struct power_test test;
	struct power_test_cycle cycle[CYCLES];
	unsigned int cycle_number, looks, told; /* looks: at function 1, in this sleep */
};

static struct bench bench;

static void set_state(const char *state, bool suspended)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct vfio_observation *seen = &bench.device[i]->observation;

		snprintf(seen->power_state, sizeof(seen->power_state), "%s", state);
		seen->suspended = suspended;
	}
}

static void fall_asleep(void)
{
	const struct plan *plan = bench.plan;
	unsigned int cycle = bench.cycle_number;

	if (plan->awake_in == cycle)
		return;
	set_state(plan->state, true);
	bench.looks = 0;
}

static void wake_up(void)
{
	const struct plan *plan = bench.plan;
	unsigned int cycle = bench.cycle_number;

	set_state(plan->sleeps_on_in == cycle ? "D3cold" : "D0", false);
	if (plan->corrupt_in == cycle)
		bench.device[1]->cfg[PCI_BASE_ADDRESS_0 + 2] ^= 0x40;
	if (plan->gone_in == cycle)
		bench.device[0]->dead = true;
	if (plan->slow_in == cycle)
		usleep(5000);
}

/* At the start of every op: the slot sleeps when both functions are engaged. */
static void hook(struct fake_backend *fake, const struct fake_call *call)
{
	bool second = fake == bench.device[1];

	if (call->op == FAKE_ENTRY || call->op == FAKE_ENTRY_WITH_WAKEUP) {
		bench.cycle_number += !second;
		if (second && !(fake->error[call->op].times && !fake->error[call->op].skip))
			fall_asleep();
	} else if (call->op == FAKE_EXIT && !second) {
		wake_up();
	} else if (call->op == FAKE_OBSERVE && second && bench.device[1]->engaged) {
		if (bench.plan->woken_in == bench.cycle_number)
			fake_backend_wake(bench.device[1]);
		if (bench.plan->stopped_in == bench.cycle_number)
			eventfd_write(bench.test.stop_fd, 1);
		if (bench.plan->wakes_alone_in == bench.cycle_number && ++bench.looks == 3)
			bench.device[0]->observation.suspended = false;
	}
}

static void count_cycle(const struct power_test *test)
{
	bench.told++;
	assert_int_equal(test->count, bench.told);
}

static void start(const struct plan *plan)
{
	memset(&bench, 0, sizeof(bench));
	bench.plan = plan;
	for (unsigned int i = 0; i < 2; i++) {
		bench.device[i] = fake_backend_create_gpu(i ? "0000:01:00.1" : "0000:01:00.0",
							  false);
		bench.device[i]->hook = hook;
		bench.device[i]->tells = plan->state != NULL;
		bench.test.backend[i] = &bench.device[i]->backend;
		bench.test.with_wakeup[i] = true;
	}
	set_state("D0", false);
	if (plan->error)
		fake_backend_fail(bench.device[1], plan->fails, plan->error, 1, 1);
	bench.test.name = "0000:01:00";
	bench.test.cycles = CYCLES;
	bench.test.cycle = bench.cycle;
	bench.test.times = (struct power_test_times) {
		.poll_ms = 1, .suspend_ms = 20, .settle_ms = 5, .hold_ms = 3,
		.wake_ms = plan->slow_in ? 1 : 60000,
	};
	bench.test.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	bench.test.done = count_cycle;
	power_test_run(&bench.test);
}

/* Whatever happened, no function stays in low power that the host lets out of it, and none was
 * touched while in it. */
static void finish(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct fake_backend *device = bench.device[i];

		if (device->violations)
			fail_msg("%s: op %s while engaged", device->backend.name,
				 fake_op_name(device->violation.op));
		assert_true(!device->engaged || (bench.plan->fails == FAKE_EXIT && i == 1));
		device->with_wakeup = false; /* its eventfd is closed by now */
		device->backend.ops->close(&device->backend);
		fake_backend_destroy(device);
	}
	close(bench.test.stop_fd);
}

static const struct plan plans[] = {
	{.name = "D3cold", .state = "D3cold", .count = CYCLES, .depth = SLEEP_D3COLD},
	{.name = "D3hot", .state = "D3hot", .count = CYCLES, .depth = SLEEP_D3HOT},
	{.name = "D0", .state = "D0", .count = CYCLES, .depth = SLEEP_D0},
	{.name = "nobody tells", .count = CYCLES, .depth = SLEEP_UNTOLD},
	{.name = "awake", .state = "D3cold", .awake_in = 2, .fault = POWER_TEST_AWAKE, .count = 1,
	 .depth = SLEEP_D3COLD, .says = "cycle 2: the host did not suspend the slot within"},
	{.name = "woken", .state = "D3cold", .woken_in = 3, .fault = POWER_TEST_WOKEN, .count = 2,
	 .depth = SLEEP_D3COLD, .says = "cycle 3: 0000:01:00.1 was woken while it should sleep"},
	{.name = "wakes alone", .state = "D3cold", .wakes_alone_in = 1, .fault = POWER_TEST_WOKEN,
	 .says = "cycle 1: the slot left D3cold by itself: it is not suspended"},
	{.name = "sleeps on", .state = "D3cold", .sleeps_on_in = 1, .fault = POWER_TEST_LOST,
	 .says = "0000:01:00.0 was woken, but the host says that it is in D3cold"},
	{.name = "woken, and sleeps on", .state = "D3cold", .woken_in = 2, .sleeps_on_in = 2,
	 .fault = POWER_TEST_LOST, .count = 1, .depth = SLEEP_D3COLD,
	 .says = "cycle 2: 0000:01:00.0 was woken, but the host says that it is in D3cold"},
	{.name = "corrupt", .state = "D3cold", .corrupt_in = 2, .fault = POWER_TEST_LOST,
	 .count = 1, .depth = SLEEP_D3COLD,
	 .says = "0000:01:00.1 is not as it was before the sleep: config space at 0x10 (Base"},
	{.name = "ones", .state = "D3cold", .gone_in = 1, .fault = POWER_TEST_LOST,
	 .says = "cycle 1: 0000:01:00.0 reads as ones: it does not answer"},
	{.name = "stopped", .state = "D3cold", .stopped_in = 2, .fault = POWER_TEST_STOPPED,
	 .count = 1, .depth = SLEEP_D3COLD, .says = "stopped"},
	{.name = "stopped, and lost", .state = "D3cold", .stopped_in = 2, .gone_in = 2,
	 .fault = POWER_TEST_LOST, .count = 1, .depth = SLEEP_D3COLD,
	 .says = "0000:01:00.0 reads as ones"},
	{.name = "slow", .state = "D3cold", .slow_in = 2, .fault = POWER_TEST_LOST, .count = 1,
	 .depth = SLEEP_D3COLD, .says = "cycle 2: waking took 0 s"},
	{.name = "entry refused", .state = "D3cold", .fails = FAKE_ENTRY_WITH_WAKEUP, .error = -EIO,
	 .fault = POWER_TEST_REFUSED, .count = 1, .depth = SLEEP_D3COLD,
	 .says = "cycle 2: 0000:01:00.1 refuses low power: Input/output error"},
	{.name = "exit fails", .state = "D3cold", .fails = FAKE_EXIT, .error = -EIO,
	 .fault = POWER_TEST_LOST, .count = 1, .depth = SLEEP_D3COLD,
	 .says = "cycle 2: 0000:01:00.1 does not wake: Input/output error"},
	{.name = "cannot be read", .state = "D3cold", .fails = FAKE_REGION_READ, .error = -EIO,
	 .fault = POWER_TEST_LOST,
	 .says = "cycle 1: 0000:01:00.1: its config space cannot be read: Input/output error"},
};

static void test_power_test_plans(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(plans); i++) {
		const struct plan *plan = &plans[i];

		start(plan);
		if (bench.test.fault != plan->fault || bench.test.count != plan->count ||
		    power_test_depth(&bench.test) != plan->depth ||
		    !strstr(bench.test.why, plan->says ? plan->says : ""))
			fail_msg("%s: fault %d after %u cycles, %s: '%s'", plan->name,
				 (int)bench.test.fault, bench.test.count,
				 sleep_depth_name(power_test_depth(&bench.test)), bench.test.why);
		assert_int_equal(bench.test.why[0] == '\0', plan->fault == POWER_TEST_FINE);
		assert_int_equal(bench.told, plan->count);
		/* What somebody else did to it is not held against the card, unless it is lost. */
		assert_int_equal(power_test_is_verdict(&bench.test),
				 plan->fault != POWER_TEST_WOKEN &&
				 plan->fault != POWER_TEST_STOPPED);
		finish();
	}
}

/* With wake-up or without, as chosen; each entered and left once a cycle. */
static void test_power_test_calls(void **state)
{
	static const struct plan plan = {.state = "D3cold"};

	(void)state;
	start(&plan);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(bench.device[i]->count[FAKE_ENTRY_WITH_WAKEUP], CYCLES);
		assert_int_equal(bench.device[i]->count[FAKE_ENTRY], 0);
		assert_int_equal(bench.device[i]->count[FAKE_EXIT], CYCLES);
		assert_int_equal(bench.device[i]->count[FAKE_RESET], 0);
		assert_int_equal(bench.device[i]->count[FAKE_MAP_RAM], 0);
		assert_int_equal(bench.device[i]->count[FAKE_REGION_WRITE], 0);
	}
	finish();
}

static void test_power_test_without_features(void **state)
{
	static const struct plan plan = {.state = "D3cold", .fails = FAKE_LOW_POWER_PROBE};

	(void)state;
	memset(&bench, 0, sizeof(bench));
	bench.device[0] = fake_backend_create_gpu("0000:01:00.0", false);
	bench.device[1] = fake_backend_create_gpu("0000:01:00.1", false);
	bench.plan = &plan;
	bench.device[1]->features = 0;
	bench.test = (struct power_test) {
		.name = "0000:01:00", .cycles = CYCLES, .cycle = bench.cycle, .stop_fd = -1,
		.backend = {&bench.device[0]->backend, &bench.device[1]->backend},
	};
	power_test_run(&bench.test);
	assert_int_equal(bench.test.fault, POWER_TEST_ERROR);
	assert_string_equal(bench.test.why, "0000:01:00.1: the host offers no low power (Linux 6.1 "
			    "and later do)");
	assert_int_equal(bench.device[0]->count[FAKE_ENTRY], 0);
	bench.test.stop_fd = eventfd(0, EFD_CLOEXEC);
	finish();
}

/* --- what is said --- */

static void fill(struct power_test *test, unsigned int count, enum sleep_depth depth)
{
	*test = (struct power_test) {
		.name = "0000:01:00", .cycles = count, .count = count, .cycle = bench.cycle,
	};
	for (unsigned int i = 0; i < count; i++)
		bench.cycle[i] = (struct power_test_cycle) {
			.depth = depth, .entry_us = 10 * (count - i), .suspend_us = 1000,
			.wake_us = 100 + i,
		};
}

static void test_power_test_latency(void **state)
{
	struct verdict_latency latency;
	struct power_test test;

	(void)state;
	fill(&test, 0, SLEEP_D3COLD);
	power_test_latency(&test, offsetof(struct power_test_cycle, entry_us), &latency);
	assert_int_equal(latency.max_us, 0);
	fill(&test, 4, SLEEP_D3COLD);
	power_test_latency(&test, offsetof(struct power_test_cycle, entry_us), &latency);
	assert_int_equal(latency.min_us, 10);
	assert_int_equal(latency.median_us, 20);
	assert_int_equal(latency.p95_us, 40);
	assert_int_equal(latency.max_us, 40);
	fill(&test, 1, SLEEP_D3COLD);
	power_test_latency(&test, offsetof(struct power_test_cycle, wake_us), &latency);
	assert_int_equal(latency.min_us, 100);
	assert_int_equal(latency.p95_us, 100);
}

static void test_power_test_table(void **state)
{
	struct power_test test;
	struct text text = {0};

	(void)state;
	fill(&test, 4, SLEEP_D3COLD);
	test.cycle[2].depth = SLEEP_D3HOT;
	power_test_table(&test, &text);
	assert_string_equal(text.bytes,
		"milliseconds                   min        median           p95           max\n"
		"low power accepted           0.010         0.020         0.040         0.040\n"
		"suspended after              1.000         1.000         1.000         1.000\n"
		"awake again after            0.100         0.101         0.103         0.103\n"
		"state reached: D3cold in 3 of 4 cycles, D3hot in 1 of 4 cycles\n");
	assert_int_equal(power_test_depth(&test), SLEEP_D3HOT);
	text_finish(&text);
	fill(&test, 2, SLEEP_UNTOLD);
	power_test_table(&test, &text);
	assert_non_null(strstr(text.bytes, "state reached: the server does not tell\n"));
	assert_null(strstr(text.bytes, "suspended after"));
	text_finish(&text);
}

static void test_power_test_json(void **state)
{
	struct power_test test;
	struct text text = {0};

	(void)state;
	fill(&test, 2, SLEEP_D3COLD);
	test.fault = POWER_TEST_LOST;
	strcpy(test.why, "cycle 3: \"gone\"");
	power_test_json(&test, "/var/x.json", &text);
	assert_string_equal(text.bytes,
		"{\"slot\":\"0000:01:00\",\"result\":\"failed\","
		"\"reason\":\"cycle 3: \\\"gone\\\"\","
		"\"cycles\":2,\"state\":\"D3cold\",\"states\":{\"D0\":0,\"D3hot\":0,\"D3cold\":2},"
		"\"entry_us\":{\"min\":10,\"median\":10,\"p95\":20,\"max\":20},"
		"\"suspend_us\":{\"min\":1000,\"median\":1000,\"p95\":1000,\"max\":1000},"
		"\"wake_us\":{\"min\":100,\"median\":100,\"p95\":101,\"max\":101},"
		"\"recovery\":\"To recover: start the server of this device again.\\u000a\","
		"\"verdict\":\"/var/x.json\"}\n");
	text_finish(&text);
	/* awake and well: there is nothing to recover */
	test.fault = POWER_TEST_WOKEN;
	power_test_json(&test, NULL, &text);
	assert_non_null(strstr(text.bytes, "\"result\":\"disturbed\""));
	assert_non_null(strstr(text.bytes, "\"recovery\":null,\"verdict\":null}\n"));
	text_finish(&text);
}

static void test_power_test_ladder(void **state)
{
	struct fake_backend *device = fake_backend_create("0000:01:00.0");
	struct fake_backend *second = fake_backend_create("0000:01:00.1");
	struct power_test test;
	struct text text = {0};

	(void)state;
	fill(&test, 0, SLEEP_D3COLD);
	test.backend[0] = &device->backend;
	power_test_ladder(&test, &text);
	assert_string_equal(text.bytes, "To recover: start the server of this device again.\n");
	text_finish(&text);
	test.sysfs = "/sys";
	power_test_ladder(&test, &text);
	assert_non_null(strstr(text.bytes, "echo 1 >/sys/bus/pci/devices/0000:01:00.0/reset;"));
	assert_non_null(strstr(text.bytes, "echo bus >reset_method"));
	assert_non_null(strstr(text.bytes, "0000:01:00.0/remove; echo 1 >/sys/bus/pci/rescan; "
			       "minivmm bind 0000:01:00.0 --yes"));
	assert_non_null(strstr(text.bytes, "switch the host off and on"));
	text_finish(&text);
	/* Linux resets no bus for one function of several */
	test.backend[1] = &second->backend;
	power_test_ladder(&test, &text);
	assert_null(strstr(text.bytes, "reset_method"));
	assert_non_null(strstr(text.bytes, "BRIDGE_CONTROL=40:40"));
	text_finish(&text);
	device->backend.ops->close(&device->backend);
	second->backend.ops->close(&second->backend);
	fake_backend_destroy(device);
	fake_backend_destroy(second);
}

/* --- why it does not sleep --- */

static void put(const char *root, const char *path, const char *text)
{
	char full[PATH_MAX];
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	file = fopen(full, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void test_power_test_explain(void **state)
{
	static const char *const made[] = {
		"devices/pci0000:00/0000:00:01.0/0000:01:00.0/power",
		"devices/pci0000:00/0000:00:01.0/0000:01:01.0/power",
		"devices/pci0000:00/0000:00:01.0/power", "bus/pci/devices",
	};
	char root[] = "/tmp/test_power_test.XXXXXX", command[200];
	struct text text = {0};

	(void)state;
	assert_non_null(mkdtemp(root));
	for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
		snprintf(command, sizeof(command), "mkdir -p %s/%s", root, made[i]);
		assert_int_equal(system(command), 0);
	}
	snprintf(command, sizeof(command), "ln -s ../../../devices/pci0000:00/0000:00:01.0/"
		 "0000:01:00.0 %s/bus/pci/devices/0000:01:00.0", root);
	assert_int_equal(system(command), 0);
	power_test_explain(root, "0000:01:00", true, &text);
	assert_null(text.bytes);
	put(root, "devices/pci0000:00/0000:00:01.0/power/control", "on\n");
	put(root, "bus/pci/devices/0000:01:00.0/power/control", "auto\n");
	put(root, "bus/pci/devices/0000:01:00.0/d3cold_allowed", "0\n");
	put(root, "devices/pci0000:00/0000:00:01.0/0000:01:01.0/power/runtime_status", "active\n");
	power_test_explain(root, "0000:01:00", true, &text);
	assert_string_equal(text.bytes, "0000:01:00.0 has d3cold_allowed=0: as root, echo 1 "
		">/sys/bus/pci/devices/0000:01:00.0/d3cold_allowed; 0000:00:01.0 has "
		"power/control=on: as root, echo auto >/sys/bus/pci/devices/0000:00:01.0/power/"
		"control; 0000:01:01.0, below the same port, is awake");
	text_finish(&text);
	/* what keeps it out of D3cold does not keep it awake */
	power_test_explain(root, "0000:01:00", false, &text);
	assert_null(strstr(text.bytes, "d3cold_allowed"));
	text_finish(&text);
	power_test_explain(root, "0000:09:00", false, &text);
	assert_null(text.bytes);
	snprintf(command, sizeof(command), "rm -r %s", root);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_test_plans),
		cmocka_unit_test(test_power_test_calls),
		cmocka_unit_test(test_power_test_without_features),
		cmocka_unit_test(test_power_test_latency),
		cmocka_unit_test(test_power_test_table),
		cmocka_unit_test(test_power_test_json),
		cmocka_unit_test(test_power_test_ladder),
		cmocka_unit_test(test_power_test_explain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
