/*
 * Option --net, parsed: what a network device of the guest is connected to.
 */
#ifndef DEVICES_NET_CONFIG_H
#define DEVICES_NET_CONFIG_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text;

#define NET_MAX 8              /* option --net is repeatable so often */
#define NET_PAIRS_MAX 16U      /* of queues: one to receive, one to send */
#define NET_MAC_LEN 6U
#define NET_SOCKET_SIZE 108    /* struct sockaddr_un.sun_path */

enum net_kind {
	NET_TAP,
	NET_PASST,
};

enum net_vhost {
	NET_VHOST_AUTO,        /* where the host has it */
	NET_VHOST_ON,
	NET_VHOST_OFF,
};

/* tap=NAME[,mac=ADDRESS][,queues=N][,vhost=HOW] or passt[=SOCKET][,mac=ADDRESS] */
struct net_config {
	enum net_kind kind;
	char tap[IFNAMSIZ];
	char socket[NET_SOCKET_SIZE]; /* empty: passt is started */
	bool has_mac;
	uint8_t mac[NET_MAC_LEN];
	unsigned int pairs;    /* 1 to NET_PAIRS_MAX */
	enum net_vhost vhost;
};

/* 0, or -EINVAL with a sentence in `ret_why`. */
int net_config_parse(const char *text, struct net_config *ret_config, char *ret_why,
		     size_t why_size);

/* Appends what net_config_parse() takes for the same. */
void net_config_format(const struct net_config *config, struct text *ret_text);

#endif
