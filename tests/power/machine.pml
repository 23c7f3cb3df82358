/*
 * The power state machine of a slot (vfio/power.h), said again in another language: what the code
 * is compared with. One step is one d_step: an event or a result in, a new state and actions out.
 *
 * Whoever includes this defines the slot:
 *   N               functions
 *   CAN_ENTER, CAN_WAKEUP, CAN_RECOVER   masks of functions
 *   REENTRY         two bits a function: 0 auto, 1 guest, 2 host
 *   RESET           policy: 0 function, 1 slot, 2 none
 *   CAN_SLOT_RESET  0, 1
 * and SAY_*(): what a step prints, W_*(): what the actions do to the world, and ONLY_SAID: `hidden`
 * where nothing is printed, for what has no other use than that.
 */

#define ALL ((1 << N) - 1)
#define HAS(mask, i) (((mask) >> (i)) & 1)
#define REENTRY_OF(i) ((REENTRY >> (2 * (i))) & 3)

#define EIO 5
#define EAGAIN 11
#define EBUSY 16
#define ENODEV 19
#define ENOTTY 25
#define ECANCELED 125

/* States, phases, events and causes: as vfio/power.h numbers them. */
#define ON 0
#define ENGAGED 1
#define WOKEN 2
#define REFUSED 3
#define LOST 4
#define RELEASED 5

#define IDLE 0
#define GOING_OFF 1
#define GOING_ON 2
#define RESETTING 3
#define CHECKING 4
#define ENDING 5
#define REMOVING 6
#define RETRYING 7

#define EV_OFF 0
#define EV_ON 1
#define EV_WAKE 2
#define EV_RESET 3
#define EV_SHUTDOWN 4
#define EV_REMOVE 5
#define EV_HOST_ERROR 6
#define EV_RESEND 7
#define EV_RETRY 8
#define EV_RESULT 9
#define EV_NONE 10

#define CAUSE_GUEST 0
#define CAUSE_HOST 1
#define CAUSE_RESET 5
#define CAUSE_SHUTDOWN 6
#define CAUSE_ERROR 7
#define CAUSE_UNPLUG 8
#define CAUSE_GOVERNOR 9

#define TRIED_RESET 1
#define TRIED_SLOT_RESET 2
#define RESENDS 5

/* Stages: the same action may have several reasons. */
#define ENTRY 0
#define ROLL_BACK 1
#define EXIT 2
#define RESET_VIEW 3
#define POLICY_RESET 4
#define CHECK 5
#define RECOVER 6
#define CHECK_AGAIN 7
#define SLOT_RESET 8
#define END 9

/* --- the machine --- */

byte st[N];          /* state of a function */
bool wk[N];          /* it is, or would be, entered with wake-up */
bool tried[N];       /* ENTRY was called and no EXIT succeeded since */
bool failed[N];      /* in the present phase: EXIT or CHECK failed */
bool fell[N];        /* in the present phase: failed while the guest used it */
byte ladder[N];      /* in the present phase: resets that did not help, or did */
ONLY_SAID short error[N];
bool slot_on = 1;
bool only_held;      /* off, and awake for the governor alone: untouched since the _OFF */
byte phase = IDLE;
byte stage;
byte todo;           /* functions whose result is to come, the lowest first */
bool slot_was_reset;
byte recheck;
byte resends;
ONLY_SAID byte wake_reported;
bool ended;

/* --- what comes in; zero between steps --- */

byte ev = EV_NONE;
byte ev_fn;
short ev_error;
byte held;           /* functions that the governor holds */
bool pme_en[N], pme_st[N];

/* --- scratch, within one step --- */

hidden byte i, k, j, kind, from, last;
hidden byte any_refused, any_on, all_exited, in_use, lower_failed, first;
hidden short bad, unheld;

#define EXISTS(x) (st[x] != RELEASED)
#define ENTERS (phase == GOING_OFF || phase == RETRYING)
#define IS_RESET (phase == RESETTING || phase == ENDING || phase == REMOVING)

inline look()
{
	any_refused = 0;
	any_on = 0;
	all_exited = 1;
	in_use = 0;
	for (j : 0 .. N - 1) {
		if
		:: EXISTS(j) ->
			any_refused = any_refused || st[j] == REFUSED;
			any_on = any_on || st[j] == ON;
			all_exited = all_exited && !tried[j];
			in_use = in_use || (st[j] == ON && !failed[j])
		:: else
		fi
	}
}

inline lowest()
{
	i = 0;
	do
	:: !HAS(todo, i) -> i++
	:: else -> break
	od
}

#define DONE()                                                                \
	look();                                                               \
	SAY_DONE(slot_on && any_on);                                          \
	W_DONE(slot_on && any_on)

/* --- events --- */

#define MAY_SLEEP(x) (EXISTS(x) && st[x] != LOST)

inline decide_sleep()
{
	bad = 0;
	unheld = 0;
	for (k : 0 .. N - 1) {
		if
		:: MAY_SLEEP(k) ->
			SAY_FN("drain", k);
			W_DRAIN(k);
			wk[k] = REENTRY_OF(k) == 1 || (REENTRY_OF(k) == 0 && pme_en[k]);
			if
			:: !HAS(CAN_ENTER, k) || (wk[k] && !HAS(CAN_WAKEUP, k)) ->
				error[k] = -ENOTTY
			:: else -> error[k] = (HAS(held, k) -> -EAGAIN : 0)
			fi;
			bad = bad | (error[k] != 0);
			unheld = unheld | (error[k] != -EAGAIN)
		:: else
		fi
	}
	only_held = bad && !unheld;
	for (k : 0 .. N - 1) {
		if
		:: bad && MAY_SLEEP(k) ->
			st[k] = REFUSED;
			error[k] = (error[k] -> error[k] : -ECANCELED)
		:: else
		fi
	}
}

inline go_off()
{
	for (k : 0 .. N - 1) {
		if
		:: MAY_SLEEP(k) -> SAY_FN("detach", k); W_DETACH(k)
		:: else
		fi
	}
	decide_sleep();
	phase = GOING_OFF
}

#ifdef MUTANT_RETRIES_ANY
#define RETRIES !slot_on
#else
#define RETRIES only_held
#endif

#ifdef MUTANT_OWN_WAKES
#define IS_WAKE (st[ev_fn] == ENGAGED || st[ev_fn] == ON)
#else
#define IS_WAKE (st[ev_fn] == ENGAGED && wk[ev_fn])
#endif

inline wake()
{
	if
	:: IS_WAKE ->
		if
		:: st[ev_fn] == ENGAGED -> st[ev_fn] = WOKEN
		:: else
		fi;
		if
		:: pme_en[ev_fn] ->
			SAY_FN("pme", ev_fn);
			W_PME(ev_fn);
			SAY("timer");
			W_TIMER();
			resends = RESENDS + 1
		:: !pme_en[ev_fn] && REENTRY_OF(ev_fn) == 1 ->
			SAY_FN("notify", ev_fn);
			W_NOTIFY(ev_fn)
		:: else
		fi;
		if
		:: !wake_reported ->
			wake_reported = 1;
			SAY_REPORT(ev_fn, ENGAGED, WOKEN, CAUSE_HOST, 0, 0, 0)
		:: else
		fi
	:: else
	fi
}

inline resend()
{
	last = N;
	for (k : 0 .. N - 1) {
		if
		:: resends && st[k] == WOKEN && pme_en[k] && pme_st[k] ->
			last = k;
			if
			:: resends > 1 -> SAY_FN("pme", k); W_PME(k)
			:: else
			fi
		:: else
		fi
	}
	if
	:: last < N ->
		resends--;
		if
		:: resends -> SAY("timer"); W_TIMER()
		:: else -> SAY_FN("notify", last); W_NOTIFY(last)
		fi
	:: else
	fi
}

/* A phase begins, before its first stage. */
inline begin()
{
	for (k : 0 .. N - 1) {
		failed[k] = 0;
		fell[k] = 0;
		ladder[k] = 0;
		if
		:: !ENTERS && st[k] != LOST -> error[k] = 0
		:: else
		fi
	}
	only_held = only_held && ENTERS;
	slot_was_reset = 0;
	recheck = 0;
	stage = 255;
	if
	:: phase == CHECKING -> stage = 0; todo = 1 << ev_fn
	:: else
	fi
}

#ifdef MUTANT_ANSWERS_AT_ONCE
#define NEEDS_ON (st[0] != WOKEN)
#else
#define NEEDS_ON 1
#endif

inline request()
{
	if
	:: ev == EV_OFF && slot_on -> go_off()
	:: ev == EV_ON && !slot_on && NEEDS_ON -> phase = GOING_ON
	:: (ev == EV_OFF && !slot_on) || (ev == EV_ON && (slot_on || !NEEDS_ON)) -> DONE()
	:: ev == EV_WAKE -> wake()
	:: ev == EV_RESET -> phase = RESETTING
	:: ev == EV_SHUTDOWN -> phase = ENDING
	:: ev == EV_REMOVE -> phase = REMOVING
	:: ev == EV_HOST_ERROR && st[ev_fn] == ON -> phase = CHECKING
	:: ev == EV_RESEND -> resend()
	:: ev == EV_RETRY && RETRIES -> decide_sleep(); phase = RETRYING
	:: else
	fi;
	if
	:: phase != IDLE -> begin()
	:: else
	fi
}

/* --- results --- */

inline take_check()
{
	failed[i] = ev_error != 0;
	recheck = recheck & ~(1 << i);
	if
	:: ev_error ->
		look();
		error[i] = ev_error;
		ladder[i] = ladder[i] | (slot_was_reset -> TRIED_SLOT_RESET : 0);
		if
		:: IS_RESET && HAS(CAN_RECOVER, i) &&
		   (RESET == 0 || (RESET == 1 && !all_exited)) ->
			ladder[i] = ladder[i] | TRIED_RESET
		:: else
		fi;
		if
		:: phase == CHECKING && !fell[i] ->
			fell[i] = 1;
			SAY_FN("gone", i);
			W_GONE(i)
		:: else
		fi
	:: !ev_error && ladder[i] && !fell[i] -> error[i] = 0
	:: else
	fi
}

#ifdef MUTANT_BELIEVES_EXIT
#define EXIT_FAILED 0
#else
#define EXIT_FAILED (ev_error != 0)
#endif

inline result()
{
	lowest();
	todo = todo & ~(1 << i);
	if
	:: kind == ENTRY ->
		st[i] = (ev_error -> REFUSED : ENGAGED);
		error[i] = ev_error;
		todo = (ev_error -> 0 : todo)
	:: kind == ROLL_BACK ->
		tried[i] = ev_error != 0;
		error[i] = (error[i] -> error[i] : ev_error)
	:: kind == EXIT ->
		tried[i] = EXIT_FAILED;
		failed[i] = EXIT_FAILED;
		error[i] = ev_error
	:: kind == CHECK || kind == CHECK_AGAIN -> take_check()
	:: kind == RESET_VIEW ->
		look();
		error[i] = ev_error;
		if
		:: !ev_error && RESET == 1 && !all_exited && !HAS(CAN_RECOVER, i) ->
			error[i] = -EBUSY
		:: else
		fi
	:: kind == POLICY_RESET -> error[i] = ev_error
	:: else /* steps of the ladder: CHECK decides */
	fi
}

/* --- through a phase --- */

#define LADDER_STAGE(n)                                                       \
	(n == 0 -> RECOVER : (n == 1 || n == 3 -> CHECK_AGAIN : (n == 2 -> SLOT_RESET : END)))

inline name_stage()
{
	if
	:: ENTERS ->
		kind = (stage == 0 -> ENTRY : (stage == 1 -> ROLL_BACK : END))
	:: phase == GOING_ON ->
		kind = (stage == 0 -> EXIT : (stage == 1 -> CHECK : LADDER_STAGE((stage - 2))))
	:: phase == CHECKING ->
		kind = (stage == 0 -> CHECK : LADDER_STAGE((stage - 1)))
	:: IS_RESET && stage < 4 ->
		kind = (stage == 0 -> EXIT : (stage == 1 -> RESET_VIEW :
		       (stage == 2 -> POLICY_RESET : CHECK)))
	:: else -> kind = LADDER_STAGE((stage - 4))
	fi
#ifdef MUTANT_CHECKS_BEFORE_EXIT
	;
	if
	:: phase == GOING_ON && stage < 2 -> kind = (stage -> EXIT : CHECK)
	:: else
	fi
#endif
}

#ifdef MUTANT_NO_ROLL_BACK
#define ROLLS_BACK 0
#else
#define ROLLS_BACK 1
#endif

/* Who takes part in the stage: `todo`. */
inline enlist()
{
	look();
	first = 1;
	lower_failed = 0;
	for (k : 0 .. N - 1) {
		if
		:: EXISTS(k) && (st[k] != LOST || IS_RESET) &&
		   ((kind == ENTRY && !bad) ||
		    (kind == ROLL_BACK && any_refused && tried[k] && ROLLS_BACK) ||
		    (kind == EXIT && tried[k]) ||
		    ((kind == RESET_VIEW || kind == CHECK) && !failed[k]) ||
		    (kind == POLICY_RESET && RESET == 1 && all_exited && first) ||
		    (kind == RECOVER && failed[k] && !tried[k] && HAS(CAN_RECOVER, k) &&
		     !(ladder[k] & TRIED_RESET)) ||
		    (kind == CHECK_AGAIN && HAS(recheck, k)) ||
		    (kind == SLOT_RESET && CAN_SLOT_RESET && !slot_was_reset && all_exited &&
		     failed[k] && !lower_failed && !(phase == CHECKING && in_use))) ->
			todo = todo | (1 << k)
		:: else
		fi;
		first = first && !EXISTS(k);
		lower_failed = lower_failed || (EXISTS(k) && failed[k])
	}
}

inline ask()
{
	lowest();
	if
	:: kind == ENTRY -> tried[i] = 1; SAY_ENTRY(wk[i], i)
	:: kind == ROLL_BACK || kind == EXIT -> SAY_FN("exit", i)
	:: kind == CHECK || kind == CHECK_AGAIN -> SAY_FN("check", i)
	:: kind == RESET_VIEW ->
		look();
		if
		:: RESET == 0 || (RESET == 1 && !all_exited && HAS(CAN_RECOVER, i)) ->
			SAY_FN("reset", i)
		:: else -> SAY_FN("clear", i)
		fi;
		W_CLEAR(i)
	:: kind == RECOVER ->
		ladder[i] = ladder[i] | TRIED_RESET;
		recheck = recheck | (1 << i);
		SAY_FN("recover", i)
	:: else ->
		slot_was_reset = 1;
		recheck = ALL;
		for (k : 0 .. N - 1) {
			ladder[k] = ladder[k] | (failed[k] -> TRIED_SLOT_RESET : 0)
		}
		SAY_FN("slot-reset", i)
	fi
}

/* --- the ends of phases --- */

#ifdef MUTANT_DRAINS_LATE
#define LATE_DRAIN(fn) W_DRAIN(fn)
#else
#define LATE_DRAIN(fn) skip
#endif

#ifdef MUTANT_NO_ANSWER
#define ANSWERS !(phase == GOING_OFF && any_refused)
#else
#define ANSWERS 1
#endif

inline finish_entry()
{
	look();
	for (k : 0 .. N - 1) {
		if
		:: EXISTS(k) && st[k] != LOST ->
			if
			:: any_refused ->
				st[k] = REFUSED;
				error[k] = (error[k] -> error[k] : -ECANCELED)
			:: else
			fi;
			LATE_DRAIN(k);
			if
			:: phase == GOING_OFF ->
				SAY_REPORT(k, ON, st[k], CAUSE_GUEST, error[k], 0, 0)
			:: phase == RETRYING && error[k] != -EAGAIN ->
				SAY_REPORT(k, REFUSED, st[k], CAUSE_GOVERNOR, error[k], 0, 0)
			:: else
			fi
		:: else
		fi
	}
	slot_on = 0
}

#define CAUSE                                                                 \
	(phase == GOING_ON -> CAUSE_GUEST : (phase == RESETTING -> CAUSE_RESET : \
	(phase == CHECKING -> CAUSE_ERROR : (phase == ENDING -> CAUSE_SHUTDOWN : CAUSE_UNPLUG))))

inline settle()
{
	from = st[k];
	wk[k] = 0;
	st[k] = (failed[k] || fell[k] -> LOST : ON);
	if
	:: failed[k] && !fell[k] -> SAY_FN("gone", k); W_GONE(k)
	:: st[k] == ON && from != ON && phase != ENDING -> SAY_FN("attach", k); W_ATTACH(k)
	:: else
	fi;
	if
	:: from != st[k] || ladder[k] || (!failed[k] && error[k]) ->
		SAY_REPORT(k, from, st[k], CAUSE, error[k], ladder[k], (ladder[k] && !failed[k]))
	:: else
	fi
}

inline release()
{
	from = st[k];
	if
	:: failed[k] -> SAY_FN("gone", k); W_GONE(k)
	:: else
	fi;
	SAY_FN("release", k);
	W_RELEASE(k);
	st[k] = RELEASED;
	SAY_REPORT(k, from, RELEASED, CAUSE, error[k], ladder[k], (ladder[k] && !failed[k]))
}

inline finish()
{
	for (k : 0 .. N - 1) {
		if
		:: phase == REMOVING && EXISTS(k) -> release()
		:: EXISTS(k) && ((phase == GOING_ON && st[k] != LOST) || phase == RESETTING ||
		   phase == ENDING || (phase == CHECKING && fell[k])) -> settle()
		:: else
		fi
	}
	look();
	if
	:: ENTERS -> finish_entry()
	:: phase == GOING_ON -> slot_on = any_on
	:: phase == RESETTING -> slot_on = 1
	:: phase == REMOVING -> slot_on = 0
	:: else
	fi;
	if
	:: phase == GOING_ON || phase == RESETTING || phase == REMOVING ->
		wake_reported = 0;
		resends = 0
	:: else
	fi;
	if
	:: (phase == GOING_OFF || phase == GOING_ON) && ANSWERS -> DONE()
	:: else
	fi;
	ended = phase == ENDING;
	phase = (phase == ENDING -> ENDING : IDLE);
	/* nothing asks for the rest any more */
	stage = 0;
	slot_was_reset = 0;
	recheck = 0;
	for (k : 0 .. N - 1) {
		failed[k] = 0;
		fell[k] = 0;
		ladder[k] = 0
	}
}

/* To the next stage in which someone takes part, or to the end. */
inline advance()
{
	name_stage();
	do
	:: todo == 0 ->
		stage = (stage == 255 -> 0 : stage + 1);
		name_stage();
		if
		:: kind == END -> finish(); break
		:: else -> enlist()
		fi
	:: else -> ask(); break
	od
}

inline step()
{
	SAY_BEFORE();
	if
	:: todo == 0 && phase == IDLE -> request()
	:: todo != 0 -> name_stage(); result()
	:: else
	fi;
	if
	:: phase != IDLE && !ended -> advance()
	:: else
	fi;
	SAY_AFTER();
	ev = EV_NONE;
	ev_fn = 0;
	ev_error = 0;
	held = 0
}
