/*
 * The input is what a guest does to the fw_cfg device: eight bytes a step, a verb, a length, a
 * port's offset and a value, of which transfers by DMA take their request, too. Nothing outside of
 * RAM is touched (the sanitizers see to that), no content changes, and a good transfer works at the
 * end.
 */
#include <endian.h>
#include <string.h>

#include "devices/fw_cfg.h"
#include "tests/fake_mem.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/bits.h"
#include "vmm/bus.h"
#include "vmm/layout.h"
#include "vmm/mem.h"

#define RAM (16 * MIB)
#define REQUEST 0x1000U
#define BUFFER 0x2000U
#define PORTS 12U /* from PORT_FW_CFG on */

static const char content[] = "content that stays as it is";

struct world {
	struct bus *port;
	struct mem *mem;
	struct fw_cfg *fw_cfg;
};

static struct world world;

static uint64_t access_port(uint64_t addr, unsigned int len, bool is_write, uint64_t value)
{
	struct bus_access access = {.len = len, .is_write = is_write, .value = value};

	bus_access(world.port, addr, &access);
	return access.value;
}

static void refresh(void *opaque)
{
	(void)opaque;
	fw_cfg_replace(world.fw_cfg, "opt/file", content, sizeof(content));
}

static void put_request(uint32_t control, uint32_t len, uint64_t gpa)
{
	const struct fw_cfg_dma_access request = {
		.control = htobe32(control), .length = htobe32(len), .address = htobe64(gpa)};

	memcpy(mem_hva(world.mem, REQUEST, sizeof(request)), &request, sizeof(request));
	access_port(PORT_FW_CFG_DMA, 4, true, 0);
	access_port(PORT_FW_CFG_DMA + 4, 4, true, htobe32(REQUEST));
}

static void step(struct fuzz_input *input)
{
	uint8_t verb = (uint8_t)fuzz_take(input, 1), len = (uint8_t)fuzz_take(input, 1);
	uint16_t off = (uint16_t)fuzz_take(input, 2);
	uint32_t value = (uint32_t)fuzz_take(input, 4);

	switch (verb % 5) {
	case 0:
		access_port(PORT_FW_CFG + off % PORTS, 1U << len % 3, true, value);
		break;
	case 1:
		access_port(PORT_FW_CFG + off % PORTS, 1U << len % 3, false, 0);
		break;
	case 2: /* a request somewhere, of what RAM holds */
		access_port(PORT_FW_CFG_DMA, 4, true, htobe32(len & 0x80 ? value : 0));
		access_port(PORT_FW_CFG_DMA + 4, 4, true, htobe32(value));
		break;
	case 3:
		put_request((uint32_t)off << 16 | (len & 0x1f), value,
			    fuzz_take(input, 8));
		break;
	default: /* small ones, near the end of RAM */
		put_request((uint32_t)(FW_CFG_FILE_FIRST + off % 4) << 16 | (len & 0x1f),
			    value % 64, RAM - off % 64);
		break;
	}
}

static void check(void)
{
	const uint32_t control = FW_CFG_FILE_FIRST << 16 | FW_CFG_DMA_CTL_SELECT |
				 FW_CFG_DMA_CTL_READ;
	const uint8_t *request = mem_hva(world.mem, REQUEST, 4);

	put_request(control, sizeof(content), BUFFER);
	fuzz_must(!request[0] && !request[1] && !request[2] && !request[3],
		  "a good transfer fails");
	fuzz_must(!memcmp(mem_hva(world.mem, BUFFER, sizeof(content)), content, sizeof(content)),
		  "what is read has changed");
}

static void write_seeds(int argc, char **argv)
{
	static const uint8_t seed[] = {
		0, 1, 0, 0, 0x19, 0, 0, 0,  1, 0, 1, 0, 0, 0, 0, 0,  4, 0x0a, 0, 0, 28, 0, 0, 0,
		3, 0x0a, 0x20, 0, 28, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0,
		2, 0, 0, 0, 0, 0x10, 0, 0,
	};

	fuzz_write_seed(argc, argv, "transfer", seed, sizeof(seed));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	world.port = bus_create("port");
	world.mem = fake_mem_create(RAM);
	world.fw_cfg = fw_cfg_create(world.port, world.mem);
	fuzz_must(world.fw_cfg && !fw_cfg_add_file(world.fw_cfg, "opt/file", content,
						   sizeof(content)), "set-up");
	fw_cfg_watch(world.fw_cfg, "opt/file", refresh, NULL);
	write_seeds(*argc, *argv);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};

	fw_cfg_reset(world.fw_cfg);
	while (input.size)
		step(&input);
	check();
	return 0;
}
