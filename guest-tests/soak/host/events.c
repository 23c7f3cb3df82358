/* Counts events: a few keys of each line, found as text. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest-tests/soak/host/watch.h"

bool find_number(const char *text, const char *end, const char *key, uint64_t *ret_number)
{
	const char *at = strstr(text, key);

	if (!at || (end && at >= end) || !isdigit((unsigned char)at[strlen(key)]))
		return false;
	*ret_number = strtoull(at + strlen(key), NULL, 10);
	return true;
}

/* The string of `key`, which the event log never escapes for those asked for here. */
static bool find_word(const char *line, const char *key, char word[VALUE_MAX])
{
	char quoted[VALUE_MAX];
	const char *at;
	size_t len;

	snprintf(quoted, sizeof(quoted), "\"%s\":\"", key);
	at = strstr(line, quoted);
	if (!at)
		return false;
	at += strlen(quoted);
	len = strcspn(at, "\"");
	if (len >= VALUE_MAX)
		return false;
	memcpy(word, at, len);
	word[len] = 0;
	return true;
}

/* "vfio-user:slot.1" is function 1. */
static bool find_function(const char *line, unsigned int *ret_fn)
{
	char device[VALUE_MAX], *dot;

	if (!find_word(line, "device", device))
		return false;
	dot = strrchr(device, '.');
	if (!dot || !isdigit((unsigned char)dot[1]) || dot[2])
		return false;
	*ret_fn = (unsigned int)(dot[1] - '0');
	return *ret_fn < FUNCTIONS_MAX;
}

static void count_power(struct events *events, unsigned int fn, const char *line)
{
	char to[VALUE_MAX] = "", error[VALUE_MAX] = "";

	find_word(line, "to", to);
	find_word(line, "errno", error);
	events->engaged += !strcmp(to, "engaged");
	events->woken += !strcmp(to, "woken");
	events->lost += !strcmp(to, "lost");
	/* ECANCELED: another function is the one that refused. */
	events->refused += !strcmp(to, "refused") && strcmp(error, "ECANCELED");
	if (!strcmp(to, "on"))
		events->told[fn] = false;
}

static void count_pme(struct events *events, unsigned int fn, const char *line)
{
	(void)line;
	events->pmes += !events->told[fn];
	events->pmes_again += events->told[fn];
	events->told[fn] = true;
}

static void count_notify(struct events *events, unsigned int fn, const char *line)
{
	(void)line;
	events->notifies += !events->told[fn];
}

/* Numbers that are 0 are not there. */
static void take_counters(struct events *events, unsigned int fn, const char *line)
{
	struct counters *counters = &events->counters[fn];

	*counters = (struct counters){.came = true};
	find_number(line, NULL, "\"entries\":", &counters->entries);
	find_number(line, NULL, "\"refusals\":", &counters->refusals);
	find_number(line, NULL, "\"wakes_unknown\":", &counters->wakes);
	find_number(line, NULL, "\"wakes_own\":", &counters->own_wakes);
	find_number(line, NULL, "\"losses\":", &counters->losses);
}

void events_count(struct events *events, const char *line)
{
	static const struct {
		const char *name;
		void (*count)(struct events *events, unsigned int fn, const char *line);
	} kinds[] = {
		{"power", count_power},
		{"pme", count_pme},
		{"notify", count_notify},
		{"counters", take_counters},
	};
	size_t len = strlen(line);
	char name[VALUE_MAX];
	unsigned int fn;

	events->lines++;
	if (len < 2 || line[0] != '{' || line[len - 1] != '}' || !find_word(line, "event", name)) {
		events->malformed++;
		return;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].name, name) && find_function(line, &fn))
			kinds[i].count(events, fn, line);
}

struct counters events_total(const struct events *events)
{
	struct counters total = {0};

	for (unsigned int i = 0; i < FUNCTIONS_MAX; i++) {
		const struct counters *counters = &events->counters[i];

		total.came |= counters->came;
		total.entries += counters->entries;
		total.refusals += counters->refusals;
		total.wakes += counters->wakes;
		total.own_wakes += counters->own_wakes;
		total.losses += counters->losses;
	}
	return total;
}
