#include "guest-tests/bare/lib_virtio.h"

#include "guest-tests/bare/lib_pci.h"

#define VENDOR_VIRTIO 0x1af4U
#define DEVICE_VIRTIO 0x1040U
#define CAPS_MAX 48
#define WAIT_US 20000000ULL /* a limit for what never comes */

static void barrier(void)
{
	__asm__ volatile("mfence" : : : "memory");
}

/* --- the function --- */

static void take_cap(struct virtio *dev, unsigned int cap)
{
	uint64_t at = pci_bar(dev->bdf, pci_read(dev->bdf, cap + VIRTIO_PCI_CAP_BAR, 1)) +
		      pci_read(dev->bdf, cap + VIRTIO_PCI_CAP_OFFSET, 4);

	switch (pci_read(dev->bdf, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1)) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		dev->common = at;
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		dev->notify = at;
		dev->multiplier = pci_read(dev->bdf, cap + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
		break;
	case VIRTIO_PCI_CAP_ISR_CFG:
		dev->isr = at;
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		dev->config = at;
		break;
	}
}

static void take_caps(struct virtio *dev)
{
	unsigned int cap = pci_read(dev->bdf, PCI_CAPABILITY_LIST, 1);

	for (unsigned int i = 0; i < CAPS_MAX && cap; i++) {
		unsigned int type = pci_read(dev->bdf, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1);

		if (pci_read(dev->bdf, cap, 1) == PCI_CAP_ID_VNDR && type != VIRTIO_PCI_CAP_PCI_CFG)
			take_cap(dev, cap);
		cap = pci_read(dev->bdf, cap + PCI_CAP_LIST_NEXT, 1);
	}
}

bool virtio_find(unsigned int type, unsigned int index, struct virtio *ret_dev)
{
	for (unsigned int devfn = 0; devfn < 256; devfn++) {
		if (pci_read((uint16_t)devfn, PCI_VENDOR_ID, 4) !=
			    ((DEVICE_VIRTIO + type) << 16 | VENDOR_VIRTIO) ||
		    index--)
			continue;
		*ret_dev = (struct virtio){.bdf = (uint16_t)devfn};
		pci_change(ret_dev->bdf, PCI_COMMAND, 2, 0,
			   PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
		take_caps(ret_dev);
		return true;
	}
	return false;
}

uint32_t virtio_read(const struct virtio *dev, unsigned int off, unsigned int len)
{
	switch (len) {
	case 1:
		return MMIO(uint8_t, dev->common + off);
	case 2:
		return MMIO(uint16_t, dev->common + off);
	default:
		return MMIO(uint32_t, dev->common + off);
	}
}

void virtio_write(const struct virtio *dev, unsigned int off, unsigned int len, uint32_t value)
{
	switch (len) {
	case 1:
		MMIO(uint8_t, dev->common + off) = (uint8_t)value;
		break;
	case 2:
		MMIO(uint16_t, dev->common + off) = (uint16_t)value;
		break;
	default:
		MMIO(uint32_t, dev->common + off) = value;
		break;
	}
}

/* --- its status --- */

uint8_t virtio_status(const struct virtio *dev)
{
	return (uint8_t)virtio_read(dev, VIRTIO_PCI_COMMON_STATUS, 1);
}

bool virtio_needs_reset(void *dev)
{
	return virtio_status(dev) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

static void add_status(const struct virtio *dev, uint8_t bits)
{
	virtio_write(dev, VIRTIO_PCI_COMMON_STATUS, 1, virtio_status(dev) | bits);
}

void virtio_reset(const struct virtio *dev)
{
	virtio_write(dev, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	while (virtio_status(dev))
		;
}

uint64_t virtio_features(const struct virtio *dev)
{
	uint64_t low;

	virtio_write(dev, VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	low = virtio_read(dev, VIRTIO_PCI_COMMON_DF, 4);
	virtio_write(dev, VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	return low | (uint64_t)virtio_read(dev, VIRTIO_PCI_COMMON_DF, 4) << 32;
}

bool virtio_negotiate(const struct virtio *dev, uint64_t features)
{
	virtio_reset(dev);
	add_status(dev, STATUS_DRIVER);
	for (unsigned int word = 0; word < 2; word++) {
		virtio_write(dev, VIRTIO_PCI_COMMON_GFSELECT, 4, word);
		virtio_write(dev, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> (32 * word)));
	}
	add_status(dev, VIRTIO_CONFIG_S_FEATURES_OK);
	return virtio_status(dev) & VIRTIO_CONFIG_S_FEATURES_OK;
}

void virtio_driver_ok(const struct virtio *dev)
{
	add_status(dev, VIRTIO_CONFIG_S_DRIVER_OK);
}

/* --- queues --- */

static void write_address(const struct virtio *dev, unsigned int off, const void *at)
{
	virtio_write(dev, off, 4, (uint32_t)(uintptr_t)at);
	virtio_write(dev, off + 4, 4, (uint32_t)((uint64_t)(uintptr_t)at >> 32));
}

void queue_setup(struct queue *queue, const struct virtio *dev, uint16_t index, uint16_t size,
		 uint16_t vector)
{
	memset(queue, 0, sizeof(*queue));
	queue->dev = dev;
	queue->index = index;
	queue->size = size;
	virtio_write(dev, VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
	virtio_write(dev, VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
	virtio_write(dev, VIRTIO_PCI_COMMON_Q_MSIX, 2, vector);
	write_address(dev, VIRTIO_PCI_COMMON_Q_DESCLO, queue->desc);
	write_address(dev, VIRTIO_PCI_COMMON_Q_AVAILLO, &queue->avail);
	write_address(dev, VIRTIO_PCI_COMMON_Q_USEDLO, &queue->used);
	virtio_write(dev, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

void queue_offer(struct queue *queue, uint16_t head)
{
	queue->avail.ring[queue->avail.idx % queue->size] = head;
	barrier();
	*(volatile uint16_t *)&queue->avail.idx = (uint16_t)(queue->avail.idx + 1);
	barrier();
}

void queue_kick(const struct queue *queue)
{
	const struct virtio *dev = queue->dev;
	uint32_t off;

	virtio_write(dev, VIRTIO_PCI_COMMON_Q_SELECT, 2, queue->index);
	off = virtio_read(dev, VIRTIO_PCI_COMMON_Q_NOFF, 2);
	MMIO(uint16_t, dev->notify + (uint64_t)off * dev->multiplier) = queue->index;
}

/* The event fields stand right after a ring of `size`, not after the largest. */
static volatile uint16_t *avail_event(const struct queue *queue)
{
	return (volatile uint16_t *)(uintptr_t)&queue->used.ring[queue->size];
}

bool queue_kick_if_wanted(const struct queue *queue, uint16_t offered_before)
{
	bool wanted = queue->event_idx ? vring_need_event(*avail_event(queue), queue->avail.idx,
							  offered_before)
				       : !(*(const volatile uint16_t *)&queue->used.flags &
					   VRING_USED_F_NO_NOTIFY);

	if (wanted)
		queue_kick(queue);
	return wanted;
}

static uint16_t used_index(const struct queue *queue)
{
	return *(const volatile uint16_t *)&queue->used.idx;
}

bool queue_has_used(const struct queue *queue)
{
	return used_index(queue) != queue->seen;
}

bool queue_wait(const struct queue *queue, uint16_t count)
{
	struct stopwatch watch;

	stopwatch_start(&watch);
	while ((uint16_t)(used_index(queue) - queue->seen) < count)
		if (stopwatch_us(&watch) > WAIT_US)
			return false;
	return true;
}

struct vring_used_elem queue_take(struct queue *queue)
{
	struct vring_used_elem elem = queue->used.ring[queue->seen % queue->size];

	queue->seen++;
	return elem;
}
