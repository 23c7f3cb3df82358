/* A driver that means no good: the device says that it needs a reset, and works after one. */
#include "guest-tests/bare/virtio-blk/checks.h"

#define NOWHERE 0x7f0000000000ULL /* no RAM */

static void loop(void)
{
	queue->desc[0].flags |= VRING_DESC_F_NEXT;
	queue->desc[0].next = 0;
}

static void long_loop(void)
{
	queue->desc[2].flags |= VRING_DESC_F_NEXT;
	queue->desc[2].next = 0;
}

static void beyond_table(void)
{
	queue->desc[0].next = QUEUE_SIZE;
}

static void no_ram(void)
{
	queue->desc[1].addr = NOWHERE;
}

static void over_end_of_ram(void)
{
	queue->desc[1].len = 0xffffffff;
}

static void wrapping_address(void)
{
	queue->desc[1].addr = UINT64_MAX - 0xff;
}

static void empty(void)
{
	queue->desc[1].len = 0;
}

static void readable_after_writable(void)
{
	queue->desc[0].flags |= VRING_DESC_F_WRITE;
	queue->desc[1].flags &= (uint16_t)~VRING_DESC_F_WRITE;
}

static void no_status(void)
{
	queue->desc[0].flags = 0;
}

static void short_header(void)
{
	queue->desc[0].len = 8;
}

static void indirect_in_indirect(void)
{
	static struct vring_desc table[2];

	table[0] = (struct vring_desc){.addr = (uintptr_t)table, .len = sizeof(table),
				       .flags = VRING_DESC_F_INDIRECT};
	queue->desc[0] = table[0];
}

static void odd_table(void)
{
	queue->desc[0] = (struct vring_desc){.addr = (uintptr_t)queue->desc, .len = 17,
					       .flags = VRING_DESC_F_INDIRECT};
}

static void table_no_ram(void)
{
	queue->desc[0] = (struct vring_desc){.addr = NOWHERE, .len = 32,
					       .flags = VRING_DESC_F_INDIRECT};
}

static void nothing(void)
{
}

static const struct {
	const char *name;
	void (*spoil)(void);
	uint16_t head, ahead; /* what is offered, and how far the index is wrong */
} nonsense[] = {
	{"a descriptor that follows itself", loop, 0, 0},
	{"a loop of three", long_loop, 0, 0},
	{"next beyond the table", beyond_table, 0, 0},
	{"a buffer that is no RAM", no_ram, 0, 0},
	{"a buffer over the end of RAM", over_end_of_ram, 0, 0},
	{"a buffer whose end wraps", wrapping_address, 0, 0},
	{"an empty buffer", empty, 0, 0},
	{"readable after writable", readable_after_writable, 0, 0},
	{"no room for a status", no_status, 0, 0},
	{"half a header", short_header, 0, 0},
	{"indirect in indirect", indirect_in_indirect, 0, 0},
	{"a table of 17 bytes", odd_table, 0, 0},
	{"a table that is no RAM", table_no_ram, 0, 0},
	{"a head beyond the table", nothing, 0xffff, 0},
	{"an index that runs ahead", nothing, 0, QUEUE_SIZE},
};

/* The device says that it needs a reset, interrupts for it, and works after one. */
void check_nonsense(void)
{
	irq_take(VECTOR_CONFIG, NULL);
	msix_route(dev->bdf, 0, VECTOR_CONFIG);
	for (unsigned int i = 0; i < ARRAY_SIZE(nonsense); i++) {
		unsigned int before = irq_count(VECTOR_CONFIG);

		if (!virtio_negotiate(dev, BASE_FEATURES | RING_FEATURES))
			report("negotiated", false);
		virtio_write(dev, VIRTIO_PCI_COMMON_MSIX, 2, 0);
		queue_setup(queue, dev, 0, QUEUE_SIZE, 1);
		virtio_driver_ok(dev);
		blk_fill(queue, 0, LAYOUT_PLAIN, BLK_IN, 0, disk.buffer[0], SECTOR);
		nonsense[i].spoil();
		queue->avail.ring[0] = nonsense[i].head;
		__asm__ volatile("mfence" : : : "memory");
		*(volatile uint16_t *)&queue->avail.idx = (uint16_t)(nonsense[i].ahead + 1);
		queue_kick(queue);
		report(nonsense[i].name, wait_until(virtio_needs_reset, &disk.dev, WAIT_MS));
		report("the driver is told", irq_wait(VECTOR_CONFIG, before + 1, WAIT_MS));
		report("nothing was answered", !queue_has_used(queue));
	}
	report("it works after a reset", disk_setup(&disk, BASE_FEATURES, true) &&
	       !disk_read(&disk, LAYOUT_PLAIN, 0, SECTOR) && blk_is_numbered(disk.buffer[0], 0));
}

/* Rings where no ring can be, and DRIVER_OK out of turn. */
void check_bad_rings(void)
{
	static const struct {
		const char *name;
		unsigned int off;
		uint32_t value;
	} rings_at[] = {
		{"descriptors that are no RAM", VIRTIO_PCI_COMMON_Q_DESCHI, 0x7f00},
		{"available ring that is no RAM", VIRTIO_PCI_COMMON_Q_AVAILHI, 0x7f00},
		{"used ring that is no RAM", VIRTIO_PCI_COMMON_Q_USEDLO, 0xfffffffc},
		{"descriptors not aligned", VIRTIO_PCI_COMMON_Q_DESCLO, 0x10008},
		{"available ring not aligned", VIRTIO_PCI_COMMON_Q_AVAILLO, 0x10001},
		{"used ring not aligned", VIRTIO_PCI_COMMON_Q_USEDLO, 0x10002},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rings_at); i++) {
		virtio_negotiate(dev, BASE_FEATURES);
		virtio_write(dev, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
		virtio_write(dev, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x10000);
		virtio_write(dev, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, 0x20000);
		virtio_write(dev, VIRTIO_PCI_COMMON_Q_USEDLO, 4, 0x30000);
		virtio_write(dev, rings_at[i].off, 4, rings_at[i].value);
		virtio_write(dev, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		virtio_driver_ok(dev);
		report(rings_at[i].name, virtio_needs_reset(&disk.dev));
	}
	virtio_reset(dev);
	virtio_write(dev, VIRTIO_PCI_COMMON_STATUS, 1, STATUS_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK);
	report("DRIVER_OK without FEATURES_OK", virtio_needs_reset(&disk.dev));
	virtio_reset(dev);
	queue_kick(queue);
	report_equal("a kick before anything is set up", virtio_status(dev), 0);
	MMIO(uint32_t, dev->notify + 0x800) = 5;
	report_equal("a kick beyond the queues", virtio_status(dev), 0);
}
