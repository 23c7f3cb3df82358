/*
 * What others may know of a slot: published by its power thread as a copy, given to whoever asks
 * without waiting for that thread, which the host may keep for a minute.
 */
#include <stdio.h>
#include <string.h>

#include "vfio/function.h"
#include "vfio/slot.h"
#include "vmm/base/clock.h"

/* --- by the owner of the slot's power --- */

static void publish_function(struct vfio_slot *slot, unsigned int i, uint64_t now)
{
	const struct slot_function *fn = &slot->card.fn[i];
	const struct power_function *power = &slot->card.power.fn[i];
	struct vfio_function_status *status = &slot->published.status.fn[i];
	enum power_state state = power->exists ? power->state : POWER_RELEASED;

	if (!status->exists)
		snprintf(status->name, sizeof(status->name), "%s",
			 vfio_function_name(fn->function));
	if (!status->exists || status->state != state)
		status->since = now;
	status->exists = true;
	status->state = state;
	status->error = power->error;
	status->stats = fn->stats;
	slot->published.fn[i].engaged_at = fn->engaged_at;
	slot->published.fn[i].observed = fn->observed;
	slot->published.fn[i].suspended_us = fn->before.suspended_us;
}

static void publish_slot(struct vfio_slot *slot)
{
	struct vfio_slot_status *status = &slot->published.status;

	snprintf(status->id, sizeof(status->id), "%s", slot->card.config.id);
	snprintf(status->name, sizeof(status->name), "%s", slot->card.name);
	if (slot->card.config.socket[0])
		snprintf(status->path, sizeof(status->path), "vfio-user:%s",
			 slot->card.config.socket);
	else
		snprintf(status->path, sizeof(status->path), "/sys/bus/pci/devices/%s.0",
			 slot->card.name);
	status->policy = slot->card.policy;
	status->guest_on = slot->card.power.slot_on;
	slot->published.sysfs = slot->card.sysfs;
	slot->published.hold_until = slot->hold_until;
}

void slot_publish(struct vfio_slot *slot)
{
	uint64_t now = clock_us();

	if (!slot->card.name[0])
		return;
	pthread_mutex_lock(&slot->lock);
	publish_slot(slot);
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (slot->card.fn[i].function)
			publish_function(slot, i, now);
	pthread_mutex_unlock(&slot->lock);
}

void slot_publish_empty(struct vfio_slot *slot)
{
	pthread_mutex_lock(&slot->lock);
	slot->published = (struct slot_published){.sysfs = NULL};
	slot->any_card = true;
	pthread_mutex_unlock(&slot->lock);
}

/* --- by those who ask --- */

bool vfio_slot_is_empty(struct vfio_slot *slot)
{
	bool empty;

	pthread_mutex_lock(&slot->lock);
	empty = !slot->published.status.name[0];
	pthread_mutex_unlock(&slot->lock);
	return empty;
}

static void look_at_host(const char *sysfs, struct vfio_function_status *status)
{
	struct vfio_observation seen;

	if (!sysfs || host_observe(sysfs, status->name, &seen))
		return;
	status->has_host = true;
	status->host = (struct vfio_host_view){
		.suspended = seen.suspended, .suspended_us = seen.suspended_us};
	memcpy(status->host.power_state, seen.power_state, sizeof(status->host.power_state));
}

/* The counters know only sleeps that are over. */
static void add_present_sleep(const struct slot_published *published, unsigned int i, uint64_t now,
			      struct vfio_function_status *status)
{
	uint64_t engaged_at = published->fn[i].engaged_at;
	uint64_t before = published->fn[i].suspended_us;

	if (!engaged_at)
		return;
	status->stats.engaged_us += now - engaged_at;
	if (published->fn[i].observed && status->has_host && status->host.suspended_us > before)
		status->stats.suspended_us += status->host.suspended_us - before;
}

void vfio_slot_status(struct vfio_slot *slot, struct vfio_slot_status *ret_status)
{
	struct slot_published published;
	uint64_t now;

	pthread_mutex_lock(&slot->lock);
	published = slot->published;
	pthread_mutex_unlock(&slot->lock);
	*ret_status = published.status;
	now = clock_us();
	if (published.hold_until > now)
		ret_status->hold_ms = (published.hold_until - now + 999) / 1000;
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		if (!ret_status->fn[i].exists)
			continue;
		look_at_host(published.sysfs, &ret_status->fn[i]);
		add_present_sleep(&published, i, now, &ret_status->fn[i]);
	}
}
