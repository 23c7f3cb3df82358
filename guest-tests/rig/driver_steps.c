/* What the words of a scenario do. README.md describes each. */
#include "guest-tests/rig/driver.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define BOOT_MS 120000U
#define ANSWER_MS 60000U
#define SYSFS_MS 30000U
#define EVENT_MS 20000U

struct step_type {
	const char *first, *second; /* second NULL: the rest is text */
	unsigned int words_min;     /* including first and second */
	int (*perform)(struct rig *rig, const struct words *words, const char *rest);
};

static unsigned int timeout_or(const struct words *words, unsigned int ms)
{
	return words->timeout_ms ? words->timeout_ms : ms;
}

/* Words after the first `skip`, without a timeout at the end. */
static unsigned int count_after(const struct words *words, unsigned int skip)
{
	return words->count - skip - (words->timeout_ms ? 1 : 0);
}

static int do_guest_kernel(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	snprintf(rig->vm.kernel, sizeof(rig->vm.kernel), "%s", rest);
	return 0;
}

static int do_append(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	snprintf(rig->vm.append, sizeof(rig->vm.append), "%s", rest);
	return 0;
}

/* run reads these; the driver has nothing to do for them. */
static int do_nothing(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rig;
	(void)words;
	(void)rest;
	return 0;
}

static int start(struct rig *rig)
{
	timeline_note("minivmm starts");
	return vm_start(rig) < 0 ? -1 : vm_wait_boot(rig, 1, BOOT_MS);
}

static void take_args(struct rig *rig, const char *text)
{
	text += strcspn(text, " ");
	snprintf(rig->vm.args, sizeof(rig->vm.args), "%s", text + strspn(text, " "));
}

static int do_vm_start(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	take_args(rig, rest);
	return start(rig);
}

static int do_vm_again(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	(void)rest;
	return start(rig);
}

static int check_status(struct rig *rig, const char *wanted)
{
	int status = rig->vm.status;

	if (WIFSIGNALED(status))
		return fail("minivmm was ended by signal %d, wanted exit status %s",
			    WTERMSIG(status), wanted);
	if (WEXITSTATUS(status) != atoi(wanted))
		return fail("minivmm ended with status %d, wanted %s", WEXITSTATUS(status), wanted);
	return 0;
}

/* vm refuses STATUS ARGUMENTS: it must end at once; the answer is its last line. */
static int do_vm_refuses(struct rig *rig, const struct words *words, const char *rest)
{
	take_args(rig, rest + strcspn(rest, " ") + 1);
	rig->answer[0] = '\0';
	if (vm_start(rig) < 0 || vm_wait_end(rig, ANSWER_MS) < 0)
		return -1;
	return check_status(rig, words->word[2]);
}

static int do_vm_wait_boot(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rest;
	return vm_wait_boot(rig, (unsigned int)atoi(words->word[2]), timeout_or(words, BOOT_MS));
}

static int do_vm_wait_exit(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rest;
	if (vm_wait_end(rig, timeout_or(words, ANSWER_MS)) < 0)
		return -1;
	return check_status(rig, words->word[2]);
}

static int do_vm_kill(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	(void)rest;
	timeline_note("minivmm is killed");
	return vm_kill(rig);
}

static int answer(struct rig *rig, const struct words *words, bool want_ok)
{
	if (vm_answer(rig, ANSWER_MS + words->timeout_ms) < 0)
		return -1;
	if (rig->vm.answer_ok != want_ok)
		return fail("the guest says %s: %s", rig->vm.answer_ok ? "OK" : "ERR", rig->answer);
	return 0;
}

static int do_guest(struct rig *rig, const struct words *words, const char *rest)
{
	return vm_ask(rig, rest) < 0 ? -1 : answer(rig, words, true);
}

static int do_guest_error(struct rig *rig, const struct words *words, const char *rest)
{
	return vm_ask(rig, rest) < 0 ? -1 : answer(rig, words, false);
}

static int do_guest_begin(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	return vm_ask(rig, rest);
}

static int do_guest_finish(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rest;
	return answer(rig, words, true);
}

static int do_expect(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	if (fnmatch(rest, rig->answer, 0))
		return fail("got '%s'", rig->answer);
	return 0;
}

static int do_expect_min(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	if (!isdigit((unsigned char)rig->answer[0]) || atol(rig->answer) < atol(rest))
		return fail("got '%s'", rig->answer);
	return 0;
}

static int do_host_read(struct rig *rig, const struct words *words, const char *rest)
{
	int error = host_read(words->word[2], rig->answer, sizeof(rig->answer));

	(void)rest;
	return error ? fail("%s", strerror(-error)) : 0;
}

static int do_host_write(struct rig *rig, const struct words *words, const char *rest)
{
	int error = host_write(words->word[2], words->word[3]);

	(void)rig;
	(void)rest;
	timeline_note("host writes %s", words->word[3]);
	return error ? fail("%s", strerror(-error)) : 0;
}

static int do_host_config(struct rig *rig, const struct words *words, const char *rest)
{
	unsigned int off = (unsigned int)strtoul(words->word[3], NULL, 0);
	unsigned int len = (unsigned int)strtoul(words->word[4], NULL, 0);

	(void)rest;
	timeline_note("host reads config");
	if (host_config(words->word[2], off, len, rig->answer, sizeof(rig->answer)) < 0)
		return -1;
	say("host: config of %s at %#x: %s", words->word[2], off, rig->answer);
	return 0;
}

static int do_host_irqs(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rest;
	host_irqs(words->word[2], rig->answer, sizeof(rig->answer));
	say("host: interrupts of %s: %s", words->word[2], rig->answer);
	return 0;
}

struct look {
	struct sample sample;
	const char *value;
	bool want_same; /* enough when the value is there; else enough when it is not */
};

static int looked(struct rig *rig, void *arg)
{
	struct look *look = arg;

	(void)rig;
	sample_read(&look->sample);
	return !strcmp(look->sample.value, look->value) == look->want_same;
}

static int look(struct rig *rig, const struct words *words, bool want_same, unsigned int ms,
		char *seen, size_t size)
{
	struct look look = {.value = words->word[4], .want_same = want_same};
	int result;

	if (sample_open(&look.sample, words->word[2], words->word[3]) < 0)
		return -1;
	rig->sampling = true;
	result = rig_wait(rig, looked, &look, ms);
	rig->sampling = false;
	snprintf(seen, size, "%s", look.sample.value);
	sample_close(&look.sample);
	return result;
}

static int do_host_wait(struct rig *rig, const struct words *words, const char *rest)
{
	unsigned int ms = timeout_or(words, SYSFS_MS);
	char seen[NAME_MAX_BYTES];
	int result = look(rig, words, true, ms, seen, sizeof(seen));

	(void)rest;
	return result == WAIT_TIMEOUT ? fail("still '%s' after %u ms", seen, ms) : result;
}

/* host stays DEVICE ATTRIBUTE VALUE TIME: as long as that it must not change. */
static int do_host_stays(struct rig *rig, const struct words *words, const char *rest)
{
	char seen[NAME_MAX_BYTES];
	int result = look(rig, words, false, timeout_or(words, 1000), seen, sizeof(seen));

	(void)rest;
	if (result == 0)
		return fail("became '%s'", seen);
	return result == WAIT_TIMEOUT ? 0 : result;
}

struct search {
	char *const *criteria;
	unsigned int count;
};

static int found_event(struct rig *rig, void *arg)
{
	const struct search *search = arg;
	struct events *events = &rig->events;

	while (events->cursor < events->count) {
		const char *line = events->list[events->cursor++];

		if (!event_matches(line, search->criteria, search->count))
			continue;
		snprintf(rig->answer, sizeof(rig->answer), "%s", line);
		return 1;
	}
	return 0;
}

static int do_event_expect(struct rig *rig, const struct words *words, const char *rest)
{
	struct search search = {.criteria = words->word + 2, .count = count_after(words, 2)};
	unsigned int ms = timeout_or(words, EVENT_MS);
	int result = rig_wait(rig, found_event, &search, ms);

	(void)rest;
	return result == WAIT_TIMEOUT ? fail("no such event within %u ms", ms) : result;
}

static size_t count_events(const struct rig *rig, size_t from, char *const *criteria,
			   unsigned int criteria_count)
{
	size_t count = 0;

	for (size_t i = from; i < rig->events.count; i++)
		count += event_matches(rig->events.list[i], criteria, criteria_count);
	return count;
}

static int do_event_none(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rest;
	events_pump(rig);
	if (count_events(rig, rig->events.cursor, words->word + 2, count_after(words, 2)))
		return fail("there is such an event");
	return 0;
}

/* event count N CRITERIA: in the whole life of this VM. */
static int do_event_count(struct rig *rig, const struct words *words, const char *rest)
{
	size_t wanted = strtoul(words->word[2], NULL, 10), count;

	(void)rest;
	events_pump(rig);
	count = count_events(rig, 0, words->word + 3, count_after(words, 3));
	return count == wanted ? 0 : fail("there are %zu", count);
}

/* event min N CRITERIA: at least so many; a PME may be sent again where the guest is slow. */
static int do_event_min(struct rig *rig, const struct words *words, const char *rest)
{
	size_t wanted = strtoul(words->word[2], NULL, 10), count;

	(void)rest;
	events_pump(rig);
	count = count_events(rig, 0, words->word + 3, count_after(words, 3));
	return count >= wanted ? 0 : fail("there are %zu", count);
}

static int do_watch(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rest;
	if (rig->watches == WATCH_MAX)
		return fail("more than %d watches", WATCH_MAX);
	if (sample_open(&rig->watch[rig->watches], words->word[1], words->word[2]) < 0)
		return -1;
	sample_read(&rig->watch[rig->watches++]);
	return 0;
}

static int do_note(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rig;
	(void)words;
	timeline_note("%s", rest);
	return 0;
}

static int do_timeline(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	(void)rest;
	timeline_print(&rig->events);
	return 0;
}

static const struct step_type step_types[] = {
	{"host-kernel", NULL, 2, do_nothing},
	{"timeout", NULL, 2, do_nothing},
	{"guest-kernel", NULL, 2, do_guest_kernel},
	{"append", NULL, 1, do_append},
	{"vm", "start", 2, do_vm_start},
	{"vm", "again", 2, do_vm_again},
	{"vm", "refuses", 3, do_vm_refuses},
	{"vm", "wait-boot", 3, do_vm_wait_boot},
	{"vm", "wait-exit", 3, do_vm_wait_exit},
	{"vm", "kill", 2, do_vm_kill},
	{"guest", NULL, 2, do_guest},
	{"guest-error", NULL, 2, do_guest_error},
	{"guest-begin", NULL, 2, do_guest_begin},
	{"guest-finish", NULL, 1, do_guest_finish},
	{"expect", NULL, 1, do_expect},
	{"expect-min", NULL, 2, do_expect_min},
	{"host", "read", 3, do_host_read},
	{"host", "write", 4, do_host_write},
	{"host", "config", 5, do_host_config},
	{"host", "irqs", 3, do_host_irqs},
	{"host", "wait", 5, do_host_wait},
	{"host", "stays", 5, do_host_stays},
	{"event", "expect", 3, do_event_expect},
	{"event", "none", 3, do_event_none},
	{"event", "count", 4, do_event_count},
	{"event", "min", 4, do_event_min},
	{"watch", NULL, 3, do_watch},
	{"note", NULL, 2, do_note},
	{"timeline", NULL, 1, do_timeline},
};

int step_perform(struct rig *rig, struct words *words, const char *rest)
{
	for (size_t i = 0; i < sizeof(step_types) / sizeof(step_types[0]); i++) {
		const struct step_type *type = &step_types[i];

		if (strcmp(words->word[0], type->first) != 0)
			continue;
		if (type->second && (words->count < 2 || strcmp(words->word[1], type->second) != 0))
			continue;
		if (words->count < type->words_min)
			return fail("words are missing");
		return type->perform(rig, words, rest);
	}
	return fail("unknown step");
}
