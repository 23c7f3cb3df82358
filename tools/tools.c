#include "tools/tools.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/log.h"

int tool_say(const char *text, size_t len)
{
	if (fwrite(text, 1, len, stdout) == len && !fflush(stdout))
		return TOOL_OK;
	log_err("standard output: %s", strerror(errno));
	return TOOL_FAILED;
}
