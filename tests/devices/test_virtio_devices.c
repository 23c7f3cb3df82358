/* The reset of all virtio devices: those that wait for another process do so by themselves, all at
 * once. */
#include <linux/pci.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/virtio_devices.h"
#include "tests/fake_back_end.h"
#include "tests/fake_doorbell.h"
#include "tests/fake_driver.h"
#include "tests/fake_mem.h"
#include "tests/fake_pci.h"
#include "tests/fake_tree.h"
#include "tests/fake_vhost.h"
#include "vmm/base/bits.h"
#include "vmm/layout.h"
#include "vmm/loop.h"

#define COUNT 2U
#define BAR(index) (0xc8000000ULL + 0x10000U * (index))
#define RINGS(index) (0x10000U + 0x4000U * (index))

struct fixture {
	struct fake_pci pci;
	struct mem *mem;
	struct doorbells *doorbells;
	struct loop *loop;
	struct virtio_devices *devices;
	struct fake_back_end *back_end[COUNT];
	struct driver_ring ring[COUNT];
	sem_t asked, may_answer;
	int done_fd;
};

static uint16_t devfn(unsigned int index)
{
	return PCI_DEVFN(VIRTIO_VHOST_USER_SLOT, index);
}

static void set(struct fixture *f, unsigned int index, uint64_t off, unsigned int len,
		uint64_t value)
{
	fake_pci_write(&f->pci, BAR(index) + off, len, value);
}

static void set_features(struct fixture *f, unsigned int index)
{
	set(f, index, VIRTIO_PCI_COMMON_GFSELECT, 4, VIRTIO_F_VERSION_1 / 32);
	set(f, index, VIRTIO_PCI_COMMON_GF, 4, 1U << VIRTIO_F_VERSION_1 % 32);
	set(f, index, VIRTIO_PCI_COMMON_STATUS, 1, 11);
}

/* As a driver that polls, without MSI-X. */
static void bring_up(struct fixture *f, unsigned int index)
{
	pci_host_cfg_write(f->pci.host, devfn(index), PCI_BASE_ADDRESS_0, 4, (uint32_t)BAR(index));
	pci_host_cfg_write(f->pci.host, devfn(index), PCI_COMMAND, 2,
			   PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	set(f, index, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	set(f, index, VIRTIO_PCI_COMMON_STATUS, 1, 3);
	set_features(f, index);
	driver_ring_init(&f->ring[index], f->mem, RINGS(index), 256);
	set(f, index, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	set(f, index, VIRTIO_PCI_COMMON_Q_DESCLO, 4, RINGS(index));
	set(f, index, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, RINGS(index) + DRIVER_AVAIL);
	set(f, index, VIRTIO_PCI_COMMON_Q_USEDLO, 4, RINGS(index) + DRIVER_USED);
	set(f, index, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	set(f, index, VIRTIO_PCI_COMMON_STATUS, 1, 15);
	assert_int_equal(fake_pci_read(&f->pci, BAR(index) + VIRTIO_PCI_COMMON_STATUS, 1), 15);
}

/* Answers to the end of a ring when the test wants it. */
static void hold_back(void *opaque, const struct fake_back_end_message *request,
		      struct fake_back_end_message *answer)
{
	struct fixture *f = opaque;

	(void)answer;
	if (request->header.request != VHOST_USER_GET_VRING_BASE)
		return;
	sem_post(&f->asked);
	sem_wait(&f->may_answer);
}

static int setup_empty(void **state)
{
	static struct fixture f;

	f = (struct fixture){.mem = fake_mem_create(16 * MIB), .loop = loop_create(),
			     .doorbells = fake_doorbells_create(),
			     .done_fd = eventfd(0, EFD_CLOEXEC)};
	fake_pci_start(&f.pci);
	sem_init(&f.asked, 0, 0);
	sem_init(&f.may_answer, 0, 0);
	*state = &f;
	return 0;
}

static void create(struct fixture *f, const struct virtio_devices_config *config)
{
	const struct virtio_machine machine = {.mem = f->mem, .irq = f->pci.irq,
					       .doorbells = f->doorbells, .pci = f->pci.host};
	char why[512];

	assert_int_equal(virtio_devices_create(config, &machine, f->loop, &f->devices, why,
					       sizeof(why)), 0);
}

static int setup(void **state)
{
	struct vhost_user_config config[COUNT];
	const struct virtio_devices_config all = {.vhost_user = config, .vhost_users = COUNT};
	struct fixture *f;

	setup_empty(state);
	f = *state;
	for (unsigned int i = 0; i < COUNT; i++) {
		f->back_end[i] = fake_back_end_create();
		f->back_end[i]->hook = hold_back;
		f->back_end[i]->hook_opaque = f;
		fake_back_end_start(f->back_end[i]);
		config[i] = (struct vhost_user_config){.type = VHOST_USER_BLOCK, .queues = 1};
		snprintf(config[i].socket, sizeof(config[i].socket), "%s", f->back_end[i]->path);
	}
	create(f, &all);
	for (unsigned int i = 0; i < COUNT; i++)
		bring_up(f, i);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_devices_destroy(f->devices);
	for (unsigned int i = 0; i < COUNT; i++)
		fake_back_end_destroy(f->back_end[i]);
	sem_destroy(&f->asked);
	sem_destroy(&f->may_answer);
	fake_pci_stop(&f->pci);
	fake_doorbells_destroy(f->doorbells);
	loop_destroy(f->loop);
	fake_mem_destroy(f->mem);
	close(f->done_fd);
	return 0;
}

/* No back end answers before each was asked, and the reset has returned to its caller. */
static void begin_reset(struct fixture *f)
{
	assert_int_equal(virtio_devices_reset(f->devices, f->done_fd), COUNT);
	for (unsigned int i = 0; i < COUNT; i++)
		sem_wait(&f->asked);
}

static void let_answer(struct fixture *f)
{
	for (unsigned int i = 0; i < COUNT; i++)
		sem_post(&f->may_answer);
}

static void await_done(struct fixture *f)
{
	uint64_t count;

	for (unsigned int done = 0; done < COUNT; done += (unsigned int)count)
		assert_int_equal(read(f->done_fd, &count, sizeof(count)), sizeof(count));
}

static void test_virtio_devices_reset_all_at_once(void **state)
{
	struct fixture *f = *state;

	for (unsigned int round = 0; round < 3; round++) {
		begin_reset(f);
		let_answer(f);
		await_done(f);
		for (unsigned int i = 0; i < COUNT; i++) {
			assert_int_equal(pci_host_cfg_read(f->pci.host, devfn(i), PCI_COMMAND, 2),
					 0);
			/* None was taken as gone meanwhile. */
			assert_int_equal(fake_back_end_count(f->back_end[i],
							     VHOST_USER_SET_OWNER), 1);
			bring_up(f, i);
		}
	}
}

static void test_virtio_devices_end_in_a_reset(void **state)
{
	struct fixture *f = *state;

	begin_reset(f);
	virtio_devices_leave(f->devices);
	await_done(f);
	let_answer(f); /* to nobody */
}

/* --- as many as there can be --- */

struct crowd {
	char *folder;
	struct disk_config disk[DISK_MAX];
	struct net_config net[NET_MAX];
	struct vhost_user_config vhost_user[VHOST_USER_MAX];
	struct fake_back_end *back_end[VHOST_USER_MAX];
	int passt; /* a socket on which all networks are waited for */
};

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, NET_MAX), 0);
	return fd;
}

static void gather(struct crowd *crowd)
{
	*crowd = (struct crowd){.folder = fake_tree_create()};
	fake_tree_add(crowd->folder, "user-data = #cloud-config");
	fake_tree_add(crowd->folder, "disk * 512");
	for (unsigned int i = 0; i < DISK_MAX; i++) {
		crowd->disk[i] = (struct disk_config){.read_only = true, .queues = 1};
		snprintf(crowd->disk[i].path, sizeof(crowd->disk[i].path), "%s/disk",
			 crowd->folder);
	}
	for (unsigned int i = 0; i < NET_MAX; i++) {
		crowd->net[i] = (struct net_config){.kind = NET_PASST, .pairs = 1};
		snprintf(crowd->net[i].socket, sizeof(crowd->net[i].socket), "%s/passt",
			 crowd->folder);
	}
	crowd->passt = listen_at(crowd->net[0].socket);
	for (unsigned int i = 0; i < VHOST_USER_MAX; i++) {
		crowd->back_end[i] = fake_back_end_create();
		fake_back_end_start(crowd->back_end[i]);
		crowd->vhost_user[i] =
			(struct vhost_user_config){.type = VHOST_USER_BLOCK, .queues = 1};
		snprintf(crowd->vhost_user[i].socket, sizeof(crowd->vhost_user[i].socket), "%s",
			 crowd->back_end[i]->path);
	}
	fake_vhost_reset();
}

static void disperse(struct crowd *crowd)
{
	for (unsigned int i = 0; i < VHOST_USER_MAX; i++)
		fake_back_end_destroy(crowd->back_end[i]);
	close(crowd->passt);
	fake_tree_remove(crowd->folder);
}

static void test_virtio_devices_as_many_as_there_can_be(void **state)
{
	const struct console_config console = {.out_fd = -1};
	struct fixture *f = *state;
	struct crowd crowd;

	gather(&crowd);
	create(f, &(struct virtio_devices_config){
		.disk = crowd.disk, .disks = DISK_MAX, .cloud_init = crowd.folder,
		.net = crowd.net, .nets = NET_MAX,
		.vhost_user = crowd.vhost_user, .vhost_users = VHOST_USER_MAX,
		.console = &console, .vsock_cid = 42, .entropy = true});
	assert_int_equal(virtio_devices_reset(f->devices, f->done_fd),
			 DISK_MAX + 1 + VHOST_USER_MAX);
	virtio_devices_destroy(f->devices);
	f->devices = NULL;
	disperse(&crowd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_virtio_devices_reset_all_at_once),
		TEST(test_virtio_devices_end_in_a_reset),
		cmocka_unit_test_setup_teardown(test_virtio_devices_as_many_as_there_can_be,
						setup_empty, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
