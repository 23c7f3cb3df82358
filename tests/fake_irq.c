#include "tests/fake_irq.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/fake_must.h"

struct irq_chip {
	pthread_mutex_t lock; /* protects everything below and each irq_line.level */
	struct fake_irq_line line[GSI_COUNT];
	struct msi_message msi[FAKE_IRQ_MSIS];
	unsigned int msis;
	struct fake_irq_route route[FAKE_IRQ_ROUTES]; /* of GSI_COUNT + index */
	struct irq_fd fd[FAKE_IRQ_FDS];
	unsigned int fds, fds_ever;
	int route_alloc_error, route_set_error, fd_attach_error;
};

struct irq_chip *fake_irq_create(void)
{
	struct irq_chip *chip = calloc(1, sizeof(*chip));

	must(chip, "out of memory");
	pthread_mutex_init(&chip->lock, NULL);
	return chip;
}

void fake_irq_destroy(struct irq_chip *chip)
{
	if (!chip)
		return;
	must(!chip->fds, "an irqfd is still attached");
	must(!fake_irq_route_count(chip), "a route is still allocated");
	pthread_mutex_destroy(&chip->lock);
	free(chip);
}

static void lock(struct irq_chip *chip)
{
	pthread_mutex_lock(&chip->lock);
}

static void unlock(struct irq_chip *chip)
{
	pthread_mutex_unlock(&chip->lock);
}

/* --- vmm/irq.h: lines and messages --- */

void irq_line_set(struct irq_chip *chip, struct irq_line *line, bool level)
{
	struct fake_irq_line *record;

	must(line->gsi < GSI_COUNT, "irq_line_set() of a GSI that is no line");
	lock(chip);
	record = &chip->line[line->gsi];
	if (line->level != level) {
		line->level = level;
		must(level || record->sources, "a source was copied or zeroed while it was high");
		record->rises += level && !record->sources;
		record->sources = level ? record->sources + 1 : record->sources - 1;
	}
	unlock(chip);
}

void irq_pulse(struct irq_chip *chip, uint32_t gsi)
{
	must(gsi < GSI_COUNT, "irq_pulse() of a GSI that is no line");
	lock(chip);
	chip->line[gsi].pulses++;
	unlock(chip);
}

static void send_locked(struct irq_chip *chip, struct msi_message message)
{
	if (chip->msis < FAKE_IRQ_MSIS)
		chip->msi[chip->msis] = message;
	chip->msis++;
}

void irq_send_msi(struct irq_chip *chip, struct msi_message message)
{
	lock(chip);
	send_locked(chip, message);
	unlock(chip);
}

/* --- vmm/irq.h: routes --- */

/* The allocated route with this GSI, or NULL. */
static struct fake_irq_route *find_route_locked(struct irq_chip *chip, int64_t gsi)
{
	int64_t index = gsi - (int64_t)GSI_COUNT;

	if (index < 0 || index >= FAKE_IRQ_ROUTES || !chip->route[index].used)
		return NULL;
	return &chip->route[index];
}

int irq_route_alloc(struct irq_chip *chip)
{
	int gsi;

	lock(chip);
	gsi = chip->route_alloc_error ? chip->route_alloc_error : -ENOSPC;
	for (int i = 0; i < FAKE_IRQ_ROUTES && !chip->route_alloc_error; i++) {
		if (chip->route[i].used)
			continue;
		chip->route[i] = (struct fake_irq_route){.used = true};
		gsi = (int)GSI_COUNT + i;
		break;
	}
	unlock(chip);
	return gsi;
}

void irq_route_free(struct irq_chip *chip, int gsi)
{
	struct fake_irq_route *route;

	lock(chip);
	route = find_route_locked(chip, gsi);
	must(route, "irq_route_free() of a route that is not allocated");
	*route = (struct fake_irq_route){.used = false};
	unlock(chip);
}

int irq_route_set(struct irq_chip *chip, int gsi, struct msi_message message)
{
	struct fake_irq_route *route;
	int error;

	lock(chip);
	route = find_route_locked(chip, gsi);
	must(route, "irq_route_set() of a route that is not allocated");
	error = chip->route_set_error;
	if (!error) {
		route->set = true;
		route->message = message;
		route->sets++;
	}
	unlock(chip);
	return error;
}

/* --- vmm/irq.h: irqfds --- */

/* Index of the first one that matches; `trigger` or `gsi` -1 matches all. Or -1. */
static int find_fd_locked(const struct irq_chip *chip, int trigger, int64_t gsi)
{
	for (unsigned int i = 0; i < chip->fds; i++)
		if ((trigger < 0 || chip->fd[i].trigger == trigger) &&
		    (gsi < 0 || chip->fd[i].gsi == gsi))
			return (int)i;
	return -1;
}

int irq_fd_attach(struct irq_chip *chip, const struct irq_fd *fd)
{
	int error;

	must(fd->trigger >= 0, "irq_fd_attach() without a trigger");
	lock(chip);
	must(fd->gsi < GSI_COUNT || find_route_locked(chip, fd->gsi),
	     "irq_fd_attach() to a GSI that is neither a line nor an allocated route");
	error = chip->fd_attach_error;
	if (!error && find_fd_locked(chip, fd->trigger, -1) >= 0)
		error = -EBUSY; /* as KVM_IRQFD: an eventfd serves one irqfd */
	if (!error) {
		must(chip->fds < FAKE_IRQ_FDS, "more irqfds than FAKE_IRQ_FDS");
		chip->fd[chip->fds++] = *fd;
		chip->fds_ever++;
	}
	unlock(chip);
	return error;
}

void irq_fd_detach(struct irq_chip *chip, const struct irq_fd *fd)
{
	int index;

	lock(chip);
	index = find_fd_locked(chip, fd->trigger, fd->gsi);
	if (index >= 0) {
		chip->fds--;
		for (unsigned int i = (unsigned int)index; i < chip->fds; i++)
			chip->fd[i] = chip->fd[i + 1];
	}
	unlock(chip);
}

/* --- what tests ask --- */

struct fake_irq_line fake_irq_line(struct irq_chip *chip, uint32_t gsi)
{
	struct fake_irq_line line;

	must(gsi < GSI_COUNT, "a test asks for a GSI that is no line");
	lock(chip);
	line = chip->line[gsi];
	unlock(chip);
	return line;
}

bool fake_irq_level(struct irq_chip *chip, uint32_t gsi)
{
	return fake_irq_line(chip, gsi).sources;
}

unsigned int fake_irq_pulses(struct irq_chip *chip, uint32_t gsi)
{
	return fake_irq_line(chip, gsi).pulses;
}

unsigned int fake_irq_msi_count(struct irq_chip *chip)
{
	unsigned int count;

	lock(chip);
	count = chip->msis;
	unlock(chip);
	return count;
}

struct msi_message fake_irq_msi(struct irq_chip *chip, unsigned int index)
{
	struct msi_message message;

	lock(chip);
	must(index < chip->msis && index < FAKE_IRQ_MSIS, "a test asks for an MSI never sent");
	message = chip->msi[index];
	unlock(chip);
	return message;
}

void fake_irq_forget_msis(struct irq_chip *chip)
{
	lock(chip);
	chip->msis = 0;
	unlock(chip);
}

unsigned int fake_irq_route_count(struct irq_chip *chip)
{
	unsigned int count = 0;

	lock(chip);
	for (unsigned int i = 0; i < FAKE_IRQ_ROUTES; i++)
		count += chip->route[i].used;
	unlock(chip);
	return count;
}

struct fake_irq_route fake_irq_route(struct irq_chip *chip, int gsi)
{
	struct fake_irq_route *found, route = {.used = false};

	lock(chip);
	found = find_route_locked(chip, gsi);
	if (found)
		route = *found;
	unlock(chip);
	return route;
}

unsigned int fake_irq_fd_count(struct irq_chip *chip)
{
	unsigned int count;

	lock(chip);
	count = chip->fds;
	unlock(chip);
	return count;
}

unsigned int fake_irq_fds_ever(struct irq_chip *chip)
{
	unsigned int count;

	lock(chip);
	count = chip->fds_ever;
	unlock(chip);
	return count;
}

static bool get_fd(struct irq_chip *chip, int trigger, int64_t gsi, struct irq_fd *ret_fd)
{
	int index;

	lock(chip);
	index = find_fd_locked(chip, trigger, gsi);
	if (index >= 0)
		*ret_fd = chip->fd[index];
	unlock(chip);
	return index >= 0;
}

bool fake_irq_fd_by_trigger(struct irq_chip *chip, int trigger, struct irq_fd *ret_fd)
{
	must(trigger >= 0, "a test asks for an irqfd without a trigger");
	return get_fd(chip, trigger, -1, ret_fd);
}

bool fake_irq_fd_by_gsi(struct irq_chip *chip, uint32_t gsi, struct irq_fd *ret_fd)
{
	return get_fd(chip, -1, gsi, ret_fd);
}

/* Takes a signal off an eventfd, which may be a blocking one. */
static bool take_signal(int eventfd)
{
	struct pollfd pollfd = {.fd = eventfd, .events = POLLIN};
	uint64_t count;

	return poll(&pollfd, 1, 0) == 1 && read(eventfd, &count, sizeof(count)) == sizeof(count);
}

static bool deliver_locked(struct irq_chip *chip, const struct irq_fd *fd)
{
	struct fake_irq_route *route = find_route_locked(chip, fd->gsi);

	if (fd->gsi < GSI_COUNT)
		chip->line[fd->gsi].pulses++;
	else if (route && route->set)
		send_locked(chip, route->message);
	else
		return false;
	return true;
}

unsigned int fake_irq_fire(struct irq_chip *chip)
{
	unsigned int delivered = 0;

	lock(chip);
	for (unsigned int i = 0; i < chip->fds; i++)
		if (take_signal(chip->fd[i].trigger))
			delivered += deliver_locked(chip, &chip->fd[i]);
	unlock(chip);
	return delivered;
}

static void set_error(struct irq_chip *chip, int *field, int error)
{
	lock(chip);
	*field = error;
	unlock(chip);
}

void fake_irq_fail_route_alloc(struct irq_chip *chip, int error)
{
	set_error(chip, &chip->route_alloc_error, error);
}

void fake_irq_fail_route_set(struct irq_chip *chip, int error)
{
	set_error(chip, &chip->route_set_error, error);
}

void fake_irq_fail_fd_attach(struct irq_chip *chip, int error)
{
	set_error(chip, &chip->fd_attach_error, error);
}
