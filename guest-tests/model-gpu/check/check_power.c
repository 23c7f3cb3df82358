/* Low power, as the kernel's vfio-pci has it. */
#include "guest-tests/model-gpu/check/client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SET VFIO_DEVICE_FEATURE_SET
#define PROBE VFIO_DEVICE_FEATURE_PROBE
#define GET VFIO_DEVICE_FEATURE_GET

static void probes(void)
{
	struct client client = client_open(0);

	for (uint32_t number = 3; number <= 5; number++) {
		expect_equal(feature(&client, PROBE | SET | number, -1), 0);
		expect_equal(feature(&client, PROBE | number, -1), 0);
		expect_equal(feature(&client, PROBE | GET | number, -1), -EINVAL);
		expect_equal(feature(&client, GET | number, -1), -EINVAL);
		expect_equal(feature(&client, number, -1), -EINVAL);
		expect_equal(feature(&client, 1U << 19 | SET | number, -1), -EINVAL);
	}
	expect_equal(feature(&client, PROBE | SET | 2, -1), -ENOTTY);
	expect_equal(feature(&client, PROBE | SET | 6, -1), -ENOTTY);
	expect_equal(feature(&client, SET | 0xffff, -1), -ENOTTY);
}

static void no_low_power(void)
{
	struct client client = client_open(0);

	for (uint32_t number = 3; number <= 5; number++)
		expect_equal(feature(&client, PROBE | SET | number, -1), -ENOTTY);
	expect_equal(entry(&client), -ENOTTY);
	expect_equal(leave(&client), -ENOTTY);
}

static void no_wakeup(void)
{
	struct client client = client_open(0);

	expect_equal(feature(&client, PROBE | SET | 4, -1), -ENOTTY);
	expect_equal(entry_with_wakeup(&client, make_eventfd()), -ENOTTY);
	expect_equal(entry(&client), 0);
}

/* Power is lost, but not what the host keeps. */
static void contents_lost(void)
{
	struct client client = client_open(0);
	uint32_t value = 7;
	int fd;

	ram_share(&client, &fd);
	config_write(&client, PCI_BASE_ADDRESS_0, 0xe0000000, 4);
	reg_write(&client, 0x008, 0x1234);
	reg_write(&client, 0x088, 64);
	reg_write(&client, 0x020, 3);
	expect_equal(region_write(&client, 2, 0x3000, &value, 4), 0);
	expect_equal(entry(&client), 0);
	expect_equal(status(0, "engaged"), 1);
	expect_equal(status(0, "suspended"), 1);
	expect(strstr(control("status"), "\"cold\":true"));
	expect_equal(leave(&client), 0);
	expect_equal(reg_read(&client, 0x008), 0);
	expect_equal(reg_read(&client, 0x088), 0);
	expect_equal(reg_read(&client, 0x024), 0);
	expect_equal(reg_read(&client, 0x00c), 2);
	expect_equal(region_read(&client, 2, 0x3000, &value, 4), 0);
	expect_equal(value, 0);
	expect_equal(config_read(&client, PCI_BASE_ADDRESS_0, 4), 0xe0000000);
	expect_equal(config_read(&client, PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	expect_equal(status(0, "ram"), RAM_SIZE);
	expect_equal(status(0, "boot_count"), 2);
	expect_equal(status(0, "touches"), 0);
}

static void exits(void)
{
	struct client client = client_open(0);
	int eventfd = make_eventfd();

	expect_equal(leave(&client), 0); /* never engaged */
	expect_equal(entry_with_wakeup(&client, eventfd), 0);
	expect_equal(drained(eventfd), 0);
	expect_equal(leave(&client), 0);
	expect_equal(drained(eventfd), 1); /* our own exit signals */
	expect_equal(leave(&client), 0);
	expect_equal(drained(eventfd), 0);
	expect_equal(status(0, "entries"), 1);
	expect_equal(status(0, "exits"), 3);
	expect_equal(status(0, "wakes"), 0);
}

static void wake(void)
{
	struct client client = client_open(0);
	int eventfd = make_eventfd();

	expect(!strcmp(control("wake 0 now"), "ok 0"));
	expect_equal(entry_with_wakeup(&client, eventfd), 0);
	expect(!strcmp(control("wake 0"), "ok 1"));
	expect_equal(drained(eventfd), 1);
	expect_equal(status(0, "engaged"), 0);
	expect(!strcmp(control("wake 0 now"), "ok 0")); /* one shot */
	expect_equal(drained(eventfd), 0);
	expect_equal(reg_read(&client, 0x00c), 2);
	/* The next entry needs no exit before it. */
	expect_equal(entry_with_wakeup(&client, eventfd), 0);
	expect(!strcmp(control("wake all now"), "ok 1"));
	expect_equal(drained(eventfd), 1);
	expect_equal(status(0, "wakes"), 2);
	expect_equal(status(0, "signals"), 2);
}

/* Each message of its client resumes a function, but the two for memory. */
static void touched(void)
{
	struct client client = client_open(0);
	int eventfd = make_eventfd(), fd;
	uint64_t touches = 0;

	ram_share(&client, &fd);
	for (unsigned int i = 0; i < 5; i++) {
		uint32_t value;
		struct user_device_info info = {.argsz = sizeof(info)};

		expect_equal(entry_with_wakeup(&client, eventfd), 0);
		expect_equal(dma_unmap(&client, RAM_IOVA, RAM_SIZE), 0);
		expect_equal(dma_map(&client, fd, 0, RAM_IOVA, RAM_SIZE), 0);
		expect_equal(drained(eventfd), 0);
		if (i == 0)
			config_read(&client, 0, 4);
		else if (i == 1)
			expect_equal(region_read(&client, 0, 0x00c, &value, 4), 0);
		else if (i == 2)
			client_request(&client, USER_DEVICE_GET_INFO, &info, sizeof(info), &info,
				       sizeof(info));
		else if (i == 3)
			expect_equal(feature(&client, PROBE | SET | 3, -1), 0);
		else
			expect_equal(client_request(&client, USER_DEVICE_RESET, NULL, 0, NULL, 0),
				     0);
		expect_equal(drained(eventfd), 1);
		expect_equal(status(0, "engaged"), 0);
		expect_equal(status(0, "touches"), ++touches);
	}
}

/* Without wake-up the function goes back by itself, and power is lost again. */
static void plain(void)
{
	struct client client = client_open(0);

	expect_equal(entry(&client), 0);
	expect_equal(reg_read(&client, 0x00c), 2);
	reg_write(&client, 0x008, 5);
	expect_equal(reg_read(&client, 0x008), 0);
	expect_equal(reg_read(&client, 0x00c), 5);
	expect_equal(entry(&client), -EINVAL);
	expect_equal(status(0, "engaged"), 1);
	control_ok("wake 0 now");
	expect_equal(status(0, "suspended"), 1);
	expect_equal(leave(&client), 0);
	expect_equal(status(0, "suspended"), 0);
	reg_write(&client, 0x008, 5);
	expect_equal(reg_read(&client, 0x008), 5);
}

/* An entry while engaged with wake-up: it resumes first, signals, and then is a new entry. */
static void entered_twice(void)
{
	struct client client = client_open(0);
	int first = make_eventfd(), second = make_eventfd();

	expect_equal(entry_with_wakeup(&client, first), 0);
	expect_equal(entry_with_wakeup(&client, second), 0);
	expect_equal(drained(first), 1);
	expect_equal(status(0, "engaged"), 1);
	control_ok("wake 0 now");
	expect_equal(drained(first), 0);
	expect_equal(drained(second), 1);
}

static void siblings(void)
{
	struct client client[3];
	int eventfd[3];

	for (unsigned int i = 0; i < 3; i++) {
		client[i] = client_open(i);
		eventfd[i] = make_eventfd();
		reg_write(&client[i], 0x008, 0x100 + i);
	}
	/* Some only: suspended, nothing lost, woken alone. */
	expect_equal(entry_with_wakeup(&client[0], eventfd[0]), 0);
	expect_equal(entry_with_wakeup(&client[1], eventfd[1]), 0);
	control_ok("wake 0 now");
	expect_equal(drained(eventfd[0]), 1);
	expect_equal(drained(eventfd[1]), 0);
	expect_equal(reg_read(&client[0], 0x008), 0x100);
	expect_equal(reg_read(&client[0], 0x00c), 1);
	/* All: one wakes all; the last without wake-up goes back alone. */
	expect_equal(entry_with_wakeup(&client[0], eventfd[0]), 0);
	expect_equal(entry(&client[2]), 0);
	control_ok("wake 1 now");
	for (unsigned int i = 0; i < 2; i++) {
		expect_equal(drained(eventfd[i]), 1);
		expect_equal(reg_read(&client[i], 0x008), 0);
		expect_equal(reg_read(&client[i], 0x00c), 2);
		expect_equal(status(i, "engaged"), 0);
	}
	expect_equal(status(0, "sibling_wakes"), 1);
	expect_equal(status(2, "suspended"), 1);
	expect_equal(leave(&client[2]), 0);
	expect_equal(reg_read(&client[2], 0x00c), 2);
}

/* The exit of one is the wake of the others. */
static void exit_wakes_siblings(void)
{
	struct client client[2] = {client_open(0), client_open(1)};
	int eventfd[2] = {make_eventfd(), make_eventfd()};

	for (unsigned int i = 0; i < 2; i++)
		expect_equal(entry_with_wakeup(&client[i], eventfd[i]), 0);
	expect_equal(leave(&client[0]), 0);
	expect_equal(drained(eventfd[0]), 1);
	expect_equal(drained(eventfd[1]), 1);
	expect_equal(leave(&client[1]), 0);
	expect_equal(drained(eventfd[1]), 0);
}

static void disconnected_asleep(void)
{
	struct client client[2] = {client_open(0), client_open(1)};
	int eventfd[2] = {make_eventfd(), make_eventfd()};

	config_write(&client[0], PCI_BASE_ADDRESS_0, 0xe0000000, 4);
	for (unsigned int i = 0; i < 2; i++)
		expect_equal(entry_with_wakeup(&client[i], eventfd[i]), 0);
	client_close(&client[0]);
	await(eventfd[1]);
	expect_equal(drained(eventfd[1]), 1);
	expect_equal(drained(eventfd[0]), 0);
	expect_equal(status(0, "connected"), 0);
	/* The next client finds it as the host would give it. */
	client[0] = client_open(0);
	expect_equal(status(0, "engaged"), 0);
	expect_equal(config_read(&client[0], PCI_BASE_ADDRESS_0, 4), 0);
	expect_equal(reg_read(&client[0], 0x00c), 2);
}

static void wakeup_refused(void)
{
	struct client client = client_open(0);
	int ends[2];

	expect(!pipe(ends));
	expect_equal(entry_with_wakeup(&client, -1), -EINVAL);
	expect_equal(entry_with_wakeup(&client, ends[1]), -EINVAL);
	expect_equal(status(0, "engaged"), 0);
	expect_equal(status(0, "entries"), 0);
}

static int eventfd_blocking(void)
{
	int fd = make_eventfd();

	expect(!fcntl(fd, F_SETFL, 0));
	return fd;
}

/* A full eventfd of the client's does not stop the model. */
static void eventfd_full(void)
{
	struct client client = client_open(0);
	int eventfd = eventfd_blocking();
	uint64_t full = UINT64_MAX - 1;

	expect_equal(write(eventfd, &full, sizeof(full)), sizeof(full));
	expect_equal(entry_with_wakeup(&client, eventfd), 0);
	control_ok("wake 0 now");
	expect_equal(status(0, "engaged"), 0);
	expect_equal(drained(eventfd), full);
}

static void vram_touched(void)
{
	struct client client = client_open(0);
	struct vfio_region_info info = {.argsz = sizeof(info), .index = 2};
	uint8_t bytes[64], *map;
	int fd = -1;

	client_send(&client, USER_DEVICE_GET_REGION_INFO, &info, sizeof(info), NULL, 0);
	client_receive_raw(&client, bytes, sizeof(bytes), &fd);
	map = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	expect(map != MAP_FAILED);
	map[0] = 1;
	expect_equal(entry(&client), 0);
	expect_equal(leave(&client), 0);
	expect_equal(map[0], 0);
	expect(strstr(control("status"), "\"vram_touched\":0"));
	expect_equal(entry(&client), 0);
	map[0] = 1; /* nobody may, without power */
	expect_equal(leave(&client), 0);
	expect_equal(map[0], 0);
	expect(strstr(control("status"), "\"vram_touched\":1"));
}

const struct test power_tests[] = {
	{"power-probes", probes, {0}},
	{"power-no-low-power", no_low_power, {"--no-low-power"}},
	{"power-no-wakeup", no_wakeup, {"--no-wakeup"}},
	{"power-contents-lost", contents_lost, {0}},
	{"power-exits", exits, {0}},
	{"power-wake", wake, {0}},
	{"power-touched", touched, {0}},
	{"power-plain", plain, {0}},
	{"power-entered-twice", entered_twice, {0}},
	{"power-siblings", siblings, {"--functions", "gpu,audio,usbc"}},
	{"power-exit-wakes-siblings", exit_wakes_siblings, {"--functions", "gpu,audio"}},
	{"power-disconnected-asleep", disconnected_asleep, {"--functions", "gpu,audio"}},
	{"power-wakeup-refused", wakeup_refused, {0}},
	{"power-eventfd-full", eventfd_full, {0}},
	{"power-vram-touched", vram_touched, {0}},
	{0},
};
