/*
 * The firmware that a guest begins with, as files of the host: the code, and for UEFI the
 * variables, which are each virtual machine's own. Both end up directly below 4 GiB, the variables
 * below the code, as one flash chip or two have them on a board.
 *
 * Both are read at the start: a package that is upgraded changes nothing under a guest that runs.
 * What the guest does to its variables goes to their file at once (devices/flash.h).
 */
#ifndef VMM_FIRMWARE_FILES_H
#define VMM_FIRMWARE_FILES_H

#include <stddef.h>
#include <stdint.h>

struct bus;
struct firmware_files;
struct mem;
struct text;

#define FIRMWARE_PATH_SIZE 1024
#define FIRMWARE_SIZE_MAX (16U << 20) /* code and variables together */

enum firmware_kind {
	FIRMWARE_NONE,
	FIRMWARE_UEFI, /* the distribution's OVMF */
	FIRMWARE_BIOS, /* the distribution's SeaBIOS */
	FIRMWARE_FILE,
};

/* Option --firmware, parsed: uefi|bios|FILE[,vars=FILE] */
struct firmware_option {
	enum firmware_kind kind;
	char file[FIRMWARE_PATH_SIZE]; /* of FIRMWARE_FILE */
	char vars[FIRMWARE_PATH_SIZE]; /* "": GUEST.vars */
};

/* 0, or -EINVAL with a sentence in `ret_why`. An empty text is FIRMWARE_NONE. */
int firmware_option_parse(const char *text, struct firmware_option *ret_option, char *ret_why,
			  size_t why_size);

/* Appends the option's value, which firmware_option_parse() takes for the same; not of NONE. */
void firmware_option_format(const struct firmware_option *option, struct text *ret_text);

/*
 * Reads the code; opens the variables, locked against other virtual machines and written through,
 * made from their template where there are none yet. UEFI has variables, and so has a FILE with
 * vars= or whose name has CODE and beside which is the same name with VARS, the template. `guest`
 * is the path of the guest's disk image, beside which the variables are if nothing else is said;
 * NULL: something else must be said. `option` is not of kind NONE. On failure a sentence that names
 * the option and the file, negative errno, and nothing is left open.
 */
int firmware_files_open(const struct firmware_option *option, const char *guest,
			struct firmware_files **ret_files, char *ret_why, size_t why_size);

/* Puts them into the guest's address space. Once. As firmware_files_open(); close is still due. */
int firmware_files_map(struct firmware_files *files, struct mem *mem, struct bus *mmio,
		       char *ret_why, size_t why_size);

/* The code, which ends at 4 GiB. Lives as long as `files`. */
const uint8_t *firmware_files_code(const struct firmware_files *files, size_t *ret_size);

/* The machine is reset. No CPU runs. */
void firmware_files_reset(struct firmware_files *files);

/* Takes them out of the guest's address space; no CPU runs, and none will reach the bus of
 * firmware_files_map(). Accepts NULL. */
void firmware_files_close(struct firmware_files *files);

#endif
