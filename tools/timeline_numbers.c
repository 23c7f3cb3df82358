/*
 * The numbers of a function: how long it slept, what woke it, how long the host took.
 */
#include <inttypes.h>
#include <stdio.h>

#include "tools/duration.h"
#include "tools/timeline_svg.h"
#include "vmm/base/bits.h"

#define VALUE_Y 170U
#define SPARK_Y 440U
#define SPARK_HEIGHT 160U
#define OCTAVE_FIRST 5U  /* 32 us and less */
#define OCTAVES 21U      /* to 64 s and more */
#define OCTAVE_WIDTH 75U
#define WAKE_WIDTH 560U
/* The columns. */
#define ENGAGED_X SVG_PLOT_LEFT
#define SUSPENDED_X 2840U
#define SLEEPS_X 4080U
#define WAKES_X 4580U
#define REFUSED_X 5680U
#define ENTRY_X 6420U
#define EXIT_X 8170U

static void draw_number(const struct svg *svg, unsigned int x, unsigned int y, const char *name,
			const char *value)
{
	svg_text(svg, x, y, "s", name);
	svg_text(svg, x, y + VALUE_Y, "v", value);
}

static void draw_time(const struct svg *svg, const struct timeline_lane *lane, unsigned int x,
		      unsigned int y, const char *name, uint64_t us)
{
	char length[DURATION_TEXT], share[DURATION_TEXT], text[2 * DURATION_TEXT + 8];

	snprintf(text, sizeof(text), "%s, %s", duration_text(us, length),
		 percent_text(us, timeline_whole(lane), share));
	draw_number(svg, x, y, name, text);
}

/* Those that occurred, two in a row. */
static void draw_wakes(const struct svg *svg, const struct timeline_lane *lane, unsigned int x,
		       unsigned int y)
{
	unsigned int drawn = 0;
	char text[24];

	svg_text(svg, x, y, "s", "woken by");
	for (unsigned int i = 0; i < TIMELINE_WAKES; i++) {
		unsigned int left = x + drawn % 2 * WAKE_WIDTH;
		unsigned int line = y + VALUE_Y + drawn / 2 * VALUE_Y;

		if (!lane->wakes[i])
			continue;
		text_add(svg->out, "<g><title>%s</title>", svg_mark_name(i));
		svg_sign(svg, left + 40, line - 42, i);
		snprintf(text, sizeof(text), "%" PRIu64, lane->wakes[i]);
		svg_text(svg, left + 110, line, "v", text);
		text_add(svg->out, "</g>");
		drawn++;
	}
	if (!drawn)
		svg_text(svg, x, y + VALUE_Y, "v", "nobody");
}

/* --- latencies --- */

/* In a unit that all of a row share, three digits. */
static int put_latency(char *text, size_t size, uint64_t us, uint64_t unit_us)
{
	uint64_t whole_units = us / unit_us, hundredths = us % unit_us * 100 / unit_us;

	if (whole_units >= 100 || unit_us == 1)
		return snprintf(text, size, "%" PRIu64, whole_units);
	if (whole_units >= 10)
		return snprintf(text, size, "%" PRIu64 ".%" PRIu64, whole_units, hundredths / 10);
	return snprintf(text, size, "%" PRIu64 ".%02" PRIu64, whole_units, hundredths);
}

static void draw_percentiles(const struct svg *svg, const struct latency *latency, unsigned int x,
			     unsigned int y)
{
	const uint64_t values[] = {latency->min_us, latency_percentile(latency, 50),
				   latency_percentile(latency, 95), latency->max_us};
	uint64_t unit = latency->max_us < 1000 ? 1 : latency->max_us < 10000000 ? 1000 : 1000000;
	char text[160];
	size_t len = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		len += (size_t)put_latency(text + len, sizeof(text) - len, values[i], unit);
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
					i + 1 < ARRAY_SIZE(values) ? " \u00b7 " : "");
	}
	snprintf(text + len, sizeof(text) - len, " %s",
		 unit == 1 ? "us" : unit == 1000 ? "ms" : "s");
	svg_text(svg, x, y, "v", text);
}

/* The numbers in each bucket of the histogram that is drawn; the outermost hold the rest. */
static uint64_t fill_octaves(const struct latency *latency, uint64_t ret_count[OCTAVES])
{
	uint64_t most = 1;

	for (unsigned int i = 0; i < OCTAVES; i++)
		ret_count[i] = 0;
	for (unsigned int octave = 0; octave < LATENCY_OCTAVES + LATENCY_FINE_BITS - 1; octave++) {
		unsigned int i = octave < OCTAVE_FIRST ? 0 : octave - OCTAVE_FIRST;

		if (i >= OCTAVES)
			i = OCTAVES - 1;
		ret_count[i] += latency_octave(latency, octave);
		if (ret_count[i] > most)
			most = ret_count[i];
	}
	return most;
}

static void draw_octave(const struct svg *svg, unsigned int x, unsigned int y, unsigned int i,
			uint64_t count, uint64_t most)
{
	unsigned int height = (unsigned int)(count * SPARK_HEIGHT / most);
	char from[DURATION_TEXT], to[DURATION_TEXT];

	if (!count)
		return;
	if (height < 15)
		height = 15;
	text_add(svg->out, "<g><title>%s to %s: %" PRIu64 "</title><rect class=\"bar\" x=\"" SVG_PX
		 "\" y=\"" SVG_PX "\" width=\"6.5\" height=\"" SVG_PX "\"/></g>",
		 duration_text(i ? 1ULL << (i + OCTAVE_FIRST) : 0, from),
		 i + 1 < OCTAVES ? duration_text(2ULL << (i + OCTAVE_FIRST), to) : "more", count,
		 SVG_ARGS(x), SVG_ARGS(y - height), SVG_ARGS(height));
}

/* A histogram with a logarithmic axis that is the same for all. */
static void draw_spark(const struct svg *svg, const struct latency *latency, unsigned int x,
		       unsigned int y)
{
	static const struct {
		unsigned int octave;
		const char *name;
	} ticks[] = {{10, "1 ms"}, {17, "100 ms"}, {23, "10 s"}};
	uint64_t count[OCTAVES], most = fill_octaves(latency, count);

	text_add(svg->out, "<path class=\"g\" d=\"M" SVG_PX " " SVG_PX "h" SVG_PX "\"/>",
		 SVG_ARGS(x), SVG_ARGS(y), SVG_ARGS(OCTAVES * OCTAVE_WIDTH));
	for (unsigned int i = 0; i < OCTAVES; i++)
		draw_octave(svg, x + i * OCTAVE_WIDTH, y, i, count[i], most);
	for (unsigned int i = 0; i < ARRAY_SIZE(ticks); i++)
		svg_text(svg, x + (ticks[i].octave - OCTAVE_FIRST) * OCTAVE_WIDTH, y + 100, "t m",
			 ticks[i].name);
}

static void draw_latency(const struct svg *svg, const struct latency *latency, const char *name,
			 unsigned int x, unsigned int y)
{
	if (!latency->count)
		return;
	svg_text(svg, x, y, "s", name);
	draw_percentiles(svg, latency, x, y + VALUE_Y);
	draw_spark(svg, latency, x, y + SPARK_Y);
}

void svg_draw_numbers(const struct svg *svg, const struct timeline_lane *lane, unsigned int y)
{
	char text[64];

	draw_time(svg, lane, ENGAGED_X, y, "engaged",
		  lane->us[TIMELINE_ASLEEP] + lane->us[TIMELINE_ENGAGED]);
	if (lane->tells_suspended)
		draw_time(svg, lane, SUSPENDED_X, y, "really suspended", lane->us[TIMELINE_ASLEEP]);
	else
		draw_number(svg, SUSPENDED_X, y, "really suspended", "not told");
	snprintf(text, sizeof(text), "%" PRIu64, lane->sleeps);
	draw_number(svg, SLEEPS_X, y, "sleeps", text);
	draw_wakes(svg, lane, WAKES_X, y);
	snprintf(text, sizeof(text), "%" PRIu64 ", %" PRIu64, lane->refusals, lane->losses);
	draw_number(svg, REFUSED_X, y, "refused, lost", text);
	draw_latency(svg, &lane->entry, "entry: min \u00b7 med \u00b7 p95 \u00b7 max", ENTRY_X, y);
	draw_latency(svg, &lane->exit, "exit: min \u00b7 med \u00b7 p95 \u00b7 max", EXIT_X, y);
}
