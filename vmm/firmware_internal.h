/*
 * Inside vmm/firmware_*.c: what the opening of the code and of the variables share.
 */
#ifndef VMM_FIRMWARE_INTERNAL_H
#define VMM_FIRMWARE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/firmware_files.h"

#define OVMF_CODE "/usr/share/OVMF/OVMF_CODE_4M.fd"

struct flash;

struct firmware_files {
	uint8_t *code, *vars; /* whole pages; vars NULL: none */
	size_t code_size, vars_size;
	int vars_fd;
	struct mem *mem;      /* NULL: not mapped */
	int window;           /* onto the code */
	struct flash *flash;
};

/* What is being opened, and where to say what is wrong with it. */
struct opening {
	const struct firmware_option *option;
	const char *code;                  /* paths */
	char vars[FIRMWARE_PATH_SIZE];     /* "": none */
	char template[FIRMWARE_PATH_SIZE]; /* "": none */
	char *ret_why;
	size_t why_size;
};

/* As the user would say it. */
const char *firmware_option_name(const struct firmware_option *option);

/* A sentence about the file `path`, or about none (""). Returns `error`. */
int firmware_refuse(const struct opening *opening, int error, const char *path,
		    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Opens a regular file of a size that firmware has, for O_RDONLY or O_RDWR. Its descriptor, or a
 * negative errno with a sentence; `missing` is what that says more of a file that is not there. */
int firmware_open(const struct opening *opening, const char *path, int access,
		  const char *missing, off_t *ret_size);

/* All of the file, in pages of its own, the caller's. 0, or a negative errno with a sentence. */
int firmware_read(const struct opening *opening, const char *path, int fd, size_t size,
		  uint8_t **ret_bytes);

/* --- firmware_smm.c --- */

/* Refuses code (open as `fd`) of which a descriptor in one of `folders` says that it needs SMM: the
 * administrator's, then the distribution's. 0, or -EOPNOTSUPP with a sentence. */
int firmware_check_smm(const struct opening *opening, int fd, const char *const folders[2]);

/* --- firmware_vars.c --- */

/* Finds out whether there are variables, and where. 0, or a negative errno with a sentence. */
int firmware_name_vars(struct opening *opening, const char *guest);

/* Opens, checks, locks and reads them; made before, if they are not there. Likewise. */
int firmware_open_vars(const struct opening *opening, size_t code_size,
		       struct firmware_files *files);

#endif
