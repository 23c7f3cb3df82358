/*
 * The picture around the functions' lines: style, title, legend.
 */
#include "tools/timeline_svg.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/duration.h"
#include "tools/printable.h"
#include "vmm/base/bits.h"

#define STATES_Y 720U
#define MARKS_Y 960U
#define FOOT_HEIGHT 340U

/* Colours that people who see fewer of them can tell apart, and a pattern for each but the two that
 * matter most. The dark ones are for those whose browser says so. */
static const char style[] =
	"<style>\n"
	":root{--back:#fff;--text:#1b2129;--soft:#5c6773;--grid:#dfe4ea;--asleep:#0b62a8;"
	"--light:#a9d3f0;--on:#f2b03d;--woken:#fbe8a6;--bad:#c8470f;--pale:#f7c9b0;--lost:#2d3138;"
	"--gap:#8b929b;--in:#fff;--by:#2b1d00}\n"
	"@media(prefers-color-scheme:dark){:root{--back:#0e1319;--text:#e4eaf1;--soft:#98a4b1;"
	"--grid:#28303a;--asleep:#2f86d6;--light:#173c5c;--on:#c98714;--woken:#5a4a12;"
	"--bad:#f0713a;--pale:#4a2415;--lost:#dfe3e8;--gap:#5c646e;--in:#fff;--by:#1d1300}}\n"
	"text{font:11px system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,"
	"sans-serif;fill:var(--text);font-variant-numeric:tabular-nums}\n"
	".h{font-size:18px;font-weight:600}.b{font-size:25px;font-weight:600}"
	".n{font-size:12.5px;font-weight:600}.v{font-size:12px}\n"
	".s{fill:var(--soft)}.t{font-size:8.5px;fill:var(--soft)}.m{text-anchor:middle}"
	".e{text-anchor:end}.c{font-size:9px}\n"
	".in{fill:var(--in);font-weight:600}.by{fill:var(--by);font-weight:600}\n"
	".back{fill:var(--back)}.g{stroke:var(--grid)}.w{fill:var(--text);stroke:none}"
	".o{fill:var(--back);stroke:var(--text);stroke-width:1.6}"
	".x{fill:none;stroke:var(--bad);stroke-width:2.2}.f{fill:var(--bad)}"
	".k{stroke:var(--soft)}.r{stroke:var(--soft);stroke-dasharray:2 3}"
	".bar{fill:var(--soft)}\n"
	".s0{fill:var(--asleep)}.s1{fill:url(#p1)}.s2{fill:url(#p2)}.s3{fill:var(--on)}"
	".s4{fill:url(#p4)}.s5{fill:url(#p5)}.s6{fill:none}\n"
	"</style>\n";

static const char definitions[] =
	"<defs>\n"
	"<pattern id=\"p1\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">"
	"<path style=\"fill:var(--light)\" d=\"M0 0h6v6H0z\"/><path style=\"stroke:var(--asleep);"
	"stroke-width:1.4\" d=\"M-1 1l2-2M0 6l6-6M5 7l2-2\"/></pattern>\n"
	"<pattern id=\"p2\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">"
	"<path style=\"fill:var(--woken)\" d=\"M0 0h5v5H0z\"/><path style=\"fill:var(--on)\" "
	"d=\"M0 0h2v5H0z\"/></pattern>\n"
	"<pattern id=\"p4\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">"
	"<path style=\"fill:var(--pale)\" d=\"M0 0h6v6H0z\"/><path style=\"stroke:var(--bad);"
	"stroke-width:1.6\" d=\"M-1 5l2 2M0 0l6 6M5-1l2 2\"/></pattern>\n"
	"<pattern id=\"p5\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">"
	"<path style=\"fill:var(--lost)\" d=\"M0 0h6v6H0z\"/><path style=\"stroke:var(--back);"
	"stroke-width:.8\" d=\"M0 0l6 6M6 0L0 6\"/></pattern>\n"
	/* The signs of marks, by enum timeline_mark_kind. */
	"<path id=\"m0\" class=\"w\" d=\"M-4 0a4 4 0 108 0a4 4 0 10-8 0z\"/>\n"
	"<path id=\"m1\" class=\"w\" d=\"M0-4.5L4.8 4H-4.8z\"/>\n"
	"<path id=\"m2\" class=\"w\" d=\"M0-5L5 0L0 5L-5 0z\"/>\n"
	"<path id=\"m3\" class=\"o\" d=\"M-3.4 0a3.4 3.4 0 106.8 0a3.4 3.4 0 10-6.8 0z\"/>\n"
	"<path id=\"m4\" class=\"x\" d=\"M-3.5-3.5l7 7M3.5-3.5l-7 7\"/>\n"
	"<path id=\"m5\" class=\"f\" d=\"M-4.5-4.5h9v9h-9z\"/>\n"
	"<path id=\"m6\" class=\"w\" d=\"M-4-4h3v8h-3zM1-4h3v8H1z\"/>\n"
	"<path id=\"m7\" class=\"f\" d=\"M-1.5-5h3l-.6 6.2h-1.8zM-1.3 2.4h2.6V5h-2.6z\"/>\n"
	"<path id=\"m8\" class=\"w\" d=\"M0-4.5L4.5 1H-4.5zM-4.5 2.4h9v2h-9z\"/>\n"
	"</defs>\n";

/* --- shared --- */

unsigned int svg_x(const struct svg *svg, uint64_t t)
{
	uint64_t off = t > svg->start ? t - svg->start : 0;

	return SVG_PLOT_LEFT + (unsigned int)(off * SVG_PLOT_WIDTH / svg->range);
}

static size_t count_characters(const char *text)
{
	char character[PRINTABLE_MAX];
	size_t count = 0;

	for (; *text; count++)
		text += printable_character(text, character);
	return count;
}

void svg_escape(const struct svg *svg, const char *text, unsigned int max)
{
	static const struct {
		char character;
		const char *entity;
	} entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}};
	size_t skip = 0, count = max ? count_characters(text) : 0;

	if (count > max) {
		text_add(svg->out, "\u2026");
		skip = count - max + 1;
	}
	while (*text) {
		char character[PRINTABLE_MAX];
		const char *shown = character;

		text += printable_character(text, character);
		if (skip && skip--)
			continue;
		for (unsigned int i = 0; i < ARRAY_SIZE(entities); i++)
			if (character[0] == entities[i].character)
				shown = entities[i].entity;
		text_add(svg->out, "%s", shown);
	}
}

void svg_text(const struct svg *svg, unsigned int x, unsigned int y, const char *class,
	      const char *text)
{
	text_add(svg->out, "<text class=\"%s\" x=\"" SVG_PX "\" y=\"" SVG_PX "\">%s</text>\n",
		 class, SVG_ARGS(x), SVG_ARGS(y), text);
}

void svg_sign(const struct svg *svg, unsigned int x, unsigned int y, enum timeline_mark_kind kind)
{
	text_add(svg->out, "<use href=\"#m%u\" x=\"" SVG_PX "\" y=\"" SVG_PX "\"/>", kind,
		 SVG_ARGS(x), SVG_ARGS(y));
}

unsigned int svg_text_width(const char *text)
{
	return (unsigned int)strlen(text) * 58;
}

const char *svg_state_name(enum timeline_state state)
{
	static const char *const names[TIMELINE_STATES] = {
		"asleep", "engaged", "woken", "awake", "refused", "lost", "not here",
	};

	return names[state];
}

const char *svg_mark_name(enum timeline_mark_kind kind)
{
	static const char *const names[TIMELINE_MARKS] = {
		"woken by the guest", "by the host", "by the device (PME)",
		"by what is unknown", "sleep refused", "lost", "held awake", "host's error",
		"asked back", "boot", "reset", "exit", "another run",
	};

	return names[kind];
}

/* --- head --- */

static void draw_title(const struct svg *svg)
{
	const struct timeline *timeline = svg->timeline;
	char length[DURATION_TEXT], line[160];
	int len;

	svg_text(svg, SVG_MARGIN, 320, "h", "Power of passed-through functions");
	len = snprintf(line, sizeof(line), "%s, %" PRIu64 " events",
		       duration_text(timeline->last - svg->start, length), timeline->events);
	if (timeline->restarts)
		len += snprintf(line + len, sizeof(line) - (size_t)len, "; %" PRIu64 " runs",
				timeline->restarts + 1);
	if (timeline->broken)
		len += snprintf(line + len, sizeof(line) - (size_t)len,
				"; skipped lines: %" PRIu64, timeline->broken);
	if (timeline->missing)
		snprintf(line + len, sizeof(line) - (size_t)len, "; missing lines: %" PRIu64,
			 timeline->missing);
	svg_text(svg, SVG_MARGIN, 500, "s", line);
}

static void draw_state_legend(const struct svg *svg)
{
	static const char *const meanings[TIMELINE_STATES] = {
		"asleep: the host suspended it", "engaged, not suspended or not told",
		"woken, guest not back yet",     "awake",
		"sleep refused, awake",          "lost", NULL,
	};
	unsigned int x = SVG_MARGIN;

	for (unsigned int state = 0; state < TIMELINE_STATES; state++) {
		uint64_t us = 0;

		for (unsigned int i = 0; i < svg->timeline->lanes; i++)
			us += svg->timeline->lane[i]->us[state];
		if (!us || !meanings[state])
			continue;
		text_add(svg->out, "<rect class=\"s%u\" x=\"" SVG_PX "\" y=\"" SVG_PX "\" "
			 "width=\"20\" height=\"12\"/>", state, SVG_ARGS(x),
			 SVG_ARGS(STATES_Y - 100));
		svg_text(svg, x + 260, STATES_Y, "s", meanings[state]);
		x += 260 + svg_text_width(meanings[state]) + 160;
	}
}

/* Whether the picture has signs of a kind. */
static bool has_sign(const struct timeline *timeline, unsigned int kind)
{
	for (unsigned int i = 0; i < timeline->lanes; i++) {
		const struct timeline_marks *marks = &timeline->lane[i]->marks;

		for (unsigned int k = 0; k < marks->count; k++)
			if (marks->mark[k].kind == kind)
				return true;
	}
	return false;
}

static unsigned int draw_bar_legend(const struct svg *svg, unsigned int x)
{
	static const char name[] = "wakes, more or fewer";
	bool has_bars = false;

	for (unsigned int i = 0; i < svg->timeline->lanes; i++)
		has_bars |= svg_has_bars(&svg->timeline->lane[i]->marks);
	if (!has_bars)
		return x;
	text_add(svg->out, "<path class=\"bar\" d=\"M" SVG_PX " " SVG_PX
		 "h3v-4h-3zm4 0h3v-9h-3z\"/>", SVG_ARGS(x - 40), SVG_ARGS(MARKS_Y));
	svg_text(svg, x + 100, MARKS_Y, "s", name);
	return x + 100 + svg_text_width(name) + 180;
}

static void draw_mark_legend(const struct svg *svg)
{
	unsigned int x = draw_bar_legend(svg, SVG_MARGIN + 50);

	for (unsigned int kind = 0; kind < TIMELINE_BOOT; kind++) {
		const char *name = svg_mark_name(kind);

		if (!has_sign(svg->timeline, kind))
			continue;
		svg_sign(svg, x, MARKS_Y - 40, kind);
		svg_text(svg, x + 100, MARKS_Y, "s", name);
		x += 100 + svg_text_width(name) + 180;
	}
}

/* --- the whole --- */

static void draw_foot(const struct svg *svg, unsigned int y)
{
	char line[160];

	if (!svg->timeline->lanes) {
		svg_text(svg, SVG_PLOT_LEFT, y, "s", "The log names no passed-through function.");
		return;
	}
	svg_text(svg, SVG_MARGIN, y, "t",
		 "The height of a colour is its share of the time. Latencies are the host's: "
		 "entry is the call that lets the function sleep, exit the one that ends a sleep.");
	if (!svg->timeline->other_devices)
		return;
	snprintf(line, sizeof(line), "Not shown: %" PRIu64 " events of more than %u functions",
		 svg->timeline->other_devices, TIMELINE_LANES);
	svg_text(svg, SVG_WIDTH - SVG_MARGIN, y, "t e", line);
}

void timeline_draw(const struct timeline *timeline, struct text *ret_svg)
{
	struct svg svg = {.timeline = timeline, .out = ret_svg, .start = timeline_start(timeline)};
	unsigned int lanes = timeline->lanes ? timeline->lanes : 1;
	unsigned int bottom = SVG_LANES_Y + lanes * SVG_LANE_HEIGHT, height = bottom + FOOT_HEIGHT;

	svg.range = timeline->last > svg.start ? timeline->last - svg.start : 1;
	text_add(ret_svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1000 " SVG_PX
		 "\" width=\"1000\" role=\"img\">\n"
		 "<title>Power of passed-through functions over time</title>\n",
		 SVG_ARGS(height));
	text_add(ret_svg, "%s%s<rect class=\"back\" width=\"1000\" height=\"" SVG_PX "\"/>\n",
		 style, definitions, SVG_ARGS(height));
	draw_title(&svg);
	draw_state_legend(&svg);
	draw_mark_legend(&svg);
	svg_draw_axis(&svg);
	for (unsigned int i = 0; i < timeline->lanes; i++)
		svg_draw_lane(&svg, timeline->lane[i], SVG_LANES_Y + i * SVG_LANE_HEIGHT);
	svg_draw_machine(&svg);
	draw_foot(&svg, bottom + 220);
	text_add(ret_svg, "</svg>\n");
}
