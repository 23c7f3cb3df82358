/*
 * What happened to a function, above its line: a sign for each wake and each trouble, and bars
 * where there are more wakes than signs can show.
 */
#include <inttypes.h>

#include "tools/duration.h"
#include "tools/timeline_svg.h"

#define UPPER_Y 100U
#define LOWER_Y 215U
#define SIGN_WIDTH 105U
#define SIGNS_MAX 90U /* of wakes; more are bars */
#define CELL 80U
#define CELLS (SVG_PLOT_WIDTH / CELL + 1)
#define BAR_BOTTOM 270U
#define BAR_HEIGHT 110U

static void draw_mark(const struct svg *svg, const struct timeline_mark *mark, unsigned int x,
		      unsigned int y)
{
	char at[DURATION_TEXT];

	text_add(svg->out, "<g><title>%s, %s", svg_mark_name(mark->kind),
		 duration_text(mark->t, at));
	if (mark->count > 1)
		text_add(svg->out, ": %u times from there", mark->count);
	text_add(svg->out, "</title>");
	svg_sign(svg, x, y, mark->kind);
	text_add(svg->out, "</g>\n");
}

/* Whether a sign of this row fits at `x`; then it is taken. */
static bool take_place(unsigned int *free_from, unsigned int x)
{
	if (x < *free_from)
		return false;
	*free_from = x + SIGN_WIDTH;
	return true;
}

/* Troubles are in the upper row, wakes in the lower one, or where they find room; what finds none
 * is in the numbers only, but for a loss. */
static void draw_signs(const struct svg *svg, const struct timeline_marks *marks, bool wakes,
		       unsigned int y)
{
	unsigned int upper = 0, lower = 0;

	for (unsigned int i = 0; i < marks->count; i++) {
		const struct timeline_mark *mark = &marks->mark[i];
		unsigned int x = svg_x(svg, mark->t);
		bool is_wake = mark->kind < TIMELINE_WAKES;

		if (is_wake && !wakes)
			continue;
		if (is_wake && take_place(&lower, x))
			draw_mark(svg, mark, x, y + LOWER_Y);
		else if (take_place(&upper, x))
			draw_mark(svg, mark, x, y + UPPER_Y);
		else if (!is_wake && wakes && take_place(&lower, x))
			draw_mark(svg, mark, x, y + LOWER_Y);
		else if (mark->kind == TIMELINE_LOSS && take_place(&upper, upper))
			draw_mark(svg, mark, upper - SIGN_WIDTH, y + UPPER_Y);
	}
}

struct cell {
	uint64_t count[TIMELINE_WAKES], all;
};

static void draw_bar(const struct svg *svg, const struct cell *cell, uint64_t most, unsigned int x,
		     unsigned int bottom)
{
	static const char *const names[TIMELINE_WAKES] = {"guest", "host", "device", "unknown"};
	unsigned int height = 10 + (unsigned int)(cell->all * (BAR_HEIGHT - 10) / most);

	text_add(svg->out, "<g><title>%" PRIu64 " wakes", cell->all);
	for (unsigned int i = 0; i < TIMELINE_WAKES; i++)
		if (cell->count[i])
			text_add(svg->out, "; %s %" PRIu64, names[i], cell->count[i]);
	text_add(svg->out, "</title><rect class=\"bar\" x=\"" SVG_PX "\" y=\"" SVG_PX
		 "\" width=\"7\" height=\"" SVG_PX "\"/></g>\n", SVG_ARGS(x),
		 SVG_ARGS(bottom - height), SVG_ARGS(height));
}

static void draw_bars(const struct svg *svg, const struct timeline_marks *marks, unsigned int y)
{
	struct cell cells[CELLS] = {{.all = 0}};
	uint64_t most = 1;

	for (unsigned int i = 0; i < marks->count; i++) {
		const struct timeline_mark *mark = &marks->mark[i];
		struct cell *cell = &cells[(svg_x(svg, mark->t) - SVG_PLOT_LEFT) / CELL];

		if (mark->kind >= TIMELINE_WAKES)
			continue;
		cell->count[mark->kind] += mark->count;
		cell->all += mark->count;
		most = cell->all > most ? cell->all : most;
	}
	for (unsigned int i = 0; i < CELLS; i++)
		if (cells[i].all)
			draw_bar(svg, &cells[i], most, SVG_PLOT_LEFT + i * CELL, y + BAR_BOTTOM);
}

bool svg_has_bars(const struct timeline_marks *marks)
{
	uint64_t wakes = 0;

	for (unsigned int i = 0; i < marks->count; i++)
		wakes += marks->mark[i].kind < TIMELINE_WAKES ? marks->mark[i].count : 0;
	return wakes > SIGNS_MAX;
}

void svg_draw_marks(const struct svg *svg, const struct timeline_lane *lane, unsigned int y)
{
	bool bars = svg_has_bars(&lane->marks);

	if (bars)
		draw_bars(svg, &lane->marks, y);
	draw_signs(svg, &lane->marks, !bars, y);
}
