#include "tests/fake_doorbell.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "tests/fake_must.h"
#include "vmm/base/bits.h"

#define DOORBELLS_MAX 256

struct doorbells {
	pthread_mutex_t lock;
	int error;
	struct {
		gpa_t gpa;
		int fd; /* -1: free */
	} doorbell[DOORBELLS_MAX];
};

struct doorbells *fake_doorbells_create(void)
{
	struct doorbells *doorbells = calloc(1, sizeof(*doorbells));

	must(doorbells, "out of memory");
	pthread_mutex_init(&doorbells->lock, NULL);
	for (unsigned int i = 0; i < DOORBELLS_MAX; i++)
		doorbells->doorbell[i].fd = -1;
	return doorbells;
}

void fake_doorbells_destroy(struct doorbells *doorbells)
{
	must(!fake_doorbells_count(doorbells), "one is still there");
	pthread_mutex_destroy(&doorbells->lock);
	free(doorbells);
}

unsigned int fake_doorbells_count(struct doorbells *doorbells)
{
	unsigned int count = 0;

	pthread_mutex_lock(&doorbells->lock);
	for (unsigned int i = 0; i < DOORBELLS_MAX; i++)
		count += doorbells->doorbell[i].fd >= 0;
	pthread_mutex_unlock(&doorbells->lock);
	return count;
}

/* The index of the doorbell at `gpa`, or -1. */
static int find_locked(struct doorbells *doorbells, gpa_t gpa)
{
	for (int i = 0; i < DOORBELLS_MAX; i++)
		if (doorbells->doorbell[i].fd >= 0 && doorbells->doorbell[i].gpa == gpa)
			return i;
	return -1;
}

bool fake_doorbells_ring(struct doorbells *doorbells, gpa_t gpa)
{
	int index;

	pthread_mutex_lock(&doorbells->lock);
	index = find_locked(doorbells, gpa);
	if (index >= 0)
		eventfd_write(doorbells->doorbell[index].fd, 1);
	pthread_mutex_unlock(&doorbells->lock);
	return index >= 0;
}

void fake_doorbells_fail(struct doorbells *doorbells, int error)
{
	doorbells->error = error;
}

int doorbell_add(struct doorbells *doorbells, gpa_t gpa, int fd)
{
	int error = doorbells->error;

	pthread_mutex_lock(&doorbells->lock);
	if (!error && find_locked(doorbells, gpa) >= 0)
		error = -EEXIST;
	for (unsigned int i = 0; i < DOORBELLS_MAX && !error; i++) {
		if (doorbells->doorbell[i].fd >= 0)
			continue;
		doorbells->doorbell[i].gpa = gpa;
		doorbells->doorbell[i].fd = fd;
		break;
	}
	pthread_mutex_unlock(&doorbells->lock);
	return error;
}

void doorbell_remove(struct doorbells *doorbells, gpa_t gpa, int fd)
{
	int index;

	pthread_mutex_lock(&doorbells->lock);
	index = find_locked(doorbells, gpa);
	if (index >= 0 && doorbells->doorbell[index].fd == fd)
		doorbells->doorbell[index].fd = -1;
	pthread_mutex_unlock(&doorbells->lock);
}
