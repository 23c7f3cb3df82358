/*
 * Prints every transition of the machine (machine.pml): a line for each state and what can come in.
 * tests/power/dump_transitions.c prints those of the code; check-model compares them.
 *
 *   states > event and inputs > actions > states
 *
 * The slot is read from the environment: SLOT="CAN_ENTER CAN_WAKEUP CAN_RECOVER REENTRY RESET
 * CAN_SLOT_RESET", numbers as machine.pml says.
 */
hidden byte can_enter, can_wakeup, can_recover, reentry, reset, can_slot_reset;
#define CAN_ENTER can_enter
#define CAN_WAKEUP can_wakeup
#define CAN_RECOVER can_recover
#define REENTRY reentry
#define RESET reset
#define CAN_SLOT_RESET can_slot_reset

c_decl {
	static char said[1024];
	static int used;

	static const char *const states[] = {
		"on", "engaged", "woken", "refused", "lost", "released",
	};
	static const char *const phases[] = {
		"idle", "going-off", "going-on", "resetting", "checking", "ending", "removing",
		"retrying",
	};
	static const char *const events[] = {
		"off", "on", "wake", "reset", "shutdown", "remove", "host-error", "resend",
		"retry", "result",
	};
	static const char *const causes[] = {
		"guest", "host", "pme", "unknown", "own", "reset", "shutdown", "error", "unplug",
		"governor",
	};
}

hidden byte c_fn, c_from, c_to, c_cause, c_tried, c_recovered;
hidden short c_error;

#define ONLY_SAID
#define SAY(word) c_code { used += sprintf(said + used, " " word); }
#define SAY_FN(word, fn)                                                      \
	c_fn = fn;                                                            \
	c_code { used += sprintf(said + used, " " word "%u", c_fn); }
#define SAY_ENTRY(wakeup, fn)                                                 \
	c_fn = fn;                                                            \
	c_to = wakeup;                                                        \
	c_code { used += sprintf(said + used, c_to ? " entry+wakeup%u" : " entry%u", c_fn); }
#define SAY_DONE(value)                                                       \
	c_to = value;                                                         \
	c_code { used += sprintf(said + used, c_to ? " done-on" : " done-off"); }
#define SAY_REPORT(fn, was, is, why, bad_, tried_, recovered_)                \
	c_fn = fn;                                                            \
	c_from = was;                                                         \
	c_to = is;                                                            \
	c_cause = why;                                                        \
	c_error = bad_;                                                       \
	c_tried = tried_;                                                     \
	c_recovered = recovered_;                                             \
	c_code {                                                              \
		used += sprintf(said + used, " report%u(%s,%s,%s,%d,%u,%u)", c_fn, states[c_from], \
				states[c_to], causes[c_cause], c_error, c_tried, c_recovered);     \
	}
#define SAY_STATE()                                                           \
	c_code {                                                              \
		for (int x = 0; x < N; x++)                                   \
			used += sprintf(said + used, "%s.%u%u%u%u%u.%d ", states[now.st[x]],       \
					now.wk[x], now.tried[x], now.failed[x], now.fell[x],       \
					now.ladder[x], now.error[x]);                              \
		used += sprintf(said + used, "%s.%u.%u %u%u%u%u.%u.%u", phases[now.phase],         \
				now.todo ? now.stage : 0, now.todo, now.slot_on, now.only_held,    \
				now.wake_reported, now.slot_was_reset, now.recheck,   \
				now.resends);                                         \
	}
#define SAY_BEFORE()                                                          \
	c_code { used = 0; };                                                \
	SAY_STATE();                                                          \
	c_code {                                                              \
		used += sprintf(said + used, " > %s%u %d", events[now.ev], now.ev_fn, \
				now.ev_error);                                        \
		used += sprintf(said + used, " held%u", now.held);            \
		for (int x = 0; x < N; x++)                                   \
			used += sprintf(said + used, " %u%u", now.pme_en[x], now.pme_st[x]);       \
		used += sprintf(said + used, " >");                           \
	}
#define SAY_AFTER()                                                           \
	c_code { used += sprintf(said + used, " > "); };                     \
	SAY_STATE();                                                          \
	c_code { puts(said); }

#define W_DETACH(fn) skip
#define W_DRAIN(fn) skip
#define W_CLEAR(fn) skip
#define W_ATTACH(fn) skip
#define W_GONE(fn) skip
#define W_RELEASE(fn) skip
#define W_PME(fn) skip
#define W_NOTIFY(fn) skip
#define W_TIMER() skip
#define W_DONE(on) skip

#include "machine.pml"

#define BAD_RESULT                                                            \
	(kind == CHECK || kind == CHECK_AGAIN -> -ENODEV :                    \
	(kind == POLICY_RESET || kind == SLOT_RESET -> -EBUSY : -EIO))

/* The guest's bits, where they count. */
inline choose_enable()
{
	x = 0;
	do
	:: x < N ->
		if
		:: pme_en[x] = 0
		:: pme_en[x] = 1
		fi;
		x++
	:: else -> break
	od
}

inline choose_status()
{
	x = 0;
	do
	:: x < N ->
		if
		:: pme_st[x] = 0
		:: pme_st[x] = 1
		fi;
		x++
	:: else -> break
	od
}

inline choose_function()
{
	if
	:: ev_fn = 0
	:: ev_fn = N - 1
	fi
}

inline choose_held()
{
	if
	:: held = 0
	:: held = 1
	:: N > 1 -> held = 2
	:: N > 1 -> held = 3
	fi
}

inline choose_event()
{
	if
	:: ev = EV_OFF -> choose_enable(); choose_held()
	:: ev = EV_ON
	:: ev = EV_WAKE -> choose_function(); choose_enable()
	:: ev = EV_RESET
	:: ev = EV_SHUTDOWN
	:: ev = EV_REMOVE
	:: ev = EV_HOST_ERROR -> choose_function()
	:: ev = EV_RESEND -> choose_enable(); choose_status()
	:: ev = EV_RETRY -> choose_enable(); choose_held()
	fi
}

active proctype owner()
{
	byte x;

	c_code {
		const char *slot = getenv("SLOT");

		if (!slot || sscanf(slot, "%hhu %hhu %hhu %hhu %hhu %hhu", &can_enter, &can_wakeup,
				    &can_recover, &reentry, &reset, &can_slot_reset) != 6)
			exit(2);
	};
	do
	:: atomic {
		!ended ->
		if
		:: todo == 0 -> choose_event()
		:: else ->
			ev = EV_RESULT;
			d_step { lowest(); ev_fn = i };
			if
			:: ev_error = 0
			:: d_step { name_stage(); ev_error = BAD_RESULT }
			fi
		fi;
		d_step {
			step();
			x = 0;
			for (k : 0 .. N - 1) {
				pme_en[k] = 0;
				pme_st[k] = 0
			}
		}
	}
	od
}
