/* Steps about images of disks. */
#include "guest-tests/rig/driver.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest-tests/rig/sum.h"

/* host sum PATH OFFSET LENGTH */
int do_host_sum(struct rig *rig, const struct words *words, const char *rest)
{
	int error = sum_file(words->word[2], strtoull(words->word[3], NULL, 0),
			     strtoull(words->word[4], NULL, 0), rig->answer);

	(void)rest;
	if (error)
		return fail("%s: %s", words->word[2], strerror(-error));
	say("host: sum of %s: %s", words->word[2], rig->answer);
	return 0;
}

/* host directory PATH */
int do_host_directory(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rig;
	(void)rest;
	return mkdir(words->word[2], 0755) < 0 ? fail("%s: %m", words->word[2]) : 0;
}

/* host disk PATH LENGTH: an image of zeroes */
int do_host_disk(struct rig *rig, const struct words *words, const char *rest)
{
	int fd = open(words->word[2], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int result;

	(void)rig;
	(void)rest;
	if (fd < 0)
		return fail("%s: %m", words->word[2]);
	result = ftruncate(fd, atol(words->word[3]));
	close(fd);
	return result < 0 ? fail("%s: %m", words->word[2]) : 0;
}
