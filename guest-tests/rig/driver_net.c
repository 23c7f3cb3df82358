/* Steps about the host's own networks: namespaces, tap devices, and a server that gives back what
 * it gets. */
#include "guest-tests/rig/driver.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest-tests/rig/stream.h"

static int make_tap(const char *name, bool several)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), result;

	if (fd < 0)
		return -1;
	if (several)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	strncpy(ifr.ifr_name, name, sizeof(ifr.ifr_name) - 1);
	result = ioctl(fd, TUNSETIFF, &ifr) < 0 || ioctl(fd, TUNSETPERSIST, 1UL) < 0 ? -1 : 0;
	close(fd);
	return result;
}

static int set_address(int fd, const char *name, unsigned long request, uint32_t address)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = address};
	struct ifreq ifr = {.ifr_flags = 0};

	strncpy(ifr.ifr_name, name, sizeof(ifr.ifr_name) - 1);
	memcpy(&ifr.ifr_addr, &in, sizeof(in));
	return ioctl(fd, (int)request, &ifr);
}

static int set_up(int fd, const char *name, uint32_t address)
{
	struct ifreq ifr = {.ifr_flags = IFF_UP};

	if (set_address(fd, name, SIOCSIFADDR, address) < 0 ||
	    set_address(fd, name, SIOCSIFNETMASK, htonl(0xffffff00)) < 0)
		return -1;
	strncpy(ifr.ifr_name, name, sizeof(ifr.ifr_name) - 1);
	return ioctl(fd, SIOCSIFFLAGS, &ifr);
}

/* host namespace: the driver has it, and whatever it starts. */
int do_host_namespace(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rig;
	(void)words;
	(void)rest;
	return unshare(CLONE_NEWNET) < 0 ? fail("no network namespace: %m") : 0;
}

/* host tap NAME ADDRESS [several] */
int do_host_tap(struct rig *rig, const struct words *words, const char *rest)
{
	uint32_t address = inet_addr(words->word[3]);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), result;

	(void)rig;
	(void)rest;
	result = fd < 0 ? -1 : make_tap(words->word[2], words->count > 4);
	if (!result)
		result = set_up(fd, words->word[2], address);
	if (result < 0)
		return fail("%s: %m", words->word[2]);
	close(fd);
	return 0;
}

/* host echo PORT: a server of TCP */
int do_host_echo(struct rig *rig, const struct words *words, const char *rest)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)atoi(words->word[2]))};
	int error = stream_echo((const struct sockaddr *)&in, sizeof(in));

	(void)rig;
	(void)rest;
	return error ? fail("port %s: %s", words->word[2], strerror(-error)) : 0;
}
