#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "devices/net_config.h"
#include "vmm/base/bits.h"
#include "vmm/base/text.h"

static void test_net_config_takes(void **state)
{
	static const struct {
		const char *text, *again; /* what it is written as */
		struct net_config config;
	} cases[] = {
		{"tap=vm0", "tap=vm0,queues=1,vhost=auto",
		 {.kind = NET_TAP, .tap = "vm0", .pairs = 1}},
		{"tap=fifteen-letters", "tap=fifteen-letters,queues=1,vhost=auto",
		 {.kind = NET_TAP, .tap = "fifteen-letters", .pairs = 1}},
		{"tap=vm0,queues=16,vhost=on", "tap=vm0,queues=16,vhost=on",
		 {.kind = NET_TAP, .tap = "vm0", .pairs = 16, .vhost = NET_VHOST_ON}},
		{"tap=vm0,vhost=off,mac=02:0A:ff:00:00:01,queues=1",
		 "tap=vm0,queues=1,vhost=off,mac=02:0a:ff:00:00:01",
		 {.kind = NET_TAP, .tap = "vm0", .pairs = 1, .vhost = NET_VHOST_OFF,
		  .has_mac = true, .mac = {2, 10, 255, 0, 0, 1}}},
		{"tap=vm0,vhost=auto", "tap=vm0,queues=1,vhost=auto",
		 {.kind = NET_TAP, .tap = "vm0", .pairs = 1}},
		{"passt", "passt", {.kind = NET_PASST, .pairs = 1}},
		{"passt,mac=52:54:00:12:34:56", "passt,mac=52:54:00:12:34:56",
		 {.kind = NET_PASST, .pairs = 1, .has_mac = true,
		  .mac = {0x52, 0x54, 0, 0x12, 0x34, 0x56}}},
		{"passt=/tmp/passt_1.socket", "passt=/tmp/passt_1.socket",
		 {.kind = NET_PASST, .socket = "/tmp/passt_1.socket", .pairs = 1}},
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_config config;
		struct text text = {0};
		char why[256];

		memset(&config, 0xa5, sizeof(config));
		assert_int_equal(net_config_parse(cases[i].text, &config, why, sizeof(why)), 0);
		assert_int_equal(config.kind, cases[i].config.kind);
		assert_string_equal(config.tap, cases[i].config.tap);
		assert_string_equal(config.socket, cases[i].config.socket);
		assert_int_equal(config.pairs, cases[i].config.pairs);
		assert_int_equal(config.vhost, cases[i].config.vhost);
		assert_int_equal(config.has_mac, cases[i].config.has_mac);
		assert_memory_equal(config.mac, cases[i].config.mac, NET_MAC_LEN);
		net_config_format(&config, &text);
		assert_string_equal(text.bytes, cases[i].again);
		text_finish(&text);
	}
}

static void test_net_config_refuses(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "--net : neither tap=NAME nor passt[=SOCKET]"},
		{"tap", "--net tap: neither tap=NAME nor passt[=SOCKET]"},
		{"bridge=br0", "--net bridge=br0: neither tap=NAME nor passt[=SOCKET]"},
		{"tap=", NULL}, {"tap=sixteen-letters-", NULL}, {"tap=a/b", NULL}, {"tap=..", NULL},
		{"tap=vm%d", NULL}, {"tap=a b", NULL}, {"tap=a:1", NULL},
		{"tap=vm0,", "--net tap=vm0,: no key \"\"; there are mac, queues, vhost"},
		{"tap=vm0,queues=0", NULL}, {"tap=vm0,queues=17", NULL},
		{"tap=vm0,queues=4294967297", NULL}, {"tap=vm0,queues=", NULL},
		{"tap=vm0,queues=-1", NULL}, {"tap=vm0,queues=2x", NULL},
		{"tap=vm0,vhost=yes", "--net tap=vm0,vhost=yes: vhost takes auto, on or off, not "
				      "\"yes\""},
		{"tap=vm0,mac=", NULL}, {"tap=vm0,mac=02:00:00:00:00", NULL},
		{"tap=vm0,mac=02:00:00:00:00:01:", NULL}, {"tap=vm0,mac=02:00:00:00:00:0g", NULL},
		{"tap=vm0,mac=02-00-00-00-00-01", NULL}, {"tap=vm0,mac=00:00:00:00:00:00", NULL},
		{"tap=vm0,mac=01:00:5e:00:00:01", NULL}, {"tap=vm0,mac=ff:ff:ff:ff:ff:ff", NULL},
		{"passt=", "--net passt=: the path of a socket has 1 to 107 bytes"},
		{"passt,queues=2", "--net passt,queues=2: queues is for tap alone"},
		{"passt,vhost=on", "--net passt,vhost=on: vhost is for tap alone"},
		{"passtx", NULL},
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_config config = {.pairs = 77};
		char why[256] = "";

		assert_int_equal(net_config_parse(cases[i].text, &config, why, sizeof(why)),
				 -EINVAL);
		assert_int_equal(config.pairs, 77);
		assert_true(strlen(why));
		if (cases[i].why)
			assert_string_equal(why, cases[i].why);
	}
}

static void test_net_config_refuses_what_is_too_long(void **state)
{
	struct net_config config;
	char text[512], why[256];

	(void)state;
	memcpy(text, "passt=", 6);
	for (size_t len = 1; len < 400; len++) {
		bool good = len < NET_SOCKET_SIZE;

		memset(text + 6, 'x', len);
		text[6 + len] = '\0';
		assert_int_equal(net_config_parse(text, &config, why, sizeof(why)),
				 good ? 0 : -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_net_config_takes),
		cmocka_unit_test(test_net_config_refuses),
		cmocka_unit_test(test_net_config_refuses_what_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
