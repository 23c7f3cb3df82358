/*
 * What the fuzz targets share. Each tests/fuzz/fuzz_<what>.c is a program for libFuzzer, which ends
 * the run when a sanitizer, an assert of the product or must() finds something.
 *
 * The seeds are made by the programs themselves: libFuzzer's last argument is the folder where they
 * and what is found worth keeping are.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pci_cfg;

/* libFuzzer calls these two. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes a seed. Nothing is written when the program is to try single files. */
void fuzz_write_seed(int argc, char **argv, const char *name, const void *bytes, size_t size);

/* Ends the program with a line that says `what` was broken. */
void fuzz_must(bool good, const char *what);

/* The input as numbers, little-endian; zeroes when it has ended. */
struct fuzz_input {
	const uint8_t *bytes;
	size_t size;
};

uint64_t fuzz_take(struct fuzz_input *input, unsigned int len);

/* The guest's memory, for the targets in which a driver has rings there. */
#define FUZZ_RAM (16ULL << 20)
#define FUZZ_RINGS 0x10000U
#define FUZZ_RING_SIZE 8U
#define FUZZ_BUFFERS 0x80000U

/* A refusal is one line without a full stop. */
void fuzz_check_why(const char *why);

/* Both lists of capabilities end, and stay where capabilities may be. */
void fuzz_check_caps(const struct pci_cfg *cfg);

#endif
