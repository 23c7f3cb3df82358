/*
 * Low power as the kernel's vfio-pci has it (<linux/vfio.h>, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY
 * and its two companions), with two simplifications: a function that may suspend does so at once,
 * and the slot is in D3cold exactly while every function that has a client is suspended.
 */
#include "guest-tests/model-gpu/model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the slot's power --- */

static bool vram_populated(const struct slot *slot)
{
	struct stat file;

	return !fstat(slot->vram_fd, &file) && file.st_blocks;
}

static void lose_vram(struct slot *slot)
{
	if (!vram_populated(slot))
		return;
	if (fallocate(slot->vram_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      (off_t)slot->vram_size))
		perror("model-gpu: VRAM keeps its contents");
}

static void power_down(struct slot *slot)
{
	slot->cold = true;
	for (unsigned int i = 0; i < slot->count; i++)
		registers_reset(&slot->fn[i]);
	lose_vram(slot);
	trace(&slot->fn[0], "the slot is in D3cold");
}

static void power_up(struct slot *slot)
{
	slot->cold = false;
	for (unsigned int i = 0; i < slot->count; i++)
		slot->fn[i].boot_count++;
	if (vram_populated(slot)) {
		slot->vram_touched++;
		lose_vram(slot);
	}
	trace(&slot->fn[0], "the slot has power");
}

void power_settle(struct function *fn)
{
	struct slot *slot = fn->slot;
	unsigned int connected = 0, suspended = 0;

	for (unsigned int i = 0; i < slot->count; i++) {
		struct function *other = &slot->fn[i];

		other->power.suspended = other->power.engaged;
		connected += function_connected(other);
		suspended += other->power.suspended;
	}
	if (!slot->cold && connected && connected == suspended)
		power_down(slot);
}

/* --- a function's --- */

bool power_signal(struct function *fn)
{
	if (fn->power.wakeup_fd < 0)
		return false;
	fn->power.count.signals++;
	eventfd_signal(fn->power.wakeup_fd);
	return true;
}

static void disengage(struct power *power)
{
	power->engaged = power->wakeup = false;
	timer_cancel(&power->wake);
}

static void resume_one(struct function *fn, enum wake_cause cause)
{
	if (!fn->power.suspended)
		return;
	fn->power.suspended = false;
	fn->power.count.wakes[cause]++;
	if (fn->faults.forgets_armed) {
		fn->faults.forgets_armed = false;
		config_forget(fn);
	}
	if (fn->faults.dead_armed) {
		fn->faults.dead_armed = false;
		fn->faults.dead = true;
	}
	trace(fn, "resumes%s", fn->power.wakeup ? " and signals" : "");
	if (fn->power.wakeup) {
		power_signal(fn);
		disengage(&fn->power);
	}
}

/* When the port below which the slot is gets power back, all that is below it is resumed. */
static void resume(struct function *fn, enum wake_cause cause)
{
	struct slot *slot = fn->slot;

	if (!fn->power.suspended)
		return;
	if (!slot->cold) {
		resume_one(fn, cause);
		return;
	}
	power_up(slot);
	for (unsigned int i = 0; i < slot->count; i++)
		resume_one(&slot->fn[i], &slot->fn[i] == fn ? cause : WAKE_SIBLING);
}

bool power_wake(struct function *fn)
{
	if (!fn->power.suspended)
		return false;
	resume(fn, WAKE_DEVICE);
	power_settle(fn);
	return true;
}

void power_touch(struct function *fn)
{
	resume(fn, WAKE_TOUCH);
}

static void wake_fire(struct timer *timer)
{
	struct power *power = container_of(timer, struct power, wake);

	power_wake(container_of(power, struct function, power));
}

/* --- what happens at an entry besides it --- */

static uint64_t random_next(struct slot *slot)
{
	uint64_t x = slot->random_state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return slot->random_state = x;
}

/* A choice of `random`, into the faults of this one entry. */
static void choose(struct function *fn, enum wake_arm *wake, uint64_t *after_us, int *refuse)
{
	struct slot *slot = fn->slot;

	if (!slot->random_percent || random_next(slot) % 100 >= slot->random_percent)
		return;
	switch (random_next(slot) % 4) {
	case 0:
		*refuse = EIO;
		break;
	case 1:
		*wake = WAKE_IN_ENTRY;
		break;
	case 2:
		*wake = WAKE_BEFORE_ANSWER;
		break;
	default:
		*wake = WAKE_AFTER;
		*after_us = random_next(slot) % 3000;
		break;
	}
}

static bool take(uint32_t *times)
{
	if (!*times)
		return false;
	if (*times != FOREVER)
		--*times;
	return true;
}

static void wake_at_entry(struct function *fn, enum wake_arm wake, uint64_t after_us)
{
	fn->power.signal_again = false;
	fn->power.wake_after_us = -1;
	if (wake == WAKE_AFTER)
		fn->power.wake_after_us = (int64_t)after_us;
	else if (wake != WAKE_NOT_ARMED)
		power_wake(fn);
	if (wake == WAKE_IN_ENTRY)
		fn->power.signal_again = true;
}

int power_entry(struct function *fn, int wakeup_fd)
{
	struct power *power = &fn->power;
	enum wake_arm wake = WAKE_NOT_ARMED;
	uint64_t after_us = 0;
	int refuse = 0;

	if (power->engaged)
		return -EINVAL;
	choose(fn, &wake, &after_us, &refuse);
	plan_entry(fn, &wake, &after_us, &refuse);
	if (take(&fn->faults.refuse_entry_times))
		refuse = fn->faults.refuse_entry;
	if (refuse) {
		power->count.refusals++;
		return -refuse;
	}
	if (take(&fn->faults.wake_times)) {
		wake = fn->faults.wake;
		after_us = fn->faults.wake_after_us;
	}
	power->count.entries++;
	power->engaged = true;
	power->wakeup = wakeup_fd >= 0;
	if (power->wakeup_fd >= 0)
		close(power->wakeup_fd);
	power->wakeup_fd = wakeup_fd;
	power_settle(fn);
	wake_at_entry(fn, wake, after_us);
	return 0;
}

int power_exit(struct function *fn)
{
	if (take(&fn->faults.refuse_exit_times))
		return -fn->faults.refuse_exit;
	fn->power.count.exits++;
	resume(fn, WAKE_EXIT);
	disengage(&fn->power);
	fn->power.signal_again = plan_exit(fn);
	return 0;
}

void power_replied(struct function *fn)
{
	struct power *power = &fn->power;

	if (power->wake_after_us >= 0 && power->engaged)
		timer_arm(&power->wake, (uint64_t)power->wake_after_us);
	power->wake_after_us = -1;
	if (power->signal_again)
		power_signal(fn);
	power->signal_again = false;
}

/* --- reset and the end of a client --- */

void power_reset(struct function *fn)
{
	fn->power.count.resets++;
	fn->faults.dead = fn->faults.dead && fn->faults.stubborn;
	registers_reset(fn);
	config_reset(fn);
}

void power_init(struct function *fn)
{
	fn->power.wake.fire = wake_fire;
	fn->power.wakeup_fd = -1;
	fn->power.wake_after_us = -1;
}

void power_disconnect(struct function *fn)
{
	struct power *power = &fn->power;

	/* vfio-pci drops the eventfd first: only siblings are signalled. */
	power->wakeup = false;
	resume(fn, WAKE_CLOSE);
	disengage(power);
	if (power->wakeup_fd >= 0)
		close(power->wakeup_fd);
	power->wakeup_fd = -1;
	power->wake_after_us = -1;
	power->signal_again = false;
	registers_reset(fn);
	power_settle(fn);
}
