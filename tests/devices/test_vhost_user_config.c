#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "devices/vhost_user_config.h"
#include "vmm/base/bits.h"
#include "vmm/base/text.h"

#define LONG_PATH                                                                             \
	"/a234567890123456789012345678901234567890123456789012345678901234567890123456789012" \
	"345678901234567890123456"
_Static_assert(sizeof(LONG_PATH) == VHOST_USER_SOCKET_SIZE, "as long as it may be");

static void test_vhost_user_config_takes(void **state)
{
	static const struct {
		const char *text, *again; /* what it is written as */
		struct vhost_user_config config;
	} cases[] = {
		{"block,/run/a", "block,socket=/run/a,queues=1",
		 {.type = VHOST_USER_BLOCK, .socket = "/run/a", .queues = 1}},
		{"blk,a,queues=16", "block,socket=a,queues=16",
		 {.type = VHOST_USER_BLOCK, .socket = "a", .queues = 16}},
		{"fs,/run/a,tag=t", "fs,socket=/run/a,tag=t,queues=1",
		 {.type = VHOST_USER_FS, .socket = "/run/a", .tag = "t", .queues = 1}},
		{"fs,socket=/run/a,queues=2,tag=012345678901234567890123456789012345",
		 "fs,socket=/run/a,tag=012345678901234567890123456789012345,queues=2",
		 {.type = VHOST_USER_FS, .socket = "/run/a",
		  .tag = "012345678901234567890123456789012345", .queues = 2}},
		{"block," LONG_PATH, "block,socket=" LONG_PATH ",queues=1",
		 {.type = VHOST_USER_BLOCK, .socket = LONG_PATH, .queues = 1}},
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct vhost_user_config *wanted = &cases[i].config;
		struct vhost_user_config config;
		struct text text = {0};
		char why[256];

		memset(&config, 0xa5, sizeof(config));
		assert_int_equal(vhost_user_config_parse(cases[i].text, &config, why, sizeof(why)),
				 0);
		assert_int_equal(config.type, wanted->type);
		assert_string_equal(config.socket, wanted->socket);
		assert_string_equal(config.tag, wanted->tag);
		assert_int_equal(config.queues, wanted->queues);
		vhost_user_config_format(&config, &text);
		assert_string_equal(text.bytes, cases[i].again);
		assert_int_equal(vhost_user_config_parse(text.bytes, &config, why, sizeof(why)),
				 0);
		assert_string_equal(config.socket, wanted->socket);
		text_finish(&text);
	}
}

static void test_vhost_user_config_refuses(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "--vhost-user : no type \"\"; there are block, fs"},
		{"net,/run/a", "--vhost-user net,/run/a: no type \"net\"; there are block, fs"},
		{"blockx,/run/a", NULL},
		{"/run/a", NULL},
		{"block", "--vhost-user block: no socket; as in --vhost-user block,PATH"},
		{"fs", NULL},
		{"block,", "--vhost-user block,: the path of a socket has 1 to 107 bytes"},
		{"block,socket=", NULL},
		{"block," LONG_PATH "x", NULL},
		{"block,socket=" LONG_PATH "x", NULL},
		{"block," LONG_PATH LONG_PATH, NULL},
		{"block,/a,", "--vhost-user block,/a,: no key \"\"; there are socket, tag, queues"},
		{"block,/a,ro", NULL},
		{"block,/a,tag=t", "--vhost-user block,/a,tag=t: tag is for fs alone"},
		{"fs,/a", "--vhost-user fs,/a: no tag=NAME, by which the guest mounts it"},
		{"fs,/a,tag=", NULL},
		{"fs,/a,tag=0123456789012345678901234567890123456",
		 "--vhost-user fs,/a,tag=0123456789012345678901234567890123456: tag takes a name "
		 "of 1 to 36 bytes, not \"0123456789012345678901234567890123456\""},
		{"block,/a,queues=0", NULL}, {"block,/a,queues=17", NULL},
		{"block,/a,queues=", NULL}, {"block,/a,queues=4294967297", NULL},
		{"block,/a,queues=-1", NULL}, {"block,/a,queues=2x", NULL},
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vhost_user_config config = {.queues = 77};
		char why[512] = "";

		if (vhost_user_config_parse(cases[i].text, &config, why, sizeof(why)) != -EINVAL)
			fail_msg("taken: %s", cases[i].text);
		if (cases[i].why)
			assert_string_equal(why, cases[i].why);
		assert_non_null(strstr(why, "--vhost-user "));
		assert_int_equal(config.queues, 77);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vhost_user_config_takes),
		cmocka_unit_test(test_vhost_user_config_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
