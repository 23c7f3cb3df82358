/*
 * The virtio entropy device: bytes come, of every length that is asked for and not more, by an
 * interrupt; two answers differ; a guest that asks without end gets no more than its share and the
 * rest later; nonsense breaks the device until a reset; a driver may leave its queue out.
 */
#include "guest-tests/bare/lib_irq.h"
#include "guest-tests/bare/lib_pci.h"
#include "guest-tests/bare/lib_virtio.h"

#define SIZE 8U
#define VECTOR VECTOR_FIRST
#define WAIT_MS 20000
#define CHUNK 256U /* what the device gives at most for one buffer */

static struct virtio dev;
static struct queue queue;
static uint8_t bytes[4096];

static bool set_up(void)
{
	if (!virtio_negotiate(&dev, FEATURE(VIRTIO_F_VERSION_1)))
		return false;
	queue_setup(&queue, &dev, 0, SIZE, 1);
	virtio_driver_ok(&dev);
	return true;
}

static void ask(void *at, uint32_t len)
{
	queue.desc[0] = (struct vring_desc){.addr = (uintptr_t)at, .len = len,
					    .flags = VRING_DESC_F_WRITE};
	queue_offer(&queue, 0);
	queue_kick(&queue);
}

/* How many bytes of `len` came; 0: none in time. */
static uint32_t get(void *at, uint32_t len)
{
	ask(at, len);
	return queue_wait(&queue, 1) ? queue_take(&queue).len : 0;
}

static void check_lengths(void)
{
	static const uint32_t lengths[] = {1, 2, 31, 64, CHUNK, CHUNK + 1, 4000};

	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		uint32_t len = lengths[i] < CHUNK ? lengths[i] : CHUNK, zeroes = 0;

		memset(bytes, 0, sizeof(bytes));
		report_equal("length", get(bytes, lengths[i]), len);
		for (uint32_t j = len; j < sizeof(bytes); j++)
			if (bytes[j])
				report("nothing beyond it", false);
		for (uint32_t j = 0; j < len; j++)
			zeroes += !bytes[j];
		report("and not zeroes", len < 31 || zeroes < len / 4);
	}
}

static void check_difference(void)
{
	static uint8_t again[64];

	get(bytes, sizeof(again));
	get(again, sizeof(again));
	report("two answers differ", memcmp(bytes, again, sizeof(again)) != 0);
}

static void check_interrupt(void)
{
	irq_take(VECTOR, NULL);
	msix_route(dev.bdf, 1, VECTOR);
	msix_enable(dev.bdf);
	report("set up", set_up());
	ask(bytes, 32);
	report("a message comes", irq_wait(VECTOR, 1, WAIT_MS));
	queue_take(&queue);
}

/* More than its share of one period, 25 KiB: it comes all the same. */
static void check_share(void)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < 150; i++)
		sum += get(bytes, CHUNK);
	report_equal("more than a period's share", sum, 150 * CHUNK);
}

static void check_nonsense(void)
{
	queue.desc[0] = (struct vring_desc){.addr = (uintptr_t)bytes, .len = 16};
	queue_offer(&queue, 0);
	queue_kick(&queue);
	report("a buffer to be read breaks it",
	       wait_until(virtio_needs_reset, &dev, WAIT_MS));
	report("it works after a reset", set_up() && get(bytes, 16) == 16);
	virtio_negotiate(&dev, FEATURE(VIRTIO_F_VERSION_1));
	virtio_driver_ok(&dev);
	queue_kick(&queue);
	report_equal("without its queue it runs and does nothing",
		     virtio_needs_reset(&dev), 0);
	report("and works after a reset", set_up() && get(bytes, 16) == 16);
}

void test(void)
{
	irq_init();
	if (!virtio_find(VIRTIO_ID_RNG, 0, &dev)) {
		report("there is a source of random numbers", false);
		return;
	}
	report_equal("it has one queue", virtio_read(&dev, VIRTIO_PCI_COMMON_NUMQ, 2), 1);
	report("no configuration", !dev.config);
	report("set up", set_up());
	check_lengths();
	check_difference();
	check_interrupt();
	check_share();
	check_nonsense();
	virtio_reset(&dev);
}
