/*
 * What goes through the lines of all functions: the axis of time, and what happened to the machine.
 */
#include <inttypes.h>
#include <stdio.h>

#include "tools/timeline_svg.h"
#include "vmm/base/bits.h"

#define AXIS_Y 1180U
#define MACHINE_Y 1330U

static const struct unit {
	uint64_t us;
	uint64_t steps_below; /* it names the axis whose steps are shorter */
	const char *format;
	bool tenths;
} units[] = {
	{1, 1000, "%" PRIu64 " us", false},
	{1000, 100000, "%" PRIu64 " ms", false},
	{1000000, 1000000, "%" PRIu64 ".%" PRIu64 " s", true},
	{1000000, 60000000, "%" PRIu64 " s", false},
	{60000000, 3600000000, "%" PRIu64 " min", false},
	{3600000000, 86400000000, "%" PRIu64 " h", false},
	{86400000000, UINT64_MAX, "%" PRIu64 " d", false},
};

/* Steps of 1, 2 and 5 units, and what comes next to that on a clock. */
static uint64_t nth_step(unsigned int n)
{
	static const uint64_t decade[] = {1, 2, 5};
	static const uint64_t clock_s[] = {1, 2, 5, 10, 20, 60, 120, 300, 600, 1200, 3600, 7200,
					   21600, 43200};
	const unsigned int below_s = 18;
	uint64_t step;

	if (n >= below_s && n < below_s + ARRAY_SIZE(clock_s))
		return clock_s[n - below_s] * 1000000;
	step = n < below_s ? 1 : 86400000000;
	if (n >= below_s)
		n -= below_s + ARRAY_SIZE(clock_s);
	for (unsigned int i = 0; i < n / 3; i++)
		step *= 10;
	return step * decade[n % 3];
}

/* The shortest that cuts `range` into less than `most` pieces. */
static uint64_t find_step(uint64_t range, unsigned int most)
{
	unsigned int n = 0;

	while (range / nth_step(n) >= most)
		n++;
	return nth_step(n);
}

/* Through the lines of all functions, but not through their numbers. */
static void draw_line(const struct svg *svg, unsigned int x, const char *class)
{
	text_add(svg->out, "<path class=\"%s\" d=\"", class);
	for (unsigned int i = 0; i < svg->timeline->lanes || !i; i++) {
		unsigned int y = SVG_LANES_Y + i * SVG_LANE_HEIGHT;

		text_add(svg->out, "M" SVG_PX " " SVG_PX "V" SVG_PX, SVG_ARGS(x), SVG_ARGS(y),
			 SVG_ARGS(y + SVG_LINE_BOTTOM));
	}
	text_add(svg->out, "\"/>");
}

void svg_draw_axis(const struct svg *svg)
{
	uint64_t step = find_step(svg->range, 12);
	uint64_t t = (svg->start + step - 1) / step * step;
	const struct unit *unit = units;
	char label[40];

	while (step >= unit->steps_below)
		unit++;
	for (; t <= svg->start + svg->range; t += step) {
		unsigned int x = svg_x(svg, t);

		snprintf(label, sizeof(label), unit->format, t / unit->us,
			 t % unit->us * 10 / unit->us);
		draw_line(svg, x, "g");
		svg_text(svg, x, AXIS_Y, x > SVG_WIDTH - SVG_MARGIN - 200 ? "s e" : "s m", label);
	}
}

/* --- the machine --- */

static void machine_label(const struct svg *svg, const struct timeline_mark *mark,
			  char text[EVENT_WORD_MAX + 16])
{
	const char *name = svg_mark_name(mark->kind);

	if (mark->count > 1)
		snprintf(text, EVENT_WORD_MAX + 16, "%u\u00d7 %s", mark->count, name);
	else
		snprintf(text, EVENT_WORD_MAX + 16, "%s",
			 mark->kind == TIMELINE_EXIT && svg->timeline->exit_cause[0] &&
			 !svg->timeline->restarts ? svg->timeline->exit_cause : name);
}

void svg_draw_machine(const struct svg *svg)
{
	const struct timeline_marks *marks = &svg->timeline->machine;
	unsigned int free_from = 0;

	for (unsigned int i = 0; i < marks->count; i++) {
		const struct timeline_mark *mark = &marks->mark[i];
		unsigned int x = svg_x(svg, mark->t), width;
		char label[EVENT_WORD_MAX + 16];
		bool at_end;

		machine_label(svg, mark, label);
		width = svg_text_width(label);
		at_end = x + width / 2 > SVG_WIDTH - SVG_MARGIN;
		text_add(svg->out, "<g><title>");
		svg_escape(svg, label, 0);
		text_add(svg->out, "</title>");
		draw_line(svg, x, mark->kind == TIMELINE_RESET ||
			  mark->kind == TIMELINE_RESTART ? "r" : "k");
		if (x - (at_end ? width : width / 2) >= free_from) {
			text_add(svg->out, "<text class=\"%s\" x=\"" SVG_PX "\" y=\"" SVG_PX "\">",
				 at_end ? "s e" : "s m", SVG_ARGS(x), SVG_ARGS(MACHINE_Y));
			svg_escape(svg, label, 0);
			text_add(svg->out, "</text>");
			free_from = x + width / 2 + 60;
		}
		text_add(svg->out, "</g>\n");
	}
}
