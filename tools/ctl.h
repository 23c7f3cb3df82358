/*
 * The command `minivmm ctl`: the control socket's friendly face.
 */
#ifndef TOOLS_CTL_H
#define TOOLS_CTL_H

#include <stdbool.h>

#include "tools/api_client.h"
#include "tools/ctl_show.h"

/* What was asked for. */
struct ctl {
	const char *path;    /* of the socket */
	const char *operand; /* of add and remove */
	const char *id;
	bool json, watch, follow;
	unsigned int wait_s; /* 0: do not wait */
};

/* Each is a command, and returns its exit status. */
int ctl_status(const struct ctl *ctl);
int ctl_power(const struct ctl *ctl);
int ctl_events(const struct ctl *ctl);
int ctl_button(const struct ctl *ctl);
int ctl_wake(const struct ctl *ctl);
int ctl_reboot(const struct ctl *ctl);
int ctl_quit(const struct ctl *ctl);
int ctl_add(const struct ctl *ctl);
int ctl_remove(const struct ctl *ctl);

/* `power --watch`, on a terminal and elsewhere. */
int ctl_watch(const struct ctl *ctl);
int ctl_watch_lines(const struct ctl *ctl);

/* What the terminal and its user want to see. */
struct show_style ctl_style(void);

/* GET /api/v1/power. 0, or a negative errno with a sentence. */
int ctl_get_power(const struct ctl *ctl, struct view_power *ret_power, struct api_why *why);

#endif
