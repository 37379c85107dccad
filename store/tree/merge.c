/* SPDX-License-Identifier: MIT */
/*
 * btree_merge(): walk the old tree beside the changes, top down, and build the
 * new one, bottom up, in one pass in key order.
 *
 * Each level has a builder with the entries that are waiting to become nodes.
 * A leaf that has changes is opened: its rows, merged with them, go to the
 * builder of level 0. A subtree without changes is kept: a reference to it goes
 * to the builder above it. Before that, what waits in the builders below must
 * become nodes of its own (drain). If that is too little for a node, the
 * subtree is opened instead, and its first entries join what waits. At the very
 * end, where nothing follows that could join, the node on the left does
 * (pull_left). So no node is left under a third full, but where its neighbours
 * are too large to join.
 *
 * A leaf's lower bound is that of the first old leaf that went into it, or the
 * shortest string that tells it from the leaf before, if that is new as well.
 * So bounds stay right beside what is kept, without looking into it.
 *
 * Nodes gather in a run. A parent in the same run as its child says how far
 * back the child lies; when a run has been written all references into it that
 * are still waiting get their offset in the file (builder_place).
 *
 * The old tree may be hostile: every node that is opened must keep to the
 * bounds that its parents give, so no row is met twice and the walk ends.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tree/btree.h"
#include "tree/builder.h"
#include "base/bytes.h"
#include "base/crc32c.h"

struct merge {
	struct cache *cache;
	struct file *file; /* of both trees */
	const struct merge_source *source;
	const struct node_sink *sink;
	struct merge_stats stats;
	struct row_change change; /* the next one, if `more` */
	bool more;
	struct buf last_key; /* of the change before */
	struct buf run;
	/* Of level 16 only the single entry for a root of level 15 */
	struct builder level[TREE_HEIGHT_MAX + 1];
};

/* Keys of a subtree are at or above lower and below upper; NULL: any */
struct bounds {
	const uint8_t *lower;
	size_t lower_len;
	const uint8_t *upper;
	size_t upper_len;
};

/* ---- changes ---------------------------------------------------------- */

static int next_change(struct merge *m)
{
	bool again = m->more;
	if (again && buf_set(&m->last_key, m->change.key, m->change.key_len))
		return -ENOMEM;
	int r = m->source->next(m->source->arg, &m->change);
	m->more = r == 0;
	if (r)
		return r < 0 ? r : 0;
	if (m->change.key_len > ROW_KEY_MAX ||
	    (m->change.value && m->change.value_len > ROW_VALUE_MAX))
		return -EINVAL;
	if (again && compare_bytes(m->last_key.data, m->last_key.len,
				   m->change.key, m->change.key_len) >= 0)
		return -EINVAL;
	return 0;
}

static bool change_within(const struct merge *m, const struct bounds *bounds)
{
	return m->more && (!bounds->upper ||
			   compare_bytes(m->change.key, m->change.key_len,
					 bounds->upper, bounds->upper_len) < 0);
}

/* ---- writing ---------------------------------------------------------- */

static int flush(struct merge *m)
{
	uint64_t offset;

	if (!m->run.len)
		return 0;
	int r = m->sink->write(m->sink->arg, m->run.data, m->run.len, &offset);
	if (r)
		return r;
	for (unsigned i = 0; i <= TREE_HEIGHT_MAX; i++)
		builder_place(&m->level[i], offset);
	m->stats.bytes_written += m->run.len;
	buf_reset(&m->run);
	return 0;
}

/* Encode a node of n entries into the run, after writing it if it is full */
static int encode(struct merge *m, unsigned level, size_t n,
		  struct node_ref *ref)
{
	struct builder *b = &m->level[level];
	size_t start = m->run.len;

	builder_encode(b, n, &m->run);
	if (start && m->run.len > m->sink->run_bytes) {
		m->run.len = start;
		int r = m->run.failed ? -ENOMEM : flush(m);
		if (r)
			return r;
		start = 0;
		builder_encode(b, n, &m->run);
	}
	if (m->run.failed)
		return -ENOMEM;
	ref->offset = start;
	ref->length = (uint32_t)(m->run.len - start);
	ref->crc = crc32c(0, m->run.data + start, ref->length);
	m->stats.nodes_written++;
	return 0;
}

/* Let n entries of a level become a node, and that an entry of the next */
static int emit(struct merge *m, unsigned level, size_t n)
{
	struct builder *b = &m->level[level];
	struct node_ref ref;
	size_t lower_len;

	if (level == TREE_HEIGHT_MAX)
		return -EUCLEAN; /* no honest tree gets there */
	int r = encode(m, level, n, &ref);
	if (r)
		return r;
	const uint8_t *lower = builder_lower(b, &lower_len);
	r = builder_add_child(b + 1, lower, lower_len, &ref, true);
	if (r)
		return r;
	builder_drop(b, n);
	return 0;
}

/* Let full nodes go, here and above; the recursion is as deep as the tree */
static int emit_full(struct merge *m, unsigned level)
{
	size_t n;
	int r = 0;

	while (!r && (n = builder_full(&m->level[level])) > 0) {
		r = emit(m, level, n);
		if (!r)
			r = emit_full(m, level + 1);
	}
	return r;
}

/* Let everything that waits on a level become nodes */
static int drain(struct merge *m, unsigned level)
{
	size_t n;
	int r = 0;

	while (!r && (n = builder_rest(&m->level[level])) > 0) {
		r = emit(m, level, n);
		if (!r)
			r = emit_full(m, level + 1);
	}
	return r;
}

/* ---- the walk --------------------------------------------------------- */

static bool too_small(struct builder *b)
{
	if (builder_size(b) < builder_least(b))
		return true;
	builder_settle(b);
	return builder_size(b) < builder_least(b);
}

/* Can all that waits below a subtree of this level stand by itself? */
static bool can_keep(struct merge *m, unsigned level)
{
	bool busy = false;

	for (unsigned i = 0; i <= level; i++) {
		busy = busy || m->level[i].count;
		if (busy && too_small(&m->level[i]))
			return false;
	}
	return true;
}

static int keep(struct merge *m, unsigned level, const struct node_ref *ref,
		const struct bounds *bounds)
{
	for (unsigned i = 0; i <= level; i++) {
		int r = drain(m, i);
		if (r)
			return r;
	}
	int r = builder_add_child(&m->level[level + 1], bounds->lower,
				  bounds->lower_len, ref, false);
	return r ? r : emit_full(m, level + 1);
}

/* A node of the old tree, which must keep to its bounds */
static int open_node(struct merge *m, unsigned level,
		     const struct node_ref *ref, const struct bounds *bounds,
		     const struct node **out)
{
	const struct node *node;
	int r = cache_get(m->cache, m->file, ref, level, &node);
	if (r)
		return r;
	m->stats.nodes_read++;
	m->stats.bytes_replaced += ref->length;
	r = node_check_bounds(node, bounds->lower, bounds->lower_len,
			      bounds->upper, bounds->upper_len);
	if (r) {
		cache_put(m->cache, node);
		return r;
	}
	*out = node;
	return 0;
}

/* Row i of an old leaf as it is */
static int add_old_row(struct builder *b, const struct node *node, unsigned i)
{
	uint8_t key[ROW_KEY_MAX];
	uint8_t value[ROW_VALUE_MAX];
	size_t key_len = node_key(node, i, key);
	size_t value_len = node_value(node, i, value);
	return builder_add_row(b, key, key_len, value, value_len);
}

/* The next change, which lies before or at row i of the leaf */
static int apply_change(struct merge *m)
{
	const struct row_change *c = &m->change;
	int r = 0;

	if (c->value)
		r = builder_add_row(&m->level[0], c->key, c->key_len, c->value,
				    c->value_len);
	return r ? r : next_change(m);
}

/* Rows of an old leaf (NULL: there is none) and changes, in key order */
static int merge_rows(struct merge *m, const struct node *node,
		      const struct bounds *bounds)
{
	unsigned count = node ? node->count : 0;
	unsigned i = 0;
	int r = 0;

	builder_set_lower(&m->level[0], bounds->lower, bounds->lower_len);
	while (!r) {
		bool change = change_within(m, bounds);
		int c = change ? 1 : -1;
		if (i == count && !change)
			break;
		if (i < count && change)
			c = node_compare(node, i, m->change.key,
					 m->change.key_len);
		if (c < 0)
			r = add_old_row(&m->level[0], node, i);
		else
			r = apply_change(m);
		if (c <= 0)
			i++;
		if (!r)
			r = emit_full(m, 0);
	}
	return r;
}

static int merge_node(struct merge *m, unsigned level,
		      const struct node_ref *ref, const struct bounds *bounds);

static int merge_children(struct merge *m, const struct node *node,
			  const struct bounds *bounds)
{
	uint8_t separators[2][ROW_KEY_MAX];
	struct bounds b = *bounds;
	int r = 0;

	for (unsigned i = 0; !r && i < node->count; i++) {
		struct node_ref child;
		node_child(node, i, &child);
		if (i + 1 < node->count) {
			uint8_t *next = separators[i % 2];
			b.upper_len = node_key(node, i + 1, next);
			b.upper = next;
		} else {
			b.upper = bounds->upper;
			b.upper_len = bounds->upper_len;
		}
		r = merge_node(m, node->level - 1, &child, &b);
		b.lower = b.upper;
		b.lower_len = b.upper_len;
	}
	return r;
}

static int merge_node(struct merge *m, unsigned level,
		      const struct node_ref *ref, const struct bounds *bounds)
{
	const struct node *node;

	if (!change_within(m, bounds) && can_keep(m, level))
		return keep(m, level, ref, bounds);
	int r = open_node(m, level, ref, bounds, &node);
	if (r)
		return r;
	r = level ? merge_children(m, node, bounds) :
		    merge_rows(m, node, bounds);
	cache_put(m->cache, node);
	return r;
}

/* ---- the end ---------------------------------------------------------- */

/* Is nothing waiting above this level? */
static bool is_top(const struct merge *m, unsigned level)
{
	for (unsigned i = level + 1; i <= TREE_HEIGHT_MAX; i++)
		if (m->level[i].count)
			return false;
	return true;
}

/* All entries of an old node to a builder */
static int add_node(struct builder *b, const struct node *node,
		    const struct bounds *bounds)
{
	int r = 0;

	builder_set_lower(b, bounds->lower, bounds->lower_len);
	for (unsigned i = 0; !r && i < node->count; i++) {
		if (node->level) {
			uint8_t key[ROW_KEY_MAX];
			struct node_ref child;
			size_t len = node_key(node, i, key);
			node_child(node, i, &child);
			r = builder_add_child(b, key, len, &child, false);
		} else {
			r = add_old_row(b, node, i);
		}
	}
	return r;
}

static int add_all(struct builder *to, const struct builder *from)
{
	int r = 0;

	for (size_t i = 0; !r && i < from->count; i++) {
		const struct builder_entry *e = &from->entries[i];
		const uint8_t *key = builder_key(from, e);
		r = to->level ? builder_add_child(to, key, e->key_len,
						  &e->child, e->in_run) :
				builder_add_row(to, key, e->key_len,
						key + e->key_len, e->value_len);
	}
	return r;
}

/* Put the entries of the old node before those that wait on its level */
static int join_left(struct merge *m, unsigned level,
		     const struct node_ref *ref, const struct bounds *bounds)
{
	struct builder *b = &m->level[level];
	struct builder joined;
	const struct node *node;

	int r = open_node(m, level, ref, bounds, &node);
	if (r)
		return r;
	builder_init(&joined, level, b->target);
	r = add_node(&joined, node, bounds);
	cache_put(m->cache, node);
	if (!r)
		r = add_all(&joined, b);
	if (r) {
		builder_free(&joined);
		return r;
	}
	builder_free(b);
	*b = joined;
	return 0;
}

/*
 * Take the old node on the left of what waits on a level into it. What lies on
 * the left was kept, so its reference waits on a level above; it is the last
 * entry there, and gets opened level by level. (A new node can only be there
 * if it was too large to join.) upper: the bound between the two.
 */
static int pull_left(struct merge *m, unsigned level,
		     const struct bounds *upper)
{
	struct builder *above = &m->level[level + 1];
	uint8_t lower[ROW_KEY_MAX];
	struct bounds bounds = *upper;

	if (is_top(m, level))
		return 0;
	if (!above->count) {
		int r = pull_left(m, level + 1, upper);
		if (r || !above->count)
			return r;
	}
	const struct builder_entry *last = &above->entries[above->count - 1];
	if (last->in_run)
		return 0;
	struct node_ref ref = last->child;
	bounds.lower = lower;
	bounds.lower_len = last->key_len;
	memcpy(lower, builder_key(above, last), last->key_len);
	builder_pop(above);
	return join_left(m, level, &ref, &bounds);
}

static int finish_level(struct merge *m, unsigned level)
{
	struct builder *b = &m->level[level];

	if (b->count && too_small(b)) {
		uint8_t upper[ROW_KEY_MAX];
		struct bounds bounds = { .upper = upper };
		const uint8_t *lower = builder_lower(b, &bounds.upper_len);
		memcpy(upper, lower, bounds.upper_len);
		int r = pull_left(m, level, &bounds);
		if (r)
			return r;
	}
	return drain(m, level);
}

/* A root with a single child is none. New roots have more. */
static int collapse(struct merge *m, struct tree *tree)
{
	while (tree->height > 1) {
		const struct node *node;
		int r = cache_get(m->cache, m->file, &tree->root,
				  tree->height - 1, &node);
		if (r)
			return r;
		unsigned count = node->count;
		if (count == 1)
			node_child(node, 0, &tree->root);
		cache_put(m->cache, node);
		if (count > 1)
			break;
		tree->height--;
	}
	return 0;
}

/* Let everything that waits become nodes, up to a single one: the root */
static int finish(struct merge *m, struct tree *tree)
{
	unsigned level = 0;

	for (;; level++) {
		struct builder *b = &m->level[level];
		if (is_top(m, level) && b->count <= (level ? 1 : 0))
			break;
		int r = finish_level(m, level);
		if (r)
			return r;
	}
	const struct builder_entry *root = m->level[level].entries;
	bool kept = level && !root->in_run;
	int r = flush(m);
	if (r)
		return r;
	*tree = (struct tree){ .height = level, .file = m->file };
	if (level)
		tree->root = root->child;
	return kept ? collapse(m, tree) : 0;
}

static int walk(struct merge *m, const struct tree *old)
{
	struct bounds all = { .lower = (const uint8_t *)"" };
	int r = next_change(m);
	if (r)
		return r;
	if (old->height)
		return merge_node(m, old->height - 1, &old->root, &all);
	return merge_rows(m, NULL, &all);
}

int btree_merge(struct cache *cache, const struct tree *old,
		const struct merge_source *source, const struct node_sink *sink,
		struct tree *tree, struct merge_stats *stats)
{
	struct tree fresh = { 0 };

	if (old->height > TREE_HEIGHT_MAX)
		return -EUCLEAN;
	struct merge *m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->cache = cache;
	m->file = old->file;
	m->source = source;
	m->sink = sink;
	builder_init(&m->level[0], 0,
		     sink->leaf_bytes ? sink->leaf_bytes : NODE_TARGET);
	for (unsigned i = 1; i <= TREE_HEIGHT_MAX; i++)
		builder_init(&m->level[i], i, NODE_TARGET);
	int r = walk(m, old);
	if (!r)
		r = finish(m, &fresh);
	if (!r) {
		*tree = fresh;
		if (stats)
			*stats = m->stats;
	}
	for (unsigned i = 0; i <= TREE_HEIGHT_MAX; i++)
		builder_free(&m->level[i]);
	buf_free(&m->last_key);
	buf_free(&m->run);
	free(m);
	return r;
}
