#include "tools/ctl_view.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/bits.h"

#define REFUSED "refused_"

const char *const view_wake_names[VIEW_WAKES] = {"guest", "host", "pme", "unknown"};

#define NO_OBJECT UINT32_MAX /* of which nothing is a member; 0 would be the outermost */

static unsigned int find_object(const struct json_doc *doc, unsigned int object, const char *name)
{
	unsigned int member = json_member(doc, object, name);

	return member ? member : NO_OBJECT;
}

static bool get_string(const struct json_doc *doc, unsigned int object, const char *name,
		       char *text, size_t size)
{
	return json_get_string(doc, json_member(doc, object, name), text, size);
}

static bool get_number(const struct json_doc *doc, unsigned int object, const char *name,
		       uint64_t *ret_number)
{
	return json_get_number(doc, json_member(doc, object, name), INT64_MAX, ret_number);
}

/* "refused_eio": 2 becomes "EIO 2", as long as there is room. */
static void add_refusal(struct view_function *fn, const char *error, uint64_t count)
{
	size_t used = strlen(fn->refused), room = sizeof(fn->refused) - used;
	char name[VIEW_WORD];
	int len;

	snprintf(name, sizeof(name), "%s", error);
	for (char *letter = name; *letter; letter++)
		*letter = (char)toupper((unsigned char)*letter);
	len = snprintf(fn->refused + used, room, "%s%s %llu", used ? ", " : "", name,
		       (unsigned long long)count);
	if (len < 0 || (size_t)len >= room)
		fn->refused[used] = '\0';
}

static void read_counters(const struct json_doc *doc, unsigned int counters,
			  struct view_function *fn)
{
	const struct {
		const char *name;
		uint64_t *number;
	} numbers[] = {
		{"entries", &fn->entries}, {"refusals", &fn->refusals}, {"losses", &fn->losses},
		{"wakes_guest", &fn->wakes[VIEW_WAKE_GUEST]},
		{"wakes_host", &fn->wakes[VIEW_WAKE_HOST]},
		{"wakes_pme", &fn->wakes[VIEW_WAKE_PME]},
		{"wakes_unknown", &fn->wakes[VIEW_WAKE_UNKNOWN]},
		{"engaged_us", &fn->engaged_us}, {"suspended_us", &fn->suspended_us},
		{"entry_us_p50", &fn->entry_p50_us}, {"entry_us_p99", &fn->entry_p99_us},
		{"exit_us_p50", &fn->exit_p50_us}, {"exit_us_p99", &fn->exit_p99_us},
	};
	unsigned int name = 0;

	while ((name = json_next_member(doc, counters, name))) {
		char text[VIEW_WORD];
		uint64_t number;

		if (!json_get_string(doc, name, text, sizeof(text)) ||
		    !json_get_number(doc, name + 1, INT64_MAX, &number))
			continue;
		for (unsigned int i = 0; i < ARRAY_SIZE(numbers); i++)
			if (!strcmp(numbers[i].name, text))
				*numbers[i].number = number;
		if (!strncmp(text, REFUSED, strlen(REFUSED)))
			add_refusal(fn, text + strlen(REFUSED), number);
	}
}

static int read_function(const struct json_doc *doc, unsigned int at, struct view_function *fn)
{
	unsigned int host = find_object(doc, at, "host");

	if (!get_string(doc, at, "name", fn->name, sizeof(fn->name)) ||
	    !get_string(doc, at, "state", fn->state, sizeof(fn->state)) ||
	    !get_number(doc, at, "since_us", &fn->since_us))
		return -EPROTO;
	get_string(doc, at, "error", fn->error, sizeof(fn->error));
	fn->has_host = get_string(doc, host, "power_state", fn->power_state,
				  sizeof(fn->power_state));
	json_get_bool(doc, json_member(doc, host, "suspended"), &fn->suspended);
	read_counters(doc, find_object(doc, at, "counters"), fn);
	return 0;
}

static int read_slot(const struct json_doc *doc, unsigned int at, struct view_slot *slot)
{
	unsigned int policy = find_object(doc, at, "policy");
	unsigned int functions = json_member(doc, at, "functions"), function;

	if (!get_string(doc, at, "id", slot->id, sizeof(slot->id)) || !functions)
		return -EPROTO;
	get_string(doc, at, "name", slot->name, sizeof(slot->name));
	get_string(doc, at, "guest", slot->guest, sizeof(slot->guest));
	get_number(doc, at, "hold_ms", &slot->hold_ms);
	get_string(doc, policy, "power", slot->power, sizeof(slot->power));
	get_string(doc, policy, "reset", slot->reset, sizeof(slot->reset));
	get_string(doc, policy, "reasons", slot->reasons, sizeof(slot->reasons));
	while ((function = json_element(doc, functions, slot->functions)))
		if (slot->functions == VIEW_FUNCTIONS ||
		    read_function(doc, function, &slot->function[slot->functions++]))
			return -EPROTO;
	return 0;
}

int view_read_power(const struct json_doc *doc, struct view_power *ret_power)
{
	unsigned int slots = json_member(doc, 0, "slots"), slot;

	*ret_power = (struct view_power) {.slots = 0};
	if (!slots || !get_number(doc, 0, "t_us", &ret_power->t_us))
		return -EPROTO;
	json_get_bool(doc, json_member(doc, 0, "suspended"), &ret_power->suspended);
	while ((slot = json_element(doc, slots, ret_power->slots)))
		if (ret_power->slots == VIEW_SLOTS ||
		    read_slot(doc, slot, &ret_power->slot[ret_power->slots++]))
			return -EPROTO;
	return 0;
}

int view_read_info(const struct json_doc *doc, struct view_info *ret_info)
{
	unsigned int config = find_object(doc, 0, "config");

	*ret_info = (struct view_info) {.memory = 0};
	if (!get_string(doc, 0, "state", ret_info->state, sizeof(ret_info->state)))
		return -EPROTO;
	get_number(doc, 0, "uptime_us", &ret_info->uptime_us);
	get_number(doc, find_object(doc, config, "memory"), "size", &ret_info->memory);
	get_number(doc, find_object(doc, config, "cpus"), "boot_vcpus", &ret_info->cpus);
	get_string(doc, find_object(doc, config, "payload"), "kernel", ret_info->kernel,
		   sizeof(ret_info->kernel));
	return 0;
}

uint64_t view_engaged_us(const struct view_power *power, const struct view_function *fn)
{
	uint64_t now = 0;

	if (!strcmp(fn->state, "engaged") && power->t_us > fn->since_us)
		now = power->t_us - fn->since_us;
	return fn->engaged_us + now;
}

bool view_is_settling(const struct view_power *power)
{
	for (unsigned int i = 0; i < power->slots; i++)
		for (unsigned int k = 0; k < power->slot[i].functions; k++) {
			const struct view_function *fn = &power->slot[i].function[k];

			if (fn->has_host && !fn->suspended && !strcmp(fn->state, "engaged"))
				return true;
		}
	return false;
}
