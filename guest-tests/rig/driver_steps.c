/* What the words of a scenario do. README.md describes each. */
#include "guest-tests/rig/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#define BOOT_MS 120000U
#define ANSWER_MS 60000U

struct step_type {
	const char *first, *second; /* second NULL: the rest is text */
	unsigned int words_min;     /* including first and second */
	int (*perform)(struct rig *rig, const struct words *words, const char *rest);
};

unsigned int timeout_or(const struct words *words, unsigned int ms)
{
	return words->timeout_ms ? words->timeout_ms : ms;
}

static int do_guest_kernel(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	snprintf(rig->vm.kernel, sizeof(rig->vm.kernel), "%s", rest);
	return 0;
}

static int do_append(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	snprintf(rig->vm.append, sizeof(rig->vm.append), "%s", rest);
	return 0;
}

/* run reads these; the driver has nothing to do for them. */
static int do_nothing(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rig;
	(void)words;
	(void)rest;
	return 0;
}

static int start(struct rig *rig, const struct words *words)
{
	timeline_note("minivmm starts");
	return vm_start(rig) < 0 ? -1 : vm_wait_boot(rig, 1, timeout_or(words, BOOT_MS));
}

static void take_args(struct rig *rig, const char *text)
{
	text += strcspn(text, " ");
	snprintf(rig->vm.args, sizeof(rig->vm.args), "%s", text + strspn(text, " "));
}

/* A last word that is the time is no argument of the VMM's. */
static int do_vm_start(struct rig *rig, const struct words *words, const char *rest)
{
	take_args(rig, rest);
	if (words->timeout_ms)
		rig->vm.args[strlen(rig->vm.args) - strlen(words->word[words->count - 1])] = '\0';
	rig->vm.own_guest = false;
	return start(rig, words);
}

/* vm boot ARGUMENTS: these name the guest, which has no agent that would say hello. */
static int do_vm_boot(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	take_args(rig, rest);
	rig->vm.own_guest = true;
	timeline_note("minivmm starts");
	return vm_start(rig);
}

static int do_vm_again(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rest;
	return start(rig, words);
}

static int check_status(struct rig *rig, const char *wanted)
{
	int status = rig->vm.status;

	if (WIFSIGNALED(status))
		return fail("minivmm was ended by signal %d, wanted exit status %s",
			    WTERMSIG(status), wanted);
	if (WEXITSTATUS(status) != atoi(wanted))
		return fail("minivmm ended with status %d, wanted %s", WEXITSTATUS(status), wanted);
	return 0;
}

/* vm refuses STATUS ARGUMENTS: it must end at once; the answer is its last line. */
static int do_vm_refuses(struct rig *rig, const struct words *words, const char *rest)
{
	take_args(rig, rest + strcspn(rest, " ") + 1);
	rig->vm.own_guest = false;
	rig->answer[0] = '\0';
	if (vm_start(rig) < 0 || vm_wait_end(rig, ANSWER_MS) < 0)
		return -1;
	return check_status(rig, words->word[2]);
}

/* The last line of minivmm has it. */
static int has_said(struct rig *rig, void *arg)
{
	return strstr(rig->answer, arg) ? 1 : vm_dead(&rig->vm);
}

/* vm says TEXT [TIME]: of minivmm itself, on standard error. The answer is the line. */
static int do_vm_says(struct rig *rig, const struct words *words, const char *rest)
{
	unsigned int ms = timeout_or(words, ANSWER_MS);
	char text[LINE_MAX_BYTES];
	int result;

	snprintf(text, sizeof(text), "%s", rest + strlen("says "));
	if (words->timeout_ms)
		text[strlen(text) - strlen(words->word[words->count - 1]) - 1] = '\0';
	result = rig_wait(rig, has_said, text, ms);
	if (result == WAIT_TIMEOUT)
		return fail("minivmm has not said \"%s\" within %u s", text, ms / 1000);
	return result;
}

static int do_vm_wait_boot(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rest;
	return vm_wait_boot(rig, (unsigned int)atoi(words->word[2]), timeout_or(words, BOOT_MS));
}

static int do_vm_wait_exit(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rest;
	if (vm_wait_end(rig, timeout_or(words, ANSWER_MS)) < 0)
		return -1;
	return check_status(rig, words->word[2]);
}

static int do_vm_resize(struct rig *rig, const struct words *words, const char *rest)
{
	const struct winsize size = {.ws_col = (unsigned short)atoi(words->word[2]),
				     .ws_row = (unsigned short)atoi(words->word[3])};

	(void)rest;
	return ioctl(rig->vm.tty, TIOCSWINSZ, &size) < 0 ? fail("the terminal: %m") : 0;
}

static int do_vm_kill(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	(void)rest;
	timeline_note("minivmm is killed");
	return vm_kill(rig);
}

static int answer(struct rig *rig, const struct words *words, bool want_ok)
{
	if (vm_answer(rig, ANSWER_MS + words->timeout_ms) < 0)
		return -1;
	if (rig->vm.answer_ok != want_ok)
		return fail("the guest says %s: %s", rig->vm.answer_ok ? "OK" : "ERR", rig->answer);
	return 0;
}

static int do_guest(struct rig *rig, const struct words *words, const char *rest)
{
	return vm_ask(rig, rest) < 0 ? -1 : answer(rig, words, true);
}

static int do_guest_error(struct rig *rig, const struct words *words, const char *rest)
{
	return vm_ask(rig, rest) < 0 ? -1 : answer(rig, words, false);
}

static int do_guest_begin(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	return vm_ask(rig, rest);
}

static int do_guest_finish(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rest;
	return answer(rig, words, true);
}

static int do_note(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rig;
	(void)words;
	timeline_note("%s", rest);
	return 0;
}

static int do_timeline(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	(void)rest;
	timeline_print(&rig->events);
	return 0;
}

static const struct step_type step_types[] = {
	{"host-kernel", NULL, 2, do_nothing},
	{"host-cpus", NULL, 2, do_nothing},
	{"host-disk", NULL, 2, do_nothing},
	{"host-program", NULL, 2, do_nothing},
	{"host-image", NULL, 2, do_nothing},
	{"host-files", NULL, 2, do_nothing},
	{"timeout", NULL, 2, do_nothing},
	{"guest-kernel", NULL, 2, do_guest_kernel},
	{"append", NULL, 1, do_append},
	{"vm", "start", 2, do_vm_start},
	{"vm", "again", 2, do_vm_again},
	{"vm", "boot", 3, do_vm_boot},
	{"vm", "refuses", 3, do_vm_refuses},
	{"vm", "says", 3, do_vm_says},
	{"vm", "wait-boot", 3, do_vm_wait_boot},
	{"vm", "wait-exit", 3, do_vm_wait_exit},
	{"vm", "kill", 2, do_vm_kill},
	{"vm", "resize", 4, do_vm_resize},
	{"vm", "usage", 2, do_vm_usage},
	{"vm", "steady", 3, do_vm_steady},
	{"console", NULL, 2, do_console},
	{"run", NULL, 3, do_run},
	{"guest", NULL, 2, do_guest},
	{"guest-error", NULL, 2, do_guest_error},
	{"guest-begin", NULL, 2, do_guest_begin},
	{"guest-finish", NULL, 1, do_guest_finish},
	{"expect", NULL, 1, do_expect},
	{"expect-not", NULL, 2, do_expect_not},
	{"expect-min", NULL, 2, do_expect_min},
	{"expect-max", NULL, 2, do_expect_max},
	{"expect-near", NULL, 3, do_expect_near},
	{"keep", NULL, 2, do_keep},
	{"random", NULL, 3, do_random},
	{"field", NULL, 2, do_field},
	{"host", "run", 4, do_host_run},
	{"host", "read", 3, do_host_read},
	{"host", "write", 4, do_host_write},
	{"host", "begin", 4, do_host_begin},
	{"host", "finish", 2, do_host_finish},
	{"host", "suspended", 3, do_host_suspended},
	{"host", "config", 5, do_host_config},
	{"host", "irqs", 3, do_host_irqs},
	{"host", "module", 3, do_host_module},
	{"host", "sum", 5, do_host_sum},
	{"host", "directory", 3, do_host_directory},
	{"host", "disk", 4, do_host_disk},
	{"host", "rom", 4, do_host_rom},
	{"host", "tap", 4, do_host_tap},
	{"host", "echo", 3, do_host_echo},
	{"host", "namespace", 2, do_host_namespace},
	{"host", "serve", 4, do_host_serve},
	{"host", "kill", 2, do_host_kill},
	{"host", "vsock-echo", 3, do_host_vsock_echo},
	{"host", "vsock-stream", 5, do_host_vsock_stream},
	{"host", "vsock-hold", 4, do_host_vsock_hold},
	{"host", "vsock-ended", 2, do_host_vsock_ended},
	{"host", "wait", 5, do_host_wait},
	{"host", "stays", 5, do_host_stays},
	{"event", "expect", 3, do_event_expect},
	{"event", "none", 3, do_event_none},
	{"event", "count", 4, do_event_count},
	{"event", "min", 4, do_event_min},
	{"event", "last", 3, do_event_last},
	{"monitor", NULL, 2, do_monitor},
	{"api", NULL, 3, do_api},
	{"soak", NULL, 3, do_soak},
	{"watch", NULL, 3, do_watch},
	{"note", NULL, 2, do_note},
	{"timeline", NULL, 1, do_timeline},
};

int step_perform(struct rig *rig, struct words *words, const char *rest)
{
	for (size_t i = 0; i < sizeof(step_types) / sizeof(step_types[0]); i++) {
		const struct step_type *type = &step_types[i];

		if (strcmp(words->word[0], type->first) != 0)
			continue;
		if (type->second && (words->count < 2 || strcmp(words->word[1], type->second) != 0))
			continue;
		if (words->count < type->words_min)
			return fail("words are missing");
		return type->perform(rig, words, rest);
	}
	return fail("unknown step");
}
