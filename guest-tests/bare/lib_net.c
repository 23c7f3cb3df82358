#include "guest-tests/bare/lib_net.h"

#include "guest-tests/bare/lib_pci.h"

#define WAIT_US 20000000ULL /* a limit for what never comes */
#define TYPE_IP 0x0800
#define TYPE_ARP 0x0806
#define ICMP_ECHO_REPLY 0
#define ICMP_UNREACHABLE 3
#define ICMP_ECHO_REQUEST 8
#define PROTOCOL_ICMP 1
#define PROTOCOL_UDP 17

static struct net_packet sent;
static uint8_t command_bytes[4], command_answer;

/* --- set-up --- */

bool net_find(struct net *net, unsigned int index)
{
	if (!virtio_find(VIRTIO_ID_NET, index, &net->dev))
		return false;
	net->offered = virtio_features(&net->dev);
	for (unsigned int i = 0; i < sizeof(net->mac); i++)
		net->mac[i] = MMIO(uint8_t, net->dev.config + i);
	return true;
}

void net_give(struct net *net, unsigned int pair, unsigned int first, unsigned int count)
{
	struct queue *queue = &net->queue[2 * pair];

	for (unsigned int i = first; i < first + count; i++) {
		queue->desc[i] = (struct vring_desc){(uintptr_t)net->buffer[pair][i],
						     net->buffer_len, VRING_DESC_F_WRITE, 0};
		queue_offer(queue, (uint16_t)i);
	}
	if (count)
		queue_kick_if_wanted(queue, (uint16_t)(queue->avail.idx - count));
}

bool net_setup(struct net *net, uint64_t features, unsigned int pairs, unsigned int buffers,
	       uint32_t len)
{
	bool event_idx = features & FEATURE(VIRTIO_RING_F_EVENT_IDX);
	unsigned int queues = 2 * pairs + !!(features & FEATURE(VIRTIO_NET_F_MQ));

	if (!virtio_negotiate(&net->dev, features | FEATURE(VIRTIO_F_VERSION_1)))
		return false;
	net->pairs = pairs;
	net->buffer_len = len;
	for (unsigned int i = 0; i < queues; i++) {
		queue_setup(&net->queue[i], &net->dev, (uint16_t)i, QUEUE_SIZE, (uint16_t)(i + 1));
		net->queue[i].event_idx = event_idx;
	}
	virtio_driver_ok(&net->dev);
	for (unsigned int i = 0; i < pairs; i++)
		net_give(net, i, 0, buffers);
	return true;
}

/* --- sending and receiving --- */

bool net_send(struct net *net, unsigned int pair, const struct net_packet *packet, uint32_t piece)
{
	struct queue *queue = &net->queue[2 * pair + 1];
	uint32_t len = NET_HEADER + packet->len;
	uint16_t count = 0, before = queue->avail.idx;

	memcpy(&sent, packet, sizeof(sent));
	for (uint32_t off = 0; off < len; count++) {
		uint32_t step = piece ? piece : off ? len : NET_HEADER;

		if (step > len - off)
			step = len - off;
		queue->desc[count] = (struct vring_desc){(uintptr_t)&sent + off, step,
							 VRING_DESC_F_NEXT, (uint16_t)(count + 1)};
		off += step;
	}
	queue->desc[count - 1].flags = 0;
	queue_offer(queue, 0);
	queue_kick_if_wanted(queue, before);
	if (!queue_wait(queue, 1))
		return false;
	queue_take(queue);
	return true;
}

/* Appends what is in the buffer of one used entry, and offers the buffer again. */
static uint32_t take_buffer(struct net *net, unsigned int pair, uint8_t *to, uint32_t room)
{
	struct queue *queue = &net->queue[2 * pair];
	struct vring_used_elem used = queue_take(queue);

	if (used.len < room)
		room = used.len;
	memcpy(to, net->buffer[pair][used.id % NET_BUFFERS], room);
	net_give(net, pair, used.id % NET_BUFFERS, 1);
	return room;
}

bool net_take(struct net *net, struct net_packet *ret_packet, unsigned int *ret_pair)
{
	static uint8_t bytes[sizeof(*ret_packet)];

	for (unsigned int i = 0; i < net->pairs; i++) {
		uint32_t len;

		if (!queue_has_used(&net->queue[2 * i]))
			continue;
		len = take_buffer(net, i, bytes, sizeof(bytes));
		memcpy(&ret_packet->header, bytes, NET_HEADER);
		for (unsigned int more = 1; more < ret_packet->header.num_buffers; more++) {
			if (!queue_has_used(&net->queue[2 * i])) {
				report("all buffers of a packet are there at once", false);
				return false;
			}
			len += take_buffer(net, i, bytes + len, (uint32_t)sizeof(bytes) - len);
		}
		ret_packet->len = len - NET_HEADER;
		memcpy(ret_packet->frame, bytes + NET_HEADER, ret_packet->len);
		*ret_pair = i;
		return true;
	}
	return false;
}

bool net_await(struct net *net, net_judge good, struct net_packet *ret_packet)
{
	struct stopwatch watch;
	unsigned int pair;

	stopwatch_start(&watch);
	while (stopwatch_us(&watch) < WAIT_US)
		if (net_take(net, ret_packet, &pair) && good(net, ret_packet))
			return true;
	return false;
}

uint8_t net_command(struct net *net, uint8_t class, uint8_t command, uint16_t value)
{
	struct queue *queue = &net->queue[2 * net->pairs];
	uint16_t before = queue->avail.idx;

	command_bytes[0] = class;
	command_bytes[1] = command;
	memcpy(command_bytes + 2, &value, sizeof(value));
	command_answer = 0xff;
	queue->desc[0] = (struct vring_desc){(uintptr_t)command_bytes, 2, VRING_DESC_F_NEXT, 1};
	queue->desc[1] = (struct vring_desc){(uintptr_t)command_bytes + 2, 2, VRING_DESC_F_NEXT, 2};
	queue->desc[2] = (struct vring_desc){(uintptr_t)&command_answer, 1, VRING_DESC_F_WRITE, 0};
	queue_offer(queue, 0);
	queue_kick_if_wanted(queue, before);
	if (!queue_wait(queue, 1))
		return 0xff;
	queue_take(queue);
	return *(const volatile uint8_t *)&command_answer;
}

/* --- bytes --- */

uint16_t be16_at(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

uint32_t be32_at(const uint8_t *p)
{
	return (uint32_t)be16_at(p) << 16 | be16_at(p + 2);
}

void be16_to(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

void be32_to(uint8_t *p, uint32_t value)
{
	be16_to(p, (uint16_t)(value >> 16));
	be16_to(p + 2, (uint16_t)value);
}

uint16_t net_checksum(const uint8_t *bytes, uint32_t len, uint32_t sum)
{
	for (uint32_t i = 0; i < len; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* --- packets --- */

static void start_frame(const struct net *net, struct net_packet *packet, bool broadcast,
			uint16_t type)
{
	memset(packet, 0, sizeof(*packet));
	memcpy(packet->frame, net->peer_mac, 6);
	if (broadcast)
		memset(packet->frame, 0xff, 6);
	memcpy(packet->frame + 6, net->mac, 6);
	be16_to(packet->frame + ETH_TYPE, type);
}

void net_arp(const struct net *net, struct net_packet *packet)
{
	static const uint8_t head[] = {0, 1, 8, 0, 6, 4, 0, 1}; /* Ethernet, IPv4, a request */

	start_frame(net, packet, true, TYPE_ARP);
	memcpy(packet->frame + ETH_PAYLOAD, head, sizeof(head));
	memcpy(packet->frame + ARP_SENDER_MAC, net->mac, 6);
	be32_to(packet->frame + ARP_SENDER_IP, net->ip);
	be32_to(packet->frame + ARP_TARGET_IP, net->peer_ip);
	packet->len = ARP_LEN;
}

static void ip_packet(const struct net *net, struct net_packet *packet, uint8_t protocol,
		      uint32_t len)
{
	uint8_t *ip = packet->frame + ETH_PAYLOAD;

	start_frame(net, packet, false, TYPE_IP);
	ip[0] = 0x45;
	be16_to(ip + 2, (uint16_t)(20 + len));
	ip[8] = 64;
	ip[9] = protocol;
	be32_to(ip + 12, net->ip);
	be32_to(ip + 16, net->peer_ip);
	be16_to(ip + 10, net_checksum(ip, 20, 0));
	packet->len = IP_PAYLOAD + len;
}

void net_echo(const struct net *net, struct net_packet *packet, uint16_t id, uint32_t len)
{
	uint8_t *icmp = packet->frame + IP_PAYLOAD;

	ip_packet(net, packet, PROTOCOL_ICMP, 8 + len);
	icmp[0] = ICMP_ECHO_REQUEST;
	be16_to(icmp + 4, id);
	for (uint32_t i = 0; i < len; i++)
		icmp[8 + i] = (uint8_t)(i * 7 + id);
	be16_to(icmp + 2, net_checksum(icmp, 8 + len, 0));
}

/* What the checksum covers besides the datagram is its start value, in the field itself. */
void net_datagram(const struct net *net, struct net_packet *packet, uint16_t port, uint32_t len)
{
	uint8_t *udp = packet->frame + IP_PAYLOAD, pseudo[12];

	ip_packet(net, packet, PROTOCOL_UDP, 8 + len);
	be16_to(udp, 4711);
	be16_to(udp + 2, port);
	be16_to(udp + 4, (uint16_t)(8 + len));
	for (uint32_t i = 0; i < len; i++)
		udp[8 + i] = (uint8_t)i;
	memset(pseudo, 0, sizeof(pseudo));
	be32_to(pseudo, net->ip);
	be32_to(pseudo + 4, net->peer_ip);
	pseudo[9] = PROTOCOL_UDP;
	be16_to(pseudo + 10, (uint16_t)(8 + len));
	be16_to(udp + 6, (uint16_t)~net_checksum(pseudo, sizeof(pseudo), 0));
	packet->header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	packet->header.csum_start = IP_PAYLOAD;
	packet->header.csum_offset = 6;
}

bool net_is_arp_reply(const struct net *net, const struct net_packet *packet)
{
	return packet->len >= ARP_LEN && be16_at(packet->frame + ETH_TYPE) == TYPE_ARP &&
	       be16_at(packet->frame + ARP_OPERATION) == 2 &&
	       be32_at(packet->frame + ARP_SENDER_IP) == net->peer_ip &&
	       !memcmp(packet->frame, net->mac, 6);
}

static bool is_icmp(const struct net *net, const struct net_packet *packet, uint8_t type)
{
	return packet->len >= ICMP_DATA && be16_at(packet->frame + ETH_TYPE) == TYPE_IP &&
	       packet->frame[IP_PROTOCOL] == PROTOCOL_ICMP && packet->frame[ICMP_TYPE] == type &&
	       be32_at(packet->frame + IP_SOURCE) == net->peer_ip;
}

bool net_is_echo_reply(const struct net *net, const struct net_packet *packet)
{
	return is_icmp(net, packet, ICMP_ECHO_REPLY);
}

bool net_is_unreachable(const struct net *net, const struct net_packet *packet)
{
	return is_icmp(net, packet, ICMP_UNREACHABLE) && packet->frame[ICMP_CODE] == 3;
}
