#include "guest-tests/rig/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "guest-tests/rig/irqs.h"

#define HELLO_MS 2000
#define POLL_NS 20000000L

static int tty = -1;

static int read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t got = 0;

	if (fd < 0)
		return -errno;
	while (len < size - 1 && (got = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)got;
	got = got < 0 ? -errno : 0;
	close(fd);
	while (len && text[len - 1] == '\n')
		len--;
	text[len] = '\0';
	for (char *p = text; *p; p++) {
		if (*p == '\n')
			*p = '|';
	}
	return (int)got;
}

static int do_read(char **arg, char *answer)
{
	return read_file(arg[0], answer, ANSWER_MAX);
}

static int do_write(char **arg, char *answer)
{
	int fd = open(arg[0], O_WRONLY | O_CLOEXEC);
	int error = 0;

	(void)answer;
	if (fd < 0)
		return -errno;
	if (write(fd, arg[1], strlen(arg[1])) < 0)
		error = -errno;
	close(fd);
	return error;
}

int agent_tty(void)
{
	return tty;
}

long long agent_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* "30s" or "500ms" */
long long agent_timeout_ms(const char *word)
{
	char *unit;
	long long number = strtoll(word, &unit, 10);

	return number * (!strcmp(unit, "s") ? 1000 : 1);
}

/* wait PATH VALUE 30s: the answer is what the file says at last. */
static int do_wait(char **arg, char *answer)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	long long deadline = agent_ms() + agent_timeout_ms(arg[2]);

	for (;;) {
		int error = read_file(arg[0], answer, ANSWER_MAX);

		if (!error && !strcmp(answer, arg[1]))
			return 0;
		if (agent_ms() > deadline)
			return error ? error : -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
}

static int load_module(const char *name, const char *params)
{
	char path[256];
	int fd, error = 0;

	snprintf(path, sizeof(path), "/modules/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (syscall(SYS_finit_module, fd, params, 0) < 0 && errno != EEXIST)
		error = -errno;
	close(fd);
	return error;
}

/* modprobe NAME [PARAMETERS]: a line of /modules/order is "NAME FILE..." in loading order. */
static int do_modprobe(char **arg, char *answer)
{
	FILE *order = fopen("/modules/order", "re");
	int error = -ENOENT;
	char line[512];

	(void)answer;
	if (!order)
		return -errno;
	while (error == -ENOENT && fgets(line, sizeof(line), order)) {
		char *save, *file, *name = strtok_r(line, " \n", &save);

		if (!name || strcmp(name, arg[0]) != 0)
			continue;
		error = 0;
		while (!error && (file = strtok_r(NULL, " \n", &save))) {
			size_t len = strlen(name);
			bool itself = !strncmp(file, name, len) && file[len] == '.';

			error = load_module(file, itself && arg[1] ? arg[1] : "");
		}
	}
	fclose(order);
	return error;
}

static int do_rmmod(char **arg, char *answer)
{
	(void)answer;
	return syscall(SYS_delete_module, arg[0], O_NONBLOCK) < 0 ? -errno : 0;
}

/* irqs NAME: "COUNT LINES CHIP" of the lines of /proc/interrupts that name it. */
static int do_irqs(char **arg, char *answer)
{
	return irqs_of(arg[0], answer, ANSWER_MAX);
}

static int do_version(char **arg, char *answer)
{
	struct utsname name;

	(void)arg;
	if (uname(&name) < 0)
		return -errno;
	snprintf(answer, ANSWER_MAX, "%s", name.release);
	return 0;
}

/* size COLUMNS ROWS 30s: until the terminal is so large; the answer is how large it is at last */
static int do_size(char **arg, char *answer)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	long long deadline = agent_ms() + agent_timeout_ms(arg[2]);

	for (;;) {
		struct winsize size = {0};

		ioctl(tty, TIOCGWINSZ, &size);
		snprintf(answer, ANSWER_MAX, "%u %u", size.ws_col, size.ws_row);
		if (size.ws_col == atoi(arg[0]) && size.ws_row == atoi(arg[1]))
			return 0;
		if (agent_ms() > deadline)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
}

static int do_cpus(char **arg, char *answer)
{
	(void)arg;
	snprintf(answer, ANSWER_MAX, "%ld", sysconf(_SC_NPROCESSORS_ONLN));
	return 0;
}

/* steal: hundredths of a second that a CPU could have run and the host did not let it: proc(5). */
static int do_steal(char **arg, char *answer)
{
	FILE *file = fopen("/proc/stat", "re");
	unsigned long long steal;
	int fields;

	(void)arg;
	if (!file)
		return -errno;
	fields = fscanf(file, "cpu %*u %*u %*u %*u %*u %*u %*u %llu", &steal);
	fclose(file);
	snprintf(answer, ANSWER_MAX, "%llu", steal);
	return fields == 1 ? 0 : -EIO;
}

/* These answer first, then do: see perform(). */
static int do_later(char **arg, char *answer)
{
	(void)arg;
	(void)answer;
	return 0;
}

static const struct command commands[] = {
	{"read", do_read, 1},         {"write", do_write, 2},   {"wait", do_wait, 3},
	{"modprobe", do_modprobe, 1}, {"rmmod", do_rmmod, 1},   {"irqs", do_irqs, 1},
	{"steal", do_steal, 0},
	{"version", do_version, 0},   {"cpus", do_cpus, 0},     {"klog", do_klog, 0},
	{"cfg", do_cfg, 3},           {"mem", do_mem, 3},       {"ifup", do_ifup, 2},
	{"ifdown", do_ifdown, 1},     {"ping", do_ping, 2},     {"reboot", do_later, 0},
	{"poweroff", do_later, 0},    {"klog-wait", do_klog_wait, 3},
	{"button-watch", do_button_watch, 0},             {"button", do_button, 1},
	{"sum", do_sum, 3},           {"fill", do_fill, 4},     {"discard", do_discard, 3},
	{"zero", do_zero, 3},         {"mount", do_mount, 3},   {"umount", do_umount, 1},
	{"run", do_run, 1},           {"spawn", do_spawn, 1},
	{"written", do_written, 3},
	{"stream", do_stream, 3},     {"watchdog-open", do_watchdog_open, 1},
	{"watchdog-left", do_watchdog_left, 2},           {"watchdog-feed", do_watchdog_feed, 0},
	{"vsock-echo", do_vsock_echo, 1},
	{"vsock-stream", do_vsock_stream, 3},
	{"stream", do_stream, 3},     {"vsock-echo", do_vsock_echo, 1},
	{"vsock-stream", do_vsock_stream, 3},            {"size", do_size, 3},
};

static int perform(char *text, char *answer)
{
	char *arg[ARGUMENTS_MAX + 1] = {NULL}, *name = strtok(text, " ");
	int count = 0;

	answer[0] = '\0';
	while (count < ARGUMENTS_MAX && (arg[count] = strtok(NULL, " ")))
		count++;
	for (size_t i = 0; name && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(name, commands[i].name) != 0)
			continue;
		if (count < commands[i].arguments_min)
			return -EINVAL;
		return commands[i].perform(arg, answer);
	}
	return -ENOSYS;
}

static void answer_request(char *line)
{
	static unsigned int last_id;
	static char answer[ANSWER_MAX + 64];
	static int error;
	char *text = strstr(line, "RIG "), *end;
	unsigned int id;
	bool power_off, restart;

	if (!text)
		return;
	id = (unsigned int)strtoul(text + 4, &end, 10);
	if (!id || *end != ' ')
		return;
	power_off = !strcmp(end, " poweroff");
	restart = !strcmp(end, " reboot");
	if (id != last_id) {
		error = perform(end + 1, answer);
		if (error)
			snprintf(answer + strlen(answer), 64, "%s%s", answer[0] ? ": " : "",
				 strerror(-error));
	}
	last_id = id;
	dprintf(tty, "RIG %u %s %zu %s\n", id, error ? "ERR" : "OK", strlen(answer), answer);
	tcdrain(tty);
	if (power_off || restart)
		reboot(power_off ? RB_POWER_OFF : RB_AUTOBOOT);
}

static void hello(void)
{
	char id[64];

	if (read_file("/proc/sys/kernel/random/boot_id", id, sizeof(id)) == 0)
		dprintf(tty, "RIG 0 OK %zu %s\n", strlen(id), id);
}

/* What the console needs, as far as it is not built in. */
static void load_console(void)
{
	static const char *const modules[] = {"virtio_pci", "virtio_console"};

	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
		char name[32], *arg[] = {name, NULL};

		snprintf(name, sizeof(name), "%s", modules[i]);
		do_modprobe(arg, NULL);
	}
}

/* The kernel passes on "rig_tty=hvc0" of its command line. */
static int open_tty(void)
{
	const char *name = getenv("rig_tty");
	struct termios raw;
	char path[64];

	if (name)
		load_console();
	snprintf(path, sizeof(path), "/dev/%s", name ? name : "ttyS0");
	tty = open(path, O_RDWR | O_NOCTTY);
	if (tty < 0 || tcgetattr(tty, &raw) < 0)
		return -errno;
	cfmakeraw(&raw);
	raw.c_oflag = OPOST | ONLCR;
	tcsetattr(tty, TCSAFLUSH, &raw);
	return 0;
}

int main(void)
{
	struct pollfd fd = {.events = POLLIN};
	char line[1024];
	size_t len = 0;
	bool asked = false;

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	if (open_tty() < 0)
		reboot(RB_POWER_OFF);
	fd.fd = tty;
	hello();
	for (;;) {
		char c;

		if (!asked && poll(&fd, 1, HELLO_MS) == 0)
			hello();
		else if (read(tty, &c, 1) != 1)
			continue;
		else if (c != '\n' && c != '\r' && len < sizeof(line) - 1)
			line[len++] = c;
		else {
			line[len] = '\0';
			len = 0;
			asked = asked || strstr(line, "RIG ");
			answer_request(line);
		}
	}
}
