#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/mem_fault.h"

#define SIZE 8192

/* Memory of a file that has none: every touch is a SIGBUS. */
static volatile uint8_t *map_nothing(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	void *hva = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	close(fd);
	return hva;
}

enum touch { FIRST, LAST, OUTSIDE, NONE };

/* The end of a process that touches, as of wait(2), and what it said. */
static int touch(enum touch which, char said[1024])
{
	int out[2], status;
	ssize_t len;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		volatile uint8_t *ram = map_nothing(), *other = map_nothing();

		dup2(out[1], STDERR_FILENO);
		mem_fault_watch((void *)(uintptr_t)ram, SIZE);
		if (which == NONE)
			kill(getpid(), SIGBUS);
		else
			*(which == OUTSIDE ? other : which == FIRST ? ram : ram + SIZE - 1) = 1;
		_exit(99);
	}
	close(out[1]);
	len = read(out[0], said, 1023);
	assert_true(len >= 0);
	said[len] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_mem_fault_is_said(void **state)
{
	char said[1024];

	(void)state;
	for (enum touch which = FIRST; which <= LAST; which++) {
		int status = touch(which, said);

		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 1);
		assert_string_equal(said, "minivmm: error: " MEM_FAULT_SENTENCE "\n");
	}
}

/* Another fault, or no fault: the signal is what it was. */
static void test_mem_fault_is_of_ram_only(void **state)
{
	char said[1024];

	(void)state;
	for (enum touch which = OUTSIDE; which <= NONE; which++) {
		int status = touch(which, said);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGBUS);
		assert_string_equal(said, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mem_fault_is_said),
		cmocka_unit_test(test_mem_fault_is_of_ram_only),
	};

	return cmocka_run_group_tests_name("mem_fault", tests, NULL, NULL);
}
