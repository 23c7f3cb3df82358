/*
 * What the fakes themselves cannot do without: memory, descriptors, being called in order. Not for
 * what a test is about, which cmocka's asserts say.
 */
#ifndef TESTS_FAKE_MUST_H
#define TESTS_FAKE_MUST_H

#include <stdbool.h>

/* Unless `good`, ends the program with a line that says which fake it was, `what`, and errno. */
#define must(good, what) fake_must(good, __FILE__, what)

void fake_must(bool good, const char *file, const char *what);

#endif
