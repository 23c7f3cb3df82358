/*
 * Signals that end the program, and what the guest is given before: its power button is pressed, so
 * that it can put its disks in order, and it has some time to power off. A press wakes a guest that
 * sleeps, and says no more to it: then it is pressed again. But where the button means sleep to the
 * guest, it is not woken from one sleep after the other: it is left asleep until the deadline, in
 * which people can still wake it and power it off from inside. All on the main thread.
 */
#ifndef VMM_SHUTDOWN_H
#define VMM_SHUTDOWN_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct shutdown;

#define SHUTDOWN_TIMEOUT_DEFAULT_S 30U
#define SHUTDOWN_TIMEOUT_MAX_S 3600U
/* A guest that is awake again takes some time to have ears for its button; until it goes. */
#define SHUTDOWN_PRESS_AGAIN_MS 3000U
/* The first sleep may have been under way when the button was pressed; the next is an answer. */
#define SHUTDOWN_SLEEPS_MAX 2U

struct shutdown_listener {
	void *opaque;
	bool (*press_button)(void *opaque); /* true: that woke the guest */
	void (*end)(void *opaque, const char *cause); /* at once; may be called again */
};

/* The guest is given `timeout_ms`; 0: none, every signal ends at once. NULL: out of memory or file
 * descriptors. */
struct shutdown *shutdown_create(struct loop *loop, unsigned int timeout_ms,
				 const struct shutdown_listener *listener);
void shutdown_destroy(struct shutdown *shutdown); /* accepts NULL; before its loop */

/*
 * SIGTERM and SIGHUP ask the guest. SIGTERM once more ends at once, but within a second it is the
 * same request: SHUTDOWN_ONE_REQUEST_NS. SIGHUP once more means nothing. Any other signal ends at
 * once. `now_ns` is clock_ns().
 */
#define SHUTDOWN_ONE_REQUEST_NS 1000000000ULL
void shutdown_signal(struct shutdown *shutdown, int signal, uint64_t now_ns);

/* The guest sleeps. If it was asked, it took no notice while it fell asleep: it is pressed again.
 * The second time it sleeps where it was to power off: it is not. */
void shutdown_guest_sleeps(struct shutdown *shutdown);

/* The guest was asked: whatever it does to the machine is its end. */
bool shutdown_is_asked(const struct shutdown *shutdown);

#endif
