/*
 * Programs that the hosts of guest tests start.
 */
#ifndef GUEST_TESTS_BARE_HOST_CHILD_H
#define GUEST_TESTS_BARE_HOST_CHILD_H

#include <sys/types.h>

#define CHILD_NOT_STARTED 125 /* exit status of a child whose program cannot be run; that is said */

/*
 * Runs argv[0] with these as its standard files (-1: ours). It ends with this program, whatever
 * ends that. -1 and errno: there is no child.
 */
pid_t child_start(char **argv, int in, int out, int err);

#endif
