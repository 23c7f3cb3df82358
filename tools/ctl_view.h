/*
 * What the control socket says of a VM (docs/api.md), as plain data. Strings are the server's: show
 * them through printable_add().
 */
#ifndef TOOLS_CTL_VIEW_H
#define TOOLS_CTL_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/json_read.h"

#define VIEW_NAME 128
#define VIEW_WORD 24
#define VIEW_SENTENCE 1024
#define VIEW_FUNCTIONS 8
#define VIEW_SLOTS 32

enum view_wake { VIEW_WAKE_GUEST, VIEW_WAKE_HOST, VIEW_WAKE_PME, VIEW_WAKE_UNKNOWN };
#define VIEW_WAKES 4U

/* "guest", "host", "pme", "unknown". */
extern const char *const view_wake_names[VIEW_WAKES];

struct view_function {
	char name[VIEW_NAME];
	char state[VIEW_WORD];
	char error[VIEW_WORD];
	uint64_t since_us;
	bool has_host; /* the host's sysfs tells of it */
	char power_state[VIEW_WORD];
	bool suspended;
	uint64_t entries, refusals, losses, wakes[VIEW_WAKES];
	uint64_t engaged_us, suspended_us; /* of sleeps that are over */
	uint64_t entry_p50_us, entry_p99_us, exit_p50_us, exit_p99_us;
	char refused[VIEW_NAME]; /* "EIO 2, EAGAIN 1" */
};

struct view_slot {
	char id[VIEW_NAME], name[VIEW_NAME];
	char power[VIEW_WORD], reset[VIEW_WORD], guest[VIEW_WORD];
	char reasons[VIEW_SENTENCE];
	uint64_t hold_ms;
	struct view_function function[VIEW_FUNCTIONS];
	unsigned int functions;
};

struct view_power {
	uint64_t t_us;
	bool suspended; /* the guest, S3 */
	struct view_slot slot[VIEW_SLOTS];
	unsigned int slots;
};

struct view_info {
	char state[VIEW_WORD], kernel[VIEW_NAME];
	uint64_t memory, cpus, uptime_us;
};

/* 0; -EPROTO: it lacks what docs/api.md says it has, or has more slots than can be. */
int view_read_power(const struct json_doc *doc, struct view_power *ret_power);
int view_read_info(const struct json_doc *doc, struct view_info *ret_info);

/* How long a function was engaged so far, also now; the part of that when the host had it suspended
 * is only known of sleeps that are over. */
uint64_t view_engaged_us(const struct view_power *power, const struct view_function *fn);

/* Whether its state may come to be another on the host without an event: it is engaged, and the
 * host has not suspended it yet. */
bool view_is_settling(const struct view_power *power);

#endif
