/* Devices of vhost-user on a back end that lies, cuts, hangs and hangs up, at any step. */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/devices/vhost_user_bench.h"

/* For what does not come; what is late may be late on a busy machine, too. */
static const struct vhost_user_patience short_patience = {100000, 1000, 100000};

enum wrong {
	HANG_UP, SILENCE, OTHER_REQUEST, NO_REPLY_FLAG, OTHER_VERSION, UNKNOWN_FLAG, SHORTER,
	LONGER, HUGE_SIZE, EMPTY, WITH_FILE, WRONGS,
};

struct plan {
	enum wrong wrong;
	enum vhost_user_request request; /* the `nth` of these is answered so */
	unsigned int nth, seen;
};

static void do_wrong(void *opaque, const struct fake_back_end_message *request,
		     struct fake_back_end_message *answer)
{
	struct plan *plan = opaque;

	if (request->header.request != plan->request || plan->seen++ != plan->nth)
		return;
	switch (plan->wrong) {
	case HANG_UP:
		answer->silent = answer->hang_up = true;
		break;
	case SILENCE:
		answer->silent = true;
		break;
	case OTHER_REQUEST:
		answer->header.request ^= 0x100;
		break;
	case NO_REPLY_FLAG:
		answer->header.flags &= ~VHOST_USER_REPLY;
		break;
	case OTHER_VERSION:
		answer->header.flags ^= 3;
		break;
	case UNKNOWN_FLAG:
		answer->header.flags |= 0x100;
		break;
	case SHORTER:
		answer->header.size -= 4;
		break;
	case LONGER:
		answer->header.size += 4;
		break;
	case HUGE_SIZE:
		answer->header.size = 0xfffffff0;
		break;
	case EMPTY:
		answer->header.size = 0;
		break;
	case WITH_FILE:
		answer->fd[answer->fds++] = STDERR_FILENO;
		break;
	case WRONGS:
		break;
	}
}

static const enum vhost_user_request at_first[] = {
	VHOST_USER_GET_FEATURES, VHOST_USER_GET_PROTOCOL_FEATURES, VHOST_USER_SET_OWNER,
	VHOST_USER_GET_QUEUE_NUM, VHOST_USER_SET_BACKEND_REQ_FD, VHOST_USER_GET_CONFIG,
};

static const enum vhost_user_request at_start[] = {
	VHOST_USER_SET_FEATURES, VHOST_USER_SET_MEM_TABLE, VHOST_USER_SET_VRING_NUM,
	VHOST_USER_SET_VRING_BASE, VHOST_USER_SET_VRING_ADDR, VHOST_USER_SET_VRING_CALL,
	VHOST_USER_SET_VRING_ERR, VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_ENABLE,
};

static void begin_plan(struct fixture *f, const struct plan *plan)
{
	static struct plan present;

	present = *plan;
	f->back_end->hook = do_wrong;
	f->back_end->hook_opaque = &present;
	fake_back_end_start(f->back_end);
}

static void set_patience(struct fixture *f, enum wrong wrong)
{
	f->patience = wrong == SILENCE ? short_patience : long_patience;
}

static void end_plan(struct fixture *f)
{
	f->patience = long_patience;
	virtio_vhost_user_destroy(f->device);
	f->device = NULL;
	fake_back_end_stop(f->back_end);
	f->back_end->hook = NULL;
}

static void test_vhost_user_wrong_at_first(void **state)
{
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(at_first); i++)
		for (enum wrong wrong = HANG_UP; wrong < WRONGS; wrong++) {
			begin_plan(f, &(struct plan){.wrong = wrong, .request = at_first[i]});
			set_patience(f, wrong);
			if (!create(f, VHOST_USER_BLOCK, 1))
				fail_msg("request %d, wrong %d: taken", at_first[i], wrong);
			assert_null(strchr(f->why, '\n'));
			assert_non_null(strstr(f->why, ": the back end "));
			assert_null(f->device);
			end_plan(f);
		}
}

/* The device needs a reset; nothing else does. */
static void test_vhost_user_wrong_at_start(void **state)
{
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(at_start); i++)
		for (enum wrong wrong = HANG_UP; wrong < WRONGS; wrong++)
			for (unsigned int nth = 0; nth < (i < 2 ? 1 : 2); nth++) {
				begin_plan(f, &(struct plan){.wrong = wrong, .nth = nth,
							     .request = at_start[i]});
				assert_int_equal(create(f, VHOST_USER_BLOCK, 2), 0);
				set_patience(f, wrong);
				bring_up(f, V1);
				assert_false(f->dev->running);
				if (!needs_reset(f))
					fail_msg("request %d, wrong %d: well", at_start[i], wrong);
				f->patience = long_patience;
				/* The next driver finds it again. */
				bring_up(f, V1);
				assert_true(f->dev->running);
				do_request(f, 1);
				virtio_dev_reset(f->dev);
				end_plan(f);
			}
}

static void test_vhost_user_wrong_at_stop(void **state)
{
	struct fixture *f = *state;

	for (enum wrong wrong = HANG_UP; wrong < WRONGS; wrong++) {
		begin_plan(f, &(struct plan){.wrong = wrong,
					     .request = VHOST_USER_GET_VRING_BASE});
		assert_int_equal(create(f, VHOST_USER_BLOCK, 2), 0);
		bring_up(f, V1);
		do_request(f, 0);
		set_patience(f, wrong);
		virtio_dev_set_bus_master(f->dev, false);
		f->patience = long_patience;
		assert_false(f->dev->running);
		assert_true(needs_reset(f));
		bring_up(f, V1);
		assert_true(f->dev->running);
		do_request(f, 0);
		virtio_dev_reset(f->dev);
		end_plan(f);
	}
}

/* An answer that ends after any of its bytes, and with it the connection. */
struct cut {
	unsigned int nth, seen;
	size_t bytes, size;
};

static void cut_answer(void *opaque, const struct fake_back_end_message *request,
		       struct fake_back_end_message *answer)
{
	struct cut *cut = opaque;

	(void)request;
	if (!answer->header.request || cut->seen++ != cut->nth)
		return;
	cut->size = sizeof(answer->header) + answer->header.size;
	answer->send = cut->bytes;
	answer->hang_up = true;
}

static void test_vhost_user_cut(void **state)
{
	struct fixture *f = *state;

	/* Six answers at first, then those of a start with one queue. */
	for (unsigned int nth = 0; nth < 15; nth++) {
		struct cut cut = {.nth = nth};

		for (size_t bytes = 0, size = 1; bytes < size; bytes++) {
			cut.seen = 0;
			cut.bytes = bytes;
			f->back_end->hook = cut_answer;
			f->back_end->hook_opaque = &cut;
			fake_back_end_start(f->back_end);
			if (nth < 6) {
				assert_int_equal(create(f, VHOST_USER_BLOCK, 1), -ECONNRESET);
				assert_non_null(strstr(f->why, "closed the connection"));
			} else {
				assert_int_equal(create(f, VHOST_USER_BLOCK, 1), 0);
				bring_up(f, V1);
				assert_true(needs_reset(f));
			}
			size = cut.size;
			assert_true(size >= sizeof(struct vhost_user_header) + 8);
			end_plan(f);
		}
	}
}

/* What is well formed, and wrong all the same. */
static void lie(void *opaque, const struct fake_back_end_message *request,
		struct fake_back_end_message *answer)
{
	const unsigned int *kind = opaque;
	uint32_t *words = (uint32_t *)(void *)answer->payload;

	switch (*kind) {
	case 0: /* another offset */
	case 1: /* another size */
		if (request->header.request == VHOST_USER_GET_CONFIG)
			words[*kind]++;
		break;
	case 2: /* a refusal */
		if (request->header.request == VHOST_USER_GET_CONFIG)
			answer->header.size = offsetof(struct vhost_user_config_space, bytes);
		break;
	case 3: /* another queue */
		if (request->header.request == VHOST_USER_GET_VRING_BASE)
			words[0]++;
		break;
	case 4: /* an index of more than 16 bits */
		if (request->header.request == VHOST_USER_GET_VRING_BASE)
			words[1] = 0x10000;
		break;
	case 5: /* a ring that is not taken */
		if (request->header.request == VHOST_USER_SET_VRING_ADDR)
			words[0] = 1;
		break;
	case 6: /* an owner that is not */
		if (request->header.request == VHOST_USER_SET_OWNER)
			words[1] = 1;
		break;
	}
}

static void test_vhost_user_lies(void **state)
{
	static const struct {
		int created;
		bool starts;
		const char *why;
	} cases[] = {
		{-EPROTO, false, "sent what is no answer"},
		{-EPROTO, false, "sent what is no answer"},
		{-EREMOTEIO, false, "refuses to answer"},
		{0, true, NULL}, {0, true, NULL}, {0, false, NULL},
		{-EREMOTEIO, false, "refuses the session"},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		f->back_end->hook = lie;
		f->back_end->hook_opaque = &i;
		fake_back_end_start(f->back_end);
		assert_int_equal(create(f, VHOST_USER_BLOCK, 1), cases[i].created);
		if (cases[i].why)
			assert_non_null(strstr(f->why, cases[i].why));
		if (!cases[i].created) {
			bring_up(f, V1);
			assert_int_equal(f->dev->running, cases[i].starts);
			virtio_dev_set_bus_master(f->dev, false);
			assert_true(needs_reset(f));
			assert_false(f->dev->running);
		}
		end_plan(f);
	}
}

static void test_vhost_user_dies_at_the_cache(void **state)
{
	struct fixture *f = *state;
	uint8_t wce = 0;

	begin_plan(f, &(struct plan){.wrong = HANG_UP, .request = VHOST_USER_SET_CONFIG});
	assert_int_equal(create(f, VHOST_USER_BLOCK, 1), 0);
	bring_up(f, V1 | FEATURE(VIRTIO_BLK_F_CONFIG_WCE));
	virtio_dev_write_config(f->dev, offsetof(struct virtio_blk_config, wce), 1, &wce);
	assert_true(needs_reset(f));
	virtio_dev_read_config(f->dev, offsetof(struct virtio_blk_config, wce), 1, &wce);
	assert_int_equal(wce, 1);
	end_plan(f);
}

/* A back end that does not answer is asked once in a reset, for all of its queues; the next reset
 * finds whoever is there by then. */
static void test_vhost_user_asks_a_silent_one_once(void **state)
{
	struct fixture *f = *state;

	begin_plan(f, &(struct plan){.wrong = SILENCE, .request = VHOST_USER_GET_VRING_BASE});
	assert_int_equal(create(f, VHOST_USER_BLOCK, 2), 0);
	bring_up(f, V1);
	do_request(f, 0);
	f->patience = short_patience;
	virtio_dev_reset(f->dev);
	f->patience = long_patience;
	assert_false(needs_reset(f)); /* the reset was that */
	assert_int_equal(fake_back_end_count(f->back_end, VHOST_USER_GET_VRING_BASE), 1);
	assert_int_equal(fake_back_end_count(f->back_end, VHOST_USER_SET_OWNER), 1);
	bring_up(f, V1);
	assert_true(f->dev->running);
	assert_int_equal(fake_back_end_count(f->back_end, VHOST_USER_SET_OWNER), 2);
	do_request(f, 0);
	virtio_dev_reset(f->dev);
	end_plan(f);
}

/* With requests in flight it has the time of a disk, without them that of an answer: where the
 * other one is for hours. */
static void test_vhost_user_has_time_for_requests_alone(void **state)
{
	const uint64_t hours = 1ULL << 34;
	struct fixture *f = *state;
	struct driver_ring *ring = &f->driver.ring[0];

	for (unsigned int in_flight = 0; in_flight < 2; in_flight++) {
		begin_plan(f, &(struct plan){.wrong = SILENCE,
					     .request = VHOST_USER_GET_VRING_BASE});
		f->back_end->asleep = in_flight;
		assert_int_equal(create(f, VHOST_USER_BLOCK, 1), 0);
		bring_up(f, V1);
		if (in_flight) {
			driver_ring_set(ring, 0, ring->gpa, 16, 0, 0);
			driver_ring_offer(ring, 0);
			f->patience = (struct vhost_user_patience){hours, 1000, 100000};
		} else {
			f->patience = (struct vhost_user_patience){100000, 1000, hours};
		}
		virtio_dev_reset(f->dev);
		assert_false(f->dev->running);
		end_plan(f);
	}
}

/* At the end of the machine nobody waits. */
static void test_vhost_user_leaves(void **state)
{
	struct fixture *f = *state;

	begin_plan(f, &(struct plan){.wrong = SILENCE, .request = VHOST_USER_GET_VRING_BASE});
	assert_int_equal(create(f, VHOST_USER_BLOCK, 1), 0);
	bring_up(f, V1);
	do_request(f, 0);
	virtio_vhost_user_leave(f->device);
	virtio_dev_set_bus_master(f->dev, false);
	assert_false(f->dev->running);
	assert_false(needs_reset(f));
	assert_int_equal(fake_back_end_count(f->back_end, VHOST_USER_GET_VRING_BASE), 0);
	end_plan(f);
}

static void *leave_once_asked(void *opaque)
{
	struct fixture *f = opaque;

	while (!fake_back_end_count(f->back_end, VHOST_USER_GET_VRING_BASE))
		usleep(1000);
	virtio_vhost_user_leave(f->device);
	return NULL;
}

/* ... who waited already does not either: here it would be for hours. */
static void test_vhost_user_leaves_while_a_cpu_waits(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;

	begin_plan(f, &(struct plan){.wrong = SILENCE, .request = VHOST_USER_GET_VRING_BASE});
	assert_int_equal(create(f, VHOST_USER_BLOCK, 1), 0);
	f->patience.answer_us = 1ULL << 34;
	bring_up(f, V1);
	assert_int_equal(pthread_create(&thread, NULL, leave_once_asked, f), 0);
	virtio_dev_set_bus_master(f->dev, false);
	pthread_join(thread, NULL);
	assert_false(f->dev->running);
	assert_false(needs_reset(f));
	virtio_dev_reset(f->dev); /* and no back end is looked for */
	assert_int_equal(fake_back_end_count(f->back_end, VHOST_USER_SET_OWNER), 1);
	end_plan(f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_vhost_user_wrong_at_first),
		TEST(test_vhost_user_wrong_at_start),
		TEST(test_vhost_user_wrong_at_stop),
		TEST(test_vhost_user_cut),
		TEST(test_vhost_user_lies),
		TEST(test_vhost_user_dies_at_the_cache),
		TEST(test_vhost_user_asks_a_silent_one_once),
		TEST(test_vhost_user_has_time_for_requests_alone),
		TEST(test_vhost_user_leaves),
		TEST(test_vhost_user_leaves_while_a_cpu_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
