/* The serial port of a guest that has no agent, by what it says. */
#include "guest-tests/rig/driver.h"

#include <stdio.h>
#include <string.h>

#define CONSOLE_MS 60000U

/* Without NULs. The older half goes when there is too much of it; a boot has some 50 KB. */
static char said[256 * 1024];
static size_t said_len, looked_at;

void console_begin(void)
{
	said_len = looked_at = 0;
	said[0] = '\0';
}

void console_feed(const char *text, size_t len)
{
	if (said_len + len >= sizeof(said)) {
		size_t half = said_len / 2;

		memmove(said, said + half, said_len - half);
		said_len -= half;
		looked_at = looked_at > half ? looked_at - half : 0;
	}
	for (size_t i = 0; i < len; i++)
		if (text[i])
			said[said_len++] = text[i];
	said[said_len] = '\0';
}

struct wanted {
	char text[LINE_MAX_BYTES];
};

static int is_said(struct rig *rig, void *arg)
{
	const struct wanted *wanted = arg;
	const char *at = strstr(said + looked_at, wanted->text), *line = at;

	if (!at)
		return vm_dead(&rig->vm);
	while (line > said && line[-1] != '\n' && line[-1] != '\r')
		line--;
	snprintf(rig->answer, sizeof(rig->answer), "%.*s", (int)strcspn(line, "\r\n"), line);
	looked_at = (size_t)(at - said) + strlen(wanted->text);
	return 1;
}

static const char *last_line(void)
{
	const char *line = said + said_len;

	while (line > said && line[-1] != '\n')
		line--;
	return line;
}

/* console TEXT [TIME] */
int do_console(struct rig *rig, const struct words *words, const char *rest)
{
	unsigned int ms = timeout_or(words, CONSOLE_MS);
	struct wanted wanted;
	size_t len = strlen(rest);
	int result;

	if (words->timeout_ms)
		len -= strlen(words->word[words->count - 1]);
	while (len && rest[len - 1] == ' ')
		len--;
	snprintf(wanted.text, sizeof(wanted.text), "%.*s", (int)len, rest);
	result = rig_wait(rig, is_said, &wanted, ms);
	if (result == WAIT_TIMEOUT) {
		say("guest: as far as its last line came: %.*s", LINE_MAX_BYTES / 2, last_line());
		return fail("the guest has not said \"%s\" within %u s", wanted.text, ms / 1000);
	}
	return result;
}
