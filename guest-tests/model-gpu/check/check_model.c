/*
 * Checks the model GPU: check-model MODEL [NAME...]. Prints "PASS model/NAME" or
 * "FAIL model/NAME: why" for each test, and exits 1 if one failed.
 */
#include "guest-tests/model-gpu/check/client.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct test *const groups[] = {
	device_tests, dma_tests, power_tests, fault_tests, hostile_tests,
};

/* In a process of its own: what it leaves open ends with it. */
static bool run(const char *program, const struct test *test)
{
	char why[512] = "";
	size_t len = 0;
	int out[2], result;
	ssize_t n;
	pid_t pid;

	if (pipe(out))
		return false;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		close(out[1]);
		model_start(program, test->args);
		test->run();
		model_quit();
		_exit(0);
	}
	close(out[1]);
	while (len < sizeof(why) - 1 && (n = read(out[0], why + len, sizeof(why) - 1 - len)) > 0)
		len += (size_t)n;
	close(out[0]);
	why[strcspn(why, "\n")] = 0;
	if (pid > 0 && waitpid(pid, &result, 0) == pid && !result) {
		printf("PASS model/%s\n", test->name);
		return true;
	}
	printf("FAIL model/%s: %s\n", test->name, *why ? why : "it ended without a reason");
	return false;
}

static bool chosen(const char *name, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	unsigned int failed = 0, count = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: %s MODEL [NAME...]\n", argv[0]);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		for (const struct test *test = groups[i]; test->name; test++) {
			if (!chosen(test->name, argv + 2))
				continue;
			count++;
			failed += !run(argv[1], test);
		}
	}
	return failed || !count;
}
