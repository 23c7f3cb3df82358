/*
 * The input is what a server answers: in one piece or byte by byte it is the same answer, and what
 * can be read of it is shown without anything that a terminal obeys.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tools/ctl_show.h"
#include "tools/http.h"
#include "tools/lines.h"

#define TOKENS 1024

static bool take(void *opaque, const char *bytes, size_t len)
{
	fuzz_must(len > 0, "a piece of nothing");
	text_add_bytes(opaque, bytes, len);
	return true;
}

static void check_text(const struct text *text)
{
	for (size_t i = 0; i < text->len; i++)
		fuzz_must(text->bytes[i] == '\n' || (unsigned char)text->bytes[i] >= 0x20,
			  "a control character");
}

static void try_power(const struct text *body)
{
	static jsmntok_t tokens[TOKENS];
	static struct view_power power;
	struct view_info info;
	struct text text = {.bytes = NULL};
	struct json_doc doc;

	if (!body->len || json_parse(body->bytes, body->len, tokens, TOKENS, &doc))
		return;
	if (!view_read_power(&doc, &power)) {
		fuzz_must(power.slots <= VIEW_SLOTS, "too many slots");
		show_power(&text, &power, NULL, (struct show_style) {.utf8 = true});
		if (!view_read_info(&doc, &info))
			show_status(&text, &info, &power);
	}
	check_text(&text);
	text_finish(&text);
}

static bool try_line(void *opaque, uint64_t number, const char *line, size_t len)
{
	struct text text = {.bytes = NULL};

	(void)opaque;
	(void)number;
	show_event(&text, line, len);
	check_text(&text);
	text_finish(&text);
	return true;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char whole[] =
		"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n{\"t_us\":9,\"state\":\"Running\","
		"\"slots\":[{\"id\":\"gpu0\",\"functions\":[{\"name\":\"a.0\","
		"\"state\":\"engaged\",\"since_us\":3,\"error\":\"EIO\","
		"\"host\":{\"power_state\":\"D3cold\",\"suspended\":true},"
		"\"counters\":{\"entries\":4,\"refused_eio\":2,\"engaged_us\":3}}]}]}"
		"                           ";
	static const char chunked[] =
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20;x=y\r\n"
		"{\"t_us\":1000000,\"event\":\"boot\"}\n\r\n0\r\nTrailer: x\r\n\r\n";

	fuzz_write_seed(*argc, *argv, "whole", whole, sizeof(whole) - 1);
	fuzz_write_seed(*argc, *argv, "chunked", chunked, sizeof(chunked) - 1);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_reader readers[2] = {{.phase = HTTP_STATUS_LINE}, {.phase = HTTP_STATUS_LINE}};
	struct lines *lines = calloc(1, sizeof(*lines));
	struct text bodies[2] = {{.bytes = NULL}};
	int errors[2] = {0, 0};

	fuzz_must(lines != NULL, "out of memory");
	errors[0] = http_feed(&readers[0], (const char *)data, size, take, &bodies[0]);
	for (size_t i = 0; i < size && !errors[1]; i++)
		errors[1] = http_feed(&readers[1], (const char *)data + i, 1, take, &bodies[1]);
	fuzz_must(errors[0] == errors[1] && readers[0].phase == readers[1].phase &&
		  bodies[0].len == bodies[1].len, "pieces make a difference");
	fuzz_must(!bodies[0].len || !memcmp(bodies[0].bytes, bodies[1].bytes, bodies[0].len),
		  "pieces make another body");
	try_power(&bodies[0]);
	lines_feed(lines, bodies[0].bytes ? bodies[0].bytes : "", bodies[0].len, try_line, NULL);
	lines_end(lines, try_line, NULL);
	text_finish(&bodies[0]);
	text_finish(&bodies[1]);
	free(lines);
	return 0;
}
