/*
 * Inside tools/: what the files of `minivmm bind` and `minivmm unbind` share. bind.c has the
 * commands, bind_look.c reads what is there, bind_danger.c knows what must not be taken from the
 * host, bind_holders.c who has a file open, bind_act.c does it, bind_record.c remembers how it was,
 * bind_host.c is the real host. One thread.
 */
#ifndef TOOLS_BIND_H
#define TOOLS_BIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BIND_DRIVER "vfio-pci"
#define BIND_STATE_DIR "/run/minivmm/bind"
#define BIND_FUNCTIONS 64 /* of a slot and its IOMMU groups; more are counted only */
#define BIND_WHY_MAX 320

struct bind_host;

/* What is done to the host; tests bring a kernel of their own. */
struct bind_ops {
	/* Could that file of sysfs be written? 0, -EACCES, -EROFS, -ENOENT. */
	int (*may_write)(struct bind_host *host, const char *path);
	/* Writes it; returns when the kernel has done what was asked. Says so when that takes long.
	 * 0 or negative errno. */
	int (*write)(struct bind_host *host, const char *path, const char *text);
	/* Loads a module. 0 or negative errno; -ENOENT: the program modprobe said no. */
	int (*load)(struct bind_host *host, const char *module);
	/* Keeps everybody else from opening devices of an IOMMU group by VFIO, until let_go(). A
	 * descriptor; -EBUSY: somebody has one open; -ENOENT: VFIO has no such group. */
	int (*hold)(struct bind_host *host, int group);
	void (*let_go)(struct bind_host *host, int fd);
	/* Is the block device in exclusive use, of whatever kind? False, too, where it cannot be
	 * asked. */
	bool (*is_claimed)(struct bind_host *host, const char *name);
	/* A line for the person. */
	void (*say)(struct bind_host *host, const char *line);
};

struct bind_host {
	const struct bind_ops *ops;
	const char *sysfs, *proc; /* "/sys", "/proc" but in tests */
	const char *state;        /* BIND_STATE_DIR but in tests */
};

extern const struct bind_ops bind_kernel_ops;

/* What is remembered of a function from before it was bound, and of which card it was. */
struct bind_record {
	uint16_t vendor, device;
	char driver[32], override[32]; /* "": none */
};

struct bind_function {
	char name[16];      /* "0000:01:00.0" */
	uint32_t class;
	uint16_t vendor, device;
	char driver[32];    /* "" without */
	char override[32];  /* driver_override; "" without */
	int group;          /* IOMMU group; -1 without */
	int node;           /* N of /dev/vfio/devices/vfioN; -1 without */
	bool in_slot;       /* else it only shares an IOMMU group with the slot */
	bool harmless;      /* its driver does not keep the group from VFIO */
	char danger[BIND_WHY_MAX];  /* why it must stay with the host; "": nothing */
	bool forceable;     /* --force takes it all the same */
	char warning[BIND_WHY_MAX]; /* what else to know; "": nothing */
	struct bind_record before;  /* of bind_take() */
};

struct bind_slot {
	char name[16];      /* "0000:01:00" */
	unsigned int count; /* functions of the slot first */
	unsigned int beyond; /* members of its groups for which there was no room */
	struct bind_function fn[BIND_FUNCTIONS];
};

/* --- bind_look.c --- */

/*
 * Reads the slot of `bdf` and who shares its IOMMU groups; nothing wakes. 0; -EINVAL: no address;
 * -ENODEV: no such device. With a sentence.
 */
int bind_look(const struct bind_host *host, const char *bdf, struct bind_slot *ret_slot,
	      char *ret_why, size_t why_size);

/* The driver that a function has now; "": none, or the function is gone. */
void bind_driver(const struct bind_host *host, const char *name, char *ret_driver, size_t size);
bool bind_exists(const struct bind_host *host, const char *name);

/* --- bind_danger.c --- */

/* Fills danger and warning of a function that is to be taken from the host. */
void bind_check(struct bind_host *host, struct bind_function *fn);

/* --- bind_holders.c --- */

/* Programs that hold `path` open: "Xorg (pid 812), ...". False: none that may be seen. */
bool bind_holders(const struct bind_host *host, const char *path, char *ret_text, size_t size);

/* --- bind_record.c --- */

/*
 * For one command at a time, from before it looks at the host. A descriptor; whoever closes it last
 * lets the next one in, and a process that still writes to the kernel for it has it, too. Negative
 * errno; -EWOULDBLOCK: another command is at work.
 */
int bind_record_lock(const struct bind_host *host);
/* `record` is of function `name`. 0 or negative errno. */
int bind_record_keep(const struct bind_host *host, const char *name,
		     const struct bind_record *record);
/* False: there is none, it is no record, or it is of another card than the one that is there. */
bool bind_record_find(const struct bind_host *host, const struct bind_function *fn,
		      struct bind_record *ret_record);
/* Is `override` one that bind, or unbind on its way back, sets? */
bool bind_record_is_ours(const struct bind_record *record, const char *override);
void bind_record_drop(const struct bind_host *host, const char *name);

/* --- bind_act.c --- */

/*
 * Binds each function of `fn` to vfio-pci; when one fails, those before it go back to what they
 * were. 0, or negative errno and a sentence.
 */
int bind_take(struct bind_host *host, struct bind_function *const fn[], unsigned int count,
	      bool force, char *ret_why, size_t why_size);

/*
 * Gives each back: to the driver that is remembered, or to whichever the kernel finds. Goes on
 * after one that fails. 0, or the first negative errno and its sentence.
 */
int bind_give_back(struct bind_host *host, struct bind_function *const fn[], unsigned int count,
		   bool force, char *ret_why, size_t why_size);

/* --- bind.c --- */

/* The commands on any host, for tests; those on this one are tool_bind() and tool_unbind(). */
int bind_run_on(struct bind_host *host, int argc, char *argv[]);
int unbind_run_on(struct bind_host *host, int argc, char *argv[]);

#endif
