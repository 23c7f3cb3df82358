/*
 * What people read of a VM: texts made of views, and of lines of the event log.
 */
#ifndef TOOLS_CTL_SHOW_H
#define TOOLS_CTL_SHOW_H

#include "tools/ctl_view.h"
#include "vmm/base/text.h"

/* How the texts look. Without `colour` they hold no escape sequences. */
struct show_style {
	bool colour;
	bool utf8; /* bars may be made of blocks */
};

/* The recent past of a function: a letter a second (see show_letter()), the last one now. */
#define SHOW_PAST 256
struct show_past {
	char name[VIEW_NAME];
	char letter[SHOW_PAST];
	unsigned int count;
};

/* '.' asleep, 'e' engaged, 'w' woken, '#' awake, 'r' refused, '!' lost, ' ' not here. */
char show_letter(const struct view_function *fn);

/* Of two letters of one second, the one that wants to be seen: the less it slept, the more. */
char show_more_awake(char a, char b);

/* The table of `ctl status`. */
void show_status(struct text *out, const struct view_info *info, const struct view_power *power);

/* All of each slot, for `ctl power`; `past` is that of the slots' functions one after the other, or
 * NULL. */
void show_power(struct text *out, const struct view_power *power, const struct show_past *past,
		struct show_style style);

/* A line of the event log as a sentence without a newline: time, device, what, why. False: it is no
 * event. */
bool show_event(struct text *out, const char *line, size_t len);

#endif
