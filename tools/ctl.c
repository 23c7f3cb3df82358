/*
 * What the words after `minivmm ctl` mean.
 */
#include "tools/ctl.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "tools/tools.h"
#include "vmm/base/bits.h"
#include "vmm/base/log.h"

#define WAIT_MAX_S 86400

static const char help[] =
	"Usage: minivmm ctl SOCKET COMMAND [OPTION]...\n"
	"Look at a running VM, and control it, by the socket that it made with --api SOCKET.\n"
	"To look never wakes a sleeping card.\n"
	"\n"
	"  status [--json]           the guest, and a line for each passed-through function\n"
	"  power [--json]            all about the power of each slot\n"
	"  power --watch             the same, live; q ends. Not to a terminal: a line a change\n"
	"  events [--json]           what happened of late\n"
	"  events --follow [--json]  and what happens from now on, until the VM ends\n"
	"  button [--wait SECONDS]   press the guest's power button; with --wait it is a failure\n"
	"                            if the VM has not ended after that time\n"
	"  wake                      wake the guest from S3\n"
	"  reboot                    reset the guest\n"
	"  quit [--wait SECONDS]     end the VM at once\n"
	"  add SLOT[,KEY=VALUE]... [--id NAME]  plug a slot, as --gpu would\n"
	"  remove NAME               ask the guest to eject one; gpu0, for example\n"
	"\n"
	"Exit status: 0, 1 when it failed or nobody listens, 2 wrong usage.\n";

#define MAY_JSON 0x1U
#define MAY_WATCH 0x2U
#define MAY_FOLLOW 0x4U
#define MAY_WAIT 0x8U
#define MAY_ID 0x10U
#define HAS_OPERAND 0x20U

static const struct command {
	const char *name;
	unsigned int takes;
	int (*run)(const struct ctl *ctl);
} commands[] = {
	{"status", MAY_JSON, ctl_status},
	{"power", MAY_JSON | MAY_WATCH, ctl_power},
	{"events", MAY_JSON | MAY_FOLLOW, ctl_events},
	{"button", MAY_WAIT, ctl_button},
	{"wake", 0, ctl_wake},
	{"reboot", 0, ctl_reboot},
	{"quit", MAY_WAIT, ctl_quit},
	{"add", HAS_OPERAND | MAY_ID, ctl_add},
	{"remove", HAS_OPERAND, ctl_remove},
};

static bool set_wait(struct ctl *ctl, const char *text)
{
	char *end;
	unsigned long seconds = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || !seconds || seconds > WAIT_MAX_S) {
		log_err("ctl: --wait %s: not a number of seconds from 1 to %d", text, WAIT_MAX_S);
		return false;
	}
	ctl->wait_s = (unsigned int)seconds;
	return true;
}

/* An option of `command` and its value, if it has one; returns how many words that was, 0 after a
 * line that says what is wrong. */
static unsigned int take_option(struct ctl *ctl, const struct command *command, const char *word,
				const char *value)
{
	const struct {
		const char *name;
		unsigned int may;
		bool *flag;
	} options[] = {
		{"--json", MAY_JSON, &ctl->json},
		{"--watch", MAY_WATCH, &ctl->watch},
		{"--follow", MAY_FOLLOW, &ctl->follow},
		{"--wait", MAY_WAIT, NULL},
		{"--id", MAY_ID, NULL},
	};
	size_t i = 0;

	while (i < ARRAY_SIZE(options) && (strcmp(options[i].name, word) ||
					   !(command->takes & options[i].may)))
		i++;
	if (i == ARRAY_SIZE(options)) {
		log_err("ctl: %s has no option %s; try --help", command->name, word);
		return 0;
	}
	if (options[i].flag) {
		*options[i].flag = true;
		return 1;
	}
	if (!value) {
		log_err("ctl: %s needs a value; try --help", word);
		return 0;
	}
	if (options[i].may == MAY_WAIT)
		return set_wait(ctl, value) ? 2 : 0;
	ctl->id = value;
	return 2;
}

static bool parse_rest(struct ctl *ctl, const struct command *command, int argc, char *argv[])
{
	unsigned int words;

	for (int i = 0; i < argc; i += (int)words) {
		words = 1;
		if (argv[i][0] == '-') {
			words = take_option(ctl, command, argv[i], argv[i + 1]);
			if (!words)
				return false;
		} else if (!(command->takes & HAS_OPERAND) || ctl->operand) {
			log_err("ctl: %s: what is '%s'? try --help", command->name, argv[i]);
			return false;
		} else {
			ctl->operand = argv[i];
		}
	}
	if ((command->takes & HAS_OPERAND) && !ctl->operand)
		log_err("ctl: %s what? try --help", command->name);
	else if (ctl->watch && ctl->json)
		log_err("ctl: --watch and --json do not go together; events --follow --json does "
			"what you want");
	else
		return true;
	return false;
}

struct show_style ctl_style(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	const char *locale = NULL, *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
	bool terminal = isatty(STDOUT_FILENO);

	for (unsigned int i = 0; i < ARRAY_SIZE(names) && !(locale && *locale); i++)
		locale = getenv(names[i]);
	return (struct show_style) {
		.colour = terminal && !(no_colour && *no_colour) && term && strcmp(term, "dumb"),
		.utf8 = locale && (strcasestr(locale, "UTF-8") || strcasestr(locale, "utf8")),
	};
}

int tool_ctl(int argc, char *argv[])
{
	struct ctl ctl = {.path = argc > 1 ? argv[1] : NULL};

	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--help"))
			return tool_say(help, strlen(help));
	if (argc < 3) {
		log_err("ctl: which socket, and what to do? minivmm ctl SOCKET status; try --help");
		return TOOL_USAGE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, argv[2]))
			return parse_rest(&ctl, &commands[i], argc - 3, argv + 3)
			     ? commands[i].run(&ctl) : TOOL_USAGE;
	log_err("ctl: no command '%s'; there are status, power, events, button, wake, reboot, "
		"quit, add and remove", argv[2]);
	return TOOL_USAGE;
}
