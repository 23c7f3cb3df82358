#include "guest-tests/bare/host/cut.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest-tests/bare/host/child.h"

#define DELAY_US_MAX 4000U

static uint64_t state; /* of the random numbers: the seed at first */

void cut_seed(uint64_t seed)
{
	state = seed;
}

static uint32_t random_below(uint32_t limit)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(state >> 33) % limit;
}

static pid_t start(char *argv[], FILE **ret_output)
{
	int out[2];
	pid_t pid;

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

bool cut_run(char *argv[], const char *name, unsigned int acks_max, uint64_t *ret_acked)
{
	FILE *output = NULL;
	pid_t pid = start(argv, &output);
	uint64_t acked;
	int status;

	if (pid < 0 || !output) {
		printf("FAIL cut/%s: the VMM cannot be started\n", name);
		return false;
	}
	acked = follow(output, 1 + random_below(acks_max), 0);
	usleep(random_below(DELAY_US_MAX)); /* to come at any moment, which is what is tried */
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	*ret_acked = follow(output, UINT32_MAX, acked);
	fclose(output);
	if (WIFSIGNALED(status) && *ret_acked)
		return true;
	printf("FAIL cut/%s: the VMM ended by itself, or nothing was written\n", name);
	return false;
}
