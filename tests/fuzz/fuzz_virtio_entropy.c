/*
 * The input is what a driver does to a virtio function on PCI (tests/fuzz/function.h), of which the
 * entropy device is the simplest. The device's own thread serves it. After a reset it is as new,
 * and nothing of it is left at the end.
 */
#include <linux/virtio_pci.h>

#include "devices/virtio.h"
#include "devices/virtio_entropy.h"
#include "tests/fake_mem.h"
#include "tests/fuzz/function.h"
#include "tests/fuzz/fuzz.h"

static struct mem *mem;

static void write_seeds(int argc, char **argv)
{
	static const struct fuzz_step steps[] = {
		{FUZZ_BRING_UP, 0, 0, 0}, {FUZZ_OFFER, 0x20, 0, 64}, {FUZZ_KICK, 1, 0, 0},
		{FUZZ_SERVICE, 0, 0, 0}, {FUZZ_READ_BAR, 0, 0x100, 0},
		{FUZZ_OFFER, 0x20, 1, 4000}, {FUZZ_WRITE_COMMON, 1, VIRTIO_PCI_COMMON_Q_MSIX, 1},
		{FUZZ_WRITE_CFG, 1, 0x42, 0x8000}, {FUZZ_WRITE_BAR, 2, 0x2010, 0xfee00000},
		{FUZZ_WRITE_BAR, 2, 0x201c, 0}, {FUZZ_KICK, 1, 0, 0}, {FUZZ_RESET, 0, 0, 0},
		{FUZZ_BRING_UP, 0, 1, 0},
	};

	fuzz_write_seed(argc, argv, "driver", steps, sizeof(steps));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	mem = fake_mem_create(FUZZ_RAM);
	write_seeds(*argc, *argv);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_function function;
	struct virtio_entropy *entropy;

	fuzz_must(!virtio_entropy_create(&entropy), "set-up");
	fuzz_function_start(&function, mem, virtio_entropy_dev(entropy), 1);
	fuzz_function_run(&function, data, size, FUZZ_VERBS, NULL);
	fuzz_function_stop(&function);
	virtio_entropy_destroy(entropy);
	return 0;
}
