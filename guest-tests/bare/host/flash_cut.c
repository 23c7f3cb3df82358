/*
 * Kills the VMM in the middle of a guest's writes to its firmware variables, again and again, and
 * looks whether the file holds what the guest was told is written. ROM is flash-cut:
 *
 *	flash-cut MINIVMM ROM [CUTS [SEED]]
 *
 * Prints "PASS name" or "FAIL name: why". As with power-cut, SIGKILL ends the program, not the
 * host.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest-tests/bare/host/cut.h"

#define SIZE 0x4000U
#define BLOCK 4096U
#define RECORD 16U
#define RECORDS (SIZE / RECORD)
#define RECORDS_IN_BLOCK (BLOCK / RECORD)
#define ACKS_MAX 400U

static uint8_t vars[SIZE];

/* What is at the place of record `number`: it (`len` bytes of it, the rest as after an erase). */
static bool holds(uint64_t number, unsigned int len)
{
	uint64_t record[2] = {number, ~number};
	const uint8_t *at = vars + number % RECORDS * RECORD;

	for (unsigned int i = 0; i < RECORD; i++)
		if (at[i] != (i < len ? ((const uint8_t *)record)[i] : 0xff))
			return false;
	return true;
}

static bool is_begun(uint64_t number)
{
	for (unsigned int len = 0; len <= RECORD; len++)
		if (holds(number, len))
			return true;
	return false;
}

static bool is_erased(unsigned int block)
{
	for (unsigned int i = 0; i < BLOCK; i++)
		if (vars[block * BLOCK + i] != 0xff)
			return false;
	return true;
}

/*
 * The newest acknowledged record and those of the two blocks before its own, which nobody has
 * touched since. The guest is at the next: some bytes of it are there; or its block is to be
 * erased, and is either as it was or erased. It may be one further than it could say.
 */
static bool check_file(uint64_t acked)
{
	uint64_t oldest = acked / RECORDS_IN_BLOCK < 2 ? 1 :
			  (acked / RECORDS_IN_BLOCK - 2) * RECORDS_IN_BLOCK;
	uint64_t next = acked + 1;

	for (uint64_t number = oldest ? oldest : 1; number <= acked; number++) {
		if (holds(number, RECORD))
			continue;
		printf("FAIL cut/flash: record %" PRIu64 " is not there; %" PRIu64
		       " was acknowledged\n", number, acked);
		return false;
	}
	if (is_begun(next) || (next % RECORDS_IN_BLOCK == 0 && next > RECORDS &&
			       holds(next - RECORDS, RECORD)) ||
	    is_erased((unsigned int)(next % RECORDS / RECORDS_IN_BLOCK)))
		return true;
	printf("FAIL cut/flash: what is at the place of record %" PRIu64 " was never written\n",
	       next);
	return false;
}

static bool read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool good = fd >= 0 && read(fd, vars, SIZE) == SIZE;

	if (fd >= 0)
		close(fd);
	return good;
}

static bool make_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool good;

	memset(vars, 0xff, SIZE);
	good = fd >= 0 && write(fd, vars, SIZE) == SIZE;
	if (fd >= 0)
		close(fd);
	return good;
}

/* One cut; adds what was acknowledged to `*sum`. */
static bool cut(const char *vmm, const char *rom, const char *path, uint64_t *sum)
{
	char firmware[512];
	char *argv[] = {strdup(vmm), strdup("--debug-exit"), strdup("--memory"), strdup("32M"),
			strdup("--firmware"), firmware, NULL};
	uint64_t acked;

	if (!make_file(path)) {
		printf("FAIL cut/flash: %s cannot be made\n", path);
		return false;
	}
	snprintf(firmware, sizeof(firmware), "%s,vars=%s", rom, path);
	if (!cut_run(argv, "flash", ACKS_MAX, &acked))
		return false;
	*sum += acked;
	return read_file(path) && check_file(acked);
}

int main(int argc, char *argv[])
{
	char path[] = "/tmp/minivmm-flash-XXXXXX";
	unsigned long cuts = argc > 3 ? strtoul(argv[3], NULL, 0) : 8, done = 0;
	uint64_t sum = 0;
	int fd;

	if (argc < 3) {
		fprintf(stderr, "usage: flash-cut MINIVMM ROM [CUTS [SEED]]\n");
		return 2;
	}
	fd = mkstemp(path);
	cut_seed(argc > 4 ? strtoul(argv[4], NULL, 0) : 1);
	while (fd >= 0 && done < cuts && cut(argv[1], argv[2], path, &sum))
		done++;
	if (done == cuts)
		printf("PASS cut/flash (%lu cuts, %" PRIu64 " records acknowledged)\n", cuts, sum);
	if (fd >= 0)
		close(fd);
	unlink(path);
	return done != cuts;
}
