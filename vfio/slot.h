/*
 * Inside vfio/: what the files of a slot share. slot.c makes and destroys it, slot_config.c reads
 * its option, slot_thread.c owns its power from vfio_slot_start() on.
 */
#ifndef VFIO_SLOT_H
#define VFIO_SLOT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio/host.h"
#include "vfio/power.h"
#include "vfio/vfio.h"

struct root_port;
struct slot_power;
struct vfio_function;

struct slot_function {
	struct vfio_function *function; /* NULL: the slot does not have it */
	int wakeup_fd;                  /* eventfd, non-blocking; -1 without function */
	uint64_t host_us;               /* the host's time for it since the last report */
};

/* What others want of the power thread; flags, so that requests of a kind merge. */
struct slot_commands {
	bool power;           /* the guest rang the slot power controller */
	bool reset, shutdown;
	uint8_t host_errors;  /* functions whose access failed */
	uint8_t pme_cleared;  /* functions whose PME_Status or PME_En the guest cleared */
	int host_error[HOST_FUNCTIONS];
	unsigned int issued;  /* tickets of those who wait for an answer */
};

struct vfio_slot {
	char name[16];        /* of the host: "0000:01:00" */
	unsigned int index;
	struct vfio_slot_config config;
	struct vfio_container *container; /* NULL: RAM is mapped by no one (tests) */
	struct slot_function fn[HOST_FUNCTIONS];
	bool d3cold;          /* every function has power management: offer the power resource */

	/* set by plug */
	bool plugged;
	struct root_port *port;
	struct slot_power *controller;
	struct acpi_pm *pm;

	/* The power thread's while it runs, else the main thread's. */
	struct power power;
	unsigned int sequence; /* of the request being worked on, for slot_power_done() */
	int timer_fd;          /* resend timer */

	bool running;          /* main thread's */
	pthread_t thread;
	int command_fd;        /* eventfd: `commands` changed */

	pthread_mutex_t lock; /* a leaf, never held over blocking calls; protects the rest */
	pthread_cond_t answered;
	struct slot_commands commands;
	unsigned int served;   /* highest ticket answered */
};

/*
 * The part of vfio_slot_create() after the back ends are open. Owns those of `backend` (by function
 * number, NULL: none) from now on, also when it fails. `container` may be NULL. With a sentence.
 */
int vfio_slot_build(struct vfio_container *container, const struct vfio_slot_config *config,
		    unsigned int index, struct vfio_backend *const backend[HOST_FUNCTIONS],
		    struct vfio_slot **ret_slot, char *ret_why, size_t why_size);

/* --- slot_thread.c --- */

/* Requests of guest and functions; any thread, none blocks. */
void vfio_slot_request_power(void *opaque, bool on);
void vfio_slot_host_error(void *opaque, unsigned int fn, int error);
void vfio_slot_pme_cleared(void *opaque, unsigned int fn);

/* Ends the power of a plugged slot: leaves low power, resets; joins the thread if there is one. */
void vfio_slot_stop(struct vfio_slot *slot);

#endif
