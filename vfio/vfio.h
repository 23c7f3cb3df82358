/*
 * Passed-through slots: the public face of vfio/. A slot is every function of one host PCI slot,
 * shown to the guest behind one virtual root port, with one power domain.
 */
#ifndef VFIO_VFIO_H
#define VFIO_VFIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio/governor.h"
#include "vfio/policy.h"
#include "vfio/power.h"
#include "vfio/stats.h"

struct acpi_pm;
struct bus;
struct irq_chip;
struct loop;
struct mem;
struct pci_host;
struct quirks;
struct text;
struct vfio_card;
struct vfio_container;
struct vfio_slot;

/* Option --gpu, parsed: BDF or vfio-user:PATH, and keys. */
struct vfio_slot_config {
	char id[32];           /* the user's name for it; "": "gpuN", N the slot's index */
	char bdf[16];          /* "0000:01:00.0": any function of the slot; "": see `socket` */
	char socket[108];      /* of a vfio-user server, or a directory of them; "": see `bdf` */
	enum policy_power power;       /* power=auto|d3cold|d3hot|off */
	enum policy_reset reset;       /* reset=auto|flr|bus|none */
	enum power_reentry reentry;    /* reentry=guest|host|auto */
	struct governor_config governor; /* min-sleep=SECONDS, max-wakes-per-hour=N */
	uint32_t resume_timeout_s; /* resume-timeout=SECONDS: of vfio-user alone */
	char rom[1024];        /* rom=FILE: function 0 has this expansion ROM; "": its own */
	int inject_entry_error; /* test aid (key x-entry-error=NAME): negative errno, 0: none */
};

/* All functions of a slot go together: is it the same host slot, or the same server? */
bool vfio_slot_config_is_same(const struct vfio_slot_config *a, const struct vfio_slot_config *b);

#define VFIO_MIN_SLEEP_S 0U
#define VFIO_MAX_WAKES_PER_HOUR 120U
#define VFIO_RESUME_TIMEOUT_S 120U

/* Option --vfio-backend: how the kernel's VFIO is reached. */
enum vfio_backend_kind {
	VFIO_BACKEND_AUTO,    /* iommufd where /dev/iommu and the devices' own nodes exist */
	VFIO_BACKEND_GROUP,   /* groups and a container */
	VFIO_BACKEND_IOMMUFD, /* the devices' own nodes and iommufd */
};

/* What the slot is plugged into. */
struct vfio_machine {
	struct mem *mem;
	struct bus *mmio;
	struct irq_chip *irq;
	struct pci_host *pci;
	struct acpi_pm *pm;
};

/* What the ACPI tables need to know of a slot. */
struct vfio_slot_info {
	uint8_t port_dev;
	uint8_t functions;
	bool d3cold;
};

/*
 * Parses "BDF[,key=value]...". On failure a sentence for the user in `ret_why`, which does not say
 * where `text` is from, returns -EINVAL.
 */
int vfio_slot_parse(const char *text, struct vfio_slot_config *ret_config, char *ret_why,
		    size_t why_size);

/* The other way round: appends the slot with all its keys. */
void vfio_slot_format(const struct vfio_slot_config *config, struct text *ret_text);

/*
 * Checks that the slot can be passed (it exists, IOMMU, drivers, groups) and opens it: container,
 * groups, device files, reset, features probed, policy decided. `container` is shared by all slots;
 * `quirks` may be NULL and is not used later. On failure a sentence in `ret_why` and negative
 * errno; the device is left as it was found.
 */
int vfio_slot_create(struct vfio_container *container, const struct vfio_slot_config *config,
		     const struct quirks *quirks, unsigned int index, struct vfio_slot **ret_slot,
		     char *ret_why, size_t why_size);

/* A slot with nothing in it, for a card that comes later. 0 or -ENOMEM. */
int vfio_slot_create_empty(unsigned int index, struct vfio_slot **ret_slot);

/* Adds root port and functions to the guest's machine and maps RAM for DMA (once a container). */
int vfio_slot_plug(struct vfio_slot *slot, const struct vfio_machine *machine, char *ret_why,
		   size_t why_size);

/* Starts the power thread; before the first vCPU runs. 0 or negative errno. */
int vfio_slot_start(struct vfio_slot *slot);

/* For tables that the guest reads from its next reset on. Any thread, waits for nobody: a card that
 * is being put in or taken out is there or not. */
void vfio_slot_info(struct vfio_slot *slot, struct vfio_slot_info *ret_info);

/* Is nothing in it, and may a card be inserted? Any thread, as the next; none blocks. */
bool vfio_slot_is_empty(struct vfio_slot *slot);

/* By which address the guest reaches function 0 at the moment. Root ports live as long as slots. */
void vfio_slot_bdf(struct vfio_slot *slot, char ret_bdf[13]);

/* --- what is known of a slot now, for people and programs --- */

/* What the host's sysfs says of a function. */
struct vfio_host_view {
	char power_state[16];  /* "D0", "D3hot", "D3cold", "unknown" */
	bool suspended;
	uint64_t suspended_us; /* in all, since the host started */
};

struct vfio_function_status {
	bool exists;
	char name[48];             /* "0000:01:00.0" */
	enum power_state state;
	uint64_t since;            /* clock_us() when `state` began */
	int error;                 /* negative errno of the last refusal or failure; 0: none */
	bool has_host;             /* false: the host's kernel does not know it (vfio-user) */
	struct vfio_host_view host;
	struct power_stats stats;  /* with the sleep that is under way */
};

struct vfio_slot_status {
	char id[32];               /* "gpu0" */
	char name[48];             /* "0000:01:00"; "": the slot is empty */
	char path[128];            /* of function 0 in sysfs, or "vfio-user:PATH" */
	struct policy policy;
	bool guest_on;             /* what the guest last asked for and was answered */
	uint64_t hold_ms;          /* how long the governor still refuses sleeps */
	struct vfio_function_status fn[POWER_FUNCTIONS];
};

/*
 * A copy of what the slot's thread published after its last step, and of what sysfs says by name:
 * waits for nobody, touches no device, wakes none and keeps none awake. Any thread, from
 * vfio_slot_create() to vfio_slot_destroy().
 */
void vfio_slot_status(struct vfio_slot *slot, struct vfio_slot_status *ret_status);

/* --- a card that comes and goes while the guest runs --- */

/*
 * Opens a card for `slot`, as vfio_slot_create(). Takes seconds; any thread. The slot is touched by
 * vfio_slot_insert() alone. To be had from the card before that: guest RAM mapped for its DMA.
 */
int vfio_card_open(struct vfio_container *container, const struct vfio_slot_config *config,
		   const struct quirks *quirks, struct vfio_slot *slot,
		   struct vfio_card **ret_card, char *ret_why, size_t why_size);
int vfio_card_map_ram(struct vfio_card *card, const struct mem *mem, char *ret_why,
		      size_t why_size);
void vfio_card_close(struct vfio_card *card); /* accepts NULL */

/*
 * Puts the card into the slot, which was started and is empty, and tells the guest. Returns when
 * the slot's thread has done it. From then on the slot owns the card. -ENOSPC: it does not fit in
 * the port's windows, -EBUSY: the slot is not empty, others; with a sentence, and the card stays
 * the caller's. Any thread but a vCPU's.
 */
int vfio_slot_insert(struct vfio_slot *slot, struct vfio_card *card, char *ret_why,
		     size_t why_size);

/*
 * The user wants the card back: the guest is asked to eject it, or, where it does not use it, it
 * goes at once; event "unplug" says when the slot is empty. Asked again within a minute, or of an
 * empty slot, it does nothing. A reset of the guest takes it, too. Any thread, does not block.
 */
void vfio_slot_request_unplug(struct vfio_slot *slot);

/*
 * Guest reset, with all vCPUs stopped: leaves low power, resets the functions and the port. The
 * host may take a minute over it, so it returns at once; 1 is added to the eventfd `done_fd` when
 * it is done, for which the vCPUs must wait. Before its end there is no other one, and none of the
 * next two.
 */
void vfio_slot_reset(struct vfio_slot *slot, int done_fd);

/*
 * The machine's main power goes, and comes back (S3), with all vCPUs stopped. A slot that the guest
 * has switched off stays as it is. One that it left on goes off by the same way, so that what is
 * said of it is true, and comes back as after a reset. A PME wakes the machine where the guest's
 * port would interrupt it. Both return at once, as vfio_slot_reset() does.
 */
void vfio_slot_suspend(struct vfio_slot *slot, int done_fd);
void vfio_slot_resume(struct vfio_slot *slot, int done_fd);

/* A vCPU could not reach a window (KVM_RUN gave EFAULT): drop all windows of the slot, accesses
 * trap from now on. True when there were any. */
bool vfio_slot_drop_windows(struct vfio_slot *slot);

/* Leaves low power, resets, unmaps, closes. Accepts NULL and slots in any stage. No vCPU runs. */
void vfio_slot_destroy(struct vfio_slot *slot);

/* What all slots of the kernel's VFIO share; opens nothing yet. NULL: out of memory. */
struct vfio_container *vfio_container_create(enum vfio_backend_kind kind);
void vfio_container_destroy(struct vfio_container *container);

/*
 * What KVM's VFIO device must be told of: an open group, or a device's own node. `opened`: it is
 * ready to be used. `closing`: it is about to be closed, and KVM must let go of it first, or the
 * host would wait for the device for ever. Called with the container's lock held, by whoever opens
 * or closes a device. Set before the first slot is created.
 */
struct vfio_container_listener {
	void *opaque;
	void (*opened)(void *opaque, int fd);
	void (*closing)(void *opaque, int fd);
};

void vfio_container_listen(struct vfio_container *container,
			   const struct vfio_container_listener *listener);

#endif
