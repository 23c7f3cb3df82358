/* What a test has the fake device do, and asks about what was done to it. */
#include "tests/fake_backend.h"

#include <sys/eventfd.h>
#include <time.h>

#include "tests/fake_must.h"

#define WAIT_S 10

static const char *const op_names[FAKE_OPS] = {
	[FAKE_REGION_INFO] = "region_info",
	[FAKE_REGION_READ] = "region_read",
	[FAKE_REGION_WRITE] = "region_write",
	[FAKE_REGION_MAP] = "region_map",
	[FAKE_REGION_UNMAP] = "region_unmap",
	[FAKE_IRQ_COUNT] = "irq_count",
	[FAKE_IRQ_SET_TRIGGERS] = "irq_set_triggers",
	[FAKE_IRQ_DISABLE] = "irq_disable",
	[FAKE_INTX_SET_UNMASK] = "intx_set_unmask",
	[FAKE_INTX_UNMASK] = "intx_unmask",
	[FAKE_LOW_POWER_PROBE] = "low_power_probe",
	[FAKE_ENTRY] = "entry",
	[FAKE_ENTRY_WITH_WAKEUP] = "entry_with_wakeup",
	[FAKE_EXIT] = "exit",
	[FAKE_RESET] = "reset",
	[FAKE_CAN_RESET] = "can_reset",
	[FAKE_SLOT_RESET] = "slot_reset",
	[FAKE_CAN_SLOT_RESET] = "can_slot_reset",
	[FAKE_MAP_RAM] = "map_ram",
	[FAKE_OBSERVE] = "observe",
	[FAKE_CLOSE] = "close",
};

const char *fake_op_name(enum fake_op op)
{
	return op < FAKE_OPS ? op_names[op] : "?";
}

void fake_backend_fail(struct fake_backend *fake, enum fake_op op, int error, unsigned int skip,
		       unsigned int times)
{
	pthread_mutex_lock(&fake->lock);
	fake->error[op] = (struct fake_error){error, skip, times};
	pthread_mutex_unlock(&fake->lock);
}

void fake_backend_block(struct fake_backend *fake, enum fake_op op, bool blocked)
{
	pthread_mutex_lock(&fake->lock);
	fake->blocked[op] = blocked;
	pthread_cond_broadcast(&fake->changed);
	pthread_mutex_unlock(&fake->lock);
}

bool fake_backend_wait(struct fake_backend *fake, enum fake_op op, unsigned int count)
{
	struct timespec until;
	int error = 0;
	bool reached;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WAIT_S;
	pthread_mutex_lock(&fake->lock);
	while (fake->count[op] < count && !error)
		error = pthread_cond_timedwait(&fake->changed, &fake->lock, &until);
	reached = fake->count[op] >= count;
	pthread_mutex_unlock(&fake->lock);
	return reached;
}

bool fake_backend_wake(struct fake_backend *fake)
{
	bool woke;

	pthread_mutex_lock(&fake->lock);
	woke = fake->engaged && fake->with_wakeup;
	if (woke)
		fake_backend_end_low_power(fake);
	pthread_mutex_unlock(&fake->lock);
	return woke;
}

bool fake_backend_fire(struct fake_backend *fake, unsigned int index, unsigned int vector)
{
	int fd = -1;

	pthread_mutex_lock(&fake->lock);
	if (vector < fake->irq[index].enabled)
		fd = fake->irq[index].trigger[vector];
	if (fd >= 0)
		must(!eventfd_write(fd, 1), "eventfd");
	pthread_mutex_unlock(&fake->lock);
	return fd >= 0;
}

void fake_backend_forget(struct fake_backend *fake)
{
	pthread_mutex_lock(&fake->lock);
	fake->calls = 0;
	pthread_mutex_unlock(&fake->lock);
}

unsigned int fake_backend_find(struct fake_backend *fake, enum fake_op op, unsigned int from,
			       struct fake_call *ret_call)
{
	unsigned int found = 0;

	pthread_mutex_lock(&fake->lock);
	for (unsigned int i = from; i < fake->calls; i++) {
		if (fake->call[i].op != op)
			continue;
		found++;
		if (ret_call)
			*ret_call = fake->call[i];
	}
	pthread_mutex_unlock(&fake->lock);
	return found;
}
