/*
 * The power timeline: what the VMM reported and what the host's sysfs showed, on one clock. Lines
 * begin with "TIMELINE ", so that a script can cut them out of the log.
 */
#include "guest-tests/rig/driver.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	uint64_t us;
	bool is_state;   /* text is the host's new power_state, else a note */
	char text[96];
};

#define ENTRIES_MAX 1024
static struct entry entries[ENTRIES_MAX];
static unsigned int entry_count;
static char device[16]; /* the first one that was sampled: the timeline is about it */
static char last_state[16];

static void add(bool is_state, const char *text)
{
	struct entry *entry;

	if (entry_count == ENTRIES_MAX)
		return;
	entry = &entries[entry_count++];
	entry->us = now_us();
	entry->is_state = is_state;
	snprintf(entry->text, sizeof(entry->text), "%s", text);
}

void timeline_host(const char *bdf, const char *attribute, const char *value)
{
	if (strcmp(attribute, "power_state") != 0)
		return;
	if (!device[0])
		snprintf(device, sizeof(device), "%s", bdf);
	if (strcmp(device, bdf) != 0 || !strcmp(last_state, value))
		return;
	snprintf(last_state, sizeof(last_state), "%s", value);
	add(true, value);
}

void timeline_note(const char *fmt, ...)
{
	char text[sizeof(entries[0].text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add(false, text);
}

#define COLUMNS "%-10s  %-28s  %-16s  %-9s  %s\n"

static void print_row(uint64_t us, const char *state, const char *event, const char *change,
		      const char *cause, const char *latency)
{
	printf("TIMELINE %8.3f  " COLUMNS, (double)us / 1e6, state, event, change, cause, latency);
}

static void print_event(const char *line, uint64_t us, const char *state)
{
	char event[64] = "", from[32] = "", to[32] = "", cause[32] = "", change[72] = "";
	char number[24], error[16] = "", latency[48] = "";

	event_field(line, "event", event, sizeof(event));
	event_field(line, "cause", cause, sizeof(cause));
	event_field(line, "from", from, sizeof(from));
	event_field(line, "errno", error, sizeof(error));
	if (event_field(line, "to", to, sizeof(to)))
		snprintf(change, sizeof(change), "%s -> %s", from, to);
	if (event_field(line, "latency_us", number, sizeof(number)))
		snprintf(latency, sizeof(latency), "%8.3f ms %s", strtod(number, NULL) / 1e3,
			 error);
	print_row(us, state, event, change, cause, latency[0] ? latency : error);
}

static uint64_t event_us(const struct events *events, size_t i)
{
	char text[24] = "0";

	event_field(events->list[i], "t_us", text, sizeof(text));
	return strtoull(text, NULL, 10);
}

/* An entry from before the VM's start counts as of its start. */
static uint64_t entry_us(const struct events *events, const struct entry *entry)
{
	return entry->us > events->zero_us ? entry->us - events->zero_us : 0;
}

void timeline_print(const struct events *events)
{
	const char *state = "";
	size_t next_event = 0;
	unsigned int next = 0;

	printf("TIMELINE   time/s  " COLUMNS, "host", "event", "from -> to", "cause",
	       "host's answer");
	while (next < entry_count || next_event < events->count) {
		const struct entry *entry = &entries[next];
		bool take_entry = next_event == events->count ||
				  (next < entry_count &&
				   entry_us(events, entry) < event_us(events, next_event));

		if (!take_entry) {
			print_event(events->list[next_event], event_us(events, next_event), state);
			next_event++;
			continue;
		}
		next++;
		if (entry->is_state)
			state = entry->text;
		print_row(entry_us(events, entry), state,
			  entry->is_state ? "(host's power_state)" : entry->text, "", "", "");
	}
}
