#include "vmm/http.h"

#include <string.h>
#include <strings.h>

#include "vmm/base/bits.h"

/* A piece of the request. */
struct span {
	const char *at;
	size_t len;
};

static bool is_word(struct span span, const char *word)
{
	return span.len == strlen(word) && !strncasecmp(span.at, word, span.len);
}

/* RFC 9110, section 5.6.2 Tokens: tchar. */
static bool is_token_character(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(struct span span)
{
	for (size_t i = 0; i < span.len; i++)
		if (!is_token_character(span.at[i]))
			return false;
	return span.len;
}

/* RFC 9110, section 5.6.3 Whitespace: OWS around it is not part of a value. */
static struct span trim(struct span span)
{
	while (span.len && (*span.at == ' ' || *span.at == '\t')) {
		span.at++;
		span.len--;
	}
	while (span.len && (span.at[span.len - 1] == ' ' || span.at[span.len - 1] == '\t'))
		span.len--;
	return span;
}

/* Cuts off what is before the first `c`, and it; all of it where there is none. */
static struct span take_until(struct span *rest, char c)
{
	const char *end = rest->len ? memchr(rest->at, c, rest->len) : NULL;
	struct span piece = {rest->at, end ? (size_t)(end - rest->at) : rest->len};
	size_t skip = piece.len + (end ? 1 : 0);

	rest->at += skip;
	rest->len -= skip;
	return piece;
}

/* --- the request line: RFC 9112, section 3 Request Line --- */

static unsigned int set_method(struct http_request *request, struct span word)
{
	static const struct {
		const char *name;
		enum http_method method;
	} methods[] = {
		{"GET", HTTP_GET},       {"HEAD", HTTP_HEAD},     {"PUT", HTTP_PUT},
		{"POST", HTTP_OTHER},    {"DELETE", HTTP_OTHER},  {"PATCH", HTTP_OTHER},
		{"OPTIONS", HTTP_OTHER}, {"CONNECT", HTTP_OTHER}, {"TRACE", HTTP_OTHER},
	};

	if (!is_token(word))
		return 400;
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		/* Unlike the names of fields, those of methods have their case. */
		if (word.len != strlen(methods[i].name) ||
		    memcmp(word.at, methods[i].name, word.len) != 0)
			continue;
		request->method = methods[i].method;
		return HTTP_MORE;
	}
	return 501;
}

/* origin-form, and absolute-form, which a server must take, too; the latter's authority says
 * nothing here. CONNECT's and OPTIONS' forms name no resource of ours. */
static unsigned int set_target(struct http_request *request, struct span target)
{
	static const char scheme[] = "http://";

	for (size_t i = 0; i < target.len; i++)
		if (target.at[i] <= ' ' || target.at[i] > '~' || target.at[i] == '#')
			return 400;
	if (target.len >= strlen(scheme) && !strncasecmp(target.at, scheme, strlen(scheme))) {
		struct span authority;

		target.at += strlen(scheme);
		target.len -= strlen(scheme);
		authority = target;
		authority.len = take_until(&(struct span){target.at, target.len}, '/').len;
		if (!authority.len)
			return 400;
		target.at += authority.len;
		target.len -= authority.len;
	} else if (!target.len || (*target.at != '/' && request->method != HTTP_OTHER)) {
		return 400;
	}
	request->path = target.at;
	request->path_len = take_until(&target, '?').len;
	request->query = target.at;
	request->query_len = target.len;
	return HTTP_MORE;
}

/* RFC 9112, section 2.3 HTTP Version. A later 1.x is answered as 1.1: RFC 9110, section 2.5
 * Protocol Version. */
static unsigned int set_version(struct http_request *request, struct span version)
{
	if (version.len != 8 || memcmp(version.at, "HTTP/", 5) != 0 || version.at[6] != '.' ||
	    version.at[5] < '0' || version.at[5] > '9' || version.at[7] < '0' ||
	    version.at[7] > '9')
		return 400;
	if (version.at[5] != '1')
		return 505;
	request->minor = version.at[7] != '0';
	request->keep_alive = request->minor;
	return HTTP_MORE;
}

static unsigned int parse_request_line(struct http_parser *parser, struct span line)
{
	struct http_request *request = &parser->request;
	struct span method = take_until(&line, ' ');
	struct span target = take_until(&line, ' ');
	unsigned int status = set_version(request, line);

	if (status == HTTP_MORE)
		status = set_method(request, method);
	if (status == HTTP_MORE)
		status = set_target(request, target);
	parser->has_request_line = true;
	return status;
}

/* --- fields: RFC 9112, section 5 Field Syntax --- */

static unsigned int take_host(struct http_parser *parser, struct span value)
{
	(void)value; /* whom else than us */
	if (parser->has_host)
		return 400;
	parser->has_host = true;
	return HTTP_MORE;
}

static unsigned int take_length(struct http_parser *parser, struct span value)
{
	size_t length = 0;

	if (parser->has_length || !value.len)
		return 400;
	for (size_t i = 0; i < value.len; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return 400;
		if (length <= HTTP_BODY_MAX)
			length = length * 10 + (size_t)(value.at[i] - '0');
	}
	parser->has_length = true;
	parser->request.body_len = length;
	return HTTP_MORE;
}

static unsigned int take_coding(struct http_parser *parser, struct span value)
{
	parser->is_coded = true;
	parser->is_chunked = is_word(value, "chunked");
	return HTTP_MORE;
}

static unsigned int take_connection(struct http_parser *parser, struct span value)
{
	while (value.len) {
		struct span option = trim(take_until(&value, ','));

		if (is_word(option, "close"))
			parser->request.keep_alive = false;
		else if (is_word(option, "keep-alive") && !parser->request.minor)
			parser->request.keep_alive = true;
	}
	return HTTP_MORE;
}

/* RFC 9110, section 10.1.1 Expect: none but this one is known, and HTTP/1.0 has none. */
static unsigned int take_expect(struct http_parser *parser, struct span value)
{
	if (!parser->request.minor)
		return HTTP_MORE;
	parser->request.expects_continue = true;
	return is_word(value, "100-continue") ? HTTP_MORE : 417;
}

static unsigned int parse_field(struct http_parser *parser, struct span line)
{
	static const struct {
		const char *name;
		unsigned int (*take)(struct http_parser *parser, struct span value);
	} fields[] = {
		{"host", take_host},
		{"content-length", take_length},
		{"transfer-encoding", take_coding},
		{"connection", take_connection},
		{"expect", take_expect},
	};
	struct span name = take_until(&line, ':');
	struct span value = trim(line);

	/* Neither white space before the colon nor a line that goes on with another (obs-fold). */
	if (!is_token(name) || line.at == name.at + name.len)
		return 400;
	for (size_t i = 0; i < value.len; i++)
		if (((unsigned char)value.at[i] < ' ' && value.at[i] != '\t') ||
		    value.at[i] == 0x7f)
			return 400;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (is_word(name, fields[i].name))
			return fields[i].take(parser, value);
	return HTTP_MORE;
}

/*
 * After the last field. RFC 9112, section 3.2 Request Target: HTTP/1.1 has a Host. Section 6.3
 * Message Body Length: a body without Content-Length may be refused by 411, one with both is how
 * requests are smuggled.
 */
static unsigned int finish_head(struct http_parser *parser)
{
	if (!parser->has_host && parser->request.minor)
		return 400;
	if (parser->is_coded && (parser->has_length || !parser->request.minor))
		return 400;
	if (parser->is_coded)
		return parser->is_chunked ? 411 : 501;
	if (parser->request.body_len > HTTP_BODY_MAX)
		return 413;
	parser->request.head_len = parser->at;
	return HTTP_PARSED;
}

static unsigned int parse_line(struct http_parser *parser, struct span line)
{
	if (parser->has_request_line)
		return line.len ? parse_field(parser, line) : finish_head(parser);
	/* RFC 9112, section 2.2 Message Parsing: empty lines before a request are ignored. */
	return line.len ? parse_request_line(parser, line) : HTTP_MORE;
}

unsigned int http_parse(struct http_parser *parser, const char *bytes, size_t len)
{
	size_t max = len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX;
	unsigned int status = HTTP_MORE;

	while (status == HTTP_MORE) {
		const char *line = bytes + parser->at;
		const char *end = memchr(line, '\n', max - parser->at);

		if (!end && len >= HTTP_HEAD_MAX)
			return parser->has_request_line ? 431 : 414;
		if (!end)
			return HTTP_MORE;
		/* A line ends with CR and LF here, not with LF alone. */
		if (end == line || end[-1] != '\r')
			return 400;
		parser->at = (size_t)(end - bytes) + 1;
		status = parse_line(parser, (struct span){line, (size_t)(end - 1 - line)});
	}
	return status;
}

bool http_query_has(const struct http_request *request, const char *name, const char *value)
{
	struct span rest = {request->query, request->query_len};

	while (rest.len) {
		struct span pair = take_until(&rest, '&');
		struct span key = take_until(&pair, '=');

		if (is_word(key, name) && is_word(pair, value))
			return true;
	}
	return false;
}
