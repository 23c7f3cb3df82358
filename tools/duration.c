#include "tools/duration.h"

#include <inttypes.h>
#include <stdio.h>

#include "vmm/base/bits.h"

#define US_PER_S 1000000ULL
#define DAY_S 86400ULL

/* `value` thousandths of a unit, with three digits that matter. */
static void put_digits(uint64_t value, const char *unit, char text[DURATION_TEXT])
{
	uint64_t whole = value / 1000, rest = value % 1000;

	if (whole >= 100)
		snprintf(text, DURATION_TEXT, "%" PRIu64 " %s", whole, unit);
	else if (whole >= 10)
		snprintf(text, DURATION_TEXT, "%" PRIu64 ".%" PRIu64 " %s", whole, rest / 100,
			 unit);
	else
		snprintf(text, DURATION_TEXT, "%" PRIu64 ".%02" PRIu64 " %s", whole, rest / 10,
			 unit);
}

const char *duration_text(uint64_t us, char ret_text[DURATION_TEXT])
{
	static const struct {
		uint64_t large_s, small_s; /* the two units */
		const char *format;
	} forms[] = {
		{DAY_S, 3600, "%" PRIu64 " d %02" PRIu64 " h"},
		{3600, 60, "%" PRIu64 " h %02" PRIu64 " min"},
		{60, 1, "%" PRIu64 " min %02" PRIu64 " s"},
	};
	uint64_t s = us / US_PER_S;

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (s < forms[i].large_s)
			continue;
		snprintf(ret_text, DURATION_TEXT, forms[i].format, s / forms[i].large_s,
			 s % forms[i].large_s / forms[i].small_s);
		return ret_text;
	}
	if (us >= US_PER_S)
		put_digits(us / 1000, "s", ret_text);
	else if (us >= 1000)
		put_digits(us, "ms", ret_text);
	else
		snprintf(ret_text, DURATION_TEXT, us ? "%" PRIu64 " us" : "0 s", us);
	return ret_text;
}

const char *percent_text(uint64_t part, uint64_t whole, char ret_text[DURATION_TEXT])
{
	/* Without overflow: `whole` may be all there is. */
	uint64_t scale = whole >> 40 ? whole >> 40 : 1;
	uint64_t tenths = whole ? part / scale * 1000 / (whole / scale) : 0;

	if (tenths < 1)
		tenths = 1;
	if (tenths > 999)
		tenths = 999;
	if (!whole)
		snprintf(ret_text, DURATION_TEXT, "-");
	else if (!part || part >= whole)
		snprintf(ret_text, DURATION_TEXT, part ? "100 %%" : "0 %%");
	else if (tenths >= 100 && tenths < 990)
		snprintf(ret_text, DURATION_TEXT, "%" PRIu64 " %%", tenths / 10);
	else
		snprintf(ret_text, DURATION_TEXT, "%" PRIu64 ".%" PRIu64 " %%", tenths / 10,
			 tenths % 10);
	return ret_text;
}
