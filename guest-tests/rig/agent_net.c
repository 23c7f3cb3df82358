/* Just enough network to see that a card moves packets: an address, echo requests, a stream. */
#include "guest-tests/rig/agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "guest-tests/rig/stream.h"

#define ECHO_ID 0x5247
#define ECHO_TIMEOUT_S 2

static int set_flags(int fd, const char *name, bool up)
{
	struct ifreq ifr = {.ifr_flags = 0};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
		return -errno;
	ifr.ifr_flags = (short)(up ? ifr.ifr_flags | IFF_UP : ifr.ifr_flags & ~IFF_UP);
	return ioctl(fd, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

static int set_address(int fd, const char *name, unsigned long request, uint32_t address)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = address};
	struct ifreq ifr = {.ifr_flags = 0};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	memcpy(&ifr.ifr_addr, &in, sizeof(in));
	return ioctl(fd, (int)request, &ifr) < 0 ? -errno : 0;
}

/* ifup NAME ADDRESS/PREFIX */
int do_ifup(char **arg, char *answer)
{
	char *slash = strchr(arg[1], '/');
	struct in_addr address;
	unsigned int prefix;
	int error, fd;

	(void)answer;
	if (!slash)
		return -EINVAL;
	*slash = '\0';
	prefix = (unsigned int)atoi(slash + 1);
	if (inet_pton(AF_INET, arg[1], &address) != 1 || prefix < 1 || prefix > 32)
		return -EINVAL;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	error = set_address(fd, arg[0], SIOCSIFADDR, address.s_addr);
	if (!error)
		error = set_address(fd, arg[0], SIOCSIFNETMASK, htonl(~0U << (32 - prefix)));
	if (!error)
		error = set_flags(fd, arg[0], true);
	close(fd);
	return error;
}

int do_ifdown(char **arg, char *answer)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error;

	(void)answer;
	if (fd < 0)
		return -errno;
	error = set_flags(fd, arg[0], false);
	close(fd);
	return error;
}

static uint16_t checksum(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(p[i] | p[i + 1] << 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* One echo request; true when its reply came in time. */
static bool echo(int fd, const struct sockaddr_in *to, uint16_t sequence)
{
	struct {
		struct icmphdr header;
		char data[56];
	} packet = {.header = {.type = ICMP_ECHO}};
	unsigned char reply[512];
	ssize_t len;

	packet.header.un.echo.id = htons(ECHO_ID);
	packet.header.un.echo.sequence = htons(sequence);
	packet.header.checksum = checksum(&packet, sizeof(packet));
	if (sendto(fd, &packet, sizeof(packet), 0, (const struct sockaddr *)to, sizeof(*to)) < 0)
		return false;
	while ((len = recv(fd, reply, sizeof(reply), 0)) > 0) {
		struct icmphdr header;
		size_t ip_len = (size_t)(reply[0] & 0xf) * 4;

		if ((size_t)len < ip_len + sizeof(header))
			continue;
		memcpy(&header, reply + ip_len, sizeof(header));
		if (header.type == ICMP_ECHOREPLY && header.un.echo.id == htons(ECHO_ID) &&
		    header.un.echo.sequence == htons(sequence))
			return true;
	}
	return false;
}

/* ping ADDRESS COUNT: the answer is how many replies came */
int do_ping(char **arg, char *answer)
{
	const struct timeval timeout = {.tv_sec = ECHO_TIMEOUT_S};
	struct sockaddr_in to = {.sin_family = AF_INET};
	int fd, count = atoi(arg[1]), replies = 0;

	if (inet_pton(AF_INET, arg[0], &to.sin_addr) != 1)
		return -EINVAL;
	fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	for (int i = 1; i <= count; i++)
		replies += echo(fd, &to, (uint16_t)i);
	close(fd);
	snprintf(answer, ANSWER_MAX, "%d", replies);
	return 0;
}

/* --- streams --- */

/* stream ADDRESS PORT BYTES: sends them by TCP and has them back; the answer is how many came */
int do_stream(char **arg, char *answer)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arg[1]))};
	size_t received = 0;
	int error;

	if (inet_pton(AF_INET, arg[0], &to.sin_addr) != 1)
		return -EINVAL;
	error = stream_there_and_back((const struct sockaddr *)&to, sizeof(to),
				      strtoul(arg[2], NULL, 0), &received);
	snprintf(answer, ANSWER_MAX, "%zu", received);
	return error;
}

/* vsock-echo PORT: a server */
int do_vsock_echo(char **arg, char *answer)
{
	(void)answer;
	return vsock_echo((unsigned int)strtoul(arg[0], NULL, 0));
}

/* vsock-stream CID PORT BYTES */
int do_vsock_stream(char **arg, char *answer)
{
	size_t received = 0;
	int error = vsock_there_and_back((unsigned int)strtoul(arg[0], NULL, 0),
					 (unsigned int)strtoul(arg[1], NULL, 0),
					 strtoul(arg[2], NULL, 0), &received);

	snprintf(answer, ANSWER_MAX, "%zu", received);
	return error;
}
