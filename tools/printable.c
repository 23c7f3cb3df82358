#include "tools/printable.h"

#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/base/json.h"

/* Unicode 15.0: C1 controls, what sets directions or ends lines, and the last of a plane, which
 * XML has not. As bytes, the last one as a range. */
static bool is_odd(const unsigned char *bytes)
{
	static const struct {
		unsigned char lead[2];
		unsigned int leads;
		unsigned char first, last;
	} odd[] = {
		{{0x7f}, 0, 0x7f, 0x7f},
		{{0xc2}, 1, 0x80, 0x9f},
		{{0xe2, 0x80}, 2, 0xa8, 0xae},
		{{0xe2, 0x81}, 2, 0xa6, 0xa9},
		{{0xef, 0xbf}, 2, 0xbe, 0xbf},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(odd); i++)
		if (!memcmp(bytes, odd[i].lead, odd[i].leads) &&
		    bytes[odd[i].leads] >= odd[i].first && bytes[odd[i].leads] <= odd[i].last)
			return true;
	return false;
}

size_t printable_character(const char *text, char ret_character[PRINTABLE_MAX])
{
	char escaped[JSON_ESCAPED_MAX];
	size_t len = json_escape(text, escaped);
	char bytes[PRINTABLE_MAX] = "";

	memcpy(bytes, text, len);
	/* JSON has an escape for what is no character, or a control. */
	if ((escaped[0] == '\\' && escaped[1] == 'u') || is_odd((unsigned char *)bytes))
		strcpy(bytes, "?");
	memcpy(ret_character, bytes, sizeof(bytes));
	return len;
}

void printable_add(struct text *out, const char *text, unsigned int columns)
{
	unsigned int used = 0;

	for (; *text && (!columns || used < columns); used++) {
		char character[PRINTABLE_MAX];
		size_t len = printable_character(text, character);

		if (used + 1 == columns && text[len])
			strcpy(character, "~");
		text_add_bytes(out, character, strlen(character));
		text += len;
	}
	for (; used < columns; used++)
		text_add_bytes(out, " ", 1);
}
