/* The command line, and building the slot that it describes. */
#include "guest-tests/model-gpu/model.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct kind kinds[] = {
	{"gpu", 0x030000, 64 << 10, true, VECTORS_MAX},
	{"audio", 0x040300, 16 << 10, false, 2},
	{"usbc", 0x0c0330, 16 << 10, false, 2},
};

struct options {
	const char *dir, *control, *script, *config;
	char *functions;
};

bool verbose;
static struct slot slot;

void trace(const struct function *fn, const char *format, ...)
{
	va_list args;

	if (!verbose)
		return;
	fprintf(stderr, "%u: ", fn->number);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static _Noreturn void stop(const char *what, const char *why)
{
	fprintf(stderr, "model-gpu: %s: %s\n", what, why);
	exit(1);
}

static _Noreturn void usage(int status)
{
	fprintf(status ? stderr : stdout,
		"usage: model-gpu --socket DIR [--functions gpu,audio,usbc] [--nvidia]\n"
		"       [--no-low-power] [--no-wakeup] [--no-reset] [--sparse] [--vram GIB]\n"
		"       [--config [FN:]FAULT] [--control PATH] [--script FILE] [--verbose]\n");
	exit(status);
}

enum { OPT_SOCKET, OPT_FUNCTIONS, OPT_CONFIG, OPT_CONTROL, OPT_SCRIPT, OPT_VRAM, OPT_HELP,
       OPT_FLAG };

/* What a flag sets, and to what. */
static const struct {
	bool *flag;
	bool value;
} flags[] = {
	{&slot.nvidia, true},
	{&slot.low_power, false},
	{&slot.wakeup, false},
	{&slot.reset, false},
	{&slot.sparse, true},
	{&verbose, true},
};

static const struct option long_options[] = {
	{"socket", required_argument, NULL, OPT_SOCKET},
	{"functions", required_argument, NULL, OPT_FUNCTIONS},
	{"config", required_argument, NULL, OPT_CONFIG},
	{"control", required_argument, NULL, OPT_CONTROL},
	{"script", required_argument, NULL, OPT_SCRIPT},
	{"vram", required_argument, NULL, OPT_VRAM},
	{"help", no_argument, NULL, OPT_HELP},
	{"nvidia", no_argument, NULL, OPT_FLAG},
	{"no-low-power", no_argument, NULL, OPT_FLAG + 1},
	{"no-wakeup", no_argument, NULL, OPT_FLAG + 2},
	{"no-reset", no_argument, NULL, OPT_FLAG + 3},
	{"sparse", no_argument, NULL, OPT_FLAG + 4},
	{"verbose", no_argument, NULL, OPT_FLAG + 5},
	{0},
};

/* A BAR has a power of two of bytes. */
static uint64_t vram_bytes(const char *text)
{
	char *end;
	unsigned long gib = strtoul(text, &end, 10);

	if (*end || !gib || gib > VRAM_GIB_MAX || gib & (gib - 1))
		stop(text, "--vram takes a power of two from 1 to 1024, of GiB");
	return (uint64_t)gib << 30;
}

static void parse_options(struct options *options, int argc, char **argv)
{
	int option;

	slot.low_power = slot.wakeup = slot.reset = true;
	slot.vram_size = VRAM_SIZE;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case OPT_SOCKET: options->dir = optarg; break;
		case OPT_FUNCTIONS: options->functions = optarg; break;
		case OPT_CONFIG: options->config = optarg; break;
		case OPT_CONTROL: options->control = optarg; break;
		case OPT_SCRIPT: options->script = optarg; break;
		case OPT_VRAM: slot.vram_size = vram_bytes(optarg); break;
		case OPT_HELP: usage(0);
		case '?': usage(2);
		default:
			*flags[option - OPT_FLAG].flag = flags[option - OPT_FLAG].value;
			break;
		}
	}
	if (optind != argc || !options->dir)
		usage(2);
}

/* --- the slot --- */

static const struct kind *find_kind(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	stop(name, "no such kind of function: gpu, audio, usbc");
}

static void add_functions(char *names)
{
	char *save, gpu[] = "gpu";

	if (!names)
		names = gpu;
	for (char *name = strtok_r(names, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		struct function *fn = &slot.fn[slot.count];

		if (slot.count == FUNCTIONS_MAX)
			stop(name, "a slot has at most three functions");
		*fn = (struct function){.slot = &slot, .number = slot.count++, .boot_count = 1};
		fn->kind = find_kind(name);
	}
	if (!slot.count)
		usage(2);
}

static void create_vram(void)
{
	slot.vram_fd = memfd_create("vram", MFD_CLOEXEC);
	if (slot.vram_fd < 0 || ftruncate(slot.vram_fd, (off_t)slot.vram_size))
		stop("VRAM", strerror(errno));
	slot.vram = mmap(NULL, slot.vram_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			 slot.vram_fd, 0);
	if (slot.vram == MAP_FAILED)
		stop("VRAM", strerror(errno));
}

static void check(int error, const char *what)
{
	if (error)
		stop(what, strerror(-error));
}

static void listen_all(const struct options *options)
{
	if (mkdir(options->dir, 0700) && errno != EEXIST)
		stop(options->dir, strerror(errno));
	for (unsigned int i = 0; i < slot.count; i++) {
		struct function *fn = &slot.fn[i];

		config_init(fn);
		interrupts_init(fn);
		power_init(fn);
		check(server_listen(fn, options->dir), options->dir);
	}
	if (options->control)
		check(control_listen(&slot, options->control), options->control);
}

/* --- what is done before any client --- */

static void command(const char *words)
{
	char line[512], answer[4096];

	snprintf(line, sizeof(line), "%s", words);
	control_command(&slot, line, answer, sizeof(answer));
	if (strncmp(answer, "ok", 2))
		stop(words, answer);
}

static void run_script(const char *path)
{
	FILE *script = fopen(path, "re");
	char line[512];

	if (!script)
		stop(path, strerror(errno));
	while (fgets(line, sizeof(line), script)) {
		line[strcspn(line, "\r\n")] = 0;
		if (*line && *line != '#')
			command(line);
	}
	fclose(script);
}

static void break_config(const char *fault)
{
	const char *name = strchr(fault, ':');
	char words[128];

	if (name)
		snprintf(words, sizeof(words), "config %.*s %s", (int)(name - fault), fault,
			 name + 1);
	else
		snprintf(words, sizeof(words), "config 0 %s", fault);
	command(words);
}

int main(int argc, char **argv)
{
	struct options options = {0};

	parse_options(&options, argc, argv);
	add_functions(options.functions);
	create_vram();
	check(loop_init(), "event loop");
	check(dma_init(), "signal handler");
	listen_all(&options);
	if (options.config)
		break_config(options.config);
	if (options.script)
		run_script(options.script);
	puts("ready");
	fflush(stdout);
	loop_run();
	for (unsigned int i = 0; i < slot.count; i++)
		server_finish(&slot.fn[i]);
	if (options.control)
		unlink(options.control);
	return 0;
}
