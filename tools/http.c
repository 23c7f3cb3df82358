#include "tools/http.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define STATUS_NO_CONTENT 204
#define STATUS_NOT_MODIFIED 304

/* RFC 9112, section 4 Status Line: "HTTP/1.1 200 OK"; the reason may be missing. */
static int read_status_line(struct http_reader *reader, const char *line)
{
	const char *code = line + strlen("HTTP/1.1 ");

	if (strncmp(line, "HTTP/1.", 7) || line[7] < '0' || line[7] > '9' || line[8] != ' ')
		return -EPROTO;
	reader->status = 0;
	for (unsigned int i = 0; i < 3; i++) {
		if (code[i] < '0' || code[i] > '9')
			return -EPROTO;
		reader->status = reader->status * 10 + (unsigned int)(code[i] - '0');
	}
	if ((code[3] && code[3] != ' ') || reader->status < 100)
		return -EPROTO;
	reader->phase = HTTP_FIELDS;
	return 0;
}

/* Digits in base 10 or 16, at least one, up to `end`. */
static int read_number(const char *text, const char *end, unsigned int base, uint64_t *ret_number)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	uint64_t number = 0;

	if (text == end)
		return -EPROTO;
	for (; text < end; text++) {
		const char *digit = *text ? strchr(digits, *text) : NULL;
		unsigned int value = digit ? (unsigned int)(digit - digits) % 16 : 16;

		if (value >= base || number > (UINT64_MAX >> 5) / base)
			return -EPROTO;
		number = number * base + value;
	}
	*ret_number = number;
	return 0;
}

/* The value of a field without the blanks around it, `line` being "Name: value"; NULL: another. */
static char *field_value(char *line, const char *name)
{
	size_t len = strlen(name);
	char *end = line + strlen(line);

	if (strncasecmp(line, name, len) || line[len] != ':')
		return NULL;
	while (end > line + len + 1 && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	line += len + 1;
	return line + strspn(line, " \t");
}

static int read_field(struct http_reader *reader, char *line)
{
	char *value;

	if (++reader->lines > HTTP_LINES_MAX || line[0] == ' ' || line[0] == '\t' ||
	    !strchr(line, ':'))
		return -EPROTO;
	value = field_value(line, "Content-Length");
	if (value) {
		if (reader->has_length)
			return -EPROTO;
		reader->has_length = true;
		return read_number(value, value + strlen(value), 10, &reader->left);
	}
	value = field_value(line, "Transfer-Encoding");
	if (!value)
		return 0;
	if (reader->chunked || strcasecmp(value, "chunked"))
		return -EPROTO;
	reader->chunked = true;
	return 0;
}

/* RFC 9112, section 6.3 Message Body Length. An interim answer (1xx) comes before the real one. */
static int end_head(struct http_reader *reader)
{
	if (reader->chunked && reader->has_length)
		return -EPROTO;
	if (reader->status < 200) {
		if (reader->chunked || reader->has_length)
			return -EPROTO;
		reader->phase = HTTP_STATUS_LINE;
	} else if (reader->status == STATUS_NO_CONTENT || reader->status == STATUS_NOT_MODIFIED) {
		reader->phase = HTTP_DONE;
	} else if (reader->chunked) {
		reader->phase = HTTP_CHUNK_SIZE;
	} else if (reader->has_length) {
		reader->phase = reader->left ? HTTP_BODY : HTTP_DONE;
	} else {
		reader->phase = HTTP_BODY_TO_END;
	}
	return 0;
}

/* RFC 9112, section 7.1 Chunked Transfer Coding: the size, and what nobody needs to understand. */
static int read_chunk_size(struct http_reader *reader, const char *line)
{
	int error = read_number(line, line + strcspn(line, " \t;"), 16, &reader->left);

	reader->phase = reader->left ? HTTP_CHUNK_DATA : HTTP_TRAILER;
	return error;
}

/* A line without its end. */
static int read_line(struct http_reader *reader, char *line)
{
	switch (reader->phase) {
	case HTTP_STATUS_LINE:
		return read_status_line(reader, line);
	case HTTP_FIELDS:
		return *line ? read_field(reader, line) : end_head(reader);
	case HTTP_CHUNK_SIZE:
		return read_chunk_size(reader, line);
	case HTTP_CHUNK_END:
		reader->phase = HTTP_CHUNK_SIZE;
		return *line ? -EPROTO : 0;
	default: /* HTTP_TRAILER */
		if (!*line)
			reader->phase = HTTP_DONE;
		return ++reader->lines > HTTP_LINES_MAX ? -EPROTO : 0;
	}
}

static int take_line_byte(struct http_reader *reader, char byte)
{
	if (byte != '\n') {
		if (reader->len == sizeof(reader->line) - 1 || !byte)
			return -EPROTO;
		reader->line[reader->len++] = byte;
		return 0;
	}
	if (reader->len && reader->line[reader->len - 1] == '\r')
		reader->len--;
	reader->line[reader->len] = '\0';
	reader->len = 0;
	return read_line(reader, reader->line);
}

/* Bytes of the body, as many as this piece has. */
static int take_body(struct http_reader *reader, const char *bytes, size_t len, http_body_fn take,
		     void *opaque, size_t *ret_used)
{
	bool bounded = reader->phase != HTTP_BODY_TO_END;
	size_t part = bounded && len > reader->left ? (size_t)reader->left : len;

	if (!take(opaque, bytes, part))
		return -ECANCELED;
	*ret_used = part;
	if (!bounded)
		return 0;
	reader->left -= part;
	if (!reader->left)
		reader->phase = reader->phase == HTTP_BODY ? HTTP_DONE : HTTP_CHUNK_END;
	return 0;
}

int http_feed(struct http_reader *reader, const char *bytes, size_t len, http_body_fn take,
	      void *opaque)
{
	int error = 0;

	while (len && !error && reader->phase != HTTP_DONE) {
		bool in_body = reader->phase == HTTP_BODY || reader->phase == HTTP_CHUNK_DATA ||
			       reader->phase == HTTP_BODY_TO_END;
		size_t used = 1;

		error = in_body ? take_body(reader, bytes, len, take, opaque, &used)
				: take_line_byte(reader, *bytes);
		bytes += used;
		len -= used;
	}
	return error;
}

bool http_has_head(const struct http_reader *reader)
{
	return reader->phase > HTTP_FIELDS;
}

bool http_is_whole(const struct http_reader *reader)
{
	return reader->phase == HTTP_DONE || reader->phase == HTTP_BODY_TO_END;
}
