/*
 * What a power test (minivmm power-test) found out about a card, kept for those who decide how deep
 * it may sleep: power=auto, and the doctor. One small JSON file a slot, <dir>/0000:01:00.json:
 *
 *   {"version":1,"slot":"0000:01:00","card":"0:10de:2684:1043:88e2 1:10de:22ba:1043:88e2",
 *    "kernel":"6.12.1","date":"2026-11-22T10:11:12Z","result":"failed","cycles":3,
 *    "state":"D3cold","reason":"...","entry_us":{"min":1,"median":2,"p95":3,"max":4},
 *    "suspend_us":{...},"wake_us":{...}}
 *
 * A verdict is of one card under one kernel: it says nothing of another card in the same place, nor
 * of this one after the kernel was changed. Whoever reads it is told so and must not use it.
 */
#ifndef VFIO_VERDICT_H
#define VFIO_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VERDICT_DIR "/var/lib/minivmm/power-test"
#define VERDICT_DIR_VARIABLE "MINIVMM_POWER_TEST_DIR" /* of the environment: another place */

#define VERDICT_CARD_MAX 192
#define VERDICT_KERNEL_MAX 65
#define VERDICT_REASON_MAX 320

/* Whom a verdict is about. */
struct verdict_subject {
	char slot[16];                   /* "0000:01:00" */
	char card[VERDICT_CARD_MAX];     /* "FN:VENDOR:DEVICE:SUBVENDOR:SUBDEVICE ..." */
	char kernel[VERDICT_KERNEL_MAX]; /* release, as uname -r says it */
};

/* Of all cycles, in microseconds; all 0: nothing was measured. */
struct verdict_latency {
	uint64_t min_us, median_us, p95_us, max_us;
};

struct verdict {
	struct verdict_subject subject;
	char date[24];         /* UTC, "2026-11-22T10:11:12Z" */
	bool passed;
	unsigned int cycles;   /* that were done without a fault */
	char state[16];        /* the deepest that the host really reached: "D3cold", ... */
	char reason[VERDICT_REASON_MAX]; /* a sentence: why it failed, or what was reached */
	struct verdict_latency entry;    /* how long the host took to accept low power */
	struct verdict_latency suspend;  /* from there until it was really suspended */
	struct verdict_latency wake;     /* how long it took to leave low power */
};

enum verdict_use {
	VERDICT_NONE,    /* there is none */
	VERDICT_CURRENT, /* of this card and kernel */
	VERDICT_STALE,   /* of another card or kernel: not to be used */
	VERDICT_BROKEN,  /* a file is there, and is no verdict */
};

/* What was found; `why` is a sentence for STALE and BROKEN, `verdict` is filled for CURRENT, and
 * for STALE too, to tell what is not used. */
struct verdict_lookup {
	enum verdict_use use;
	struct verdict verdict;
	char why[VERDICT_REASON_MAX];
};

/* Where verdicts are kept: $MINIVMM_POWER_TEST_DIR, else VERDICT_DIR. */
const char *verdict_dir(void);

/*
 * Whom a verdict of the slot ("0000:01:00") would be about now: asks `sysfs` ("/sys" but in tests),
 * which wakes nothing, and the running kernel. False: no function of the slot is there.
 */
bool verdict_identify(const char *sysfs, const char *slot, struct verdict_subject *ret_subject);

/* Looks up what is kept of the subject's slot. What the file holds is believed in nothing: sizes,
 * types, numbers and characters are checked. */
void verdict_read(const char *dir, const struct verdict_subject *subject,
		  struct verdict_lookup *ret_lookup);

/*
 * Could a verdict be kept there? Makes the directory where it is missing. To be asked before a test
 * that may cost the card. 0, or negative errno and a sentence.
 */
int verdict_check(const char *dir, char *ret_why, size_t why_size);

/*
 * Keeps a verdict in place of an older one of the slot: whole or not at all, also when the host
 * loses power. Makes the directory where it is missing. 0, or negative errno and a sentence.
 */
int verdict_write(const char *dir, const struct verdict *verdict, char *ret_why, size_t why_size);

#endif
