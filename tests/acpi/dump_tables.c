/*
 * Writes every table of a sample machine to a file of its own, as firmware tools would dump it:
 * dump_tables DIRECTORY SLOTS [FUNCTIONS D3COLD] (of every slot; 0x3 1 without)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/acpi/sample.h"
#include "vmm/base/le.h"

#define HEADER_SIZE 36
#define FADT_DSDT 40
#define XSDT_POINTER 24

static uint8_t image[SAMPLE_SIZE];

static int write_file(const char *directory, const char *name, const uint8_t *bytes, size_t len)
{
	char path[4096];
	FILE *file;
	int error;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "wb");
	if (!file) {
		perror(path);
		return -1;
	}
	error = fwrite(bytes, 1, len, file) != len;
	error |= fclose(file) != 0;
	if (error)
		perror(path);
	return error ? -1 : 0;
}

/* "facp.dat", "ssdt3.dat": the signature in lower case and, of an SSDT, its number. */
static int write_table(const char *directory, uint64_t gpa, unsigned int ssdt)
{
	const uint8_t *table = image + (gpa - SAMPLE_GPA);
	char name[32];

	if (memcmp(table, "SSDT", 4))
		snprintf(name, sizeof(name), "%c%c%c%c.dat", table[0] | 0x20, table[1] | 0x20,
			 table[2] | 0x20, table[3] | 0x20);
	else
		snprintf(name, sizeof(name), "ssdt%02u.dat", ssdt);
	return write_file(directory, name, table, le32_get(table + 4));
}

static int write_all(const char *directory)
{
	uint64_t xsdt_gpa = le64_get(image + XSDT_POINTER);
	const uint8_t *xsdt = image + (xsdt_gpa - SAMPLE_GPA);
	unsigned int ssdts = 0;
	int error = write_table(directory, xsdt_gpa, 0);

	for (size_t at = HEADER_SIZE; at < le32_get(xsdt + 4) && !error; at += 8) {
		uint64_t gpa = le64_get(xsdt + at);
		const uint8_t *table = image + (gpa - SAMPLE_GPA);

		error = write_table(directory, gpa, ssdts);
		if (!memcmp(table, "SSDT", 4))
			ssdts++;
		if (!memcmp(table, "FACP", 4) && !error) {
			error = write_table(directory, le32_get(table + FADT_DSDT), 0);
			if (!error)
				error = write_table(directory, le32_get(table + HEADER_SIZE), 0);
		}
	}
	return error;
}

static int write_smbios(const char *directory)
{
	static uint8_t smbios[4096];
	const struct smbios_machine machine = {
		.version = "0.1.0", .cpus = 2, .memory_size = 8 * GIB, .memory_low = 3 * GIB};
	long len = smbios_build(&machine, smbios, sizeof(smbios), 0);

	return len < 0 ? -1 : write_file(directory, "smbios.bin", smbios, (size_t)len);
}

int main(int argc, char **argv)
{
	struct sample sample;
	long len;

	if (argc != 3 && argc != 5) {
		fprintf(stderr, "usage: dump_tables DIRECTORY SLOTS [FUNCTIONS D3COLD]\n");
		return 2;
	}
	sample_init(&sample, 2, (unsigned int)strtoul(argv[2], NULL, 0));
	for (unsigned int i = 0; argc == 5 && i < ARRAY_SIZE(sample.slot); i++) {
		sample.slot[i].functions = (uint8_t)strtoul(argv[3], NULL, 0);
		sample.slot[i].d3cold = (uint8_t)strtoul(argv[4], NULL, 0);
	}
	len = acpi_build(&sample.machine, image, sizeof(image), SAMPLE_GPA);
	if (len < 0) {
		fprintf(stderr, "acpi_build: %ld\n", len);
		return 1;
	}
	printf("%ld bytes\n", len);
	return write_all(argv[1]) || write_smbios(argv[1]);
}
