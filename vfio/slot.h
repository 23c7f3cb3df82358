/*
 * Inside vfio/: what the files of a slot share. slot.c makes and destroys it, slot_config.c reads
 * its option, slot_build.c opens a card for it, slot_plug.c brings the card into the guest's
 * machine and takes it away, slot_thread.c owns its power from vfio_slot_start() on,
 * slot_commands.c tells that thread what others want, slot_actions.c does what the power state
 * machine says, slot_watch.c knows of sleeps and wakes what the machine need not, slot_status.c
 * tells others.
 */
#ifndef VFIO_SLOT_H
#define VFIO_SLOT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio/backend.h"
#include "vfio/governor.h"
#include "vfio/host.h"
#include "vfio/policy.h"
#include "vfio/power.h"
#include "vfio/slot_open.h"
#include "vfio/stats.h"
#include "vfio/vfio.h"

struct root_port;
struct slot_power;
struct vfio_function;

/* What the host signals of a function, besides its interrupts. */
enum slot_signal {
	SLOT_WAKEUP,   /* low power ended */
	SLOT_ERROR,    /* VFIO's ERR: an uncorrectable error on the host's bus */
	SLOT_REQUEST,  /* VFIO's REQ: the host wants the device back */
	SLOT_SIGNALS,
};

struct slot_function {
	struct vfio_function *function; /* NULL: the slot does not have it */
	int signal_fd[SLOT_SIGNALS];    /* eventfds, non-blocking; -1 without function */
	/* the power thread's */
	uint64_t host_us;               /* the host's time for it since the last report */
	uint64_t engaged_at;            /* clock when its ENTRY was accepted; 0: not engaged */
	uint64_t engaged_us, suspended_us; /* of the sleep that ended last */
	bool observed;                  /* `before` was taken when it fell asleep */
	struct vfio_observation before;
	struct power_stats stats;
};

/*
 * What is in a slot: the functions of a host slot, open, and all that goes when they go. Built
 * where there is time for it, then moved into the slot as a whole. One without a name is nothing.
 */
struct vfio_card {
	char name[SLOT_NAME_MAX]; /* "0000:01:00", or of the server */
	struct vfio_slot_config config;
	const char *sysfs;    /* where the host's view is; NULL: there is none */
	struct policy policy;
	struct slot_function fn[HOST_FUNCTIONS];
	/* The power thread's while it runs, else the main thread's. */
	struct power power;
	struct governor governor;
};

/* A card that is to be put in, and what became of that. */
struct slot_insertion {
	struct vfio_card *card;
	char *ret_why;
	size_t why_size;
	int error;
};

/* What others want of the power thread; flags, so that requests of a kind merge. */
struct slot_commands {
	bool power;           /* the guest rang the slot power controller */
	bool eject;           /* the guest switched the hot-plug slot off */
	bool unplug;          /* the user wants the card back */
	bool suspend, resume; /* the guest's main power, S3 */
	bool reset, shutdown;
	int done_fd;          /* eventfd: one of these three is done: suspend, resume, reset */
	uint8_t host_errors;  /* functions whose access failed */
	uint8_t pme_cleared;  /* functions whose PME_Status or PME_En the guest cleared */
	int host_error[HOST_FUNCTIONS];
	struct slot_insertion *insertion; /* NULL: none */
	unsigned int issued;  /* tickets of those who wait for an answer */
};

/* What others may know of the slot: a copy, made after each step of the machine. */
struct slot_published {
	struct vfio_slot_status status; /* without the host's view and the present sleep */
	const char *sysfs;    /* NULL: the host has no view of it */
	uint64_t hold_until;  /* clock when the governor's hold is over */
	struct {
		uint64_t engaged_at;   /* clock when the present sleep began; 0: none */
		bool observed;         /* `suspended_us` is known */
		uint64_t suspended_us; /* the host's, when that sleep began */
	} fn[HOST_FUNCTIONS];
};

struct vfio_slot {
	unsigned int index;

	/* set by plug */
	bool plugged;
	struct vfio_machine machine;
	struct root_port *port;
	struct slot_power *controller;

	/* Protects which card there is, and with it that its functions live: the power thread
	 * changes it, others look. Outermost; held while a card is put in or taken out. */
	pthread_mutex_t card_lock;
	struct vfio_card card;

	/* The power thread's while it runs, else the main thread's. */
	unsigned int sequence; /* of the request being worked on, for slot_power_done() */
	bool main_power_lost;  /* S3 took the power of a slot that the guest had left on */
	int timer_fd;          /* resend timer */
	int hold_fd;           /* timer: the governor's hold is over */
	uint64_t hold_until;   /* clock when the governor's hold is over */
	int patience_fd;       /* timer: the guest has had its time, to eject or to notice */
	uint64_t asked_at;     /* clock when the guest was last asked to eject; 0: it was not */
	const char *asked_by;  /* "host" or "user" */

	bool running;          /* main thread's */
	pthread_t thread;
	int command_fd;        /* eventfd: `commands` changed */

	pthread_mutex_t lock; /* a leaf, never held over blocking calls; protects the rest */
	pthread_cond_t answered;
	struct slot_commands commands;
	unsigned int served;   /* highest ticket answered */
	struct slot_published published;
	bool any_card;         /* the tables that are written next are for whatever card may come;
				* changed with the card, by the power thread alone */
	bool offers_d3cold;    /* the guest's tables do */
};

/* A sentence for `ret_why`: `what` of `name` failed with `error` (negative errno). Returns that. */
int slot_explain(int error, char *ret_why, size_t why_size, const char *name, const char *what);

/* --- slot_build.c --- */

/*
 * The part of vfio_card_open() after the back ends are open. Owns those of `backend` (by function
 * number, NULL: none) from now on, also when it fails. `name` is the card's. `sysfs` is where facts
 * of the host are looked up, a constant; NULL: there are none (vfio-user, tests). With a sentence.
 */
int vfio_card_build(const char *name, const char *sysfs, const struct vfio_slot_config *config,
		    const struct quirks *quirks, struct vfio_slot *slot,
		    struct vfio_backend *const backend[HOST_FUNCTIONS],
		    struct vfio_card **ret_card, char *ret_why, size_t why_size);

/* Makes it nothing. */
void vfio_card_init(struct vfio_card *card);

/* Takes its functions out of the guest's PCI if they are in it, closes them; nothing is left. They
 * are awake, or lost. */
void vfio_card_clear(struct vfio_card *card);

/* --- slot.c --- */

/* As vfio_slot_create(), with a card of these back ends: vfio_card_build(). */
int vfio_slot_build(const char *name, const char *sysfs, const struct vfio_slot_config *config,
		    const struct quirks *quirks, unsigned int index,
		    struct vfio_backend *const backend[HOST_FUNCTIONS],
		    struct vfio_slot **ret_slot, char *ret_why, size_t why_size);

/* Lets the port keep addresses for any card, if any may come. Before pci_host_assign(). */
void slot_reserve(struct vfio_slot *slot);

/* --- slot_plug.c: the power thread's, or the main thread's while it does not run --- */

/* The functions of the slot's card behind its port. On failure a sentence, negative errno; some of
 * them may be there. */
int slot_plug_card(struct vfio_slot *slot, char *ret_why, size_t why_size);

/* Moves a card into the empty slot of a running guest and tells it. On failure a sentence, negative
 * errno, and the card is as it was. */
int slot_insert(struct vfio_slot *slot, struct vfio_card *card, char *ret_why, size_t why_size);

/* Writes event "counters" of each function. */
void slot_count(const struct vfio_slot *slot);

/* The card was released: empties the slot for the next one, and says so. */
void slot_empty(struct vfio_slot *slot);

/* --- slot_actions.c: the power thread's, or the main thread's while it does not run --- */

/* Gives one event to the machine, and then every result, until it is idle again. */
void slot_feed(struct vfio_slot *slot, struct power_event event);

/* Arms a timerfd for once, or with 0 not at all. */
void slot_set_timer(int fd, uint64_t ms);

/* One event of the log about function `fn`, with a sentence (or NULL). */
void slot_emit(const struct vfio_slot *slot, unsigned int fn, const char *name,
	       const char *detail);

/* --- slot_status.c: likewise --- */

/* Lets others know how things are now; or that the slot is empty. */
void slot_publish(struct vfio_slot *slot);
void slot_publish_empty(struct vfio_slot *slot);

/* --- slot_watch.c: likewise --- */

/* An ENTRY of `fn` comes: takes note of what the host says of it. */
void slot_watch_before(struct vfio_slot *slot, unsigned int fn);

/* The host answered an ENTRY or EXIT of `fn` after `host_us`. */
void slot_watch_entry(struct vfio_slot *slot, unsigned int fn, int error, uint64_t host_us);
void slot_watch_exit(struct vfio_slot *slot, unsigned int fn, uint64_t host_us);

/* The wake-up eventfd of `fn` was signalled: what did it? Also counts it. */
enum power_cause slot_watch_wake(struct vfio_slot *slot, unsigned int fn);

/* The slot as a whole fell asleep, or woke; for the governor. */
void slot_watch_slept(struct vfio_slot *slot);
void slot_watch_woken(struct vfio_slot *slot, bool by_guest);

/* Sets fn[].hold of the machine: may the slot go to sleep now? Says so once when it may not, and
 * arms the timer for the time when it may. */
void slot_watch_hold(struct vfio_slot *slot);

/* --- slot_thread.c --- */

/* Does what was asked for so far; the power thread's, or the main thread's while it does not run.
 * False after a shutdown. */
bool slot_serve_commands(struct vfio_slot *slot);

/* --- slot_commands.c --- */

/* Requests of guest, user and functions; any thread, none blocks. */
void vfio_slot_request_power(void *opaque, bool on);
void vfio_slot_ejected(void *opaque);
void vfio_slot_host_error(void *opaque, unsigned int fn, int error);
void vfio_slot_pme_cleared(void *opaque, unsigned int fn);

/* Ends the power of a plugged slot: leaves low power, resets; joins the thread if there is one. */
void vfio_slot_stop(struct vfio_slot *slot);

#endif
