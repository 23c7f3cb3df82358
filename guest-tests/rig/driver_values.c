/* Steps about the answer: what was read is compared, or kept under a name for later lines. */
#include "guest-tests/rig/driver.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define VALUES_MAX 8

static struct {
	char name[NAME_MAX_BYTES];
	char text[NAME_MAX_BYTES];
} values[VALUES_MAX];

const char *value_find(const char *name, size_t len)
{
	for (unsigned int i = 0; i < VALUES_MAX && values[i].name[0]; i++)
		if (strlen(values[i].name) == len && !strncmp(values[i].name, name, len))
			return values[i].text;
	return NULL;
}

/* keep NAME: from here on {NAME} is the answer. */
int do_keep(struct rig *rig, const struct words *words, const char *rest)
{
	unsigned int i = 0;

	(void)rest;
	while (i < VALUES_MAX && values[i].name[0] && strcmp(values[i].name, words->word[1]) != 0)
		i++;
	if (i == VALUES_MAX)
		return fail("more than %d names", VALUES_MAX);
	snprintf(values[i].name, sizeof(values[i].name), "%s", words->word[1]);
	snprintf(values[i].text, sizeof(values[i].text), "%.*s",
		 (int)sizeof(values[i].text) - 1, rig->answer);
	say("kept: %s is %s", values[i].name, values[i].text);
	return 0;
}

/* random LOW HIGH: the answer is a number of that range. */
int do_random(struct rig *rig, const struct words *words, const char *rest)
{
	unsigned long low = strtoul(words->word[1], NULL, 0);
	unsigned long high = strtoul(words->word[2], NULL, 0), number;

	(void)rest;
	if (high <= low || getrandom(&number, sizeof(number), 0) != sizeof(number))
		return fail("no number from %lu to %lu", low, high);
	snprintf(rig->answer, sizeof(rig->answer), "%lu",
		 low + number % (high - low + 1));
	return 0;
}

int do_expect(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	if (fnmatch(rest, rig->answer, 0))
		return fail("got '%s'", rig->answer);
	return 0;
}

int do_expect_not(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	return fnmatch(rest, rig->answer, 0) ? 0 : fail("got '%s'", rig->answer);
}

static bool is_number(const struct rig *rig)
{
	return isdigit((unsigned char)rig->answer[0]);
}

int do_expect_min(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	if (!is_number(rig) || atol(rig->answer) < atol(rest))
		return fail("got '%s'", rig->answer);
	return 0;
}

int do_expect_max(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	if (!is_number(rig) || atol(rig->answer) > atol(rest))
		return fail("got '%s'", rig->answer);
	return 0;
}

/* expect-near NUMBER PERCENT */
int do_expect_near(struct rig *rig, const struct words *words, const char *rest)
{
	long wanted = atol(words->word[1]), off = atol(rig->answer) - wanted;

	(void)rest;
	if (!is_number(rig) || labs(off) * 100 > wanted * atol(words->word[2]))
		return fail("got '%s'", rig->answer);
	return 0;
}

/* field KEY: of the answer, an event. */
int do_field(struct rig *rig, const struct words *words, const char *rest)
{
	char line[TEXT_MAX];

	(void)rest;
	memcpy(line, rig->answer, sizeof(line));
	if (!event_field(line, words->word[1], rig->answer, sizeof(rig->answer)))
		return fail("'%s' has none", line);
	say("field: %s is %s", words->word[1], rig->answer);
	return 0;
}

/* host suspended DEVICE: microseconds more than when the scenario last asked. */
int do_host_suspended(struct rig *rig, const struct words *words, const char *rest)
{
	static long long before[DEVICE_COUNT];
	char path[256], text[32];
	long long now;
	int error;

	(void)rest;
	snprintf(path, sizeof(path), SYSFS_PCI "%s/power/runtime_suspended_time", words->word[2]);
	error = host_read(path, text, sizeof(text));
	if (error)
		return fail("%s: %s", path, strerror(-error));
	now = atoll(text) * 1000;
	for (size_t i = 0; i < DEVICE_COUNT; i++) {
		if (strcmp(rig->device[i].bdf, words->word[2]) != 0)
			continue;
		snprintf(rig->answer, sizeof(rig->answer), "%lld", now - before[i]);
		before[i] = now;
		say("host: %s was suspended for %s us", words->word[2], rig->answer);
		return 0;
	}
	return fail("no device of the rig");
}
