/*
 * A client of the model GPU that speaks the raw protocol, for the checks. Every test is a process
 * of its own with a model of its own; what is not as expected ends it with its reason.
 */
#ifndef GUEST_TESTS_MODEL_GPU_CHECK_CLIENT_H
#define GUEST_TESTS_MODEL_GPU_CHECK_CLIENT_H

#include <linux/pci_regs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "guest-tests/model-gpu/protocol.h"

#define RAM_SIZE 0x10000U
#define RAM_IOVA 0x100000U
#define VRAM_BIT (1ULL << 63)

/* Ends the test: "FAIL model/NAME: why". */
_Noreturn void check_failed(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
#define expect(condition) \
	((condition) ? (void)0 : check_failed(__FILE__, __LINE__, "%s", #condition))
#define expect_equal(value, wanted) \
	check_equal(__FILE__, __LINE__, #value, (uint64_t)(value), (uint64_t)(wanted))
void check_equal(const char *file, int line, const char *what, uint64_t value, uint64_t wanted);

/* --- the model --- */

/* Starts it and waits for "ready"; `args` ends with NULL. */
void model_start(const char *program, const char *const *args);
/* The descriptors that it has open, and its mappings. */
void model_usage(unsigned int *ret_fds, unsigned int *ret_maps);
/* Tells it to quit and expects that it ends well. */
void model_quit(void);
/* The answer to a control command; valid until the next. */
const char *control(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* And it must be "ok ...". */
void control_ok(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The number behind "NAME": of a function in the status; booleans are 0 and 1. */
uint64_t status(unsigned int function, const char *name);

/* --- a connection --- */

struct client {
	int fd;
	uint16_t id;
};

/* Connects; `client_open` also negotiates the version. */
struct client client_connect(unsigned int function);
struct client client_open(unsigned int function);
void client_close(struct client *client);
struct client control_connect(void);
void client_send(struct client *client, uint16_t command, const void *payload, size_t size,
		 const int *fds, unsigned int fd_count);
void client_send_raw(struct client *client, const void *bytes, size_t size);
/* The reply to the last request: 0 or negative errno; its payload, of exactly `size` bytes. */
int client_receive(struct client *client, uint16_t command, void *reply, size_t size);
/* As it is, header included; the number of bytes. -1: the connection has ended. */
ssize_t client_receive_raw(struct client *client, void *bytes, size_t size, int *ret_fd);
int client_request(struct client *client, uint16_t command, const void *payload, size_t size,
		   void *reply, size_t reply_size);
bool readable(int fd);   /* now */
void await(int fd);      /* until it is */

/* --- the commands --- */

int region_read(struct client *client, uint32_t region, uint64_t off, void *data, uint32_t len);
int region_write(struct client *client, uint32_t region, uint64_t off, const void *data,
		 uint32_t len);
uint32_t reg_read(struct client *client, uint64_t off);              /* of BAR0 */
void reg_write(struct client *client, uint64_t off, uint32_t value);
uint32_t config_read(struct client *client, uint64_t off, uint32_t len);
void config_write(struct client *client, uint64_t off, uint32_t value, uint32_t len);
int dma_map(struct client *client, int fd, uint64_t fd_offset, uint64_t iova, uint64_t size);
int dma_unmap(struct client *client, uint64_t iova, uint64_t size);
int irqs_set(struct client *client, uint32_t index, uint32_t flags, uint32_t start,
	     uint32_t count, const int *fds, unsigned int fd_count);
int feature(struct client *client, uint32_t flags, int eventfd);
int entry(struct client *client);
int entry_with_wakeup(struct client *client, int eventfd);
int leave(struct client *client); /* LOW_POWER_EXIT */

/* A file of RAM_SIZE bytes, mapped here too, and at RAM_IOVA for the device. */
uint8_t *ram_share(struct client *client, int *ret_fd);
int make_eventfd(void);
/* What was signalled since the last time. */
uint64_t drained(int eventfd);

/* --- the tests --- */

struct test {
	const char *name;
	void (*run)(void);
	const char *args[8]; /* of the model */
};

extern const struct test device_tests[], dma_tests[], power_tests[], fault_tests[],
	hostile_tests[];

#endif
