#include "vmm/terminal.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/base/log.h"
#include "vmm/base/thread.h"
#include "vmm/loop.h"

#define ESCAPE 0x01 /* Ctrl-A */
#define INPUT_MAX 256
#define HELD_MAX 16384 /* more keys than a person presses */

struct terminal {
	struct loop *loop;
	struct terminal_listener listener;
	bool is_tty, escaped, watched;
	uint8_t held[HELD_MAX];      /* read, but not taken by the guest yet */
	size_t held_len;
	int resize_fd;                /* signalfd, -1: not wanted */
};

/* For the handler of fatal signals; written once before it is installed. */
static struct termios saved_mode;
static struct sigaction bus_error; /* whose SIGBUS was before, vmm/mem_fault.h */

static void restore(void)
{
	tcsetattr(STDIN_FILENO, TCSANOW, &saved_mode);
	log_set_raw_terminal(false);
}

static void on_fatal_signal(int number, siginfo_t *info, void *context)
{
	restore();
	if (number == SIGBUS && bus_error.sa_flags & SA_SIGINFO)
		bus_error.sa_sigaction(number, info, context);
	raise(number); /* SA_RESETHAND: now with the default action */
}

static void make_raw(void)
{
	struct sigaction action = {.sa_sigaction = on_fatal_signal,
				   .sa_flags = SA_SIGINFO | (int)SA_RESETHAND};
	struct termios raw = saved_mode;

	sigaction(SIGBUS, NULL, &bus_error);
	for (size_t i = 0; i < THREAD_FAULT_SIGNALS; i++)
		sigaction(thread_fault_signals[i], &action, NULL);
	cfmakeraw(&raw);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	log_set_raw_terminal(true);
}

/* There is room: a byte is held for each that was read, at most. */
static void hold(struct terminal *terminal, uint8_t byte)
{
	assert(terminal->held_len < sizeof(terminal->held));
	terminal->held[terminal->held_len++] = byte;
}

/* One key after Ctrl-A: x quits, Ctrl-A sends itself, anything else explains. */
static void handle_escaped(struct terminal *terminal, uint8_t key)
{
	terminal->escaped = false;
	if (key == 'x' || key == 'X')
		terminal->listener.quit(terminal->listener.opaque);
	else if (key == ESCAPE || key == 'a')
		hold(terminal, ESCAPE);
	else
		log_info("Ctrl-A x ends the virtual machine, Ctrl-A Ctrl-A sends Ctrl-A");
}

static void take_byte(struct terminal *terminal, uint8_t byte)
{
	if (terminal->escaped)
		handle_escaped(terminal, byte);
	else if (terminal->is_tty && byte == ESCAPE)
		terminal->escaped = true;
	else
		hold(terminal, byte);
}

static void set_watched(struct terminal *terminal, bool on);

/* A person is listened to while the guest takes nothing: one that hangs is to be ended by Ctrl-A x,
 * whatever was typed before. */
static void deliver(struct terminal *terminal)
{
	size_t most = terminal->is_tty ? sizeof(terminal->held) : 1;
	size_t taken = terminal->listener.input(terminal->listener.opaque, terminal->held,
						terminal->held_len);

	memmove(terminal->held, terminal->held + taken, terminal->held_len - taken);
	terminal->held_len -= taken;
	set_watched(terminal, terminal->held_len < most);
}

static void on_readable(void *opaque, int fd)
{
	struct terminal *terminal = opaque;
	uint8_t bytes[INPUT_MAX];
	size_t room = sizeof(terminal->held) - terminal->held_len;
	ssize_t len = read(fd, bytes, room < sizeof(bytes) ? room : sizeof(bytes));

	if (len < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (len <= 0) { /* end of input: the guest runs on without */
		set_watched(terminal, false);
		return;
	}
	for (ssize_t i = 0; i < len; i++)
		take_byte(terminal, bytes[i]);
	deliver(terminal);
}

static void set_watched(struct terminal *terminal, bool on)
{
	if (on == terminal->watched)
		return;
	if (!on)
		loop_remove(terminal->loop, STDIN_FILENO);
	else if (loop_add(terminal->loop, STDIN_FILENO, on_readable, terminal))
		return; /* a regular file or /dev/null: nothing to await */
	terminal->watched = on;
}

/* --- its size --- */

bool terminal_get_size(struct terminal_size *ret_size)
{
	struct winsize size = {0};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && ioctl(STDIN_FILENO, TIOCGWINSZ, &size))
		return false;
	*ret_size = (struct terminal_size){.cols = size.ws_col, .rows = size.ws_row};
	return size.ws_col || size.ws_row;
}

static void on_resize(void *opaque, int fd)
{
	struct terminal *terminal = opaque;
	struct signalfd_siginfo info;
	struct terminal_size size;

	if (read(fd, &info, sizeof(info)) == sizeof(info) && terminal_get_size(&size))
		terminal->listener.resized(terminal->listener.opaque, size);
}

/* All other threads take only the signals of their own (vmm/base/thread.h). */
static int watch_size(struct terminal *terminal)
{
	struct terminal_size size;
	sigset_t signals;
	int error;

	sigemptyset(&signals);
	sigaddset(&signals, SIGWINCH);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	terminal->resize_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (terminal->resize_fd < 0)
		return -errno;
	error = loop_add(terminal->loop, terminal->resize_fd, on_resize, terminal);
	/* It may have changed before anyone watched. */
	if (!error && terminal_get_size(&size))
		terminal->listener.resized(terminal->listener.opaque, size);
	return error;
}

struct terminal *terminal_create(struct loop *loop, const struct terminal_listener *listener)
{
	struct terminal *terminal = calloc(1, sizeof(*terminal));

	if (!terminal)
		return NULL;
	terminal->loop = loop;
	terminal->listener = *listener;
	terminal->resize_fd = -1;
	if (listener->resized && watch_size(terminal)) {
		terminal_destroy(terminal);
		return NULL;
	}
	terminal->is_tty = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &saved_mode) == 0;
	if (terminal->is_tty)
		make_raw();
	set_watched(terminal, true);
	return terminal;
}

void terminal_resume_input(struct terminal *terminal)
{
	if (terminal->held_len)
		deliver(terminal);
}

void terminal_drop_input(struct terminal *terminal)
{
	if (!terminal || !terminal->is_tty || !terminal->held_len)
		return;
	terminal->held_len = 0;
	set_watched(terminal, true);
}

void terminal_destroy(struct terminal *terminal)
{
	if (!terminal)
		return;
	set_watched(terminal, false);
	loop_remove(terminal->loop, terminal->resize_fd);
	if (terminal->resize_fd >= 0)
		close(terminal->resize_fd);
	if (terminal->is_tty)
		restore();
	free(terminal);
}
