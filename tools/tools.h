/*
 * The commands besides running a guest: `minivmm COMMAND ...`. Each is a program of its own with
 * options, help and exit status of its own; vmm/main.c has the table. None makes a virtual machine.
 */
#ifndef TOOLS_TOOLS_H
#define TOOLS_TOOLS_H

#include <stddef.h>

/* What every command ends with, but where its man page says otherwise (doctor). */
enum tool_status {
	TOOL_OK = 0,
	TOOL_FAILED = 1,
	TOOL_USAGE = 2,
};

/*
 * A command. `argv[0]` is its name, NULL is after the last. Returns the exit status. Errors are one
 * line on standard error; what was asked for is on standard output.
 */
typedef int (*tool_fn)(int argc, char *argv[]);

int tool_bind(int argc, char *argv[]);
int tool_ctl(int argc, char *argv[]);
int tool_doctor(int argc, char *argv[]);
int tool_power_test(int argc, char *argv[]);
int tool_timeline(int argc, char *argv[]);
int tool_unbind(int argc, char *argv[]);

/* Writes a text to standard output, whole. TOOL_OK, or TOOL_FAILED after a line that says why. */
int tool_say(const char *text, size_t len);

#endif
