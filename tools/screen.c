/*
 * The sequences are those that all terminals of today know (xterm's; ECMA-48 and DEC private
 * modes).
 */
#include "tools/screen.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/base/text.h"

#define ROWS_DEFAULT 24U
/* Alternate screen, no cursor, lines are cut off instead of wrapped; and back. */
#define ENTER "\033[?1049h\033[?25l\033[?7l"
#define LEAVE "\033[?7h\033[?25h\033[?1049l"

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};

static void fill_set(sigset_t *ret_set)
{
	sigemptyset(ret_set);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(ret_set, signals[i]);
}

static void show(struct screen *screen)
{
	struct termios mode = screen->before;

	mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	mode.c_cc[VMIN] = 1;
	mode.c_cc[VTIME] = 0;
	if (screen->takes_keys)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &mode);
	text_write(STDOUT_FILENO, ENTER, strlen(ENTER));
	screen->is_shown = true;
}

static void hide(struct screen *screen)
{
	if (!screen->is_shown)
		return;
	text_write(STDOUT_FILENO, LEAVE, strlen(LEAVE));
	if (screen->takes_keys)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &screen->before);
	screen->is_shown = false;
}

int screen_open(struct screen *screen)
{
	sigset_t set;

	*screen = (struct screen) {.signal_fd = -1};
	fill_set(&set);
	screen->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (screen->signal_fd < 0)
		return -errno;
	sigprocmask(SIG_BLOCK, &set, NULL);
	screen->takes_keys = !tcgetattr(STDIN_FILENO, &screen->before);
	show(screen);
	return 0;
}

void screen_close(struct screen *screen)
{
	sigset_t set;

	hide(screen);
	close(screen->signal_fd);
	fill_set(&set);
	if (screen->ended_by) {
		signal(screen->ended_by, SIG_DFL);
		raise(screen->ended_by); /* as soon as it is let through */
	}
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

bool screen_draw(const char *text, size_t len)
{
	struct winsize size = {.ws_row = 0};
	struct text out = {.bytes = NULL};
	unsigned int rows = ROWS_DEFAULT;
	bool done;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row)
		rows = size.ws_row;
	text_add(&out, "\033[H");
	for (; len && rows; rows--) {
		const char *newline = memchr(text, '\n', len);
		size_t line = newline ? (size_t)(newline - text) : len;

		text_add_bytes(&out, text, line);
		/* Clear the rest of the line; after the last row no newline, which would scroll. */
		text_add(&out, "\033[0m\033[K%s", rows > 1 ? "\r\n" : "");
		text += line + (newline != NULL);
		len -= line + (newline != NULL);
	}
	text_add(&out, "%s", rows ? "\033[J" : "");
	done = !out.failed && !text_write(STDOUT_FILENO, out.bytes, out.len);
	text_finish(&out);
	return done;
}

bool screen_take_signal(struct screen *screen)
{
	struct signalfd_siginfo info;

	if (read(screen->signal_fd, &info, sizeof(info)) != sizeof(info))
		return true;
	if (info.ssi_signo == SIGTSTP) {
		hide(screen);
		raise(SIGSTOP);
		show(screen);
	} else if (info.ssi_signo != SIGWINCH) {
		screen->ended_by = (int)info.ssi_signo;
		return false;
	}
	return true;
}
