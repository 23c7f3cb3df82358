/*
 * How many descriptors the test's process has, for what must leave none behind. Included after
 * <cmocka.h>.
 */
#ifndef TESTS_VFIO_OPEN_FILES_H
#define TESTS_VFIO_OPEN_FILES_H

#include <dirent.h>

static inline unsigned int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

#endif
