/*
 * What the parts of the picture share. Lengths are tenths of a pixel, and whole numbers, so that
 * the same log is the same picture everywhere.
 */
#ifndef TOOLS_TIMELINE_SVG_H
#define TOOLS_TIMELINE_SVG_H

#include "tools/timeline.h"

#define SVG_WIDTH 10000U
#define SVG_MARGIN 160U
#define SVG_PLOT_LEFT 1600U
#define SVG_PLOT_WIDTH (SVG_WIDTH - SVG_PLOT_LEFT - SVG_MARGIN)
#define SVG_LANES_Y 1390U
#define SVG_LANE_HEIGHT 1340U
#define SVG_LINE_BOTTOM 590U /* of a function's part, where the lines of the axis end */

struct svg {
	const struct timeline *timeline;
	struct text *out;
	uint64_t start, range; /* of the axis; `range` is at least 1 */
};

/* printf's "%u.%u" of a length. */
#define SVG_PX "%u.%u"
#define SVG_ARGS(length) (unsigned int)((length) / 10), (unsigned int)((length) % 10)

unsigned int svg_x(const struct svg *svg, uint64_t t);

/* Text as XML has it, whatever it holds; of more than `max` characters the last ones, after "...".
 * `max` 0: all. */
void svg_escape(const struct svg *svg, const char *text, unsigned int max);

/* A text of a class of timeline_svg.c's sheet; `text` needs no escape. */
void svg_text(const struct svg *svg, unsigned int x, unsigned int y, const char *class,
	      const char *text);

/* What a text in the usual size needs, by the number of its letters. */
unsigned int svg_text_width(const char *text);

/* The sign of a kind of mark, its middle at (x, y). */
void svg_sign(const struct svg *svg, unsigned int x, unsigned int y, enum timeline_mark_kind kind);

/* "awake", "asleep", ... as the picture names a state, and the mark that `kind` is. */
const char *svg_state_name(enum timeline_state state);
const char *svg_mark_name(enum timeline_mark_kind kind);

/* The axis with its lines; and lines where something happened to the machine, with labels where
 * there is room for one. */
void svg_draw_axis(const struct svg *svg);
void svg_draw_machine(const struct svg *svg);

/* One function: its name, its share asleep, its line, and its numbers; `y` is its upper edge. */
void svg_draw_lane(const struct svg *svg, const struct timeline_lane *lane, unsigned int y);

/* What happened to a function, above its line; and whether its wakes are bars instead of signs. */
void svg_draw_marks(const struct svg *svg, const struct timeline_lane *lane, unsigned int y);
bool svg_has_bars(const struct timeline_marks *marks);

/* The numbers of a function below its line. */
void svg_draw_numbers(const struct svg *svg, const struct timeline_lane *lane, unsigned int y);

#endif
