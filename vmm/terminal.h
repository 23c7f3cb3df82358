/*
 * The person's terminal: raw while the guest runs, restored on every way out of the program, also
 * after a fatal signal. Input goes to the guest's serial port or console; Ctrl-A is the escape key.
 */
#ifndef VMM_TERMINAL_H
#define VMM_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct terminal;

/* In characters. */
struct terminal_size {
	uint16_t cols, rows;
};

struct terminal_listener {
	void *opaque;
	/* Offers input; returns how many bytes were taken. */
	size_t (*input)(void *opaque, const uint8_t *bytes, size_t len);
	void (*quit)(void *opaque); /* Ctrl-A x */
	void (*resized)(void *opaque, struct terminal_size size); /* optional */
};

/* How large the terminal is: that of standard output, or else of standard input. False: neither is
 * one, or nobody has told it. */
bool terminal_get_size(struct terminal_size *ret_size);

/* Watches standard input. If it is a terminal, makes it raw and honours Ctrl-A. Takes SIGWINCH for
 * the program if the listener wants to know. NULL: out of memory or descriptors. Input that cannot
 * be watched (a closed descriptor) is no error: there is none then. */
struct terminal *terminal_create(struct loop *loop, const struct terminal_listener *listener);

/* The listener has room again. */
void terminal_resume_input(struct terminal *terminal);

/* What was typed for the guest that was, and was not taken, is dropped; that of a pipe is not.
 * Accepts NULL. */
void terminal_drop_input(struct terminal *terminal);

void terminal_destroy(struct terminal *terminal); /* accepts NULL */

#endif
