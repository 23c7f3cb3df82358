/*
 * The virtio network device, driven well and badly. At the other end is a host's kernel behind a
 * tap device, or passt (passt=1), which answer who asks for 192.0.2.1; the kernel answers echo
 * requests, too. Options: passt=1, queues=N (pairs).
 */
#include "guest-tests/bare/lib_irq.h"
#include "guest-tests/bare/lib_net.h"
#include "guest-tests/bare/lib_pci.h"

#define MRG FEATURE(VIRTIO_NET_F_MRG_RXBUF)
#define CSUM FEATURE(VIRTIO_NET_F_CSUM)
#define TSO (FEATURE(VIRTIO_NET_F_HOST_TSO4) | FEATURE(VIRTIO_NET_F_HOST_TSO6))
#define GUEST_CSUM FEATURE(VIRTIO_NET_F_GUEST_CSUM)
#define GUEST_TSO (FEATURE(VIRTIO_NET_F_GUEST_TSO4) | FEATURE(VIRTIO_NET_F_GUEST_TSO6))
#define RING (FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | FEATURE(VIRTIO_RING_F_EVENT_IDX))
#define MQ (FEATURE(VIRTIO_NET_F_MQ) | FEATURE(VIRTIO_NET_F_CTRL_VQ))
#define BUFFERS 32U
#define LARGE NET_BUFFER_SIZE
#define ECHO_LEN 1000U
#define VECTOR_RX VECTOR_FIRST
#define WAIT_MS 20000
#define NOWHERE 0x7f0000000000ULL /* no RAM */

static const uint8_t expected_mac[6] = {2, 0, 0, 0, 0, 2};

static struct net net __attribute__((aligned(4096)));
static struct net_packet request, reply;
static unsigned int pairs;
static bool passt;

/* --- exchanges --- */

static bool ask(unsigned int pair, uint32_t piece)
{
	net_arp(&net, &request);
	if (!net_send(&net, pair, &request, piece) || !net_await(&net, net_is_arp_reply, &reply))
		return false;
	memcpy(net.peer_mac, reply.frame + ARP_SENDER_MAC, 6);
	return true;
}

static bool echo(unsigned int pair, uint16_t id, uint32_t len, uint32_t piece)
{
	net_echo(&net, &request, id, len);
	return net_send(&net, pair, &request, piece) &&
	       net_await(&net, net_is_echo_reply, &reply) && reply.len == request.len &&
	       be16_at(reply.frame + ICMP_ID) == id &&
	       !memcmp(reply.frame + ICMP_DATA, request.frame + ICMP_DATA, len);
}

/* The shortest exchange that both kinds of peer know. */
static bool is_alive(void)
{
	return ask(0, 0) && (passt || echo(0, 77, ECHO_LEN, 0));
}

static bool again(void)
{
	return net_setup(&net, (RING | MRG) & net.offered, 1, BUFFERS, LARGE) && is_alive();
}

/* --- what it says of itself --- */

static void check_identity(void)
{
	report_equal("class", pci_read(net.dev.bdf, PCI_CLASS_REVISION, 4) >> 8, 0x020000);
	report("its address is the one given", !memcmp(net.mac, expected_mac, 6));
	report_equal("link up", MMIO(uint16_t, net.dev.config + 6), VIRTIO_NET_S_LINK_UP);
	report_equal("pairs", MMIO(uint16_t, net.dev.config + 8), pairs);
	report_equal("several queues are offered where there are some",
		     (net.offered & MQ) == MQ, pairs > 1);
	report("mergeable buffers", net.offered & MRG);
	report_equal("offloads where a kernel does them",
		     (net.offered & (CSUM | TSO | GUEST_CSUM | GUEST_TSO)) ==
			     (CSUM | TSO | GUEST_CSUM | GUEST_TSO), !passt);
	if (!passt)
		report_equal("MTU", MMIO(uint16_t, net.dev.config + 10), 1400);
}

/* VIRTIO 1.2, 5.1.3.1 Feature bit requirements. */
static void check_features(void)
{
	static const uint64_t wrong[] = {
		TSO, GUEST_TSO, GUEST_CSUM | FEATURE(VIRTIO_NET_F_GUEST_ECN),
		CSUM | FEATURE(VIRTIO_NET_F_HOST_ECN), FEATURE(VIRTIO_NET_F_MQ),
		FEATURE(VIRTIO_NET_F_CTRL_RX),
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(wrong); i++)
		report("features without what they need are refused",
		       !virtio_negotiate(&net.dev, wrong[i] | FEATURE(VIRTIO_F_VERSION_1)));
}

/* --- frames --- */

static void check_exchanges(void)
{
	static const uint64_t features[] = {0, MRG, RING, RING | MRG,
					    RING | MRG | CSUM | TSO | GUEST_CSUM | GUEST_TSO};

	for (unsigned int i = 0; i < ARRAY_SIZE(features); i++) {
		report("set up", net_setup(&net, features[i] & net.offered, 1, BUFFERS, LARGE));
		report("it asks and is answered", ask(0, 0));
		report("in many pieces, too", ask(0, 5));
		report_equal("one buffer", reply.header.num_buffers, 1);
		if (passt)
			continue;
		report("echo", echo(0, (uint16_t)(i + 1), ECHO_LEN, 0));
		report("echo of a request in many pieces", echo(0, 99, ECHO_LEN, 100));
	}
	for (uint16_t i = 0; i < QUEUE_SIZE; i++)
		if (!ask(0, 0))
			report("around the ring", false);
}

/* A frame goes over as many buffers as it takes, which are shown at once. */
static void check_mergeable(void)
{
	report("set up with small buffers", net_setup(&net, RING | MRG, 1, NET_BUFFERS, 20));
	report("an answer over several buffers", ask(0, 0));
	report_equal("of so many", reply.header.num_buffers,
		     (NET_HEADER + reply.len + 19) / 20);
	if (passt)
		return;
	report("echo over many", echo(0, 5, ECHO_LEN, 0));
	report_equal("of so many", reply.header.num_buffers, (NET_HEADER + reply.len + 19) / 20);
	report("the whole ring", echo(0, 6, 20 * NET_BUFFERS - NET_HEADER - ICMP_DATA, 0));
	net_echo(&net, &request, 7, 20 * NET_BUFFERS - NET_HEADER - ICMP_DATA + 2);
	report("more than there are", net_send(&net, 0, &request, 0));
	net_arp(&net, &request);
	report("and something after that", net_send(&net, 0, &request, 0));
	report("nothing comes until there are more", !queue_has_used(&net.queue[0]));
	net.queue[0].desc[NET_BUFFERS] = (struct vring_desc){
		(uintptr_t)net.buffer[1][0], LARGE, VRING_DESC_F_WRITE, 0};
	queue_offer(&net.queue[0], NET_BUFFERS);
	queue_kick(&net.queue[0]);
	report("then all comes", queue_wait(&net.queue[0], NET_BUFFERS + 1));
}

/* No buffers when the answers come; they are waiting when there are some. */
static void check_starved(void)
{
	unsigned int answers = 0;

	report("set up without buffers", net_setup(&net, (RING | MRG), 1, 0, LARGE));
	net_arp(&net, &request);
	for (unsigned int i = 0; i < 3; i++)
		report("it is sent all the same", net_send(&net, 0, &request, 0));
	net_give(&net, 0, 0, BUFFERS);
	while (answers < 3 && net_await(&net, net_is_arp_reply, &reply))
		answers++;
	report_equal("the answers are there", answers, 3);
	report("set up without mergeable buffers, too small ones",
	       net_setup(&net, RING, 1, BUFFERS, 30));
	report("it is sent", net_send(&net, 0, &request, 0));
	report("what does not fit is dropped, and it goes on", again());
}

/* The kernel drops a datagram whose checksum is wrong, and complains of one to a closed port. */
static void check_checksum(void)
{
	report("set up", net_setup(&net, RING | MRG | CSUM, 1, BUFFERS, LARGE));
	report("asked", ask(0, 0));
	net_datagram(&net, &request, 9, 333);
	report("a checksum is left to the host", net_send(&net, 0, &request, 0) &&
						 net_await(&net, net_is_unreachable, &reply));
}

/* Where what is in a message: RFC 2131, 2. Protocol Summary. */
#define DHCP_PORT 67
#define DHCP_XID 4
#define DHCP_YOUR_IP 16
#define DHCP_MAC 28
#define DHCP_COOKIE 236
#define DHCP_OPTIONS 240
#define DHCP_LEN 300U
#define XID 0x12345678U

static bool is_dhcp(const struct net *from, const struct net_packet *packet)
{
	(void)from;
	return packet->len >= UDP_PAYLOAD + DHCP_OPTIONS &&
	       be16_at(packet->frame + IP_PAYLOAD) == DHCP_PORT &&
	       be32_at(packet->frame + UDP_PAYLOAD + DHCP_XID) == XID;
}

/* passt gives the address that its host has. */
static void check_dhcp(void)
{
	static const uint8_t head[] = {1, 1, 6};              /* a request, Ethernet */
	static const uint8_t discover[] = {53, 1, 1, 255};    /* RFC 2132, 9.6. DHCP Message Type */
	uint8_t *message = request.frame + UDP_PAYLOAD;

	report("set up", net_setup(&net, RING | MRG, 1, BUFFERS, 100));
	report("asked", ask(0, 0));
	net_datagram(&net, &request, DHCP_PORT, DHCP_LEN);
	memset(message, 0, DHCP_LEN);
	memcpy(message, head, sizeof(head));
	be32_to(message + DHCP_XID, XID);
	memcpy(message + DHCP_MAC, net.mac, sizeof(net.mac));
	be32_to(message + DHCP_COOKIE, 0x63825363);
	memcpy(message + DHCP_OPTIONS, discover, sizeof(discover));
	report("a DHCP server is asked and answers", net_send(&net, 0, &request, 50) &&
						     net_await(&net, is_dhcp, &reply));
	report("over several buffers", reply.header.num_buffers > 2);
	report_equal("its offer", be32_at(reply.frame + UDP_PAYLOAD + DHCP_YOUR_IP), net.ip);
}

static void check_interrupts(void)
{
	irq_take(VECTOR_RX, NULL);
	report("set up", net_setup(&net, MRG, 1, BUFFERS, LARGE));
	msix_route(net.dev.bdf, 1, VECTOR_RX);
	msix_enable(net.dev.bdf);
	net_arp(&net, &request);
	report("sent", net_send(&net, 0, &request, 0));
	report("an interrupt says that there is an answer", irq_wait(VECTOR_RX, 1, WAIT_MS));
	report("there is", net_await(&net, net_is_arp_reply, &reply));
	msix_disable(net.dev.bdf);
}

/* --- several queues --- */

static uint8_t set_pairs(uint16_t count)
{
	return net_command(&net, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, count);
}

static void check_queues(void)
{
	report("set up", net_setup(&net, RING | MRG | MQ, pairs, BUFFERS, LARGE));
	report("the first pair works at once", is_alive());
	report_equal("no pairs is refused", set_pairs(0), VIRTIO_NET_ERR);
	report_equal("more than there are, too", set_pairs((uint16_t)(pairs + 1)), VIRTIO_NET_ERR);
	report_equal("an unknown command", net_command(&net, VIRTIO_NET_CTRL_MQ, 7, 1),
		     VIRTIO_NET_ERR);
	report_equal("an unknown class", net_command(&net, 99, 0, 1), VIRTIO_NET_ERR);
	for (unsigned int round = 0; round < 5; round++) {
		report_equal("all pairs", set_pairs((uint16_t)pairs), VIRTIO_NET_OK);
		for (unsigned int i = 0; i < pairs; i++)
			report("each sends, one receives", ask(i, 0) && echo(i, 3, 100, 0));
		report_equal("one pair", set_pairs(1), VIRTIO_NET_OK);
		report("which is enough", is_alive());
	}
}

/* --- a driver that means no good --- */

/* The host may drop these or not; it must live. */
static void check_nonsense(void)
{
	static const struct virtio_net_hdr_v1 headers[] = {
		{.flags = 0xff, .gso_type = 0xff},
		{.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff},
		{.flags = 1, .csum_start = 14, .csum_offset = 2000},
		{.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 0, .hdr_len = 0xffff},
		{.flags = 1, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1, .hdr_len = 54,
		 .csum_start = 34, .csum_offset = 16},
		{.flags = 1, .gso_type = VIRTIO_NET_HDR_GSO_TCPV6 | 0x80, .gso_size = 1400,
		 .csum_start = 54, .csum_offset = 16},
		{.gso_type = 3, .gso_size = 8, .hdr_len = 0},
		{.num_buffers = 0xffff},
	};
	static const uint32_t lengths[] = {0, 1, 13, 14, 60, FRAME_MAX};

	report("set up", again());
	for (unsigned int i = 0; i < ARRAY_SIZE(headers); i++)
		for (unsigned int j = 0; j < ARRAY_SIZE(lengths); j++) {
			net_echo(&net, &request, 1, FRAME_MAX - ICMP_DATA);
			request.header = headers[i];
			request.len = lengths[j];
			if (!net_send(&net, 0, &request, 0))
				report("a frame with a header of nonsense is taken", false);
		}
	report("afterwards it works", ask(0, 0));
}

/* One byte after another of 2 MiB, which no link carries. */
static void check_huge(void)
{
	struct queue *queue = &net.queue[1];

	report("set up", again());
	for (unsigned int i = 0; i < 255; i++)
		queue->desc[i] = (struct vring_desc){0x100000, 0x100000, VRING_DESC_F_NEXT,
						     (uint16_t)(i + 1)};
	queue->desc[255] = (struct vring_desc){0x100000, 0x100000, 0, 0};
	queue_offer(queue, 0);
	queue_kick(queue);
	report("255 MiB are taken and go nowhere", queue_wait(queue, 1));
	queue_take(queue);
	report("afterwards it works", ask(0, 0));
}

static void check_broken(void)
{
	static const struct {
		const char *what;
		uint16_t queue;
		struct vring_desc desc;
	} cases[] = {
		{"a frame shorter than its header", 1, {0x100000, 11, 0, 0}},
		{"a frame to be written", 1, {0x100000, 64, VRING_DESC_F_WRITE, 0}},
		{"a frame of nowhere", 1, {NOWHERE, 64, 0, 0}},
		{"a loop", 1, {0x100000, 64, VRING_DESC_F_NEXT, 0}},
		{"an empty buffer", 1, {0x100000, 0, 0, 0}},
		{"a receive buffer to be read", 0, {0x100000, 64, 0, 0}},
		{"a receive buffer without room for a header", 0,
		 {(uintptr_t)&reply, 11, VRING_DESC_F_WRITE, 0}},
		{"a receive buffer nowhere", 0, {NOWHERE, 64, VRING_DESC_F_WRITE, 0}},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct queue *queue = &net.queue[cases[i].queue];

		report("set up", net_setup(&net, MRG, 1, cases[i].queue ? BUFFERS : 0, LARGE));
		if (!cases[i].queue) {
			net_arp(&net, &request);
			report("sent", net_send(&net, 0, &request, 0));
		}
		queue->desc[100] = cases[i].desc;
		if (queue->desc[100].flags & VRING_DESC_F_NEXT)
			queue->desc[100].next = 100;
		queue_offer(queue, 100);
		queue_kick(queue);
		report(join(cases[i].what, "needs a reset"),
		       wait_until(virtio_needs_reset, &net.dev, WAIT_MS));
		report(join(cases[i].what, "after the reset it works"), again());
	}
}

/* A reset while frames go both ways, and while the device may not reach memory. */
static void check_resets(void)
{
	for (unsigned int i = 0; i < 20; i++) {
		struct queue *queue = &net.queue[1];

		if (!net_setup(&net, RING | MRG, 1, BUFFERS, LARGE))
			report("set up again", false);
		net_arp(&net, &request);
		for (unsigned int j = 0; j < 50; j++) {
			queue->desc[j] = (struct vring_desc){(uintptr_t)&request,
							     NET_HEADER + request.len, 0, 0};
			queue_offer(queue, (uint16_t)j);
		}
		queue_kick(queue);
		virtio_reset(&net.dev);
	}
	report("after resets in the middle it works", again());
	pci_change(net.dev.bdf, PCI_COMMAND, 2, PCI_COMMAND_MASTER, 0);
	pci_change(net.dev.bdf, PCI_COMMAND, 2, 0, PCI_COMMAND_MASTER);
	report("and after Bus Master was off", is_alive());
}

void test(void)
{
	passt = option("passt") == 1;
	pairs = option("queues") > 0 ? (unsigned int)option("queues") : 1;
	irq_init();
	if (!net_find(&net, 0)) {
		report("there is a network device", false);
		return;
	}
	net.ip = IP(192, 0, 2, 2);
	net.peer_ip = IP(192, 0, 2, 1);
	check_identity();
	check_features();
	check_exchanges();
	check_mergeable();
	check_starved();
	if (passt)
		check_dhcp();
	else
		check_checksum();
	check_interrupts();
	if (pairs > 1)
		check_queues();
	check_nonsense();
	check_huge();
	check_broken();
	check_resets();
}
