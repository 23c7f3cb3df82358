#include "tools/ctl_show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/duration.h"
#include "tools/printable.h"
#include "vmm/base/bits.h"

#define BAR 24 /* characters of a bar */
#define PAST_SHOWN 60

/* --- words --- */

static uint64_t since(const struct view_power *power, const struct view_function *fn)
{
	return power->t_us > fn->since_us ? power->t_us - fn->since_us : 0;
}

static void add_wakes(struct text *out, const struct view_function *fn, const char *none)
{
	const char *before = "";

	for (unsigned int i = 0; i < VIEW_WAKES; i++) {
		if (!fn->wakes[i])
			continue;
		text_add(out, "%s%s %" PRIu64, before, view_wake_names[i], fn->wakes[i]);
		before = ", ";
	}
	if (!*before)
		text_add(out, "%s", none);
}

/* --- status --- */

enum column { SLOT, FUNCTION, STATE, SINCE, HOST, ENGAGED, WAKES, REFUSED };
#define COLUMNS 8U
#define CELL_MAX 32U /* columns of the terminal */

struct row {
	struct text cell[COLUMNS];
};

/* Characters, of which a terminal makes a column each. */
static unsigned int width_of(const struct text *cell)
{
	unsigned int width = 0;

	for (size_t i = 0; i < cell->len; i++)
		width += (cell->bytes[i] & 0xc0) != 0x80;
	return width;
}

static void fill_row(struct row *row, const struct view_power *power, const struct view_slot *slot,
		     const struct view_function *fn)
{
	char length[DURATION_TEXT], share[DURATION_TEXT];

	printable_add(&row->cell[SLOT], fn == slot->function ? slot->id : "", 0);
	printable_add(&row->cell[FUNCTION], fn->name, 0);
	printable_add(&row->cell[STATE], fn->state, 0);
	text_add(&row->cell[SINCE], "%s", duration_text(since(power, fn), length));
	printable_add(&row->cell[HOST], fn->has_host ? fn->power_state : "-", 0);
	text_add(&row->cell[ENGAGED], "%s",
		 percent_text(view_engaged_us(power, fn), power->t_us, share));
	add_wakes(&row->cell[WAKES], fn, "none");
	text_add(&row->cell[REFUSED], "%" PRIu64, fn->refusals);
}

/* All cells of a column are as wide as the widest, but for the last, which may end anywhere. */
static void add_rows(struct text *out, const struct row *rows, unsigned int count)
{
	unsigned int widths[COLUMNS] = {0};

	for (unsigned int i = 0; i < count; i++)
		for (unsigned int k = 0; k < COLUMNS; k++) {
			unsigned int width = width_of(&rows[i].cell[k]);

			if (width > widths[k])
				widths[k] = width < CELL_MAX ? width : CELL_MAX;
		}
	for (unsigned int i = 0; i < count; i++) {
		for (unsigned int k = 0; k < COLUMNS; k++) {
			const char *cell = rows[i].cell[k].bytes ? rows[i].cell[k].bytes : "";

			printable_add(out, cell, k + 1 < COLUMNS ? widths[k] + 2 : 0);
		}
		text_add(out, "\n");
	}
}

static void add_table(struct text *out, const struct view_power *power)
{
	static const char *const heads[COLUMNS] = {
		"SLOT", "FUNCTION", "STATE", "SINCE", "HOST", "ENGAGED", "WOKEN BY", "REFUSED",
	};
	struct row rows[1 + VIEW_SLOTS * VIEW_FUNCTIONS] = {{.cell = {{.bytes = NULL}}}};
	unsigned int count = 1;

	for (unsigned int k = 0; k < COLUMNS; k++)
		text_add(&rows[0].cell[k], "%s", heads[k]);
	for (unsigned int i = 0; i < power->slots; i++)
		for (unsigned int k = 0; k < power->slot[i].functions; k++)
			fill_row(&rows[count++], power, &power->slot[i],
				 &power->slot[i].function[k]);
	if (count > 1)
		add_rows(out, rows, count);
	else
		text_add(out, "No device is passed through.\n");
	for (unsigned int i = 0; i < count; i++)
		for (unsigned int k = 0; k < COLUMNS; k++)
			text_finish(&rows[i].cell[k]);
}

void show_status(struct text *out, const struct view_info *info, const struct view_power *power)
{
	char length[DURATION_TEXT];

	printable_add(out, info->state, 0);
	text_add(out, " for %s, %" PRIu64 " CPU%s, %" PRIu64 " MiB", duration_text(info->uptime_us,
		 length), info->cpus, info->cpus == 1 ? "" : "s", (uint64_t)(info->memory / MIB));
	if (*info->kernel) {
		text_add(out, ", guest ");
		printable_add(out, info->kernel, 0);
	}
	text_add(out, "\n\n");
	add_table(out, power);
}

/* --- power --- */

static const struct look {
	char letter;
	const char *state; /* of docs/power.md; NULL: engaged, and suspended by the host */
	const char *block, *colour;
} looks[] = {
	/* From asleep to what wants to be seen most. */
	{' ', "released", " ", ""},
	{'.', NULL, "\u2581", "\033[34m"},
	{'e', "engaged", "\u2583", "\033[36m"},
	{'w', "woken", "\u2585", "\033[33m"},
	{'#', "on", "\u2588", "\033[33m"},
	{'r', "refused", "\u2592", "\033[31m"},
	{'!', "lost", "\u00d7", "\033[1;31m"},
};

static const struct look *find_look(char letter)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(looks); i++)
		if (looks[i].letter == letter)
			return &looks[i];
	return &looks[0];
}

char show_letter(const struct view_function *fn)
{
	if (fn->has_host && fn->suspended && !strcmp(fn->state, "engaged"))
		return '.';
	for (unsigned int i = 0; i < ARRAY_SIZE(looks); i++)
		if (looks[i].state && !strcmp(looks[i].state, fn->state))
			return looks[i].letter;
	return ' ';
}

char show_more_awake(char a, char b)
{
	return find_look(a) > find_look(b) ? a : b;
}

/* `text` in the colour of a letter. */
static void add_coloured(struct text *out, char letter, const char *text, struct show_style style)
{
	const char *colour = style.colour ? find_look(letter)->colour : "";

	text_add(out, "%s", colour);
	printable_add(out, text, 0);
	text_add(out, "%s", *colour ? "\033[0m" : "");
}

static void add_bar(struct text *out, uint64_t part, uint64_t whole, struct show_style style)
{
	unsigned int full = whole ? (unsigned int)(part / (whole / BAR + 1)) : 0;
	char share[DURATION_TEXT];

	if (style.colour)
		text_add(out, "%s", find_look('.')->colour);
	for (unsigned int i = 0; i < BAR; i++)
		text_add(out, "%s", style.utf8 ? i < full ? "\u2588" : "\u2591"
					       : i < full ? "=" : "-");
	text_add(out, "%s %s", style.colour ? "\033[0m" : "", percent_text(part, whole, share));
}

static void add_past(struct text *out, const struct show_past *past, struct show_style style)
{
	unsigned int shown = past->count < PAST_SHOWN ? past->count : PAST_SHOWN;
	char last = '\0';

	text_add(out, "    past    ");
	for (unsigned int i = past->count - shown; i < past->count; i++) {
		const struct look *look = find_look(past->letter[i]);

		if (style.colour && look->letter != last)
			text_add(out, "\033[0m%s", look->colour);
		last = look->letter;
		if (style.utf8)
			text_add(out, "%s", look->block);
		else
			text_add(out, "%c", look->letter);
	}
	text_add(out, "%s %u s\n", style.colour ? "\033[0m" : "", shown);
}

static void add_numbers(struct text *out, const struct view_function *fn)
{
	char first[DURATION_TEXT], second[DURATION_TEXT];

	text_add(out, "    sleeps  %" PRIu64 "; woken by ", fn->entries);
	add_wakes(out, fn, "nobody on the host");
	if (fn->refusals)
		text_add(out, "; refused %" PRIu64, fn->refusals);
	if (*fn->refused) {
		text_add(out, " (");
		printable_add(out, fn->refused, 0);
		text_add(out, ")");
	}
	if (fn->losses)
		text_add(out, "; lost %" PRIu64, fn->losses);
	text_add(out, "\n");
	if (fn->entry_p50_us)
		text_add(out, "    entry   half within %s, 99 %% within %s\n",
			 duration_text(fn->entry_p50_us, first),
			 duration_text(fn->entry_p99_us, second));
	if (fn->exit_p50_us)
		text_add(out, "    exit    half within %s, 99 %% within %s\n",
			 duration_text(fn->exit_p50_us, first),
			 duration_text(fn->exit_p99_us, second));
}

static void add_function(struct text *out, const struct view_power *power,
			 const struct view_function *fn, const struct show_past *past,
			 struct show_style style)
{
	uint64_t engaged = view_engaged_us(power, fn);
	char length[DURATION_TEXT];

	text_add(out, "\n  ");
	printable_add(out, fn->name, 0);
	text_add(out, "  ");
	add_coloured(out, show_letter(fn), fn->state, style);
	text_add(out, " for %s", duration_text(since(power, fn), length));
	if (fn->has_host) {
		text_add(out, "; host: ");
		printable_add(out, fn->power_state, 0);
		text_add(out, fn->suspended ? ", suspended" : ", not suspended");
	}
	if (*fn->error) {
		text_add(out, "; last error ");
		printable_add(out, fn->error, 0);
	}
	text_add(out, "\n    engaged ");
	add_bar(out, engaged, power->t_us, style);
	text_add(out, ", %s", duration_text(engaged, length));
	if (fn->has_host && fn->engaged_us)
		text_add(out, "; of sleeps that are over really suspended %s",
			 percent_text(fn->suspended_us, fn->engaged_us, length));
	text_add(out, "\n");
	if (past)
		add_past(out, past, style);
	add_numbers(out, fn);
}

static void add_slot(struct text *out, const struct view_slot *slot, struct show_style style)
{
	char length[DURATION_TEXT];

	text_add(out, "%s", style.colour ? "\033[1m" : "");
	printable_add(out, slot->id, 0);
	text_add(out, "%s  ", style.colour ? "\033[0m" : "");
	printable_add(out, slot->name, 0);
	text_add(out, "  power=");
	printable_add(out, slot->power, 0);
	text_add(out, " reset=");
	printable_add(out, slot->reset, 0);
	text_add(out, "; the guest wants it ");
	printable_add(out, slot->guest, 0);
	text_add(out, "\n");
	if (*slot->reasons) {
		text_add(out, "  ");
		printable_add(out, slot->reasons, 0);
		text_add(out, "\n");
	}
	if (slot->hold_ms)
		text_add(out, "  the governor holds it awake for another %s\n",
			 duration_text(slot->hold_ms * 1000, length));
}

void show_power(struct text *out, const struct view_power *power, const struct show_past *past,
		struct show_style style)
{
	if (power->suspended)
		text_add(out, "The guest is suspended.\n\n");
	for (unsigned int i = 0; i < power->slots; i++) {
		const struct view_slot *slot = &power->slot[i];

		text_add(out, "%s", i ? "\n" : "");
		add_slot(out, slot, style);
		for (unsigned int k = 0; k < slot->functions; k++)
			add_function(out, power, &slot->function[k], past ? past++ : NULL, style);
	}
	if (!power->slots)
		text_add(out, "No device is passed through.\n");
}
