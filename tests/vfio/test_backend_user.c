/* The vfio-user back end against a server that serves: opening it, and its regions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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
	unsigned int fds = open_files();
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
	expect_no_open(path, -ENOTSOCK, "is no socket");
	snprintf(long_path, sizeof(long_path), "%s/0", path);
	expect_no_open(long_path, -ENOTDIR, "is no directory");
	unlink(path);
	rmdir(dir);
	assert_int_equal(open_files(), fds);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
