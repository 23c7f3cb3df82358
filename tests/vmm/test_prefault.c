#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/prefault.h"

#define PAGE 4096ULL

static void *map(int fd, uint64_t size, int protection)
{
	void *hva = mmap(NULL, size, protection, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED,
			 fd, 0);

	assert_ptr_not_equal(hva, MAP_FAILED);
	return hva;
}

static size_t count_pages(void *hva, uint64_t size)
{
	unsigned char *there = malloc(size / PAGE);
	size_t count = 0;

	assert_int_equal(mincore(hva, size, there), 0);
	for (size_t i = 0; i < size / PAGE; i++)
		count += there[i] & 1;
	free(there);
	return count;
}

static void test_prefault_has_every_page(void **state)
{
	/* Below, at and above the size of a piece, which several threads share. */
	static const uint64_t sizes[] = {PAGE, 64 * MIB, 64 * MIB + PAGE, 200 * MIB};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int fd = memfd_create("test", MFD_CLOEXEC);
		uint8_t *hva;

		assert_int_equal(ftruncate(fd, (off_t)sizes[i]), 0);
		hva = map(fd, sizes[i], PROT_READ | PROT_WRITE);
		assert_int_equal(count_pages(hva, sizes[i]), 0);
		hva[PAGE - 1] = 0x5a;
		assert_int_equal(prefault(hva, sizes[i], PAGE), 0);
		assert_int_equal(count_pages(hva, sizes[i]), sizes[i] / PAGE);
		assert_int_equal(hva[PAGE - 1], 0x5a);
		munmap(hva, sizes[i]);
		close(fd);
	}
}

static void test_prefault_tells_what_the_kernel_refuses(void **state)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	void *hva;

	(void)state;
	assert_int_equal(ftruncate(fd, PAGE), 0);
	hva = map(fd, 2 * PAGE, PROT_READ | PROT_WRITE); /* the second page is behind the end */
	assert_int_equal(prefault(hva, 2 * PAGE, PAGE), -EFAULT);
	munmap(hva, 2 * PAGE);
	close(fd);
}

static void test_prefault_ends_for_a_signal(void **state)
{
	sigset_t term;
	void *hva = map(-1, 256 * MIB, PROT_READ | PROT_WRITE);
	int number;

	(void)state;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	raise(SIGTERM);
	assert_int_equal(prefault(hva, 256 * MIB, PAGE), -EINTR);
	assert_int_equal(sigwait(&term, &number), 0);
	pthread_sigmask(SIG_UNBLOCK, &term, NULL);
	munmap(hva, 256 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefault_has_every_page),
		cmocka_unit_test(test_prefault_tells_what_the_kernel_refuses),
		cmocka_unit_test(test_prefault_ends_for_a_signal),
	};

	return cmocka_run_group_tests_name("prefault", tests, NULL, NULL);
}
