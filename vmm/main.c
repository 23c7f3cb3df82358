/*
 * The program: parse, build, run, take down. Everything else is in vmm/machine.c.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "vmm/base/log.h"
#include "vmm/events.h"
#include "vmm/machine.h"
#include "vmm/options.h"

#define EXIT_OK 0
#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define WHY_SIZE 1024

/* Before any thread exists: the signals that end the program are read from a descriptor by the main
 * loop, and a closed terminal or pipe is an error of write(), not a death. */
static void prepare_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGQUIT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int run(const struct options *options)
{
	struct machine *machine;
	char why[WHY_SIZE];
	int error = events_open(options->events);
	int status;

	if (error) {
		log_err("--events %s: %s", options->events, strerror(-error));
		return EXIT_FAILED;
	}
	if (machine_create(options, &machine, why, sizeof(why))) {
		log_err("%s", why);
		return EXIT_FAILED;
	}
	status = machine_run(machine);
	machine_destroy(machine);
	events_open(NULL);
	return status;
}

int main(int argc, char *argv[])
{
	struct options options;
	char why[WHY_SIZE];

	prepare_signals();
	if (options_parse(argc, argv, &options, why, sizeof(why))) {
		log_err("%s", why);
		return EXIT_USAGE;
	}
	if (options.help)
		return fputs(options_help(), stdout) < 0 || fflush(stdout) ? EXIT_FAILED : EXIT_OK;
	if (options.version)
		return puts("minivmm " MINIVMM_VERSION) < 0 || fflush(stdout) ? EXIT_FAILED
									     : EXIT_OK;
	return run(&options);
}
