#include "vmm/base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE_FIRST 256

/* Room for `len` more bytes and the NUL. */
static bool reserve(struct text *text, size_t len)
{
	size_t size = text->size ? text->size : SIZE_FIRST;
	char *bytes;

	while (size - text->len <= len)
		size *= 2;
	if (text->failed || size == text->size)
		return !text->failed;
	bytes = realloc(text->bytes, size);
	if (!bytes) {
		text->failed = true;
		return false;
	}
	text->bytes = bytes;
	text->size = size;
	return true;
}

void text_add_bytes(struct text *text, const void *bytes, size_t len)
{
	if (!reserve(text, len))
		return;
	memcpy(text->bytes + text->len, bytes, len);
	text->len += len;
	text->bytes[text->len] = '\0';
}

void text_add(struct text *text, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (len < 0 || !reserve(text, (size_t)len))
		return;
	va_start(ap, fmt);
	vsnprintf(text->bytes + text->len, text->size - text->len, fmt, ap);
	va_end(ap);
	text->len += (size_t)len;
}

void text_finish(struct text *text)
{
	free(text->bytes);
	*text = (struct text){0};
}

void text_make_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

int text_write(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t done = write(fd, bytes, len);

		if (done < 0 && errno != EINTR)
			return -errno;
		bytes += done > 0 ? done : 0;
		len -= done > 0 ? (size_t)done : 0;
	}
	return 0;
}
