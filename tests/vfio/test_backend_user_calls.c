/* The vfio-user back end against a server that serves: interrupts, power, reset, DMA; threads. */
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
