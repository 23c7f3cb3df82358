/*
 * The input is what a person writes: the first byte says whether --gpu, the file of --quirks, a
 * file that the program itself keeps (a verdict, a record of bind), or the body of a request to the
 * control socket; the others are the text.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fake_kernel.h"
#include "tests/fuzz/fuzz.h"
#include "tools/bind.h"
#include "vfio/quirks.h"
#include "vfio/verdict.h"
#include "vfio/vfio.h"
#include "vmm/api_body.h"
#include "vmm/base/bits.h"

#define TEXT_MAX 4096U

static void try_slot(const char *text)
{
	struct vfio_slot_config config;
	char why[512] = "";

	if (vfio_slot_parse(text, &config, why, sizeof(why))) {
		fuzz_must(*why != '\0', "a refusal without a sentence");
		return;
	}
	fuzz_must(memchr(config.bdf, 0, sizeof(config.bdf)) &&
		  memchr(config.socket, 0, sizeof(config.socket)), "a name without an end");
	fuzz_must((config.bdf[0] != 0) != (config.socket[0] != 0), "neither slot nor socket");
}

static void try_quirks(const char *text, size_t size)
{
	const struct policy_facts facts = {
		.name = "0000:01:00.0", .vendor = 0x10de, .device = 0x1b38, .class = 0x030000};
	struct quirk_verdict verdict;
	struct quirks *quirks = NULL;
	struct fake_file file;
	char why[512] = "";

	fake_file_create(&file, text, size);
	if (quirks_create(file.path, &quirks, why, sizeof(why))) {
		fuzz_must(*why && !quirks, "a refusal without a sentence");
	} else {
		quirks_match(quirks, &facts, &verdict);
		fuzz_must((verdict.power != 0) == (verdict.power_reason != NULL) &&
			  (verdict.reset != 0) == (verdict.reset_reason != NULL),
			  "a verdict without a reason");
		quirks_destroy(quirks);
	}
	fake_file_destroy(&file);
}

/* A directory whose only file has the text; it goes when the program ends. */
static char kept_dir[] = "/tmp/fuzz_words.XXXXXX";

static void keep(const char *name, const char *text, size_t size)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", kept_dir, name);
	file = fopen(path, "w");
	fuzz_must(file && fwrite(text, 1, size, file) == size && !fclose(file), "no file");
}

static void forget_kept(void)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/0000:01:00.json", kept_dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/0000:01:00.0", kept_dir);
	unlink(path);
	rmdir(kept_dir);
}

static bool is_printable(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (!text[i])
			return true;
		if (text[i] < ' ' || text[i] > '~')
			return false;
	}
	return false;
}

static void try_verdict(const char *text, size_t size)
{
	const struct verdict_subject subject = {
		.slot = "0000:01:00", .card = "0:10de:2684:1043:88e2", .kernel = "6.12.1"};
	struct verdict_lookup lookup;

	keep("0000:01:00.json", text, size);
	verdict_read(kept_dir, &subject, &lookup);
	fuzz_must(lookup.use != VERDICT_NONE, "a file is no file");
	fuzz_must((lookup.use == VERDICT_CURRENT) == !lookup.why[0], "no reason");
	if (lookup.use == VERDICT_CURRENT)
		fuzz_must(is_printable(lookup.verdict.reason, VERDICT_REASON_MAX) &&
			  is_printable(lookup.verdict.date, sizeof(lookup.verdict.date)) &&
			  is_printable(lookup.verdict.state, sizeof(lookup.verdict.state)),
			  "a text that a terminal would obey");
}

static void try_record(const char *text, size_t size)
{
	const struct bind_host host = {.state = kept_dir};
	const struct bind_function fn = {
		.name = "0000:01:00.0", .vendor = 0x10de, .device = 0x2684};
	struct bind_record record;

	keep(fn.name, text, size);
	if (bind_record_find(&host, &fn, &record))
		fuzz_must(is_printable(record.driver, sizeof(record.driver)) &&
			  !strchr(record.driver, '/') && record.driver[0] != '.' &&
			  is_printable(record.override, sizeof(record.override)),
			  "a name that is none");
}

static void try_body(const char *text, size_t size)
{
	struct vfio_slot_config config = {.bdf = ""};
	char id[API_ID_SIZE], why[512] = "";

	if (api_body_add(text, size, &config, id, why, sizeof(why)))
		fuzz_must(*why != '\0', "a refusal without a sentence");
	else
		fuzz_must(memchr(id, 0, sizeof(id)) &&
			  (config.bdf[0] != 0) != (config.socket[0] != 0), "neither of both");
	*why = '\0';
	if (api_body_remove(text, size, id, why, sizeof(why)))
		fuzz_must(*why != '\0', "a refusal without a sentence");
	else
		fuzz_must(*id && memchr(id, 0, sizeof(id)), "no id");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const seeds[] = {
		"0" "0000:01:00.0,power=d3hot,reentry=guest,reset=bus,min-sleep=5",
		"0" "vfio-user:/run/gpu.sock,max-wakes-per-hour=3,resume-timeout=60",
		"1" "# mine\n10de:1b38 reset=bus \"it has no other\"\n"
		    "1002:*:03 power=off reentry=host external=yes \"does not come back\"\n",
		"2" "{\"version\":1,\"slot\":\"0000:01:00\",\"card\":\"0:10de:2684:1043:88e2\","
		    "\"kernel\":\"6.12.1\",\"date\":\"2026-11-22T10:11:12Z\",\"result\":"
		    "\"failed\",\"cycles\":3,\"state\":\"D3cold\",\"reason\":\"r\",\"entry_us\":"
		    "{\"min\":1,\"median\":2,\"p95\":3,\"max\":4},\"suspend_us\":{\"min\":1,"
		    "\"median\":2,\"p95\":3,\"max\":4},\"wake_us\":{\"min\":1,\"median\":2,"
		    "\"p95\":3,\"max\":4}}",
		"3" "{\"driver\":\"nouveau\",\"override\":\"\",\"vendor\":4318,"
		    "\"device\":9860}",
		"4" "{\"path\":\"/sys/bus/pci/devices/0000:01:00.0\",\"id\":\"a\\u00e9\"}",
		"4" "{\"gpu\":\"vfio-user:/run/a,power=off\"}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(seeds); i++) {
		const char name[] = {(char)('a' + i), 0};

		fuzz_write_seed(*argc, *argv, name, seeds[i], strlen(seeds[i]));
	}
	fuzz_must(mkdtemp(kept_dir), "no directory");
	atexit(forget_kept);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[TEXT_MAX + 1] = "";

	if (!size || size > TEXT_MAX)
		return 0;
	memcpy(text, data + 1, size - 1);
	switch ((uint8_t)(data[0] - '0') % 5) {
	case 0:
		try_slot(text);
		break;
	case 1:
		try_quirks(text, size - 1);
		break;
	case 2:
		try_verdict(text, size - 1);
		break;
	case 3:
		try_record(text, size - 1);
		break;
	default:
		try_body(text, size - 1);
	}
	return 0;
}
