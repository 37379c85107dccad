/* SPDX-License-Identifier: MIT */
/*
 * A hash table of nodes, cut into shards by offset. In each shard a ring of
 * entries and a hand make a clock: a hit gives an entry lives, the hand takes
 * them one a turn and evicts what has none left. Inner nodes get more lives
 * than leaves, as losing one costs every row below it a read. A leaf that was
 * used only once gets fewer, so a long scan displaces little but itself.
 *
 * The identity of a node is its whole node_ref: two references that agree in
 * the offset only (one of them lies) are two entries.
 *
 * A shard's lock protects its table, its ring, the lives of its entries, its
 * counters, and every step of an entry's refs from 0 to 1; it is never held
 * during I/O nor together with another shard's. So refs that are 0 under the
 * lock stay 0, and the entry may go. Dropping a reference takes no lock. Two
 * threads that miss the same node both load it; the slower drops its copy.
 *
 * `bytes` counts a node from before it is in the table, and room is made first,
 * so that the tables never hold more than the limit unless it is in use.
 */
#include "cache.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#define SHARD_BITS 4
#define SHARDS (1u << SHARD_BITS)
#define FIRST_BUCKETS 64u
#define FRESH_LIVES 1 /* of a leaf that was used once */
#define LEAF_LIVES 2
#define INNER_LIVES 8
/* What malloc() and the hash table add to an entry and its node, about */
#define OVERHEAD 48u

struct entry {
	struct node *node;
	struct entry *chain; /* next in its bucket */
	struct entry *before; /* the ring */
	struct entry *after;
	_Atomic unsigned refs;
	unsigned lives;
};

struct shard {
	pthread_mutex_t lock;
	struct entry **buckets;
	size_t mask; /* number of buckets, a power of two, less 1 */
	size_t count;
	struct entry *hand; /* NULL: the shard is empty */
	size_t steps; /* of the hand until it is another shard's turn */
	uint64_t hits;
	uint64_t misses;
};

struct cache {
	struct file *file;
	uint64_t multiplier; /* random: no file can choose who collides */
	_Atomic uint64_t limit;
	_Atomic uint64_t bytes;
	_Atomic unsigned turn; /* the shard whose hand is moving */
	struct shard shards[SHARDS];
};

static int shard_init(struct shard *s)
{
	s->buckets = calloc(FIRST_BUCKETS, sizeof(*s->buckets));
	if (!s->buckets)
		return -ENOMEM;
	s->mask = FIRST_BUCKETS - 1;
	pthread_mutex_init(&s->lock, NULL);
	return 0;
}

int cache_new(struct file *file, uint64_t limit, struct cache **out)
{
	struct cache *cache = calloc(1, sizeof(*cache));
	if (!cache)
		return -ENOMEM;
	cache->file = file;
	atomic_init(&cache->limit, limit);
	if (getrandom(&cache->multiplier, sizeof(cache->multiplier), 0) !=
	    sizeof(cache->multiplier))
		cache->multiplier = 0x9e3779b97f4a7c15u;
	cache->multiplier |= 1;
	for (unsigned i = 0; i < SHARDS; i++) {
		int r = shard_init(&cache->shards[i]);
		if (r) {
			cache_free(cache);
			return r;
		}
	}
	*out = cache;
	return 0;
}

static uint64_t hash_of(const struct cache *cache, const struct node_ref *ref)
{
	uint64_t hash = ref->offset * cache->multiplier;
	return hash ^ hash >> 32;
}

static struct shard *shard_of(struct cache *cache, uint64_t hash)
{
	return &cache->shards[hash >> (64 - SHARD_BITS)];
}

static bool same_ref(const struct node_ref *a, const struct node_ref *b)
{
	return a->offset == b->offset && a->length == b->length &&
	       a->crc == b->crc;
}

static size_t cost_of(const struct node *node)
{
	return node->memory + sizeof(struct entry) + OVERHEAD;
}

static void entry_free(struct entry *e)
{
	if (!e)
		return;
	node_free(e->node);
	free(e);
}

/* ---- a shard; its lock is held ---------------------------------------- */

/* What points to the entry of ref, or to the NULL where it would go */
static struct entry **find(struct shard *s, uint64_t hash,
			   const struct node_ref *ref)
{
	struct entry **at = &s->buckets[hash & s->mask];
	while (*at && !same_ref(&(*at)->node->ref, ref))
		at = &(*at)->chain;
	return at;
}

static void use(struct entry *e)
{
	atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
	e->lives = e->node->level ? INNER_LIVES : LEAF_LIVES;
}

/* Double the table. Without memory for it chains just get longer. */
static void grow(struct cache *cache, struct shard *s)
{
	size_t mask = s->mask * 2 + 1;
	struct entry **buckets = calloc(mask + 1, sizeof(*buckets));
	if (!buckets)
		return;
	for (size_t i = 0; i <= s->mask; i++) {
		while (s->buckets[i]) {
			struct entry *e = s->buckets[i];
			uint64_t hash = hash_of(cache, &e->node->ref);
			s->buckets[i] = e->chain;
			e->chain = buckets[hash & mask];
			buckets[hash & mask] = e;
		}
	}
	free(s->buckets);
	s->buckets = buckets;
	s->mask = mask;
}

/* Into the table, and into the ring where the hand comes by last */
static void insert(struct cache *cache, struct shard *s, uint64_t hash,
		   struct entry *e)
{
	if (s->count > s->mask)
		grow(cache, s);
	e->chain = s->buckets[hash & s->mask];
	s->buckets[hash & s->mask] = e;
	if (s->hand) {
		e->after = s->hand;
		e->before = s->hand->before;
		e->before->after = e;
		e->after->before = e;
	} else {
		e->before = e;
		e->after = e;
		s->hand = e;
	}
	s->count++;
}

static void take_out(struct cache *cache, struct shard *s, struct entry *e)
{
	struct entry **at =
		find(s, hash_of(cache, &e->node->ref), &e->node->ref);
	assert(*at == e);
	*at = e->chain;
	e->before->after = e->after;
	e->after->before = e->before;
	if (s->hand == e)
		s->hand = e->after == e ? NULL : e->after;
	s->count--;
}

/*
 * Move the hand to an entry to evict. NULL: it has come round once; go on in
 * the next shard.
 */
static struct entry *find_victim(struct shard *s)
{
	while (s->steps > 0 && s->hand) {
		struct entry *e = s->hand;
		s->steps--;
		/* Pairs with the release in cache_put(): its reads are over */
		if (!atomic_load_explicit(&e->refs, memory_order_acquire)) {
			if (!e->lives)
				return e;
			e->lives--;
		}
		s->hand = e->after;
	}
	s->steps = s->count;
	return NULL;
}

/* ---- the whole -------------------------------------------------------- */

static bool over_limit(struct cache *cache)
{
	return atomic_load_explicit(&cache->bytes, memory_order_relaxed) >
	       atomic_load_explicit(&cache->limit, memory_order_relaxed);
}

/*
 * Evict until the limit holds, or until the hand has gone round so often in
 * vain that all that is left is in use. The shards' rings follow one another,
 * so that they make one large clock.
 */
static void make_room(struct cache *cache)
{
	unsigned idle = 0;

	while (idle < SHARDS * (INNER_LIVES + 2) && over_limit(cache)) {
		unsigned turn = atomic_load(&cache->turn);
		struct shard *s = &cache->shards[turn % SHARDS];
		pthread_mutex_lock(&s->lock);
		struct entry *e = find_victim(s);
		if (e) {
			take_out(cache, s, e);
			atomic_fetch_sub(&cache->bytes, cost_of(e->node));
		}
		pthread_mutex_unlock(&s->lock);
		if (!e)
			atomic_compare_exchange_strong(&cache->turn, &turn,
						       turn + 1);
		idle = e ? 0 : idle + 1;
		entry_free(e);
	}
}

static const struct node *lookup(struct cache *cache,
				 const struct node_ref *ref)
{
	uint64_t hash = hash_of(cache, ref);
	struct shard *s = shard_of(cache, hash);
	const struct node *node = NULL;

	pthread_mutex_lock(&s->lock);
	struct entry *e = *find(s, hash, ref);
	if (e) {
		use(e);
		node = e->node;
		s->hits++;
	} else {
		s->misses++;
	}
	pthread_mutex_unlock(&s->lock);
	return node;
}

/* Take over the node, unless somebody else was faster; give the one to use */
static int adopt(struct cache *cache, struct node *fresh,
		 const struct node **node)
{
	uint64_t hash = hash_of(cache, &fresh->ref);
	struct shard *s = shard_of(cache, hash);
	struct entry *e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	size_t cost = cost_of(fresh);
	atomic_init(&e->refs, 1);
	e->node = fresh;
	e->lives = fresh->level ? INNER_LIVES : FRESH_LIVES;
	atomic_fetch_add(&cache->bytes, cost);
	make_room(cache);

	pthread_mutex_lock(&s->lock);
	struct entry *other = *find(s, hash, &fresh->ref);
	if (other) {
		use(other);
		*node = other->node;
	} else {
		insert(cache, s, hash, e);
		fresh->owner = e;
		*node = fresh;
	}
	pthread_mutex_unlock(&s->lock);
	if (other) {
		atomic_fetch_sub(&cache->bytes, cost);
		free(e);
		node_free(fresh);
	}
	return 0;
}

static int load(struct cache *cache, const struct node_ref *ref, unsigned level,
		struct node **node)
{
	uint8_t bytes[NODE_MAX];

	if (ref->length > sizeof(bytes))
		return -EUCLEAN;
	int r = file_read(cache->file, bytes, ref->length, ref->offset);
	if (r)
		return r == -ENODATA ? -EUCLEAN : r;
	return node_load(bytes, ref, level, node);
}

/* Do the keys of the loaded child suit its separators? */
static int check_child(const struct node *child, const struct node *parent,
		       unsigned i)
{
	uint8_t lower[ROW_KEY_MAX];
	uint8_t upper[ROW_KEY_MAX];
	size_t lower_len = node_key(parent, i, lower);
	bool last = i + 1 == parent->count;
	size_t upper_len = last ? 0 : node_key(parent, i + 1, upper);

	return node_check_bounds(child, lower, lower_len, last ? NULL : upper,
				 upper_len);
}

/* parent NULL: there is none to check against */
static int get(struct cache *cache, const struct node_ref *ref, unsigned level,
	       const struct node *parent, unsigned i, const struct node **out)
{
	const struct node *node = lookup(cache, ref);
	if (!node) {
		struct node *fresh;
		int r = load(cache, ref, level, &fresh);
		if (r)
			return r;
		if (parent)
			r = check_child(fresh, parent, i);
		if (!r)
			r = adopt(cache, fresh, &node);
		if (r) {
			node_free(fresh);
			return r;
		}
	}
	if (node->level != level) {
		cache_put(cache, node);
		return -EUCLEAN;
	}
	*out = node;
	return 0;
}

int cache_get(struct cache *cache, const struct node_ref *ref, unsigned level,
	      const struct node **node)
{
	return get(cache, ref, level, NULL, 0, node);
}

int cache_get_child(struct cache *cache, const struct node *parent, unsigned i,
		    const struct node **child)
{
	struct node_ref ref;

	node_child(parent, i, &ref);
	return get(cache, &ref, parent->level - 1, parent, i, child);
}

void cache_put(struct cache *cache, const struct node *node)
{
	if (!node)
		return;
	struct entry *e = node->owner;
	unsigned refs =
		atomic_fetch_sub_explicit(&e->refs, 1, memory_order_release);
	assert(refs > 0);
	if (refs == 1 && over_limit(cache))
		make_room(cache);
}

void cache_set_limit(struct cache *cache, uint64_t limit)
{
	atomic_store(&cache->limit, limit);
	make_room(cache);
}

void cache_get_stat(struct cache *cache, struct cache_stat *stat)
{
	*stat = (struct cache_stat){
		.bytes = atomic_load(&cache->bytes),
		.limit = atomic_load(&cache->limit),
	};
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = &cache->shards[i];
		pthread_mutex_lock(&s->lock);
		stat->hits += s->hits;
		stat->misses += s->misses;
		pthread_mutex_unlock(&s->lock);
	}
}

static void shard_free(struct shard *s)
{
	if (!s->buckets)
		return;
	for (size_t i = 0; i <= s->mask; i++) {
		while (s->buckets[i]) {
			struct entry *e = s->buckets[i];
			s->buckets[i] = e->chain;
			assert(atomic_load(&e->refs) == 0);
			entry_free(e);
		}
	}
	free(s->buckets);
	pthread_mutex_destroy(&s->lock);
}

void cache_free(struct cache *cache)
{
	if (!cache)
		return;
	for (unsigned i = 0; i < SHARDS; i++)
		shard_free(&cache->shards[i]);
	free(cache);
}
