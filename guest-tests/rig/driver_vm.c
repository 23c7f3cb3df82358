/* One VMM process: its start and end, its terminal, and the conversation with the guest's agent. */
#include "guest-tests/rig/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define VMM "/bin/minivmm"
#define EVENTS_PATH "/run/events/log"
#define RESEND_MS 5000U

static char boot_id[NAME_MAX_BYTES];

void vm_init(struct vm *vm)
{
	vm->pidfd = vm->tty = vm->err = vm->tty_slave = -1;
	snprintf(vm->kernel, sizeof(vm->kernel), "cloud-6.1");
}

static int open_terminal(struct vm *vm)
{
	const char *name;

	vm->tty = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (vm->tty < 0 || grantpt(vm->tty) < 0 || unlockpt(vm->tty) < 0)
		return fail("host: cannot make a terminal: %m");
	if (ioctl(vm->tty, TIOCSWINSZ, &(struct winsize){.ws_col = 80, .ws_row = 24}) < 0)
		return fail("host: a terminal without a size: %m");
	name = ptsname(vm->tty);
	vm->tty_slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (vm->tty_slave < 0 || tcgetattr(vm->tty_slave, &vm->termios) < 0)
		return fail("host: %s: %m", name);
	return 0;
}

/* Arguments, each ended by a tab. A unified kernel image has its initrd and command line in it. */
static void write_arguments(const struct vm *vm, char *line, size_t size)
{
	char initrd[128];
	int len = snprintf(line, size, VMM "\t--events\t" EVENTS_PATH "\t");

	if (vm->own_guest)
		return;
	len += snprintf(line + len, size - (size_t)len, "--kernel\t/guests/%s/kernel\t",
			vm->kernel);
	snprintf(initrd, sizeof(initrd), "/guests/%s/initrd", vm->kernel);
	if (access(initrd, F_OK))
		return;
	/* Every character is an exit in the software CPU: only warnings, the agent has the rest. */
	snprintf(line + len, size - (size_t)len, "--initrd\t%s\t--append\t"
		 "console=ttyS0 loglevel=4 panic=-1 %s\t", initrd, vm->append);
}

#define ARGUMENTS_MAX 64
static void exec_vmm(struct vm *vm, int err)
{
	static char line[4 * LINE_MAX_BYTES];
	char *argv[ARGUMENTS_MAX + 1];
	unsigned int n = 0;

	write_arguments(vm, line, sizeof(line));
	for (char *p = vm->args; *p; p++) {
		if (*p == ' ')
			*p = '\t';
	}
	snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s", vm->args);
	for (char *word = strtok(line, "\t"); word && n < ARGUMENTS_MAX; word = strtok(NULL, "\t"))
		argv[n++] = word;
	argv[n] = NULL;
	setsid();
	ioctl(vm->tty_slave, TIOCSCTTY, 0);
	dup2(vm->tty_slave, 0);
	dup2(vm->tty_slave, 1);
	dup2(err, 2);
	signal(SIGPIPE, SIG_DFL);
	execv(VMM, argv);
	_exit(127);
}

int vm_start(struct rig *rig)
{
	struct vm *vm = &rig->vm;
	int err[2];

	if (vm->pid)
		return fail("a VM runs already");
	if (open_terminal(vm) < 0 || events_begin(&rig->events, EVENTS_PATH) < 0)
		return -1;
	if (pipe2(err, O_CLOEXEC | O_NONBLOCK) < 0)
		return fail("host: cannot make a pipe: %m");
	vm->err = err[0];
	vm->boots = 0;
	vm->boots_expected = 1;
	vm->ended = vm->panicked = vm->spoke = false;
	boot_id[0] = '\0';
	console_begin();
	say("vm: minivmm %s%s%s", vm->args, vm->own_guest ? "" : ", guest kernel ",
	    vm->own_guest ? "" : vm->kernel);
	fflush(stdout);
	vm->pid = fork();
	if (vm->pid == 0)
		exec_vmm(vm, err[1]);
	close(err[1]);
	vm->pidfd = (int)syscall(SYS_pidfd_open, vm->pid, 0);
	return vm->pid < 0 || vm->pidfd < 0 ? fail("host: cannot start minivmm: %m") : 0;
}

/* "RIG id OK length text", anywhere in a line: the kernel's console may have begun it. */
static void take_answer(struct rig *rig, const char *text)
{
	struct vm *vm = &rig->vm;
	unsigned int id, length;
	char verdict[4];
	int at = 0;

	if (sscanf(text, "RIG %u %3s %u %n", &id, verdict, &length, &at) < 3 || !at)
		return;
	text += at;
	if (strlen(text) != length)
		return; /* something got between; it is asked again */
	if (id == 0) {
		if (!strcmp(text, boot_id))
			return;
		snprintf(boot_id, sizeof(boot_id), "%s", text);
		vm->boots++;
		return;
	}
	if (id != vm->request || vm->answered)
		return;
	snprintf(rig->answer, sizeof(rig->answer), "%s", text);
	vm->answer_ok = !strcmp(verdict, "OK");
	vm->answered = true;
}

static void take_guest_line(struct rig *rig, char *line)
{
	const char *answer = strstr(line, "RIG ");

	say("guest: %s", line);
	if (answer)
		take_answer(rig, answer);
	if (strstr(line, "Kernel panic"))
		rig->vm.panicked = true;
}

static void take_log_line(struct rig *rig, char *line)
{
	say("vmm: %s", line);
	snprintf(rig->answer, sizeof(rig->answer), "%s", line);
}

static void drain(struct rig *rig, int fd, struct line *line,
		  void (*take)(struct rig *rig, char *line))
{
	char text[4096];
	ssize_t len;

	while (fd >= 0 && (len = read(fd, text, sizeof(text))) > 0) {
		rig->vm.spoke = true;
		if (fd == rig->vm.tty)
			console_feed(text, (size_t)len);
		line_feed(rig, line, text, (size_t)len, take);
	}
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* The VMM must leave the terminal as it found it, unless it was killed. */
static void check_terminal(struct vm *vm)
{
	const struct termios *was = &vm->termios;
	struct termios now;

	if (tcgetattr(vm->tty_slave, &now) < 0)
		now.c_lflag = ~was->c_lflag;
	vm->tty_restored = now.c_lflag == was->c_lflag && now.c_iflag == was->c_iflag &&
			   now.c_oflag == was->c_oflag;
	close_fd(&vm->tty_slave);
}

static void take_end(struct rig *rig)
{
	struct vm *vm = &rig->vm;

	vm->pid = 0;
	vm->ended = true;
	events_pump(rig);
	drain(rig, vm->tty, &vm->out, take_guest_line);
	drain(rig, vm->err, &vm->log, take_log_line);
	if (WIFSIGNALED(vm->status))
		say("vm: ended by signal %d (%s)", WTERMSIG(vm->status),
		    strsignal(WTERMSIG(vm->status)));
	else
		say("vm: ended with status %d", WEXITSTATUS(vm->status));
	/* What tells a fault of the emulator from one of ours; run reads it. */
	if (WIFSIGNALED(vm->status) && WTERMSIG(vm->status) != SIGKILL)
		say("EVIDENCE signal=%d events=%zu spoke=%d", WTERMSIG(vm->status),
		    rig->events.count, vm->spoke);
	events_end(&rig->events);
	check_terminal(vm);
	close_fd(&vm->pidfd);
	close_fd(&vm->err);
	close_fd(&vm->tty);
}

void vm_pump(struct rig *rig)
{
	struct vm *vm = &rig->vm;

	drain(rig, vm->tty, &vm->out, take_guest_line);
	drain(rig, vm->err, &vm->log, take_log_line);
	if (vm->pid && waitpid(vm->pid, &vm->status, WNOHANG) == vm->pid)
		take_end(rig);
}

int vm_dead(const struct vm *vm)
{
	if (vm->panicked)
		return fail("the guest's kernel panicked");
	if (vm->ended && WIFSIGNALED(vm->status))
		return fail("minivmm was ended by signal %d (%s)", WTERMSIG(vm->status),
			    strsignal(WTERMSIG(vm->status)));
	if (vm->ended)
		return fail("minivmm ended with status %d", WEXITSTATUS(vm->status));
	if (vm->boots > vm->boots_expected)
		return fail("the guest restarted by itself");
	return vm->pid ? 0 : fail("no VM runs");
}

static int booted(struct rig *rig, void *arg)
{
	const unsigned int *boots = arg;

	return rig->vm.boots >= *boots ? 1 : vm_dead(&rig->vm);
}

int vm_wait_boot(struct rig *rig, unsigned int boots, unsigned int timeout_ms)
{
	int result;

	rig->vm.boots_expected = boots;
	result = rig_wait(rig, booted, &boots, timeout_ms);
	if (result == WAIT_TIMEOUT)
		return fail("no hello from the guest's agent within %u s", timeout_ms / 1000);
	return result;
}

static int ended(struct rig *rig, void *arg)
{
	(void)arg;
	return rig->vm.ended;
}

int vm_wait_end(struct rig *rig, unsigned int timeout_ms)
{
	int result;

	if (!rig->vm.pid && !rig->vm.ended)
		return fail("no VM runs");
	result = rig_wait(rig, ended, NULL, timeout_ms);
	if (result == WAIT_TIMEOUT)
		return fail("minivmm still runs after %u s", timeout_ms / 1000);
	if (result == 0 && WIFEXITED(rig->vm.status) && !rig->vm.tty_restored)
		return fail("minivmm did not restore its terminal");
	return result;
}

int vm_kill(struct rig *rig)
{
	if (rig->vm.pid)
		kill(rig->vm.pid, SIGKILL);
	return vm_wait_end(rig, 30000);
}

static int answered(struct rig *rig, void *arg)
{
	(void)arg;
	return rig->vm.answered ? 1 : vm_dead(&rig->vm);
}

static int send_request(struct vm *vm)
{
	size_t len = strlen(vm->request_text);

	if (write(vm->tty, vm->request_text, len) != (ssize_t)len)
		say("vm: its terminal is full, the VMM does not read");
	return 0;
}

int vm_ask(struct rig *rig, const char *command)
{
	struct vm *vm = &rig->vm;

	if (vm_dead(vm) < 0)
		return -1;
	vm->request++;
	vm->answered = false;
	snprintf(vm->request_text, sizeof(vm->request_text), "\nRIG %u %s\n", vm->request, command);
	return send_request(vm);
}

/* Asks again where an answer got lost; the agent does a request of one id only once. */
int vm_answer(struct rig *rig, unsigned int timeout_ms)
{
	for (unsigned int waited = 0; waited < timeout_ms; waited += RESEND_MS) {
		int result = rig_wait(rig, answered, NULL, RESEND_MS);

		if (result != WAIT_TIMEOUT)
			return result;
		send_request(&rig->vm);
	}
	return fail("no answer from the guest's agent within %u s", timeout_ms / 1000);
}
