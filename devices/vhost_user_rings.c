/*
 * Queues that a back end of vhost-user serves: handed over, and taken back.
 */
#include <errno.h>
#include <poll.h>

#include "devices/vhost_user_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/clock.h"
#include "vmm/base/log.h"
#include "vmm/mem.h"

#define FEATURE(bit) (1ULL << (bit))
#define LOOK_MS 1 /* between two looks at what is in flight */

/* Our own addresses are none of the back end's business: what it is told are guest physical ones,
 * moved so that none is 0. */
#define ADDRESS_BASE 0x100000000000ULL

/* All of it, once a connection: it is there as long as the machine. */
static int share_memory(struct vhost_user *user, const struct mem *mem, uint64_t deadline_us)
{
	struct vhost_user_memory table = {.regions = 0};
	int fds[VHOST_USER_REGIONS_MAX], error;
	struct mem_block block;

	if (user->shared)
		return 0;
	while (mem_block_get(mem, table.regions, &block)) {
		if (table.regions == VHOST_USER_REGIONS_MAX)
			return -E2BIG;
		fds[table.regions] = mem_fd(mem);
		table.region[table.regions++] = (struct vhost_user_region){
			.gpa = block.gpa, .size = block.size, .address = ADDRESS_BASE + block.gpa,
			.fd_offset = block.fd_offset};
	}
	error = vhost_user_call(user, (struct vhost_user_call){
		.request = VHOST_USER_SET_MEM_TABLE, .payload = &table,
		.size = offsetof(struct vhost_user_memory, region) +
			table.regions * sizeof(table.region[0]),
		.fds = fds, .fd_count = table.regions, .deadline_us = deadline_us});
	user->shared = !error;
	return error;
}

static int start_queue(struct vhost_user *user, const struct virtio_queue *queue,
		       unsigned int index, uint64_t deadline_us)
{
	const struct vhost_vring_addr addr = {
		.index = index, .desc_user_addr = ADDRESS_BASE + queue->desc,
		.used_user_addr = ADDRESS_BASE + queue->used,
		.avail_user_addr = ADDRESS_BASE + queue->avail};
	int error = vhost_user_set_state(user, VHOST_USER_SET_VRING_NUM, index, queue->ring.size,
					 deadline_us);

	if (!error)
		error = vhost_user_set_state(user, VHOST_USER_SET_VRING_BASE, index,
					     queue->ring.next_avail, deadline_us);
	if (!error)
		error = vhost_user_set(user, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr),
				       deadline_us);
	if (!error)
		error = vhost_user_set_fd(user, VHOST_USER_SET_VRING_CALL, index, queue->call_fd,
					  deadline_us);
	if (!error)
		error = vhost_user_set_fd(user, VHOST_USER_SET_VRING_ERR, index, user->error_fd,
					  deadline_us);
	/* vhost-user, Ring states: from here on it may run. */
	if (!error)
		error = vhost_user_set_fd(user, VHOST_USER_SET_VRING_KICK, index, queue->kick_fd,
					  deadline_us);
	if (!error)
		error = vhost_user_set_state(user, VHOST_USER_SET_VRING_ENABLE, index, 1,
					     deadline_us);
	return error;
}

int vhost_user_start(struct vhost_user *user, const struct virtio_dev *dev)
{
	uint64_t features = dev->accepted | FEATURE(VHOST_USER_F_PROTOCOL_FEATURES);
	uint64_t deadline_us = clock_us() + user->patience->answer_us;
	int error = vhost_user_set(user, VHOST_USER_SET_FEATURES, &features, sizeof(features),
				   deadline_us);

	if (!error)
		error = share_memory(user, dev->mem, deadline_us);
	for (unsigned int i = 0; i < dev->queues && !error; i++)
		if (dev->queue[i].enabled)
			error = start_queue(user, &dev->queue[i], i, deadline_us);
	/* Some rings may run already, and only an end of all stops them for sure. */
	if (error)
		vhost_user_fail(user, error, "refuses the rings");
	return error;
}

static int stop_queue(struct vhost_user *user, unsigned int index, uint16_t *ret_base,
		      uint64_t deadline_us)
{
	const struct vhost_vring_state request = {.index = index};
	struct vhost_vring_state reply;
	int error = vhost_user_call(user, (struct vhost_user_call){
		.request = VHOST_USER_GET_VRING_BASE, .payload = &request, .size = sizeof(request),
		.reply = &reply, .reply_size = sizeof(reply), .deadline_us = deadline_us});

	if (!error && vhost_user_base_check(index, &reply, ret_base))
		error = vhost_user_fail(user, -EPROTO, "sent what is no answer");
	return error;
}

/*
 * What was taken is to be given back before the guest may use its memory for something else, and
 * not every back end waits for that when it is asked to stop: qemu-storage-daemon 7.2 does not, and
 * gives up when a request ends afterwards, as it has closed the queue's descriptor. So it is left
 * alone until it has done all there is to do; that is for the driver to see, in the used index, and
 * nobody tells this program of it. A driver that has requests which are never answered waits in
 * vain, and goes on.
 */
static bool await_used(const struct vhost_user *user, const struct virtio_dev *dev, bool stopped,
		       uint64_t deadline_us)
{
	struct pollfd end = {.fd = user->fd};

	for (unsigned int i = 0; i < dev->queues; i++) {
		const struct virtqueue *ring = &dev->queue[i].ring;

		if (!dev->queue[i].enabled)
			continue;
		while (virtqueue_used_index(ring) !=
		       (stopped ? ring->next_used : virtqueue_avail_index(ring))) {
			if (poll(&end, 1, LOOK_MS) == 1 || clock_us() >= deadline_us)
				return false;
		}
	}
	return true;
}

int vhost_user_stop(struct vhost_user *user, struct virtio_dev *dev)
{
	uint64_t now_us = clock_us();
	uint64_t ending_us = now_us + user->patience->ending_us;
	uint64_t deadline_us = now_us + user->patience->stop_us;
	int error = 0;

	if (user->failed)
		return -EIO;
	/* With nothing in flight it has no reason to wait for anybody. */
	if (await_used(user, dev, false, ending_us))
		deadline_us = clock_us() + user->patience->answer_us;
	for (unsigned int i = 0; i < dev->queues && !error; i++) {
		struct virtqueue *ring = &dev->queue[i].ring;
		uint16_t base;

		if (!dev->queue[i].enabled)
			continue;
		error = stop_queue(user, i, &base, deadline_us);
		if (!error)
			ring->next_avail = ring->next_used = ring->notified_used = base;
	}
	if (!error && !await_used(user, dev, true, ending_us))
		log_guest("%s %s: stopped with requests in flight", dev->ops->type, dev->name);
	return error;
}
