/*
 * What the two files of the power state machine share: power.c (requests and results) and
 * power_phases.c (the phases: who takes part, in what order, how they end).
 */
#ifndef VFIO_POWER_INTERNAL_H
#define VFIO_POWER_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "vfio/power.h"

/* --- actions --- */

struct power_action *power_add(struct power_actions *actions, enum power_action_type type,
			       unsigned int fn);

struct power_action *power_report(struct power_actions *actions, unsigned int fn,
				  enum power_state from, enum power_state to,
				  enum power_cause cause, int error);

/* The answer to the guest. */
void power_done(const struct power *power, struct power_actions *actions);

/* --- phases --- */

/* Enters a phase; `only` are the functions of its first stage, 0: all that take part. */
void power_begin(struct power *power, enum power_phase phase, uint8_t only,
		 struct power_actions *actions);

/* Is it a phase in which functions are to go to sleep? */
static inline bool power_phase_enters(enum power_phase phase)
{
	return phase == POWER_GOING_OFF || phase == POWER_RETRYING;
}

/* Asks for the next result of the phase, or ends it. */
void power_advance(struct power *power, struct power_actions *actions);

/* The action whose result is awaited. */
enum power_action_type power_awaited(const struct power *power);

/* POWER_TRIED_* of the resets that came before the check of function `i` in the present phase. */
uint8_t power_resets_before_check(const struct power *power, unsigned int i);

/* Why the reset that the policy wants cannot be had for function `i` in a phase of resets; 0: it
 * can, or none is wanted. */
int power_reset_missed(const struct power *power, unsigned int i);

#endif
