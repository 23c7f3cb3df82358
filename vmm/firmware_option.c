/*
 * The value of option --firmware: uefi, bios or FILE, and where the variables are.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/base/text.h"
#include "vmm/firmware_internal.h"

#define VARS_KEY "vars="

static const char *const words[] = {[FIRMWARE_UEFI] = "uefi", [FIRMWARE_BIOS] = "bios"};

const char *firmware_option_name(const struct firmware_option *option)
{
	return option->kind == FIRMWARE_FILE ? option->file : words[option->kind];
}

static int refuse(const char *text, const char *problem, char *ret_why, size_t why_size)
{
	snprintf(ret_why, why_size, "--firmware %s: %s", text, problem);
	return -EINVAL;
}

/* False: too long, or empty. */
static bool take_path(const char *path, size_t len, char ret_path[FIRMWARE_PATH_SIZE])
{
	if (!len || len >= FIRMWARE_PATH_SIZE)
		return false;
	memcpy(ret_path, path, len);
	ret_path[len] = '\0';
	return true;
}

int firmware_option_parse(const char *text, struct firmware_option *ret_option, char *ret_why,
			  size_t why_size)
{
	struct firmware_option option = {.kind = FIRMWARE_FILE};
	size_t len = strcspn(text, ",");
	const char *key = text[len] ? text + len + 1 : NULL;

	if (!*text) {
		*ret_option = (struct firmware_option){.kind = FIRMWARE_NONE};
		return 0;
	}
	if (!take_path(text, len, option.file))
		return refuse(text, "takes uefi, bios or the path of a file, of 1 to 1023 bytes",
			      ret_why, why_size);
	for (unsigned int i = FIRMWARE_UEFI; i < ARRAY_SIZE(words); i++)
		if (!strcmp(option.file, words[i]))
			option.kind = (enum firmware_kind)i;
	if (key && strncmp(key, VARS_KEY, strlen(VARS_KEY))) {
		snprintf(ret_why, why_size, "--firmware %s: no key \"%.*s\"; there is vars", text,
			 (int)strcspn(key, "=,"), key);
		return -EINVAL;
	}
	if (key) {
		key += strlen(VARS_KEY);
		if (strchr(key, ',') || !take_path(key, strlen(key), option.vars))
			return refuse(text, "vars takes a path of 1 to 1023 bytes without a comma",
				      ret_why, why_size);
		if (option.kind == FIRMWARE_BIOS)
			return refuse(text, "a BIOS has no variables", ret_why, why_size);
	}
	*ret_option = option;
	return 0;
}

void firmware_option_format(const struct firmware_option *option, struct text *ret_text)
{
	text_add(ret_text, "%s", firmware_option_name(option));
	if (option->vars[0])
		text_add(ret_text, "," VARS_KEY "%s", option->vars);
}
