#include "vmm/mem_fault.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/base/log.h"
#include "vmm/base/range.h"

static struct range ram; /* of host addresses; written before the handler is there */

/* Of the thread that touched it, with whatever locks it has: log_err() takes none. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (info->si_code > 0 && range_contains(ram, (uintptr_t)info->si_addr, 1)) {
		log_err(MEM_FAULT_SENTENCE);
		_exit(EXIT_FAILURE);
	}
	raise(number); /* SA_RESETHAND: now with the default action */
}

void mem_fault_watch(const void *hva, uint64_t size)
{
	struct sigaction action = {.sa_sigaction = on_bus_error,
				   .sa_flags = SA_SIGINFO | (int)SA_RESETHAND};

	ram = (struct range){(uintptr_t)hva, size};
	sigaction(SIGBUS, &action, NULL);
}
