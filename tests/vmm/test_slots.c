/*
 * The machine's slots: devices that are added and removed by name while the loop runs. Their other
 * side is a vfio-user server in this program.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/acpi_pm.h"
#include "devices/pci.h"
#include "tests/fake_irq.h"
#include "tests/fake_mem.h"
#include "tests/fake_user_server.h"
#include "vfio/vfio.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"
#include "vmm/bus.h"
#include "vmm/kvm.h"
#include "vmm/loop.h"
#include "vmm/options.h"
#include "vmm/slots.h"

#define SERVERS 3
#define SLOT_CONTROL (0x50 + PCI_EXP_SLTCTL) /* of a root port */

struct fixture {
	struct options options;
	struct kvm kvm;
	struct loop *loop;
	struct irq_chip *irq;
	struct bus *mmio, *port;
	struct pci_host *pci;
	struct mem *mem;
	struct acpi_pm *pm;
	struct slots *slots;
	struct fake_user_server *server[SERVERS];
	pthread_t thread;

	/* a call, and what it returned */
	int call_fd;
	void (*call)(struct fixture *f);
	sem_t returned;
	struct vfio_slot_config config;
	const char *name;
	unsigned int index;
	int result;
	bool heard_of;
	sem_t heard, go_on;
	/* what became of it */
	sem_t answer;
	int error;
	char why[512], id[32], bdf[16];
};

/* There is no kernel's VFIO in these tests. */
int kvm_set_vfio_file(struct kvm *kvm, int vfio_fd, bool on)
{
	(void)kvm, (void)vfio_fd, (void)on;
	fail();
	return 0;
}

static void no_request(void *opaque, enum machine_request request)
{
	(void)opaque, (void)request;
	fail();
}

static struct fixture fixture;

static struct fake_user_server *start_server(void)
{
	struct fake_user_server *server = fake_user_server_create();
	uint8_t *cfg = server->region[VFIO_PCI_CONFIG_REGION_INDEX].mem;

	assert_non_null(cfg);
	cfg[PCI_VENDOR_ID] = 0x34;
	cfg[PCI_VENDOR_ID + 1] = 0x12;
	fake_user_server_start(server);
	return server;
}

static void on_added(void *opaque, int error, const char *why, const char *id, const char *bdf)
{
	struct fixture *f = opaque;

	f->error = error;
	snprintf(f->why, sizeof(f->why), "%s", why);
	snprintf(f->id, sizeof(f->id), "%s", id);
	snprintf(f->bdf, sizeof(f->bdf), "%s", bdf);
	sem_post(&f->answer);
}

/* --- calls on the loop's thread, which alone may make them --- */

static void on_call(void *opaque, int fd)
{
	struct fixture *f = opaque;

	eventfd_drain(fd);
	f->call(f);
	sem_post(&f->returned);
}

static void call(struct fixture *f, void (*fn)(struct fixture *f))
{
	uint64_t one = 1;

	f->call = fn;
	assert_int_equal(write(f->call_fd, &one, sizeof(one)), sizeof(one));
	sem_wait(&f->returned);
}

static void call_add(struct fixture *f)
{
	f->result = slots_add(f->slots, &f->config, f->name, on_added, f, f->why, sizeof(f->why));
}

static void call_remove(struct fixture *f)
{
	f->result = slots_remove(f->slots, f->name, f->why, sizeof(f->why));
}

static void call_id(struct fixture *f)
{
	const char *id = slots_id(f->slots, f->index);

	snprintf(f->id, sizeof(f->id), "%s", id ? id : "-");
}

static void call_stop(struct fixture *f)
{
	loop_stop(f->loop, 0);
}

/* The immediate answer; 0: the other one comes. */
static int add(struct fixture *f, unsigned int server, const char *id)
{
	char option[128], why[256];

	snprintf(option, sizeof(option), "vfio-user:%s", f->server[server]->path);
	assert_int_equal(vfio_slot_parse(option, &f->config, why, sizeof(why)), 0);
	f->name = id;
	call(f, call_add);
	return f->result;
}

/* And the guest switches the slot on, as Linux does. */
static void await_added(struct fixture *f, const char *id, const char *bdf)
{
	uint16_t port;

	sem_wait(&f->answer);
	if (f->error)
		fail_msg("%s", f->why);
	assert_string_equal(f->id, id);
	assert_string_equal(f->bdf, bdf);
	port = (uint16_t)((bdf[6] - '0') << 3);
	pci_host_cfg_write(f->pci, port, SLOT_CONTROL, 2, 0);
}

static int drop(struct fixture *f, const char *id)
{
	f->name = id;
	call(f, call_remove);
	return f->result;
}

static const char *id_of(struct fixture *f, unsigned int index)
{
	f->index = index;
	call(f, call_id);
	return f->id;
}

/* The guest's part: the slot's power off, as Linux does after the button. */
static void eject(struct fixture *f, unsigned int index)
{
	uint16_t port = (uint16_t)((index + 1) << 3);

	pci_host_cfg_write(f->pci, port, SLOT_CONTROL, 2, PCI_EXP_SLTCTL_PCC);
	while (!vfio_slot_is_empty(slots_get(f->slots, index)))
		sched_yield();
}

static void *run_loop(void *opaque)
{
	struct fixture *f = opaque;

	loop_run(f->loop);
	return NULL;
}

/* --- begin and end --- */

static int setup(void **state)
{
	struct fixture *f = &fixture;
	struct pci_host_config pci = {.mmio64 = {1ULL << 38, 1ULL << 38}};

	*f = (struct fixture){.options.hotplug_ports = 2};
	pci.mmio = f->mmio = bus_create("mmio");
	pci.port = f->port = bus_create("port");
	pci.irq = f->irq = fake_irq_create();
	f->pci = pci_host_create(&pci);
	f->mem = fake_mem_create(64 * MIB);
	f->pm = acpi_pm_create(f->port, f->irq, no_request, f);
	f->loop = loop_create();
	f->call_fd = eventfd(0, EFD_NONBLOCK);
	sem_init(&f->returned, 0, 0);
	sem_init(&f->answer, 0, 0);
	sem_init(&f->heard, 0, 0);
	sem_init(&f->go_on, 0, 0);
	for (unsigned int i = 0; i < SERVERS; i++)
		f->server[i] = start_server();
	*state = f;
	return f->pci && f->pm && f->loop ? loop_add(f->loop, f->call_fd, on_call, f) : -1;
}

static void start(struct fixture *f)
{
	const struct vfio_machine machine = {
		.mem = f->mem, .mmio = f->mmio, .irq = f->irq, .pci = f->pci, .pm = f->pm};

	if (slots_create(&f->options, &f->kvm, f->loop, &machine, &f->slots, f->why,
			 sizeof(f->why)))
		fail_msg("%s", f->why);
	assert_int_equal(pci_host_assign(f->pci), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, run_loop, f), 0);
}

static void stop(struct fixture *f)
{
	call(f, call_stop);
	pthread_join(f->thread, NULL);
	slots_destroy(f->slots);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (unsigned int i = 0; i < SERVERS; i++)
		fake_user_server_destroy(f->server[i]);
	sem_destroy(&f->returned);
	sem_destroy(&f->answer);
	sem_destroy(&f->heard);
	sem_destroy(&f->go_on);
	close(f->call_fd);
	loop_destroy(f->loop);
	acpi_pm_destroy(f->pm);
	pci_host_destroy(f->pci);
	fake_irq_destroy(f->irq);
	bus_destroy(f->port);
	bus_destroy(f->mmio);
	fake_mem_destroy(f->mem);
	return 0;
}

static uint32_t vendor(struct fixture *f, unsigned int index)
{
	return pci_host_cfg_read(f->pci, (uint16_t)((index + 1) << 8), PCI_VENDOR_ID, 2);
}

/* --- cases --- */

static void test_slots_add_and_remove(void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_non_null(slots_get(f->slots, 1));
	assert_null(slots_get(f->slots, 2));
	assert_string_equal(id_of(f, 0), "-");
	for (unsigned int round = 0; round < 5; round++) {
		assert_int_equal(add(f, 0, NULL), 0);
		await_added(f, "gpu0", "0000:01:00.0");
		assert_int_equal(vendor(f, 0), 0x1234);
		assert_string_equal(id_of(f, 0), "gpu0");
		assert_int_equal(add(f, 1, "other.card_2"), 0);
		await_added(f, "other.card_2", "0000:02:00.0");
		assert_string_equal(id_of(f, 1), "other.card_2");
		assert_int_equal(drop(f, "gpu0"), 0);
		eject(f, 0);
		assert_int_equal(vendor(f, 0), 0xffff);
		assert_int_equal(vendor(f, 1), 0x1234);
		assert_string_equal(id_of(f, 0), "-");
		assert_int_equal(drop(f, "other.card_2"), 0);
		eject(f, 1);
	}
	stop(f);
}

static void expect_refusal(struct fixture *f, int result, int expected, const char *sentence)
{
	assert_int_equal(result, expected);
	if (!strstr(f->why, sentence))
		fail_msg("%s", f->why);
}

static void test_slots_refuse_at_once(void **state)
{
	static const char *const bad[] = {
		"", "with space", "a/b", "a\"b", "0123456789012345678901234567890_",
	};
	struct fixture *f = *state;

	start(f);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect_refusal(f, add(f, 0, bad[i]), -EINVAL, "1 to 31 letters");
	expect_refusal(f, drop(f, "gpu0"), -ENOENT, "no device named gpu0");
	assert_int_equal(add(f, 0, "a"), 0);
	/* It is on its way, or there already. */
	expect_refusal(f, add(f, 0, "b"), -EEXIST, "is in the guest already, as a");
	expect_refusal(f, add(f, 1, "a"), -EEXIST, "a device named a");
	await_added(f, "a", "0000:01:00.0");
	assert_int_equal(add(f, 1, "b"), 0);
	await_added(f, "b", "0000:02:00.0");
	expect_refusal(f, add(f, 2, NULL), -ENOSPC, "no port is empty: of 2 slots 2");
	expect_refusal(f, drop(f, "c"), -ENOENT, "no device named c; there are a, b");
	stop(f);
}

static void test_slots_say_what_failed(void **state)
{
	struct fixture *f = *state;

	start(f);
	f->server[0]->error[VFIO_USER_DEVICE_GET_INFO] = EIO;
	assert_int_equal(add(f, 0, NULL), 0);
	sem_wait(&f->answer);
	assert_int_not_equal(f->error, 0);
	assert_true(f->why[0]);
	assert_string_equal(id_of(f, 0), "-");
	/* Not even that did it harm. */
	f->server[0]->error[VFIO_USER_DEVICE_GET_INFO] = 0;
	assert_int_equal(add(f, 0, NULL), 0);
	await_added(f, "gpu0", "0000:01:00.0");
	stop(f);
}

/* The slots of --gpu have names, too; ports for hot plug are filled before theirs. */
static void test_slots_of_the_start(void **state)
{
	struct fixture *f = *state;
	char option[128], why[256];

	f->options.slots = 1;
	f->options.hotplug_ports = 1;
	snprintf(option, sizeof(option), "vfio-user:%s", f->server[0]->path);
	assert_int_equal(vfio_slot_parse(option, &f->options.slot[0], why, sizeof(why)), 0);
	start(f);
	assert_string_equal(id_of(f, 0), "gpu0");
	assert_string_equal(id_of(f, 1), "-");
	expect_refusal(f, add(f, 0, NULL), -EEXIST, "is in the guest already, as gpu0");
	assert_int_equal(drop(f, "gpu0"), 0);
	eject(f, 0);
	assert_int_equal(add(f, 0, NULL), 0);
	await_added(f, "gpu1", "0000:02:00.0");
	assert_int_equal(add(f, 1, NULL), 0);
	await_added(f, "gpu0", "0000:01:00.0");
	stop(f);
}

/* The machine ends while a device is being opened: that is waited for, and nobody is told. */
static void hear(void *opaque, const struct fake_user_message *request,
		 struct fake_user_message *reply)
{
	struct fixture *f = opaque;

	(void)request, (void)reply;
	if (!f->heard_of)
		sem_post(&f->heard);
	f->heard_of = true;
}

static void call_add_and_stop(struct fixture *f)
{
	call_add(f);
	sem_wait(&f->heard); /* the server has heard of it */
	loop_stop(f->loop, 0);
}

static void test_slots_end_while_adding(void **state)
{
	struct fixture *f = *state;
	int value;

	start(f);
	f->server[0]->hook = hear;
	f->server[0]->hook_opaque = f;
	snprintf(f->config.bdf, sizeof(f->config.bdf), "%s", "");
	snprintf(f->config.socket, sizeof(f->config.socket), "%s", f->server[0]->path);
	f->config.resume_timeout_s = VFIO_RESUME_TIMEOUT_S;
	f->name = NULL;
	call(f, call_add_and_stop);
	pthread_join(f->thread, NULL);
	slots_destroy(f->slots);
	sem_getvalue(&f->answer, &value);
	assert_int_equal(value, 0);
}

/* The main loop has its turn at every step of a device that comes and waits for the host. */
static void call_info(struct fixture *f)
{
	struct vfio_slot_status status;
	struct vfio_slot_info info;

	vfio_slot_info(slots_get(f->slots, 0), &info);
	assert_int_equal(info.functions, 0xff);
	assert_true(info.d3cold);
	vfio_slot_status(slots_get(f->slots, 0), &status);
	f->name = "gpu0";
	call_remove(f);
}

static void hold(void *opaque, const struct fake_user_message *request,
		 struct fake_user_message *reply)
{
	struct fixture *f = opaque;

	(void)request, (void)reply;
	sem_post(&f->heard);
	sem_wait(&f->go_on);
}

static void test_slots_wait_for_no_device(void **state)
{
	struct fixture *f = *state;

	start(f);
	f->server[0]->hook = hold;
	f->server[0]->hook_opaque = f;
	assert_int_equal(add(f, 0, NULL), 0);
	/* From the first request to the last one, which is made under the slot's locks. */
	while (sem_trywait(&f->answer)) {
		if (sem_trywait(&f->heard)) {
			sched_yield();
			continue;
		}
		call(f, call_info);
		assert_int_equal(f->result, -EBUSY);
		sem_post(&f->go_on);
	}
	if (f->error)
		fail_msg("%s", f->why);
	/* Those two, and none was given up meanwhile. */
	assert_int_equal(f->server[0]->count[VFIO_USER_DEVICE_SET_IRQS], 2);
	assert_int_equal(vendor(f, 0), 0x1234);
	f->server[0]->hook = NULL;
	stop(f);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(test_slots_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(add_and_remove),
		CASE(refuse_at_once),
		CASE(say_what_failed),
		CASE(of_the_start),
		CASE(wait_for_no_device),
		CASE(end_while_adding),
	};

	return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
