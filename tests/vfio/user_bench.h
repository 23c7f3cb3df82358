/*
 * For the tests of the vfio-user back end: a server with a back end on it, and the certainty that
 * no descriptor is left behind. Included after <cmocka.h>.
 */
#ifndef TESTS_VFIO_USER_BENCH_H
#define TESTS_VFIO_USER_BENCH_H

#include <string.h>

#include "tests/fake_user_server.h"
#include "tests/vfio/open_files.h"
#include "vfio/backend.h"
#include "vfio/host.h"
#include "vmm/base/bits.h"

#define CONFIG VFIO_PCI_CONFIG_REGION_INDEX
#define BAR0 VFIO_PCI_BAR0_REGION_INDEX
#define BAR2 VFIO_PCI_BAR2_REGION_INDEX

/* A running server and a back end on it; descriptors are counted from before. */
struct bench {
	struct fake_user_server *server;
	struct vfio_backend *backend;
	unsigned int fds;
	uint32_t resume_s;
};

static inline void bench_create(struct bench *bench)
{
	bench->fds = open_files();
	bench->resume_s = 60;
	bench->backend = NULL;
	bench->server = fake_user_server_create();
}

static inline void bench_open(struct bench *bench)
{
	char why[256] = "";

	fake_user_server_start(bench->server);
	if (vfio_user_backend_open(bench->server->path, "gpu", bench->resume_s, &bench->backend,
				   why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

static inline void bench_start(struct bench *bench)
{
	bench_create(bench);
	bench_open(bench);
}

static inline void bench_end(struct bench *bench)
{
	if (bench->backend)
		bench->backend->ops->close(bench->backend);
	fake_user_server_destroy(bench->server);
	assert_int_equal(open_files(), bench->fds);
}

/* The server's last request of a command, which the back end has had an answer to. */
static inline const struct fake_user_message *last(struct bench *bench, unsigned int command)
{
	return &bench->server->last[command];
}

static inline void expect_no_open(const char *path, int result, const char *says)
{
	struct vfio_backend *backend = (void *)&backend;
	char why[256] = "";
	int r = vfio_user_backend_open(path, "gpu", 1, &backend, why, sizeof(why));

	if (r != result || !strstr(why, says) || !strstr(why, path) || strchr(why, '\n'))
		fail_msg("%d, \"%s\" instead of %d, \"%s\"", r, why, result, says);
	assert_ptr_equal(backend, &backend);
}

#endif
