#include "vmm/base/errno_name.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "vmm/base/bits.h"

const char *errno_name(int error)
{
	static const struct {
		int number;
		const char *name;
	} names[] = {
		{EIO, "EIO"},       {EINVAL, "EINVAL"}, {ENOTTY, "ENOTTY"}, {ENODEV, "ENODEV"},
		{EBUSY, "EBUSY"},   {EPERM, "EPERM"},   {EACCES, "EACCES"}, {ENOMEM, "ENOMEM"},
		{EAGAIN, "EAGAIN"}, {EINTR, "EINTR"},   {EBADF, "EBADF"},
		{EFAULT, "EFAULT"}, {ENXIO, "ENXIO"},   {ETIMEDOUT, "ETIMEDOUT"},
		{ECANCELED, "ECANCELED"},             {EPROTO, "EPROTO"},
		{ECONNRESET, "ECONNRESET"}, {ENOSPC, "ENOSPC"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].number == abs(error))
			return names[i].name;
	return NULL;
}
