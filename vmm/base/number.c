#include "vmm/base/number.h"

#include <stddef.h>

const char *number_take(const char *text, unsigned int max, unsigned int *ret_number)
{
	unsigned int number = 0, digits = 0;

	for (; digits < max && *text >= '0' && *text <= '9'; digits++, text++)
		number = 10 * number + (unsigned int)(*text - '0');
	if (!digits)
		return NULL;
	*ret_number = number;
	return text;
}
