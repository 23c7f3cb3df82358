/* The function, what it offers, and its registers. */
#include "guest-tests/bare/virtio-blk/checks.h"

#include "guest-tests/bare/lib_pci.h"

void check_identity(void)
{
	report_equal("revision is 1", pci_read(dev->bdf, PCI_REVISION_ID, 1), 1);
	report("subsystem ID is beyond legacy's", pci_read(dev->bdf, PCI_SUBSYSTEM_ID, 2) >= 0x40);
	report("every structure is there", dev->common && dev->isr && dev->config && dev->notify);
	report_equal("MSI-X has a vector for each queue and the configuration",
		     (pci_read(dev->bdf, pci_cap(dev->bdf, PCI_CAP_ID_MSIX) + PCI_MSIX_FLAGS, 2) &
		      PCI_MSIX_FLAGS_QSIZE) + 1, disk.queues + 1);
	report_equal("number of queues", virtio_read(dev, VIRTIO_PCI_COMMON_NUMQ, 2), disk.queues);
	report_equal("capacity", MMIO(uint32_t, dev->config), disk.sectors);
	report_equal("capacity, upper half", MMIO(uint32_t, dev->config + 4), disk.sectors >> 32);
}

void check_features(void)
{
	uint64_t features = disk.offered;

	report("modern, indirect, event index, flush", !(~features & (BASE_FEATURES |
								      RING_FEATURES)));
	report_equal("read-only says so", !!(features & FEATURE(VIRTIO_BLK_F_RO)), disk.read_only);
	report_equal("discard and write zeroes where it can be written",
		     (features & RANGE_FEATURES) == RANGE_FEATURES, !disk.read_only);
	report("no SCSI commands", !(features & FEATURE(VIRTIO_BLK_F_SCSI)));
	report("without VERSION_1 no FEATURES_OK",
	       !virtio_negotiate(dev, FEATURE(VIRTIO_BLK_F_FLUSH)));
	report("what was not offered gives no FEATURES_OK",
	       !virtio_negotiate(dev, BASE_FEATURES | FEATURE(VIRTIO_F_RING_PACKED)));
	virtio_write(dev, VIRTIO_PCI_COMMON_DFSELECT, 4, 2);
	report_equal("feature word 2 is zero", virtio_read(dev, VIRTIO_PCI_COMMON_DF, 4), 0);
	report("these are taken", virtio_negotiate(dev, BASE_FEATURES));
	virtio_write(dev, VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	virtio_write(dev, VIRTIO_PCI_COMMON_GF, 4, 0);
	report_equal("and final", virtio_read(dev, VIRTIO_PCI_COMMON_GF, 4),
		     FEATURE(VIRTIO_BLK_F_FLUSH));
}

/* Registers of queues that do not exist, vectors that do not exist, registers that are frozen. */
void check_registers(void)
{
	static const uint16_t absent[] = {DISK_QUEUES_MAX, 0x7fff, 0xffff};

	for (unsigned int i = 0; i < ARRAY_SIZE(absent); i++) {
		virtio_write(dev, VIRTIO_PCI_COMMON_Q_SELECT, 2, absent[i]);
		virtio_write(dev, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
		virtio_write(dev, VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
		virtio_write(dev, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		report_equal("absent queue: no size",
			     virtio_read(dev, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
		report_equal("absent queue: no vector",
			     virtio_read(dev, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
		report_equal("absent queue: not enabled",
			     virtio_read(dev, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	}
	virtio_reset(dev);
	virtio_write(dev, VIRTIO_PCI_COMMON_MSIX, 2, disk.queues + 1);
	report_equal("a vector beyond the table", virtio_read(dev, VIRTIO_PCI_COMMON_MSIX, 2),
		     VIRTIO_MSI_NO_VECTOR);
	virtio_write(dev, VIRTIO_PCI_COMMON_MSIX, 2, disk.queues);
	report_equal("the last vector", virtio_read(dev, VIRTIO_PCI_COMMON_MSIX, 2), disk.queues);
	virtio_write(dev, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	for (uint32_t size = 0; size < 0x10000; size = 3 * size + 3)
		virtio_write(dev, VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
	report_equal("sizes that are no power of two are ignored",
		     virtio_read(dev, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE_SIZE);
	report("set up", disk_setup(&disk, disk.offered & ALL, false));
	virtio_write(dev, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	virtio_write(dev, VIRTIO_PCI_COMMON_Q_SIZE, 2, 4);
	virtio_write(dev, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x1000);
	virtio_write(dev, VIRTIO_PCI_COMMON_Q_USEDHI, 4, 1);
	virtio_write(dev, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
	report_equal("frozen: size", virtio_read(dev, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE_SIZE);
	report_equal("frozen: address", virtio_read(dev, VIRTIO_PCI_COMMON_Q_DESCLO, 4),
		     (uint32_t)(uintptr_t)queue->desc);
	report_equal("frozen: address, upper half",
		     virtio_read(dev, VIRTIO_PCI_COMMON_Q_USEDHI, 4), 0);
	report_equal("frozen: enabled", virtio_read(dev, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	report_equal("and it works", disk_read(&disk, LAYOUT_PLAIN, 0, SECTOR), 0);
}

/* The way for who cannot reach the BAR: status and a kick through config space. */
void check_config_window(void)
{
	unsigned int cap = pci_read(dev->bdf, PCI_CAPABILITY_LIST, 1);

	while (cap && (pci_read(dev->bdf, cap, 1) != PCI_CAP_ID_VNDR ||
		       pci_read(dev->bdf, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1) !=
			       VIRTIO_PCI_CAP_PCI_CFG))
		cap = pci_read(dev->bdf, cap + PCI_CAP_LIST_NEXT, 1);
	report("the capability is there", cap);
	pci_write(dev->bdf, cap + VIRTIO_PCI_CAP_BAR, 1, 0);
	pci_write(dev->bdf, cap + VIRTIO_PCI_CAP_LENGTH, 4, 1);
	pci_write(dev->bdf, cap + VIRTIO_PCI_CAP_OFFSET, 4, VIRTIO_PCI_COMMON_STATUS);
	report_equal("status through config space", pci_read(dev->bdf, cap + 16, 4) & 0xff,
		     virtio_status(dev));
	pci_write(dev->bdf, cap + 16, 4, 0);
	report_equal("reset through config space", virtio_status(dev), 0);
	pci_write(dev->bdf, cap + VIRTIO_PCI_CAP_OFFSET, 4, 0xfffffffe);
	pci_write(dev->bdf, cap + 16, 4, 0);
	pci_write(dev->bdf, cap + VIRTIO_PCI_CAP_BAR, 1, 5);
	pci_write(dev->bdf, cap + VIRTIO_PCI_CAP_LENGTH, 4, 0xffffffff);
	pci_read(dev->bdf, cap + 16, 4);
	pci_write(dev->bdf, cap + 16, 4, 0);
	report_equal("accesses to nowhere harm nothing", virtio_status(dev), 0);
}
