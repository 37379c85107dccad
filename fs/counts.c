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
#include <sys/resource.h>

#define SHARDS 64u
#define BITS_MIN 8u /* 3 KiB */

/* Reserved for an area: enough for 400 million inodes in all, or less where so much
 * address space may not be had; of a limited one this part for all of them */
#define AREA_MAX (UINT64_C(1) << 28)
#define AREA_MIN (UINT64_C(1) << 16)
#define LIMIT_PART 16u

/* Of a table with n places: n ids (0: free), then n counts */
struct table {
	_Atomic uint64_t *id;
	uint32_t *count;
	uint64_t mask;
};

#define PLACE (sizeof(uint64_t) + sizeof(uint32_t))

struct intent {
	_Atomic bool valid;
	uint32_t *at;
	uint32_t count;
	uint32_t *progress;
	uint32_t value;
};

struct shard {
	_Atomic uint32_t table; /* 2 * the number of bits, + the area */
	uint64_t used; /* places with an id */
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

static char *area_of(const struct counts *c, unsigned shard, uint32_t table)
{
	return c->areas + (2 * shard + (table & 1)) * (size_t)c->area;
}

static struct table table_of(const struct counts *c, unsigned shard,
			     uint32_t table)
{
	char *area = area_of(c, shard, table);
	uint64_t n = UINT64_C(1) << table / 2;

	return (struct table){
		.id = (void *)area,
		.count = (void *)(area + n * sizeof(uint64_t)),
		.mask = n - 1,
	};
}

static uint64_t hash_of(uint64_t id)
{
	return id * UINT64_C(0x9e3779b97f4a7c15);
}

/* The place of the id, or the free one where it belongs */
static uint64_t find(const struct table *t, uint64_t id)
{
	uint64_t i = hash_of(id) >> 16;

	for (;; i++) {
		uint64_t has = atomic_load_explicit(&t->id[i & t->mask],
						    memory_order_relaxed);

		if (!has || has == id)
			return i & t->mask;
	}
}

/* Move to a table in which a quarter to a half is in use */
static int rehash(struct counts *c, unsigned n)
{
	struct shard *s = &c->shard[n];
	uint32_t old = atomic_load(&s->table);
	const struct table from = table_of(c, n, old);
	uint32_t bits = BITS_MIN;
	struct table to;
	uint64_t live = 0;

	for (uint64_t i = 0; i <= from.mask; i++)
		live += from.count[i] != 0;
	while (UINT64_C(1) << bits < 2 * (live + 1))
		bits++;
	if (PLACE << bits > c->area)
		return -ENOMEM;
	to = table_of(c, n, 2 * bits + ((old & 1) ^ 1));
	for (uint64_t i = 0; i <= from.mask; i++) {
		uint64_t at;

		if (!from.count[i])
			continue;
		at = find(&to, from.id[i]);
		to.count[at] = from.count[i];
		atomic_store_explicit(&to.id[at], from.id[i],
				      memory_order_relaxed);
	}
	s->used = s->live = live;
	atomic_store(&s->table, 2 * bits + ((old & 1) ^ 1));
	madvise(area_of(c, n, old), (size_t)c->area, MADV_REMOVE);
	return 0;
}

/* The count of an id, with the lock of its shard held */
static uint32_t *count_of(struct counts *c, unsigned n, uint64_t id)
{
	struct shard *s = &c->shard[n];
	struct table t = table_of(c, n, atomic_load(&s->table));
	uint64_t at = find(&t, id);

	if (atomic_load(&t.id[at]))
		return &t.count[at];
	if (4 * (s->used + 1) > 3 * (t.mask + 1)) {
		if (rehash(c, n))
			return NULL;
		t = table_of(c, n, atomic_load(&s->table));
		at = find(&t, id);
	}
	s->used++;
	atomic_store(&t.id[at], id);
	return &t.count[at];
}

static void carry_out(struct intent *i)
{
	*(volatile uint32_t *)i->at = i->count;
	*(volatile uint32_t *)i->progress = i->value;
	atomic_store(&i->valid, false);
}

int counts_add(struct counts *c, uint64_t id, int64_t times, uint32_t *progress,
	       uint32_t value)
{
	unsigned n = (unsigned)(hash_of(id) & (SHARDS - 1));
	struct shard *s = &c->shard[n];
	uint32_t *at;

	pthread_mutex_lock(&locks[n]);
	at = count_of(c, n, id);
	if (at) {
		uint32_t was = *at, now = (uint32_t)(was + times);
		uint32_t bits;

		s->intent.at = at;
		s->intent.count = now;
		s->intent.progress = progress;
		s->intent.value = value;
		atomic_store(&s->intent.valid, true);
		carry_out(&s->intent);
		s->live += !was;
		s->live -= !now;
		bits = atomic_load(&s->table) / 2;
		/* Few are left: give memory back. If not, it stays. */
		if (!now && bits > BITS_MIN &&
		    8 * s->live < UINT64_C(1) << bits)
			(void)rehash(c, n);
	}
	pthread_mutex_unlock(&locks[n]);
	return at ? 0 : -ENOMEM;
}

/* ---- life -------------------------------------------------------------- */

static bool is_too_much(uint64_t size)
{
	struct rlimit limit;

	return !getrlimit(RLIMIT_AS, &limit) &&
	       limit.rlim_cur != RLIM_INFINITY &&
	       size > limit.rlim_cur / LIMIT_PART;
}

/* Address space for all areas, as much as there may be */
static char *reserve(uint64_t *area)
{
	for (*area = AREA_MAX; *area >= AREA_MIN; *area /= 2) {
		size_t size = 2 * SHARDS * (size_t)*area;
		char *areas;

		if (*area > AREA_MIN && is_too_much(size))
			continue;
		areas = mmap(NULL, size, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

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
		uint32_t now = atomic_load(&s->table);
		const struct table t = table_of(c, n, now);

		if (atomic_load(&s->intent.valid))
			carry_out(&s->intent);
		/* What was being made in the other area */
		madvise(area_of(c, n, now ^ 1), (size_t)c->area, MADV_REMOVE);
		s->used = s->live = 0;
		for (uint64_t i = 0; i <= t.mask; i++) {
			s->used += atomic_load(&t.id[i]) != 0;
			s->live += t.count[i] != 0;
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
		const struct table t =
			table_of(c, n, atomic_load(&c->shard[n].table));

		for (uint64_t i = 0; i <= t.mask; i++)
			if (t.count[i])
				(*all)[(*count)++] = (struct banyan_holds){
					atomic_load(&t.id[i]),
					t.count[i],
				};
	}
	return 0;
}
