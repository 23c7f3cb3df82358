#include "devices/slot_power.h"

#include <pthread.h>
#include <stdlib.h>

#include "vmm/base/log.h"
#include "vmm/bus.h"
#include "vmm/layout.h"

struct slot_power {
	unsigned int index;
	slot_power_request request;
	void *opaque;

	pthread_mutex_t lock; /* protects everything below */
	bool wanted;          /* CONTROL */
	bool on, busy;        /* STATUS */
	uint8_t wake;
	unsigned int sequence; /* of the last request; a reset counts as one, too */
	unsigned int oldest;   /* answers to requests before this one are of another life */
};

static uint32_t read_locked(const struct slot_power *power, uint64_t off)
{
	switch (off) {
	case SLOT_POWER_CONTROL:
		return power->wanted;
	case SLOT_POWER_STATUS:
		return (power->on ? SLOT_POWER_STATUS_ON : 0) |
		       (power->busy ? SLOT_POWER_STATUS_BUSY : 0);
	case SLOT_POWER_WAKE:
		return power->wake;
	default:
		return UINT32_MAX;
	}
}

/* Returns true when the guest rang. */
static bool write_locked(struct slot_power *power, uint64_t off, uint32_t value)
{
	if (off == SLOT_POWER_WAKE)
		power->wake &= (uint8_t)~value;
	if (off != SLOT_POWER_CONTROL)
		return false;
	if (value > 1) {
		log_guest("slot %u: 0x%x written to the power control, ignoring", power->index,
			  value);
		return false;
	}
	power->wanted = value;
	power->busy = true;
	power->sequence++;
	return true;
}

static void power_access(void *opaque, struct bus_access *access)
{
	struct slot_power *power = opaque;
	bool rang = false, on;

	pthread_mutex_lock(&power->lock);
	if (access->is_write)
		rang = write_locked(power, access->off, (uint32_t)access->value);
	else
		access->value = read_locked(power, access->off);
	on = power->wanted;
	pthread_mutex_unlock(&power->lock);
	if (rang)
		power->request(power->opaque, on);
}

void slot_power_done(struct slot_power *power, unsigned int sequence, bool on)
{
	pthread_mutex_lock(&power->lock);
	/* The numbers may wrap, hence differences. */
	if (sequence - power->oldest <= power->sequence - power->oldest) {
		power->on = on;
		power->busy &= sequence != power->sequence;
	}
	pthread_mutex_unlock(&power->lock);
}

unsigned int slot_power_sequence(struct slot_power *power)
{
	unsigned int sequence;

	pthread_mutex_lock(&power->lock);
	sequence = power->sequence;
	pthread_mutex_unlock(&power->lock);
	return sequence;
}

bool slot_power_wanted(struct slot_power *power)
{
	bool wanted;

	pthread_mutex_lock(&power->lock);
	wanted = power->wanted;
	pthread_mutex_unlock(&power->lock);
	return wanted;
}

void slot_power_reset(struct slot_power *power)
{
	pthread_mutex_lock(&power->lock);
	power->wanted = true;
	power->on = true;
	power->busy = false;
	power->wake = 0;
	power->oldest = ++power->sequence;
	pthread_mutex_unlock(&power->lock);
}

void slot_power_set_wake(struct slot_power *power, uint8_t functions)
{
	pthread_mutex_lock(&power->lock);
	power->wake |= functions;
	pthread_mutex_unlock(&power->lock);
}

struct slot_power *slot_power_create(struct bus *mmio, unsigned int index,
				     slot_power_request request, void *opaque)
{
	static const struct bus_ops ops = {4, power_access};
	const struct range range = {SLOT_POWER_START + index * SLOT_POWER_STRIDE,
				    SLOT_POWER_STRIDE};
	struct slot_power *power;

	if (index >= SLOT_MAX)
		return NULL;
	power = calloc(1, sizeof(*power));
	if (!power)
		return NULL;
	power->index = index;
	power->request = request;
	power->opaque = opaque;
	pthread_mutex_init(&power->lock, NULL);
	slot_power_reset(power);
	if (bus_add(mmio, range, &ops, power)) {
		slot_power_destroy(power);
		return NULL;
	}
	return power;
}

void slot_power_destroy(struct slot_power *power)
{
	if (!power)
		return;
	pthread_mutex_destroy(&power->lock);
	free(power);
}
