/*
 * The cycles of a power test: all functions into low power, wait until the host really has the slot
 * asleep, out of it, look whether all is as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tools/power_test.h"
#include "vfio/backend.h"
#include "vfio/sysfs.h"
#include "vmm/base/clock.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/text.h"

#define REASON_MAX 160

/* Sysfs tells no change of these files, so they are looked at now and then. Linux waits up to 60 s
 * for a device after a reset or a wake (6.1, pci/pci.c, PCIE_RESET_READY_POLL_MS). */
const struct power_test_times power_test_times = {
	.poll_ms = 100, .suspend_ms = 10000, .settle_ms = 3000, .hold_ms = 1000, .wake_ms = 60000,
};

const char *sleep_depth_name(enum sleep_depth depth)
{
	static const char *const names[SLEEP_DEPTHS] = {
		[SLEEP_UNTOLD] = "",      [SLEEP_AWAKE] = "not suspended",
		[SLEEP_D0] = "D0",        [SLEEP_D3HOT] = "D3hot",
		[SLEEP_D3COLD] = "D3cold",
	};

	return names[depth];
}

/* The first fault is the one that counts, unless the card is lost after it. Returns false. */
static bool fail(struct power_test *test, enum power_test_fault fault, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static bool fail(struct power_test *test, enum power_test_fault fault, const char *fmt, ...)
{
	va_list ap;
	int len = 0;

	if (test->fault && (fault != POWER_TEST_LOST || test->fault == POWER_TEST_LOST))
		return false;
	test->fault = fault;
	if (fault > POWER_TEST_ERROR)
		len = snprintf(test->why, sizeof(test->why), "cycle %u: ", test->count + 1);
	va_start(ap, fmt);
	vsnprintf(test->why + len, sizeof(test->why) - (size_t)len, fmt, ap);
	va_end(ap);
	return false;
}

static void doing(struct power_test *test, const char *what)
{
	watch_set(test->watch, NULL);
	snprintf(test->doing, sizeof(test->doing), "cycle %u: %s", test->count + 1, what);
	watch_set(test->watch, test->doing);
}

/* --- config space --- */

static struct config_image *image_of(const struct power_test *test, unsigned int fn, bool by_sysfs)
{
	return &test->image[2 * fn + by_sysfs];
}

static bool read_vfio(struct power_test *test, unsigned int fn, struct config_image *ret_image)
{
	struct vfio_backend *backend = test->backend[fn];
	struct vfio_region region;
	ssize_t len;
	int error = backend->ops->region_info(backend, VFIO_PCI_CONFIG_REGION_INDEX, &region);

	memset(ret_image, 0, sizeof(*ret_image));
	ret_image->len = error || region.size > CONFIG_MAX ? CONFIG_MAX :
		(unsigned int)region.size;
	len = error ? error : backend->ops->region_read(backend, VFIO_PCI_CONFIG_REGION_INDEX, 0,
							ret_image->bytes, ret_image->len);
	if (len == (ssize_t)ret_image->len && len)
		return true;
	return fail(test, POWER_TEST_LOST, "%s: its config space cannot be read: %s",
		    backend->name, len < 0 ? strerror((int)-len) : "the answer is too short");
}

/*
 * What the device itself has: VFIO shows BARs of its own (Linux 6.1, vfio_pci_config.c). Who is not
 * root is shown the header alone (pci-sysfs.c, pci_read_config()). The device is awake, so nothing
 * is woken.
 */
static bool read_sysfs(struct power_test *test, unsigned int fn, struct config_image *ret_image)
{
	char dir[PATH_MAX], path[PATH_MAX];
	ssize_t len = -1;
	int fd = -1;

	memset(ret_image, 0, sizeof(*ret_image));
	if (!test->sysfs)
		return true;
	if (sysfs_device_dir(test->sysfs, test->backend[fn]->name, dir) &&
	    snprintf(path, sizeof(path), "%s/config", dir) < (int)sizeof(path))
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		len = read(fd, ret_image->bytes, CONFIG_MAX);
		close(fd);
	}
	ret_image->len = len > 0 ? (unsigned int)len : 0;
	return len > 0 || fail(test, POWER_TEST_LOST, "%s has no config space in sysfs any more",
			       test->backend[fn]->name);
}

static bool (*const readers[])(struct power_test *test, unsigned int fn,
			       struct config_image *ret_image) = {read_vfio, read_sysfs};

static bool check_image(struct power_test *test, unsigned int fn, const struct config_image *was,
			const struct config_image *now)
{
	char what[REASON_MAX];

	if (config_is_gone(now))
		return fail(test, POWER_TEST_LOST, "%s reads as ones: it does not answer",
			    test->backend[fn]->name);
	if (!config_equal(was, now, what, sizeof(what)))
		return fail(test, POWER_TEST_LOST, "%s is not as it was before the sleep: %s",
			    test->backend[fn]->name, what);
	return true;
}

/* `first`: takes it as what it must be from now on. */
static bool look_at_config(struct power_test *test, bool first)
{
	struct config_image *now = malloc(sizeof(*now));
	bool fine = now || fail(test, POWER_TEST_ERROR, "out of memory");

	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		if (!test->backend[i])
			continue;
		for (unsigned int by_sysfs = 0; by_sysfs < 2 && fine; by_sysfs++) {
			struct config_image *was = image_of(test, i, by_sysfs);

			fine = readers[by_sysfs](test, i, now);
			if (fine && first)
				*was = *now;
			fine = fine && check_image(test, i, was, now);
		}
	}
	free(now);
	return fine;
}

/* --- asleep --- */

/* What the host says of all functions together. Never touches them. */
static enum sleep_depth look_at_depth(struct power_test *test)
{
	static const struct {
		const char *name;
		enum sleep_depth depth;
	} states[] = {{"D3cold", SLEEP_D3COLD}, {"D3hot", SLEEP_D3HOT}};
	enum sleep_depth shallowest = SLEEP_DEPTHS;

	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		struct vfio_backend *backend = test->backend[i];
		struct vfio_observation seen;
		enum sleep_depth depth = SLEEP_D0;

		if (!backend)
			continue;
		if (backend->ops->observe(backend, &seen))
			return SLEEP_UNTOLD;
		for (unsigned int k = 0; k < 2; k++)
			if (!strcmp(seen.power_state, states[k].name))
				depth = states[k].depth;
		if (!seen.suspended)
			depth = SLEEP_AWAKE;
		if (depth < shallowest) {
			shallowest = depth;
			test->shallowest = i;
		}
	}
	return shallowest;
}

/* The time that a function has been suspended in all; 0 where nobody tells. */
static uint64_t suspended_us(const struct power_test *test, unsigned int fn)
{
	struct vfio_backend *backend = test->backend[fn];
	struct vfio_observation seen;

	return backend->ops->observe(backend, &seen) ? 0 : seen.suspended_us;
}

/* The host's own clock of suspended time is finer than our looks at it: how long after `start` the
 * last function was suspended. */
static uint64_t time_to_suspend(const struct power_test *test, const uint64_t before[],
				uint64_t start)
{
	uint64_t now = clock_us(), least = UINT64_MAX;

	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		uint64_t total = test->backend[i] ? suspended_us(test, i) : UINT64_MAX;
		uint64_t asleep = total > before[i] ? total - before[i] : 0;

		if (asleep < least)
			least = asleep;
	}
	return now - start > least ? now - start - least : 0;
}

/* Waits for `ms`, but not on when someone wakes a function or wants the test to end. */
static bool rest(struct power_test *test, unsigned int ms)
{
	struct pollfd fds[HOST_FUNCTIONS + 1] = {{.fd = test->stop_fd, .events = POLLIN}};

	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		fds[i + 1] = (struct pollfd){.fd = test->wakeup_fd[i], .events = POLLIN};
	if (poll(fds, HOST_FUNCTIONS + 1, (int)ms) < 0 && errno != EINTR)
		return fail(test, POWER_TEST_ERROR, "poll: %s", strerror(errno));
	if (fds[0].revents)
		return fail(test, POWER_TEST_STOPPED, "stopped");
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (fds[i + 1].revents)
			return fail(test, POWER_TEST_WOKEN, "%s was woken while it should sleep: "
				    "something on the host touched it, or it asked for power",
				    test->backend[i]->name);
	return true;
}

/* Not asleep in time: why, as far as sysfs says. */
static bool fail_awake(struct power_test *test)
{
	struct text why = {0};

	if (test->sysfs)
		power_test_explain(test->sysfs, test->name, false, &why);
	fail(test, POWER_TEST_AWAKE, "the host did not suspend the slot within %u s%s%s",
	     test->times.suspend_ms / 1000, why.bytes ? ": " : "", why.bytes ? why.bytes : "");
	text_finish(&why);
	return false;
}

/* Until the slot is in D3cold, or has been shallower for long enough. */
static bool await_sleep(struct power_test *test, const uint64_t before[],
			struct power_test_cycle *cycle)
{
	uint64_t start = clock_us(), asleep_at = 0;

	for (;;) {
		uint64_t now = clock_us();

		cycle->depth = look_at_depth(test);
		if (cycle->depth == SLEEP_UNTOLD)
			return true;
		if (cycle->depth > SLEEP_AWAKE && !asleep_at) {
			asleep_at = now;
			cycle->suspend_us = time_to_suspend(test, before, start);
		}
		if (cycle->depth == SLEEP_D3COLD ||
		    (asleep_at && now - asleep_at >= test->times.settle_ms * 1000ULL))
			return cycle->depth > SLEEP_AWAKE || fail_awake(test);
		if (!asleep_at && now - start >= test->times.suspend_ms * 1000ULL)
			return fail_awake(test);
		if (!rest(test, test->times.poll_ms))
			return false;
	}
}

/* It must stay as deep as it was. Functions in plain low power have no eventfd to tell. */
static bool hold(struct power_test *test, enum sleep_depth depth)
{
	uint64_t end = clock_us() + test->times.hold_ms * 1000ULL;

	for (;;) {
		uint64_t now = clock_us();
		unsigned int left = now < end ? (unsigned int)((end - now + 999) / 1000) : 0;
		enum sleep_depth seen;

		if (!rest(test, left < test->times.poll_ms ? left : test->times.poll_ms))
			return false;
		seen = look_at_depth(test);
		if (seen < depth)
			return fail(test, POWER_TEST_WOKEN, "the slot left %s by itself: it is %s",
				    sleep_depth_name(depth), sleep_depth_name(seen));
		if (!left)
			return true;
	}
}

/* --- in and out --- */

static bool enter(struct power_test *test, struct power_test_cycle *cycle)
{
	uint64_t start = clock_us();

	doing(test, "entering low power");
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		struct vfio_backend *backend = test->backend[i];
		int error;

		if (!backend)
			continue;
		error = test->with_wakeup[i] ?
			backend->ops->low_power(backend, VFIO_LOW_POWER_ENTRY_WITH_WAKEUP,
						test->wakeup_fd[i]) :
			backend->ops->low_power(backend, VFIO_LOW_POWER_ENTRY, -1);
		if (error)
			return fail(test, POWER_TEST_REFUSED, "%s refuses low power: %s",
				    backend->name, strerror(-error));
		test->engaged[i] = true;
	}
	cycle->entry_us = clock_us() - start;
	return true;
}

/* All that are engaged; a failure of one does not keep the others in. */
static bool leave(struct power_test *test, struct power_test_cycle *cycle)
{
	uint64_t start = clock_us();
	bool fine = true;

	doing(test, "waking");
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		struct vfio_backend *backend = test->backend[i];
		int error;

		if (!test->engaged[i])
			continue;
		error = backend->ops->low_power(backend, VFIO_LOW_POWER_EXIT, -1);
		test->engaged[i] = false;
		if (error)
			fine = fail(test, POWER_TEST_LOST, "%s does not wake: %s", backend->name,
				    strerror(-error));
	}
	/* The wake of one resumes the others, and each EXIT has signalled before it returned. */
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		eventfd_drain(test->wakeup_fd[i]);
	cycle->wake_us = clock_us() - start;
	if (cycle->wake_us > test->times.wake_ms * 1000ULL)
		fine = fail(test, POWER_TEST_LOST, "waking took %u s",
			    (unsigned int)(cycle->wake_us / 1000000));
	return fine;
}

/* Awake by what the host says, too. */
static bool check_awake(struct power_test *test)
{
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		struct vfio_backend *backend = test->backend[i];
		struct vfio_observation seen;

		if (backend && !backend->ops->observe(backend, &seen) &&
		    (seen.suspended || strcmp(seen.power_state, "D0")))
			return fail(test, POWER_TEST_LOST, "%s was woken, but the host says that "
				    "it is in %s", backend->name, seen.power_state);
	}
	return true;
}

/* Also after a sleep that was none: does it answer, at least? */
static bool run_cycle(struct power_test *test, struct power_test_cycle *cycle)
{
	uint64_t before[HOST_FUNCTIONS] = {0};
	bool slept, came_back;

	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (test->backend[i])
			before[i] = suspended_us(test, i);
	slept = enter(test, cycle);
	watch_set(test->watch, NULL);
	slept = slept && await_sleep(test, before, cycle) && hold(test, cycle->depth);
	came_back = leave(test, cycle) && check_awake(test) && look_at_config(test, false);
	return slept && came_back;
}

/* --- all of it --- */

/* Features that the host lacks say nothing of the card. */
static bool check_features(struct power_test *test)
{
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		struct vfio_backend *backend = test->backend[i];
		int error;

		if (!backend)
			continue;
		error = backend->ops->low_power_probe(backend, test->with_wakeup[i] ?
						      VFIO_LOW_POWER_ENTRY_WITH_WAKEUP :
						      VFIO_LOW_POWER_ENTRY);
		if (error)
			return fail(test, POWER_TEST_ERROR, "%s: the host offers no low power%s",
				    backend->name, test->with_wakeup[i] ?
				    " with wake-up, which this card needs" :
				    " (Linux 6.1 and later do)");
	}
	return true;
}

static bool prepare(struct power_test *test)
{
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		test->engaged[i] = false;
		test->wakeup_fd[i] = -1;
	}
	test->image = calloc(2 * HOST_FUNCTIONS, sizeof(*test->image));
	if (!test->image)
		return fail(test, POWER_TEST_ERROR, "out of memory");
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		if (!test->backend[i])
			continue;
		test->wakeup_fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (test->wakeup_fd[i] < 0)
			return fail(test, POWER_TEST_ERROR, "eventfd: %s", strerror(errno));
	}
	return check_features(test) && look_at_config(test, true);
}

void power_test_run(struct power_test *test)
{
	bool fine;

	test->count = 0;
	test->fault = POWER_TEST_FINE;
	test->why[0] = '\0';
	fine = prepare(test);
	while (fine && test->count < test->cycles) {
		fine = rest(test, 0) && run_cycle(test, &test->cycle[test->count]);
		watch_set(test->watch, NULL);
		test->count += fine;
		if (fine && test->done)
			test->done(test);
	}
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (test->wakeup_fd[i] >= 0)
			close(test->wakeup_fd[i]);
	free(test->image);
	test->image = NULL;
}

enum sleep_depth power_test_depth(const struct power_test *test)
{
	enum sleep_depth shallowest = test->count ? SLEEP_D3COLD : SLEEP_UNTOLD;

	for (unsigned int i = 0; i < test->count; i++)
		if (test->cycle[i].depth < shallowest)
			shallowest = test->cycle[i].depth;
	return shallowest;
}

unsigned int power_test_depth_count(const struct power_test *test, enum sleep_depth depth)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < test->count; i++)
		count += test->cycle[i].depth == depth;
	return count;
}
