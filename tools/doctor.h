/*
 * Inside tools/: minivmm doctor. Can this machine let the GPU of a guest sleep, and if not, what
 * has to be changed? It reads sysfs, procfs and /dev/kvm, and wakes nothing: doctor_attribute().
 *
 * A check looks at one thing and says it in one finding; doctor_machine.c, doctor_slot.c,
 * doctor_power.c and doctor_advice.c have the tables of checks, doctor_report.c carries them out,
 * doctor_print.c shows what came out. No check trusts what it reads: files may be missing, vanish
 * or hold anything.
 */
#ifndef TOOLS_DOCTOR_H
#define TOOLS_DOCTOR_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio/host.h"
#include "vmm/base/text.h"

struct dirent;
struct quirks;

#define DOCTOR_CLASS_DISPLAY 0x03 /* PCI Code and ID Assignment 1.11, 1.4 Base Class 03h */
#define DOCTOR_RELEASE_MAX 65
#define DOCTOR_BRIDGES_MAX 16
#define DOCTOR_FINDINGS_MAX 24

/* In order of gravity. */
enum doctor_verdict {
	DOCTOR_OK,
	DOCTOR_UNKNOWN, /* not to be seen from here: no reason against it */
	DOCTOR_LIMIT,   /* works, but less deep or not always */
	DOCTOR_FAIL,    /* cannot work as it is */
};

struct doctor_finding {
	const char *id; /* stable: programs know findings by it */
	enum doctor_verdict verdict;
	struct text why;
	/* Lines for root's shell, those with sudo and ulimit for the user's; what is no command
	 * begins with #. */
	struct text fix;
};

struct doctor_findings {
	unsigned int count;
	struct doctor_finding list[DOCTOR_FINDINGS_MAX];
};

/* Where to look, and what for. */
struct doctor_host {
	const char *root;      /* "" but in tests: before /sys, /proc and /dev */
	char sysfs[PATH_MAX];
	char release[DOCTOR_RELEASE_MAX]; /* of the kernel; "" where it cannot be read */
	uint64_t memory;       /* of the guest that is to be run, in bytes */
	const struct quirks *quirks; /* the user's, or NULL */
	/* kvm_device_open(), but in tests */
	int (*open_kvm)(const char *path, char *ret_why, size_t why_size);
};

/* A slot that was asked for, or has a display. */
struct doctor_slot {
	char bdf[16];          /* the function that was asked for, or that has a display */
	struct host_slot host; /* all its functions */
	unsigned int bridges;  /* above it; [0] is the nearest */
	char bridge[DOCTOR_BRIDGES_MAX][16];
	struct doctor_findings findings;
};

struct doctor_report {
	const struct doctor_host *host;
	struct doctor_findings machine;
	unsigned int slots;
	struct doctor_slot *slot;
	bool asked; /* the slots were named: the worst of them counts, else the best */
};

/* Looks at one thing. `slot` is NULL in checks of the machine. Saying nothing makes no finding. */
struct doctor_check {
	const char *id;
	void (*look)(const struct doctor_host *host, const struct doctor_slot *slot,
		     struct doctor_finding *finding);
};

/* Tables of checks, each ending with id NULL. */
extern const struct doctor_check doctor_machine_checks[];
extern const struct doctor_check doctor_slot_checks[];
extern const struct doctor_check doctor_power_checks[];
extern const struct doctor_check doctor_advice_checks[];

/* Can the slot be passed at all? A bridge, a virtual function and what is not there cannot, and
 * then nothing else is looked at. */
void doctor_look_device(const struct doctor_host *host, const struct doctor_slot *slot,
			struct doctor_finding *finding);

/* --- saying (doctor_report.c); what is not printable ASCII becomes '?' --- */

/* Adds a sentence; the finding gets the graver of its verdict and this one. */
void doctor_say(struct doctor_finding *finding, enum doctor_verdict verdict, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Adds a line to what helps: a command, or a sentence as a comment. */
void doctor_fix(struct doctor_finding *finding, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The gravest verdict of the findings; and the ids of those that have `verdict`, "a, b". */
enum doctor_verdict doctor_worst(const struct doctor_findings *findings);
void doctor_list(const struct doctor_findings *findings, enum doctor_verdict verdict,
		 struct text *ret_ids);

/* What is said of a slot in the end: the machine's findings count for it as well. */
enum doctor_verdict doctor_slot_verdict(const struct doctor_report *report,
					const struct doctor_slot *slot);
void doctor_summary(const struct doctor_report *report, const struct doctor_slot *slot,
		    struct text *ret_summary);
/* Of the report: 0 ready, 1 works with limits, 2 cannot. */
int doctor_status(const struct doctor_report *report);

/*
 * Looks at everything. `bdf[count]` are addresses (valid ones); none: every slot with a display.
 * 0, or negative errno and a sentence when sysfs cannot be read or memory does not suffice.
 */
int doctor_examine(const struct doctor_host *host, unsigned int count, char *const bdf[],
		   struct doctor_report *ret_report, char *ret_why, size_t why_size);
void doctor_finish(struct doctor_report *report);

/* Appends the report, for a person or as one JSON object and a newline. */
void doctor_print_text(const struct doctor_report *report, struct text *out);
void doctor_print_json(const struct doctor_report *report, struct text *out);

/* --- reading (doctor_read.c) --- */

/*
 * The first line of a file of a PCI device in sysfs. `attribute` is one of those that ask the
 * kernel's memory and never the device: others are a bug of the caller. False: it cannot be read.
 */
bool doctor_attribute(const struct doctor_host *host, const char *device, const char *attribute,
		      char *ret_line, size_t size);
/* The same as a number, 0x before hexadecimal ones. */
bool doctor_attribute_number(const struct doctor_host *host, const char *device,
			     const char *attribute, uint64_t *ret_number);
/* The same; 0 where it cannot be read. */
uint64_t doctor_number(const struct doctor_host *host, const char *device, const char *attribute);

bool doctor_is_display(const struct doctor_host *host, const char *device);
bool doctor_is_of_slot(const struct doctor_slot *slot, const char *device);
/* The function that matters most of a slot: its first with a display, else number 0. */
const char *doctor_main_function(const struct doctor_host *host, const struct doctor_slot *slot);

/* The last part of a link of a PCI device ("driver"), "" without. */
void doctor_link(const struct doctor_host *host, const char *device, const char *link,
		 char *ret_name, size_t size);

/* Is `path` ("/dev/vfio/vfio") there, below the root? */
bool doctor_exists(const struct doctor_host *host, const char *path);
/* The first line of a file that is no device's, below the root. */
bool doctor_line(const struct doctor_host *host, const char *path, char *ret_line, size_t size);
/* What follows `key` in the first line of the file that begins with it, without blanks before. */
bool doctor_keyed_line(const struct doctor_host *host, const char *path, const char *key,
		       char *ret_line, size_t size);
/* The entries of a directory below the root, in order; their number, or negative errno. They are
 * due to doctor_scan_finish() in any case. */
int doctor_scan(const struct doctor_host *host, const char *path, struct dirent ***ret_entry);
void doctor_scan_finish(struct dirent **entry, int count);
/* How many there are, 0 without a directory; and the name of the first, "" without. */
unsigned int doctor_entries(const struct doctor_host *host, const char *path);
void doctor_first_entry(const struct doctor_host *host, const char *path, char *ret_name,
			size_t size);

/* Is `word` a word of the kernel's command line? */
bool doctor_kernel_argument(const struct doctor_host *host, const char *word);
bool doctor_cpu_is(const struct doctor_host *host, const char *vendor); /* "GenuineIntel" */

/* Fills the names of the bridges above `device`. Returns their number. */
unsigned int doctor_find_bridges(const struct doctor_host *host, const char *device,
				 char ret_bridge[DOCTOR_BRIDGES_MAX][16]);
/*
 * Does the device answer nothing to a read of its vendor ID? Asked only of one that is awake and
 * cannot fall asleep meanwhile; false of every other.
 */
bool doctor_is_dead(const struct doctor_host *host, const char *device);

#endif
