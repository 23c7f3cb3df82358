#include "tests/fake_must.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fake_must(bool good, const char *file, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "%s: %s (errno: %s)\n", file, what, strerror(errno));
	abort();
}
