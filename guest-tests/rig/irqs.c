#include "guest-tests/rig/irqs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int irqs_of(const char *name, char *ret_text, size_t size)
{
	FILE *file = fopen("/proc/interrupts", "re");
	unsigned long count = 0, lines = 0;
	char line[2048], chip[64] = "none";

	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		char *p = strchr(line, ':'), *end;

		if (!p || !strstr(line, name))
			continue;
		lines++;
		for (p++;; p = end) {
			unsigned long n = strtoul(p, &end, 10);

			if (end == p)
				break;
			count += n;
		}
		sscanf(p, " %63s", chip);
	}
	fclose(file);
	snprintf(ret_text, size, "%lu %lu %s", count, lines, chip);
	return 0;
}
