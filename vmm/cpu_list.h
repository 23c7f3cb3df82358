/*
 * Lists of the host's CPUs, as people write them: taskset(1)'s "0,5,8-11" and "0-6:2".
 */
#ifndef VMM_CPU_LIST_H
#define VMM_CPU_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/layout.h"

struct text;

#define CPU_LIST_HOST_MAX 1024U /* as in cpu_set_t */

/* In the order in which they were written, each once. */
struct cpu_list {
	unsigned int count;
	uint16_t cpu[VCPU_MAX];
};

/* 0; or -EINVAL: no such list, -ERANGE: a number of CPU_LIST_HOST_MAX or more, -EEXIST: one is
 * there twice, -E2BIG: more than VCPU_MAX. */
int cpu_list_parse(const char *text, struct cpu_list *ret_list);

void cpu_list_format(const struct cpu_list *list, struct text *ret_text);

/* Whether this process may use all of them. 0, or -EINVAL with a sentence that names the first that
 * it may not, and those that it may. */
int cpu_list_check(const struct cpu_list *list, char *ret_why, size_t why_size);

#endif
