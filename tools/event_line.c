#include "tools/event_line.h"

#include <errno.h>

#include "vmm/base/bits.h"
#include "vmm/base/json_read.h"

#define TOKENS_MAX 256 /* "counters", the longest, has about 90 */

static void get_word(const struct json_doc *doc, const char *key, char text[EVENT_WORD_MAX])
{
	json_get_string(doc, json_member(doc, 0, key), text, EVENT_WORD_MAX);
}

static bool get_number(const struct json_doc *doc, const char *key, uint64_t *ret_number)
{
	return json_get_number(doc, json_member(doc, 0, key), EVENT_TIME_MAX, ret_number);
}

static int get_all(const struct json_doc *doc, struct event_line *line)
{
	unsigned int device = json_member(doc, 0, "device");

	if (!get_number(doc, "t_us", &line->t_us) || line->t_us >= EVENT_TIME_MAX ||
	    !json_member(doc, 0, "event"))
		return -EPROTO;
	if (device && !json_get_string(doc, device, line->device, sizeof(line->device)))
		return -EPROTO;
	get_word(doc, "event", line->event);
	get_word(doc, "from", line->from);
	get_word(doc, "to", line->to);
	get_word(doc, "cause", line->cause);
	get_word(doc, "errno", line->error);
	get_word(doc, "bdf", line->bdf);
	json_get_string(doc, json_member(doc, 0, "id"), line->id, sizeof(line->id));
	json_get_string(doc, json_member(doc, 0, "detail"), line->detail, sizeof(line->detail));
	get_number(doc, "latency_us", &line->latency_us);
	get_number(doc, "engaged_us", &line->engaged_us);
	get_number(doc, "hold_ms", &line->hold_ms);
	get_number(doc, "count", &line->count);
	line->tells_suspended = get_number(doc, "suspended_us", &line->suspended_us);
	return 0;
}

int event_line_parse(const char *bytes, size_t len, struct event_line *ret_line)
{
	jsmntok_t tokens[TOKENS_MAX];
	struct event_line line = {.t_us = 0};
	struct json_doc doc;

	if (json_parse(bytes, len, tokens, TOKENS_MAX, &doc) || get_all(&doc, &line))
		return -EPROTO;
	*ret_line = line;
	return 0;
}
