/*
 * A small made-up file system, for what reads /sys and /proc: described in a text file, made in a
 * directory below /tmp. One entry a line, paths relative to that directory:
 *
 *   # comment
 *   include FILE             the entries of another file of the same directory
 *   PATH = TEXT              a file: the text and a newline. \xNN is a byte, \n a newline
 *   PATH * N                 a file of N letters, without an end of line
 *   PATH -> TARGET           a symbolic link
 *   PATH/                    an empty directory
 *   - PATH                   takes it away again, with all below it
 *
 * Directories above a path are made; a later line replaces what an earlier one made.
 */
#ifndef TESTS_FAKE_TREE_H
#define TESTS_FAKE_TREE_H

/* Makes an empty directory and returns its name, for fake_tree_remove(). Fails the test if not. */
char *fake_tree_create(void);
void fake_tree_remove(char *root);
/* The directory stays. */
void fake_tree_empty(const char *root);

/* Makes what the file `path` describes, and what it includes. */
void fake_tree_build(const char *root, const char *path);

/* Performs one line of the description. */
void fake_tree_add(const char *root, const char *line);

#endif
