#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/net_host.h"
#include "devices/net_link.h"
#include "vmm/base/log.h"
#include "vmm/base/refusal.h"

#define TUN_PATH "/dev/net/tun"
#define FEATURE(bit) (1ULL << (bit))
/* VIRTIO 1.2, 5.1.3 Feature bits: what a tap device with IFF_VNET_HDR does for the driver. */
#define TAP_FEATURES                                                                           \
	(FEATURE(VIRTIO_NET_F_CSUM) | FEATURE(VIRTIO_NET_F_HOST_TSO4) |                        \
	 FEATURE(VIRTIO_NET_F_HOST_TSO6) | FEATURE(VIRTIO_NET_F_HOST_ECN) |                    \
	 FEATURE(VIRTIO_NET_F_GUEST_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_TSO4) |                 \
	 FEATURE(VIRTIO_NET_F_GUEST_TSO6) | FEATURE(VIRTIO_NET_F_GUEST_ECN))
#define MTU_MIN 68 /* VIRTIO 1.2, 5.1.4.1 Device Requirements: Device configuration layout */

/* The kernel's answer to TUNSETIFF, and what there is of that name, say what is wrong. */
static int refuse_interface(const struct net_config *config, struct refusal why, int error,
			    bool exists)
{
	const char *name = config->tap;
	const char *queues = config->pairs > 1 ? " multi_queue" : "";

	switch (error) {
	case -EPERM:
	case -EACCES:
		if (exists)
			return refuse(why, error, "it belongs to another user; as root: ip tuntap "
				      "add dev %s mode tap%s user $USER, after ip link del %s",
				      name, queues, name);
		return refuse(why, error, "there is no such interface, and it takes CAP_NET_ADMIN "
			      "to make one; as root: ip tuntap add dev %s mode tap%s user $USER",
			      name, queues);
	case -EBUSY:
		return refuse(why, error, "another program uses it; each guest needs a tap device "
					  "of its own");
	case -E2BIG:
		return refuse(why, error, "it has not so many queues left; another program uses "
					  "it, or give fewer than queues=%u", config->pairs);
	case -EINVAL:
		if (config->pairs > 1)
			return refuse(why, error, "it is no tap device of several queues; ip "
				      "tuntap add dev %s mode tap multi_queue makes one, or leave "
				      "out queues=%u", name, config->pairs);
		return refuse(why, error, "it is no tap device; ip tuntap add dev NAME mode tap "
					  "makes one");
	default:
		return refuse(why, error, "%s", strerror(-error));
	}
}

static int set_interface(int fd, const struct net_config *config, bool multi_queue)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};

	if (multi_queue)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	memcpy(ifr.ifr_name, config->tap, sizeof(ifr.ifr_name));
	return ioctl(fd, TUNSETIFF, &ifr) < 0 ? -errno : 0;
}

/* One queue of the interface. A device that was made for several takes a single one as the first of
 * them, and refuses it any other way. */
static int open_queue(const struct net_config *config, struct net_host *host, unsigned int index,
		      struct refusal why)
{
	int header = NET_HEADER_LEN, error;
	int fd = open(TUN_PATH, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	bool exists;

	if (fd < 0)
		return refuse(why, -errno, "%s: %s; modprobe tun makes it", TUN_PATH,
			      strerror(errno));
	host->fd[index] = fd;
	exists = if_nametoindex(config->tap);
	error = set_interface(fd, config, host->detachable);
	if (error == -EINVAL && config->pairs == 1) {
		host->detachable = true;
		error = set_interface(fd, config, true);
	}
	if (error)
		return refuse_interface(config, why, error, exists);
	if (!exists)
		log_info("--net tap=%s: made; it needs an address or a bridge, and is gone when "
			 "this guest ends", config->tap);
	if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)
		return refuse(why, -errno, "the kernel does not know the header of VIRTIO 1: %s",
			      strerror(errno));
	return net_tap_set_offload(fd, 0);
}

/* What the interface is like: its MTU, and whether anyone has set it up. netdevice(7): any socket
 * will do, and this family is open to a service that has no other. */
static void look(const struct net_config *config, struct net_host *host)
{
	struct ifreq ifr = {.ifr_flags = 0};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	memcpy(ifr.ifr_name, config->tap, sizeof(ifr.ifr_name));
	if (!ioctl(fd, SIOCGIFMTU, &ifr) && ifr.ifr_mtu >= MTU_MIN && ifr.ifr_mtu <= UINT16_MAX)
		host->mtu = (uint16_t)ifr.ifr_mtu;
	if (!ioctl(fd, SIOCGIFFLAGS, &ifr) && !(ifr.ifr_flags & IFF_UP))
		log_warn("--net tap=%s: it is down, nothing passes; ip link set %s up",
			 config->tap, config->tap);
	close(fd);
}

int net_tap_open(const struct net_config *config, struct net_host *host, char *ret_why,
		 size_t why_size)
{
	struct refusal why = {"--net tap=", config->tap, ret_why, why_size};
	int error = 0;

	refuse(why, -EIO, "out of memory or file descriptors");
	host->features = TAP_FEATURES;
	host->detachable = config->pairs > 1;
	for (unsigned int i = 0; i < config->pairs && !error; i++)
		error = open_queue(config, host, i, why);
	if (error)
		return error;
	look(config, host);
	if (host->mtu)
		host->features |= FEATURE(VIRTIO_NET_F_MTU);
	return 0;
}

int net_tap_set_offload(int fd, uint64_t accepted)
{
	static const struct {
		unsigned int feature, flag;
	} offloads[] = {
		{VIRTIO_NET_F_GUEST_CSUM, TUN_F_CSUM}, {VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4},
		{VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6}, {VIRTIO_NET_F_GUEST_ECN, TUN_F_TSO_ECN},
	};
	unsigned long flags = 0;

	for (unsigned int i = 0; i < sizeof(offloads) / sizeof(offloads[0]); i++)
		if (accepted & FEATURE(offloads[i].feature))
			flags |= offloads[i].flag;
	return ioctl(fd, TUNSETOFFLOAD, flags) < 0 ? -errno : 0;
}

int net_tap_attach(int fd, bool on)
{
	struct ifreq ifr = {.ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

	return ioctl(fd, TUNSETQUEUE, &ifr) < 0 ? -errno : 0;
}
