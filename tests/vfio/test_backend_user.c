/* The vfio-user back end against a server that serves. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/fake_mem.h"
#include "tests/vfio/user_bench.h"

/* --- opening --- */

static void test_backend_user_open(void **state)
{
	static const int irqs[VFIO_PCI_NUM_IRQS] = {1, 0, 8, 1, 1};
	struct vfio_region region;
	struct bench bench;

	(void)state;
	bench_start(&bench);
	assert_string_equal(bench.backend->name, "gpu");
	for (unsigned int i = 0; i < VFIO_PCI_NUM_IRQS; i++)
		assert_int_equal(bench.backend->ops->irq_count(bench.backend, i), irqs[i]);
	assert_int_equal(bench.backend->ops->irq_count(bench.backend, VFIO_PCI_NUM_IRQS), 0);
	assert_int_equal(bench.backend->ops->region_info(bench.backend, BAR2, &region), 0);
	assert_int_equal(region.size, MIB);
	assert_int_equal(region.areas, 2);
	assert_int_equal(region.area[1].start, 128 * KIB);
	assert_true(region.readable && region.writable);
	assert_int_equal(bench.backend->ops->region_info(bench.backend, BAR0, &region), 0);
	assert_int_equal(region.areas, 0);
	assert_int_equal(bench.backend->ops->region_info(bench.backend,
							 VFIO_PCI_VGA_REGION_INDEX, &region),
			 -EINVAL);
	assert_true(bench.backend->ops->can_reset(bench.backend));
	assert_false(bench.backend->ops->can_slot_reset(bench.backend));
	assert_int_equal(bench.backend->ops->slot_reset(bench.backend), -ENOTTY);
	assert_int_equal(bench.backend->ops->observe(bench.backend, NULL), -ENOTSUP);
	/* Version, device, 8 regions, 5 interrupts; what is known is not asked again. */
	assert_int_equal(fake_user_server_requests(bench.server), 15);
	bench_end(&bench);
}

/* A client that comes after another one finds the server as it was. */
static void test_backend_user_reopen(void **state)
{
	struct bench bench;
	char why[256];

	(void)state;
	bench_start(&bench);
	bench.backend->ops->close(bench.backend);
	assert_int_equal(vfio_user_backend_open(bench.server->path, "gpu", 1, &bench.backend, why,
						sizeof(why)), 0);
	assert_int_equal(bench.server->clients, 2);
	bench_end(&bench);
}

static void test_backend_user_no_server(void **state)
{
	char dir[] = "/tmp/no-server.XXXXXX", path[64], long_path[200];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	unsigned int fds = count_fds();
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/0", dir);
	expect_no_open(path, -ENOENT, "is the vfio-user server running?");
	memset(long_path, 'x', sizeof(long_path));
	long_path[sizeof(long_path) - 1] = '\0';
	expect_no_open(long_path, -ENAMETOOLONG, "UNIX sockets cannot");

	memcpy(address.sun_path, path, sizeof(path));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	expect_no_open(path, -EPROTOTYPE, "no stream socket");
	close(fd);
	expect_no_open(path, -ECONNREFUSED, "nobody listens");
	unlink(path);

	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	expect_no_open(path, -ECONNREFUSED, "is no socket");
	snprintf(long_path, sizeof(long_path), "%s/0", path);
	expect_no_open(long_path, -ENOTDIR, "is no directory");
	unlink(path);
	rmdir(dir);
	assert_int_equal(count_fds(), fds);
}

static void test_backend_user_wrong_device(void **state)
{
	static const struct {
		uint32_t flags, regions;
		uint16_t minor;
		unsigned int command;
		uint32_t error;
		const char *json;
		int result;
		const char *says;
	} cases[] = {
		{VFIO_DEVICE_FLAGS_PLATFORM, 9, 1, 0, 0, "{}", -ENODEV, "no PCI device"},
		{VFIO_DEVICE_FLAGS_PCI, 7, 1, 0, 0, "{}", -ENODEV, "no PCI device"},
		{VFIO_DEVICE_FLAGS_PCI, 9, 2, 0, 0, "{}", -EPROTO,
		 "/0 speaks another protocol than"},
		{VFIO_DEVICE_FLAGS_PCI, 9, 1, 0, 0, "{\"capabilities\":{\"max_msg_fds\":0}}",
		 -EPROTO, "/0 speaks another protocol than"},
		{VFIO_DEVICE_FLAGS_PCI, 9, 1, VFIO_USER_VERSION, EINVAL, "{}", -EINVAL,
		 "refuses to speak version 0.1"},
		{VFIO_DEVICE_FLAGS_PCI, 9, 1, VFIO_USER_DEVICE_GET_INFO, ENODEV, "{}", -ENODEV,
		 "server on"},
		{VFIO_DEVICE_FLAGS_PCI, 9, 1, VFIO_USER_DEVICE_GET_REGION_INFO, ENXIO, "{}",
		 -ENXIO, "refuses to describe its device"},
		{VFIO_DEVICE_FLAGS_PCI, 9, 1, VFIO_USER_DEVICE_GET_IRQ_INFO, EBUSY, "{}", -EBUSY,
		 "refuses to describe its device"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bench bench;

		bench_create(&bench);
		bench.server->info.flags = cases[i].flags;
		bench.server->info.num_regions = cases[i].regions;
		bench.server->version.minor = cases[i].minor;
		bench.server->error[cases[i].command] = cases[i].error;
		fake_user_server_set_json(bench.server, cases[i].json);
		fake_user_server_start(bench.server);
		expect_no_open(bench.server->path, cases[i].result, cases[i].says);
		bench_end(&bench);
	}
}

/* A device without some kinds of interrupts: EINVAL is the kernel's answer for those. */
static void test_backend_user_few_irqs(void **state)
{
	struct bench bench;

	(void)state;
	bench_create(&bench);
	bench.server->error[VFIO_USER_DEVICE_GET_IRQ_INFO] = EINVAL;
	bench.server->info.num_irqs = 3;
	bench_open(&bench);
	for (unsigned int i = 0; i < VFIO_PCI_NUM_IRQS; i++)
		assert_int_equal(bench.backend->ops->irq_count(bench.backend, i), 0);
	assert_int_equal(fake_user_server_count(bench.server, VFIO_USER_DEVICE_GET_IRQ_INFO), 3);
	bench_end(&bench);
}

/* --- regions --- */

static void test_backend_user_access(void **state)
{
	uint8_t data[100], back[100];
	struct bench bench;

	(void)state;
	bench_start(&bench);
	for (unsigned int i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i + 1);
	assert_int_equal(bench.backend->ops->region_write(bench.backend, BAR0, 0x8000, data, 100),
			 100);
	assert_memory_equal(bench.server->region[BAR0].mem + 0x8000, data, 100);
	assert_int_equal(bench.backend->ops->region_read(bench.backend, BAR0, 0x8001, back, 99),
			 99);
	assert_memory_equal(back, data + 1, 99);
	bench.server->region[CONFIG].mem[4095] = 0x77;
	assert_int_equal(bench.backend->ops->region_read(bench.backend, CONFIG, 4095, back, 1), 1);
	assert_int_equal(back[0], 0x77);
	bench_end(&bench);
}

/* Not even asked. */
static void test_backend_user_access_outside(void **state)
{
	static const struct {
		unsigned int index;
		uint64_t off;
		size_t len;
	} cases[] = {
		{BAR0, 64 * KIB, 1}, {BAR0, 64 * KIB - 3, 4}, {BAR0, UINT64_MAX, 4},
		{BAR0, 4, SIZE_MAX}, {VFIO_PCI_BAR1_REGION_INDEX, 0, 4},
		{VFIO_PCI_VGA_REGION_INDEX, 0, 1}, {UINT32_MAX, 0, 1},
	};
	uint8_t data[8] = {0};
	unsigned int requests;
	struct bench bench;

	(void)state;
	bench_start(&bench);
	requests = fake_user_server_requests(bench.server);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(bench.backend->ops->region_read(bench.backend, cases[i].index,
								 cases[i].off, data, cases[i].len),
				 -EINVAL);
		assert_int_equal(bench.backend->ops->region_write(bench.backend, cases[i].index,
								  cases[i].off, data, cases[i].len),
				 -EINVAL);
	}
	assert_int_equal(bench.backend->ops->region_read(bench.backend, BAR0, 0, data, 0), 0);
	assert_int_equal(fake_user_server_requests(bench.server), requests);
	bench_end(&bench);
}

static void test_backend_user_access_split(void **state)
{
	uint8_t data[100], back[100];
	struct bench bench;

	(void)state;
	bench_create(&bench);
	fake_user_server_set_json(bench.server, "{\"capabilities\":{\"max_data_xfer_size\":16}}");
	bench_open(&bench);
	for (unsigned int i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i + 1);
	assert_int_equal(bench.backend->ops->region_write(bench.backend, BAR0, 8, data, 100), 100);
	assert_int_equal(fake_user_server_count(bench.server, VFIO_USER_REGION_WRITE), 7);
	assert_int_equal(bench.backend->ops->region_read(bench.backend, BAR0, 8, back, 100), 100);
	assert_int_equal(fake_user_server_count(bench.server, VFIO_USER_REGION_READ), 7);
	assert_memory_equal(back, data, 100);
	assert_int_equal(last(&bench, VFIO_USER_REGION_READ)->payload[12], 4);
	bench_end(&bench);
}

/* More than a socket holds: both sides go by parts. */
static void test_backend_user_access_long(void **state)
{
	uint8_t *data = malloc(MIB), *back = malloc(MIB);
	struct bench bench;

	(void)state;
	assert_true(data && back);
	for (size_t i = 0; i < MIB; i++)
		data[i] = (uint8_t)(i * 7 >> 3);
	bench_start(&bench);
	assert_int_equal(bench.backend->ops->region_write(bench.backend, BAR2, 0, data, MIB), MIB);
	assert_int_equal(bench.backend->ops->region_read(bench.backend, BAR2, 0, back, MIB), MIB);
	assert_memory_equal(back, data, MIB);
	assert_int_equal(fake_user_server_count(bench.server, VFIO_USER_REGION_READ), 1);
	bench_end(&bench);
	free(data);
	free(back);
}

static void shorten(void *opaque, const struct fake_user_message *request,
		    struct fake_user_message *reply)
{
	struct vfio_user_access access;

	(void)opaque;
	if (request->header.command != VFIO_USER_REGION_READ)
		return;
	memcpy(&access, reply->payload, sizeof(access));
	access.count -= 3;
	memcpy(reply->payload, &access, sizeof(access));
	reply->size -= 3;
	reply->header.size -= 3;
}

static void test_backend_user_access_short(void **state)
{
	uint8_t data[8];
	struct bench bench;

	(void)state;
	bench_create(&bench);
	bench.server->hook = shorten;
	bench_open(&bench);
	assert_int_equal(bench.backend->ops->region_read(bench.backend, BAR0, 0, data, 8), 5);
	assert_int_equal(bench.backend->ops->region_read(bench.backend, BAR0, 0, data, 3), 0);
	bench_end(&bench);
}

static void in_pieces(void *opaque, const struct fake_user_message *request,
		      struct fake_user_message *reply)
{
	(void)opaque, (void)request;
	reply->piece = 1;
}

static void test_backend_user_pieces(void **state)
{
	uint32_t value = 0;
	struct vfio_region region;
	struct bench bench;

	(void)state;
	bench_create(&bench);
	bench.server->hook = in_pieces;
	bench_open(&bench);
	memset(bench.server->region[CONFIG].mem, 0x5a, 4);
	assert_int_equal(bench.backend->ops->region_read(bench.backend, CONFIG, 0, &value, 4), 4);
	assert_int_equal(value, 0x5a5a5a5a);
	assert_int_equal(bench.backend->ops->region_info(bench.backend, BAR2, &region), 0);
	assert_int_equal(region.areas, 2); /* the file was the first byte's */
	bench_end(&bench);
}

static void test_backend_user_map(void **state)
{
	static const struct {
		unsigned int index;
		uint64_t off;
		size_t len;
	} refused[] = {
		{BAR2, 64 * KIB, 4096}, {BAR2, 60 * KIB, 8192}, {BAR2, MIB, 4096}, {BAR2, 0, 0},
		{BAR2, 0, MIB}, {BAR0, 0, 4096}, {VFIO_PCI_VGA_REGION_INDEX, 0, 4096},
	};
	unsigned int requests;
	void *hva = NULL;
	struct bench bench;

	(void)state;
	bench_start(&bench);
	requests = fake_user_server_requests(bench.server);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		assert_int_equal(bench.backend->ops->region_map(bench.backend, refused[i].index,
								refused[i].off, refused[i].len,
								&hva), -EINVAL);
	assert_null(hva);
	assert_int_equal(bench.backend->ops->region_map(bench.backend, BAR2, 132 * KIB, 8192, &hva),
			 0);
	memset(hva, 0x42, 8192);
	assert_int_equal(bench.server->region[BAR2].mem[132 * KIB - 1], 0);
	assert_int_equal(bench.server->region[BAR2].mem[132 * KIB], 0x42);
	assert_int_equal(bench.server->region[BAR2].mem[140 * KIB - 1], 0x42);
	bench.backend->ops->region_unmap(bench.backend, hva, 8192);
	assert_int_equal(fake_user_server_requests(bench.server), requests);
	bench_end(&bench);
}

/* The file is shorter than the region: an access would be SIGBUS. */
static void test_backend_user_map_short_file(void **state)
{
	void *hva;
	struct bench bench;

	(void)state;
	bench_create(&bench);
	assert_int_equal(ftruncate(bench.server->region[BAR2].fd, 64 * KIB + 4096), 0);
	bench_open(&bench);
	assert_int_equal(bench.backend->ops->region_map(bench.backend, BAR2, 0, 8192, &hva),
			 -EINVAL);
	assert_int_equal(bench.backend->ops->region_map(bench.backend, BAR2, 0, 4096, &hva), 0);
	bench.backend->ops->region_unmap(bench.backend, hva, 4096);
	bench_end(&bench);
}

/* --- interrupts --- */

/* The server's descriptor is this eventfd: what it writes arrives. */
static void expect_same(int theirs, int ours)
{
	eventfd_t value;

	assert_int_equal(eventfd_write(theirs, 3), 0);
	assert_int_equal(eventfd_read(ours, &value), 0);
	assert_int_equal(value, 3);
}

static void expect_set(struct bench *bench, uint32_t flags, unsigned int index, unsigned int start,
		       unsigned int count, unsigned int fds)
{
	const struct fake_user_message *message = last(bench, VFIO_USER_DEVICE_SET_IRQS);
	const struct vfio_irq_set set = {
		.argsz = sizeof(set), .flags = flags, .index = index, .start = start,
		.count = count,
	};

	assert_int_equal(message->size, sizeof(set));
	assert_memory_equal(message->payload, &set, sizeof(set));
	assert_int_equal(message->fds, fds);
}

#define TRIGGER VFIO_IRQ_SET_ACTION_TRIGGER
#define UNMASK VFIO_IRQ_SET_ACTION_UNMASK
#define EVENTFD VFIO_IRQ_SET_DATA_EVENTFD
#define NONE VFIO_IRQ_SET_DATA_NONE

static void test_backend_user_triggers(void **state)
{
	int fds[8];
	struct bench bench;

	(void)state;
	bench_create(&bench);
	fake_user_server_set_json(bench.server, "{\"capabilities\":{\"max_msg_fds\":3}}");
	bench_open(&bench);
	for (unsigned int i = 0; i < 8; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	/* 3, 3 and 2 descriptors */
	assert_int_equal(bench.backend->ops->irq_set_triggers(bench.backend,
							      VFIO_PCI_MSIX_IRQ_INDEX, 0, 8, fds),
			 0);
	assert_int_equal(fake_user_server_count(bench.server, VFIO_USER_DEVICE_SET_IRQS), 3);
	expect_set(&bench, EVENTFD | TRIGGER, VFIO_PCI_MSIX_IRQ_INDEX, 6, 2, 2);
	expect_same(last(&bench, VFIO_USER_DEVICE_SET_IRQS)->fd[0], fds[6]);
	expect_same(last(&bench, VFIO_USER_DEVICE_SET_IRQS)->fd[1], fds[7]);
	for (unsigned int i = 0; i < 8; i++)
		close(fds[i]);
	bench_end(&bench);
}

/* -1 among them: no descriptor says that, so they go in a message without any. */
static void test_backend_user_triggers_none(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	const int fds[] = {fd, -1, -1, -1, -1, -1, fd, -1, -1};
	struct bench bench;

	(void)state;
	bench_start(&bench);
	assert_int_equal(bench.backend->ops->irq_set_triggers(bench.backend,
							      VFIO_PCI_MSIX_IRQ_INDEX, 1, 6, fds),
			 0);
	assert_int_equal(fake_user_server_count(bench.server, VFIO_USER_DEVICE_SET_IRQS), 2);
	expect_set(&bench, EVENTFD | TRIGGER, VFIO_PCI_MSIX_IRQ_INDEX, 2, 5, 0);
	assert_int_equal(bench.backend->ops->irq_set_triggers(bench.backend,
							      VFIO_PCI_MSIX_IRQ_INDEX, 0, 9, fds),
			 0);
	assert_int_equal(fake_user_server_count(bench.server, VFIO_USER_DEVICE_SET_IRQS), 6);
	expect_set(&bench, EVENTFD | TRIGGER, VFIO_PCI_MSIX_IRQ_INDEX, 7, 2, 0);
	assert_int_equal(bench.backend->ops->irq_set_triggers(bench.backend, VFIO_PCI_NUM_IRQS, 0,
							      1, fds), -EINVAL);
	assert_int_equal(bench.backend->ops->irq_set_triggers(bench.backend,
							      VFIO_PCI_MSIX_IRQ_INDEX, 0, 0, fds),
			 -EINVAL);
	assert_int_equal(bench.backend->ops->irq_set_triggers(bench.backend,
							      VFIO_PCI_MSIX_IRQ_INDEX, 0, 1, NULL),
			 -EINVAL);
	bench_end(&bench);
	close(fd);
}

static void test_backend_user_disable(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct bench bench;

	(void)state;
	bench_start(&bench);
	assert_int_equal(bench.backend->ops->irq_disable(bench.backend, VFIO_PCI_INTX_IRQ_INDEX),
			 0);
	assert_int_equal(fake_user_server_count(bench.server, VFIO_USER_DEVICE_SET_IRQS), 0);
	assert_int_equal(bench.backend->ops->irq_set_triggers(bench.backend,
							      VFIO_PCI_INTX_IRQ_INDEX, 0, 1, &fd),
			 0);
	bench.server->error[VFIO_USER_DEVICE_SET_IRQS] = EBUSY;
	assert_int_equal(bench.backend->ops->irq_disable(bench.backend, VFIO_PCI_INTX_IRQ_INDEX),
			 -EBUSY);
	bench.server->error[VFIO_USER_DEVICE_SET_IRQS] = 0;
	assert_int_equal(bench.backend->ops->irq_disable(bench.backend, VFIO_PCI_INTX_IRQ_INDEX),
			 0);
	expect_set(&bench, NONE | TRIGGER, VFIO_PCI_INTX_IRQ_INDEX, 0, 0, 0);
	assert_int_equal(bench.backend->ops->irq_disable(bench.backend, VFIO_PCI_INTX_IRQ_INDEX),
			 0);
	assert_int_equal(bench.backend->ops->irq_disable(bench.backend, VFIO_PCI_NUM_IRQS), 0);
	assert_int_equal(fake_user_server_count(bench.server, VFIO_USER_DEVICE_SET_IRQS), 3);
	bench_end(&bench);
	close(fd);
}

static void test_backend_user_unmask(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct bench bench;

	(void)state;
	bench_start(&bench);
	assert_int_equal(bench.backend->ops->intx_set_unmask(bench.backend, fd), 0);
	expect_set(&bench, EVENTFD | UNMASK, VFIO_PCI_INTX_IRQ_INDEX, 0, 1, 1);
	expect_same(last(&bench, VFIO_USER_DEVICE_SET_IRQS)->fd[0], fd);
	assert_int_equal(bench.backend->ops->intx_set_unmask(bench.backend, -1), 0);
	expect_set(&bench, EVENTFD | UNMASK, VFIO_PCI_INTX_IRQ_INDEX, 0, 1, 0);
	assert_int_equal(bench.backend->ops->intx_unmask(bench.backend), 0);
	expect_set(&bench, NONE | UNMASK, VFIO_PCI_INTX_IRQ_INDEX, 0, 1, 0);
	bench_end(&bench);
	close(fd);
}

/* --- power, reset, DMA --- */

static void expect_feature(struct bench *bench, uint32_t flags, size_t size, unsigned int fds)
{
	const struct fake_user_message *message = last(bench, VFIO_USER_DEVICE_FEATURE);
	uint8_t payload[16] = {0};

	memcpy(payload, &(struct vfio_device_feature) {(uint32_t)size, flags}, 8);
	assert_int_equal(message->size, size);
	assert_memory_equal(message->payload, payload, size);
	assert_int_equal(message->fds, fds);
}

#define SET VFIO_DEVICE_FEATURE_SET
#define PROBE VFIO_DEVICE_FEATURE_PROBE

static void test_backend_user_low_power(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct bench bench;

	(void)state;
	bench_start(&bench);
	assert_int_equal(bench.backend->ops->low_power(bench.backend, VFIO_LOW_POWER_ENTRY, -1),
			 0);
	expect_feature(&bench, 3 | SET, 8, 0);
	/* The field says which descriptor of the message: number 0. */
	assert_int_equal(bench.backend->ops->low_power(bench.backend,
						       VFIO_LOW_POWER_ENTRY_WITH_WAKEUP, fd), 0);
	expect_feature(&bench, 4 | SET, 16, 1);
	expect_same(last(&bench, VFIO_USER_DEVICE_FEATURE)->fd[0], fd);
	assert_int_equal(bench.backend->ops->low_power(bench.backend, VFIO_LOW_POWER_EXIT, -1), 0);
	expect_feature(&bench, 5 | SET, 8, 0);
	bench_end(&bench);
	close(fd);
}

static void test_backend_user_probe(void **state)
{
	static const uint32_t absent[] = {EINVAL, ENOTTY, ENOTSUP, ENOSYS};
	struct bench bench;

	(void)state;
	bench_start(&bench);
	assert_int_equal(bench.backend->ops->low_power_probe(bench.backend,
							     VFIO_LOW_POWER_ENTRY_WITH_WAKEUP), 0);
	expect_feature(&bench, 4 | SET | PROBE, 8, 0);
	assert_int_equal(bench.backend->ops->low_power_probe(bench.backend, VFIO_LOW_POWER_EXIT),
			 0);
	expect_feature(&bench, 5 | SET | PROBE, 8, 0);
	bench.server->features = 0;
	assert_int_equal(bench.backend->ops->low_power_probe(bench.backend, VFIO_LOW_POWER_ENTRY),
			 -ENOTTY);
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
		bench.server->error[VFIO_USER_DEVICE_FEATURE] = absent[i];
		assert_int_equal(bench.backend->ops->low_power_probe(bench.backend,
								     VFIO_LOW_POWER_ENTRY),
				 -ENOTTY);
	}
	bench_end(&bench);
}

static void test_backend_user_reset(void **state)
{
	struct bench bench;

	(void)state;
	bench_start(&bench);
	assert_int_equal(bench.backend->ops->reset(bench.backend), 0);
	assert_int_equal(fake_user_server_count(bench.server, VFIO_USER_DEVICE_RESET), 1);
	assert_int_equal(last(&bench, VFIO_USER_DEVICE_RESET)->size, 0);
	bench_end(&bench);

	bench_create(&bench);
	bench.server->info.flags = VFIO_DEVICE_FLAGS_PCI;
	bench_open(&bench);
	assert_false(bench.backend->ops->can_reset(bench.backend));
	assert_int_equal(bench.backend->ops->reset(bench.backend), -ENOTTY);
	assert_int_equal(fake_user_server_count(bench.server, VFIO_USER_DEVICE_RESET), 0);
	bench_end(&bench);
}

static void test_backend_user_map_ram(void **state)
{
	struct mem *mem = fake_mem_create(RAM_LOW_MAX + 4 * MIB);
	const struct vfio_user_dma_map high = {
		.argsz = 32, .flags = 3, .offset = RAM_LOW_MAX, .addr = RAM_HIGH_START,
		.size = 4 * MIB,
	};
	const struct fake_user_message *message;
	struct bench bench;
	char why[256] = "", byte = 0;

	(void)state;
	bench_start(&bench);
	assert_int_equal(bench.backend->ops->map_ram(bench.backend, mem, why, sizeof(why)), 0);
	assert_int_equal(bench.backend->ops->map_ram(bench.backend, mem, why, sizeof(why)), 0);
	assert_int_equal(fake_user_server_count(bench.server, VFIO_USER_DMA_MAP), 2);
	message = last(&bench, VFIO_USER_DMA_MAP);
	assert_int_equal(message->size, sizeof(high));
	assert_memory_equal(message->payload, &high, sizeof(high));
	assert_int_equal(message->fds, 1);
	memset(mem_hva(mem, RAM_HIGH_START, 1), 0x37, 1);
	assert_int_equal(pread(message->fd[0], &byte, 1, (off_t)high.offset), 1);
	assert_int_equal(byte, 0x37);
	bench_end(&bench);
	fake_mem_destroy(mem);
}

/* The second block is refused. */
static void refuse_second(void *opaque, const struct fake_user_message *request,
			  struct fake_user_message *reply)
{
	unsigned int *maps = opaque;

	if (request->header.command == VFIO_USER_DMA_MAP && ++*maps == 2) {
		reply->header.flags |= VFIO_USER_ERROR;
		reply->header.error = ENOSPC;
	}
}

static void test_backend_user_map_ram_refused(void **state)
{
	struct mem *mem = fake_mem_create(RAM_LOW_MAX + 4 * MIB);
	const struct vfio_user_dma_unmap low = {.argsz = 24, .addr = 0, .size = RAM_LOW_MAX};
	unsigned int maps = 0;
	struct bench bench;
	char why[256] = "";

	(void)state;
	bench_create(&bench);
	bench.server->hook = refuse_second;
	bench.server->hook_opaque = &maps;
	bench_open(&bench);
	assert_int_equal(bench.backend->ops->map_ram(bench.backend, mem, why, sizeof(why)),
			 -ENOSPC);
	assert_non_null(strstr(why, "gpu: the vfio-user server does not take RAM 0x100000000 to "
				    "0x1003fffff for DMA: No space left"));
	assert_int_equal(fake_user_server_count(bench.server, VFIO_USER_DMA_UNMAP), 1);
	assert_memory_equal(last(&bench, VFIO_USER_DMA_UNMAP)->payload, &low, sizeof(low));
	/* It was not done, so it is done when asked again. */
	assert_int_equal(bench.backend->ops->map_ram(bench.backend, mem, why, sizeof(why)), 0);
	assert_int_equal(maps, 4);
	bench_end(&bench);
	fake_mem_destroy(mem);
}

/* --- threads --- */

static void *read_often(void *opaque)
{
	struct vfio_backend *backend = opaque;
	uintptr_t wrong = 0;

	for (unsigned int i = 0; i < 300; i++) {
		uint32_t value = 0;

		wrong += backend->ops->region_read(backend, BAR0, 4 * i, &value, 4) != 4 ||
			 value != i;
	}
	return (void *)wrong; /* the number of wrong answers, as a number */
}

/* Requests of several threads follow each other, each with its own answer. */
static void test_backend_user_threads(void **state)
{
	pthread_t thread[3];
	struct bench bench;

	(void)state;
	bench_create(&bench);
	for (uint32_t i = 0; i < 300; i++)
		memcpy(bench.server->region[BAR0].mem + 4 * i, &i, 4);
	bench_open(&bench);
	for (size_t i = 0; i < ARRAY_SIZE(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, read_often, bench.backend), 0);
	for (size_t i = 0; i < ARRAY_SIZE(thread); i++) {
		void *wrong = NULL;

		assert_int_equal(pthread_join(thread[i], &wrong), 0);
		assert_null(wrong);
	}
	bench_end(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backend_user_open),
		cmocka_unit_test(test_backend_user_reopen),
		cmocka_unit_test(test_backend_user_no_server),
		cmocka_unit_test(test_backend_user_wrong_device),
		cmocka_unit_test(test_backend_user_few_irqs),
		cmocka_unit_test(test_backend_user_access),
		cmocka_unit_test(test_backend_user_access_outside),
		cmocka_unit_test(test_backend_user_access_split),
		cmocka_unit_test(test_backend_user_access_long),
		cmocka_unit_test(test_backend_user_access_short),
		cmocka_unit_test(test_backend_user_pieces),
		cmocka_unit_test(test_backend_user_map),
		cmocka_unit_test(test_backend_user_map_short_file),
		cmocka_unit_test(test_backend_user_triggers),
		cmocka_unit_test(test_backend_user_triggers_none),
		cmocka_unit_test(test_backend_user_disable),
		cmocka_unit_test(test_backend_user_unmask),
		cmocka_unit_test(test_backend_user_low_power),
		cmocka_unit_test(test_backend_user_probe),
		cmocka_unit_test(test_backend_user_reset),
		cmocka_unit_test(test_backend_user_map_ram),
		cmocka_unit_test(test_backend_user_map_ram_refused),
		cmocka_unit_test(test_backend_user_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
