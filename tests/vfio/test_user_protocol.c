/* What is sent to a vfio-user server, and what is believed of its replies. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vfio/user_protocol.h"
#include "vmm/base/bits.h"

#define REPLY VFIO_USER_TYPE_REPLY
#define FAILED (VFIO_USER_TYPE_REPLY | VFIO_USER_ERROR)

static void test_user_protocol_header(void **state)
{
	struct vfio_user_header header = vfio_user_header(0xabcd, VFIO_USER_REGION_WRITE, 20);
	static const uint8_t bytes[] = {
		0xcd, 0xab, 10, 0, 36, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	};

	(void)state;
	assert_int_equal(sizeof(header), sizeof(bytes));
	assert_memory_equal(&header, bytes, sizeof(bytes));
}

static void test_user_protocol_reply(void **state)
{
	static const struct {
		const char *what;
		struct vfio_user_header reply;
		size_t max;
		int result, error;
		size_t payload;
	} cases[] = {
		{"empty", {7, 5, 16, REPLY, 0}, 0, 0, 0, 0},
		{"with payload", {7, 5, 48, REPLY, 0}, 32, 0, 0, 32},
		{"less than there is room for", {7, 5, 20, REPLY, 0}, 32, 0, 0, 4},
		{"an error", {7, 5, 16, FAILED, EBUSY}, 32, 0, -EBUSY, 0},
		{"an error with payload", {7, 5, 48, FAILED, EINVAL}, 32, 0, -EINVAL, 32},
		{"an error without number", {7, 5, 16, FAILED, 0}, 0, 0, -EIO, 0},
		{"the last known errno", {7, 5, 16, FAILED, 133}, 0, 0, -133, 0},
		{"an unknown errno", {7, 5, 16, FAILED, 134}, 0, 0, -EIO, 0},
		{"a negative errno", {7, 5, 16, FAILED, (uint32_t)-EINVAL}, 0, 0, -EIO, 0},
		{"INT_MIN as errno", {7, 5, 16, FAILED, 0x80000000}, 0, 0, -EIO, 0},
		{"errno without the flag", {7, 5, 16, REPLY, EINVAL}, 0, 0, 0, 0},
		{"No_reply echoed", {7, 5, 16, REPLY | VFIO_USER_NO_REPLY, 0}, 0, 0, 0, 0},
		{"another id", {8, 5, 16, REPLY, 0}, 0, -EPROTO, 0, 0},
		{"another command", {7, 4, 16, REPLY, 0}, 0, -EPROTO, 0, 0},
		{"a command", {7, 5, 16, VFIO_USER_TYPE_COMMAND, 0}, 0, -EPROTO, 0, 0},
		{"unknown type", {7, 5, 16, 0x2, 0}, 0, -EPROTO, 0, 0},
		{"unknown flag", {7, 5, 16, REPLY | 0x40, 0}, 0, -EPROTO, 0, 0},
		{"shorter than its header", {7, 5, 15, REPLY, 0}, 64, -EPROTO, 0, 0},
		{"no size", {7, 5, 0, REPLY, 0}, 64, -EPROTO, 0, 0},
		{"one byte too long", {7, 5, 49, REPLY, 0}, 32, -EPROTO, 0, 0},
		{"the longest", {7, 5, UINT32_MAX, REPLY, 0}, 32, -EPROTO, 0, 0},
		{"an error that is too long", {7, 5, 49, FAILED, EIO}, 32, -EPROTO, 0, 0},
	};
	const struct vfio_user_header request = {7, 5, 48, VFIO_USER_TYPE_COMMAND, 0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t payload = 99;
		int error = 99;
		int r = vfio_user_reply_check(&request, &cases[i].reply, cases[i].max, &payload,
					      &error);

		if (r != cases[i].result)
			fail_msg("%s: %d", cases[i].what, r);
		if (payload != (r ? 99 : cases[i].payload) || error != (r ? 99 : cases[i].error))
			fail_msg("%s: payload %zu, error %d", cases[i].what, payload, error);
	}
}

static void test_user_protocol_version_fill(void **state)
{
	static const char json[] =
		"{\"capabilities\":{\"max_msg_fds\":1,\"max_data_xfer_size\":1048576}}";
	struct vfio_user_version version;

	(void)state;
	assert_int_equal(vfio_user_version_fill(&version), 4 + sizeof(json));
	assert_int_equal(version.major, 0);
	assert_int_equal(version.minor, 1);
	assert_string_equal(version.json, json);
}

/* Nested to more tokens than are taken. */
#define NEST "[[[[[[[[[[[[[[[["
#define ENDS "]]]]]]]]]]]]]]]]"

static void test_user_protocol_version_parse(void **state)
{
	static const struct {
		uint16_t major, minor;
		const char *json; /* NULL: none, not even its NUL */
		int result;
		uint32_t fds, data;
	} cases[] = {
		{0, 1, NULL, 0, 1, MIB},
		{0, 0, NULL, 0, 1, MIB},
		{0, 1, "", 0, 1, MIB},
		{0, 1, "{}", 0, 1, MIB},
		{0, 1, "{\"capabilities\":{}}", 0, 1, MIB},
		{0, 1, "{\"capabilities\":{\"max_msg_fds\":8}}", 0, 8, MIB},
		{0, 1, " { \"x\" : [1, {\"max_msg_fds\": 5}],\n \"capabilities\" : "
		       "{\"migration\":{\"max_msg_fds\":9,\"pgsize\":4096},"
		       "\"max_data_xfer_size\": 4096 , \"max_msg_fds\" : 3 } } ", 0, 3, 4096},
		{0, 1, "{\"max_msg_fds\":7}", 0, 1, MIB},
		{0, 1, "{\"capabilities\":{\"max_data_xfer_size\":99999999999999999999999}}",
		 0, 1, MIB},
		{0, 1, "{\"capabilities\":{\"max_data_xfer_size\":8,\"max_msg_fds\":4294967299}}",
		 0, UINT32_MAX, 8},
		{0, 2, NULL, -EPROTO, 0, 0},
		{1, 0, NULL, -EPROTO, 0, 0},
		{0, 1, "{\"capabilities\":{\"max_msg_fds\":0}}", -EPROTO, 0, 0},
		{0, 1, "{\"capabilities\":{\"max_msg_fds\":-1}}", -EPROTO, 0, 0},
		{0, 1, "{\"capabilities\":{\"max_msg_fds\":\"8\"}}", -EPROTO, 0, 0},
		{0, 1, "{\"capabilities\":{\"max_msg_fds\":1e3}}", -EPROTO, 0, 0},
		{0, 1, "{\"capabilities\":{\"max_msg_fds\":true}}", -EPROTO, 0, 0},
		{0, 1, "{\"capabilities\":{\"max_data_xfer_size\":7}}", -EPROTO, 0, 0},
		{0, 1, "{\"capabilities\":[]}", -EPROTO, 0, 0},
		{0, 1, "{\"capabilities\":3}", -EPROTO, 0, 0},
		{0, 1, "{\"capabilities\"}", 0, 1, MIB},
		{0, 1, "{\"capabilities\":{\"max_msg_fds\"}}", 0, 1, MIB},
		{0, 1, "{\"capabilities\":{", -EPROTO, 0, 0},
		{0, 1, "[]", -EPROTO, 0, 0},
		{0, 1, "3", -EPROTO, 0, 0},
		{0, 1, "GET / HTTP/1.1", -EPROTO, 0, 0},
		{0, 1, "{\"a\":" NEST NEST NEST NEST NEST NEST NEST NEST
		       ENDS ENDS ENDS ENDS ENDS ENDS ENDS ENDS "}", -EPROTO, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vfio_user_version reply = {cases[i].major, cases[i].minor, ""};
		struct vfio_user_limits limits = {99, 99};
		size_t size = 4;
		int r;

		if (cases[i].json) {
			memcpy(reply.json, cases[i].json, strlen(cases[i].json) + 1);
			size += strlen(cases[i].json) + 1;
		}
		r = vfio_user_version_parse(&reply, size, &limits);
		if (r != cases[i].result || limits.fds != (r ? 99 : cases[i].fds) ||
		    limits.data != (r ? 99 : cases[i].data))
			fail_msg("%u.%u %s: %d, %u descriptors, %u bytes", cases[i].major,
				 cases[i].minor, cases[i].json, r, limits.fds, limits.data);
	}
}

/* Sizes that do not fit the text: no version, no NUL, a NUL before the end. */
static void test_user_protocol_version_size(void **state)
{
	struct vfio_user_version reply = {.minor = 1};
	struct vfio_user_limits limits;

	(void)state;
	memset(reply.json, ' ', sizeof(reply.json));
	for (size_t size = 0; size < 4; size++)
		assert_int_equal(vfio_user_version_parse(&reply, size, &limits), -EPROTO);
	assert_int_equal(vfio_user_version_parse(&reply, 5, &limits), -EPROTO);
	assert_int_equal(vfio_user_version_parse(&reply, sizeof(reply), &limits), -EPROTO);
	assert_int_equal(vfio_user_version_parse(&reply, sizeof(reply) + 1, &limits), -EPROTO);
	memcpy(reply.json, "{}\0{}", 6);
	assert_int_equal(vfio_user_version_parse(&reply, 4 + 6, &limits), -EPROTO);
	assert_int_equal(vfio_user_version_parse(&reply, 4 + 3, &limits), 0);
}

/* Any bytes: no crash, and sense or nothing. The buffer is as long as its bytes, so that the
 * sanitizer sees every step beyond. */
static void test_user_protocol_version_noise(void **state)
{
	static const char alphabet[] = "{}[]\":,\\u0019 \ncapabilities-max_msg_fds";
	unsigned int seed = 1;

	(void)state;
	for (unsigned int round = 0; round < 20000; round++) {
		struct vfio_user_version reply = {.minor = 1};
		struct vfio_user_limits limits = {0, 0};
		size_t len = (size_t)rand_r(&seed) % 40;

		memcpy(reply.json, "{\"capabilities\":{\"max_msg_fds\":2}}", 35);
		for (size_t i = 0; i < len; i++)
			reply.json[(size_t)rand_r(&seed) % 34] =
				alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		if (vfio_user_version_parse(&reply, 4 + 35, &limits) == 0)
			assert_true(limits.fds && limits.data >= 8 && limits.data <= MIB);
	}
}

static void test_user_protocol_device(void **state)
{
	const struct vfio_user_device_info reply = {16, 3, 9, 5};
	struct vfio_user_device_info info = {0};

	(void)state;
	assert_int_equal(vfio_user_device_parse(&reply, 15, &info), -EPROTO);
	assert_int_equal(vfio_user_device_parse(&reply, 17, &info), -EPROTO);
	assert_int_equal(info.num_regions, 0);
	assert_int_equal(vfio_user_device_parse(&reply, 16, &info), 0);
	assert_memory_equal(&info, &reply, sizeof(reply));
}

#define RW (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)
#define MMAP VFIO_REGION_INFO_FLAG_MMAP

static void test_user_protocol_region(void **state)
{
	static const struct {
		const char *what;
		struct vfio_region_info info;
		size_t size;
		bool file;
		int result;
		uint64_t region_size;
		unsigned int areas;
	} cases[] = {
		{"plain", {.argsz = 32, .flags = RW, .index = 2, .size = 4096}, 32, false,
		 0, 4096, 0},
		{"mappable", {.argsz = 32, .flags = RW | MMAP, .index = 2, .size = 4096}, 32, true,
		 0, 4096, 1},
		{"mappable without a file", {.argsz = 32, .flags = RW | MMAP, .index = 2,
		 .size = 4096}, 32, false, 0, 4096, 0},
		{"a file for nothing", {.argsz = 32, .flags = RW, .index = 2, .size = 4096}, 32,
		 true, 0, 4096, 0},
		{"not there", {.argsz = 32, .index = 2}, 32, false, 0, 0, 0},
		{"another index", {.argsz = 32, .flags = RW, .index = 3, .size = 4096}, 32, false,
		 -EPROTO, 0, 0},
		{"short", {.argsz = 32, .flags = RW, .index = 2, .size = 4096}, 31, false,
		 -EPROTO, 0, 0},
		{"empty", {.argsz = 32, .flags = RW, .index = 2, .size = 4096}, 0, false,
		 -EPROTO, 0, 0},
		{"more than was sent", {.argsz = 33, .flags = RW, .index = 2, .size = 4096}, 32,
		 false, -EPROTO, 0, 0},
		{"wraps around", {.argsz = 32, .flags = RW, .index = 2, .size = UINT64_MAX,
		 .offset = 4096}, 32, false, -EPROTO, 0, 0},
		{"capabilities outside", {.argsz = 32, .flags = RW | MMAP |
		 VFIO_REGION_INFO_FLAG_CAPS, .index = 2, .size = 4096, .cap_offset = 32}, 32, true,
		 -EPROTO, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vfio_region region = {.size = 99};
		int r = vfio_user_region_parse(&cases[i].info, cases[i].size, 2, cases[i].file,
					       &region);

		if (r != cases[i].result || region.size != (r ? 99 : cases[i].region_size) ||
		    region.areas != cases[i].areas)
			fail_msg("%s: %d, size %llu, areas %u", cases[i].what, r,
				 (unsigned long long)region.size, region.areas);
	}
}

static void test_user_protocol_irq(void **state)
{
	static const struct {
		struct vfio_irq_info info;
		size_t size;
		unsigned int index;
		int result;
	} cases[] = {
		{{16, VFIO_IRQ_INFO_EVENTFD, 2, 8}, 16, 2, 8},
		{{16, VFIO_IRQ_INFO_EVENTFD, 2, 2048}, 16, 2, 2048},
		{{16, VFIO_IRQ_INFO_EVENTFD, 2, UINT32_MAX}, 16, 2, 2048},
		{{16, VFIO_IRQ_INFO_EVENTFD, 1, 33}, 16, 1, 32},
		{{16, VFIO_IRQ_INFO_EVENTFD, 0, 2}, 16, 0, 1},
		{{16, VFIO_IRQ_INFO_EVENTFD, 3, 5}, 16, 3, 1},
		{{16, VFIO_IRQ_INFO_EVENTFD, 4, 0}, 16, 4, 0},
		{{16, 0, 2, 8}, 16, 2, 0},
		{{16, VFIO_IRQ_INFO_EVENTFD, 2, 8}, 15, 2, -EPROTO},
		{{16, VFIO_IRQ_INFO_EVENTFD, 2, 8}, 0, 2, -EPROTO},
		{{16, VFIO_IRQ_INFO_EVENTFD, 1, 8}, 16, 2, -EPROTO},
		{{16, VFIO_IRQ_INFO_EVENTFD, 5, 8}, 16, 5, -EPROTO},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(vfio_user_irq_parse(&cases[i].info, cases[i].size,
						     cases[i].index), cases[i].result);
}

static void test_user_protocol_access(void **state)
{
	static const struct {
		bool is_write;
		struct vfio_user_access reply;
		size_t size;
		int result;
	} cases[] = {
		{false, {0x1000, 2, 8}, 24, 8},
		{false, {0x1000, 2, 3}, 19, 3},
		{false, {0x1000, 2, 0}, 16, 0},
		{false, {0x1000, 2, 8}, 23, -EPROTO},
		{false, {0x1000, 2, 9}, 25, -EPROTO},
		{false, {0x1000, 2, UINT32_MAX}, 24, -EPROTO},
		{false, {0x1008, 2, 8}, 24, -EPROTO},
		{false, {0x1000, 1, 8}, 24, -EPROTO},
		{false, {0x1000, 2, 8}, 16, -EPROTO},
		{false, {0x1000, 2, 0}, 15, -EPROTO},
		{true, {0x1000, 2, 8}, 16, 8},
		{true, {0x1000, 2, 4}, 16, 4},
		{true, {0x1000, 2, 9}, 16, -EPROTO},
		{true, {0x1000, 2, 8}, 24, -EPROTO},
		{true, {0x1000, 2, 8}, 0, -EPROTO},
	};
	const struct vfio_user_access request = {0x1000, 2, 8};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(vfio_user_access_parse(&request, cases[i].is_write,
							&cases[i].reply, cases[i].size),
				 cases[i].result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_user_protocol_header),
		cmocka_unit_test(test_user_protocol_reply),
		cmocka_unit_test(test_user_protocol_version_fill),
		cmocka_unit_test(test_user_protocol_version_parse),
		cmocka_unit_test(test_user_protocol_version_size),
		cmocka_unit_test(test_user_protocol_version_noise),
		cmocka_unit_test(test_user_protocol_device),
		cmocka_unit_test(test_user_protocol_region),
		cmocka_unit_test(test_user_protocol_irq),
		cmocka_unit_test(test_user_protocol_access),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
