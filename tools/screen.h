/*
 * A whole terminal for a while: the alternate screen, no cursor, keys without echo; and the signals
 * that end, stop or resize it as a descriptor, so that it is given back before any of them does its
 * work.
 */
#ifndef TOOLS_SCREEN_H
#define TOOLS_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

struct screen {
	int signal_fd;   /* to be polled: screen_take_signal() */
	bool takes_keys; /* standard input is a terminal; to be polled and read */
	bool is_shown;
	struct termios before;
	int ended_by;    /* the signal, 0: none */
};

/* Takes standard output, which is a terminal, and standard input, if it is one. 0 or a negative
 * errno; then nothing has changed. */
int screen_open(struct screen *screen);

/* Gives the terminal back. When a signal has ended the screen, the program then ends by it. */
void screen_close(struct screen *screen);

/* Draws `text`, lines that end in "\n", from the upper left; what does not fit is cut off. False:
 * the terminal does not take it. */
bool screen_draw(const char *text, size_t len);

/* Reads a signal. False: the screen is to be closed. Else it wants to be drawn again. */
bool screen_take_signal(struct screen *screen);

#endif
