/*
 * The program: parse, build, run, take down. Everything else is in vmm/machine.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tools/tools.h"
#include "vmm/base/log.h"
#include "vmm/base/text.h"
#include "vmm/config.h"
#include "vmm/events.h"
#include "vmm/machine.h"
#include "vmm/options.h"

#define EXIT_OK 0
#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define WHY_SIZE (PATH_MAX + 1024) /* the reason comes after the path, however long that is */

/* Before any thread exists, but after dtc was waited for, which may hang: the signals that end the
 * program are read from a descriptor by the main loop. A closed terminal or pipe, and a file that
 * would become larger than the host lets it (RLIMIT_FSIZE), are errors of write(), not a death. */
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
	signal(SIGXFSZ, SIG_IGN);
}

/* Every interrupt message of a passed function is an eventfd, of which MSI-X has up to 2048; the
 * usual soft limit is 1024. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* A closed standard descriptor would become the next file that is opened, and messages or the
 * guest's output would go there. */
static void open_standard_files(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			_exit(EXIT_FAILED);
}

static int run(const struct options *options)
{
	struct machine *machine;
	char why[WHY_SIZE];
	int error = events_open(options->events);
	int status;

	if (error) {
		log_err("--events %s: %s", options->events,
			error == -ENXIO ? "nobody reads this FIFO; start its reader first"
					: strerror(-error));
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

/* The command that the first word names, NULL: none, so a guest is to be run. */
static tool_fn find_tool(const char *word)
{
	static const struct {
		const char *name;
		tool_fn run;
	} tools[] = {
		{"bind", tool_bind},
		{"ctl", tool_ctl},
		{"doctor", tool_doctor},
		{"power-test", tool_power_test},
		{"timeline", tool_timeline},
		{"unbind", tool_unbind},
		{NULL, NULL},
	};

	for (unsigned int i = 0; word && tools[i].name; i++)
		if (!strcmp(tools[i].name, word))
			return tools[i].run;
	return NULL;
}

static int print_config(const struct options *options)
{
	struct text text = {0};
	int error = config_print(options, &text);
	int status = TOOL_FAILED;

	if (error)
		log_err("--print-config: %s%s", error == -ENOMEM ? "" : "the current folder: ",
			strerror(-error));
	else
		status = tool_say(text.bytes, text.len);
	text_finish(&text);
	return status;
}

static int parse_and_run(int argc, char *argv[], struct options *options)
{
	static const char version[] = "minivmm " MINIVMM_VERSION "\n";
	char why[WHY_SIZE];

	if (options_parse(argc, argv, options, why, sizeof(why))) {
		log_err("%s", why);
		return EXIT_USAGE;
	}
	if (options->help)
		return tool_say(options_help(), strlen(options_help()));
	if (options->version)
		return tool_say(version, strlen(version));
	if (options->print_config)
		return print_config(options);
	prepare_signals();
	raise_file_limit();
	return run(options);
}

int main(int argc, char *argv[])
{
	tool_fn tool = find_tool(argc > 1 ? argv[1] : NULL);
	struct options options;
	int status;

	open_standard_files();
	if (tool)
		return tool(argc - 1, argv + 1);
	status = parse_and_run(argc, argv, &options);
	options_finish(&options);
	return status;
}
