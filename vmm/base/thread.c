#include "vmm/base/thread.h"

#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

const int thread_fault_signals[THREAD_FAULT_SIGNALS] = {
	SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL,
};

#define NAME_SIZE 16 /* prctl(2), PR_SET_NAME */

/* Sets this thread, where it is bound to some CPUs, free to run where the main thread may. False:
 * there is nothing to take back. */
static bool unbind(cpu_set_t *ret_bound)
{
	cpu_set_t all;

	if (sched_getaffinity(getpid(), sizeof(all), &all) < 0 ||
	    sched_getaffinity(0, sizeof(*ret_bound), ret_bound) < 0 ||
	    CPU_EQUAL(&all, ret_bound))
		return false;
	return sched_setaffinity(0, sizeof(all), &all) == 0;
}

static void name_thread(pthread_t thread, const char *name)
{
	char shown[NAME_SIZE];

	snprintf(shown, sizeof(shown), "%s", name);
	pthread_setname_np(thread, shown);
}

static int create(pthread_t *ret_thread, const char *name, void *(*run)(void *opaque), void *opaque,
		  const sigset_t *blocked)
{
	cpu_set_t bound;
	pthread_t thread;
	sigset_t before;
	bool unbound;
	int error;

	/* The new thread inherits the mask and the CPUs. */
	unbound = unbind(&bound);
	pthread_sigmask(SIG_SETMASK, blocked, &before);
	error = pthread_create(&thread, NULL, run, opaque);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (unbound)
		sched_setaffinity(0, sizeof(bound), &bound);
	if (error)
		return -error;
	name_thread(thread, name);
	*ret_thread = thread;
	return 0;
}

static void block_all_but_faults(sigset_t *ret_blocked)
{
	sigfillset(ret_blocked);
	for (size_t i = 0; i < THREAD_FAULT_SIGNALS; i++)
		sigdelset(ret_blocked, thread_fault_signals[i]);
}

int thread_create(pthread_t *ret_thread, const char *name, void *(*run)(void *opaque),
		  void *opaque)
{
	sigset_t blocked;

	block_all_but_faults(&blocked);
	return create(ret_thread, name, run, opaque, &blocked);
}

int thread_create_taking(pthread_t *ret_thread, const char *name, void *(*run)(void *opaque),
			 void *opaque, int signal)
{
	sigset_t blocked;

	block_all_but_faults(&blocked);
	sigdelset(&blocked, signal);
	return create(ret_thread, name, run, opaque, &blocked);
}
