/*
 * The input is what a host's kernel or a vfio-user server answers: the first byte says to what,
 * the others are the answer, in a piece of memory of just their size.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vfio/abi.h"
#include "vfio/user_protocol.h"
#include "vmm/base/bits.h"

#define PAGE 4096U

/* Areas are whole pages of the region, and no two of them meet. */
static void check_region(const struct vfio_region *region)
{
	fuzz_must(region->areas <= VFIO_SPARSE_MAX, "too many areas");
	for (unsigned int i = 0; i < region->areas; i++) {
		struct range area = region->area[i];

		fuzz_must(area.size && (area.start | area.size) % PAGE == 0, "no whole pages");
		fuzz_must(range_fits(region->size, area.start, area.size), "area outside");
		for (unsigned int k = 0; k < i; k++)
			fuzz_must(!range_meets(area, region->area[k]), "areas meet");
	}
}

static void try_region(const uint8_t *answer, size_t size)
{
	struct vfio_region region;

	if (!vfio_region_parse(answer, size, &region))
		check_region(&region);
}

static void try_user_region(const uint8_t *answer, size_t size)
{
	struct vfio_region region;

	if (!vfio_user_region_parse(answer, size, VFIO_PCI_BAR0_REGION_INDEX, true, &region))
		check_region(&region);
}

static void try_hot_reset(const uint8_t *bytes, size_t size)
{
	union vfio_hot_reset_answer answer = {0};
	struct vfio_hot_reset reset;

	memcpy(&answer, bytes, size < sizeof(answer) ? size : sizeof(answer));
	vfio_hot_reset_parse(&answer, "0000:01:00.0", &reset);
	fuzz_must(reset.devices <= VFIO_HOT_RESET_DEVICES && reset.groups <= reset.devices,
		  "more groups than devices");
}

static void try_header(const uint8_t *bytes, size_t size)
{
	struct vfio_user_header request = vfio_user_header(7, VFIO_USER_REGION_READ, 16), reply;
	size_t payload = 0;
	int error = 0;

	if (size < sizeof(reply))
		return;
	memcpy(&reply, bytes, sizeof(reply));
	if (!vfio_user_reply_check(&request, &reply, PAGE, &payload, &error))
		fuzz_must(payload <= PAGE && error <= 0, "a payload that does not fit");
}

static void try_version(const uint8_t *bytes, size_t size)
{
	struct vfio_user_limits limits;

	if (size > sizeof(struct vfio_user_version))
		return;
	if (!vfio_user_version_parse((const void *)bytes, size, &limits))
		fuzz_must(limits.fds && limits.data && limits.data <= VFIO_USER_DATA_MAX, "limits");
}

static void try_irq(const uint8_t *bytes, size_t size)
{
	fuzz_must(vfio_user_irq_parse(bytes, size, VFIO_PCI_MSIX_IRQ_INDEX) <= 2048, "interrupts");
}

static void try_access(const uint8_t *bytes, size_t size)
{
	static const struct vfio_user_access request = {.off = 0, .region = 0, .count = 8};

	fuzz_must(vfio_user_access_parse(&request, false, (const void *)bytes, size) <= 8, "count");
	fuzz_must(vfio_user_access_parse(&request, true, (const void *)bytes, size) <= 8, "count");
}

static void (*const parsers[])(const uint8_t *answer, size_t size) = {
	try_region, try_user_region, try_hot_reset, try_header, try_version, try_irq, try_access,
};
enum { REGION, USER_REGION, HOT_RESET, HEADER, VERSION };

/* --- seeds --- */

static void write_seed(int argc, char **argv, const char *name, uint8_t parser, const void *bytes,
		       size_t size)
{
	uint8_t seed[512] = {parser};

	fuzz_must(size < sizeof(seed), "a seed that is too long");
	memcpy(seed + 1, bytes, size);
	fuzz_write_seed(argc, argv, name, seed, size + 1);
}

/* Two areas that can be mapped, as in a BAR with an MSI-X table. */
static void write_region_seeds(int argc, char **argv)
{
	struct {
		struct vfio_region_info info;
		/* struct vfio_region_info_cap_sparse_mmap, with its array */
		struct vfio_info_cap_header header;
		uint32_t nr_areas, reserved;
		struct vfio_region_sparse_mmap_area area[2];
	} answer = {
		.info = {
			.argsz = sizeof(answer), .index = VFIO_PCI_BAR0_REGION_INDEX,
			.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
				 VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS,
			.cap_offset = sizeof(answer.info), .size = 4 * PAGE,
		},
		.header = {.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP, .version = 1},
		.nr_areas = ARRAY_SIZE(answer.area),
		.area = {{0, PAGE}, {2 * PAGE, 2 * PAGE}},
	};

	write_seed(argc, argv, "region", REGION, &answer, sizeof(answer));
	write_seed(argc, argv, "user-region", USER_REGION, &answer, sizeof(answer));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char version[] = "\0\0\1\0{\"capabilities\":{\"max_msg_fds\":8,"
				      "\"max_data_xfer_size\":65536}}";
	struct vfio_user_header header = vfio_user_header(7, VFIO_USER_REGION_READ, 24);
	union vfio_hot_reset_answer reset = {.info = {.argsz = sizeof(reset), .count = 2}};

	write_region_seeds(*argc, *argv);
	reset.info.devices[0] = (struct vfio_pci_dependent_device){.group_id = 1, .bus = 1};
	reset.info.devices[1] = (struct vfio_pci_dependent_device){
		.group_id = 1, .bus = 1, .devfn = 1};
	write_seed(*argc, *argv, "hot-reset", HOT_RESET, &reset, sizeof(reset));
	header.flags = VFIO_USER_TYPE_REPLY;
	write_seed(*argc, *argv, "header", HEADER, &header, sizeof(header));
	write_seed(*argc, *argv, "version", VERSION, version, sizeof(version));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *answer;

	if (!size)
		return 0;
	answer = malloc(size);
	fuzz_must(answer != NULL, "out of memory");
	memcpy(answer, data + 1, size - 1);
	/* Exact: the last byte of the allocation is not the answer's. */
	answer = realloc(answer, size > 1 ? size - 1 : 1);
	parsers[data[0] % ARRAY_SIZE(parsers)](answer, size - 1);
	free(answer);
	return 0;
}
