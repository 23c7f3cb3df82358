#include "vmm/base/refusal.h"

#include <stdarg.h>
#include <stdio.h>

int refuse(struct refusal why, int error, const char *fmt, ...)
{
	char sentence[320];
	va_list args;

	va_start(args, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, args);
	va_end(args);
	snprintf(why.ret_text, why.size, "%s%s: %s", why.option, why.value, sentence);
	return error;
}
