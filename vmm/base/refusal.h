/*
 * Why the value of an option cannot be had, as one sentence for the user: "OPTION VALUE: SENTENCE".
 */
#ifndef VMM_BASE_REFUSAL_H
#define VMM_BASE_REFUSAL_H

#include <stddef.h>

struct refusal {
	const char *option; /* with what stands before the value: "--disk ", "--net tap=" */
	const char *value;
	char *ret_text;     /* where the sentence goes, cut at its `size` */
	size_t size;
};

/* Writes the sentence, at most 319 bytes behind option and value. Returns `error`. */
int refuse(struct refusal why, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
