/* SPDX-License-Identifier: MIT */
/*
 * A hash set in shards, so that threads seldom meet. Each shard is a table with
 * open addressing, linear probing and deletion by shifting back; it grows when
 * three quarters are in use and shrinks when less than an eighth is. A shard's
 * lock protects its table; no call is made under it.
 */
#include "nodes.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define SHARDS 16u
#define SLOTS_MIN 64u /* a power of two */

#define PLAIN UINT64_C(1)
#define ONE UINT64_C(2)

struct slot {
	banyan_data *data; /* NULL: free */
	uint64_t state; /* the holds times ONE, and PLAIN */
};

struct shard {
	pthread_mutex_t lock;
	struct slot *slot;
	size_t slots; /* a power of two, or 0 */
	size_t used;
};

struct nodes {
	struct shard shard[SHARDS];
};

/* Addresses differ in their middle bits; spread those over all */
static uint64_t hash(const banyan_data *data)
{
	uint64_t h = (uint64_t)(uintptr_t)data * UINT64_C(0x9e3779b97f4a7c15);

	return h ^ (h >> 32);
}

static struct shard *shard_of(struct nodes *nodes, const banyan_data *data)
{
	return &nodes->shard[(hash(data) >> 28) % SHARDS];
}

/* The slot of data, or the free one where it belongs. There is a free one. */
static size_t find(const struct shard *s, const banyan_data *data)
{
	size_t i = hash(data) & (s->slots - 1);

	while (s->slot[i].data && s->slot[i].data != data)
		i = (i + 1) & (s->slots - 1);
	return i;
}

static struct slot *lookup(const struct shard *s, const banyan_data *data)
{
	size_t i;

	if (!s->slots)
		return NULL;
	i = find(s, data);
	return s->slot[i].data ? &s->slot[i] : NULL;
}

/* The slot of data, or NULL, in *s, whose lock the caller gives back */
static struct slot *lock_slot(struct nodes *nodes, const banyan_data *data,
			      struct shard **s)
{
	*s = shard_of(nodes, data);
	pthread_mutex_lock(&(*s)->lock);
	return lookup(*s, data);
}

static int resize(struct shard *s, size_t slots)
{
	struct shard old = *s;
	struct slot *slot = calloc(slots, sizeof(*slot));

	if (!slot)
		return -ENOMEM;
	s->slot = slot;
	s->slots = slots;
	for (size_t i = 0; i < old.slots; i++)
		if (old.slot[i].data)
			s->slot[find(s, old.slot[i].data)] = old.slot[i];
	free(old.slot);
	return 0;
}

/* Free slot i, moving up those behind it that belong before it */
static void erase(struct shard *s, size_t i)
{
	size_t mask = s->slots - 1;

	for (size_t j = (i + 1) & mask; s->slot[j].data; j = (j + 1) & mask) {
		size_t home = hash(s->slot[j].data) & mask;

		if (((j - home) & mask) >= ((j - i) & mask)) {
			s->slot[i] = s->slot[j];
			i = j;
		}
	}
	s->slot[i] = (struct slot){ 0 };
	s->used--;
	if (s->slots > SLOTS_MIN && s->used < s->slots / 8)
		(void)resize(s, s->slots / 2); /* staying large is no harm */
}

struct nodes *nodes_new(void)
{
	struct nodes *nodes = calloc(1, sizeof(*nodes));

	if (!nodes)
		return NULL;
	for (unsigned i = 0; i < SHARDS; i++)
		pthread_mutex_init(&nodes->shard[i].lock, NULL);
	return nodes;
}

void nodes_free(struct nodes *nodes)
{
	if (!nodes)
		return;
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = &nodes->shard[i];

		for (size_t j = 0; j < s->slots; j++)
			if (s->slot[j].data)
				banyan_release(s->slot[j].data,
					       s->slot[j].state / ONE);
		free(s->slot);
		pthread_mutex_destroy(&s->lock);
	}
	free(nodes);
}

int nodes_add(struct nodes *nodes, banyan_data *data)
{
	struct shard *s = shard_of(nodes, data);
	struct slot *slot;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	if (!s->slots || s->used + 1 > s->slots - s->slots / 4)
		rc = resize(s, s->slots ? s->slots * 2 : SLOTS_MIN);
	if (!rc) {
		slot = &s->slot[find(s, data)];
		if (!slot->data) {
			slot->data = data;
			s->used++;
		}
		slot->state += ONE;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void nodes_drop(struct nodes *nodes, banyan_data *data, uint64_t times)
{
	struct shard *s;
	struct slot *slot = lock_slot(nodes, data, &s);

	if (!slot)
		times = 0; /* not ours to release */
	else if (times > slot->state / ONE)
		times = slot->state / ONE;
	if (slot) {
		slot->state -= times * ONE;
		if (slot->state < ONE)
			erase(s, (size_t)(slot - s->slot));
	}
	pthread_mutex_unlock(&s->lock);
	if (times)
		banyan_release(data, times);
}

bool nodes_plain(struct nodes *nodes, banyan_data *data)
{
	struct shard *s;
	struct slot *slot = lock_slot(nodes, data, &s);
	bool plain = slot && (slot->state & PLAIN);

	pthread_mutex_unlock(&s->lock);
	return plain;
}

void nodes_set_plain(struct nodes *nodes, banyan_data *data, bool plain)
{
	struct shard *s;
	struct slot *slot = lock_slot(nodes, data, &s);

	if (slot)
		slot->state = (slot->state & ~PLAIN) | (plain ? PLAIN : 0);
	pthread_mutex_unlock(&s->lock);
}

size_t nodes_count(struct nodes *nodes)
{
	size_t n = 0;

	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&nodes->shard[i].lock);
		n += nodes->shard[i].used;
		pthread_mutex_unlock(&nodes->shard[i].lock);
	}
	return n;
}
