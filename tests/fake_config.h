/*
 * Configs as blobs: from a list of properties, or one that has every property of the binding.
 */
#ifndef TESTS_FAKE_CONFIG_H
#define TESTS_FAKE_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#define FAKE_CONFIG_MAX 8192U

struct fake_config {
	_Alignas(8) uint8_t bytes[FAKE_CONFIG_MAX];
	size_t size;
};

struct fake_property {
	const char *node; /* "cpus", "" is the root; "cpus/cpu" is one below */
	const char *name; /* NULL: the node alone */
	const void *bytes;
	int len;
};

#define FAKE_STRING(text) text, sizeof(text)
#define FAKE_U32(digits) digits, 4 /* "\0\0\0\1" */
#define FAKE_EMPTY "", 0

/* A node begins where its name is another one than the row's before, so it can be there twice. The
 * last row has no node. */
void fake_config_create(struct fake_config *config, const struct fake_property *rows);

/* Every property of the binding, with a value that is not its default; two slots. */
extern const struct fake_property fake_config_whole[];

#endif
