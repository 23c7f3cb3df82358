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
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest-tests/bare/host/cut.h"

#define BLOCK 4096
#define BLOCKS 61U
#define IN_FLIGHT 8U /* of the guest */
#define ACKS_MAX 40U

static uint64_t image[BLOCKS][BLOCK / 8];

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
	char disk[512], append[32];
	char *argv[] = {strdup(vmm), strdup("--debug-exit"), strdup("--memory"), strdup("32M"),
			strdup("--append"), append, strdup("--disk"), disk, strdup(guest), NULL};
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	uint64_t acked;

	if (fd < 0 || ftruncate(fd, sizeof(image)) || close(fd)) {
		printf("FAIL cut/%s: %s: %s\n", io, path, strerror(errno));
		return false;
	}
	snprintf(disk, sizeof(disk), "%s,io=%s", path, io);
	snprintf(append, sizeof(append), "blocks=%u", BLOCKS);
	if (!cut_run(argv, io, ACKS_MAX, &acked))
		return false;
	*sum += acked;
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
	cut_seed(argc > 4 ? strtoul(argv[4], NULL, 0) : 1);
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
