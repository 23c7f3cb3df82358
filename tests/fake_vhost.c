#include "tests/fake_vhost.h"

#include <errno.h>
#include <linux/vhost.h>
#include <sys/eventfd.h>

#include "tests/fake_must.h"

struct fake_vhost fake_vhost = {.features = ~0ULL};

void fake_vhost_reset(void)
{
	fake_vhost = (struct fake_vhost){.features = ~0ULL};
}

void fake_vhost_complain(void)
{
	eventfd_write(fake_vhost.share.error_fd, 1);
}

static bool is_refused(unsigned long request)
{
	return fake_vhost.refused == request;
}

int vhost_open(const char *path, uint64_t needed, uint64_t *ret_features)
{
	(void)path;
	if (is_refused(FAKE_VHOST_OPEN))
		return fake_vhost.error;
	if (needed & ~fake_vhost.features)
		return -EOPNOTSUPP;
	*ret_features = fake_vhost.features;
	fake_vhost.opened++;
	fake_vhost.cid = 0;
	return eventfd(0, EFD_CLOEXEC);
}

int vhost_call(int fd, unsigned long request, const void *argument)
{
	(void)fd;
	if (is_refused(request))
		return fake_vhost.error;
	switch (request) {
	case VHOST_VSOCK_SET_GUEST_CID:
		fake_vhost.cid = *(const uint64_t *)argument;
		return 0;
	case VHOST_VSOCK_SET_RUNNING:
		/* The kernel checks the rings it was given. */
		if (*(const int *)argument && !fake_vhost.given)
			return -EFAULT;
		fake_vhost.running = *(const int *)argument;
		return 0;
	default:
		return -ENOTTY;
	}
}

/* What a kernel would have broken if it had a queue that was not enabled, or was busy. */
int vhost_give(const struct vhost_share *share)
{
	must(!fake_vhost.running && share->count <= FAKE_VHOST_QUEUES,
	     "queues given too late, or too many");
	if (is_refused(FAKE_VHOST_GIVE))
		return fake_vhost.error;
	for (unsigned int i = 0; i < share->count; i++) {
		const struct virtio_queue *queue = &share->dev->queue[share->first + i];

		must(queue->enabled && queue->ring.mem, "a queue given that is not enabled");
		fake_vhost.base[i] = queue->ring.next_avail;
	}
	fake_vhost.given = true;
	fake_vhost.share = *share;
	fake_vhost.accepted = share->dev->accepted & share->features;
	return 0;
}

void vhost_take_back(const struct vhost_share *share)
{
	must(!fake_vhost.running && fake_vhost.given, "queues taken back that are not there");
	for (unsigned int i = 0; i < share->count; i++) {
		struct virtqueue *ring = &share->dev->queue[share->first + i].ring;

		ring->next_avail = ring->next_used = ring->notified_used = fake_vhost.base[i];
	}
	fake_vhost.given = false;
}
