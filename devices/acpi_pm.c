/*
 * Deviation: TMR_STS is brought up to date when the guest accesses a register of this file, not by
 * a timer of its own. So with TMR_EN the SCI can come late; the timer is one of 32 bits, which
 * takes ten minutes to change its last bit, and guests read it more often than that.
 */
#include "devices/acpi_pm.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "devices/acpi_pm_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/clock.h"
#include "vmm/base/log.h"
#include "vmm/bus.h"
#include "vmm/irq.h"
#include "vmm/layout.h"

/* ACPI 6.3, 4.8.3.1.1 PM1 Status Registers and 4.8.3.1.2 PM1 Enable Registers: the same bits, but
 * for the last two, which raise no SCI. */
#define PM1_TMR 0x0001U
#define PM1_GBL 0x0020U
#define PM1_PWRBTN 0x0100U
#define PM1_RTC 0x0400U
#define PM1_PCIEXP_WAKE 0x4000U /* status: such a wake; enable: none of them, please */
#define PM1_WAK 0x8000U         /* status only */
#define PM1_EVENTS (PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_RTC)
#define PM1_LEN 2U

/* ACPI 6.3, 4.8.3.2.1 PM1 Control Registers. */
#define PM1_CNT_SCI_EN 0x0001U
#define PM1_CNT_BM_RLD 0x0002U
#define PM1_CNT_SLP_TYP 0x1c00U
#define PM1_CNT_SLP_TYP_SHIFT 10
#define PM1_CNT_SLP_EN 0x2000U
#define PM1_CNT_RW (PM1_CNT_BM_RLD | PM1_CNT_SLP_TYP)

/* ICH9, RST_CNT - Reset Control Register. */
#define RESET_SYS_RST 0x02U
#define RESET_RST_CPU 0x04U /* its change from 0 to 1 resets */
#define RESET_FULL_RST 0x08U
#define RESET_RW (RESET_SYS_RST | RESET_RST_CPU | RESET_FULL_RST)

#define REGISTER_LEN 4 /* of PM1a_CNT in ICH9, and of the timer */
#define GPE_LEN (GPE0_SIZE / 2U)

/*
 * Status bits that are set by the hardware and cleared by writing one, followed by as many enable
 * bits: the PM1 event registers and the general-purpose event registers alike.
 */
struct event_block {
	unsigned int len; /* bytes of each of the two registers */
	uint8_t status[GPE_LEN], enable[GPE_LEN];
	uint8_t enable_rw[GPE_LEN];
	uint8_t events[GPE_LEN]; /* bits that raise the SCI where status and enable are set */
};

struct acpi_pm {
	struct irq_chip *irq;
	machine_request_fn request;
	void *opaque;

	pthread_mutex_t lock; /* protects everything below; `request` is called without it */
	struct event_block pm1, gpe;
	uint32_t control;     /* PM1a_CNT: the bits that keep what is written */
	uint8_t reset_control;
	bool suspended;       /* from SLP_EN on; CPUs may still be about to stop */
	enum acpi_pm_wake woken_by;
	uint64_t timer_laps;  /* changes of the timer's bit 31 that have been accounted for */
	struct irq_line sci;
};

/* --- events --- */

static bool is_pending(const struct event_block *block)
{
	for (unsigned int i = 0; i < block->len; i++)
		if (block->status[i] & block->enable[i] & block->events[i])
			return true;
	return false;
}

static void split(uint8_t bytes[PM1_LEN], uint16_t bits)
{
	bytes[0] = (uint8_t)bits;
	bytes[1] = (uint8_t)(bits >> 8);
}

static uint16_t joined(const uint8_t bytes[PM1_LEN])
{
	return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static void set_pm1_status(struct acpi_pm *pm, uint16_t bits)
{
	split(pm->pm1.status, joined(pm->pm1.status) | bits);
}

static void update_sci_locked(struct acpi_pm *pm)
{
	irq_line_set(pm->irq, &pm->sci, is_pending(&pm->pm1) || is_pending(&pm->gpe));
}

/* What waits, of that which the guest enabled. The timer has no power in S3. */
static enum acpi_pm_wake find_wake_locked(const struct acpi_pm *pm)
{
	uint16_t pm1 = joined(pm->pm1.status) & joined(pm->pm1.enable);

	if (pm1 & PM1_PWRBTN)
		return ACPI_PM_BUTTON;
	if (pm1 & PM1_RTC)
		return ACPI_PM_RTC;
	return is_pending(&pm->gpe) ? ACPI_PM_GPE : ACPI_PM_ASLEEP;
}

/* The first cause counts. True: the machine is to be told, once the lock is released. */
static bool wake_locked(struct acpi_pm *pm, enum acpi_pm_wake cause)
{
	if (!pm->suspended || pm->woken_by)
		return false;
	pm->woken_by = cause;
	return cause;
}

static void tell_wake(struct acpi_pm *pm, bool wakes)
{
	if (wakes)
		pm->request(pm->opaque, MACHINE_WAKE);
}

/* The end of what changes an event's bits, with the lock held, which it releases. What wakes is
 * `cause`, or else what waits. */
static void settle_and_unlock(struct acpi_pm *pm, enum acpi_pm_wake cause)
{
	bool wakes = wake_locked(pm, cause ? cause : find_wake_locked(pm));

	update_sci_locked(pm);
	pthread_mutex_unlock(&pm->lock);
	tell_wake(pm, wakes);
}

static uint8_t *block_byte(struct event_block *block, uint64_t off)
{
	return off < block->len ? &block->status[off] : &block->enable[off - block->len];
}

static void block_access(struct event_block *block, struct bus_access *access)
{
	for (unsigned int i = 0; i < access->len; i++) {
		uint64_t off = access->off + i;
		uint8_t *byte = block_byte(block, off);
		uint8_t value = (uint8_t)(access->value >> 8 * i);

		if (!access->is_write)
			access->value = (access->value & ~(0xffULL << 8 * i)) |
					(uint64_t)*byte << 8 * i;
		else if (off < block->len)
			*byte &= (uint8_t)~value;
		else
			*byte = value & block->enable_rw[off - block->len];
	}
}

static void advance_locked(struct acpi_pm *pm, uint64_t now_ns)
{
	uint64_t laps = acpi_pm_ticks(now_ns) >> 31;

	if (laps <= pm->timer_laps)
		return;
	pm->timer_laps = laps;
	set_pm1_status(pm, PM1_TMR);
	update_sci_locked(pm);
}

void acpi_pm_advance(struct acpi_pm *pm, uint64_t now_ns)
{
	pthread_mutex_lock(&pm->lock);
	advance_locked(pm, now_ns);
	pthread_mutex_unlock(&pm->lock);
}

static void events_access(struct acpi_pm *pm, struct event_block *block,
			  struct bus_access *access)
{
	pthread_mutex_lock(&pm->lock);
	advance_locked(pm, clock_ns());
	block_access(block, access);
	settle_and_unlock(pm, ACPI_PM_ASLEEP);
}

static void pm1_access(void *opaque, struct bus_access *access)
{
	struct acpi_pm *pm = opaque;

	events_access(pm, &pm->pm1, access);
}

static void gpe_access(void *opaque, struct bus_access *access)
{
	struct acpi_pm *pm = opaque;

	events_access(pm, &pm->gpe, access);
}

static void timer_access(void *opaque, struct bus_access *access)
{
	struct acpi_pm *pm = opaque;
	uint64_t now_ns = clock_ns();

	acpi_pm_advance(pm, now_ns);
	if (!access->is_write)
		access->value = (uint32_t)acpi_pm_ticks(now_ns) >> 8 * access->off;
}

/* --- S3 --- */

/* A wake that waits already is one for the machine to find. */
static void begin_sleep(struct acpi_pm *pm)
{
	bool begins;

	pthread_mutex_lock(&pm->lock);
	begins = !pm->suspended;
	pm->suspended = true;
	wake_locked(pm, find_wake_locked(pm));
	pthread_mutex_unlock(&pm->lock);
	if (begins)
		pm->request(pm->opaque, MACHINE_SUSPEND);
}

bool acpi_pm_wake(struct acpi_pm *pm)
{
	bool suspended, wakes;

	pthread_mutex_lock(&pm->lock);
	suspended = pm->suspended;
	wakes = wake_locked(pm, ACPI_PM_USER);
	pthread_mutex_unlock(&pm->lock);
	tell_wake(pm, wakes);
	return suspended;
}

bool acpi_pm_is_suspended(struct acpi_pm *pm)
{
	bool suspended;

	pthread_mutex_lock(&pm->lock);
	suspended = pm->suspended;
	pthread_mutex_unlock(&pm->lock);
	return suspended;
}

enum acpi_pm_wake acpi_pm_woken_by(struct acpi_pm *pm)
{
	enum acpi_pm_wake cause;

	pthread_mutex_lock(&pm->lock);
	cause = pm->woken_by;
	pthread_mutex_unlock(&pm->lock);
	return cause;
}

void acpi_pm_resume(struct acpi_pm *pm)
{
	pthread_mutex_lock(&pm->lock);
	pm->suspended = false;
	pm->woken_by = ACPI_PM_ASLEEP;
	set_pm1_status(pm, PM1_WAK);
	pthread_mutex_unlock(&pm->lock);
}

/* --- control --- */

/* Returns the bits of the register as they stand on the bus for the time of the write. */
static uint32_t write_control_locked(struct acpi_pm *pm, const struct bus_access *access)
{
	uint32_t mask = (uint32_t)(ones(access->len) << 8 * access->off);
	uint32_t value = (uint32_t)(access->value << 8 * access->off) & mask;

	value |= pm->control & ~mask;
	pm->control = value & PM1_CNT_RW;
	return value;
}

static void control_access(void *opaque, struct bus_access *access)
{
	struct acpi_pm *pm = opaque;
	uint32_t value = 0, type;

	pthread_mutex_lock(&pm->lock);
	/* There is no SMI command port, hence no other mode than ACPI's. */
	if (access->is_write)
		value = write_control_locked(pm, access);
	else
		access->value = (pm->control | PM1_CNT_SCI_EN) >> 8 * access->off;
	pthread_mutex_unlock(&pm->lock);
	if (!(value & PM1_CNT_SLP_EN))
		return;
	type = (value & PM1_CNT_SLP_TYP) >> PM1_CNT_SLP_TYP_SHIFT;
	if (type == ACPI_PM_SLP_TYP_S5)
		pm->request(pm->opaque, MACHINE_POWER_OFF);
	else if (type == ACPI_PM_SLP_TYP_S3)
		begin_sleep(pm);
	else
		log_guest("acpi: sleep type %u is not offered, ignoring", type);
}

static void reset_access(void *opaque, struct bus_access *access)
{
	struct acpi_pm *pm = opaque;
	bool reset = false;

	pthread_mutex_lock(&pm->lock);
	if (access->is_write) {
		reset = access->value & ~(uint64_t)pm->reset_control & RESET_RST_CPU;
		pm->reset_control = access->value & RESET_RW;
	} else {
		access->value = pm->reset_control;
	}
	pthread_mutex_unlock(&pm->lock);
	if (reset)
		pm->request(pm->opaque, MACHINE_RESET);
}

/* --- for the machine --- */

void acpi_pm_raise_gpe(struct acpi_pm *pm, unsigned int number)
{
	if (number / 8 >= GPE_LEN) {
		log_err("acpi: there is no general-purpose event %u, ignoring", number);
		return;
	}
	pthread_mutex_lock(&pm->lock);
	pm->gpe.status[number / 8] |= (uint8_t)(1U << number % 8);
	settle_and_unlock(pm, ACPI_PM_ASLEEP);
}

/* ACPI 6.3, 4.8.2.2.1 Power Button: a press wakes whether PWRBTN_EN is set or not. */
void acpi_pm_power_button(struct acpi_pm *pm)
{
	pthread_mutex_lock(&pm->lock);
	set_pm1_status(pm, PM1_PWRBTN);
	settle_and_unlock(pm, ACPI_PM_BUTTON);
}

/* ACPI 6.3, 4.8.2.4 Real Time Clock Alarm */
void acpi_pm_rtc(struct acpi_pm *pm)
{
	pthread_mutex_lock(&pm->lock);
	set_pm1_status(pm, PM1_RTC);
	settle_and_unlock(pm, ACPI_PM_ASLEEP);
}

/* ACPI 6.3, 4.8.3.1.1 PM1 Status Registers: PCIEXP_WAKE_STS is set only by what wakes. */
void acpi_pm_pcie_wake(struct acpi_pm *pm)
{
	pthread_mutex_lock(&pm->lock);
	if (pm->suspended)
		set_pm1_status(pm, PM1_PCIEXP_WAKE);
	settle_and_unlock(pm, joined(pm->pm1.enable) & PM1_PCIEXP_WAKE ? ACPI_PM_ASLEEP
								     : ACPI_PM_PME);
}

static void clear_events(struct event_block *block)
{
	memset(block->status, 0, sizeof(block->status));
	memset(block->enable, 0, sizeof(block->enable));
}

void acpi_pm_reset(struct acpi_pm *pm)
{
	pthread_mutex_lock(&pm->lock);
	clear_events(&pm->pm1);
	clear_events(&pm->gpe);
	pm->control = 0;
	pm->reset_control = 0;
	pm->suspended = false;
	pm->woken_by = ACPI_PM_ASLEEP;
	pm->timer_laps = acpi_pm_ticks(clock_ns()) >> 31;
	update_sci_locked(pm);
	pthread_mutex_unlock(&pm->lock);
}

static int claim_ports(struct acpi_pm *pm, struct bus *port)
{
	static const struct bus_ops pm1_ops = {1 | 2 | 4, pm1_access};
	static const struct bus_ops control_ops = {1 | 2 | 4, control_access};
	static const struct bus_ops timer_ops = {1 | 2 | 4, timer_access};
	static const struct bus_ops gpe_ops = {1 | 2 | 4, gpe_access};
	static const struct bus_ops reset_ops = {1, reset_access};
	static const struct {
		struct range range;
		const struct bus_ops *ops;
	} claims[] = {
		{{PORT_PM1A_EVT, 2 * PM1_LEN}, &pm1_ops},
		{{PORT_PM1A_CNT, REGISTER_LEN}, &control_ops},
		{{PORT_PM_TMR, REGISTER_LEN}, &timer_ops},
		{{PORT_GPE0, GPE0_SIZE}, &gpe_ops},
		{{PORT_RESET, 1}, &reset_ops},
	};
	int error = 0;

	for (size_t i = 0; i < ARRAY_SIZE(claims) && !error; i++)
		error = bus_add(port, claims[i].range, claims[i].ops, pm);
	return error;
}

struct acpi_pm *acpi_pm_create(struct bus *port, struct irq_chip *irq, machine_request_fn request,
			       void *opaque)
{
	struct acpi_pm *pm = calloc(1, sizeof(*pm));

	if (!pm)
		return NULL;
	pm->irq = irq;
	pm->request = request;
	pm->opaque = opaque;
	pthread_mutex_init(&pm->lock, NULL);
	pm->sci.gsi = GSI_SCI;
	pm->pm1.len = PM1_LEN;
	split(pm->pm1.events, PM1_EVENTS);
	split(pm->pm1.enable_rw, PM1_EVENTS | PM1_PCIEXP_WAKE);
	pm->gpe.len = GPE_LEN;
	memset(pm->gpe.enable_rw, 0xff, sizeof(pm->gpe.enable_rw));
	memset(pm->gpe.events, 0xff, sizeof(pm->gpe.events));
	acpi_pm_reset(pm);
	if (claim_ports(pm, port)) {
		acpi_pm_destroy(pm);
		return NULL;
	}
	return pm;
}

void acpi_pm_destroy(struct acpi_pm *pm)
{
	if (!pm)
		return;
	irq_line_set(pm->irq, &pm->sci, false);
	pthread_mutex_destroy(&pm->lock);
	free(pm);
}
