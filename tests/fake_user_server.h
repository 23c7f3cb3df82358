/*
 * A vfio-user server in a thread of the test, for clients on a UNIX socket. It serves one client
 * after the other, offers a small PCI device, keeps the last request of every command with the
 * files that came with it, and lets the test change, cut or withhold any reply.
 *
 *	struct fake_user_server *server = fake_user_server_create();
 *	... set up server->..., then:
 *	fake_user_server_start(server);
 *	... the code under test connects to server->path ...
 *	fake_user_server_destroy(server);
 *
 * The device: config space (4 KiB), BAR0 of 64 KiB without a file, BAR2 of 1 MiB with a file and
 * two areas; 1 INTx, 8 MSI-X, 1 ERR, 1 REQ; reset. Set up by the test before start; later, and all
 * that is recorded, under `lock` or while no request is under way.
 */
#ifndef TESTS_FAKE_USER_SERVER_H
#define TESTS_FAKE_USER_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio/user_protocol.h"

#define FAKE_USER_COMMANDS 32
#define FAKE_USER_PAYLOAD_MAX (1024 * 1024 + 64)
#define FAKE_USER_FDS_MAX 16
#define FAKE_USER_REGIONS VFIO_PCI_NUM_REGIONS

struct fake_user_message {
	struct vfio_user_header header;
	uint8_t *payload;        /* room for FAKE_USER_PAYLOAD_MAX bytes */
	size_t size;             /* of the payload */
	int fd[FAKE_USER_FDS_MAX];
	unsigned int fds;
	/* of replies */
	bool silent;             /* none is sent */
	bool hang_up;            /* the connection is closed afterwards */
	size_t send;             /* bytes sent of the whole message; SIZE_MAX: all */
	size_t piece;            /* bytes a time; 0: all at once */
};

struct fake_user_region {
	struct {
		struct vfio_region_info info;
		uint8_t caps[256];
	} __attribute__((packed)) reply;
	size_t reply_size;
	uint8_t *mem;            /* NULL: reads answer zeros */
	int fd;                  /* sent with the reply; -1: none */
};

struct fake_user_server {
	char dir[32], path[64];

	/* what it answers */
	struct vfio_user_version version;
	size_t version_size;
	struct vfio_user_device_info info;
	struct fake_user_region region[FAKE_USER_REGIONS];
	struct vfio_irq_info irq[VFIO_PCI_NUM_IRQS];
	uint32_t features;       /* 1 << VFIO_DEVICE_FEATURE_*; the three of low power at start */
	uint32_t error[FAKE_USER_COMMANDS]; /* errno for a command; 0: none */
	/* Called with each reply before it is sent, with `lock` held; may be NULL. */
	void (*hook)(void *opaque, const struct fake_user_message *request,
		     struct fake_user_message *reply);
	void *hook_opaque;

	/* what happened */
	pthread_mutex_t lock;
	unsigned int clients;
	unsigned int requests;
	unsigned int count[FAKE_USER_COMMANDS];
	struct fake_user_message last[FAKE_USER_COMMANDS]; /* payload: first 64 bytes */
	uint8_t last_payload[FAKE_USER_COMMANDS][64];

	/* its own */
	struct fake_user_message request, reply;
	int listener, stop_fd;
	bool running;
	pthread_t thread;
};

/* Never NULL (aborts). */
struct fake_user_server *fake_user_server_create(void);
void fake_user_server_start(struct fake_user_server *server);
/* Ends the thread, closes all that came, removes the socket. Accepts NULL. */
void fake_user_server_destroy(struct fake_user_server *server);

/* Sets the JSON of the version reply. */
void fake_user_server_set_json(struct fake_user_server *server, const char *json);

unsigned int fake_user_server_count(struct fake_user_server *server, unsigned int command);
unsigned int fake_user_server_requests(struct fake_user_server *server);

#endif
