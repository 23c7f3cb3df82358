/* What minivmm holds and does, from /proc: what grows with the number of sleeps would end a long
 * run; whether a guest was waiting, busy, or stuck in the host, tells why a scenario failed. */
#include "guest-tests/rig/driver.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct usage {
	unsigned long fds, threads;
	unsigned long anon_kib; /* private memory; the guest's RAM is a file's */
};

static struct usage base;

static unsigned long count_fds(pid_t pid)
{
	unsigned long count = 0;
	struct dirent *entry;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return count;
}

static int take(struct rig *rig, struct usage *ret_usage)
{
	char path[64], line[LINE_MAX_BYTES];
	FILE *status;

	*ret_usage = (struct usage){.fds = count_fds(rig->vm.pid)};
	snprintf(path, sizeof(path), "/proc/%d/status", (int)rig->vm.pid);
	status = fopen(path, "re");
	if (!rig->vm.pid || !status)
		return fail("no VM runs");
	while (fgets(line, sizeof(line), status)) {
		sscanf(line, "RssAnon: %lu", &ret_usage->anon_kib);
		sscanf(line, "Threads: %lu", &ret_usage->threads);
	}
	fclose(status);
	snprintf(rig->answer, sizeof(rig->answer),
		 "%lu fds, %lu threads, %lu KiB of private memory",
		 ret_usage->fds, ret_usage->threads, ret_usage->anon_kib);
	say("vm: it has %s", rig->answer);
	return 0;
}

int do_vm_usage(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	(void)rest;
	return take(rig, &base);
}

/* vm steady KIB: as many fds and threads as at the last `vm usage`, so much more memory at most. */
int do_vm_steady(struct rig *rig, const struct words *words, const char *rest)
{
	unsigned long more = strtoul(words->word[2], NULL, 10);
	struct usage now;

	(void)rest;
	if (take(rig, &now) < 0)
		return -1;
	if (now.fds != base.fds || now.threads != base.threads ||
	    now.anon_kib > base.anon_kib + more)
		return fail("it was %lu fds, %lu threads, %lu KiB", base.fds, base.threads,
			    base.anon_kib);
	return 0;
}

/* The first line of a file below /proc/PID/task/TID. */
static void task_line(pid_t pid, const char *tid, const char *name, char *line, int size)
{
	char path[NAME_MAX_BYTES * 2];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/%s", (int)pid, tid, name);
	file = fopen(path, "re");
	if (!file || !fgets(line, size, file))
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (file)
		fclose(file);
}

/* proc(5): state, utime and stime are the 1st, 12th and 13th word behind the name in brackets. */
void say_task(pid_t pid, const char *tid)
{
	char name[NAME_MAX_BYTES], wchan[NAME_MAX_BYTES], stat[LINE_MAX_BYTES];
	unsigned long user = 0, sys = 0;
	char state = '?', *behind;

	task_line(pid, tid, "comm", name, sizeof(name));
	task_line(pid, tid, "wchan", wchan, sizeof(wchan));
	task_line(pid, tid, "stat", stat, sizeof(stat));
	behind = strrchr(stat, ')');
	if (behind)
		sscanf(behind, ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu", &state,
		       &user, &sys);
	say("thread %s is %c in %s, ran %lu + %lu ticks", name, state, wchan, user, sys);
}

/* Twice: of a thread that runs, one look does not say whether it gets anywhere. */
void say_vm_threads(const struct rig *rig)
{
	struct dirent *entry;
	char path[64];
	DIR *dir;

	for (int look = 0; rig->vm.pid && look < 2; look++) {
		sleep(look ? 1 : 0);
		snprintf(path, sizeof(path), "/proc/%d/task", (int)rig->vm.pid);
		dir = opendir(path);
		while (dir && (entry = readdir(dir)))
			if (isdigit((unsigned char)entry->d_name[0]))
				say_task(rig->vm.pid, entry->d_name);
		if (dir)
			closedir(dir);
	}
}
