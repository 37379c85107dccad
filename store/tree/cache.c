/* SPDX-License-Identifier: MIT */
/*
 * A hash table of nodes, cut into shards by offset. In each shard a ring of
 * nodes and a hand make a clock: a hit gives a node lives, the hand takes them
 * one a turn and evicts what has none left. Inner nodes get more lives than
 * leaves, as losing one costs every row below it a read. A leaf that was used
 * only once gets fewer, so a long scan displaces little but itself.
 *
 * The identity of a node is its whole node_ref: two references that agree in
 * the offset only (one of them lies) are two nodes.
 *
 * A node that is there is found without a lock: chains only get longer at their
 * heads and shorter by single nodes, which go on pointing into the chain. What
 * is evicted waits in retired until all who had entered have left (epoch.h). Only
 * when a table grows its chains are threaded anew, and a reader may miss a node:
 * so who finds nothing looks again with the shard's lock held.
 *
 * A shard's lock protects its table, its ring and its counters; it is never held
 * during I/O nor together with another lock. refs counts who stays with a node;
 * the hand makes it DEAD to evict the node, which only works if nobody does.
 * Two threads that miss the same node both load it; the slower drops its copy.
 *
 * `bytes` counts a node from before it is in the table, and room is made first,
 * so that the tables never hold more than the limit unless it is in use.
 */
#include "tree/cache.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define SHARD_BITS 4
#define SHARDS (1u << SHARD_BITS)
#define FIRST_BUCKETS 64u
#define FRESH_LIVES 1 /* of a leaf that was used once */
#define LEAF_LIVES 2
#define INNER_LIVES 8
#define DEAD (1u << 31) /* in refs */
/* What the hash table adds to a node, about */
#define OVERHEAD 16u
/* Caches below this are small: to them a whole huge page is much */
#define HUGE_LIMIT (128u << 20)
/* So much of the limit, and this, may wait in retired before others wait for it */
#define RETIRED_PART 8
#define RETIRED_LEAST (1u << 20)
#define RETIRED_WAIT_NS 50000
#define RETIRED_WAITS 200u

struct table {
	struct table *before; /* smaller ones, which late readers may be in */
	size_t mask; /* number of buckets, a power of two, less 1 */
	struct node *_Atomic buckets[];
};

struct shard {
	pthread_mutex_t lock;
	struct table *_Atomic table;
	size_t count;
	struct node *hand; /* NULL: the shard is empty */
	size_t steps; /* of the hand until it is another shard's turn */
	uint64_t misses;
};

struct cache {
	struct epoch *epoch;
	struct pool *pool; /* where nodes have their memory */
	uint64_t multiplier; /* random: no file can choose who collides */
	_Atomic uint64_t limit;
	_Atomic uint64_t bytes;
	_Atomic unsigned turn; /* the shard whose hand is moving */
	pthread_mutex_t retired_lock;
	_Atomic uint64_t retired_bytes;
	struct node *retired; /* evicted, oldest first, linked by after */
	struct node *retired_last;
	struct shard shards[SHARDS];
};

static struct table *new_table(size_t mask)
{
	struct table *t =
		calloc(1, sizeof(*t) + (mask + 1) * sizeof(t->buckets[0]));
	if (t)
		t->mask = mask;
	return t;
}

static int shard_init(struct shard *s)
{
	struct table *t = new_table(FIRST_BUCKETS - 1);
	if (!t)
		return -ENOMEM;
	atomic_init(&s->table, t);
	pthread_mutex_init(&s->lock, NULL);
	return 0;
}

int cache_new(uint64_t limit, struct cache **out)
{
	struct cache *cache = calloc(1, sizeof(*cache));
	if (!cache)
		return -ENOMEM;
	atomic_init(&cache->limit, limit);
	pthread_mutex_init(&cache->retired_lock, NULL);
	if (getrandom(&cache->multiplier, sizeof(cache->multiplier), 0) !=
	    sizeof(cache->multiplier))
		cache->multiplier = 0x9e3779b97f4a7c15u;
	cache->multiplier |= 1;
	cache->epoch = epoch_new();
	cache->pool = pool_new(limit >= HUGE_LIMIT);
	int r = cache->epoch && cache->pool ? 0 : -ENOMEM;
	for (unsigned i = 0; !r && i < SHARDS; i++)
		r = shard_init(&cache->shards[i]);
	if (r) {
		cache_free(cache);
		return r;
	}
	*out = cache;
	return 0;
}

struct epoch *cache_epoch(struct cache *cache)
{
	return cache->epoch;
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
	return pool_cost(node->memory) + OVERHEAD;
}

/* ---- finding ---------------------------------------------------------- */

static struct node *next_in(struct node *_Atomic *from)
{
	return atomic_load(from);
}

/* ahead: to search in it comes next */
static inline struct node *find(struct shard *s, uint64_t hash,
				const struct file *file,
				const struct node_ref *ref, bool ahead)
{
	struct table *t = atomic_load(&s->table);
	struct node *node = next_in(&t->buckets[hash & t->mask]);
	/* Mostly it is the first one. To ask for its heads and prefix all at
	 * once makes a read a quarter faster, and to ask for the address of its
	 * second page some per cent; inner nodes are at hand anyway. */
	if (node && ahead) {
		for (unsigned line = 1; line < 7; line++)
			__builtin_prefetch((const char *)node + 64 * line);
		__builtin_prefetch((const char *)node + 4096);
	}
	while (node && !(same_ref(&node->ref, ref) && node->file == file))
		node = next_in(&node->chain);
	return node;
}

/* It was of use. Most are in full life already: then nothing is written. */
static void use(struct node *node)
{
	uint32_t lives = node->level ? INNER_LIVES : LEAF_LIVES;
	if (atomic_load_explicit(&node->lives, memory_order_relaxed) != lives)
		atomic_store_explicit(&node->lives, lives,
				      memory_order_relaxed);
}

/* Stay with the node: false if it has been evicted meanwhile */
static bool hold(struct node *node)
{
	uint32_t refs = atomic_load_explicit(&node->refs, memory_order_relaxed);
	while (!(refs & DEAD))
		if (atomic_compare_exchange_weak(&node->refs, &refs, refs + 1))
			return true;
	return false;
}

/* ---- a shard; its lock is held ---------------------------------------- */

/* Double the table. Without memory for it chains just get longer. */
static void grow(struct cache *cache, struct shard *s)
{
	struct table *old = atomic_load(&s->table);
	struct table *t = new_table(old->mask * 2 + 1);
	if (!t)
		return;
	t->before = old;
	atomic_store(&s->table, t);
	for (size_t i = 0; i <= old->mask; i++) {
		struct node *node = next_in(&old->buckets[i]);
		while (node) {
			struct node *next = next_in(&node->chain);
			uint64_t hash = hash_of(cache, &node->ref);
			struct node *_Atomic *to = &t->buckets[hash & t->mask];
			atomic_store(&node->chain, next_in(to));
			atomic_store(to, node);
			node = next;
		}
		atomic_store(&old->buckets[i], NULL);
	}
}

/* Into the table, and into the ring where the hand comes by last */
static void insert(struct cache *cache, struct shard *s, struct node *node)
{
	uint64_t hash = hash_of(cache, &node->ref);
	if (s->count > atomic_load(&s->table)->mask)
		grow(cache, s);
	struct table *t = atomic_load(&s->table);
	struct node *_Atomic *to = &t->buckets[hash & t->mask];
	atomic_store(&node->chain, next_in(to));
	atomic_store(to, node);
	if (s->hand) {
		node->after = s->hand;
		node->before = s->hand->before;
		node->before->after = node;
		node->after->before = node;
	} else {
		node->before = node;
		node->after = node;
		s->hand = node;
	}
	s->count++;
}

static void take_out(struct cache *cache, struct shard *s, struct node *node)
{
	uint64_t hash = hash_of(cache, &node->ref);
	struct table *t = atomic_load(&s->table);
	struct node *_Atomic *from = &t->buckets[hash & t->mask];
	while (next_in(from) != node)
		from = &next_in(from)->chain;
	atomic_store(from, next_in(&node->chain));
	node->before->after = node->after;
	node->after->before = node->before;
	if (s->hand == node)
		s->hand = node->after == node ? NULL : node->after;
	s->count--;
}

/*
 * Move the hand to a node to evict, which is DEAD then. NULL: it has come round
 * once; go on in the next shard.
 */
static struct node *find_victim(struct shard *s)
{
	while (s->steps > 0 && s->hand) {
		struct node *node = s->hand;
		uint32_t lives = atomic_load_explicit(&node->lives,
						      memory_order_relaxed);
		uint32_t nobody = 0;
		s->steps--;
		if (lives && !atomic_load(&node->refs))
			atomic_store_explicit(&node->lives, lives - 1,
					      memory_order_relaxed);
		else if (atomic_compare_exchange_strong(&node->refs, &nobody,
							DEAD))
			return node;
		s->hand = node->after;
	}
	s->steps = s->count;
	return NULL;
}

/* ---- evicting --------------------------------------------------------- */

static bool over_limit(struct cache *cache)
{
	return atomic_load_explicit(&cache->bytes, memory_order_relaxed) >
	       atomic_load_explicit(&cache->limit, memory_order_relaxed);
}

/* What nobody can see any more goes */
static void free_retired(struct cache *cache)
{
	pthread_mutex_lock(&cache->retired_lock);
	struct node *first = cache->retired;
	struct node *left = first;
	while (left && epoch_passed(cache->epoch, left->mark))
		left = left->after;
	cache->retired = left;
	pthread_mutex_unlock(&cache->retired_lock);
	while (first != left) {
		struct node *next = first->after;
		atomic_fetch_sub(&cache->retired_bytes, cost_of(first));
		node_free(first);
		first = next;
	}
}

/*
 * Readers who came by before the node left its table may still look at it. Its
 * mark is taken with the lock held: so marks ascend from the first to the last,
 * and who drains can stop at the first one that waits. The bytes are counted
 * before, as somebody else may drain them at once.
 */
static void retire(struct cache *cache, struct node *evicted)
{
	evicted->after = NULL;
	atomic_fetch_add(&cache->retired_bytes, cost_of(evicted));
	pthread_mutex_lock(&cache->retired_lock);
	evicted->mark = epoch_mark(cache->epoch);
	if (cache->retired)
		cache->retired_last->after = evicted;
	else
		cache->retired = evicted;
	cache->retired_last = evicted;
	pthread_mutex_unlock(&cache->retired_lock);
	free_retired(cache);
}

static bool many_retired(struct cache *cache)
{
	return atomic_load_explicit(&cache->retired_bytes,
				    memory_order_relaxed) >
	       atomic_load_explicit(&cache->limit, memory_order_relaxed) /
			       RETIRED_PART +
		       RETIRED_LEAST;
}

/*
 * One who has entered and does not get on (its disk is slow, or it has no
 * processor) keeps in retired all that others evict. Before these go on, let them
 * wait for it a little, and then go on at a pace that does no harm.
 */
static void wait_for_retired(struct cache *cache)
{
	const struct timespec pause = { .tv_nsec = RETIRED_WAIT_NS };
	for (unsigned i = 0; i < RETIRED_WAITS && many_retired(cache); i++) {
		nanosleep(&pause, NULL);
		free_retired(cache);
	}
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
		struct node *node = find_victim(s);
		if (node) {
			take_out(cache, s, node);
			atomic_fetch_sub(&cache->bytes, cost_of(node));
		}
		pthread_mutex_unlock(&s->lock);
		if (!node)
			atomic_compare_exchange_strong(&cache->turn, &turn,
						       turn + 1);
		idle = node ? 0 : idle + 1;
		if (node)
			retire(cache, node);
	}
}

/* ---- loading ---------------------------------------------------------- */

/* Take over the node, unless somebody else was faster: the one to use */
static struct node *adopt(struct cache *cache, struct node *fresh, bool stay)
{
	uint64_t hash = hash_of(cache, &fresh->ref);
	struct shard *s = shard_of(cache, hash);
	size_t cost = cost_of(fresh);
	atomic_init(&fresh->refs, stay);
	atomic_init(&fresh->lives, fresh->level ? INNER_LIVES : FRESH_LIVES);
	atomic_fetch_add(&cache->bytes, cost);
	make_room(cache);

	pthread_mutex_lock(&s->lock);
	struct node *other = find(s, hash, fresh->file, &fresh->ref, false);
	/* Nobody can be evicting it while the lock is held */
	bool held = other && stay && hold(other);
	assert(!other || !stay || held);
	if (!other)
		insert(cache, s, fresh);
	pthread_mutex_unlock(&s->lock);
	if (!other)
		return fresh;
	use(other);
	atomic_fetch_sub(&cache->bytes, cost);
	node_free(fresh);
	return other;
}

static int load(struct cache *cache, struct file *file,
		const struct node_ref *ref, unsigned level, struct node **node)
{
	uint8_t bytes[NODE_MAX];

	if (ref->length > sizeof(bytes))
		return -EUCLEAN;
	int r = file_read(file, bytes, ref->length, ref->offset);
	if (r)
		return r == -ENODATA ? -EUCLEAN : r;
	r = node_load_in(cache->pool, bytes, ref, level, node);
	if (!r)
		(*node)->file = file;
	return r;
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

/* What lock-free readers have missed: there all the same? Else count it. */
static struct node *find_again(struct cache *cache, const struct file *file,
			       const struct node_ref *ref, bool stay)
{
	uint64_t hash = hash_of(cache, ref);
	struct shard *s = shard_of(cache, hash);
	pthread_mutex_lock(&s->lock);
	struct node *node = find(s, hash, file, ref, false);
	if (!node)
		s->misses++;
	else if (stay)
		(void)hold(node);
	pthread_mutex_unlock(&s->lock);
	return node;
}

static int load_child(struct cache *cache, struct file *file,
		      const struct node_ref *ref, unsigned level,
		      const struct node *parent, unsigned i, bool stay,
		      struct node **node)
{
	struct node *fresh;
	int r = load(cache, file, ref, level, &fresh);
	if (!r && parent) {
		r = check_child(fresh, parent, i);
		if (r)
			node_free(fresh);
	}
	if (!r)
		*node = adopt(cache, fresh, stay);
	return r;
}

/*
 * The caller has entered, by slot. stay: it wants to put it back. parent NULL:
 * there is none to check against.
 */
static int get(struct cache *cache, unsigned slot, struct file *file,
	       const struct node_ref *ref, unsigned level,
	       const struct node *parent, unsigned i, bool stay,
	       const struct node **out)
{
	uint64_t hash = hash_of(cache, ref);
	struct node *node =
		find(shard_of(cache, hash), hash, file, ref, level == 0);
	if (node && stay && !hold(node))
		node = NULL;
	if (!node)
		node = find_again(cache, file, ref, stay);
	if (node) {
		epoch_count(cache->epoch, slot, 1);
		use(node);
	} else {
		int r = load_child(cache, file, ref, level, parent, i, stay,
				   &node);
		if (r)
			return r;
	}
	if (node->level != level) {
		if (stay)
			cache_put(cache, node);
		return -EUCLEAN;
	}
	*out = node;
	return 0;
}

/* ---- the two ways to use a node --------------------------------------- */

unsigned cache_enter(struct cache *cache)
{
	if (many_retired(cache))
		wait_for_retired(cache);
	return epoch_enter(cache->epoch);
}

void cache_leave(struct cache *cache, unsigned slot)
{
	epoch_leave(cache->epoch, slot);
	if (over_limit(cache))
		make_room(cache);
}

int cache_peek(struct cache *cache, unsigned slot, struct file *file,
	       const struct node_ref *ref, unsigned level,
	       const struct node **node)
{
	return get(cache, slot, file, ref, level, NULL, 0, false, node);
}

int cache_peek_child(struct cache *cache, unsigned slot,
		     const struct node *parent, unsigned i,
		     const struct node **child)
{
	return get(cache, slot, parent->file, &parent->children[i],
		   parent->level - 1u, parent, i, false, child);
}

int cache_get(struct cache *cache, struct file *file,
	      const struct node_ref *ref, unsigned level,
	      const struct node **node)
{
	unsigned slot = cache_enter(cache);
	int r = cache_get_in(cache, slot, file, ref, level, node);
	epoch_leave(cache->epoch, slot);
	return r;
}

int cache_get_in(struct cache *cache, unsigned slot, struct file *file,
		 const struct node_ref *ref, unsigned level,
		 const struct node **node)
{
	return get(cache, slot, file, ref, level, NULL, 0, true, node);
}

int cache_get_child_in(struct cache *cache, unsigned slot,
		       const struct node *parent, unsigned i,
		       const struct node **child)
{
	return get(cache, slot, parent->file, &parent->children[i],
		   parent->level - 1u, parent, i, true, child);
}

int cache_get_child(struct cache *cache, const struct node *parent, unsigned i,
		    const struct node **child)
{
	unsigned slot = cache_enter(cache);
	int r = cache_get_child_in(cache, slot, parent, i, child);
	epoch_leave(cache->epoch, slot);
	return r;
}

void cache_put(struct cache *cache, const struct node *node)
{
	struct node *own;
	if (!node)
		return;
	/* Whoever got it got it const; its count of users is not */
	memcpy(&own, &node, sizeof(own));
	uint32_t refs = atomic_fetch_sub(&own->refs, 1);
	assert(refs > 0 && !(refs & DEAD));
	if (refs == 1 && over_limit(cache))
		make_room(cache);
}

void cache_set_limit(struct cache *cache, uint64_t limit)
{
	atomic_store(&cache->limit, limit);
	make_room(cache);
}

void cache_forget(struct cache *cache, const struct file *file)
{
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = &cache->shards[i];
		pthread_mutex_lock(&s->lock);
		struct node *node = s->hand;
		for (size_t n = s->count; n; n--) {
			struct node *next = node->after;
			uint32_t nobody = 0;
			if (node->file == file &&
			    atomic_compare_exchange_strong(&node->refs, &nobody,
							   DEAD)) {
				take_out(cache, s, node);
				atomic_fetch_sub(&cache->bytes, cost_of(node));
				retire(cache, node);
			}
			node = next;
		}
		pthread_mutex_unlock(&s->lock);
	}
}

void cache_trim(struct cache *cache)
{
	pool_trim(cache->pool);
}

void cache_get_stat(struct cache *cache, struct cache_stat *stat)
{
	*stat = (struct cache_stat){
		.bytes = atomic_load(&cache->bytes),
		.waiting = atomic_load(&cache->retired_bytes),
		.limit = atomic_load(&cache->limit),
		.hits = epoch_counted(cache->epoch),
	};
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = &cache->shards[i];
		pthread_mutex_lock(&s->lock);
		stat->misses += s->misses;
		pthread_mutex_unlock(&s->lock);
	}
}

/* ---- the end ---------------------------------------------------------- */

static void shard_free(struct shard *s)
{
	struct table *t = atomic_load(&s->table);
	if (!t)
		return;
	for (size_t i = 0; i <= t->mask; i++) {
		struct node *node = next_in(&t->buckets[i]);
		while (node) {
			struct node *next = next_in(&node->chain);
			assert(atomic_load(&node->refs) == 0);
			node_free(node);
			node = next;
		}
	}
	while (t) {
		struct table *before = t->before;
		free(t);
		t = before;
	}
	pthread_mutex_destroy(&s->lock);
}

void cache_free(struct cache *cache)
{
	if (!cache)
		return;
	while (cache->retired) {
		struct node *next = cache->retired->after;
		node_free(cache->retired);
		cache->retired = next;
	}
	for (unsigned i = 0; i < SHARDS; i++)
		shard_free(&cache->shards[i]);
	pool_free(cache->pool);
	epoch_free(cache->epoch);
	pthread_mutex_destroy(&cache->retired_lock);
	free(cache);
}
