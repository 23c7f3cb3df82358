/*
 * The VMM's event file: read as it grows. inotify tells, so nothing polls, and the moment at which
 * the file appears is the VMM's t_us = 0 on our clock.
 */
#include "guest-tests/rig/driver.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

int events_begin(struct events *events, const char *path)
{
	char dir[NAME_MAX_BYTES];

	for (size_t i = 0; i < events->count; i++)
		free(events->list[i]);
	free(events->list);
	*events = (struct events){.fd = -1};
	snprintf(events->path, sizeof(events->path), "%s", path);
	snprintf(dir, sizeof(dir), "%s", path);
	mkdir(dirname(dir), 0755);
	unlink(path);
	events->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (events->inotify < 0 ||
	    inotify_add_watch(events->inotify, dir, IN_CREATE | IN_MODIFY) < 0)
		return fail("host: cannot watch %s: %m", dir);
	return 0;
}

static void take_event(struct rig *rig, char *line)
{
	struct events *events = &rig->events;
	char **list = realloc(events->list, (events->count + 1) * sizeof(*list));

	say("event: %s", line);
	if (!list)
		return;
	events->list = list;
	list[events->count] = strdup(line);
	if (list[events->count])
		events->count++;
}

void events_pump(struct rig *rig)
{
	struct events *events = &rig->events;
	char text[4096];
	ssize_t len;

	if (!events->path[0])
		return;
	while (events->inotify > 0 && read(events->inotify, text, sizeof(text)) > 0)
		;
	if (events->fd < 0) {
		events->fd = open(events->path, O_RDONLY | O_CLOEXEC);
		events->zero_us = now_us();
	}
	while (events->fd >= 0 && (len = read(events->fd, text, sizeof(text))) > 0)
		line_feed(rig, &events->line, text, (size_t)len, take_event);
}

/* The list stays, for steps that look back. */
void events_end(struct events *events)
{
	if (events->inotify > 0)
		close(events->inotify);
	if (events->fd >= 0)
		close(events->fd);
	events->inotify = events->fd = -1;
	events->path[0] = '\0';
}

/* The start of the value of a key of a flat JSON object, or NULL. */
static const char *find_value(const char *line, const char *key)
{
	size_t len = strlen(key);
	bool in_string = false;

	for (const char *p = line; *p; p++) {
		if (in_string && *p == '\\' && p[1]) {
			p++;
			continue;
		}
		if (*p != '"')
			continue;
		in_string = !in_string;
		if (in_string && !strncmp(p + 1, key, len) && !strncmp(p + 1 + len, "\":", 2))
			return p + len + 3 + strspn(p + len + 3, " ");
	}
	return NULL;
}

bool event_field(const char *line, const char *key, char *text, size_t size)
{
	const char *value = find_value(line, key);
	size_t len = 0;
	bool quoted;

	if (!value || !size)
		return false;
	quoted = *value == '"';
	for (value += quoted; *value && len < size - 1; value++) {
		if (quoted ? *value == '"' : strchr(",}", *value) != NULL)
			break;
		if (*value == '\\' && value[1])
			value++;
		text[len++] = *value;
	}
	text[len] = '\0';
	return true;
}

bool event_matches(const char *line, char *const *criteria, unsigned int count)
{
	char key[NAME_MAX_BYTES], value[LINE_MAX_BYTES];

	for (unsigned int i = 0; i < count; i++) {
		const char *equals = strchr(criteria[i], '=');
		const char *wanted = equals ? equals + 1 : criteria[i];
		const char *name = equals ? criteria[i] : "event";

		snprintf(key, sizeof(key), "%.*s", (int)strcspn(name, "="), name);
		if (!event_field(line, key, value, sizeof(value)))
			return false;
		if (fnmatch(wanted, value, FNM_CASEFOLD))
			return false;
	}
	return true;
}
