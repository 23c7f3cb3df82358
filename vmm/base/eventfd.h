/*
 * Eventfds and timerfds that other processes may hold, too.
 */
#ifndef VMM_BASE_EVENTFD_H
#define VMM_BASE_EVENTFD_H

#include <stdbool.h>

/* Reads the non-blocking descriptor empty. True when it was signalled; false, too, for -1. */
bool eventfd_drain(int fd);

/* Signals it. One that is full is signalled already: a write would wait for a reader where somebody
 * else has made it blocking. */
void eventfd_signal(int fd);

#endif
