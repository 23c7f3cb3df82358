/*
 * A scriptable device behind vfio/backend.h, for unit tests. It keeps the kernel's rules where the
 * code under test depends on them: BAR accesses fail while Command.Memory Space is off, only one
 * kind of interrupt at a time and no growth of an enabled one, any op while engaged wakes the
 * device and signals the wake-up eventfd once.
 *
 * Thread-safe. The struct is filled in by the test before it hands out `&fake->backend`.
 */
#ifndef TESTS_FAKE_BACKEND_H
#define TESTS_FAKE_BACKEND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vfio/backend.h"

enum fake_op {
	FAKE_REGION_INFO,
	FAKE_REGION_READ,
	FAKE_REGION_WRITE,
	FAKE_REGION_MAP,
	FAKE_REGION_UNMAP,
	FAKE_IRQ_COUNT,
	FAKE_IRQ_SET_TRIGGERS,
	FAKE_IRQ_DISABLE,
	FAKE_INTX_SET_UNMASK,
	FAKE_INTX_UNMASK,
	FAKE_LOW_POWER_PROBE,
	FAKE_ENTRY,
	FAKE_ENTRY_WITH_WAKEUP,
	FAKE_EXIT,
	FAKE_RESET,
	FAKE_CAN_RESET,
	FAKE_SLOT_RESET,
	FAKE_CAN_SLOT_RESET,
	FAKE_MAP_RAM,
	FAKE_OBSERVE,
	FAKE_CLOSE,
	FAKE_OPS,
};

/* One call, as recorded. */
struct fake_call {
	enum fake_op op;
	unsigned int index;  /* region, interrupt or feature index */
	uint64_t off;        /* region offset, or first interrupt */
	uint64_t len;        /* bytes, or number of interrupts */
	uint64_t value;      /* region write: up to 8 bytes */
	int fd;              /* first trigger, unmask or wake-up eventfd */
	int result;          /* what was answered */
};

#define FAKE_CALLS_MAX 4096
#define FAKE_REGIONS VFIO_PCI_NUM_REGIONS
#define FAKE_IRQS VFIO_PCI_NUM_IRQS
#define FAKE_VECTORS_MAX 2048

struct fake_region {
	struct vfio_region info;
	uint8_t *mem;        /* memory of a BAR or ROM: the test may look at it and change it */
	int fd;
};

struct fake_irq {
	int count;                    /* answered by irq_count */
	unsigned int enabled;         /* vectors enabled now */
	int trigger[FAKE_VECTORS_MAX];
};

struct fake_error {
	int error;           /* negative errno; 0: none */
	unsigned int skip;   /* calls that still succeed before */
	unsigned int times;  /* calls that fail; UINT32_MAX: for ever */
};

struct fake_backend {
	struct vfio_backend backend; /* give this one to the code under test */

	/* The device. Set up by the test; then change it under `lock` or while nothing runs. */
	uint8_t cfg[4096];
	uint8_t cfg_rw[4096];        /* bits that region_write changes; all at start */
	struct fake_region region[FAKE_REGIONS];
	struct fake_irq irq[FAKE_IRQS];
	unsigned int features;       /* 1 << enum vfio_low_power; all at start */
	bool can_reset;              /* true at start */
	bool can_slot_reset;         /* false at start */
	bool tells;                  /* observe answers `observation`; false at start */
	struct vfio_observation observation;
	bool reset_revives;          /* a reset of either kind ends `dead` */
	bool dead;                   /* reads of BARs, and of config space but for what VFIO
				      * answers by itself, give ones; ops still return 0 */
	/* Called at the start of every op, without the lock; may be NULL. */
	void (*hook)(struct fake_backend *fake, const struct fake_call *call);
	void *hook_opaque;

	/* What happened. Protected by `lock` while threads run. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct fake_call call[FAKE_CALLS_MAX];
	unsigned int calls;          /* recorded; stays at the maximum, the counts go on */
	struct fake_call unrecorded, *now; /* `now`: the one in progress */
	unsigned int count[FAKE_OPS];
	unsigned int violations;     /* ops while engaged, maps left at close, ops after */
	struct fake_call violation;  /* the first one */
	unsigned int maps;           /* region maps alive */
	bool engaged, with_wakeup;
	int wakeup_fd;
	int unmask_fd;               /* INTx unmask eventfd; -1 */
	bool closed;
	struct fake_error error[FAKE_OPS];
	bool blocked[FAKE_OPS];
};

/* A device that has nothing but a type 0 header of vendor 1af4, device 10ff. */
struct fake_backend *fake_backend_create(const char *name);

/*
 * The same with everything that a GPU has: class 030000 of vendor 10de when `nvidia`, else 1002;
 * BAR0 64 KiB (mapped), BAR2 64-bit prefetchable 16 MiB (mapped), BAR4 I/O 256 bytes, BAR5 16
 * KiB (mapped) with MSI-X (8 vectors, table at 0x1000, PBA at 0x2000), ROM 64 KiB; INTx pin A; PM
 * at 0x40, MSI (4 vectors, 64-bit, maskable) at 0x48, PCI Express endpoint with FLR at 0x60, MSI-X
 * at 0xa0, vendor-specific at 0xb0; extended: AER at 0x100, Resizable BAR at 0x150, LTR at 0x180,
 * SR-IOV at 0x1a0.
 */
struct fake_backend *fake_backend_create_gpu(const char *name, bool nvidia);

/* Frees. The test must have seen close() (or never handed the back end out). Accepts NULL. */
void fake_backend_destroy(struct fake_backend *fake);

/* Declares region `index`: `size` bytes of memory; `mappable`: one area over all of it. BAR flags
 * (PCI_BASE_ADDRESS_*) are put into config space too. */
void fake_backend_add_region(struct fake_backend *fake, unsigned int index, uint64_t size,
			     uint32_t flags, bool mappable);

/* `op` answers `error` for `times` calls, after `skip` more calls that work. */
void fake_backend_fail(struct fake_backend *fake, enum fake_op op, int error, unsigned int skip,
		       unsigned int times);

/* `op` blocks until unblocked; it counts as called (fake_backend_wait) when it begins. */
void fake_backend_block(struct fake_backend *fake, enum fake_op op, bool blocked);

/* Waits until `op` has been called `count` times in all. False after ten seconds. */
bool fake_backend_wait(struct fake_backend *fake, enum fake_op op, unsigned int count);

/* Someone on the host woke the device: signals the wake-up eventfd and ends low power, if engaged
 * with wake-up. True when it was. */
bool fake_backend_wake(struct fake_backend *fake);

/* The device signals interrupt `vector` of VFIO_PCI_*_IRQ_INDEX `index`. False: no trigger set. */
bool fake_backend_fire(struct fake_backend *fake, unsigned int index, unsigned int vector);

/* Empties the record of calls (not the counts and violations). */
void fake_backend_forget(struct fake_backend *fake);

/* Calls of `op` from call number `from`; `*ret_call` is the last of them (may be NULL). */
unsigned int fake_backend_find(struct fake_backend *fake, enum fake_op op, unsigned int from,
			       struct fake_call *ret_call);

const char *fake_op_name(enum fake_op op);

/* --- between the files of the fake --- */

extern const struct vfio_backend_ops fake_backend_ops;

/* Under the lock. */
void fake_backend_end_low_power(struct fake_backend *fake);

#endif
