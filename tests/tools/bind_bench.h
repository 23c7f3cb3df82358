/*
 * For the tests of bind and unbind: a card on a host of fakes (tests/fake_host.h), a command that
 * is run on it, and what it said and did. Included after <cmocka.h>.
 */
#ifndef TESTS_TOOLS_BIND_BENCH_H
#define TESTS_TOOLS_BIND_BENCH_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fake_host.h"
#include "tools/pci_class.h"
#include "tools/tools.h"
#include "vmm/base/bits.h"

#define GPU "0000:01:00.0"
#define SOUND "0000:01:00.1"

static const struct fake_device gpu = {GPU, "nouveau", 7, 0x030000, NULL, NULL};
static const struct fake_device sound = {SOUND, "snd_hda_intel", 7, 0x040300, NULL, NULL};
static const struct fake_device bridge = {"0000:00:01.0", "pcieport", 7, 0x060400, NULL, NULL};

static inline void add_card(struct fake_host *fake)
{
	fake_host_add(fake, &gpu);
	fake_host_add(fake, &sound);
	fake_host_add(fake, &bridge);
}

/* Runs a command; what it writes to standard output and error is `output` afterwards. */
static char output[16384];

static inline int run(struct fake_host *fake, int (*command)(struct bind_host *, int, char *[]),
		      const char *words)
{
	char line[256], *argv[16];
	int argc = 0, out = dup(1), err = dup(2), status;
	FILE *file = tmpfile();
	size_t len;

	snprintf(line, sizeof(line), "%s", words);
	for (char *word = strtok(line, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	argv[argc] = NULL;
	text_finish(&fake->said);
	fflush(NULL);
	assert_true(file && dup2(fileno(file), 1) == 1 && dup2(fileno(file), 2) == 2);
	status = command(&fake->host, argc, argv);
	fflush(NULL);
	dup2(out, 1);
	dup2(err, 2);
	close(out);
	close(err);
	rewind(file);
	len = fread(output, 1, sizeof(output) - 1, file);
	output[len] = '\0';
	fclose(file);
	assert_int_equal(fake->held, fake->let_go);
	return status;
}

static inline void expect_says(const char *text)
{
	if (!strstr(output, text))
		fail_msg("no '%s' in '%s'", text, output);
}

static inline void expect_said(const struct fake_host *fake, const char *text)
{
	if (!fake->said.bytes || !strstr(fake->said.bytes, text))
		fail_msg("no '%s' in '%s'", text, fake->said.bytes ? fake->said.bytes : "");
}

static inline void expect_driver(struct fake_host *fake, const char *name, const char *driver,
				 const char *override)
{
	if (strcmp(fake_host_driver(fake, name), driver) ||
	    strcmp(fake_host_override(fake, name), override))
		fail_msg("%s has driver '%s', override '%s'", name, fake_host_driver(fake, name),
			 fake_host_override(fake, name));
}

static inline void expect_as_before(struct fake_host *fake)
{
	expect_driver(fake, GPU, "nouveau", "");
	expect_driver(fake, SOUND, "snd_hda_intel", "");
	assert_false(fake_host_exists(fake, "run/bind/" GPU));
	assert_false(fake_host_exists(fake, "run/bind/" SOUND));
}

#define OF_CARD ",\"vendor\":4318,\"device\":9860}\n" /* 10de:2684, as fake_host_add() makes them */
#define REMEMBERED "{\"driver\":\"nouveau\",\"override\":\"\"" OF_CARD

/* A new host, on which a program was ended at work on the GPU, which it has left as `left`. */
static inline struct fake_host *start_half_way(void **state, const struct fake_device *left)
{
	struct fake_host *fake;

	assert_int_equal(fake_host_teardown(state) | fake_host_setup(state), 0);
	fake = *state;
	fake_host_add(fake, left);
	fake_host_add(fake, &sound);
	fake_host_file(fake, "run/bind/" GPU, REMEMBERED);
	return fake;
}

static inline void add_holder(struct fake_host *fake, const char *node)
{
	char link[128];

	fake_host_file(fake, "proc/812/comm", "Xorg\n");
	fake_host_dir(fake, "proc/812/fd");
	snprintf(link, sizeof(link), "%s/812/fd/9", fake->proc);
	assert_int_equal(symlink(node, link), 0);
}

#define BIND_TEST(name) cmocka_unit_test_setup_teardown(name, fake_host_setup, fake_host_teardown)

#endif
