#include "tests/fake_tree.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_SIZE 8192

char *fake_tree_create(void)
{
	char *root = strdup("/tmp/fake_tree.XXXXXX");

	assert_non_null(root);
	assert_non_null(mkdtemp(root));
	return root;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void fake_tree_remove(char *root)
{
	nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(root);
}

void fake_tree_empty(const char *root)
{
	nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(mkdir(root, 0700), 0);
}

static void make_dirs_above(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0700) && errno != EEXIST)
			fail_msg("mkdir %s: %s", path, strerror(errno));
		*slash = '/';
	}
}

/* Decodes \xNN and \n in place. Returns the length, for there may be zeroes. */
static size_t decode(char *text)
{
	char *out = text;

	for (const char *in = text; *in;) {
		unsigned int byte;

		if (in[0] == '\\' && in[1] == 'x' && sscanf(in + 2, "%2x", &byte) == 1) {
			*out++ = (char)byte;
			in += 4;
		} else if (in[0] == '\\' && in[1] == 'n') {
			*out++ = '\n';
			in += 2;
		} else {
			*out++ = *in++;
		}
	}
	return (size_t)(out - text);
}

static FILE *create(const char *path)
{
	FILE *file;

	unlink(path);
	file = fopen(path, "w");
	if (!file)
		fail_msg("%s: %s", path, strerror(errno));
	return file;
}

static void make_file(const char *path, char *text)
{
	FILE *file = create(path);
	size_t len = decode(text);

	fwrite(text, 1, len, file);
	fputc('\n', file);
	assert_int_equal(fclose(file), 0);
}

static void make_long_file(const char *path, unsigned long size)
{
	FILE *file = create(path);

	for (unsigned long i = 0; i < size; i++)
		fputc('a', file);
	assert_int_equal(fclose(file), 0);
}

static void make_link(const char *path, char *target)
{
	target[decode(target)] = '\0';
	unlink(path);
	if (symlink(target, path))
		fail_msg("%s -> %s: %s", path, target, strerror(errno));
}

/* Splits `line` at " SIGN "; NULL: there is none, or what comes before it has a blank. */
static char *split(char *line, const char *sign)
{
	char *at = strstr(line, sign);

	if (!at || at != line + strcspn(line, " "))
		return NULL;
	*at = '\0';
	return at + strlen(sign);
}

void fake_tree_add(const char *root, const char *line)
{
	char path[LINE_SIZE + PATH_MAX], *rest, *value;

	if (!strncmp(line, "- ", 2)) {
		snprintf(path, sizeof(path), "%s/%s", root, line + 2);
		nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
		return;
	}
	snprintf(path, sizeof(path), "%s/%s", root, line);
	rest = path + strlen(root) + 1;
	/* "PATH = " with nothing behind is an empty line. */
	if ((value = split(rest, " = ")) || (value = split(rest, " ="))) {
		make_dirs_above(path);
		make_file(path, value);
	} else if ((value = split(rest, " -> "))) {
		make_dirs_above(path);
		make_link(path, value);
	} else if ((value = split(rest, " * "))) {
		make_dirs_above(path);
		make_long_file(path, strtoul(value, NULL, 10));
	} else if (rest[0] && rest[strlen(rest) - 1] == '/') {
		make_dirs_above(path);
	} else {
		fail_msg("not an entry: '%s'", line);
	}
}

void fake_tree_build(const char *root, const char *path)
{
	char line[LINE_SIZE], other[PATH_MAX + LINE_SIZE];
	FILE *file = fopen(path, "r");

	if (!file)
		fail_msg("%s is missing; run in the project's root", path);
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (!line[0] || line[0] == '#')
			continue;
		if (strncmp(line, "include ", 8)) {
			fake_tree_add(root, line);
			continue;
		}
		snprintf(other, sizeof(other), "%.*s%s", (int)(strrchr(path, '/') + 1 - path), path,
			 line + 8);
		fake_tree_build(root, other);
	}
	fclose(file);
}
