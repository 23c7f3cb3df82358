/* Clients that are wrong, slow, or gone. The model answers EINVAL and serves the next one. */
#include "guest-tests/model-gpu/check/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void still_serves(void)
{
	struct client client = client_open(0);

	expect_equal(config_read(&client, 0, 4), 0x00f01b36);
	client_close(&client);
}

/* A short life: version, information, an access, low power. */
static size_t write_session(uint8_t *at)
{
	static const char version[] = "\0\0\1\0{\"capabilities\":{\"max_msg_fds\":8}}";
	const struct user_device_info info = {.argsz = sizeof(info)};
	const struct user_access access = {0, VFIO_PCI_CONFIG_REGION_INDEX, 4};
	const uint32_t entry_request[] = {8, VFIO_DEVICE_FEATURE_SET |
					  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY};
	const struct {
		uint16_t command;
		const void *payload;
		size_t size;
	} messages[] = {
		{USER_VERSION, version, sizeof(version)},
		{USER_DEVICE_GET_INFO, &info, sizeof(info)},
		{USER_REGION_READ, &access, sizeof(access)},
		{USER_DEVICE_FEATURE, entry_request, sizeof(entry_request)},
	};
	size_t len = 0;

	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		struct user_header header = {
			.id = (uint16_t)i, .command = messages[i].command,
			.size = (uint32_t)(sizeof(header) + messages[i].size),
		};

		memcpy(at + len, &header, sizeof(header));
		memcpy(at + len + sizeof(header), messages[i].payload, messages[i].size);
		len += header.size;
	}
	return len;
}

static void gone_at_any_byte(void)
{
	uint8_t session[512];
	size_t len = write_session(session);

	for (size_t i = 0; i <= len; i++) {
		struct client client = client_connect(0);

		if (i)
			client_send_raw(&client, session, i);
		client_close(&client);
	}
	still_serves();
}

/* The same bytes one by one, and all at once: the same answers. */
static void split_and_pipelined(void)
{
	uint8_t session[512], reply[512];
	size_t len = write_session(session);

	for (unsigned int split = 0; split < 2; split++) {
		struct client client = client_connect(0);

		for (size_t i = 0; split && i < len; i++)
			client_send_raw(&client, session + i, 1);
		if (!split)
			client_send_raw(&client, session, len);
		for (uint16_t id = 0; id < 4; id++) {
			struct user_header header;

			expect(client_receive_raw(&client, reply, sizeof(reply), NULL) > 0);
			memcpy(&header, reply, sizeof(header));
			expect_equal(header.id, id);
			expect_equal(header.flags, USER_TYPE_REPLY);
		}
		expect_equal(status(0, "entries"), split + 1);
		client_close(&client);
	}
}

static void no_reply(void)
{
	struct client client = client_open(0);
	struct user_header header = {
		.id = 9, .command = USER_DEVICE_RESET, .size = sizeof(header),
		.flags = USER_NO_REPLY,
	};

	client_send_raw(&client, &header, sizeof(header));
	expect_equal(config_read(&client, 0, 4), 0x00f01b36);
	expect_equal(status(0, "resets"), 1);
}

static void malformed(void)
{
	static const struct {
		uint16_t command;
		uint16_t size;
	} cases[] = {
		{0, 0}, {6, 64}, {11, 64}, {12, 64}, {14, 64}, {15, 64}, {17, 64}, {0xffff, 64},
		{USER_DMA_MAP, 31}, {USER_DMA_UNMAP, 23}, {USER_DEVICE_GET_INFO, 15},
		{USER_DEVICE_GET_REGION_INFO, 31}, {USER_DEVICE_GET_IRQ_INFO, 15},
		{USER_DEVICE_SET_IRQS, 19}, {USER_REGION_READ, 15}, {USER_REGION_WRITE, 0},
		{USER_DEVICE_FEATURE, 7}, {USER_DEVICE_FEATURE, 0},
	};
	static const uint8_t zeros[64];
	struct client client = client_open(0);
	struct user_header reply = {
		.command = USER_DEVICE_RESET, .size = sizeof(reply), .flags = USER_TYPE_REPLY,
	};
	struct user_access access = {0, VFIO_PCI_CONFIG_REGION_INDEX, 8};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_equal(client_request(&client, cases[i].command, zeros, cases[i].size, NULL,
					    0), -EINVAL);
	/* A reply is no request. Less data than is said. More than may be. */
	client_send_raw(&client, &reply, sizeof(reply));
	expect(client_receive_raw(&client, &reply, sizeof(reply), NULL) == sizeof(reply));
	expect_equal(reply.error, EINVAL);
	expect_equal(client_request(&client, USER_REGION_WRITE, &access, sizeof(access), NULL, 0),
		     -EINVAL);
	access.count = USER_DATA_MAX + 1;
	expect_equal(client_request(&client, USER_REGION_READ, &access, sizeof(access), NULL, 0),
		     -EINVAL);
	access = (struct user_access){0, VFIO_PCI_NUM_REGIONS, 4};
	expect_equal(client_request(&client, USER_REGION_READ, &access, sizeof(access), NULL, 0),
		     -EINVAL);
	expect_equal(config_read(&client, 0, 4), 0x00f01b36);
}

/* Where the next message begins is not known: an answer, then the end. */
static void impossible_size(void)
{
	static const uint32_t sizes[] = {0, 15, USER_MESSAGE_MAX + 1, UINT32_MAX};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct client client = client_open(0);
		struct user_header header = {.command = USER_DEVICE_RESET, .size = sizes[i]};

		client_send_raw(&client, &header, sizeof(header));
		expect(client_receive_raw(&client, &header, sizeof(header), NULL) ==
		       sizeof(header));
		expect_equal(header.error, EINVAL);
		expect_equal(client_receive_raw(&client, &header, sizeof(header), NULL), -1);
		client_close(&client);
	}
	still_serves();
}

/* Descriptors with messages that want none, and more than are ever taken. */
static void too_many_fds(void)
{
	struct client client = client_open(0);
	struct user_dma_map map = {
		sizeof(map), USER_DMA_READ | USER_DMA_WRITE, 0, RAM_IOVA, 0x1000,
	};
	int fds[20];

	for (unsigned int i = 0; i < 20; i++)
		fds[i] = make_eventfd();
	for (unsigned int i = 0; i < 200; i++) {
		client_send(&client, USER_DEVICE_RESET, NULL, 0, fds, 20);
		expect_equal(client_receive(&client, USER_DEVICE_RESET, NULL, 0), 0);
		client_send(&client, USER_DMA_MAP, &map, sizeof(map), fds, 2);
		expect_equal(client_receive(&client, USER_DMA_MAP, NULL, 0), -EINVAL);
	}
	expect_equal(config_read(&client, 0, 4), 0x00f01b36);
}

/* A session that leaves everything behind that a client can give to the model. */
static void leave_all_behind(void)
{
	const uint32_t trigger = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	const uint32_t unmask = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK;
	struct client client = client_open(0);
	int fds[20], ram_fd;

	for (unsigned int i = 0; i < 20; i++)
		fds[i] = make_eventfd();
	munmap(ram_share(&client, &ram_fd), RAM_SIZE);
	expect_equal(dma_map(&client, ram_fd, 0, 0, RAM_SIZE), 0);
	expect_equal(dma_unmap(&client, 0, RAM_SIZE), 0);
	/* Nothing is left of the client before: another kind of interrupt is free. */
	expect_equal(irqs_set(&client, VFIO_PCI_MSI_IRQ_INDEX, trigger, 0, 1, fds, 1), 0);
	expect_equal(irqs_set(&client, VFIO_PCI_MSI_IRQ_INDEX, VFIO_IRQ_SET_DATA_NONE |
			      VFIO_IRQ_SET_ACTION_TRIGGER, 0, 0, NULL, 0), 0);
	for (unsigned int i = 0; i < 2; i++) { /* the second time they are replaced */
		expect_equal(irqs_set(&client, VFIO_PCI_INTX_IRQ_INDEX, trigger, 0, 1, fds, 1), 0);
		expect_equal(irqs_set(&client, VFIO_PCI_INTX_IRQ_INDEX, unmask, 0, 1, fds, 1), 0);
		expect_equal(irqs_set(&client, VFIO_PCI_ERR_IRQ_INDEX, trigger, 0, 1, fds, 1), 0);
		expect_equal(entry_with_wakeup(&client, fds[2]), 0);
	}
	client_send(&client, USER_DEVICE_RESET, NULL, 0, fds, 20);
	expect_equal(client_receive(&client, USER_DEVICE_RESET, NULL, 0), 0);
	client_send(&client, USER_DEVICE_SET_IRQS, fds, 8, fds, 3); /* refused */
	expect_equal(client_receive(&client, USER_DEVICE_SET_IRQS, NULL, 0), -EINVAL);
	for (unsigned int i = 0; i < 20; i++)
		close(fds[i]);
	close(ram_fd);
	client_close(&client);
}

static void no_growth(void)
{
	unsigned int fds[2], maps[2];

	for (unsigned int round = 0; round < 2; round++) {
		struct client client;

		for (unsigned int i = 0; i < 20; i++)
			leave_all_behind();
		client = client_open(0); /* the one before it is gone for the model, too */
		model_usage(&fds[round], &maps[round]);
		client_close(&client);
	}
	expect_equal(fds[1], fds[0]);
	expect_equal(maps[1], maps[0]);
}

/* Descriptors belong to their own message, also when more follow at once. */
static void fds_pipelined(void)
{
	struct client client = client_open(0);
	struct user_header header;
	int eventfd = make_eventfd();
	struct {
		struct vfio_irq_set set;
	} route = {{20, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		    VFIO_PCI_MSI_IRQ_INDEX, 0, 1}};

	client_send(&client, USER_DEVICE_RESET, NULL, 0, NULL, 0);
	client_send(&client, USER_DEVICE_SET_IRQS, &route, sizeof(route), &eventfd, 1);
	client_send(&client, USER_DEVICE_RESET, NULL, 0, NULL, 0);
	for (unsigned int i = 0; i < 3; i++) {
		expect(client_receive_raw(&client, &header, sizeof(header), NULL) > 0);
		expect_equal(header.error, 0);
	}
	reg_write(&client, 0x020, 1);
	expect_equal(drained(eventfd), 1);
}

/* A client that asks for much and reads nothing; then it reads after all. */
static void slow_reader(void)
{
	struct client client = client_open(0);
	struct user_access access = {0, VFIO_PCI_BAR2_REGION_INDEX, USER_DATA_MAX};
	static uint8_t reply[USER_MESSAGE_MAX];

	for (unsigned int i = 0; i < 8; i++)
		client_send(&client, USER_REGION_READ, &access, sizeof(access), NULL, 0);
	expect_equal(status(0, "connected"), 1); /* others are served meanwhile */
	for (unsigned int i = 0; i < 8; i++)
		expect_equal(client_receive_raw(&client, reply, sizeof(reply), NULL),
			     USER_MESSAGE_MAX);
	client_send(&client, USER_REGION_READ, &access, sizeof(access), NULL, 0);
	client_close(&client);
	still_serves();
}

/* The next client waits until the first is gone. */
static void one_client(void)
{
	struct client first = client_open(0), second = client_connect(0);
	const struct user_version version = {0, 1};
	struct user_version reply;

	client_send(&second, USER_VERSION, &version, sizeof(version), NULL, 0);
	expect_equal(config_read(&first, 0, 4), 0x00f01b36);
	expect(!readable(second.fd));
	client_close(&first);
	expect_equal(client_receive(&second, USER_VERSION, &reply, sizeof(reply)), 0);
}

/* Chance, always the same: plausible headers, random payloads. */
static void random_messages(void)
{
	static const uint16_t sizes[] = {0, 8, 16, 20, 24, 32, 40};
	uint32_t state = 12345;
	struct client client = client_open(0);

	for (unsigned int i = 0; i < 5000; i++) {
		uint32_t payload[10];
		struct user_header header;
		uint8_t reply[4096];
		uint16_t command, size;

		for (size_t word = 0; word < 10; word++) {
			state = state * 1664525 + 1013904223;
			payload[word] = state >> 16 & 3 ? state >> 24 & 31 : state;
		}
		command = (uint16_t)(2 + (state >> 8) % 15);
		size = sizes[(state >> 20) % 7];
		if (size && state >> 5 & 1)
			payload[0] = size; /* argsz */
		if (command == USER_REGION_READ)
			payload[3] &= 0x7ff;
		client_send(&client, command, payload, size, NULL, 0);
		expect(client_receive_raw(&client, reply, sizeof(reply), NULL) > 0);
		memcpy(&header, reply, sizeof(header));
		expect_equal(header.id, client.id);
	}
	client_close(&client);
	still_serves();
}

static void expect_line(struct client *client, const char *wanted)
{
	char line[64] = "";

	for (size_t len = 0; len < sizeof(line) - 1 && !strchr(line, '\n'); len++) {
		await(client->fd);
		expect_equal(read(client->fd, line + len, 1), 1);
	}
	expect(!strcmp(line, wanted));
}

static void expect_end(struct client *client)
{
	char byte;

	await(client->fd);
	expect(read(client->fd, &byte, 1) <= 0);
	client_close(client);
}

/* More clients of the control socket than are served, one whose line has no end, one that goes in
 * the middle of a line, and one that sends two lines at once. */
static void control_clients(void)
{
	struct client clients[8];
	char line[512];

	control_ok("status"); /* that is the first one of eight */
	for (unsigned int i = 0; i < 7; i++) {
		clients[i] = control_connect();
		client_send_raw(&clients[i], "well 0\n", 7);
		expect_line(&clients[i], "ok 1\n");
	}
	clients[7] = control_connect();
	expect_end(&clients[7]);
	memset(line, 'x', sizeof(line));
	client_send_raw(&clients[0], line, sizeof(line));
	expect_end(&clients[0]);
	client_send_raw(&clients[1], "wel", 3);
	client_close(&clients[1]);
	client_send_raw(&clients[2], "well 0\nrandom 1 0\n", 18);
	expect_line(&clients[2], "ok 1\n");
	expect_line(&clients[2], "ok\n");
	still_serves();
}

const struct test hostile_tests[] = {
	{"gone-at-any-byte", gone_at_any_byte, {0}},
	{"split-and-pipelined", split_and_pipelined, {0}},
	{"no-reply", no_reply, {0}},
	{"malformed", malformed, {0}},
	{"impossible-size", impossible_size, {0}},
	{"too-many-fds", too_many_fds, {0}},
	{"no-growth", no_growth, {0}},
	{"fds-pipelined", fds_pipelined, {0}},
	{"slow-reader", slow_reader, {0}},
	{"one-client", one_client, {0}},
	{"random-messages", random_messages, {0}},
	{"control-clients", control_clients, {0}},
	{0},
};
