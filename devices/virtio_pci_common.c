/*
 * The common configuration: VIRTIO 1.2, 4.1.4.3 Common configuration structure layout.
 */
#include <linux/virtio_pci.h>

#include "devices/virtio_pci_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"

/* The queue that the driver selected, NULL: there is no such. */
static struct virtio_queue *selected(const struct virtio_pci *transport)
{
	return transport->queue_select < transport->dev->queues
		       ? &transport->dev->queue[transport->queue_select]
		       : NULL;
}

static uint32_t feature_word(uint64_t features, uint32_t word)
{
	return word > 1 ? 0 : (uint32_t)(features >> (32 * word));
}

static void fill_queue(const struct virtio_pci *transport, struct virtio_pci_common_cfg *common)
{
	const struct virtio_queue *queue = selected(transport);

	common->queue_msix_vector = VIRTIO_MSI_NO_VECTOR;
	if (!queue)
		return;
	common->queue_size = queue->size;
	common->queue_msix_vector = transport->source[1 + transport->queue_select].vector;
	common->queue_enable = queue->enabled;
	common->queue_notify_off = transport->queue_select;
	common->queue_desc_lo = (uint32_t)queue->desc;
	common->queue_desc_hi = (uint32_t)(queue->desc >> 32);
	common->queue_avail_lo = (uint32_t)queue->avail;
	common->queue_avail_hi = (uint32_t)(queue->avail >> 32);
	common->queue_used_lo = (uint32_t)queue->used;
	common->queue_used_hi = (uint32_t)(queue->used >> 32);
}

/* An access of any size reads the bytes that are there: host and guest are little-endian. */
uint64_t virtio_common_read(const struct virtio_pci *transport, uint64_t off, unsigned int len)
{
	const struct virtio_dev *dev = transport->dev;
	struct virtio_pci_common_cfg common = {
		.device_feature_select = transport->device_feature_select,
		.device_feature = feature_word(dev->features, transport->device_feature_select),
		.guest_feature_select = transport->driver_feature_select,
		.guest_feature = feature_word(dev->accepted, transport->driver_feature_select),
		.msix_config = transport->source[0].vector,
		.num_queues = (uint16_t)dev->queues,
		.device_status = virtio_dev_status(dev),
		.config_generation = dev->generation,
		.queue_select = transport->queue_select,
	};

	fill_queue(transport, &common);
	return range_fits(sizeof(common), off, len) ? le_get((uint8_t *)&common + off, len)
						    : ones(len);
}

void virtio_common_reset(struct virtio_pci *transport)
{
	virtio_irq_hush(transport);
	virtio_dev_reset(transport->dev);
	virtio_doorbells_sync(transport);
	virtio_irq_reset(transport);
	transport->device_feature_select = transport->driver_feature_select = 0;
	transport->queue_select = 0;
}

static void write_status(struct virtio_pci *transport, uint8_t status)
{
	if (!status) {
		virtio_common_reset(transport);
		return;
	}
	virtio_irq_hush(transport);
	virtio_dev_set_status(transport->dev, status);
	virtio_doorbells_sync(transport);
	virtio_irq_sync(transport);
}

/* VIRTIO 1.2, 2.7 Split Virtqueues: sizes are powers of two. Another is ignored. */
static void set_size(struct virtio_queue *queue, uint32_t size)
{
	if (is_power_of_two(size) && size <= queue->max_size)
		queue->size = (uint16_t)size;
}

static void set_half(uint64_t *address, bool high, uint32_t value)
{
	*address = high ? (*address & 0xffffffffULL) | (uint64_t)value << 32
			: (*address & ~0xffffffffULL) | value;
}

static void write_queue_register(struct virtio_pci *transport, uint64_t off, uint32_t value)
{
	struct virtio_queue *queue = selected(transport);

	if (!queue)
		return;
	if (off == VIRTIO_PCI_COMMON_Q_MSIX) {
		virtio_irq_map(transport, 1U + transport->queue_select, (uint16_t)value);
		return;
	}
	if (virtio_queue_frozen(transport->dev, queue))
		return;
	switch (off) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		set_size(queue, value);
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		queue->enabled = value == 1;
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		set_half(&queue->desc, off == VIRTIO_PCI_COMMON_Q_DESCHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		set_half(&queue->avail, off == VIRTIO_PCI_COMMON_Q_AVAILHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		set_half(&queue->used, off == VIRTIO_PCI_COMMON_Q_USEDHI, value);
		break;
	}
}

static unsigned int register_len(uint64_t off)
{
	switch (off) {
	case VIRTIO_PCI_COMMON_STATUS:
		return 1;
	case VIRTIO_PCI_COMMON_MSIX:
	case VIRTIO_PCI_COMMON_Q_SELECT:
	case VIRTIO_PCI_COMMON_Q_SIZE:
	case VIRTIO_PCI_COMMON_Q_MSIX:
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		return 2;
	default:
		return 4;
	}
}

/* VIRTIO 1.2, 4.1.3.1 Driver Requirements: PCI Device Layout: a register is written as a whole.
 * What is not is dropped, as are writes of what is read-only. */
void virtio_common_write(struct virtio_pci *transport, uint64_t off, unsigned int len,
			 uint32_t value)
{
	if (len != register_len(off))
		return;
	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		transport->device_feature_select = value;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		transport->driver_feature_select = value;
		break;
	case VIRTIO_PCI_COMMON_GF:
		virtio_dev_accept(transport->dev, transport->driver_feature_select, value);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		virtio_irq_map(transport, 0, (uint16_t)value);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		write_status(transport, (uint8_t)value);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		transport->queue_select = (uint16_t)value;
		break;
	default:
		write_queue_register(transport, off, value);
		break;
	}
}
