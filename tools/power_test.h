/*
 * Inside tools/: what the files of `minivmm power-test` share. power_test.c is the command,
 * power_test_run.c the cycles, power_test_config.c what config space must be after them,
 * power_test_why.c why a slot does not sleep deeper, power_test_report.c what people read,
 * power_test_watch.c says what takes long.
 *
 * While a function is engaged nothing of it is touched (docs/power.md, rule 1): what is looked at
 * meanwhile are files of sysfs and our own eventfds.
 */
#ifndef TOOLS_POWER_TEST_H
#define TOOLS_POWER_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio/host.h"
#include "vfio/verdict.h"

struct text;
struct vfio_backend;

#define POWER_TEST_CYCLES 10
#define POWER_TEST_CYCLES_MAX 10000
#define POWER_TEST_WHY_MAX VERDICT_REASON_MAX

/* Exit statuses besides TOOL_OK (D3cold every time), TOOL_FAILED and TOOL_USAGE. */
#define POWER_TEST_SHALLOW 3 /* passed, but D3cold was not seen every time */

/* --- power_test_config.c --- */

#define CONFIG_MAX 4096

/* Config space as it was read, from byte 0 on. */
struct config_image {
	unsigned int len;
	uint8_t bytes[CONFIG_MAX];
};

/*
 * Does `now` have what `was` had, but for what devices and hosts change by themselves? If not, the
 * first difference is told in `ret_what` ("0x10 (Base Address Register 0) was ..., is ...").
 */
bool config_equal(const struct config_image *was, const struct config_image *now, char *ret_what,
		  size_t size);

/* Nobody answers: a register that every device has, and that VFIO does not answer for it, reads as
 * ones. */
bool config_is_gone(const struct config_image *image);

/* --- power_test_watch.c --- */

struct watch;

/* Tells on standard error what has been going on for long: every ten seconds. NULL: cannot. */
struct watch *watch_create(void);
void watch_destroy(struct watch *watch); /* accepts NULL */

/* From now on `what` goes on ("cycle 3: waking"); NULL: nothing that could take long. The string
 * must live until the next call. */
void watch_set(struct watch *watch, const char *what); /* accepts NULL */

/* --- power_test_run.c --- */

/* How deep the whole slot slept: the shallowest of its functions. */
enum sleep_depth {
	SLEEP_UNTOLD, /* the host tells nothing (vfio-user) */
	SLEEP_AWAKE,  /* at least one function was not suspended */
	SLEEP_D0,     /* suspended, but no state below D0 */
	SLEEP_D3HOT,
	SLEEP_D3COLD,
};
#define SLEEP_DEPTHS 5U

const char *sleep_depth_name(enum sleep_depth depth); /* "D3cold"; "" for UNTOLD */

struct power_test_cycle {
	enum sleep_depth depth;
	uint64_t entry_us;   /* the host accepted low power for all functions */
	uint64_t suspend_us; /* after that all were suspended; 0: nobody tells */
	uint64_t wake_us;    /* all left low power */
};

/* What went wrong, which says how to go on. */
enum power_test_fault {
	POWER_TEST_FINE,
	POWER_TEST_STOPPED,  /* by a signal */
	POWER_TEST_ERROR,    /* says nothing of the card: no memory, no low power on this host */
	POWER_TEST_REFUSED,  /* an entry */
	POWER_TEST_AWAKE,    /* it did not fall asleep */
	POWER_TEST_WOKEN,    /* before it was asked to wake; it came back as it should */
	POWER_TEST_LOST,     /* it did not wake as it should, or is not what it was */
};

struct power_test_times {
	unsigned int poll_ms;    /* between two looks at sysfs */
	unsigned int suspend_ms; /* until all functions must be suspended */
	unsigned int settle_ms;  /* from then on, D3cold is waited for */
	unsigned int hold_ms;    /* then it stays asleep */
	unsigned int wake_ms;    /* until it must be awake */
};

struct power_test {
	/* Of the caller. */
	const char *name;              /* of the slot */
	const char *sysfs;             /* NULL: the host tells nothing */
	struct vfio_backend *backend[HOST_FUNCTIONS];
	bool with_wakeup[HOST_FUNCTIONS];
	unsigned int cycles;
	struct power_test_times times;
	int stop_fd;                   /* readable: to end; -1: never */
	struct watch *watch;           /* may be NULL */
	void (*done)(const struct power_test *test); /* after each cycle; may be NULL */

	/* What came out. */
	unsigned int count;            /* cycles done */
	struct power_test_cycle *cycle; /* of the caller, `cycles` places */
	unsigned int shallowest;       /* function that slept least deep when last looked at */
	enum power_test_fault fault;
	char why[POWER_TEST_WHY_MAX];  /* a sentence, unless FINE */

	/* Its own. */
	bool engaged[HOST_FUNCTIONS];
	int wakeup_fd[HOST_FUNCTIONS];
	char doing[64];                /* for the watch */
	struct config_image *image;    /* two a function, as it was: by VFIO, by sysfs */
};

/* The usual ones. */
extern const struct power_test_times power_test_times;

/*
 * Runs the cycles until one is not as it should be. Takes every function out of low power, whatever
 * happened; one that refuses that is released when it is closed. The back ends stay open. Result in
 * `fault` and `why`.
 */
void power_test_run(struct power_test *test);

/* The shallowest of all cycles, and how many were so deep. */
enum sleep_depth power_test_depth(const struct power_test *test);
unsigned int power_test_depth_count(const struct power_test *test, enum sleep_depth depth);

/* --- power_test_why.c --- */

/* What in sysfs keeps the slot from sleeping or, if `asleep`, from D3cold: "0000:00:01.0 has
 * power/control=on: as root, echo auto >..."; the doctor knows more. */
void power_test_explain(const char *sysfs, const char *slot, bool asleep, struct text *text);

/* --- power_test_report.c --- */

/* Of the cycles done; all 0 without any. */
void power_test_latency(const struct power_test *test, size_t member,
			struct verdict_latency *ret_latency);
/* The table, or one JSON object. `kept`: where the verdict is, NULL: nowhere. */
void power_test_table(const struct power_test *test, struct text *text);
void power_test_json(const struct power_test *test, const char *kept, struct text *text);
/* How to get a card back, as commands. */
void power_test_ladder(const struct power_test *test, struct text *text);
/* "passed", "failed", "disturbed", "stopped", "not possible" */
const char *power_test_result(const struct power_test *test);
/* Does it say whether the card comes back? Else it must not replace what an earlier one said. */
bool power_test_is_verdict(const struct power_test *test);

#endif
