/*
 * The event loop of the main thread: file descriptors that became ready, and nothing else.
 * Handlers run on the main thread, one at a time. Adding and removing is allowed from any thread
 * before loop_run() and from handlers during it.
 */
#ifndef VMM_LOOP_H
#define VMM_LOOP_H

#include <stdbool.h>

struct loop;

typedef void (*loop_handler)(void *opaque, int fd);

/* NULL: out of memory or descriptors. */
struct loop *loop_create(void);
void loop_destroy(struct loop *loop);

/* Calls `handler` whenever `fd` is readable or hung up. 0, or negative errno of epoll_ctl. */
int loop_add(struct loop *loop, int fd, loop_handler handler, void *opaque);
void loop_remove(struct loop *loop, int fd);

/* From now on what the watched `fd` is awaited for is this: one or both. Its handler is not told
 * which it was: descriptors that are written do not block, and both may be tried. */
#define LOOP_READ 0x1U
#define LOOP_WRITE 0x2U
void loop_want(struct loop *loop, int fd, unsigned int wanted);

/* Runs until loop_stop(); returns the status given to the first loop_stop(). */
int loop_run(struct loop *loop);

/* Ends loop_run(). Any thread, any number of times; the first status counts: true for that call. */
bool loop_stop(struct loop *loop, int status);
bool loop_is_stopping(const struct loop *loop);

#endif
