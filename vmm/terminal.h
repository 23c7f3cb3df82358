/*
 * The person's terminal: raw while the guest runs, restored on every way out of the program, also
 * after a fatal signal. Input goes to the guest's serial port; Ctrl-A is the escape key.
 */
#ifndef VMM_TERMINAL_H
#define VMM_TERMINAL_H

#include <stddef.h>
#include <stdint.h>

struct loop;
struct terminal;

struct terminal_listener {
	void *opaque;
	/* Offers input; returns how many bytes were taken. */
	size_t (*input)(void *opaque, const uint8_t *bytes, size_t len);
	void (*quit)(void *opaque); /* Ctrl-A x */
};

/* Watches standard input. If it is a terminal, makes it raw and honours Ctrl-A. NULL: out of
 * memory. Input that cannot be watched (a closed descriptor) is no error: there is none then. */
struct terminal *terminal_create(struct loop *loop, const struct terminal_listener *listener);

/* The listener has room again. */
void terminal_resume_input(struct terminal *terminal);

void terminal_destroy(struct terminal *terminal); /* accepts NULL */

#endif
