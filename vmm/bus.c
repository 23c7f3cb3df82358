#include "vmm/bus.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/base/log.h"

/* Access sizes are 1 << 0 to 1 << 3 bytes. */
#define SIZE_CLASSES 4U
#define SIZES_ALL 0xfU

struct claim {
	struct range range;
	const struct bus_ops *ops;
	void *opaque;
};

/* The claims that take accesses of one size: they do not meet, and are sorted by address. */
struct claims {
	struct claim *claim;
	unsigned int count, capacity;
};

struct bus {
	const char *name;
	pthread_rwlock_t lock; /* protects `of_size` */
	struct claims of_size[SIZE_CLASSES];
};

struct bus *bus_create(const char *name)
{
	struct bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return NULL;
	bus->name = name;
	pthread_rwlock_init(&bus->lock, NULL);
	return bus;
}

void bus_destroy(struct bus *bus)
{
	if (!bus)
		return;
	for (unsigned int i = 0; i < SIZE_CLASSES; i++)
		free(bus->of_size[i].claim);
	pthread_rwlock_destroy(&bus->lock);
	free(bus);
}

/* --- claims --- */

/* Index of the first claim that ends beyond `addr`; the count when there is none. */
static unsigned int find_first(const struct claims *claims, uint64_t addr)
{
	unsigned int low = 0, high = claims->count;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;
		const struct range *range = &claims->claim[middle].range;

		if (addr >= range->start && addr - range->start >= range->size)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_free(const struct claims *claims, struct range range)
{
	unsigned int next = find_first(claims, range.start);

	return next == claims->count || !range_meets(claims->claim[next].range, range);
}

static bool reserve_one(struct claims *claims)
{
	unsigned int capacity = claims->capacity ? 2 * claims->capacity : 8;
	struct claim *grown;

	if (claims->count < claims->capacity)
		return true;
	grown = realloc(claims->claim, capacity * sizeof(*grown));
	if (!grown)
		return false;
	claims->claim = grown;
	claims->capacity = capacity;
	return true;
}

static void insert(struct claims *claims, struct claim claim)
{
	unsigned int at = find_first(claims, claim.range.start);

	memmove(&claims->claim[at + 1], &claims->claim[at],
		(claims->count - at) * sizeof(claims->claim[0]));
	claims->claim[at] = claim;
	claims->count++;
}

/* In two passes, so that a claim is made for all of its sizes or for none. */
static int add_locked(struct bus *bus, struct claim claim)
{
	for (unsigned int i = 0; i < SIZE_CLASSES; i++) {
		if (!(claim.ops->sizes & 1U << i))
			continue;
		if (!is_free(&bus->of_size[i], claim.range))
			return -EEXIST;
		if (!reserve_one(&bus->of_size[i]))
			return -ENOMEM;
	}
	for (unsigned int i = 0; i < SIZE_CLASSES; i++)
		if (claim.ops->sizes & 1U << i)
			insert(&bus->of_size[i], claim);
	return 0;
}

int bus_add(struct bus *bus, struct range range, const struct bus_ops *ops, void *opaque)
{
	int error;

	if (!range.size || range.size - 1 > UINT64_MAX - range.start || !ops->access ||
	    !ops->sizes || ops->sizes & ~SIZES_ALL)
		return -EINVAL;
	pthread_rwlock_wrlock(&bus->lock);
	error = add_locked(bus, (struct claim){range, ops, opaque});
	pthread_rwlock_unlock(&bus->lock);
	if (error)
		log_debug("%s 0x%llx: %llu bytes cannot be claimed: %s", bus->name,
			  (unsigned long long)range.start, (unsigned long long)range.size,
			  strerror(-error));
	return error;
}

/* --- accesses --- */

static bool look_up(struct bus *bus, uint64_t addr, unsigned int size_class,
		    struct claim *ret_claim)
{
	const struct claims *claims = &bus->of_size[size_class];
	unsigned int at;
	bool found;

	pthread_rwlock_rdlock(&bus->lock);
	at = find_first(claims, addr);
	found = at < claims->count &&
		range_contains(claims->claim[at].range, addr, 1U << size_class);
	if (found)
		*ret_claim = claims->claim[at];
	pthread_rwlock_unlock(&bus->lock);
	return found;
}

/* An access of `1 << size_class` bytes. Returns what is read. */
static uint64_t access_one(struct bus *bus, uint64_t addr, unsigned int size_class, bool is_write,
			   uint64_t value)
{
	unsigned int half = (1U << size_class) / 2;
	struct claim claim;
	uint64_t low, high;

	if (look_up(bus, addr, size_class, &claim)) {
		struct bus_access access = {
			.off = addr - claim.range.start,
			.len = 1U << size_class,
			.is_write = is_write,
			.value = is_write ? value & ones(1U << size_class) : ones(1U << size_class),
		};

		claim.ops->access(claim.opaque, &access);
		return access.value & ones(access.len);
	}
	if (!half)
		return ones(1);
	low = access_one(bus, addr, size_class - 1, is_write, value);
	high = access_one(bus, addr + half, size_class - 1, is_write, value >> 8 * half);
	return low | high << 8 * half;
}

/* The largest size of an access of at most `len` bytes. KVM cuts accesses at page boundaries, which
 * leaves odd lengths. */
static unsigned int largest_class(unsigned int len)
{
	unsigned int size_class = SIZE_CLASSES - 1;

	while (size_class && 1U << size_class > len)
		size_class--;
	return size_class;
}

void bus_access(struct bus *bus, uint64_t addr, struct bus_access *access)
{
	uint64_t read = 0;

	for (unsigned int done = 0; done < access->len && done < sizeof(access->value);) {
		unsigned int size_class = largest_class(access->len - done);

		read |= access_one(bus, addr + done, size_class, access->is_write,
				   access->value >> 8 * done) << 8 * done;
		done += 1U << size_class;
	}
	if (!access->is_write)
		access->value = read;
}
