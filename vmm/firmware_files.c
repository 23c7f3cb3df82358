#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/flash.h"
#include "vmm/base/bits.h"
#include "vmm/firmware_internal.h"
#include "vmm/layout.h"
#include "vmm/mem.h"

#define SEABIOS "/usr/share/seabios/bios-256k.bin"

int firmware_refuse(const struct opening *opening, int error, const char *path,
		    const char *fmt, ...)
{
	const char *name = firmware_option_name(opening->option);
	char sentence[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, args);
	va_end(args);
	if (!strcmp(path, name))
		path = "";
	snprintf(opening->ret_why, opening->why_size, "--firmware %s: %s%s%s", name, path,
		 *path ? ": " : "", sentence);
	return error;
}

/* --- reading --- */

static int check_size(const struct opening *opening, const char *path, off_t size)
{
	if (!size)
		return firmware_refuse(opening, -EINVAL, path, "the file is empty");
	if (size % FLASH_BLOCK)
		return firmware_refuse(opening, -EINVAL, path, "%lld bytes, which is no multiple "
				       "of 4 KiB: this is no firmware, or a part of one",
				       (long long)size);
	if (size > FIRMWARE_SIZE_MAX)
		return firmware_refuse(opening, -EINVAL, path, "%lld KiB; firmware has 16 MiB at "
				       "most", (long long)(size / (off_t)KIB));
	return 0;
}

/* A FIFO must not make us wait. */
int firmware_open(const struct opening *opening, const char *path, int access,
		  const char *missing, off_t *ret_size)
{
	int fd = open(path, access | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), error;
	struct stat status;

	if (fd < 0)
		return firmware_refuse(opening, -errno, path, "%s%s%s",
				       access == O_RDWR ? "cannot be opened for writing: " : "",
				       strerror(errno), errno == ENOENT ? missing : "");
	if (fstat(fd, &status))
		error = firmware_refuse(opening, -errno, path, "%s", strerror(errno));
	else if (!S_ISREG(status.st_mode))
		error = firmware_refuse(opening, -EINVAL, path, "not a regular file");
	else
		error = check_size(opening, path, status.st_size);
	if (error) {
		close(fd);
		return error;
	}
	*ret_size = status.st_size;
	return fd;
}

int firmware_read(const struct opening *opening, const char *path, int fd, size_t size,
		  uint8_t **ret_bytes)
{
	uint8_t *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			      0);
	size_t done = 0;
	ssize_t n = 1;

	if (bytes == MAP_FAILED)
		return firmware_refuse(opening, -errno, path, "%s", strerror(errno));
	while (done < size && n > 0) {
		n = pread(fd, bytes + done, size - done, (off_t)done);
		if (n > 0)
			done += (size_t)n;
		else if (n < 0 && errno == EINTR)
			n = 1;
	}
	if (done < size) {
		int error = n < 0 ? -errno : -EIO;

		munmap(bytes, size);
		return firmware_refuse(opening, error, path, "cannot be read: %s",
				       n < 0 ? strerror(-error) : "it became shorter meanwhile");
	}
	*ret_bytes = bytes;
	return 0;
}

/* --- the code --- */

static int open_code(const struct opening *opening, struct firmware_files *files)
{
	static const char *const packages[] = {
		[FIRMWARE_UEFI] = "; it is in Debian's package ovmf",
		[FIRMWARE_BIOS] = "; it is in Debian's package seabios",
		[FIRMWARE_FILE] = "",
	};
	static const char *const descriptors[2] = {"/etc/qemu/firmware",
						   "/usr/share/qemu/firmware"};
	off_t size;
	int fd = firmware_open(opening, opening->code, O_RDONLY, packages[opening->option->kind],
			       &size);
	int error;

	if (fd < 0)
		return fd;
	error = firmware_check_smm(opening, fd, descriptors);
	if (!error)
		error = firmware_read(opening, opening->code, fd, (size_t)size, &files->code);
	if (!error)
		files->code_size = (size_t)size;
	close(fd);
	return error;
}

/* --- all of it --- */

int firmware_files_open(const struct firmware_option *option, const char *guest,
			struct firmware_files **ret_files, char *ret_why, size_t why_size)
{
	static const char *const distribution[] = {
		[FIRMWARE_UEFI] = OVMF_CODE, [FIRMWARE_BIOS] = SEABIOS, [FIRMWARE_FILE] = NULL,
	};
	struct opening opening = {
		.option = option, .code = distribution[option->kind], .ret_why = ret_why,
		.why_size = why_size};
	struct firmware_files *files = calloc(1, sizeof(*files));
	int error;

	if (!files)
		return firmware_refuse(&opening, -ENOMEM, "", "out of memory");
	files->vars_fd = -1;
	files->window = -1;
	if (!opening.code)
		opening.code = option->file;
	error = open_code(&opening, files);
	if (!error)
		error = firmware_name_vars(&opening, guest);
	if (!error && opening.vars[0])
		error = firmware_open_vars(&opening, files->code_size, files);
	if (error)
		firmware_files_close(files);
	else
		*ret_files = files;
	return error;
}

int firmware_files_map(struct firmware_files *files, struct mem *mem, struct bus *mmio,
		       char *ret_why, size_t why_size)
{
	gpa_t code = ROM_END - files->code_size;
	const struct flash_config flash = {
		.mem = mem, .mmio = mmio, .gpa = code - files->vars_size,
		.size = files->vars_size, .bytes = files->vars, .fd = files->vars_fd};
	int error;

	files->mem = mem;
	/* Nobody claims it: writes are dropped, as by a chip whose write enable is tied off. */
	files->window = mem_window_map(mem, code, files->code_size, files->code, true);
	error = files->window < 0 ? files->window : 0;
	if (!error && files->vars)
		error = flash_create(&flash, &files->flash);
	if (error)
		snprintf(ret_why, why_size, "--firmware: %zu KiB below 4 GiB cannot be mapped: %s",
			 (files->code_size + files->vars_size) / (size_t)KIB, strerror(-error));
	return error;
}

const uint8_t *firmware_files_code(const struct firmware_files *files, size_t *ret_size)
{
	*ret_size = files->code_size;
	return files->code;
}

void firmware_files_reset(struct firmware_files *files)
{
	if (files->flash)
		flash_reset(files->flash);
}

void firmware_files_close(struct firmware_files *files)
{
	if (!files)
		return;
	flash_destroy(files->flash);
	if (files->window >= 0)
		mem_window_unmap(files->mem, files->window);
	if (files->vars)
		munmap(files->vars, files->vars_size);
	if (files->code)
		munmap(files->code, files->code_size);
	if (files->vars_fd >= 0)
		close(files->vars_fd);
	free(files);
}
