/*
 * minivmm power-test: does this card come back from low power, on this host, under this kernel?
 * Tried without a guest, so that nobody loses work when it does not.
 */
#include "tools/power_test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "tools/tools.h"
#include "vfio/backend.h"
#include "vfio/quirks.h"
#include "vfio/slot_open.h"
#include "vfio/vfio.h"
#include "vmm/base/log.h"
#include "vmm/base/text.h"

#define HOLD_MAX_S 3600
#define WAKE_MAX_S 60

static const char help[] =
	"Usage: minivmm power-test SLOT [--cycles N] [--hold SECONDS] [--json] [--force]\n"
	"Put a PCI slot to sleep and wake it again and again, without a guest, and see whether it\n"
	"always comes back as it was.\n"
	"\n"
	"SLOT as for --gpu: 01:00.0, 0000:01:00.0 or vfio-user:PATH. It must be bound to vfio-pci\n"
	"(minivmm bind) and in no use.\n"
	"\n"
	"  --cycles N        how often; default 10\n"
	"  --hold SECONDS    how long each sleep lasts at least; default 1\n"
	"  --json            one JSON object instead of the table\n"
	"  --force           also a card that is known not to come back\n"
	"\n"
	"The verdict is kept in " VERDICT_DIR ", where power=auto finds it.\n"
	"Exit status: 0 passed, in D3cold each time; 3 passed, but D3cold was not seen each time;\n"
	"1 failed, disturbed, stopped or not possible; 2 wrong usage.\n";

struct request {
	const char *slot;
	unsigned int cycles, hold_s;
	bool json, force, help;
};

/* --- the command line --- */

static bool parse_number(const char *text, unsigned int max, unsigned int *ret_number)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || number > max)
		return false;
	*ret_number = (unsigned int)number;
	return true;
}

/* Takes option number `*at` of `argv`; false: a line says what is wrong. */
static bool parse_option(char *argv[], int *at, struct request *request)
{
	const char *option = argv[*at], *value = argv[*at + 1];

	if (!strcmp(option, "--json"))
		return request->json = true;
	if (!strcmp(option, "--force"))
		return request->force = true;
	if (!strcmp(option, "--help"))
		return request->help = true;
	if (!strcmp(option, "--cycles")) {
		++*at;
		if (value && parse_number(value, POWER_TEST_CYCLES_MAX, &request->cycles) &&
		    request->cycles)
			return true;
		log_err("power-test: --cycles %s: not a number from 1 to %u", value ? value : "",
			POWER_TEST_CYCLES_MAX);
		return false;
	}
	if (!strcmp(option, "--hold")) {
		++*at;
		if (value && parse_number(value, HOLD_MAX_S, &request->hold_s))
			return true;
		log_err("power-test: --hold %s: not a number of seconds from 0 to %u",
			value ? value : "", HOLD_MAX_S);
		return false;
	}
	log_err("power-test: %s: unknown option; try minivmm power-test --help", option);
	return false;
}

static bool parse(int argc, char *argv[], struct request *ret_request)
{
	*ret_request = (struct request){.cycles = POWER_TEST_CYCLES, .hold_s = 1};
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-') {
			if (!parse_option(argv, &i, ret_request))
				return false;
			continue;
		}
		if (ret_request->slot) {
			log_err("power-test: two slots, %s and %s; one at a time",
				ret_request->slot, argv[i]);
			return false;
		}
		ret_request->slot = argv[i];
	}
	if (ret_request->slot || ret_request->help)
		return true;
	log_err("power-test: which slot? Give the address of a function, as in 01:00.0; try "
		"minivmm power-test --help");
	return false;
}

/* --- what may be tested, and how --- */

/* Cards of which it is known that they do not come back: to try it may cost a power cycle. Whoever
 * asks for plain low power gets it; else each sleep has the wake-up by which one is noticed. */
static bool choose(struct power_test *test, const struct vfio_slot_config *config, bool force)
{
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		struct vfio_backend *backend = test->backend[i];
		struct quirk_verdict quirk;
		struct policy_facts facts;

		if (!backend)
			continue;
		vfio_slot_learn(backend, test->sysfs, NULL, &facts);
		quirks_match(NULL, &facts, &quirk);
		if (quirk.power > POLICY_POWER_D3COLD && !force) {
			log_err("%s: %s; to try it all the same may cost a power cycle of the "
				"host: --force", backend->name, quirk.power_reason);
			return false;
		}
		test->with_wakeup[i] = quirk.reentry == POWER_REENTRY_GUEST ||
			(config->reentry != POWER_REENTRY_HOST && !facts.wakeup_error);
	}
	return true;
}

/* --- the verdict --- */

static void fill_reason(const struct power_test *test, char *ret_reason, size_t size)
{
	enum sleep_depth depth = power_test_depth(test);

	if (test->fault)
		snprintf(ret_reason, size, "%s", test->why);
	else
		snprintf(ret_reason, size, "%s in %u of %u cycles", sleep_depth_name(depth),
			 power_test_depth_count(test, depth), test->count);
}

/* Not strftime(), which would bring time zones into the program. */
static void put_date(char *ret_date, size_t size)
{
	time_t now = time(NULL);
	struct tm utc;

	gmtime_r(&now, &utc);
	snprintf(ret_date, size, "%04u-%02u-%02uT%02u:%02u:%02uZ",
		 (unsigned int)(utc.tm_year + 1900) % 10000, (unsigned int)(utc.tm_mon + 1) % 100,
		 (unsigned int)utc.tm_mday % 100, (unsigned int)utc.tm_hour % 100,
		 (unsigned int)utc.tm_min % 100, (unsigned int)utc.tm_sec % 100);
}

/* Keeps it; true: `ret_path` is where. What says nothing of the card is no verdict. */
static bool keep_verdict(const struct power_test *test, char *ret_path, size_t size)
{
	struct verdict verdict = {
		.passed = !test->fault, .cycles = test->count,
	};
	const char *state = sleep_depth_name(power_test_depth(test));
	char why[300];

	if (!test->sysfs || !power_test_is_verdict(test))
		return false;
	if (!verdict_identify(test->sysfs, test->name, &verdict.subject)) {
		log_warn("%s is not in sysfs any more, so no verdict is kept", test->name);
		return false;
	}
	put_date(verdict.date, sizeof(verdict.date));
	snprintf(verdict.state, sizeof(verdict.state), "%s", state[0] ? state : "unknown");
	fill_reason(test, verdict.reason, sizeof(verdict.reason));
	power_test_latency(test, offsetof(struct power_test_cycle, entry_us), &verdict.entry);
	power_test_latency(test, offsetof(struct power_test_cycle, suspend_us), &verdict.suspend);
	power_test_latency(test, offsetof(struct power_test_cycle, wake_us), &verdict.wake);
	if (verdict_write(verdict_dir(), &verdict, why, sizeof(why))) {
		log_warn("%s", why);
		return false;
	}
	snprintf(ret_path, size, "%s/%s.json", verdict_dir(), test->name);
	return true;
}

/* --- what is said --- */

/* On a terminal each cycle has its line, elsewhere ten of them have. */
static void tell_cycle(const struct power_test *test)
{
	const struct power_test_cycle *cycle = &test->cycle[test->count - 1];
	unsigned int step = isatty(STDERR_FILENO) ? 1 : (test->cycles + 9) / 10;
	const char *depth = sleep_depth_name(cycle->depth);

	if (test->count % step && test->count != test->cycles)
		return;
	log_info("cycle %u of %u: %s%sawake again after %u ms", test->count, test->cycles, depth,
		 depth[0] ? ", " : "", (unsigned int)(cycle->wake_us / 1000));
}

/* Where D3cold was not seen: what of it can be put right. */
static void add_shallow(const struct power_test *test, struct text *text)
{
	struct text why = {0};
	enum sleep_depth depth = power_test_depth(test);

	if (test->fault || depth == SLEEP_D3COLD || depth == SLEEP_UNTOLD)
		return;
	power_test_explain(test->sysfs, test->name, true, &why);
	text_add(text, "why not D3cold: %s reached %s; %s\n",
		 test->backend[test->shallowest]->name, sleep_depth_name(depth), why.bytes ?
		 why.bytes : "sysfs shows nothing in the way, so the board may have no power "
		 "switch for it (ACPI _PR3)");
	text_finish(&why);
}

static void add_advice(const struct power_test *test, const char *kept, struct text *text)
{
	add_shallow(test, text);
	if (test->fault == POWER_TEST_LOST)
		power_test_ladder(test, text);
	else if (test->fault > POWER_TEST_ERROR)
		text_add(text, "The card is awake and answers. Put right what is in the way and "
			 "test again.\n");
	if (kept)
		text_add(text, "verdict kept in %s\n", kept);
	else if (!test->sysfs)
		text_add(text, "no verdict is kept: this is no card of the host\n");
	else if (test->fault == POWER_TEST_WOKEN)
		text_add(text, "no verdict is kept, an earlier one stays: it did come back\n");
}

static int report(const struct power_test *test, bool json)
{
	char path[300];
	const char *kept = keep_verdict(test, path, sizeof(path)) ? path : NULL;
	struct text text = {0};
	int status = test->fault ? TOOL_FAILED :
		     power_test_depth(test) == SLEEP_D3COLD ? TOOL_OK : POWER_TEST_SHALLOW;

	if (json) {
		power_test_json(test, kept, &text);
	} else {
		power_test_table(test, &text);
		text_add(&text, "%s: %s after %u cycles\n", test->name, power_test_result(test),
			 test->count);
		add_advice(test, kept, &text);
	}
	if (test->fault)
		log_err("%s: %s", test->name, test->why);
	if (text.failed || tool_say(text.bytes, text.len))
		status = TOOL_FAILED;
	text_finish(&text);
	return status;
}

/* --- the command --- */

/* Whoever ends the test gets the card back awake: signals are read between its steps. */
static int open_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int run_open(struct power_test *test, const struct request *request,
		    const struct vfio_slot_config *config)
{
	int status = TOOL_FAILED;

	test->sysfs = vfio_slot_sysfs(config);
	test->cycles = request->cycles;
	test->times = power_test_times;
	test->times.hold_ms = 1000 * request->hold_s;
	test->done = tell_cycle;
	test->cycle = calloc(request->cycles, sizeof(*test->cycle));
	if (!test->cycle) {
		log_err("power-test: out of memory");
	} else if (choose(test, config, request->force)) {
		power_test_run(test);
		status = report(test, request->json);
	}
	free(test->cycle);
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (test->backend[i])
			test->backend[i]->ops->close(test->backend[i]);
	return status;
}

/* Before the card is touched: a test that leaves no verdict is for nothing. */
static bool can_keep_verdict(const struct vfio_slot_config *config)
{
	char why[512];

	if (!vfio_slot_sysfs(config) || !verdict_check(verdict_dir(), why, sizeof(why)))
		return true;
	log_err("power-test: %s", why);
	return false;
}

static int run_slot(const struct request *request, struct vfio_slot_config *config,
		    struct watch *watch)
{
	struct vfio_container *container = vfio_container_create(VFIO_BACKEND_AUTO);
	struct power_test test = {.stop_fd = open_signals(), .watch = watch};
	char name[SLOT_NAME_MAX], why[1024] = "out of memory";
	int error = -ENOMEM, status = TOOL_FAILED;

	/* A server that has not woken its device by then is late. */
	if (config->resume_timeout_s > WAKE_MAX_S)
		config->resume_timeout_s = WAKE_MAX_S;
	watch_set(watch, "opening the slot");
	if (container)
		error = vfio_slot_open(container, config, name, test.backend, why, sizeof(why));
	watch_set(watch, NULL);
	test.name = name;
	if (error)
		log_err("%s", why);
	else
		status = run_open(&test, request, config);
	if (container)
		vfio_container_destroy(container);
	if (test.stop_fd >= 0)
		close(test.stop_fd);
	return status;
}

int tool_power_test(int argc, char *argv[])
{
	struct request request;
	struct vfio_slot_config config;
	char why[512];
	struct watch *watch;
	int status;

	if (!parse(argc, argv, &request))
		return TOOL_USAGE;
	if (request.help)
		return tool_say(help, strlen(help));
	if (vfio_slot_parse(request.slot, &config, why, sizeof(why))) {
		log_err("power-test: %s: %s", request.slot, why);
		return TOOL_USAGE;
	}
	if (!can_keep_verdict(&config))
		return TOOL_FAILED;
	watch = watch_create();
	status = run_slot(&request, &config, watch);
	watch_destroy(watch);
	return status;
}
