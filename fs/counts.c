/* SPDX-License-Identifier: MIT */
/*
 * A hash table in shards. Each shard has two areas of reserved address space, and its
 * table lies at the beginning of one of them: a larger or a smaller one is made in the
 * other area, and becomes the shard's by a single store. Ids stay when their count
 * becomes 0, until then.
 *
 * A shard has an *intent*, what is to be stored: the count and the progress. It is
 * written first, and whoever comes next stores it again. The locks are those of one
 * process, the next one makes its own.
 */
#include "counts.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SHARDS 64u
#define BITS_MIN 8u /* 4 KiB */

/* Reserved for an area: enough for 400 million inodes in all, or less where so much
 * address space may not be had */
#define AREA_MAX (UINT64_C(1) << 28)
#define AREA_MIN (UINT64_C(1) << 16)

struct entry {
	_Atomic uint64_t id; /* 0: free */
	int64_t count;
};

struct intent {
	_Atomic bool valid;
	struct entry *entry;
	int64_t count;
	uint32_t *progress;
	uint32_t value;
};

struct shard {
	_Atomic uint32_t table; /* 2 * the number of bits, + the area */
	uint64_t used; /* entries with an id */
	uint64_t live; /* those with a count, about */
	struct intent intent;
};

struct counts {
	struct shard shard[SHARDS];
	size_t size; /* of all */
	uint64_t area; /* of one */
	char *areas;
};

static pthread_mutex_t locks[SHARDS];

static struct entry *table_of(const struct counts *c, unsigned shard,
			      uint32_t table)
{
	return (void *)(c->areas + (2 * shard + (table & 1)) * (size_t)c->area);
}

static uint64_t hash_of(uint64_t id)
{
	return id * UINT64_C(0x9e3779b97f4a7c15);
}

/* The entry of the id, or the free one where it belongs */
static struct entry *find(struct entry *t, unsigned bits, uint64_t id)
{
	uint64_t mask = (UINT64_C(1) << bits) - 1;
	uint64_t i = hash_of(id) >> 16;

	for (;; i++) {
		struct entry *e = &t[i & mask];
		uint64_t has =
			atomic_load_explicit(&e->id, memory_order_relaxed);

		if (!has || has == id)
			return e;
	}
}

/* Move to a table in which a quarter to a half is in use */
static int rehash(struct counts *c, unsigned n)
{
	struct shard *s = &c->shard[n];
	uint32_t old = atomic_load(&s->table);
	struct entry *from = table_of(c, n, old);
	uint32_t fresh = (old & 1) ^ 1;
	struct entry *to = table_of(c, n, fresh);
	unsigned bits = BITS_MIN;
	uint64_t live = 0;

	for (uint64_t i = 0; i < UINT64_C(1) << old / 2; i++)
		live += from[i].count != 0;
	while (UINT64_C(1) << bits < 2 * (live + 1))
		bits++;
	if (sizeof(struct entry) << bits > c->area)
		return -ENOMEM;
	for (uint64_t i = 0; i < UINT64_C(1) << old / 2; i++) {
		struct entry *e;

		if (!from[i].count)
			continue;
		e = find(to, bits, from[i].id);
		e->count = from[i].count;
		atomic_store(&e->id, from[i].id);
	}
	s->used = s->live = live;
	atomic_store(&s->table, 2 * bits + fresh);
	madvise(from, (size_t)c->area, MADV_REMOVE);
	return 0;
}

/* The entry of an id, with the lock of its shard held */
static struct entry *entry_of(struct counts *c, unsigned n, uint64_t id)
{
	struct shard *s = &c->shard[n];
	uint32_t table = atomic_load(&s->table);
	struct entry *e = find(table_of(c, n, table), table / 2, id);

	if (atomic_load(&e->id))
		return e;
	if (4 * (s->used + 1) > UINT64_C(3) << table / 2) {
		if (rehash(c, n))
			return NULL;
		table = atomic_load(&s->table);
		e = find(table_of(c, n, table), table / 2, id);
	}
	s->used++;
	atomic_store(&e->id, id);
	return e;
}

static void carry_out(struct intent *i)
{
	i->entry->count = i->count;
	*(volatile uint32_t *)i->progress = i->value;
	atomic_store(&i->valid, false);
}

int counts_add(struct counts *c, uint64_t id, int64_t times, uint32_t *progress,
	       uint32_t value)
{
	unsigned n = (unsigned)(hash_of(id) & (SHARDS - 1));
	struct shard *s = &c->shard[n];
	struct entry *e;

	pthread_mutex_lock(&locks[n]);
	e = entry_of(c, n, id);
	if (e) {
		int64_t was = e->count;

		s->intent.entry = e;
		s->intent.count = was + times;
		s->intent.progress = progress;
		s->intent.value = value;
		atomic_store(&s->intent.valid, true);
		carry_out(&s->intent);
		s->live += (was + times != 0) - (was != 0);
		/* Few are left: give memory back. If not, it stays. */
		if (!(was + times) &&
		    8 * s->live < UINT64_C(1) << atomic_load(&s->table) / 2 &&
		    atomic_load(&s->table) / 2 > BITS_MIN)
			rehash(c, n);
	}
	pthread_mutex_unlock(&locks[n]);
	return e ? 0 : -ENOMEM;
}

/* ---- life -------------------------------------------------------------- */

/* Address space for all areas, as much as there may be */
static char *reserve(uint64_t *area)
{
	for (*area = AREA_MAX; *area >= AREA_MIN; *area /= 2) {
		size_t size = 2 * SHARDS * (size_t)*area;
		char *areas = mmap(NULL, size, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
				   -1, 0);

		if (areas != MAP_FAILED)
			return areas;
	}
	return NULL;
}

struct counts *counts_new(void)
{
	struct counts *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (c == MAP_FAILED)
		return NULL;
	c->areas = reserve(&c->area);
	if (!c->areas) {
		munmap(c, sizeof(*c));
		return NULL;
	}
	for (unsigned i = 0; i < SHARDS; i++) {
		atomic_init(&c->shard[i].table, 2 * BITS_MIN);
		pthread_mutex_init(&locks[i], NULL);
	}
	return c;
}

void counts_free(struct counts *c)
{
	if (!c)
		return;
	munmap(c->areas, 2 * SHARDS * (size_t)c->area);
	munmap(c, sizeof(*c));
}

void counts_repair(struct counts *c)
{
	for (unsigned n = 0; n < SHARDS; n++) {
		struct shard *s = &c->shard[n];
		uint32_t table = atomic_load(&s->table);
		const struct entry *t = table_of(c, n, table);

		if (atomic_load(&s->intent.valid))
			carry_out(&s->intent);
		/* What was being made in the other area */
		madvise(table_of(c, n, table ^ 1), (size_t)c->area,
			MADV_REMOVE);
		s->used = s->live = 0;
		for (uint64_t i = 0; i < UINT64_C(1) << table / 2; i++) {
			s->used += atomic_load(&t[i].id) != 0;
			s->live += t[i].count != 0;
		}
	}
}

int counts_all(const struct counts *c, struct banyan_holds **all, size_t *count)
{
	uint64_t most = 0;

	for (unsigned n = 0; n < SHARDS; n++)
		most += c->shard[n].live;
	*count = 0;
	*all = malloc((size_t)(most ? most : 1) * sizeof(**all));
	if (!*all)
		return -ENOMEM;
	for (unsigned n = 0; n < SHARDS; n++) {
		uint32_t table = atomic_load(&c->shard[n].table);
		const struct entry *t = table_of(c, n, table);

		for (uint64_t i = 0; i < UINT64_C(1) << table / 2; i++)
			if (t[i].count > 0)
				(*all)[(*count)++] = (struct banyan_holds){
					atomic_load(&t[i].id),
					(uint64_t)t[i].count,
				};
	}
	return 0;
}
