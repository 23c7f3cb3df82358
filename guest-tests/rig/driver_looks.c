/* What scenarios look at from outside the guest: the host's sysfs, and the events of minivmm. */
#include "guest-tests/rig/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest-tests/rig/irqs.h"

#define SYSFS_MS 30000U
#define EVENT_MS 20000U

/* Words after the first `skip`, without a timeout at the end. */
static unsigned int count_after(const struct words *words, unsigned int skip)
{
	return words->count - skip - (words->timeout_ms ? 1 : 0);
}

int do_host_read(struct rig *rig, const struct words *words, const char *rest)
{
	int error = host_read(words->word[2], rig->answer, sizeof(rig->answer));

	(void)rest;
	return error ? fail("%s", strerror(-error)) : 0;
}

int do_host_write(struct rig *rig, const struct words *words, const char *rest)
{
	int error = host_write(words->word[2], words->word[3]);

	(void)rig;
	(void)rest;
	timeline_note("host writes %s", words->word[3]);
	return error ? fail("%s", strerror(-error)) : 0;
}

int do_host_config(struct rig *rig, const struct words *words, const char *rest)
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

int do_host_irqs(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rest;
	if (irqs_of(words->word[2], rig->answer, sizeof(rig->answer)) < 0)
		return fail("no /proc/interrupts");
	say("host: interrupts of %s: %s", words->word[2], rig->answer);
	return 0;
}

/* host module FILE: one of those of the guests, too. */
int do_host_module(struct rig *rig, const struct words *words, const char *rest)
{
	char path[256];

	(void)rig;
	(void)rest;
	snprintf(path, sizeof(path), "/modules/%s", words->word[2]);
	say("host: loading %s", path);
	return host_load_module(path);
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

int do_host_wait(struct rig *rig, const struct words *words, const char *rest)
{
	unsigned int ms = timeout_or(words, SYSFS_MS);
	char seen[NAME_MAX_BYTES];
	int result = look(rig, words, true, ms, seen, sizeof(seen));

	(void)rest;
	return result == WAIT_TIMEOUT ? fail("still '%s' after %u ms", seen, ms) : result;
}

/* host stays DEVICE ATTRIBUTE VALUE TIME: as long as that it must not change. */
int do_host_stays(struct rig *rig, const struct words *words, const char *rest)
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

int do_event_expect(struct rig *rig, const struct words *words, const char *rest)
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

int do_event_none(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rest;
	events_pump(rig);
	if (count_events(rig, rig->events.cursor, words->word + 2, count_after(words, 2)))
		return fail("there is such an event");
	return 0;
}

/* event count N CRITERIA: in the whole life of this VM. */
int do_event_count(struct rig *rig, const struct words *words, const char *rest)
{
	size_t wanted = strtoul(words->word[2], NULL, 10), count;

	(void)rest;
	events_pump(rig);
	count = count_events(rig, 0, words->word + 3, count_after(words, 3));
	return count == wanted ? 0 : fail("there are %zu", count);
}

/* event min N CRITERIA: at least so many; a PME may be sent again where the guest is slow. */
int do_event_min(struct rig *rig, const struct words *words, const char *rest)
{
	size_t wanted = strtoul(words->word[2], NULL, 10), count;

	(void)rest;
	events_pump(rig);
	count = count_events(rig, 0, words->word + 3, count_after(words, 3));
	return count >= wanted ? 0 : fail("there are %zu", count);
}

/* event last CRITERIA: the answer is the last one in the life of this VM. */
int do_event_last(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rest;
	events_pump(rig);
	for (size_t i = rig->events.count; i-- > 0;) {
		const char *line = rig->events.list[i];

		if (!event_matches(line, words->word + 2, count_after(words, 2)))
			continue;
		snprintf(rig->answer, sizeof(rig->answer), "%s", line);
		return 0;
	}
	return fail("there is no such event");
}

int do_watch(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rest;
	if (rig->watches == WATCH_MAX)
		return fail("more than %d watches", WATCH_MAX);
	if (sample_open(&rig->watch[rig->watches], words->word[1], words->word[2]) < 0)
		return -1;
	sample_read(&rig->watch[rig->watches++]);
	return 0;
}
