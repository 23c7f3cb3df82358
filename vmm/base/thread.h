/*
 * Starting threads besides the main one. Signals sent to the program are the main thread's; those
 * that a thread raises by a fault of its own stay open in each, because a blocked one ends the
 * program without its handler, which restores the person's terminal.
 *
 * A guest's driver that starts a device has the thread made by a vCPU: its name, and the one CPU
 * that it may be pinned to, are not for the new thread.
 */
#ifndef VMM_BASE_THREAD_H
#define VMM_BASE_THREAD_H

#include <pthread.h>

#define THREAD_FAULT_SIGNALS 5

/* What a fault of a thread, abort() included, raises in it. */
extern const int thread_fault_signals[THREAD_FAULT_SIGNALS];

/* Runs `run(opaque)` in a new thread that takes the signals of its own faults and no others, on the
 * CPUs of the main thread. `top -H` and the like show the first 15 characters of `name`. 0 or a
 * negative errno; `*ret_thread` is for pthread_join(). */
int thread_create(pthread_t *ret_thread, const char *name, void *(*run)(void *opaque),
		  void *opaque);

/* The same, and the thread takes `signal` as well. */
int thread_create_taking(pthread_t *ret_thread, const char *name, void *(*run)(void *opaque),
			 void *opaque, int signal);

#endif
