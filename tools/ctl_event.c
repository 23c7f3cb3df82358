/*
 * A line of the event log, for people.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/ctl_show.h"
#include "tools/duration.h"
#include "tools/event_line.h"
#include "tools/printable.h"
#include "vmm/base/bits.h"

#define DEVICE_COLUMNS 14U
#define TOKENS 256
#define NAME 48

static void add_word(struct text *out, const char *before, const char *word)
{
	if (!*word)
		return;
	text_add(out, "%s", before);
	printable_add(out, word, 0);
}

static void add_power(struct text *out, const struct event_line *event)
{
	char length[DURATION_TEXT];

	printable_add(out, event->from, 0);
	add_word(out, " -> ", event->to);
	add_word(out, " by ", event->cause);
	if (event->latency_us)
		text_add(out, ", the host took %s", duration_text(event->latency_us, length));
	if (event->engaged_us)
		text_add(out, ", slept %s", duration_text(event->engaged_us, length));
	if (event->tells_suspended)
		text_add(out, ", really suspended %s", duration_text(event->suspended_us, length));
	add_word(out, ", ", event->error);
}

static void add_hold(struct text *out, const struct event_line *event)
{
	char length[DURATION_TEXT];

	text_add(out, "held awake for %s", duration_text(event->hold_ms * 1000, length));
}

static void add_lost(struct text *out, const struct event_line *event)
{
	text_add(out, "events that were too many to be kept: %" PRIu64, event->count);
}

static void add_plug(struct text *out, const struct event_line *event)
{
	text_add(out, "plugged in");
	add_word(out, " as ", event->id);
	add_word(out, ", which the guest finds at ", event->bdf);
}

static void add_unplug(struct text *out, const struct event_line *event)
{
	printable_add(out, event->id, 0);
	text_add(out, "%sunplugged, its port is free", event->id[0] ? " is " : "");
	add_word(out, "; it was asked back by ", event->cause);
}

/* Those that have a sentence of their own: some words, what `to` or `cause` says, or a function. */
static const struct sentence {
	const char *event, *words;
	bool to, cause;
	void (*add)(struct text *out, const struct event_line *event);
} sentences[] = {
	{"power", "", false, false, add_power},
	{"pme", "the guest was sent a PME", false, false, NULL},
	{"notify", "the guest was sent an ACPI Notify", false, false, NULL},
	{"boot", "the guest boots", false, false, NULL},
	{"reset", "the guest is reset, by ", false, true, NULL},
	{"suspend", "the guest sleeps (S3)", false, false, NULL},
	{"resume", "the guest is woken by ", false, true, NULL},
	{"panic", "the guest's kernel: ", false, true, NULL},
	{"watchdog", "the guest let its watchdog expire", false, false, NULL},
	{"shutdown", "the guest is asked to power off: ", false, true, NULL},
	{"exit", "the VM ends: ", false, true, NULL},
	{"open", "opened by ", true, false, NULL},
	{"policy", "may sleep as deep as ", true, false, NULL},
	{"error", "error", false, false, NULL},
	{"plug", "", false, false, add_plug},
	{"unplug", "", false, false, add_unplug},
	{"unplug-request", "asked back by ", false, true, NULL},
	{"governor", "", false, false, add_hold},
	{"lost", "", false, false, add_lost},
};

/* Any other: its name, and what is in it. */
static void add_members(struct text *out, const char *line, size_t len)
{
	jsmntok_t tokens[TOKENS];
	struct json_doc doc;
	unsigned int name = 0;
	const char *before = ": ";

	if (json_parse(line, len, tokens, TOKENS, &doc))
		return;
	while ((name = json_next_member(&doc, 0, name))) {
		char key[NAME], value[NAME];
		uint64_t number;

		if (!json_get_string(&doc, name, key, sizeof(key)) || !strcmp(key, "t_us") ||
		    !strcmp(key, "event") || !strcmp(key, "device") || !strcmp(key, "detail"))
			continue;
		if (json_get_number(&doc, name + 1, UINT64_MAX, &number))
			snprintf(value, sizeof(value), "%" PRIu64, number);
		else if (!json_get_string(&doc, name + 1, value, sizeof(value)))
			continue;
		add_word(out, before, key);
		add_word(out, " ", value);
		before = ", ";
	}
}

bool show_event(struct text *out, const char *line, size_t len)
{
	const struct sentence *sentence = sentences;
	struct event_line event;

	if (!line || event_line_parse(line, len, &event))
		return false;
	text_add(out, "%6" PRIu64 ".%03u  ", event.t_us / 1000000,
		 (unsigned int)(event.t_us / 1000 % 1000));
	printable_add(out, event.device,
		      strlen(event.device) < DEVICE_COLUMNS ? DEVICE_COLUMNS : 0);
	text_add(out, "  ");
	while (sentence < sentences + ARRAY_SIZE(sentences) &&
	       strcmp(sentence->event, event.event))
		sentence++;
	if (sentence == sentences + ARRAY_SIZE(sentences)) {
		printable_add(out, event.event, 0);
		add_members(out, line, len);
	} else {
		text_add(out, "%s", sentence->words);
		if (sentence->add)
			sentence->add(out, &event);
		add_word(out, "", sentence->to ? event.to : sentence->cause ? event.cause : "");
	}
	add_word(out, ": ", event.detail);
	return true;
}
