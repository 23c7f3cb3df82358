/*
 * The input is what a driver does to the virtio console (tests/fuzz/function.h), and what goes on
 * at its other end: somebody types, reads a part of the output or none, resizes the terminal. Its
 * own threads serve it. Nobody waits for anybody, so this ends.
 */
#include <fcntl.h>
#include <linux/virtio_pci.h>
#include <unistd.h>

#include "devices/virtio.h"
#include "devices/virtio_console.h"
#include "tests/fake_mem.h"
#include "tests/fuzz/function.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"

#define PIPE 4096

enum { TYPE = FUZZ_VERBS, READ, RESIZE, DROP, VERBS };

static struct mem *mem;
static struct fuzz_function function;
static struct virtio_console *console;
static int out[2];

static void read_some(size_t len)
{
	uint8_t bytes[PIPE];

	(void)!read(out[0], bytes, len < sizeof(bytes) ? len : sizeof(bytes));
}

static void step_own(const struct fuzz_step *step)
{
	static const uint8_t bytes[2 * CONSOLE_INPUT_SIZE];
	size_t len = step->value % sizeof(bytes);

	switch (step->verb) {
	case TYPE:
		fuzz_must(virtio_console_input(console, bytes, len) <= len, "more than there was");
		break;
	case READ:
		read_some(step->value);
		break;
	case RESIZE:
		virtio_console_set_size(console, step->off, (uint16_t)step->value);
		break;
	case DROP: /* of a device that is stopped */
		fuzz_function_step(&function, &(struct fuzz_step){.verb = FUZZ_RESET});
		virtio_console_drop_input(console);
		fuzz_must(virtio_console_input(console, bytes, CONSOLE_INPUT_SIZE) ==
				  CONSOLE_INPUT_SIZE, "input that is not dropped");
		eventfd_drain(virtio_console_room_fd(console));
		break;
	}
}

static void write_seeds(int argc, char **argv)
{
	/* Queue 0 is for input (len 0x20), queue 1 for output (len 4). */
	static const struct fuzz_step steps[] = {
		{TYPE, 0, 0, 20}, {FUZZ_BRING_UP, 0, 0, ~0U}, {FUZZ_OFFER, 0x20, 0, 10},
		{FUZZ_OFFER, 0x20, 1, 100}, {FUZZ_KICK, 1, 0, 0}, {FUZZ_OFFER, 4, 0, 64},
		{FUZZ_KICK, 1, 1, 0}, {FUZZ_OFFER, 4, 1, 4999}, {FUZZ_OFFER, 4, 2, 4999},
		{FUZZ_KICK, 1, 1, 0}, {TYPE, 0, 0, 2000}, {READ, 0, 0, 300},
		{RESIZE, 0, 80, 25}, {FUZZ_READ_BAR, 2, 0x200, 0}, {FUZZ_SERVICE, 0, 0, 0},
		{FUZZ_WRITE_CFG, 1, 4, 2}, {READ, 0, 0, 4096}, {FUZZ_WRITE_CFG, 1, 4, 6},
		{DROP, 0, 0, 0},
	};

	fuzz_write_seed(argc, argv, "driver", steps, sizeof(steps));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	mem = fake_mem_create(FUZZ_RAM);
	fuzz_must(!pipe2(out, O_CLOEXEC | O_NONBLOCK) && fcntl(out[1], F_SETPIPE_SZ, PIPE) > 0,
		  "a pipe");
	write_seeds(*argc, *argv);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct console_config config = {.out_fd = out[1], .cols = 80, .rows = 24};

	fuzz_must(!virtio_console_create(&config, &console), "set-up");
	fuzz_function_start(&function, mem, virtio_console_dev(console), 2);
	fuzz_function_run(&function, data, size, VERBS, step_own);
	fuzz_function_stop(&function);
	virtio_console_destroy(console);
	read_some(PIPE);
	return 0;
}
