/* The last lines: order, room, and what a late reader is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/event_ring.h"

static struct event_ring ring;

static void add(unsigned int number, size_t len)
{
	char line[1024];
	int used = snprintf(line, sizeof(line), "%u ", number);

	assert_true((size_t)used < len);
	memset(line + used, '.', len - (size_t)used);
	line[len - 1] = '\n';
	event_ring_add(&ring, line, len);
}

static int begin(void **state)
{
	(void)state;
	memset(&ring, 0, sizeof(ring));
	return 0;
}

static void test_event_ring_gives_lines_in_order(void **state)
{
	struct event_cursor cursor = event_ring_oldest(&ring);
	char lines[100];

	(void)state;
	assert_int_equal(event_ring_read(&ring, &cursor, lines, sizeof(lines)), 0);
	add(1, 40);
	add(2, 40);
	add(3, 40);
	/* Whole lines alone. */
	assert_int_equal(event_ring_read(&ring, &cursor, lines, sizeof(lines)), 80);
	assert_memory_equal(lines, "1 ...", 5);
	assert_memory_equal(lines + 40, "2 ...", 5);
	assert_int_equal(event_ring_read(&ring, &cursor, lines, 39), 0);
	assert_int_equal(event_ring_read(&ring, &cursor, lines, 40), 40);
	assert_memory_equal(lines, "3 ...", 5);
	assert_int_equal(event_ring_read(&ring, &cursor, lines, sizeof(lines)), 0);
	assert_int_equal(event_ring_skip_lost(&ring, &cursor), 0);
}

static void test_event_ring_newest_is_after_the_last(void **state)
{
	struct event_cursor cursor;
	char lines[100];

	(void)state;
	add(1, 40);
	cursor = event_ring_newest(&ring);
	assert_int_equal(event_ring_read(&ring, &cursor, lines, sizeof(lines)), 0);
	add(2, 30);
	assert_int_equal(event_ring_read(&ring, &cursor, lines, sizeof(lines)), 30);
	assert_memory_equal(lines, "2 ...", 5);
}

/* Lines of all lengths, far more than fit; a reader who now and then falls behind. What it gets and
 * what it is told it missed are all lines, in order. */
static void test_event_ring_accounts_for_every_line(void **state)
{
	struct event_cursor cursor = event_ring_oldest(&ring);
	unsigned int next = 0, lost_in_all = 0;
	char lines[4096];

	(void)state;
	srand(1);
	for (unsigned int number = 0; number < 20000; number++) {
		uint64_t lost;
		size_t len;

		add(number, 20 + (size_t)rand() % 1000);
		assert_true(ring.end - ring.start <= EVENT_RING_SIZE);
		if (rand() % 300)
			continue;
		lost = event_ring_skip_lost(&ring, &cursor);
		next += (unsigned int)lost;
		lost_in_all += (unsigned int)lost;
		while ((len = event_ring_read(&ring, &cursor, lines, sizeof(lines))))
			for (char *line = lines; line < lines + len;
			     line = (char *)memchr(line, '\n', 1024) + 1)
				assert_int_equal(strtoul(line, NULL, 10), next++);
		assert_int_equal(next, number + 1);
	}
	assert_true(lost_in_all > 1000 && lost_in_all < 19000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_event_ring_gives_lines_in_order, begin),
		cmocka_unit_test_setup(test_event_ring_newest_is_after_the_last, begin),
		cmocka_unit_test_setup(test_event_ring_accounts_for_every_line, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
