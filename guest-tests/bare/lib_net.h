/*
 * A virtio network device for the guests, and as much of Ethernet, ARP and IPv4 as it takes to be
 * answered by whoever is at the other end.
 */
#ifndef GUEST_TESTS_BARE_LIB_NET_H
#define GUEST_TESTS_BARE_LIB_NET_H

#include <linux/virtio_net.h>

#include "guest-tests/bare/lib_virtio.h"

#define NET_PAIRS 4U
#define NET_QUEUES (2U * NET_PAIRS + 1U)
#define NET_HEADER ((uint32_t)sizeof(struct virtio_net_hdr_v1))
#define NET_BUFFERS 64U         /* receive buffers of a pair at most */
#define NET_BUFFER_SIZE 2048U
#define FRAME_MAX 2000U
#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

/* Where what is in a frame. */
#define ETH_TYPE 12
#define ETH_PAYLOAD 14U
#define ARP_OPERATION (ETH_PAYLOAD + 6)
#define ARP_SENDER_MAC (ETH_PAYLOAD + 8)
#define ARP_SENDER_IP (ETH_PAYLOAD + 14)
#define ARP_TARGET_MAC (ETH_PAYLOAD + 18)
#define ARP_TARGET_IP (ETH_PAYLOAD + 24)
#define ARP_LEN (ETH_PAYLOAD + 28U)
#define IP_PROTOCOL (ETH_PAYLOAD + 9)
#define IP_SOURCE (ETH_PAYLOAD + 12)
#define IP_PAYLOAD (ETH_PAYLOAD + 20)
#define ICMP_TYPE IP_PAYLOAD
#define ICMP_CODE (IP_PAYLOAD + 1)
#define ICMP_ID (IP_PAYLOAD + 4)
#define ICMP_DATA (IP_PAYLOAD + 8)
#define UDP_PAYLOAD (IP_PAYLOAD + 8)

struct net {
	struct virtio dev;
	uint64_t offered;
	uint8_t mac[6];
	uint8_t peer_mac[6];
	uint32_t ip, peer_ip;
	unsigned int pairs;          /* that have queues now */
	struct queue queue[NET_QUEUES];
	uint8_t buffer[NET_PAIRS][NET_BUFFERS][NET_BUFFER_SIZE];
	uint32_t buffer_len;         /* of each receive buffer */
};

struct net_packet {
	struct virtio_net_hdr_v1 header;
	uint8_t frame[FRAME_MAX];
	uint32_t len;                /* of the frame */
};

/* Is it the packet that is waited for? */
typedef bool (*net_judge)(const struct net *net, const struct net_packet *packet);

/* Finds number `index` of the network devices. */
bool net_find(struct net *net, unsigned int index);

/* Sets it up with `pairs` pairs of queues (and the control queue, with VIRTIO_NET_F_MQ), and
 * `buffers` receive buffers of `len` bytes in each; a queue's vector of MSI-X is its number + 1. */
bool net_setup(struct net *net, uint64_t features, unsigned int pairs, unsigned int buffers,
	       uint32_t len);

/* Gives `count` more receive buffers, numbers `first` on, to a pair. */
void net_give(struct net *net, unsigned int pair, unsigned int first, unsigned int count);

/* Sends it, in pieces of at most `piece` bytes; 0: the header is one, the frame another. Waits
 * until the device has it; false: it never takes it. */
bool net_send(struct net *net, unsigned int pair, const struct net_packet *packet, uint32_t piece);

/* Takes the next packet of any pair, and gives its buffers to the device again. False: none yet. */
bool net_take(struct net *net, struct net_packet *ret_packet, unsigned int *ret_pair);

/* Waits for one of which `good` says so; others are dropped. False: it does not come. */
bool net_await(struct net *net, net_judge good, struct net_packet *ret_packet);

/* A command to the control queue: its answer; 0xff: there is none. */
uint8_t net_command(struct net *net, uint8_t class, uint8_t command, uint16_t value);

uint16_t be16_at(const uint8_t *p);
uint32_t be32_at(const uint8_t *p);
void be16_to(uint8_t *p, uint16_t value);
void be32_to(uint8_t *p, uint32_t value);

/* The Internet checksum of `len` bytes, with `sum` added. */
uint16_t net_checksum(const uint8_t *bytes, uint32_t len, uint32_t sum);

/* Packets to the peer: who has its address; an echo request with `len` bytes of data; a datagram to
 * a port, its checksum left to the device. */
void net_arp(const struct net *net, struct net_packet *packet);
void net_echo(const struct net *net, struct net_packet *packet, uint16_t id, uint32_t len);
void net_datagram(const struct net *net, struct net_packet *packet, uint16_t port, uint32_t len);

/* Is it the peer's answer to net_arp(); an echo reply? */
bool net_is_arp_reply(const struct net *net, const struct net_packet *packet);
bool net_is_echo_reply(const struct net *net, const struct net_packet *packet);
bool net_is_unreachable(const struct net *net, const struct net_packet *packet);

#endif
