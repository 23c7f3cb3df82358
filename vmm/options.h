/*
 * What machine is wanted: from a config (vmm/config.h) and the command line, parsed and checked
 * into plain data, before anything else is opened.
 */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/block_image.h"
#include "devices/net_config.h"
#include "devices/vhost_user_config.h"
#include "devices/virtio_vsock.h"
#include "vfio/vfio.h"
#include "vmm/cpu_list.h"
#include "vmm/firmware_files.h"
#include "vmm/layout.h"

struct options_kept;
struct text;

struct options {
	bool help, version, print_config;
	const char *config;
	const char *kernel;      /* --kernel, or the positional guest image */
	const char *initrd, *append, *events;
	const char *api;         /* path of the control socket, or NULL; its length is checked */
	const char *quirks;      /* file of the user's own rules, or NULL */
	struct firmware_option firmware;
	uint64_t memory;         /* bytes */
	uint64_t memory_page;    /* bytes of a huge page, or 0: the host's usual ones */
	bool prefault;
	unsigned int cpus;
	struct cpu_list pin;     /* where each runs; empty: anywhere */
	bool has_halt_poll;      /* else as the host's module says */
	uint32_t halt_poll_us;
	unsigned int shutdown_timeout_s;
	bool no_reboot, debug_exit;
	enum panic_action { PANIC_IGNORE, PANIC_EXIT, PANIC_REBOOT } on_panic;
	enum watchdog_action { WATCHDOG_OFF, WATCHDOG_REBOOT, WATCHDOG_EXIT } watchdog;
	enum vfio_backend_kind vfio_backend;
	unsigned int hotplug_ports; /* empty slots, after those of `slot`; SLOT_MAX in all */
	unsigned int slots;
	struct vfio_slot_config slot[SLOT_MAX];
	unsigned int disks;
	struct disk_config disk[DISK_MAX];
	const char *cloud_init;  /* a directory, or NULL */
	unsigned int nets;
	struct net_config net[NET_MAX];
	unsigned int vhost_users;
	struct vhost_user_config vhost_user[VHOST_USER_MAX];
	enum console_kind { CONSOLE_SERIAL, CONSOLE_VIRTIO } console; /* whose the terminal is */
	uint32_t vsock_cid;      /* address of the guest among sockets, or 0: it has none */
	bool entropy;
	/* What of the config's the command line may still replace, each once: after that it is its
	 * own. What may be set again anyhow needs no mark. */
	struct {
		bool kernel;
		uint32_t slots, disks, nets, vhost_users; /* one bit each */
	} inherited;
	struct options_kept *kept; /* texts of the config */
};

/*
 * Fills `ret_options` from the config that the command line names, then from the command line;
 * strings point into `argv` and into `kept`. Returns 0, or -EINVAL or -ENOMEM with a sentence in
 * `ret_why`: wrong usage. options_finish() is due after either.
 */
int options_parse(int argc, char *const argv[], struct options *ret_options, char *ret_why,
		  size_t why_size);

/* Frees what `options` keeps; its texts are gone. */
void options_finish(struct options *options);

/* The text of --help. */
const char *options_help(void);

/*
 * For a config, which says the same as the command line in other words. Options are known by their
 * name, without the dashes.
 */

/* The name of option number `index`, NULL after the last. */
const char *options_name(unsigned int index);

/* It can be repeated. */
bool options_is_list(const char *name);

/* As if the command line had --NAME `value` (NULL: without a value), of which a copy is kept. There
 * is such an option. 0, or -EINVAL or -ENOMEM with a sentence that begins with it. */
int options_set(struct options *options, const char *name, const char *value, char *ret_why,
		size_t why_size);

/* Appends the value of an option, or number `index` of one that can be repeated, as the command
 * line could have it; what is a default, too. False: it has none, or not so many. */
bool options_get(const struct options *options, const char *name, unsigned int index,
		 struct text *ret_text);

#endif
