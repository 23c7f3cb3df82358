/* What of the socket device is ours: the kernel's part is a fake that remembers what it is told. */
#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_vsock.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "devices/virtio.h"
#include "devices/virtio_vsock.h"
#include "tests/fake_driver.h"
#include "tests/fake_mem.h"
#include "tests/fake_vhost.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"

#define RAM (16 * MIB)
#define CID 4711U
#define QUEUES 3U
#define ALL 7U
#define RINGS 0x100000U
#define SIZE 16U
#define SEQPACKET (1ULL << VIRTIO_VSOCK_F_SEQPACKET)
#define V1 (1ULL << VIRTIO_F_VERSION_1)

struct fixture {
	struct mem *mem;
	struct virtio_vsock *vsock;
	struct virtio_dev *dev;
	struct driver driver;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char why[512];

	*state = f;
	fake_vhost_reset();
	f->mem = fake_mem_create(RAM);
	assert_int_equal(virtio_vsock_create(CID, &f->vsock, why, sizeof(why)), 0);
	f->dev = virtio_vsock_dev(f->vsock);
	driver_init(&f->driver, f->dev, f->mem, RINGS, SIZE);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_dev_reset(f->dev);
	assert_false(fake_vhost.running || fake_vhost.given);
	virtio_vsock_destroy(f->vsock);
	fake_mem_destroy(f->mem);
	free(f);
	return 0;
}

/* Up to DRIVER_OK, with the queues of these bits. */
static void bring_up(struct fixture *f, uint64_t features, unsigned int queues)
{
	assert_true(driver_bring_up(&f->driver, features, queues));
}

/* --- what it says of itself --- */

static void test_virtio_vsock_tells_the_guest_its_address(void **state)
{
	struct fixture *f = *state;
	const uint8_t other[4] = {9, 9, 9, 9};
	uint8_t bytes[12];

	virtio_dev_write_config(f->dev, 0, sizeof(other), other);
	virtio_dev_read_config(f->dev, 0, sizeof(bytes), bytes);
	assert_int_equal(le64_get(bytes), CID);
	assert_int_equal(le32_get(bytes + 8), 0);
	assert_int_equal(fake_vhost.cid, CID);
	assert_int_equal(f->dev->queues, QUEUES);
	assert_true(f->dev->features & SEQPACKET);
}

static void test_virtio_vsock_offers_what_the_kernel_knows(void **state)
{
	struct virtio_vsock *vsock;
	char why[512];

	(void)state;
	fake_vhost_reset();
	fake_vhost.features &= ~SEQPACKET;
	assert_int_equal(virtio_vsock_create(CID, &vsock, why, sizeof(why)), 0);
	assert_false(virtio_vsock_dev(vsock)->features & SEQPACKET);
	assert_true(virtio_vsock_dev(vsock)->features & V1);
	virtio_vsock_destroy(vsock);
}

static void test_virtio_vsock_says_what_would_work(void **state)
{
	static const struct {
		unsigned long refused;
		int error;
		const char *said;
	} cases[] = {
		{FAKE_VHOST_OPEN, -ENOENT, "--vsock 4711: /dev/vhost-vsock: No such file or "
					   "directory; modprobe vhost_vsock gives the host one"},
		{FAKE_VHOST_OPEN, -ENODEV, "modprobe vhost_vsock"},
		{FAKE_VHOST_OPEN, -EACCES, "it opens for root, or for its group"},
		{FAKE_VHOST_OPEN, -EOPNOTSUPP, "a kernel from Linux 4.8 on"},
		{FAKE_VHOST_OPEN, -EMFILE, "Too many open files"},
		{VHOST_VSOCK_SET_GUEST_CID, -EADDRINUSE,
		 "--vsock 4711: another virtual machine has this CID; each takes one of its own, "
		 "3 to 4294967294"},
		{VHOST_VSOCK_SET_GUEST_CID, -EINVAL, "refuses this CID: Invalid argument"},
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct virtio_vsock *vsock = NULL;
		char why[512] = "";

		fake_vhost_reset();
		fake_vhost.refused = cases[i].refused;
		fake_vhost.error = cases[i].error;
		assert_int_equal(virtio_vsock_create(CID, &vsock, why, sizeof(why)),
				 cases[i].error);
		assert_null(vsock);
		assert_non_null(strstr(why, cases[i].said));
		assert_null(strchr(why, '\n'));
	}
}

/* --- running --- */

static void test_virtio_vsock_gives_both_queues_to_the_kernel(void **state)
{
	struct fixture *f = *state;

	bring_up(f, V1 | SEQPACKET | 1ULL << VIRTIO_RING_F_EVENT_IDX, ALL);
	assert_true(fake_vhost.running);
	assert_int_equal(fake_vhost.share.first, 0);
	assert_int_equal(fake_vhost.share.count, 2);
	assert_int_equal(fake_vhost.accepted,
			 V1 | SEQPACKET | 1ULL << VIRTIO_RING_F_EVENT_IDX);
	assert_int_equal(fake_vhost.opened, 1);
}

static void test_virtio_vsock_goes_on_where_the_kernel_came_to(void **state)
{
	struct fixture *f = *state;

	bring_up(f, V1, ALL);
	fake_vhost.base[0] = 5;
	fake_vhost.base[1] = 7;
	virtio_dev_set_bus_master(f->dev, false);
	assert_false(fake_vhost.running);
	assert_int_equal(f->dev->queue[1].ring.next_avail, 7);
	virtio_dev_set_bus_master(f->dev, true);
	assert_true(fake_vhost.running);
	assert_int_equal(fake_vhost.base[0], 5);
	assert_int_equal(fake_vhost.base[1], 7);
	assert_int_equal(fake_vhost.opened, 1); /* its connections live on */
}

/* Connections of a driver that is reset end on the host's side, too. */
static void test_virtio_vsock_opens_anew_after_a_driver(void **state)
{
	struct fixture *f = *state;

	virtio_dev_reset(f->dev);
	assert_int_equal(fake_vhost.opened, 1); /* there was none */
	bring_up(f, V1, ALL);
	virtio_dev_reset(f->dev);
	assert_int_equal(fake_vhost.opened, 2);
	assert_int_equal(fake_vhost.cid, CID);
	bring_up(f, V1, ALL);
	assert_true(fake_vhost.running);
	assert_int_equal(fake_vhost.opened, 2);
}

static void test_virtio_vsock_keeps_what_it_cannot_open_again(void **state)
{
	struct fixture *f = *state;

	bring_up(f, V1, ALL);
	fake_vhost.refused = FAKE_VHOST_OPEN;
	fake_vhost.error = -EMFILE;
	virtio_dev_reset(f->dev);
	assert_int_equal(fake_vhost.cid, CID);
	bring_up(f, V1, ALL);
	assert_true(fake_vhost.running);
	fake_vhost.refused = 0;
	virtio_dev_reset(f->dev);
	assert_int_equal(fake_vhost.opened, 2);
}

/* Somebody took the address in the moment between. */
static void test_virtio_vsock_asks_for_its_address_again(void **state)
{
	struct fixture *f = *state;

	bring_up(f, V1, ALL);
	fake_vhost.refused = VHOST_VSOCK_SET_GUEST_CID;
	fake_vhost.error = -EADDRINUSE;
	virtio_dev_reset(f->dev);
	assert_int_equal(fake_vhost.cid, 0);
	bring_up(f, V1, ALL);
	assert_false(fake_vhost.running);
	assert_true(virtio_dev_status(f->dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
	fake_vhost.refused = 0;
	bring_up(f, V1, ALL);
	assert_true(fake_vhost.running);
	assert_int_equal(fake_vhost.cid, CID);
}

static void test_virtio_vsock_breaks_when_the_kernel_refuses(void **state)
{
	static const unsigned long requests[] = {FAKE_VHOST_GIVE, VHOST_VSOCK_SET_RUNNING};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(requests); i++) {
		fake_vhost.refused = requests[i];
		fake_vhost.error = -EFAULT;
		bring_up(f, V1, ALL);
		assert_false(fake_vhost.running);
		assert_true(virtio_dev_status(f->dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
		fake_vhost.refused = 0;
		fake_vhost.given = false;
	}
	bring_up(f, V1, ALL);
	assert_true(fake_vhost.running);
}

/* --- nonsense --- */

/* The kernel has rx and tx or none; the event queue may be missing. */
static void test_virtio_vsock_needs_both_queues(void **state)
{
	struct fixture *f = *state;

	for (unsigned int queues = 0; queues <= ALL; queues++) {
		bring_up(f, V1, queues);
		assert_int_equal(fake_vhost.running, (queues & 3) == 3);
		assert_false(virtio_dev_is_broken(f->dev));
		virtio_dev_set_bus_master(f->dev, false);
		virtio_dev_set_bus_master(f->dev, true);
		assert_int_equal(fake_vhost.running, (queues & 3) == 3);
	}
}

static void test_virtio_vsock_breaks_on_what_the_kernel_complains_of(void **state)
{
	struct fixture *f = *state;

	bring_up(f, V1, ALL);
	virtio_vsock_take_error(f->vsock);
	assert_false(virtio_dev_is_broken(f->dev));
	fake_vhost_complain();
	virtio_vsock_take_error(f->vsock);
	assert_true(virtio_dev_status(f->dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
	/* What a driver did is not held against the next one. */
	fake_vhost_complain();
	bring_up(f, V1, ALL);
	virtio_vsock_take_error(f->vsock);
	assert_false(virtio_dev_is_broken(f->dev));
	assert_true(fake_vhost.running);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_virtio_vsock_tells_the_guest_its_address),
		cmocka_unit_test(test_virtio_vsock_offers_what_the_kernel_knows),
		cmocka_unit_test(test_virtio_vsock_says_what_would_work),
		CASE(test_virtio_vsock_gives_both_queues_to_the_kernel),
		CASE(test_virtio_vsock_goes_on_where_the_kernel_came_to),
		CASE(test_virtio_vsock_opens_anew_after_a_driver),
		CASE(test_virtio_vsock_keeps_what_it_cannot_open_again),
		CASE(test_virtio_vsock_asks_for_its_address_again),
		CASE(test_virtio_vsock_breaks_when_the_kernel_refuses),
		CASE(test_virtio_vsock_needs_both_queues),
		CASE(test_virtio_vsock_breaks_on_what_the_kernel_complains_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
