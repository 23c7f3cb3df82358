#include "guest-tests/rig/sum.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define FNV_START 0xcbf29ce484222325ULL
#define FNV_PRIME 0x100000001b3ULL

int sum_file(const char *path, uint64_t off, uint64_t len, char ret_text[SUM_TEXT_SIZE])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), error = 0;
	static unsigned char bytes[65536];
	uint64_t sum = FNV_START;

	if (fd < 0)
		return -errno;
	while (len && !error) {
		ssize_t got = pread(fd, bytes, len < sizeof(bytes) ? (size_t)len : sizeof(bytes),
				    (off_t)off);

		if (got <= 0)
			error = got ? -errno : -ENODATA;
		for (ssize_t i = 0; i < got; i++)
			sum = (sum ^ bytes[i]) * FNV_PRIME;
		off += got > 0 ? (uint64_t)got : 0;
		len -= got > 0 ? (uint64_t)got : 0;
	}
	close(fd);
	snprintf(ret_text, SUM_TEXT_SIZE, "%016llx", (unsigned long long)sum);
	return error;
}
