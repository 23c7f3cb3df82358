/*
 * devices/vhost.h without a kernel that has it: remembers what it was told, and refuses what a test
 * wants refused. One at a time. Thread-safe it is not.
 */
#ifndef TESTS_FAKE_VHOST_H
#define TESTS_FAKE_VHOST_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/vhost.h"

#define FAKE_VHOST_QUEUES 4U

struct fake_vhost {
	uint64_t features;        /* what it offers */
	unsigned long refused;    /* a request that answers `error`; 0: none */
	int error;
	unsigned int opened;      /* how often */
	uint64_t cid;             /* of the descriptor opened last; 0: none */
	bool running;
	bool given;               /* it has queues */
	struct vhost_share share; /* those */
	uint64_t accepted;
	uint16_t base[FAKE_VHOST_QUEUES]; /* how far it came */
};

/* What is no ioctl. */
#define FAKE_VHOST_OPEN 1UL
#define FAKE_VHOST_GIVE 2UL

/* As when a test begins: offers everything, refuses nothing. */
extern struct fake_vhost fake_vhost;
void fake_vhost_reset(void);

/* What the kernel does when a ring is wrong. */
void fake_vhost_complain(void);

#endif
