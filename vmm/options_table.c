/*
 * What every option sets, and what it is set to: the one table that the command line, a config and
 * --print-config go by.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/text.h"
#include "vmm/options_internal.h"
#include "vmm/shutdown.h"
#include "vmm/unix_socket.h"

static const char *const panic_actions[] = {
	[PANIC_IGNORE] = "ignore", [PANIC_EXIT] = "exit", [PANIC_REBOOT] = "reboot", NULL};
static const char *const watchdog_actions[] = {
	[WATCHDOG_OFF] = "off", [WATCHDOG_REBOOT] = "reboot", [WATCHDOG_EXIT] = "exit", NULL};
static const char *const vfio_backends[] = {
	[VFIO_BACKEND_AUTO] = "auto", [VFIO_BACKEND_GROUP] = "group",
	[VFIO_BACKEND_IOMMUFD] = "iommufd", NULL};
static const char *const consoles[] = {
	[CONSOLE_SERIAL] = "serial", [CONSOLE_VIRTIO] = "virtio", NULL};

static int set_shutdown_timeout(struct options *options, const char *text, struct why why)
{
	char *end;
	unsigned long seconds = strtoul(text, &end, 10);

	if (*text >= '0' && *text <= '9' && !*end && seconds <= SHUTDOWN_TIMEOUT_MAX_S) {
		options->shutdown_timeout_s = (unsigned int)seconds;
		return 0;
	}
	snprintf(why.text, why.size, "--shutdown-timeout %s: not a number of seconds from 0 to %u",
		 text, SHUTDOWN_TIMEOUT_MAX_S);
	return -EINVAL;
}

static bool get_shutdown_timeout(const struct options *options, unsigned int index,
				 struct text *ret_text)
{
	(void)index;
	text_add(ret_text, "%u", options->shutdown_timeout_s);
	return true;
}

/* An empty path is a variable of a script that is not set, say. */
static int refuse_empty(const char *what, struct why why)
{
	snprintf(why.text, why.size, "%s \"\": a path cannot be empty", what);
	return -EINVAL;
}

/* What is longer than every path would only push the reason out of the sentence that refuses it. */
static bool has_length(const char *dashes, const char *name, const char *value, struct why why)
{
	size_t len = strlen(value);

	if (len < PATH_MAX)
		return true;
	snprintf(why.text, why.size, "%s%s %.20s...: a value of %zu bytes; it can have %d", dashes,
		 name, value, len, PATH_MAX - 1);
	return false;
}

int options_set_kernel(struct options *options, const char *path, struct why why)
{
	if (!*path)
		return refuse_empty("guest", why);
	if (!has_length("", "guest", path, why))
		return -ENAMETOOLONG;
	if (options->kernel && !options->inherited.kernel) {
		snprintf(why.text, why.size,
			 "two guests: '%s' and '%s'; give one, as --kernel or alone",
			 options->kernel, path);
		return -EINVAL;
	}
	options->kernel = path;
	options->inherited.kernel = false;
	return 0;
}

/* Likewise empty: only a config's can be taken away. */
static int set_firmware(struct options *options, const char *text, struct why why)
{
	if (!*text && options->firmware.kind == FIRMWARE_NONE) {
		snprintf(why.text, why.size, "--firmware \"\": it cannot be empty, and there is "
			 "none of a --config to take away");
		return -EINVAL;
	}
	return firmware_option_parse(text, &options->firmware, why.text, why.size);
}

static bool get_firmware(const struct options *options, unsigned int index, struct text *ret_text)
{
	(void)index;
	if (options->firmware.kind == FIRMWARE_NONE)
		return false;
	firmware_option_format(&options->firmware, ret_text);
	return true;
}

static int set_config(struct options *options, const char *path, struct why why)
{
	if (!*path)
		return refuse_empty("--config", why);
	if (options->config) {
		snprintf(why.text, why.size, "two configs: '%s' and '%s'; one can /include/ the "
			 "other", options->config, path);
		return -EINVAL;
	}
	options->config = path;
	return 0;
}

static int set_api(struct options *options, const char *path, struct why why)
{
	size_t len = strlen(path);

	options->api = path;
	if (len < UNIX_SOCKET_PATH_SIZE)
		return 0;
	snprintf(why.text, why.size, "--api %.20s...: the path of a socket has 1 to %u bytes, not "
		 "%zu", path, UNIX_SOCKET_PATH_SIZE - 1, len);
	return -EINVAL;
}

#define AT(field) offsetof(struct options, field)

const struct option_spec option_specs[OPTIONS_MAX + 1] = {
	{"gpu", OPTION_LIST, .set = options_add_slot, .get = options_get_slot},
	{"hotplug-ports", OPTION_VALUE, .set = options_set_hotplug_ports,
	 .get = options_get_hotplug_ports},
	{"disk", OPTION_LIST, .set = options_add_disk, .get = options_get_disk},
	{"cloud-init", OPTION_TEXT, .off = AT(cloud_init)},
	{"net", OPTION_LIST, .set = options_add_net, .get = options_get_net},
	{"vhost-user", OPTION_LIST, .set = options_add_vhost_user, .get = options_get_vhost_user},
	{"console", OPTION_WORD, .off = AT(console), .words = consoles},
	{"vsock", OPTION_VALUE, .set = options_set_vsock, .get = options_get_vsock},
	{"entropy", OPTION_FLAG, .off = AT(entropy)},
	{"kernel", OPTION_PATH, .off = AT(kernel), .set = options_set_kernel},
	{"initrd", OPTION_PATH, .off = AT(initrd)},
	{"append", OPTION_TEXT, .off = AT(append)},
	{"firmware", OPTION_VALUE, .set = set_firmware, .get = get_firmware},
	{"memory", OPTION_VALUE, .set = options_set_memory, .get = options_get_memory},
	{"cpus", OPTION_VALUE, .set = options_set_cpus, .get = options_get_cpus},
	{"events", OPTION_PATH, .off = AT(events)},
	{"api", OPTION_PATH, .off = AT(api), .set = set_api},
	{"quirks", OPTION_PATH, .off = AT(quirks)},
	{"vfio-backend", OPTION_WORD, .off = AT(vfio_backend), .words = vfio_backends},
	{"shutdown-timeout", OPTION_VALUE, .set = set_shutdown_timeout,
	 .get = get_shutdown_timeout},
	{"on-panic", OPTION_WORD, .off = AT(on_panic), .words = panic_actions},
	{"watchdog", OPTION_WORD, .off = AT(watchdog), .words = watchdog_actions},
	{"no-reboot", OPTION_FLAG, .off = AT(no_reboot)},
	{"debug-exit", OPTION_FLAG, .off = AT(debug_exit)},
	{"config", OPTION_FIRST_TEXT, .off = AT(config), .set = set_config},
	{"print-config", OPTION_FIRST_FLAG, .off = AT(print_config)},
	{"help", OPTION_FIRST_FLAG, .off = AT(help)},
	{"version", OPTION_FIRST_FLAG, .off = AT(version)},
};

bool option_is_flag(const struct option_spec *spec)
{
	return spec->kind == OPTION_FLAG || spec->kind == OPTION_FIRST_FLAG;
}

bool option_is_first(const struct option_spec *spec)
{
	return spec->kind == OPTION_FIRST_TEXT || spec->kind == OPTION_FIRST_FLAG;
}

static int set_flag(const struct option_spec *spec, bool *flag, const char *value, struct why why)
{
	bool off = value && !strcmp(value, "off");

	if (value && !off && strcmp(value, "on")) {
		snprintf(why.text, why.size, "--%s=%s: takes no value, but =on and =off",
			 spec->name, value);
		return -EINVAL;
	}
	*flag = !off;
	return 0;
}

static int set_word(const struct option_spec *spec, unsigned int *word, const char *value,
		    struct why why)
{
	const char *const *words = spec->words;
	size_t len;

	for (unsigned int i = 0; words[i]; i++)
		if (!strcmp(words[i], value)) {
			*word = i;
			return 0;
		}
	len = (size_t)snprintf(why.text, why.size, "--%s %s: not %s", spec->name, value, words[0]);
	for (unsigned int i = 1; words[i] && len < why.size; i++)
		len += (size_t)snprintf(why.text + len, why.size - len, "%s%s",
					words[i + 1] ? ", " : " or ", words[i]);
	return -EINVAL;
}

/* As if it had not been given, so that a config's can be taken away. */
static int take_away(const struct option_spec *spec, const char **text, struct why why)
{
	if (spec->kind == OPTION_PATH && !*text) {
		snprintf(why.text, why.size, "--%s \"\": a path cannot be empty, and there is none "
			 "of a --config to take away", spec->name);
		return -EINVAL;
	}
	*text = NULL;
	return 0;
}

int option_set(const struct option_spec *spec, struct options *options, const char *value,
	       struct why why)
{
	void *at = (char *)options + spec->off;

	/* The kernel's command line has a limit of its own. */
	if (value && spec->off != AT(append) && !has_length("--", spec->name, value, why))
		return -ENAMETOOLONG;
	if ((spec->kind == OPTION_TEXT || spec->kind == OPTION_PATH) && !*value)
		return take_away(spec, at, why);
	if (spec->set)
		return spec->set(options, value, why);
	if (option_is_flag(spec))
		return set_flag(spec, at, value, why);
	if (spec->kind == OPTION_WORD)
		return set_word(spec, at, value, why);
	*(const char **)at = value;
	return 0;
}

bool option_get(const struct option_spec *spec, const struct options *options, unsigned int index,
		struct text *ret_text)
{
	const void *at = (const char *)options + spec->off;
	const char *value;

	if (index && spec->kind != OPTION_LIST)
		return false;
	if (spec->get)
		return spec->get(options, index, ret_text);
	if (option_is_flag(spec))
		return *(const bool *)at;
	value = spec->kind == OPTION_WORD ? spec->words[*(const unsigned int *)at]
					  : *(const char *const *)at;
	if (value)
		text_add(ret_text, "%s", value);
	return value;
}
