/*
 * Taking functions from the host and giving them back. The kernel is asked for one thing at a time,
 * and looked at after each.
 *
 * Linux 6.1: driver_override names the only driver that may bind (pci-driver.c,
 * pci_match_device()); an empty line clears it (base/driver.c, driver_set_override()); unbind,
 * bind and drivers_probe return when the driver is gone, or has answered (base/bus.c). A driver's
 * own bind asks no other one, and a device that is bound keeps its driver when the override goes.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/bind.h"
#include "vfio/sysfs.h"

#define HELD_MAX BIND_FUNCTIONS

/* The groups that nobody else can open devices of meanwhile. */
struct holds {
	unsigned int count;
	int group[HELD_MAX], fd[HELD_MAX];
};

static void say(struct bind_host *host, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct bind_host *host, const char *fmt, ...)
{
	char line[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	host->ops->say(host, line);
}

/* A step of function `name` failed. */
static int explain(const struct bind_host *host, const char *name, const char *what, int error,
		   char *ret_why, size_t why_size)
{
	if (!bind_exists(host, name))
		snprintf(ret_why, why_size, "%s has vanished from the host meanwhile", name);
	else if (error == -EACCES || error == -EPERM)
		snprintf(ret_why, why_size, "%s: %s needs root: run it with sudo", name, what);
	else if (error == -EROFS)
		snprintf(ret_why, why_size, "%s: %s is not possible, sysfs is mounted read-only "
			 "(a container?): run it on the host itself", name, what);
	else
		snprintf(ret_why, why_size, "%s: %s: %s", name, what, strerror(-error));
	return bind_exists(host, name) ? error : -ENODEV;
}

/* --- single steps --- */

static int set_override(struct bind_host *host, const char *name, const char *driver)
{
	char dir[PATH_MAX - 32], path[PATH_MAX], line[40];

	snprintf(dir, sizeof(dir), "%s/bus/pci/devices/%s", host->sysfs, name);
	snprintf(path, sizeof(path), "%s/driver_override", dir);
	snprintf(line, sizeof(line), "%s\n", driver);
	return host->ops->write(host, path, line);
}

/* 0 also when nothing was bound. -EBUSY: the driver is still there. */
static int unbind(struct bind_host *host, const char *name)
{
	char path[PATH_MAX], driver[32];
	int error;

	bind_driver(host, name, driver, sizeof(driver));
	if (!driver[0])
		return bind_exists(host, name) ? 0 : -ENODEV;
	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/driver/unbind", host->sysfs, name);
	error = host->ops->write(host, path, name);
	if (error)
		return error;
	bind_driver(host, name, driver, sizeof(driver));
	return driver[0] ? -EBUSY : 0;
}

/* What became of it is for the caller to see. */
static int probe(struct bind_host *host, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/bus/pci/drivers_probe", host->sysfs);
	return host->ops->write(host, path, name);
}

/* To that driver and no other, whoever else's ids name this device, which has none now. What became
 * of it is for the caller to see. */
static int bind_to(struct bind_host *host, const char *name, const struct bind_record *record)
{
	char path[PATH_MAX];
	int error = set_override(host, name, record->driver);

	if (error)
		return error;
	snprintf(path, sizeof(path), "%s/bus/pci/drivers/%s/bind", host->sysfs, record->driver);
	host->ops->write(host, path, name);
	return set_override(host, name, record->override);
}

/* --- who uses it --- */

static void let_all_go(struct bind_host *host, struct holds *holds)
{
	while (holds->count)
		host->ops->let_go(host, holds->fd[--holds->count]);
}

static bool find_users_of_node(const struct bind_host *host, const struct bind_function *fn,
			       char *ret_text, size_t size)
{
	char path[48];

	snprintf(path, sizeof(path), "/dev/vfio/devices/vfio%d", fn->node);
	return fn->node >= 0 && bind_holders(host, path, ret_text, size);
}

static void describe_use(const struct bind_host *host, const struct bind_function *fn,
			 char *ret_text, size_t size)
{
	char path[48];

	snprintf(path, sizeof(path), "/dev/vfio/%d", fn->group);
	if (!bind_holders(host, path, ret_text, size) &&
	    !find_users_of_node(host, fn, ret_text, size))
		snprintf(ret_text, size, "another program");
}

/* Linux waits in unbind, for ever and not to be interrupted, until whoever has the device open by
 * VFIO has let it go (vfio_main.c, vfio_unregister_group_dev()). */
static int hold(struct bind_host *host, const struct bind_function *fn, bool force,
		struct holds *holds, char *ret_why, size_t why_size)
{
	char users[160];
	int fd;

	if (strcmp(fn->driver, BIND_DRIVER) && fn->node < 0)
		return 0;
	for (unsigned int i = 0; i < holds->count; i++)
		if (holds->group[i] == fn->group)
			return 0;
	fd = host->ops->hold(host, fn->group);
	if (fd >= 0) {
		holds->group[holds->count] = fn->group;
		holds->fd[holds->count++] = fd;
		return 0;
	}
	/* A kernel without VFIO's groups has no way to keep others out, /proc tells the users. */
	if (fd == -ENOENT && find_users_of_node(host, fn, users, sizeof(users)))
		fd = -EBUSY;
	if (fd != -EBUSY)
		return fd == -ENOENT || fd == -ENODEV ? 0 :
			explain(host, fn->name, "asking VFIO whether it is in use", fd, ret_why,
				why_size);
	describe_use(host, fn, users, sizeof(users));
	if (force) {
		say(host, "%s is in use by %s, which is asked to let it go; the kernel waits "
		    "until it does", fn->name, users);
		return 0;
	}
	snprintf(ret_why, why_size, "%s is in use by %s: end it first; or --force asks it to let "
		 "the device go (a guest of minivmm is asked to eject it) and waits until it does",
		 fn->name, users);
	return -EBUSY;
}

static int hold_all(struct bind_host *host, struct bind_function *const fn[], unsigned int count,
		    bool force, struct holds *holds, char *ret_why, size_t why_size)
{
	int error = 0;

	for (unsigned int i = 0; i < count && !error; i++)
		error = hold(host, fn[i], force, holds, ret_why, why_size);
	if (error)
		let_all_go(host, holds);
	return error;
}

/* Before anything is changed. */
static int may_write_all(struct bind_host *host, struct bind_function *const fn[],
			 unsigned int count, char *ret_why, size_t why_size)
{
	for (unsigned int i = 0; i < count; i++) {
		char path[PATH_MAX];
		int error;

		snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/driver_override", host->sysfs,
			 fn[i]->name);
		error = host->ops->may_write(host, path);
		if (error)
			return explain(host, fn[i]->name, "changing its driver", error, ret_why,
				       why_size);
	}
	return 0;
}

/* --- back --- */

/* Why it has the driver that it has, after its override was put back. */
static int check_given_back(struct bind_host *host, const char *name, const char *wanted,
			    char *ret_why, size_t why_size)
{
	char driver[32];

	bind_driver(host, name, driver, sizeof(driver));
	if (wanted[0] ? !strcmp(driver, wanted) : driver[0] && strcmp(driver, BIND_DRIVER)) {
		say(host, "%s: bound to %s", name, driver);
		return 0;
	}
	if (!bind_exists(host, name))
		return explain(host, name, "", -ENODEV, ret_why, why_size);
	if (!strcmp(driver, BIND_DRIVER))
		snprintf(ret_why, why_size, "%s: vfio-pci took it again, because its parameter ids "
			 "or its file new_id names this card: as root, rmmod vfio-pci, or boot "
			 "without vfio-pci.ids", name);
	else if (driver[0])
		snprintf(ret_why, why_size, "%s: it is bound to %s, it had %s before", name, driver,
			 wanted);
	else if (wanted[0])
		snprintf(ret_why, why_size, "%s: its driver %s did not take it; is it loaded? As "
			 "root: modprobe %s; dmesg may tell more", name, wanted, wanted);
	else
		snprintf(ret_why, why_size, "%s: no driver of the host took it; as root, modprobe "
			 "$(cat /sys/bus/pci/devices/%s/modalias) loads one", name, name);
	return -ENXIO;
}

/* From whatever it is now to what is remembered. `record` NULL: nothing is. */
static int restore(struct bind_host *host, const char *name, const struct bind_record *record,
		   char *ret_why, size_t why_size)
{
	char driver[32];
	int error = set_override(host, name, record ? record->override : "");

	if (error)
		return explain(host, name, "putting driver_override back", error, ret_why,
			       why_size);
	bind_driver(host, name, driver, sizeof(driver));
	if (record && record->driver[0] && !strcmp(driver, record->driver)) {
		bind_record_drop(host, name);
		return 0;
	}
	error = unbind(host, name);
	if (error)
		return explain(host, name, "unbinding it", error, ret_why, why_size);
	if (record && !record->driver[0]) {
		say(host, "%s: without a driver, as before", name);
	} else {
		error = record ? bind_to(host, name, record) : probe(host, name);
		if (error)
			return explain(host, name, "binding it to its driver", error, ret_why,
				       why_size);
		error = check_given_back(host, name, record ? record->driver : "", ret_why,
					 why_size);
	}
	if (!error)
		bind_record_drop(host, name);
	return error;
}

int bind_give_back(struct bind_host *host, struct bind_function *const fn[], unsigned int count,
		   bool force, char *ret_why, size_t why_size)
{
	struct holds holds = {.count = 0};
	int error = may_write_all(host, fn, count, ret_why, why_size);

	if (!error)
		error = hold_all(host, fn, count, force, &holds, ret_why, why_size);
	if (error)
		return error;
	for (unsigned int i = 0; i < count; i++) {
		struct bind_record record;
		bool known = bind_record_find(host, fn[i], &record);
		char why[BIND_WHY_MAX];
		int r = restore(host, fn[i]->name, known ? &record : NULL, why, sizeof(why));

		if (r && error)
			say(host, "%s", why); /* the first one is the caller's */
		else if (r)
			snprintf(ret_why, why_size, "%s", why);
		error = error ? error : r;
	}
	let_all_go(host, &holds);
	return error;
}

/* --- there --- */

static int load_driver(struct bind_host *host, char *ret_why, size_t why_size)
{
	char path[PATH_MAX];
	int error;

	snprintf(path, sizeof(path), "%s/bus/pci/drivers/" BIND_DRIVER, host->sysfs);
	if (!access(path, F_OK))
		return 0;
	say(host, "loading module vfio-pci");
	error = host->ops->load(host, BIND_DRIVER);
	if (!error && access(path, F_OK))
		error = -ENOENT;
	if (error)
		snprintf(ret_why, why_size, "the module vfio-pci cannot be loaded (%s): as root, "
			 "modprobe vfio-pci says why", strerror(-error));
	return error;
}

static int take(struct bind_host *host, struct bind_function *fn, char *ret_why, size_t why_size)
{
	const char *name = fn->name;
	char driver[32];
	int error = set_override(host, name, BIND_DRIVER);

	if (error)
		return explain(host, name, "setting driver_override", error, ret_why, why_size);
	if (fn->driver[0])
		say(host, "%s: unbinding it from %s", name, fn->driver);
	error = unbind(host, name);
	if (error)
		return explain(host, name, "unbinding its driver", error, ret_why, why_size);
	error = probe(host, name);
	if (error)
		return explain(host, name, "binding it to vfio-pci", error, ret_why, why_size);
	bind_driver(host, name, driver, sizeof(driver));
	if (strcmp(driver, BIND_DRIVER)) {
		snprintf(ret_why, why_size, "%s: vfio-pci did not take it%s%s; dmesg says why",
			 name, driver[0] ? ", its driver is now " : "", driver);
		return bind_exists(host, name) ? -ENXIO :
			explain(host, name, "", -ENODEV, ret_why, why_size);
	}
	say(host, "%s: bound to vfio-pci", name);
	return 0;
}

/* How it is now; but a bind that was ended half way, or could not go back, has remembered it from
 * before, and left the function with our override or without a driver. */
static void find_before(const struct bind_host *host, struct bind_function *fn)
{
	struct bind_record *before = &fn->before;

	if (bind_record_find(host, fn, before) &&
	    (!fn->driver[0] || bind_record_is_ours(before, fn->override)))
		return;
	*before = (struct bind_record){.vendor = fn->vendor, .device = fn->device};
	snprintf(before->driver, sizeof(before->driver), "%s", fn->driver);
	snprintf(before->override, sizeof(before->override), "%s", fn->override);
}

/* Functions 0 to `count` - 1 of `fn` were touched. */
static void roll_back(struct bind_host *host, struct bind_function *const fn[], unsigned int count)
{
	while (count--) {
		const char *name = fn[count]->name;
		char why[BIND_WHY_MAX];

		say(host, "%s: going back to how it was", name);
		if (restore(host, name, &fn[count]->before, why, sizeof(why)))
			say(host, "%s", why);
	}
}

int bind_take(struct bind_host *host, struct bind_function *const fn[], unsigned int count,
	      bool force, char *ret_why, size_t why_size)
{
	struct holds holds = {.count = 0};
	int error = may_write_all(host, fn, count, ret_why, why_size);
	unsigned int touched = 0;

	if (!error)
		error = load_driver(host, ret_why, why_size);
	if (!error)
		error = hold_all(host, fn, count, force, &holds, ret_why, why_size);
	while (touched < count && !error) {
		struct bind_function *one = fn[touched];

		find_before(host, one);
		error = bind_record_keep(host, one->name, &one->before);
		if (error) {
			snprintf(ret_why, why_size, "cannot remember in %s what %s was bound to: "
				 "%s", host->state, one->name, strerror(-error));
			break;
		}
		touched++;
		error = take(host, one, ret_why, why_size);
	}
	if (error)
		roll_back(host, fn, touched);
	let_all_go(host, &holds);
	return error;
}
