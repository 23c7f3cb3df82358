/*
 * A listening UNIX socket with a name in the file system, for its owner alone.
 */
#ifndef VMM_UNIX_SOCKET_H
#define VMM_UNIX_SOCKET_H

#include <stddef.h>
#include <sys/types.h>

/* Bytes of a path, its NUL included: unix(7), sun_path. */
#define UNIX_SOCKET_PATH_SIZE 108U

struct unix_socket {
	int fd;               /* listening, not blocking; -1: none */
	char path[UNIX_SOCKET_PATH_SIZE];
	dev_t device;         /* of the node that is ours */
	ino_t inode;
};

/*
 * Makes the socket `path` (its length was checked) with mode 0600, whatever the umask is. A socket
 * of that name on which nobody listens any more is replaced; anything else that has the name stays,
 * and refuses. The name is there only once the socket listens. 0, or a negative errno and a
 * sentence.
 */
int unix_socket_listen(const char *path, struct unix_socket *ret_socket, char *ret_why,
		       size_t why_size);

/* Closes it, and takes the name away if it is still this socket's. Accepts one with fd -1. */
void unix_socket_close(struct unix_socket *socket);

#endif
