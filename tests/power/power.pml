/*
 * The power of a slot with all that works on it at the same time: the guest, its PME service, the
 * root port's PME logic (devices/pme.h), the slot's power thread (vfio/slot_thread.c) with its
 * state machine (machine.pml), and the host's kernel. Checked by spin: tests/power/check-model.
 *
 * What the kernel and Linux as a guest do is what docs/power.md relies on: low power ends by any
 * wake-up, once, with a signal; the machine's own EXIT may signal too; a sibling that slept in the
 * same slot is resumed with it; suspend comes some time after ENTRY. Linux' PME service masks the
 * interrupt, clears Root Status until it is clear, and unmasks.
 *
 * FAULTS: entries are refused, exits fail, devices do not answer, accesses fail.
 * GOVERNOR: the slot may be held awake, and is tried again when that is over, or not yet.
 * NO_RESEND: neither timer nor Notify: the PME logic must do alone.
 */
#define ONLY_SAID hidden
#define SAY(word) skip
#define SAY_FN(word, fn) skip
#define SAY_ENTRY(wakeup, fn) skip
#define SAY_DONE(value) skip
#define SAY_REPORT(fn, was, is, why, bad_, tried_, recovered_) skip
#define SAY_BEFORE() skip
#define SAY_AFTER() skip

#define W_DETACH(fn) visible[fn] = 0
#define W_DRAIN(fn) signalled[fn] = 0; real[fn] = 0
#define W_CLEAR(fn) skip
#define W_ATTACH(fn) assert(!entered[fn] && mode[fn] == NOT); visible[fn] = 1
#define W_GONE(fn) visible[fn] = 0
#define W_RELEASE(fn) skip
#define W_PME(fn) assert(ev == EV_RESEND || woke); pme_st[fn] = 1; pme_message(fn)
#define W_NOTIFY(fn) assert(ev == EV_RESEND || woke); notified = 1
#ifdef NO_RESEND
#define W_TIMER() skip
#else
#define W_TIMER() timer = 1
#endif
#define W_DONE(on) answer(on)

/* --- the host's kernel --- */

#define NOT 0
#define PLAIN 1
#define WAKEUP 2

byte mode[N];        /* low power, as the kernel has it */
bool asleep[N];      /* the device is suspended */
bool signalled[N];   /* the wake-up eventfd */

/* --- the guest's devices and the port --- */

bool visible[N] = 1; /* the guest's accesses reach the device */
bool rp_enable = 1;  /* Root Control: PME Interrupt Enable */
bool rp_status;      /* Root Status: PME Status */
byte rp_id;          /* PME Requester ID */
byte rp_waiting;     /* functions that are not shown yet */
bool msi;            /* an edge that the guest has not taken yet */
bool notified;       /* ACPI Notify, likewise */

/* --- the slot power controller and the thread --- */

bool wanted = 1, busy, sta = 1;
bool command;        /* the doorbell rang */
byte cleared;        /* functions whose PME bits the guest cleared */
bool timer;
byte broken;         /* functions whose access failed */

/* --- what is true, known to nobody --- */

bool real[N];        /* the signal is of a wake from outside */
bool woke;           /* so was the one that the thread works on */
bool entered[N];     /* ENTRY was called and no EXIT succeeded since */
byte stuck;          /* functions whose EXIT failed */
bool owed[N];        /* woken from outside, and the guest is to be told, but does not know yet */
bool serving;        /* the guest's PME service works */
bool resume;         /* the guest's driver was asked to resume */

#include "machine.pml"

/* --- devices/pme.c --- */

inline pme_message(fn)
{
	if
	:: (rp_status && rp_id == fn) || HAS(rp_waiting, fn)
#ifdef MUTANT_ONE_REQUESTER
	:: rp_status && rp_id != fn && !HAS(rp_waiting, fn)
#else
	:: rp_status && rp_id != fn && !HAS(rp_waiting, fn) ->
		rp_waiting = rp_waiting | (1 << fn)
#endif
	:: !rp_status && !HAS(rp_waiting, fn) ->
		rp_status = 1;
		rp_id = fn;
		msi = msi || rp_enable
	fi
}

#ifdef MUTANT_STICKY_STATUS
#define STICKY 1
#else
#define STICKY 0
#endif

/* The guest writes one to PME Status. */
inline pme_clear_status()
{
	if
	:: rp_status && rp_waiting ->
#ifdef MUTANT_PENDING_ALONE
		rp_status = 0
#else
		rp_id = (HAS(rp_waiting, (N - 1 - rp_id)) -> N - 1 - rp_id : rp_id);
		rp_waiting = rp_waiting & ~(1 << rp_id);
		msi = msi || rp_enable
#endif
	:: else -> rp_status = STICKY
	fi
}

inline pme_set_enable(on)
{
#ifndef MUTANT_NO_EDGE_ON_ENABLE
	msi = msi || (on && !rp_enable && rp_status);
#endif
	rp_enable = on
}

#ifdef MUTANT_PENDING_ALONE
#define RP_PENDING (rp_waiting != 0)
#else
#define RP_PENDING (rp_status && rp_waiting)
#endif

/* --- the slot power controller --- */

inline ring(on)
{
	d_step {
		wanted = on;
		busy = 1;
		command = 1;
		/* whoever comes anyway need not be woken */
		owed[0] = owed[0] && !on;
		owed[N - 1] = owed[N - 1] && !on
	}
}

inline answer(on)
{
	busy = 0;
	sta = on;
	assert(phase != GOING_ON || (on) == any_on);
	for (j : 0 .. N - 1) {
		assert(phase != GOING_ON || st[j] == ON || st[j] == LOST)
	}
}

/* All of the slot sleep or none does; only what would not come out may still be engaged. */
inline check_whole()
{
	for (j : 0 .. N - 1) {
		assert(phase != IDLE || st[j] != REFUSED ||
		       (st[0] != ENGAGED && st[0] != WOKEN && st[N - 1] != ENGAGED &&
		        st[N - 1] != WOKEN && (!entered[j] || HAS(stuck, j))));
		/* who was refused is awake, who is lost is gone: nobody waits for their wake-up */
		owed[j] = owed[j] && st[j] != REFUSED && st[j] != LOST
	}
}

/* --- the host's kernel --- */

/* Someone resumes `fn`; `outside`: somebody else than this program. */
inline resume_device(fn, outside)
{
	if
	:: asleep[fn] ->
		asleep[fn] = 0;
		if
		:: mode[fn] == WAKEUP ->
			mode[fn] = NOT;
			signalled[fn] = 1;
			real[fn] = real[fn] || outside;
			owed[fn] = owed[fn] || (outside && st[fn] == ENGAGED && !wanted &&
				(pme_en[fn] || REENTRY_OF(fn) == 1))
		:: else
		fi
	:: else
	fi
}

/* Suspends what may sleep, and wakes it: a function alone (out of D3hot), or with its slot. */
active proctype host()
{
end:	do
	:: d_step { mode[0] != NOT && !asleep[0] -> asleep[0] = 1 }
	:: d_step { mode[N - 1] != NOT && !asleep[N - 1] -> asleep[N - 1] = 1 }
	:: d_step { asleep[0] -> resume_device(0, 1) }
	:: d_step { asleep[N - 1] -> resume_device((N - 1), 1) }
	:: d_step { asleep[0] && asleep[N - 1] -> resume_device(0, 1); resume_device((N - 1), 1) }
	od
}

/* --- the power thread --- */

#ifdef FAULTS
#define MAY_FAIL 1
#else
#define MAY_FAIL 0
#endif

/* ENTRY: without a word of truth about when the device sleeps. */
inline enter()
{
	assert(!entered[ev_fn] && !visible[ev_fn]);
	entered[ev_fn] = 1;
	mode[ev_fn] = (wk[ev_fn] -> WAKEUP : PLAIN)
}

/* EXIT resumes the device, and what slept in its slot: our own doing. */
inline leave()
{
	resume_device(ev_fn, 0);
	resume_device((N - 1 - ev_fn), 0);
	mode[ev_fn] = NOT;
	entered[ev_fn] = 0;
	stuck = stuck & ~(1 << ev_fn)
}

#ifdef MUTANT_OWN_WAKES
#define DRAIN_AFTER_EXIT skip
#else
#define DRAIN_AFTER_EXIT d_step { signalled[ev_fn] = 0; real[ev_fn] = 0 }
#endif

/* Does the action awaited; what it is depends on `kind`. */
inline act()
{
	d_step {
		lowest();
		ev = EV_RESULT;
		ev_fn = i;
		name_stage();
		doing = kind
	}
	if
	:: doing == ENTRY ->
		if
		:: d_step { enter() }
		:: MAY_FAIL -> d_step { entered[ev_fn] = 1; ev_error = -EIO }
		fi
	:: doing == EXIT || doing == ROLL_BACK ->
		if
		:: d_step { leave() }
		:: MAY_FAIL -> ev_error = -EIO; stuck = stuck | (1 << ev_fn)
		fi;
		DRAIN_AFTER_EXIT
	:: else -> /* the others reach the device */
		assert(!entered[ev_fn] && mode[ev_fn] == NOT);
		assert((doing != SLOT_RESET && doing != POLICY_RESET) ||
		       (!entered[0] && !entered[N - 1] && mode[0] == NOT && mode[N - 1] == NOT));
		if
		:: skip
		:: MAY_FAIL && (doing == CHECK || doing == CHECK_AGAIN) -> ev_error = -ENODEV
		fi
	fi;
	doing = 0
}

/* The guest saw to the PME itself; what still waits in the port would only puzzle it. */
inline forget_cleared()
{
	for (j : 0 .. N - 1) {
		if
		:: HAS(cleared, j) && !(pme_en[j] && pme_st[j]) ->
			rp_waiting = rp_waiting & ~(1 << j)
		:: else
		fi
	}
	cleared = 0
}

/* Does the governor hold the slot? */
inline ask_governor()
{
#ifdef GOVERNOR
	if
	:: held = 0
	:: held = ALL
	fi
#else
	skip
#endif
}

/* Signals of the eventfd `fn` are read before the event is given. */
inline take_wake(fn)
{
	d_step {
		ev = EV_WAKE;
		ev_fn = fn;
		woke = real[fn];
		signalled[fn] = 0;
		real[fn] = 0
	}
}

#define IS_IDLE (todo == 0)
#define NO_COMMAND (!command && !cleared && !broken)

active proctype thread()
{
	byte doing;

end:	do
	:: atomic {
		if
		:: !IS_IDLE -> act()
		:: IS_IDLE && cleared -> d_step { forget_cleared() }
		:: IS_IDLE && !cleared && HAS(broken, 0) ->
			ev = EV_HOST_ERROR;
			broken = broken & ~1
		:: IS_IDLE && !cleared && broken == 2 ->
			ev = EV_HOST_ERROR;
			ev_fn = N - 1;
			broken = 0
		:: IS_IDLE && !cleared && !broken && command ->
			command = 0;
			ev = (wanted -> EV_ON : EV_OFF);
			ask_governor()
#ifdef GOVERNOR
		/* at any time, but never for ever in the way of a wake: it is a timer's */
		:: IS_IDLE && NO_COMMAND && !slot_on && !signalled[0] && !signalled[N - 1] ->
			ev = EV_RETRY;
			ask_governor()
#endif
#ifndef NO_RESEND
		:: IS_IDLE && NO_COMMAND && timer -> timer = 0; ev = EV_RESEND
#endif
		:: IS_IDLE && NO_COMMAND && signalled[0] -> take_wake(0)
		:: IS_IDLE && NO_COMMAND && !signalled[0] && signalled[N - 1] ->
			take_wake((N - 1))
		fi;
		d_step {
			step();
			check_whole();
			woke = 0
		}
	}
	od
}

/* --- the guest --- */

/* PMCSR of the requester: both bits set, or the request is spurious. Linux clears both. */
inline handle(fn)
{
	d_step {
		if
		:: pme_st[fn] && pme_en[fn] ->
			pme_st[fn] = 0;
			pme_en[fn] = 0;
			cleared = cleared | (1 << fn);
			owed[fn] = 0;
			resume = 1
		:: else
		fi
	}
}

/* drivers/pci/pcie/pme.c of Linux 6.12: pcie_pme_irq() and pcie_pme_work_fn(). */
active proctype pme_service()
{
	bool status, pending;
	byte id;

end:	do
	:: atomic { msi -> msi = 0; serving = rp_status };
		if
		:: serving -> d_step { pme_set_enable(0) }
		:: else -> skip /* IRQ_NONE */
		fi;
		do
		:: serving ->
			d_step {
				status = rp_status;
				pending = RP_PENDING;
				id = rp_id
			};
			if
			:: status -> d_step { pme_clear_status() }; handle(id)
			:: !status && pending -> assert(false) /* Linux spins here for ever */
			:: else ->
				d_step {
					pme_set_enable(1);
					serving = 0;
					id = 0
				}
			fi
		:: else -> break
		od
#ifndef NO_RESEND
	:: atomic {
		notified ->
		notified = 0;
		owed[0] = 0;
		owed[N - 1] = 0;
		resume = 1
	}
#endif
	od
}

/* Arms what is to wake it and switches the slot off; some day it comes back, or when woken. */
active proctype guest()
{
	bool patient;

active_: if
#ifdef FAULTS
	:: visible[0] -> broken = broken | 1; goto active_
	:: N > 1 && visible[N - 1] -> broken = broken | (1 << (N - 1)); goto active_
#endif
	:: skip
	fi;
	atomic {
		if
		:: pme_en[0] = 0
		:: pme_en[0] = 1
		fi;
		if
		:: pme_en[N - 1] = 0
		:: pme_en[N - 1] = 1
		fi;
		pme_st[0] = 0;
		pme_st[N - 1] = 0;
		cleared = ALL;
		resume = 0;
		if
		:: patient = 0
		:: patient = 1
		fi
	}
	ring(0);
	!busy;
	assert(!sta);
end:	if
	:: resume
	:: !patient
	fi;
	ring(1);
	!busy;
	if
	:: sta
	:: else -> goto dead
	fi;
	d_step {
		pme_en[0] = 0;
		pme_st[0] = 0;
		pme_en[N - 1] = 0;
		pme_st[N - 1] = 0;
		cleared = ALL
	}
	goto active_;
dead:	skip
}

/* --- what must hold, besides the assertions --- */

#define BACK(fn) (st[fn] == ON || st[fn] == LOST)

/* A wake of which the guest wants to know reaches it, or finds it on its way already. */
ltl no_lost_wake { [] ((owed[0] -> <> !owed[0]) && (owed[N - 1] -> <> !owed[N - 1])) }
/* The service comes to an end, but for a guest that sleeps and is woken again and again. */
ltl service_ends { ([] <> busy) || [] (serving -> <> !serving) }
/* Each request is answered, and one for power leaves all on or lost. */
ltl answered { [] (busy -> <> !busy) }
ltl on_returns { [] ((busy && wanted) -> <> (BACK(0) && BACK(N - 1))) }
/* Who waits in the port is shown some day, so never without PME Status. */
ltl pending_with_status { [] (rp_waiting -> rp_status) }
