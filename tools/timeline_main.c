/*
 * The command `minivmm timeline`: an event log in, a picture out.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/timeline.h"
#include "tools/tools.h"
#include "vmm/base/log.h"

#define PIECE 65536
#define COLUMNS 824 /* the picture's, one a pixel */

static const char help[] =
	"Usage: minivmm timeline EVENTS.jsonl [-o PICTURE.svg]\n"
	"Draw the power states of the passed-through functions over time, what woke them, how\n"
	"long they really slept and how long the host took, from the log that --events writes.\n"
	"\n"
	"EVENTS.jsonl may be - for standard input, and of any length. Without -o, or with -o -,\n"
	"the picture goes to standard output. Lines that are no events are left out and counted.\n"
	"A log that ends in the middle is drawn as far as it goes.\n"
	"Exit status: 0, 1 when there is nothing to draw or a file fails, 2 wrong usage.\n";

struct arguments {
	const char *log, *picture; /* NULL: not given */
	bool help;
};

/* True, or a line that says what is wrong. */
static bool parse(int argc, char *argv[], struct arguments *ret)
{
	*ret = (struct arguments) {.log = NULL};
	for (int i = 1; i < argc; i++) {
		const char **place = &ret->log;

		ret->help |= !strcmp(argv[i], "--help");
		if (ret->help)
			return true;
		if (!strcmp(argv[i], "-o")) {
			place = &ret->picture;
			i++;
		} else if (argv[i][0] == '-' && argv[i][1]) {
			log_err("timeline: %s: unknown option; try --help", argv[i]);
			return false;
		}
		if (i == argc || *place) {
			log_err("timeline: %s; try --help",
				i == argc ? "-o needs the name of a file" : "more than one file");
			return false;
		}
		*place = argv[i];
	}
	if (!ret->log)
		log_err("timeline: which event log? minivmm timeline EVENTS.jsonl -o power.svg");
	return ret->log != NULL;
}

static int read_log(int fd, struct timeline *timeline)
{
	struct lines *lines = calloc(1, sizeof(*lines));
	char *piece = malloc(PIECE);
	ssize_t len = 1;
	int error = lines && piece ? 0 : -ENOMEM;

	while (!error && len > 0) {
		len = read(fd, piece, PIECE);
		if (len < 0 && errno == EINTR)
			len = 1;
		else if (len < 0)
			error = -errno;
		else if (!lines_feed(lines, piece, (size_t)len, timeline_take, timeline))
			error = -ENOMEM;
	}
	/* The VMM was killed while it wrote a line, or it is writing one now: no news. */
	if (!error && lines->len && !lines->too_long) {
		uint64_t broken = timeline->broken;

		if (!timeline_take(timeline, lines->number + 1, lines->bytes, lines->len))
			error = -ENOMEM;
		timeline->broken = broken;
	}
	free(piece);
	free(lines);
	return error;
}

static void say_what_is_left_out(const char *name, const struct timeline *timeline)
{
	if (timeline->broken)
		log_warn("timeline: %s: skipping lines that are no events: %" PRIu64
			 ", the first is line %" PRIu64, name, timeline->broken,
			 timeline->broken_first);
	if (timeline->restarts)
		log_warn("timeline: %s: time goes back in line %" PRIu64
			 ": another run, drawing it after the one before", name,
			 timeline->restart_first);
	if (timeline->other_devices)
		log_warn("timeline: %s: more than %u functions, leaving the others out", name,
			 TIMELINE_LANES);
}

/* `log_fd` is what must not be overwritten by its own picture. */
static int open_picture(const char *name, int log_fd)
{
	struct stat log, picture;
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);

	if (fd < 0 || fstat(log_fd, &log) || fstat(fd, &picture))
		return -errno;
	if (log.st_dev == picture.st_dev && log.st_ino == picture.st_ino) {
		close(fd);
		return -EEXIST;
	}
	if (S_ISREG(picture.st_mode) && ftruncate(fd, 0)) {
		close(fd);
		return -errno;
	}
	return fd;
}

static int write_picture(const char *name, int log_fd, const struct text *svg)
{
	int fd, error;

	if (!name || !strcmp(name, "-"))
		return tool_say(svg->bytes, svg->len);
	fd = open_picture(name, log_fd);
	error = fd < 0 ? fd : text_write(fd, svg->bytes, svg->len);
	if (fd >= 0 && close(fd) && !error)
		error = -errno;
	if (error)
		log_err("timeline: %s: %s", name, error == -EEXIST
			? "is the log itself; give the picture another name" : strerror(-error));
	return error ? TOOL_FAILED : TOOL_OK;
}

/* Draws what was read. */
static int draw(struct timeline *timeline, const struct arguments *arguments, int log_fd)
{
	struct text svg = {.bytes = NULL};
	int status = TOOL_FAILED;

	timeline_close(timeline, COLUMNS);
	timeline_draw(timeline, &svg);
	if (timeline->failed || svg.failed)
		log_err("timeline: out of memory");
	else
		status = write_picture(arguments->picture, log_fd, &svg);
	text_finish(&svg);
	return status;
}

static int finish(struct timeline *timeline, const struct arguments *arguments, const char *name,
		  int log_fd)
{
	if (timeline->events) {
		say_what_is_left_out(name, timeline);
		return draw(timeline, arguments, log_fd);
	}
	if (timeline->broken)
		log_err("timeline: %s: none of its lines is an event; is it what --events wrote?",
			name);
	else
		log_err("timeline: %s: no events in it; minivmm writes them with --events FILE",
			name);
	return TOOL_FAILED;
}

static int run(const struct arguments *arguments)
{
	bool is_stdin = !strcmp(arguments->log, "-");
	const char *name = is_stdin ? "standard input" : arguments->log;
	int fd = is_stdin ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct timeline timeline = {.lanes = 0};
	int error = fd < 0 ? -errno : read_log(fd, &timeline);
	int status = TOOL_FAILED;

	if (error)
		log_err("timeline: %s: %s", name, strerror(-error));
	else
		status = finish(&timeline, arguments, name, fd);
	timeline_finish(&timeline);
	if (fd > STDIN_FILENO)
		close(fd);
	return status;
}

int tool_timeline(int argc, char *argv[])
{
	struct arguments arguments;

	if (!parse(argc, argv, &arguments))
		return TOOL_USAGE;
	if (arguments.help)
		return tool_say(help, strlen(help));
	return run(&arguments);
}
