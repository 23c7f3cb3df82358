/*
 * The front end of vhost-user: a connection to a process (the back end) that serves the virtqueues
 * of a device. It is given all of the guest's memory and the queues' eventfds, so it can do to the
 * guest what it likes; to this program it can only be late, say nonsense, or go away. Each of these
 * ends the connection, and every call is bounded in time.
 *
 * Locks: the transport's lock is held around every call, or no vCPU runs yet, but for
 * vhost_user_service(), which is the main thread's, and vhost_user_leave().
 */
#ifndef DEVICES_VHOST_USER_H
#define DEVICES_VHOST_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/virtio.h"

struct vhost_user;

/* What the user of a connection is told, on any thread. */
struct vhost_user_listener {
	void *opaque;
	/* The connection is of no use any more; can come several times. `what` follows the words
	 * "the back end". */
	void (*lost)(void *opaque, int error, const char *what);
	/* The back end says that a ring has what may not be there. */
	void (*ring_error)(void *opaque);
	/* vhost_user_get_config() gives another configuration from now on. */
	void (*config_changed)(void *opaque);
};

/* How long a back end may take, in microseconds. */
struct vhost_user_patience {
	uint64_t answer_us; /* to answer all of what needs no I/O */
	uint64_t ending_us; /* to do the requests that the driver has made, before it is to stop */
	uint64_t stop_us;   /* to stop in all, where those requests are not done by then */
};
extern const struct vhost_user_patience vhost_user_patience;

/* What must be there of a back end. */
struct vhost_user_needs {
	unsigned int queues;
	unsigned int least_queues; /* any back end of this type has so many */
	unsigned int config_size; /* bytes of configuration to read; 0: we make it ourselves */
};

/* Not connected yet. What is pointed to lives as long. 0, or a negative errno. */
int vhost_user_create(const char *path, const struct vhost_user_patience *patience,
		      const struct vhost_user_listener *listener, struct vhost_user **ret_user);

/* Accepts NULL. */
void vhost_user_destroy(struct vhost_user *user);

/*
 * Connects, and agrees on how to go on; once more when the connection is lost. `ret_config` has
 * room for needs->config_size bytes. 0; or a negative errno, and a sentence in `ret_why` which ends
 * after what is wrong. Bounded by the time for answers, and five seconds to connect.
 */
int vhost_user_connect(struct vhost_user *user, const struct vhost_user_needs *needs,
		       uint8_t *ret_config, char *ret_why, size_t why_size);

/* Has it not closed the connection, as far as is known without asking it? */
bool vhost_user_is_there(struct vhost_user *user);

/* Ends the connection for good, without a word, and whoever waits for the back end: the machine
 * ends. Any thread, with no lock. */
void vhost_user_leave(struct vhost_user *user);

/* The device's features that the back end has. */
uint64_t vhost_user_features(const struct vhost_user *user);

/* Reads the configuration again. 0, or the connection is lost and `ret_config` is as it was. */
int vhost_user_get_config(struct vhost_user *user, unsigned int size, uint8_t *ret_config);

/* The driver writes to the configuration. 0, -EREMOTEIO: refused; or the connection is lost. */
int vhost_user_set_config(struct vhost_user *user, uint32_t off, uint32_t len,
			  const uint8_t *bytes);

/* Hands the enabled queues over, see virtio_ops.start; bounded by the time for answers. */
int vhost_user_start(struct vhost_user *user, const struct virtio_dev *dev);

/* Takes them back, as far as the back end came; bounded by the other two times, or one of them and
 * the time for answers. A negative errno: it does not say how far, and its rings need a reset;
 * -ETIMEDOUT: it did not answer. */
int vhost_user_stop(struct vhost_user *user, struct virtio_dev *dev);

/* A descriptor that the main loop watches; readable when vhost_user_service() has something to do:
 * it calls the listener. */
int vhost_user_watch_fd(const struct vhost_user *user);
void vhost_user_service(struct vhost_user *user);

#endif
