/*
 * The driver: /init of the rig's host. It starts virtual machines, speaks with their guests over
 * the serial line, watches the host's sysfs, and performs a scenario file (language: README.md).
 *
 * One thread, no process beside the VMM's but one that may wait for a slow write, one that gives
 * back what it gets, one that serves a device or file system, and what steps run: QEMU's software
 * SVM stays reliable only while the host around a guest is quiet. So it waits in poll() and samples
 * sysfs at most every SAMPLE_MS, and only while a step needs it.
 *
 * Functions that can fail return 0, or -1 after fail() has recorded the reason.
 */
#ifndef GUEST_TESTS_RIG_DRIVER_H
#define GUEST_TESTS_RIG_DRIVER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <termios.h>

#define SAMPLE_MS 200U
#define TEXT_MAX 8192U
#define LINE_MAX_BYTES 1024U
#define NAME_MAX_BYTES 64U
#define SYSFS_PCI "/sys/bus/pci/devices/"

enum { DEVICE_POWER, DEVICE_NET, DEVICE_USB, DEVICE_DUO, DEVICE_COUNT };

/* What is below a root port of the host. */
struct rig_device {
	const char *name; /* as scenarios write it: "power" */
	const char *port; /* BDF, fixed by run's QEMU options */
	char bdf[16];     /* of function 0 */
};

struct line {
	char text[TEXT_MAX];
	size_t len;
};

struct events {
	int inotify;          /* tells when the VMM makes or extends its event file */
	int fd;               /* that file, or -1 until it exists */
	char path[NAME_MAX_BYTES];
	struct line line;
	char **list;          /* every line of the present VM */
	size_t count;
	size_t cursor;        /* the next one that `event expect` looks at */
	uint64_t zero_us;     /* our CLOCK_MONOTONIC at the VMM's t_us = 0 */
};

struct vm {
	pid_t pid;            /* 0: none runs */
	int pidfd;
	int tty;              /* our side of its terminal */
	int err;              /* read end of its standard error */
	int status;           /* of waitpid(), once it has ended */
	bool ended;
	bool panicked;        /* the guest's kernel said so */
	bool spoke;           /* anything came from it at all */
	unsigned int boots;   /* hellos of the guest's agent, one per boot of the guest */
	unsigned int boots_expected; /* more are a guest that restarted by itself */
	unsigned int request; /* id of the last request to the agent */
	char request_text[LINE_MAX_BYTES];
	bool answered;
	bool answer_ok;
	struct line out, log;
	struct termios termios; /* as the VMM found the terminal */
	int tty_slave;        /* kept open, to look at the terminal after the VMM's end */
	bool tty_restored;
	bool own_guest;       /* the arguments name it; it has no agent */
	char kernel[NAME_MAX_BYTES];
	char append[LINE_MAX_BYTES];
	char args[LINE_MAX_BYTES];
};

struct sample {
	char bdf[16];
	char attribute[NAME_MAX_BYTES];
	char value[NAME_MAX_BYTES];
	int fd;
};

/* A process that waits for the kernel's answer to a write. */
struct writer {
	pid_t pid;            /* 0: none */
	int pidfd;
};

/* A program that runs to its end. */
struct runner {
	pid_t pid;            /* 0: none */
	int pidfd;
	int out;              /* read end of its standard output and error */
	int status;           /* of waitpid() */
	struct line line;
	char said[TEXT_MAX];  /* so far; a VM may log meanwhile, which is no part of it */
};

#define WATCH_MAX 8
struct rig {
	struct rig_device device[DEVICE_COUNT];
	struct vm vm;
	struct events events;
	struct sample watch[WATCH_MAX];
	unsigned int watches;
	bool sampling;         /* the present wait wants to look again every SAMPLE_MS */
	uint64_t alarm_us;     /* ... and at this time of CLOCK_MONOTONIC; 0: at none */
	int monitor;           /* QEMU's */
	bool asking;           /* ... and it has not answered yet */
	int api;               /* a request to the VMM that waits for its answer; -1: none */
	struct writer writer;
	struct runner runner;
	pid_t server;          /* a program that serves something; 0: none */
	char answer[TEXT_MAX]; /* of the last step that gives one */
};

/* driver_log.c */
uint64_t now_us(void);
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* returns -1 */
const char *fail_reason(void);
void kernel_log_begin(void); /* what comes after it is for: */
void say_kernel_log(void);
void say_vm_threads(const struct rig *rig); /* of the VM that runs, if one does */
void say_task(pid_t pid, const char *tid);  /* what this thread is doing */
void deadline_start(void);                  /* from here on, if the kernel was told one */
/* Splits off complete lines of `text` and hands each on, without its line end. */
void line_feed(struct rig *rig, struct line *line, const char *text, size_t len,
	       void (*take)(struct rig *rig, char *line));

/* driver_host.c */
int host_setup(struct rig *rig);
int host_read(const char *path, char *text, size_t size); /* first line; negative errno */
int host_write(const char *path, const char *value);      /* negative errno */
int host_load_modules(const char *dir);
int host_load_module(const char *path);
int host_config(const char *bdf, unsigned int off, unsigned int len, char *hex, size_t size);
int sample_open(struct sample *sample, const char *bdf, const char *attribute);
bool sample_read(struct sample *sample); /* true: the value changed */
void sample_close(struct sample *sample);
void watch_sample(struct rig *rig);

/* driver_wait.c: done() returns 1 (enough), 0 (not yet) or -1 after fail() */
#define WAIT_TIMEOUT 1
int rig_wait(struct rig *rig, int (*done)(struct rig *rig, void *arg), void *arg,
	     unsigned int timeout_ms); /* 0, -1 or WAIT_TIMEOUT */

/* driver_vm.c */
void vm_init(struct vm *vm);
int vm_start(struct rig *rig);
int vm_wait_boot(struct rig *rig, unsigned int boots, unsigned int timeout_ms);
int vm_wait_end(struct rig *rig, unsigned int timeout_ms);
int vm_kill(struct rig *rig);
int vm_ask(struct rig *rig, const char *command); /* sends; the answer is for vm_answer() */
int vm_answer(struct rig *rig, unsigned int timeout_ms);
void vm_pump(struct rig *rig);
int vm_dead(const struct vm *vm); /* for waits that need a live guest: 0, or -1 after fail() */

/* driver_console.c: what the guest of the present VM has said on its serial port */
void console_begin(void);
void console_feed(const char *text, size_t len);

/* driver_events.c */
int events_begin(struct events *events, const char *path);
void events_pump(struct rig *rig);
void events_end(struct events *events);
/* Criteria: "NAME key=value..."; a value may be a glob; letters' case does not matter. */
bool event_matches(const char *line, char *const *criteria, unsigned int count);
bool event_field(const char *line, const char *key, char *text, size_t size);

/* driver_timeline.c */
void timeline_host(const char *bdf, const char *attribute, const char *value);
void timeline_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void timeline_print(const struct events *events);

/* driver_monitor.c */
int monitor_setup(struct rig *rig);
int monitor_ask(struct rig *rig, const char *text); /* the answer is the monitor's */

/* driver_values.c */
const char *value_find(const char *name, size_t len); /* kept by a step, or NULL */

/* driver_scenario.c */
int scenario_run(struct rig *rig, const char *path);

/* driver_steps.c */
#define WORDS_MAX 32
struct words {
	char *word[WORDS_MAX];
	unsigned int count;
	unsigned int timeout_ms; /* of a last word like 30s or 500ms; 0: none given */
};
int step_perform(struct rig *rig, struct words *words, const char *rest);
unsigned int timeout_or(const struct words *words, unsigned int ms);

/* driver_looks.c: steps; `rest` is the line after its first word */
int do_host_read(struct rig *rig, const struct words *words, const char *rest);
int do_host_write(struct rig *rig, const struct words *words, const char *rest);
int do_host_config(struct rig *rig, const struct words *words, const char *rest);
int do_host_irqs(struct rig *rig, const struct words *words, const char *rest);
int do_host_module(struct rig *rig, const struct words *words, const char *rest);
int do_host_sum(struct rig *rig, const struct words *words, const char *rest);
int do_host_directory(struct rig *rig, const struct words *words, const char *rest);
int do_host_disk(struct rig *rig, const struct words *words, const char *rest);
int do_host_rom(struct rig *rig, const struct words *words, const char *rest);
int do_host_tap(struct rig *rig, const struct words *words, const char *rest);
int do_host_echo(struct rig *rig, const struct words *words, const char *rest);
int do_host_namespace(struct rig *rig, const struct words *words, const char *rest);
int do_host_wait(struct rig *rig, const struct words *words, const char *rest);
int do_host_stays(struct rig *rig, const struct words *words, const char *rest);
int do_event_expect(struct rig *rig, const struct words *words, const char *rest);
int do_event_none(struct rig *rig, const struct words *words, const char *rest);
int do_event_count(struct rig *rig, const struct words *words, const char *rest);
int do_event_min(struct rig *rig, const struct words *words, const char *rest);
int do_event_last(struct rig *rig, const struct words *words, const char *rest);
int do_watch(struct rig *rig, const struct words *words, const char *rest);

/* Steps of driver_values.c, driver_writer.c, driver_monitor.c, driver_usage.c, driver_soak.c,
 * driver_api.c, driver_server.c, driver_run.c, driver_console.c,
 * driver_vsock.c. */
int do_random(struct rig *rig, const struct words *words, const char *rest);
int do_keep(struct rig *rig, const struct words *words, const char *rest);
int do_field(struct rig *rig, const struct words *words, const char *rest);
int do_expect(struct rig *rig, const struct words *words, const char *rest);
int do_expect_not(struct rig *rig, const struct words *words, const char *rest);
int do_expect_min(struct rig *rig, const struct words *words, const char *rest);
int do_expect_max(struct rig *rig, const struct words *words, const char *rest);
int do_expect_near(struct rig *rig, const struct words *words, const char *rest);
int do_host_suspended(struct rig *rig, const struct words *words, const char *rest);
int do_host_begin(struct rig *rig, const struct words *words, const char *rest);
int do_host_finish(struct rig *rig, const struct words *words, const char *rest);
int do_monitor(struct rig *rig, const struct words *words, const char *rest);
int do_vm_usage(struct rig *rig, const struct words *words, const char *rest);
int do_vm_steady(struct rig *rig, const struct words *words, const char *rest);
int do_api(struct rig *rig, const struct words *words, const char *rest);
int do_soak(struct rig *rig, const struct words *words, const char *rest);
int do_host_serve(struct rig *rig, const struct words *words, const char *rest);
int do_host_kill(struct rig *rig, const struct words *words, const char *rest);
int do_host_vsock_echo(struct rig *rig, const struct words *words, const char *rest);
int do_host_vsock_stream(struct rig *rig, const struct words *words, const char *rest);
int do_host_vsock_hold(struct rig *rig, const struct words *words, const char *rest);
int do_host_vsock_ended(struct rig *rig, const struct words *words, const char *rest);
int do_run(struct rig *rig, const struct words *words, const char *rest);
int do_host_run(struct rig *rig, const struct words *words, const char *rest);
int do_console(struct rig *rig, const struct words *words, const char *rest);

#endif
