/*
 * The input is an event log: it is read in pieces, drawn, and the picture is one that XML's rules
 * for characters allow, with all of its tags closed.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tools/timeline.h"

#define COLUMNS 824

static void check_lane(const struct timeline_lane *lane)
{
	uint64_t us[TIMELINE_STATES] = {0};

	for (unsigned int i = 0; i < lane->spans; i++) {
		fuzz_must(lane->span[i].end >= lane->span[i].start, "a span ends before it begins");
		fuzz_must(!i || lane->span[i].start == lane->span[i - 1].end, "a gap");
		for (unsigned int k = 0; k < TIMELINE_STATES; k++)
			us[k] += lane->span[i].us[k];
	}
	fuzz_must(!memcmp(us, lane->us, sizeof(us)), "time was lost");
}

/* Every tag opens or closes, strings in them are closed, and there are no controls. */
static void check_picture(const struct text *svg)
{
	unsigned int depth = 0;
	bool in_tag = false;

	for (size_t i = 0; i < svg->len; i++) {
		unsigned char c = (unsigned char)svg->bytes[i];

		fuzz_must(c >= 0x20 || c == '\n', "a control character");
		fuzz_must(c != '<' || !in_tag, "a tag in a tag");
		in_tag |= c == '<';
		if (c == '<')
			depth += svg->bytes[i + 1] == '/' ? -1U : 1;
		if (c == '>' && in_tag) {
			in_tag = false;
			depth -= svg->bytes[i - 1] == '/';
		}
	}
	fuzz_must(!depth && !in_tag, "tags are not closed");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char seed[] =
		"{\"t_us\":1,\"event\":\"open\",\"device\":\"a.0\",\"to\":\"group\"}\n"
		"{\"t_us\":2,\"event\":\"policy\",\"device\":\"a\",\"to\":\"d3cold\","
		"\"detail\":\"x\"}\n"
		"{\"t_us\":3,\"event\":\"boot\"}\n"
		"{\"t_us\":40,\"event\":\"power\",\"device\":\"a.0\",\"from\":\"on\","
		"\"to\":\"engaged\","
		"\"cause\":\"guest\",\"latency_us\":5}\n"
		"{\"t_us\":90,\"event\":\"power\",\"device\":\"a.0\",\"from\":\"engaged\","
		"\"to\":\"woken\",\"cause\":\"host\",\"engaged_us\":50,\"suspended_us\":40}\n"
		"{\"t_us\":91,\"event\":\"governor\",\"device\":\"a\",\"hold_ms\":4}\n"
		"{\"t_us\":95,\"event\":\"power\",\"device\":\"a.0\",\"from\":\"woken\","
		"\"to\":\"lost\","
		"\"cause\":\"error\",\"errno\":\"EIO\"}\n"
		"{\"t_us\":5,\"event\":\"reset\"}\n{\"t_us\":9,\"event\":\"exit\"}\n";

	fuzz_write_seed(*argc, *argv, "log", seed, sizeof(seed) - 1);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lines *lines = calloc(1, sizeof(*lines));
	struct timeline timeline = {.lanes = 0};
	struct text svg = {.bytes = NULL};
	size_t half = size / 2;

	fuzz_must(lines != NULL, "out of memory");
	lines_feed(lines, (const char *)data, half, timeline_take, &timeline);
	lines_feed(lines, (const char *)data + half, size - half, timeline_take, &timeline);
	if (timeline.events) {
		timeline_close(&timeline, COLUMNS);
		for (unsigned int i = 0; i < timeline.lanes; i++)
			check_lane(timeline.lane[i]);
		timeline_draw(&timeline, &svg);
		check_picture(&svg);
	}
	text_finish(&svg);
	timeline_finish(&timeline);
	free(lines);
	return 0;
}
