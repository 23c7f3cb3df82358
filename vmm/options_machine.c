/*
 * The options --memory and --cpus: a number, then keys.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/base/text.h"
#include "vmm/options_internal.h"

#define MEMORY_ALIGN (2 * MIB)
#define MEMORY_MAX (8ULL << 40) /* what KVM takes as one piece */

/* A piece of an option's value, up to a comma. */
struct piece {
	const char *at;
	size_t len;
};

static bool is_word(const struct piece *piece, const char *word)
{
	return piece->len == strlen(word) && !memcmp(piece->at, word, piece->len);
}

/* Takes the piece at `*at`, and steps over its comma. False at the end of the value. */
static bool next_piece(const char **at, struct piece *ret_piece)
{
	if (!*at)
		return false;
	*ret_piece = (struct piece){*at, strcspn(*at, ",")};
	*at += ret_piece->len;
	*at = **at ? *at + 1 : NULL;
	return true;
}

/* --- memory --- */

/* Digits, then one of K, M, G, T or nothing (MiB). False on anything else, or overflow. */
static bool parse_size(const struct piece *piece, uint64_t *ret_size)
{
	static const char units[] = "KMGT";
	const char *unit, *last = piece->at + piece->len;
	unsigned int shift = 20;
	unsigned long long number;
	char *end;

	if (*piece->at < '0' || *piece->at > '9')
		return false;
	errno = 0;
	number = strtoull(piece->at, &end, 10);
	if (errno)
		return false;
	if (end != last) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || end + 1 != last)
			return false;
		shift = 10 * (unsigned int)(unit - units + 1);
	}
	if (number > MEMORY_MAX >> shift)
		return false;
	*ret_size = (uint64_t)number << shift;
	return true;
}

static const struct {
	const char *key;
	uint64_t bytes;
} huge_pages[] = {
	{"hugepages=2M", 2 * MIB},
	{"hugepages=1G", GIB},
};

/* 0, or a sentence. */
static int set_memory_key(const struct piece *key, uint64_t *page, bool *prefault,
			  const char *text, struct why why)
{
	const struct piece name = {key->at, strcspn(key->at, "=,")};

	if (is_word(key, "prefault")) {
		*prefault = true;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(huge_pages); i++) {
		if (!is_word(key, huge_pages[i].key))
			continue;
		*page = huge_pages[i].bytes;
		return 0;
	}
	if (is_word(&name, "hugepages"))
		snprintf(why.text, why.size, "--memory %s: hugepages takes 2M or 1G", text);
	else
		snprintf(why.text, why.size, "--memory %s: no key \"%.*s\"; there are hugepages, "
			 "prefault", text, (int)key->len, key->at);
	return -EINVAL;
}

int options_set_memory(struct options *options, const char *text, struct why why)
{
	uint64_t size, page = 0;
	bool prefault = false;
	const char *at = text;
	struct piece piece;

	next_piece(&at, &piece);
	if (!parse_size(&piece, &size) || size < RAM_MIN_SIZE || size % MEMORY_ALIGN) {
		snprintf(why.text, why.size, "--memory %s: not a size from 16M to 8T in steps of "
			 "2M; for example 512M or 4G", text);
		return -EINVAL;
	}
	while (next_piece(&at, &piece))
		if (set_memory_key(&piece, &page, &prefault, text, why))
			return -EINVAL;
	if (page && size % page) {
		snprintf(why.text, why.size, "--memory %s: not a whole number of pages of 1G; "
			 "%lluG would be", text, (unsigned long long)(size / page + 1));
		return -EINVAL;
	}
	options->memory = size;
	options->memory_page = page;
	options->prefault = prefault;
	return 0;
}

/* In MiB, of which RAM has a whole number. */
bool options_get_memory(const struct options *options, unsigned int index, struct text *ret_text)
{
	(void)index;
	text_add(ret_text, "%llu", (unsigned long long)(options->memory / MIB));
	for (size_t i = 0; i < ARRAY_SIZE(huge_pages); i++)
		if (huge_pages[i].bytes == options->memory_page)
			text_add(ret_text, ",%s", huge_pages[i].key);
	if (options->prefault)
		text_add(ret_text, ",prefault");
	return true;
}

/* --- CPUs --- */

static int refuse_list(const char *text, int error, struct why why)
{
	const char *problem = "takes a list of the host's CPUs, as 2-5 or 0,2,8-11, and is the "
			      "last key";

	if (error == -EEXIST)
		problem = "has a CPU twice; it takes one for each of the guest's";
	else if (error == -ERANGE)
		problem = "takes numbers of CPUs up to 1023";
	else if (error == -E2BIG)
		problem = "takes one CPU for each of the guest's, which has 64 at most";
	snprintf(why.text, why.size, "--cpus %s: pin %s", text, problem);
	return -EINVAL;
}

/* `list` is the rest of the value: it has commas of its own. */
static int parse_pin(const char *text, const char *list, unsigned int cpus,
		     struct cpu_list *ret_list, struct why why)
{
	int error = cpu_list_parse(list, ret_list);

	if (error)
		return refuse_list(text, error, why);
	if (ret_list->count == cpus)
		return 0;
	snprintf(why.text, why.size, "--cpus %s: pin takes one of the host's CPUs for each of the "
		 "guest's, %u, not %u; taskset gives all of them a set", text, cpus,
		 ret_list->count);
	return -EINVAL;
}

#define HALT_POLL_MAX_US (UINT32_MAX / 1000) /* KVM has nanoseconds in 32 bits */

struct cpus {
	unsigned int count;
	struct cpu_list pin;
	bool has_halt_poll;
	uint32_t halt_poll_us;
};

static int parse_halt_poll(const char *text, const struct piece *piece, uint32_t *ret_us,
			   struct why why)
{
	char *end;
	unsigned long us = strtoul(piece->at, &end, 10);

	if (piece->len && *piece->at >= '0' && *piece->at <= '9' && end == piece->at + piece->len &&
	    us <= HALT_POLL_MAX_US) {
		*ret_us = (uint32_t)us;
		return 0;
	}
	snprintf(why.text, why.size, "--cpus %s: halt-poll takes microseconds, 0 to %u", text,
		 HALT_POLL_MAX_US);
	return -EINVAL;
}

/* The part of a value that is behind `word`, NULL where it does not begin so. */
static const char *after(const char *value, const char *word)
{
	return strncmp(value, word, strlen(word)) ? NULL : value + strlen(word);
}

/* `keys` is what follows the number. The list of pin= has commas of its own: it is the rest. */
static int parse_cpu_keys(const char *text, const char *keys, struct cpus *cpus, struct why why)
{
	const char *value;
	struct piece piece;
	int error = 0;

	while (!error && keys) {
		value = after(keys, "pin=");
		if (value)
			return parse_pin(text, value, cpus->count, &cpus->pin, why);
		next_piece(&keys, &piece);
		value = after(piece.at, "halt-poll=");
		if (!value) {
			snprintf(why.text, why.size, "--cpus %s: no key \"%.*s\"; there are "
				 "halt-poll, pin", text, (int)piece.len, piece.at);
			return -EINVAL;
		}
		piece.len -= (size_t)(value - piece.at);
		piece.at = value;
		cpus->has_halt_poll = true;
		error = parse_halt_poll(text, &piece, &cpus->halt_poll_us, why);
	}
	return error;
}

int options_set_cpus(struct options *options, const char *text, struct why why)
{
	struct cpus cpus = {.count = 0};
	char *end;
	unsigned long count = strtoul(text, &end, 10);
	int error;

	if (*text < '0' || *text > '9' || (*end && *end != ',') || count < 1 || count > VCPU_MAX) {
		snprintf(why.text, why.size, "--cpus %s: not a number from 1 to %u", text,
			 VCPU_MAX);
		return -EINVAL;
	}
	cpus.count = (unsigned int)count;
	error = parse_cpu_keys(text, *end ? end + 1 : NULL, &cpus, why);
	if (error)
		return error;
	options->cpus = cpus.count;
	options->pin = cpus.pin;
	options->has_halt_poll = cpus.has_halt_poll;
	options->halt_poll_us = cpus.halt_poll_us;
	return 0;
}

bool options_get_cpus(const struct options *options, unsigned int index, struct text *ret_text)
{
	(void)index;
	text_add(ret_text, "%u", options->cpus);
	if (options->has_halt_poll)
		text_add(ret_text, ",halt-poll=%u", options->halt_poll_us);
	if (options->pin.count) {
		text_add(ret_text, ",pin=");
		cpu_list_format(&options->pin, ret_text);
	}
	return true;
}
