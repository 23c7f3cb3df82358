#include "tests/fake_host.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fake_must.h"
#include "tests/fake_tree.h"
#include "vfio/sysfs.h"
#include "vmm/base/bits.h"

static struct fake_host *fake_of(struct bind_host *host)
{
	return container_of(host, struct fake_host, host);
}

static void path_of(const struct fake_host *fake, char ret_path[PATH_MAX], const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void path_of(const struct fake_host *fake, char ret_path[PATH_MAX], const char *fmt, ...)
{
	int len = snprintf(ret_path, PATH_MAX, "%s/", fake->root);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ret_path + len, PATH_MAX - (size_t)len, fmt, ap);
	va_end(ap);
}

static void make_dirs(const char *path)
{
	char part[PATH_MAX];

	for (size_t i = 1; i <= strlen(path); i++) {
		if (path[i] && path[i] != '/')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)i, path);
		must(!mkdir(part, 0755) || errno == EEXIST, part);
	}
}

void fake_host_dir(struct fake_host *fake, const char *path)
{
	char full[PATH_MAX];

	path_of(fake, full, "%s", path);
	make_dirs(full);
}

void fake_host_file(struct fake_host *fake, const char *path, const char *text)
{
	char full[PATH_MAX], *last;
	FILE *file;

	path_of(fake, full, "%s", path);
	last = strrchr(full, '/');
	*last = '\0';
	make_dirs(full);
	*last = '/';
	file = fopen(full, "w");
	must(file && fputs(text, file) >= 0 && !fclose(file), full);
}

static void make_link(struct fake_host *fake, const char *target, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void make_link(struct fake_host *fake, const char *target, const char *fmt, ...)
{
	char path[PATH_MAX], to[PATH_MAX];
	va_list ap;
	int len;

	len = snprintf(path, sizeof(path), "%s/", fake->root);
	va_start(ap, fmt);
	vsnprintf(path + len, sizeof(path) - (size_t)len, fmt, ap);
	va_end(ap);
	path_of(fake, to, "%s", target);
	must(!symlink(to, path), path);
}

/* --- the tree --- */

static void bind_to(struct fake_host *fake, const char *name, const char *driver)
{
	char path[PATH_MAX];

	path_of(fake, path, "sys/devices/pci0000:00/%s/driver", name);
	must(!unlink(path) || errno == ENOENT, path);
	if (!driver)
		return;
	snprintf(path, sizeof(path), "sys/bus/pci/drivers/%s", driver);
	fake_host_dir(fake, path);
	make_link(fake, path, "sys/devices/pci0000:00/%s/driver", name);
}

void fake_host_add(struct fake_host *fake, const struct fake_device *device)
{
	char dir[128], path[256], text[64];

	snprintf(dir, sizeof(dir), "sys/devices/pci0000:00/%s", device->name);
	fake_host_dir(fake, dir);
	make_link(fake, dir, "sys/bus/pci/devices/%s", device->name);
	snprintf(path, sizeof(path), "%s/class", dir);
	snprintf(text, sizeof(text), "0x%06x\n", device->class);
	fake_host_file(fake, path, text);
	snprintf(path, sizeof(path), "%s/vendor", dir);
	fake_host_file(fake, path, "0x10de\n");
	snprintf(path, sizeof(path), "%s/device", dir);
	fake_host_file(fake, path, "0x2684\n");
	snprintf(path, sizeof(path), "%s/driver_override", dir);
	snprintf(text, sizeof(text), "%s\n", device->override ? device->override : "(null)");
	fake_host_file(fake, path, text);
	snprintf(path, sizeof(path), "own/%s", device->name);
	fake_host_file(fake, path, device->own ? device->own :
		       device->driver && strcmp(device->driver, BIND_DRIVER) ? device->driver : "");
	if (device->own) {
		snprintf(path, sizeof(path), "sys/bus/pci/drivers/%s", device->own);
		fake_host_dir(fake, path);
	}
	if (device->driver)
		bind_to(fake, device->name, device->driver);
	if (device->group < 0)
		return;
	snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%d/devices", device->group);
	fake_host_dir(fake, path);
	make_link(fake, dir, "%s/%s", path, device->name);
	snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%d", device->group);
	make_link(fake, path, "%s/iommu_group", dir);
}

void fake_host_take_driver(struct fake_host *fake, const char *name)
{
	bind_to(fake, name, NULL);
}

void fake_host_child(struct fake_host *fake, const char *function, const char *class,
		     const char *name, char ret_dir[256])
{
	char path[PATH_MAX];

	snprintf(ret_dir, 256, "sys/devices/pci0000:00/%s/%s/%s", function, class, name);
	fake_host_dir(fake, ret_dir);
	snprintf(path, sizeof(path), "sys/class/%s", class);
	fake_host_dir(fake, path);
	make_link(fake, ret_dir, "sys/class/%s/%s", class, name);
}

bool fake_host_exists(struct fake_host *fake, const char *path)
{
	char full[PATH_MAX];

	path_of(fake, full, "%s", path);
	return !access(full, F_OK);
}

const char *fake_host_driver(struct fake_host *fake, const char *name)
{
	static char driver[32];

	bind_driver(&fake->host, name, driver, sizeof(driver));
	return driver;
}

const char *fake_host_override(struct fake_host *fake, const char *name)
{
	static char line[64];
	char dir[PATH_MAX];

	path_of(fake, dir, "sys/bus/pci/devices/%s", name);
	if (!sysfs_read_line(dir, "driver_override", line, sizeof(line)) ||
	    !strcmp(line, "(null)"))
		line[0] = '\0';
	return line;
}

static void remove_device(struct fake_host *fake, const char *name)
{
	char path[PATH_MAX];

	path_of(fake, path, "sys/bus/pci/devices/%s", name);
	unlink(path);
}

/* --- the driver core --- */

static int write_override(struct fake_host *fake, const char *name, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/driver_override", name);
	fake_host_file(fake, path, !strcmp(text, "\n") ? "(null)\n" : text);
	return 0;
}

static int write_unbind(struct fake_host *fake, const char *name)
{
	if (!strcmp(name, fake->stuck))
		return 0;
	bind_to(fake, name, NULL);
	if (!strcmp(name, fake->vanishes))
		remove_device(fake, name);
	return 0;
}

/* Is the only driver that may bind by its override, or matches by its ids. */
static bool matches(struct fake_host *fake, const char *name, const char *driver)
{
	const char *override = fake_host_override(fake, name);
	char own[64] = "", dir[PATH_MAX];

	path_of(fake, dir, "own");
	sysfs_read_line(dir, name, own, sizeof(own));
	if (override[0])
		return !strcmp(override, driver);
	return !strcmp(own, driver) || (fake->by_ids && !strcmp(driver, BIND_DRIVER));
}

static bool takes(struct fake_host *fake, const char *name, const char *driver)
{
	return strcmp(name, strcmp(driver, BIND_DRIVER) ? fake->lost_driver : fake->refused);
}

static int write_bind(struct fake_host *fake, const char *driver, const char *name)
{
	char dir[PATH_MAX];

	path_of(fake, dir, "sys/bus/pci/drivers/%s", driver);
	if (access(dir, F_OK))
		return -ENOENT;
	if (!bind_exists(&fake->host, name) || !matches(fake, name, driver))
		return -ENODEV;
	if (fake_host_driver(fake, name)[0])
		return -EBUSY;
	if (!takes(fake, name, driver))
		return -EIO;
	bind_to(fake, name, driver);
	return 0;
}

static int write_probe(struct fake_host *fake, const char *name)
{
	const char *override = fake_host_override(fake, name);
	char own[64] = "", dir[PATH_MAX];

	if (!bind_exists(&fake->host, name))
		return -ENODEV;
	if (fake_host_driver(fake, name)[0])
		return 0;
	path_of(fake, dir, "own");
	sysfs_read_line(dir, name, own, sizeof(own));
	if (!override[0])
		override = fake->by_ids ? BIND_DRIVER : own;
	if (!override[0] || (!strcmp(override, BIND_DRIVER) && !strcmp(name, fake->refused)) ||
	    (!strcmp(override, own) && !strcmp(name, fake->lost_driver)))
		return 0;
	bind_to(fake, name, override);
	return 0;
}

static int fake_write(struct bind_host *host, const char *path, const char *text)
{
	struct fake_host *fake = fake_of(host);
	const char *last = strrchr(path, '/') + 1;
	char name[16] = "", driver[32];

	fake->writes++;
	if (fake->write_error)
		return fake->write_error;
	if (!strcmp(last, "drivers_probe"))
		return write_probe(fake, text);
	if (!strcmp(last, "bind") && sscanf(path + strlen(fake->sysfs),
					    "/bus/pci/drivers/%31[^/]", driver) == 1)
		return write_bind(fake, driver, text);
	if (sscanf(path + strlen(fake->sysfs), "/bus/pci/devices/%12s", name) != 1 ||
	    !bind_exists(host, name))
		return -ENOENT;
	if (!strcmp(last, "driver_override"))
		return write_override(fake, name, text);
	if (strcmp(last, "unbind") || strcmp(text, name))
		return -EINVAL;
	return write_unbind(fake, name);
}

static int fake_may_write(struct bind_host *host, const char *path)
{
	(void)path;
	return fake_of(host)->write_error;
}

static int fake_load(struct bind_host *host, const char *module)
{
	struct fake_host *fake = fake_of(host);

	fake->loads++;
	if (fake->load_error || strcmp(module, BIND_DRIVER))
		return fake->load_error ? fake->load_error : -ENOENT;
	fake_host_dir(fake, "sys/bus/pci/drivers/" BIND_DRIVER);
	return 0;
}

static int fake_hold(struct bind_host *host, int group)
{
	struct fake_host *fake = fake_of(host);

	if (group < 0 || fake->no_groups)
		return -ENOENT;
	if (group == fake->busy_group)
		return -EBUSY;
	fake->held++;
	return 100 + group;
}

static void fake_let_go(struct bind_host *host, int fd)
{
	(void)fd;
	fake_of(host)->let_go++;
}

static bool fake_is_claimed(struct bind_host *host, const char *name)
{
	return !strcmp(fake_of(host)->claimed, name);
}

static void fake_say(struct bind_host *host, const char *line)
{
	text_add(&fake_of(host)->said, "%s\n", line);
}

static const struct bind_ops fake_ops = {
	.may_write = fake_may_write,
	.write = fake_write,
	.load = fake_load,
	.hold = fake_hold,
	.let_go = fake_let_go,
	.is_claimed = fake_is_claimed,
	.say = fake_say,
};

int fake_host_setup(void **state)
{
	struct fake_host *fake = calloc(1, sizeof(*fake));

	if (!fake)
		return -1;
	fake->root = fake_tree_create();
	snprintf(fake->sysfs, sizeof(fake->sysfs), "%s/sys", fake->root);
	snprintf(fake->proc, sizeof(fake->proc), "%s/proc", fake->root);
	snprintf(fake->state, sizeof(fake->state), "%s/run/bind", fake->root);
	fake->host = (struct bind_host) {
		.ops = &fake_ops, .sysfs = fake->sysfs, .proc = fake->proc, .state = fake->state,
	};
	fake_host_dir(fake, "sys/bus/pci/devices");
	fake_host_dir(fake, "sys/bus/pci/drivers/" BIND_DRIVER);
	fake_host_dir(fake, "proc/self");
	*state = fake;
	return 0;
}

int fake_host_teardown(void **state)
{
	struct fake_host *fake = *state;

	fake_tree_remove(fake->root);
	text_finish(&fake->said);
	free(fake);
	return 0;
}
