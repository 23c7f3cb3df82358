#include "devices/virtio_block.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/block_io.h"
#include "devices/block_queue.h"
#include "devices/virtio.h"
#include "vmm/base/bits.h"
#include "vmm/base/log.h"

#define CLASS_STORAGE_OTHER 0x018000 /* PCI Code and ID Assignment 1.11, 1.2 Base Class 01h */
#define FEATURE(bit) (1ULL << (bit))
#define DISCARD_ALIGN 4096U /* what file systems can give back; any range is accepted */

struct virtio_block {
	struct virtio_dev dev;
	struct block_image image;
	char serial[DISK_SERIAL_SIZE];
	enum disk_io io;
	struct virtio_blk_config config; /* `wce` is the driver's, the rest constant */
	atomic_bool stable; /* see struct block_disk; the threads of the queues read it */
	struct block_queue *queue; /* dev.queues; those with `dev` set have a thread */
};

static struct virtio_block *block_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_block, dev);
}

/* --- configuration: VIRTIO 1.2, 5.2.4 Device configuration layout --- */

static uint64_t features(const struct block_image *image, unsigned int queues)
{
	uint64_t offered = FEATURE(VIRTIO_BLK_F_SEG_MAX) | FEATURE(VIRTIO_BLK_F_BLK_SIZE) |
			   FEATURE(VIRTIO_BLK_F_FLUSH) | FEATURE(VIRTIO_BLK_F_CONFIG_WCE);

	if (queues > 1)
		offered |= FEATURE(VIRTIO_BLK_F_MQ);
	if (image->read_only)
		return offered | FEATURE(VIRTIO_BLK_F_RO);
	return offered | FEATURE(VIRTIO_BLK_F_DISCARD) | FEATURE(VIRTIO_BLK_F_WRITE_ZEROES);
}

static void fill_config(struct virtio_block *block, unsigned int queues)
{
	struct virtio_blk_config *config = &block->config;

	config->capacity = block->image.size / DISK_SECTOR;
	config->seg_max = BLOCK_SEGMENTS_MAX;
	config->blk_size = block->image.block_size;
	config->num_queues = (uint16_t)queues;
	config->wce = 1;
	if (block->image.read_only)
		return;
	config->max_discard_sectors = BLOCK_DISCARD_SECTORS_MAX;
	config->max_discard_seg = 1;
	config->discard_sector_alignment = DISCARD_ALIGN / DISK_SECTOR;
	config->max_write_zeroes_sectors = BLOCK_ZEROES_SECTORS_MAX;
	config->max_write_zeroes_seg = 1;
	config->write_zeroes_may_unmap = 1;
}

static void config_read(struct virtio_dev *dev, uint32_t off, uint32_t len, uint8_t *ret_bytes)
{
	memcpy(ret_bytes, (const uint8_t *)&block_of(dev)->config + off, len);
}

/* A request that is in flight may see either. */
static void set_stable(struct virtio_block *block)
{
	const struct virtio_dev *dev = &block->dev;

	block->stable = virtio_dev_has(dev, VIRTIO_BLK_F_CONFIG_WCE)
				? !block->config.wce
				: !virtio_dev_has(dev, VIRTIO_BLK_F_FLUSH);
}

/* VIRTIO 1.2, 5.2.6.1 Driver Requirements: Device Operation: 0 is writethrough, 1 writeback. */
static void config_write(struct virtio_dev *dev, uint32_t off, uint32_t len, const uint8_t *bytes)
{
	struct virtio_block *block = block_of(dev);

	if (off != offsetof(struct virtio_blk_config, wce) || len != 1 ||
	    !virtio_dev_has(dev, VIRTIO_BLK_F_CONFIG_WCE))
		return;
	block->config.wce = bytes[0] & 1;
	set_stable(block);
}

/* --- running --- */

static void stop(struct virtio_dev *dev)
{
	struct virtio_block *block = block_of(dev);

	for (unsigned int i = 0; i < dev->queues; i++) {
		struct block_queue *queue = &block->queue[i];

		if (!queue->dev)
			continue;
		block_queue_stop(queue);
		block_queue_finish(queue);
		*queue = (struct block_queue){.dev = NULL};
	}
}

static int start_queue(struct virtio_block *block, unsigned int index)
{
	const struct block_disk disk = {
		.image = block->image, .serial = block->serial, .stable = &block->stable,
		.discard = virtio_dev_has(&block->dev, VIRTIO_BLK_F_DISCARD),
		.write_zeroes = virtio_dev_has(&block->dev, VIRTIO_BLK_F_WRITE_ZEROES)};
	struct block_queue *queue = &block->queue[index];
	struct block_io *io;
	int error = block_io_create(block->image.fd, BLOCK_QUEUE_SIZE, block->io, &io);

	if (error)
		return error;
	error = block_queue_init(queue, &block->dev, index, &disk, io);
	if (!error)
		error = block_queue_start(queue);
	if (error) {
		block_queue_finish(queue);
		*queue = (struct block_queue){.dev = NULL};
	}
	return error;
}

/* VIRTIO 1.2, 5.2.5.2 Device Requirements: Device Initialization: "If VIRTIO_BLK_F_CONFIG_WCE is
 * negotiated but VIRTIO_BLK_F_FLUSH is not, the device MUST initialize writeback to 0." */
static int start(struct virtio_dev *dev)
{
	struct virtio_block *block = block_of(dev);
	int error = 0;

	if (!virtio_dev_has(dev, VIRTIO_BLK_F_FLUSH))
		block->config.wce = 0;
	set_stable(block);
	for (unsigned int i = 0; i < dev->queues && !error; i++)
		if (dev->queue[i].enabled)
			error = start_queue(block, i);
	if (error) {
		log_err("%s %s: no thread for a queue: %s", dev->ops->type, dev->name,
			strerror(-error));
		stop(dev);
	}
	return error;
}

static void reset(struct virtio_dev *dev)
{
	block_of(dev)->config.wce = 1;
}

static const struct virtio_ops block_ops = {
	.type = "virtio-block",
	.id = VIRTIO_ID_BLOCK,
	.pci_class = CLASS_STORAGE_OTHER,
	.awaits_host = true,
	.config_read = config_read,
	.config_write = config_write,
	.start = start,
	.stop = stop,
	.reset = reset,
};

/* --- set-up --- */

int virtio_block_create(const struct block_image *image, const struct disk_config *config,
			const char *name, struct virtio_block **ret_block)
{
	struct virtio_block *block = calloc(1, sizeof(*block));
	struct block_image taken = *image;
	int error = -ENOMEM;

	if (!block) {
		block_image_close(&taken);
		return error;
	}
	block->image = taken;
	block->io = config->io;
	memcpy(block->serial, config->serial, sizeof(block->serial));
	snprintf(block->dev.name, sizeof(block->dev.name), "%s", name);
	block->queue = calloc(config->queues, sizeof(*block->queue));
	if (block->queue)
		error = virtio_dev_init(&block->dev, &block_ops, features(image, config->queues),
					config->queues, BLOCK_QUEUE_SIZE);
	if (error) {
		virtio_block_destroy(block);
		return error;
	}
	block->dev.config_size = offsetof(struct virtio_blk_config, max_secure_erase_sectors);
	fill_config(block, config->queues);
	*ret_block = block;
	return 0;
}

void virtio_block_destroy(struct virtio_block *block)
{
	if (!block)
		return;
	block_image_close(&block->image);
	virtio_dev_finish(&block->dev);
	free(block->queue);
	free(block);
}

struct virtio_dev *virtio_block_dev(struct virtio_block *block)
{
	return &block->dev;
}
