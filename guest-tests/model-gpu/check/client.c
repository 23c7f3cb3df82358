#include "guest-tests/model-gpu/check/client.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Nothing here takes long; who waits so long waits for what does not come. */
#define PATIENCE_MS 30000

static char model_dir[64];
static pid_t model_pid;
static int control_fd = -1;

void check_failed(const char *file, int line, const char *format, ...)
{
	va_list args;

	/* The parent has written what comes before. */
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(" (%s:%d)\n", file, line);
	fflush(stdout);
	_exit(1);
}

void check_equal(const char *file, int line, const char *what, uint64_t value, uint64_t wanted)
{
	if (value != wanted)
		check_failed(file, line, "%s is %#jx, not %#jx", what, (uintmax_t)value,
			     (uintmax_t)wanted);
}

/* --- the model --- */

void model_start(const char *program, const char *const *args)
{
	char slot[80], path[80], line[16] = "";
	const char *argv[16] = {program, "--socket", slot, "--control", path};
	int out[2], n = 5;

	strcpy(model_dir, "/tmp/check-model.XXXXXX");
	expect(mkdtemp(model_dir));
	snprintf(slot, sizeof(slot), "%s/slot", model_dir);
	snprintf(path, sizeof(path), "%s/control", model_dir);
	while (*args)
		argv[n++] = *args++;
	expect(!pipe(out));
	model_pid = fork();
	expect(model_pid >= 0);
	if (!model_pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], STDOUT_FILENO);
		execv(program, (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(out[1]);
	for (size_t len = 0; len < sizeof(line) - 1 && !strchr(line, '\n'); len++)
		expect(read(out[0], line + len, 1) == 1);
	expect(!strcmp(line, "ready\n"));
	/* The pipe stays open: the model must not meet a broken one. */
}

void model_usage(unsigned int *ret_fds, unsigned int *ret_maps)
{
	char path[64];
	unsigned int fds = 0, maps = 0;
	FILE *file;
	DIR *dir;
	int c;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)model_pid);
	dir = opendir(path);
	expect(dir);
	while (readdir(dir))
		fds++;
	closedir(dir);
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)model_pid);
	file = fopen(path, "re");
	expect(file);
	while ((c = getc(file)) != EOF)
		maps += c == '\n';
	fclose(file);
	*ret_fds = fds;
	*ret_maps = maps;
}

static void remove_dir(void)
{
	char path[80];

	snprintf(path, sizeof(path), "%s/slot", model_dir);
	expect(!rmdir(path)); /* the model has removed its sockets */
	expect(!rmdir(model_dir));
}

void model_quit(void)
{
	int result;

	control_ok("quit");
	expect(waitpid(model_pid, &result, 0) == model_pid);
	expect_equal(result, 0);
	remove_dir();
}

static int connect_to(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	expect(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", model_dir, name);
	expect(!connect(fd, (struct sockaddr *)&address, sizeof(address)));
	return fd;
}

void await(int fd)
{
	struct pollfd set = {.fd = fd, .events = POLLIN};

	expect(poll(&set, 1, PATIENCE_MS) == 1);
}

bool readable(int fd)
{
	struct pollfd set = {.fd = fd, .events = POLLIN};

	return poll(&set, 1, 0) == 1;
}

static const char *ask(const char *format, va_list args)
{
	static char answer[4096];
	char line[256];
	size_t len = 0;

	if (control_fd < 0)
		control_fd = connect_to("control");
	vsnprintf(line, sizeof(line) - 1, format, args);
	strcat(line, "\n");
	expect(write(control_fd, line, strlen(line)) == (ssize_t)strlen(line));
	do {
		await(control_fd);
		expect(len < sizeof(answer) && read(control_fd, answer + len, 1) == 1);
	} while (answer[len++] != '\n');
	answer[len - 1] = 0;
	return answer;
}

const char *control(const char *format, ...)
{
	const char *answer;
	va_list args;

	va_start(args, format);
	answer = ask(format, args);
	va_end(args);
	return answer;
}

void control_ok(const char *format, ...)
{
	const char *answer;
	va_list args;

	va_start(args, format);
	answer = ask(format, args);
	va_end(args);
	if (strncmp(answer, "ok", 2))
		check_failed(__FILE__, __LINE__, "control \"%s\": %s", format, answer);
}

uint64_t status(unsigned int function, const char *name)
{
	const char *at = control("status");
	char key[64];

	for (unsigned int i = 0; i <= function; i++) {
		at = strstr(at, "{\"function\"");
		expect(at);
		at++;
	}
	snprintf(key, sizeof(key), "\"%s\":", name);
	at = strstr(at, key);
	expect(at);
	at += strlen(key);
	return !strncmp(at, "true", 4) ? 1 : strtoull(at, NULL, 10);
}

/* --- a connection --- */

struct client client_connect(unsigned int function)
{
	char name[16];

	snprintf(name, sizeof(name), "slot/%u", function);
	return (struct client){.fd = connect_to(name)};
}

struct client control_connect(void)
{
	return (struct client){.fd = connect_to("control")};
}

struct client client_open(unsigned int function)
{
	static const char json[] = "{\"capabilities\":{\"max_msg_fds\":8}}";
	struct client client = client_connect(function);
	struct user_version version = {0, 1};
	uint8_t request[sizeof(version) + sizeof(json)], reply[4096];
	ssize_t n;

	memcpy(request, &version, sizeof(version));
	memcpy(request + sizeof(version), json, sizeof(json));
	client_send(&client, USER_VERSION, request, sizeof(request), NULL, 0);
	n = client_receive_raw(&client, reply, sizeof(reply), NULL);
	expect(n > (ssize_t)(sizeof(struct user_header) + sizeof(version)));
	expect(!((struct user_header *)(void *)reply)->error);
	return client;
}

void client_close(struct client *client)
{
	close(client->fd);
	client->fd = -1;
}

void client_send_raw(struct client *client, const void *bytes, size_t size)
{
	expect(send(client->fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size);
}

void client_send(struct client *client, uint16_t command, const void *payload, size_t size,
		 const int *fds, unsigned int fd_count)
{
	struct user_header header = {
		.id = ++client->id, .command = command,
		.size = (uint32_t)(sizeof(header) + size),
	};
	struct iovec parts[] = {
		{&header, sizeof(header)}, {(void *)(uintptr_t)payload, size},
	};
	union {
		char bytes[CMSG_SPACE(32 * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	if (fd_count) {
		struct cmsghdr *rights;

		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		rights = CMSG_FIRSTHDR(&message);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(rights), fds, fd_count * sizeof(int));
	}
	expect(sendmsg(client->fd, &message, MSG_NOSIGNAL) == (ssize_t)header.size);
}

static size_t receive_some(struct client *client, void *bytes, size_t size, int *ret_fd)
{
	struct iovec part = {bytes, size};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1,
		.msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *rights;
	ssize_t n;

	await(client->fd);
	n = recvmsg(client->fd, &message, MSG_CMSG_CLOEXEC);
	rights = CMSG_FIRSTHDR(&message);
	if (ret_fd && n > 0 && rights)
		memcpy(ret_fd, CMSG_DATA(rights), sizeof(int));
	return n > 0 ? (size_t)n : 0;
}

ssize_t client_receive_raw(struct client *client, void *bytes, size_t size, int *ret_fd)
{
	struct user_header header;
	size_t len = 0, wanted = sizeof(header);

	expect(size >= sizeof(header));
	while (len < wanted) {
		size_t n = receive_some(client, (uint8_t *)bytes + len, wanted - len, ret_fd);

		if (!n)
			return -1;
		len += n;
		memcpy(&header, bytes, sizeof(header));
		if (len == sizeof(header) && header.size > len)
			wanted = header.size;
		expect(wanted <= size);
	}
	return (ssize_t)len;
}

int client_receive(struct client *client, uint16_t command, void *reply, size_t size)
{
	static uint8_t bytes[USER_MESSAGE_MAX];
	struct user_header header;
	ssize_t n = client_receive_raw(client, bytes, sizeof(bytes), NULL);

	expect(n > 0);
	memcpy(&header, bytes, sizeof(header));
	expect_equal(header.id, client->id);
	expect_equal(header.command, command);
	expect_equal(header.flags & ~USER_ERROR, USER_TYPE_REPLY);
	if (header.flags & USER_ERROR) {
		expect(header.error && header.error < 4096);
		expect_equal(n, sizeof(header));
		return -(int)header.error;
	}
	expect_equal((size_t)n - sizeof(header), size);
	if (size)
		memcpy(reply, bytes + sizeof(header), size);
	return 0;
}

int client_request(struct client *client, uint16_t command, const void *payload, size_t size,
		   void *reply, size_t reply_size)
{
	client_send(client, command, payload, size, NULL, 0);
	return client_receive(client, command, reply, reply_size);
}

/* --- the commands --- */

int region_read(struct client *client, uint32_t region, uint64_t off, void *data, uint32_t len)
{
	struct user_access access = {off, region, len};
	uint8_t reply[sizeof(access) + 4096];
	int error;

	expect(len <= 4096);
	error = client_request(client, USER_REGION_READ, &access, sizeof(access), reply,
			       sizeof(access) + len);
	if (error)
		return error;
	expect(!memcmp(reply, &access, sizeof(access)));
	memcpy(data, reply + sizeof(access), len);
	return 0;
}

int region_write(struct client *client, uint32_t region, uint64_t off, const void *data,
		 uint32_t len)
{
	struct user_access access = {off, region, len};
	uint8_t request[sizeof(access) + 4096], reply[sizeof(access)];

	expect(len <= 4096);
	memcpy(request, &access, sizeof(access));
	memcpy(request + sizeof(access), data, len);
	return client_request(client, USER_REGION_WRITE, request, sizeof(access) + len, reply,
			      sizeof(reply));
}

uint32_t reg_read(struct client *client, uint64_t off)
{
	uint32_t value;

	expect_equal(region_read(client, VFIO_PCI_BAR0_REGION_INDEX, off, &value, 4), 0);
	return value;
}

void reg_write(struct client *client, uint64_t off, uint32_t value)
{
	expect_equal(region_write(client, VFIO_PCI_BAR0_REGION_INDEX, off, &value, 4), 0);
}

uint32_t config_read(struct client *client, uint64_t off, uint32_t len)
{
	uint32_t value = 0;

	expect_equal(region_read(client, VFIO_PCI_CONFIG_REGION_INDEX, off, &value, len), 0);
	return value;
}

void config_write(struct client *client, uint64_t off, uint32_t value, uint32_t len)
{
	expect_equal(region_write(client, VFIO_PCI_CONFIG_REGION_INDEX, off, &value, len), 0);
}

int dma_map(struct client *client, int fd, uint64_t fd_offset, uint64_t iova, uint64_t size)
{
	struct user_dma_map map = {
		sizeof(map), USER_DMA_READ | USER_DMA_WRITE, fd_offset, iova, size,
	};

	client_send(client, USER_DMA_MAP, &map, sizeof(map), &fd, fd >= 0);
	return client_receive(client, USER_DMA_MAP, NULL, 0);
}

int dma_unmap(struct client *client, uint64_t iova, uint64_t size)
{
	struct user_dma_unmap unmap = {sizeof(unmap), 0, iova, size}, reply;

	return client_request(client, USER_DMA_UNMAP, &unmap, sizeof(unmap), &reply,
			      sizeof(reply));
}

int irqs_set(struct client *client, uint32_t index, uint32_t flags, uint32_t start,
	     uint32_t count, const int *fds, unsigned int fd_count)
{
	struct vfio_irq_set set = {sizeof(set), flags, index, start, count};

	client_send(client, USER_DEVICE_SET_IRQS, &set, sizeof(set), fds, fd_count);
	return client_receive(client, USER_DEVICE_SET_IRQS, NULL, 0);
}

int feature(struct client *client, uint32_t flags, int eventfd)
{
	struct {
		struct {
			uint32_t argsz, flags;
		} feature;
		struct vfio_device_low_power_entry_with_wakeup wakeup;
	} request = {.feature = {sizeof(request.feature), flags}}, reply;
	size_t size = sizeof(request.feature);

	if (eventfd >= 0)
		request.feature.argsz = (uint32_t)(size = sizeof(request));
	client_send(client, USER_DEVICE_FEATURE, &request, size, &eventfd, eventfd >= 0);
	return client_receive(client, USER_DEVICE_FEATURE, &reply, size);
}

int entry(struct client *client)
{
	return feature(client, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, -1);
}

int entry_with_wakeup(struct client *client, int eventfd)
{
	return feature(client, VFIO_DEVICE_FEATURE_SET |
		       VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP, eventfd);
}

int leave(struct client *client)
{
	return feature(client, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, -1);
}

uint8_t *ram_share(struct client *client, int *ret_fd)
{
	int fd = memfd_create("ram", MFD_CLOEXEC);
	uint8_t *ram;

	expect(fd >= 0 && !ftruncate(fd, RAM_SIZE));
	ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	expect(ram != MAP_FAILED);
	expect_equal(dma_map(client, fd, 0, RAM_IOVA, RAM_SIZE), 0);
	config_write(client, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	*ret_fd = fd;
	return ram;
}

int make_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	expect(fd >= 0);
	return fd;
}

uint64_t drained(int eventfd)
{
	uint64_t count;

	return read(eventfd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}
