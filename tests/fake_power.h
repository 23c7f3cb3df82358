/*
 * An explorer of the power state machine: a model of the host's kernel, of the guest and of the
 * owner's thread drives it through every sequence of events; every state reached is visited once
 * (breadth first), and the rules of docs/power.md are checked on every step.
 *
 * tests/fake_power_model.c is what actions do, tests/fake_power_rules.c the rules on whole steps
 * and operations, tests/fake_power_explorer.c the search.
 */
#ifndef TESTS_FAKE_POWER_H
#define TESTS_FAKE_POWER_H

#include <stdbool.h>
#include <stdint.h>

#include "vfio/power.h"

#define FUNCTIONS_MAX 2U

/* Results of one operation: a reset where each of 2 functions leaves low power, is reset as the
 * policy says, checked, reset by itself and checked, then both with the slot. None takes more. */
#define RESULTS_MAX 13U

typedef void (*power_step_fn)(struct power *power, const struct power_event *event,
			struct power_actions *actions);

enum rule {
	RULE_NONE,
	RULE_TOUCH,
	RULE_DETACH,
	RULE_DRAIN,
	RULE_ENTRY,
	RULE_HOLD,
	RULE_RETRY,
	RULE_ROLL_BACK,
	RULE_EXIT,
	RULE_ATTACH,
	RULE_FALSE_PME,
	RULE_LOST_WAKE,
	RULE_RESEND,
	RULE_REPORT,
	RULE_DONE,
	RULE_STATE,
	RULE_RETURNS,
	RULE_LOST_QUIET,
	RULE_STAYS_LOST,
	RULE_TOLD,
	RULE_LADDER,
	RULE_RESET,
	RULE_REMOVED,
	RULE_ONE_RESULT,
	RULE_FOREVER,
	RULE_IGNORE,
};

enum engaged { ENGAGED_NOT, ENGAGED_PLAIN, ENGAGED_WAKEUP };
/* The error of the last refusal, as the log tells it. */
enum told { TOLD_NONE, TOLD_HOLD, TOLD_OTHER };
enum view { VIEW_PRESENT, VIEW_COLD, VIEW_GONE, VIEW_RELEASED };
#define OP_NONE 0xff

/* One function as the kernel and the guest have it. Bytes only: it is part of a state's key. */
struct model_fn {
	uint8_t engaged;     /* enum engaged: what the kernel thinks */
	uint8_t signalled;   /* the wake-up eventfd's counter is not zero */
	uint8_t real;        /* because of a wake from outside that nobody handled yet */
	uint8_t delivered;   /* a real wake was handled in this sleep */
	uint8_t pme_sent;    /* with a PME */
	uint8_t pme_enable, pme_status;
	uint8_t view;        /* enum view */
	uint8_t drained;
	uint8_t tried;       /* ENTRY called, no EXIT succeeded since */
	uint8_t reported;    /* the state that the log tells */
	uint8_t told;        /* enum told */
	/* of the present operation */
	uint8_t was_gone;    /* lost or released when it began */
	uint8_t off_pme;     /* pme_enable when the guest asked for _OFF, or at a retry */
	uint8_t held;        /* the governor's word then */
	uint8_t refused;     /* its ENTRY failed */
	uint8_t exit_failed;
	uint8_t checked;     /* it answered after the last reset */
	uint8_t unwell;      /* it did not at the last check */
	uint8_t ever_unwell;
	uint8_t view_reset;  /* POWER_DO_RESET was done */
	uint8_t device_reset;
	uint8_t ladder;      /* POWER_TRIED_*: resets of the device, as far as it has them */
};

struct model {
	struct model_fn fn[FUNCTIONS_MAX];
	uint8_t op;          /* the event that the machine works on; OP_NONE */
	uint8_t from_off;    /* it began with the slot off */
	uint8_t retries;     /* it is a RETRY of a slot that the hold alone kept awake */
	uint8_t only_held;   /* a RETRY would find it so */
	uint8_t requested;   /* _OFF or _ON is unanswered */
	uint8_t slot_resets; /* in this operation */
	uint8_t results;     /* given in this operation */
	uint8_t timer, resends, resend_notifies, wake_reports;
	uint8_t awaited, awaited_fn; /* type of the action whose result is to come; OP_NONE */
	uint8_t ended;
};

struct world {
	struct power power;
	struct model model;
	uint32_t parent;
	struct power_event event; /* that led here, with result events; for the trace */
	char what;               /* 'e' event, 'w' host wake, 'p' guest writes PMCSR */
};

/* The slot that is explored: as power_init() wants it. */
struct power_config {
	const char *name;
	unsigned int functions;
	struct power_function fn[FUNCTIONS_MAX];
	enum power_reset reset;
	bool can_slot_reset;
	/* narrower searches: what does not happen */
	bool no_pme;         /* the guest does not write PMCSR */
	bool no_wakes;       /* nobody wakes the slot from outside */
	bool no_resend;      /* the timer never fires */
};

/* A search. The caller sets nothing: power_explore() does all. */
struct explorer {
	const struct power_config *config;
	power_step_fn step;
	bool quiet;
	struct world *nodes;
	uint32_t count, cap;
	uint32_t *table;       /* node number + 1; 0: free */
	uint32_t table_size;
	enum rule broken;      /* first rule broken */
	unsigned int broken_fn;
	struct world broken_in;
	unsigned int most_actions, most_results;
};

/* One step of the machine, as rules look at it. */
struct step_info {
	const struct power_event *event;
	struct power before;       /* machine */
	struct model model_before;
	bool pme[FUNCTIONS_MAX], notify, timer;
};

extern const char *const power_rule_names[];
/* What tells the result of an action, by its POWER_DO_*. */
extern const enum power_event_type power_results[];

/*
 * Explores `step` on the slot of `config`. The first rule broken, or RULE_NONE. Unless `quiet` it
 * prints the number of states and the way to the broken rule, and also checks that unexpected
 * events are ignored.
 */
enum rule power_explore(const struct power_config *config, power_step_fn step, bool quiet);

/* Is the slot to go to sleep: by an _OFF, or by a RETRY that counts? */
bool model_enters(const struct model *model);

/* Does nothing but the governor's hold speak against the sleep that begins? */
bool model_is_only_held(const struct explorer *ex, const struct model *model);

/* Takes note of a broken rule. */
void model_broke(struct explorer *ex, const struct world *world, enum rule rule,
		 unsigned int fn);

/* Gives one event to the machine, does what the actions say, and checks. */
void model_give(struct explorer *ex, struct world *world, const struct power_event *event);

/* Guest reset, shutdown or removal: lost functions are tried again. */
bool model_resets(const struct model *model);

/* The rules on a step that was carried out. */
void rules_check_step(struct explorer *ex, struct world *world, const struct step_info *info);

#endif
