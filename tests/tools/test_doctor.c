/*
 * What the doctor says, on trees of files in tests/tools/doctor/ (see tests/fake_tree.h): for each
 * the text, and for some the JSON, must be as in the file beside it. `DOCTOR_GOLDEN=write
 * build/tests/tools/test_doctor` writes them anew; read what changed before it is committed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fake_tree.h"
#include "tools/doctor.h"
#include "vmm/base/bits.h"
#include "vmm/base/json_read.h"
#include "vmm/kvm_device.h"

#define DIR "tests/tools/doctor/"
#define COLUMNS 100U

static const struct {
	const char *tree;
	const char *bdf[3];
	int status;
	bool json; /* there is a golden file for it, too */
} cases[] = {
	{"ready", {"01:00.0"}, 0, .json = true},
	{"no-iommu", {"01:00.0"}, 2, .json = false},
	{"no-iommu-amd", {"01:00.0"}, 2, .json = false},
	{"mixed-group", {"01:00.0"}, 2, .json = false},
	{"two-groups", {"01:00.0"}, 2, .json = false},
	{"idle-d3", {"01:00.0"}, 1, .json = false},
	{"nouveau", {"01:00.1"}, 2, .json = true},
	{"no-pr3", {"01:00.0"}, 1, .json = false},
	{"pr3-ejectable", {"01:00.0"}, 1, .json = false},
	{"rail-shared", {"01:00.0"}, 1, .json = false},
	{"switch", {"04:00.0"}, 1, .json = false},
	{"neighbour", {"04:00.0"}, 1, .json = false},
	{"external", {"01:00.0"}, 1, .json = false},
	{"port-on", {"01:00.0"}, 1, .json = false},
	{"port-never", {"01:00.0"}, 1, .json = false},
	{"p40", {"01:00.0"}, 1, .json = false},
	{"kernel-6.0", {"01:00.0"}, 1, .json = false},
	{"kernel-backport", {"01:00.0"}, 0, .json = false},
	{"kernel-bad", {"01:00.0"}, 1, .json = false},
	{"memlock", {"01:00.0"}, 2, .json = false},
	{"no-kvm", {"01:00.0"}, 2, .json = false},
	{"d3cold-refused", {"01:00.0"}, 1, .json = false},
	{"untested", {"01:00.0"}, 0, .json = false},
	{"test-failed", {"01:00.0"}, 1, .json = false},
	{"test-d3hot", {"01:00.0"}, 1, .json = false},
	{"test-stale", {"01:00.0"}, 0, .json = false},
	{"stuck", {"01:00.0"}, 2, .json = false},
	{"dead", {"01:00.0"}, 2, .json = false},
	{"vanished", {"01:00.0"}, 1, .json = false},
	{"absurd", {"01:00.0"}, 2, .json = true},
};

/* KVM is what a tree has as dev/kvm. */
static int fake_open_kvm(const char *path, char *ret_why, size_t why_size)
{
	if (access(path, F_OK))
		return kvm_device_open(path, ret_why, why_size);
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void begin(struct doctor_host *host, const char *root)
{
	*host = (struct doctor_host){
		.root = root, .memory = 512 * MIB, .open_kvm = fake_open_kvm,
	};
	snprintf(host->sysfs, sizeof(host->sysfs), "%s/sys", root);
	doctor_line(host, "/proc/sys/kernel/osrelease", host->release, sizeof(host->release));
}

static void examine(const struct doctor_host *host, const char *const bdf[],
		    struct doctor_report *report)
{
	char names[3][32], *list[3], why[256] = "";
	unsigned int count = 0;

	for (; count < ARRAY_SIZE(names) && bdf[count]; count++) {
		snprintf(names[count], sizeof(names[count]), "%s", bdf[count]);
		list[count] = names[count];
	}
	if (doctor_examine(host, count, list, report, why, sizeof(why)))
		fail_msg("%s", why);
}

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	static char text[64 * 1024];

	text[0] = '\0';
	if (file) {
		text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
		fclose(file);
	}
	return text;
}

static void write_file(const char *path, const struct text *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text->bytes, 1, text->len, file), text->len);
	assert_int_equal(fclose(file), 0);
}

static void compare(const char *tree, const char *suffix, const struct text *text)
{
	char path[256], out[] = "/tmp/test_doctor.XXXXXX", command[PATH_MAX];

	snprintf(path, sizeof(path), DIR "%s.%s", tree, suffix);
	if (getenv("DOCTOR_GOLDEN"))
		write_file(path, text);
	if (!strcmp(read_file(path), text->bytes))
		return;
	close(mkstemp(out));
	write_file(out, text);
	snprintf(command, sizeof(command), "diff -u %s %s >&2", path, out);
	if (!system(command))
		fail_msg("%s: %s differs, and diff does not see it", tree, suffix);
	unlink(out);
	fail_msg("%s: %s is not as expected", tree, suffix);
}

/* Whatever is read, a terminal gets printable ASCII in lines that fit, but for a word or a command
 * that is longer. */
static void check_lines(const char *tree, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		for (size_t i = 0; i < len; i++)
			if (text[i] < ' ' || text[i] > '~')
				fail_msg("%s: byte 0x%02x", tree, (unsigned char)text[i]);
		if (len > COLUMNS && memchr(text + 26, ' ', 74) &&
		    (strspn(text, " ") < 28 || text[28] == '#'))
			fail_msg("%s: a line of %zu: %.*s", tree, len, (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static void test_doctor_golden(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct text text = {0}, json = {0};
		char *root = fake_tree_create(), path[256];
		struct doctor_report report;
		struct doctor_host host;

		snprintf(path, sizeof(path), DIR "%s.tree", cases[i].tree);
		fake_tree_build(root, path);
		begin(&host, root);
		examine(&host, cases[i].bdf, &report);
		doctor_print_text(&report, &text);
		doctor_print_json(&report, &json);
		assert_false(text.failed || json.failed);
		check_lines(cases[i].tree, text.bytes);
		compare(cases[i].tree, "txt", &text);
		if (cases[i].json)
			compare(cases[i].tree, "json", &json);
		if (doctor_status(&report) != cases[i].status)
			fail_msg("%s: status %d", cases[i].tree, doctor_status(&report));
		text_finish(&text);
		text_finish(&json);
		doctor_finish(&report);
		fake_tree_remove(root);
	}
}

/* A report on a tree to which lines were added. */
struct patient {
	char *root;
	struct doctor_host host;
	struct doctor_report report;
};

static void begin_patient(struct patient *patient, const char *tree)
{
	char path[256];

	patient->root = fake_tree_create();
	snprintf(path, sizeof(path), DIR "%s.tree", tree);
	fake_tree_build(patient->root, path);
	begin(&patient->host, patient->root);
}

static void end_patient(struct patient *patient)
{
	doctor_finish(&patient->report);
	fake_tree_remove(patient->root);
}

static const struct doctor_finding *find(const struct doctor_findings *findings, const char *id)
{
	for (unsigned int i = 0; i < findings->count; i++)
		if (!strcmp(findings->list[i].id, id))
			return &findings->list[i];
	return NULL;
}

/* Without an address every slot with a display is looked at; the best of them is what counts. */
static void test_doctor_finds_displays(void **state)
{
	static const char *const none[] = {NULL};
	struct patient patient;

	(void)state;
	begin_patient(&patient, "ready");
	examine(&patient.host, none, &patient.report);
	assert_int_equal(patient.report.slots, 2);
	assert_string_equal(patient.report.slot[0].bdf, "0000:00:02.0");
	assert_string_equal(patient.report.slot[1].bdf, "0000:01:00.0");
	assert_int_equal(doctor_slot_verdict(&patient.report, &patient.report.slot[0]),
			 DOCTOR_FAIL);
	assert_int_equal(doctor_status(&patient.report), 0);
	end_patient(&patient);
}

/* Of several named ones the worst counts; a slot is looked at once, whatever function names it. */
static void test_doctor_several(void **state)
{
	static const char *const named[] = {"01:00.1", "00:02.0", "0000:01:00.0"};
	struct patient patient;

	(void)state;
	begin_patient(&patient, "ready");
	examine(&patient.host, named, &patient.report);
	assert_int_equal(patient.report.slots, 2);
	assert_int_equal(doctor_status(&patient.report), 2);
	end_patient(&patient);
}

/* A machine that has no display, or no device at all. */
static void test_doctor_no_display(void **state)
{
	static const char *const none[] = {NULL};
	struct text text = {0}, json = {0};
	struct patient patient;

	(void)state;
	begin_patient(&patient, "ready");
	fake_tree_add(patient.root, "- sys/bus/pci/devices");
	fake_tree_add(patient.root, "sys/bus/pci/devices/");
	examine(&patient.host, none, &patient.report);
	assert_int_equal(patient.report.slots, 0);
	assert_int_equal(doctor_status(&patient.report), 2);
	assert_int_equal(find(&patient.report.machine, "displays")->verdict, DOCTOR_FAIL);
	doctor_print_text(&patient.report, &text);
	doctor_print_json(&patient.report, &json);
	assert_non_null(strstr(text.bytes, "\ncannot: displays\n"));
	assert_non_null(strstr(json.bytes, "\"slots\":[]"));
	text_finish(&text);
	text_finish(&json);
	end_patient(&patient);
}

/* What cannot be passed at all: one finding says why, and nothing else is said. */
static void test_doctor_wrong_device(void **state)
{
	static const struct {
		const char *bdf, *add, *says;
	} wrong[] = {
		{"07:00.0", NULL, "no such PCI device"},
		{"01:00.5", NULL, "no such PCI device"},
		{"00:01.0", NULL, "a PCI bridge"},
		{"01:00.0", "sys/bus/pci/devices/0000:01:00.0/physfn -> ..", "a virtual function"},
		{"01:00.1", "- sys/bus/pci/devices/0000:01:00.0", "function 0 of the slot is"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		const char *const named[] = {wrong[i].bdf, NULL};
		const struct doctor_findings *findings;
		struct patient patient;

		begin_patient(&patient, "ready");
		if (wrong[i].add)
			fake_tree_add(patient.root, wrong[i].add);
		examine(&patient.host, named, &patient.report);
		findings = &patient.report.slot[0].findings;
		if (findings->count != 1 || !strstr(findings->list[0].why.bytes, wrong[i].says))
			fail_msg("%s: %s", wrong[i].bdf, findings->list[0].why.bytes);
		assert_int_equal(doctor_status(&patient.report), 2);
		end_patient(&patient);
	}
}

static void test_doctor_reset_methods(void **state)
{
	static const char *const named[] = {"01:00.0", NULL};
	static const struct {
		const char *methods, *says;
	} rows[] = {
		{"flr bus", "a function can be reset alone"},
		{"af_flr pm", "a function can be reset alone"},
		{"acpi", "a function can be reset alone"},
		{"pm bus", "only the whole slot"},
		{"pm", "no function and no bus reset"},
		{"cxl_bus", "no function and no bus reset"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct doctor_finding *finding;
		struct patient patient;
		char line[128];

		begin_patient(&patient, "ready");
		snprintf(line, sizeof(line), "sys/bus/pci/devices/0000:01:00.0/reset_method = %s",
			 rows[i].methods);
		fake_tree_add(patient.root, line);
		examine(&patient.host, named, &patient.report);
		finding = find(&patient.report.slot[0].findings, "reset");
		if (!strstr(finding->why.bytes, rows[i].says))
			fail_msg("%s: %s", rows[i].methods, finding->why.bytes);
		end_patient(&patient);
	}
}

static void test_doctor_no_sysfs(void **state)
{
	struct patient patient;
	char why[256] = "";

	(void)state;
	begin_patient(&patient, "ready");
	fake_tree_add(patient.root, "- sys");
	patient.report = (struct doctor_report){0};
	assert_int_equal(doctor_examine(&patient.host, 0, NULL, &patient.report, why,
					sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "/sys/bus/pci/devices"));
	end_patient(&patient);
}

static void test_doctor_many_devices(void **state)
{
	static const char *const none[] = {NULL};
	struct patient patient;
	char line[256];

	(void)state;
	begin_patient(&patient, "ready");
	for (unsigned int i = 0; i < 300; i++) {
		snprintf(line, sizeof(line), "sys/bus/pci/devices/%04x:%02x:00.0/class = 0x030200",
			 1 + i / 256, i % 256);
		fake_tree_add(patient.root, line);
		snprintf(line, sizeof(line), "sys/kernel/iommu_groups/15/devices/%04x:%02x:00.0 -> "
			 "..", 1 + i / 256, i % 256);
		fake_tree_add(patient.root, line);
	}
	examine(&patient.host, none, &patient.report);
	assert_int_equal(patient.report.slots, 302);
	end_patient(&patient);
}

/* The entry of a line of a tree: what is before the first blank. */
static bool entry_of(char *line)
{
	line[strcspn(line, "\n")] = '\0';
	if (!line[0] || line[0] == '#' || !strncmp(line, "include", 7))
		return false;
	line[strcspn(line, " ")] = '\0';
	return line[strlen(line) - 1] != '/';
}

/* Whatever single file is missing, the report is whole. */
static void check_without(const char *entry)
{
	static const char *const named[] = {"01:00.0", NULL};
	struct text text = {0};
	struct patient patient;
	char line[1100];

	begin_patient(&patient, "ready");
	snprintf(line, sizeof(line), "- %s", entry);
	fake_tree_add(patient.root, line);
	examine(&patient.host, named, &patient.report);
	doctor_print_text(&patient.report, &text);
	check_lines(entry, text.bytes);
	assert_non_null(strstr(text.bytes, "\n0000:01:00.0: "));
	text_finish(&text);
	end_patient(&patient);
}

static void test_doctor_any_file_missing(void **state)
{
	static const char *const trees[] = {"machine", "ready"};
	char path[256], line[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(trees); i++) {
		FILE *file;

		snprintf(path, sizeof(path), DIR "%s.tree", trees[i]);
		file = fopen(path, "r");
		assert_non_null(file);
		while (fgets(line, sizeof(line), file))
			if (entry_of(line))
				check_without(line);
		fclose(file);
	}
}

/* The config space of a device is not read, but where it is awake and may not sleep. */
static void test_doctor_reads_no_config(void **state)
{
	static const struct {
		const char *state, *status, *control;
		bool dead;
	} rows[] = {
		{"D0", "active", "on", true}, {"D0", "active", "auto", false},
		{"D3cold", "active", "on", false}, {"D0", "suspended", "on", false},
		{"D3hot", "suspended", "on", false}, {"unknown", "active", "on", false},
		{"D0", "suspending", "on", false}, {"D3cold", "suspended", "auto", false},
	};
	const char *device = "sys/bus/pci/devices/0000:01:00.0";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct patient patient;
		char line[256];

		begin_patient(&patient, "dead");
		snprintf(line, sizeof(line), "%s/power_state = %s", device, rows[i].state);
		fake_tree_add(patient.root, line);
		snprintf(line, sizeof(line), "%s/power/runtime_status = %s", device,
			 rows[i].status);
		fake_tree_add(patient.root, line);
		snprintf(line, sizeof(line), "%s/power/control = %s", device, rows[i].control);
		fake_tree_add(patient.root, line);
		assert_int_equal(doctor_is_dead(&patient.host, "0000:01:00.0"), rows[i].dead);
		patient.report = (struct doctor_report){0};
		end_patient(&patient);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_doctor_golden),
		cmocka_unit_test(test_doctor_finds_displays),
		cmocka_unit_test(test_doctor_several),
		cmocka_unit_test(test_doctor_no_display),
		cmocka_unit_test(test_doctor_wrong_device),
		cmocka_unit_test(test_doctor_reset_methods),
		cmocka_unit_test(test_doctor_no_sysfs),
		cmocka_unit_test(test_doctor_many_devices),
		cmocka_unit_test(test_doctor_any_file_missing),
		cmocka_unit_test(test_doctor_reads_no_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
