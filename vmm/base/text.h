/*
 * A text that grows: appended to piece by piece, and asked once at the end whether memory sufficed.
 */
#ifndef VMM_BASE_TEXT_H
#define VMM_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
	char *bytes;  /* `len` bytes and a NUL; NULL while empty */
	size_t len, size;
	bool failed;  /* out of memory: the text is incomplete, and later pieces are dropped */
};

/* Starts as {0}. Each appends; none fails at once, see `failed`. */
void text_add(struct text *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_add_bytes(struct text *text, const void *bytes, size_t len);

/* Frees; the text is empty again. */
void text_finish(struct text *text);

/* For a sentence with what a file holds, which may end on a terminal: what is not printable ASCII
 * becomes a question mark. */
void text_make_printable(char *text);

/* Writes all of these bytes, also when signals come. 0 or negative errno. */
int text_write(int fd, const char *bytes, size_t len);

#endif
