/*
 * The input is what a host's sysfs and procfs hold: up to four files of the ready laptop of
 * tests/tools/doctor/ are overwritten or taken away, each as a byte says which, a byte how long,
 * and the bytes. The doctor must say something printable of it, and JSON that can be parsed.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fake_tree.h"
#include "tests/fuzz/fuzz.h"
#include "tools/doctor.h"
#include "vmm/base/bits.h"
#include "vmm/base/json_read.h"

#define ROOT "build/fuzz/doctor-tree"
#define TREES "tests/tools/doctor/"
#define FILES_MAX 128
#define CHANGES_MAX 4U
#define TAKEN_AWAY 250U /* instead of a length */

static struct {
	char path[256];
	char line[512]; /* how it is made */
} files[FILES_MAX];
static unsigned int file_count;

static void load(const char *name)
{
	FILE *tree = fopen(name, "r");
	char line[512];

	fuzz_must(tree != NULL, "a tree is missing; run in the project's root");
	while (fgets(line, sizeof(line), tree)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || !strstr(line, " = ") || file_count == FILES_MAX)
			continue;
		snprintf(files[file_count].line, sizeof(files[0].line), "%s", line);
		snprintf(files[file_count].path, sizeof(files[0].path), ROOT "/%.*s",
			 (int)strcspn(line, " "), line);
		file_count++;
	}
	fclose(tree);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const uint8_t seed[] = {0, 3, '6', '.', '0', 40, 250, 12, 2, 'Y', '\n'};

	mkdir("build", 0755);
	mkdir("build/fuzz", 0755);
	mkdir(ROOT, 0755);
	fake_tree_build(ROOT, TREES "ready.tree");
	load(TREES "machine.tree");
	load(TREES "ready.tree");
	for (uint8_t i = 0; i < file_count; i++) {
		uint8_t bytes[sizeof(seed)];
		char name[16];

		memcpy(bytes, seed, sizeof(seed));
		bytes[0] = i;
		snprintf(name, sizeof(name), "file%u", i);
		fuzz_write_seed(*argc, *argv, name, bytes, sizeof(bytes));
	}
	return 0;
}

static int no_kvm(const char *path, char *ret_why, size_t why_size)
{
	(void)path;
	snprintf(ret_why, why_size, "/dev/kvm is not asked");
	return -1;
}

static void overwrite(const char *path, const uint8_t *bytes, size_t size)
{
	FILE *file = fopen(path, "w");

	fuzz_must(file != NULL, "a file of the tree cannot be written");
	fwrite(bytes, 1, size, file);
	fclose(file);
}

static void check_text(const struct doctor_report *report)
{
	struct text text = {0};

	doctor_print_text(report, &text);
	fuzz_must(text.len && !text.failed, "no text");
	for (size_t i = 0; i < text.len; i++)
		fuzz_must(text.bytes[i] == '\n' || (text.bytes[i] >= ' ' && text.bytes[i] <= '~'),
			  "something unprintable");
	text_finish(&text);
}

static void check_json(const struct doctor_report *report)
{
	static jsmntok_t tokens[2048];
	struct text json = {0};
	struct json_doc doc;
	uint64_t status = 0;

	doctor_print_json(report, &json);
	fuzz_must(json.len && !json_parse(json.bytes, json.len, tokens, ARRAY_SIZE(tokens), &doc),
		  "no JSON");
	fuzz_must(json_get_number(&doc, json_member(&doc, 0, "status"), 9, &status) &&
		  status == (uint64_t)doctor_status(report), "another status");
	text_finish(&json);
}

static void examine(void)
{
	struct doctor_host host = {.root = ROOT, .sysfs = ROOT "/sys", .memory = 512 * MIB,
				   .open_kvm = no_kvm};
	struct doctor_report report;
	char why[256];

	doctor_line(&host, "/proc/sys/kernel/osrelease", host.release, sizeof(host.release));
	if (doctor_examine(&host, 0, NULL, &report, why, sizeof(why)))
		fuzz_must(false, "sysfs is there and was not read");
	check_text(&report);
	check_json(&report);
	doctor_finish(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int changed[CHANGES_MAX], count = 0;

	while (size >= 2 && count < CHANGES_MAX) {
		unsigned int file = data[0] % file_count;
		size_t len = data[1];

		data += 2;
		size -= 2;
		changed[count++] = file;
		if (len >= TAKEN_AWAY) {
			unlink(files[file].path);
			continue;
		}
		if (len > size)
			len = size;
		overwrite(files[file].path, data, len);
		data += len;
		size -= len;
	}
	examine();
	for (unsigned int i = 0; i < count; i++)
		fake_tree_add(ROOT, files[changed[i]].line);
	return 0;
}
