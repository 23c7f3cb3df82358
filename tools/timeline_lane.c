/*
 * One function of the picture: its name, and its line of states.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/duration.h"
#include "tools/timeline_svg.h"
#include "vmm/base/bits.h"

/* From the upper edge of a function. */
#define NAME_Y 220U
#define POLICY_Y 380U
#define SHARE_Y 700U
#define SHARE_NAME_Y 880U
#define BAR_Y 280U
#define BAR_HEIGHT 280U
#define NUMBERS_Y 720U
#define NAME_CHARACTERS 16U
#define LETTER 66U /* of the bar's text */

/* --- words --- */

/* The largest share names a span. */
static enum timeline_state main_state(const struct timeline_span *span)
{
	enum timeline_state state = TIMELINE_ASLEEP;

	for (unsigned int i = 0; i < TIMELINE_STATES; i++)
		if (span->us[i] > span->us[state])
			state = (enum timeline_state)i;
	return state;
}

static void add_word(const struct svg *svg, const char *before, const char *word)
{
	if (!*word)
		return;
	text_add(svg->out, "%s", before);
	svg_escape(svg, word, 0);
}

/* What a person learns of a span when pointing at it. */
static void add_span_title(const struct svg *svg, const struct timeline_span *span)
{
	char length[DURATION_TEXT], at[DURATION_TEXT], part[DURATION_TEXT];

	text_add(svg->out, "<title>%s from %s", duration_text(span->end - span->start, length),
		 duration_text(span->start, at));
	for (unsigned int i = 0; i < TIMELINE_STATES; i++)
		if (span->us[i])
			text_add(svg->out, "; %s %s", svg_state_name(i),
				 percent_text(span->us[i], span->end - span->start, part));
	if (span->pieces > 1)
		text_add(svg->out, "; %u pieces", span->pieces);
	add_word(svg, "; begun by ", span->cause);
	if (span->latency_us)
		text_add(svg->out, ", the host took %s", duration_text(span->latency_us, part));
	add_word(svg, "; ", span->error);
	add_word(svg, "; ended by ", span->ended_by);
	if (span->is_open)
		text_add(svg->out, "; the log ends in it");
	text_add(svg->out, "</title>");
}

/* --- the line --- */

/* One column a span, in which the height of a state is its share of the time. */
static void draw_shares(const struct svg *svg, const struct timeline_span *span, unsigned int x,
			unsigned int width, unsigned int y)
{
	uint64_t all = span->end - span->start, below = 0;

	for (unsigned int i = 0; i < TIMELINE_RELEASED; i++) {
		/* 44 bits of a time, so that nothing overflows. */
		unsigned int low = (unsigned int)(below * BAR_HEIGHT / all);
		unsigned int high = (unsigned int)((below += span->us[i]) * BAR_HEIGHT / all);

		if (low == high)
			continue;
		text_add(svg->out, "<rect class=\"s%u\" x=\"" SVG_PX "\" y=\"" SVG_PX "\" "
			 "width=\"" SVG_PX "\" height=\"" SVG_PX "\"/>", i, SVG_ARGS(x),
			 SVG_ARGS(y + BAR_HEIGHT - high), SVG_ARGS(width), SVG_ARGS(high - low));
	}
}

/* Name and length, the length alone, or nothing, as there is room. */
static void draw_span_text(const struct svg *svg, const struct timeline_span *span, unsigned int x,
			   unsigned int width, unsigned int y)
{
	enum timeline_state state = main_state(span);
	char length[DURATION_TEXT], label[64];

	duration_text(span->us[state], length);
	snprintf(label, sizeof(label), "%s %s", svg_state_name(state), length);
	if (strlen(label) * LETTER + 100 > width)
		snprintf(label, sizeof(label), "%s", length);
	if (strlen(label) * LETTER + 60 > width || span->pieces > 1)
		return;
	if (state == TIMELINE_ASLEEP || state == TIMELINE_ON)
		svg_text(svg, x + width / 2, y + BAR_HEIGHT / 2 + 40,
			 state == TIMELINE_ON ? "by m" : "in m", label);
}

static void draw_spans(const struct svg *svg, const struct timeline_lane *lane, unsigned int y)
{
	for (unsigned int i = 0; i < lane->spans; i++) {
		const struct timeline_span *span = &lane->span[i];
		unsigned int x = svg_x(svg, span->start), width = svg_x(svg, span->end) - x;

		if (span->us[TIMELINE_RELEASED] == span->end - span->start)
			continue;
		if (width < 10)
			width = 10;
		text_add(svg->out, "<g>");
		add_span_title(svg, span);
		draw_shares(svg, span, x, width, y);
		text_add(svg->out, "</g>\n");
		draw_span_text(svg, span, x, width, y);
	}
}

/* --- the whole --- */

static void draw_name(const struct svg *svg, const struct timeline_lane *lane, unsigned int y)
{
	const char *power = timeline_policy(svg->timeline, lane->device);
	enum timeline_state state = lane->tells_suspended ? TIMELINE_ASLEEP : TIMELINE_ENGAGED;
	uint64_t asleep = lane->us[TIMELINE_ASLEEP];
	char share[DURATION_TEXT];

	if (state == TIMELINE_ENGAGED)
		asleep += lane->us[TIMELINE_ENGAGED];
	text_add(svg->out, "<text class=\"n\" x=\"" SVG_PX "\" y=\"" SVG_PX "\"><title>",
		 SVG_ARGS(SVG_MARGIN), SVG_ARGS(y + NAME_Y));
	svg_escape(svg, lane->device, 0);
	text_add(svg->out, "</title>");
	svg_escape(svg, lane->device, NAME_CHARACTERS);
	text_add(svg->out, "</text>\n");
	if (*power) {
		text_add(svg->out, "<text class=\"s\" x=\"" SVG_PX "\" y=\"" SVG_PX "\">power=",
			 SVG_ARGS(SVG_MARGIN), SVG_ARGS(y + POLICY_Y));
		svg_escape(svg, power, 0);
		text_add(svg->out, "</text>\n");
	}
	percent_text(asleep, timeline_whole(lane), share);
	svg_text(svg, SVG_MARGIN, y + SHARE_Y, "b", share);
	svg_text(svg, SVG_MARGIN, y + SHARE_NAME_Y, "s", svg_state_name(state));
}

void svg_draw_lane(const struct svg *svg, const struct timeline_lane *lane, unsigned int y)
{
	text_add(svg->out, "<path class=\"g\" d=\"M" SVG_PX " " SVG_PX "H" SVG_PX "\"/>\n",
		 SVG_ARGS(SVG_MARGIN), SVG_ARGS(y), SVG_ARGS(SVG_WIDTH - SVG_MARGIN));
	draw_name(svg, lane, y);
	text_add(svg->out, "<g shape-rendering=\"crispEdges\">\n");
	draw_spans(svg, lane, y + BAR_Y);
	text_add(svg->out, "</g>\n");
	svg_draw_marks(svg, lane, y);
	svg_draw_numbers(svg, lane, y + NUMBERS_Y);
}
