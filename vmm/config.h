/*
 * A machine as device tree: nodes and properties that say what the command line's options say, so
 * that every check of a value is the option's. The binding is docs/config.md.
 */
#ifndef VMM_CONFIG_H
#define VMM_CONFIG_H

#include <stddef.h>

struct options;
struct text;

/* No blob and no source is larger. */
#define CONFIG_SIZE_MAX (1U << 20)

/* What /'s property "compatible" must be. */
#define CONFIG_COMPATIBLE "minivmm,machine-v1"

/*
 * Sets in `options` what the file says: a flattened device tree, known by its first bytes, or else
 * source that dtc, a program of its own, is to compile; its messages go to standard error. Returns
 * 0, or negative errno and one line that begins with --config and `path`: the file cannot be read
 * or is no device tree (-EINVAL, or what the kernel said), something in it is unknown, wrong or
 * missing (-EINVAL, with the path of the node and the property), -ENOMEM. `options` is then in part
 * set.
 */
int config_read(const char *path, struct options *options, char *ret_why, size_t why_size);

/*
 * The same for a flattened device tree of `size` bytes, which may be anything. Alignment of `blob`
 * as malloc() gives it. Relative paths in it are relative to the folder of the file `path`.
 */
int config_apply(const void *blob, size_t size, const char *path, struct options *options,
		 char *ret_why, size_t why_size);

/*
 * Appends `options` as device-tree source that config_read() takes for the same machine wherever it
 * is kept: its paths are absolute. 0, -ENOMEM, or why the current folder has no name.
 */
int config_print(const struct options *options, struct text *ret_text);

#endif
