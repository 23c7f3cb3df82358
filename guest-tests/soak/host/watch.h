/*
 * The host's side of the soak. watch.c runs the model GPU and the VMM and reads what they say,
 * events.c counts the lines of the VMM's event log, samples.c looks at the two processes, verdict.c
 * compares what guest, VMM and model counted.
 */
#ifndef GUEST_TESTS_SOAK_HOST_WATCH_H
#define GUEST_TESTS_SOAK_HOST_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define FUNCTIONS_MAX 8U
#define VALUE_MAX 32U

/* Ends this program, and with it what it started. */
_Noreturn void broken(const char *what, const char *why);

/* --- texts that hold numbers --- */

/* The number behind `key` in `text`, up to `end` (NULL: to its end); false: it is not there. */
bool find_number(const char *text, const char *end, const char *key, uint64_t *ret_number);

/* --- events.c --- */

/* Of event "counters", the VMM's last word about a function. */
struct counters {
	bool came;
	uint64_t entries, refusals, wakes, own_wakes, losses;
};

struct events {
	uint64_t lines, malformed;
	uint64_t engaged, woken, refused, lost;
	uint64_t pmes, pmes_again, notifies;
	bool told[FUNCTIONS_MAX]; /* of its wake, in this sleep */
	struct counters counters[FUNCTIONS_MAX];
};

void events_count(struct events *events, const char *line);
/* Of all functions. */
struct counters events_total(const struct events *events);

/* --- samples.c --- */

struct process_sample {
	unsigned int fds, threads;
	unsigned long rss_kib, anon_kib;
};

struct sample {
	uint64_t cycle;
	struct process_sample vmm, model;
};

#define SAMPLES_MAX 64U
struct samples {
	unsigned int count;
	struct sample sample[SAMPLES_MAX];
};

/* Takes a sample and prints it as a line of the table. */
void samples_take(struct samples *samples, uint64_t cycle, pid_t vmm, pid_t model);
/* What grew since the first tenth of `cycles`, in `why`; false: nothing. */
bool samples_grew(const struct samples *samples, uint64_t cycles, char *why, size_t size);

/* --- verdict.c --- */

/* All that is known at the end. */
struct result {
	const char *name;
	uint64_t cycles;           /* that were asked for */
	char guest[1024];          /* its line of numbers */
	char failure[256];         /* the first thing that went wrong; empty: nothing yet */
	bool passed;               /* the guest said so at least once */
	int vmm_status;            /* as of waitpid() */
	char model[4096];          /* its status */
	int model_status;
	struct events events;
	struct samples samples;
};

/* Keeps the first. */
void result_fail(struct result *result, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Prints the numbers; compares them. */
void result_judge(struct result *result);

#endif
