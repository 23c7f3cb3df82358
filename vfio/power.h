/*
 * The power state machine of one slot, pure: events in, actions out, no I/O. The rules are those of
 * docs/power.md; each is checked in every reachable state by tests/vfio/test_power.c.
 *
 * One thread (vfio/slot_thread.c) owns a machine: it takes an event, calls power_step(), carries
 * out the actions in order, and feeds the result of the one marked (R) back as an event before it
 * takes any other event. At most one action of a step is marked, and it is the last. So transitions
 * never overlap, and no lock is held while the host works.
 */
#ifndef VFIO_POWER_H
#define VFIO_POWER_H

#include <stdbool.h>
#include <stdint.h>

#define POWER_FUNCTIONS 8

enum power_state {
	POWER_ON,      /* the guest may use the function; nothing engaged on the host */
	POWER_ENGAGED, /* the host accepted a low-power entry, which nobody has ended, we think */
	POWER_WOKEN,   /* was engaged with wake-up, was woken on the host; guest not back yet */
	POWER_REFUSED, /* the guest believes it off; the host refused or lacks low power */
	POWER_LOST,    /* the device does not come back */
	POWER_RELEASED, /* given back to the host; reported, then the function does not exist */
};

enum power_cause {
	POWER_CAUSE_GUEST,    /* the guest asked by _OFF or _ON */
	POWER_CAUSE_HOST,     /* woken by an access on the host */
	POWER_CAUSE_PME,      /* woken by the device itself */
	POWER_CAUSE_UNKNOWN,  /* woken, and the host does not tell by what */
	POWER_CAUSE_OWN,      /* our own call resumed it; counted, never reported as a wake */
	POWER_CAUSE_RESET,    /* guest reset or reboot */
	POWER_CAUSE_SHUTDOWN, /* the VMM ends */
	POWER_CAUSE_ERROR,    /* the host reported failure */
	POWER_CAUSE_UNPLUG,   /* the guest ejected the slot */
	POWER_CAUSE_GOVERNOR, /* its hold is over: the guest's _OFF is done after all */
};
#define POWER_CAUSES 10U

/* What a wake of a sleeping function leads to: docs/power.md, rule 5. */
enum power_reentry {
	POWER_REENTRY_AUTO,  /* with PME_En the guest is told, without the host goes back itself */
	POWER_REENTRY_GUEST, /* only the guest may put it to sleep again: always tell it */
	POWER_REENTRY_HOST,  /* the host puts it to sleep again by itself, the guest is not told */
};

/* What a reset by the guest, and the end, do to the device. */
enum power_reset {
	POWER_RESET_FUNCTION, /* each function by itself */
	POWER_RESET_SLOT,     /* all at once, by hot reset of the slot */
	POWER_RESET_NONE,
};

enum power_event_type {
	POWER_EV_OFF,        /* the guest's _OFF */
	POWER_EV_ON,         /* the guest's _ON */
	POWER_EV_WAKE,       /* wake-up eventfd of `function` was signalled (and drained) */
	POWER_EV_RESET,      /* guest reset: everything back to ON */
	POWER_EV_SHUTDOWN,   /* the VMM ends: leave the card awake, idle and usable */
	POWER_EV_REMOVE,     /* the guest has ejected the slot: give the card back */
	POWER_EV_HOST_ERROR, /* access to `function` failed while ON (`error`) */
	POWER_EV_RESEND,     /* the resend timer fired */
	POWER_EV_RETRY,      /* the governor's hold is over */
	/* results of actions */
	POWER_EV_ENTRY_DONE, /* `error` 0 or negative errno */
	POWER_EV_EXIT_DONE,
	POWER_EV_CHECK_DONE, /* `error` 0: it answers; -ENODEV: ones; others: read failed */
	POWER_EV_RESET_DONE,
	POWER_EV_RECOVER_DONE,
	POWER_EV_SLOT_RESET_DONE,
};

struct power_event {
	enum power_event_type type;
	uint8_t function;
	int error;
	enum power_cause cause; /* WAKE: HOST, PME or UNKNOWN */
};

enum power_action_type {
	POWER_DO_DETACH,   /* hide from the guest (PCI_COLD): unmap BARs, detach INTx */
	POWER_DO_DRAIN,    /* read the wake-up eventfd empty */
	POWER_DO_ENTRY,    /* (R) low-power entry; `with_wakeup` */
	POWER_DO_EXIT,     /* (R) low-power exit, then drain the wake-up eventfd */
	POWER_DO_CHECK,    /* (R) does it answer? */
	POWER_DO_RESET,    /* (R) reset the guest's view (PCI_PRESENT) and, with `device`, it */
	POWER_DO_RECOVER,  /* (R) reset of the function alone, the guest's view stays as it is */
	POWER_DO_SLOT_RESET, /* (R) hot reset of the slot; `function` is the one that needs it */
	POWER_DO_ATTACH,   /* show to the guest in D0 (PCI_PRESENT): interrupts, BARs */
	POWER_DO_GONE,     /* PCI_GONE: the guest reads ones */
	POWER_DO_RELEASE,  /* PCI_GONE, and the back end is closed */
	POWER_DO_PME,      /* set PME_Status of the function and, as PME_En is set, send a PME */
	POWER_DO_NOTIFY,   /* ACPI Notify(function 0, 2) by the slot's GPE, for `function` */
	POWER_DO_TIMER,    /* arm the resend timer once */
	POWER_DO_REPORT,   /* write the event described by the rest of the action */
	POWER_DO_DONE,     /* the guest's request is answered: busy clears, power reads as `on` */
};

struct power_action {
	enum power_action_type type;
	uint8_t function;
	bool with_wakeup;           /* ENTRY */
	bool device;                /* RESET */
	bool on;                    /* DONE */
	enum power_state from, to;  /* REPORT, as the rest */
	enum power_cause cause;
	int error;
	uint8_t tried;              /* POWER_TRIED_*: steps of the ladder that were taken */
	bool recovered;             /* the device answered after the last of them */
};

#define POWER_ACTIONS_MAX 64
struct power_actions {
	unsigned int count;
	struct power_action action[POWER_ACTIONS_MAX];
};

/* The ladder when a device does not answer; what else there is a person must do. */
#define POWER_TRIED_RESET 0x1      /* function reset */
#define POWER_TRIED_SLOT_RESET 0x2 /* hot reset of the slot */

/* What a function can do and what the guest and the policy want of it; set by the owner. */
struct power_function {
	/* fixed at start */
	bool exists;
	bool can_enter;        /* host offers ENTRY and EXIT */
	bool can_enter_wakeup; /* host offers ENTRY_WITH_WAKEUP and EXIT */
	bool can_recover;      /* a function reset may be tried on a device that is lost */
	enum power_reentry reentry;
	int refuse_error;      /* negative errno, the reason where it cannot; -ENOTTY, ... */
	/* set by the owner before every power_step() */
	bool pme_enable;       /* the guest's virtual PMCSR */
	bool pme_status;
	int hold;              /* -EAGAIN: no entry now (the governor); 0: free */
	/* the machine's own */
	enum power_state state;
	bool engaged_wakeup;   /* ENGAGED was entered with wake-up */
	bool entry_tried;      /* an ENTRY was called and no EXIT has succeeded since */
	bool failed;           /* in the present phase: EXIT or CHECK failed */
	bool fell;             /* in the present phase: failed while the guest used it */
	uint8_t tried;         /* in the present phase: POWER_TRIED_* */
	int error;             /* of the last refusal or failure; 0 after success */
};

/* What the machine is busy with. ENDING is never left: the VMM closes the device. */
enum power_phase {
	POWER_IDLE,
	POWER_GOING_OFF,
	POWER_GOING_ON,
	POWER_RESETTING,
	POWER_CHECKING, /* a host error was reported: is the device still there? */
	POWER_ENDING,
	POWER_REMOVING,
	POWER_RETRYING, /* as GOING_OFF, long after the guest was answered */
};

struct power {
	struct power_function fn[POWER_FUNCTIONS];
	/* fixed at start */
	enum power_reset reset;
	bool can_slot_reset;   /* a hot reset may be tried when a device is lost */
	/* the machine's own */
	bool slot_on;          /* what the guest last asked for and was answered */
	bool only_held;        /* off, and awake for the hold alone: untouched since the _OFF */
	enum power_phase phase;
	uint8_t stage;         /* index in the phase's list (vfio/power_phases.c) */
	uint8_t waiting;       /* functions with that action ahead; the lowest one's is awaited */
	bool slot_was_reset;   /* in the present phase */
	uint8_t recheck;       /* functions that were reset since their last check */
	unsigned int resends;  /* left for the present wake; the last one is a Notify */
	bool wake_reported;    /* one cause, one event: this sleep's wake was reported */
};

#define POWER_RESENDS 5
#define POWER_RESEND_MS 1000

/* What is fixed at start is set; everything else starts: all ON. */
void power_init(struct power *power);

/*
 * One step. `actions` is emptied first. Result events are valid only while awaited, all others only
 * while nothing is; unexpected ones are ignored. OFF/ON that find nothing to do answer with DONE
 * alone (an _ON at boot, for example).
 */
void power_step(struct power *power, const struct power_event *event,
		struct power_actions *actions);

const char *power_state_name(enum power_state state);
const char *power_cause_name(enum power_cause cause);

#endif
