/*
 * A back end of vhost-user in a thread of the test. It serves one front end after the other, keeps
 * what it was told, answers every request on its rings with nothing written, and lets the test
 * change, cut or withhold any answer.
 *
 *	struct fake_back_end *back_end = fake_back_end_create();
 *	... set up back_end->..., then:
 *	fake_back_end_start(back_end);
 *	... the code under test connects to back_end->path ...
 *	fake_back_end_destroy(back_end);
 *
 * Set up by the test before start; later, and all that is recorded, under `lock`.
 */
#ifndef TESTS_FAKE_BACK_END_H
#define TESTS_FAKE_BACK_END_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/vhost_user_protocol.h"

#define FAKE_BACK_END_QUEUES 8U
#define FAKE_BACK_END_REQUESTS 32U
#define FAKE_BACK_END_PAYLOAD 512U

struct fake_back_end_message {
	struct vhost_user_header header;
	uint8_t payload[FAKE_BACK_END_PAYLOAD];
	int fd[VHOST_USER_REGIONS_MAX];
	unsigned int fds;
	/* of answers */
	bool silent;             /* none is sent */
	bool hang_up;            /* the connection is closed afterwards */
	size_t send;             /* bytes sent of the whole; SIZE_MAX: all */
};

struct fake_back_end_queue {
	struct vhost_vring_addr addr;
	uint32_t size;
	uint16_t next;           /* available entry */
	bool enabled;
	int kick_fd, call_fd, error_fd; /* -1: none */
	unsigned int requests;   /* answered */
};

struct fake_back_end {
	char dir[32], path[64];

	/* what it is */
	uint64_t features, protocol_features, queue_num;
	uint8_t config[VHOST_USER_CONFIG_MAX];
	bool asleep;             /* kicks are not answered; see fake_back_end_wake() */
	/* Called with each answer before it is sent, with `lock` held; may be NULL. An answer with
	 * an empty header is none that the protocol knows, and is not sent. */
	void (*hook)(void *opaque, const struct fake_back_end_message *request,
		     struct fake_back_end_message *answer);
	void *hook_opaque;

	/* what happened */
	pthread_mutex_t lock;
	unsigned int clients;
	unsigned int count[FAKE_BACK_END_REQUESTS];
	uint64_t accepted, protocol_accepted;
	struct vhost_user_memory memory;
	struct fake_back_end_queue queue[FAKE_BACK_END_QUEUES];
	struct vhost_user_config_space written; /* the last SET_CONFIG */
	int channel_fd;          /* for what the back end says by itself; -1: none */

	/* its own */
	void *map[VHOST_USER_REGIONS_MAX];
	int listener, stop_fd, wake_fd;
	bool running;
	pthread_t thread;
};

/* Offers a modern device with all that the front end may want, and four queues. Never NULL. */
struct fake_back_end *fake_back_end_create(void);
/* Begins to listen, also after a stop. */
void fake_back_end_start(struct fake_back_end *back_end);
/* Ends the thread, closes all that came, removes the socket. */
void fake_back_end_stop(struct fake_back_end *back_end);
/* Stops it first. Accepts NULL. */
void fake_back_end_destroy(struct fake_back_end *back_end);

/* It was asleep, and does what there is to do. */
void fake_back_end_wake(struct fake_back_end *back_end);

unsigned int fake_back_end_count(struct fake_back_end *back_end, enum vhost_user_request request);

#endif
