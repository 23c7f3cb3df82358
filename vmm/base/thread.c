#include "vmm/base/thread.h"

#include <signal.h>
#include <stddef.h>

const int thread_fault_signals[THREAD_FAULT_SIGNALS] = {
	SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL,
};

static int create(pthread_t *ret_thread, void *(*run)(void *opaque), void *opaque,
		  const sigset_t *blocked)
{
	pthread_t thread;
	sigset_t before;
	int error;

	/* The new thread inherits the mask. */
	pthread_sigmask(SIG_SETMASK, blocked, &before);
	error = pthread_create(&thread, NULL, run, opaque);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!error)
		*ret_thread = thread;
	return -error;
}

static void block_all_but_faults(sigset_t *ret_blocked)
{
	sigfillset(ret_blocked);
	for (size_t i = 0; i < THREAD_FAULT_SIGNALS; i++)
		sigdelset(ret_blocked, thread_fault_signals[i]);
}

int thread_create(pthread_t *ret_thread, void *(*run)(void *opaque), void *opaque)
{
	sigset_t blocked;

	block_all_but_faults(&blocked);
	return create(ret_thread, run, opaque, &blocked);
}

int thread_create_taking(pthread_t *ret_thread, void *(*run)(void *opaque), void *opaque,
			 int signal)
{
	sigset_t blocked;

	block_all_but_faults(&blocked);
	sigdelset(&blocked, signal);
	return create(ret_thread, run, opaque, &blocked);
}
