/* Inside the control socket: a command while it is done. */
#ifndef GUEST_TESTS_MODEL_GPU_CONTROL_H
#define GUEST_TESTS_MODEL_GPU_CONTROL_H

#include "guest-tests/model-gpu/model.h"

#define WORDS_MAX 6U

/* A command, taken apart, and its answer. */
struct request {
	struct slot *slot;
	struct function *fn;   /* while it is done for one function */
	char *word[WORDS_MAX]; /* without the command and FN; NULL behind the last */
	char *answer;
	size_t answer_size;
	unsigned int done;     /* functions for which it had an effect */
};

/* One for each function that FN names. `no_effect`: an error, when there was none at all. */
struct function_command {
	const char *name;
	bool (*run)(struct request *request); /* false after fail() */
	const char *no_effect;
};
extern const struct function_command function_commands[]; /* ends with an empty one */

/* Of all functions (plan.c). */
bool plan_command(struct request *request);

/* Set the answer; both return false. */
bool say(struct request *request, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool fail(struct request *request, const char *why);
/* Digits, as C writes them. */
bool parse_number(const char *word, uint64_t max, uint64_t *ret_value);

#endif
