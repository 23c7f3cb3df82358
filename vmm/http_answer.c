/*
 * What an answer begins with, and how one without a known end is cut into pieces.
 */
#include <inttypes.h>
#include <time.h>

#include "vmm/base/bits.h"
#include "vmm/http.h"

/* RFC 9110, section 15 Status Codes: those that are given here. */
static const char *reason_of(unsigned int status)
{
	static const struct {
		unsigned int status;
		const char *reason;
	} reasons[] = {
		{200, "OK"}, {204, "No Content"}, {400, "Bad Request"}, {404, "Not Found"},
		{405, "Method Not Allowed"}, {408, "Request Timeout"}, {409, "Conflict"},
		{411, "Length Required"}, {413, "Content Too Large"}, {414, "URI Too Long"},
		{417, "Expectation Failed"}, {431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"}, {501, "Not Implemented"},
		{503, "Service Unavailable"}, {505, "HTTP Version Not Supported"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "";
}

/* RFC 9110, section 6.6.1 Date: whoever has a clock says it, in the form of section 5.6.7 Date/Time
 * Formats. */
static void add_date(struct text *text)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t now = time(NULL);
	struct tm at;

	if (gmtime_r(&now, &at))
		text_add(text, "Date: %.3s, %02d %.3s %d %02d:%02d:%02d GMT\r\n",
			 days + 3 * at.tm_wday, at.tm_mday, months + 3 * at.tm_mon,
			 at.tm_year + 1900, at.tm_hour, at.tm_min, at.tm_sec);
}

void http_add_head(struct text *text, const struct http_head *head)
{
	text_add(text, "HTTP/1.1 %u %s\r\n", head->status, reason_of(head->status));
	add_date(text);
	if (head->type)
		text_add(text, "Content-Type: %s\r\n", head->type);
	if (head->allow)
		text_add(text, "Allow: %s\r\n", head->allow);
	if (head->is_chunked)
		text_add(text, "Transfer-Encoding: chunked\r\n");
	/* RFC 9110, section 8.6 Content-Length: never with 204. */
	else if (!head->is_stream && head->status != 204)
		text_add(text, "Content-Length: %" PRIu64 "\r\n", head->length);
	if (!head->keep_alive)
		text_add(text, "Connection: close\r\n");
	text_add(text, "\r\n");
}

void http_add_chunk(struct text *text, const char *bytes, size_t len)
{
	text_add(text, "%zx\r\n", len);
	text_add_bytes(text, bytes, len);
	text_add_bytes(text, "\r\n", 2);
}
