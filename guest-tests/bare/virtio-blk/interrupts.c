/* INTx, MSI-X, and a vector that is masked. */
#include "guest-tests/bare/virtio-blk/checks.h"

#include "guest-tests/bare/lib_pci.h"

static volatile unsigned int causes;

/* A level that falls while its interrupt is on the way may come once more, without a cause. */
static void on_intx(unsigned int vector)
{
	(void)vector;
	causes += MMIO(uint8_t, dev->isr) & 1;
}

void check_intx(void)
{
	report("set up", disk_setup(&disk, BASE_FEATURES, false));
	/* First the route: a line that was high while it was masked may count as an edge. */
	intx_route(dev->bdf, VECTOR_QUEUE);
	irq_take(VECTOR_QUEUE, on_intx);
	causes = 0;
	report_equal("a read", disk_read(&disk, LAYOUT_PLAIN, 3, SECTOR), 0);
	report("INTx is raised", irq_wait(VECTOR_QUEUE, 1, WAIT_MS));
	report_equal("ISR says why", causes, 1);
	report_equal("reading ISR cleared it", MMIO(uint8_t, dev->isr), 0);
	report("and the line is low", !(pci_read(dev->bdf, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT));
	queue->avail.flags = VRING_AVAIL_F_NO_INTERRUPT;
	for (unsigned int i = 0; i < 8; i++)
		disk_read(&disk, LAYOUT_PLAIN, i, SECTOR);
	irq_count(VECTOR_QUEUE);
	report_equal("none when the driver wants none", causes, 1);
	intx_mask(dev->bdf);
}

void check_msix(void)
{
	irq_take(VECTOR_QUEUE, NULL);
	msix_route(dev->bdf, 1, VECTOR_QUEUE);
	msix_enable(dev->bdf);
	report("set up", disk_setup(&disk, BASE_FEATURES | RING_FEATURES, true));
	queue->avail.used_event = 0;
	report_equal("a read", disk_read(&disk, LAYOUT_INDIRECT, 3, SECTOR), 0);
	report("the message came", irq_wait(VECTOR_QUEUE, 1, WAIT_MS));
	/* used_event stays behind: no further message, until the entry that is asked for. */
	queue->avail.used_event = (uint16_t)(queue->seen + 3);
	for (unsigned int i = 0; i < 3; i++)
		disk_read(&disk, LAYOUT_INDIRECT, i, SECTOR);
	report_equal("none before the event index", irq_count(VECTOR_QUEUE), 1);
	disk_read(&disk, LAYOUT_INDIRECT, 4, SECTOR);
	report("one at the event index", irq_wait(VECTOR_QUEUE, 2, WAIT_MS));
}

/* A masked vector keeps its message, shows it as pending, and sends it when unmasked. */
void check_mask(void)
{
	unsigned int cap = pci_cap(dev->bdf, PCI_CAP_ID_MSIX);
	uint32_t table = pci_read(dev->bdf, cap + PCI_MSIX_TABLE, 4);
	uint32_t pba = pci_read(dev->bdf, cap + PCI_MSIX_PBA, 4);
	uint64_t control = pci_bar(dev->bdf, 0) + (table & PCI_MSIX_TABLE_OFFSET) +
			   PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL;
	uint64_t pending = pci_bar(dev->bdf, 0) + (pba & PCI_MSIX_PBA_OFFSET);
	unsigned int before = irq_count(VECTOR_QUEUE);

	MMIO(uint32_t, control) = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	queue->avail.used_event = queue->seen;
	report_equal("a read while masked", disk_read(&disk, LAYOUT_PLAIN, 3, SECTOR), 0);
	while (!(MMIO(uint32_t, pending) & 2))
		;
	report_equal("no message", irq_count(VECTOR_QUEUE), before);
	MMIO(uint32_t, control) = 0;
	report("it comes when unmasked", irq_wait(VECTOR_QUEUE, before + 1, WAIT_MS));
	report_equal("nothing is pending", MMIO(uint32_t, pending), 0);
}
