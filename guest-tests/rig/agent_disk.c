/* Disks and file systems. */
#include "guest-tests/rig/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "guest-tests/rig/sum.h"

#define PIECE 65536U

/* sum PATH OFFSET LENGTH. The page cache is dropped first: it is the disk that is asked. */
int do_sum(char **arg, char *answer)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (write(fd, "1", 1) < 0)
			answer[0] = '\0';
		close(fd);
	}
	return sum_file(arg[0], strtoull(arg[1], NULL, 0), strtoull(arg[2], NULL, 0), answer);
}

#define SECTOR 512U
#define POLL_NS 5000000L

/* Of the requests that the device has completed: Linux block/stat.rst, write sectors. */
static int read_written(const char *name, unsigned long long *ret_bytes)
{
	char path[64];
	FILE *file;
	int fields;

	snprintf(path, sizeof(path), "/sys/block/%s/stat", name);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	fields = fscanf(file, "%*u %*u %*u %*u %*u %*u %llu", ret_bytes);
	fclose(file);
	*ret_bytes *= SECTOR;
	return fields == 1 ? 0 : -EIO;
}

/* written NAME BYTES TIME: waits until the disk says that so many are written; the answer is how
 * many there are then. */
int do_written(char **arg, char *answer)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	long long deadline = agent_ms() + agent_timeout_ms(arg[2]);
	unsigned long long written = 0, wanted = strtoull(arg[1], NULL, 0);
	int error;

	while (!(error = read_written(arg[0], &written)) && written < wanted) {
		if (agent_ms() > deadline)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
	snprintf(answer, ANSWER_MAX, "%llu", written);
	return error;
}

static int write_all(int fd, uint64_t off, uint64_t len, uint64_t seed)
{
	static uint64_t words[PIECE / 8];

	while (len) {
		size_t piece = len < PIECE ? (size_t)len : PIECE;

		for (size_t i = 0; i < PIECE / 8; i++) {
			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			words[i] = seed ^ seed >> 29;
		}
		if (pwrite(fd, words, piece, (off_t)off) != (ssize_t)piece)
			return errno ? -errno : -ENOSPC;
		off += piece;
		len -= piece;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* fill PATH OFFSET LENGTH SEED: random bytes, with fsync(); the answer is their sum. */
int do_fill(char **arg, char *answer)
{
	uint64_t off = strtoull(arg[1], NULL, 0), len = strtoull(arg[2], NULL, 0);
	int fd = open(arg[0], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int error;

	if (fd < 0)
		return -errno;
	errno = 0;
	error = write_all(fd, off, len, strtoull(arg[3], NULL, 0));
	close(fd);
	return error ? error : do_sum(arg, answer);
}

static int range_ioctl(char **arg, unsigned long request)
{
	uint64_t range[2] = {strtoull(arg[1], NULL, 0), strtoull(arg[2], NULL, 0)};
	int fd = open(arg[0], O_RDWR | O_CLOEXEC), error = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, (int)request, range) < 0)
		error = -errno;
	close(fd);
	return error;
}

/* discard, zero DEVICE OFFSET LENGTH */
int do_discard(char **arg, char *answer)
{
	(void)answer;
	return range_ioctl(arg, BLKDISCARD);
}

int do_zero(char **arg, char *answer)
{
	(void)answer;
	return range_ioctl(arg, BLKZEROOUT);
}

/* mount DEVICE DIRECTORY TYPE [ro] */
int do_mount(char **arg, char *answer)
{
	unsigned long flags = arg[3] ? MS_RDONLY : 0;

	(void)answer;
	mkdir(arg[1], 0755);
	return mount(arg[0], arg[1], arg[2], flags, NULL) < 0 ? -errno : 0;
}

int do_umount(char **arg, char *answer)
{
	(void)answer;
	return umount(arg[0]) < 0 ? -errno : 0;
}
