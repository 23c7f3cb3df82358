/*
 * The whole machine: built in order, run, reset in place, taken down.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include <stddef.h>

struct machine;
struct options;

/*
 * Builds the machine that `options` describe, up to but not including the first instruction. On
 * failure a sentence for the user in `ret_why`, negative errno, and everything is as before.
 */
int machine_create(const struct options *options, struct machine **ret_machine, char *ret_why,
		   size_t why_size);

/* Runs the guest until it ends. Returns the program's exit status. */
int machine_run(struct machine *machine);

void machine_destroy(struct machine *machine); /* accepts NULL */

#endif
