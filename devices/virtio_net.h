/*
 * The virtio network device. VIRTIO 1.2, 5.1 Network Device.
 *
 * Each pair of queues has a thread (devices/net_pair.c), or the kernel serves it (vhost-net). With
 * several pairs, the first one's thread also serves the control queue; with vhost that thread has
 * nothing else to do but to hear of drivers that break the rules.
 */
#ifndef DEVICES_VIRTIO_NET_H
#define DEVICES_VIRTIO_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/net_config.h"
#include "devices/net_host.h"

struct virtio_dev;
struct virtio_net;

/*
 * A device on `host`, which becomes its own, at `mac`. `name` is for diagnostics. 0 or negative
 * errno; `host` is closed then, too.
 */
int virtio_net_create(const struct net_host *host, const uint8_t mac[NET_MAC_LEN],
		      const char *name, struct virtio_net **ret_net);

/* Stopped, after its transport. Accepts NULL. */
void virtio_net_destroy(struct virtio_net *net);

struct virtio_dev *virtio_net_dev(struct virtio_net *net);

/* Does the host's kernel serve its queues? */
bool virtio_net_has_vhost(const struct virtio_net *net);

/* Fills in an address of an interface that nobody else has: random, locally administered. 0 or
 * negative errno. */
int virtio_net_random_mac(uint8_t ret_mac[NET_MAC_LEN]);

#endif
