/*
 * The virtio console. At its other end is tests/program/check_console.c, which does what lines
 * "ask: ..." on the serial port want of it, and takes what has the highest bit for the console's
 * output, all else for the serial port's. Options: cols=, rows= of the terminal, and cols2=, rows2=
 * for later.
 */
#include <linux/virtio_console.h>
#include <misc/pvpanic.h>

#include "guest-tests/bare/lib_irq.h"
#include "guest-tests/bare/lib_pci.h"
#include "guest-tests/bare/lib_virtio.h"

#define RX 0U
#define TX 1U
#define IN_BUFFERS 4U
#define IN_LEN 24U
#define OUT_BUFFERS 8U
#define OUT_LEN 1000U
#define INPUT 3000U        /* bytes; more than ring and device take at once */
#define OUTPUT 100000U
#define FLOOD_LEN 0x8000U
#define MARK 0xff
#define MARKS 100U
#define VECTOR_CONFIG VECTOR_FIRST
#define WAIT_MS 30000
#define PVPANIC 0x00111b36 /* QEMU, docs/specs/pci-ids.rst */

static struct virtio dev;
static struct queue rx, tx;
static uint8_t in[IN_BUFFERS][IN_LEN], out[OUT_BUFFERS][FLOOD_LEN];
static uint32_t in_len = IN_LEN;
static uint32_t sent; /* bytes of the pattern */
static struct {
	uint32_t buffer, at, left;
	bool spent; /* the buffer may be offered again */
} reader;

static void ask(const char *what)
{
	print("ask: ");
	print(what);
	print("\n");
}

/* Where standard output is full, nothing can be said: an event of the VMM's is. Each once. */
static void tell(uint8_t event)
{
	unsigned int slot = 0;

	while (slot < 32 && pci_read(BDF(0, slot, 0), PCI_VENDOR_ID, 4) != PVPANIC)
		slot++;
	pci_change(BDF(0, slot, 0), PCI_COMMAND, 2, 0, PCI_COMMAND_MEMORY);
	MMIO(uint8_t, pci_bar(BDF(0, slot, 0), 0)) = event;
}

/* --- input --- */

static void offer_in(uint32_t buffer, uint16_t flags)
{
	rx.desc[buffer] = (struct vring_desc){.addr = (uintptr_t)in[buffer], .len = in_len,
					      .flags = flags};
	queue_offer(&rx, (uint16_t)buffer);
	queue_kick(&rx);
}

static bool has_input(void *opaque)
{
	(void)opaque;
	return queue_has_used(&rx);
}

/* One byte; -1: none came. Its buffer is offered again when there is need of the next one. */
static int get(void)
{
	if (!reader.left) {
		struct vring_used_elem elem;

		if (reader.spent)
			offer_in(reader.buffer, VRING_DESC_F_WRITE);

		if (!wait_until(has_input, NULL, WAIT_MS))
			return -1;
		elem = queue_take(&rx);
		if (!elem.len || elem.len > IN_LEN || elem.id >= IN_BUFFERS)
			return -1;
		reader.buffer = elem.id;
		reader.at = 0;
		reader.left = elem.len;
		reader.spent = true;
	}
	reader.left--;
	return in[reader.buffer][reader.at++];
}

/* --- output --- */

static void fill(uint8_t *bytes, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(0x80 | sent++ % 127);
}

/* Offers buffer `index` as two pieces. */
static void offer_out(unsigned int index, uint32_t len)
{
	uint16_t head = (uint16_t)(2 * index);

	tx.desc[head] = (struct vring_desc){.addr = (uintptr_t)out[index], .len = 10,
					    .flags = VRING_DESC_F_NEXT, .next = head + 1};
	tx.desc[head + 1] = (struct vring_desc){.addr = (uintptr_t)out[index] + 10,
						.len = len - 10};
	queue_offer(&tx, head);
	queue_kick(&tx);
}

static bool has_room(void *opaque)
{
	(void)opaque;
	return queue_has_used(&tx);
}

static bool await_out(unsigned int count)
{
	while (count) {
		if (!wait_until(has_room, NULL, WAIT_MS))
			return false;
		queue_take(&tx);
		count--;
	}
	return true;
}

/* --- steps --- */

static bool set_up(unsigned int in_buffers)
{
	if (!virtio_negotiate(&dev, FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_CONSOLE_F_SIZE)))
		return false;
	virtio_write(&dev, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	queue_setup(&rx, &dev, RX, IN_BUFFERS, VIRTIO_MSI_NO_VECTOR);
	queue_setup(&tx, &dev, TX, 2 * OUT_BUFFERS, VIRTIO_MSI_NO_VECTOR);
	virtio_driver_ok(&dev);
	reader.left = 0;
	reader.spent = false;
	for (uint32_t i = 0; i < in_buffers; i++)
		offer_in(i, VRING_DESC_F_WRITE);
	return true;
}

static uint32_t size(void)
{
	return MMIO(uint16_t, dev.config) | (uint32_t)MMIO(uint16_t, dev.config + 2) << 16;
}

static void check_identity(void)
{
	uint64_t features = virtio_features(&dev);

	report_equal("class", pci_read(dev.bdf, PCI_CLASS_REVISION, 4) >> 8, 0x078000);
	report_equal("it has two queues", virtio_read(&dev, VIRTIO_PCI_COMMON_NUMQ, 2), 2);
	report("its size is offered", features & FEATURE(VIRTIO_CONSOLE_F_SIZE));
	report("several ports and emergency writes are not",
	       !(features & (FEATURE(VIRTIO_CONSOLE_F_MULTIPORT) |
			     FEATURE(VIRTIO_CONSOLE_F_EMERG_WRITE))));
	report_equal("size", size(), (uint32_t)(option("cols") | option("rows") << 16));
}

/* What comes before there is a driver, or buffers, waits; nothing of it is lost. */
static void check_input(void)
{
	uint32_t good = 0;

	ask("input");
	report("set up", set_up(IN_BUFFERS));
	while (good < INPUT && get() == (int)('a' + good % 26))
		good++;
	report_equal("all input comes, in order", good, INPUT);
}

static void check_output(void)
{
	bool room = true;

	for (unsigned int i = 0; i < OUTPUT / OUT_LEN && room; i++) {
		if (i >= OUT_BUFFERS)
			room = await_out(1);
		fill(out[i % OUT_BUFFERS], OUT_LEN);
		offer_out(i % OUT_BUFFERS, OUT_LEN);
	}
	report("all output is taken", room && await_out(OUT_BUFFERS));
}

static bool is_resized(void *opaque)
{
	(void)opaque;
	return size() == (uint32_t)(option("cols2") | option("rows2") << 16);
}

static void check_size(void)
{
	uint8_t generation = (uint8_t)virtio_read(&dev, VIRTIO_PCI_COMMON_CFGGENERATION, 1);

	irq_take(VECTOR_CONFIG, NULL);
	msix_route(dev.bdf, 0, VECTOR_CONFIG);
	msix_enable(dev.bdf);
	virtio_write(&dev, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	ask("resize");
	report("a message says that it was resized", irq_wait(VECTOR_CONFIG, 1, WAIT_MS));
	report("the size is the new one", wait_until(is_resized, NULL, WAIT_MS));
	report("another generation",
	       virtio_read(&dev, VIRTIO_PCI_COMMON_CFGGENERATION, 1) != generation);
}

static void flood(void)
{
	for (unsigned int i = 0; i < OUT_BUFFERS; i++) {
		fill(out[i], FLOOD_LEN);
		offer_out(i, FLOOD_LEN);
	}
}

/* Nobody reads the output: input comes all the same, and later all of the output is there. */
static void check_blocked(void)
{
	bool came, waits;

	ask("key");
	flood();
	came = get() == 'G';
	waits = (uint16_t)(tx.used.idx - tx.seen) < OUT_BUFFERS;
	tell(PVPANIC_CRASH_LOADED);
	report("input comes while output is blocked", came);
	report("the output waits", waits);
	report("and is taken in the end", await_out(OUT_BUFFERS));
}

/* A reset while the output is blocked; then one key that was typed before the reset. */
static void check_reset(void)
{
	bool came, again, alive;

	in_len = 1;
	set_up(1); /* one buffer for one key: the other waits */
	ask("keys");
	flood();
	came = get() == 'R';
	again = set_up(0);
	offer_in(0, VRING_DESC_F_WRITE);
	alive = get() == 'S';
	memset(out[0], MARK, MARKS);
	offer_out(0, MARKS);
	tell(PVPANIC_PANICKED);
	report("a key comes before the reset", came);
	report("the device works after it", again);
	report("the next key comes after it", alive);
	report("output goes on", await_out(1));
}

static void check_nonsense(void)
{
	tx.desc[0] = (struct vring_desc){.addr = (uintptr_t)out[0], .len = 16,
					 .flags = VRING_DESC_F_WRITE};
	queue_offer(&tx, 0);
	queue_kick(&tx);
	report("output in a buffer to be written breaks it",
	       wait_until(virtio_needs_reset, &dev, WAIT_MS));
	report("set up again", set_up(0));
	offer_in(0, 0);
	ask("input");
	report("input for a buffer to be read breaks it",
	       wait_until(virtio_needs_reset, &dev, WAIT_MS));
	virtio_reset(&dev);
}

void test(void)
{
	irq_init();
	if (!virtio_find(VIRTIO_ID_CONSOLE, 0, &dev)) {
		report("there is a console", false);
		return;
	}
	check_identity();
	check_input();
	check_output();
	check_size();
	check_blocked();
	check_reset();
	check_nonsense();
}
