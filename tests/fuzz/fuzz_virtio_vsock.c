/*
 * The input is what a driver does to the socket device (tests/fuzz/function.h), and what the
 * kernel's part of it refuses. That part is a fake, which ends the program when it is given what it
 * must not be given.
 */
#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_pci.h>

#include "devices/virtio.h"
#include "devices/virtio_vsock.h"
#include "tests/fake_mem.h"
#include "tests/fake_vhost.h"
#include "tests/fuzz/function.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/bits.h"

#define CID 3U

enum { REFUSE = FUZZ_VERBS, COMPLAIN, ADVANCE, VERBS };

static struct mem *mem;
static struct virtio_vsock *vsock;

static void step_own(const struct fuzz_step *step)
{
	static const unsigned long requests[] = {
		0, FAKE_VHOST_OPEN, FAKE_VHOST_GIVE, VHOST_VSOCK_SET_GUEST_CID};

	switch (step->verb) {
	case REFUSE:
		fake_vhost.refused = requests[step->value % ARRAY_SIZE(requests)];
		fake_vhost.error = -EADDRINUSE;
		break;
	case COMPLAIN:
		if (fake_vhost.running)
			fake_vhost_complain();
		virtio_vsock_take_error(vsock);
		break;
	case ADVANCE: /* the kernel takes some buffers */
		fake_vhost.base[step->off % 2] = (uint16_t)step->value;
		break;
	}
}

static void write_seeds(int argc, char **argv)
{
	static const struct fuzz_step steps[] = {
		{FUZZ_BRING_UP, 0, 0, ~0U}, {FUZZ_READ_BAR, 2, 0x200, 0}, {ADVANCE, 0, 0, 3},
		{FUZZ_WRITE_CFG, 1, 4, 2}, {FUZZ_WRITE_CFG, 1, 4, 6}, {COMPLAIN, 0, 0, 0},
		{REFUSE, 0, 0, 3}, {FUZZ_RESET, 0, 0, 0}, {FUZZ_BRING_UP, 0, 0, ~0U},
		{REFUSE, 0, 0, 0}, {FUZZ_BRING_UP, 0, 2, 0}, {FUZZ_BRING_UP, 0, 4, 2},
		{FUZZ_WRITE_COMMON, 0, VIRTIO_PCI_COMMON_STATUS, 0},
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
	char why[256];

	fake_vhost_reset();
	fuzz_must(!virtio_vsock_create(CID, &vsock, why, sizeof(why)), "set-up");
	fuzz_function_start(&function, mem, virtio_vsock_dev(vsock), 3);
	fuzz_function_run(&function, data, size, VERBS, step_own);
	fuzz_function_stop(&function);
	fuzz_must(!fake_vhost.running && !fake_vhost.given, "the kernel still has the queues");
	virtio_vsock_destroy(vsock);
	return 0;
}
