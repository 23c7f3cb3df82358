/*
 * The input is a device: the sizes and areas of its regions, its interrupts, its config space. It
 * is refused with a sentence, or becomes a function that a guest can do anything to.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/mman.h>

#include "devices/pci.h"
#include "devices/root_port.h"
#include "tests/fake_backend.h"
#include "tests/fake_irq.h"
#include "tests/fake_mem.h"
#include "tests/fake_pci.h"
#include "tests/fuzz/fuzz.h"
#include "vfio/function.h"
#include "vmm/base/bits.h"

#define RAM RAM_MIN_SIZE
#define NAME "0000:01:00.0"
#define PORT_DEVFN 0x08
#define MAP_MAX (64 * MIB)
#define VECTOR_BYTES 64U /* of the MSI-X table, wherever it is */
#define EXT_BYTES 64U    /* of extended config space that the guest writes to */

/* The head of an input; config space follows, zeroes where it ends. */
struct shape {
	struct {
		uint8_t size;  /* log2 in the low bits; see size_of() */
		uint8_t areas; /* parts that can be mapped */
	} region[VFIO_PCI_NUM_REGIONS];
	uint8_t irqs[3];       /* see irq_counts */
	uint8_t answers;       /* ANSWER_* */
};
#define SIZE_NONE 0x80U
#define SIZE_ODD 0x40U    /* one page more than a power of two */
#define ANSWER_SHORT 0x01U /* every BAR access moves a byte less */
#define ANSWER_ERROR 0x02U /* every BAR access fails */
#define ANSWER_NO_MAP 0x04U

/* No more than fake_irq.h takes. */
static const int irq_counts[] = {0, 1, 4, 8, 33, 128, -1, 2};

struct device {
	struct vfio_backend backend;
	struct shape shape;
	uint8_t cfg[PCI_CFG_LEN];
	unsigned int maps;
	bool closed;
};

static struct device *device_of(struct vfio_backend *backend)
{
	return container_of(backend, struct device, backend);
}

/* --- the back end --- */

static uint64_t size_of(uint8_t size)
{
	if (size & SIZE_NONE)
		return 0;
	return (1ULL << size % 64) + (size & SIZE_ODD ? 4096 : 0);
}

/* Areas of odd places and sizes, which overlap, and leave the region with the last of them. */
static int op_region_info(struct vfio_backend *backend, unsigned int index,
			  struct vfio_region *ret_region)
{
	const struct shape *shape = &device_of(backend)->shape;
	unsigned int areas = shape->region[index].areas % (VFIO_SPARSE_MAX + 1);
	uint64_t size = size_of(shape->region[index].size);

	*ret_region = (struct vfio_region){
		.size = size, .readable = true, .writable = true, .areas = areas};
	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		ret_region->size = size < PCI_CFG_LEN ? PCI_CFG_SPACE_SIZE : size;
	for (unsigned int i = 0; i < areas; i++)
		ret_region->area[i] = (struct range){
			i * (size / VFIO_SPARSE_MAX), size >> i % 4 | (i & 1)};
	return 0;
}

static ssize_t moved(const struct device *device, unsigned int index, size_t len)
{
	if (index > VFIO_PCI_ROM_REGION_INDEX)
		return (ssize_t)len;
	if (device->shape.answers & ANSWER_ERROR)
		return -EIO;
	return (ssize_t)len - (device->shape.answers & ANSWER_SHORT);
}

static ssize_t op_region_read(struct vfio_backend *backend, unsigned int index, uint64_t off,
			      void *buffer, size_t len)
{
	struct device *device = device_of(backend);

	if (index == VFIO_PCI_CONFIG_REGION_INDEX) {
		fuzz_must(range_fits(PCI_CFG_LEN, off, len), "read beyond config space");
		memcpy(buffer, device->cfg + off, len);
	} else {
		fuzz_must(range_fits(size_of(device->shape.region[index].size), off, len),
			  "read beyond a region");
		memset(buffer, 0xff, len);
	}
	return moved(device, index, len);
}

static ssize_t op_region_write(struct vfio_backend *backend, unsigned int index, uint64_t off,
			       const void *buffer, size_t len)
{
	struct device *device = device_of(backend);

	if (index == VFIO_PCI_CONFIG_REGION_INDEX) {
		fuzz_must(range_fits(PCI_CFG_LEN, off, len), "write beyond config space");
		memcpy(device->cfg + off, buffer, len);
	} else {
		fuzz_must(range_fits(size_of(device->shape.region[index].size), off, len),
			  "write beyond a region");
	}
	return moved(device, index, len);
}

static int op_region_map(struct vfio_backend *backend, unsigned int index, uint64_t off,
			 size_t len, void **ret_hva)
{
	struct device *device = device_of(backend);
	void *hva;

	fuzz_must(range_fits(size_of(device->shape.region[index].size), off, len) && len,
		  "map beyond a region");
	if (len > MAP_MAX || device->shape.answers & ANSWER_NO_MAP)
		return -ENOMEM;
	hva = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	fuzz_must(hva != MAP_FAILED, "mmap");
	device->maps++;
	*ret_hva = hva;
	return 0;
}

static void op_region_unmap(struct vfio_backend *backend, void *hva, size_t len)
{
	fuzz_must(device_of(backend)->maps-- && !munmap(hva, len), "unmap");
}

static int op_irq_count(struct vfio_backend *backend, unsigned int index)
{
	const struct shape *shape = &device_of(backend)->shape;

	return index < ARRAY_SIZE(shape->irqs) ?
		irq_counts[shape->irqs[index] % ARRAY_SIZE(irq_counts)] : 0;
}

static int op_irq_set_triggers(struct vfio_backend *backend, unsigned int index,
			       unsigned int start, unsigned int count, const int *fds)
{
	(void)fds;
	fuzz_must(start + count <= (unsigned int)op_irq_count(backend, index), "too many triggers");
	return 0;
}

static int op_irq_disable(struct vfio_backend *backend, unsigned int index)
{
	(void)backend;
	(void)index;
	return 0;
}

static int op_intx_set_unmask(struct vfio_backend *backend, int fd)
{
	(void)backend;
	(void)fd;
	return 0;
}

static int op_nothing(struct vfio_backend *backend)
{
	(void)backend;
	return 0;
}

static bool op_can_reset(struct vfio_backend *backend)
{
	return device_of(backend)->shape.answers & 0x80;
}

static void op_close(struct vfio_backend *backend)
{
	device_of(backend)->closed = true;
}

static const struct vfio_backend_ops device_ops = {
	.region_info = op_region_info,
	.region_read = op_region_read,
	.region_write = op_region_write,
	.region_map = op_region_map,
	.region_unmap = op_region_unmap,
	.irq_count = op_irq_count,
	.irq_set_triggers = op_irq_set_triggers,
	.irq_disable = op_irq_disable,
	.intx_set_unmask = op_intx_set_unmask,
	.intx_unmask = op_nothing,
	.reset = op_nothing,
	.can_reset = op_can_reset,
	.close = op_close,
};

/* --- the guest --- */

static uint16_t bdf_of(struct fake_pci *pci)
{
	return (uint16_t)(pci_host_cfg_read(pci->host, PORT_DEVFN, PCI_SECONDARY_BUS, 1) << 8);
}

static void touch_bars(struct fake_pci *pci, const struct pci_dev *dev)
{
	for (unsigned int i = 0; i <= PCI_BAR_ROM; i++) {
		const struct pci_bar *bar = &dev->bar[i];

		if (!bar->mapped || bar->flags & PCI_BASE_ADDRESS_SPACE_IO)
			continue;
		for (unsigned int len = 1; len <= 8; len *= 2) {
			fake_pci_read(pci, bar->address, len);
			fake_pci_write(pci, bar->address + bar->size - len, len, UINT64_MAX);
		}
		for (unsigned int off = 0; off < VECTOR_BYTES; off += 4)
			fake_pci_write(pci, bar->address + dev->msix.table_off + off, 4,
				       off & 8 ? 0x41 : 0);
	}
}

static void use(struct fake_pci *pci, const struct pci_dev *dev)
{
	static const uint32_t values[] = {PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0xffffffff, 0};
	uint16_t bdf = bdf_of(pci);

	pci_host_cfg_write(pci->host, bdf, PCI_COMMAND, 2, 0x0406);
	touch_bars(pci, dev);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		for (uint16_t off = 0; off < PCI_CFG_SPACE_SIZE + EXT_BYTES; off += 4) {
			pci_host_cfg_read(pci->host, bdf, off, 4);
			if (off >= PCI_STD_HEADER_SIZEOF)
				pci_host_cfg_write(pci->host, bdf, off, 4, values[i]);
		}
		touch_bars(pci, dev);
	}
}

/* The core serves table and pending bits wherever they are: inside a BAR, or not at all. */
static void check_msix(const struct pci_dev *dev)
{
	const struct pci_msix *msix = &dev->msix;

	if (!msix->cap)
		return;
	fuzz_must(msix->table_bir < PCI_BAR_COUNT && msix->pba_bir < PCI_BAR_COUNT, "MSI-X BIR");
	fuzz_must(range_fits(dev->bar[msix->table_bir].size, msix->table_off,
			     (uint64_t)msix->table_size * PCI_MSIX_ENTRY_SIZE), "MSI-X table");
	fuzz_must(range_fits(dev->bar[msix->pba_bir].size, msix->pba_off,
			     align_up(msix->table_size, 64) / 8), "MSI-X pending bits");
}

static void try_function(struct device *device, struct vfio_function *function)
{
	struct fake_pci pci;
	struct root_port *port;
	struct mem *mem = fake_mem_create(RAM);
	char why[256] = "";

	fuzz_check_caps(&vfio_function_pci(function)->cfg);
	check_msix(vfio_function_pci(function));
	fake_pci_start(&pci);
	port = fake_pci_add_port(&pci, PORT_DEVFN);
	fuzz_must(!vfio_function_plug(function, mem, pci.irq, pci.host, root_port_pci(port), why,
				      sizeof(why)), why);
	if (!pci_host_assign(pci.host)) {
		use(&pci, vfio_function_pci(function));
		vfio_function_detach(function);
		vfio_function_attach(function);
		vfio_function_reset(function, true);
		use(&pci, vfio_function_pci(function));
	}
	vfio_function_destroy(function);
	fuzz_must(!device->maps && device->closed, "something is left of the device");
	root_port_destroy(port);
	fake_pci_stop(&pci);
	fake_mem_destroy(mem);
}

/* --- */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct fake_backend *gpu = fake_backend_create_gpu(NAME, false);
	struct {
		struct shape shape;
		uint8_t cfg[PCI_CFG_LEN];
	} seed = {.shape = {
		.region = {{16, 1}, {SIZE_NONE, 0}, {24, 1}, {SIZE_NONE, 0}, {8, 0}, {14, 2},
			   {16, 0}, {12, 0}, {SIZE_NONE, 0}},
		.irqs = {1, 2, 3},
		.answers = 0x80,
	}};

	memcpy(seed.cfg, gpu->cfg, sizeof(seed.cfg));
	fuzz_write_seed(*argc, *argv, "gpu", &seed, sizeof(seed));
	seed.shape.region[2].areas = VFIO_SPARSE_MAX;
	seed.shape.answers = ANSWER_SHORT;
	fuzz_write_seed(*argc, *argv, "short", &seed, sizeof(seed.shape) + 0x200);
	seed.shape.region[0].size = seed.shape.region[2].size = 63;
	fuzz_write_seed(*argc, *argv, "huge", &seed, sizeof(seed.shape) + 0x200);
	fake_backend_destroy(gpu);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct vfio_function_listener nobody = {0};
	static struct device device;
	struct vfio_function *function;
	size_t head = size < sizeof(device.shape) ? size : sizeof(device.shape);
	char why[256] = "";

	device = (struct device){.backend = {.ops = &device_ops, .name = NAME}};
	memcpy(&device.shape, data, head);
	size -= head;
	memcpy(device.cfg, data + head, size < PCI_CFG_LEN ? size : PCI_CFG_LEN);
	if (vfio_function_create(&device.backend, 0, false, &nobody, &function, why,
				 sizeof(why))) {
		fuzz_check_why(why);
		fuzz_must(!device.closed && !device.maps, "a refused device was taken");
	} else {
		try_function(&device, function);
	}
	return 0;
}
