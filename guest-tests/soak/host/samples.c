/* What the two processes hold, as /proc says. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest-tests/soak/host/watch.h"

#define ANON_GROWTH_KIB 256UL

static unsigned int count_fds(pid_t pid)
{
	char path[64];
	unsigned int count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		broken(path, "cannot be read");
	for (const struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

static struct process_sample look(pid_t pid)
{
	struct process_sample sample = {.fds = count_fds(pid)};
	const struct {
		const char *key;
		unsigned long *value;
	} keys[] = {
		{"VmRSS:", &sample.rss_kib},
		{"RssAnon:", &sample.anon_kib},
	};
	char path[64], line[256];
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	status = fopen(path, "re");
	if (!status)
		broken(path, "cannot be read");
	while (fgets(line, sizeof(line), status)) {
		sscanf(line, "Threads: %u", &sample.threads);
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			if (!strncmp(line, keys[i].key, strlen(keys[i].key)))
				*keys[i].value = strtoul(line + strlen(keys[i].key), NULL, 10);
	}
	fclose(status);
	return sample;
}

void samples_take(struct samples *samples, uint64_t cycle, pid_t vmm, pid_t model)
{
	struct sample *sample = &samples->sample[samples->count];

	if (samples->count == SAMPLES_MAX)
		broken("guest", "more samples than agreed on");
	if (!samples->count++)
		printf("%9s | %4s %7s %9s %9s | %4s %7s %9s %9s\n", "cycle", "fds", "threads",
		       "RSS KiB", "anon KiB", "fds", "threads", "RSS KiB", "anon KiB");
	*sample = (struct sample){cycle, look(vmm), look(model)};
	printf("%9ju | %4u %7u %9lu %9lu | %4u %7u %9lu %9lu\n", (uintmax_t)cycle,
	       sample->vmm.fds, sample->vmm.threads, sample->vmm.rss_kib, sample->vmm.anon_kib,
	       sample->model.fds, sample->model.threads, sample->model.rss_kib,
	       sample->model.anon_kib);
	fflush(stdout);
}

static bool grew(const char *who, const struct process_sample *first,
		 const struct process_sample *now, uint64_t cycle, char *why, size_t size)
{
	const char *what = NULL;
	unsigned long from = 0, to = 0;

	if (now->fds > first->fds) {
		what = "descriptors";
		from = first->fds;
		to = now->fds;
	} else if (now->threads > first->threads) {
		what = "threads";
		from = first->threads;
		to = now->threads;
	} else if (now->anon_kib > first->anon_kib + ANON_GROWTH_KIB) {
		what = "KiB of anonymous memory";
		from = first->anon_kib;
		to = now->anon_kib;
	}
	if (!what)
		return false;
	snprintf(why, size, "%s: %lu %s in the first tenth, %lu at cycle %ju", who, from, what, to,
		 (uintmax_t)cycle);
	return true;
}

bool samples_grew(const struct samples *samples, uint64_t cycles, char *why, size_t size)
{
	const struct sample *first = NULL;

	for (unsigned int i = 0; i < samples->count; i++) {
		const struct sample *now = &samples->sample[i];

		if (!first && now->cycle * 10 >= cycles)
			first = now;
		if (first && (grew("VMM", &first->vmm, &now->vmm, now->cycle, why, size) ||
			      grew("model", &first->model, &now->model, now->cycle, why, size)))
			return true;
	}
	return false;
}
