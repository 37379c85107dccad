/* SPDX-License-Identifier: MIT */
/*
 * Blocks of up to 64 entries. A leaf's entries are rows; those of an inner
 * block are blocks, of which each but the leftmost has a separator, `low`: no
 * key below it is in the block. A separator is a row, which never goes, and
 * which stays the first one in its leaf.
 *
 * Each entry has a head: eight bytes of its key (or separator) as a number,
 * taken from behind a prefix that all keys in the block share, so that a search
 * mostly looks at heads, which lie side by side. If the block has neighbours on
 * both sides, the prefix is what their separators share: every key that is led
 * here begins with it. At both ends of a level it is what the entries share,
 * and a key has to be compared with a sample first.
 *
 * What readers do. A block has a version, which is odd while the writer changes
 * the block; while it splits blocks, `shape` is odd. A reader notes both, looks,
 * and looks again if either has changed meanwhile. All that it can meet on the
 * way are rows and blocks, whole ones, as nothing is ever freed: at worst
 * it is led to a wrong place, and then it finds out. The writer is done within
 * a microsecond, unless the system takes the processor away from it: then the
 * reader gives way.
 */
#include "table/row_index.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "base/bytes.h"

#define FAN 64u
#define HEIGHT_MAX 12u /* a block is at least half full, but for the ends */
#define SPINS 64u /* before a reader gives way to the writer */

struct index_block {
	_Atomic uint32_t version;
	_Atomic uint32_t count;
	_Atomic uint32_t prefix;
	uint32_t level; /* 0: a leaf */
	const struct index_row *low; /* NULL: leftmost on its level */
	const struct index_row *_Atomic sample; /* NULL: the prefix is sure */
	struct index_block *_Atomic next; /* on the right; NULL: the last */
	_Atomic uint64_t head[FAN];
	void *_Atomic to[FAN];
};

struct wanted {
	const uint8_t *key;
	size_t len;
};

/* Loads of what the writer may be changing: all in order, see above */
#define LOAD(x) atomic_load_explicit(&(x), memory_order_acquire)
#define STORE(x, v) atomic_store_explicit(&(x), (v), memory_order_release)

/* ---- keys ------------------------------------------------------------- */

/* Eight bytes of the key from `from` on as a number, zeros behind its end */
static inline uint64_t eight_bytes(const uint8_t *key, size_t len, size_t from)
{
	uint8_t bytes[8] = { 0 };
	if (len >= from + 8)
		return get_be64(key + from);
	if (len > from)
		memcpy(bytes, key + from, len - from);
	return get_be64(bytes);
}

static inline int compare_row(const struct index_row *row,
			      const struct wanted *w)
{
	return compare_bytes(row->key, row->key_len, w->key, w->len);
}

/* The row whose key decides about an entry */
static inline const struct index_row *row_of(const struct index_block *b,
					     unsigned i)
{
	void *to = LOAD(b->to[i]);
	return b->level ? ((const struct index_block *)to)->low : to;
}

/* ---- searching -------------------------------------------------------- */

/* The first entry in [from, to) whose head is not below: conditional moves */
static inline unsigned heads_below(const struct index_block *b, unsigned from,
				   unsigned to, uint64_t head)
{
	unsigned base = from;
	unsigned n = to - from;
	while (n > 1) {
		unsigned half = n / 2;
		base += LOAD(b->head[base + half - 1]) < head ? half : 0;
		n -= half;
	}
	return base + (n == 1 && LOAD(b->head[base]) < head);
}

/* Of entries with the same head */
static unsigned among_equals(const struct index_block *b, unsigned low,
			     unsigned count, uint64_t head,
			     const struct wanted *w)
{
	unsigned high = low + 1;
	if (high < count && LOAD(b->head[high]) == head)
		high = head == UINT64_MAX ?
			       count :
			       heads_below(b, high, count, head + 1);
	while (low < high) {
		unsigned middle = (low + high) / 2;
		if (compare_row(row_of(b, middle), w) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The first entry at or above the key, `from` or behind it */
static inline unsigned search(const struct index_block *b, unsigned from,
			      const struct wanted *w)
{
	unsigned count = LOAD(b->count);
	unsigned prefix = LOAD(b->prefix);
	const struct index_row *sample = LOAD(b->sample);
	if (count <= from)
		return from;
	if (sample) {
		/* Disturbed, the prefix may be of another sample */
		if (prefix > sample->key_len)
			prefix = sample->key_len;
		size_t n = prefix < w->len ? prefix : w->len;
		int c = n ? memcmp(w->key, sample->key, n) : 0;
		if (c > 0)
			return count;
		if (c < 0 || w->len < prefix)
			return from;
	}
	uint64_t head = eight_bytes(w->key, w->len, prefix);
	unsigned low = heads_below(b, from, count, head);
	if (low < count && LOAD(b->head[low]) == head)
		low = among_equals(b, low, count, head, w);
	return low;
}

/* The entry of an inner block to go down to; below: for rows before the key */
static inline struct index_block *child(const struct index_block *b,
					const struct wanted *w, bool below)
{
	unsigned i = search(b, 1, w);
	if (!below && i < LOAD(b->count) && compare_row(row_of(b, i), w) == 0)
		i++;
	struct index_block *to = LOAD(b->to[i - 1]);
	__builtin_prefetch(&to->head[8]);
	__builtin_prefetch(&to->head[24]);
	__builtin_prefetch(&to->head[40]);
	return to;
}

/* ---- readers ---------------------------------------------------------- */

static void give_way(unsigned *spins)
{
	if (++*spins % SPINS == 0)
		sched_yield();
#if defined(__x86_64__) || defined(__i386__)
	else
		__builtin_ia32_pause();
#endif
}

/* The leaf in charge of the key (NULL: of the end), and the first entry there
 * at or above it */
static void find_spot(const struct row_index *ix, const struct wanted *w,
		      bool below, struct index_spot *spot)
{
	unsigned spins = 0;
	for (;; give_way(&spins)) {
		uint32_t shape = LOAD(ix->shape);
		if (shape & 1)
			continue;
		struct index_block *b = LOAD(ix->root);
		while (b->level)
			b = w->key ? child(b, w, below) :
				     LOAD(b->to[LOAD(b->count) - 1]);
		uint32_t version = LOAD(b->version);
		unsigned at = w->key ? search(b, 0, w) : LOAD(b->count);
		const struct index_row *row = NULL;
		at -= below; /* below 0: beyond any count */
		if (at < LOAD(b->count))
			row = LOAD(b->to[at]);
		if (version & 1 || LOAD(b->version) != version ||
		    LOAD(ix->shape) != shape)
			continue;
		*spot = (struct index_spot){ row, b, at, version };
		return;
	}
}

/* The spot is at the end of its block: on to the next one */
static bool cross(const struct row_index *ix, struct index_spot *spot,
		  const struct wanted *w, bool itself)
{
	struct index_block *b = LOAD(spot->block->next);
	if (!b)
		return false;
	uint32_t version = LOAD(b->version);
	const struct index_row *row = LOAD(b->to[0]);
	if (!(version & 1) && LOAD(b->version) == version &&
	    LOAD(spot->block->version) == spot->version) {
		*spot = (struct index_spot){ row, b, 0, version };
		return true;
	}
	/* Disturbed: seek anew */
	if (!row_index_seek(ix, w->key, w->len, spot))
		return false;
	return itself || compare_row(spot->row, w) != 0 ||
	       row_index_next(ix, spot);
}

bool row_index_seek(const struct row_index *ix, const void *key, size_t len,
		    struct index_spot *spot)
{
	struct wanted w = { key, len };
	find_spot(ix, &w, false, spot);
	return spot->row || cross(ix, spot, &w, true);
}

bool row_index_seek_before(const struct row_index *ix, const void *key,
			   size_t len, struct index_spot *spot)
{
	struct wanted w = { key, len };
	find_spot(ix, &w, true, spot);
	return spot->row != NULL;
}

bool row_index_next(const struct row_index *ix, struct index_spot *spot)
{
	const struct index_block *b = spot->block;
	struct wanted w = { spot->row->key, spot->row->key_len };
	unsigned at = spot->at + 1;
	if (at < LOAD(b->count)) {
		const struct index_row *row = LOAD(b->to[at]);
		/* Rows are visited once each, and lie anywhere */
		if (at + 6 < FAN) {
			const char *ahead = LOAD(b->to[at + 6]);
			if (ahead) {
				__builtin_prefetch(ahead);
				__builtin_prefetch(ahead + 64);
			}
		}
		if (LOAD(b->version) == spot->version) {
			spot->row = row;
			spot->at = at;
			return true;
		}
	}
	if (LOAD(b->version) == spot->version)
		return cross(ix, spot, &w, false);
	if (!row_index_seek(ix, w.key, w.len, spot))
		return false;
	/* Its own row is there, as rows never go: once is enough */
	return row_index_next(ix, spot);
}

bool row_index_prev(const struct row_index *ix, struct index_spot *spot)
{
	const struct index_block *b = spot->block;
	if (spot->at > 0) {
		const struct index_row *row = LOAD(b->to[spot->at - 1]);
		if (LOAD(b->version) == spot->version) {
			spot->row = row;
			spot->at--;
			return true;
		}
	}
	return row_index_seek_before(ix, spot->row->key, spot->row->key_len,
				     spot);
}

/* ---- the writer: heads ------------------------------------------------ */

static uint64_t head_of(const struct index_block *b, const struct index_row *r)
{
	return eight_bytes(r->key, r->key_len,
			   atomic_load_explicit(&b->prefix,
						memory_order_relaxed));
}

static size_t shared(const struct index_row *a, const struct index_row *b)
{
	return common_prefix(a->key, a->key_len, b->key, b->key_len);
}

/* The first entry that a key decides about */
static unsigned first_entry(const struct index_block *b)
{
	return b->level ? 1 : 0;
}

static void set_heads(struct index_block *b)
{
	unsigned count = LOAD(b->count);
	for (unsigned i = first_entry(b); i < count; i++)
		STORE(b->head[i], head_of(b, row_of(b, i)));
}

static void set_prefix(struct index_block *b)
{
	const struct index_block *next = LOAD(b->next);
	const struct index_row *sample = NULL;
	unsigned first = first_entry(b);
	unsigned count = LOAD(b->count);
	size_t prefix = 0;
	if (b->low && next) {
		prefix = shared(b->low, next->low);
	} else if (count > first) {
		sample = row_of(b, first);
		prefix = shared(sample, row_of(b, count - 1));
	}
	STORE(b->prefix, (uint32_t)prefix);
	STORE(b->sample, sample);
	set_heads(b);
}

/* A key comes to a block at the end of its level: is it like the others? */
static void widen_prefix(struct index_block *b, const struct index_row *row)
{
	const struct index_row *sample = LOAD(b->sample);
	size_t prefix = LOAD(b->prefix);
	if (!sample) {
		if (LOAD(b->count) <= first_entry(b)) {
			STORE(b->prefix, row->key_len);
			STORE(b->sample, row);
		}
		return;
	}
	size_t n = shared(sample, row);
	if (n < prefix) {
		STORE(b->prefix, (uint32_t)n);
		set_heads(b);
	}
}

/* ---- the writer: entries ---------------------------------------------- */

/* A version is odd from the first to the second call */
static void turn_version(_Atomic uint32_t *version)
{
	uint32_t v = atomic_load_explicit(version, memory_order_relaxed);
	STORE(*version, v + 1);
}

static void put_entry(struct index_block *b, unsigned at, void *to,
		      const struct index_row *row)
{
	unsigned count = LOAD(b->count);
	assert(count < FAN);
	if (!b->low || !LOAD(b->next))
		widen_prefix(b, row);
	for (unsigned i = count; i > at; i--) {
		STORE(b->head[i], LOAD(b->head[i - 1]));
		STORE(b->to[i], LOAD(b->to[i - 1]));
	}
	STORE(b->head[at], head_of(b, row));
	STORE(b->to[at], to);
	STORE(b->count, count + 1);
}

static void insert(struct index_block *b, unsigned at, void *to,
		   const struct index_row *row)
{
	turn_version(&b->version);
	put_entry(b, at, to, row);
	turn_version(&b->version);
}

static struct index_block *new_block(struct row_index *ix, unsigned level)
{
	struct index_block *b = arena_alloc(ix->arena, sizeof(*b));
	if (!b)
		return NULL;
	/* Entries are written before count says that they are there */
	memset(b, 0, offsetof(struct index_block, head));
	for (unsigned i = 0; i < FAN; i++) {
		atomic_init(&b->head[i], 0);
		atomic_init(&b->to[i], NULL);
	}
	b->level = level;
	return b;
}

int row_index_init(struct row_index *ix, struct arena *arena)
{
	*ix = (struct row_index){ .arena = arena };
	struct index_block *root = new_block(ix, 0);
	if (!root)
		return -ENOMEM;
	atomic_init(&ix->root, root);
	ix->finger = root;
	return 0;
}

/* ---- the writer: splitting -------------------------------------------- */

/* The blocks in charge of a key, from the leaf up; gives their number */
static unsigned find_path(const struct row_index *ix, const struct wanted *w,
			  struct index_block **path)
{
	struct index_block *b = LOAD(ix->root);
	unsigned height = b->level + 1;
	while (b->level) {
		path[b->level] = b;
		b = child(b, w, false);
	}
	path[0] = b;
	return height;
}

/* Entries from m on go to the block on the right */
static void split(struct index_block *b, unsigned m, struct index_block *right,
		  const struct index_row *low)
{
	unsigned count = LOAD(b->count);
	for (unsigned i = m; i < count; i++)
		atomic_init(&right->to[i - m], LOAD(b->to[i]));
	atomic_init(&right->count, count - m);
	atomic_init(&right->next, LOAD(b->next));
	right->low = low;
	STORE(b->next, right);
	STORE(b->count, m);
	set_prefix(right);
	set_prefix(b);
}

/* A new entry for a full block: *right is split off it */
static void split_insert(struct index_block *b, unsigned at, unsigned m,
			 void *to, const struct index_row *row,
			 struct index_block *right)
{
	bool at_end = m == LOAD(b->count);
	turn_version(&b->version);
	split(b, m, right, at_end ? row : row_of(b, m));
	if (at < m || (at == m && !at_end))
		put_entry(b, at, to, row);
	else
		put_entry(right, at - m, to, row);
	turn_version(&b->version);
}

static unsigned full_blocks(struct index_block **path, unsigned height)
{
	unsigned n = 0;
	while (n < height && LOAD(path[n]->count) == FAN)
		n++;
	return n;
}

static void grow_root(struct row_index *ix, struct index_block *root,
		      struct index_block *left, struct index_block *right)
{
	atomic_init(&root->to[0], left);
	atomic_init(&root->count, 1);
	put_entry(root, 1, right, right->low);
	STORE(ix->root, root);
}

/* The path's leaf is full: split it, and what is full above it */
static void split_path(struct row_index *ix, struct index_block **path,
		       unsigned height, unsigned at, unsigned m, void *to,
		       const struct index_row *row, struct index_block **fresh)
{
	turn_version(&ix->shape);
	for (unsigned i = 0;; i++) {
		struct index_block *b = path[i];
		if (LOAD(b->count) < FAN) {
			insert(b, at, to, row);
			break;
		}
		struct index_block *right = fresh[i];
		assert(right);
		split_insert(b, at, m, to, row, right);
		to = right;
		row = right->low;
		m = FAN / 2;
		if (i + 1 == height) {
			assert(fresh[i + 1]);
			grow_root(ix, fresh[i + 1], b, right);
			break;
		}
		struct wanted w = { row->key, row->key_len };
		at = search(path[i + 1], 1, &w);
	}
	turn_version(&ix->shape);
}

/*
 * Where to cut. Rows that come in order would leave every block half full
 * behind them: cut where they go on.
 */
static unsigned cut_at(const struct row_index *ix, const struct index_block *b,
		       unsigned at)
{
	bool follows = b == ix->finger && at && at == ix->last_at;
	return follows && at > FAN / 2 ? at : FAN / 2;
}

static int add_split(struct row_index *ix, struct index_row *row)
{
	struct index_block *path[HEIGHT_MAX];
	struct index_block *fresh[HEIGHT_MAX + 1] = { NULL };
	struct wanted w = { row->key, row->key_len };
	unsigned at = ix->finger_at;
	unsigned m = cut_at(ix, ix->finger, at);
	unsigned height = find_path(ix, &w, path);
	unsigned full = full_blocks(path, height);
	assert(path[0] == ix->finger && height < HEIGHT_MAX);
	for (unsigned i = 0; i < full; i++) {
		fresh[i] = new_block(ix, i);
		if (!fresh[i])
			return -ENOMEM;
	}
	if (full == height) {
		fresh[full] = new_block(ix, full);
		if (!fresh[full])
			return -ENOMEM;
	}
	split_path(ix, path, height, at, m, row, row, fresh);
	/* Where it is now */
	if (at > m || (at == m && m == FAN)) {
		ix->finger = LOAD(path[0]->next);
		ix->finger_at = at - m;
	}
	return 0;
}

/* Does the key lie between the row that was added last and the next one? */
static bool follows(const struct row_index *ix, const struct wanted *w)
{
	const struct index_block *b = ix->finger;
	unsigned at = ix->last_at;
	if (!at || compare_row(LOAD(b->to[at - 1]), w) >= 0)
		return false;
	if (at < LOAD(b->count))
		return compare_row(LOAD(b->to[at]), w) > 0;
	const struct index_block *next = LOAD(b->next);
	return !next || compare_row(next->low, w) > 0;
}

/* Who looks in vain is likely to add the row next, and to look once more */
static bool missed(const struct row_index *ix, const struct wanted *w)
{
	return ix->has_missed && ix->missed_len == w->len &&
	       memcmp(ix->missed, w->key, w->len) == 0;
}

static void note_missed(struct row_index *ix, const struct wanted *w)
{
	ix->has_missed = w->len > 0 && w->len <= sizeof(ix->missed);
	if (!ix->has_missed)
		return;
	memcpy(ix->missed, w->key, w->len);
	ix->missed_len = w->len;
}

struct index_row *row_index_find(struct row_index *ix, const void *key,
				 size_t len)
{
	struct wanted w = { key, len };
	if (missed(ix, &w))
		return NULL;
	if (follows(ix, &w)) {
		ix->finger_at = ix->last_at;
		note_missed(ix, &w);
		return NULL;
	}
	struct index_block *b = LOAD(ix->root);
	while (b->level)
		b = child(b, &w, false);
	if (b != ix->finger)
		ix->last_at = 0;
	ix->finger = b;
	ix->finger_at = search(b, 0, &w);
	if (ix->finger_at < LOAD(b->count)) {
		void *row = LOAD(b->to[ix->finger_at]);
		if (compare_row(row, &w) == 0) {
			/* The finger points elsewhere now */
			ix->has_missed = false;
			return row;
		}
	}
	note_missed(ix, &w);
	return NULL;
}

int row_index_add(struct row_index *ix, struct index_row *row)
{
	struct index_block *b = ix->finger;
	unsigned at = ix->finger_at;
	ix->has_missed = false;
	if (at && at == ix->last_at)
		ix->in_order++;
	if (LOAD(b->count) < FAN) {
		insert(b, at, row, row);
	} else {
		int rc = add_split(ix, row);
		if (rc)
			return rc;
	}
	ix->last_at = ix->finger_at + 1;
	return 0;
}
