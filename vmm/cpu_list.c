#include "vmm/cpu_list.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/base/text.h"

static int parse_number(const char **at, unsigned long *ret_number)
{
	char *end;

	if (**at < '0' || **at > '9')
		return -EINVAL;
	*ret_number = strtoul(*at, &end, 10);
	*at = end;
	return *ret_number < CPU_LIST_HOST_MAX ? 0 : -ERANGE;
}

static int add(struct cpu_list *list, unsigned long cpu)
{
	for (unsigned int i = 0; i < list->count; i++)
		if (list->cpu[i] == cpu)
			return -EEXIST;
	if (list->count == VCPU_MAX)
		return -E2BIG;
	list->cpu[list->count++] = (uint16_t)cpu;
	return 0;
}

/* "5", "8-11" or "0-6:2" */
static int parse_range(const char **at, struct cpu_list *list)
{
	unsigned long first, last, step = 1;
	int error = parse_number(at, &first);

	last = first;
	if (!error && **at == '-') {
		++*at;
		error = parse_number(at, &last);
		if (!error && **at == ':') {
			++*at;
			error = parse_number(at, &step);
		}
	}
	if (!error && (last < first || !step))
		error = -EINVAL;
	for (unsigned long cpu = first; !error && cpu <= last; cpu += step)
		error = add(list, cpu);
	return error;
}

int cpu_list_parse(const char *text, struct cpu_list *ret_list)
{
	struct cpu_list list = {.count = 0};
	int error = parse_range(&text, &list);

	while (!error && *text == ',') {
		text++;
		error = parse_range(&text, &list);
	}
	if (!error && *text)
		error = -EINVAL;
	if (!error)
		*ret_list = list;
	return error;
}

static void add_run(struct text *text, unsigned int first, unsigned int last, bool is_first)
{
	text_add(text, "%s%u", is_first ? "" : ",", first);
	if (last > first)
		text_add(text, "-%u", last);
}

void cpu_list_format(const struct cpu_list *list, struct text *ret_text)
{
	for (unsigned int i = 0, end; i < list->count; i = end) {
		end = i + 1;
		while (end < list->count && list->cpu[end] == list->cpu[end - 1] + 1)
			end++;
		add_run(ret_text, list->cpu[i], list->cpu[end - 1], i == 0);
	}
}

static void format_set(cpu_set_t *set, struct text *text)
{
	for (unsigned int cpu = 0, end; cpu < CPU_LIST_HOST_MAX; cpu = end) {
		end = cpu + 1;
		if (!CPU_ISSET(cpu, set))
			continue;
		while (end < CPU_LIST_HOST_MAX && CPU_ISSET(end, set))
			end++;
		add_run(text, cpu, end - 1, text->len == 0);
	}
}

int cpu_list_check(const struct cpu_list *list, char *ret_why, size_t why_size)
{
	struct text allowed = {.bytes = NULL};
	unsigned int i = 0;
	cpu_set_t set;

	/* More CPUs than a cpu_set_t has: the kernel will say what is wrong with one of them. */
	if (sched_getaffinity(0, sizeof(set), &set))
		return 0;
	while (i < list->count && CPU_ISSET(list->cpu[i], &set))
		i++;
	if (i == list->count)
		return 0;
	format_set(&set, &allowed);
	snprintf(ret_why, why_size, "--cpus: pin: the host's CPU %u is not there, or not for this "
		 "program; there are %s", list->cpu[i], allowed.failed ? "others" : allowed.bytes);
	text_finish(&allowed);
	return -EINVAL;
}
