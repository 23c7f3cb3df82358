/* Steps about images of disks, and of expansion ROMs. */
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

/* host rom PATH LENGTH: an expansion ROM of one image, for QEMU's e1000e; no code is in it */
int do_host_rom(struct rig *rig, const struct words *words, const char *rest)
{
	static unsigned char rom[1 << 20];
	size_t len = strtoul(words->word[3], NULL, 0) & ~511UL;
	static const unsigned char head[] = {
		[0x00] = 0x55, 0xaa, [0x18] = 0x1c, [0x1c] = 'P', 'C', 'I', 'R', 0x86, 0x80,
		0xd3, 0x10, [0x26] = 0x18, [0x29] = 0x00, 0x00, 0x02, [0x31] = 0x80};
	int fd = open(words->word[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t written = -1;

	(void)rig;
	(void)rest;
	if (len < 512 || len > sizeof(rom))
		return fail("%s: %zu bytes are no size of a ROM", words->word[2], len);
	for (size_t i = 0; i < len; i++)
		rom[i] = (unsigned char)(i * 2654435761U >> 13);
	memcpy(rom, head, sizeof(head));
	rom[0x2c] = (unsigned char)(len / 512);
	rom[0x2d] = (unsigned char)(len / 512 >> 8);
	if (fd >= 0) {
		written = write(fd, rom, len);
		close(fd);
	}
	return written == (ssize_t)len ? 0 : fail("%s: %m", words->word[2]);
}
