/*
 * The power policy of a slot, pure: what the user wants (option --gpu), what quirks know of the
 * card (vfio/quirks.h), what a power test found (vfio/verdict.h) and what the host offers, made
 * into one decision with its reasons.
 *
 * Precedence: the user's word, then the last quirk that matches, then the power test, then the
 * rules of auto. A wish
 * that cannot be kept (D3cold without the kernel's feature) is cut down, and the reasons say so;
 * nothing here makes a sleep possible that rule 5 of docs/power.md forbids.
 */
#ifndef VFIO_POLICY_H
#define VFIO_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio/power.h"

struct quirks;
struct verdict_lookup;
struct vfio_slot_config;

/* How deep the slot may sleep. */
enum policy_power {
	POLICY_POWER_AUTO,   /* a wish only, never decided */
	POLICY_POWER_D3COLD, /* the guest is offered the power resource */
	POLICY_POWER_D3HOT,  /* no power resource; the guest's D3hot is the device's */
	POLICY_POWER_OFF,    /* no power resource; the device stays in D0 */
};

/* How the card is reset: at start, when the guest resets, at the end, and when it is lost. */
enum policy_reset {
	POLICY_RESET_AUTO, /* a wish only, never decided for a guest's reset */
	POLICY_RESET_FLR,  /* each function by itself, as the host's kernel does it */
	POLICY_RESET_BUS,  /* hot reset of the whole slot */
	POLICY_RESET_NONE,
};

/* What is known of one function. */
struct policy_facts {
	const char *name;          /* "0000:01:00.0" */
	uint16_t vendor, device;
	uint32_t class;            /* 24 bits */
	bool has_pm;               /* power management capability */
	int entry_error;           /* of probing ENTRY and EXIT: 0, -ENOTTY, ... */
	int wakeup_error;          /* of probing ENTRY_WITH_WAKEUP */
	bool can_reset, can_slot_reset;
	bool is_external;          /* behind Thunderbolt, or removable by sysfs */
	bool idle_d3_disabled;     /* vfio_pci.disable_idle_d3 is set on the host */
	const struct verdict_lookup *power_test; /* of its slot; NULL: not looked for */
};

#define POLICY_REASONS_MAX 512

struct policy {
	enum policy_power power;
	enum policy_reset reset;                  /* FLR, BUS or NONE, for the guest's resets */
	bool recover_reset, recover_slot_reset;   /* steps of the ladder when a card is lost */
	enum power_reentry reentry[POWER_FUNCTIONS];
	int refuse_error[POWER_FUNCTIONS];        /* why the function cannot enter; 0: it can */
	char reasons[POLICY_REASONS_MAX];         /* for the event log: "why; why; ..." */
};

/*
 * `facts[i]` NULL: the slot does not have function i. Function 0 exists. `quirks` may be NULL.
 */
void policy_decide(const struct vfio_slot_config *wish, const struct quirks *quirks,
		   const struct policy_facts *const facts[POWER_FUNCTIONS],
		   struct policy *ret_policy);

const char *policy_power_name(enum policy_power power); /* "d3cold" ... */
const char *policy_reset_name(enum policy_reset reset); /* "flr" ... */

#endif
