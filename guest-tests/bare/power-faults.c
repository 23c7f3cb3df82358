/*
 * One cell of the fault matrix (guest-tests/bare/matrix): brings the slot into a state, has the
 * model commit a fault, goes on as an operating system would, and says in one line what it saw. It
 * judges nothing; that it comes to its end is what it reports as passed.
 *
 *   state=on|d3hot|going-off|engaged|engaged-pme|woken|going-on
 *   fault=COMMAND   one of the model's commands, with '_' for spaces; without, nothing happens
 *   before=1        the slot has slept once before all that
 *   await=A|B|...   what the look of each step waits for: letters of `notices`, "-" for none
 *   settle=MS       each look waits so long besides, for what the guest is not told of
 *
 * The line: "saw: then WORDS | off WORDS | on WORDS | off WORDS | on WORDS": right after the fault,
 * then asleep (not where the slot sleeps already) and awake, twice. WORDS are what the function
 * answers and then what the guest was told since the look before.
 */
#include "guest-tests/bare/lib_gpu.h"
#include "guest-tests/bare/lib_irq.h"

#define VECTOR_PORT 42
#define VECTOR_RAISE 44
#define RAISE_ENTRY 2
#define NOTICE_TIMEOUT_MS 10000
#define STEP_TIMEOUT_MS 30000
#define HELD "late 0 15000"  /* the model answers so late: not before it is told to */
#define RELEASED "late 0 0"
#define WORD_SIZE 80
#define ONES 0xffffffffU

static struct slot slot;
static struct gpu gpu;
static uint32_t id;
static unsigned int aer;
static char state[WORD_SIZE], fault[WORD_SIZE], awaited[WORD_SIZE];

/* --- what the guest is told; each takes its notice, so that the next look sees newer ones only */

static bool port_pme;

static bool see_pme(void)
{
	bool seen = false;
	uint32_t status;

	while ((status = slot_root_status(&slot)) & PCI_EXP_RTSTA_PME) {
		unsigned int fn = status & 7;
		bool own = (uint16_t)status == slot.port;

		seen |= !own;
		port_pme |= own;
		if (own)
			pci_change(slot.port, slot.port_pm + PCI_PM_CTRL, 2, 0,
				   PCI_PM_CTRL_PME_STATUS);
		else
			pci_change(slot.fn[fn], slot.pm[fn] + PCI_PM_CTRL, 2, 0,
				   PCI_PM_CTRL_PME_STATUS);
		pci_write(slot.port, slot.port_exp + PCI_EXP_RTSTA, 4, PCI_EXP_RTSTA_PME);
	}
	return seen;
}

/* Of the port itself; after see_pme(), which takes it. */
static bool see_port_pme(void)
{
	bool seen = port_pme;

	port_pme = false;
	return seen;
}

static bool see_notify(void)
{
	uint32_t functions = slot.wake ? MMIO(uint32_t, slot.wake) : 0;

	if (functions)
		MMIO(uint32_t, slot.wake) = functions;
	return functions;
}

static bool see_slot_status(uint32_t bit)
{
	unsigned int off = slot.port_exp + PCI_EXP_SLTSTA;
	bool seen = pci_read(slot.port, off, 2) & bit;

	if (seen)
		pci_write(slot.port, off, 2, bit);
	return seen;
}

static bool see_removal(void)
{
	return see_slot_status(PCI_EXP_SLTSTA_PDC);
}

static bool see_button(void)
{
	return see_slot_status(PCI_EXP_SLTSTA_ABP);
}

static bool see_error(void)
{
	uint32_t status = aer ? pci_read(slot.port, aer + PCI_ERR_ROOT_STATUS, 4) : 0;

	if (status)
		pci_write(slot.port, aer + PCI_ERR_ROOT_STATUS, 4, status);
	return status;
}

static bool see_interrupt(void)
{
	static unsigned int seen;
	unsigned int count = irq_count(VECTOR_RAISE);
	bool more = count != seen;

	seen = count;
	return more;
}

static const struct {
	char letter;
	const char *word;
	bool (*see)(void);
} notices[] = {
	{'p', "pme", see_pme},
	{'o', "port-pme", see_port_pme},
	{'n', "notify", see_notify},
	{'r', "slot-changed", see_removal},
	{'b', "button", see_button},
	{'e', "error", see_error},
	{'i', "interrupt", see_interrupt},
};

/* --- a look --- */

static const char *steps_awaited = awaited;
static unsigned int wanted, noticed; /* bits of `notices` */
static long touches;
static bool no_effect; /* the model cannot commit the fault in this state */

static void next_wanted(void)
{
	wanted = noticed = 0;
	for (; *steps_awaited && *steps_awaited != '|'; steps_awaited++)
		for (unsigned int i = 0; i < ARRAY_SIZE(notices); i++)
			if (notices[i].letter == *steps_awaited)
				wanted |= 1U << i;
	if (*steps_awaited)
		steps_awaited++;
}

static bool noticed_wanted(void *opaque)
{
	(void)opaque;
	for (unsigned int i = 0; i < ARRAY_SIZE(notices); i++)
		if (notices[i].see())
			noticed |= 1U << i;
	return (noticed & wanted) == wanted;
}

static bool never(void *opaque)
{
	(void)opaque;
	return false;
}

static const char *what_answers(void)
{
	uint32_t vendor = pci_read(gpu.bdf, PCI_VENDOR_ID, 4);
	uint32_t reg = gpu_read(&gpu, GPU_ID);

	(void)MMIO(uint32_t, gpu.vram);
	gpu_write(&gpu, GPU_SCRATCH, 1);
	if (vendor == id && reg == GPU_ID_VALUE)
		return "answers";
	if (vendor == id && reg == ONES)
		return "config";
	return vendor == ONES && reg == ONES ? "ones" : "nonsense";
}

static char line[512] = "saw:";

static void say(const char *word)
{
	size_t len = strlen(line);

	if (len + strlen(word) + 2 > sizeof(line))
		return;
	line[len] = ' ';
	memcpy(line + len + 1, word, strlen(word) + 1);
}

/* What the controller said at the end of a step, if it was not what was asked for. */
static void say_power(uint32_t status, uint32_t expected)
{
	if (status & STATUS_BUSY)
		say("busy");
	else if (status != expected)
		say(status & STATUS_ON ? "powered" : "unpowered");
}

/* The function is touched before and after the wait: a loss is found by touching. */
static void look(const char *step, uint32_t status, uint32_t expected)
{
	const char *first;

	next_wanted();
	say(step);
	if (no_effect)
		say("no-effect");
	no_effect = false;
	say_power(status, expected);
	first = what_answers();
	if (option("settle") > 0)
		wait_until(never, NULL, (unsigned int)option("settle"));
	wait_until(noticed_wanted, NULL, wanted ? NOTICE_TIMEOUT_MS : 0);
	say(wanted || option("settle") > 0 ? what_answers() : first);
	for (unsigned int i = 0; i < ARRAY_SIZE(notices); i++)
		if (noticed & 1U << i)
			say(notices[i].word);
	if (model_status(0, "touches") != touches)
		say("touched"); /* while it slept, by the VMM */
	touches = model_status(0, "touches");
}

/* --- states --- */

static bool wants_pme(void)
{
	return memcmp(state, "engaged", sizeof("engaged")) != 0;
}

static void go_d3hot(void)
{
	slot_set_pmcsr(&slot, 0, 3);
}

static bool is_engaged(void *opaque)
{
	return model_status(0, "engaged") == *(const bool *)opaque;
}

/* The model has done what it was asked for, but the answer is not sent: the fault comes between. */
static void go_halfway(bool on)
{
	bool engaged = !on;

	model_ask(HELD);
	MMIO(uint32_t, slot.control) = on;
	report("the model is halfway", wait_until(is_engaged, &engaged, STEP_TIMEOUT_MS));
}

static void go_off(void)
{
	slot_prepare_suspend(&slot, wants_pme());
	go_halfway(false);
}

static void sleep(void)
{
	slot_suspend(&slot, wants_pme());
}

static void go_woken(void)
{
	sleep();
	model_ask("wake 0 now");
	noticed = 0;
	wanted = 1; /* pme */
	wait_until(noticed_wanted, NULL, NOTICE_TIMEOUT_MS);
}

static void go_on(void)
{
	sleep();
	pci_change(slot.port, slot.port_pm + PCI_PM_CTRL, 2, PCI_PM_CTRL_STATE_MASK, 0);
	go_halfway(true);
}

static void stay(void)
{
}

static const struct {
	const char *name;
	void (*reach)(void);
	bool asleep; /* the guest believes it off afterwards */
} states[] = {
	{"on", stay, false},
	{"d3hot", go_d3hot, false},
	{"going-off", go_off, true},
	{"engaged", sleep, true},
	{"engaged-pme", sleep, true},
	{"woken", go_woken, true},
	{"going-on", go_on, false},
};

/* --- the cell --- */

static void set_up(void)
{
	irq_init();
	slot_find(&slot);
	slot_find_controller(&slot);
	gpu_find(&slot, 0, &gpu);
	id = pci_read(gpu.bdf, PCI_VENDOR_ID, 4);
	aer = pci_ext_cap(slot.port, PCI_EXT_CAP_ID_ERR);
	irq_take(VECTOR_PORT, NULL);
	msi_route(slot.port, VECTOR_PORT);
	irq_take(VECTOR_RAISE, NULL);
	msix_route(gpu.bdf, RAISE_ENTRY, VECTOR_RAISE);
	msix_enable(gpu.bdf);
	pci_change(slot.port, slot.port_exp + PCI_EXP_RTCTL, 2, 0, PCI_EXP_RTCTL_PMEIE);
	pci_change(slot.port, slot.port_exp + PCI_EXP_SLTCTL, 2, 0,
		   PCI_EXP_SLTCTL_ABPE | PCI_EXP_SLTCTL_PDCE | PCI_EXP_SLTCTL_DLLSCE |
			   PCI_EXP_SLTCTL_HPIE);
	if (aer)
		pci_write(slot.port, aer + PCI_ERR_ROOT_COMMAND, 4, 7);
	pci_change(slot.port, PCI_COMMAND, 2, 0, PCI_COMMAND_SERR);
	pci_change(slot.port, PCI_BRIDGE_CONTROL, 2, 0, PCI_BRIDGE_CTL_SERR);
	if (option("before") > 0) {
		slot_suspend(&slot, true);
		slot_resume(&slot);
	}
}

static void commit_fault(void)
{
	char answer[WORD_SIZE];

	if (*fault)
		no_effect = !model_ask_for(fault, answer, sizeof(answer)) ||
			    !memcmp(answer, "ok 0", sizeof("ok 0"));
}

static void go_through(size_t i)
{
	uint32_t status, expected = states[i].asleep ? 0 : STATUS_ON;

	states[i].reach();
	commit_fault();
	if (states[i].reach == go_off || states[i].reach == go_on) {
		model_ask(RELEASED);
		if (!memcmp(fault, RELEASED, sizeof("late")))
			commit_fault(); /* is what was undone */
	}
	status = slot_await_idle(&slot, STEP_TIMEOUT_MS);
	look("then", status, expected);
	for (unsigned int round = 0; round < 2; round++) {
		if (round || !states[i].asleep) {
			say("|");
			status = slot_suspend(&slot, wants_pme());
			look("off", status, 0);
		}
		say("|");
		status = slot_resume(&slot);
		look("on", status, STATUS_ON);
	}
}

void test(void)
{
	bool known = false;

	set_up();
	option_word("fault", fault, sizeof(fault));
	for (char *at = fault; *at; at++)
		if (*at == '_')
			*at = ' ';
	option_word("state", state, sizeof(state));
	option_word("await", awaited, sizeof(awaited));
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		if (memcmp(state, states[i].name, strlen(states[i].name) + 1))
			continue;
		known = true;
		go_through(i);
	}
	print(line);
	print("\n");
	report("the guest came to its end", known);
}
