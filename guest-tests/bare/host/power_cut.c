/*
 * Kills the VMM in the middle of a guest's writes, again and again, and looks whether the image
 * holds what the guest was told is written. GUEST is virtio-cut:
 *
 *	power-cut MINIVMM GUEST [CUTS [SEED]]
 *
 * Prints "PASS name" or "FAIL name: why".
 *
 * SIGKILL ends the program, not the host: what it shows is that nothing is acknowledged before the
 * host's kernel has it, that nothing is torn or out of order in the file, and that the image's lock
 * is free at once. That a flush reaches the medium is fdatasync()'s promise, which this cannot see.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest-tests/bare/host/child.h"

#define BLOCK 4096
#define BLOCKS 61U
#define IN_FLIGHT 8U /* of the guest */
#define ACKS_MAX 40U
#define DELAY_US_MAX 4000U

static uint64_t image[BLOCKS][BLOCK / 8];

static uint64_t state; /* of the random numbers: the seed at first */

static uint32_t random_below(uint32_t limit)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(state >> 33) % limit;
}

static pid_t start(const char *vmm, const char *guest, const char *path, const char *io,
		   FILE **ret_output)
{
	char disk[512], append[32];
	char *argv[] = {strdup(vmm), strdup("--debug-exit"), strdup("--memory"), strdup("32M"),
			strdup("--append"), append, strdup("--disk"), disk, strdup(guest), NULL};
	int out[2];
	pid_t pid;

	snprintf(disk, sizeof(disk), "%s,io=%s", path, io);
	snprintf(append, sizeof(append), "blocks=%u", BLOCKS);
	if (pipe2(out, O_CLOEXEC))
		return -1;
	pid = child_start(argv, -1, out[1], -1);
	close(out[1]);
	*ret_output = fdopen(out[0], "r");
	return pid;
}

/* Reads on until `acks` more lines say so, or the end; the last number that was acknowledged. */
static uint64_t follow(FILE *output, unsigned int acks, uint64_t acked)
{
	char line[256];

	while (acks && fgets(line, sizeof(line), output))
		if (strchr(line, '\n') && sscanf(line, "acked 0x%" SCNx64, &acked) == 1)
			acks--;
	return acked;
}

/* Block number `index`: the newest acknowledged one, or one that was in flight, or part of each. */
static bool check_block(unsigned int index, uint64_t acked)
{
	uint64_t back = (acked + BLOCKS - index) % BLOCKS;
	uint64_t newest = acked >= back ? acked - back : 0, next = acked + BLOCKS - back;
	bool in_flight = next <= acked + IN_FLIGHT;

	for (unsigned int i = 0; i < BLOCK / 8; i++) {
		uint64_t word = image[index][i];

		if (word == newest || (in_flight && word == next))
			continue;
		printf("FAIL cut: block %u holds %" PRIu64 " at word %u; %" PRIu64
		       " was acknowledged\n", index, word, i, acked);
		return false;
	}
	return true;
}

static bool check_image(const char *path, uint64_t acked)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool good = fd >= 0 && read(fd, image, sizeof(image)) == (ssize_t)sizeof(image);

	for (unsigned int i = 0; i < BLOCKS && good; i++)
		good = check_block(i, acked);
	if (fd >= 0)
		close(fd);
	return good;
}

/* One cut; adds what was acknowledged to `*sum`. */
static bool cut(const char *vmm, const char *guest, const char *path, const char *io,
		uint64_t *sum)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), status;
	FILE *output = NULL;
	uint64_t acked;
	pid_t pid;

	if (fd < 0 || ftruncate(fd, sizeof(image)) || close(fd)) {
		printf("FAIL cut/%s: %s: %s\n", io, path, strerror(errno));
		return false;
	}
	pid = start(vmm, guest, path, io, &output);
	if (pid < 0 || !output)
		return false;
	acked = follow(output, 1 + random_below(ACKS_MAX), 0);
	usleep(random_below(DELAY_US_MAX)); /* to come at any moment, which is what is tried */
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	acked = follow(output, UINT32_MAX, acked);
	fclose(output);
	*sum += acked;
	if (!WIFSIGNALED(status) || !acked) {
		printf("FAIL cut/%s: the VMM ended by itself, or nothing was written\n", io);
		return false;
	}
	return check_image(path, acked);
}

int main(int argc, char *argv[])
{
	static const char *const kinds[] = {"uring", "threads"};
	char path[] = "/tmp/minivmm-cut-XXXXXX";
	unsigned long cuts = argc > 3 ? strtoul(argv[3], NULL, 0) : 25;
	int fd = mkstemp(path);
	bool all = fd >= 0;

	if (argc < 3 || !all) {
		fprintf(stderr, "usage: power-cut MINIVMM GUEST [CUTS [SEED]]\n");
		return 2;
	}
	close(fd);
	state = argc > 4 ? strtoul(argv[4], NULL, 0) : 1;
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t sum = 0;
		unsigned long done = 0;

		while (done < cuts && cut(argv[1], argv[2], path, kinds[i], &sum))
			done++;
		if (done == cuts)
			printf("PASS cut/%s (%lu cuts, %" PRIu64 " blocks acknowledged)\n",
			       kinds[i], cuts, sum);
		all &= done == cuts;
		fflush(stdout);
	}
	unlink(path);
	return !all;
}
