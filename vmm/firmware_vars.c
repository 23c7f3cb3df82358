/*
 * The variables of UEFI firmware: where they are, made from a template the first time, locked.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/base/log.h"
#include "vmm/base/write_all.h"
#include "vmm/firmware_internal.h"

/* OVMF's builds are a whole power of two with their variables, from which the code was cut off. 0:
 * the code alone is one. */
static size_t vars_size_for(size_t code_size)
{
	size_t all = 4096;

	while (all < code_size)
		all *= 2;
	return all - code_size;
}

static int check_vars_size(const struct opening *opening, const char *path, size_t size,
			   size_t code_size)
{
	size_t wanted = vars_size_for(code_size);

	if (size == wanted)
		return 0;
	if (!wanted)
		return firmware_refuse(opening, -EINVAL, "", "code of %zu KiB has no variables; "
				       "give it without vars", code_size / (size_t)KIB);
	return firmware_refuse(opening, -EINVAL, path, "variables of %zu KiB do not go with %zu "
			       "KiB of code, which has %zu KiB of them", size / (size_t)KIB,
			       code_size / (size_t)KIB, wanted / (size_t)KIB);
}

/* --- where the variables are --- */

/* OVMF_CODE_4M.ms.fd has OVMF_VARS_4M.ms.fd beside it. False: no such name. */
static bool name_template(const char *code, char ret_path[FIRMWARE_PATH_SIZE])
{
	const char *slash = strrchr(code, '/');
	const char *word = strstr(slash ? slash : code, "CODE");

	if (!word)
		return false;
	snprintf(ret_path, FIRMWARE_PATH_SIZE, "%s", code);
	memcpy(ret_path + (word - code), "VARS", 4);
	return true;
}

/* A disk of the host has its name in /dev, where files do not last. */
static bool can_have_file_beside(const char *guest)
{
	struct stat status;

	return guest && (stat(guest, &status) || S_ISREG(status.st_mode));
}

int firmware_name_vars(struct opening *opening, const char *guest)
{
	const struct firmware_option *option = opening->option;
	int len;

	if (option->kind == FIRMWARE_BIOS)
		return 0;
	if (!name_template(opening->code, opening->template) ||
	    (option->kind == FIRMWARE_FILE && access(opening->template, F_OK)))
		opening->template[0] = '\0';
	if (!opening->template[0] && !option->vars[0])
		return 0;
	if (!option->vars[0] && !can_have_file_beside(guest))
		return firmware_refuse(opening, -EINVAL, "", "where are its variables? They would "
				       "be GUEST.vars, but no image file is the guest; give "
				       "vars=FILE");
	len = snprintf(opening->vars, sizeof(opening->vars), "%s%s",
		       option->vars[0] ? option->vars : guest, option->vars[0] ? "" : ".vars");
	if (len >= (int)sizeof(opening->vars))
		return firmware_refuse(opening, -ENAMETOOLONG, "", "the path of its variables "
				       "would have %d bytes, 1023 are possible; give vars=FILE",
				       len);
	/* What root's guest writes there all other machines would begin with. */
	if (!strcmp(opening->vars, opening->template) && !strncmp(opening->vars, "/usr/", 5))
		return firmware_refuse(opening, -EINVAL, opening->vars, "this is the template of "
				       "all machines; name another file, it is made of this one");
	return 0;
}

/* --- a variables file that is new --- */

static int rename_new(const char *from, const char *to)
{
	if (!syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE))
		return 0;
	/* Where no flag is known there is a gap between the look at the name and the deed. */
	return errno != EINVAL || rename(from, to) ? -errno : 0;
}

/* The name appears with all that is behind it, and never in place of a file that another start has
 * made meanwhile (-EEXIST). Some file systems have no hard links; there a rename has to do. */
static int publish(const char *temporary, const char *path)
{
	int error = link(temporary, path) ? -errno : 0;

	if (error == -EPERM || error == -EOPNOTSUPP)
		error = rename_new(temporary, path);
	unlink(temporary);
	return error;
}

/* What the guest writes later is brought to the disk; the name, under which it is found there, is
 * so here. Not every file system can be asked for that. */
static void sync_name(const struct opening *opening)
{
	const char *slash = strrchr(opening->vars, '/');
	char folder[FIRMWARE_PATH_SIZE] = ".";
	int fd;

	if (slash)
		snprintf(folder, sizeof(folder), "%.*s", (int)(slash - opening->vars + 1),
			 opening->vars);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		log_warn("--firmware %s: %s: its folder cannot be brought to the disk: %s, a "
			 "power cut soon may take the file away",
			 firmware_option_name(opening->option), opening->vars, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static int make_file(const struct opening *opening, const uint8_t *bytes, size_t size)
{
	char temporary[FIRMWARE_PATH_SIZE + 8];
	int fd, error;

	snprintf(temporary, sizeof(temporary), "%s.XXXXXX", opening->vars);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return firmware_refuse(opening, -errno, opening->vars, "cannot be made: %s; "
				       "vars=FILE puts it elsewhere", strerror(errno));
	error = write_all(fd, bytes, size);
	if (!error && fdatasync(fd))
		error = -errno;
	close(fd);
	if (error)
		unlink(temporary);
	else
		error = publish(temporary, opening->vars);
	if (error == -EEXIST)
		return 0;
	if (error)
		return firmware_refuse(opening, error, opening->vars, "cannot be made: %s",
				       strerror(-error));
	sync_name(opening);
	log_info("--firmware %s: made %s", firmware_option_name(opening->option), opening->vars);
	return 0;
}

static int make_vars(const struct opening *opening, size_t code_size)
{
	const char *path = opening->template;
	uint8_t *bytes;
	off_t size;
	int fd, error;

	if (!*path)
		return firmware_refuse(opening, -ENOENT, opening->vars, "there is no such file, "
				       "and no template beside this code to make it of");
	fd = firmware_open(opening, path, O_RDONLY, "", &size);
	if (fd < 0)
		return fd;
	error = check_vars_size(opening, path, (size_t)size, code_size);
	if (!error)
		error = firmware_read(opening, path, fd, (size_t)size, &bytes);
	close(fd);
	if (error)
		return error;
	error = make_file(opening, bytes, (size_t)size);
	munmap(bytes, (size_t)size);
	return error;
}

/* --- the variables --- */

/* As with disks: fcntl(2), Open file description locks. */
static int lock(const struct opening *opening, int fd)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (!fcntl(fd, F_OFD_SETLK, &whole))
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return firmware_refuse(opening, -EBUSY, opening->vars, "in use by another virtual "
				       "machine; each has variables of its own, see vars=");
	log_warn("--firmware %s: %s cannot be locked against other users: %s, ignoring",
		 firmware_option_name(opening->option), opening->vars, strerror(errno));
	return 0;
}

int firmware_open_vars(const struct opening *opening, size_t code_size,
		       struct firmware_files *files)
{
	off_t size;
	int fd, error;

	if (access(opening->vars, F_OK) && errno == ENOENT) {
		error = make_vars(opening, code_size);
		if (error)
			return error;
	}
	fd = firmware_open(opening, opening->vars, O_RDWR, "", &size);
	if (fd < 0)
		return fd;
	files->vars_fd = fd;
	error = check_vars_size(opening, opening->vars, (size_t)size, code_size);
	if (!error)
		error = lock(opening, fd);
	if (!error)
		error = firmware_read(opening, opening->vars, fd, (size_t)size, &files->vars);
	if (!error)
		files->vars_size = (size_t)size;
	return error;
}

