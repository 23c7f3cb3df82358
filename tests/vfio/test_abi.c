/* What the kernel's answers are read as, what it is sent. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vfio/abi.h"
#include "vmm/base/bits.h"

#define PAGE 4096ULL
#define RW (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)
#define MMAP VFIO_REGION_INFO_FLAG_MMAP
#define CAPS VFIO_REGION_INFO_FLAG_CAPS
#define HEADER_SIZE sizeof(struct vfio_region_info)
#define BUFFER_SIZE 1024

/* One capability at a place of the buffer. */
struct cap {
	uint32_t at;
	uint16_t id, version;
	uint32_t next;
	uint32_t nr_areas;           /* sparse: what it claims */
	struct vfio_region_sparse_mmap_area areas[4];
};

struct region_case {
	const char *what;
	struct vfio_region_info info;
	struct cap caps[3];
	size_t cut;                  /* bytes of the answer; 0: BUFFER_SIZE */
	int result;
	unsigned int areas;
	struct range area[4];
};

#define SPARSE VFIO_REGION_INFO_CAP_SPARSE_MMAP
#define MSIX VFIO_REGION_INFO_CAP_MSIX_MAPPABLE
#define BAR(bytes, more) {.flags = RW | (more), .cap_offset = 32, .size = (bytes), \
			  .offset = 1ULL << 40}
#define WHOLE(bytes) .areas = 1, .area = {{0, bytes}}

#define LINK(place, kind, follows) {.at = place, .id = kind, .version = 1, .next = follows}
#define SPARSE_CAP(place, count, ...) \
	{.at = place, .id = SPARSE, .version = 1, .nr_areas = count, .areas = {__VA_ARGS__}}

static const struct region_case region_cases[] = {
	{"nothing there", .info = {.flags = 0}},
	{"no mmap", .info = {.flags = RW, .size = 0x1000}},
	{"all of it", .info = BAR(16 * MIB, MMAP), WHOLE(16 * MIB)},
	{"less than a page", .info = BAR(0x800, MMAP)},
	{"a page and a half", .info = BAR(0x1800, MMAP), WHOLE(0x1000)},
	{"MSI-X mappable", .info = BAR(0x4000, MMAP | CAPS), .caps = {LINK(32, MSIX, 0)},
	 WHOLE(0x4000)},
	{"the capability flag without capabilities",
	 .info = {.flags = RW | MMAP | CAPS, .size = 0x4000}, WHOLE(0x4000)},
	{"an offset without the capability flag",
	 .info = {.flags = RW | MMAP, .cap_offset = 0xfffff000, .size = 0x4000}, WHOLE(0x4000)},
	{"sparse", .info = BAR(0x4000, MMAP | CAPS),
	 .caps = {SPARSE_CAP(32, 2, {0, 0x1000}, {0x2000, 0x2000})},
	 .areas = 2, .area = {{0, 0x1000}, {0x2000, 0x2000}}},
	{"sparse after others", .info = BAR(0x4000, MMAP | CAPS),
	 .caps = {LINK(32, MSIX, 64), LINK(64, 0x7777, 128), SPARSE_CAP(128, 1, {0x1000, 0x1000})},
	 .areas = 1, .area = {{0x1000, 0x1000}}},
	{"a chain that goes back", .info = BAR(0x4000, MMAP | CAPS),
	 .caps = {SPARSE_CAP(128, 1, {0x1000, 0x1000}), LINK(32, MSIX, 128)},
	 .areas = 1, .area = {{0x1000, 0x1000}}},
	{"sparse with no areas", .info = BAR(0x4000, MMAP | CAPS),
	 .caps = {SPARSE_CAP(32, 0, {0, 0})}},
	{"sparse without mmap", .info = BAR(0x4000, CAPS),
	 .caps = {SPARSE_CAP(32, 1, {0, 0x1000})}},
	{"sparse of an unknown version", .info = BAR(0x4000, MMAP | CAPS),
	 .caps = {{.at = 32, .id = SPARSE, .version = 2, .nr_areas = 1, .areas = {{0, 0x1000}}}}},
	{"areas outside, across the end, empty, wrapping", .info = BAR(0x4000, MMAP | CAPS),
	 .caps = {SPARSE_CAP(32, 4, {0x4000, 0x1000}, {0x3000, 0x9000}, {0x1000, 0},
			     {0x2000, UINT64_MAX})},
	 .areas = 1, .area = {{0x3000, 0x1000}}},
	{"areas that are no pages", .info = BAR(0x4000, MMAP | CAPS),
	 .caps = {SPARSE_CAP(32, 3, {0x10, 0x1ff0}, {0x2001, 0xfff}, {UINT64_MAX, 1})},
	 .areas = 1, .area = {{0x1000, 0x1000}}},
	{"areas that meet", .info = BAR(0x4000, MMAP | CAPS),
	 .caps = {SPARSE_CAP(32, 3, {0, 0x2000}, {0x1000, 0x1000}, {0x2000, 0x1000})},
	 .areas = 2, .area = {{0, 0x2000}, {0x2000, 0x1000}}},

	{"shorter than its header", .info = BAR(0x1000, MMAP), .cut = 31, .result = -EINVAL},
	{"capabilities in the header", .info = {.flags = CAPS, .cap_offset = 8}, .result = -EINVAL},
	{"capabilities behind the end", .info = {.flags = CAPS, .cap_offset = BUFFER_SIZE},
	 .result = -EINVAL},
	{"capabilities across the end", .info = {.flags = CAPS, .cap_offset = BUFFER_SIZE - 7},
	 .result = -EINVAL},
	{"capabilities far behind the end", .info = {.flags = CAPS, .cap_offset = UINT32_MAX},
	 .result = -EINVAL},
	{"a capability followed by one behind the end", .info = BAR(0x1000, MMAP | CAPS),
	 .caps = {LINK(32, MSIX, BUFFER_SIZE - 4)}, .result = -EINVAL},
	{"a capability that follows itself", .info = BAR(0x1000, MMAP | CAPS),
	 .caps = {LINK(32, MSIX, 32)},
	 .result = -EINVAL},
	{"two that follow each other", .info = BAR(0x1000, MMAP | CAPS),
	 .caps = {LINK(32, MSIX, 64), LINK(64, 0x7777, 32)}, .result = -EINVAL},
	{"a sparse capability cut off", .info = BAR(0x1000, MMAP | CAPS),
	 .caps = {SPARSE_CAP(32, 1, {0, 0x1000})}, .cut = 44, .result = -EINVAL},
	{"areas cut off", .info = BAR(0x1000, MMAP | CAPS),
	 .caps = {SPARSE_CAP(32, 1, {0, 0x1000})},
	 .cut = 63, .result = -EINVAL},
	{"areas that just fit", .info = BAR(0x1000, MMAP | CAPS),
	 .caps = {SPARSE_CAP(32, 1, {0, 0x1000})},
	 .cut = 64, WHOLE(0x1000)},
	{"an absurd number of areas", .info = BAR(0x1000, MMAP | CAPS),
	 .caps = {SPARSE_CAP(32, UINT32_MAX, {0, 0})},
	 .result = -EINVAL},
	{"a number of areas that wraps at 32 bits", .info = BAR(0x1000, MMAP | CAPS),
	 .caps = {SPARSE_CAP(32, 0x10000001, {0, 0})}, .result = -EINVAL},
	{"larger than a file", .info = {.flags = RW | MMAP, .size = 1ULL << 63}, .result = -EINVAL},
	{"behind the end of any file",
	 .info = {.flags = RW, .size = 0x1000, .offset = INT64_MAX - 0xffe}, .result = -EINVAL},
};

/* On the heap and of the exact size, so that the sanitizer sees a read beyond it. */
static uint8_t *build_answer(const struct region_case *c, size_t *ret_size)
{
	uint8_t buffer[BUFFER_SIZE] = {0}, *answer;

	*ret_size = c->cut ? c->cut : sizeof(buffer);
	memcpy(buffer, &c->info, sizeof(c->info));
	for (unsigned int i = 0; i < ARRAY_SIZE(c->caps) && c->caps[i].at; i++) {
		const struct cap *cap = &c->caps[i];
		struct vfio_region_info_cap_sparse_mmap sparse = {
			.header = {cap->id, cap->version, cap->next}, .nr_areas = cap->nr_areas,
		};

		memcpy(buffer + cap->at, &sparse, sizeof(sparse));
		memcpy(buffer + cap->at + sizeof(sparse), cap->areas, sizeof(cap->areas));
	}
	answer = malloc(*ret_size);
	assert_non_null(answer);
	memcpy(answer, buffer, *ret_size);
	return answer;
}

static void test_abi_region_parse(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(region_cases); i++) {
		const struct region_case *c = &region_cases[i];
		struct vfio_region region = {.areas = 77};
		size_t size;
		uint8_t *answer = build_answer(c, &size);
		int r = vfio_region_parse(answer, size, &region);

		free(answer);
		if (r != c->result)
			fail_msg("%s: %d", c->what, r);
		if (region.areas != (r < 0 ? 77 : c->areas))
			fail_msg("%s: %u areas", c->what, region.areas);
		if (r < 0)
			continue;
		assert_int_equal(region.size, c->info.size);
		assert_int_equal(region.fd_offset, c->info.offset);
		assert_int_equal(region.readable, c->info.flags & 1);
		assert_int_equal(region.writable, c->info.flags >> 1 & 1);
		if (memcmp(region.area, c->area, c->areas * sizeof(c->area[0])))
			fail_msg("%s: other areas", c->what);
	}
}

static void test_abi_region_parse_many_areas(void **state)
{
	enum { AREAS = VFIO_SPARSE_MAX + 5 };
	struct {
		struct vfio_region_info info;
		uint32_t cap[4];
		struct vfio_region_sparse_mmap_area area[AREAS];
	} answer = {
		.info = BAR(AREAS * 2 * PAGE, MMAP | CAPS),
		.cap = {SPARSE | 1 << 16, 0, AREAS, 0},
	};
	struct vfio_region region;

	(void)state;
	for (unsigned int i = 0; i < AREAS; i++)
		answer.area[i] = (struct vfio_region_sparse_mmap_area){i * 2 * PAGE, PAGE};
	assert_int_equal(vfio_region_parse(&answer, sizeof(answer), &region), 0);
	assert_int_equal(region.areas, VFIO_SPARSE_MAX);
	for (unsigned int i = 0; i < VFIO_SPARSE_MAX; i++)
		assert_int_equal(region.area[i].start, i * 2 * PAGE);
}

/* xorshift: the same bytes in every run. */
static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void check_region(const struct vfio_region *region)
{
	assert_true(region->areas <= VFIO_SPARSE_MAX);
	assert_true(range_fits(INT64_MAX, region->fd_offset, region->size));
	for (unsigned int i = 0; i < region->areas; i++) {
		struct range area = region->area[i];

		assert_true(area.size && !((area.start | area.size) % PAGE));
		assert_true(range_fits(region->size, area.start, area.size));
		for (unsigned int j = 0; j < i; j++)
			assert_false(range_meets(area, region->area[j]));
	}
}

/* Random bytes, most of them made to look like an answer so that the deep parts are reached. */
static void test_abi_region_parse_random(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15ULL;
	unsigned int accepted = 0, mapped = 0;

	(void)state;
	for (unsigned int round = 0; round < 200000; round++) {
		size_t size = next_random(&seed) % 256;
		uint8_t *answer = malloc(size ? size : 1);
		struct vfio_region region;

		assert_non_null(answer);
		for (size_t i = 0; i < size; i++)
			answer[i] = (uint8_t)(next_random(&seed) >> 32);
		if (round % 8 && size >= HEADER_SIZE + 16) {
			struct vfio_region_info *info = (void *)answer;
			struct vfio_region_info_cap_sparse_mmap *sparse;

			sparse = (void *)(answer + HEADER_SIZE);
			info->cap_offset = HEADER_SIZE;
			info->size &= 0xfffff;
			info->offset &= INT64_MAX >> round % 32;
			sparse->header.id = round % 3;
			sparse->header.version = 1;
			sparse->header.next &= 0xff;
			sparse->nr_areas &= 0xf;
			for (size_t at = HEADER_SIZE + 16; at + 8 <= size; at += 8)
				*(uint64_t *)(void *)(answer + at) &= 0x1fffff >> round % 9;
		}
		if (vfio_region_parse(answer, size, &region) == 0) {
			check_region(&region);
			accepted++;
			mapped += region.areas > 1;
		}
		free(answer);
	}
	assert_in_range(accepted, 1000, 199000);
	assert_true(mapped > 1000); /* else the bytes above reach nothing */
}

static void test_abi_irq_set(void **state)
{
	static const int fds[] = {5, -1, 7};
	struct vfio_irq_set *set;

	(void)state;
	set = vfio_irq_set_create(VFIO_PCI_MSIX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER, 2, 3, fds);
	assert_non_null(set);
	assert_int_equal(set->argsz, sizeof(*set) + 12);
	assert_int_equal(set->flags, VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_EVENTFD);
	assert_int_equal(set->index, VFIO_PCI_MSIX_IRQ_INDEX);
	assert_int_equal(set->start, 2);
	assert_int_equal(set->count, 3);
	assert_memory_equal(set->data, fds, sizeof(fds));
	free(set);

	set = vfio_irq_set_create(VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_UNMASK, 0, 1, NULL);
	assert_non_null(set);
	assert_int_equal(set->argsz, sizeof(*set));
	assert_int_equal(set->flags, VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_NONE);
	assert_int_equal(set->count, 1);
	free(set);
}

static void test_abi_low_power_request(void **state)
{
	static const struct {
		enum vfio_low_power feature;
		bool probe;
		uint32_t argsz, flags;
		int32_t fd;
	} cases[] = {
		{VFIO_LOW_POWER_ENTRY, false, 8, VFIO_DEVICE_FEATURE_SET | 3, 0},
		{VFIO_LOW_POWER_ENTRY_WITH_WAKEUP, false, 16, VFIO_DEVICE_FEATURE_SET | 4, 9},
		{VFIO_LOW_POWER_EXIT, false, 8, VFIO_DEVICE_FEATURE_SET | 5, 0},
		{VFIO_LOW_POWER_ENTRY, true, 8,
		 VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET | 3, 0},
		{VFIO_LOW_POWER_ENTRY_WITH_WAKEUP, true, 8,
		 VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET | 4, 0},
		{VFIO_LOW_POWER_EXIT, true, 8,
		 VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET | 5, 0},
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		union vfio_feature_request request;
		int32_t fd;

		memset(&request, 0xff, sizeof(request));
		vfio_low_power_request(cases[i].feature, cases[i].probe, 9, &request);
		assert_int_equal(request.feature.argsz, cases[i].argsz);
		assert_int_equal(request.feature.flags, cases[i].flags);
		memcpy(&fd, request.bytes + 8, sizeof(fd));
		assert_int_equal(fd, cases[i].fd);
	}
}

static const struct {
	const char *what;
	uint32_t count;
	struct vfio_pci_dependent_device device[VFIO_HOT_RESET_DEVICES];
	unsigned int devices, groups;
	int group[3];
} hot_reset_cases[] = {
	{"none", .count = 0},
	{"itself", 1, .device = {{.group_id = 7, .bus = 1}}, .devices = 1, .groups = 1,
	 .group = {7}},
	{"its slot, in one group", 2,
	 .device = {{.group_id = 7, .bus = 1}, {.group_id = 7, .bus = 1, .devfn = 1}},
	 .devices = 2, .groups = 1, .group = {7}},
	{"its slot, a group each", 3,
	 .device = {{.group_id = 7, .bus = 1}, {.group_id = 3, .bus = 1, .devfn = 1},
	  {.group_id = 5, .bus = 1, .devfn = 7}},
	 .devices = 3, .groups = 3, .group = {7, 3, 5}},
	{"another device of the bus", 2, .device = {{.bus = 1}, {.bus = 1, .devfn = 8}}},
	{"another bus", 2, .device = {{.bus = 1}, {.bus = 2}}},
	{"another segment", 1, .device = {{.segment = 1, .bus = 1}}},
	{"as many as a slot has", 8,
	 .device = {{.bus = 1, .devfn = 0}, {.bus = 1, .devfn = 1}, {.bus = 1, .devfn = 2},
	  {.bus = 1, .devfn = 3}, {.bus = 1, .devfn = 4}, {.bus = 1, .devfn = 5},
	  {.bus = 1, .devfn = 6}, {.bus = 1, .devfn = 7}}, .devices = 8, .groups = 1},
	{"more than there is room for", 9, .device = {{.bus = 1}}},
	{"an absurd number", UINT32_MAX, .device = {{.bus = 1}}},
};

static void test_abi_hot_reset_parse(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(hot_reset_cases); i++) {
		union vfio_hot_reset_answer answer = {.info.count = hot_reset_cases[i].count};
		struct vfio_hot_reset reset = {.devices = 77, .groups = 77};

		memcpy(answer.bytes + sizeof(answer.info), hot_reset_cases[i].device,
		       sizeof(hot_reset_cases[i].device));
		vfio_hot_reset_parse(&answer, "0000:01:00.0", &reset);
		if (reset.devices != hot_reset_cases[i].devices)
			fail_msg("%s: %u devices", hot_reset_cases[i].what, reset.devices);
		assert_int_equal(reset.groups, hot_reset_cases[i].groups);
		for (unsigned int j = 0; j < reset.groups; j++)
			assert_int_equal(reset.group[j], hot_reset_cases[i].group[j]);
	}
}

static void test_abi_hot_reset_request(void **state)
{
	static const int fds[VFIO_HOT_RESET_DEVICES] = {5, 6, 7, 8, 9, 10, 11, 12};
	union vfio_hot_reset_request request;

	(void)state;
	for (unsigned int count = 0; count <= VFIO_HOT_RESET_DEVICES; count++) {
		memset(&request, 0xff, sizeof(request));
		vfio_hot_reset_request(fds, count, &request);
		assert_int_equal(request.reset.argsz, 12 + 4 * count);
		assert_int_equal(request.reset.flags, 0);
		assert_int_equal(request.reset.count, count);
		assert_memory_equal(request.bytes + 12, fds, 4 * count);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_abi_region_parse),
		cmocka_unit_test(test_abi_region_parse_many_areas),
		cmocka_unit_test(test_abi_region_parse_random),
		cmocka_unit_test(test_abi_irq_set),
		cmocka_unit_test(test_abi_low_power_request),
		cmocka_unit_test(test_abi_hot_reset_parse),
		cmocka_unit_test(test_abi_hot_reset_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
