/*
 * Requests to the VMM's control socket (docs/api.md).
 */
#ifndef GUEST_TESTS_BARE_HOST_API_H
#define GUEST_TESTS_BARE_HOST_API_H

#include <stdbool.h>
#include <stddef.h>

/*
 * `words` is "METHOD PATH [BODY]" with a newline at its end; "$SLOT" in it stands for `slot`. Waits
 * for the answer, which becomes the one line "STATUS BODY", or "0 what failed". Returns its length.
 */
size_t api_ask(const char *socket_path, const char *slot, const char *words, char *ret_answer,
	       size_t size);

/* Waits until the VMM has said event `name` `count` times since it began. False: it ended. */
bool api_await_event(const char *socket_path, const char *name, unsigned int count);

#endif
