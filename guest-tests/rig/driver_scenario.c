/* Reads the scenario file and performs its lines in order; `repeat N` ... `end` may be nested. */
#include "guest-tests/rig/driver.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 512
#define REPEAT_DEPTH 4

struct step {
	char *text;
	unsigned int line;
};

static struct step steps[STEPS_MAX];
static unsigned int step_count;

static int load(const char *path)
{
	FILE *file = fopen(path, "re");
	char text[LINE_MAX_BYTES];

	if (!file)
		return fail("%s: %m", path);
	for (unsigned int line = 1; fgets(text, sizeof(text), file); line++) {
		char *start = text + strspn(text, " \t");

		start[strcspn(start, "\n")] = '\0';
		if (!*start || *start == '#')
			continue;
		if (step_count == STEPS_MAX) {
			fclose(file);
			return fail("line %u: more than %d steps", line, STEPS_MAX);
		}
		steps[step_count++] = (struct step){.text = strdup(start), .line = line};
	}
	fclose(file);
	return 0;
}

static const char *variable(const struct rig *rig, const char *name, size_t len)
{
	static const struct {
		const char *name, *value;
	} fixed[] = {
		/* where the passed slot is in the guest */
		{"gpu", SYSFS_PCI "0000:01:00.0"},
		{"gpu.1", SYSFS_PCI "0000:01:00.1"},
		{"port", SYSFS_PCI "0000:00:01.0"},
		{"sysfs", "/sys/bus/pci/devices"},
		/* in pr3.asl: who reads it pulls WAKE# of {power} */
		{"wake-signal", "/sys/bus/acpi/devices/RIGW0001:00/status"},
	};

	for (size_t i = 0; i < DEVICE_COUNT; i++) {
		const struct rig_device *device = &rig->device[i];
		size_t own = strlen(device->name);

		if (len == own && !strncmp(name, device->name, len))
			return device->bdf;
		if (len == own + 5 && !strncmp(name, device->name, own) &&
		    !strncmp(name + own, "-port", 5))
			return device->port;
	}
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		if (strlen(fixed[i].name) == len && !strncmp(name, fixed[i].name, len))
			return fixed[i].value;
	}
	return value_find(name, len);
}

static int expand(const struct rig *rig, const char *text, char *out, size_t size)
{
	size_t len = 0;

	while (*text && len < size - 1) {
		/* JSON has braces, too, but no letter follows them. */
		bool is_name = *text == '{' && isalpha((unsigned char)text[1]);
		const char *value, *close = is_name ? strchr(text, '}') : NULL;

		if (!close) {
			out[len++] = *text++;
			continue;
		}
		value = variable(rig, text + 1, (size_t)(close - text - 1));
		if (!value)
			return fail("unknown name %.*s", (int)(close - text + 1), text);
		len += (size_t)snprintf(out + len, size - len, "%s", value);
		if (len >= size)
			break;
		text = close + 1;
	}
	out[len < size ? len : size - 1] = '\0';
	return 0;
}

/* "30s" or "500ms" */
static unsigned int timeout_of(const char *word)
{
	char *end;
	unsigned long n = strtoul(word, &end, 10);

	if (!isdigit((unsigned char)*word))
		return 0;
	if (!strcmp(end, "s"))
		return (unsigned int)n * 1000;
	return strcmp(end, "ms") ? 0 : (unsigned int)n;
}

static int perform(struct rig *rig, const char *text)
{
	static char line[LINE_MAX_BYTES], rest[LINE_MAX_BYTES];
	struct words words = {.count = 0};
	size_t skip;

	if (expand(rig, text, line, sizeof(line)) < 0)
		return -1;
	/* For steps that take text: everything after the first word. */
	skip = strcspn(line, " ");
	snprintf(rest, sizeof(rest), "%s", line + skip + strspn(line + skip, " "));
	for (char *word = strtok(line, " \t"); word && words.count < WORDS_MAX;
	     word = strtok(NULL, " \t"))
		words.word[words.count++] = word;
	words.timeout_ms = timeout_of(words.word[words.count - 1]);
	return step_perform(rig, &words, rest);
}

/* The step after the `end` that belongs to the `repeat` before `at`. */
static unsigned int after_end(unsigned int at)
{
	unsigned int depth = 1;

	for (; at < step_count && depth; at++) {
		if (!strncmp(steps[at].text, "repeat ", 7))
			depth++;
		else if (!strcmp(steps[at].text, "end"))
			depth--;
	}
	return at;
}

/* Performs the steps from `at` to the `end` of its block, or to the last one. */
static int run_block(struct rig *rig, unsigned int at, unsigned int depth)
{
	while (at < step_count && strcmp(steps[at].text, "end") != 0) {
		const char *text = steps[at].text;
		unsigned long times;

		if (strncmp(text, "repeat ", 7) != 0) {
			say("step %u: %s", steps[at].line, text);
			if (perform(rig, text) < 0) {
				char reason[LINE_MAX_BYTES];

				snprintf(reason, sizeof(reason), "%s", fail_reason());
				return fail("line %u '%s': %s", steps[at].line, text, reason);
			}
			at++;
			continue;
		}
		if (depth == REPEAT_DEPTH)
			return fail("line %u: repeat nested too deep", steps[at].line);
		times = strtoul(text + 7, NULL, 10);
		for (unsigned long i = 1; i <= times; i++) {
			say("repeat: %lu of %lu", i, times);
			if (run_block(rig, at + 1, depth + 1) < 0)
				return -1;
		}
		at = after_end(at + 1);
	}
	return 0;
}

int scenario_run(struct rig *rig, const char *path)
{
	int result = load(path);

	if (result == 0)
		result = run_block(rig, 0, 0);
	if (rig->vm.pid && result == 0)
		result = fail("the scenario ends while a VM still runs");
	return result;
}
