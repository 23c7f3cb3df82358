/*
 * The agent: /init of a guest under test. It answers requests of one line on the serial console, or
 * on the one of rig_tty= on the kernel's command line:
 *
 *   RIG <id> <command> <arguments>
 *   RIG <id> OK <length> <text>        or   RIG <id> ERR <length> <text>
 *
 * The length tells the asker that no kernel message got in between. A request that comes again with
 * the same id is answered again, not done again. At boot it says "RIG 0 OK 36 <boot id>", repeated
 * until the first request.
 */
#ifndef GUEST_TESTS_RIG_AGENT_H
#define GUEST_TESTS_RIG_AGENT_H

#include <stddef.h>

#define ANSWER_MAX 4000
#define ARGUMENTS_MAX 32

/* A command writes its answer (at most ANSWER_MAX) and returns 0, or a negative errno. */
struct command {
	const char *name;
	int (*perform)(char **arg, char *answer); /* arg ends with NULL */
	int arguments_min;
};

/* agent.c */
int agent_tty(void);
long long agent_ms(void); /* of CLOCK_MONOTONIC */
long long agent_timeout_ms(const char *word); /* "30s" or "500ms" */

/* agent_klog.c */
int do_klog(char **arg, char *answer);
int do_klog_wait(char **arg, char *answer);

/* agent_button.c */
int do_button_watch(char **arg, char *answer);
int do_button(char **arg, char *answer);

/* agent_watchdog.c */
int do_watchdog_open(char **arg, char *answer);
int do_watchdog_left(char **arg, char *answer);
int do_watchdog_feed(char **arg, char *answer);

/* agent_run.c */
int do_run(char **arg, char *answer);
int do_spawn(char **arg, char *answer);

/* agent_pci.c */
int do_cfg(char **arg, char *answer);
int do_mem(char **arg, char *answer);

/* agent_net.c */
int do_ifup(char **arg, char *answer);
int do_ifdown(char **arg, char *answer);
int do_ping(char **arg, char *answer);
int do_stream(char **arg, char *answer);
int do_vsock_echo(char **arg, char *answer);
int do_vsock_stream(char **arg, char *answer);

/* agent_disk.c */
int do_sum(char **arg, char *answer);
int do_written(char **arg, char *answer);
int do_fill(char **arg, char *answer);
int do_discard(char **arg, char *answer);
int do_zero(char **arg, char *answer);
int do_mount(char **arg, char *answer);
int do_umount(char **arg, char *answer);

#endif
