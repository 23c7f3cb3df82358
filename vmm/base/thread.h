/*
 * Starting threads besides the main one. Signals sent to the program are the main thread's; those
 * that a thread raises by a fault of its own stay open in each, because a blocked one ends the
 * program without its handler, which restores the person's terminal.
 */
#ifndef VMM_BASE_THREAD_H
#define VMM_BASE_THREAD_H

#include <pthread.h>

#define THREAD_FAULT_SIGNALS 5

/* What a fault of a thread, abort() included, raises in it. */
extern const int thread_fault_signals[THREAD_FAULT_SIGNALS];

/* Runs `run(opaque)` in a new thread that takes the signals of its own faults and no others. 0 or a
 * negative errno; `*ret_thread` is for pthread_join(). */
int thread_create(pthread_t *ret_thread, void *(*run)(void *opaque), void *opaque);

/* The same, and the thread takes `signal` as well. */
int thread_create_taking(pthread_t *ret_thread, void *(*run)(void *opaque), void *opaque,
			 int signal);

#endif
