/*
 * The model GPU: one slot with up to three PCI functions, each behind a vfio-user socket, with the
 * low-power features of the kernel's vfio-pci and with faults on request (README.md).
 *
 * One thread; everything happens in handlers of loop.h. Functions that can fail return 0 or
 * negative errno, which a client gets as the error of its reply.
 */
#ifndef GUEST_TESTS_MODEL_GPU_MODEL_H
#define GUEST_TESTS_MODEL_GPU_MODEL_H

#include <linux/pci_regs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "guest-tests/model-gpu/loop.h"
#include "guest-tests/model-gpu/protocol.h"

#define FUNCTIONS_MAX 3U
#define VECTORS_MAX 8U
#define DMA_MAPS_MAX 256U
#define CONFIG_SIZE 4096U
#define MSIX_BAR_SIZE 0x4000U
#define VRAM_SIZE (256ULL << 20) /* unless --vram says otherwise */
#define VRAM_GIB_MAX 1024U
#define FOREVER UINT32_MAX

struct function;

/* What a function is. */
struct kind {
	const char *name;
	uint32_t class_code;
	uint64_t bar0_size;
	bool vram;
	uint8_t vectors; /* of MSI-X */
};

/* --- server.c: the sockets --- */

enum connection_state {
	CONNECTION_READING,
	CONNECTION_HELD_REQUEST, /* a request waits: the function takes its time to resume */
	CONNECTION_HELD_REPLY,   /* a reply waits: it shall be late */
	CONNECTION_FLUSHING,     /* the client does not read its replies */
};

struct connection {
	struct watch listener;   /* -1 once the function has vanished */
	struct watch peer;       /* -1 without a client */
	enum connection_state state;
	bool negotiated;         /* USER_VERSION was answered */
	char path[108];
	uint8_t *in, *out;       /* USER_MESSAGE_MAX each */
	size_t in_len, out_len, out_sent;
	int fds[USER_FDS_MAX];   /* of the message that byte fds_end - 1 of `in` belongs to */
	unsigned int fd_count;
	size_t fds_end;          /* 0: there are none */
	int out_fd;              /* goes with the reply; not ours to close; -1 */
	struct timer hold;       /* of the HELD states */
};

/* A request and its reply; what a handler gets. */
struct message {
	const uint8_t *payload;
	size_t size;
	int *fds;                /* a handler sets to -1 what it keeps */
	unsigned int fd_count;
	uint8_t *reply;          /* room for USER_MESSAGE_MAX less the header */
	size_t reply_size;
	int reply_fd;
};

int server_listen(struct function *fn, const char *dir);
/* Closes the connection and all that came with it; `vanish` also stops listening. */
void server_disconnect(struct function *fn, bool vanish);
/* What is held back for a fault goes on now. */
void server_release(struct function *fn);
void server_finish(struct function *fn);

/* --- messages.c: what each command does --- */

/* Does the command touch the function, so that vfio-pci would resume it first? */
bool message_touches(uint16_t command);
bool message_is_exit(uint16_t command, const uint8_t *payload, size_t size);
int message_handle(struct function *fn, uint16_t command, struct message *message);

/* --- power.c: what vfio-pci's low power does --- */

/* Why a function is resumed. */
enum wake_cause {
	WAKE_DEVICE,  /* a wake of its own: asked for by control, script or chance */
	WAKE_TOUCH,   /* a message of its client */
	WAKE_EXIT,    /* LOW_POWER_EXIT */
	WAKE_SIBLING, /* another function got the slot its power back */
	WAKE_CLOSE,   /* its client went away */
	WAKE_CAUSES,
};

enum wake_arm { WAKE_NOT_ARMED, WAKE_BEFORE_ANSWER, WAKE_IN_ENTRY, WAKE_AFTER };

struct power {
	bool engaged;      /* ENTRY was accepted, and nothing ended it since */
	bool wakeup;       /* it was ENTRY_WITH_WAKEUP */
	bool suspended;
	int wakeup_fd;     /* of the last ENTRY_WITH_WAKEUP, kept after its end; -1 */
	struct timer wake; /* WAKE_AFTER */
	bool signal_again; /* after the reply */
	int64_t wake_after_us; /* after the reply; -1 */
	struct {
		uint64_t entries, refusals, exits, wakes[WAKE_CAUSES], signals, resets;
	} count; /* since the model started */
};

void power_init(struct function *fn);

/* LOW_POWER_ENTRY, with `wakeup_fd` >= 0 (then taken over) ENTRY_WITH_WAKEUP. */
int power_entry(struct function *fn, int wakeup_fd);
int power_exit(struct function *fn);
/* A message that touches the function is about to be handled. */
void power_touch(struct function *fn);
/* What was resumed only for a while goes back; the slot loses power when it may. */
void power_settle(struct function *fn);
/* The reply is out. */
void power_replied(struct function *fn);
/* The function asks for power. False: it was not suspended. */
bool power_wake(struct function *fn);
bool power_signal(struct function *fn);
void power_reset(struct function *fn);
/* The client went away, and function_connected() says so. */
void power_disconnect(struct function *fn);

/* --- plan.c: what the guest has planned for an entry (plan.h); outputs as they are without --- */

void plan_entry(struct function *fn, enum wake_arm *wake, uint64_t *after_us, int *refuse);
/* The end of that sleep: shall a signal follow the answer? */
bool plan_exit(struct function *fn);

/* --- interrupts.c --- */

struct irq_index {
	bool enabled;
	uint32_t count;
	int trigger[VECTORS_MAX]; /* eventfds, -1 */
};

struct interrupts {
	struct irq_index index[VFIO_PCI_NUM_IRQS];
	struct watch unmask; /* INTx: eventfd of the client */
	bool intx_masked;
};

void interrupts_init(struct function *fn);
int interrupts_info(struct function *fn, struct vfio_irq_info *info);
int interrupts_set(struct function *fn, const struct vfio_irq_set *set, const uint8_t *data,
		   int *fds, unsigned int fd_count);
/* Closes every eventfd. */
void interrupts_drop(struct function *fn);
/* Raises vector N by MSI-X, MSI or INTx, whichever is routed; sets IRQ_STATUS. */
void interrupts_raise(struct function *fn, uint32_t vector);
/* The level of INTx may have changed. */
void interrupts_update_intx(struct function *fn);
/* Signals an eventfd without regard to any state of the function. False: it is not routed. */
bool interrupts_signal(struct function *fn, uint32_t index, uint32_t vector);
bool interrupts_signal_asleep(struct function *fn, uint32_t vector);
/* An eventfd? Nothing else is ever written to. */
bool is_eventfd(int fd);
void eventfd_signal(int fd);

/* --- config.c --- */

/* As it is when a client opens the function, with the hostile image that was chosen. */
void config_init(struct function *fn);
/* A reset keeps config space, as the kernel restores it; but the function is in D0. */
void config_reset(struct function *fn);
/* Nobody restored what can be written in the header: Command, BARs. */
void config_forget(struct function *fn);
/* Chooses a hostile image. 0, or -EINVAL: no such fault. */
int config_fault(struct function *fn, const char *name);
void config_read(struct function *fn, size_t off, uint8_t *data, size_t len);
void config_write(struct function *fn, size_t off, const uint8_t *data, size_t len);
bool config_memory_enabled(const struct function *fn); /* Command and D0 */
bool config_master_enabled(const struct function *fn);
bool config_intx_enabled(const struct function *fn);

/* --- registers.c and engine.c: BAR0, and what its DMA engine and ring do --- */

struct registers {
	uint32_t scratch, irq_status;
	uint64_t dma_src, dma_dst, ring_base;
	uint32_t dma_len, dma_status, ring_size, ring_head, ring_tail, ring_error;
};

#define DMA_CONTROL_START 0x1U
#define DMA_CONTROL_IRQ 0x2U
#define DMA_STATUS_DONE 1U
#define DMA_STATUS_ERROR 2U
#define DMA_VECTOR 1U
#define RING_SIZE_MAX 256U
#define RING_ERROR_RING 1U    /* the ring itself: size, base or tail */
#define RING_ERROR_OPCODE 2U
#define RING_ERROR_ADDRESS 3U
#define RING_ERROR_VECTOR 4U

/* Any region of the function; the range was checked against its size. */
int region_read(struct function *fn, uint32_t region, uint64_t off, uint8_t *data, size_t len);
int region_write(struct function *fn, uint32_t region, uint64_t off, const uint8_t *data,
		 size_t len);
void registers_reset(struct function *fn);
void engine_dma(struct function *fn, uint32_t control);
void engine_doorbell(struct function *fn);

/* --- dma.c: guest memory --- */

struct dma_map {
	uint64_t iova, size;
	uint8_t *hva;
	bool readable, writable;
};

#define ADDRESS_VRAM (1ULL << 63)

int dma_init(void);
/* Does not take over `fd`. */
int dma_map(struct function *fn, const struct user_dma_map *map, int fd);
int dma_unmap(struct function *fn, uint64_t iova, uint64_t size);
void dma_unmap_all(struct function *fn);
uint64_t dma_mapped(const struct function *fn);
/* Addresses are VRAM offsets with ADDRESS_VRAM, else iova. -EFAULT: some of it is not memory, and
 * nothing was done. */
int dma_copy(struct function *fn, uint64_t dst, uint64_t src, uint64_t len);
int dma_read(struct function *fn, uint64_t src, void *buffer, size_t len);
int dma_write(struct function *fn, uint64_t dst, const void *buffer, size_t len);
int dma_fill(struct function *fn, uint64_t dst, uint32_t value, uint64_t len);

/* --- control.c, control_faults.c: commands of the control socket and of scripts --- */

/* What a function is told to do wrong. */
struct faults {
	enum wake_arm wake;
	uint32_t wake_times;
	uint64_t wake_after_us;
	int refuse_entry, refuse_exit; /* errno */
	uint32_t refuse_entry_times, refuse_exit_times;
	uint64_t resume_delay_us, reset_delay_us, late_us;
	bool resume_never;
	bool ones;
	bool dead_armed, dead, stubborn; /* ones from the next resume on */
	bool forgets_armed;              /* its header, at the next resume */
	bool wrong_id, wrong_size;       /* of the next reply */
};

struct slot;
int control_listen(struct slot *slot, const char *path);
/* One command; the answer, without newline, in `answer`. */
void control_command(struct slot *slot, char *line, char *answer, size_t size);

/* --- the whole --- */

struct region {
	uint64_t size;    /* as the client is told: a fault may have changed it */
	uint64_t real;    /* what is behind it */
	bool mappable;
};

struct function {
	struct slot *slot;
	unsigned int number;
	const struct kind *kind;
	uint32_t boot_count;
	struct region region[VFIO_PCI_NUM_REGIONS];
	uint8_t config[CONFIG_SIZE], writable[CONFIG_SIZE];
	const char *config_fault; /* or NULL */
	uint8_t msix[MSIX_BAR_SIZE];
	struct registers registers;
	struct interrupts interrupts;
	struct dma_map maps[DMA_MAPS_MAX];
	struct power power;
	struct faults faults;
	struct connection connection;
};

struct slot {
	unsigned int count;
	struct function fn[FUNCTIONS_MAX];
	bool cold;              /* D3cold: no power */
	bool nvidia, low_power, wakeup, reset, sparse;
	uint64_t random_state;  /* of `random`; percent 0: off */
	unsigned int random_percent;
	int vram_fd;
	uint8_t *vram;
	uint64_t vram_size;     /* a power of two */
	uint64_t vram_touched;  /* times that VRAM had been touched while there was no power */
};

static inline bool function_connected(const struct function *fn)
{
	return fn->connection.peer.fd >= 0;
}

static inline void put_le16(uint8_t *at, uint16_t value)
{
	memcpy(at, &value, sizeof(value));
}

static inline void put_le32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

static inline uint16_t get_le16(const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static inline uint32_t get_le32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* With --verbose a line on standard error. */
void trace(const struct function *fn, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
extern bool verbose;

#endif
