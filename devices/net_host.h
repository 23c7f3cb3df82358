/*
 * The host's side of a network device: descriptors that carry frames, and what they can do. Opened
 * before the guest runs; what cannot be is refused with a sentence that says what would work.
 */
#ifndef DEVICES_NET_HOST_H
#define DEVICES_NET_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/net_config.h"

struct net_host {
	enum net_kind kind;
	unsigned int pairs;
	int fd[NET_PAIRS_MAX];       /* NET_TAP: one a pair; NET_PASST: the first */
	int vhost_fd[NET_PAIRS_MAX]; /* /dev/vhost-net, of NET_TAP; -1: not used */
	bool detachable;             /* queues of the tap device can be detached and attached */
	uint64_t features;           /* VIRTIO_NET_F_* that it makes possible */
	uint16_t mtu;                /* 0: unknown */
};

#define NET_HOST_CLOSED ((struct net_host){.pairs = 0})

/* 0, or a negative errno with a sentence in `ret_why` and nothing open. */
int net_host_open(const struct net_config *config, struct net_host *ret_host, char *ret_why,
		  size_t why_size);
void net_host_close(struct net_host *host);

/* --- a tap device (devices/net_tap.c) --- */

int net_tap_open(const struct net_config *config, struct net_host *host, char *ret_why,
		 size_t why_size);

/* From now on frames reach the guest as a driver that accepted `accepted` can take them. 0 or
 * negative errno. */
int net_tap_set_offload(int fd, uint64_t accepted);

/* Gives the queue frames, or none any more, of which those that wait are dropped. 0 or negative
 * errno. */
int net_tap_attach(int fd, bool on);

/* --- passt (devices/net_passt.c) --- */

/* Connects to its socket, or starts it: it ends when the connection does. */
int net_passt_open(const struct net_config *config, struct net_host *host, char *ret_why,
		   size_t why_size);

#endif
